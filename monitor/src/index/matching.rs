//! Whether an entry is what a query asks for, decided on the entry itself.
//!
//! A search lets SQLite find the candidates and asks here about what its words cannot say; a watch asks here about
//! every new entry. The two agree, which a test checks on random entries and queries.
//!
//! Pure.

use serde_json::Value;

use super::extract::{Document, content};
use super::facet::{self, Exact};
use super::query::{Place, Query, Term};
use super::text::{Phrase, Token, tokens};

/// An entry, prepared to be asked about.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    bytes: &'a [u8],
    /// What was taken out of its bytes.
    pub document: &'a Document,
    title: Vec<Token>,
    body: Vec<Token>,
    facets: String,
    logged_after: Option<i64>,
}

impl<'a> Subject<'a> {
    /// An entry of a log; `logged_after` is a time before it was in the log, in seconds since 1970.
    #[must_use]
    pub fn new(
        origin: &str,
        leaf: &str,
        bytes: &'a [u8],
        document: &'a Document,
        logged_after: Option<i64>,
    ) -> Self {
        let words = |text: &str| {
            let mut words = Vec::new();
            tokens(text, |token| words.push(token));
            words
        };
        Self {
            bytes,
            document,
            title: words(document.title.as_deref().unwrap_or("")),
            body: words(&document.text),
            facets: facet::words(&Exact::Log.word(origin), leaf, document),
            logged_after,
        }
    }

    /// Its search words, in the title and in the text; the same word may come again.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.title.iter().chain(&self.body).map(|token| token.text.as_str())
    }

    /// Its exact values, as [`facet`] words.
    pub fn facets(&self) -> impl Iterator<Item = &str> {
        self.facets.split(' ')
    }

    /// When it was not in its log yet, in seconds since 1970.
    #[must_use]
    pub fn logged_after(&self) -> Option<i64> {
        self.logged_after
    }

    fn has(&self, term: &Term) -> bool {
        match term {
            Term::Facet { word, .. } => self.facets().any(|facet| facet == word),
            Term::Words { phrase, place: Place::Anywhere } => {
                is_in(phrase, &self.title) || is_in(phrase, &self.body)
            }
            Term::Words { phrase, place: Place::Title } => is_in(phrase, &self.title),
            Term::Words { phrase, place: Place::Field(name) } => {
                is_in(phrase, &self.body)
                    && content(self.bytes).is_some_and(|value| has_field(&value, name, phrase))
            }
        }
    }
}

fn is_in(phrase: &Phrase, words: &[Token]) -> bool {
    (0..words.len()).any(|at| phrase.is_at(words, at))
}

/// Whether an entry is dated at a time or later, or came later, for certain.
#[must_use]
pub fn is_since(since: i64, at: Option<i64>, logged_after: Option<i64>) -> bool {
    at.max(logged_after).is_some_and(|time| time >= since)
}

/// Whether a member of this name, or anything in it, has the words.
fn has_field(value: &Value, name: &str, phrase: &Phrase) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| has_field(item, name, phrase)),
        Value::Object(members) => members.iter().any(|(member, value)| {
            (member.eq_ignore_ascii_case(name) && has_words(value, phrase)) || has_field(value, name, phrase)
        }),
        _ => false,
    }
}

fn has_words(value: &Value, phrase: &Phrase) -> bool {
    match value {
        Value::String(text) => phrase.is_in(text),
        Value::Number(number) => phrase.is_in(&number.to_string()),
        Value::Array(items) => items.iter().any(|item| has_words(item, phrase)),
        Value::Object(members) => members.values().any(|value| has_words(value, phrase)),
        Value::Null | Value::Bool(_) => false,
    }
}

impl Query {
    /// Whether an entry is asked for.
    #[must_use]
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        let document = subject.document;
        let amount = document.largest().map(|amount| amount.thousandths);
        self.ranges_hold(document.at_seconds, amount, subject.logged_after)
            && self.change_holds(document.changes(), document.at_seconds, subject.logged_after)
            && self.all.iter().all(|any| any.iter().any(|term| subject.has(term)))
            && !self.none.iter().any(|term| subject.has(term))
    }

    /// Whether it asks for amounts or times.
    #[must_use]
    pub fn has_ranges(&self) -> bool {
        let amounts = [self.amount_min, self.amount_max];
        let times = [self.at_min, self.at_below, self.late_seconds_min, self.changed_min];
        amounts.iter().chain(&times).any(Option::is_some)
    }

    /// Whether an entry that `changes` what was there does so since the time that is asked for. What an agency has dated
    /// back counts by when it came.
    #[must_use]
    pub fn change_holds(&self, changes: bool, at: Option<i64>, logged_after: Option<i64>) -> bool {
        self.changed_min.is_none_or(|since| changes && is_since(since, at, logged_after))
    }

    /// Whether amounts and times are as asked for.
    #[must_use]
    pub fn ranges_hold(&self, at: Option<i64>, amount: Option<i64>, logged_after: Option<i64>) -> bool {
        let least = |bound: Option<i64>, value: Option<i64>| {
            bound.is_none_or(|bound| value.is_some_and(|v| v >= bound))
        };
        let late = match (logged_after, at) {
            (Some(after), Some(at)) => Some(after - at),
            _ => None,
        };
        least(self.amount_min, amount)
            && self.amount_max.is_none_or(|bound| amount.is_some_and(|amount| amount <= bound))
            && least(self.at_min, at)
            && self.at_below.is_none_or(|bound| at.is_some_and(|at| at < bound))
            && self.late_seconds_min.is_none_or(|bound| late.is_some_and(|late| late > bound))
    }

    /// Whether an entry that the index has found has the words in the fields that are asked for. `None` where one of
    /// several alternatives is enough and not all of them are fields.
    #[must_use]
    pub fn fields_hold(&self, bytes: &[u8]) -> Option<bool> {
        let is_field = |term: &Term| matches!(term, Term::Words { place: Place::Field(_), .. });
        let value = content(bytes);
        let has = |term: &Term| match (term, &value) {
            (Term::Words { phrase, place: Place::Field(name) }, Some(value)) => {
                has_field(value, name, phrase)
            }
            _ => false,
        };
        let mut holds = !self.none.iter().any(has);
        for any in self.all.iter().filter(|any| any.iter().any(is_field)) {
            if !any.iter().all(is_field) {
                return None;
            }
            holds &= any.iter().any(has);
        }
        Some(holds)
    }

    /// Whether words of certain fields are asked for, which the index does not know.
    #[must_use]
    pub fn has_fields(&self) -> bool {
        let terms = self.all.iter().flatten().chain(&self.none);
        terms.into_iter().any(|term| matches!(term, Term::Words { place: Place::Field(_), .. }))
    }
}
