//! A log of records that loses, changes, or goes on showing what is outside its tree. Nobody has signed that a file will
//! be there tomorrow, so each is an alarm that passes with its cause, and an outage is none.

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
use tests::liar::{Keys, Liar, Reply, Tree};
use tests::records::{Office, World, sign};
use tests::watch::Watch;
use tlog::hash::{Hash, leaf_hash, sha256};
use tlog::ids::LeafIndex;

const LOG: &str = "log.gov.example/2026";
const FILE: &[u8] = b"the contract as it was signed";
const PHOTO: &[u8] = b"a face";
/// Where the record with a file, and the one with values, stand.
const FILED: u64 = 3;
const PERSON: u64 = 4;

/// A log with a record that names a file and one that commits to values, and a monitor.
struct Scene {
    keys: Keys,
    log: Liar,
    watch: Watch,
    world: World,
    office: Office,
    tree: Tree,
    openings: [Opening; 2],
    sealed: SealedValues,
    photo: AttachmentOpening,
}

fn opening(name: &str, value: &str, salt: u8) -> Opening {
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

fn chance() -> Arc<dyn Random> {
    static PLACE: AtomicU64 = AtomicU64::new(0);
    Arc::new(InTurn(AtomicU64::new(PLACE.fetch_add(1, Ordering::Relaxed))))
}

impl Scene {
    fn new() -> Self {
        Self::with("")
    }

    fn with(more: &str) -> Self {
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

    fn leaf(&self, index: u64) -> Hash {
        leaf_hash(&self.tree.entries[usize::try_from(index).expect("small")])
    }

    fn values_path(&self, index: u64) -> String {
        format!("records/{}/disclosures", self.leaf(index))
    }

    /// Serves the tree, and its values as an honest log does.
    fn serve(&self, documents: &[String], erased: &[(&str, u64)]) {
        self.log.serve(&self.tree, self.keys.sign(self.tree.head(), &[0, 1], self.watch.seconds()));
        self.log.reply(&blob(), Reply::Body(200, FILE.to_vec()));
        self.log.reply(&self.photo_path(), shown(&self.photo, PHOTO));
        self.log.reply(&self.values_path(FILED), Reply::Body(200, answer(&[], &[])));
        self.log.reply(&self.values_path(PERSON), Reply::Body(200, answer(documents, erased)));
    }

    fn photo_path(&self) -> String {
        format!("blobs/{}", self.photo.commitment())
    }

    fn documents(&self) -> Vec<String> {
        let statement = Statement::parse(&self.tree.entries[4]).expect("a statement");
        let disclosure = Disclosure::new(statement, &self.sealed, &["salary"]).expect("a disclosure");
        let mut documents: Vec<String> = self.openings.iter().map(field_to_text).collect();
        documents.push(String::from_utf8(disclosure.to_bytes()).expect("text"));
        documents
    }

    /// Verifies, judges, and looks at everything outside the tree, once.
    fn look(&mut self) -> State {
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
    fn alarms(&mut self, kind: &str, about: &str) {
        assert_eq!(self.look(), State::Damaged, "{kind} {about}: {:?}", self.watch.verdict());
        assert_eq!(self.watch.alarms(), [kind], "{:?}", self.watch.verdict());
        assert!(self.watch.verdict().reason.contains(about), "{about}: {:?}", self.watch.verdict());
        assert!(self.watch.evidence().is_empty(), "nobody signed this");
    }

    fn is_well(&mut self) {
        assert_eq!(self.look(), State::Verified, "{:?}", self.watch.verdict());
        assert!(self.watch.alarms().is_empty() && self.watch.evidence().is_empty());
    }

    /// A tombstone of the record with values; the index of it.
    fn erase(&mut self, items: &[&str]) -> u64 {
        let entry = EntryRef { index: LeafIndex::new(PERSON).expect("an index"), leaf: self.leaf(PERSON) };
        let body = self.world.tombstone_body(&self.office, "person", "B", entry, items);
        self.tree.push(sign(&body, &self.office.quorum()));
        self.tree.entries.len() as u64 - 1
    }
}

/// An erasable attachment as an honest log shows it.
fn shown(opening: &AttachmentOpening, bytes: &[u8]) -> Reply {
    let opening = tlog::b64::encode(opening.to_text().as_bytes());
    Reply::Titled(format!("Daybook-Attachment: {opening}"), bytes.to_vec())
}

fn blob() -> String {
    format!("blobs/{}", sha256(FILE))
}

fn answer(documents: &[String], erased: &[(&str, u64)]) -> Vec<u8> {
    let shown: Vec<Value> = documents.iter().map(|document| json!({ "document": document })).collect();
    let erased: Vec<Value> =
        erased.iter().map(|(item, index)| json!({ "item": item, "tombstone": { "index": index } })).collect();
    json!({ "disclosures": shown, "erased": erased }).to_string().into_bytes()
}

#[test]
fn an_honest_log_with_files_and_values_is_verified_and_so_is_one_that_shows_nothing() {
    let mut scene = Scene::new();
    scene.serve(&[], &[]);
    scene.is_well();
    assert!(scene.log.script().asked.contains(&blob()), "the file was asked for");
    let documents = scene.documents();
    scene.serve(&documents, &[]);
    scene.is_well();
    scene.watch.restart();
    scene.is_well();
}

#[test]
fn a_file_that_is_gone_cut_long_or_changed_is_an_alarm_until_it_is_there_again() {
    let mut changed = FILE.to_vec();
    changed[3] ^= 1;
    let long = [FILE, b"and more"].concat();
    let refusal = vec![b' '; FILE.len() + 1];
    for (reply, kind) in [
        (Reply::Body(404, Vec::new()), "erased"),
        (Reply::Body(404, refusal), "erased"),
        (Reply::Body(410, Vec::new()), "erased"),
        (Reply::Body(410, json!({ "tombstone": { "index": 1 } }).to_string().into_bytes()), "erased"),
        (Reply::Body(200, changed), "altered"),
        (Reply::Body(200, FILE[1..].to_vec()), "altered"),
        (Reply::Body(200, Vec::new()), "altered"),
        (Reply::Body(200, long), "altered"),
        (Reply::Endless, "altered"),
    ] {
        let mut scene = Scene::new();
        scene.serve(&[], &[]);
        scene.is_well();
        scene.log.reply(&blob(), reply);
        scene.alarms(kind, &blob());
        scene.serve(&[], &[]);
        scene.is_well();
    }
}

#[test]
fn outages_say_nothing_about_files_and_values() {
    let outages = [
        Reply::Body(500, Vec::new()),
        Reply::Body(503, Vec::new()),
        Reply::Body(429, Vec::new()),
        Reply::Body(302, Vec::new()),
        Reply::Body(403, Vec::new()),
        Reply::CutShort(FILE[..4].to_vec()),
        Reply::Drip,
        Reply::Hangup,
    ];
    let mut scene = Scene::new();
    let documents = scene.documents();
    scene.serve(&documents, &[]);
    scene.is_well();
    for reply in outages {
        scene.serve(&documents, &[]);
        scene.log.reply(&blob(), reply.clone());
        scene.log.reply(&scene.values_path(PERSON), reply);
        scene.is_well();
    }
    scene.serve(&documents, &[]);
    scene.log.reply(&scene.values_path(PERSON), Reply::Body(200, b"<html>Please log in</html>".to_vec()));
    scene.is_well();
    scene.serve(&documents, &[]);
    scene.log.reply(&scene.values_path(PERSON), Reply::Endless);
    scene.is_well();
}

#[test]
fn a_value_that_was_shown_and_vanishes_without_a_tombstone_is_an_alarm() {
    let mut scene = Scene::new();
    let documents = scene.documents();
    let path = scene.values_path(PERSON);
    for (reply, about) in [
        (Reply::Body(200, answer(&documents[1..], &[])), "/erasable/name"),
        (Reply::Body(200, answer(&documents[..2], &[])), "/sealed/salary"),
        (Reply::Body(200, answer(&documents[1..], &[("/erasable/name", 1)])), "entry 1"),
        (Reply::Body(404, Vec::new()), "was shown before"),
        (Reply::Body(410, Vec::new()), "the log names no tombstone"),
        (Reply::Body(410, json!({ "tombstone": { "index": 2 } }).to_string().into_bytes()), "entry 2"),
    ] {
        scene.serve(&documents, &[]);
        scene.is_well();
        scene.log.reply(&path, reply);
        scene.alarms("erased", about);
    }
    scene.serve(&documents, &[]);
    scene.is_well();
}

#[test]
fn a_tombstone_that_is_not_judged_yet_may_explain_what_is_gone() {
    let mut scene = Scene::new();
    let documents = scene.documents();
    scene.serve(&documents, &[]);
    scene.is_well();
    let next = scene.tree.entries.len() as u64;
    scene.serve(&documents[1..], &[("/erasable/name", next)]);
    scene.is_well();
    let erased = scene.erase(&["/erasable/name"]);
    assert_eq!(erased, next);
    scene.serve(&documents[1..], &[("/erasable/name", next)]);
    scene.is_well();
}

#[test]
fn what_a_tombstone_erased_must_not_be_shown_any_more() {
    let mut scene = Scene::new();
    let documents = scene.documents();
    scene.serve(&documents, &[]);
    scene.is_well();
    let index = scene.erase(&["/erasable/name", "/sealed"]);
    scene.serve(&documents, &[]);
    scene.alarms("still-shown", "is still shown");
    scene.serve(&documents[1..2], &[("/erasable/name", index), ("/sealed", index)]);
    scene.is_well();
    let all = scene.tree.entries.len() as u64;
    let mut second = scene.world.tombstone_body(
        &scene.office,
        "person",
        "B",
        EntryRef { index: LeafIndex::new(PERSON).expect("an index"), leaf: scene.leaf(PERSON) },
        &["/erasable/note"],
    );
    if let Body::Tombstone(tombstone) = &mut second {
        tombstone.previous = Some(scene.leaf(index));
    }
    scene.tree.push(sign(&second, &scene.office.quorum()));
    scene.serve(&[], &[]);
    let gone = json!({ "tombstone": { "index": all } }).to_string().into_bytes();
    scene.log.reply(&scene.values_path(PERSON), Reply::Body(410, gone));
    scene.is_well();
}

#[test]
fn an_erasable_attachment_is_there_until_it_is_erased_and_what_comes_with_it_opens_its_commitment() {
    let mut scene = Scene::new();
    scene.serve(&[], &[]);
    scene.is_well();
    let path = scene.photo_path();
    assert!(scene.log.script().asked.contains(&path));
    let salted = AttachmentOpening { salt: Salt::new([78; 32]), ..scene.photo.clone() };
    let other = AttachmentOpening { sha256: sha256(b"b face"), ..scene.photo.clone() };
    for (reply, kind) in [
        (Reply::Body(404, Vec::new()), "erased"),
        (Reply::Body(410, Vec::new()), "erased"),
        (Reply::Body(200, PHOTO.to_vec()), "altered"),
        (shown(&salted, PHOTO), "altered"),
        (shown(&other, b"b face"), "altered"),
        (shown(&scene.photo.clone(), b"b face"), "altered"),
    ] {
        scene.log.reply(&path, reply);
        scene.alarms(kind, &path);
        scene.serve(&[], &[]);
        scene.is_well();
    }
    let index = scene.erase(&["/attachments/photo.jpg"]);
    scene.serve(&[], &[("/attachments/photo.jpg", index)]);
    scene.alarms("still-shown", &path);
    scene.log.reply(&path, Reply::Body(410, Vec::new()));
    scene.is_well();
    scene.log.reply(&path, Reply::Body(404, Vec::new()));
    scene.is_well();
}

#[test]
fn a_value_that_opens_no_commitment_is_an_alarm() {
    let mut scene = Scene::new();
    let lie = field_to_text(&opening("name", "Somebody Else", 1));
    scene.serve(&[lie], &[]);
    scene.alarms("altered", "opens none of its commitments");
    let documents = scene.documents();
    let altered = documents[2].replace("120000", "120001");
    assert_ne!(altered, documents[2]);
    scene.serve(&[altered], &[]);
    scene.alarms("altered", "/sealed");
    scene.serve(&documents, &[]);
    scene.is_well();
}

#[test]
fn values_are_never_kept_only_that_they_were_shown() {
    let mut scene = Scene::new();
    let documents = scene.documents();
    scene.serve(&documents, &[]);
    scene.is_well();
    scene.watch.end();
    let mut files = vec![scene.watch.dir().to_owned()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files
                .extend(std::fs::read_dir(&path).expect("a folder").map(|file| file.expect("a file").path()));
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        for secret in ["Ada Lovelace", "a secret note", "120000", "a face"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {}", path.display());
        }
    }
}

#[test]
fn nothing_is_asked_for_where_it_is_switched_off_and_no_file_beyond_the_limit() {
    let mut scene = Scene::with("values = { check = \"off\" }");
    scene.serve(&[], &[]);
    scene.log.reply(&blob(), Reply::Body(404, Vec::new()));
    scene.watch.round();
    let _replay = Replay::open(Arc::clone(scene.watch.case())).expect("a replay");
    assert!(Values::open(Arc::clone(scene.watch.case()), chance()).expect("ok").is_none());
    let mut scene = Scene::with("values = { check = \"sample\", per_minute = 100, bytes_max = \"10\" }");
    scene.serve(&[], &[]);
    scene.log.reply(&blob(), Reply::Body(404, Vec::new()));
    for _ in 0..20 {
        scene.is_well();
    }
    let script = scene.log.script();
    assert!(!script.asked.contains(&blob()), "longer than is fetched");
    drop(script);
    assert!(scene.log.script().asked.contains(&scene.values_path(PERSON)), "every place comes up");
}
