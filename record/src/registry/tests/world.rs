//! A small log for tests: a registrar of three officers, agencies, registers, and signers with fixed seeds.

use std::collections::BTreeMap;

use tlog::hash::{Hash, sha256};
use tlog::ids::LeafIndex;
use tlog::note::SignatureLine;
use tlog::sign::{EcdsaP256Signer, Ed25519Signer};
use tlog::vkey::VerifierKey;

use crate::json::{Object, Value};
use crate::registry::{Authentic, Chain, Effect, JudgeError, MemoryHistory, Refusal, Registry, Signatures};
use crate::statement::{
    Agency, AgencyAction, Body, Content, EntryRef, Genesis, KeyGrant, KeyRule, KeySet, Record, Register,
    Role, Statement,
};

pub(crate) const LOG: &str = "log.gov.example/2026";
pub(crate) const REGISTRAR: &str = "registrar.gov.example";

/// A signer whose seed is the hash of its name; P-256 if the name ends in `-p256`.
pub(crate) enum Signer {
    Ed25519(Ed25519Signer),
    P256(EcdsaP256Signer),
}

impl Signer {
    pub(crate) fn new(name: &str) -> Self {
        Self::from_seed(name, name)
    }

    /// Another key under the same name.
    pub(crate) fn from_seed(name: &str, seed: &str) -> Self {
        let key_name = name.parse().unwrap();
        let seed = *sha256(seed.as_bytes()).as_bytes();
        if name.ends_with("-p256") {
            Self::P256(EcdsaP256Signer::from_seed(key_name, &seed).unwrap())
        } else {
            Self::Ed25519(Ed25519Signer::from_seed(key_name, &seed))
        }
    }

    pub(crate) fn key(&self) -> VerifierKey {
        match self {
            Self::Ed25519(signer) => signer.verifier_key(),
            Self::P256(signer) => signer.verifier_key(),
        }
    }

    pub(crate) fn sign(&self, text: &str) -> SignatureLine {
        match self {
            Self::Ed25519(signer) => signer.sign(text),
            Self::P256(signer) => signer.sign(text),
        }
    }
}

pub(crate) fn signers(agency: &str, names: &[&str]) -> Vec<Signer> {
    names.iter().map(|name| Signer::new(&format!("{agency}/{name}"))).collect()
}

pub(crate) fn officer(signer: &Signer) -> KeyGrant {
    KeyGrant { key: signer.key(), role: Role::Officer }
}

pub(crate) fn publisher(signer: &Signer) -> KeyGrant {
    KeyGrant { key: signer.key(), role: Role::Publisher }
}

pub(crate) fn key_set(mut keys: Vec<KeyGrant>, quorum: u8, recovery: Option<&Signer>) -> KeySet {
    keys.sort_by(|a, b| a.key.name().cmp(b.key.name()));
    KeySet { keys, quorum, recovery: recovery.map(Signer::key) }
}

/// A log, its registry and its history.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) history: MemoryHistory,
    pub(crate) entries: Vec<Vec<u8>>,
}

impl World {
    /// A log without entries.
    pub(crate) fn empty() -> Self {
        Self { registry: Registry::new(), history: MemoryHistory::default(), entries: Vec::new() }
    }

    /// A log with its genesis (2 of 3), `a.gov.example` (2 of 3, publisher, recovery key, register `country`) and
    /// `b.gov.example` (1 of 1, P-256, register `budget`).
    pub(crate) fn new() -> Self {
        let mut world = Self::empty();
        let registrar = signers(REGISTRAR, &["one", "two", "three"]);
        world.admit(&genesis(&registrar), &registrar);
        let a = signers("a.gov.example", &["alice", "amir", "ann", "publisher", "recovery"]);
        let keys = vec![officer(&a[0]), officer(&a[1]), officer(&a[2]), publisher(&a[3])];
        let enrol = enrol("a.gov.example", key_set(keys, 2, Some(&a[4])));
        world.admit(&enrol, registrar.iter().take(2).chain(&a));
        let b = signers("b.gov.example", &["bob-p256"]);
        let enrol = self::enrol("b.gov.example", key_set(vec![officer(&b[0])], 1, None));
        world.admit(&enrol, registrar.iter().take(2).chain(&b));
        world.admit(&Body::Register(register("a.gov.example", "country")), a.iter().take(2));
        world.admit(&Body::Register(register("b.gov.example", "budget")), &b);
        world
    }

    pub(crate) fn next(&self) -> LeafIndex {
        LeafIndex::new(self.entries.len() as u64).unwrap()
    }

