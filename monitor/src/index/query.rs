//! What people type into a search box, understood. There is no input that is an error.
//!
//! | Written | Finds entries |
//! |---|---|
//! | `bridge repair` | with both words |
//! | `"bridge repair"` | with the words one after the other |
//! | `bridge OR tunnel` | with either; `OR` binds closer than the space |
//! | `bridge -repair` | with one and not the other |
//! | `contr*` | with a word that begins so |
//! | `agency:treasury.gov.example` | of the agency; also `log:`, `register:`, `key:`, `kind:`, `hash:`, `form:` |
//! | `attachment:2cf2...` | with the attachment of this SHA-256, or this commitment if it is erasable |
//! | `title:bridge` | with the word in the title |
//! | `supplier:acme` | with the word in a field of that name, at any depth |
//! | `amount>1000000`, `amount<=5.5` | whose largest amount of money is so, in units of the currency |
//! | `after:2026-01-01`, `before:2026-02` | whose `at` is on or after, or before, that day |
//! | `changed:2026-01-01` | that change, withdraw or erase a record since that day, by their `at` or by when they came |
//! | `late:30` | that were published more than 30 days after their `at` |
//! | `is:withdrawn`, `is:erased`, `is:keys` | that withdraw a record, erase values, change an agency's keys |
//!
//! A field that has quotes around its value may have spaces in it: `agency:"Ministry of Works"`.
//!
//! Pure.

use jiff::civil::Date;
use jiff::tz::Offset;

use super::amount::parse_decimal;
use super::facet::{self, Exact};
use super::text::Phrase;

/// Parts of a query that are looked at; the rest is left out, and the answer says so.
pub const TERMS_MAX: usize = 32;
/// The longest query in bytes.
pub const QUERY_BYTES_MAX: usize = 2048;
/// The largest number of days of `late:`.
const DAYS_MAX: i64 = 100_000;
const DAY_SECONDS: i64 = 86_400;

/// Where words are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anywhere.
    Anywhere,
    /// In the title.
    Title,
    /// In a field of this name, at any depth.
    Field(String),
}

/// One thing that an entry has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// Words.
    Words {
        /// Which.
        phrase: Phrase,
        /// Where.
        place: Place,
    },
    /// A value that is compared as a whole; `None` if it is a facet without one.
    Facet {
        /// The facet's word.
        word: String,
        /// What it stands for, compared again with the row.
        exact: Option<(Exact, String)>,
    },
}

/// A query, understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// An entry has one term of each of these.
    pub all: Vec<Vec<Term>>,
    /// And none of these.
    pub none: Vec<Term>,
    /// The largest amount is at least this, in thousandths.
    pub amount_min: Option<i64>,
    /// And at most this.
    pub amount_max: Option<i64>,
    /// `at` is at this second or later.
    pub at_min: Option<i64>,
    /// And before this second.
    pub at_below: Option<i64>,
    /// Published more than so many seconds after its `at`, for certain.
    pub late_seconds_min: Option<i64>,
    /// It changes what was there, at this second or later.
    pub changed_min: Option<i64>,
    /// Some of the query was left out.
    pub cut: bool,
}

