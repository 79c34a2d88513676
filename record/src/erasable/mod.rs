//! Erasable fields and attachments: a commitment in the leaf, the value outside, and a tombstone once it is gone.
//!
//! ```text
//! field       SHA-256("daybook/erasable/v1\n" agency "\n" register "\n" key "\n" name "\n" type "\n" salt "\n" value "\n")
//! attachment  SHA-256("daybook/attachment/v1\n" agency "\n" register "\n" key "\n" name "\n" media "\n" bytes "\n" salt "\n" sha256 "\n")
//! ```
//!
//! Salt and hash in hex, the value as canonical JSON, the length in decimal. Once salt and value are destroyed, the
//! commitment says nothing: 256 random bits stand before every guess. The commitment is over the value and not over a
//! ciphertext, because authenticated encryption does not bind a key: one ciphertext can open to two values.
//!
//! [`AttachmentOpening`] goes with an attachment; [`store`] is how values lie on a disk; [`Erasures`] tells what tombstones
//! have taken away.

mod attachment;
pub mod store;

use std::collections::BTreeMap;

use tlog::hash::{Hash, sha256};

pub use self::attachment::AttachmentOpening;
use crate::ids::{AgencyId, Line, RecordKey, RegisterId};
use crate::json::{Object, Value};
use crate::opening::{Opening, Salt};
use crate::statement::fields::Fields;
use crate::statement::{Attachment, AttachmentContent, Content, EntryRef, Erased, Record, StatementError};

const FIELD_KIND: &str = "daybook/erasable-value/v1";

/// Which record a commitment belongs to. It opens nothing under another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose.
    pub agency: AgencyId,
    /// In which register.
    pub register: RegisterId,
    /// Under which key.
    pub key: RecordKey,
}

impl Place {
    /// Where a record stands.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        Self { agency: record.agency.clone(), register: record.register.clone(), key: record.key.clone() }
    }

    fn lines(&self) -> String {
        format!("{}\n{}\n{}\n", self.agency, self.register, self.key)
    }

    /// The commitment to a field's value.
    #[must_use]
    pub fn commit_field(&self, opening: &Opening) -> Hash {
        let (name, kind, salt) = (&opening.name, opening.kind.as_str(), opening.salt.to_hex());
        let value = opening.value.to_text();
        sha256(format!("daybook/erasable/v1\n{}{name}\n{kind}\n{salt}\n{value}\n", self.lines()).as_bytes())
    }

    /// The commitment to an attachment, by the SHA-256 of its bytes.
    #[must_use]
    pub fn commit_attachment(
        &self,
        name: &Line,
        media: &Line,
        bytes: u64,
        salt: &Salt,
        sha256: &Hash,
    ) -> Hash {
        let (place, salt) = (self.lines(), salt.to_hex());
        let text = format!("daybook/attachment/v1\n{place}{name}\n{media}\n{bytes}\n{salt}\n{sha256}\n");
        tlog::hash::sha256(text.as_bytes())
    }
}

/// Whether a version of a record commits to this value of an erasable field.
#[must_use]
pub fn opens_field(record: &Record, opening: &Opening) -> bool {
    let committed = record.content.as_ref().and_then(|content| content.erasable.get(opening.name.as_str()));
    committed == Some(&Place::of(record).commit_field(opening)) && opening.kind.admits(&opening.value)
}

/// Whether an attachment of a record is the file with this SHA-256; `salt` where it is erasable.
#[must_use]
pub fn opens_attachment(
    record: &Record,
    attachment: &Attachment,
    salt: Option<&Salt>,
    sha256: &Hash,
) -> bool {
    match (attachment.content, salt) {
        (AttachmentContent::Public(expected), _) => expected == *sha256,
        (AttachmentContent::Erasable(_), None) => false,
        (AttachmentContent::Erasable(expected), Some(salt)) => {
            let Attachment { name, media, bytes, .. } = attachment;
            Place::of(record).commit_attachment(name, media, *bytes, salt, sha256) == expected
        }
    }
}

/// A field's value with its salt, as it is kept, secret: its kind, and a line of canonical JSON.
#[must_use]
pub fn field_to_text(opening: &Opening) -> String {
    let object: Object = opening.write();
    format!("{FIELD_KIND}\n{}\n", Value::Object(object).to_text())
}

/// The inverse of [`field_to_text`].
///
/// # Errors
/// [`StatementError`] for any other text.
pub fn parse_field(text: &str) -> Result<Opening, StatementError> {
    let mut fields = Fields::of_text(FIELD_KIND, text)?;
    let opening = Opening::read(&mut fields)?;
    fields.finish()?;
    Ok(opening)
}

/// What the tombstones of one version have taken away, and which tombstone it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erasures(BTreeMap<Erased, EntryRef>);

impl Erasures {
    /// Takes note of an admitted tombstone of that version.
    pub fn add(&mut self, tombstone: EntryRef, erased: &[Erased]) {
        for item in erased {
            self.0.entry(item.clone()).or_insert(tombstone);
        }
    }

    /// The first tombstone under which this is gone; none if it must still be there.
    ///
    /// A server answers 410 with that entry's receipt. Where it has neither the value nor a tombstone a monitor raises
    /// an alarm.
    #[must_use]
    pub fn of(&self, item: &Erased) -> Option<EntryRef> {
        let all = matches!(item, Erased::Sealed(_)).then(|| self.0.get(&Erased::AllSealed)).flatten();
        self.0.get(item).or(all).copied()
    }

    /// Everything of a version that can be erased and is not: what its keeper must be able to show.
    #[must_use]
    pub fn remaining(&self, content: &Content) -> Vec<Erased> {
        let line = |name: &str| name.parse().expect("a field's name is a line");
        let sealed = content.sealed.map(|_| Erased::AllSealed);
        let fields = content.erasable.keys().map(|name| Erased::Field(line(name)));
        let attachments = content.attachments.iter();
        let attachments = attachments
            .filter(|attachment| matches!(attachment.content, AttachmentContent::Erasable(_)))
            .map(|attachment| Erased::Attachment(attachment.name.clone()));
        attachments.chain(fields).chain(sealed).filter(|item| self.of(item).is_none()).collect()
    }
}

#[cfg(test)]
mod tests;
