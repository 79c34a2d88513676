//! What a watch waits for, and whether an entry is it. Pure.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::index::Row;
use crate::index::extract::{Document, extract};
use crate::index::facet::{KEYS, WITHDRAWN};
use crate::index::matching::Subject;
use crate::index::query::{QUERY_BYTES_MAX, Query, Term};

/// The longest name of a watch in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// The longest regular expression in bytes.
pub const PATTERN_BYTES_MAX: usize = 1_000;
/// Memory of a compiled expression; the engine's time is linear in the text whatever it says.
const PATTERN_MEMORY_BYTES_MAX: usize = 1 << 20;
/// The most days of a rule.
pub const DAYS_MAX: u32 = 3_650;
/// Channels of one watch.
const CHANNELS_MAX: usize = 16;
const DAY_SECONDS: i64 = 86_400;

/// When a watch tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Something is found.
    #[default]
    Found,
    /// A record that is found, or was, changes, is withdrawn or has values erased.
    Changed,
    /// Nothing was found for so many days.
    Silent,
    /// Something found was published so many days after its own date.
    Late,
    /// An agency's keys change.
    Keys,
    /// A log misbehaves or raises an alarm.
    Misbehaviour,
}

impl When {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Found, Self::Changed, Self::Silent, Self::Late, Self::Keys, Self::Misbehaviour];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Changed => "changed",
            Self::Silent => "silent",
            Self::Late => "late",
            Self::Keys => "keys",
            Self::Misbehaviour => "misbehaviour",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|when| when.name() == name)
    }
}

/// A watch as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// When it tells.
    pub when: When,
    /// What it looks for, as it is typed into the search box; empty for everything.
    pub query: String,
    /// A regular expression that the entry's text has as well.
    pub pattern: Option<String>,
    /// For [`When::Silent`] and [`When::Late`].
    pub days: Option<u32>,
    /// The channels that are told.
    pub channels: Vec<String>,
}

/// Why a watch cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The name.
    #[error("a watch needs a name of at most {NAME_BYTES_MAX} bytes, on one line")]
    Name,
    /// The query.
    #[error("the search is longer than {QUERY_BYTES_MAX} bytes, or has too many parts")]
    Query,
    /// The regular expression.
    #[error("the regular expression cannot be used: {0}")]
    Pattern(String),
    /// The number of days.
    #[error("this needs a number of days from 1 to {DAYS_MAX}")]
    Days,
    /// The channels.
    #[error(
        "{0:?} is no channel: add a [[channel]] with that name to monitor.toml, or leave it out; feeds need none"
    )]
    Channel(String),
}

/// A rule, ready to be asked.
#[derive(Clone, Debug)]
pub struct Rule {
    /// When it tells.
    pub when: When,
    /// What it looks for.
    pub query: Query,
    pattern: Option<Regex>,
    days: Option<u32>,
}

impl Wanted {
    /// Makes the rule. `channels` are those that there are.
    ///
    /// # Errors
    /// [`RuleError`] says what to change.
    pub fn rule(&self, channels: &[String]) -> Result<Rule, RuleError> {
        let known = |name: &&String| !channels.contains(name);
        if let Some(unknown) = self.channels.iter().find(known) {
            return Err(RuleError::Channel(unknown.clone()));
        }
        self.any_rule()
    }

    /// Makes the rule, whatever its channels are.
    ///
    /// # Errors
    /// As [`Wanted::rule`].
    pub fn any_rule(&self) -> Result<Rule, RuleError> {
        let bad_name = self.name.trim().is_empty()
            || self.name.len() > NAME_BYTES_MAX
            || self.name.chars().any(char::is_control)
            || self.channels.len() > CHANNELS_MAX;
        if bad_name {
            return Err(RuleError::Name);
        }
        let mut query = Query::parse(&self.query);
        if query.cut {
            return Err(RuleError::Query);
        }
        let needs_days = matches!(self.when, When::Silent | When::Late);
        let days = self.days.filter(|_| needs_days);
        if needs_days && !days.is_some_and(|days| (1..=DAYS_MAX).contains(&days)) {
            return Err(RuleError::Days);
        }
        if self.when == When::Late {
            query.late_seconds_min = days.map(|days| i64::from(days) * DAY_SECONDS);
        }
        if self.when == When::Keys {
            query.all.push(vec![Term::Facet { word: KEYS.to_owned(), exact: None }]);
        }
        let pattern =
            self.pattern.as_deref().filter(|pattern| !pattern.is_empty()).map(compile).transpose()?;
        Ok(Rule { when: self.when, query, pattern, days })
    }
}

fn compile(pattern: &str) -> Result<Regex, RuleError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(RuleError::Pattern(format!("it has more than {PATTERN_BYTES_MAX} bytes")));
    }
    RegexBuilder::new(pattern)
        .size_limit(PATTERN_MEMORY_BYTES_MAX)
        .dfa_size_limit(PATTERN_MEMORY_BYTES_MAX)
        .build()
        .map_err(|error| RuleError::Pattern(error.to_string()))
}

impl Rule {
    /// Whether an entry is asked for, as far as its own text goes.
    #[must_use]
    pub fn finds(&self, row: &Row) -> bool {
        let document = extract(&row.bytes);
        self.finds_document(row, &document)
    }

