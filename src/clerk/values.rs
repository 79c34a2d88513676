//! What opens the commitments of a record: salts and values, which stay outside the log. Secret files.
//!
//! | File | Holds | Until |
//! |---|---|---|
//! | `<stem>.<identity>.sealed` | `daybook/sealed-values/v1`: what `disclose` needs | the agency destroys it |
//! | `<stem>.<identity>.erasable` | `daybook/erasable-value/v1`, one after the other | they are uploaded |
//!
//! `<identity>` is the beginning of the SHA-256 of the statement's text, so that each version keeps its own. They are on
//! the disk before the statement leaves the house: a commitment whose opening is lost would say nothing to anybody. They are
//! removed when it is certain that their statement will never be in the log: then they open nothing, and are clear text
//! that lies about.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use daemon::clock::Random;
use record::erasable::{Place, field_to_text, parse_field};
use record::ids::Line;
use record::opening::{Opening, SALT_BYTES, Salt};
use record::sealed::{NONCE_BYTES, SealError, SealedValues, seal};
use record::statement::record::{SEALED_LEAVES_MAX, SEALED_LEAVES_MIN};
use record::statement::{Content, FieldClass, Register, StatementError};
use tlog::hash::Hash;

use super::entry::{Entry, Private};
use super::files::{self, FileError, with_ending};

/// Hex digits of an identity in a file's name.
const IDENTITY_DIGITS: usize = 12;
/// The end of the name of a file with what opens sealed fields.
pub const SEALED_ENDING: &str = ".sealed";
/// The end of the name of a file with values that wait to be uploaded.
pub const ERASABLE_ENDING: &str = ".erasable";
const ENDINGS: [&str; 2] = [SEALED_ENDING, ERASABLE_ENDING];

/// Why values cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// The system.
    #[error(transparent)]
    File(#[from] FileError),
    /// They cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The file is not what was written.
    #[error("{0}: is damaged: {1}")]
    Damaged(String, StatementError),
}

/// What opens the commitments of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// Of its sealed fields.
    pub sealed: Option<SealedValues>,
    /// Of its erasable fields.
    pub erasable: Vec<Opening>,
}

/// Draws a salt.
#[must_use]
pub fn salt(random: &dyn Random) -> Salt {
    let mut bytes = [0; SALT_BYTES];
    random.fill(&mut bytes);
    Salt::new(bytes)
}

fn opening(name: &str, private: &Private, random: &dyn Random) -> Opening {
    let name: Line = name.parse().expect("a declared field's name is a line");
    Opening { name, kind: private.kind, value: private.value.clone(), salt: salt(random) }
}

/// Leaves of the sealed tree that a register's records have; none without sealed fields.
fn sealed_leaves(register: &Register) -> Option<usize> {
    let fields = register.fields.values().filter(|rule| rule.class == FieldClass::Sealed).count();
    let (least, most) = (usize::from(SEALED_LEAVES_MIN), usize::from(SEALED_LEAVES_MAX));
    (fields > 0).then(|| fields.next_power_of_two().clamp(least, most))
}

impl Values {
    /// Draws salts for everything of a record that stays outside the tree.
    ///
    /// # Errors
    /// [`ValuesError::Seal`].
    pub fn draw(entry: &Entry, register: &Register, random: &dyn Random) -> Result<Self, ValuesError> {
        if entry.withdraws {
            return Ok(Self::default());
        }
        let of = |class| {
            let private = entry.private.iter().filter(move |(_, private)| private.class == class);
            private.map(|(name, private)| opening(name, private, random)).collect::<Vec<Opening>>()
        };
        let sealed = match sealed_leaves(register) {
            None => None,
            Some(leaves) => {
                let mut openings = of(FieldClass::Sealed);
                openings.sort_by(|a, b| a.name.cmp(&b.name));
                let padding = (openings.len()..leaves).map(|_| salt(random)).collect();
                let mut nonce = [0; NONCE_BYTES];
                random.fill(&mut nonce);
                Some(seal(nonce, openings, padding)?)
            }
        };
        Ok(Self { sealed, erasable: of(FieldClass::Erasable) })
    }

