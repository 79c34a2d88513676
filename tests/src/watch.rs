//! A monitor in a temporary directory, moved by hand, with a clock that the test drives.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::clock::{Clock, ManualClock};
use daemon::shutdown::Shutdown;
use monitor::case::Case;
use monitor::config::Config;
use monitor::follow::Follower;
use monitor::run::Monitor;
use monitor::verdict::{State, Verdict};
use record::evidence::file::{EvidenceFile, keys_of};
use tempfile::TempDir;
use tlog::policy::Policy;
use tokio::runtime::Runtime;

use crate::START;
use crate::minimal::{self, Said};

/// A monitor of one log.
#[derive(Debug)]
pub struct Watch {
    root: TempDir,
    policy: String,
    /// Time.
    pub clock: Arc<ManualClock>,
    opened: Option<Opened>,
}

#[derive(Debug)]
struct Opened {
    monitor: Monitor,
    follower: Follower,
    _runtime: Runtime,
}

impl Watch {
    /// Watches the log at these sources.
    ///
    /// # Panics
    /// Here and below, if anything of our own fails.
    #[must_use]
    pub fn new(origin: &str, sources: &[String], policy: &str, more: &str) -> Self {
        let root = TempDir::new().expect("a temporary directory");
        std::fs::write(root.path().join("policy.txt"), policy).expect("written");
        let text = format!(
            "[fetch]\ntotal_timeout = \"1s\"\n[[log]]\norigin = {origin:?}\nsource = {sources:?}\n\
             policy = \"policy.txt\"\n{more}\n"
        );
        std::fs::write(root.path().join("monitor.toml"), text).expect("written");
        let clock = Arc::new(ManualClock::new(START));
        let mut watch = Self { root, policy: policy.to_owned(), clock, opened: None };
        watch.restart();
        watch
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.root.path()
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.clock.unix_millis() / 1000
    }

    /// Ends the monitor without a word, as a crash would, and leaves its directory to be touched.
    pub fn end(&mut self) {
        self.opened = None;
    }

    /// Ends the monitor, and starts it again.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.end();
        let runtime = Runtime::new().expect("a runtime");
        let (config, logs) = Config::load(self.dir()).expect("a configuration");
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let monitor =
            Monitor::open(self.dir(), config, logs, clock, runtime.handle().clone()).expect("a monitor");
        let follower = Follower::new(Arc::clone(&monitor.cases[0]), Shutdown::new()).expect("a follower");
        self.opened = Some(Opened { monitor, follower, _runtime: runtime });
    }

    fn opened(&self) -> &Opened {
        self.opened.as_ref().expect("the monitor was not ended")
    }

    /// The monitor.
    #[must_use]
    pub fn monitor(&self) -> &Monitor {
        &self.opened().monitor
    }

    /// The log.
    #[must_use]
    pub fn case(&self) -> &Arc<Case> {
        &self.monitor().cases[0]
    }

    /// Looks, and says what is known then.
    ///
    /// # Panics
    /// If the monitor fails.
    pub fn round(&mut self) -> Verdict {
        self.opened.as_mut().expect("not ended").follower.round().expect("the monitor goes on");
        self.verdict()
    }

    /// Asks witnesses and other monitors.
    ///
    /// # Panics
    /// If the monitor fails.
    pub fn crosscheck(&self) -> Vec<monitor::crosscheck::Other> {
        let monitor = self.monitor();
        self.case().crosscheck(&monitor.network, &monitor.config.peers).expect("the monitor goes on")
    }

    /// What is known.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.case().verdict()
    }

    /// Entries under the verified head.
    #[must_use]
    pub fn verified(&self) -> Option<u64> {
        Some(self.case().verified()?.head().size.get())
    }

    /// The forms of all evidence files, sorted; each is verified with the keys of the policy.
    ///
    /// # Panics
    /// If one does not hold.
    #[must_use]
    pub fn evidence(&self) -> Vec<&'static str> {
        let policy = Policy::parse(self.policy.as_bytes()).expect("a policy");
        let keys = keys_of(&policy);
        let mut forms: Vec<&'static str> = self
            .evidence_files()
            .iter()
            .map(|file| {
                let bytes = std::fs::read(file).expect("a file");
                let evidence = EvidenceFile::parse(&bytes).expect("evidence");
                evidence.verify(&keys).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                evidence.form()
            })
            .collect();
        forms.sort_unstable();
        forms
    }

    /// The evidence files.
    ///
    /// # Panics
    /// If the folder cannot be read.
    #[must_use]
    pub fn evidence_files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.dir().join("evidence")).expect("a folder");
        files.map(|file| file.expect("a file").path()).collect()
    }

    /// The sorts of the open alarms, sorted; each has a report that says that it is none of evidence.
    ///
    /// # Panics
    /// If a report is missing.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        let all = self.case().store.alarms(self.case().origin()).expect("alarms");
        let open = all.into_iter().filter(|alarm| alarm.cleared_at.is_none());
        let mut kinds: Vec<String> = open
            .map(|alarm| {
                let report = std::fs::read(self.dir().join(&alarm.report)).expect("a report");
                let refused = EvidenceFile::parse(&report).expect_err("a report is no evidence").to_string();
                assert!(refused.contains("alarm report"), "{refused}");
                alarm.kind
            })
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// How often an alert told that an alarm of this sort was raised, and how often that it was cleared.
    ///
    /// # Panics
    /// If the alerts cannot be read.
    #[must_use]
    pub fn told(&self, kind: &str) -> (usize, usize) {
        let alerts = self.case().store.alerts_after(0, 10_000).expect("alerts");
        let bodies: Vec<serde_json::Value> =
            alerts.iter().map(|alert| serde_json::from_str(&alert.body).expect("JSON")).collect();
        let count =
            |event: &str| bodies.iter().filter(|body| body["kind"] == kind && body["event"] == event).count();
        (count("raised"), count("cleared"))
    }

    /// Requires a log that was caught: state, evidence, and that neither time nor a restart clears it.
    ///
    /// # Panics
    /// If anything is otherwise.
    pub fn assert_caught(&mut self, forms: &[&str]) {
        assert_eq!(self.verdict().state, State::Misbehaving, "{:?}", self.verdict());
        assert_eq!(self.evidence(), forms);
        let policy = Policy::parse(self.policy.as_bytes()).expect("a policy");
        let keys: Vec<String> = keys_of(&policy).iter().map(ToString::to_string).collect();
        let minimal = minimal::verify(&self.evidence_files(), &keys);
        assert!(minimal.iter().all(|said| *said == Said::Proved), "{minimal:?}");
        let verified = self.verified();
        assert_eq!(self.round().state, State::Misbehaving);
        self.restart();
        assert_eq!(self.verdict().state, State::Misbehaving);
        self.end();
        for file in ["monitor.sqlite", "monitor.sqlite-wal", "monitor.sqlite-shm"] {
            // Two of them may not be there.
            let _ = std::fs::remove_file(self.dir().join(file));
        }
        self.restart();
        assert_eq!(self.verdict().state, State::Misbehaving, "also without its database");
        assert_eq!(self.round().state, State::Misbehaving);
        assert_eq!(self.verified(), None, "nothing moves any more");
        let _ = verified;
        assert_eq!(self.evidence(), forms);
    }
}
