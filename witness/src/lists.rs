//! Lists of logs: read from a file or an `https://` URL, and taken over into the state.
//!
//! New logs are added. Known ones are never changed or removed, whatever a list says: a list that could replace a
//! log's key could make a witness cosign another tree under the same name. What is refused raises an alarm, and the
//! rest of the list is taken over.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daemon::fetch::{FetchError, Fetcher};
use daemon::metrics::Metrics;
use daemon::shutdown::Shutdown;
use prometheus::IntCounterVec;
use tlog::log_list::{LIST_BYTES_MAX, LogList, LogListError};
use tlog::vkey::VerifierKey;

use crate::config::List;
use crate::roster::check;
use crate::serve::ends_within;
use crate::state::roster::{Added, NewLog};
use crate::state::{State, StateError};
use crate::witness::Witness;

/// Logs added in one transaction: the writer must not wait long for its turn.
const BATCH_LOGS: usize = 500;
/// A pull that failed is tried again after so long, or after the list's own refresh if that is sooner.
const RETRY: Duration = Duration::from_secs(60);

/// Why a list was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file cannot be read.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// The URL cannot be read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The server says no.
    #[error("{0}: the server answers {1}")]
    Status(String, u16),
    /// Anyone on the way could change it.
    #[error("{0}: a list must come over https://, or from a file, or from this machine itself")]
    Insecure(String),
    /// It is no list.
    #[error("{0}: {1}")]
    Parse(String, LogListError),
    /// The state cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What became of a list's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Logs that are followed from now on.
    pub added: usize,
    /// Logs that were followed, with the same key.
    pub known: usize,
    /// Why others are not followed as the list says.
    pub refused: Vec<String>,
    /// Entries that could not be read.
    pub skipped: Vec<String>,
}

/// Reads a list from a file or a URL.
///
/// # Errors
/// [`ListError`].
pub async fn read(source: &str, fetcher: &Fetcher) -> Result<Vec<u8>, ListError> {
    if !source.contains("://") {
        return read_file(Path::new(source)).map_err(|error| ListError::File(source.to_owned(), error));
    }
    if !source.starts_with("https://") && !is_loopback(source) {
        return Err(ListError::Insecure(source.to_owned()));
    }
    let answer = fetcher.get(source, LIST_BYTES_MAX).await?;
    if answer.status.as_u16() == 200 {
        Ok(answer.body.to_vec())
    } else {
        Err(ListError::Status(source.to_owned(), answer.status.as_u16()))
    }
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    // One byte more than is accepted shows that it is too long.
    std::fs::File::open(path)?.take(LIST_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_loopback(source: &str) -> bool {
    let authority = source.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    let host = authority.map(|authority| authority.rsplit_once(':').map_or(authority, |(host, _)| host));
    matches!(host, Some("127.0.0.1" | "[::1]" | "localhost"))
}

/// Takes over a list. `own` are all keys of the witness.
///
/// # Errors
/// [`ListError`]; what was added before stays.
pub fn apply(
    state: &State,
    own: &[VerifierKey],
    source: &str,
    bytes: &[u8],
    seconds: u64,
) -> Result<Applied, ListError> {
    let list = LogList::parse(bytes).map_err(|error| ListError::Parse(source.to_owned(), error))?;
    let mut applied = Applied::default();
    for skipped in list.skipped {
        applied.skipped.push(format!("{source}, line {}: {}", skipped.line, skipped.reason));
    }
    let mut logs = Vec::new();
    for log in list.logs {
        let keys = vec![log.key];
        match check(&log.origin, &keys, own) {
            Ok(()) => logs.push(NewLog {
                origin: log.origin,
                keys,
                qpd: Some(log.qpd),
                contact: log.contact,
                source: source.to_owned(),
            }),
            Err(error) => applied.refused.push(format!("{}: {error}", log.origin)),
        }
    }
    for batch in logs.chunks(BATCH_LOGS) {
        for (log, added) in batch.iter().zip(state.add_logs(batch, seconds)?) {
            match added {
                Added::New => applied.added += 1,
                Added::Known => applied.known += 1,
                Added::OtherKeys => applied.refused.push(format!(
                    "{}: the list names another key than the one it is followed with; nothing was changed",
                    log.origin
                )),
            }
        }
    }
    Ok(applied)
}

/// What is counted.
#[derive(Clone, Debug)]
pub struct ListMetrics {
    pulls: IntCounterVec,
    logs: IntCounterVec,
}

impl ListMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            pulls: metrics.counters("daybook_witness_list_pulls_total", "Lists read, by outcome.", "outcome"),
            logs: metrics.counters(
                "daybook_witness_list_logs_total",
                "Logs on lists, by outcome.",
                "outcome",
            ),
        }
    }

    fn count(&self, applied: &Applied) {
        let counts = [
            ("added", applied.added),
            ("known", applied.known),
            ("refused", applied.refused.len()),
            ("malformed", applied.skipped.len()),
        ];
        for (outcome, count) in counts {
            self.logs.with_label_values(&[outcome]).inc_by(count as u64);
        }
    }
}

/// Follows one list until the end.
pub async fn follow(
    witness: Arc<Witness>,
    list: List,
    fetcher: Fetcher,
    metrics: ListMetrics,
    shutdown: Shutdown,
) {
    loop {
        let pulled = tokio::select! {
            pulled = pull(&witness, &list.source, &fetcher) => pulled,
            () = shutdown.asked() => return,
        };
        let pause = match &pulled {
            Ok(applied) => {
                metrics.pulls.with_label_values(&["ok"]).inc();
                metrics.count(applied);
                report(&list.source, applied);
                list.refresh.0
            }
            Err(error) => {
                metrics.pulls.with_label_values(&["failed"]).inc();
                tracing::error!(%error, "a list of logs was not taken over; what is followed stays as it is");
                list.refresh.0.min(RETRY)
            }
        };
        if ends_within(&shutdown, pause).await {
            return;
        }
    }
}

async fn pull(witness: &Arc<Witness>, source: &str, fetcher: &Fetcher) -> Result<Applied, ListError> {
    let bytes = read(source, fetcher).await?;
    let (witness, source) = (Arc::clone(witness), source.to_owned());
    let work = move || {
        let state = State::open_beside(&crate::init::state_path(&witness.dir))?;
        let applied = apply(&state, witness.all_keys(), &source, &bytes, witness.now())?;
        witness.refresh_roster()?;
        Ok(applied)
    };
    let failed = |error| ListError::File("list".to_owned(), std::io::Error::other(error));
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

fn report(source: &str, applied: &Applied) {
    let Applied { added, known, .. } = applied;
    if *added > 0 {
        tracing::info!(source, added, known, "new logs are followed");
    }
    for refused in &applied.refused {
        tracing::error!(source, "ALARM: a log on a list was refused: {refused}");
    }
    for skipped in &applied.skipped {
        tracing::warn!("an entry of a list was skipped: {skipped}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for yes in ["http://127.0.0.1:80/list", "http://[::1]:8080/l", "http://localhost/l"] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in [
            "http://lists.example/l",
            "http://127.0.0.1.example/l",
            "http://localhost@evil.example/l",
            "ftp://127.0.0.1/l",
        ] {
            assert!(!is_loopback(no), "{no}");
        }
    }
}
