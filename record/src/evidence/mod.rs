//! Evidence that a log holds a statement that it should not: a few entries, proved under one signed head, that cannot
//! all be admissible.
//!
//! Whether a statement is admissible can depend on the whole log. Some contradictions do not: whatever else the log
//! holds, two entries rule each other out, or one the genesis. Those have a [`Form`] and a file; the container is
//! that of [`tlog::evidence::container`]. All others need a full copy of the log, and make no evidence file.
//!
//! ```text
//! daybook/evidence/v1
//! form record-ended-key
//! accused <log's vkey>
//! entries 0 10 13
//!
//! checkpoint of the log, an empty line, the log's signature
//!
//! entry <base64>               for each of the entries, with the proof of its inclusion, the lowest hash first
//! <hash>
//! ```
//!
//! The first entry is the genesis: it says that this is a log of records, and whose. Specification:
//! `docs/spec/record.md`, section 8. [`mod@file`] is an evidence file of either kind, as `verify-evidence` sees it.

pub mod file;
mod finding;
mod text;

use std::fmt;

use tlog::evidence::container::{Container, EvidenceParseError};
use tlog::evidence::{Role, SignedHead};
use tlog::hash::{Hash, leaf_hash, sha256};
use tlog::ids::{LeafIndex, Origin, TreeSize};
use tlog::note::Note;
use tlog::proof::{ProofError, check_inclusion};
use tlog::vkey::VerifierKey;

pub use self::finding::Form;

/// Most entries in one file.
pub const ENTRIES_MAX: usize = 3;

/// An entry and the proof that a tree holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvedEntry {
    /// Where it stands.
    pub index: LeafIndex,
    /// Its bytes.
    pub entry: Vec<u8>,
    /// The inclusion proof.
    pub proof: Vec<Hash>,
}

/// Why something proves nothing about records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFinding {
    /// No key at hand has signed the checkpoint as a log.
    #[error("none of the given keys has signed the checkpoint as the log's")]
    NotSigned,
    /// The file accuses another.
    #[error("the file accuses the key {0}, which is none of the keys that were given")]
    OtherKey(Box<VerifierKey>),
    /// The signature does not hold.
    #[error("the accused key's signature under the checkpoint does not hold: anyone could have written it")]
    Signature,
    /// The entries are not entry 0 and one or two others in order.
    #[error("the entries are not the first of the log and one or two after it, in order")]
    Places,
    /// A proof does not hold, which shows nothing.
    #[error("the proof of entry {0} does not hold, and so shows nothing: {1}")]
    Proof(LeafIndex, ProofError),
    /// Entry 0 is not this log's genesis, so the log promised nothing about records.
    #[error("entry 0 is no genesis of the log {0}, which is then no log of records")]
    NoGenesis(Origin),
    /// The entries can all be admissible, or that they are not takes more of the log to show.
    #[error("these entries alone do not rule each other out")]
    NoContradiction,
    /// A later version of statements.
    #[error("entry {0} is a statement of a version that is not known here; use a newer program")]
    Newer(LeafIndex),
    /// They do, but in another way than the file says.
    #[error("the entries rule each other out as {0}, not as the file says")]
    OtherForm(&'static str),
}

/// An evidence file about records. One that was parsed says nothing before [`RecordEvidence::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordEvidence {
    accused: VerifierKey,
    form: Form,
    head: SignedHead,
    entries: Vec<ProvedEntry>,
}

/// What is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordContradiction {
    /// In which way the entries rule each other out.
    pub form: Form,
    /// The key that signed the tree that holds them.
    pub accused: VerifierKey,
    /// The log.
    pub log: Origin,
    /// The size of the tree that it signed.
    pub size: TreeSize,
    /// The entries after the genesis, as they stand in the file.
    pub indexes: Vec<LeafIndex>,
    /// What is wrong, for people.
    pub detail: String,
}

impl RecordEvidence {
    /// Evidence from the genesis and the entries that rule each other out, in the tree of a checkpoint that one of `keys`
    /// has signed as the log's.
    ///
    /// # Errors
    /// [`NoFinding`]: it proves nothing.
    pub fn new(
        keys: &[VerifierKey],
        checkpoint: &Note,
        entries: Vec<ProvedEntry>,
    ) -> Result<Self, NoFinding> {
        let signed = keys.iter().find_map(|key| {
            let head = SignedHead::by(key, checkpoint)?;
            (head.role(key) == Some(Role::Log)).then(|| (key.clone(), head))
        });
        let (accused, head) = signed.ok_or(NoFinding::NotSigned)?;
        // What the entries show is found first; the form follows from it.
        let (form, _) = finding::find(head.checkpoint().origin(), &entries)?;
        let evidence = Self { accused, form, head, entries };
        evidence.check()?;
        Ok(evidence)
    }

