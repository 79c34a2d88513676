//! A tombstone is committed first and carried out then. Whatever happens between the two, the next start carries it out
//! before anything is served, or does not serve.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::time::Duration;

use daemon::clock::SystemRandom;
use daybook::store::disk::fault::{Fault, How};
use daybook::store::vault::Vault;
use record::erasable::{AttachmentOpening, Place, field_to_text};
use record::opening::{Opening, Salt};
use record::statement::{Body, Content, EntryRef, FieldClass, FieldRule, FieldType, Record};
use tests::records::{Office, World, sign};
use tests::{Bench, ORIGIN, Running, all_bytes, contains};
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::LeafIndex;

const CONTENTS: &[u8] = b"a letter that has to be forgotten";
const KEY: [u8; 32] = [0xa7; 32];

/// A log that holds a record with an attachment and an erasable field, entry 3, and both of its values.
struct Scene {
    bench: Bench,
    world: World,
    office: Office,
    running: Option<Running>,
    opening: AttachmentOpening,
    leaf: Hash,
}

impl Scene {
    fn new() -> Self {
        let world = World::new(ORIGIN);
        let bench = Bench::of_records(&world);
        let office = Office::new("treasury.example");
        let mut running = bench.start().unwrap();
        let mut register = world.register_body(&office, "letter", None);
        register.attachments = vec![FieldClass::Erasable];
        let rule = FieldRule { class: FieldClass::Erasable, kind: FieldType::String, required: false };
        register.fields.insert("name".to_owned(), rule);
        let opened = sign(&Body::Register(register), &office.quorum());
        submit(&mut running, &[world.enrol(&office), opened]);

        let record = world.record_body(&office, "letter", "A", None, "{}");
        let opening = tests::uploads::erasable(&record, "letter.pdf", CONTENTS, 7);
        keep(&running, &opening);
        let value = Opening {
            name: "name".parse().unwrap(),
            kind: FieldType::String,
            value: "Ada".into(),
            salt: Salt::new([8; 32]),
        };
        let commitment = Place::of(&record).commit_field(&value);
        let content = Content {
            erasable: [("name".to_owned(), commitment)].into(),
            attachments: vec![opening.attachment()],
            ..Content::default()
        };
        let record = Record { content: Some(content), ..record };
        let statement = sign(&Body::Record(record), &[&office.publisher]);
        submit(&mut running, std::slice::from_ref(&statement));
        let leaf = leaf_hash(&statement);
        let text = field_to_text(&value);
        let vault = &running.log.records.as_ref().unwrap().vault;
        vault.put(&leaf, "/erasable/name", &commitment, text.as_bytes(), (KEY, [1; 19])).unwrap();
        Self { bench, world, office, running: Some(running), opening, leaf }
    }

    /// The tombstone becomes entry 4, is published, and is not carried out: as in a crash right after the commit.
    fn commit_tombstone(&mut self) {
        let entry = EntryRef { index: LeafIndex::new(3).unwrap(), leaf: self.leaf };
        let erased = ["/attachments/letter.pdf", "/erasable/name"];
        let body = self.world.tombstone_body(&self.office, "letter", "A", entry, &erased);
        let tombstone = sign(&body, &self.office.quorum());
        submit(self.running.as_mut().unwrap(), &[tombstone]);
    }

    fn has_values(&self, vault: &Vault) -> (bool, bool) {
        let attachment = vault.attachment(&self.opening.commitment()).unwrap().is_some();
        (attachment, !vault.of(&self.leaf).unwrap().is_empty())
    }

    fn running_vault(&self) -> &Vault {
        &self.running.as_ref().unwrap().log.records.as_ref().unwrap().vault
    }

    fn trace(&self) -> bool {
        let folder = self.bench.dir().join("vault");
        contains(&all_bytes(&folder), &KEY) || !all_bytes(&folder.join("attachments")).is_empty()
    }
}

fn submit(running: &mut Running, statements: &[Vec<u8>]) {
    let became = running.submit_statements(statements).unwrap().expect("the engine lives");
    assert!(became.iter().all(|became| became.code().is_empty()), "{became:?}");
}

fn keep(running: &Running, opening: &AttachmentOpening) {
    let records = running.log.records.as_ref().unwrap();
    let mut incoming = records.vault.begin(&opening.commitment(), &SystemRandom).unwrap();
    incoming.write(CONTENTS).unwrap();
    records.vault.keep(incoming, opening, records.now_seconds()).unwrap();
}

