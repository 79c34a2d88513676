//! Witnesses: served by the real executable, or in process where the test drives the clock and the steps.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use daemon::clock::{Clock, SystemRandom};
use daemon::metrics::Metrics;
use tempfile::TempDir;
use tlog::note::{Note, SignatureLine};
use tlog::vkey::VerifierKey;
use tlog::witness_wire::{AddCheckpoint, parse_cosignatures};
use witness::init::{init, open};
use witness::probe::Probe;
use witness::witness::Witness;
use witness::writer::{WriterError, WriterMetrics};

use crate::binaries::binary;
use crate::server::{Answer, exchange};
use crate::testlog::TestLog;

const ANY_PORT: &str = "127.0.0.1:0";

/// Runs a `daybook-witness` command to its end.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn daybook_witness(args: &[&str]) -> Output {
    Command::new(binary("daybook-witness")).args(args).stdin(Stdio::null()).output().expect("it starts")
}

/// A witness in a temporary directory.
#[derive(Debug)]
pub struct WitnessSite {
    _root: Option<TempDir>,
    dir: PathBuf,
    /// Its verifier keys: Ed25519, then ML-DSA-44.
    pub keys: Vec<VerifierKey>,
}

/// A running process with one or several witnesses; killed when dropped.
#[derive(Debug)]
pub struct WitnessServer {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    /// What it said when it was ready.
    pub said: serde_json::Value,
}

impl Default for WitnessSite {
    fn default() -> Self {
        Self::new()
    }
}

impl WitnessSite {
    /// A new witness named `witness.example/w1`.
    #[must_use]
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// A new witness, made with more arguments.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn with(args: &[&str]) -> Self {
        Self::aside("witness.example/w1", args)
    }

    /// A new witness of this name.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::aside(name, &[])
    }

    fn aside(name: &str, args: &[&str]) -> Self {
        let root = TempDir::new().expect("a temporary directory");
        let site = Self::make(&root.path().join("witness"), name, args);
        Self { _root: Some(root), ..site }
    }

    /// A new witness in this directory, made with more arguments.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn at(dir: &Path, args: &[&str]) -> Self {
        Self::make(dir, "witness.example/w1", args)
    }

    fn make(dir: &Path, name: &str, args: &[&str]) -> Self {
        let path = dir.to_string_lossy().into_owned();
        let words = [&["init", "--json", "--name", name, &path], args].concat();
        let made = daybook_witness(&words);
        assert!(made.status.success(), "{made:?}");
        let said: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
        let keys = said["vkeys"].as_array().expect("keys").iter();
        let keys = keys.map(|key| key.as_str().and_then(|key| key.parse().ok()).expect("a key")).collect();
        Self { _root: None, dir: dir.to_owned(), keys }
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    /// The folder around it.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.dir.parent().expect("a folder around it")
    }

    /// Runs a command on it: `words`, then the directory, then `rest`.
    #[must_use]
    pub fn run(&self, words: &[&str], rest: &[&str]) -> Output {
        let dir = self.dir().to_string_lossy().into_owned();
        daybook_witness(&[words, &[dir.as_str()], rest].concat())
    }

    /// Follows a log.
    ///
    /// # Panics
    /// If it is refused.
    pub fn follow(&self, log: &TestLog, rest: &[&str]) {
        let added =
            self.run(&["log", "add"], &[&[log.vkey().as_str(), "--origin", &log.origin], rest].concat());
        assert!(added.status.success(), "{added:?}");
    }

    /// Appends to config.toml.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn configure(&self, more: &str) {
        let path = self.dir().join("config.toml");
        let text = std::fs::read_to_string(&path).expect("a config");
        std::fs::write(&path, format!("{text}\n{more}\n")).expect("written");
    }

    /// Starts it.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(&self) -> WitnessServer {
        self.try_start().unwrap_or_else(|said| panic!("the witness does not start: {said}"))
    }

    /// Starts it, or says what it said.
    ///
    /// # Errors
    /// What it printed.
    pub fn try_start(&self) -> Result<WitnessServer, String> {
        serve(&[self.dir()])
    }
}

/// Serves witnesses in one process.
///
/// # Errors
/// What it printed.
///
/// # Panics
/// If there is no executable.
pub fn serve(dirs: &[PathBuf]) -> Result<WitnessServer, String> {
    serve_as(&[], dirs, ANY_PORT)
}

/// The same at this address.
///
/// # Errors
/// What it printed.
///
/// # Panics
/// If there is no executable.
pub fn serve_at(dirs: &[PathBuf], address: &str) -> Result<WitnessServer, String> {
    serve_as(&[], dirs, address)
}

/// The same under another program, such as `strace` and its arguments.
///
/// # Errors
/// What it printed.
///
/// # Panics
/// If there is no executable.
pub fn serve_under(wrapper: &[String], dirs: &[PathBuf]) -> Result<WitnessServer, String> {
    serve_as(wrapper, dirs, ANY_PORT)
}

