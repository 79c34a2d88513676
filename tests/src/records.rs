//! Agencies that sign statements, for tests of logs that take records.
//!
//! Keys are derived from their names, so a test that runs twice signs the same bytes.

use std::collections::BTreeMap;

use record::ids::AgencyId;
use record::json::{Object, Value};
use record::statement::{
    Agency, AgencyAction, Attachment, Body, Content, EntryRef, Erased, FieldRule, Genesis, KeyGrant, KeyRule,
    KeySet, Record, Register, Role, Statement, Tombstone,
};
use tlog::hash::{Hash, leaf_hash, sha256};
use tlog::ids::Origin;
use tlog::note::SignatureLine;
use tlog::sign::{EcdsaP256Signer, Ed25519Signer};
use tlog::vkey::VerifierKey;

/// When statements of tests are written.
pub const AT: &str = "2026-11-23T09:00:00Z";

/// A private key of either algorithm.
#[derive(Debug)]
pub enum Signer {
    /// Ed25519.
    Ed25519(Ed25519Signer),
    /// ECDSA over P-256.
    P256(EcdsaP256Signer),
}

impl Signer {
    /// An Ed25519 key of this name.
    ///
    /// # Panics
    /// If the name cannot name a key; here and below.
    #[must_use]
    pub fn ed25519(name: &str) -> Self {
        let seed = *sha256(name.as_bytes()).as_bytes();
        Self::Ed25519(Ed25519Signer::from_seed(name.parse().expect("a key name"), &seed))
    }

    /// A P-256 key of this name.
    #[must_use]
    pub fn p256(name: &str) -> Self {
        let seed = *sha256(name.as_bytes()).as_bytes();
        let signer = EcdsaP256Signer::from_seed(name.parse().expect("a key name"), &seed);
        Self::P256(signer.expect("a seed of the curve"))
    }

    /// The key that verifies.
    #[must_use]
    pub fn key(&self) -> VerifierKey {
        match self {
            Self::Ed25519(signer) => signer.verifier_key(),
            Self::P256(signer) => signer.verifier_key(),
        }
    }

    /// Signs a text.
    #[must_use]
    pub fn sign(&self, text: &str) -> SignatureLine {
        match self {
            Self::Ed25519(signer) => signer.sign(text),
            Self::P256(signer) => signer.sign(text),
        }
    }
}

/// An agency with its keys: three officers, of whom two must sign, and a publisher.
#[derive(Debug)]
pub struct Office {
    /// Its identifier.
    pub id: AgencyId,
    /// Its officers: two with Ed25519, one with P-256.
    pub officers: Vec<Signer>,
    /// Signs records.
    pub publisher: Signer,
}

impl Office {
    /// An agency of this name.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            officers: vec![
                Signer::ed25519(&format!("{id}/officer-1")),
                Signer::ed25519(&format!("{id}/officer-2")),
                Signer::p256(&format!("{id}/officer-3")),
            ],
            publisher: Signer::ed25519(&format!("{id}/publisher")),
            id: id.parse().expect("an agency"),
        }
    }

    fn keys(&self) -> KeySet {
        let officers = self.officers.iter().map(|signer| KeyGrant { key: signer.key(), role: Role::Officer });
        let publisher = KeyGrant { key: self.publisher.key(), role: Role::Publisher };
        let mut keys: Vec<KeyGrant> = officers.chain([publisher]).collect();
        keys.sort_by(|a, b| a.key.name().cmp(b.key.name()));
        KeySet { keys, quorum: 2, recovery: None }
    }

    fn everybody(&self) -> Vec<&Signer> {
        self.officers.iter().chain([&self.publisher]).collect()
    }

    /// Brings in another publisher's key, and retires the one there is.
    #[must_use]
    pub fn replace_publisher(&self, new: &Signer) -> AgencyAction {
        AgencyAction::Rotate {
            add: vec![KeyGrant { key: new.key(), role: Role::Publisher }],
            retire: vec![self.publisher.key()],
            quorum: 2,
            recovery: None,
        }
    }

    /// Two officers.
    #[must_use]
    pub fn quorum(&self) -> Vec<&Signer> {
        self.officers.iter().take(2).collect()
    }
}

/// Signs a body.
#[must_use]
pub fn sign(body: &Body, signers: &[&Signer]) -> Vec<u8> {
    sign_text(&body.to_text(), signers)
}

/// Signs a text.
#[must_use]
pub fn sign_text(text: &str, signers: &[&Signer]) -> Vec<u8> {
    let lines = signers.iter().map(|signer| signer.sign(text)).collect();
    Statement::assemble(text, lines).expect("a statement").to_bytes()
}

/// A log's registrar and agencies, as statements for that log.
#[derive(Debug)]
pub struct World {
    /// The log's name.
    pub origin: Origin,
    /// Who enrols agencies.
    pub registrar: Office,
}

