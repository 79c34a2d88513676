//! What is known of one witness.

use std::time::Duration;

use daemon::clock::Random;
use tlog::ids::{TreeSize, UnixMillis};
use tlog::vkey::VerifierKey;

use super::answer::Trouble;

/// The wait after a first failure; each further one doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// The longest wait of ours. Short, so that a witness that is back is found soon.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// The longest wait that a witness may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// Times that a witness may name another size before it is left alone for a while.
const CONFLICTS_MAX: u32 = 3;

/// A letter under way.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) number: u64,
    pub(super) at: Duration,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// A checkpoint: its text, size and time.
    Checkpoint { text: String, size: TreeSize, time: UnixMillis },
    /// The witness's own copy of our checkpoint.
    Note,
}

/// What a witness claimed about our tree, until its own copy of our checkpoint says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// That it has cosigned a larger tree.
    Larger(TreeSize),
    /// That our tree does not continue the one that it has cosigned.
    Other,
}

/// One witness.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) name: String,
    pub(super) url: String,
    /// Its keys, with their places in the policy.
    pub(super) keys: Vec<(usize, VerifierKey)>,
    /// The operator of the log has said to leave it out.
    pub(super) left_out: bool,
    /// It claims more than it was ever shown, and is not asked again in this process.
    pub(super) excluded: bool,
    /// It has said which size it knows, and that was none of ours that we do not hold.
    pub(super) answered: bool,
    /// The size that it has cosigned, as it says.
    pub(super) known: Option<TreeSize>,
    pub(super) claim: Option<Claim>,
    pub(super) sent: Option<Sent>,
    pub(super) trouble: Option<Trouble>,
    failures: u32,
    conflicts: u32,
    not_before: Duration,
}

impl Seat {
    pub(super) fn new(name: String, url: String, keys: Vec<(usize, VerifierKey)>, left_out: bool) -> Self {
        Self {
            name,
            url,
            keys,
            left_out,
            excluded: false,
            answered: false,
            known: None,
            claim: None,
            sent: None,
            trouble: None,
            failures: 0,
            conflicts: 0,
            not_before: Duration::ZERO,
        }
    }

    /// Whether it can be asked now.
    pub(super) fn is_free(&self, now: Duration) -> bool {
        !self.left_out && !self.excluded && self.sent.is_none() && now >= self.not_before
    }

    /// When it can be asked again, if that is only a matter of waiting.
    pub(super) fn free_at(&self) -> Option<Duration> {
        (!self.left_out && !self.excluded && self.sent.is_none()).then_some(self.not_before)
    }

    pub(super) fn succeeded(&mut self) {
        self.trouble = None;
        self.failures = 0;
        self.conflicts = 0;
        self.not_before = Duration::ZERO;
    }

    /// Waits twice as long as the last time, between half of that and all of it.
    pub(super) fn failed(
        &mut self,
        trouble: Trouble,
        asked: Option<Duration>,
        now: Duration,
        random: &dyn Random,
    ) {
        self.trouble = Some(trouble);
        let wait = BACKOFF_MIN.saturating_mul(1 << self.failures.min(10)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.conflicts = 0;
        let mut byte = [0];
        random.fill(&mut byte);
        let wait = wait / 2 + wait / 2 * u32::from(byte[0]) / 255;
        self.not_before = now + wait.max(asked.unwrap_or_default().min(RETRY_AFTER_MAX));
    }

    /// It stands at another size than we thought, and can be asked again at once; false if that went on for too long.
    pub(super) fn stands_at(&mut self, size: TreeSize) -> bool {
        self.known = Some(size);
        self.conflicts += 1;
        self.conflicts <= CONFLICTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(u8);

    impl Random for Always {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    fn seat() -> Seat {
        Seat::new("w".to_owned(), "http://w".to_owned(), Vec::new(), false)
    }

    #[test]
    fn a_failing_witness_is_asked_less_and_less_often_and_never_forgotten() {
        let mut seat = seat();
        let mut waits = Vec::new();
        for _ in 0..20 {
            seat.failed(Trouble::Network, None, Duration::ZERO, &Always(255));
            waits.push(seat.free_at().unwrap().as_millis());
        }
        assert_eq!(waits[..6], [250, 500, 1000, 2000, 4000, 5000]);
        assert_eq!(waits[19], 5000);
        seat.failed(Trouble::Network, None, Duration::ZERO, &Always(0));
        assert_eq!(seat.free_at(), Some(BACKOFF_MAX / 2), "chance spreads the return");
        seat.succeeded();
        assert!(seat.is_free(Duration::ZERO));
    }

    #[test]
    fn a_witness_may_ask_for_a_longer_wait_within_reason() {
        let mut seat = seat();
        seat.failed(Trouble::Busy, Some(Duration::from_secs(30)), Duration::from_secs(1), &Always(255));
        assert!(!seat.is_free(Duration::from_secs(30)) && seat.is_free(Duration::from_secs(31)));
        seat.failed(Trouble::Busy, Some(Duration::from_secs(1 << 40)), Duration::ZERO, &Always(255));
        assert_eq!(seat.free_at(), Some(RETRY_AFTER_MAX));
    }
}
