//! The one clock reading of a batch.
//!
//! A tree head's time must move forward strictly, and it must be true. So a reading that does not move
//! forward is waited for when the gap is a slew, and stops signing when it is not. A clock that has jumped
//! against the monotonic clock, in either direction, stops signing as well: a head signed hours ahead would
//! leave the log unable to sign once the clock is put right.
//!
//! What heals it: the clock is corrected, or the operator restarts the log, which says that the time is
//! meant. Reads are never affected.

use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Clock;
use tlog::ids::UnixMillis;

/// A wall clock behind the last head by no more than this is waited for.
const SLEW_MILLIS_MAX: u64 = 250;
/// Disagreement of wall clock and monotonic clock between two batches that counts as a jump.
const JUMP_MILLIS_MAX: u64 = 60_000;

/// Why there is no time to sign with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// The clock is behind the last signed head.
    #[error("the clock is {0} ms behind the last signed tree head; correct the clock")]
    Behind(u64),
    /// The clock jumped while the process ran.
    #[error("the clock jumped by {0} ms while the log ran; correct it, or restart the log to accept it")]
    Jumped(i64),
}

/// Hands out batch times.
pub struct BatchClock {
    clock: Arc<dyn Clock>,
    last: UnixMillis,
    /// Wall and monotonic reading of the last accepted batch, or of the start.
    reference: (u64, Duration),
}

impl std::fmt::Debug for BatchClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchClock").field("last", &self.last).finish_non_exhaustive()
    }
}

impl BatchClock {
    /// Starts after the last committed time; the present reading is accepted as the true time.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, last: UnixMillis) -> Self {
        let reference = (clock.unix_millis(), clock.monotonic());
        Self { clock, last, reference }
    }

    /// One reading, later than every one before. Call [`BatchClock::committed`] once it is used.
    ///
    /// # Errors
    /// [`ClockError`]: nothing may be signed now.
    pub fn read(&self) -> Result<UnixMillis, ClockError> {
        let deadline = self.clock.monotonic() + Duration::from_millis(SLEW_MILLIS_MAX);
        loop {
            let (wall, monotonic) = (self.clock.unix_millis(), self.clock.monotonic());
            self.check_jump(wall, monotonic)?;
            if wall > self.last.get() {
                return Ok(UnixMillis::new(wall));
            }
            let behind = self.last.get() - wall;
            if behind >= SLEW_MILLIS_MAX || monotonic >= deadline {
                return Err(ClockError::Behind(behind));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn check_jump(&self, wall: u64, monotonic: Duration) -> Result<(), ClockError> {
        let passed = monotonic.saturating_sub(self.reference.1).as_millis();
        let expected = i128::from(self.reference.0) + i128::try_from(passed).unwrap_or(i128::MAX);
        let jump = i128::from(wall) - expected;
        if jump.unsigned_abs() > u128::from(JUMP_MILLIS_MAX) {
            return Err(ClockError::Jumped(i64::try_from(jump).unwrap_or(i64::MAX)));
        }
        Ok(())
    }

    /// The time is in a committed head.
    pub fn committed(&mut self, time: UnixMillis) {
        self.last = time;
        self.reference = (time.get(), self.clock.monotonic());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daemon::clock::ManualClock;

    const START: u64 = 1_790_000_000_000;

    fn clocks() -> (Arc<ManualClock>, BatchClock) {
        let clock = Arc::new(ManualClock::new(START));
        let batch = BatchClock::new(Arc::clone(&clock) as Arc<dyn Clock>, UnixMillis::new(START - 1));
        (clock, batch)
    }

    #[test]
    fn each_reading_is_later_than_the_last_committed_one() {
        let (clock, mut batch) = clocks();
        let first = batch.read().unwrap();
        batch.committed(first);
        clock.advance(Duration::from_millis(1));
        assert_eq!(batch.read().unwrap().get(), START + 1);
    }

    #[test]
    fn a_clock_hours_behind_the_last_head_stops_signing_at_the_start() {
        let clock = Arc::new(ManualClock::new(START));
        let batch = BatchClock::new(clock, UnixMillis::new(START + 3_600_000));
        assert_eq!(batch.read(), Err(ClockError::Behind(3_600_000)));
    }

    #[test]
    fn a_jump_of_hours_either_way_stops_signing_until_the_clock_is_put_right() {
        for jump in [7_200_000_i64, -7_200_000] {
            let (clock, batch) = clocks();
            clock.set_unix_millis(START.checked_add_signed(jump).unwrap());
            assert_eq!(batch.read(), Err(ClockError::Jumped(jump)));
            clock.set_unix_millis(START + 1);
            assert_eq!(batch.read().unwrap().get(), START + 1);
        }
    }

    #[test]
    fn hours_without_a_batch_are_no_jump() {
        let (clock, batch) = clocks();
        clock.advance(Duration::from_secs(86_400));
        assert_eq!(batch.read().unwrap().get(), START + 86_400_000);
    }
}
