//! Who signed, and whether that is enough.
//!
//! A statement carries only signatures that count, so each rule here refuses a key that may not sign, and then
//! counts. An officer is a key name, and a name has one live key, so nobody counts twice.

use tlog::crypto;
use tlog::ids::{KeyName, LeafIndex};
use tlog::note::SignatureLine;
use tlog::vkey::{KeyKind, VerifierKey};

use super::keys::{End, Grant, KeyState};
use super::refusal::{NotAllowed, Refusal, Rule};
use super::{Authentic, Registry, Signatures};
use crate::ids::AgencyId;
use crate::statement::{Record, Statement};

/// Officers that a tombstone needs whatever the quorum is.
const TOMBSTONE_OFFICERS_MIN: u8 = 2;

/// The keys that signed, of which each is live or brought in.
pub(super) struct Signers<'a> {
    known: Vec<&'a KeyState>,
    brought_in: Vec<&'a VerifierKey>,
}

impl Registry {
    /// The key of each signature line, and whether the signature is good.
    ///
    /// What is found holds for ever, whatever else the log admits, so it can be done ahead and in parallel. A key that
    /// is not known yet may be brought in by an entry still to be judged: ask again in order.
    ///
    /// Cost: one verification for each line, unless signatures are trusted.
    ///
    /// # Errors
    /// [`NotAllowed::UnknownKey`], [`NotAllowed::BadSignature`], [`Rule::SignatureForm`].
    pub fn authenticate(&self, statement: Statement, signatures: Signatures) -> Result<Authentic, Refusal> {
        let mut keys = Vec::with_capacity(statement.signatures().len());
        let brought_in = statement.body().brings_in();
        for line in statement.signatures() {
            let known = self.keys.of_line(line).map(|state| &state.key);
            let key = known.or_else(|| brought_in.iter().copied().find(|key| line.is_by(key)));
            let key = key.ok_or_else(|| NotAllowed::UnknownKey(line.name().clone()))?;
            if signatures == Signatures::Check {
                check_signature(key, statement.text(), line.signature())?;
            }
            keys.push(key.clone());
        }
        drop(brought_in);
        Ok(Authentic { statement, keys })
    }

    /// The first signature by a key that is neither known nor brought in by the statement itself. While there is one, no
    /// other signature is worth verifying: whoever made the statement may be nobody.
    #[must_use]
    pub fn unknown_signer<'a>(&self, statement: &'a Statement) -> Option<&'a KeyName> {
        let brought_in = statement.body().brings_in();
        let known = |line: &SignatureLine| {
            self.keys.of_line(line).is_some() || brought_in.iter().any(|key| line.is_by(key))
        };
        statement.signatures().iter().find(|line| !known(line)).map(SignatureLine::name)
    }

    /// The entry that rules a refused statement out by itself, where there is one: it ended the key that signed, or
    /// brought in the key that is taken or does not verify. With it a monitor makes an evidence file.
    #[must_use]
    pub fn contradicted_by(&self, statement: &Statement, refusal: &Refusal) -> Option<LeafIndex> {
        let named = |name: &KeyName| {
            let lines = statement.signatures().iter().filter(move |line| line.name() == name);
            lines.filter_map(|line| self.keys.of_line(line)).next()
        };
        match refusal {
            Refusal::NotAllowed(NotAllowed::Retired(name, _) | NotAllowed::Revoked(name, _)) => {
                named(name)?.end.map(End::index)
            }
            Refusal::NotAllowed(NotAllowed::BadSignature(name))
            | Refusal::Inadmissible(Rule::SignatureForm(name)) => named(name).map(|state| state.since),
            Refusal::Inadmissible(Rule::KeyTaken(name)) => {
                let mut brought_in = statement.body().brings_in().into_iter();
                let key = brought_in.find(|key| key.name() == name)?;
                self.keys.of_material(key).map(|state| state.since)
            }
            _ => None,
        }
    }

    /// The signers as the registry knows them now.
    pub(super) fn signers<'a>(&'a self, authentic: &'a Authentic) -> Result<Signers<'a>, Refusal> {
        let mut signers = Signers { known: Vec::new(), brought_in: Vec::new() };
        let brings_in = authentic.statement.body().brings_in();
        for key in &authentic.keys {
            match self.keys.of_key(key) {
                Some(state) => signers.known.push(state),
                None if brings_in.contains(&key) => signers.brought_in.push(key),
                None => return Err(NotAllowed::UnknownKey(key.name().clone()).into()),
            }
        }
        signers.known.iter().try_for_each(|state| live(state))?;
        Ok(signers)
    }
}

