//! Letters: records with an erasable attachment and two erasable fields, as an agency enters, shows and erases them.
//!
//! Each step is a [`Call`], so that a test can make it, lose its answer, or race it with another.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use record::erasable::{AttachmentOpening, Place, field_to_text};
use record::opening::{Opening, Salt};
use record::statement::{Body, Content, EntryRef, FieldClass, FieldRule, FieldType, Record};
use rusqlite::{Connection, OpenFlags};
use tlog::hash::{Hash, leaf_hash, sha256};
use tlog::ids::LeafIndex;

use crate::copy_all;
use crate::records::{Office, World, sign};
use crate::server::{Answer, exchange};
use crate::uploads::{header, upload};

const REGISTER: &str = "letter";
const NAME: &str = "letter.pdf";
/// The erasable fields of a letter.
pub const FIELDS: [&str; 2] = ["name", "note"];
/// Everything that can be erased of one.
pub const ALL: [&str; 3] = ["/attachments/letter.pdf", "/erasable/name", "/erasable/note"];

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Call {
    /// Makes it.
    ///
    /// # Errors
    /// If there is no complete answer.
    pub fn send(&self, to: SocketAddr) -> std::io::Result<Answer> {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        exchange(to, self.method, &self.path, &headers, &self.body)
    }

    /// Makes it, and it is answered with 200.
    ///
    /// # Panics
    /// If it is not; here and below if a fixture is malformed.
    pub fn good(&self, to: SocketAddr) -> Answer {
        let answer = self.send(to).expect("an answer");
        assert_eq!(answer.status, 200, "{} {}: {}", self.method, self.path, answer.text());
        answer
    }

    fn get(path: String) -> Self {
        Self { method: "GET", path, headers: Vec::new(), body: Vec::new() }
    }
}

/// Enters a statement.
#[must_use]
pub fn post(statement: &[u8]) -> Call {
    let headers = vec![("content-type", "text/plain".to_owned()), ("accept", "application/json".to_owned())];
    Call { method: "POST", path: "/records".to_owned(), headers, body: statement.to_vec() }
}

/// Enrols the agency and opens its register of letters, which takes public attachments too.
#[must_use]
pub fn open(world: &World, office: &Office) -> [Vec<u8>; 2] {
    let mut register = world.register_body(office, REGISTER, None);
    register.attachments = vec![FieldClass::Erasable, FieldClass::Public];
    for field in FIELDS {
        let rule = FieldRule { class: FieldClass::Erasable, kind: FieldType::String, required: false };
        register.fields.insert(field.to_owned(), rule);
    }
    [world.enrol(office), sign(&Body::Register(register), &office.quorum())]
}

/// A letter, the first version of its record.
#[derive(Debug)]
pub struct Letter {
    key: String,
    /// What is attached.
    pub contents: Vec<u8>,
    /// What opens its commitment.
    pub opening: AttachmentOpening,
    values: Vec<Opening>,
    /// The statement.
    pub statement: Vec<u8>,
    /// Its leaf hash.
    pub leaf: Hash,
}

impl Letter {
    /// The letter under this key. No two have anything in common that is secret.
    #[must_use]
    pub fn new(world: &World, office: &Office, key: &str) -> Self {
        let record = world.record_body(office, REGISTER, key, None, "{}");
        let contents = format!("Dear {key}, this is between you and me.").repeat(100).into_bytes();
        let salt = |what: &str| Salt::new(*sha256(format!("{key} {what}").as_bytes()).as_bytes());
        let opening = AttachmentOpening {
            place: Place::of(&record),
            name: NAME.parse().expect("a name"),
            media: "application/pdf".parse().expect("a media type"),
            bytes: contents.len() as u64,
            salt: salt(NAME),
            sha256: sha256(&contents),
        };
        let values = FIELDS.map(|field| Opening {
            name: field.parse().expect("a name"),
            kind: FieldType::String,
            value: format!("the {field} of {key}").as_str().into(),
            salt: salt(field),
        });
        let place = Place::of(&record);
        let erasable = values.iter().map(|one| (one.name.as_str().to_owned(), place.commit_field(one)));
        let content = Content {
            erasable: erasable.collect(),
            attachments: vec![opening.attachment()],
            ..Content::default()
        };
        let statement =
            sign(&Body::Record(Record { content: Some(content), ..record }), &[&office.publisher]);
        let leaf = leaf_hash(&statement);
        Self { key: key.to_owned(), contents, opening, values: values.into(), statement, leaf }
    }

