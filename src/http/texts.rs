//! The words of the pages, in each language. A word that one of them lacks does not compile.
//!
//! What a statement says, and the detail of an error, are not ours: they stand as they are, in whatever language.

mod chinese;
mod english;

use daemon::problem::Problem;
use http::{HeaderMap, StatusCode, header};
use record::registry::Grant;
use record::statement::Kind;

use self::chinese::CHINESE;
use self::english::ENGLISH;

/// The language of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// The default.
    English,
    /// Simplified.
    Chinese,
}

impl Language {
    /// The one that the client likes best.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let said = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let weight = |language: &str| {
            let weighted = said.split(',').filter_map(|item| {
                let mut parts = item.split(';').map(str::trim);
                let tag = parts.next()?.to_ascii_lowercase();
                let matches = tag == language || tag.starts_with(&format!("{language}-"));
                let q = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
                q.filter(|_| matches)
            });
            weighted.fold(0.0_f32, f32::max)
        };
        if weight("zh") > weight("en") { Self::Chinese } else { Self::English }
    }

    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }
}

/// Everything that pages say by themselves.
pub(super) struct Texts {
    /// The language's tag (BCP 47).
    pub(super) tag: &'static str,
    pub(super) agencies: &'static str,
    pub(super) agency: &'static str,
    pub(super) register: &'static str,
    pub(super) registers: &'static str,
    pub(super) record: &'static str,
    pub(super) records: &'static str,
    pub(super) entries: &'static str,
    pub(super) history: &'static str,
    pub(super) keys: &'static str,
    pub(super) key: &'static str,
    pub(super) title: &'static str,
    pub(super) licence: &'static str,
    pub(super) may: &'static str,
    pub(super) since: &'static str,
    pub(super) until: &'static str,
    pub(super) quorum: &'static str,
    pub(super) at: &'static str,
    pub(super) index: &'static str,
    pub(super) leaf_hash: &'static str,
    pub(super) receipt: &'static str,
    pub(super) field: &'static str,
    pub(super) before: &'static str,
    pub(super) after: &'static str,
    pub(super) withdrawn: &'static str,
    pub(super) first_version: &'static str,
    pub(super) nothing_public_changed: &'static str,
    pub(super) nothing_here: &'static str,
    pub(super) more: &'static str,
    pub(super) tree_size: &'static str,
    pub(super) kind: &'static str,
    pub(super) signed_by: &'static str,
    pub(super) not_evidence: &'static str,
    pub(super) attachments: &'static str,
    pub(super) attachment: &'static str,
    pub(super) media_type: &'static str,
    pub(super) bytes: &'static str,
    pub(super) can_be_erased: &'static str,
    pub(super) values_outside: &'static str,
    pub(super) erasures: &'static str,
    pub(super) erased: &'static str,
    pub(super) erased_by: &'static str,
    pub(super) legal_basis: &'static str,
    pub(super) disowned: &'static str,
    pub(super) reason: &'static str,
    pub(super) kinds: Kinds,
    pub(super) grants: Grants,
    pub(super) start: Start,
    pub(super) errors: Errors,
}

/// The kinds of statements.
pub(super) struct Kinds {
    genesis: &'static str,
    agency: &'static str,
    register: &'static str,
    record: &'static str,
    tombstone: &'static str,
    dispute: &'static str,
}

/// What keys may do.
pub(super) struct Grants {
    officer: &'static str,
    publisher: &'static str,
    recovery: &'static str,
    delegate: &'static str,
}

/// The start page. What is in braces is filled in.
pub(super) struct Start {
    pub(super) heading: &'static str,
    pub(super) what: &'static str,
    pub(super) takes_bytes: &'static str,
    pub(super) takes_statements: &'static str,
    pub(super) root_hash: &'static str,
    pub(super) signed: &'static str,
    pub(super) freshness: &'static str,
    pub(super) at_least_every: &'static str,
    pub(super) do_not_trust: &'static str,
    pub(super) check_it: &'static str,
    pub(super) check_all: &'static str,
    pub(super) check_one: &'static str,
    pub(super) what_is_here: &'static str,
    pub(super) path: &'static str,
    pub(super) answer: &'static str,
    pub(super) checkpoint: &'static str,
    pub(super) tiles: &'static str,
    pub(super) entry: &'static str,
    pub(super) entry_by_hash: &'static str,
    pub(super) inclusion: &'static str,
    pub(super) consistency: &'static str,
    pub(super) rfc: &'static str,
    pub(super) add: &'static str,
    pub(super) add_batch: &'static str,
    pub(super) records: &'static str,
    pub(super) records_batch: &'static str,
    pub(super) agencies: &'static str,
    pub(super) this_page: &'static str,
    pub(super) keys: &'static str,
}

/// What went wrong for somebody who reads: a heading and a sentence.
pub(super) struct Errors {
    malformed: Error,
    not_found: Error,
    not_published: Error,
    out_of_tree: Error,
    method: Error,
    erased: Error,
    busy: Error,
    damaged: Error,
    internal: Error,
    other: Error,
    /// Comes before the detail, which is in English.
    pub(super) detail: &'static str,
    pub(super) start: &'static str,
}

/// A heading and a sentence.
#[derive(Clone, Copy)]
pub(super) struct Error {
    pub(super) heading: &'static str,
    pub(super) sentence: &'static str,
}

impl Texts {
    pub(super) fn kind_of(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::Genesis => self.kinds.genesis,
            Kind::Agency => self.kinds.agency,
            Kind::Register => self.kinds.register,
            Kind::Record => self.kinds.record,
            Kind::Tombstone => self.kinds.tombstone,
            Kind::Dispute => self.kinds.dispute,
        }
    }

    pub(super) fn grant(&self, grant: &Grant) -> &'static str {
        match grant {
            Grant::Officer => self.grants.officer,
            Grant::Publisher => self.grants.publisher,
            Grant::Recovery => self.grants.recovery,
            Grant::Delegate { .. } => self.grants.delegate,
        }
    }

    pub(super) fn error(&self, problem: &Problem) -> Error {
        let errors = &self.errors;
        match (problem.status(), problem.kind()) {
            (StatusCode::BAD_REQUEST, "out-of-tree") => errors.out_of_tree,
            (StatusCode::BAD_REQUEST, _) => errors.malformed,
            (StatusCode::NOT_FOUND, "not-published") => errors.not_published,
            (StatusCode::NOT_FOUND, _) => errors.not_found,
            (StatusCode::METHOD_NOT_ALLOWED, _) => errors.method,
            (StatusCode::GONE, _) => errors.erased,
            (StatusCode::SERVICE_UNAVAILABLE, "busy") => errors.busy,
            (StatusCode::INTERNAL_SERVER_ERROR, "damaged") => errors.damaged,
            (StatusCode::INTERNAL_SERVER_ERROR, _) => errors.internal,
            _ => errors.other,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_language_is_the_one_that_weighs_more() {
        let of = |said: &'static str| {
            Language::of(&HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static(said))]))
        };
        assert_eq!(Language::of(&HeaderMap::new()), Language::English);
        for chinese in ["zh", "zh-CN,zh;q=0.9,en;q=0.8", "fr, zh-Hant;q=0.5", "en;q=0.1,zh;q=0.2"] {
            assert_eq!(of(chinese), Language::Chinese, "{chinese}");
        }
        for english in ["en", "de", "en-GB,zh;q=0.9", "zh;q=0", "zhx"] {
            assert_eq!(of(english), Language::English, "{english}");
        }
    }
}
