//! What a watch waits for, and whether an entry is it. Pure.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::index::Row;
use crate::index::extract::Document;
use crate::index::facet::{Exact, KEYS, WITHDRAWN};
use crate::index::matching::{Subject, is_since};
use crate::index::query::{QUERY_BYTES_MAX, Query, Term, seconds};

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
/// Among the channels of a watch: every channel that there is, those that are added later too.
pub const EVERY_CHANNEL: &str = "*";

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
    /// Nothing from before this day, month or year: `2026-11-24`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The channels that are told; [`EVERY_CHANNEL`] is all of them.
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
    /// The day from which on.
    #[error("{0:?} is no date: write 2026-11-24, 2026-11 or 2026")]
    Since(String),
    /// The channels.
    #[error(
        "{0:?} is no channel: add a [[channel]] with that name to monitor.toml, or leave it out; feeds need none; \
         \"*\" is every channel"
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
    /// In seconds since 1970.
    since: Option<i64>,
}

/// An entry, taken apart once for all the watches that ask about it.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The entry.
    pub row: &'a Row,
    /// As it is asked about.
    pub subject: Subject<'a>,
}

impl<'a> Entry<'a> {
    /// An entry and what was taken out of its bytes.
    #[must_use]
    pub fn new(row: &'a Row, document: &'a Document) -> Self {
        let subject = Subject::new(&row.origin, &row.leaf, &row.bytes, document, row.logged_after);
        Self { row, subject }
    }
}

/// Something that every entry has that a rule finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need<'a> {
    /// A search word, in its title or its text.
    Word(&'a str),
    /// An exact value, as a word of [`crate::index::facet`].
    Facet(&'a str),
}

impl Wanted {
    /// Makes the rule. `channels` are those that there are.
    ///
    /// # Errors
    /// [`RuleError`] says what to change.
    pub fn rule(&self, channels: &[String]) -> Result<Rule, RuleError> {
        let is_unknown = |name: &&String| *name != EVERY_CHANNEL && !channels.contains(name);
        if let Some(unknown) = self.channels.iter().find(is_unknown) {
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
        let since = self.since.as_deref().filter(|since| !since.is_empty());
        let since = since.map(|day| seconds(day).ok_or_else(|| RuleError::Since(day.to_owned())));
        Ok(Rule { when: self.when, query, pattern, days, since: since.transpose()? })
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
    pub fn finds(&self, entry: &Entry<'_>) -> bool {
        self.query.matches(&entry.subject)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(&entry.subject.document.text))
    }

    /// Whether a new entry is to be told. `before` is the version that it follows or whose values it erases, for those
    /// that have one.
    #[must_use]
    pub fn tells(&self, entry: &Entry<'_>, before: Option<&Entry<'_>>) -> bool {
        let row = entry.row;
        if !self.since.is_none_or(|since| is_since(since, row.at_seconds, row.logged_after)) {
            return false;
        }
        match self.when {
            When::Found | When::Late | When::Keys => self.finds(entry),
            When::Changed => {
                let changes = before.is_some() || row.erases.is_some() || is_withdrawal(row);
                changes && (self.finds(entry) || before.is_some_and(|before| self.finds(before)))
            }
            When::Silent | When::Misbehaviour => false,
        }
    }

    /// What an entry must have so that this finds it: the longest word, for it is the rarest; an exact value where there
    /// is no word. `None` if every entry has to be asked about.
    #[must_use]
    pub fn need(&self) -> Option<Need<'_>> {
        let single =
            || self.query.all.iter().filter_map(|any| if let [one] = &any[..] { Some(one) } else { None });
        let words = single().filter_map(|term| match term {
            // The last word may be the beginning of a longer one.
            Term::Words { phrase, .. } => {
                Some(&phrase.words[..phrase.words.len() - usize::from(phrase.prefix)])
            }
            Term::Facet { .. } => None,
        });
        let longest = words.flatten().max_by_key(|word| word.len());
        let facet = || {
            single().find_map(|term| match term {
                Term::Facet { word, .. } => Some(Need::Facet(word)),
                Term::Words { .. } => None,
            })
        };
        longest.map(|word| Need::Word(word)).or_else(facet)
    }

    /// Whether an entry of this log can be asked for.
    #[must_use]
    pub fn concerns(&self, origin: &str) -> bool {
        let names = |term: &Term, same: bool| match term {
            Term::Facet { exact: Some((Exact::Log, log)), .. } => (log == origin) == same,
            _ => false,
        };
        !self.query.all.iter().any(|any| any.iter().all(|term| names(term, false)))
            && !self.query.none.iter().any(|term| names(term, true))
    }

    /// For [`When::Silent`]: how many seconds nothing may come.
    #[must_use]
    pub fn silence_seconds(&self) -> Option<u64> {
        let days = self.days.filter(|_| self.when == When::Silent)?;
        Some(u64::from(days) * DAY_SECONDS.unsigned_abs())
    }

    /// Whether a regular expression decides as well, of which the index knows nothing.
    #[must_use]
    pub fn has_pattern(&self) -> bool {
        self.pattern.is_some()
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

/// The watch that every monitor begins with, unless somebody removed it.
#[must_use]
pub fn any_misbehaviour() -> Wanted {
    Wanted {
        name: "Any misbehaviour".to_owned(),
        when: When::Misbehaviour,
        channels: vec![EVERY_CHANNEL.to_owned()],
        ..Wanted::default()
    }
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
        let lunch = || "lunch".to_owned();
        assert_eq!(bad(&|wanted| wanted.since = Some(lunch())), RuleError::Since(lunch()));
        assert!(any_misbehaviour().rule(&[]).is_ok(), "every channel is one, and be there none");
        let huge = "(\\pL{1000}){1000}".to_owned();
        assert!(matches!(bad(&|wanted| wanted.pattern = Some(huge.clone())), RuleError::Pattern(_)));
        assert_eq!(bad(&|wanted| wanted.query = "a ".repeat(2000)), RuleError::Query);
    }

    fn rule(query: &str) -> Rule {
        Wanted { name: "x".to_owned(), query: query.to_owned(), ..Wanted::default() }.any_rule().unwrap()
    }

    #[test]
    fn a_rule_needs_its_longest_whole_word_or_else_an_exact_value() {
        let word = |query: &str| match rule(query).need() {
            Some(Need::Word(word)) => word.to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(word("\"Acme Holdings Ltd\""), "holdings");
        assert_eq!(word("agency:a acme -draft"), "acme");
        assert_eq!(word("supplier:Acme bridg*"), "acme");
        for query in ["", "bridge OR tunnel", "bridg*", "-draft", "amount>5"] {
            assert_eq!(rule(query).need(), None, "{query}");
        }
        let agency = Exact::Agency.word("a");
        assert_eq!(rule("agency:a bridg*").need(), Some(Need::Facet(&agency)));
    }

    #[test]
    fn a_rule_that_names_logs_concerns_no_other() {
        let concerns = |query: &str| ["a", "b"].map(|origin| rule(query).concerns(origin));
        assert_eq!(concerns("bridge"), [true, true]);
        assert_eq!(concerns("bridge log:a"), [true, false]);
        assert_eq!(concerns("log:a OR log:b"), [true, true]);
        assert_eq!(concerns("log:a OR bridge"), [true, true]);
        assert_eq!(concerns("-log:a"), [false, true]);
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
