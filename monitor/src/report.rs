//! Alarm reports: what a monitor saw that is wrong and proves nothing, in a file that says so itself.
//!
//! ```text
//! daybook/alarm/v1
//! log <origin>
//! kind <sort>
//! subject <what it is about>
//! seen <RFC 3339 time, UTC>
//!
//! <what was seen, one line>
//!
//! This is an alarm report, not evidence: ...
//! ```
//!
//! Absence and unsigned bytes end up here. An honest log behind a bad network can cause one, so nobody is accused,
//! and `verify-evidence` refuses the file by its first line.

use std::path::PathBuf;

use tlog::hash::sha256;

const CAVEAT: &str =
    "This is an alarm report, not evidence: it proves nothing against anyone, and can be cleared.";

/// A report.
#[derive(Clone, Copy, Debug)]
pub struct AlarmReport<'a> {
    /// The log.
    pub origin: &'a str,
    /// Which sort.
    pub kind: &'a str,
    /// What it is about.
    pub subject: &'a str,
    /// What was seen.
    pub detail: &'a str,
    /// When, in milliseconds since 1970.
    pub now: u64,
}

impl AlarmReport<'_> {
    /// The file, relative to the monitor's directory; one for each cause and hour.
    #[must_use]
    pub fn file_name(&self) -> PathBuf {
        let cause = format!("{}\n{}\n{}\n", self.origin, self.kind, self.subject);
        let name = sha256(cause.as_bytes()).to_string();
        PathBuf::from(format!("alarms/{}-{}-{}.alarm", self.now / 3_600_000, self.kind, &name[..16]))
    }

    /// The text.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let line = |text: &str| text.replace(|c: char| c.is_control(), " ");
        format!(
            "daybook/alarm/v1\nlog {}\nkind {}\nsubject {}\nseen {}\n\n{}\n\n{CAVEAT}\n",
            line(self.origin),
            line(self.kind),
            line(self.subject),
            rfc3339(self.now),
            line(self.detail),
        )
        .into_bytes()
    }
}

/// A time in milliseconds since 1970, for people and programs.
#[must_use]
pub fn rfc3339(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_file_a_cause_and_no_text_breaks_its_lines() {
        let report = AlarmReport {
            origin: "log.example/x",
            kind: "damage",
            subject: "tile/0/000",
            detail: "two\nlines",
            now: 1_790_000_000_000,
        };
        assert_eq!(report.file_name(), AlarmReport { now: 1_790_000_000_001, ..report }.file_name());
        assert_ne!(report.file_name(), AlarmReport { subject: "tile/0/001", ..report }.file_name());
        let text = String::from_utf8(report.to_bytes()).unwrap();
        assert!(text.starts_with("daybook/alarm/v1\nlog log.example/x\nkind damage\n"), "{text}");
        assert!(text.contains("two lines") && text.contains("2026-09-21T"), "{text}");
    }
}
