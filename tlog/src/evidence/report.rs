//! Alarm reports: what was seen that is wrong and proves nothing, in a file that says so itself.
//!
//! ```text
//! daybook/alarm/v1
//! log log.example/2027
//! kind damage
//! subject tile/0/x001/234
//! seen 2026-11-24T08:00:00Z
//!
//! The tile does not hash to what the signed root of 400000 entries holds.
//!
//! This is an alarm report, not evidence: it proves nothing against anyone, and can be cleared.
//! ```
//!
//! Absence and unsigned bytes end up here. An honest log behind a bad network can cause one, and anybody can write one.
//! An evidence file never begins like this, and [`super::Evidence::parse`] refuses a report by its first line.

use super::utc;
use crate::ids::{Origin, UnixMillis};

/// The longest report, in bytes.
pub const REPORT_BYTES_MAX: usize = 64 * 1024;
/// The longest subject, in bytes; what is longer is cut.
pub const SUBJECT_BYTES_MAX: usize = 1024;
/// The longest description, in bytes; what is longer is cut.
pub const DETAIL_BYTES_MAX: usize = 32 * 1024;
/// The longest name of a kind, in bytes.
pub const KIND_BYTES_MAX: usize = 64;

const HEADER: &str = "daybook/alarm/v1";
const CAVEAT: &str =
    "This is an alarm report, not evidence: it proves nothing against anyone, and can be cleared.";

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Not the name of a kind.
    #[error("the kind of an alarm is named by 1 to 64 lowercase letters, digits and hyphens")]
    Kind,
    /// Longer than [`REPORT_BYTES_MAX`].
    #[error("the file has {0} bytes; an alarm report has at most {REPORT_BYTES_MAX}")]
    TooLong(usize),
    /// The first line is another.
    #[error("not an alarm report: the first line must be `{HEADER}`")]
    Header,
    /// A line is not what it must be. Lines count from 1.
    #[error("line {0} of the alarm report must be {1}")]
    Line(usize, &'static str),
}

/// A report. Nothing follows from having one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    origin: Origin,
    kind: String,
    subject: String,
    detail: String,
    seen: u64,
}

impl Report {
    /// A report. What may come from a server (`subject`, `detail`) is brought onto one line without control
    /// characters, and cut if it is long.
    ///
    /// # Errors
    /// [`ReportError::Kind`].
    pub fn new(
        origin: Origin,
        kind: &str,
        subject: &str,
        detail: &str,
        seen: UnixMillis,
    ) -> Result<Self, ReportError> {
        if !is_kind(kind) {
            return Err(ReportError::Kind);
        }
        let (subject, detail) = (line_of(subject, SUBJECT_BYTES_MAX), line_of(detail, DETAIL_BYTES_MAX));
        let seen = seen.as_seconds().min(utc::LATEST);
        Ok(Self { origin, kind: kind.to_owned(), subject, detail, seen })
    }

    /// Parses a file. Accepts only bytes that [`Report::to_bytes`] gives back.
    ///
    /// # Errors
    /// [`ReportError`] names the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        if bytes.len() > REPORT_BYTES_MAX {
            return Err(ReportError::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ReportError::Header)?;
        let lines: Vec<&str> = text.split('\n').collect();
        if lines[0] != HEADER {
            return Err(ReportError::Header);
        }
        let value = |at: usize, keyword: &str, expected| {
            let value = lines.get(at).and_then(|line| line.strip_prefix(keyword)?.strip_prefix(' '));
            value.ok_or(ReportError::Line(at + 1, expected))
        };
        let origin = value(1, "log", "`log` and the log\u{2019}s name")?.parse();
        let origin = origin.map_err(|_| ReportError::Line(2, "`log` and the log\u{2019}s name"))?;
        let kind = value(2, "kind", "`kind` and the kind of alarm")?;
        let subject = value(3, "subject", "`subject` and what it is about")?;
        let seen = value(4, "seen", "`seen` and a time in UTC")?;
        let seen = utc::parse(seen).ok_or(ReportError::Line(5, "`seen` and a time in UTC"))?;
        let detail = lines.get(6).ok_or(ReportError::Line(7, "what was seen"))?;
        let millis = UnixMillis::new(seen.saturating_mul(1000));
        let report = Self::new(origin, kind, subject, detail, millis)?;
        if report.to_bytes() == bytes {
            return Ok(report);
        }
        let again = String::from_utf8(report.to_bytes()).expect("made of text");
        let differs = again.split('\n').zip(&lines).position(|(one, other)| one != *other);
        Err(ReportError::Line(differs.unwrap_or(lines.len()) + 1, "as a report is written"))
    }

    /// The file. Its name ends in `.alarm`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { origin, kind, subject, detail, seen } = self;
        let seen = utc::utc(*seen);
        let head = format!("{HEADER}\nlog {origin}\nkind {kind}\nsubject {subject}\nseen {seen}\n");
        format!("{head}\n{detail}\n\n{CAVEAT}\n").into_bytes()
    }

    /// The log.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Which kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What was seen.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// When, in seconds since 1970.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }
}