#[test]
fn a_crash_between_a_tombstones_commit_and_the_erasing_is_made_good_at_the_next_start() {
    let mut scene = Scene::new();
    scene.commit_tombstone();
    assert_eq!(scene.has_values(scene.running_vault()), (true, true), "nothing is erased yet");
    assert!(scene.trace());
    scene.running = None;
    scene.running = Some(scene.bench.start().unwrap());
    assert_eq!(scene.has_values(scene.running_vault()), (false, false));
    assert!(!scene.trace(), "no key and no file is left");
    let erased = scene.running_vault().erased(&scene.opening.commitment()).unwrap();
    assert_eq!(erased.map(LeafIndex::get), Some(4));
}

#[test]
fn so_it_is_where_the_index_has_to_be_built_anew() {
    let mut scene = Scene::new();
    scene.commit_tombstone();
    scene.running = None;
    std::fs::remove_dir_all(scene.bench.dir().join("index")).unwrap();
    scene.running = Some(scene.bench.start().unwrap());
    assert_eq!(scene.has_values(scene.running_vault()), (false, false));
    assert!(!scene.trace());
}

#[test]
fn a_start_that_cannot_erase_does_not_serve_and_the_next_one_erases() {
    let mut scene = Scene::new();
    scene.commit_tombstone();
    scene.running = None;
    let mut refused = 0;
    for at in 0..20 {
        scene.bench.disk.set(None);
        let system = scene.bench.system();
        let (log, mut engine) =
            daybook::log::open(&scene.bench.dir(), scene.bench.config.clone(), &system).unwrap();
        scene.bench.disk.set(Some(Fault { at, how: How::Fails, once: true }));
        let filled = engine.fill_index(&log, |_| ());
        if scene.bench.disk.count() <= at {
            filled.unwrap();
            break;
        }
        let said = filled.expect_err("the operation failed").to_string();
        assert!(said.contains("nothing is served"), "{said}");
        refused += 1;
    }
    assert!(refused > 0, "the removal of the file is one of the operations");
    scene.bench.disk.set(None);
    scene.running = Some(scene.bench.start().unwrap());
    assert!(!scene.trace());
}

#[test]
fn a_vault_without_its_files_is_replayed_as_well() {
    let mut scene = Scene::new();
    let older = scene.bench.root().join("older");
    tests::copy_all(&scene.bench.dir().join("vault"), &older);
    scene.commit_tombstone();
    scene.running = None;
    drop(scene.bench.start().unwrap());
    // Put back half of it: the values without their keys, then the keys without the values.
    for half in [["values.sqlite", "attachments"], ["keys.sqlite", "attachments"]] {
        let vault = scene.bench.dir().join("vault");
        std::fs::remove_dir_all(&vault).unwrap();
        std::fs::create_dir(&vault).unwrap();
        for file in std::fs::read_dir(&older).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().to_string_lossy().into_owned();
            if !half.iter().any(|part| name.starts_with(part)) {
                continue;
            }
            if file.path().is_dir() {
                tests::copy_all(&file.path(), &vault.join(&name));
            } else {
                std::fs::copy(file.path(), vault.join(&name)).unwrap();
            }
        }
        let running = scene.bench.start().unwrap();
        assert_eq!(scene.has_values(&running.log.records.as_ref().unwrap().vault), (false, false));
        drop(running);
        assert!(!scene.trace(), "{half:?}");
    }
}

#[test]
fn an_upload_that_no_version_names_is_destroyed_after_a_day_and_one_that_is_named_stays() {
    let scene = Scene::new();
    let running = scene.running.as_ref().unwrap();
    let records = running.log.records.as_ref().unwrap();
    let other = scene.world.record_body(&scene.office, "letter", "B", None, "{}");
    let unnamed = tests::uploads::erasable(&other, "draft.pdf", CONTENTS, 9);
    keep(running, &unnamed);
    let expire = || records.expire_uploads(&running.log.index, running.log.heads.committed());
    let held =
        |opening: &AttachmentOpening| records.vault.attachment(&opening.commitment()).unwrap().is_some();
    for (hours, there) in [(0, true), (23, true), (2, false)] {
        scene.bench.clock.advance(Duration::from_secs(hours * 3600));
        expire();
        assert_eq!((held(&unnamed), held(&scene.opening)), (there, true), "{hours}");
    }
    assert!(records.vault.erased(&unnamed.commitment()).unwrap().is_none(), "no tombstone took it");
}
