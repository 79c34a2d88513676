//! Where a statement is at fault.
//!
//! | Member of the problem | Is |
//! |---|---|
//! | `field` | JSON Pointer into the second line |
//! | `signature` | name of the key whose signature line it is, or that has none |
//! | `line` | a line of the statement, from 1: the kind, the JSON, an empty line, signatures |
//!
//! Every refusal of a statement has one of them. Rules about keys can have two: the field that binds the key, and its signature.

use daemon::problem::Problem;
use record::json::escape_segment;
use record::registry::{NotAllowed, Refusal, Rule};
use record::statement::StatementError;
use tlog::ids::KeyName;
use tlog::note::NoteError;

use crate::records::Refused;

/// The line of the kind.
const KIND_LINE: usize = 1;
/// The line of the JSON.
const JSON_LINE: usize = 2;
/// The line of the first signature.
const SIGNATURE_LINE: usize = 4;

/// A place in a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fault {
    field: Option<String>,
    signature: Option<String>,
    line: Option<usize>,
}

impl Fault {
    pub(super) fn field(pointer: impl Into<String>) -> Self {
        Self { field: Some(pointer.into()), ..Self::default() }
    }

    fn signature(key: &KeyName) -> Self {
        Self { signature: Some(key.to_string()), ..Self::default() }
    }

    fn line(number: usize) -> Self {
        Self { line: Some(number), ..Self::default() }
    }

    fn and_field(mut self, pointer: &str) -> Self {
        self.field = Some(pointer.to_owned());
        self
    }

    /// The problem, with the place.
    pub(super) fn tell(self, mut problem: Problem) -> Problem {
        if let Some(field) = self.field {
            problem = problem.with("field", field);
        }
        if let Some(signature) = self.signature {
            problem = problem.with("signature", signature);
        }
        match self.line {
            Some(line) => problem.with("line", line),
            None => problem,
        }
    }

    /// Of what the judge refuses.
    pub(super) fn of_refused(refused: &Refused) -> Self {
        match refused {
            Refused::OtherSignatures(_) => Self::line(SIGNATURE_LINE),
            Refused::Late(_) => Self::field("/at"),
            Refused::Registry(Refusal::Stale(_)) => Self::field("/previous"),
            Refused::Registry(Refusal::NotAllowed(reason)) => Self::of_signers(reason),
            Refused::Registry(Refusal::Inadmissible(rule)) => Self::of_rule(rule),
        }
    }

    fn of_signers(reason: &NotAllowed) -> Self {
        match reason {
            NotAllowed::UnknownKey(key)
            | NotAllowed::BadSignature(key)
            | NotAllowed::Retired(key, _)
            | NotAllowed::Revoked(key, _)
            | NotAllowed::Role(key)
            | NotAllowed::Possession(key) => Self::signature(key),
            NotAllowed::OtherAgency(key) => Self::signature(key).and_field("/agency"),
            NotAllowed::DelegatedRegister(key, _) => Self::signature(key).and_field("/register"),
            NotAllowed::DelegationEnded(key) => Self::signature(key).and_field("/at"),
            NotAllowed::Quorum { .. } => Self::line(SIGNATURE_LINE),
        }
    }

    fn of_rule(rule: &Rule) -> Self {
        Self::field(match rule {
            Rule::Genesis => return Self::line(KIND_LINE),
            Rule::SignatureForm(key) => return Self::signature(key),
            Rule::FieldMorePublic(name, _) => {
                return Self::field(format!("/fields/{}", escape_segment(name)));
            }
            Rule::FieldUndeclared(path, _) | Rule::FieldType(path, _) | Rule::FieldRequired(path) => {
                path.as_str()
            }
            Rule::OtherLog(_) => "/log",
            Rule::UnknownAgency(_) | Rule::AgencyExists(_) => "/agency",
            Rule::KeyTaken(_) | Rule::NameTaken(_) | Rule::NotLive(_) | Rule::TooManyKeys(_) => "/keys",
            Rule::QuorumUnreachable { .. } => "/quorum",
            Rule::UnknownRegister(_) => "/register",
            Rule::KeyRuleChanged => "/keys",
            Rule::PrefixTaken(_) => "/prefix",
            Rule::KeyNotOpaque | Rule::KeyPrefix(_) | Rule::DisputeKey(_) => "/key",
            Rule::TitleNotAllowed => "/title",
            Rule::Schema => "/schema",
            Rule::NothingToWithdraw => "/action",
            Rule::SealedLeaves(_) => "/sealed/leaves",
            Rule::AttachmentClass(_) => "/attachments",
            Rule::TombstoneEntry(_) => "/entry",
            Rule::NothingToErase(_) => "/erased",
            Rule::DisputeRange => "/to",
        })
    }

    /// Of what is no statement.
    pub(super) fn of_form(form: &StatementError) -> Self {
        match form {
            StatementError::Json(_) | StatementError::Field(_) => {
                form.path().map_or_else(|| Self::line(JSON_LINE), Self::field)
            }
            StatementError::Kind(_) => Self::line(KIND_LINE),
            StatementError::TooLong(_) => Self::line(JSON_LINE),
            // One is missing, or the one after it is too many.
            StatementError::Lines(1) => Self::line(JSON_LINE),
            StatementError::Lines(_) => Self::line(JSON_LINE + 1),
            StatementError::SignatureOrder(at) => Self::line(SIGNATURE_LINE - 1 + at),
            StatementError::Note(NoteError::Line(at)) => Self::line(SIGNATURE_LINE - 1 + at),
            StatementError::Note(NoteError::Encoding(key) | NoteError::BadSignature(key, _)) => {
                Self::signature(key)
            }
            StatementError::Note(NoteError::TooMany(_) | NoteError::NoTrustedSignature) => {
                Self::line(SIGNATURE_LINE)
            }
            // It is not known what of it is a line.
            StatementError::Note(NoteError::TooLong(_) | NoteError::Characters | NoteError::Shape) => {
                Self::line(KIND_LINE)
            }
        }
    }
}
