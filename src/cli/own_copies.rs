//! What an agency itself still has of what it erases. The log destroys its own copies; of those on the agency's machines it knows
//! nothing, so the officer who erases is told where to look.

use std::path::{Path, PathBuf};

use record::statement::{Body, Erased, Record};
use serde::Serialize;
use tlog::hash::sha256;

use super::failure::Failure;
use crate::clerk::values::{self, ERASABLE_ENDING, SEALED_ENDING, ending_of};

/// Files of a version that show what is erased.
#[derive(Debug, Serialize)]
pub(super) struct OwnCopies {
    /// What their names end with, wherever they and their copies are.
    names_end_with: Vec<String>,
    /// Those in this folder, and in the folders in it.
    found: Vec<PathBuf>,
    /// Whether one of them also opens sealed fields that are not erased.
    open_more: bool,
}

/// Looks in the folder of the command, and in those in it.
pub(super) fn of(record: &Record, erased: &[Erased]) -> Result<OwnCopies, Failure> {
    let identity = sha256(Body::Record(record.clone()).to_text().as_bytes());
    let mut endings = Vec::new();
    if erased.iter().any(|item| matches!(item, Erased::AllSealed | Erased::Sealed(_))) {
        endings.push(SEALED_ENDING);
    }
    if erased.iter().any(|item| matches!(item, Erased::Field(_))) {
        endings.push(ERASABLE_ENDING);
    }
    let names_end_with: Vec<String> = endings.iter().map(|ending| ending_of(&identity, ending)).collect();
    let mut found = values::named(Path::new("."), &identity).map_err(Failure::failed)?;
    found.retain(|path| names_end_with.iter().any(|ending| path.to_string_lossy().ends_with(ending)));
    let open_more = endings.contains(&SEALED_ENDING) && !erased.contains(&Erased::AllSealed);
    Ok(OwnCopies { names_end_with, found, open_more })
}

impl OwnCopies {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text =
            "\nWhat you keep yourself the log cannot destroy. Once the tombstone is in it, destroy"
                .to_owned();
        for path in &self.found {
            text += &format!("\n  {}", path.display());
        }
        if !self.names_end_with.is_empty() {
            let endings = self.names_end_with.join(" or ");
            text += &format!("\n  every file whose name ends in {endings}, and its backups");
        }
        text += "\n  the files from which the record was submitted, and its attachments as you have them";
        if self.open_more {
            text += "\nThe .sealed file is also the only thing that opens the version's other sealed fields: show those that must \
                     be shown first, with daybook disclose";
        }
        text
    }
}
