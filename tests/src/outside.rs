//! A log of records with a file, values and a photograph outside its tree, which serves them as it likes, and a monitor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use daemon::clock::Random;
use daemon::shutdown::Shutdown;
use monitor::replay::{Replay, Step};
use monitor::values::Values;
use monitor::verdict::State;
use record::erasable::{AttachmentOpening, Place, field_to_text};
use record::opening::{Opening, Salt};
use record::sealed::{Disclosure, SealedValues, seal};
use record::statement::{
    Attachment, AttachmentContent, Body, Content, EntryRef, FieldClass, FieldRule, FieldType, Statement,
};
use serde_json::{Value, json};
use tlog::hash::{Hash, leaf_hash, sha256};
use tlog::ids::LeafIndex;

use crate::liar::{Keys, Liar, Reply, Tree};
use crate::records::{Office, World, sign};
use crate::watch::Watch;

/// The log's name.
pub const LOG: &str = "log.gov.example/2026";
/// What the public file holds.
pub const FILE: &[u8] = b"the contract as it was signed";
/// What the erasable file holds.
pub const PHOTO: &[u8] = b"a face";
/// Where the record with a file stands.
pub const FILED: u64 = 3;
/// Where the record with values stands.
pub const PERSON: u64 = 4;

/// A log with a record that names a file and one that commits to values, and a monitor.
#[derive(Debug)]
pub struct Scene {
    /// The log's keys.
    pub keys: Keys,
    /// The log.
    pub log: Liar,
    /// The monitor.
    pub watch: Watch,
    /// Who signs what.
    pub world: World,
    /// The agency.
    pub office: Office,
    /// The log's tree.
    pub tree: Tree,
    /// What opens the erasable values.
    pub openings: [Opening; 2],
    /// The sealed values.
    pub sealed: SealedValues,
    /// What opens the commitment to the photograph.
    pub photo: AttachmentOpening,
}

/// What opens a value.
///
/// # Panics
/// If anything of our own fails.
#[must_use]
pub fn opening(name: &str, value: &str, salt: u8) -> Opening {
    let (name, kind) = (name.parse().expect("a name"), FieldType::String);
    Opening { name, kind, value: value.into(), salt: Salt::new([salt; 32]) }
}

fn register(world: &World, office: &Office) -> Vec<u8> {
    let mut register = world.register_body(office, "person", None);
    let rule = |class| FieldRule { class, kind: FieldType::String, required: false };
    for (name, class) in
        [("name", FieldClass::Erasable), ("note", FieldClass::Erasable), ("salary", FieldClass::Sealed)]
    {
        register.fields.insert(name.to_owned(), rule(class));
    }
    register.attachments = vec![FieldClass::Erasable, FieldClass::Public];
    sign(&Body::Register(register), &office.quorum())
}

fn attachment() -> Attachment {
    Attachment {
        name: "contract.pdf".parse().expect("a line"),
        media: "application/pdf".parse().expect("a line"),
        bytes: FILE.len() as u64,
        content: AttachmentContent::Public(sha256(FILE)),
    }
}

/// Chance that takes each place in turn.
#[derive(Debug)]
struct InTurn(AtomicU64);

impl Random for InTurn {
    fn fill(&self, buffer: &mut [u8]) {
        let place = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        buffer.iter_mut().zip(place).for_each(|(byte, place)| *byte = place);
    }
}

