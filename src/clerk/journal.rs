//! What was signed and what became of it, one line each, beside the input.
//!
//! ```text
//! {"daybook":"submission/v1","log":"log.gov.example/2026"}
//! {"item":"<digest of the input>","statement":"daybook/record/v1\n..."}
//! {"identity":"<SHA-256 of the statement's text>","index":4711}
//! {"identity":"...","overtaken_by":4712}
//! ```
//!
//! A statement is in here, durably, before it is sent. Whatever happens then, the next run sends the same bytes, and the
//! log, which takes a text once, answers with the entry that is there. Without this file a record could be entered twice
//! with different salts or times.
//!
//! The digests are of values that may be secret and easy to guess, so its owner alone may read the file.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use record::registry::Chain;
use record::statement::{Statement, StatementError};
use serde::{Deserialize, Serialize};
use tlog::hash::Hash;
use tlog::ids::Origin;

use super::files::{FileError, failed, folder_of, make_folder, sync_folder};

const KIND: &str = "submission/v1";

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process works on the same input.
    #[error("{0}: another `daybook submit` works on this input; wait until it has ended")]
    Held(String),
    /// A line is damaged.
    #[error(
        "{0}: line {1} is damaged; if it cannot be restored, move the file away: records that were not answered yet may then be entered twice"
    )]
    Damaged(String, usize),
    /// A statement in it is none.
    #[error("{0}: line {1} holds no statement: {2}")]
    Statement(String, usize, StatementError),
    /// It belongs to another log.
    #[error(
        "{file}: is of the log {found}, and this log is {expected}; give --receipts DIR to keep the two apart"
    )]
    OtherLog {
        /// Which file.
        file: String,
        /// Its log.
        found: String,
        /// This log.
        expected: String,
    },
}

/// What became of a statement, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Signed; perhaps sent, not answered.
    Signed,
    /// In the log, and its receipt is kept.
    Entered(u64),
    /// Refused, because the entry with this index took its place.
    Overtaken(u64),
    /// Refused for another reason.
    Refused,
}

/// A statement that was signed for an item.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The statement.
    pub statement: Statement,
    /// What became of it.
    pub fate: Fate,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    daybook: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overtaken_by: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// The journal of one input, held by this process.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    signed: HashMap<Hash, Signed>,
    items: HashMap<Hash, Hash>,
    /// Identities by what they follow: of those of one place the log takes one.
    places: HashMap<Place, Vec<Hash>>,
}

/// A chain, and the entry in it that a statement follows.
type Place = (Chain, Option<Hash>);

fn place_of(statement: &Statement) -> Place {
    (Chain::of(statement.body()), statement.body().previous())
}

