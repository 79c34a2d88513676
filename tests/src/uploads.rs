//! Uploads to a served log, as an agency makes them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use daemon::clock::{Clock, SystemClock};
use daybook::records::upload::Upload;
use record::erasable::{AttachmentOpening, Place};
use record::opening::Salt;
use record::statement::Record;
use record::time::UtcTime;
use tlog::hash::sha256;

use crate::records::Office;
use crate::server::{Answer, ORIGIN, Server};

/// What an office is to sign for uploading these bytes to this path now.
///
/// # Panics
/// If the machine's time is beyond what a statement can have.
#[must_use]
pub fn upload(office: &Office, path: &str, body: &[u8]) -> Upload {
    let now = i64::try_from(SystemClock.unix_millis() / 1000).expect("a time");
    Upload {
        log: ORIGIN.to_owned(),
        agency: office.id.clone(),
        path: path.to_owned(),
        sha256: sha256(body),
        bytes: body.len() as u64,
        at: UtcTime::from_unix_seconds(now).expect("a time of this era"),
    }
}

/// The header for it, signed by the office's publisher.
#[must_use]
pub fn header(office: &Office, upload: &Upload) -> String {
    upload.to_header(vec![office.publisher.sign(&upload.to_text())])
}

/// Uploads something as the office that may.
#[must_use]
pub fn put(server: &Server, office: &Office, path: &str, body: &[u8]) -> Answer {
    put_with(server, path, body, &header(office, &upload(office, path, body)))
}

/// Uploads something under any header.
#[must_use]
pub fn put_with(server: &Server, path: &str, body: &[u8], header: &str) -> Answer {
    let headers = [("content-type", "application/octet-stream"), ("daybook-upload", header)];
    server.send("PUT", path, &headers, body)
}

/// An erasable attachment of a record.
///
/// # Panics
/// If the name is no line.
#[must_use]
pub fn erasable(record: &Record, name: &str, contents: &[u8], salt: u8) -> AttachmentOpening {
    AttachmentOpening {
        place: Place::of(record),
        name: name.parse().expect("a name"),
        media: "application/pdf".parse().expect("a media type"),
        bytes: contents.len() as u64,
        salt: Salt::new([salt; 32]),
        sha256: sha256(contents),
    }
}

/// Uploads an erasable attachment as the office that may.
#[must_use]
pub fn put_erasable(
    server: &Server,
    office: &Office,
    opening: &AttachmentOpening,
    contents: &[u8],
) -> Answer {
    let path = format!("/blobs/{}", opening.commitment());
    put_erasable_to(server, office, &path, &STANDARD.encode(opening.to_text()), contents)
}

/// The same with any path and any header.
#[must_use]
pub fn put_erasable_to(
    server: &Server,
    office: &Office,
    path: &str,
    opening: &str,
    contents: &[u8],
) -> Answer {
    let note = header(office, &upload(office, path, contents));
    let headers = [
        ("content-type", "application/octet-stream"),
        ("daybook-upload", note.as_str()),
        ("daybook-attachment", opening),
    ];
    server.send("PUT", path, &headers, contents)
}
