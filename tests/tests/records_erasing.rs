//! A tombstone is committed first and carried out then. Whatever happens between the two, the next start carries it out
//! before anything is served, or does not serve.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::sync::{Arc, Barrier};
use std::time::Duration;

use daemon::clock::SystemRandom;
use daybook::pool::Outcome;
use daybook::records::Records;
use daybook::records::admit::{Examined, NotTaken, examine};
use daybook::records::upkeep::Upkeep;
use daybook::store::disk::fault::{Fault, How};
use daybook::store::vault::{Vault, VaultError};
use record::erasable::{AttachmentOpening, Place, field_to_text};
use record::opening::{Opening, Salt};
use record::statement::{Attachment, AttachmentContent, Body, Content, EntryRef, FieldType, Record};
use tests::cosigners::Mood;
use tests::letters::Letter;
use tests::records::{Office, World, sign};
use tests::{Bench, ORIGIN, Running, all_bytes, contains};
use tlog::hash::{Hash, leaf_hash, sha256};
use tlog::ids::LeafIndex;
use tokio::sync::oneshot::Receiver;

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
        Self::with_witnesses(0)
    }

    /// The same, with so many witnesses, of which one is enough.
    fn with_witnesses(count: usize) -> Self {
        let world = World::new(ORIGIN);
        let bench = Bench::of_records_with_witnesses(&world, count.min(1), count);
        let office = Office::new("treasury.example");
        let mut running = bench.start().unwrap();
        // Witnesses are asked how much they know before anything is taken in.
        steps_until(&mut running, |running| running.log.pool.paused().is_none());
        submit(&mut running, &tests::letters::open(&world, &office));

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
        let secrets = (KEY, [1; 19]);
        let never = || Ok::<_, VaultError>(false);
        vault.put(&leaf, "/erasable/name", &commitment, text.as_bytes(), secrets, never).unwrap();
        Self { bench, world, office, running: Some(running), opening, leaf }
    }

    fn tombstone(&self) -> Vec<u8> {
        let entry = EntryRef { index: LeafIndex::new(3).unwrap(), leaf: self.leaf };
        let erased = ["/attachments/letter.pdf", "/erasable/name"];
        let body = self.world.tombstone_body(&self.office, "letter", "A", entry, &erased);
        sign(&body, &self.office.quorum())
    }

    /// The tombstone becomes entry 4, is published, and is not carried out: as in a crash right after the commit.
    fn commit_tombstone(&mut self) {
        let tombstone = self.tombstone();
        submit(self.running.as_mut().unwrap(), &[tombstone]);
    }

    /// The tombstone is committed while no witness answers, so that it is not published; where its answer comes.
    fn tombstone_without_witnesses(&mut self) -> Receiver<Outcome> {
        let tombstone = self.tombstone();
        self.bench.witnesses.set_all(&Mood::Down);
        let running = self.running.as_mut().unwrap();
        let records = running.log.records.as_ref().unwrap();
        let Ok(Examined::New(pending)) = examine(&running.log, records, tombstone.into()) else {
            panic!("it is new");
        };
        let answer = running.log.pool.submit(vec![*pending]).unwrap();
        running.step().unwrap();
        answer
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
fn a_tombstone_in_the_middle_of_a_batch_takes_attachments_though_no_head_was_signed_just_before_it() {
    let mut scene = Scene::new();
    let put = |key: &str| scene.world.put(&scene.office, "letter", key, None, "{}");
    let batch = [put("B"), put("C"), scene.tombstone(), put("D")];
    let running = scene.running.as_mut().unwrap();
    submit(running, &batch);
    let (log, size) = (&running.log, running.log.published().head().size);
    log.records.as_ref().unwrap().carry_out(&log.index, &log.lookup, size).unwrap();
    assert_eq!(scene.has_values(scene.running_vault()), (false, false));
    assert!(!scene.trace(), "no key and no file is left");
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

/// Steps until a condition holds, for so many rounds at most.
fn steps_until(running: &mut Running, mut holds: impl FnMut(&Running) -> bool) {
    for _ in 0..200 {
        if holds(running) {
            return;
        }
        running.step().unwrap();
    }
    panic!("it never holds");
}

#[test]
fn a_tombstone_that_is_published_after_its_answer_is_carried_out_though_nobody_asks_again() {
    let mut scene = Scene::with_witnesses(1);
    let answer = scene.tombstone_without_witnesses();
    scene.bench.clock.advance(Duration::from_secs(6));
    let running = scene.running.as_mut().unwrap();
    running.step().unwrap();
    assert!(answer.blocking_recv().unwrap().is_err(), "the outcome is unknown");
    let mut upkeep = Upkeep::default();
    upkeep.step(&running.log);
    assert_eq!(scene.has_values(scene.running_vault()), (true, true), "it is not public yet");

    scene.bench.witnesses.set_all(&Mood::Honest);
    let running = scene.running.as_mut().unwrap();
    let clock = Arc::clone(&scene.bench.clock);
    steps_until(running, |running| {
        clock.advance(Duration::from_secs(1));
        running.log.published().head().size.get() == 5
    });
    upkeep.step(&scene.running.as_ref().unwrap().log);
    assert_eq!(scene.has_values(scene.running_vault()), (false, false));
    assert!(!scene.trace(), "no key and no file is left");
}

#[test]
fn a_start_carries_out_what_is_published_and_the_rest_when_it_is() {
    let mut scene = Scene::with_witnesses(1);
    let _answer = scene.tombstone_without_witnesses();
    scene.running = None;
    scene.running = Some(scene.bench.start().unwrap());
    assert_eq!(scene.running.as_ref().unwrap().log.published().head().size.get(), 4);
    assert_eq!(scene.has_values(scene.running_vault()), (true, true), "nobody could see why it is gone");
    scene.bench.witnesses.set_all(&Mood::Honest);
    let clock = Arc::clone(&scene.bench.clock);
    steps_until(scene.running.as_mut().unwrap(), |running| {
        clock.advance(Duration::from_secs(1));
        running.log.published().head().size.get() == 5
    });
    Upkeep::default().step(&scene.running.as_ref().unwrap().log);
    assert!(!scene.trace(), "no key and no file is left");
}

#[test]
fn a_tombstone_whose_file_cannot_be_removed_is_tried_again_less_and_less_often_and_known_to_readers() {
    let mut scene = Scene::new();
    scene.commit_tombstone();
    let log = Arc::clone(&scene.running.as_ref().unwrap().log);
    let records = log.records.as_ref().unwrap();
    let takes = |opening: &AttachmentOpening| {
        let size = log.published().head().size;
        records.eraser.takes(&log.index, &log.lookup, size, opening).unwrap().map(LeafIndex::get)
    };
    let stranger = scene.world.record_body(&scene.office, "letter", "B", None, "{}");
    let other = tests::uploads::erasable(&stranger, "letter.pdf", CONTENTS, 9);
    assert_eq!((takes(&scene.opening), takes(&other)), (Some(4), None), "before anything is carried out");
    let mut next = scene.world.record_body(&scene.office, "letter", "A", Some(scene.leaf), "{}");
    next.content = Some(Content { attachments: vec![scene.opening.attachment()], ..Content::default() });
    let next = sign(&Body::Record(next), &[&scene.office.publisher]);
    match examine(&log, records, next.into()) {
        Err(NotTaken::AttachmentErased { tombstone, .. }) => assert_eq!(tombstone.get(), 4),
        other => panic!("no further version names it: {other:?}"),
    }
    scene.bench.disk.set(Some(Fault { at: 0, how: How::Fails, once: false }));
    let mut upkeep = Upkeep::default();
    let mut attempts = 0;
    for _ in 0..200 {
        let before = scene.bench.disk.count();
        upkeep.step(&log);
        attempts += u32::from(scene.bench.disk.count() > before);
        assert_eq!((records.eraser.overdue(), takes(&scene.opening)), (1, Some(4)));
        assert!(!records.eraser.has_carried_out(&[LeafIndex::new(4).unwrap()]));
        scene.bench.clock.advance(Duration::from_secs(1));
    }
    assert!((8..=12).contains(&attempts), "after 1, 2, 4 ... and 60 seconds: {attempts}");
    scene.bench.disk.set(None);
    scene.bench.clock.advance(Duration::from_secs(60));
    upkeep.step(&log);
    assert!(!scene.trace() && records.eraser.overdue() == 0);
    assert!(records.eraser.has_carried_out(&[LeafIndex::new(4).unwrap()]));
}

#[test]
fn one_tombstone_that_cannot_be_carried_out_holds_up_no_other() {
    let mut scene = Scene::new();
    scene.commit_tombstone();
    // In the place of the file is what cannot be removed as one.
    let name = scene.opening.commitment().to_string();
    let file = scene.bench.dir().join("vault/attachments").join(&name[..2]).join(&name[2..]);
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let letter = Letter::new(&scene.world, &scene.office, "B");
    let running = scene.running.as_mut().unwrap();
    letter_into(running, &letter);
    let tombstone = letter.tombstone(&scene.world, &scene.office, 5, &["/attachments/letter.pdf"]);
    submit(running, &[tombstone]);
    let log = Arc::clone(&running.log);
    let eraser = &log.records.as_ref().unwrap().eraser;
    Upkeep::default().step(&log);
    let done = |at| eraser.has_carried_out(&[LeafIndex::new(at).unwrap()]);
    assert_eq!((eraser.overdue(), done(4), done(6)), (1, false, true));
    std::fs::remove_dir(&file).unwrap();
    Upkeep::default().step(&log);
    assert_eq!((eraser.overdue(), done(4)), (0, true));
}

/// Keeps a letter's attachment and enters its record.
fn letter_into(running: &mut Running, letter: &Letter) {
    let records = running.log.records.as_ref().unwrap();
    let mut incoming = records.vault.begin(&letter.opening.commitment(), &SystemRandom).unwrap();
    incoming.write(&letter.contents).unwrap();
    records.vault.keep(incoming, &letter.opening, records.now_seconds()).unwrap();
    submit(running, std::slice::from_ref(&letter.statement));
}

/// Uploads a public attachment, and a statement that names it.
fn public(scene: &Scene, records: &Records, key: &str) -> (Hash, Vec<u8>) {
    let contents = format!("what everybody may read about {key}").into_bytes();
    let hash = sha256(&contents);
    let mut incoming = records.blobs.begin().unwrap();
    incoming.write(&contents).unwrap();
    records.blobs.finish(incoming, &hash, records.now_seconds()).unwrap();
    let attachment = Attachment {
        name: "report.pdf".parse().unwrap(),
        media: "application/pdf".parse().unwrap(),
        bytes: contents.len() as u64,
        content: AttachmentContent::Public(hash),
    };
    (hash, scene.world.attach(&scene.office, "letter", key, vec![attachment]))
}

#[test]
fn an_upload_that_no_version_names_is_destroyed_after_a_day_and_one_that_is_named_stays() {
    let mut scene = Scene::new();
    let log = Arc::clone(&scene.running.as_ref().unwrap().log);
    let records = log.records.as_ref().unwrap();
    let other = scene.world.record_body(&scene.office, "letter", "B", None, "{}");
    let unnamed = tests::uploads::erasable(&other, "draft.pdf", CONTENTS, 9);
    keep(scene.running.as_ref().unwrap(), &unnamed);
    let (named_blob, statement) = public(&scene, records, "C");
    let (unnamed_blob, _) = public(&scene, records, "D");
    submit(scene.running.as_mut().unwrap(), &[statement]);
    let held =
        |opening: &AttachmentOpening| records.vault.attachment(&opening.commitment()).unwrap().is_some();
    let blob = |hash| records.blobs.length(hash).unwrap().is_some();
    let mut upkeep = Upkeep::default();
    for (hours, there) in [(0, true), (23, true), (2, false), (50, false)] {
        scene.bench.clock.advance(Duration::from_secs(hours * 3600));
        upkeep.step(&log);
        assert_eq!((held(&unnamed), held(&scene.opening)), (there, true), "{hours}");
        assert_eq!((blob(&unnamed_blob), blob(&named_blob)), (there, true), "{hours}");
    }
    assert!(records.vault.erased(&unnamed.commitment()).unwrap().is_none(), "no tombstone took it");
}

#[test]
fn a_public_attachment_is_known_to_be_named_where_the_index_was_built_anew() {
    let mut scene = Scene::new();
    let log = Arc::clone(&scene.running.as_ref().unwrap().log);
    let (named, statement) = public(&scene, log.records.as_ref().unwrap(), "C");
    submit(scene.running.as_mut().unwrap(), &[statement]);
    drop(log);
    scene.running = None;
    std::fs::remove_dir_all(scene.bench.dir().join("index")).unwrap();
    let running = scene.bench.start().unwrap();
    scene.bench.clock.advance(Duration::from_secs(50 * 3600));
    Upkeep::default().step(&running.log);
    assert!(running.log.records.as_ref().unwrap().blobs.length(&named).unwrap().is_some());
}

#[test]
fn what_a_statement_names_as_it_is_admitted_is_there_afterwards_however_old_the_upload_is() {
    let mut scene = Scene::new();
    let log = Arc::clone(&scene.running.as_ref().unwrap().log);
    let records = log.records.as_ref().unwrap();
    let mut admitted = 0;
    for round in 0..40 {
        let (blob, public) = public(&scene, records, &format!("P{round}"));
        let letter = Letter::new(&scene.world, &scene.office, &format!("L{round}"));
        let commitment = letter.opening.commitment();
        let mut incoming = records.vault.begin(&commitment, &SystemRandom).unwrap();
        incoming.write(&letter.contents).unwrap();
        records.vault.keep(incoming, &letter.opening, records.now_seconds()).unwrap();
        scene.bench.clock.advance(Duration::from_secs(25 * 3600));
        let together = Barrier::new(2);
        let examined = std::thread::scope(|scope| {
            scope.spawn(|| {
                together.wait();
                Upkeep::default().step(&log);
            });
            together.wait();
            [&public, &letter.statement].map(|one| examine(&log, records, one.clone().into()))
        });
        let is_there = [
            records.blobs.length(&blob).unwrap().is_some(),
            records.vault.attachment(&commitment).unwrap().is_some(),
        ];
        for (examined, is_there) in examined.into_iter().zip(is_there) {
            match examined {
                Ok(Examined::New(_)) => {
                    assert!(is_there, "{round}: what was admitted has its attachment");
                    admitted += 1;
                }
                Err(NotTaken::AttachmentMissing { .. }) => assert!(!is_there, "{round}"),
                other => panic!("{other:?}"),
            }
        }
        // What was admitted is committed, and stays for good.
        if is_there[0] {
            submit(scene.running.as_mut().unwrap(), &[public]);
            scene.bench.clock.advance(Duration::from_secs(25 * 3600));
            Upkeep::default().step(&log);
            assert!(records.blobs.length(&blob).unwrap().is_some(), "{round}");
        }
    }
    println!("{admitted} of 80 were admitted");
}
