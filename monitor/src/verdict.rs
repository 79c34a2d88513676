//! What is known of a log, in one word, and the words kept apart.
//!
//! | State | Means | `once` exits with |
//! |---|---|---|
//! | `verified` | everything up to a fresh head of the log was rebuilt from the entries | 0 |
//! | `behind` | there is more to verify, and it is being verified | 4 |
//! | `unreachable` | nothing was heard for too long, so nothing is known | 3 |
//! | `stale` | the log shows an old head, or one older than it showed before | 5 |
//! | `quorum-missing` | too few witnesses have signed | 6 |
//! | `damaged` | bytes that the signed tree does not hold, or objects that are missing | 7 |
//! | `misbehaving` | signed things contradict each other; there is an evidence file | 1 |
//!
//! `verified` is said only while all of its reasons are recent: a state is computed from facts and the time at the
//! moment when somebody asks, so a monitor that has stopped working stops saying it. `misbehaving` has no way back.
//!
//! Pure.

use std::time::Duration;

use serde::Serialize;

/// A log is unreachable after so many pauses between looks without one that succeeded.
const LOOKS_MISSED_MAX: u32 = 3;
/// The least time without contact that makes a log unreachable.
pub(crate) const SILENCE_MILLIS_MIN: u64 = 30_000;
/// How far a signer's clock may be ahead of ours.
pub const CLOCK_AHEAD_SECONDS_MAX: u64 = 60;

/// What is known of a log, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All of it is right.
    Verified,
    /// Not all of it is verified yet.
    Behind,
    /// Nothing was heard.
    Unreachable,
    /// It shows an old head.
    Stale,
    /// Too few witnesses.
    QuorumMissing,
    /// Bytes are wrong or missing.
    Damaged,
    /// Signed things contradict each other.
    Misbehaving,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Verified,
        Self::Behind,
        Self::Unreachable,
        Self::Stale,
        Self::QuorumMissing,
        Self::Damaged,
        Self::Misbehaving,
    ];

    /// Its name in JSON and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Behind => "behind",
            Self::Unreachable => "unreachable",
            Self::Stale => "stale",
            Self::QuorumMissing => "quorum-missing",
            Self::Damaged => "damaged",
            Self::Misbehaving => "misbehaving",
        }
    }

    /// The exit code of `once` and `status`.
    #[must_use]
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Verified => 0,
            Self::Misbehaving => 1,
            Self::Unreachable => 3,
            Self::Behind => 4,
            Self::Stale => 5,
            Self::QuorumMissing => 6,
            Self::Damaged => 7,
        }
    }
}

/// How patient to be with a log.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Pause between two looks.
    pub poll: Duration,
    /// See [`crate::config::LogConfig::stale_after`].
    pub stale_after: Duration,
    /// See [`crate::config::LogConfig::unchanged_max`].
    pub unchanged_max: Option<Duration>,
}

/// What has been found out about a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The first evidence file.
    pub evidence: Option<String>,
    /// What is wrong with what it serves.
    pub damage: Option<String>,
    /// Which cosignatures the head that it serves lacks.
    pub quorum: Option<String>,
    /// It serves a smaller tree than it has signed.
    pub rolled_back: Option<String>,
    /// Its last look that gave a signed checkpoint, in milliseconds since 1970.
    pub heard_at: Option<u64>,
    /// Why the last look gave none.
    pub silence: Option<String>,
    /// The end of the last round in which nothing was left unread, or the first look of all, in milliseconds since 1970.
    pub read_at: Option<u64>,
    /// Why something that the checkpoint stands for was not read in the last round.
    pub unread: Option<String>,
    /// Entries under the newest head that was verified.
    pub verified: u64,
    /// Whether any head was verified, be it that of an empty tree.
    pub has_verified: bool,
    /// Entries rebuilt so far towards the next one.
    pub reached: u64,
    /// Entries under the largest head that the log has signed.
    pub signed: u64,
    /// The time of the newest verified head, in seconds since 1970, where its signers state one.
    pub head_time: Option<u64>,
    /// Entries whose statements were judged; `None` where none are.
    pub judged: Option<u64>,
    /// Since when this process knows that something is to be done, in milliseconds since 1970.
    pub behind_since: Option<u64>,
    /// Attachments that are too long to be checked.
    pub unchecked: u64,
    /// When the tree grew last, as seen from here, in milliseconds since 1970.
    pub grown_at: Option<u64>,
}

