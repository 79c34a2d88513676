//! Keys that a statement brings in.

use clap::Args;
use record::statement::{KeyGrant, KeySet, Role};
use tlog::vkey::VerifierKey;

use super::super::failure::Failure;
use super::super::signers::KeyArg;
use crate::officer::Officer;
use crate::officer::passphrase::PassphraseSource;

/// The keys of an agency as a whole. A key file signs at once; a verifier key's owner signs later.
#[derive(Args, Clone, Debug)]
pub(super) struct NewKeys {
    /// An officer's key: a key file, or the verifier key of somebody who signs later; repeat for each.
    #[arg(long = "officer", value_name = "FILE|VKEY", required = true)]
    officers: Vec<String>,
    /// A key that may sign records and nothing else, as of a machine; repeat for each.
    #[arg(long = "publisher", value_name = "FILE|VKEY")]
    publishers: Vec<String>,
    /// The key that can replace all others; keep it offline, apart from them.
    #[arg(long, value_name = "FILE|VKEY")]
    recovery: Option<String>,
    /// How many officers must sign; more than half of them unless you say otherwise.
    #[arg(long, value_name = "K")]
    quorum: Option<u8>,
}

/// Sorted out: what the statement says, and who of them signs now.
pub(super) struct Loaded {
    pub(super) grants: Vec<KeyGrant>,
    pub(super) recovery: Option<VerifierKey>,
    pub(super) ours: Vec<Officer>,
}

pub(super) fn load(
    officers: &[String],
    publishers: &[String],
    recovery: Option<&String>,
    source: &PassphraseSource,
) -> Result<Loaded, Failure> {
    let mut loaded = Loaded { grants: Vec::new(), recovery: None, ours: Vec::new() };
    let mut take = |text: &String| {
        let key = KeyArg::load(text, source)?;
        let public = key.key();
        if let KeyArg::Ours(officer) = key {
            loaded.ours.push(*officer);
        }
        Ok::<_, Failure>(public)
    };
    let (mut grants, mut recovers) = (Vec::new(), None);
    for (texts, role) in [(officers, Role::Officer), (publishers, Role::Publisher)] {
        for text in texts {
            grants.push(KeyGrant { key: take(text)?, role });
        }
    }
    if let Some(text) = recovery {
        recovers = Some(take(text)?);
    }
    // A key that is given twice is told apart by nothing; the statement's reader says so.
    grants.sort_by(|a, b| a.key.name().cmp(b.key.name()));
    let set = KeySet { keys: grants, quorum: 1, recovery: recovers };
    one_name_each(&set)?;
    (loaded.grants, loaded.recovery) = (set.keys, set.recovery);
    Ok(loaded)
}

/// Refuses keys of which the recovery key has another one's name: who reads a signature would take one for the other. The log
/// does not look at it, so nobody should sign it.
pub(super) fn one_name_each(keys: &KeySet) -> Result<(), Failure> {
    keys.shared_name().map_or(Ok(()), |name| {
        Err(Failure::Malformed(format!(
            "{name} would be the name of two keys, the recovery key and another: make a recovery key with a name of its own"
        )))
    })
}

impl NewKeys {
    /// The keys, and those of them that sign now.
    pub(super) fn load(&self, source: &PassphraseSource) -> Result<(KeySet, Vec<Officer>), Failure> {
        let Loaded { grants, recovery, ours } =
            load(&self.officers, &self.publishers, self.recovery.as_ref(), source)?;
        let majority = u8::try_from(self.officers.len() / 2 + 1)
            .map_err(|_| Failure::malformed("an agency has at most 32 keys"))?;
        let keys = KeySet { keys: grants, quorum: self.quorum.unwrap_or(majority), recovery };
        Ok((keys, ours))
    }
}
