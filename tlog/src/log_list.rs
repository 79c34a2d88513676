//! Lists of logs that witnesses follow (the witness network's log list format, `logs/v0`).
//!
//! ```text
//! # comments and empty lines are ignored, and so is space around a line
//! logs/v0
//!
//! vkey log.example+0a72cd63+AV2y...
//! origin another name than the key's      only where it is another one
//! qpd 86400                               add-checkpoint requests a day, 1 to 2^31 - 1
//! contact ops@log.example
//! ```
//!
//! An entry that cannot be read is reported and skipped: one bad entry must never freeze a list. A list whose first
//! line is not `logs/v0` is no list.
//!
//! Absent on purpose: whether a log may be followed.

use crate::ids::Origin;
use crate::vkey::{KeyKind, VerifierKey};

/// The longest list in bytes.
pub const LIST_BYTES_MAX: usize = 32 << 20;
/// The most entries of a list; further ones are skipped.
pub const LIST_ENTRIES_MAX: usize = 100_000;
/// Entries that were skipped and are listed; the others are summed up in one more.
pub const SKIPPED_MAX: usize = 1000;
/// Bytes of a contact that are kept.
pub const CONTACT_BYTES_MAX: usize = 512;

const HEADER: &str = "logs/v0";
const QPD_LIMIT: u32 = 1 << 31;

/// A log on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedLog {
    /// Its key.
    pub key: VerifierKey,
    /// Its name.
    pub origin: Origin,
    /// How many checkpoints it may send in a day.
    pub qpd: u32,
    /// How to reach its operator.
    pub contact: String,
}

/// An entry that was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The line, counted from 1.
    pub line: usize,
    /// Why.
    pub reason: String,
}

/// A list that was read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LogList {
    /// What could be read, in the list's order; each origin once.
    pub logs: Vec<ListedLog>,
    /// What could not.
    pub skipped: Vec<Skipped>,
}

/// Why bytes are no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogListError {
    /// Longer than [`LIST_BYTES_MAX`].
    #[error("the list has {0} bytes; at most {LIST_BYTES_MAX} are read")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("a list of logs is UTF-8 text")]
    Characters,
    /// Another first line.
    #[error("not a list of logs: the first line that is no comment must be `{HEADER}`")]
    Header,
}

/// A line that counts, with its number.
type Line<'a> = (usize, &'a str);

impl LogList {
    /// Reads a list.
    ///
    /// # Errors
    /// [`LogListError`] if it is none; what is wrong with single entries is in [`LogList::skipped`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LogListError> {
        if bytes.len() > LIST_BYTES_MAX {
            return Err(LogListError::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| LogListError::Characters)?;
        let lines = (1..).zip(text.lines().map(str::trim));
        let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        if lines.next().is_none_or(|(_, line)| line != HEADER) {
            return Err(LogListError::Header);
        }
        let mut list = Self::default();
        let mut origins = std::collections::HashSet::new();
        let mut entry: Vec<Line<'_>> = Vec::new();
        for line in lines {
            if line.1.split(' ').next() == Some("vkey") {
                list.take(&entry, &mut origins);
                entry.clear();
            }
            entry.push(line);
        }
        list.take(&entry, &mut origins);
        Ok(list)
    }

    fn take(&mut self, entry: &[Line<'_>], origins: &mut std::collections::HashSet<Origin>) {
        let Some((line, _)) = entry.first() else { return };
        if self.logs.len() == LIST_ENTRIES_MAX {
            return self.skip(*line, format!("a list has at most {LIST_ENTRIES_MAX} logs"));
        }
        match ListedLog::parse(entry) {
            Ok(log) if origins.insert(log.origin.clone()) => self.logs.push(log),
            Ok(log) => self.skip(*line, format!("{} is on the list already", log.origin)),
            Err((line, reason)) => self.skip(line, reason),
        }
    }

    fn skip(&mut self, line: usize, reason: String) {
        match self.skipped.len() {
            ..SKIPPED_MAX => self.skipped.push(Skipped { line, reason }),
            SKIPPED_MAX => {
                let reason = "this and further entries were skipped, and are not listed".to_owned();
                self.skipped.push(Skipped { line, reason });
            }
            _ => (),
        }
    }

    /// The list, in the form that other programs read.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        for log in &self.logs {
            text.push_str(&format!("\nvkey {}\n", log.key));
            if log.origin.as_str() != log.key.name().as_str() {
                text.push_str(&format!("origin {}\n", log.origin));
            }
            text.push_str(&format!("qpd {}\ncontact {}\n", log.qpd, log.contact));
        }
        text
    }
}

