//! Evidence: signed things that cannot both be true, in one file that anybody can check offline.
//!
//! | Form | Accuses | Of |
//! |---|---|---|
//! | `log-two-roots`, `witness-two-roots` | a log, a witness | signing two roots for one size |
//! | `log-two-subtrees`, `witness-two-subtrees` | | signing two trees in which one complete subtree has two hashes |
//! | `log-two-leaves`, `witness-two-leaves` | | signing two trees with two leaves at one index |
//!
//! A contradiction is positive. A proof that fails, a head that is old, an answer that does not come: these prove
//! nothing and never become evidence; the constructors refuse them. Two different trees of which the smaller is not
//! the beginning of the larger always differ in a complete subtree, which [`fork`] finds.
//!
//! The file is `docs/spec/evidence.md`, its outer shape [`container`]. [`Evidence`] is a file that was read and says
//! nothing yet; [`Evidence::verify`], with keys that the verifier has from elsewhere, gives the [`Contradiction`].
//! What is not signed goes into a [`report`], which is no evidence.

mod claim;
pub mod container;
pub mod fork;
mod head;
pub mod report;
mod text;
mod utc;
mod verdict;

use crate::bundle::ENTRY_BYTES_MAX;
use crate::checkpoint::is_of_log;
use crate::hash::{Hash, leaf_hash, sha256};
use crate::ids::{LeafIndex, Origin, TreeSize};
use crate::note::Note;
use crate::proof::ProofError;
use crate::tree::Node;
use crate::vkey::VerifierKey;

use claim::{Claim, ordered, sides};
use container::Container;
pub use container::{EVIDENCE_BYTES_MAX, EvidenceParseError};
pub use head::SignedHead;
use head::signed_by_one_key;
pub use verdict::{About, Contradiction, SignedTree};

/// Who is accused: what the key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The log that signs the trees.
    Log,
    /// A witness that cosigns them.
    Witness,
}

impl Role {
    /// `log` or `witness`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Witness => "witness",
        }
    }
}

/// Who makes a signature by `key` under a checkpoint of `origin`. `None` for RFC 6962 tree heads, which do not name
/// the log.
#[must_use]
pub fn role_of(key: &VerifierKey, origin: &Origin) -> Option<Role> {
    if is_of_log(key, origin) {
        return Some(Role::Log);
    }
    key.kind().is_cosignature().then_some(Role::Witness)
}

/// Why something proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoContradiction {
    /// No key at hand has signed both.
    #[error("no one of the given keys has signed both checkpoints")]
    NotSigned,
    /// The file accuses another.
    #[error("the file accuses the key {}, which is none of the keys that were given", .0.to_string().escape_debug())]
    OtherKey(Box<VerifierKey>),
    /// A signature does not hold.
    #[error("the accused key's signature under checkpoint {0} does not hold: anyone could have written it")]
    Signature(usize),
    /// Two logs.
    #[error("the checkpoints are of two logs, {0:?} and {1:?}")]
    OtherLogs(String, String),
    /// An empty tree contradicts nothing.
    #[error("a checkpoint of size 0 says nothing that another one could contradict")]
    EmptyTree,
    /// Trees of two sizes.
    #[error("trees of {0} and {1} entries have two roots; only a proof about what both hold can contradict")]
    OtherSizes(TreeSize, TreeSize),
    /// The same tree twice.
    #[error("both checkpoints speak of the same tree")]
    SameTree,
    /// The same subtree or leaf in both.
    #[error("both trees hold the same, so they do not contradict each other there")]
    SameContent,
    /// A proof does not hold, which shows nothing: anyone can write a wrong proof.
    #[error("the proof under checkpoint {0} does not hold, and so shows nothing: {1}")]
    Proof(usize, ProofError),
    /// No tree has such a subtree.
    #[error("no tree has such a subtree")]
    NotInAnyTree,
    /// The entry is longer than a log can hold.
    #[error("an entry has at most {ENTRY_BYTES_MAX} bytes, this one has {0}")]
    EntryTooLong(usize),
}

/// A leaf as it stands in a file: the entry itself, or its hash alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// The entry, at most 65,535 bytes.
    Entry(Vec<u8>),
    /// Its hash.
    Hash(Hash),
}

impl Leaf {
    /// The leaf hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        match self {
            Self::Entry(entry) => leaf_hash(entry),
            Self::Hash(hash) => *hash,
        }
    }
}

/// What a signed tree holds somewhere, and the proof of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved<T> {
    /// The signed checkpoint.
    pub checkpoint: Note,
    /// The hash of a complete subtree, or a leaf.
    pub content: T,
    /// The subtree's consistency proof, which for a leaf is the inclusion proof.
    pub proof: Vec<Hash>,
}

/// An evidence file about a tree. One that was parsed says nothing before [`Evidence::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    accused: VerifierKey,
    role: Role,
    claim: Claim,
}

impl Evidence {
    /// Two roots for one size, signed by one of `keys` (a log's, or a witness's).
    ///
    /// # Errors
    /// [`NoContradiction`]: it proves nothing.
    pub fn two_roots(keys: &[VerifierKey], one: &Note, other: &Note) -> Result<Self, NoContradiction> {
        let (accused, heads) = signed_by_one_key(keys, [one, other])?;
        Self::checked(accused, Claim::Roots(ordered(heads, SignedHead::head)))
    }