    /// Parses a file. Accepts only bytes that [`RecordEvidence::to_bytes`] gives back. No cryptography is done.
    ///
    /// # Errors
    /// [`EvidenceParseError`] names the line; forms that do not begin with `record-` are unknown here.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceParseError> {
        text::parse(&Container::parse(bytes)?)
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        text::format(self)
    }

    /// Verifies the file: one of `keys`, which the verifier knows to be the log's, has signed a tree that holds the
    /// entries, and they cannot all be admissible.
    ///
    /// Cost: one signature verification, and one for each signature of a disputed statement.
    ///
    /// # Errors
    /// [`NoFinding`] says why the file proves nothing against the owner of these keys.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<RecordContradiction, NoFinding> {
        if !keys.contains(&self.accused) {
            return Err(NoFinding::OtherKey(Box::new(self.accused.clone())));
        }
        self.check()
    }

    fn check(&self) -> Result<RecordContradiction, NoFinding> {
        let checkpoint = self.head.checkpoint();
        if self.head.role(&self.accused) != Some(Role::Log) {
            return Err(NoFinding::NotSigned);
        }
        self.head.verify(&self.accused).ok_or(NoFinding::Signature)?;
        for ProvedEntry { index, entry, proof } in &self.entries {
            let proved = check_inclusion(&leaf_hash(entry), *index, &checkpoint.head(), proof);
            proved.map_err(|error| NoFinding::Proof(*index, error))?;
        }
        let (form, detail) = finding::find(checkpoint.origin(), &self.entries)?;
        if form != self.form {
            return Err(NoFinding::OtherForm(form.as_str()));
        }
        Ok(RecordContradiction {
            form,
            accused: self.accused.clone(),
            log: checkpoint.origin().clone(),
            size: checkpoint.head().size,
            indexes: self.entries.iter().skip(1).map(|entry| entry.index).collect(),
            detail,
        })
    }

    /// What names this very contradiction, whatever tree it was shown in.
    ///
    /// SHA-256 over `daybook/evidence-id/v1`, the form, the accused key, the origin, the line of the entries, and the
    /// leaf hash of each in base64, a line each.
    #[must_use]
    pub fn id(&self) -> Hash {
        let origin = self.head.checkpoint().origin();
        let mut out = format!("daybook/evidence-id/v1\n{}\n{}\n{origin}\n", self.form.as_str(), self.accused);
        out += &format!("{}\n", text::places(&self.entries));
        for entry in &self.entries {
            out += &format!("{}\n", leaf_hash(&entry.entry).to_base64());
        }
        sha256(out.as_bytes())
    }

    /// The form.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// Whom the file accuses; nothing is proved by that.
    #[must_use]
    pub fn accused(&self) -> &VerifierKey {
        &self.accused
    }

    /// The log that the checkpoint names.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.head.checkpoint().origin()
    }
}

impl RecordContradiction {
    /// The facts by name, for programs: every value as text.
    ///
    /// ```text
    /// role log, accused <vkey>, accused_name, accused_key_id, origin, about records,
    /// size, entries <indexes, a space apart>, detail, summary
    /// ```
    #[must_use]
    pub fn facts(&self) -> Vec<(String, String)> {
        let entries: Vec<String> = self.indexes.iter().map(ToString::to_string).collect();
        let facts = [
            ("role", "log".to_owned()),
            ("accused", self.accused.to_string()),
            ("accused_name", self.accused.name().to_string()),
            ("accused_key_id", format!("{:08x}", self.accused.id())),
            ("origin", self.log.to_string()),
            ("about", "records".to_owned()),
            ("size", self.size.to_string()),
            ("entries", entries.join(" ")),
            ("detail", self.detail.clone()),
            ("summary", self.summary()),
        ];
        facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// One sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("The log {} holds what its own rules rule out: {}.", self.log, self.form.summary())
    }
}

impl fmt::Display for RecordContradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indexes: Vec<String> = self.indexes.iter().map(|index| format!("entry {index}")).collect();
        writeln!(f, "{}", self.summary())?;
        writeln!(f)?;
        writeln!(f, "Under one tree of {} entries it has signed {}.", self.size, indexes.join(" and "))?;
        writeln!(f, "{}", self.detail)?;
        writeln!(f)?;
        write!(
            f,
            "The signature is by the key {} (key ID {:08x}). Whoever holds it let an entry into the log that no \
             honest log takes.",
            self.accused.name(),
            self.accused.id()
        )
    }
}

#[cfg(test)]
mod tests;
