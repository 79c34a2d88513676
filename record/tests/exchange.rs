//! Real registers and a real contracting process, signed, judged, and read back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use record::diff::diff_versions;
use record::exchange::{Version, ocds, rsf};
use record::ids::AgencyId;
use record::json::Value;
use record::registry::{JudgeError, MemoryHistory, Refusal, Registry, Signatures};
use record::statement::{
    AgencyAction, Body, EntryRef, Genesis, KeyGrant, KeyRule, KeySet, Record, Register, Role, Statement,
};
use tlog::ids::{LeafIndex, Origin};
use tlog::sign::Ed25519Signer;

fn data(folder: &str) -> Option<PathBuf> {
    let configured = std::env::var_os("DAYBOOK_TEST_DATA").map(PathBuf::from);
    let data = configured.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let folder = data.join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs the data at {}", folder.display());
    eprintln!("SKIPPED: no data at {}; set DAYBOOK_TEST_DATA", folder.display());
    None
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let Some(folder) = data(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == extension));
    files.sort();
    files
}

/// A log with one agency, which is its own registrar, and one key.
struct Log {
    registry: Registry,
    history: MemoryHistory,
    size: u64,
}

const LOG: &str = "log.gov.example/2026";
const AGENCY: &str = "registers.gov.example";

fn key_set(signer: &Ed25519Signer) -> KeySet {
    let keys = vec![KeyGrant { key: signer.verifier_key(), role: Role::Officer }];
    KeySet { keys, quorum: 1, recovery: None }
}

impl Log {
    fn new() -> Self {
        let (registry, history) = (Registry::new(), MemoryHistory::default());
        let mut log = Self { registry, history, size: 0 };
        let genesis = Genesis {
            at: "2015-01-01T00:00:00Z".parse().expect("a time"),
            log: origin(),
            registrar: AGENCY.parse().expect("an agency"),
            title: "Registers".parse().expect("a title"),
            keys: key_set(&clerk()),
        };
        log.submit(&Body::Genesis(genesis)).expect("a genesis");
        log
    }

    fn submit(&mut self, body: &Body) -> Result<EntryRef, Refusal> {
        self.submit_signed(body, &[&clerk()])
    }

    fn submit_signed(&mut self, body: &Body, signers: &[&Ed25519Signer]) -> Result<EntryRef, Refusal> {
        let text = body.to_text();
        let lines = signers.iter().map(|signer| signer.sign(&text)).collect();
        let statement = Statement::assemble(&text, lines).unwrap_or_else(|error| panic!("{error}"));
        let authentic = self.registry.authenticate(statement, Signatures::Check)?;
        let index = LeafIndex::new(self.size).expect("an index");
        let effect = match self.registry.judge(index, &authentic, &self.history) {
            Ok(effect) => effect,
            Err(JudgeError::Refused(refusal)) => return Err(refusal),
            Err(JudgeError::History(never)) => match never {},
        };
        let entry = effect.entry();
        self.history.push(effect.chain(), entry, authentic.statement().to_bytes());
        self.registry.apply(effect);
        self.size += 1;
        Ok(entry)
    }

    /// Submits versions in order, each after the one before of its key.
    fn submit_all(&mut self, register: &Register, versions: &[Version]) -> Vec<Record> {
        let mut latest = BTreeMap::new();
        let mut records = Vec::new();
        for version in versions {
            let record = version.to_record(register, &origin(), latest.get(&version.key).copied());
            let entry = self.submit(&Body::Record(record.clone())).unwrap_or_else(|refusal| {
                panic!("{} {}: {refusal}", register.register, version.key);
            });
            latest.insert(version.key.clone(), entry.leaf);
            records.push(record);
        }
        records
    }
}

fn clerk() -> Ed25519Signer {
    Ed25519Signer::from_seed(format!("{AGENCY}/clerk").parse().expect("a name"), &[7; 32])
}

fn origin() -> Origin {
    LOG.parse().expect("an origin")
}

fn register(name: &str) -> Register {
    Register {
        agency: AGENCY.parse().expect("an agency"),
        register: name.parse().expect("a register"),
        at: "2015-01-02T00:00:00Z".parse().expect("a time"),
        log: origin(),
        previous: None,
        title: name.parse().expect("a title"),
        licence: "OGL-UK-3.0".parse().expect("a licence"),
        approvals: 0,
        keys: KeyRule::Public,
        prefix: None,
        fields: BTreeMap::new(),
        attachments: Vec::new(),
        schema: None,
        calendar: None,
    }
}