    /// Puts the commitments into a version.
    pub fn commit(&self, place: &Place, content: &mut Content) {
        content.sealed = self.sealed.as_ref().map(SealedValues::commitment);
        let commitments = self.erasable.iter();
        let commitments =
            commitments.map(|opening| (opening.name.as_str().to_owned(), place.commit_field(opening)));
        content.erasable = commitments.collect::<BTreeMap<String, Hash>>();
    }

    /// Keeps them, before the statement with this identity is sent.
    ///
    /// # Errors
    /// [`ValuesError::File`].
    pub fn keep(&self, stem: &Path, identity: &Hash) -> Result<(), ValuesError> {
        if let Some(sealed) = &self.sealed {
            files::replace_secret(&sealed_path(stem, identity), sealed.to_text().as_bytes())?;
        }
        if !self.erasable.is_empty() {
            let text: String = self.erasable.iter().map(field_to_text).collect();
            files::replace_secret(&erasable_path(stem, identity), text.as_bytes())?;
        }
        Ok(())
    }
}

/// What the names of the files with the values of a version end with: `.0123456789ab.sealed`.
#[must_use]
pub fn ending_of(identity: &Hash, ending: &str) -> String {
    format!(".{}{ending}", &identity.to_string()[..IDENTITY_DIGITS])
}

/// Where the sealed values of a version are kept.
#[must_use]
pub fn sealed_path(stem: &Path, identity: &Hash) -> PathBuf {
    with_ending(stem, &ending_of(identity, SEALED_ENDING))
}

/// Where the values of erasable fields wait to be uploaded.
#[must_use]
pub fn erasable_path(stem: &Path, identity: &Hash) -> PathBuf {
    with_ending(stem, &ending_of(identity, ERASABLE_ENDING))
}

/// The documents that wait to be uploaded.
///
/// # Errors
/// [`ValuesError`].
pub fn waiting(stem: &Path, identity: &Hash) -> Result<Vec<String>, ValuesError> {
    let path = erasable_path(stem, identity);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = String::from_utf8_lossy(&files::read(&path)?).into_owned();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let documents: Vec<String> = lines.chunks(2).map(<[&str]>::concat).collect();
    for document in &documents {
        parse_field(document).map_err(|error| ValuesError::Damaged(path.display().to_string(), error))?;
    }
    Ok(documents)
}

/// Forgets them, once they are uploaded: what must be erasable must not lie about.
///
/// # Errors
/// [`ValuesError::File`].
pub fn uploaded(stem: &Path, identity: &Hash) -> Result<(), ValuesError> {
    files::remove(&erasable_path(stem, identity))?;
    Ok(())
}

/// The files with the values of a version that are there.
#[must_use]
pub fn kept(stem: &Path, identity: &Hash) -> Vec<PathBuf> {
    let both = [sealed_path(stem, identity), erasable_path(stem, identity)];
    both.into_iter().filter(|path| path.exists()).collect()
}

/// Removes the values of a version that is not in the log and never will be.
///
/// # Errors
/// [`ValuesError::File`].
pub fn forget(stem: &Path, identity: &Hash) -> Result<(), ValuesError> {
    for path in kept(stem, identity) {
        files::remove(&path)?;
    }
    Ok(())
}

/// The files in a folder, and in the folders in it, whose names say that they hold the values of this version. For people who
/// have to find them: where they were put it does not know.
///
/// # Errors
/// [`ValuesError::File`].
pub fn named(folder: &Path, identity: &Hash) -> Result<Vec<PathBuf>, ValuesError> {
    let mut found = Vec::new();
    for item in list(folder)? {
        if item.is_dir() && !item.is_symlink() {
            // What cannot be read is somebody else's.
            found.extend(list(&item).unwrap_or_default().into_iter().filter(|path| is_named(path, identity)));
        } else if is_named(&item, identity) {
            found.push(item);
        }
    }
    found.sort();
    Ok(found)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let failed = files::failed(folder);
    let items = std::fs::read_dir(folder).map_err(&failed)?;
    items.map(|item| item.map(|item| item.path()).map_err(&failed)).collect()
}

fn is_named(path: &Path, identity: &Hash) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ENDINGS.iter().any(|ending| name.ends_with(&ending_of(identity, ending)))
}
