//! How many checkpoints a day a log may send.
//!
//! An allowance of a whole day that refills evenly. Two are kept for each log: one for checkpoints that grow it, one
//! for the same checkpoint sent again. Anyone can send a public checkpoint again; that must not use up what the log
//! needs to go on.
//!
//! Kept in memory: a restart fills it up.

use std::time::Duration;

const DAY_NANOS: u64 = 86_400 * 1_000_000_000;

/// An allowance. Time is any clock that never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// When everything that was used will have been refilled, in nanoseconds.
    full_at: u64,
}

fn nanos(now: Duration) -> u64 {
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

fn period(qpd: u32) -> u64 {
    DAY_NANOS / u64::from(qpd.max(1))
}

impl Allowance {
    /// Uses one of `qpd` a day.
    ///
    /// # Errors
    /// If none is left: how long until there is one.
    pub fn take(&mut self, qpd: u32, now: Duration) -> Result<(), Duration> {
        let (now, period) = (nanos(now), period(qpd));
        let full_at = self.full_at.max(now).saturating_add(period);
        let earliest = full_at.saturating_sub(DAY_NANOS);
        if earliest > now {
            return Err(Duration::from_nanos(earliest - now));
        }
        self.full_at = full_at;
        Ok(())
    }

    /// How many of `qpd` are used at the moment.
    #[must_use]
    pub fn used(&self, qpd: u32, now: Duration) -> u32 {
        let used = self.full_at.saturating_sub(nanos(now)).div_ceil(period(qpd));
        u32::try_from(used).unwrap_or(u32::MAX).min(qpd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_so_many_and_they_come_back_evenly() {
        let mut allowance = Allowance::default();
        let start = Duration::from_secs(1000);
        for used in 0..24 {
            assert_eq!(allowance.used(24, start), used);
            allowance.take(24, start).unwrap();
        }
        let wait = allowance.take(24, start).unwrap_err();
        assert_eq!(wait, Duration::from_secs(3600));
        allowance.take(24, start + wait).unwrap();
        assert!(allowance.take(24, start + wait).is_err());
        assert_eq!(allowance.used(24, start + Duration::from_secs(2 * 86_400)), 0);
    }

    #[test]
    fn the_smallest_and_the_largest_quota_work() {
        let mut allowance = Allowance::default();
        allowance.take(1, Duration::ZERO).unwrap();
        assert_eq!(allowance.take(1, Duration::ZERO).unwrap_err(), Duration::from_secs(86_400));
        let mut allowance = Allowance::default();
        for _ in 0..10_000 {
            allowance.take(u32::MAX >> 1, Duration::ZERO).unwrap();
        }
    }
}
