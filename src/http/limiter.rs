//! How much one agency or one network may send: a bucket of tokens for each, filled at a steady rate.
//!
//! The table is bounded. A bucket that is full again says nothing and is dropped first; where even that leaves no
//! room, everybody without a bucket shares one.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daemon::clock::Clock;

/// Buckets kept at a time.
const BUCKETS_MAX: usize = 65_536;
/// A bucket holds what comes in this time.
const BURST: Duration = Duration::from_secs(2);

/// Counts what each `K` sends.
pub(super) struct Limiter<K> {
    per_second: u64,
    clock: Arc<dyn Clock>,
    /// `None` is the bucket that those without one share.
    buckets: Mutex<HashMap<Option<K>, Bucket>>,
}

struct Bucket {
    tokens: f64,
    at: Duration,
}

impl<K: Hash + Eq> Limiter<K> {
    /// At most so many a second for each; 0 for no limit.
    pub(super) fn new(per_second: u64, clock: Arc<dyn Clock>) -> Self {
        Self { per_second, clock, buckets: Mutex::default() }
    }

    /// Takes `count` tokens, or says in how many seconds they can be had. More than a bucket holds is let through when
    /// the bucket is full, and paid for afterwards.
    pub(super) fn take(&self, key: K, count: usize) -> Result<(), u32> {
        if self.per_second == 0 {
            return Ok(());
        }
        let now = self.clock.monotonic();
        let rate = self.per_second as f64;
        let full = rate * BURST.as_secs_f64();
        let filled =
            |bucket: &Bucket| (bucket.tokens + now.saturating_sub(bucket.at).as_secs_f64() * rate).min(full);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Some(key);
        if !buckets.contains_key(&key) && buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| filled(bucket) < full);
            if buckets.len() >= BUCKETS_MAX {
                key = None;
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: full, at: now });
        (bucket.tokens, bucket.at) = (filled(bucket), now);
        let wanted = count as f64;
        if bucket.tokens < wanted.min(full) {
            let seconds = ((wanted.min(full) - bucket.tokens) / rate).ceil();
            return Err((seconds as u32).max(1));
        }
        bucket.tokens -= wanted;
        Ok(())
    }
}

/// The network of an address: as much of it as one client can easily have to itself.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() & 0xffff_ff00).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (!0 << 80)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daemon::clock::ManualClock;

    #[test]
    fn a_bucket_empties_says_when_to_come_back_and_fills_again() {
        let clock = Arc::new(ManualClock::new(0));
        let limiter = Limiter::new(10, Arc::clone(&clock) as Arc<dyn Clock>);
        assert_eq!(limiter.take("a", 20), Ok(()));
        assert_eq!(limiter.take("a", 1), Err(1));
        assert_eq!(limiter.take("a", 20), Err(2));
        assert_eq!(limiter.take("b", 20), Ok(()), "another has a bucket of its own");
        clock.advance(Duration::from_secs(1));
        assert_eq!(limiter.take("a", 10), Ok(()));
        assert_eq!(limiter.take("a", 1), Err(1));
    }

    #[test]
    fn more_than_a_bucket_holds_is_paid_for_afterwards() {
        let clock = Arc::new(ManualClock::new(0));
        let limiter = Limiter::new(10, Arc::clone(&clock) as Arc<dyn Clock>);
        assert_eq!(limiter.take("a", 100), Ok(()));
        clock.advance(Duration::from_secs(8));
        assert_eq!(limiter.take("a", 1), Err(1));
        clock.advance(Duration::from_secs(1));
        assert_eq!(limiter.take("a", 1), Ok(()));
    }

    #[test]
    fn a_table_that_is_full_of_busy_buckets_makes_newcomers_share() {
        let clock = Arc::new(ManualClock::new(0));
        let limiter = Limiter::new(1, Arc::clone(&clock) as Arc<dyn Clock>);
        for key in 0..BUCKETS_MAX {
            assert_eq!(limiter.take(key, 1), Ok(()));
        }
        assert_eq!(limiter.take(BUCKETS_MAX, 2), Ok(()));
        assert_eq!(limiter.take(BUCKETS_MAX + 1, 1), Err(1), "the shared bucket is empty");
        clock.advance(Duration::from_secs(2));
        assert_eq!(limiter.take(BUCKETS_MAX + 2, 2), Ok(()));
        assert!(limiter.buckets.lock().unwrap().len() < 10, "full buckets are dropped");
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("192.0.2.254"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8:1::1"), of("2001:db8:1:ffff::2"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.9"));
    }
}
