//! Which entries rule each other out, whatever else the log holds.
//!
//! Each rule here follows from those of `docs/spec/record.md`, section 3, and holds whether or not the earlier entry
//! was admissible itself: if it was not, the log took that one.

use tlog::ids::Origin;
use tlog::vkey::VerifierKey;

use super::{ENTRIES_MAX, NoFinding, ProvedEntry};
use crate::registry::{Chain, signature_holds};
use crate::statement::{AgencyAction, Body, Genesis, Kind, Statement, StatementError};

/// In which way entries rule each other out. The first that applies is the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// An entry that is no statement.
    Malformed,
    /// A second genesis.
    Genesis,
    /// A statement for another log.
    OtherLog,
    /// A signature by a key that bears another agency's name.
    ForeignKey,
    /// One text twice.
    Repeated,
    /// Two statements that name one `previous` in one chain.
    ForkedChain,
    /// One public key, brought in twice.
    KeyTwice,
    /// A signature by a key that an earlier entry ended.
    EndedKey,
    /// A signature that does not verify under the key of its name and ID.
    BadSignature,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::Genesis,
        Self::OtherLog,
        Self::ForeignKey,
        Self::Repeated,
        Self::ForkedChain,
        Self::KeyTwice,
        Self::EndedKey,
        Self::BadSignature,
    ];

    /// The name in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "record-malformed",
            Self::Genesis => "record-genesis",
            Self::OtherLog => "record-other-log",
            Self::ForeignKey => "record-foreign-key",
            Self::Repeated => "record-repeated",
            Self::ForkedChain => "record-forked-chain",
            Self::KeyTwice => "record-key-twice",
            Self::EndedKey => "record-ended-key",
            Self::BadSignature => "record-bad-signature",
        }
    }

    /// What it means, for people.
    #[must_use]
    pub fn summary(self) -> &'static str {
        match self {
            Self::Malformed => "an entry that is no statement, or not in its one form",
            Self::Genesis => "a second genesis",
            Self::OtherLog => "a statement that was signed for another log",
            Self::ForeignKey => "a statement about one agency, signed by a key of another",
            Self::Repeated => "the same statement twice",
            Self::ForkedChain => "two statements that both follow the same one",
            Self::KeyTwice => "a key that was brought in twice",
            Self::EndedKey => "a statement signed by a key that was revoked or retired before",
            Self::BadSignature => "a statement with a signature that does not verify",
        }
    }
}

/// The form and a sentence, if the entries rule each other out.
pub(super) fn find(log: &Origin, entries: &[ProvedEntry]) -> Result<(Form, String), NoFinding> {
    let ascending = entries.windows(2).all(|pair| pair[0].index < pair[1].index);
    let first = entries.first().filter(|first| first.index.get() == 0);
    let (Some(first), true, 2..=ENTRIES_MAX) = (first, ascending, entries.len()) else {
        return Err(NoFinding::Places);
    };
    let parsed = Statement::parse(&first.entry).ok();
    let Some((start, genesis)) = parsed.as_ref().and_then(|parsed| genesis_of(parsed, log)) else {
        return Err(NoFinding::NoGenesis(log.clone()));
    };
    let later = entries.last().expect("at least two entries");
    let later_statement = match Statement::parse(&later.entry) {
        Ok(statement) => statement,
        Err(error) if entries.len() == 2 => return malformed(later, &error),
        Err(_) => return Err(NoFinding::NoContradiction),
    };
    let alone = if entries.len() == 2 { alone(genesis, &later_statement) } else { None };
    if let Some(found) = alone {
        return Ok(found);
    }
    let middle = if entries.len() == 2 { None } else { Some(Statement::parse(&entries[1].entry)) };
    let earlier = match &middle {
        None => start,
        Some(Ok(statement)) => statement,
        Some(Err(_)) => return Err(NoFinding::NoContradiction),
    };
    pair(earlier, &later_statement).ok_or(NoFinding::NoContradiction)
}

fn genesis_of<'a>(statement: &'a Statement, log: &Origin) -> Option<(&'a Statement, &'a Genesis)> {
    match statement.body() {
        Body::Genesis(genesis) if genesis.log == *log => Some((statement, genesis)),
        _ => None,
    }
}

