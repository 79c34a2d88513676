//! A monitor over a real log of records: through enrolment, rotation, revocation and erasure, and when the log loses what
//! is outside its tree.

use std::path::PathBuf;

use daybook::records::upload::Upload;
use record::erasable::{AttachmentOpening, Place, field_to_text};
use record::opening::{Opening, Salt};
use record::statement::{
    Attachment, AttachmentContent, Body, Content, EntryRef, FieldClass, FieldRule, FieldType,
};
use serde_json::Value;
use tests::home::{Home, monitor};
use tests::records::{Office, Signer, World, previous, sign};
use tests::server::{ORIGIN, Server, Site};
use tlog::hash::{Hash, leaf_hash, sha256};
use tlog::ids::LeafIndex;

const FILE: &[u8] = b"the contract as it was signed";
const PHOTO: &[u8] = b"a face";

/// A log of records, an agency in it, and a monitor that judges it.
struct Scene {
    site: Site,
    server: Server,
    world: World,
    office: Office,
    home: Home,
    entries: u64,
}

impl Scene {
    fn new() -> Self {
        let (site, world) = (Site::new("records"), World::new(ORIGIN));
        let server = site.start();
        let policy = std::fs::read_to_string(site.policy_path()).expect("a policy");
        let genesis = leaf_hash(&world.genesis());
        let home = Home::new(ORIGIN, &server.url(), &policy)
            .with(&format!("genesis = \"{genesis}\"\nvalues = {{ per_minute = 6000 }}"));
        Self { site, server, world, office: Office::new("treasury.example"), home, entries: 1 }
    }

    fn post(&mut self, statement: &[u8]) {
        let answer = self.server.send("POST", "/records", &[("content-type", "text/plain")], statement);
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.entries += 1;
    }

    fn put(&self, path: &str, body: &[u8], by: &Signer) {
        self.put_with(path, body, by, None);
    }

