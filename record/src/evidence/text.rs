//! Evidence about records as text, and back.

use tlog::b64;
use tlog::evidence::SignedHead;
use tlog::evidence::container::{self, Block, Container, EvidenceParseError};
use tlog::hash::Hash;
use tlog::ids::LeafIndex;
use tlog::proof::PROOF_HASHES_MAX;
use tlog::vkey::VerifierKey;

use super::finding::Form;
use super::{ENTRIES_MAX, ProvedEntry, RecordEvidence};
use crate::statement::STATEMENT_BYTES_MAX;

/// The line that says where the entries stand.
pub(super) fn places(entries: &[ProvedEntry]) -> String {
    entries.iter().fold("entries".to_owned(), |line, entry| format!("{line} {}", entry.index))
}

pub(super) fn format(evidence: &RecordEvidence) -> Vec<u8> {
    let header = [format!("accused {}", evidence.accused), places(&evidence.entries)];
    let mut blocks: Vec<Vec<String>> = evidence.head.blocks().to_vec();
    for entry in &evidence.entries {
        let first = format!("entry {}", b64::encode(&entry.entry));
        blocks.push(std::iter::once(first).chain(entry.proof.iter().map(Hash::to_base64)).collect());
    }
    container::format(evidence.form.as_str(), &header, &blocks)
}

pub(super) fn parse(file: &Container<'_>) -> Result<RecordEvidence, EvidenceParseError> {
    const ACCUSED: &str = "`accused` and the verifier key of a log";
    const ENTRIES: &str = "`entries` and two or three ascending decimal numbers, of which the first is 0";
    let form = Form::ALL.into_iter().find(|form| form.as_str() == file.form);
    let form = form.ok_or_else(|| EvidenceParseError::UnknownForm(file.form.to_owned()))?;
    let header = &file.header;
    let accused: VerifierKey =
        header.value(0, "accused", ACCUSED)?.parse().map_err(|_| header.error(0, ACCUSED))?;
    let places: Result<Vec<LeafIndex>, _> =
        header.value(1, "entries", ENTRIES)?.split(' ').map(str::parse).collect();
    let places = places.map_err(|_| header.error(1, ENTRIES))?;
    let ascending = places.windows(2).all(|pair| pair[0] < pair[1]);
    if !(2..=ENTRIES_MAX).contains(&places.len()) || places[0].get() != 0 || !ascending {
        return Err(header.error(1, ENTRIES));
    }
    file.expect(2, 2 + places.len())?;
    let head = SignedHead::parse(&file.blocks[0], &file.blocks[1], &accused)?;
    let entries: Result<Vec<ProvedEntry>, EvidenceParseError> =
        places.into_iter().zip(&file.blocks[2..]).map(|(index, block)| parse_entry(index, block)).collect();
    Ok(RecordEvidence { accused, form, head, entries: entries? })
}

fn parse_entry(index: LeafIndex, block: &Block<'_>) -> Result<ProvedEntry, EvidenceParseError> {
    const ENTRY: &str = "`entry` and an entry of at most 65535 bytes in base64";
    const HASH: &str = "a hash of the proof, at most 63 of them";
    let entry = b64::decode(block.value(0, "entry", ENTRY)?);
    let entry =
        entry.filter(|entry| entry.len() <= STATEMENT_BYTES_MAX).ok_or_else(|| block.error(0, ENTRY))?;
    if block.lines.len() > 1 + PROOF_HASHES_MAX {
        return Err(block.error(1 + PROOF_HASHES_MAX, HASH));
    }
    let hashes = block.lines.iter().enumerate().skip(1);
    let proof: Result<Vec<Hash>, EvidenceParseError> =
        hashes.map(|(at, line)| Hash::from_base64(line).map_err(|_| block.error(at, HASH))).collect();
    Ok(ProvedEntry { index, entry, proof: proof? })
}
