//! Checkpoints (C2SP tlog-checkpoint): the note text of a signed tree head.
//!
//! ```text
//! example.com/behind-the-sofa
//! 20852163
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//! ```
//!
//! Origin, size, root, and extension lines if there are any. A [`VerifiedCheckpoint`] exists only by verification.
//! Also here: the RFC 6962 `TreeHeadSignature` as a note signature (0x05, static-ct-api), from which `get-sth`
//! is rendered.

use crate::crypto;
use crate::hash::Hash;
use crate::ids::{Origin, TreeHead, TreeSize, UnixMillis};
use crate::note::{Note, NoteError, Verified};
use crate::vkey::{KeyKind, VerifierKey};

/// Why a note text is no checkpoint, or a checkpoint is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not three lines or more, each ending in a newline and none empty.
    #[error("a checkpoint is origin, tree size and root hash, a line each, without empty lines")]
    Shape,
    /// The first line cannot be an origin.
    #[error("the checkpoint's origin line has more than 255 bytes or holds control characters")]
    Origin,
    /// The second line is no tree size.
    #[error("the checkpoint's tree size is not a decimal from 0 to 2^63-1 without leading zeroes")]
    Size,
    /// The third line is no hash.
    #[error("the checkpoint's root hash is not canonical base64 of 32 bytes")]
    Root,
    /// The empty tree has one root.
    #[error("the checkpoint speaks of an empty tree with a root that is not SHA-256 of nothing")]
    EmptyRoot,
    /// Another log's.
    #[error("the checkpoint is of log {found:?}, expected {expected:?}")]
    OtherLog {
        /// The origin that was asked for.
        expected: String,
        /// The origin that was found.
        found: String,
    },
    /// The note is malformed, or its signatures do not hold.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// The text of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: Origin,
    head: TreeHead,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines.
    #[must_use]
    pub fn new(origin: Origin, head: TreeHead) -> Self {
        Self { origin, head, extensions: Vec::new() }
    }

    /// Parses a note text. Accepts only text that [`Checkpoint::to_text`] gives back.
    ///
    /// # Errors
    /// [`CheckpointError`] names the line.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines: Vec<&str> = text.strip_suffix('\n').ok_or(CheckpointError::Shape)?.split('\n').collect();
        let [origin, size, root, extensions @ ..] = lines.as_slice() else {
            return Err(CheckpointError::Shape);
        };
        if lines.iter().any(|line| line.is_empty()) {
            return Err(CheckpointError::Shape);
        }
        let origin = origin.parse().map_err(|_| CheckpointError::Origin)?;
        let size: TreeSize = size.parse().map_err(|_| CheckpointError::Size)?;
        let root = Hash::from_base64(root).map_err(|_| CheckpointError::Root)?;
        let extensions = extensions.iter().map(|line| (*line).to_owned()).collect();
        Ok(Self { origin, head: TreeHead { size, root }, extensions })
    }

    /// The text, with its final newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.head.size, self.head.root.to_base64());
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.head
    }

    /// Lines after the root; no monitor can audit them.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

/// A cosignature that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// Whose.
    pub key: VerifierKey,
    /// When, in seconds since 1970; 0 where an ML-DSA cosigner states no time.
    pub seconds: u64,
}

/// Whether a signature by `key` under a checkpoint of `origin` is the log's own. An RFC 6962 tree head signature is
/// not enough, as it does not cover the origin; an ML-DSA-44 key is the log's if it bears the log's name, and a
/// witness's otherwise.
#[must_use]
pub fn is_of_log(key: &VerifierKey, origin: &Origin) -> bool {
    match key.kind() {
        KeyKind::Ed25519 | KeyKind::EcdsaP256 => true,
        KeyKind::CosignatureMlDsa44 => key.name().as_str() == origin.as_str(),
        KeyKind::CosignatureEd25519 | KeyKind::TreeHeadP256 => false,
    }
}

/// A checkpoint that a trusted log key has signed. Has no constructor but verification.
#[derive(Clone, Debug)]
pub struct VerifiedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
    tree_head_time: Option<UnixMillis>,
    cosignatures: Vec<Cosigned>,
}