impl Query {
    /// Understands a query.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        let text = if text.len() > QUERY_BYTES_MAX {
            query.cut = true;
            &text[..text.floor_char_boundary(QUERY_BYTES_MAX)]
        } else {
            text
        };
        let mut or = false;
        for (count, word) in split(text).into_iter().enumerate() {
            if count >= TERMS_MAX {
                query.cut = true;
                break;
            }
            if word == Word::plain("OR") || word == Word::plain("|") {
                or = true;
                continue;
            }
            query.take(&word, or);
            or = false;
        }
        query
    }

    /// Whether it asks for nothing in particular.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self { cut: self.cut, ..Self::default() }
    }

    /// Narrows the query to a value.
    #[must_use]
    pub fn with(mut self, exact: Exact, value: &str) -> Self {
        self.all.push(vec![exact_term(exact, value)]);
        self
    }

    /// The words that a reader should see marked.
    #[must_use]
    pub fn phrases(&self) -> Vec<&Phrase> {
        let words = |term: &'_ Term| matches!(term, Term::Words { .. });
        let terms = self.all.iter().flatten().filter(|term| words(term));
        terms
            .filter_map(|term| match term {
                Term::Words { phrase, .. } => Some(phrase),
                Term::Facet { .. } => None,
            })
            .collect()
    }

    fn take(&mut self, word: &Word, or: bool) {
        if !word.quoted && !word.negative && self.take_range(&word.text) {
            return;
        }
        let Some(term) = term(word) else { return };
        if word.negative {
            self.none.push(term);
        } else if let Some(last) = self.all.last_mut().filter(|_| or) {
            last.push(term);
        } else {
            self.all.push(vec![term]);
        }
    }

    /// Amounts and times; `false` if the word is none.
    fn take_range(&mut self, text: &str) -> bool {
        let lower = text.to_lowercase();
        if let Some(rest) = lower.strip_prefix("amount") {
            let rest = rest.strip_prefix(':').unwrap_or(rest);
            for (sign, least, strict) in [(">=", true, 0), ("<=", false, 0), (">", true, 1), ("<", false, 1)]
            {
                let Some(number) = rest.strip_prefix(sign) else { continue };
                let Some(value) = parse_decimal(&number.replace([',', '_'], "")) else { return false };
                let bound = if least { &mut self.amount_min } else { &mut self.amount_max };
                *bound =
                    Some(if least { value.saturating_add(strict) } else { value.saturating_sub(strict) });
                return true;
            }
            return false;
        }
        let Some((name, value)) = lower.split_once(':') else { return false };
        match name {
            "after" => seconds(value).map(|day| self.at_min = Some(day)).is_some(),
            "before" => seconds(value).map(|day| self.at_below = Some(day)).is_some(),
            "changed" => seconds(value).map(|day| self.changed_min = Some(day)).is_some(),
            "late" => {
                let days = value.parse::<i64>().ok().filter(|days| (0..=DAYS_MAX).contains(days));
                days.map(|days| self.late_seconds_min = Some(days * DAY_SECONDS)).is_some()
            }
            _ => false,
        }
    }
}

/// The first second of a day, a month or a year.
#[must_use]
pub fn seconds(text: &str) -> Option<i64> {
    let full = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        _ => text.to_owned(),
    };
    let day: Date = full.parse().ok().filter(|_| full.len() == 10)?;
    Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok().map(jiff::Timestamp::as_second)
}

fn exact_term(exact: Exact, value: &str) -> Term {
    Term::Facet { word: exact.word(value), exact: Some((exact, value.to_owned())) }
}

fn flag(word: &str) -> Term {
    Term::Facet { word: word.to_owned(), exact: None }
}

fn term(word: &Word) -> Option<Term> {
    let Some(name) = word.field.as_deref() else {
        return Some(Term::Words { phrase: word.phrase()?, place: Place::Anywhere });
    };
    let value = word.text.as_str();
    let exact = match name.to_lowercase().as_str() {
        "log" | "origin" => exact_term(Exact::Log, value),
        "kind" => exact_term(Exact::Kind, value),
        "agency" => exact_term(Exact::Agency, value),
        "register" => exact_term(Exact::Register, value),
        "key" => exact_term(Exact::Key, value),
        "form" => exact_term(Exact::Form, value),
        "hash" | "leaf" => flag(&facet::hash('h', value)),
        "previous" => flag(&facet::hash('p', value)),
        "erases" => flag(&facet::hash('e', value)),
        "attachment" => flag(&facet::hash('b', value)),
        "is" => match value.to_lowercase().as_str() {
            "withdrawn" => flag(facet::WITHDRAWN),
            "erased" => flag(facet::ERASED),
            "keys" => flag(facet::KEYS),
            _ => return Some(Term::Words { phrase: word.phrase()?, place: Place::Anywhere }),
        },
        "title" => Term::Words { phrase: word.phrase()?, place: Place::Title },
        _ => Term::Words { phrase: word.phrase()?, place: Place::Field(name.to_owned()) },
    };
    Some(exact)
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Word {
    negative: bool,
    field: Option<String>,
    text: String,
    quoted: bool,
}

impl Word {
    fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    fn phrase(&self) -> Option<Phrase> {
        let prefix = !self.quoted && self.text.ends_with('*');
        Phrase::new(&self.text, prefix)
    }
}

/// Splits at spaces outside of quotes. A quote without its partner reaches to the end.
fn split(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut word = Word::default();
        if let Some(positive) = rest.strip_prefix('-')
            && positive.chars().next().is_some_and(|next| !next.is_whitespace())
        {
            word.negative = true;
            rest = positive;
        }
        let (field, after) = field(rest);
        word.field = field.map(str::to_owned);
        rest = after;
        if let Some(open) = rest.strip_prefix(['"', '“', '”', '„', '«', '「']) {
            let end = open.find(['"', '”', '“', '»', '」']).unwrap_or(open.len());
            word.text = open[..end].to_owned();
            word.quoted = true;
            rest = open[end..].chars().next().map_or("", |closing| &open[end + closing.len_utf8()..]);
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            word.text = rest[..end].to_owned();
            rest = &rest[end..];
        }
        rest = rest.trim_start();
        words.push(word);
    }
    words
}

