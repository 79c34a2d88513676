//! Who may sign, as a file that stands beside a statement and its receipt: the few statements that say whose keys an
//! agency's are, each with the proof that one signed tree holds it.
//!
//! ```text
//! daybook/provenance/v1
//! entry <index> <base64>         ascending; the first is entry 0, the genesis
//! <hash, base64>                 its inclusion proof, the leaf's sibling first
//!
//! <checkpoint with its signatures>
//! ```
//!
//! The form alone. Whether the policy accepts the checkpoint, whether the proofs hold, and what the entries say is for
//! whoever reads it. Specification: `docs/spec/record.md`, section 9.

use tlog::b64;
use tlog::bundle::ENTRY_BYTES_MAX;
use tlog::hash::Hash;
use tlog::note::{Note, NoteError};
use tlog::proof::PROOF_HASHES_MAX;

use crate::evidence::ProvedEntry;

const HEADER: &str = "daybook/provenance/v1";
/// Most entries in one file.
pub const ENTRIES_MAX: usize = 65_536;
/// The longest file.
pub const PROVENANCE_BYTES_MAX: usize = 256 << 20;

/// Why bytes are no provenance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProvenanceFormError {
    /// Longer than [`PROVENANCE_BYTES_MAX`].
    #[error("a provenance file has at most {PROVENANCE_BYTES_MAX} bytes; this one has {0}")]
    TooLong(usize),
    /// The first line is another.
    #[error("not a provenance file: the first line must be `{HEADER}`")]
    Header,
    /// A line is not what it must be.
    #[error("line {0} of the provenance must be {1}")]
    Line(usize, &'static str),
    /// The checkpoint is no note.
    #[error("the checkpoint in the provenance is malformed: {0}")]
    Note(#[from] NoteError),
}

/// The file. Nothing is verified by having one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The signed tree that holds the entries.
    pub checkpoint: Note,
    /// The entries, ascending.
    pub entries: Vec<ProvedEntry>,
}

/// A line with its number, counted from 1.
type Numbered<'a> = (&'a str, usize);

impl Provenance {
    /// Parses a file. Accepts only bytes that [`Provenance::to_bytes`] gives back.
    ///
    /// # Errors
    /// [`ProvenanceFormError`] names the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProvenanceFormError> {
        if bytes.len() > PROVENANCE_BYTES_MAX {
            return Err(ProvenanceFormError::TooLong(bytes.len()));
        }
        let blank = bytes.windows(2).position(|pair| pair == b"\n\n").ok_or(ProvenanceFormError::Header)?;
        let head = std::str::from_utf8(&bytes[..blank]).map_err(|_| ProvenanceFormError::Header)?;
        let mut lines = head.split('\n').zip(1_usize..).peekable();
        lines.next().filter(|(line, _)| *line == HEADER).ok_or(ProvenanceFormError::Header)?;
        let mut entries: Vec<ProvedEntry> = Vec::new();
        while let Some(line) = lines.next() {
            let mut proof = Vec::new();
            while let Some((line, number)) = lines.next_if(|(line, _)| !line.starts_with("entry ")) {
                let bad = |_| ProvenanceFormError::Line(number, "a hash in canonical base64");
                proof.push(Hash::from_base64(line).map_err(bad)?);
            }
            let entry = entry(line, proof)?;
            let ascends = entries.last().is_none_or(|last| last.index < entry.index);
            if !ascends || entries.len() == ENTRIES_MAX || entry.proof.len() > PROOF_HASHES_MAX {
                let form = "an entry after the one before, with its proof";
                return Err(ProvenanceFormError::Line(line.1, form));
            }
            entries.push(entry);
        }
        Ok(Self { checkpoint: Note::parse(&bytes[blank + 2..])?, entries })
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{HEADER}\n");
        for ProvedEntry { index, entry, proof } in &self.entries {
            head.push_str(&format!("entry {index} {}\n", b64::encode(entry)));
            proof.iter().for_each(|hash| head.push_str(&format!("{}\n", hash.to_base64())));
        }
        head.push('\n');
        [head.as_bytes(), &self.checkpoint.to_bytes()].concat()
    }
}

