//! What a log's answers about one version of a record say beside its commitments and tombstones. Pure.
//!
//! Only what is certain is held against the log: an answer that came, and that none of its tombstones explains. A
//! tombstone that the log names and that is not judged yet may explain it. What was never shown is not missed: an agency
//! need not show its values.

use std::collections::BTreeSet;

use record::erasable::{Erasures, opens_field, parse_field};
use record::sealed::disclosure::Disclosure;
use record::statement::{Content, Erased, Record};
use serde_json::Value;
use tlog::hash::Hash;

use crate::report::{ALTERED, ERASED, STILL_SHOWN};

/// An answer that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// 200.
    Here(&'a [u8]),
    /// 410: erased, the log says.
    Erased(&'a [u8]),
    /// 404.
    NotThere,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The sort of alarm.
    pub kind: &'static str,
    /// What it is about.
    pub subject: String,
    /// In words.
    pub detail: String,
}

/// A version, and what is known of its values.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// Its leaf hash.
    pub leaf: &'a Hash,
    /// What it says.
    pub record: &'a Record,
    /// What it says, unless it withdraws.
    pub content: &'a Content,
    /// What tombstones before `judged` have erased.
    pub erasures: &'a Erasures,
    /// Statements that are judged.
    pub judged: u64,
}

/// What an answer about a version's values says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What was shown, as it was committed to.
    pub items: BTreeSet<String>,
    /// What is gone, and would be explained by a tombstone that the log names and that is not judged yet.
    pub waiting: BTreeSet<String>,
}

impl Shown {
    /// Whether it is not known yet what to make of this.
    #[must_use]
    pub fn waits_for(&self, item: &str) -> bool {
        self.waiting.iter().any(|waiting| waiting == item || is_within(item, waiting))
    }
}

/// What an answer about an attachment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is as it must be.
    Right,
    /// Something is wrong.
    Wrong(Finding),
    /// A tombstone that the log names and that is not judged yet may explain it.
    Waits,
    /// Nothing that could be held against it; why.
    Nothing(String),
}

