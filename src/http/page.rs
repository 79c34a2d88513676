//! The log's description of itself: `/log.json` for programs, `/` for people.
//!
//! Neither is evidence: whoever verifies uses keys and a policy that came another way. The page loads nothing
//! from anywhere, and its content security policy says so.

use http::{HeaderValue, header};
use jiff::Timestamp;
use serde::Serialize;
use tlog::bundle::ENTRY_BYTES_MAX;
use tlog::hash::sha256;

use super::answer::{Answer, Caching, answer, json};
use crate::config::Admission;
use crate::heads::Published;
use crate::log::Log;

pub(super) const STYLE: &str = include_str!("page.css");

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
    security_policy: HeaderValue,
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
        let style = sha256(STYLE.as_bytes()).to_base64();
        let security_policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
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
            security_policy: HeaderValue::from_str(&security_policy).expect("the policy is a header value"),
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

    pub(super) fn html(&self, published: &Published) -> Answer {
        let head = published.head();
        let keys: String =
            self.keys.iter().map(|key| format!("<li><code>{}</code></li>", escape(key))).collect();
        let takes = match self.admission {
            Admission::Open => "any bytes, up to 65,535 at a time, from anyone who can reach it",
            Admission::Records => "signed statements of <a href=\"/agencies\">enrolled agencies</a>",
        };
        let adding = match self.admission {
            Admission::Open => ADDING,
            Admission::Records => SUBMITTING,
        };
        let page = TEMPLATE
            .replace("{style}", STYLE)
            .replace("{adding}", adding)
            .replace("{takes}", takes)
            .replace("{size}", &grouped(head.size.get()))
            .replace("{plain_size}", &head.size.to_string())
            .replace("{root}", &head.root.to_base64())
            .replace("{time}", &time(published))
            .replace("{refresh}", &self.refresh_seconds.to_string())
            .replace("{version}", env!("CARGO_PKG_VERSION"))
            .replace("{keys}", &keys)
            .replace("{policy}", &escape(&self.policy))
            .replace("{origin}", &escape(&self.origin));
        let mut answer = answer("text/html; charset=utf-8", Caching::Second, page);
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, self.security_policy.clone());
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        answer
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

pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
    out
}

const ADDING: &str = "<tr><td><code>POST /add</code></td><td>add one entry: the body is the entry, the answer its \
    index</td></tr>\n<tr><td><code>POST /add-batch</code></td><td>add many: each entry after its length in two \
    bytes</td></tr>";

const SUBMITTING: &str = "<tr><td><code>POST /records</code></td><td>add one signed statement; the answer is its \
    receipt</td></tr>\n<tr><td><code>POST /records/batch</code></td><td>add a stream of them, each after its length in two \
    bytes</td></tr>";

const TEMPLATE: &str = include_str!("page.html");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_name_is_shown_and_not_obeyed() {
        assert_eq!(escape("<b>&\"'"), "&lt;b&gt;&amp;&quot;&#39;");
    }

    #[test]
    fn large_numbers_are_grouped() {
        let shown: Vec<String> = [0, 999, 1000, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
