//! Why a statement is not admitted, in three classes that a server answers differently.
//!
//! *Not allowed* (403): a key signed that may not, or too few did. *Stale* (409): another statement took the place;
//! the latest one is named. *Inadmissible* (422): a rule of the log or of the register is broken. All three can be
//! recomputed by anybody from the log alone; what a server refuses for other reasons is not here.

use tlog::ids::{KeyName, Origin};

use crate::ids::{AgencyId, RegisterId};
use crate::statement::{EntryRef, FieldClass, FieldType};

/// Why a statement is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// By its signatures.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// By its `previous`.
    #[error("`previous` is not the latest of its chain: {}", latest_text(.0.as_ref()))]
    Stale(Option<EntryRef>),
    /// By what it says.
    #[error(transparent)]
    Inadmissible(#[from] Rule),
}

fn latest_text(latest: Option<&EntryRef>) -> String {
    latest.map_or_else(
        || "nothing is there yet, so it must be null".to_owned(),
        |entry| format!("that is entry {} with leaf hash {}", entry.index, entry.leaf),
    )
}

/// What is wrong with the signatures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The log does not know the key.
    #[error("no agency of this log has the key {0} with that key ID")]
    UnknownKey(KeyName),
    /// The signature does not verify.
    #[error("the signature by {0} does not verify")]
    BadSignature(KeyName),
    /// The key belongs to another agency.
    #[error("the key {0} belongs to another agency")]
    OtherAgency(KeyName),
    /// The key was rotated out.
    #[error("the key {0} was retired by entry {1}")]
    Retired(KeyName, u64),
    /// The key was revoked.
    #[error("the key {0} was revoked by entry {1}")]
    Revoked(KeyName, u64),
    /// The key has another role.
    #[error("the key {0} may not sign this kind of statement, so its signature does not count; leave it out")]
    Role(KeyName),
    /// The delegation does not name the register.
    #[error("the key {0} is delegated for other registers, not for {1}")]
    DelegatedRegister(KeyName, RegisterId),
    /// The delegation has ended.
    #[error("the key {0} was delegated until a time before the statement's")]
    DelegationEnded(KeyName),
    /// A key that is brought in has not signed.
    #[error("the key {0} is brought in and must sign the statement too")]
    Possession(KeyName),
    /// Too few officers signed.
    #[error("{needed} officers must sign, and {found} of them did")]
    Quorum {
        /// As many as must.
        needed: u8,
        /// As many as did.
        found: u8,
    },
}

/// The rule that a statement breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// Entry 0 is `genesis`, and no other is.
    #[error("entry 0 is the genesis, and no other entry is")]
    Genesis,
    /// It names another log.
    #[error("the statement counts in the log {0}; this is another")]
    OtherLog(Origin),
    /// A P-256 signature has a high S or is not minimal DER.
    #[error("the signature by {0} is not in its one form: low S, minimal DER")]
    SignatureForm(KeyName),
    /// No such agency.
    #[error("the log has no agency {0}")]
    UnknownAgency(AgencyId),
    /// The agency is there already.
    #[error("the agency {0} is enrolled already")]
    AgencyExists(AgencyId),
    /// A key that is brought in was in the log before.
    #[error("the key {0} was used before; every key is brought in once, by one agency")]
    KeyTaken(KeyName),
    /// Two live keys would have one name.
    #[error("the agency has a live key named {0} already; retire it in the same statement")]
    NameTaken(KeyName),
    /// A key that is taken out is not a live key of the agency.
    #[error("{0} is not a live key of the agency")]
    NotLive(KeyName),
    /// More officers would have to sign than there are.
    #[error("the quorum would be {quorum} of {officers} officers")]
    QuorumUnreachable {
        /// How many must sign.
        quorum: u8,
        /// How many there would be.
        officers: usize,
    },
    /// Too many live keys.
    #[error("the agency would have {0} live keys, more than it may")]
    TooManyKeys(usize),
    /// A delegation names a register that the agency has not opened.
    #[error("the agency has no register {0}")]
    UnknownRegister(RegisterId),
    /// Keys cannot turn from opaque to public or back.
    #[error("whether a register's keys are opaque never changes; open another register")]
    KeyRuleChanged,
    /// A field would become more public than it was.
    #[error("the field {0:?} was {class} before and cannot become more public", class = .1.as_str())]
    FieldMorePublic(String, FieldClass),
    /// Another agency has a prefix that begins the same.
    #[error("the prefix {0:?} belongs to another agency")]
    PrefixTaken(String),
    /// The key is not opaque.
    #[error("the register's keys are opaque: 32 lowercase hex digits, drawn at random")]
    KeyNotOpaque,
    /// There is a title where keys are opaque.
    #[error("records of a register with opaque keys have no title")]
    TitleNotAllowed,
    /// The key does not begin with the register's prefix.
    #[error("the register's keys begin with {0:?}")]
    KeyPrefix(String),
    /// Nothing to withdraw.
    #[error("there is no record under this key to withdraw")]
    NothingToWithdraw,
    /// Another schema than the register's.
    #[error("the record's schema is not the register's")]
    Schema,
    /// A field that the register does not declare in this class.
    #[error("{0}: the register does not declare this field as {class}", class = .1.as_str())]
    FieldUndeclared(String, FieldClass),
    /// A field of the wrong type.
    #[error("{0}: the register declares this field as {kind}", kind = .1.as_str())]
    FieldType(String, FieldType),
    /// A field that must be there.
    #[error("{0}: the register requires this field")]
    FieldRequired(String),
    /// Sealed fields where there are none, or padded to another number of leaves.
    #[error("/sealed/leaves: the register's sealed fields are padded to {0} leaves")]
    SealedLeaves(u16),
    /// An attachment of a class that the register does not take.
    #[error("/attachments: the register takes no {} attachment", .0.as_str())]
    AttachmentClass(FieldClass),
    /// A tombstone's entry is not that record before it.
    #[error("/entry: entry {0} is not a version of this record with that leaf hash, before this statement")]
    TombstoneEntry(u64),
    /// A tombstone erases what the entry has not.
    #[error("/erased: the entry has nothing erasable at {0}")]
    NothingToErase(String),
    /// A dispute's key is still live, or not the agency's.
    #[error("/key: {0} is not a key of the agency that was revoked or retired")]
    DisputeKey(KeyName),
    /// A dispute's range is empty or reaches beyond the statement.
    #[error("/to: a dispute is about entries from `from` to before `to`, all before itself")]
    DisputeRange,
}

