//! An answer for a connection that is one too many, so that its client learns why and when to come back.
//!
//! Only over plain HTTP: a handshake would cost more than the connection that is refused. Few are answered at a time;
//! beyond that a connection is just closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// Refusals that are being written at the same time.
const REFUSALS_MAX: usize = 64;
/// How long a refused client has to take its answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Clients are asked back after 1 second and up to this many more.
const SPREAD_SECONDS: u16 = 4;

/// Answers connections that are over a limit.
#[derive(Clone, Debug)]
pub(super) struct Refusals(Arc<Semaphore>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(REFUSALS_MAX)))
    }
}

/// Which limit a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The one for all clients together.
    All,
    /// The one for each address.
    Client,
}

impl Over {
    /// The metric label.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::All => "over_limit",
            Self::Client => "over_client_limit",
        }
    }

    fn problem(self) -> Problem {
        match self {
            Self::All => {
                let detail =
                    "The server has as many connections as it takes. Try again after the time given.";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", detail)
            }
            Self::Client => {
                let detail = "Too many connections come from your address. Close some, or use each for more than one \
                              request.";
                Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too-many-connections",
                    "Too many connections",
                    detail,
                )
            }
        }
    }
}

impl Refusals {
    /// Answers in the background and closes the connection.
    pub(super) fn refuse(&self, stream: TcpStream, client: SocketAddr, over: Over) {
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else { return };
        tokio::spawn(async move {
            // Whether the client takes its answer is its own affair.
            let _ = tokio::time::timeout(PATIENCE, answer(stream, client, over)).await;
            drop(permit);
        });
    }
}

async fn answer(mut stream: TcpStream, client: SocketAddr, over: Over) -> std::io::Result<()> {
    // Ports differ from connection to connection, which spreads the time of return.
    let seconds = 1 + u32::from(client.port() % (SPREAD_SECONDS + 1));
    stream.write_all(&over.problem().retry_after(seconds).to_http1()).await?;
    stream.shutdown().await?;
    // A close with unread bytes would take the answer away again.
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}