    pub(crate) fn judge(&self, statement: Statement) -> Result<(Authentic, Effect), Refusal> {
        let authentic = self.registry.authenticate(statement, Signatures::Check)?;
        match self.registry.judge(self.next(), &authentic, &self.history) {
            Ok(effect) => Ok((authentic, effect)),
            Err(JudgeError::Refused(refusal)) => Err(refusal),
            Err(JudgeError::History(never)) => match never {},
        }
    }

    /// Judges and takes in.
    pub(crate) fn submit<'a>(
        &mut self,
        body: &Body,
        by: impl IntoIterator<Item = &'a Signer>,
    ) -> Result<EntryRef, Refusal> {
        self.submit_statement(signed(body, by))
    }

    pub(crate) fn submit_statement(&mut self, statement: Statement) -> Result<EntryRef, Refusal> {
        let (authentic, effect) = self.judge(statement)?;
        let entry = effect.entry();
        let bytes = authentic.statement().to_bytes();
        self.history.push(effect.chain(), entry, bytes.clone());
        self.entries.push(bytes);
        self.registry.apply(effect);
        Ok(entry)
    }

    /// Submits what must be admitted.
    pub(crate) fn admit<'a>(&mut self, body: &Body, by: impl IntoIterator<Item = &'a Signer>) -> EntryRef {
        self.submit(body, by).unwrap_or_else(|refusal| panic!("{}: {refusal}", refusal.code()))
    }

    /// The code of the refusal of what must be refused. The log stays as it is.
    pub(crate) fn refusal<'a>(&self, body: &Body, by: impl IntoIterator<Item = &'a Signer>) -> &'static str {
        self.judge(signed(body, by)).map(|_| ()).expect_err("it must be refused").code()
    }

    /// The latest entry of a chain that the registry or the history knows.
    pub(crate) fn latest(&self, chain: &Chain) -> Option<EntryRef> {
        crate::registry::History::latest(&self.history, chain).unwrap()
    }
}

pub(crate) fn signed<'a>(body: &Body, by: impl IntoIterator<Item = &'a Signer>) -> Statement {
    let text = body.to_text();
    let lines = by.into_iter().map(|signer| signer.sign(&text)).collect();
    Statement::assemble(&text, lines).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn genesis(registrar: &[Signer]) -> Body {
    Body::Genesis(Genesis {
        at: "2026-01-01T00:00:00Z".parse().unwrap(),
        log: LOG.parse().unwrap(),
        registrar: REGISTRAR.parse().unwrap(),
        title: "Registrar".parse().unwrap(),
        keys: key_set(registrar.iter().map(officer).collect(), 2, None),
    })
}

pub(crate) fn about(agency: &str, previous: Option<Hash>, action: AgencyAction) -> Body {
    Body::Agency(Agency {
        agency: agency.parse().unwrap(),
        at: "2026-01-02T00:00:00Z".parse().unwrap(),
        log: LOG.parse().unwrap(),
        previous,
        action,
    })
}

pub(crate) fn enrol(agency: &str, keys: KeySet) -> Body {
    about(agency, None, AgencyAction::Enrol { title: agency.parse().unwrap(), keys })
}

pub(crate) fn register(agency: &str, register: &str) -> Register {
    Register {
        agency: agency.parse().unwrap(),
        register: register.parse().unwrap(),
        at: "2026-01-03T00:00:00Z".parse().unwrap(),
        log: LOG.parse().unwrap(),
        previous: None,
        title: register.parse().unwrap(),
        licence: "OGL-UK-3.0".parse().unwrap(),
        approvals: 0,
        keys: KeyRule::Public,
        prefix: None,
        fields: BTreeMap::new(),
        attachments: Vec::new(),
        schema: None,
        calendar: None,
    }
}

pub(crate) fn record(
    agency: &str,
    register: &str,
    key: &str,
    previous: Option<Hash>,
    public: &str,
) -> Record {
    let Value::Object(public) = Value::parse(public).unwrap() else { panic!("content is an object") };
    Record {
        agency: agency.parse().unwrap(),
        register: register.parse().unwrap(),
        key: key.parse().unwrap(),
        at: "2026-02-01T00:00:00Z".parse().unwrap(),
        log: LOG.parse().unwrap(),
        previous,
        content: Some(Content { public, ..Content::default() }),
    }
}

/// A record of `a.gov.example`'s `country`.
pub(crate) fn country(key: &str, previous: Option<Hash>, name: &str) -> Body {
    let public: Object = [("name".to_owned(), Value::from(name))].into_iter().collect();
    let text = Value::Object(public).to_text();
    Body::Record(record("a.gov.example", "country", key, previous, &text))
}
