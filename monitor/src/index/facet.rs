//! Exact values as search words, so that SQLite intersects them with the words of a text in one pass, in log order.
//!
//! | Facet | Of | Word |
//! |---|---|---|
//! | every entry | | `zall` |
//! | log, kind, agency, register, key, form | its text | `l`, `k`, `a`, `r`, `y`, `f` and 16 hex digits of SHA-256 |
//! | one record: agency, register and key | the three, a line each | `c` and 16 hex digits |
//! | leaf hash, leaf hash of the entry before, leaf hash of the erased entry | | `h`, `p`, `e` and its first 16 digits |
//! | each attachment: its SHA-256, or its commitment if it is erasable | | `b` and its first 16 digits |
//! | month and year of `at` | | `m202611`, `j2026` |
//! | largest amount | digits of its units | `z7` |
//! | withdrawn, erased something, agency's keys changed | | `zwithdrawn`, `zerased`, `zkeys` |
//!
//! A facet narrows the search; whoever must be exact compares the row as well, for 64 bits can meet by chance.
//!
//! Pure.

use jiff::Timestamp;
use jiff::tz::Offset;
use tlog::hash::sha256;

use super::amount::SCALE;
use super::extract::Document;

/// Every entry has it.
pub const ALL: &str = "zall";
/// Of a withdrawn record.
pub const WITHDRAWN: &str = "zwithdrawn";
/// Of a tombstone.
pub const ERASED: &str = "zerased";
/// Of a statement that changes an agency's keys.
pub const KEYS: &str = "zkeys";
/// Hex digits of a facet.
const DIGITS: usize = 16;
/// The years that ranges of time know.
pub const YEARS: std::ops::RangeInclusive<i16> = 1900..=2199;

/// A value that is compared as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exact {
    /// A log's origin.
    Log,
    /// A kind of statement.
    Kind,
    /// An agency.
    Agency,
    /// A register.
    Register,
    /// A key, in any register.
    Key,
    /// Agency, register and key, a line each.
    Chain,
    /// The form of an entry.
    Form,
}

impl Exact {
    fn letter(self) -> char {
        match self {
            Self::Log => 'l',
            Self::Kind => 'k',
            Self::Agency => 'a',
            Self::Register => 'r',
            Self::Key => 'y',
            Self::Chain => 'c',
            Self::Form => 'f',
        }
    }

    /// The facet of a value.
    #[must_use]
    pub fn word(self, value: &str) -> String {
        let hash = sha256(value.as_bytes()).to_string();
        format!("{}{}", self.letter(), &hash[..DIGITS])
    }
}

/// The value of [`Exact::Chain`].
#[must_use]
pub fn chain(agency: &str, register: &str, key: &str) -> String {
    format!("{agency}\n{register}\n{key}")
}

/// The facet of a hash in a role: `h` its own, `p` of the entry before, `e` of the erased one, `b` of an attachment.
#[must_use]
pub fn hash(role: char, hex: &str) -> String {
    let digits: String = hex.chars().filter(char::is_ascii_hexdigit).take(DIGITS).collect();
    format!("{role}{}", digits.to_ascii_lowercase())
}

/// Digits of an amount's units: 0 for less than one.
#[must_use]
pub fn magnitude(thousandths: i64) -> u32 {
    u64::try_from(thousandths / SCALE).unwrap_or(0).checked_ilog10().map_or(0, |log| log + 1)
}

/// Largest [`magnitude`].
pub const MAGNITUDE_MAX: u32 = 16;

/// Year and month of a time.
#[must_use]
pub fn month(seconds: i64) -> Option<(i16, i8)> {
    let time = Offset::UTC.to_datetime(Timestamp::from_second(seconds).ok()?);
    YEARS.contains(&time.year()).then(|| (time.year(), time.month()))
}

/// The facets of an entry, with spaces between.
#[must_use]
pub fn words(log: &str, leaf: &str, document: &Document) -> String {
    let mut words = vec![ALL.to_owned(), hash('h', leaf), log.to_owned()];
    let exact = [
        (Exact::Kind, &document.kind),
        (Exact::Agency, &document.agency),
        (Exact::Register, &document.register),
        (Exact::Key, &document.key),
    ];
    words.extend(exact.into_iter().filter_map(|(exact, value)| Some(exact.word(value.as_deref()?))));
    if let (Some(agency), Some(register), Some(key)) = (&document.agency, &document.register, &document.key) {
        words.push(Exact::Chain.word(&chain(agency, register, key)));
    }
    words.extend(document.form.map(|form| Exact::Form.word(form.name())));
    words.extend(document.previous.as_deref().map(|hex| hash('p', hex)));
    words.extend(document.attachments.iter().map(|hex| hash('b', hex)));
    if let Some(hex) = &document.erases {
        words.push(hash('e', hex));
        words.push(ERASED.to_owned());
    }
    if let Some((year, month)) = document.at_seconds.and_then(month) {
        words.push(format!("m{year}{month:02}"));
        words.push(format!("j{year}"));
    }
    words.extend(document.largest().map(|amount| format!("z{}", magnitude(amount.thousandths))));
    if document.action.as_deref() == Some("withdraw") && document.kind.as_deref() == Some("record") {
        words.push(WITHDRAWN.to_owned());
    }
    if document.kind.as_deref() == Some("agency") {
        words.push(KEYS.to_owned());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facets_are_single_words_that_no_other_facet_is() {
        let document = Document {
            kind: Some("record".to_owned()),
            agency: Some("a b".to_owned()),
            register: Some("a b".to_owned()),
            key: Some("\"; DROP".to_owned()),
            at_seconds: Some(1_795_424_400),
            action: Some("withdraw".to_owned()),
            attachments: vec!["cd".repeat(32), "ef".repeat(32)],
            ..Document::default()
        };
        let words = words(&Exact::Log.word("log"), &"ab".repeat(32), &document);
        let all: Vec<&str> = words.split(' ').collect();
        assert!(all.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_alphanumeric())), "{all:?}");
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(all.contains(&"m202611") && all.contains(&"j2026") && all.contains(&WITHDRAWN));
    }

    #[test]
    fn amounts_fall_into_classes_by_their_digits() {
        let classes: Vec<u32> =
            [-5, 0, 999, 1000, 9_999_999, 10_000_000].into_iter().map(magnitude).collect();
        assert_eq!(classes, [0, 0, 0, 1, 4, 5]);
        assert!(magnitude(i64::MAX) <= MAGNITUDE_MAX);
    }
}
