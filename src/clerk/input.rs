//! What a clerk has: a JSON file, a folder of them, lines of JSON (NDJSON), a table (CSV), standard input.
//!
//! Everything is read and understood before anything is sent, so that a mistake on the last line costs nothing.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use record::json::Value;
use record::statement::Register;
use tlog::hash::{Hash, sha256};

use super::csv::{CsvError, Table};
use super::entry::{Entry, EntryError};
use super::files::{self, FILE_BYTES_MAX, FileError, with_ending};
use super::json::{self, UnclearError};
use super::mapping::Mapping;

/// Most records of one input.
pub const RECORDS_MAX: usize = 1_000_000;
/// Standard input, as a path.
pub const STANDARD_INPUT: &str = "-";
const JOURNAL_ENDING: &str = ".journal";
const FOLDER_JOURNAL: &str = "daybook.journal";
const RECEIPTS_ENDING: &str = ".receipts";

/// Why an input cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The system.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no text.
    #[error("{0}: is not UTF-8 text")]
    Text(String),
    /// It is no JSON, or says two things.
    #[error(transparent)]
    Json(#[from] UnclearError),
    /// It is no record of the register.
    #[error("{0} {1}")]
    Entry(String, EntryError),
    /// It is no table.
    #[error("{0}: {1}")]
    Csv(String, CsvError),
    /// The mapping names a column that is not there.
    #[error("{0}: has no column {1:?}, which the mapping names")]
    Column(String, String),
    /// There is nothing in it.
    #[error("{0}: holds no records")]
    Empty(String),
    /// More than [`RECORDS_MAX`].
    #[error("{0}: has more than {RECORDS_MAX} records; cut it into parts")]
    TooMany(String),
    /// Where receipts go cannot be told.
    #[error(
        "standard input has no place beside it: give --receipts DIR for receipts and for going on after an interruption"
    )]
    NoPlace,
}

/// A record to submit, and where what belongs to it is kept.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it comes from, for people: `gb.json`, or `countries.csv line 17`.
    pub name: String,
    /// What the names of its files begin with; the statement is in `<stem>.statement`.
    pub stem: PathBuf,
    /// The record.
    pub entry: Entry,
    /// What it says, with its files; the same for the same content, and counted where it occurs twice.
    pub digest: Hash,
}

impl Item {
    /// The file with the signed statement.
    #[must_use]
    pub fn statement_path(&self) -> PathBuf {
        with_ending(&self.stem, ".statement")
    }
}

/// All records of one input.
#[derive(Debug)]
pub struct Input {
    /// The records, in order.
    pub items: Vec<Item>,
    /// The journal's place.
    pub journal: PathBuf,
}

/// What is needed to understand an input.
#[derive(Debug)]
pub struct Reader<'a> {
    /// The register's definition.
    pub register: &'a Register,
    /// Which column is what.
    pub mapping: &'a Mapping,
    /// Where receipts go; beside the input unless said.
    pub receipts: Option<&'a Path>,
}

/// A record before its digest is known.
struct Found {
    name: String,
    stem: PathBuf,
    entry: Entry,
    said: String,
}