fn entry((line, number): Numbered<'_>, proof: Vec<Hash>) -> Result<ProvedEntry, ProvenanceFormError> {
    const FORM: &str = "`entry`, an index and the entry in canonical base64";
    let parts = line.strip_prefix("entry ").and_then(|rest| rest.split_once(' '));
    let parsed = parts.and_then(|(index, entry)| Some((index.parse().ok()?, b64::decode(entry)?)));
    let parsed = parsed.filter(|(_, entry)| entry.len() <= ENTRY_BYTES_MAX);
    let (index, entry) = parsed.ok_or(ProvenanceFormError::Line(number, FORM))?;
    Ok(ProvedEntry { index, entry, proof })
}

#[cfg(test)]
mod tests {
    use tlog::ids::LeafIndex;
    use tlog::sign::Ed25519Signer;

    use super::*;

    /// What the fuzzer begins with.
    const SEED: &[u8] = include_bytes!("../../fuzz/seeds/provenance/three");

    fn sample() -> Provenance {
        let signer = Ed25519Signer::from_seed("log.example".parse().unwrap(), &[7; 32]);
        let text = "log.example\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
        let entry = |index, entry: &[u8], hashes: u8| ProvedEntry {
            index: LeafIndex::new(index).unwrap(),
            entry: entry.to_vec(),
            proof: (0..hashes).map(|hash| Hash::from_bytes([hash; 32])).collect(),
        };
        Provenance {
            checkpoint: Note::new(text.to_owned(), vec![signer.sign(text)]).unwrap(),
            entries: vec![entry(0, b"genesis", 2), entry(2, b"", 0), entry(5, b"x", 1)],
        }
    }

    #[test]
    fn a_file_has_one_form() {
        let good = sample().to_bytes();
        assert_eq!(Provenance::parse(&good).unwrap(), sample());
        let text = String::from_utf8(good).unwrap();
        for (from, to) in [
            ("daybook/provenance/v1", "daybook/provenance/v2"),
            ("entry 2 ", "entry 02 "),
            ("entry 2 ", "entry 0 "),
            ("entry 2 ", "entry 6 "),
            ("entry 2 ", "entry 2  "),
            ("entry 0 ", "Entry 0 "),
            ("Z2VuZXNpcw==", "Z2VuZXNpcx=="),
            ("\nAAAA", "\nAAA"),
            ("\n\n", "\n"),
        ] {
            let altered = text.replacen(from, to, 1);
            assert_ne!(altered, text, "{from}");
            assert!(Provenance::parse(altered.as_bytes()).is_err(), "{from} {to}");
        }
    }

    #[test]
    fn limits_are_kept_and_the_line_beyond_them_is_named() {
        let mut long = sample();
        long.entries[1].entry = vec![b'x'; ENTRY_BYTES_MAX];
        assert_eq!(Provenance::parse(&long.to_bytes()).unwrap(), long);
        long.entries[1].entry.push(b'x');
        let refused = Provenance::parse(&long.to_bytes()).unwrap_err();
        assert!(matches!(refused, ProvenanceFormError::Line(5, _)), "{refused}");
        let mut deep = sample();
        deep.entries[2].proof = vec![Hash::from_bytes([1; 32]); PROOF_HASHES_MAX];
        assert_eq!(Provenance::parse(&deep.to_bytes()).unwrap(), deep);
        deep.entries[2].proof.push(Hash::from_bytes([1; 32]));
        let refused = Provenance::parse(&deep.to_bytes()).unwrap_err();
        assert!(matches!(refused, ProvenanceFormError::Line(6, _)), "{refused}");
    }

    #[test]
    fn whatever_is_changed_in_a_file_it_is_refused_or_gives_back_its_bytes() {
        assert_eq!(Provenance::parse(SEED).unwrap().entries.len(), 3);
        for good in [sample().to_bytes(), SEED.to_vec()] {
            for at in 0..good.len() {
                let shorter = [&good[..at], &good[at + 1..]].concat();
                let mut other = good.clone();
                other[at] = if other[at] == b'\n' { b' ' } else { b'\n' };
                for changed in [shorter, other] {
                    if let Ok(read) = Provenance::parse(&changed) {
                        assert!(read.to_bytes() == changed, "byte {at}");
                    }
                }
            }
        }
    }
}
