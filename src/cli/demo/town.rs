//! The town: its log, who witnesses it, its offices, and the counter at which they hand in what they have signed.

use std::path::{Path, PathBuf};
use std::process::Command;

use record::statement::Register;
use serde::de::DeserializeOwned;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::{LeafIndex, Origin};
use tlog::policy::Policy;
use tlog::tlog_proof::TlogProof;

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::trust::read_policy;
use super::children::{self, Process};
use super::office::Office;
use super::samples;
use super::web::{Answer, Web};
use super::witness::Witness;

pub(super) const ORIGIN: &str = "log.seaton.example/2026";
/// Who witnesses the town's log.
pub(super) const WITNESSES: [&str; 4] = ["university", "newspaper", "court", "archive"];
/// How many of them have to sign.
pub(super) const ENOUGH: usize = 3;

/// An office and its registers.
pub(super) struct Agency {
    pub(super) office: Office,
    pub(super) registers: Vec<Register>,
}

/// The town.
pub(super) struct Town {
    /// Everything of this demonstration is in it.
    pub(super) folder: PathBuf,
    /// What a reader has: whom to trust.
    pub(super) policy_file: PathBuf,
    pub(super) policy: Policy,
    pub(super) web: Web,
    pub(super) origin: Origin,
    pub(super) url: String,
    pub(super) admin_url: String,
    pub(super) log_key: String,
    /// The leaf hash of entry 0.
    pub(super) genesis: String,
    pub(super) monitor: PathBuf,
    pub(super) witnesses: Vec<Witness>,
    pub(super) registrar: Office,
    pub(super) agencies: Vec<Agency>,
    /// Every entry, as whoever runs the log has them.
    pub(super) entries: Vec<Vec<u8>>,
    pub(super) log: Process,
}

/// A statement that is in the log, with its receipt checked.
pub(super) struct Entered {
    pub(super) index: LeafIndex,
    pub(super) leaf: Hash,
    /// The statement; its receipt lies beside it.
    pub(super) file: PathBuf,
}

/// Makes the town's log, with its witnesses and its registrar.
pub(super) fn found(folder: &Path, output: &Output) -> Result<Town, Failure> {
    let [witness, monitor] = children::find(output)?;
    let make = |name: &&'static str| Witness::make(&witness, name, &folder.join("witnesses").join(name));
    let receipts = folder.join("receipts");
    for folder in [&folder.join("witnesses"), &folder.join("records"), &receipts] {
        std::fs::create_dir_all(folder).map_err(Failure::file(folder))?;
    }
    let witnesses: Vec<Witness> = WITNESSES.iter().map(make).collect::<Result<_, _>>()?;
    let lines: String = witnesses.iter().map(Witness::policy_lines).collect();
    let wanted = write(
        folder.join("witnesses.txt"),
        format!("{lines}group enough {ENOUGH} {}\nquorum enough\n", WITNESSES.join(" ")).as_bytes(),
    )?;

    let origin: Origin = ORIGIN.parse().map_err(Failure::failed)?;
    let file = samples::town()?;
    let registrar = Office::found(&file.registrar.agency, &file.registrar.title, folder, false)?;
    let genesis = registrar.genesis(&origin)?;
    let genesis_file = write(folder.join("genesis.txt"), &genesis)?;
    let agency = |agency: &samples::AgencyFile| {
        let office = Office::found(&agency.named.agency, &agency.named.title, folder, true)?;
        Ok(Agency { office, registers: agency.registers(&origin)? })
    };
    let agencies = file.agencies.iter().map(agency).collect::<Result<_, Failure>>()?;

    let home = folder.join("log");
    let made = children::make_log(&home, ORIGIN, &genesis_file, &wanted)?;
    hurry(&home)?;
    let log_key = made.keys.into_iter().next().unwrap_or_default();
    witnesses.iter().try_for_each(|witness| witness.follow(&log_key))?;
    let (log, listening) = children::serve_log(&home)?;
    let (web, url, admin_url) = (Web::new()?, listening.url, listening.admin_url);
    web.wait_until("the log is ready", || Ok(web.get(&format!("{admin_url}/readyz"))?.status == 200))?;
    let policy_file = folder.join("policy.txt");
    std::fs::copy(home.join("policy.txt"), &policy_file).map_err(Failure::file(&policy_file))?;
    Ok(Town {
        folder: folder.to_owned(),
        policy: read_policy(&policy_file)?,
        policy_file,
        web,
        origin,
        url,
        admin_url,
        log_key,
        genesis: made.genesis,
        monitor,
        witnesses,
        registrar,
        agencies,
        entries: vec![genesis],
        log,
    })
}