impl ListedLog {
    fn parse(entry: &[Line<'_>]) -> Result<Self, (usize, String)> {
        let last = entry.last().map_or(1, |(line, _)| *line);
        let mut lines = entry.iter().peekable();
        let mut value = |keyword: &str, wanted: bool| {
            let found = lines.peek().and_then(|(number, line)| {
                let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
                (word == keyword).then(|| (*number, rest.trim()))
            });
            match found {
                Some(found) => {
                    lines.next();
                    Ok(Some(found))
                }
                None if !wanted => Ok(None),
                None => {
                    let line = lines.peek().map_or(last, |(line, _)| *line);
                    Err((line, format!("expected `{keyword} ...`")))
                }
            }
        };
        let (vkey, origin) = (value("vkey", true)?, value("origin", false)?);
        let (qpd, contact) = (value("qpd", true)?, value("contact", true)?);
        if let Some((line, found)) = lines.next() {
            return Err((*line, format!("expected the next `vkey ...`, found {found:?}")));
        }
        let required =
            |value: Option<Line<'_>>| value.map_or((last, String::new()), |(n, v)| (n, v.to_owned()));
        let ((key_line, vkey), (qpd_line, qpd), (_, contact)) =
            (required(vkey), required(qpd), required(contact));
        let key: VerifierKey = vkey.parse().map_err(|error| (key_line, format!("{error}")))?;
        if key.kind() != KeyKind::Ed25519 {
            return Err((key_line, "a list names Ed25519 keys (0x01) only".to_owned()));
        }
        let (origin_line, origin) = origin.unwrap_or((key_line, key.name().as_str()));
        let origin = origin.parse().map_err(|error| (origin_line, format!("{error}")))?;
        let qpd = parse_qpd(&qpd).ok_or((qpd_line, "qpd is a number from 1 to 2^31-1".to_owned()))?;
        Ok(Self { key, origin, qpd, contact: shortened(&contact) })
    }
}

fn parse_qpd(text: &str) -> Option<u32> {
    let canonical = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    let qpd: u32 = text.parse().ok()?;
    (canonical && qpd < QPD_LIMIT).then_some(qpd)
}

/// Without control characters, and not longer than it may be.
fn shortened(contact: &str) -> String {
    let mut out = String::new();
    for letter in contact.chars().filter(|letter| !letter.is_control()) {
        if out.len() + letter.len_utf8() > CONTACT_BYTES_MAX {
            break;
        }
        out.push(letter);
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::Ed25519Signer;

    fn vkey(name: &str, seed: u8) -> String {
        Ed25519Signer::from_seed(name.parse().unwrap(), &[seed; 32]).verifier_key().to_string()
    }

    #[test]
    fn origins_default_to_the_key_name_and_lists_round_trip() {
        let (one, two) = (vkey("one.example", 1), vkey("two.example", 2));
        let text = format!(
            "# a comment\n\n logs/v0 \n vkey {one}\nqpd 86400\n contact a (at) one.example | https://one \n\
             vkey {two}\n# in between\norigin a name with spaces\nqpd 1\ncontact b\n"
        );
        let list = LogList::parse(text.as_bytes()).unwrap();
        assert_eq!(list.skipped, []);
        let seen: Vec<_> = list.logs.iter().map(|log| (log.origin.as_str(), log.qpd)).collect();
        assert_eq!(seen, [("one.example", 86_400), ("a name with spaces", 1)]);
        assert_eq!(list.logs[0].contact, "a (at) one.example | https://one");
        assert_eq!(LogList::parse(list.to_text().as_bytes()).unwrap(), list);
    }

    #[test]
    fn a_bad_entry_is_skipped_with_its_line_and_the_others_are_read() {
        let keys: Vec<String> = (1..=9).map(|seed| vkey(&format!("l{seed}.example"), seed)).collect();
        let bad = [
            format!("vkey {}x\nqpd 1\ncontact a", keys[1]),
            format!("vkey {}\nqpd 0\ncontact a", keys[2]),
            format!("vkey {}\nqpd 2147483648\ncontact a", keys[3]),
            format!("vkey {}\nqpd 007\ncontact a", keys[3]),
            format!("vkey {}\ncontact a\nqpd 5", keys[4]),
            format!("vkey {}\nqpd 5", keys[5]),
            format!("vkey {}\nqpd 5\ncontact a\nbastion none", keys[6]),
            format!("vkey {}\nqpd 5\ncontact a", keys[0]),
        ];
        let good = |key: &str| format!("vkey {key}\nqpd 5\ncontact a");
        let text = format!("logs/v0\n{}\n{}\n{}\n", good(&keys[0]), bad.join("\n"), good(&keys[8]));
        let list = LogList::parse(text.as_bytes()).unwrap();
        let origins: Vec<_> = list.logs.iter().map(|log| log.origin.as_str()).collect();
        assert_eq!(origins, ["l1.example", "l9.example"]);
        assert_eq!(list.skipped.len(), bad.len(), "{:?}", list.skipped);
        assert_eq!(list.skipped[0].line, 5);
    }

    #[test]
    fn a_list_of_nothing_but_bad_entries_is_reported_in_part() {
        let list = LogList::parse(format!("logs/v0\n{}", "vkey\n".repeat(50_000)).as_bytes()).unwrap();
        assert_eq!(list.skipped.len(), SKIPPED_MAX + 1);
        assert!(list.skipped[SKIPPED_MAX].reason.contains("are not listed"), "{:?}", list.skipped.last());
    }

    #[test]
    fn what_does_not_say_logs_v0_is_no_list() {
        for text in ["", "# logs/v0\n", "logs/v1\n", "vkey x\nlogs/v0\n", "<html>"] {
            assert_eq!(LogList::parse(text.as_bytes()), Err(LogListError::Header), "{text:?}");
        }
        assert_eq!(LogList::parse(b"logs/v0\n").unwrap(), LogList::default());
        assert_eq!(LogList::parse(b"\xff"), Err(LogListError::Characters));
    }
}
