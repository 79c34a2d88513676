//! The witness's description of itself: `/witness.json` for programs, `/` for people.
//!
//! Neither is evidence: whoever verifies has the witness's keys from elsewhere. The page loads nothing from
//! anywhere, and its content security policy says so.

use std::fmt::Write;
use std::sync::Arc;

use daemon::html::escape;
use http::{HeaderValue, header};
use serde::Serialize;
use tlog::hash::sha256;

use super::answer::{Answer, Caching, answer, json as json_answer};
use super::prefix;
use crate::logs::Followed;
use crate::state::State;
use crate::state::roster::origin_hash;
use crate::witness::Witness;

const STYLE: &str = include_str!("page.css");
/// Logs on one page.
const PAGE_LOGS_MAX: usize = 500;

/// What does not change while the process runs.
pub(super) struct Page {
    security_policy: HeaderValue,
}

#[derive(Serialize)]
struct Description {
    name: String,
    keys: Vec<String>,
    retired_keys: Vec<String>,
    public_url: Option<String>,
    calls: [&'static str; 2],
    evidence: u64,
    software: &'static str,
    version: &'static str,
    logs: Vec<LogJson>,
}

#[derive(Serialize)]
struct LogJson {
    origin: String,
    origin_hash: String,
    vkeys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qpd: Option<u32>,
}

/// `/witness.json`: who it is, and which logs it accepts.
pub(super) fn json(witness: &Witness) -> Answer {
    let keys = witness.keys().verifier_keys();
    let retired = witness.all_keys().iter().filter(|key| !keys.contains(key));
    let now = witness.monotonic();
    let describe = |log: &Arc<Followed>| {
        let status = log.status(now);
        (!status.disabled).then(|| LogJson {
            origin: log.origin().to_owned(),
            origin_hash: origin_hash(log.origin()).to_string(),
            vkeys: log.vkeys().map(str::to_owned).collect(),
            qpd: status.qpd,
        })
    };
    let description = Description {
        name: witness.keys().name().to_string(),
        keys: keys.iter().map(ToString::to_string).collect(),
        retired_keys: retired.map(ToString::to_string).collect(),
        public_url: witness.config.listen.public_url.clone(),
        calls: ["add-checkpoint", "sign-subtree"],
        evidence: witness.read(State::evidence_count).unwrap_or(0),
        software: "daybook-witness",
        version: env!("CARGO_PKG_VERSION"),
        logs: witness.logs.page(0, usize::MAX).iter().filter_map(describe).collect(),
    };
    json_answer(Caching::Seconds, &description)
}

/// Where the reader wants the table to begin: `?from=500`.
pub(super) fn from_of(query: Option<&str>) -> usize {
    query.and_then(|query| query.strip_prefix("from=")?.parse().ok()).unwrap_or(0)
}

impl Page {
    pub(super) fn new() -> Self {
        let style = sha256(STYLE.as_bytes()).to_base64();
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        Self { security_policy: HeaderValue::from_str(&policy).expect("the policy is a header value") }
    }

    /// The witness, and every log with its size, the age of the last cosignature, and the use of its quota.
    pub(super) fn html(&self, witness: &Witness, from: usize) -> Answer {
        let name = escape(witness.keys().name().as_str());
        let (count, page) = (witness.logs.count(), witness.logs.page(from, PAGE_LOGS_MAX));
        let evidence = witness.read(State::evidence_count).unwrap_or(0);
        let mut body = format!(
            "<h1>{name}</h1>\n<p>A witness of transparency logs: it cosigns a log's checkpoint only if it is \
             consistent with every checkpoint of that log that it cosigned before.</p>\n<h2>Keys</h2>\n<ul>"
        );
        for key in witness.keys().verifier_keys() {
            let _ = writeln!(body, "<li><code>{}</code></li>", escape(&key.to_string()));
        }
        let _ = write!(
            body,
            "</ul>\n<p>Take them from somewhere else than this page. For programs: \
             <a href=\"witness.json\">witness.json</a>. Contradictions found: \
             <a href=\"evidence\">{evidence}</a>.</p>\n<h2>Logs ({count})</h2>\n<table><thead><tr>\
             <th scope=\"col\">Origin</th><th scope=\"col\" class=\"n\">Size</th>\
             <th scope=\"col\" class=\"n\">Cosigned</th><th scope=\"col\" class=\"n\">Used today</th></tr></thead>\n<tbody>\n"
        );
        for log in &page {
            row(&mut body, witness, log);
        }
        body.push_str("</tbody></table>\n<p>");
        if from > 0 {
            let _ = write!(body, "<a href=\"?from={}\">Earlier</a> ", from.saturating_sub(PAGE_LOGS_MAX));
        }
        if from.saturating_add(page.len()) < count {
            let _ = write!(body, "<a href=\"?from={}\">More</a>", from + page.len());
        }
        body.push_str("</p>\n");
        self.page(&name, &body)
    }

    /// The witnesses of this process.
    pub(super) fn several(&self, witnesses: &[Arc<Witness>]) -> Answer {
        let mut body = "<h1>Witnesses</h1>\n<ul>\n".to_owned();
        for (at, witness) in witnesses.iter().enumerate() {
            let name = escape(witness.keys().name().as_str());
            let _ = writeln!(body, "<li><a href=\"{}/\">{name}</a></li>", prefix(at, witnesses.len()));
        }
        body.push_str("</ul>\n");
        self.page("Witnesses", &body)
    }

    fn page(&self, title: &str, body: &str) -> Answer {
        let version = env!("CARGO_PKG_VERSION");
        let page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<title>{title} - witness</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n<footer>daybook-witness \
             {version}</footer>\n</body>\n</html>\n"
        );
        let mut answer = answer("text/html; charset=utf-8", Caching::Seconds, page);
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, self.security_policy.clone());
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        answer
    }
}

fn row(body: &mut String, witness: &Witness, log: &Followed) {
    let status = log.status(witness.monotonic());
    let origin = escape(log.origin());
    let hash = origin_hash(log.origin());
    let name = if status.head.cosigned_at == 0 {
        origin
    } else {
        format!("<a href=\"{hash}/checkpoint\">{origin}</a>")
    };
    let state = if status.disabled { " (disabled)" } else { "" };
    let age = match status.head.cosigned_at {
        0 => "never".to_owned(),
        at => format!("{} s ago", witness.now().saturating_sub(at)),
    };
    let used = status.qpd.map_or_else(|| "no limit".to_owned(), |qpd| format!("{} of {qpd}", status.used));
    let _ = writeln!(
        body,
        "<tr><td>{name}{state}</td><td class=\"n\">{}</td><td class=\"n\">{age}</td><td class=\"n\">{used}</td></tr>",
        status.head.head.size
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_an_origin_is_shown_and_not_obeyed() {
        assert_eq!(escape("<b>&\"'"), "&lt;b&gt;&amp;&quot;&#39;");
    }

    #[test]
    fn a_page_begins_where_the_reader_says() {
        assert_eq!((from_of(None), from_of(Some("from=500")), from_of(Some("from=x"))), (0, 500, 0));
    }
}