#[test]
fn all_registers_become_signed_histories_and_export_with_the_published_roots() {
    let files = files("registers", "rsf");
    let mut log = Log::new();
    let mut versions = 0;
    for file in &files {
        let original = std::fs::read(file).expect("a file");
        let imported = rsf::import(&original).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let name = file.file_stem().and_then(|name| name.to_str()).expect("a name");
        let mut definition = register(name);
        definition.fields = imported.fields.clone();
        if let Some(title) = &imported.title {
            definition.title = title.parse().expect("a title");
        }
        log.submit(&Body::Register(definition.clone())).expect("a register");
        let records = log.submit_all(&definition, &imported.versions);
        let (exported, head) = rsf::export(&records).expect("an export");
        assert_eq!(head, imported.head, "{}", file.display());
        let replayed = record::rsf::replay(exported.as_bytes()).expect("its assertions hold");
        let published = record::rsf::replay(&original).expect("a register");
        assert_eq!(replayed.leaves, published.leaves);
        assert_eq!(replayed.assertions.last().map(|last| last.head), Some(published.head));
        versions += records.len();
    }
    if !files.is_empty() {
        assert_eq!(files.len(), 38);
        assert!(versions > 8000, "{versions}");
        let snapshot = log.registry.to_snapshot();
        let restored = Registry::from_snapshot(&snapshot, Signatures::Check).expect("a snapshot");
        assert_eq!(restored, log.registry);
    }
}

#[test]
fn a_contracting_process_reads_as_one_history_from_planning_to_implementation() {
    let files = files("ocds", "json");
    let releases: Vec<ocds::Release> = files
        .iter()
        .filter(|file| {
            file.to_str().is_some_and(|name| name.contains("-0000") && !name.ends_with("-00001.json"))
        })
        .flat_map(|file| {
            let package = Value::read(&std::fs::read_to_string(file).expect("a file")).expect("JSON");
            ocds::import(&package).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        })
        .collect();
    if files.is_empty() {
        return;
    }
    let mut definition = register("contracts");
    definition.prefix = Some(releases[0].prefix.clone());
    let mut log = Log::new();
    log.submit(&Body::Register(definition.clone())).expect("a register");
    let versions: Vec<Version> = releases.iter().map(|release| release.version.clone()).collect();
    let records = log.submit_all(&definition, &versions);
    let tags: Vec<String> = records
        .iter()
        .map(|record| record.content.as_ref().expect("content").public.get("tag").expect("a tag").to_text())
        .collect();
    assert_eq!(tags.first().map(String::as_str), Some("[\"planning\"]"));
    assert_eq!(tags.last().map(String::as_str), Some("[\"implementation\"]"));
    assert_eq!(records.len(), 6);
    assert!(records.iter().all(|record| record.key == records[0].key), "one process, one key");
    for pair in records.windows(2) {
        let changes = diff_versions(&pair[0], &pair[1]);
        assert!(changes.iter().any(|change| change.path == "/public/id"));
    }
    // A record outside the prefix is not of this register, and the prefix is not another agency's.
    let mut other = records[0].clone();
    (other.key, other.previous) = ("ocds-zzzzzz-1".parse().expect("a key"), None);
    assert_eq!(log.submit(&Body::Record(other)).expect_err("refused").code(), "key_prefix");
    assert_eq!(open_elsewhere(&mut log, &definition).code(), "prefix_taken");
}

/// Another agency enrols and opens a register with the same prefix.
fn open_elsewhere(log: &mut Log, definition: &Register) -> Refusal {
    let agency: AgencyId = "other.gov.example".parse().expect("an agency");
    let other = Ed25519Signer::from_seed("other.gov.example/clerk".parse().expect("a name"), &[8; 32]);
    let enrol = record::statement::Agency {
        agency: agency.clone(),
        at: definition.at,
        log: origin(),
        previous: None,
        action: AgencyAction::Enrol { title: "Other".parse().expect("a title"), keys: key_set(&other) },
    };
    log.submit_signed(&Body::Agency(enrol), &[&clerk(), &other]).expect("enrolled");
    let copy = Register { agency, ..definition.clone() };
    log.submit_signed(&Body::Register(copy), &[&other]).expect_err("refused")
}