impl World {
    /// A world around the log of this origin.
    #[must_use]
    pub fn new(origin: &str) -> Self {
        Self { origin: origin.parse().expect("an origin"), registrar: Office::new("registrar.example") }
    }

    /// Entry 0, signed by everybody it names.
    #[must_use]
    pub fn genesis(&self) -> Vec<u8> {
        let body = Body::Genesis(Genesis {
            at: AT.parse().expect("a time"),
            log: self.origin.clone(),
            registrar: self.registrar.id.clone(),
            title: "The registrar".parse().expect("a line"),
            keys: self.registrar.keys(),
        });
        sign(&body, &self.registrar.everybody())
    }

    /// An agency's enrolment, by two of the registrar's officers and every key it brings in.
    #[must_use]
    pub fn enrol(&self, office: &Office) -> Vec<u8> {
        let body = self.agency_body(
            office,
            None,
            AgencyAction::Enrol { title: "An office".parse().expect("a line"), keys: office.keys() },
        );
        let signers: Vec<&Signer> = self.registrar.quorum().into_iter().chain(office.everybody()).collect();
        sign(&body, &signers)
    }

    /// A statement about an agency.
    #[must_use]
    pub fn agency_body(&self, office: &Office, previous: Option<Hash>, action: AgencyAction) -> Body {
        Body::Agency(Agency {
            agency: office.id.clone(),
            at: AT.parse().expect("a time"),
            log: self.origin.clone(),
            previous,
            action,
        })
    }

    /// A register without declared fields.
    #[must_use]
    pub fn register_body(&self, office: &Office, register: &str, previous: Option<Hash>) -> Register {
        Register {
            agency: office.id.clone(),
            register: register.parse().expect("a register"),
            at: AT.parse().expect("a time"),
            log: self.origin.clone(),
            previous,
            title: "A register".parse().expect("a line"),
            licence: "OGL-UK-3.0".parse().expect("a line"),
            approvals: 0,
            keys: KeyRule::Public,
            prefix: None,
            fields: BTreeMap::<String, FieldRule>::new(),
            attachments: Vec::new(),
            schema: None,
            calendar: None,
        }
    }

    /// Opens such a register, by two officers.
    #[must_use]
    pub fn open(&self, office: &Office, register: &str) -> Vec<u8> {
        sign(&Body::Register(self.register_body(office, register, None)), &office.quorum())
    }

    /// A version of a record, unsigned.
    #[must_use]
    pub fn record_body(
        &self,
        office: &Office,
        register: &str,
        key: &str,
        previous: Option<Hash>,
        public: &str,
    ) -> Record {
        let public = match Value::parse(public).expect("canonical JSON") {
            Value::Object(object) => object,
            other => panic!("{other:?} is no object"),
        };
        Record {
            agency: office.id.clone(),
            register: register.parse().expect("a register"),
            key: key.parse().expect("a key"),
            at: AT.parse().expect("a time"),
            log: self.origin.clone(),
            previous,
            content: Some(Content { public, ..Content::default() }),
        }
    }

    /// A version of a record, signed by the publisher.
    #[must_use]
    pub fn put(
        &self,
        office: &Office,
        register: &str,
        key: &str,
        previous: Option<Hash>,
        public: &str,
    ) -> Vec<u8> {
        let body = Body::Record(self.record_body(office, register, key, previous, public));
        sign(&body, &[&office.publisher])
    }

    /// A version that has attachments and nothing else.
    #[must_use]
    pub fn attach(
        &self,
        office: &Office,
        register: &str,
        key: &str,
        attachments: Vec<Attachment>,
    ) -> Vec<u8> {
        let mut body = self.record_body(office, register, key, None, "{}");
        body.content = Some(Content { public: Object::new(), attachments, ..Content::default() });
        sign(&Body::Record(body), &[&office.publisher])
    }

    /// A tombstone of what a version had, unsigned.
    #[must_use]
    pub fn tombstone_body(
        &self,
        office: &Office,
        register: &str,
        key: &str,
        entry: EntryRef,
        erased: &[&str],
    ) -> Body {
        Body::Tombstone(Tombstone {
            agency: office.id.clone(),
            register: register.parse().expect("a register"),
            key: key.parse().expect("a key"),
            at: AT.parse().expect("a time"),
            log: self.origin.clone(),
            previous: None,
            entry,
            erased: erased.iter().map(|erased| erased.parse::<Erased>().expect("a pointer")).collect(),
            basis: "GDPR, Art. 17".parse().expect("a reason"),
        })
    }
}

/// The leaf hash of a statement, as the next one names it.
#[must_use]
pub fn previous(statement: &[u8]) -> Option<Hash> {
    Some(leaf_hash(statement))
}