    /// With the opening of an erasable attachment.
    fn put_with(&self, path: &str, body: &[u8], by: &Signer, opening: Option<&AttachmentOpening>) {
        let millis = daemon::clock::Clock::unix_millis(&daemon::clock::SystemClock);
        let now = i64::try_from(millis / 1000).expect("this century");
        let upload = Upload {
            log: ORIGIN.to_owned(),
            agency: self.office.id.clone(),
            path: path.to_owned(),
            sha256: sha256(body),
            bytes: body.len() as u64,
            at: record::time::UtcTime::from_unix_seconds(now).expect("a time"),
        };
        let header = upload.to_header(vec![by.sign(&upload.to_text())]);
        let opening = opening.map(|opening| tlog::b64::encode(opening.to_text().as_bytes()));
        let mut headers =
            vec![("content-type", "application/octet-stream"), ("daybook-upload", header.as_str())];
        headers.extend(opening.iter().map(|opening| ("daybook-attachment", opening.as_str())));
        let answer = self.server.send("PUT", path, &headers, body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Looks once, and expects this exit code; the log's status.
    fn once(&self, expected: i32) -> Value {
        let (code, status) = self.home.once();
        assert_eq!(code, expected, "{status}");
        assert_eq!(status["logs"][0]["evidence"], serde_json::json!([]), "{status}");
        status["logs"][0].clone()
    }

    fn is_verified(&self) {
        let log = self.once(0);
        assert_eq!((&log["verified"]["size"], &log["judged"]), (&self.entries.into(), &self.entries.into()));
        assert_eq!(log["alarms"], serde_json::json!([]));
    }

    /// Expects one alarm of this sort about this.
    fn is_alarmed(&self, kind: &str, subject: &str) {
        let log = self.once(7);
        let alarms = log["alarms"].as_array().expect("a list");
        assert_eq!(alarms.len(), 1, "{log}");
        assert_eq!(alarms[0]["kind"], kind, "{log}");
        let about = alarms[0]["subject"].as_str().expect("text");
        assert!(about.ends_with(subject), "{about} is not about {subject}");
        assert_eq!(log["verified"]["size"], self.entries, "the tree is whole");
    }

    /// The log stops, its files are touched, and it starts again, where the monitor finds it.
    fn meanwhile(mut self, touch: impl FnOnce(&Site)) -> Self {
        let url = self.server.url();
        self.server.kill();
        touch(&self.site);
        self.server = self.site.start();
        let config = PathBuf::from(self.home.dir()).join("monitor.toml");
        let toml = std::fs::read_to_string(&config).expect("a configuration");
        std::fs::write(&config, toml.replace(&url, &self.server.url())).expect("written");
        self
    }
}

fn opening(name: &str, value: &str, salt: u8) -> Opening {
    let (name, kind) = (name.parse().expect("a name"), FieldType::String);
    Opening { name, kind, value: value.into(), salt: Salt::new([salt; 32]) }
}

fn photo() -> AttachmentOpening {
    AttachmentOpening {
        place: Place {
            agency: "treasury.example".parse().expect("an agency"),
            register: "person".parse().expect("a register"),
            key: "A".parse().expect("a key"),
        },
        name: "photo.jpg".parse().expect("a line"),
        media: "image/jpeg".parse().expect("a line"),
        bytes: PHOTO.len() as u64,
        salt: Salt::new([77; 32]),
        sha256: sha256(PHOTO),
    }
}

/// A register with erasable fields and attachments, and a record in it; the record's leaf hash.
fn publish(scene: &mut Scene, openings: &[Opening]) -> Hash {
    let mut register = scene.world.register_body(&scene.office, "person", None);
    for opening in openings {
        let rule = FieldRule { class: FieldClass::Erasable, kind: FieldType::String, required: false };
        register.fields.insert(opening.name.to_string(), rule);
    }
    register.attachments = vec![FieldClass::Erasable, FieldClass::Public];
    let opened = sign(&Body::Register(register), &scene.office.quorum());
    scene.post(&opened);
    scene.put(&format!("/blobs/{}", sha256(FILE)), FILE, &scene.office.publisher);
    let mut record = scene.world.record_body(&scene.office, "person", "A", None, "{}");
    let place = Place::of(&record);
    let erasable = openings.iter().map(|opening| (opening.name.to_string(), place.commit_field(opening)));
    let attachment = Attachment {
        name: "contract.pdf".parse().expect("a line"),
        media: "application/pdf".parse().expect("a line"),
        bytes: FILE.len() as u64,
        content: AttachmentContent::Public(sha256(FILE)),
    };
    let photo = photo();
    let path = format!("/blobs/{}", photo.commitment());
    scene.put_with(&path, PHOTO, &scene.office.publisher, Some(&photo));
    let attachments = vec![attachment, photo.attachment()];
    record.content = Some(Content { erasable: erasable.collect(), attachments, ..Content::default() });
    let statement = sign(&Body::Record(record), &[&scene.office.publisher]);
    scene.post(&statement);
    let leaf = leaf_hash(&statement);
    for opening in openings {
        let path = format!("/records/{leaf}/disclosures");
        scene.put(&path, field_to_text(opening).as_bytes(), &scene.office.publisher);
    }
    leaf
}

/// The agency's publisher is replaced; what the replacement signed is the agency's next statement's `previous`.
fn rotate(scene: &mut Scene, enrolment: &[u8]) -> Signer {
    let new = Signer::ed25519("treasury.example/publisher-2");
    let action = scene.office.replace_publisher(&new);
    let body = scene.world.agency_body(&scene.office, previous(enrolment), action);
    let mut signers = scene.office.quorum();
    signers.push(&new);
    let rotation = sign(&body, &signers);
    scene.post(&rotation);
    new
}

#[test]
fn a_real_log_is_followed_through_enrolment_rotation_revocation_and_erasure() {
    let mut scene = Scene::new();
    scene.is_verified();
    let enrolment = scene.world.enrol(&scene.office);
    scene.post(&enrolment);
    scene.is_verified();
    let openings = [opening("name", "Ada Lovelace", 1), opening("note", "a secret note", 2)];
    let leaf = publish(&mut scene, &openings);
    scene.is_verified();

    let new = rotate(&mut scene, &enrolment);
    let body = scene.world.record_body(&scene.office, "person", "A", Some(leaf), "{}");
    let next = sign(&Body::Record(body), &[&new]);
    scene.post(&next);
    scene.is_verified();

    let index = LeafIndex::new(3).expect("an index");
    let erase = scene.world.tombstone_body(
        &scene.office,
        "person",
        "A",
        EntryRef { index, leaf },
        &["/attachments/photo.jpg", "/erasable/name"],
    );
    let tombstone = sign(&erase, &scene.office.quorum());
    scene.post(&tombstone);
    scene.is_verified();
    let checked = monitor(&["fsck", "--json", &scene.home.dir()]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

#[test]
fn what_a_real_log_loses_without_a_tombstone_is_told_and_clears_when_it_is_back() {
    let mut scene = Scene::new();
    let enrolment = scene.world.enrol(&scene.office);
    scene.post(&enrolment);
    let leaf =
        publish(&mut scene, &[opening("name", "Ada Lovelace", 1), opening("note", "a secret note", 2)]);
    scene.is_verified();

    let kept = scene.site.root().join("kept");
    let blob = find(scene.site.dir(), &sha256(FILE).to_string());
    let scene = scene.meanwhile(|_| std::fs::rename(&blob, &kept).map_or_else(|e| panic!("{e}"), drop));
    scene.is_alarmed("erased", &format!("blobs/{}", sha256(FILE)));
    let scene = scene.meanwhile(|_| std::fs::rename(&kept, &blob).map_or_else(|e| panic!("{e}"), drop));
    scene.is_verified();

    // The operator destroys values, and no tombstone says so.
    let scene = scene.meanwhile(|site| std::fs::remove_dir_all(site.dir().join("vault")).expect("removed"));
    let log = scene.once(7);
    let alarms = log["alarms"].as_array().expect("a list");
    let mut about: Vec<&str> = alarms.iter().map(|alarm| alarm["subject"].as_str().expect("text")).collect();
    about.sort_unstable();
    let values = ["name", "note"].map(|name| format!("records/{leaf}/erasable/{name}"));
    let photo = format!("blobs/{}", photo().commitment());
    assert_eq!(about, [&[photo][..], &values].concat());
    assert!(alarms.iter().all(|alarm| alarm["kind"] == "erased"));
}

/// The file of this name somewhere under a folder, and not its mark among uploads that nothing has named yet.
fn find(folder: PathBuf, name: &str) -> PathBuf {
    let mut left = vec![folder];
    while let Some(path) = left.pop() {
        if path.ends_with("unnamed") {
            continue;
        }
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).expect("a folder").map(|file| file.expect("a file").path()));
        } else if path.file_name().is_some_and(|found| name.ends_with(&*found.to_string_lossy())) {
            return path;
        }
    }
    panic!("no file {name}");
}
