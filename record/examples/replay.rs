//! How fast a log is replayed: parsed, its keys found, judged and taken in, with signatures verified and without.
//!
//! ```text
//! cargo run --release -p record --example replay -- 1000000 [--json]
//! ```
//!
//! Statements of about 1 KiB, ten versions a key, all different. Signing them takes as long as the measurement, and
//! all are held in memory, 1 KiB each. What verifying a signature costs by itself is measured beside it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use record::json::Value;
use record::registry::{Chain, History, Registry, Signatures};
use record::statement::{
    Body, Content, EntryRef, Genesis, KeyGrant, KeyRule, KeySet, Record, Register, Role, Statement,
};
use tlog::hash::Hash;
use tlog::ids::LeafIndex;
use tlog::note::Note;
use tlog::sign::{EcdsaP256Signer, Ed25519Signer};

const LOG: &str = "log.gov.example/2026";
const AGENCY: &str = "a.gov.example";
const VERSIONS_PER_KEY: usize = 10;
const CONTENT_BYTES: usize = 560;
/// Signatures that are verified by themselves.
const VERIFIED_ALONE: usize = 5000;

/// The latest entry of each chain, and nothing else: there are no tombstones here.
#[derive(Default)]
struct Latest(HashMap<Hash, EntryRef>);

impl History for Latest {
    type Error = Infallible;

    fn latest(&self, chain: &Chain) -> Result<Option<EntryRef>, Infallible> {
        Ok(self.0.get(&chain.id()).copied())
    }

    fn entry(&self, _: LeafIndex) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(None)
    }
}

fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a constant of this example")
}

struct Signers {
    ed25519: Ed25519Signer,
    p256: EcdsaP256Signer,
}

impl Signers {
    fn new() -> Self {
        let p256 = EcdsaP256Signer::from_seed(parse("a.gov.example/p256"), &[2; 32]);
        Self {
            ed25519: Ed25519Signer::from_seed(parse("a.gov.example/ed25519"), &[1; 32]),
            p256: p256.expect("a seed"),
        }
    }

    /// Both for what governs, one for records.
    fn sign(&self, body: &Body, p256: bool) -> Vec<u8> {
        let text = body.to_text();
        let lines = match body {
            Body::Record(_) if p256 => vec![self.p256.sign(&text)],
            Body::Record(_) => vec![self.ed25519.sign(&text)],
            _ => vec![self.ed25519.sign(&text), self.p256.sign(&text)],
        };
        Statement::assemble(&text, lines).expect("a statement").to_bytes()
    }
}

fn preamble(signers: &Signers) -> Vec<Vec<u8>> {
    let grant = |key| KeyGrant { key, role: Role::Officer };
    let keys = vec![grant(signers.ed25519.verifier_key()), grant(signers.p256.verifier_key())];
    let genesis = Genesis {
        at: parse("2026-01-01T00:00:00Z"),
        log: parse(LOG),
        registrar: parse(AGENCY),
        title: parse("Agency"),
        keys: KeySet { keys, quorum: 2, recovery: None },
    };
    let register = Register {
        agency: parse(AGENCY),
        register: parse("r"),
        at: parse("2026-01-01T00:00:00Z"),
        log: parse(LOG),
        previous: None,
        title: parse("R"),
        licence: parse("OGL-UK-3.0"),
        approvals: 0,
        keys: KeyRule::Public,
        prefix: None,
        fields: std::collections::BTreeMap::new(),
        attachments: Vec::new(),
        schema: None,
        calendar: None,
    };
    vec![signers.sign(&Body::Genesis(genesis), false), signers.sign(&Body::Register(register), false)]
}

