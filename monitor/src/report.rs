//! Alarm reports ([`tlog::evidence::report`]): what a monitor saw that is wrong and proves nothing, one file a cause.

use std::path::PathBuf;

use tlog::evidence::report::Report;
use tlog::hash::sha256;
use tlog::ids::{Origin, UnixMillis};

/// Sort of alarm: bytes that the signed tree does not hold, or that are missing.
pub const DAMAGE: &str = "damage";
/// Sort of alarm: a checkpoint that the log did not sign.
pub const UNSIGNED: &str = "unsigned";
/// Sort of alarm: a head that was seen is no longer shown.
pub const WITHHELD: &str = "withheld";
/// Sort of alarm: too few witnesses have cosigned.
pub const QUORUM: &str = "quorum";
/// Sort of alarm: the newest head is older than it may be.
pub const STALE: &str = "stale";
/// Sort of alarm: nobody answers.
pub const UNREACHABLE: &str = "unreachable";
/// Sort of alarm: what is to be verified or judged was not caught up with for too long.
pub const BEHIND: &str = "behind";
/// Sort of alarm: a witness or another monitor shows as a head of the log what the log has not signed.
pub const ELSEWHERE: &str = "cross-check";
/// Sort of alarm: a signed head that does not fit, and whose tiles nobody serves.
pub const FORK: &str = "fork";
/// Sort of alarm: more heads wait than can be kept.
pub const HEADS: &str = "heads";
/// Sort of alarm: our own hashes were damaged.
pub const OWN: &str = "own-store";
/// Sort of alarm: our database was lost.
pub const LOST: &str = "state-lost";
/// What [`LOST`] can be about: all that is verified.
pub const DATABASE: &str = "database";
/// What [`LOST`] can be about: where the replay is.
pub const REPLAY: &str = "replay";
/// What [`LOST`] can be about: which values were shown.
pub const MEMORY: &str = "values";
/// What [`LOST`] can be about: the watches, and nothing of what verifies.
pub const LOST_WATCHES: &str = "watches";

/// Sort of alarm: an entry that the log ought not to have admitted.
pub const INADMISSIBLE: &str = "inadmissible";
/// Sort of alarm: the log begins with another entry than the pinned one.
pub const GENESIS: &str = "genesis";
/// Sort of alarm: something that a record names is gone, and no tombstone says why.
pub const ERASED: &str = "erased";
/// Sort of alarm: something that a tombstone erased is still shown.
pub const STILL_SHOWN: &str = "still-shown";
/// Sort of alarm: what is shown is not what the record commits to.
pub const ALTERED: &str = "altered";

/// Sort of alarm: something is not answered for too long, by a log that answers otherwise.
pub const UNANSWERED: &str = "unanswered";

/// Every sort.
pub const KINDS: [&str; 18] = [
    DAMAGE,
    UNSIGNED,
    WITHHELD,
    QUORUM,
    STALE,
    UNREACHABLE,
    BEHIND,
    ELSEWHERE,
    FORK,
    HEADS,
    OWN,
    LOST,
    INADMISSIBLE,
    GENESIS,
    ERASED,
    STILL_SHOWN,
    ALTERED,
    UNANSWERED,
];

/// The file of a report, relative to the monitor's directory.
#[must_use]
pub fn file_name(origin: &str, kind: &str, subject: &str, now: u64) -> PathBuf {
    let name = sha256(format!("{origin}\n{kind}\n{subject}\n").as_bytes()).to_string();
    PathBuf::from(format!("alarms/{now}-{kind}-{}.alarm", &name[..16]))
}

/// The text of a report.
///
/// # Panics
/// If the kind is none; kinds are constants.
#[must_use]
pub fn text(origin: &Origin, kind: &str, subject: &str, detail: &str, now: u64) -> Vec<u8> {
    let report = Report::new(origin.clone(), kind, subject, detail, UnixMillis::new(now));
    report.expect("kinds are constants").to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_report_and_no_text_breaks_its_lines() {
        let origin = "log.example/x".parse().unwrap();
        for kind in KINDS {
            let bytes = text(&origin, kind, "tile/0/000", "two\nlines", 1_790_000_000_000);
            let report = Report::parse(&bytes).unwrap();
            assert_eq!((report.kind(), report.detail()), (kind, "two lines"));
        }
        let names = ["a", "b"].map(|subject| file_name("log.example/x", DAMAGE, subject, 7));
        assert_ne!(names[0], names[1]);
    }
}
