//! `daybook demo`: the whole system on sample records, with the log as a process of its own, and a check by an
//! outsider who has nothing but a URL and a policy file.

use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clap::Args;
use serde::Deserialize;
use serde::Serialize;
use tlog::hash::leaf_hash;
use tlog::policy::Policy;
use tlog::tlog_proof::TlogProof;

use super::failure::Failure;
use super::output::Output;
use super::trust::checkpoint;
use crate::fsck::fsck;
use crate::prove::Prover;
use crate::source::Source;
use crate::submit::Submitter;

/// Sample records: notices of an invented town.
const SAMPLES: &str = include_str!("../../deploy/samples/notices.ndjson");
const ORIGIN: &str = "log.seaton.example/notices";

#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Keep the log running at the end, until Ctrl-C; on a terminal it always is.
    #[arg(long)]
    stay: bool,
    /// Make the log in this directory, which must not exist, and leave it there.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct Shown {
    url: String,
    origin: String,
    entries: u64,
    root_hash: String,
    checked_entry: u64,
    forged_entry_refused: bool,
    directory: PathBuf,
}

#[derive(Deserialize)]
struct Listening {
    url: String,
}

/// The log, ended with the demonstration.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Demo {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let stay = self.stay || (std::io::stdin().is_terminal() && !output.json);
        let temporary =
            tempfile::Builder::new().prefix("daybook-demo-").tempdir().map_err(Failure::failed)?;
        let folder = self.dir.unwrap_or_else(|| temporary.path().join("log"));
        output.say("1. A town makes a log and serves it.\n");
        let (mut server, url) = start(&folder)?;
        output.say(&format!("   {ORIGIN} is served at {url} by a process of its own.\n"));

        let records: Vec<&str> = SAMPLES.lines().collect();
        output.say(&format!("2. Its offices enter {} public notices.\n", records.len()));
        let submitter = Submitter::new(&url).map_err(Failure::failed)?;
        for record in &records {
            let index = submitter.add(record.as_bytes()).map_err(super::add::failed)?;
            output.say(&format!("   {index:>3}  {}", title(record)));
        }

        output.say(
            "\n3. A reader checks. The reader has the URL and the policy file, and believes nothing else.\n",
        );
        let policy_path = folder.join("policy.txt");
        let shown = outsider(&url, &policy_path, output, &folder)?;
        output.result(&shown, || next_steps(&shown, &policy_path, stay));
        if stay {
            // Ctrl-C ends both this process and the log; a log that ends otherwise ends the wait.
            let _ = server.0.wait();
        }
        Ok(())
    }
}

fn title(record: &str) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_str(record).ok();
    parsed.and_then(|record| record["title"].as_str().map(str::to_owned)).unwrap_or_default()
}

fn start(folder: &Path) -> Result<(Server, String), Failure> {
    let program = std::env::current_exe().map_err(Failure::failed)?;
    let made = Command::new(&program)
        .args(["init", "--json", "--origin", ORIGIN, "--admission", "open"])
        .arg(folder)
        .output()
        .map_err(Failure::failed)?;
    if !made.status.success() {
        return Err(Failure::Failed(format!(
            "the log was not made: {}",
            String::from_utf8_lossy(&made.stdout)
        )));
    }
    let mut child = Command::new(&program)
        .args(["serve", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .arg(folder)
        .env("DAYBOOK_LOG", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Failure::failed)?;
    let stdout = child.stdout.take();
    let server = Server(child);
    let mut line = String::new();
    let read = stdout.map(|stdout| BufReader::new(stdout).read_line(&mut line));
    read.transpose().map_err(Failure::failed)?;
    let listening: Listening = serde_json::from_str(&line)
        .map_err(|_| Failure::Failed(format!("the log did not start: {}", line.trim_end())))?;
    Ok((server, listening.url))
}

/// Prints only what was fetched and checked.
fn outsider(url: &str, policy: &Path, output: &Output, folder: &Path) -> Result<Shown, Failure> {
    let bytes = std::fs::read(policy).map_err(Failure::file(policy))?;
    let policy = Policy::parse(&bytes).map_err(Failure::malformed)?;
    let source = Source::open(url)?;
    let checkpoint = checkpoint(&source, &policy)?;
    let head = checkpoint.head();
    output.say(&format!("   The signature is right: {} entries, root {}.", head.size, head.root.to_base64()));

    let mut entries = Vec::new();
    let report = fsck(&source, head, &mut |_, entry| entries.push(entry.to_vec()), &mut |_| ())?;
    Failure::unless_good(&report)?;
    output.say(&format!("   All {} entries were fetched and hash to that root.", report.entries_good));

    let index = tlog::ids::LeafIndex::new(head.size.get() / 2).map_err(Failure::failed)?;
    let (entry, inclusion) = Prover::new(source).entry(index, head)?;
    let note = checkpoint.note().clone();
    let receipt = TlogProof { extra: None, index, proof: inclusion.proof, checkpoint: note };
    receipt.verify(&leaf_hash(&entry), &policy).map_err(Failure::wrong)?;
    let (file, proof) = (folder.join("notice.json"), folder.join("notice.json.tlog-proof"));
    std::fs::write(&file, &entry).map_err(Failure::file(&file))?;
    std::fs::write(&proof, receipt.to_bytes()).map_err(Failure::file(&proof))?;
    output.say(&format!("   Entry {index} and its receipt verify without the log."));

    let forged = String::from_utf8_lossy(&entry).replacen('1', "9", 1);
    let refused = receipt.verify(&leaf_hash(forged.as_bytes()), &policy).is_err();
    if !refused || forged.as_bytes() == &entry[..] {
        return Err(Failure::wrong("a forged entry was accepted"));
    }
    output.say("   The same entry with one digit changed is refused.\n");
    Ok(Shown {
        url: url.to_owned(),
        origin: checkpoint.origin().to_string(),
        entries: head.size.get(),
        root_hash: head.root.to_base64(),
        checked_entry: index.get(),
        forged_entry_refused: refused,
        directory: folder.to_owned(),
    })
}

fn next_steps(shown: &Shown, policy: &Path, stay: bool) -> String {
    if !stay {
        return "That was the whole system. To look around in it: daybook demo --stay".to_owned();
    }
    let (url, policy, folder) = (&shown.url, policy.display(), shown.directory.display());
    format!(
        "4. Look around. The log runs until Ctrl-C.\n\n   Open {url}/ in a browser, or in another terminal:\n\n   \
         daybook fsck {url} --policy {policy}\n   daybook verify {folder}/notice.json --policy {policy}\n   \
         daybook get {url} 3 --policy {policy}\n   daybook add {url} YOUR-FILE --receipts --policy {policy}\n\n   Here \
         `daybook` stands for {}.",
        std::env::current_exe().map_or_else(|_| "this program".to_owned(), |path| path.display().to_string())
    )
}
