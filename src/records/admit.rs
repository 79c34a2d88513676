//! From bytes that anybody may have sent to a pending statement, or a refusal. Runs for many requests at a time.
//!
//! The order is the contract: a text that the log knows is answered before anything else is looked at; then the form;
//! then what this log asks for besides (a date that has come, attachments); then keys and signatures, by far the dearest. The
//! registry's own rules, and whether a delegation is over, wait for the sequencer, where order counts.
//!
//! Absent on purpose: quotas, which go by who asks and are `http`'s.

use bytes::Bytes;
use record::registry::Signatures;
use record::statement::{AttachmentContent, Body, Record, Statement, StatementError};
use record::time::UtcTime;
use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeSize};

use super::erase::EraseError;
use super::{Admitted, Records, Refused, text_hash};
use crate::log::Log;
use crate::lookup::LookupError;
use crate::pool::Pending;
use crate::store::vault::VaultError;

/// So far may an agency's clock be ahead of this one.
const AHEAD_SECONDS_MAX: i64 = 300;

/// What a statement is to the log so far.
#[derive(Debug)]
pub enum Examined {
    /// The published entry of the same bytes.
    Known(LeafIndex),
    /// It goes to the sequencer.
    New(Box<Pending>),
}

/// Why a statement does not go to the sequencer.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// The bytes are no statement.
    #[error(transparent)]
    Form(#[from] StatementError),
    /// Anybody can see from the log that it may not go in.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It comes from a time that has not come.
    #[error(
        "the statement is dated {0}, which by this log's clock is more than {AHEAD_SECONDS_MAX} seconds ahead; set the \
         clock that dated it, or send it when its time has come"
    )]
    Early(UtcTime),
    /// An attachment has not been uploaded.
    #[error(
        "the log does not hold the attachment {name:?} ({hash}); upload it with PUT /blobs/{hash} and send the \
         statement again"
    )]
    AttachmentMissing {
        /// Its name in the statement.
        name: String,
        /// Its SHA-256, or its commitment.
        hash: Hash,
    },
    /// The attachment is there, and the statement gives it another length.
    #[error("the attachment {name:?} has {held} bytes, and the statement says {stated}")]
    AttachmentLength {
        /// Its name in the statement.
        name: String,
        /// As the statement says.
        stated: u64,
        /// As it is.
        held: u64,
    },
    /// An erasable attachment is there, and belongs to another record, or has another name or media type.
    #[error(
        "what was uploaded as {hash} is not the attachment {name:?} of this record, but another record's, or of another \
         name, media type or length"
    )]
    AttachmentOther {
        /// Its name in the statement.
        name: String,
        /// Its commitment.
        hash: Hash,
    },
    /// A tombstone has taken it.
    #[error("the attachment {name:?} ({hash}) was erased by the tombstone at {tombstone}; leave it out")]
    AttachmentErased {
        /// Its name in the statement.
        name: String,
        /// Its commitment.
        hash: Hash,
        /// The tombstone.
        tombstone: LeafIndex,
    },
    /// Whether an attachment is there cannot be told.
    #[error("the attachments cannot be read: {0}")]
    Blobs(std::io::Error),
    /// Whether an erasable one is.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Whether a tombstone takes one.
    #[error(transparent)]
    Erase(#[from] EraseError),
    /// Whether the text is known cannot be told.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

impl NotTaken {
    /// The reason code and metric label.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Form(error) => error.code(),
            Self::Refused(refused) => refused.code(),
            Self::Early(_) => "at_in_the_future",
            Self::AttachmentMissing { .. } => "attachment_missing",
            Self::AttachmentLength { .. } => "attachment_length",
            Self::AttachmentOther { .. } => "attachment_other",
            Self::AttachmentErased { .. } => "attachment_erased",
            Self::Blobs(_) => "blobs",
            Self::Vault(_) | Self::Erase(_) => "vault",
            Self::Lookup(error) => error.code(),
        }
    }
}