    /// Uploads the attachment.
    #[must_use]
    pub fn upload(&self, office: &Office) -> Call {
        let opening = ("daybook-attachment", STANDARD.encode(self.opening.to_text()));
        let path = format!("/blobs/{}", self.opening.commitment());
        let mut call = put(office, path, self.contents.clone());
        call.headers.push(opening);
        call
    }

    /// Shows the value of a field.
    #[must_use]
    pub fn show(&self, office: &Office, field: &str) -> Call {
        let value = self.values.iter().find(|value| value.name.as_str() == field).expect("a field");
        put(office, self.shown_path(), field_to_text(value).into_bytes())
    }

    /// Uploads, enters and shows everything; the index.
    pub fn publish(&self, office: &Office, to: SocketAddr) -> u64 {
        self.upload(office).good(to);
        let answer = post(&self.statement).good(to);
        for field in FIELDS {
            self.show(office, field).good(to);
        }
        answer.json()["index"].as_u64().expect("an index")
    }

    /// The tombstone that takes something of it, where it is the entry at this index.
    #[must_use]
    pub fn tombstone(&self, world: &World, office: &Office, index: u64, erased: &[&str]) -> Vec<u8> {
        let entry = EntryRef { index: LeafIndex::new(index).expect("an index"), leaf: self.leaf };
        sign(&world.tombstone_body(office, REGISTER, &self.key, entry, erased), &office.quorum())
    }

    /// Reads the attachment.
    #[must_use]
    pub fn read(&self) -> Call {
        Call::get(format!("/blobs/{}", self.opening.commitment()))
    }

    /// Reads what is shown.
    #[must_use]
    pub fn read_shown(&self) -> Call {
        Call::get(self.shown_path())
    }

    /// Whether an answer to that shows this field's value.
    #[must_use]
    pub fn is_shown(&self, answer: &Answer, field: &str) -> bool {
        answer.text().contains(&format!("the {field} of {}\\\"", self.key))
    }

    /// The keys under which its values and its attachment lie, among all that a vault has.
    #[must_use]
    pub fn keys<'a>(&self, all: &'a VaultKeys) -> Vec<&'a [u8; 32]> {
        let places = [*self.leaf.as_bytes(), *self.opening.commitment().as_bytes()];
        places.iter().filter_map(|place| all.get(place)).flatten().collect()
    }

    fn shown_path(&self) -> String {
        format!("/records/{}/disclosures", self.leaf)
    }
}

fn put(office: &Office, path: String, body: Vec<u8>) -> Call {
    let note = header(office, &upload(office, &path, &body));
    let headers = vec![("content-type", "application/octet-stream".to_owned()), ("daybook-upload", note)];
    Call { method: "PUT", path, headers, body }
}

/// Keys of a vault, by the leaf hash of the version or the commitment of the attachment.
pub type VaultKeys = BTreeMap<[u8; 32], Vec<[u8; 32]>>;

/// The keys that a log's vault has, read from a copy of it: nothing of what a crash has left is changed.
#[must_use]
pub fn vault_keys(log: &Path) -> VaultKeys {
    let copy = tempfile::tempdir().expect("a temporary directory");
    copy_all(&log.join("vault"), copy.path());
    all_keys(&Connection::open(copy.path().join("keys.sqlite")).expect("a database"))
}

/// The same of a log that is at work, whose files do not stand still for a copy.
#[must_use]
pub fn live_vault_keys(log: &Path) -> VaultKeys {
    let file = log.join("vault/keys.sqlite");
    all_keys(&Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a database"))
}

fn all_keys(keys: &Connection) -> VaultKeys {
    let all = "SELECT leaf, key FROM key UNION ALL SELECT commitment, key FROM attachment";
    let mut query = keys.prepare(all).expect("a query");
    let mut out = VaultKeys::new();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    for row in rows {
        let (place, key) = row.expect("a row");
        out.entry(place).or_default().push(key);
    }
    out
}
