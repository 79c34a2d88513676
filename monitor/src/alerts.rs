//! Alerts on their way out: a line of `alerts.ndjson` each, and a command where one is configured.
//!
//! An alert waits in the database from the transaction that holds its cause until it was delivered; a crash in between
//! repeats it. A command that fails is tried again, with longer pauses, and stops nothing but itself: lines go on, also
//! while it runs, and the next alert has its turn before the same one comes again.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Clock;
use daemon::shutdown::Shutdown;

use crate::case::CaseError;
use crate::folder::Folder;
use crate::store::{Alert, Store};

/// Pause between two looks for alerts.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a command may take.
const COMMAND_SECONDS_MAX: u64 = 60;
/// The first pause before a command is tried again.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest pause before a command is tried again.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// Alerts whose command may fail before there is a pause.
const FAILURES_MAX: u32 = 3;
/// Lines that are written together.
const LINES_MAX: u32 = 1000;
/// The file in the monitor's directory.
pub const FILE: &str = "alerts.ndjson";

/// Delivers alerts, in order.
pub struct Deliverer {
    store: Arc<Store>,
    folder: Folder,
    clock: Arc<dyn Clock>,
    command: Vec<String>,
    /// The last alert whose command failed; those after it come first.
    failed: i64,
    retry: Duration,
    retry_at: Duration,
}

impl std::fmt::Debug for Deliverer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliverer").field("command", &self.command).finish_non_exhaustive()
    }
}

impl Deliverer {
    /// Delivers what waits in this store.
    #[must_use]
    pub fn new(store: Arc<Store>, folder: Folder, clock: Arc<dyn Clock>, command: Vec<String>) -> Self {
        let retry = RETRY_MIN;
        Self { store, folder, clock, command, failed: 0, retry, retry_at: Duration::ZERO }
    }

    /// Delivers everything that waits, as far as the command lets it.
    ///
    /// # Errors
    /// [`CaseError`]: the alert file or the database cannot be written.
    pub fn deliver(&mut self) -> Result<(), CaseError> {
        self.write_lines()?;
        let mut failures = 0;
        while self.clock.monotonic() >= self.retry_at {
            let Some(alert) = self.store.next_alert(self.failed)? else { return Ok(()) };
            if failures > 0 && alert.id <= self.failed {
                // All others had their turn.
                self.pause();
                continue;
            }
            match self.run_command(&alert)? {
                Ok(()) => {
                    self.retry = RETRY_MIN;
                    self.store.delivered(alert.id, self.clock.unix_millis())?;
                }
                Err(error) => {
                    tracing::warn!(
                        error,
                        alert = alert.body,
                        "the alert command failed and will be tried again"
                    );
                    self.failed = alert.id;
                    failures += 1;
                    if failures == FAILURES_MAX {
                        self.pause();
                    }
                }
            }
        }
        Ok(())
    }

    fn pause(&mut self) {
        self.retry_at = self.clock.monotonic() + self.retry;
        self.retry = (self.retry * 2).min(RETRY_MAX);
    }

    /// A line for each alert that is none yet.
    fn write_lines(&self) -> Result<(), CaseError> {
        let path = self.folder.root().join(FILE);
        loop {
            let alerts = self.store.unwritten_alerts(LINES_MAX)?;
            let Some(last) = alerts.last() else { return Ok(()) };
            let lines: Vec<&str> = alerts.iter().map(|alert| alert.body.as_str()).collect();
            self.folder.append_line(Path::new(FILE), &lines.join("\n")).map_err(CaseError::io(&path))?;
            self.store.written(last.id, self.clock.unix_millis())?;
        }
    }