/// Examines the bytes of one statement. Blocks for the index, and for a file's size where there are attachments.
///
/// Cost: one parse, and one signature verification for each signature.
///
/// # Errors
/// [`NotTaken`]; nothing was stored.
pub fn examine(log: &Log, records: &Records, bytes: Bytes) -> Result<Examined, NotTaken> {
    // Read before the search, so that the sequencer searches whatever is committed after it.
    let committed = log.heads.committed();
    let published = log.published().head().size;
    let known = match text_hash(&bytes) {
        Some(text) => log.lookup.find_text(&text, committed)?,
        None => None,
    };
    let absent_below = match &known {
        // What an answer shows has to be public: one that is not goes by way of the sequencer, which waits for that.
        Some((index, stored)) if index.get() < published.get() => {
            return if *stored == bytes {
                Ok(Examined::Known(*index))
            } else {
                Err(Refused::OtherSignatures(*index).into())
            };
        }
        Some(_) => TreeSize::ZERO,
        None => committed,
    };
    let statement = Statement::parse(&bytes)?;
    check_date(&statement, records.now_seconds())?;
    check_attachments(log, records, &statement)?;
    let (leaf, identity) = (statement.leaf_hash(), statement.identity());
    let registry = records.views.newest();
    // Nothing is verified for a signer who may be nobody: anybody can add good signatures by keys of their own.
    let admitted = if registry.unknown_signer(&statement).is_some() {
        Admitted::Unsettled(statement)
    } else {
        let authentic = registry.authenticate(statement, Signatures::Check);
        Admitted::Authentic(authentic.map_err(Refused::Registry)?)
    };
    let statement = Some(std::sync::Arc::new(admitted));
    Ok(Examined::New(Box::new(Pending { entry: bytes, leaf, identity, absent_below, statement })))
}

fn check_date(statement: &Statement, now_seconds: i64) -> Result<(), NotTaken> {
    let at = statement.body().at();
    let ahead = at.unix_seconds() > now_seconds.saturating_add(AHEAD_SECONDS_MAX);
    if ahead { Err(NotTaken::Early(at)) } else { Ok(()) }
}

/// Whether to examine these bytes may wait for the disk: a statement with attachments has this word in it.
#[must_use]
pub fn may_have_attachments(statement: &[u8]) -> bool {
    const MEMBER: &[u8] = b"\"attachments\":[";
    statement.windows(MEMBER.len()).any(|window| window == MEMBER)
}

fn check_attachments(log: &Log, records: &Records, statement: &Statement) -> Result<(), NotTaken> {
    let Body::Record(record) = statement.body() else { return Ok(()) };
    for attachment in record.content.iter().flat_map(|content| &content.attachments) {
        let (name, stated) = (attachment.name.as_str().to_owned(), attachment.bytes);
        match &attachment.content {
            AttachmentContent::Public(hash) => {
                match records.blobs.hold(hash, records.now_seconds()).map_err(NotTaken::Blobs)? {
                    None => return Err(NotTaken::AttachmentMissing { name, hash: *hash }),
                    Some(held) if held != stated => {
                        return Err(NotTaken::AttachmentLength { name, stated, held });
                    }
                    Some(_) => {}
                }
            }
            AttachmentContent::Erasable(hash) => check_erasable(log, records, record, (name, *hash))?,
        }
    }
    Ok(())
}

/// That the attachment is there, and this record's: nobody may name another's, and erase it then. What a published tombstone
/// takes counts as erased, carried out or not.
fn check_erasable(
    log: &Log,
    records: &Records,
    record: &Record,
    (name, hash): (String, Hash),
) -> Result<(), NotTaken> {
    match records.vault.held(&hash, records.now_seconds())? {
        Some(opening) if opening.name.as_str() == name && opening.is_of(record) => {
            let published = log.published().head().size;
            match records.eraser.takes(&log.index, &log.lookup, published, &opening)? {
                Some(tombstone) => Err(NotTaken::AttachmentErased { name, hash, tombstone }),
                None => Ok(()),
            }
        }
        Some(_) => Err(NotTaken::AttachmentOther { name, hash }),
        None => Err(match records.vault.erased(&hash)? {
            Some(tombstone) => NotTaken::AttachmentErased { name, hash, tombstone },
            None => NotTaken::AttachmentMissing { name, hash },
        }),
    }
}
