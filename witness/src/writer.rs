//! The one thread that moves heads: many origins, one commit, one sync.
//!
//! While a group is being committed the next one gathers. Whoever asked is answered after the commit is durable and
//! the external counter has followed; what was cosigned is dropped if the step was lost. If nobody can say whether a
//! commit happened, the connection is closed and opened again, everything in the write-ahead log is moved to the
//! device, and the heads are read anew; if that fails too, the witness has to end.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use daemon::lock::FileLock;
use daemon::metrics::Metrics;
use prometheus::{Histogram, IntCounter};
use tokio::sync::oneshot;

use crate::logs::Followed;
use crate::probe::{Point, Probe};
use crate::state::counter::{Counter, CounterError};
use crate::state::evidence::{EvidenceRow, Kept};
use crate::state::heads::{Advance, Head};
use crate::state::{State, StateError};

/// Jobs that wait for the writer.
pub const QUEUE_JOBS_MAX: usize = 4096;
/// Jobs in one commit.
const GROUP_JOBS_MAX: usize = 512;

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It is durable: the cosignatures may leave.
    Committed,
    /// The head was not where the step starts: they may not.
    Lost,
    /// Nobody knows: they may not.
    Unknown,
}

/// Something to write.
#[derive(Debug)]
enum Job {
    Advance { step: Advance, log: Arc<Followed>, answer: oneshot::Sender<Moved> },
    Keep { row: EvidenceRow, answer: oneshot::Sender<Option<Kept>> },
}

/// Why the witness has to end.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// The state cannot be opened again after a failure.
    #[error("after a commit of unknown outcome the state cannot be opened: {0}")]
    State(#[from] StateError),
    /// The counter cannot follow.
    #[error(transparent)]
    Counter(#[from] CounterError),
}

/// Where jobs are handed in. Cheap to clone; the writer ends when all clones are gone.
#[derive(Clone, Debug)]
pub struct Queue(SyncSender<Job>);

/// The queue is full, or the writer has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl Queue {
    /// Moves a head.
    ///
    /// # Errors
    /// [`Busy`]; nothing was written.
    pub async fn advance(&self, step: Advance, log: Arc<Followed>) -> Result<Moved, Busy> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Advance { step, log, answer })?;
        Ok(answered.await.unwrap_or(Moved::Unknown))
    }

    /// Keeps evidence; `None` if nobody knows whether it was kept.
    ///
    /// # Errors
    /// [`Busy`]; nothing was written.
    pub async fn keep(&self, row: EvidenceRow) -> Result<Option<Kept>, Busy> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Keep { row, answer })?;
        Ok(answered.await.unwrap_or(None))
    }

    fn send(&self, job: Job) -> Result<(), Busy> {
        self.0.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Busy,
        })
    }
}

/// What the writer measures.
#[derive(Clone, Debug)]
pub struct WriterMetrics {
    commits: IntCounter,
    jobs: IntCounter,
    seconds: Histogram,
    unknown: IntCounter,
}

impl WriterMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            commits: metrics.counter("daybook_witness_commits_total", "Commits; each is one data sync."),
            jobs: metrics.counter("daybook_witness_committed_jobs_total", "Heads and evidence in them."),
            seconds: metrics.seconds("daybook_witness_commit_seconds", "A commit, in seconds."),
            unknown: metrics
                .counter("daybook_witness_commits_unknown_total", "Commits whose outcome nobody knew."),
        }
    }
}

/// The writer.
#[derive(Debug)]
pub struct Writer {
    state: State,
    counter: Option<Counter>,
    generation: u64,
    jobs: Receiver<Job>,
    probe: Probe,
    metrics: WriterMetrics,
    /// Held until the last commit.
    _lock: FileLock,
}

/// What a transaction did, job by job.
enum Done {
    Moved(bool),
    Kept(Kept),
}

impl Writer {
    /// A writer on this state, and the queue to it.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn new(
        state: State,
        counter: Option<Counter>,
        probe: Probe,
        metrics: WriterMetrics,
        lock: FileLock,
    ) -> Result<(Self, Queue), StateError> {
        let (sender, jobs) = sync_channel(QUEUE_JOBS_MAX);
        let generation = state.identity()?.generation;
        Ok((Self { state, counter, generation, jobs, probe, metrics, _lock: lock }, Queue(sender)))
    }

    /// Works until every queue is gone.
    ///
    /// # Errors
    /// [`WriterError`]: the process has to end.
    pub fn run(mut self) -> Result<(), WriterError> {
        while let Ok(first) = self.jobs.recv() {
            let mut group = vec![first];
            while group.len() < GROUP_JOBS_MAX {
                let Ok(job) = self.jobs.try_recv() else { break };
                group.push(job);
            }
            let timer = self.metrics.seconds.start_timer();
            let result = self.commit(group);
            timer.observe_duration();
            result?;
        }
        Ok(())
    }

    fn commit(&mut self, group: Vec<Job>) -> Result<(), WriterError> {
        self.metrics.jobs.inc_by(group.len() as u64);
        let done = match self.transact(&group) {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "a commit failed, and may have happened; reading the state anew");
                self.metrics.unknown.inc();
                return self.read_anew(group);
            }
        };
        if let Some(counter) = &mut self.counter {
            counter.advance(self.generation)?;
        }
        // A failure after the commit has nothing left to undo.
        let _ = self.probe.at(Point::AfterCounter);
        for (job, done) in group.into_iter().zip(done) {
            match (job, done) {
                (Job::Advance { step, log, answer }, Done::Moved(moved)) => {
                    let head = if moved {
                        Head { head: step.to, cosigned_at: step.seconds }
                    } else {
                        self.state.head(step.log)?
                    };
                    log.set_head(head);
                    // Whoever asked may have gone.
                    let _ = answer.send(if moved { Moved::Committed } else { Moved::Lost });
                }
                (Job::Keep { answer, .. }, Done::Kept(kept)) => {
                    let _ = answer.send(Some(kept));
                }
                (Job::Advance { .. }, Done::Kept(_)) | (Job::Keep { .. }, Done::Moved(_)) => {
                    unreachable!("a transaction answers its jobs in order")
                }
            }
        }
        Ok(())
    }

    fn transact(&mut self, group: &[Job]) -> Result<Vec<Done>, StateError> {
        let next = self.generation + 1;
        let (done, changed) = self.state.in_group(next, &self.probe, |state| {
            let take = |job: &Job| match job {
                Job::Advance { step, .. } => state.advance(step).map(Done::Moved),
                Job::Keep { row, .. } => state.keep_evidence(row).map(Done::Kept),
            };
            let done: Vec<Done> = group.iter().map(take).collect::<Result<_, _>>()?;
            let changed = done.iter().any(|done| matches!(done, Done::Moved(true) | Done::Kept(Kept::New)));
            Ok((done, changed))
        })?;
        if changed {
            self.metrics.commits.inc();
            self.generation = next;
        }
        Ok(done)
    }

    /// Drops what is known of the heads in the group, and reads it again from a state that was opened again.
    fn read_anew(&mut self, group: Vec<Job>) -> Result<(), WriterError> {
        self.state.reopen()?;
        self.generation = self.state.identity()?.generation;
        for job in group {
            match job {
                Job::Advance { step, log, answer } => {
                    log.set_head(self.state.head(step.log)?);
                    let _ = answer.send(Moved::Unknown);
                }
                Job::Keep { answer, .. } => {
                    let _ = answer.send(None);
                }
            }
        }
        Ok(())
    }
}