/// Chance that begins elsewhere each time.
#[must_use]
pub fn chance() -> Arc<dyn Random> {
    static PLACE: AtomicU64 = AtomicU64::new(0);
    Arc::new(InTurn(AtomicU64::new(PLACE.fetch_add(1, Ordering::Relaxed))))
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

impl Scene {
    /// A log that serves nothing yet.
    ///
    /// # Panics
    /// If anything of our own fails.
    #[must_use]
    pub fn new() -> Self {
        Self::with("")
    }

    /// With these settings of the log.
    ///
    /// # Panics
    /// If anything of our own fails.
    #[must_use]
    pub fn with(more: &str) -> Self {
        let (keys, log, world) = (Keys::new(LOG), Liar::start(), World::new(LOG));
        let office = Office::new("treasury.example");
        let openings = [opening("name", "Ada Lovelace", 1), opening("note", "a secret note", 2)];
        let padding = (0..15).map(|at| Salt::new([100 + at; 32])).collect();
        let sealed = seal([5; 16], vec![opening("salary", "120000", 9)], padding).expect("sealed");
        let record = |key: &str, content: Content| {
            let mut record = world.record_body(&office, "person", key, None, "{}");
            record.content = Some(content);
            sign(&Body::Record(record), &[&office.publisher])
        };
        let place = Place::of(&world.record_body(&office, "person", "B", None, "{}"));
        let commitments = openings.iter().map(|one| (one.name.to_string(), place.commit_field(one)));
        let sealed_root = Some(sealed.commitment());
        let photo = AttachmentOpening {
            place: place.clone(),
            name: "photo.jpg".parse().expect("a line"),
            media: "image/jpeg".parse().expect("a line"),
            bytes: PHOTO.len() as u64,
            salt: Salt::new([77; 32]),
            sha256: sha256(PHOTO),
        };
        let attachments = vec![photo.attachment()];
        let erasable = commitments.collect();
        let values = Content { erasable, sealed: sealed_root, attachments, ..Content::default() };
        // A register with sealed fields asks for the tree in every version.
        let filed = Content { attachments: vec![attachment()], sealed: sealed_root, ..Content::default() };
        let mut tree = Tree::default();
        for entry in [
            world.genesis(),
            world.enrol(&office),
            register(&world, &office),
            record("A", filed),
            record("B", values),
        ] {
            tree.push(entry);
        }
        let config = format!("genesis = \"{}\"\n{more}", leaf_hash(&tree.entries[0]));
        let watch = Watch::new(LOG, &[log.url()], &keys.policy(true), &config);
        Self { keys, log, watch, world, office, tree, openings, sealed, photo }
    }

    /// The leaf hash of an entry.
    ///
    /// # Panics
    /// If anything of our own fails.
    #[must_use]
    pub fn leaf(&self, index: u64) -> Hash {
        leaf_hash(&self.tree.entries[usize::try_from(index).expect("small")])
    }

    /// Where the values of a version are asked for.
    ///
    /// # Panics
    /// If anything of our own fails.
    #[must_use]
    pub fn values_path(&self, index: u64) -> String {
        format!("records/{}/disclosures", self.leaf(index))
    }

    /// Serves the tree, and its values as an honest log does.
    ///
    /// # Panics
    /// If anything of our own fails.
    pub fn serve(&self, documents: &[String], erased: &[(&str, u64)]) {
        self.log.serve(&self.tree, self.keys.sign(self.tree.head(), &[0, 1], self.watch.seconds()));
        self.log.reply(&blob(), Reply::Body(200, FILE.to_vec()));
        self.log.reply(&self.photo_path(), shown(&self.photo, PHOTO));
        self.log.reply(&self.values_path(FILED), Reply::Body(200, answer(&[], &[])));
        self.log.reply(&self.values_path(PERSON), Reply::Body(200, answer(documents, erased)));
    }

    /// Where the photograph is asked for.
    #[must_use]
    pub fn photo_path(&self) -> String {
        format!("blobs/{}", self.photo.commitment())
    }

    /// What opens each value.
    ///
    /// # Panics
    /// If anything of our own fails.
    #[must_use]
    pub fn documents(&self) -> Vec<String> {
        let statement = Statement::parse(&self.tree.entries[4]).expect("a statement");
        let disclosure = Disclosure::new(statement, &self.sealed, &["salary"]).expect("a disclosure");
        let mut documents: Vec<String> = self.openings.iter().map(field_to_text).collect();
        documents.push(String::from_utf8(disclosure.to_bytes()).expect("text"));
        documents
    }

    /// Verifies, judges, and looks at everything outside the tree, once.
    ///
    /// # Panics
    /// If anything of our own fails.
    pub fn look(&mut self) -> State {
        // What was in trouble is looked at again after a minute; the head is made anew for that time.
        self.watch.clock.advance(Duration::from_secs(61));
        self.log.script().checkpoint = self.keys.sign(self.tree.head(), &[0, 1], self.watch.seconds());
        let mut replay = Replay::open(Arc::clone(self.watch.case())).expect("a replay").expect("a genesis");
        self.watch.round();
        while replay.step(Duration::ZERO).expect("the monitor goes on") == Step::Judged {}
        // What was judged is committed when there is nothing more.
        drop(replay);
        let values = Values::open(Arc::clone(self.watch.case()), chance()).expect("a database");
        values.expect("a log of records").once(&Shutdown::new()).expect("the monitor goes on");
        self.watch.verdict().state
    }

    /// Looks, and expects this alarm and nobody accused.
    ///
    /// # Panics
    /// If anything of our own fails.
    pub fn alarms(&mut self, kind: &str, about: &str) {
        assert_eq!(self.look(), State::Damaged, "{kind} {about}: {:?}", self.watch.verdict());
        assert_eq!(self.watch.alarms(), [kind], "{:?}", self.watch.verdict());
        assert!(self.watch.verdict().reason.contains(about), "{about}: {:?}", self.watch.verdict());
        assert!(self.watch.evidence().is_empty(), "nobody signed this");
    }

    /// Looks, and expects that nothing is wrong.
    ///
    /// # Panics
    /// If anything of our own fails.
    pub fn is_well(&mut self) {
        assert_eq!(self.look(), State::Verified, "{:?}", self.watch.verdict());
        assert!(self.watch.alarms().is_empty() && self.watch.evidence().is_empty());
    }

    /// A version that names a file; the file's path.
    ///
    /// # Panics
    /// If anything of our own fails.
    #[must_use]
    pub fn file(&mut self, key: &str, bytes: &[u8]) -> String {
        let mut record = self.world.record_body(&self.office, "person", key, None, "{}");
        let content = AttachmentContent::Public(sha256(bytes));
        let attachments = vec![Attachment { bytes: bytes.len() as u64, content, ..attachment() }];
        record.content =
            Some(Content { attachments, sealed: Some(self.sealed.commitment()), ..Content::default() });
        self.tree.push(sign(&Body::Record(record), &[&self.office.publisher]));
        format!("blobs/{}", sha256(bytes))
    }

    /// A tombstone of the record with values; the index of it.
    ///
    /// # Panics
    /// If anything of our own fails.
    pub fn erase(&mut self, items: &[&str]) -> u64 {
        let entry = EntryRef { index: LeafIndex::new(PERSON).expect("an index"), leaf: self.leaf(PERSON) };
        let body = self.world.tombstone_body(&self.office, "person", "B", entry, items);
        self.tree.push(sign(&body, &self.office.quorum()));
        self.tree.entries.len() as u64 - 1
    }
}

/// An erasable attachment as an honest log shows it.
#[must_use]
pub fn shown(opening: &AttachmentOpening, bytes: &[u8]) -> Reply {
    let opening = tlog::b64::encode(opening.to_text().as_bytes());
    Reply::Titled(format!("Daybook-Attachment: {opening}"), bytes.to_vec())
}

/// Where the public file is asked for.
#[must_use]
pub fn blob() -> String {
    format!("blobs/{}", sha256(FILE))
}

/// An answer about values.
#[must_use]
pub fn answer(documents: &[String], erased: &[(&str, u64)]) -> Vec<u8> {
    let shown: Vec<Value> = documents.iter().map(|document| json!({ "document": document })).collect();
    let erased: Vec<Value> =
        erased.iter().map(|(item, index)| json!({ "item": item, "tombstone": { "index": index } })).collect();
    json!({ "disclosures": shown, "erased": erased }).to_string().into_bytes()
}