fn serve_as(wrapper: &[String], dirs: &[PathBuf], address: &str) -> Result<WitnessServer, String> {
    let program = binary("daybook-witness").to_string_lossy().into_owned();
    let words: Vec<String> = wrapper.iter().cloned().chain([program]).collect();
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .args(["serve", "--json", "--listen", address, "--admin", ANY_PORT])
        .args(dirs)
        .env("DAYBOOK_LOG", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
    let address = |name: &str| said[name].as_str()?.strip_prefix("http://")?.parse().ok();
    if let (Some(address), Some(admin)) = (address("url"), address("admin_url")) {
        return Ok(WitnessServer { child, address, admin, said });
    }
    let _ = child.wait();
    Err(line)
}

impl WitnessServer {
    /// The public address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Any request.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        exchange(self.address, method, path, &[], body).expect("an answer")
    }

    /// `add-checkpoint`, whatever the body.
    #[must_use]
    pub fn add_bytes(&self, body: &[u8]) -> Answer {
        self.send("POST", "/add-checkpoint", body)
    }

    /// `add-checkpoint`.
    #[must_use]
    pub fn add(&self, request: &AddCheckpoint) -> Answer {
        self.add_bytes(&request.to_bytes())
    }

    /// GET.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, b"")
    }

    /// The number of evidence files that are kept.
    ///
    /// # Panics
    /// If it does not say.
    #[must_use]
    pub fn evidence(&self) -> u64 {
        self.get("/evidence").json()["total"].as_u64().expect("a number")
    }

    /// A metric's value; 0 if there is none.
    ///
    /// # Panics
    /// If it is no number.
    #[must_use]
    pub fn metric(&self, name: &str) -> u64 {
        let text = exchange(self.admin, "GET", "/metrics", &[], b"").expect("an answer");
        let line = text
            .text()
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.map_or(0, |value| value.parse().expect("a number"))
    }

    /// GET on the admin listener.
    #[must_use]
    pub fn admin(&self, path: &str) -> Answer {
        exchange(self.admin, "GET", path, &[], b"").expect("an answer")
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Ends it in order; its exit code.
    #[must_use]
    pub fn stop(mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
        self.child.wait().expect("gone").code().unwrap_or(-1)
    }
}

impl Drop for WitnessServer {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The cosignatures in an answer, each verified under the checkpoint that was sent: whose, and when.
///
/// # Panics
/// If the answer is no success, or a cosignature does not hold.
#[must_use]
pub fn cosigned(answer: &Answer, checkpoint: &Note, keys: &[VerifierKey]) -> Vec<(VerifierKey, u64)> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let lines = parse_cosignatures(&answer.body).expect("signature lines");
    verified(&lines, checkpoint, keys)
}

/// The same for lines.
///
/// # Panics
/// If a cosignature does not hold.
#[must_use]
pub fn verified(lines: &[SignatureLine], checkpoint: &Note, keys: &[VerifierKey]) -> Vec<(VerifierKey, u64)> {
    let note = checkpoint.with_signatures(lines.to_vec()).expect("a note");
    let verified = note.verify(keys).expect("cosignatures of this witness");
    verified.iter().map(|one| (one.key.clone(), one.cosigned_at.expect("a time"))).collect()
}

/// A witness in process: its clock and its steps are the test's.
#[derive(Debug)]
pub struct InProcess {
    /// The witness.
    pub witness: Arc<Witness>,
    writer: Option<JoinHandle<Result<(), WriterError>>>,
}

impl InProcess {
    /// Makes a witness in `dir` that follows these logs.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn make(dir: &Path, logs: &[&TestLog], clock: &dyn Clock) -> Vec<VerifierKey> {
        let name = "witness.example/w1".parse().expect("a name");
        let keys = init(dir, &name, None, clock, &SystemRandom).expect("a witness");
        let state = witness::state::State::open_beside(&witness::init::state_path(dir)).expect("a state");
        let logs: Vec<_> = logs
            .iter()
            .map(|log| witness::state::roster::NewLog {
                origin: log.origin.parse().expect("an origin"),
                keys: vec![log.signer.verifier_key()],
                qpd: None,
                contact: String::new(),
                source: "operator".to_owned(),
            })
            .collect();
        state.add_logs(&logs, 1).expect("added");
        keys
    }

    /// Starts the witness in `dir`.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(dir: &Path, clock: Arc<dyn Clock>, probe: Probe) -> Self {
        let opened = open(dir, &*clock).expect("it opens");
        let metrics = WriterMetrics::new(&Metrics::new());
        let (witness, writer) = Witness::new(opened, clock, probe, metrics).expect("a witness");
        let writer = std::thread::spawn(move || writer.run());
        Self { witness: Arc::new(witness), writer: Some(writer) }
    }

    /// Ends it in order.
    ///
    /// # Panics
    /// If someone else still holds the witness.
    pub fn end(mut self) -> Result<(), WriterError> {
        let writer = self.writer.take().expect("it runs");
        assert_eq!(Arc::strong_count(&self.witness), 1, "nobody else holds the witness");
        drop(self);
        writer.join().expect("no panic")
    }
}

/// Waits until something is so, for a bounded time.
///
/// # Panics
/// If it never is.
pub fn wait_for(mut so: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("it did not come about");
}
