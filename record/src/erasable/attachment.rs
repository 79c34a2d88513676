//! What opens the commitment to an erasable attachment: where it stands, its file's hash, and the salt.
//!
//! ```text
//! daybook/erasable-attachment/v1
//! {"agency":..,"bytes":..,"key":..,"media":..,"name":..,"register":..,"salt":..,"sha256":..}
//! ```
//!
//! It goes with the file: up to whoever keeps it, and down to whoever checks that the file is the one that a statement
//! names. It is as secret as the file, and destroyed with it.

use tlog::hash::Hash;

use super::Place;
use crate::ids::Line;
use crate::json::{INTEGER_MAX, Object, Value};
use crate::opening::Salt;
use crate::statement::fields::{Fields, hash, integer, parsed};
use crate::statement::record::{count, media};
use crate::statement::{Attachment, AttachmentContent, Record, StatementError};

const KIND: &str = "daybook/erasable-attachment/v1";

/// An erasable attachment without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachmentOpening {
    /// The record that it belongs to.
    pub place: Place,
    /// Its name in the statement.
    pub name: Line,
    /// Its media type.
    pub media: Line,
    /// Its length in bytes, at most 2^53-1.
    pub bytes: u64,
    /// Hides the hash.
    pub salt: Salt,
    /// SHA-256 of the file.
    pub sha256: Hash,
}

impl AttachmentOpening {
    /// What the statement names it by.
    #[must_use]
    pub fn commitment(&self) -> Hash {
        let Self { place, name, media, bytes, salt, sha256 } = self;
        place.commit_attachment(name, media, *bytes, salt, sha256)
    }

    /// The attachment as it stands in a statement.
    #[must_use]
    pub fn attachment(&self) -> Attachment {
        let content = AttachmentContent::Erasable(self.commitment());
        Attachment { name: self.name.clone(), media: self.media.clone(), bytes: self.bytes, content }
    }

    /// Whether this is what a version of a record has among its attachments.
    #[must_use]
    pub fn is_of(&self, record: &Record) -> bool {
        let attachments = record.content.iter().flat_map(|content| &content.attachments);
        self.place == Place::of(record) && attachments.into_iter().any(|one| *one == self.attachment())
    }

    /// Its kind, and a line of canonical JSON.
    ///
    /// # Panics
    /// If it has 2^53 bytes or more.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = Object::new();
        out.insert("agency", self.place.agency.as_str());
        out.insert("bytes", count(i64::try_from(self.bytes).expect("at most 2^53-1")));
        out.insert("key", self.place.key.as_str());
        out.insert("media", self.media.as_str());
        out.insert("name", self.name.as_str());
        out.insert("register", self.place.register.as_str());
        out.insert("salt", self.salt.to_hex());
        out.insert("sha256", self.sha256.to_string());
        format!("{KIND}\n{}\n", Value::Object(out).to_text())
    }

    /// The inverse of [`AttachmentOpening::to_text`].
    ///
    /// # Errors
    /// [`StatementError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let mut fields = Fields::of_text(KIND, text)?;
        let bytes = fields.required("bytes", integer(0, INTEGER_MAX))?;
        let opening = Self {
            place: Place {
                agency: fields.required("agency", parsed)?,
                register: fields.required("register", parsed)?,
                key: fields.required("key", parsed)?,
            },
            name: fields.required("name", parsed)?,
            media: fields.required("media", media)?,
            bytes: u64::try_from(bytes).expect("not negative"),
            salt: fields.required("salt", Salt::read)?,
            sha256: fields.required("sha256", hash)?,
        };
        fields.finish()?;
        Ok(opening)
    }
}