impl Reader<'_> {
    /// Reads an input whole.
    ///
    /// # Errors
    /// [`InputError`] names file, line and member.
    pub fn read(&self, path: &Path) -> Result<Input, InputError> {
        let name = path.display().to_string();
        let (found, journal) = if path == Path::new(STANDARD_INPUT) {
            let folder = self.receipts.ok_or(InputError::NoPlace)?;
            let text = standard_input()?;
            (self.lines("standard input", &text, Path::new("."), folder)?, folder.join(FOLDER_JOURNAL))
        } else if path.is_dir() {
            let folder = self.receipts.unwrap_or(path);
            (self.folder(path)?, folder.join(FOLDER_JOURNAL))
        } else {
            (self.file(path)?, self.beside(path, JOURNAL_ENDING))
        };
        if found.is_empty() {
            return Err(InputError::Empty(name));
        }
        if found.len() > RECORDS_MAX {
            return Err(InputError::TooMany(name));
        }
        Ok(Input { items: self.numbered(found), journal })
    }

    /// A path beside the input, or under the folder for receipts.
    fn beside(&self, path: &Path, ending: &str) -> PathBuf {
        match (self.receipts, path.file_name()) {
            (Some(folder), Some(name)) => with_ending(&folder.join(name), ending),
            _ => with_ending(path, ending),
        }
    }

    fn folder(&self, folder: &Path) -> Result<Vec<Found>, InputError> {
        let failed = files::failed(folder);
        let mut paths = Vec::new();
        for item in std::fs::read_dir(folder).map_err(&failed)? {
            let path = item.map_err(&failed)?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut found = Vec::new();
        for path in paths {
            found.extend(self.json(&path)?);
        }
        Ok(found)
    }

    fn file(&self, path: &Path) -> Result<Vec<Found>, InputError> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let folder = path.parent().unwrap_or(Path::new("."));
        let receipts = match self.receipts {
            Some(folder) => folder.to_owned(),
            None => with_ending(path, RECEIPTS_ENDING),
        };
        match ending.as_deref() {
            Some("ndjson" | "jsonl") => self.lines(&name(path), &text(path)?, folder, &receipts),
            Some("csv") => self.table(path, &receipts),
            _ => self.json(path),
        }
    }

    /// One record, or an array of them.
    fn json(&self, path: &Path) -> Result<Vec<Found>, InputError> {
        let (name, text) = (name(path), text(path)?);
        let folder = path.parent().unwrap_or(Path::new("."));
        match json::read(&name, &text)? {
            Value::List(items) => {
                let stem = self.beside(path, RECEIPTS_ENDING);
                let items = items.into_iter().zip(1..);
                items
                    .map(|(item, at)| {
                        self.found(format!("{name} item {at}"), numbered(&stem, at), &item, folder)
                    })
                    .collect()
            }
            value => Ok(vec![self.found(name, self.beside(path, ""), &value, folder)?]),
        }
    }

    fn lines(
        &self,
        name: &str,
        text: &str,
        folder: &Path,
        receipts: &Path,
    ) -> Result<Vec<Found>, InputError> {
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
        lines
            .map(|(line, at)| {
                let name = format!("{name} line {at}");
                let value = json::read(&name, line)?;
                self.found(name, numbered(receipts, at), &value, folder)
            })
            .collect()
    }

    fn table(&self, path: &Path, receipts: &Path) -> Result<Vec<Found>, InputError> {
        let name = name(path);
        let table = Table::parse(&text(path)?, self.mapping.separator);
        let table = table.map_err(|error| InputError::Csv(name.clone(), error))?;
        if let Some(column) = self.mapping.missing(&table.columns) {
            return Err(InputError::Column(name, column.to_owned()));
        }
        let rows = table.rows.iter().map(|row| {
            let name = format!("{name} line {}", row.line);
            let cells = || table.columns.iter().map(String::as_str).zip(row.cells.iter().map(String::as_str));
            let entry = Entry::from_row(cells(), self.register, self.mapping);
            let entry = entry.map_err(|error| InputError::Entry(name.clone(), error))?;
            let said = cells().map(|(column, cell)| format!("{column:?}:{cell:?}\n")).collect();
            self.check(&name, &entry)?;
            Ok::<_, InputError>(Found { name, stem: numbered(receipts, row.line), entry, said })
        });
        rows.collect()
    }

    fn found(&self, name: String, stem: PathBuf, value: &Value, folder: &Path) -> Result<Found, InputError> {
        let entry = Entry::from_json(value, self.register, self.mapping, folder);
        let entry = entry.map_err(|error| InputError::Entry(name.clone(), error))?;
        self.check(&name, &entry)?;
        Ok(Found { name, stem, entry, said: value.to_text() })
    }

    fn check(&self, name: &str, entry: &Entry) -> Result<(), InputError> {
        entry.check(self.register).map_err(|error| InputError::Entry(name.to_owned(), error))
    }

    /// Digests. The same content a second time has another one.
    fn numbered(&self, found: Vec<Found>) -> Vec<Item> {
        let mut seen: HashMap<Hash, u64> = HashMap::new();
        let place = format!("{}/{}", self.register.agency, self.register.register);
        let item = |found: Found| {
            let Found { name, stem, entry, said } = found;
            let files: String =
                entry.enclosed.iter().map(|file| format!("{} {}\n", file.name, file.sha256)).collect();
            let content = sha256(format!("{place}\n{said}\n{files}").as_bytes());
            let times = seen.entry(content).or_default();
            *times += 1;
            Item { name, stem, entry, digest: sha256(format!("{content} {times}").as_bytes()) }
        };
        found.into_iter().map(item).collect()
    }
}

fn numbered(folder: &Path, at: usize) -> PathBuf {
    folder.join(format!("{at:06}"))
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn text(path: &Path) -> Result<String, InputError> {
    String::from_utf8(files::read(path)?).map_err(|_| InputError::Text(name(path)))
}

fn standard_input() -> Result<String, InputError> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    let file = PathBuf::from("standard input");
    match read {
        Err(error) => Err(FileError::Io { file, error }.into()),
        Ok(read) if read as u64 > FILE_BYTES_MAX => {
            Err(FileError::TooLong { file, bytes: read as u64 }.into())
        }
        Ok(_) => String::from_utf8(bytes).map_err(|_| InputError::Text(name(&file))),
    }
}