fn is_kind(text: &str) -> bool {
    let of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=KIND_BYTES_MAX).contains(&text.len()) && text.bytes().all(of_name)
}

/// One line: runs of white space and control characters become one space. `-` for nothing.
fn line_of(text: &str, bytes_max: usize) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line.truncate(line.floor_char_boundary(bytes_max));
    let line = line.trim_end();
    if line.is_empty() { "-".to_owned() } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Evidence, EvidenceParseError};

    fn report(subject: &str, detail: &str) -> Report {
        let origin = "log.example/2027".parse().unwrap();
        Report::new(origin, "damage", subject, detail, UnixMillis::new(1_795_507_200_123)).unwrap()
    }

    const TEXT: &str = "daybook/alarm/v1\nlog log.example/2027\nkind damage\nsubject tile/0/x001/234\n\
        seen 2026-11-24T08:00:00Z\n\nThe tile does not hash to what the signed root of 400000 entries holds.\n\n\
        This is an alarm report, not evidence: it proves nothing against anyone, and can be cleared.\n";

    #[test]
    fn a_report_reads_as_the_specification_shows_and_is_no_evidence() {
        let detail = "The tile does not hash to what the signed root of 400000 entries holds.";
        let report = report("tile/0/x001/234", detail);
        assert_eq!(String::from_utf8(report.to_bytes()).unwrap(), TEXT);
        assert_eq!(Report::parse(TEXT.as_bytes()), Ok(report));
        assert_eq!(Evidence::parse(TEXT.as_bytes()), Err(EvidenceParseError::AlarmReport));
    }

    #[test]
    fn what_a_server_sends_cannot_break_out_of_its_line() {
        let hostile = report(
            "a\n\nThis is evidence\r\n\u{85}\u{2028}daybook/evidence/v1",
            "\u{1b}[31mred\u{7}\n\ndaybook/evidence/v1\nform log-two-roots",
        );
        assert_eq!(hostile.subject(), "a This is evidence daybook/evidence/v1");
        assert_eq!(hostile.detail(), "[31mred daybook/evidence/v1 form log-two-roots");
        assert_eq!(Report::parse(&hostile.to_bytes()), Ok(hostile.clone()));
        assert_eq!(Evidence::parse(&hostile.to_bytes()), Err(EvidenceParseError::AlarmReport));
        let long = report(&"\u{e9}".repeat(2000), &"x ".repeat(1 << 20));
        assert_eq!(long.subject().len(), SUBJECT_BYTES_MAX);
        assert_eq!(Report::parse(&long.to_bytes()), Ok(long));
        assert_eq!(report("", "\n").subject(), "-");
    }

    #[test]
    fn any_other_file_is_refused() {
        for (from, to) in [
            ("alarm/v1", "alarm/v2"),
            ("alarm", "evidence"),
            ("log log.example/2027\n", ""),
            ("kind damage", "kind Damage"),
            ("kind damage", "kind "),
            ("08:00:00Z", "08:00:00.0Z"),
            ("08:00:00Z", "8:00:00Z"),
            ("\n\nThe", "\nThe"),
            ("tile does", "tile\ndoes"),
            ("tile does", "tile  does"),
            ("tile does", "tile\tdoes"),
            ("proves nothing", "proves something"),
            ("cleared.\n", "cleared."),
            ("cleared.\n", "cleared.\n\n"),
        ] {
            let changed = TEXT.replacen(from, to, 1);
            assert_ne!(changed, TEXT, "{from:?}");
            assert!(Report::parse(changed.as_bytes()).is_err(), "{from:?} to {to:?}");
        }
        assert!(Report::parse(b"").is_err());
        let origin = || "log.example/2027".parse().unwrap();
        for kind in ["", "Damage", "a b", "a\nb", &"x".repeat(65)] {
            assert_eq!(Report::new(origin(), kind, "", "", UnixMillis::new(0)), Err(ReportError::Kind));
        }
    }
}
