//! The processes of the demonstration: the log, and the witnesses from the executable beside ours.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::failure::Failure;
use super::super::output::Output;

const WITNESS: &str = "daybook-witness";
const ANY_PORT: &str = "127.0.0.1:0";

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
    fn start<T: DeserializeOwned>(command: &mut Command) -> Result<(Self, T), Failure> {
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

/// Runs a command to its end and reads the document that it prints.
fn run<T: DeserializeOwned>(command: &mut Command) -> Result<T, Failure> {
    let done = command.stdin(Stdio::null()).output().map_err(Failure::failed)?;
    let said = String::from_utf8_lossy(&done.stdout);
    let read = serde_json::from_str(&said).ok().filter(|_| done.status.success());
    read.ok_or_else(|| Failure::Failed(format!("a step of the demonstration failed: {}", said.trim_end())))
}

fn ourselves() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(Failure::failed)
}

#[derive(Deserialize)]
pub(super) struct Made {
    pub(super) keys: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Listening {
    pub(super) url: String,
    pub(super) admin_url: String,
}

/// Makes a log.
pub(super) fn make_log(folder: &Path, origin: &str, policy: &Path) -> Result<Made, Failure> {
    run(Command::new(ourselves()?)
        .args(["init", "--json", "--origin", origin, "--admission", "open", "--witness-policy"])
        .args([policy, folder]))
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

/// Where the witness's executable is: beside ours, and in a checkout it is built there.
pub(super) fn find_witness(output: &Output) -> Result<PathBuf, Failure> {
    let ours = ourselves()?;
    let folder = ours.parent().unwrap_or(Path::new("."));
    let program = folder.join(WITNESS);
    let (cargo, checkout) = (std::env::var_os("CARGO"), std::env::var_os("CARGO_MANIFEST_DIR"));
    if let (Some(cargo), Some(checkout), Some(target)) = (cargo, checkout, folder.parent()) {
        output.say("   (building daybook-witness, if need be)\n");
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "--package", "witness", "--bin", WITNESS]);
        build.arg("--target-dir").arg(target).current_dir(checkout);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        // A failure shows in the missing file.
        let _ = build.stdin(Stdio::null()).stdout(Stdio::null()).status();
    }
    if program.is_file() {
        return Ok(program);
    }
    Err(Failure::Failed(format!(
        "the demonstration needs {WITNESS} in the same folder as this program, {}; install it there, or run \
         `cargo run --release -- demo` in a checkout",
        folder.display()
    )))
}

/// A witness: its directory, its keys, and its process while it runs.
pub(super) struct Witness {
    pub(super) name: &'static str,
    pub(super) url: String,
    program: PathBuf,
    folder: PathBuf,
    vkeys: Vec<String>,
    process: Option<Process>,
}

#[derive(Deserialize)]
struct Keys {
    vkeys: Vec<String>,
}

#[derive(Deserialize)]
struct Serving {
    witnesses: Vec<Reached>,
}

#[derive(Deserialize)]
struct Reached {
    url: String,
}

impl Witness {
    /// Makes a witness and starts it on any free port.
    pub(super) fn make(program: &Path, name: &'static str, folder: &Path) -> Result<Self, Failure> {
        let key_name = format!("{name}.example/witness");
        let keys: Keys =
            run(Command::new(program).args(["init", "--json", "--name", &key_name]).arg(folder))?;
        let mut witness = Self {
            name,
            url: format!("http://{ANY_PORT}"),
            program: program.to_owned(),
            folder: folder.to_owned(),
            vkeys: keys.vkeys,
            process: None,
        };
        witness.switch_on()?;
        Ok(witness)
    }

    /// Starts it, at the address that it had before.
    pub(super) fn switch_on(&mut self) -> Result<(), Failure> {
        let address = self.url.strip_prefix("http://").unwrap_or(ANY_PORT).to_owned();
        let mut command = Command::new(&self.program);
        command.args(["serve", "--json", "--listen", &address, "--admin", ANY_PORT]).arg(&self.folder);
        let (process, serving): (_, Serving) = Process::start(&mut command)?;
        let reached = serving.witnesses.into_iter().next();
        let reached =
            reached.ok_or_else(|| Failure::Failed("a witness does not say where it is".to_owned()))?;
        (self.process, self.url) = (Some(process), reached.url);
        Ok(())
    }

    /// Ends it at once, as a power cut would.
    pub(super) fn switch_off(&mut self) {
        self.process = None;
    }

    /// Makes it follow a log; it may be running.
    pub(super) fn follow(&self, log_key: &str) -> Result<(), Failure> {
        let mut command = Command::new(&self.program);
        command.args(["log", "add", "--json"]).arg(&self.folder).arg(log_key);
        run::<serde_json::Value>(&mut command).map(drop)
    }

    /// Its lines in a policy: its keys, any of which speaks for it.
    pub(super) fn policy_lines(&self) -> String {
        let (name, url) = (self.name, &self.url);
        let keys = self.vkeys.iter().zip(1..);
        let lines: String = keys.map(|(key, n)| format!("witness {name}-{n} {key} {url}\n")).collect();
        let members: String = (1..=self.vkeys.len()).map(|n| format!(" {name}-{n}")).collect();
        format!("{lines}group {name} any{members}\n")
    }
}