    /// Runs the command to its end; what is wrong with it is no error of ours.
    fn run_command(&self, alert: &Alert) -> Result<Result<(), String>, CaseError> {
        let mut child = match self.start_command(alert) {
            Ok(Some(child)) => child,
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        };
        let since = self.clock.monotonic();
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(Ok(())),
                Ok(Some(status)) => return Ok(Err(format!("the command ended with {status}"))),
                Ok(None) => (),
                Err(error) => return Ok(Err(error.to_string())),
            }
            if self.clock.monotonic().saturating_sub(since).as_secs() > COMMAND_SECONDS_MAX {
                // It may have ended just now.
                let _ = child.kill();
                let _ = child.wait();
                return Ok(Err(format!("the command took more than {COMMAND_SECONDS_MAX} s")));
            }
            self.write_lines()?;
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `None` where no command is configured.
    fn start_command(&self, alert: &Alert) -> Result<Option<Child>, String> {
        let Some((program, arguments)) = self.command.split_first() else { return Ok(None) };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        if let Some(mut input) = child.stdin.take() {
            // A command that does not read its input may still do its work.
            let _ = writeln!(input, "{}", alert.body);
        }
        Ok(Some(child))
    }

    /// Delivers until the end is asked for.
    ///
    /// # Errors
    /// As [`Deliverer::deliver`].
    pub fn run(mut self, shutdown: &Shutdown) -> Result<(), CaseError> {
        while !shutdown.is_asked() {
            self.deliver()?;
            std::thread::sleep(PAUSE);
        }
        self.deliver()
    }
}

#[cfg(test)]
mod tests {
    use daemon::clock::ManualClock;

    use super::*;
    use crate::store::Alarm;

    struct Bench {
        root: tempfile::TempDir,
        store: Arc<Store>,
        clock: Arc<ManualClock>,
    }

    impl Bench {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let store = Arc::new(Store::open(&root.path().join("monitor.sqlite"), 1).unwrap().0);
            Self { root, store, clock: Arc::new(ManualClock::new(1_790_000_000_000)) }
        }

        fn raise(&self, subject: &str) {
            let alarm = Alarm { origin: "log", kind: "damage", subject, detail: "", report: "alarms/1" };
            assert!(self.store.raise(&alarm, 1).unwrap());
        }

        /// Each alert goes to the file `told`, except those that `refuse` is in.
        fn deliverer(&self, refuse: &str) -> Deliverer {
            let told = self.root.path().join("told");
            let script = format!(
                "read line; case $line in *{refuse}*) exit 1;; esac; echo $line >> {}",
                told.display()
            );
            let command = ["sh", "-c", &script].map(str::to_owned).into();
            let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
            Deliverer::new(Arc::clone(&self.store), Folder::new(self.root.path()), clock, command)
        }

        fn lines(&self, file: &str) -> Vec<String> {
            let text = std::fs::read_to_string(self.root.path().join(file)).unwrap_or_default();
            text.lines().map(|line| line.split("object-").nth(1).unwrap()[..1].to_owned()).collect()
        }
    }

    #[test]
    fn a_command_that_fails_holds_up_no_line_and_no_line_comes_twice() {
        let bench = Bench::new();
        ["object-1", "object-2"].iter().for_each(|subject| bench.raise(subject));
        let mut broken = bench.deliverer("object");
        broken.deliver().unwrap();
        assert_eq!((bench.lines(FILE), bench.lines("told")), (vec!["1".to_owned(), "2".to_owned()], vec![]));
        bench.raise("object-3");
        broken.deliver().unwrap();
        assert_eq!(bench.lines(FILE), ["1", "2", "3"]);
        // Another process goes on where this one was.
        bench.deliverer("nothing").deliver().unwrap();
        assert_eq!((bench.lines(FILE), bench.lines("told")), (bench.lines("told"), bench.lines(FILE)));
        assert_eq!(bench.lines("told"), ["1", "2", "3"]);
    }

    #[test]
    fn an_alert_that_its_command_refuses_holds_up_no_other_and_is_tried_again() {
        let bench = Bench::new();
        ["object-1", "object-2", "object-3"].iter().for_each(|subject| bench.raise(subject));
        let mut deliverer = bench.deliverer("object-1");
        deliverer.deliver().unwrap();
        assert_eq!(bench.lines("told"), ["2", "3"]);
        bench.raise("object-4");
        deliverer.deliver().unwrap();
        assert_eq!(bench.lines("told"), ["2", "3"], "after a pause");
        bench.clock.advance(Duration::from_secs(1));
        deliverer.deliver().unwrap();
        assert_eq!(bench.lines("told"), ["2", "3", "4"]);
        bench.deliverer("nothing").deliver().unwrap();
        assert_eq!(bench.lines("told"), ["2", "3", "4", "1"]);
    }
}
