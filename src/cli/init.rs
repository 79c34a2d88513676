//! `daybook init`.

use std::path::{Path, PathBuf};

use clap::Args;
use daemon::clock::{Clock, SystemClock, SystemRandom};
use record::time::UtcTime;
use serde::Serialize;
use tlog::ids::Origin;
use tlog::policy::Policy;
use tlog::vkey::VerifierKey;

use super::failure::Failure;
use super::output::Output;
use crate::config::{Admission, Config};
use crate::cosign::Roster;
use crate::init::{NewLog, init};
use crate::records::genesis::{self, Genesis, NewRegistrar};

const NO_GENESIS: &str = "a log of records begins with a genesis that its registrar has signed: give --genesis FILE, \
    and for a new one --registrar VKEY (for each officer), --threshold K and --registrar-title TEXT";
const NEEDLESS_GENESIS: &str = "a log of any bytes has no genesis; did you mean --admission records?";

#[derive(Args, Debug)]
pub(super) struct Init {
    /// The directory to make.
    dir: PathBuf,
    /// The log's name for all time: a host name and path of yours, such as log.agency.example/2027.
    #[arg(long)]
    origin: Origin,
    /// What the log takes in; fixed for its life.
    #[arg(long, value_enum)]
    admission: Admission,
    /// A file on another volume, where the log keeps a copy of its head. It lets the log notice that it was
    /// restored from an old copy.
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// The URL under which the public will reach the log.
    #[arg(long)]
    url: Option<String>,
    /// A trust policy (C2SP tlog-policy) that names the witnesses who must cosign, with their URLs; its `log` lines are
    /// replaced by this log's. Without it no witnesses are asked.
    #[arg(long, value_name = "FILE")]
    witness_policy: Option<PathBuf>,
    #[command(flatten)]
    registrar: Registrar,
}

/// Who enrols agencies: for `--admission records`.
#[derive(Args, Debug)]
struct Registrar {
    /// The log's first entry, signed by every key that it names. If there is no such file, its text is written there
    /// from the options below, to be signed.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// A registrar's officer: a verifier key named after the registrar, such as registrar.gov.example/one+...; repeat
    /// for each.
    #[arg(long = "registrar", value_name = "VKEY", requires = "genesis")]
    registrars: Vec<VerifierKey>,
    /// How many officers must sign an enrolment.
    #[arg(long, value_name = "K", requires = "genesis")]
    threshold: Option<u8>,
    /// The key, kept offline, that can replace all of the registrar's other keys.
    #[arg(long, value_name = "VKEY", requires = "genesis")]
    registrar_recovery: Option<VerifierKey>,
    /// The registrar's name for people.
    #[arg(long, value_name = "TEXT", requires = "genesis")]
    registrar_title: Option<String>,
}

#[derive(Serialize)]
struct Made {
    dir: PathBuf,
    origin: String,
    keys: Vec<String>,
    policy: String,
    /// What the author of the policy should know about it.
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    genesis: Option<String>,
}

#[derive(Serialize)]
struct ToSign {
    genesis: PathBuf,
    text: String,
}

impl Init {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let Self { dir, origin, admission, anchor, url, witness_policy, registrar } = self;
        let genesis = match (admission, &registrar.genesis) {
            (Admission::Records, Some(path)) if !path.exists() => {
                return write_text(path, &origin, &registrar, output);
            }
            (Admission::Records, Some(path)) => Some(signed(path, &origin)?),
            (Admission::Records, None) => return Err(Failure::Malformed(NO_GENESIS.to_owned())),
            (Admission::Open, None) => None,
            (Admission::Open, Some(_)) => return Err(Failure::Malformed(NEEDLESS_GENESIS.to_owned())),
        };
        let pinned = genesis.as_ref().map(|genesis| genesis.leaf().to_string());
        let witnesses = witness_policy.as_deref().map(witnesses).transpose()?;
        let journal_segment = Config::default().storage.journal_segment;
        let new =
            NewLog { origin: origin.clone(), admission, anchor, url, witnesses, journal_segment, genesis };
        let made = init(&dir, &new, &SystemClock, &SystemRandom).map_err(Failure::failed)?;
        let warnings = made.policy.lint().iter().map(ToString::to_string).collect();
        let keys = made.keys.iter().map(ToString::to_string).collect();
        let policy = String::from_utf8_lossy(&made.policy.to_bytes()).into_owned();
        let made = Made { dir, origin: origin.to_string(), keys, policy, warnings, genesis: pinned };
        output.result(&made, || {
            let dir = made.dir.display();
            let keys = made.keys.iter().map(|key| format!("  {key}\n")).collect::<String>();
            let warnings = made.warnings.iter().map(|warning| format!("Note: {warning}.\n")).collect::<String>();
            let genesis = made.genesis.as_ref().map(|leaf| format!("Its genesis, entry 0:\n  {leaf}\n"));
            let genesis = genesis.unwrap_or_default();
            format!(
                "Made the log {} in {dir}.\n\nIts keys, for those who check it:\n{keys}{genesis}\n{warnings}\nHand out \
                 {dir}/policy.txt. Keep {dir}/keys to yourself.\nSettings are in {dir}/config.toml. Start it \
                 with: daybook serve {dir}",
                made.origin
            )
        });
        Ok(())
    }
}

/// Read and checked before anything is made.
fn witnesses(path: &Path) -> Result<Policy, Failure> {
    let bytes = std::fs::read(path).map_err(Failure::file(path))?;
    let malformed =
        |error: &dyn std::fmt::Display| Failure::Malformed(format!("{}: {error}", path.display()));
    let policy = Policy::parse(&bytes).map_err(|error| malformed(&error))?;
    Roster::of(&policy).map_err(|error| malformed(&error))?;
    Ok(policy)
}

fn signed(path: &Path, origin: &Origin) -> Result<Genesis, Failure> {
    let bytes = std::fs::read(path).map_err(Failure::file(path))?;
    let malformed = |error| Failure::Malformed(format!("{}: {error}", path.display()));
    Genesis::parse(&bytes, origin).map_err(malformed)
}

/// The registrar signs where the keys are, which is never here.
fn write_text(path: &Path, origin: &Origin, registrar: &Registrar, output: &Output) -> Result<(), Failure> {
    let (Some(threshold), Some(title)) = (registrar.threshold, &registrar.registrar_title) else {
        let message = format!(
            "{}: no such file, and without --registrar, --threshold and --registrar-title none \
            can be written",
            path.display()
        );
        return Err(Failure::Malformed(message));
    };
    let seconds = i64::try_from(SystemClock.unix_millis() / 1000).unwrap_or(i64::MAX);
    let at = UtcTime::from_unix_seconds(seconds);
    let new = NewRegistrar {
        origin: origin.clone(),
        keys: registrar.registrars.clone(),
        threshold,
        recovery: registrar.registrar_recovery.clone(),
        title: title.clone(),
        at: at.ok_or_else(|| Failure::failed("the clock gives a time that no statement can have"))?,
    };
    let text = genesis::text(&new).map_err(Failure::malformed)?;
    std::fs::write(path, &text).map_err(Failure::file(path))?;
    let written = ToSign { genesis: path.to_owned(), text };
    output.result(&written, || {
        format!(
            "Wrote the genesis to {}.\n\nNow every key that it names signs it, each where it is kept. Then run the same \
             command again to make the log.",
            written.genesis.display()
        )
    });
    Ok(())
}
