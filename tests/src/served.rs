//! A log in process, served over HTTP by a clock that the test drives: for answers that depend on the time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use daemon::clock::{Clock, ManualClock, SystemRandom};
use daemon::listen::{self, Limits, ListenMetrics, Listener};
use daemon::metrics::Metrics;
use daemon::shutdown::Shutdown;
use daybook::http::HttpService;
use daybook::log::{Engine, Log};
use daybook::sequencer::Step;
use tokio::runtime::Runtime;

use crate::Running;
use crate::server::{Answer, exchange};

/// How long the engine waits for work before it looks whether it is to end.
const PATIENCE: Duration = Duration::from_millis(100);

/// A log that is served. It ends when it is dropped, as in a crash.
#[derive(Debug)]
pub struct Served {
    /// What handlers see.
    pub log: Arc<Log>,
    address: SocketAddr,
    engine: Option<JoinHandle<()>>,
    _runtime: Runtime,
}

impl Served {
    /// Serves a log that was stepped by hand until now.
    ///
    /// # Panics
    /// If there is no port; here and below.
    #[must_use]
    pub fn new(running: Running) -> Self {
        let Running { log, engine, clock } = running;
        let runtime = Runtime::new().expect("a runtime");
        let metrics = Metrics::new();
        let connections = ListenMetrics(metrics.counters("connections_total", "Connections.", "outcome"));
        let time = Arc::clone(&clock) as Arc<dyn Clock>;
        let service = HttpService::new(Arc::clone(&log), &time, Arc::new(SystemRandom), &metrics);
        let any = "127.0.0.1:0".parse().expect("an address");
        let listener = runtime.block_on(Listener::bind(any, None)).expect("a port");
        let address = listener.address().expect("an address");
        runtime.spawn(listen::serve(listener, service, Limits::default(), Shutdown::new(), connections));
        let engine = std::thread::spawn(move || work(engine, &clock));
        Self { log, address, engine: Some(engine), _runtime: runtime }
    }

    /// Any request.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        exchange(self.address, method, path, headers, body).expect("an answer")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.log.pool.end();
        if let Some(engine) = self.engine.take() {
            // One that panicked has failed the test by the answers that it did not give.
            let _ = engine.join();
        }
    }
}

/// Commits and publishes what comes, batch after batch.
fn work(mut engine: Engine, clock: &ManualClock) {
    loop {
        match engine.sequencer.step(PATIENCE).expect("the sequencer lives") {
            Step::Ended => return,
            Step::Committed => {
                // The next head has to be later.
                clock.advance(Duration::from_millis(1));
                let _ = engine.publisher.step(Duration::ZERO).expect("the publisher lives");
            }
            Step::Idle | Step::Refused => (),
        }
    }
}