fn check_signature(key: &VerifierKey, text: &str, signature: &[u8]) -> Result<(), Refusal> {
    let name = || key.name().clone();
    let good = match key.kind() {
        KeyKind::Ed25519 => {
            let material = key.material().try_into().expect("an Ed25519 key has 32 bytes");
            crypto::verify_ed25519(material, text.as_bytes(), signature)
        }
        KeyKind::EcdsaP256 => {
            if !crypto::is_canonical_p256_signature(signature) {
                return Err(Rule::SignatureForm(name()).into());
            }
            crypto::verify_p256(key.material(), text.as_bytes(), signature)
        }
        _ => false,
    };
    if good { Ok(()) } else { Err(NotAllowed::BadSignature(name()).into()) }
}

/// Whether a signature by that key is good and in its one form.
pub(crate) fn signature_holds(key: &VerifierKey, text: &str, signature: &[u8]) -> bool {
    check_signature(key, text, signature).is_ok()
}

fn live(state: &KeyState) -> Result<(), NotAllowed> {
    let name = || state.key.name().clone();
    match state.end {
        None => Ok(()),
        Some(End::Retired(index)) => Err(NotAllowed::Retired(name(), index.get())),
        Some(End::Revoked(index)) => Err(NotAllowed::Revoked(name(), index.get())),
    }
}

fn name_of(state: &KeyState) -> KeyName {
    state.key.name().clone()
}

fn of_agency(state: &KeyState, agency: &AgencyId) -> Result<(), NotAllowed> {
    if state.agency == *agency { Ok(()) } else { Err(NotAllowed::OtherAgency(name_of(state))) }
}

fn enough(found: usize, needed: u8) -> Result<(), NotAllowed> {
    let found = u8::try_from(found).expect("a note has at most 64 signatures");
    if found >= needed { Ok(()) } else { Err(NotAllowed::Quorum { needed, found }) }
}

impl Signers<'_> {
    /// Every key of `keys` has signed.
    pub(super) fn include(&self, keys: &[&VerifierKey]) -> Result<(), NotAllowed> {
        let signed = |key: &&VerifierKey| {
            self.brought_in.contains(key) || self.known.iter().any(|state| state.key == **key)
        };
        let missing = keys.iter().find(|key| !signed(key));
        missing.map_or(Ok(()), |key| Err(NotAllowed::Possession(key.name().clone())))
    }

    /// At least `needed` officers of the agency, and nobody else but keys brought in.
    pub(super) fn are_officers(&self, agency: &AgencyId, needed: u8) -> Result<(), NotAllowed> {
        for state in &self.known {
            of_agency(state, agency)?;
            if state.grant != Grant::Officer {
                return Err(NotAllowed::Role(name_of(state)));
            }
        }
        enough(self.known.len(), needed)
    }

    /// Like [`Signers::are_officers`], and the key of a sub-unit whose delegation is renewed.
    pub(super) fn are_officers_and(
        &self,
        agency: &AgencyId,
        needed: u8,
        delegate: &VerifierKey,
    ) -> Result<(), NotAllowed> {
        let others = self.known.iter().copied().filter(|state| state.key != *delegate).collect();
        Signers { known: others, brought_in: Vec::new() }.are_officers(agency, needed)
    }

    /// Officers for a tombstone.
    pub(super) fn approve_erasure(&self, agency: &AgencyId, quorum: u8) -> Result<(), NotAllowed> {
        self.are_officers(agency, quorum.max(TOMBSTONE_OFFICERS_MIN))
    }

    /// Whether the only known signer is the agency's recovery key.
    pub(super) fn is_recovery(&self, agency: &AgencyId) -> bool {
        matches!(self.known.as_slice(), [state] if state.grant == Grant::Recovery && state.agency == *agency)
    }

    /// Whether every known signer belongs to the agency.
    pub(super) fn are_of(&self, agency: &AgencyId) -> bool {
        self.known.iter().all(|state| state.agency == *agency)
    }

    /// Keys that may sign a version of a record where `approvals` officers are asked for.
    pub(super) fn may_publish(&self, record: &Record, approvals: u8) -> Result<(), NotAllowed> {
        for state in &self.known {
            of_agency(state, &record.agency)?;
            match &state.grant {
                Grant::Officer => {}
                Grant::Publisher if approvals == 0 => {}
                Grant::Delegate { registers, until } if approvals == 0 => {
                    if registers.binary_search(&record.register).is_err() {
                        let register = record.register.clone();
                        return Err(NotAllowed::DelegatedRegister(name_of(state), register));
                    }
                    if record.at > *until {
                        return Err(NotAllowed::DelegationEnded(name_of(state)));
                    }
                }
                _ => return Err(NotAllowed::Role(name_of(state))),
            }
        }
        enough(self.known.len(), approvals.max(1))
    }
}