impl Journal {
    /// Opens or begins the journal, and keeps others out.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path, log: &Origin) -> Result<Self, JournalError> {
        let failed = failed(path);
        make_folder(folder_of(path), true)?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(path).map_err(&failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Held(path.display().to_string())),
            Err(TryLockError::Error(error)) => return Err(failed(error).into()),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(&failed)?;
        // A line that was being written when the process ended has no end, perhaps not even of its last letter, and was never
        // relied on.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64).map_err(&failed)?;
        file.seek(std::io::SeekFrom::End(0)).map_err(failed)?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            signed: HashMap::new(),
            items: HashMap::new(),
            places: HashMap::new(),
        };
        for (at, line) in (1..).zip(bytes[..whole].split_inclusive(|byte| *byte == b'\n')) {
            journal.take_in(at, line, log)?;
        }
        if whole == 0 {
            let (kind, log) = (KIND.to_owned(), log.to_string());
            journal.append(&[Line { daybook: Some(kind), log: Some(log), ..Line::default() }])?;
        }
        sync_folder(folder_of(path))?;
        Ok(journal)
    }

    fn take_in(&mut self, at: usize, line: &[u8], log: &Origin) -> Result<(), JournalError> {
        let file = || self.path.display().to_string();
        let damaged = || JournalError::Damaged(file(), at);
        let line: Line = serde_json::from_slice(line).map_err(|_| damaged())?;
        let hash = |text: &str| text.parse::<Hash>().map_err(|_| damaged());
        match line {
            Line { daybook: Some(kind), log: Some(found), .. } if at == 1 && kind == KIND => {
                if found != log.as_str() {
                    let expected = log.to_string();
                    return Err(JournalError::OtherLog { file: file(), found, expected });
                }
            }
            Line { item: Some(item), statement: Some(text), .. } if at > 1 => {
                let statement = Statement::parse(text.as_bytes());
                let statement = statement.map_err(|error| JournalError::Statement(file(), at, error))?;
                let item = hash(&item)?;
                self.remember(item, statement);
            }
            Line { identity: Some(identity), index, overtaken_by, .. } if at > 1 => {
                let identity = hash(&identity)?;
                let fate = match (index, overtaken_by) {
                    (Some(index), _) => Fate::Entered(index),
                    (None, Some(index)) => Fate::Overtaken(index),
                    (None, None) => Fate::Refused,
                };
                self.signed.get_mut(&identity).ok_or_else(damaged)?.fate = fate;
            }
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn remember(&mut self, item: Hash, statement: Statement) {
        let identity = statement.identity();
        self.items.insert(item, identity);
        self.places.entry(place_of(&statement)).or_default().push(identity);
        self.signed.insert(identity, Signed { statement, fate: Fate::Signed });
    }

    /// The other statements that follow the same entry as this one, and are not known to be in the log. Once this one is in
    /// it, none of them can be.
    #[must_use]
    pub fn rivals(&self, statement: &Statement) -> Vec<Hash> {
        let (own, rivals) = (statement.identity(), self.places.get(&place_of(statement)));
        let is_in = |identity: &Hash| matches!(self.signed[identity].fate, Fate::Entered(_));
        rivals.into_iter().flatten().filter(|rival| **rival != own && !is_in(rival)).copied().collect()
    }

    /// The statement that was signed for an item last.
    #[must_use]
    pub fn of_item(&self, digest: &Hash) -> Option<&Signed> {
        self.signed.get(self.items.get(digest)?)
    }

    /// Takes note of statements, durably, before they are sent.
    ///
    /// # Errors
    /// [`JournalError::File`].
    pub fn signed(&mut self, statements: &[(Hash, Statement)]) -> Result<(), JournalError> {
        let line = |(item, statement): &(Hash, Statement)| Line {
            item: Some(item.to_string()),
            statement: Some(String::from_utf8_lossy(&statement.to_bytes()).into_owned()),
            ..Line::default()
        };
        self.append(&statements.iter().map(line).collect::<Vec<_>>())?;
        for (item, statement) in statements {
            self.remember(*item, statement.clone());
        }
        Ok(())
    }

    /// Takes note of what became of statements.
    ///
    /// # Errors
    /// [`JournalError::File`].
    pub fn became(&mut self, fates: &[(Hash, Fate)]) -> Result<(), JournalError> {
        let line = |(identity, fate): &(Hash, Fate)| {
            let mut line = Line { identity: Some(identity.to_string()), ..Line::default() };
            match fate {
                Fate::Entered(index) => line.index = Some(*index),
                Fate::Overtaken(index) => line.overtaken_by = Some(*index),
                Fate::Refused | Fate::Signed => line.refused = Some("by the log".to_owned()),
            }
            line
        };
        self.append(&fates.iter().map(line).collect::<Vec<_>>())?;
        for (identity, fate) in fates {
            if let Some(signed) = self.signed.get_mut(identity) {
                signed.fate = *fate;
            }
        }
        Ok(())
    }

    fn append(&mut self, lines: &[Line]) -> Result<(), JournalError> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        for line in lines {
            text.push_str(&serde_json::to_string(line).expect("a line has a JSON form"));
            text.push('\n');
        }
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        Ok(written.map_err(failed(&self.path))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::officer::{Algorithm, Officer};

    fn statement(title: &str) -> Statement {
        let text = format!(
            "daybook/record/v1\n{{\"agency\":\"a.example\",\"at\":\"2026-11-23T09:00:00Z\",\"key\":\"GB\",\
             \"log\":\"log.example\",\"previous\":null,\"public\":{{}},\"register\":\"country\",\"title\":\"{title}\"}}\n"
        );
        let name = "a.example/one".parse().unwrap();
        let officer = Officer::draw(&name, Algorithm::Ed25519, &daemon::clock::SystemRandom).unwrap();
        Statement::assemble(&text, vec![officer.sign(&text)]).unwrap()
    }

    #[test]
    fn a_journal_that_was_cut_anywhere_in_its_last_line_is_opened_without_that_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.journal");
        let log: Origin = "log.example".parse().unwrap();
        let (one, two) =
            (statement("Caf\u{e9} \u{65e5}\u{672c} \u{1f600}"), statement("\u{e9}\u{65e5}\u{1f600}"));
        let items = [tlog::hash::sha256(b"1"), tlog::hash::sha256(b"2")];
        let mut lengths = Vec::new();
        {
            let mut journal = Journal::open(&path, &log).unwrap();
            for (item, statement) in items.iter().zip([&one, &two]) {
                lengths.push(std::fs::metadata(&path).unwrap().len() as usize);
                journal.signed(&[(*item, statement.clone())]).unwrap();
            }
        }
        let whole = std::fs::read(&path).unwrap();
        let known = |cut: usize| {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let journal = Journal::open(&path, &log).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            let statements = items.map(|item| journal.of_item(&item).map(|signed| signed.statement.clone()));
            let left = std::fs::metadata(&path).unwrap().len() as usize;
            (statements, left)
        };
        for cut in 0..whole.len() {
            let (first, second) = (lengths[0], lengths[1]);
            let expected = if cut >= second { Some(one.clone()) } else { None };
            let left = if cut >= second { second } else { first };
            assert_eq!(known(cut), ([expected, None], left), "cut at {cut}");
        }
        assert_eq!(known(whole.len()), ([Some(one), Some(two)], whole.len()));
        let mut damaged = whole.clone();
        let letter = damaged.iter().rposition(|byte| *byte == 0xf0).unwrap();
        damaged[letter] = 0xff;
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(Journal::open(&path, &log), Err(JournalError::Damaged(_, 3))));
    }

    #[test]
    fn statements_that_follow_the_same_entry_are_rivals_until_they_are_in_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.journal");
        let log: Origin = "log.example".parse().unwrap();
        let (one, two) = (statement("one"), statement("two"));
        let item = tlog::hash::sha256(b"1");
        for _ in 0..2 {
            let mut journal = Journal::open(&path, &log).unwrap();
            if journal.of_item(&item).is_none() {
                journal.signed(&[(item, one.clone())]).unwrap();
                journal.signed(&[(item, two.clone())]).unwrap();
            }
            assert_eq!(journal.rivals(&two), [one.identity()]);
            assert_eq!(journal.rivals(&one), [two.identity()]);
        }
        let mut journal = Journal::open(&path, &log).unwrap();
        journal.became(&[(two.identity(), Fate::Entered(7))]).unwrap();
        assert!(journal.rivals(&one).is_empty());
        let text = two.text().replace("\"key\":\"GB\"", "\"key\":\"FR\"");
        let signatures = two.signatures().to_vec();
        assert!(
            journal.rivals(&Statement::assemble(&text, signatures).unwrap()).is_empty(),
            "another record"
        );
    }

    #[test]
    fn what_was_signed_and_what_became_of_it_is_known_after_any_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in/a.journal");
        let log: Origin = "log.example".parse().unwrap();
        let (one, two) = (statement("one"), statement("two"));
        let items = [tlog::hash::sha256(b"1"), tlog::hash::sha256(b"2")];
        {
            let mut journal = Journal::open(&path, &log).unwrap();
            assert!(matches!(Journal::open(&path, &log), Err(JournalError::Held(_))));
            journal.signed(&[(items[0], one.clone()), (items[1], two.clone())]).unwrap();
            journal.became(&[(one.identity(), Fate::Entered(7))]).unwrap();
        }
        let mut torn = std::fs::read_to_string(&path).unwrap();
        torn.push_str("{\"identity\":\"");
        std::fs::write(&path, torn).unwrap();
        for _ in 0..2 {
            let journal = Journal::open(&path, &log).unwrap();
            let fates = items.map(|item| journal.of_item(&item).unwrap().fate);
            assert_eq!(fates, [Fate::Entered(7), Fate::Signed]);
            assert_eq!(journal.of_item(&items[1]).unwrap().statement, two);
        }
        let other = Journal::open(&path, &"other.example".parse().unwrap());
        assert!(matches!(other, Err(JournalError::OtherLog { .. })));
        let damaged = std::fs::read_to_string(&path).unwrap().replacen("statement", "statment", 1);
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(Journal::open(&path, &log), Err(JournalError::Damaged(_, 2))));
    }
}