fn records(signers: &Signers, count: usize, p256: bool) -> Vec<Vec<u8>> {
    let mut latest: HashMap<usize, Hash> = HashMap::new();
    let text = "Zuwendung an eine Gemeinde ".repeat(CONTENT_BYTES / 27);
    (0..count)
        .map(|at| {
            let key = at / VERSIONS_PER_KEY;
            let public = [
                ("amount".to_owned(), Value::from(format!("{at}.00"))),
                ("name".to_owned(), Value::from(text.as_str())),
                (
                    "number".to_owned(),
                    Value::Number(record::json::Number::from_i64(at as i64).expect("small")),
                ),
            ];
            let body = Record {
                agency: parse(AGENCY),
                register: parse("r"),
                key: parse(&format!("key-{key}")),
                at: parse("2026-02-01T00:00:00Z"),
                log: parse(LOG),
                previous: latest.get(&key).copied(),
                content: Some(Content { public: public.into_iter().collect(), ..Content::default() }),
            };
            let bytes = signers.sign(&Body::Record(body), p256);
            latest.insert(key, tlog::hash::leaf_hash(&bytes));
            bytes
        })
        .collect()
}

/// Time on the processor, where the system tells: on a busy machine the clock on the wall says little.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn measure(entries: &[Vec<u8>], signatures: Signatures) -> (Duration, Duration) {
    let (start, before) = (std::time::Instant::now(), processor_time());
    let (mut registry, mut history) = (Registry::new(), Latest::default());
    for (at, entry) in entries.iter().enumerate() {
        let statement = Statement::parse(entry).expect("a statement");
        let authentic = registry.authenticate(statement, signatures).expect("good signatures");
        let index = LeafIndex::new(at as u64).expect("an index");
        let effect = registry.judge(index, &authentic, &history).expect("admissible");
        history.0.insert(effect.chain().id(), effect.entry());
        registry.apply(effect);
    }
    let elapsed = start.elapsed();
    let busy = processor_time().zip(before).map_or(elapsed, |(after, before)| after.saturating_sub(before));
    (elapsed, busy)
}

/// What one verification of such a statement takes by itself, in microseconds of processor time.
fn verification_us(entries: &[Vec<u8>]) -> f64 {
    let sample: Vec<Statement> = entries
        .iter()
        .rev()
        .take(VERIFIED_ALONE)
        .map(|entry| Statement::parse(entry).expect("a statement"))
        .collect();
    let signers = Signers::new();
    let keys = [signers.ed25519.verifier_key(), signers.p256.verifier_key()];
    let notes: Vec<Note> = sample.iter().map(|one| Note::parse(&one.to_bytes()).expect("a note")).collect();
    let before = processor_time();
    let good = notes.iter().filter(|note| note.verify(&keys).is_ok()).count();
    let after = processor_time();
    assert_eq!(good, notes.len(), "all are good");
    let busy = after.zip(before).map_or(Duration::ZERO, |(after, before)| after.saturating_sub(before));
    busy.as_secs_f64() * 1e6 / notes.len() as f64
}

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(50_000);
    let json = std::env::args().any(|argument| argument == "--json");
    let signers = Signers::new();
    for (name, p256) in [("Ed25519", false), ("P-256", true)] {
        let mut entries = preamble(&signers);
        entries.extend(records(&signers, count, p256));
        let bytes = entries.last().map_or(0, Vec::len);
        let alone = verification_us(&entries);
        for (how, signatures) in [("trusted", Signatures::Trust), ("checked", Signatures::Check)] {
            let rate = |time: Duration| entries.len() as f64 / time.as_secs_f64();
            let (elapsed, busy) = measure(&entries, signatures);
            let (wall, busy) = (rate(elapsed), rate(busy));
            if json {
                println!(
                    "{{\"algorithm\":\"{name}\",\"trusted\":{},\"statements\":{count},\"bytes\":{bytes},\
                     \"per_second\":{wall:.0},\"per_processor_second\":{busy:.0},\"verification_us\":{alone:.2}}}",
                    signatures == Signatures::Trust
                );
            } else {
                println!(
                    "{name}, signatures {how}: {count} statements of {bytes} bytes, {wall:.0}/s, {busy:.0}/s of processor \
                     time; verifying alone {alone:.1} us"
                );
            }
        }
    }
}