impl Version<'_> {
    /// What an alarm about a value is about.
    #[must_use]
    pub fn subject(&self, item: &str) -> String {
        format!("records/{}{item}", self.leaf)
    }

    fn finding(&self, kind: &'static str, item: &str, detail: &str) -> Finding {
        let detail = format!("{item} of the version with the leaf hash {} {detail}", self.leaf);
        Finding { kind, subject: self.subject(item), detail }
    }

    /// Judges the answer about the values that the agency shows; `before` is what it has shown. `None` if the answer makes
    /// no sense, so that nothing is known.
    #[must_use]
    pub fn judge(&self, answer: &Answer<'_>, before: &BTreeSet<String>) -> Option<Shown> {
        let mut shown = Shown::default();
        let mut claimed = Claims::default();
        match answer {
            Answer::Here(body) => {
                let body: Value = serde_json::from_slice(body).ok()?;
                for disclosure in body.get("disclosures")?.as_array()? {
                    self.judge_document(disclosure.get("document")?.as_str()?, &mut shown);
                }
                for erased in body.get("erased")?.as_array()? {
                    claimed.add(erased.get("item")?.as_str()?, &erased["tombstone"]);
                }
            }
            Answer::Erased(body) => {
                // Whatever else stands there: the status says that it is gone.
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                for item in self.erasures.remaining(self.content) {
                    claimed.add(&item.to_string(), &body["tombstone"]);
                }
            }
            Answer::NotThere => (),
        }
        self.judge_claims(&claimed, &mut shown);
        self.judge_absence(&claimed, before, &mut shown);
        Some(shown)
    }

    /// A document that opens commitments of the version.
    fn judge_document(&self, document: &str, shown: &mut Shown) {
        let items = match parse_field(document) {
            Ok(opening) => {
                let item = Erased::Field(opening.name.clone());
                opens_field(self.record, &opening).then_some(vec![item]).ok_or("/erasable")
            }
            Err(_) => match Disclosure::parse(document.as_bytes()) {
                Ok(disclosure) if disclosure.statement().leaf_hash() == *self.leaf => {
                    let fields = disclosure.fields().iter();
                    Ok(fields.map(|field| Erased::Sealed(field.opening.name.clone())).collect())
                }
                _ => Err("/sealed"),
            },
        };
        let items = match items {
            Ok(items) => items,
            Err(item) => {
                let detail = "is shown in a document that opens none of its commitments";
                return shown.findings.push(self.finding(ALTERED, item, detail));
            }
        };
        for item in items {
            let text = item.to_string();
            if let Some(tombstone) = self.erasures.of(&item) {
                let detail = format!("was erased by entry {}, and is still shown", tombstone.index);
                shown.findings.push(self.finding(STILL_SHOWN, &text, &detail));
            }
            shown.items.insert(text);
        }
    }

    /// What the log says is erased, and no tombstone erased.
    fn judge_claims(&self, claimed: &Claims, shown: &mut Shown) {
        for (item, tombstone) in &claimed.0 {
            let known = item.parse().ok().and_then(|item| self.erasures.of(&item)).is_some();
            if known {
                continue;
            }
            if tombstone.is_some_and(|index| index >= self.judged) {
                shown.waiting.insert(item.clone());
                continue;
            }
            let detail = match tombstone {
                Some(index) => format!("is gone, and entry {index}, which the log names, did not erase it"),
                None => "is gone, and the log names no tombstone".to_owned(),
            };
            shown.findings.push(self.finding(ERASED, item, &detail));
        }
    }

    /// Whether something that was shown is to be shown still.
    #[must_use]
    pub fn is_owed(&self, before: &BTreeSet<String>) -> bool {
        let erased = |item: &str| item.parse().ok().and_then(|item| self.erasures.of(&item)).is_some();
        before.iter().any(|item| !erased(item))
    }

    /// What was shown before, and is not any more.
    fn judge_absence(&self, claimed: &Claims, before: &BTreeSet<String>, shown: &mut Shown) {
        let missing: Vec<&String> = before.difference(&shown.items).collect();
        for item in missing {
            let erased = item.parse().ok().and_then(|item| self.erasures.of(&item)).is_some();
            if erased || claimed.0.iter().any(|(claimed, _)| claimed == item || is_within(item, claimed)) {
                continue;
            }
            let detail = "was shown before and is not any more, and no tombstone says why";
            shown.findings.push(self.finding(ERASED, item, detail));
        }
    }
}

/// `/sealed` stands for each sealed field.
fn is_within(item: &str, claimed: &str) -> bool {
    claimed == "/sealed" && item.starts_with("/sealed/")
}

/// What the log says is erased, with the index of the tombstone.
#[derive(Debug, Default)]
struct Claims(Vec<(String, Option<u64>)>);

impl Claims {
    /// Attachments are asked for by themselves: a tombstone takes them away from other versions too.
    fn add(&mut self, item: &str, tombstone: &Value) {
        if !item.starts_with("/attachments/") {
            self.0.push((item.to_owned(), tombstone["index"].as_u64()));
        }
    }
}

/// Judges the answer about an attachment. `expected` says what is wrong with its bytes, if anything.
#[must_use]
pub fn judge_attachment(
    path: &str,
    answer: &Answer<'_>,
    erased: bool,
    judged: u64,
    expected: impl FnOnce(&[u8]) -> Option<String>,
) -> Said {
    let wrong = |kind, detail: String| Said::Wrong(Finding { kind, subject: path.to_owned(), detail });
    match answer {
        Answer::Here(_) if erased => {
            wrong(STILL_SHOWN, format!("the attachment {path} was erased, and is still shown"))
        }
        Answer::Here(body) => match expected(body) {
            Some(why) => wrong(ALTERED, format!("the attachment {path} is not what its record names: {why}")),
            None => Said::Right,
        },
        _ if erased => Said::Right,
        Answer::Erased(body) => {
            let tombstone = serde_json::from_slice::<Value>(body).ok();
            let tombstone = tombstone.and_then(|body| body["tombstone"]["index"].as_u64());
            if tombstone.is_some_and(|index| index >= judged) {
                return Said::Waits;
            }
            wrong(ERASED, format!("the attachment {path} is gone, and no tombstone erased it"))
        }
        Answer::NotThere => {
            wrong(ERASED, format!("the attachment {path} is gone, and no tombstone says why"))
        }
    }
}