fn malformed(entry: &ProvedEntry, error: &StatementError) -> Result<(Form, String), NoFinding> {
    match error {
        // A later version may know this kind.
        StatementError::Kind(line) if line.starts_with("daybook/") => Err(NoFinding::Newer(entry.index)),
        _ => Ok((Form::Malformed, format!("The entry is no statement: {error}."))),
    }
}

/// What a statement and the genesis show.
fn alone(genesis: &Genesis, statement: &Statement) -> Option<(Form, String)> {
    let body = statement.body();
    if body.kind() == Kind::Genesis {
        return Some((Form::Genesis, "Only entry 0 may be a genesis.".to_owned()));
    }
    if *body.log() != genesis.log {
        return Some((Form::OtherLog, format!("The statement was signed for the log {}.", body.log())));
    }
    let by_registrar = matches!(
        body,
        Body::Agency(agency) if matches!(
            agency.action,
            AgencyAction::Enrol { .. } | AgencyAction::Revoke { .. } | AgencyAction::Recover { .. }
        )
    );
    let agency = body.agency();
    let may =
        |name: &str| agency.owns_key_name(name) || by_registrar && genesis.registrar.owns_key_name(name);
    let foreign = statement.signatures().iter().find(|line| !may(line.name().as_str()))?;
    Some((Form::ForeignKey, format!("It is about {agency}, and signed by the key {}.", foreign.name())))
}

/// What two statements show, the later one second.
fn pair(earlier: &Statement, later: &Statement) -> Option<(Form, String)> {
    if earlier.identity() == later.identity() {
        return Some((Form::Repeated, "A text occurs once in a log.".to_owned()));
    }
    let chain = Chain::of(later.body());
    if Chain::of(earlier.body()) == chain && earlier.body().previous() == later.body().previous() {
        let previous = later.body().previous();
        let previous = previous.map_or_else(|| "nothing".to_owned(), |hash| format!("the entry {hash}"));
        return Some((Form::ForkedChain, format!("Both follow {previous}; the later one came too late.")));
    }
    key_twice(earlier, later).or_else(|| ended_key(earlier, later)).or_else(|| bad_signature(earlier, later))
}

fn key_twice(earlier: &Statement, later: &Statement) -> Option<(Form, String)> {
    let renews = matches!(
        later.body(),
        Body::Agency(agency) if matches!(agency.action, AgencyAction::Delegate { .. })
    ) && earlier.body().agency() == later.body().agency();
    if renews {
        return None;
    }
    let before = earlier.body().brings_in();
    let again = later.body().brings_in();
    let key = again.into_iter().find(|key| before.iter().any(|other| other.same_key(key)))?;
    Some((Form::KeyTwice, format!("The public key of {} came into the log before.", key.name())))
}

/// The keys that a statement names as ended.
fn ends(statement: &Statement) -> &[VerifierKey] {
    match statement.body() {
        Body::Agency(agency) => match &agency.action {
            AgencyAction::Rotate { retire, .. } => retire,
            AgencyAction::Revoke { keys, .. } => keys,
            _ => &[],
        },
        _ => &[],
    }
}

fn ended_key(earlier: &Statement, later: &Statement) -> Option<(Form, String)> {
    let signed = |key: &&VerifierKey| later.signatures().iter().any(|line| line.is_by(key));
    let key = ends(earlier).iter().find(signed)?;
    Some((
        Form::EndedKey,
        format!("The earlier entry ended the key {}, which signed the later one.", key.name()),
    ))
}

fn bad_signature(earlier: &Statement, later: &Statement) -> Option<(Form, String)> {
    let keys: Vec<&VerifierKey> =
        earlier.body().brings_in().into_iter().chain(later.body().brings_in()).collect();
    let bad = later.signatures().iter().find(|line| {
        let key = keys.iter().find(|key| line.is_by(key));
        key.is_some_and(|key| !signature_holds(key, later.text(), line.signature()))
    })?;
    Some((Form::BadSignature, format!("The signature by {} does not verify.", bad.name())))
}