    /// Two trees, signed by one of `keys`, in which the same complete subtree has two hashes.
    ///
    /// # Errors
    /// [`NoContradiction`]: it proves nothing.
    pub fn two_subtrees(
        keys: &[VerifierKey],
        node: Node,
        one: Proved<Hash>,
        other: Proved<Hash>,
    ) -> Result<Self, NoContradiction> {
        // A node that no tree has would overflow on the way to its leaves.
        if node.height > 62 || node.index >= 1 << (63 - node.height) {
            return Err(NoContradiction::NotInAnyTree);
        }
        let (accused, sides) = sides(keys, one, other)?;
        Self::checked(accused, Claim::Subtrees { node, sides })
    }

    /// Two trees, signed by one of `keys`, with two leaves at one index: a receipt that was not honoured.
    ///
    /// # Errors
    /// [`NoContradiction`]: it proves nothing.
    pub fn two_leaves(
        keys: &[VerifierKey],
        index: LeafIndex,
        one: Proved<Leaf>,
        other: Proved<Leaf>,
    ) -> Result<Self, NoContradiction> {
        for leaf in [&one.content, &other.content] {
            match leaf {
                Leaf::Entry(entry) if entry.len() > ENTRY_BYTES_MAX => {
                    return Err(NoContradiction::EntryTooLong(entry.len()));
                }
                _ => (),
            }
        }
        let (accused, sides) = sides(keys, one, other)?;
        Self::checked(accused, Claim::Leaves { index, sides })
    }

    /// What no verification accepts is never made.
    fn checked(accused: VerifierKey, claim: Claim) -> Result<Self, NoContradiction> {
        let role = claim.heads()[0].role(&accused).ok_or(NoContradiction::NotSigned)?;
        let evidence = Self { accused, role, claim };
        evidence.check()?;
        Ok(evidence)
    }

    /// Parses a file. Accepts only bytes that [`Evidence::to_bytes`] gives back. No cryptography is done.
    ///
    /// # Errors
    /// [`EvidenceParseError`] names the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceParseError> {
        text::parse(&Container::parse(bytes)?)
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        text::format(self)
    }

    /// Verifies the file: one of `keys`, which the verifier knows to be the accused's, has signed both checkpoints,
    /// and they contradict each other.
    ///
    /// Cost: two signature verifications and at most 126 node hashes.
    ///
    /// # Errors
    /// [`NoContradiction`] says why the file proves nothing against the owner of these keys.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Contradiction, NoContradiction> {
        if !keys.contains(&self.accused) {
            return Err(NoContradiction::OtherKey(Box::new(self.accused.clone())));
        }
        self.check()
    }

    fn check(&self) -> Result<Contradiction, NoContradiction> {
        let heads = self.claim.heads();
        let [one, other] = heads.map(|head| head.checkpoint.origin());
        if one != other {
            return Err(NoContradiction::OtherLogs(one.to_string(), other.to_string()));
        }
        let trees = heads.map(SignedHead::head);
        if trees.iter().any(|tree| tree.size == TreeSize::ZERO) {
            return Err(NoContradiction::EmptyTree);
        }
        if trees[0] == trees[1] {
            return Err(NoContradiction::SameTree);
        }
        let about = self.claim.check()?;
        let mut times = [0; 2];
        for (at, head) in heads.iter().enumerate() {
            times[at] = head.verify(&self.accused).ok_or(NoContradiction::Signature(at + 1))?;
        }
        let signed = [0, 1].map(|at| SignedTree { head: trees[at], cosigned_at: times[at] });
        Ok(Contradiction::new(self.role, self.accused.clone(), one.clone(), signed, about))
    }

    /// What names this very contradiction: the same accused, trees and place, whatever the signatures' bytes.
    ///
    /// SHA-256 over `daybook/evidence-id/v1`, the form, the accused key, the origin, the place if there is one, and
    /// for each side size, root, and hash if there is one, a line each.
    #[must_use]
    pub fn id(&self) -> Hash {
        let mut lines =
            vec!["daybook/evidence-id/v1".to_owned(), self.form().to_owned(), self.accused.to_string()];
        lines.push(self.origin().to_string());
        lines.extend(text::place(&self.claim));
        let content = self.claim.content();
        for (at, head) in self.claim.heads().map(SignedHead::head).iter().enumerate() {
            lines.extend([head.size.to_string(), head.root.to_base64()]);
            lines.extend(content.map(|hashes| hashes[at].to_base64()));
        }
        lines.push(String::new());
        sha256(lines.join("\n").as_bytes())
    }

    /// The name of the form.
    #[must_use]
    pub fn form(&self) -> &'static str {
        match (&self.claim, self.role) {
            (Claim::Roots(_), Role::Log) => "log-two-roots",
            (Claim::Roots(_), Role::Witness) => "witness-two-roots",
            (Claim::Subtrees { .. }, Role::Log) => "log-two-subtrees",
            (Claim::Subtrees { .. }, Role::Witness) => "witness-two-subtrees",
            (Claim::Leaves { .. }, Role::Log) => "log-two-leaves",
            (Claim::Leaves { .. }, Role::Witness) => "witness-two-leaves",
        }
    }

    /// Whom the file accuses; nothing is proved by that.
    #[must_use]
    pub fn accused(&self) -> &VerifierKey {
        &self.accused
    }

    /// As what.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The log that the first checkpoint names.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.claim.heads()[0].checkpoint.origin()
    }
}