/// A state and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The state.
    pub state: State,
    /// In words; empty where there is nothing to say.
    pub reason: String,
}

fn verdict(state: State, reason: impl Into<String>) -> Verdict {
    Verdict { state, reason: reason.into() }
}

/// What is known of a log at this time, in milliseconds since 1970.
#[must_use]
pub fn judge(facts: &Facts, patience: &Patience, now: u64) -> Verdict {
    if let Some(evidence) = &facts.evidence {
        return verdict(
            State::Misbehaving,
            format!("the log has signed what contradicts itself: {evidence}"),
        );
    }
    if let Some(damage) = &facts.damage {
        return verdict(State::Damaged, damage);
    }
    if let Some(missing) = &facts.quorum {
        return verdict(State::QuorumMissing, missing);
    }
    if let Some(reason) = silence(facts, patience, now) {
        return verdict(State::Unreachable, reason);
    }
    if let Some(reason) = staleness(facts, patience, now) {
        return verdict(State::Stale, reason);
    }
    if let Some(reason) = backlog(facts) {
        return verdict(State::Behind, reason);
    }
    verdict(State::Verified, "")
}

/// What is still to be done, in words; `None` if nothing is.
#[must_use]
pub fn backlog(facts: &Facts) -> Option<String> {
    if !facts.has_verified || facts.signed > facts.verified {
        let left = facts.signed.saturating_sub(facts.reached.max(facts.verified));
        return Some(format!("{left} of {} entries are to be verified", facts.signed));
    }
    let judged = facts.judged.filter(|judged| *judged < facts.verified)?;
    let left = facts.verified - judged;
    Some(format!("{left} of {} statements are to be judged", facts.verified))
}

/// Whether nothing was heard, or not all was read, for longer than an outage of a moment takes.
#[must_use]
pub fn is_silent(facts: &Facts, patience: &Patience, now: u64) -> bool {
    let longest = millis(patience.poll * LOOKS_MISSED_MAX).max(SILENCE_MILLIS_MIN);
    let fails = facts.silence.is_some() || facts.unread.is_some();
    fails && facts.read_at.is_some_and(|read| now.saturating_sub(read) > longest)
}

/// Why nothing is known of the log now, in words.
#[must_use]
pub fn silence(facts: &Facts, patience: &Patience, now: u64) -> Option<String> {
    let why = facts.silence.as_deref().unwrap_or("no look has ended yet");
    let Some(heard) = facts.heard_at else { return Some(why.to_owned()) };
    if let (None, Some(unread)) = (&facts.silence, &facts.unread) {
        // A checkpoint alone is no sign of life: whoever withholds what it stands for can go on signing.
        let seconds = now.saturating_sub(facts.read_at.unwrap_or(heard)) / 1000;
        return Some(format!(
            "its checkpoint is served, and not all that it stands for; it was last read whole {seconds} s ago: {unread}"
        ));
    }
    let longest = millis(patience.poll * LOOKS_MISSED_MAX).max(SILENCE_MILLIS_MIN);
    // While a backlog is verified there are no looks; the work itself is the sign of life, and is not "verified".
    let silent = now.saturating_sub(heard) > longest && facts.signed <= facts.verified;
    (facts.silence.is_some() || silent)
        .then(|| format!("nothing was heard for {} s: {why}", now.saturating_sub(heard) / 1000))
}

