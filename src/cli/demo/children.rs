//! The processes of the demonstration: our own commands, and the servers beside our executable.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::failure::{EXIT_WRONG, Failure};
use super::super::output::Output;

/// The witness's executable, and the package that it is built from.
pub(super) const WITNESS: (&str, &str) = ("daybook-witness", "witness");
/// The monitor's.
pub(super) const MONITOR: (&str, &str) = ("daybook-monitor", "monitor");
/// The package that `cargo run` runs.
const OUR_PACKAGE: &str = env!("CARGO_PKG_NAME");
/// An address that the system chooses.
pub(super) const ANY_PORT: &str = "127.0.0.1:0";

/// Ports below those that systems give to outgoing connections.
const PORTS: Range<u16> = 12_000..30_000;
/// So far apart begin two demonstrations that run at once to look for ports.
const PORTS_APART: u32 = 97;

/// An address at which nobody listens, another one each time. It stays free while its server is switched off: an address that
/// the system chooses could be given to a connection meanwhile.
pub(super) fn free_address() -> Result<String, Failure> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(PORTS.end - PORTS.start);
    let first = std::process::id().wrapping_mul(PORTS_APART);
    for _ in 0..count {
        let at = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % count;
        let port = u16::try_from(at).map_or(PORTS.start, |at| PORTS.start + at);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(format!("{}:{port}", Ipv4Addr::LOCALHOST));
        }
    }
    Err(Failure::Failed(format!("every port from {} to {} is in use", PORTS.start, PORTS.end)))
}

/// A process, ended with the demonstration.
pub(super) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Starts a server and reads the line in which it says where it is.
    pub(super) fn start<T: DeserializeOwned>(command: &mut Command) -> Result<(Self, T), Failure> {
        // What the demonstration provokes is told by itself.
        let mut child = command
            .env("DAYBOOK_LOG", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::failed)?;
        let stdout = child.stdout.take();
        let process = Self(child);
        let mut line = String::new();
        let read = stdout.map(|stdout| BufReader::new(stdout).read_line(&mut line));
        read.transpose().map_err(Failure::failed)?;
        let said = serde_json::from_str(&line)
            .map_err(|_| Failure::Failed(format!("a server did not start: {}", line.trim_end())))?;
        Ok((process, said))
    }

    pub(super) fn wait(&mut self) {
        let _ = self.0.wait();
    }
}

/// Runs a command to its end and reads the document that it prints; whether it succeeded comes with it.
pub(super) fn said<T: DeserializeOwned>(command: &mut Command) -> Result<(T, bool), Failure> {
    let done = command.stdin(Stdio::null()).output().map_err(Failure::failed)?;
    let said = String::from_utf8_lossy(&done.stdout);
    let read = serde_json::from_str(&said);
    let read =
        read.map_err(|_| Failure::Failed(format!("a step of the demonstration failed: {}", said.trim_end())));
    Ok((read?, done.status.success()))
}

/// Runs a command that must succeed.
pub(super) fn run<T: DeserializeOwned>(command: &mut Command) -> Result<T, Failure> {
    let (document, succeeded): (serde_json::Value, bool) = said(command)?;
    let read = serde_json::from_value(document.clone()).ok().filter(|_| succeeded);
    read.ok_or_else(|| Failure::Failed(format!("a step of the demonstration failed: {document}")))
}

/// Our own executable.
pub(super) fn ourselves() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(Failure::failed)
}

#[derive(Deserialize)]
pub(super) struct Made {
    pub(super) keys: Vec<String>,
    /// The leaf hash of entry 0.
    pub(super) genesis: String,
}

#[derive(Deserialize)]
pub(super) struct Listening {
    pub(super) url: String,
    pub(super) admin_url: String,
}

/// Makes a log of records.
pub(super) fn make_log(
    folder: &Path,
    origin: &str,
    genesis: &Path,
    witnesses: &Path,
) -> Result<Made, Failure> {
    run(Command::new(ourselves()?)
        .args(["init", "--json", "--origin", origin, "--admission", "records", "--genesis"])
        .arg(genesis)
        .arg("--witness-policy")
        .args([witnesses, folder]))
}

/// Serves a log.
pub(super) fn serve_log(folder: &Path) -> Result<(Process, Listening), Failure> {
    let mut command = Command::new(ourselves()?);
    Process::start(command.args(["serve", "--json", "--listen", ANY_PORT, "--admin", ANY_PORT]).arg(folder))
}

#[derive(Deserialize)]
struct Checked {
    proved: bool,
}

/// `daybook verify-evidence`, as anybody would run it.
pub(super) fn verify_evidence(file: &Path, key: &str) -> Result<bool, Failure> {
    let mut command = Command::new(ourselves()?);
    let checked: Checked = run(command.args(["verify-evidence", "--json", "--key", key]).arg(file))?;
    Ok(checked.proved)
}

/// `daybook verify`, as anybody would run it: whether the file is the one that its receipt beside it is for.
pub(super) fn verify(file: &Path, receipt: &Path, policy: &Path) -> Result<bool, Failure> {
    let mut command = Command::new(ourselves()?);
    command.arg("verify").args([file, receipt]).arg("--policy").arg(policy);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match status.map_err(Failure::failed)?.code() {
        Some(0) => Ok(true),
        Some(EXIT_WRONG) => Ok(false),
        code => Err(Failure::Failed(format!("daybook verify {} ends with {code:?}", file.display()))),
    }
}

/// Where the executables of witness and monitor are: beside ours, and for `cargo run` they are built there.
pub(super) fn find(output: &Output) -> Result<[PathBuf; 2], Failure> {
    let ours = ourselves()?;
    let folder = ours.parent().unwrap_or(Path::new("."));
    let (cargo, checkout) = (std::env::var_os("CARGO"), std::env::var_os("CARGO_MANIFEST_DIR"));
    let cargo = cargo.filter(|_| std::env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == OUR_PACKAGE));
    if let (Some(cargo), Some(checkout), Some(target)) = (cargo, checkout, folder.parent()) {
        output.say(
            "   (building daybook-witness and daybook-monitor, if need be; the first time takes minutes)\n",
        );
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked"]);
        for (program, package) in [WITNESS, MONITOR] {
            build.args(["--package", package, "--bin", program]);
        }
        build.arg("--target-dir").arg(target).current_dir(checkout);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        // A failure shows in the missing file.
        let _ = build.stdin(Stdio::null()).stdout(Stdio::null()).status();
    }
    let found = [WITNESS.0, MONITOR.0].map(|program| folder.join(program));
    match found.iter().find(|program| !program.is_file()) {
        None => Ok(found),
        Some(missing) => Err(Failure::Failed(format!(
            "the demonstration needs {}; install it there, or run `cargo run --release -- demo` in a checkout",
            missing.display()
        ))),
    }
}
