//! Who signed a statement: from a provenance file without any network, or from the log.

use std::path::PathBuf;

use clap::Args;
use record::provenance::{PROVENANCE_BYTES_MAX, Provenance};
use record::statement::{Body, Statement};
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::hash::Hash;
use tlog::ids::LeafIndex;
use tlog::policy::Policy;

use super::about::Signed;
use super::failure::Failure;
use super::trust::checkpoint;
use crate::provenance::collect::{CollectError, Reader};
use crate::provenance::judge::{Judge, Previous};
use crate::provenance::{Known, ProvenanceError};
use crate::source::Source;

/// Where the statements come from that say whose keys an agency's are.
#[derive(Args, Debug)]
pub(super) struct Who {
    /// The provenance file that `daybook get` or `daybook history` wrote: who may sign for the agency.
    #[arg(long, value_name = "FILE")]
    provenance: Option<PathBuf>,
    /// Ask this log instead, by its URL.
    #[arg(long, value_name = "URL", conflicts_with = "provenance")]
    log: Option<String>,
    /// The hash of entry 0, from where the policy came: who enrols agencies is then who you were told.
    #[arg(long, value_name = "HASH")]
    genesis: Option<Hash>,
}

impl From<ProvenanceError> for Failure {
    fn from(error: ProvenanceError) -> Self {
        Self::wrong(error)
    }
}

impl Who {
    /// Who signed the statement that is entry `index` of the log of `receipt`; `None` if that was not asked.
    pub(super) fn signed(
        &self,
        policy: &Policy,
        receipt: &VerifiedCheckpoint,
        index: LeafIndex,
        statement: &Statement,
    ) -> Result<Option<Signed>, Failure> {
        let known = match (&self.provenance, &self.log) {
            (Some(path), _) => {
                let length = std::fs::metadata(path).map_err(Failure::file(path))?.len();
                if length > PROVENANCE_BYTES_MAX as u64 {
                    let path = path.display();
                    return Err(Failure::Malformed(format!("{path} is too long for a provenance file")));
                }
                let bytes = std::fs::read(path).map_err(Failure::file(path))?;
                let parsed = Provenance::parse(&bytes);
                let parsed =
                    parsed.map_err(|error| Failure::Malformed(format!("{}: {error}", path.display())))?;
                Known::verify(&parsed, policy)?
            }
            (None, Some(url)) => ask(url, policy, index, statement)?,
            (None, None) if self.genesis.is_some() => {
                return Err(Failure::Malformed(
                    "--genesis needs --provenance FILE or --log URL beside it".to_owned(),
                ));
            }
            (None, None) => return Ok(None),
        };
        if let Some(genesis) = self.genesis.filter(|genesis| *genesis != known.genesis()) {
            return Err(Failure::Wrong(format!(
                "the log's entry 0 has the hash {}, and you were told {genesis}: it is another log, with another registrar",
                known.genesis()
            )));
        }
        if known.checkpoint().origin() != receipt.origin() {
            let (of, receipt) = (known.checkpoint().origin().to_string(), receipt.origin().to_string());
            return Err(ProvenanceError::OtherLog(of, receipt).into());
        }
        let mut judge = Judge::new(&known);
        let mut signers = judge.judge(index, statement, Previous::Believed)?;
        judge.later(index, &mut signers)?;
        let mut signed = Signed::new(&signers, known.enrolment(statement.body().agency()).as_ref());
        signed.genesis = Some(known.genesis().to_string());
        Ok(Some(signed))
    }
}

/// Holds a statement against the rules of admission, by what the log shows of its agency.
pub(super) fn judged(
    url: &str,
    policy: &Policy,
    index: LeafIndex,
    statement: &Statement,
) -> Result<(), Failure> {
    let known = ask(url, policy, index, statement)?;
    Judge::new(&known).judge(index, statement, Previous::Believed)?;
    Ok(())
}

fn ask(url: &str, policy: &Policy, index: LeafIndex, statement: &Statement) -> Result<Known, Failure> {
    let source = Source::open(url)?;
    let checkpoint = checkpoint(&source, policy)?;
    let reader = Reader::new(source, checkpoint);
    Ok(Known::verify(&provenance_of(&reader, index, statement)?, policy)?)
}

/// The file that shows who may sign a statement.
pub(super) fn provenance_of(
    reader: &Reader,
    index: LeafIndex,
    statement: &Statement,
) -> Result<Provenance, CollectError> {
    let registry = reader.registry_places(statement.body().agency())?;
    // A tombstone is judged by the version that it is about.
    let besides = match statement.body() {
        Body::Tombstone(tombstone) if tombstone.entry.index < index => vec![tombstone.entry.index],
        _ => Vec::new(),
    };
    reader.provenance(&registry, &besides)
}
