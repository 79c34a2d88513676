//! Time and chance, injected.
//!
//! Everything that needs the time takes a [`Clock`], everything that needs chance a [`Random`]; tests drive
//! both. This is the only place that asks the system.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01 00:00:00 UTC. May jump.
    fn unix_millis(&self) -> u64;
    /// Time since some fixed moment. Never goes back; counts while the machine sleeps.
    fn monotonic(&self) -> Duration;
}

/// The system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_millis(&self) -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        millis(now).try_into().unwrap_or(0)
    }

    fn monotonic(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
    }
}

fn millis(time: rustix::time::Timespec) -> i64 {
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<(u64, Duration)>,
}

impl ManualClock {
    /// A clock at this time.
    #[must_use]
    pub fn new(unix_millis: u64) -> Self {
        Self { now: Mutex::new((unix_millis, Duration::ZERO)) }
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut now = self.lock();
        now.0 += u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        now.1 += by;
    }

    /// Sets the wall clock alone, as an administrator or a bad time server would.
    pub fn set_unix_millis(&self, unix_millis: u64) {
        self.lock().0 = unix_millis;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (u64, Duration)> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn unix_millis(&self) -> u64 {
        self.lock().0
    }

    fn monotonic(&self) -> Duration {
        self.lock().1
    }
}

/// A source of chance.
pub trait Random: Send + Sync + 'static {
    /// Fills the buffer.
    ///
    /// # Panics
    /// If the system has no random source; nothing can be kept safe then.
    fn fill(&self, buffer: &mut [u8]);
}

/// The system's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "this is the injected source itself")]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the system has a random source");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_is_in_this_century_and_moves_forward() {
        let (wall, monotonic) = (SystemClock.unix_millis(), SystemClock.monotonic());
        assert!(wall > 1_700_000_000_000 && wall < 4_100_000_000_000, "{wall}");
        assert!(SystemClock.monotonic() >= monotonic);
    }

    #[test]
    fn a_manual_clock_can_jump_without_time_passing() {
        let clock = ManualClock::new(1000);
        clock.advance(Duration::from_millis(5));
        clock.set_unix_millis(10);
        assert_eq!((clock.unix_millis(), clock.monotonic()), (10, Duration::from_millis(5)));
    }

    #[test]
    fn two_random_buffers_differ() {
        let (mut one, mut two) = ([0; 32], [0; 32]);
        SystemRandom.fill(&mut one);
        SystemRandom.fill(&mut two);
        assert_ne!(one, two);
    }
}
