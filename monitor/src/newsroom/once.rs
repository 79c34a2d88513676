//! The newsroom's half of `once`: what was verified is indexed, watches look at it, messages leave, and that is all.

use std::sync::atomic::{AtomicBool, Ordering};

use daemon::clock::Clock;
use daemon::shutdown::Shutdown;
use serde::Serialize;
use tokio::runtime::Handle;

use super::{Newsroom, round};
use crate::index::follow::Looked;

/// What one look came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Caught {
    /// Entries that can be searched now and could not before.
    pub indexed: u64,
    /// Finds of watches that are new.
    pub found: usize,
    /// Messages that were delivered.
    pub delivered: usize,
    /// Messages that wait for their channel.
    pub waiting: u64,
    /// What went wrong; verification does not depend on it.
    pub troubles: Vec<String>,
}

impl Newsroom {
    /// Indexes beside verification until that is `over` and everything verified is in the index, or the end is asked
    /// for. `reached` is told how far it is.
    pub fn index_along(
        &mut self,
        over: &AtomicBool,
        shutdown: &Shutdown,
        mut reached: impl FnMut(u64),
    ) -> Caught {
        let mut caught = Caught::default();
        let Some(indexer) = self.indexer.as_mut() else { return caught };
        let begun = indexer.reached();
        while !shutdown.is_asked() {
            // Asked before the look: whatever is verified then is seen by it.
            let last = over.load(Ordering::Acquire);
            match indexer.look() {
                Ok(Looked::Ended) => break,
                Ok(Looked::Indexed) => reached(indexer.reached()),
                Ok(Looked::Nothing) if last => {
                    if !indexer.has_caught_up() {
                        let trouble = "index: entries could not be read again; the next look goes on there";
                        caught.troubles.push(trouble.to_owned());
                    }
                    break;
                }
                Ok(Looked::Nothing) => (),
                Err(error) => {
                    tracing::error!(%error, "indexing is interrupted");
                    caught.troubles.push(format!("index: {error}"));
                    break;
                }
            }
        }
        caught.indexed = indexer.reached() - begun;
        caught
    }

    /// Lets watches look at what is new, and tries each channel once.
    pub fn tell(&self, caught: &mut Caught, clock: &dyn Clock, runtime: &Handle) {
        let now = clock.unix_millis() / 1000;
        match round::look(&self.engine, &self.channels, &self.store, &self.generation, &self.cases, now) {
            Ok(found) => caught.found = found,
            Err(error) => {
                tracing::error!(error, "watches are interrupted");
                caught.troubles.push(format!("watches: {error}"));
            }
        }
        for channel in &self.channels {
            // What failed is in the log already.
            if let Err(error) = runtime.block_on(self.deliver(channel, now, caught)) {
                caught.troubles.push(format!("channel {}: {error}", channel.name));
            }
        }
    }

    async fn deliver(
        &self,
        channel: &crate::channel::sender::Channel,
        now: u64,
        caught: &mut Caught,
    ) -> Result<(), String> {
        let store = &self.engine.store;
        loop {
            let count = channel.deliver(store, now).await.map_err(|error| error.to_string())?;
            caught.delivered += count;
            if count == 0 {
                break;
            }
        }
        let state = store.channel(&channel.name).map_err(|error| error.to_string())?;
        caught.waiting += state.waiting;
        state.error.map_or(Ok(()), Err)
    }
}