/// `name:` before a value. An address with `//` is none, nor is what [`Query::take_range`] reads.
fn field(text: &str) -> (Option<&str>, &str) {
    let end = text.find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | '.' | '-')));
    let Some(at) = end.filter(|at| *at > 0) else { return (None, text) };
    let Some(value) = text[at..].strip_prefix(':') else { return (None, text) };
    let name = &text[..at];
    let range = ["amount", "after", "before", "changed", "late"].contains(&name.to_lowercase().as_str());
    let empty = value.chars().next().is_none_or(char::is_whitespace);
    if range || empty || value.starts_with("//") || name.bytes().all(|byte| byte.is_ascii_digit()) {
        return (None, text);
    }
    (Some(name), value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(query: &str) -> Vec<Vec<String>> {
        let of = |term: &Term| match term {
            Term::Words { phrase, place } => format!("{place:?} {}", phrase.words.join("+")),
            Term::Facet { word, .. } => word.clone(),
        };
        Query::parse(query).all.iter().map(|any| any.iter().map(of).collect()).collect()
    }

    #[test]
    fn words_phrases_and_or_are_what_people_expect() {
        assert_eq!(words("bridge repair"), [["Anywhere bridge"], ["Anywhere repair"]]);
        assert_eq!(words("\"bridge repair"), [["Anywhere bridge+repair"]]);
        assert_eq!(words("a b OR c d").len(), 3);
        assert_eq!(words("a b OR c")[1], ["Anywhere b", "Anywhere c"]);
        assert_eq!(words("OR"), Vec::<Vec<String>>::new());
        assert_eq!(words("“合同 金额”"), [["Anywhere 合同+同+金额"]]);
        assert_eq!(words("https://a.example/x").len(), 1, "an address is words");
    }

    #[test]
    fn fields_ranges_and_exclusions_are_understood() {
        let query = Query::parse(
            "agency:\"a b\" supplier:acme title:x -draft amount>1,000 amount<=5.5 after:2026 before:2026-02 late:30",
        );
        assert_eq!(query.all.len(), 3);
        assert_eq!(query.all[0], [exact_term(Exact::Agency, "a b")]);
        assert_eq!(query.none.len(), 1);
        assert_eq!((query.amount_min, query.amount_max), (Some(1_000_001), Some(5_500)));
        assert_eq!((query.at_min, query.at_below), (Some(1_767_225_600), Some(1_769_904_000)));
        assert_eq!(query.late_seconds_min, Some(30 * 86_400));
        assert_eq!(Query::parse("changed:2026-02").changed_min, Some(1_769_904_000));
    }

    #[test]
    fn what_is_no_range_is_looked_for_as_words() {
        for text in ["amount>many", "after:lunch", "changed:lunch", "late:ish", "amount"] {
            let query = Query::parse(text);
            assert_eq!(query.all.len(), 1, "{text}");
        }
        assert!(Query::parse("  *** \"\" -\"\" -- ").is_empty());
    }

    proptest! {
        #[test]
        fn no_input_is_an_error(text in "\\PC{0,60}") {
            let query = Query::parse(&text);
            prop_assert!(query.all.iter().all(|any| !any.is_empty()));
        }
    }
}
