//! Receipts for those whose statements are public, many at a time.
//!
//! Everybody whose statement came with one checkpoint asks at the same moment, and mostly about neighbours in the tree. Who
//! comes first makes the receipts of all who have come meanwhile, out of tiles that are read and hashed once; then those of
//! all who came since; until nobody waits. So a busy log makes many at a time, and an idle one is not kept waiting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daemon::problem::Problem;
use tlog::ids::LeafIndex;
use tokio::sync::oneshot;

use crate::http::proof::receipt;
use crate::http::{App, error};
use crate::prove::ProveError;

/// Receipts that are made at a time.
const TOGETHER_MAX: usize = 1024;

type Reply = oneshot::Sender<Result<String, Problem>>;

/// Where those wait who want a receipt. Each has an entry in the log, so the pool bounds how many there are.
#[derive(Debug, Default)]
pub(in crate::http) struct ReceiptDesk(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    asked: Vec<(LeafIndex, Reply)>,
    /// Somebody makes receipts, and will look here again before ending.
    attended: bool,
}

/// Leaves the desk in order, also if making receipts panics: who waits is told, and who comes next attends it.
struct Attendant<'a>(&'a ReceiptDesk);

impl Drop for Attendant<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.attended = false;
        waiting.asked.clear();
    }
}

impl ReceiptDesk {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the caller is to attend the desk.
    fn ask(&self, index: LeafIndex, reply: Reply) -> bool {
        let mut waiting = self.lock();
        waiting.asked.push((index, reply));
        !std::mem::replace(&mut waiting.attended, true)
    }

    /// Those who wait; none ends the attendance.
    fn next(&self) -> Vec<(LeafIndex, Reply)> {
        let mut waiting = self.lock();
        let count = waiting.asked.len().min(TOGETHER_MAX);
        waiting.attended = count > 0;
        waiting.asked.drain(..count).collect()
    }
}

impl App {
    /// A receipt under the published checkpoint, which covers the entry. Waits for its turn: what was stored must be
    /// answered.
    pub(super) async fn receipt_of(self: &Arc<Self>, index: LeafIndex) -> Result<String, Problem> {
        let (reply, answer) = oneshot::channel();
        if self.desk.ask(index, reply) {
            let app = Arc::clone(self);
            // To the end, whoever goes away.
            tokio::task::spawn_blocking(move || app.attend());
        }
        answer.await.map_err(|_| error::internal())?
    }

    fn attend(&self) {
        let attendant = Attendant(&self.desk);
        loop {
            let asked = self.desk.next();
            if asked.is_empty() {
                // Somebody else may attend the desk by now.
                std::mem::forget(attendant);
                return;
            }
            let (indexes, replies): (Vec<LeafIndex>, Vec<Reply>) = asked.into_iter().unzip();
            let made = match self.make_receipts(&indexes) {
                Ok(receipts) => receipts.into_iter().map(Ok).collect(),
                // One that cannot be proved must not cost the others theirs.
                Err(_) => indexes.iter().map(|index| self.make_receipt(*index)).collect::<Vec<_>>(),
            };
            for (reply, receipt) in replies.into_iter().zip(made) {
                // Who has gone can have it from `/entry/<index>`.
                let _ = reply.send(receipt);
            }
        }
    }

    fn make_receipt(&self, index: LeafIndex) -> Result<String, Problem> {
        let mut made = self.make_receipts(&[index]).map_err(|error| error::prove(&error))?;
        made.pop().ok_or_else(error::internal)
    }

    /// A receipt for each entry, in order, all under one published checkpoint. Blocks on the disk.
    pub(super) fn make_receipts(&self, indexes: &[LeafIndex]) -> Result<Vec<String>, ProveError> {
        let published = self.log.published();
        let proved = self.prover.inclusions(indexes, published.head())?;
        let receipts = indexes.iter().zip(proved);
        Ok(receipts
            .map(|(index, inclusion)| receipt(*index, inclusion.proof, published.checkpoint.note().clone()))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(index: u64) -> LeafIndex {
        LeafIndex::new(index).unwrap()
    }

    #[test]
    fn who_comes_first_attends_the_desk_until_nobody_waits() {
        let desk = ReceiptDesk::default();
        let ask = |at: u64| {
            let (reply, answer) = oneshot::channel();
            (desk.ask(index(at), reply), answer)
        };
        let (first, second) = (ask(1), ask(2));
        assert_eq!((first.0, second.0), (true, false));
        let asked: Vec<u64> = desk.next().iter().map(|(index, _)| index.get()).collect();
        assert_eq!(asked, [1, 2]);
        assert!(!ask(3).0, "it is still attended");
        assert_eq!(desk.next().len(), 1);
        assert!(desk.next().is_empty());
        assert!(ask(4).0, "nobody attended it any more");
    }

    #[test]
    fn more_than_are_made_at_a_time_wait_their_turn() {
        let desk = ReceiptDesk::default();
        for at in 0..TOGETHER_MAX as u64 + 1 {
            desk.ask(index(at), oneshot::channel().0);
        }
        assert_eq!((desk.next().len(), desk.next().len(), desk.next().len()), (TOGETHER_MAX, 1, 0));
    }

    #[test]
    fn a_desk_that_is_left_in_a_panic_tells_who_waits_and_is_attended_again() {
        let desk = ReceiptDesk::default();
        let (reply, mut answer) = oneshot::channel();
        assert!(desk.ask(index(1), reply));
        drop(Attendant(&desk));
        assert!(answer.try_recv().is_err(), "the sender is gone");
        assert!(desk.ask(index(2), oneshot::channel().0));
    }
}