    fn finds_document(&self, row: &Row, document: &Document) -> bool {
        let subject = Subject::new(&row.origin, &row.leaf, &row.bytes, document, row.logged_after);
        self.query.matches(&subject)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(&document.text))
    }

    /// Whether a new entry is to be told. `before` is the version that it follows, for those that have one.
    #[must_use]
    pub fn tells(&self, row: &Row, before: Option<&Row>) -> bool {
        match self.when {
            When::Found | When::Late | When::Keys => self.finds(row),
            When::Changed => {
                let changes = before.is_some() || row.erases.is_some() || is_withdrawal(row);
                changes && (self.finds(row) || before.is_some_and(|before| self.finds(before)))
            }
            When::Silent | When::Misbehaviour => false,
        }
    }

    /// For [`When::Silent`]: how many seconds nothing may come.
    #[must_use]
    pub fn silence_seconds(&self) -> Option<i64> {
        let days = self.days.filter(|_| self.when == When::Silent)?;
        Some(i64::from(days) * DAY_SECONDS)
    }
}

/// Whether an entry withdraws a record.
#[must_use]
pub fn is_withdrawal(row: &Row) -> bool {
    row.kind.as_deref() == Some("record") && row.action.as_deref() == Some(WITHDRAWN_ACTION)
}

const WITHDRAWN_ACTION: &str = "withdraw";
const _: () = assert!(WITHDRAWN.len() > WITHDRAWN_ACTION.len());

/// The names of a CSV or a plain list: the first cell of each line. Names that come twice are taken once.
#[must_use]
pub fn names(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for cell in first_cells(text.trim_start_matches('\u{feff}')) {
        let name = cell.trim().to_owned();
        let header = names.is_empty()
            && ["name", "names", "名称", "姓名", "الاسم"].contains(&name.to_lowercase().as_str());
        if !name.is_empty() && !header && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The first cell of each record of a CSV (RFC 4180); `;` and tabs separate as well.
fn first_cells(text: &str) -> Vec<String> {
    let mut cells = Vec::new();
    let mut letters = text.chars().peekable();
    while letters.peek().is_some() {
        let (mut cell, mut first, mut quoted) = (String::new(), true, false);
        while let Some(letter) = letters.next() {
            match letter {
                '"' if quoted && letters.peek() == Some(&'"') => {
                    letters.next();
                    if first {
                        cell.push('"');
                    }
                }
                '"' => quoted = !quoted,
                '\n' if !quoted => break,
                ',' | ';' | '\t' if !quoted => first = false,
                '\r' if !quoted => (),
                other if first => cell.push(other),
                _ => (),
            }
        }
        cells.push(cell);
    }
    cells
}

/// A watch for a name, wherever it stands as it is written.
#[must_use]
pub fn watch_for(name: &str, channels: &[String]) -> Wanted {
    let phrase = name.replace(['"', '“', '”', '„', '«', '»', '「', '」'], " ");
    let mut short = name.to_owned();
    short.truncate(short.floor_char_boundary(NAME_BYTES_MAX));
    Wanted {
        name: short.replace(char::is_control, " "),
        query: format!("\"{}\"", phrase.trim()),
        channels: channels.to_vec(),
        ..Wanted::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_cannot_work_is_refused_with_what_to_change() {
        let good = Wanted { name: "x".to_owned(), ..Wanted::default() };
        assert!(good.rule(&[]).is_ok());
        let bad = |change: &dyn Fn(&mut Wanted)| {
            let mut wanted = good.clone();
            change(&mut wanted);
            wanted.rule(&["desk".to_owned()]).unwrap_err()
        };
        assert_eq!(bad(&|wanted| wanted.name.clear()), RuleError::Name);
        assert_eq!(bad(&|wanted| wanted.name = "a\nb".to_owned()), RuleError::Name);
        assert_eq!(bad(&|wanted| wanted.when = When::Silent), RuleError::Days);
        assert_eq!(
            bad(&|wanted| wanted.channels = vec!["nobody".to_owned()]),
            RuleError::Channel("nobody".to_owned())
        );
        assert!(matches!(bad(&|wanted| wanted.pattern = Some("(".to_owned())), RuleError::Pattern(_)));
        let huge = "(\\pL{1000}){1000}".to_owned();
        assert!(matches!(bad(&|wanted| wanted.pattern = Some(huge.clone())), RuleError::Pattern(_)));
        assert_eq!(bad(&|wanted| wanted.query = "a ".repeat(2000)), RuleError::Query);
    }

    #[test]
    fn names_come_from_lists_and_from_spreadsheets() {
        assert_eq!(names("Acme Ltd\n\n  王小明 \nAcme Ltd\n"), ["Acme Ltd", "王小明"]);
        assert_eq!(
            names("\u{feff}Name;Town\r\n\"Doe, Jane\";X\r\n\"A \"\"B\"\" C\";Y"),
            ["Doe, Jane", "A \"B\" C"]
        );
        assert!(names("").is_empty() && names("name\n").is_empty());
        let watch = watch_for("A \"B\" C", &[]);
        assert_eq!(watch.query, "\"A  B  C\"");
        assert_eq!(watch.any_rule().unwrap().query.all.len(), 1);
    }
}
