//! `GET /events`: new entries and checkpoints as server-sent events.
//!
//! ```text
//! id: 7
//! event: entry
//! data: {"index":7,"leaf_hash":"..."}
//!
//! event: checkpoint
//! data: {"tree_size":8,"root_hash":"...","checkpoint":"..."}
//! ```
//!
//! The id of an entry is its index; with `Last-Event-ID` the stream goes on after it, otherwise it begins at the
//! published size. Nothing is kept for a subscriber but its place: who reads slowly gets the same events later. A
//! checkpoint follows the entries that it covers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use tlog::ids::{LeafIndex, TreeSize};
use tokio::sync::mpsc;

use super::answer::{Caching, stream};
use super::{App, Outcome, error};

/// Subscribers at a time.
pub(super) const SUBSCRIBERS_MAX: usize = 512;
/// Pieces that wait for a subscriber.
const PIECES_MAX: usize = 2;
/// Entries in one piece.
const PIECE_ENTRIES: u64 = 256;
/// A comment is sent after so long without an event, so that nobody between takes the connection for dead.
const SILENCE: Duration = Duration::from_secs(15);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

impl App {
    pub(super) fn events(self: Arc<Self>, headers: &HeaderMap) -> Outcome {
        let size = self.log.published().head().size.get();
        let from = match headers.get(LAST_EVENT_ID) {
            None => size,
            Some(last) => {
                let last = last.to_str().ok().and_then(|last| last.parse::<LeafIndex>().ok());
                let last = last.ok_or_else(|| error::malformed("Last-Event-ID is the index of an entry."))?;
                (last.get() + 1).min(size)
            }
        };
        let Ok(place) = Arc::clone(&self.subscribers).try_acquire_owned() else { return Err(self.busy()) };
        let (pieces, body) = mpsc::channel(PIECES_MAX);
        tokio::spawn(async move {
            self.send_events(from, pieces).await;
            drop(place);
        });
        Ok(stream("text/event-stream", Caching::Never, body))
    }

    async fn send_events(self: Arc<Self>, mut at: u64, pieces: mpsc::Sender<io::Result<Bytes>>) {
        let mut news = self.log.heads.watch();
        let mut shown = None;
        loop {
            news.mark_unchanged();
            let published = self.log.published();
            let size = published.head().size;
            while at < size.get() {
                let end = size.get().min(at + PIECE_ENTRIES);
                let read = self.run_blocking(move |app| app.entry_events(at, end, size)).await;
                let Ok(Ok(text)) = read else { return };
                if pieces.send(Ok(text.into())).await.is_err() {
                    return;
                }
                at = end;
            }
            if shown != Some(published.time) {
                shown = Some(published.time);
                let head = published.head();
                let data = serde_json::json!({
                    "tree_size": head.size.get(),
                    "root_hash": head.root.to_base64(),
                    "checkpoint": String::from_utf8_lossy(&published.note),
                });
                let text = format!("event: checkpoint\ndata: {data}\n\n");
                if pieces.send(Ok(text.into())).await.is_err() {
                    return;
                }
            }
            drop(published);
            let waited = tokio::select! {
                waited = tokio::time::timeout(SILENCE, news.changed()) => waited,
                () = pieces.closed() => return,
            };
            match waited {
                Ok(Ok(())) => {}
                // The log is at its end.
                Ok(Err(_)) => return,
                Err(_) => {
                    if pieces.send(Ok(Bytes::from_static(b": still here\n\n"))).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn entry_events(
        &self,
        from: u64,
        end: u64,
        size: TreeSize,
    ) -> Result<String, crate::lookup::LookupError> {
        let mut text = String::new();
        for index in from..end {
            let place = LeafIndex::new(index).expect("an index of the tree");
            let leaf = self.log.lookup.leaf(place, size)?;
            let data = serde_json::json!({ "index": index, "leaf_hash": leaf.to_string() });
            text.push_str(&format!("id: {index}\nevent: entry\ndata: {data}\n\n"));
        }
        Ok(text)
    }
}