/// Says who is there.
pub(super) fn introduce(town: &Town, output: &Output) {
    for witness in &town.witnesses {
        output.say(&format!("   The {:<10} witnesses at {}", witness.name, witness.url));
    }
    output.say(&format!(
        "\n   {ORIGIN} is served at {}. Nothing in it is public before {ENOUGH} of the {} have signed.\n   Each of them \
         signs only what continues everything it has signed before.\n",
        town.url,
        WITNESSES.len()
    ));
}

/// Nobody wants to watch five seconds pass.
fn hurry(folder: &Path) -> Result<(), Failure> {
    let path = folder.join("config.toml");
    let text = std::fs::read_to_string(&path).map_err(Failure::file(&path))?;
    std::fs::write(&path, text.replace("deadline = \"5s\"", "deadline = \"2s\""))
        .map_err(Failure::file(&path))
}

/// Writes a file of the demonstration.
pub(super) fn write(path: PathBuf, bytes: &[u8]) -> Result<PathBuf, Failure> {
    std::fs::write(&path, bytes).map_err(Failure::file(&path))?;
    Ok(path)
}

/// Where the receipt of a file is.
pub(super) fn receipt_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".tlog-proof");
    name.into()
}

impl Town {
    /// The office that keeps this register, and the register.
    pub(super) fn register(&self, register: &str) -> Result<(&Office, &Register), Failure> {
        let of =
            |agency: &'_ Agency| agency.registers.iter().position(|one| one.register.as_str() == register);
        let found = self.agencies.iter().find_map(|agency| Some((agency, of(agency)?)));
        let found = found.map(|(agency, at)| (&agency.office, &agency.registers[at]));
        found.ok_or_else(|| Failure::Failed(format!("the town keeps no register {register}")))
    }

    /// Where the log keeps a record.
    pub(super) fn record_url(&self, register: &Register, key: &str) -> String {
        format!("{}/registers/{}/{}/records/{key}", self.url, register.agency, register.register)
    }

    /// Hands a statement in, whatever the answer.
    pub(super) fn hand_in(&self, statement: &[u8]) -> Result<Answer, Failure> {
        self.web.post(&format!("{}/records", self.url), "text/plain", statement.to_vec())
    }

    /// Hands in a statement that must be refused with this status, and tells why it was.
    pub(super) fn must_refuse(&self, statement: &[u8], status: u16) -> Result<String, Failure> {
        let answer = self.hand_in(statement)?;
        if answer.status != status {
            let text =
                format!("the log answered {} to what it must refuse: {}", answer.status, answer.detail());
            return Err(Failure::wrong(text));
        }
        Ok(answer.detail())
    }

    /// Hands a statement in, and keeps it with its receipt as `daybook submit` does.
    pub(super) fn enter(&mut self, statement: &[u8]) -> Result<Entered, Failure> {
        let answer = self.hand_in(statement)?;
        if answer.status != 200 {
            return Err(Failure::Failed(format!("status {}: {}", answer.status, answer.detail())));
        }
        let name = format!("{:03}.statement", self.entries.len());
        let file = write(self.folder.join("receipts").join(&name), statement)?;
        write(receipt_of(&file), &answer.body)?;
        self.take(file)
    }

    /// Takes note of a statement that was handed in. It is entered when the receipt beside it holds under the policy.
    pub(super) fn take(&mut self, file: PathBuf) -> Result<Entered, Failure> {
        let statement = std::fs::read(&file).map_err(Failure::file(&file))?;
        let path = receipt_of(&file);
        let receipt = std::fs::read(&path).map_err(Failure::file(&path))?;
        let receipt = TlogProof::parse(&receipt).map_err(Failure::wrong)?;
        let leaf = leaf_hash(&statement);
        receipt.verify(&leaf, &self.policy).map_err(Failure::wrong)?;
        let index = receipt.index;
        if index.get() != self.entries.len() as u64 {
            return Err(Failure::wrong(format!(
                "the log gave place {index} to entry {}",
                self.entries.len()
            )));
        }
        self.entries.push(statement);
        Ok(Entered { index, leaf, file })
    }

    /// Runs a command of ours in the demonstration's folder, and says it as it is typed.
    pub(super) fn type_in<T: DeserializeOwned>(&self, typed: &[&str], output: &Output) -> Result<T, Failure> {
        let quoted = |word: &&str| if word.contains(' ') { format!("{word:?}") } else { (*word).to_owned() };
        let line: Vec<String> = typed.iter().map(quoted).collect();
        let line = line.join(" ").replacen(" --basis", " \\\n       --basis", 1).replacen(
            " --signer",
            " \\\n       --signer",
            1,
        );
        output.say(&format!("   $ daybook {line}\n"));
        let mut command = Command::new(children::ourselves()?);
        children::run(command.args(typed).arg("--json").current_dir(&self.folder))
    }

    /// A path as it is typed in the demonstration's folder.
    pub(super) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).display().to_string()
    }
}