impl VerifiedCheckpoint {
    /// Verifies a note against a log's keys: at least one that [`is_of_log`] must have signed, and every signature
    /// by one of `keys` must hold. Cosignatures by keys among `keys` are collected.
    ///
    /// # Errors
    /// [`CheckpointError`]; a tree of size 0 must have the root of the empty tree.
    pub fn verify(note: &Note, keys: &[VerifierKey]) -> Result<Self, CheckpointError> {
        let verified = note.verify(keys)?;
        let checkpoint = Self::from_verified(note, &verified)?;
        if verified.iter().any(|verified| is_of_log(verified.key, checkpoint.origin())) {
            return Ok(checkpoint);
        }
        Err(NoteError::NoTrustedSignature.into())
    }

    pub(crate) fn from_verified(note: &Note, verified: &[Verified<'_>]) -> Result<Self, CheckpointError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.head.size == TreeSize::ZERO && checkpoint.head != TreeHead::EMPTY {
            return Err(CheckpointError::EmptyRoot);
        }
        let cosignatures = verified.iter().filter_map(|verified| {
            Some(Cosigned { key: verified.key.clone(), seconds: verified.cosigned_at? })
        });
        Ok(Self {
            checkpoint,
            note: note.clone(),
            tree_head_time: verified.iter().find_map(|verified| verified.tree_head_time),
            cosignatures: cosignatures.collect(),
        })
    }

    /// Requires the checkpoint to be of this log.
    ///
    /// # Errors
    /// [`CheckpointError::OtherLog`].
    pub fn of(self, origin: &Origin) -> Result<Self, CheckpointError> {
        if self.checkpoint.origin == *origin {
            return Ok(self);
        }
        let (expected, found) = (origin.to_string(), self.checkpoint.origin.to_string());
        Err(CheckpointError::OtherLog { expected, found })
    }

    /// The text.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.checkpoint.head
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.checkpoint.origin
    }

    /// The whole note, with signatures by unknown keys as well.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The time in the log's RFC 6962 tree head signature, if it was among the verified ones.
    #[must_use]
    pub fn tree_head_time(&self) -> Option<UnixMillis> {
        self.tree_head_time
    }

    /// The cosignatures that were verified.
    #[must_use]
    pub fn cosignatures(&self) -> &[Cosigned] {
        &self.cosignatures
    }
}

/// The `TreeHeadSignature` input of RFC 6962, section 3.5.
#[must_use]
pub fn tree_head_message(head: &TreeHead, time: UnixMillis) -> Vec<u8> {
    // Version v1, signature type tree_hash.
    let mut message = vec![0, 1];
    message.extend(time.get().to_be_bytes());
    message.extend(head.size.get().to_be_bytes());
    message.extend(head.root.as_bytes());
    message
}

/// `u64 time || sha256 (4) || ecdsa (3) || u16 length || DER signature`, split.
#[must_use]
pub fn split_tree_head_signature(signature: &[u8]) -> Option<(UnixMillis, &[u8])> {
    let (time, rest) = signature.split_first_chunk::<8>()?;
    let (header, der) = rest.split_first_chunk::<4>()?;
    let length = u16::from_be_bytes([header[2], header[3]]);
    (header[..2] == [4, 3] && der.len() == usize::from(length))
        .then_some((UnixMillis::new(u64::from_be_bytes(*time)), der))
}

pub(crate) fn join_tree_head_signature(time: UnixMillis, der: &[u8]) -> Vec<u8> {
    let mut signature = time.get().to_be_bytes().to_vec();
    signature.extend([4, 3]);
    signature.extend(u16::try_from(der.len()).expect("a P-256 signature is short").to_be_bytes());
    signature.extend(der);
    signature
}

/// Verifies a 0x05 signature line; the time if it holds. Such a checkpoint has no extension lines.
pub(crate) fn verify_tree_head(text: &str, key: &VerifierKey, signature: &[u8]) -> Option<UnixMillis> {
    debug_assert_eq!(key.kind(), KeyKind::TreeHeadP256);
    let checkpoint = Checkpoint::parse(text).ok().filter(|checkpoint| checkpoint.extensions.is_empty())?;
    if key.name().as_str() != checkpoint.origin.as_str() {
        return None;
    }
    let (time, der) = split_tree_head_signature(signature)?;
    crypto::verify_p256(key.material(), &tree_head_message(&checkpoint.head, time), der).then_some(time)
}
