//! The log's description of itself: `/log.json` for programs, `/` for people.
//!
//! Neither is evidence: whoever verifies uses keys and a policy that came another way.

use daemon::html::escape;
use http::{HeaderValue, header};
use jiff::Timestamp;
use serde::Serialize;
use tlog::bundle::ENTRY_BYTES_MAX;

use super::answer::{Answer, Caching, json};
use super::html::{page, table};
use super::texts::{Language, Start};
use crate::config::Admission;
use crate::heads::Published;
use crate::log::Log;

/// What does not change while the log runs.
pub(super) struct Page {
    origin: String,
    admission: Admission,
    genesis: Option<String>,
    keys: Vec<String>,
    policy: String,
    public_url: Option<String>,
    limits: LimitsJson,
    refresh_seconds: u64,
}

#[derive(Clone, Copy, Serialize)]
struct LimitsJson {
    entry_bytes_max: usize,
    batch_entries_max: usize,
    batch_bytes_max: usize,
}

#[derive(Serialize)]
struct Description<'a> {
    origin: &'a str,
    admission: Admission,
    /// The leaf hash of entry 0, in logs of records.
    #[serde(skip_serializing_if = "Option::is_none")]
    genesis: Option<&'a str>,
    keys: &'a [String],
    policy: &'a str,
    public_url: Option<&'a str>,
    limits: LimitsJson,
    checkpoint_refresh_seconds: u64,
    tree_size: u64,
    root_hash: String,
    published_at: String,
    software: &'static str,
    version: &'static str,
}

impl Page {
    pub(super) fn new(log: &Log) -> Self {
        let keys = log.signer.verifier_keys();
        let public_url = log.config.listen.public_url.clone();
        let policy = log.policy.to_bytes();
        Self {
            origin: log.signer.origin().to_string(),
            admission: log.admission,
            genesis: log.genesis.clone(),
            keys: keys.iter().map(ToString::to_string).collect(),
            policy: String::from_utf8_lossy(&policy).into_owned(),
            public_url,
            limits: LimitsJson {
                entry_bytes_max: ENTRY_BYTES_MAX,
                batch_entries_max: log.config.limits.batch_entries_max,
                batch_bytes_max: log.config.limits.batch_bytes_max.as_usize(),
            },
            refresh_seconds: log.config.checkpoint.refresh.0.as_secs(),
        }
    }

    pub(super) fn json(&self, published: &Published) -> Answer {
        let head = published.head();
        let description = Description {
            origin: &self.origin,
            admission: self.admission,
            genesis: self.genesis.as_deref(),
            keys: &self.keys,
            policy: &self.policy,
            public_url: self.public_url.as_deref(),
            limits: self.limits,
            checkpoint_refresh_seconds: self.refresh_seconds,
            tree_size: head.size.get(),
            root_hash: head.root.to_base64(),
            published_at: time(published),
            software: "daybook",
            version: env!("CARGO_PKG_VERSION"),
        };
        json(Caching::Second, &description)
    }

    pub(super) fn html(&self, published: &Published, language: Language) -> Answer {
        let texts = language.texts();
        let start = &texts.start;
        let head = published.head();
        let takes = match self.admission {
            Admission::Open => start.takes_bytes,
            Admission::Records => start.takes_statements,
        };
        let keys: String =
            self.keys.iter().map(|key| format!("<li><code>{}</code></li>", escape(key))).collect();
        let time = time(published);
        let facts = [
            (texts.entries, grouped(head.size.get())),
            (start.root_hash, format!("<code>{}</code>", head.root.to_base64())),
            (start.signed, format!("<time datetime=\"{time}\">{time}</time>")),
            (start.freshness, start.at_least_every.replace("{refresh}", &self.refresh_seconds.to_string())),
        ];
        let facts: String =
            facts.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>\n")).collect();
        let body = format!(
            "<main>\n<h1>{}</h1>\n<p>{} {takes}</p>\n<dl>\n{facts}</dl>\n<h2>{}</h2>\n<p>{}</p>\n<pre>{}</pre>\n\
             <p>{}</p>\n<pre>daybook fsck URL --policy policy.txt</pre>\n<p>{}</p>\n\
             <pre>daybook verify FILE FILE.tlog-proof --policy policy.txt</pre>\n<h2>{}</h2>\n{}<h2>{}</h2>\n\
             <ul>{keys}</ul>\n</main>\n<footer>Daybook {}</footer>\n",
            escape(&self.origin),
            start.what,
            start.do_not_trust,
            start.check_it,
            escape(&self.policy),
            start.check_all,
            start.check_one,
            start.what_is_here,
            table(&[start.path, start.answer], &self.paths(start), texts),
            start.keys,
            env!("CARGO_PKG_VERSION"),
        );
        let title = format!("{} - {}", self.origin, start.heading);
        let mut answer = page(Caching::Second, texts, &title, &body);
        answer.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Language"));
        answer
    }

    /// What is here, a path and what it answers a line.
    fn paths(&self, start: &Start) -> Vec<Vec<String>> {
        let plain = |path: &str| format!("<code>{path}</code>");
        let linked = |path: &str| format!("<a href=\"{path}\"><code>/{path}</code></a>");
        let own = match self.admission {
            Admission::Open => {
                vec![(plain("POST /add"), start.add), (plain("POST /add-batch"), start.add_batch)]
            }
            Admission::Records => vec![
                (linked("agencies"), start.agencies),
                (plain("POST /records"), start.records),
                (plain("POST /records/batch"), start.records_batch),
            ],
        };
        let mut paths = vec![
            (linked("checkpoint"), start.checkpoint),
            (plain("/tile/..."), start.tiles),
            (plain("/entry/INDEX"), start.entry),
            (plain("/entry/by-hash/HEX"), start.entry_by_hash),
            (plain("/proof/inclusion/INDEX/SIZE"), start.inclusion),
            (plain("/proof/consistency/OLD/NEW"), start.consistency),
            (linked("ct/v1/get-sth"), start.rfc),
        ];
        paths.extend(own);
        paths.push((linked("log.json"), start.this_page));
        paths.into_iter().map(|(path, answer)| vec![path, answer.to_owned()]).collect()
    }
}

fn time(published: &Published) -> String {
    let millis = i64::try_from(published.time.get()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |time| time.to_string())
}

/// With a comma between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        let shown: Vec<String> = [0, 999, 1000, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