/// Why its newest head is too old, in words, or why it shows an old one.
#[must_use]
pub fn staleness(facts: &Facts, patience: &Patience, now: u64) -> Option<String> {
    if let Some(reason) = &facts.rolled_back {
        return Some(reason.clone());
    }
    if !facts.has_verified || facts.signed > facts.verified {
        return None;
    }
    if let Some(time) = facts.head_time {
        let ahead = time.saturating_sub(now / 1000);
        if ahead > CLOCK_AHEAD_SECONDS_MAX {
            return Some(format!(
                "its head bears a time {ahead} s in the future: one of the clocks is wrong"
            ));
        }
        let age = (now / 1000).saturating_sub(time);
        return (age > patience.stale_after.as_secs()).then(|| format!("its newest head is {age} s old"));
    }
    let (longest, grown) = (patience.unchanged_max?, facts.grown_at?);
    let age = now.saturating_sub(grown);
    (age > millis(longest)).then(|| format!("the tree has not grown for {} s", age / 1000))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The worst of several states. Of no log nothing is known.
#[must_use]
pub fn worst(states: impl IntoIterator<Item = State>) -> State {
    states.into_iter().max().unwrap_or(State::Unreachable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    fn patience() -> Patience {
        Patience { poll: Duration::from_secs(10), stale_after: Duration::from_secs(180), unchanged_max: None }
    }

    fn fine() -> Facts {
        Facts {
            heard_at: Some(NOW),
            verified: 10,
            has_verified: true,
            reached: 10,
            signed: 10,
            head_time: Some(NOW / 1000 - 5),
            ..Facts::default()
        }
    }

    fn state(facts: &Facts, now: u64) -> State {
        judge(facts, &patience(), now).state
    }

    #[test]
    fn nothing_known_is_never_fine() {
        assert_eq!(state(&Facts::default(), NOW), State::Unreachable);
        let heard = Facts { heard_at: Some(NOW), ..Facts::default() };
        assert_eq!(state(&heard, NOW), State::Behind);
    }

    #[test]
    fn fine_ends_by_itself_when_nobody_looks_any_more() {
        assert_eq!(state(&fine(), NOW), State::Verified);
        assert_eq!(state(&fine(), NOW + 31_000), State::Unreachable);
        let silent = Facts { silence: Some("refused".to_owned()), ..fine() };
        assert_eq!(state(&silent, NOW), State::Unreachable);
    }

    #[test]
    fn a_checkpoint_alone_is_no_sign_of_life() {
        let read = NOW - 500_000;
        let unread = Facts { signed: 20, unread: Some("500".to_owned()), read_at: Some(read), ..fine() };
        let said = judge(&unread, &patience(), NOW);
        assert_eq!(said.state, State::Unreachable);
        assert!(said.reason.contains("500 s ago"), "{}", said.reason);
        assert!(is_silent(&unread, &patience(), NOW));
        assert!(!is_silent(&unread, &patience(), read + 30_000), "an outage of a moment");
        assert!(!is_silent(&Facts { unread: None, ..unread }, &patience(), NOW));
    }

    #[test]
    fn each_trouble_has_its_own_state_and_the_worst_is_told() {
        let stale = Facts { head_time: Some(NOW / 1000 - 181), ..fine() };
        assert_eq!(state(&stale, NOW), State::Stale);
        let future = Facts { head_time: Some(NOW / 1000 + 3600), ..fine() };
        assert_eq!(state(&future, NOW), State::Stale);
        assert_eq!(state(&Facts { rolled_back: Some("x".to_owned()), ..fine() }, NOW), State::Stale);
        assert_eq!(state(&Facts { signed: 11, ..fine() }, NOW), State::Behind);
        assert_eq!(state(&Facts { judged: Some(9), ..fine() }, NOW), State::Behind);
        assert_eq!(state(&Facts { judged: Some(10), ..fine() }, NOW), State::Verified);
        assert_eq!(
            state(&Facts { quorum: Some("1 of 3".to_owned()), ..stale.clone() }, NOW),
            State::QuorumMissing
        );
        assert_eq!(state(&Facts { damage: Some("x".to_owned()), ..stale.clone() }, NOW), State::Damaged);
        let all = Facts { evidence: Some("e".to_owned()), damage: Some("x".to_owned()), ..stale };
        assert_eq!(state(&all, NOW), State::Misbehaving);
    }

    #[test]
    fn a_log_without_times_is_stale_only_if_asked_for() {
        let silent = Facts { head_time: None, grown_at: Some(NOW - 1_000_000), ..fine() };
        assert_eq!(state(&silent, NOW), State::Verified);
        let asked = Patience { unchanged_max: Some(Duration::from_secs(999)), ..patience() };
        assert_eq!(judge(&silent, &asked, NOW).state, State::Stale);
    }

    #[test]
    fn exit_codes_tell_the_states_apart() {
        let mut codes: Vec<i32> = State::ALL.iter().map(|state| state.exit_code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), State::ALL.len());
        assert_eq!(worst([]), State::Unreachable);
        assert_eq!(worst([State::Behind, State::Damaged, State::Stale]), State::Damaged);
    }
}