/// How a refusal is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalClass {
    /// A key that may not: 403.
    NotAllowed,
    /// Overtaken: 409.
    Stale,
    /// Against a rule: 422.
    Inadmissible,
}

impl Refusal {
    /// How it is answered.
    #[must_use]
    pub fn class(&self) -> RefusalClass {
        match self {
            Self::NotAllowed(_) => RefusalClass::NotAllowed,
            Self::Stale(_) => RefusalClass::Stale,
            Self::Inadmissible(_) => RefusalClass::Inadmissible,
        }
    }

    /// The reason code, stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAllowed(reason) => reason.code(),
            Self::Stale(_) => "stale_previous",
            Self::Inadmissible(rule) => rule.code(),
        }
    }
}

impl NotAllowed {
    /// The reason code, stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownKey(_) => "unknown_key",
            Self::BadSignature(_) => "bad_signature",
            Self::OtherAgency(_) => "other_agency",
            Self::Retired(..) => "key_retired",
            Self::Revoked(..) => "key_revoked",
            Self::Role(_) => "key_role",
            Self::DelegatedRegister(..) => "delegated_register",
            Self::DelegationEnded(_) => "delegation_ended",
            Self::Possession(_) => "possession",
            Self::Quorum { .. } => "quorum",
        }
    }
}

impl Rule {
    /// The reason code, stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Genesis => "genesis",
            Self::OtherLog(_) => "other_log",
            Self::SignatureForm(_) => "signature_form",
            Self::UnknownAgency(_) => "unknown_agency",
            Self::AgencyExists(_) => "agency_exists",
            Self::KeyTaken(_) => "key_taken",
            Self::NameTaken(_) => "name_taken",
            Self::NotLive(_) => "not_live",
            Self::QuorumUnreachable { .. } => "quorum_unreachable",
            Self::TooManyKeys(_) => "too_many_keys",
            Self::UnknownRegister(_) => "unknown_register",
            Self::KeyRuleChanged => "key_rule_changed",
            Self::FieldMorePublic(..) => "field_more_public",
            Self::PrefixTaken(_) => "prefix_taken",
            Self::KeyNotOpaque => "key_not_opaque",
            Self::TitleNotAllowed => "title_not_allowed",
            Self::KeyPrefix(_) => "key_prefix",
            Self::NothingToWithdraw => "nothing_to_withdraw",
            Self::Schema => "schema",
            Self::FieldUndeclared(..) => "content_undeclared",
            Self::FieldType(..) => "content_type",
            Self::FieldRequired(_) => "content_required",
            Self::SealedLeaves(_) => "sealed_leaves",
            Self::AttachmentClass(_) => "attachment_class",
            Self::TombstoneEntry(_) => "tombstone_entry",
            Self::NothingToErase(_) => "nothing_to_erase",
            Self::DisputeKey(_) => "dispute_key",
            Self::DisputeRange => "dispute_range",
        }
    }
}
