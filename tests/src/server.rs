//! A log served by the real executable, and an HTTP client that shows exactly what was answered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::note::Note;
use tlog::policy::Policy;

use crate::binaries::binary;
use crate::records::World;

/// The name of every log that is served.
pub const ORIGIN: &str = "log.example/http";
/// How long a test waits for an answer before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a `daybook` command to its end.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn daybook(args: &[&str]) -> Output {
    Command::new(binary("daybook")).args(args).stdin(Stdio::null()).output().expect("daybook starts")
}

/// A log in a temporary directory.
#[derive(Debug)]
pub struct Site {
    root: TempDir,
    /// What wraps the server's command, such as `strace` and its arguments.
    pub wrapper: Vec<String>,
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

impl Site {
    /// A new log with this admission.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new(admission: &str) -> Self {
        Self::with(admission, None)
    }

    /// A new log with this admission, and the witnesses of this policy where there is one.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn with(admission: &str, policy: Option<&Policy>) -> Self {
        let root = TempDir::new().expect("a temporary directory");
        let file = |name: &str| root.path().join(name).to_string_lossy().into_owned();
        let (genesis, witnesses) = (file("genesis.txt"), file("witnesses.txt"));
        let mut args = vec!["--admission", admission];
        if admission == "records" {
            std::fs::write(&genesis, World::new(ORIGIN).genesis()).expect("written");
            args.extend(["--genesis", genesis.as_str()]);
        }
        if let Some(policy) = policy {
            std::fs::write(&witnesses, policy.to_bytes()).expect("written");
            args.extend(["--witness-policy", witnesses.as_str()]);
        }
        Self::make(root, &args)
    }

    /// A new log, open to all, with the witnesses of this policy.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn with_policy(policy: &Policy) -> Self {
        Self::with("open", Some(policy))
    }

    /// A log that is in the folder `log` of this directory already.
    #[must_use]
    pub fn around(root: TempDir) -> Self {
        let site = Self { root, wrapper: Vec::new() };
        site.configure("free_space_min = \"512MiB\"", "free_space_min = \"1MiB\"");
        site
    }

    fn make(root: TempDir, args: &[&str]) -> Self {
        let site = Self { root, wrapper: Vec::new() };
        let dir = site.dir().to_string_lossy().into_owned();
        let made = daybook(&[&["init", "--origin", ORIGIN, dir.as_str()], args].concat());
        assert!(made.status.success(), "{made:?}");
        // Test machines are often full; the floor has a test of its own.
        site.configure("free_space_min = \"512MiB\"", "free_space_min = \"1MiB\"");
        site
    }

    /// Replaces a line of config.toml.
    ///
    /// # Panics
    /// If it is not there.
    pub fn configure(&self, line: &str, replacement: &str) {
        let path = self.dir().join("config.toml");
        let text = std::fs::read_to_string(&path).expect("a config");
        assert!(text.contains(line), "config.toml has {line:?}");
        std::fs::write(&path, text.replace(line, replacement)).expect("written");
    }

    /// The log's directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("log")
    }

    /// The folder around it.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The policy file.
    #[must_use]
    pub fn policy_path(&self) -> String {
        self.dir().join("policy.txt").to_string_lossy().into_owned()
    }

    /// The policy.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy::parse(&std::fs::read(self.policy_path()).expect("a policy")).expect("a policy")
    }

    /// Starts the server.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(&self) -> Server {
        self.try_start().unwrap_or_else(|said| panic!("the log does not start: {said}"))
    }

    /// Starts the server, or says what it said.
    ///
    /// # Errors
    /// What it printed, as JSON.
    ///
    /// # Panics
    /// If there is no executable.
    pub fn try_start(&self) -> Result<Server, String> {
        let program = binary("daybook").to_string_lossy().into_owned();
        let dir = self.dir().to_string_lossy().into_owned();
        let args =
            ["serve", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", &dir].map(str::to_owned);
        let words: Vec<String> = self.wrapper.iter().cloned().chain([program]).chain(args).collect();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .env("DAYBOOK_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let address = |name: &str| said[name].as_str()?.strip_prefix("http://")?.parse().ok();
        if let (Some(address), Some(admin)) = (address("url"), address("admin_url")) {
            return Ok(Server { child, address, admin });
        }
        let _ = child.wait();
        Err(line)
    }
}

impl Server {
    /// The log's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

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

    /// GET.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// POST with the type of an entry.
    #[must_use]
    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send("POST", path, &[("content-type", "application/octet-stream")], body)
    }

    /// Any request.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        exchange(self.address, method, path, headers, body).expect("an answer")
    }

    /// The value of a metric, by its name and labels; `None` if there is no such line.
    #[must_use]
    pub fn metric(&self, line: &str) -> Option<String> {
        let text = self.admin("/metrics");
        text.text().lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(' ').map(str::to_owned))
    }

    /// GET on the admin listener.
    #[must_use]
    pub fn admin(&self, path: &str) -> Answer {
        exchange(self.admin, "GET", path, &[], b"").expect("an answer")
    }

    /// Adds an entry.
    #[must_use]
    pub fn add(&self, entry: &[u8]) -> u64 {
        let answer = self.post("/add", entry);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().trim_end().parse().expect("an index")
    }

    /// The checkpoint, verified.
    #[must_use]
    pub fn checkpoint(&self, policy: &Policy) -> VerifiedCheckpoint {
        let note = Note::parse(&self.get("/checkpoint").body).expect("a note");
        policy.verify(&note).expect("the log's signature")
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

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own.
///
/// # Errors
/// If there is no complete answer.
pub fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        request.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(body);
    exchange_raw(address, &bytes)
}

/// Sends bytes as they are and reads until the other side closes.
///
/// # Errors
/// If there is no complete answer.
pub fn exchange_raw(address: SocketAddr, request: &[u8]) -> std::io::Result<Answer> {
    exchange_on(TcpStream::connect(address)?, request)
}

/// What one read gives, as a program that is stopped and goes on, or that is traced, must read: with a time limit on
/// a connection, the system says "interrupted" then.
///
/// # Errors
/// Whatever else reading fails for.
pub fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// The same on a connection that is there.
///
/// # Errors
/// If there is no complete answer.
pub fn exchange_on(mut stream: TcpStream, request: &[u8]) -> std::io::Result<Answer> {
    stream.set_read_timeout(Some(PATIENCE))?;
    // A server that refuses early may close before everything is sent.
    let _ = stream.write_all(request);
    let mut all = Vec::new();
    let ended = stream.read_to_end(&mut all);
    if all.is_empty() {
        ended?;
    }
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let split = all.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(cut)?;
    let head = std::str::from_utf8(&all[..split]).map_err(|_| cut())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let body = all[split + 4..].to_vec();
    let answer = Answer { status: status.ok_or_else(cut)?, headers, body };
    let promised: Option<usize> = answer.header("content-length").parse().ok();
    if promised.is_some_and(|promised| promised > answer.body.len()) && !request.starts_with(b"HEAD") {
        return Err(cut());
    }
    Ok(answer)
}
