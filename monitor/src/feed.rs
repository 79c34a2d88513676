//! Verified entries to those who want them: an index, a judge of statements, a search engine.
//!
//! A bounded ring. Verification puts bundles in and never waits; a consumer takes them at its own pace. One that
//! falls behind further than the ring reaches is told which entries it missed, and reads them again from the log
//! itself with [`crate::reread`], held against the hashes that were verified. So a slow consumer costs nobody
//! anything, and no consumer ever sees an entry that was not verified.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tlog::bundle;
use tlog::hash::Hash;
use tlog::tile::TILE_WIDTH;

/// Bytes of entries that wait for slow consumers of one log.
pub const FEED_BYTES_MAX: u64 = 32 << 20;

/// A verified entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its place.
    pub index: u64,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Its leaf hash.
    pub leaf: Hash,
}

/// Verified entries that follow one another: a bundle, or the beginning of one.
#[derive(Clone, Debug)]
pub struct Batch {
    first: u64,
    /// The bundle that they are in, from its beginning.
    bytes: Bytes,
    leaves: Vec<Hash>,
}

impl Batch {
    /// The entries of a bundle whose leaf hashes were verified.
    #[must_use]
    pub fn new(bundle: u64, bytes: Bytes, leaves: Vec<Hash>) -> Self {
        Self { first: bundle * TILE_WIDTH, bytes, leaves }
    }

    /// The indexes of its entries.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.first..self.first + self.leaves.len() as u64
    }

    /// How much memory it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Its entries from `from` on, in order.
    pub fn entries(&self, from: u64) -> impl Iterator<Item = Entry<'_>> {
        let entries = bundle::split(&self.bytes).expect("a verified bundle is well-formed");
        let all = (self.first..).zip(entries).zip(&self.leaves);
        all.filter(move |((index, _), _)| *index >= from).map(|((index, bytes), leaf)| Entry {
            index,
            bytes,
            leaf: *leaf,
        })
    }
}

/// What a consumer gets.
#[derive(Clone, Debug)]
pub enum Next {
    /// Entries, the next one wanted among them.
    Entries(Arc<Batch>),
    /// These are verified, and no longer here: read them again.
    Missed(Range<u64>),
    /// Nothing new within the time.
    Nothing,
    /// There will be no more.
    Ended,
}

#[derive(Debug, Default)]
struct Ring {
    batches: VecDeque<Arc<Batch>>,
    bytes: u64,
    /// Entries verified so far.
    verified: u64,
    ended: bool,
    wanted: bool,
}

/// The feed of one log.
#[derive(Debug, Default)]
pub struct Feed {
    /// Written by the thread that verifies, read by consumers. Batches are in order; the bytes are bounded.
    ring: Mutex<Ring>,
    changed: Condvar,
}

impl Feed {
    /// An empty feed over a log of which so many entries are verified already.
    #[must_use]
    pub fn new(verified: u64) -> Self {
        Self { ring: Mutex::new(Ring { verified, ..Ring::default() }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that there is a consumer; before that, no bytes are kept for anyone.
    pub fn join(&self) {
        self.lock().wanted = true;
    }

    /// Whether anybody wants entries.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.lock().wanted
    }

    /// Hands on verified entries. Never waits.
    pub fn put(&self, batch: Batch) {
        let mut ring = self.lock();
        ring.bytes += batch.bytes.len() as u64;
        ring.verified = ring.verified.max(batch.range().end);
        ring.batches.push_back(Arc::new(batch));
        while ring.bytes > FEED_BYTES_MAX {
            let Some(oldest) = ring.batches.pop_front() else { break };
            ring.bytes -= oldest.bytes.len() as u64;
        }
        self.changed.notify_all();
    }

    /// Says that so many entries are verified, whether or not they were handed on.
    pub fn advance(&self, verified: u64) {
        let mut ring = self.lock();
        ring.verified = ring.verified.max(verified);
        self.changed.notify_all();
    }

    /// Says that there will be no more.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// What follows for a consumer that wants entry `index` next. Waits up to `patience` for something new.
    #[must_use]
    pub fn next(&self, index: u64, patience: Duration) -> Next {
        let waiting = |ring: &mut Ring| ring.verified <= index && !ring.ended;
        let (ring, _) = self
            .changed
            .wait_timeout_while(self.lock(), patience, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        if ring.verified <= index {
            return if ring.ended { Next::Ended } else { Next::Nothing };
        }
        // The newest batch that holds the entry: a bundle comes again when it has grown.
        let holds = |batch: &&Arc<Batch>| batch.range().contains(&index);
        if let Some(batch) = ring.batches.iter().rev().find(holds) {
            return Next::Entries(Arc::clone(batch));
        }
        let here = ring.batches.iter().map(|batch| batch.range().start).filter(|start| *start > index).min();
        Next::Missed(index..here.unwrap_or(ring.verified).min(ring.verified))
    }
}

#[cfg(test)]
mod tests {
    use tlog::hash::leaf_hash;

    use super::*;

    fn batch(bundle: u64, count: u64, length: usize) -> Batch {
        let (mut bytes, mut leaves) = (Vec::new(), Vec::new());
        for at in 0..count {
            let mut entry = vec![0; length];
            entry[..8].copy_from_slice(&(bundle * 256 + at).to_be_bytes());
            bundle::push_entry(&mut bytes, &entry).unwrap();
            leaves.push(leaf_hash(&entry));
        }
        Batch::new(bundle, bytes.into(), leaves)
    }

    #[test]
    fn a_consumer_gets_every_entry_once_and_in_order_while_a_bundle_grows() {
        let feed = Feed::new(0);
        let (mut next, mut seen) = (0, Vec::new());
        let mut take = |feed: &Feed| {
            while let Next::Entries(batch) = feed.next(next, Duration::ZERO) {
                for entry in batch.entries(next) {
                    assert_eq!(leaf_hash(entry.bytes), entry.leaf);
                    seen.push(entry.index);
                }
                next = batch.range().end;
            }
        };
        feed.put(batch(0, 3, 8));
        take(&feed);
        feed.put(batch(0, 256, 8));
        feed.put(batch(1, 7, 8));
        take(&feed);
        assert_eq!(seen, (0..263).collect::<Vec<_>>());
        assert!(matches!(feed.next(263, Duration::ZERO), Next::Nothing));
        feed.end();
        assert!(matches!(feed.next(263, Duration::ZERO), Next::Ended));
    }

    #[test]
    fn a_consumer_that_lags_is_told_what_it_missed_and_nothing_waits_for_it() {
        let feed = Feed::new(0);
        let bundles = FEED_BYTES_MAX / (256 * 1024) + 3;
        for at in 0..bundles {
            feed.put(batch(at, 256, 1024));
        }
        let Next::Missed(missed) = feed.next(0, Duration::ZERO) else { panic!("the oldest are gone") };
        assert_eq!(missed.start, 0);
        assert!(matches!(feed.next(missed.end, Duration::ZERO), Next::Entries(_)));
        feed.advance(bundles * 256 + 10);
        let Next::Missed(skipped) = feed.next(bundles * 256, Duration::ZERO) else { panic!("never put") };
        assert_eq!(skipped, bundles * 256..bundles * 256 + 10);
    }
}
