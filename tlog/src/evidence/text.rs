//! Evidence about trees as text, and back (docs/spec/evidence.md).
//!
//! ```text
//! daybook/evidence/v1
//! form log-two-leaves
//! accused log.example/2027+5c0fe1a7+AQ...
//! index 5
//!
//! log.example/2027             checkpoint of the smaller tree
//! 12
//! <root>
//!
//! \u{2014} log.example/2027 <signature>
//!
//! entry <base64>               what the tree holds there, and the proof of it, the lowest hash first
//! <hash>
//!
//! log.example/2027             the same of the larger tree
//! ...
//! ```

use super::claim::{Claim, Side};
use super::container::{self, Block, Container, EvidenceParseError};
use super::head::SignedHead;
use super::{Evidence, Leaf, Role};
use crate::b64;
use crate::bundle::ENTRY_BYTES_MAX;
use crate::hash::Hash;
use crate::ids::TreeSize;
use crate::proof::PROOF_HASHES_MAX;
use crate::tree::Node;
use crate::vkey::VerifierKey;

pub(super) fn format(evidence: &Evidence) -> Vec<u8> {
    let mut header = vec![format!("accused {}", evidence.accused)];
    header.extend(place(&evidence.claim));
    let blocks: Vec<Vec<String>> = match &evidence.claim {
        Claim::Roots(heads) => heads.iter().flat_map(SignedHead::blocks).collect(),
        Claim::Subtrees { sides, .. } => {
            sides.iter().flat_map(|side| blocks_of(side, hash_line(&side.content))).collect()
        }
        Claim::Leaves { sides, .. } => {
            sides.iter().flat_map(|side| blocks_of(side, leaf_line(&side.content))).collect()
        }
    };
    container::format(evidence.form(), &header, &blocks)
}

/// The line that says where the trees differ.
pub(super) fn place(claim: &Claim) -> Option<String> {
    match claim {
        Claim::Roots(_) => None,
        Claim::Subtrees { node, .. } => {
            let leaves = node.leaves();
            Some(format!("subtree {} {}", leaves.start, leaves.end))
        }
        Claim::Leaves { index, .. } => Some(format!("index {index}")),
    }
}

/// Checkpoint, signature, and content with its proof.
fn blocks_of<T>(side: &Side<T>, content: String) -> [Vec<String>; 3] {
    let [text, signature] = side.head.blocks();
    let proof = side.proof.iter().map(Hash::to_base64);
    [text, signature, std::iter::once(content).chain(proof).collect()]
}

fn hash_line(hash: &Hash) -> String {
    format!("hash {}", hash.to_base64())
}

fn leaf_line(leaf: &Leaf) -> String {
    match leaf {
        Leaf::Entry(entry) => format!("entry {}", b64::encode(entry)),
        Leaf::Hash(hash) => hash_line(hash),
    }
}

pub(super) fn parse(file: &Container<'_>) -> Result<Evidence, EvidenceParseError> {
    const ACCUSED: &str = "`accused` and the verifier key of a log or a witness";
    const INDEX: &str = "`index` and the place of the leaf, a decimal number";
    let unknown = || EvidenceParseError::UnknownForm(file.form.to_owned());
    let (role, kind) = file.form.split_once('-').ok_or_else(unknown)?;
    let role = [Role::Log, Role::Witness].into_iter().find(|known| known.as_str() == role);
    let role = role.ok_or_else(unknown)?;
    let header = &file.header;
    let accused = |lines, blocks| {
        file.expect(lines, blocks)?;
        let key = header.value(0, "accused", ACCUSED)?.parse::<VerifierKey>();
        key.map_err(|_| header.error(0, ACCUSED))
    };
    let (accused, claim) = match kind {
        "two-roots" => {
            let accused = accused(1, 4)?;
            let heads = pair(|at| parse_head(&file.blocks[2 * at..], &accused))?;
            (accused, Claim::Roots(heads))
        }
        "two-subtrees" => {
            let accused = accused(2, 6)?;
            let node = parse_node(header)?;
            let sides = pair(|at| parse_side(&file.blocks[3 * at..], &accused, parse_hash))?;
            (accused, Claim::Subtrees { node, sides })
        }
        "two-leaves" => {
            let accused = accused(2, 6)?;
            let index = header.value(1, "index", INDEX)?.parse().map_err(|_| header.error(1, INDEX))?;
            let sides = pair(|at| parse_side(&file.blocks[3 * at..], &accused, parse_leaf))?;
            (accused, Claim::Leaves { index, sides })
        }
        _ => return Err(unknown()),
    };
    let evidence = Evidence { accused, role, claim };
    check_form(file, &evidence)?;
    Ok(evidence)
}

/// One contradiction has one form: the key is of the accused's role, and the smaller tree comes first.
fn check_form(file: &Container<'_>, evidence: &Evidence) -> Result<(), EvidenceParseError> {
    let heads = evidence.claim.heads();
    if heads[0].role(&evidence.accused) != Some(evidence.role) {
        return Err(match evidence.role {
            Role::Log => {
                file.header.error(0, "the key of a log: of type 0x01 or 0x02, or 0x06 with its name")
            }
            Role::Witness => file
                .header
                .error(0, "the key of a witness: of type 0x04, or 0x06 with another name than the log"),
        });
    }
    let [first, second] = heads.map(|head| (head.head().size, head.head().root));
    if first > second {
        return Err(file.blocks[0].error(0, "that of the smaller tree, or of equal trees the lesser root"));
    }
    Ok(())
}

fn pair<T, E>(part: impl Fn(usize) -> Result<T, E>) -> Result<[T; 2], E> {
    Ok([part(0)?, part(1)?])
}

fn parse_head(blocks: &[Block<'_>], accused: &VerifierKey) -> Result<SignedHead, EvidenceParseError> {
    SignedHead::parse(&blocks[0], &blocks[1], accused)
}

fn parse_side<T>(
    blocks: &[Block<'_>],
    accused: &VerifierKey,
    content: fn(&str) -> Result<T, &'static str>,
) -> Result<Side<T>, EvidenceParseError> {
    let head = parse_head(blocks, accused)?;
    let block = &blocks[2];
    let content = content(block.lines[0]).map_err(|expected| block.error(0, expected))?;
    let lines = &block.lines[1..];
    if lines.len() > PROOF_HASHES_MAX {
        return Err(block.error(1 + PROOF_HASHES_MAX, "empty: a proof has at most 63 hashes"));
    }
    let hash = |(at, line): (usize, &&str)| {
        Hash::from_base64(line).map_err(|_| block.error(1 + at, "a hash of the proof, in canonical base64"))
    };
    let proof = lines.iter().enumerate().map(hash).collect::<Result<_, _>>()?;
    Ok(Side { head, content, proof })
}

fn parse_hash(line: &str) -> Result<Hash, &'static str> {
    let hash = line.strip_prefix("hash ").and_then(|hash| Hash::from_base64(hash).ok());
    hash.ok_or("`hash` and a hash in canonical base64")
}

fn parse_leaf(line: &str) -> Result<Leaf, &'static str> {
    const EXPECTED: &str = "`entry` and an entry, or `hash` and a leaf hash, in canonical base64";
    if let Some(entry) = line.strip_prefix("entry ") {
        let entry = b64::decode(entry).filter(|entry| entry.len() <= ENTRY_BYTES_MAX);
        return entry.map(Leaf::Entry).ok_or(EXPECTED);
    }
    parse_hash(line).map(Leaf::Hash).map_err(|_| EXPECTED)
}

/// `subtree <start> <end>` of a complete subtree: a power of two long, and a multiple of its length from 0.
fn parse_node(header: &Block<'_>) -> Result<Node, EvidenceParseError> {
    const EXPECTED: &str = "`subtree`, the index of its first leaf, and the index after its last one";
    const COMPLETE: &str =
        "a complete subtree: a power of two leaves, starting at a multiple of their number";
    let error = || header.error(1, EXPECTED);
    let (start, end) = header.value(1, "subtree", EXPECTED)?.split_once(' ').ok_or_else(error)?;
    let number = |text: &str| text.parse::<TreeSize>().map(TreeSize::get).map_err(|_| error());
    let (start, end) = (number(start)?, number(end)?);
    let width =
        end.checked_sub(start).filter(|width| width.is_power_of_two() && start.is_multiple_of(*width));
    let height = u8::try_from(width.ok_or_else(|| header.error(1, COMPLETE))?.ilog2());
    let height = height.expect("a logarithm of 64 bits is at most 63");
    Ok(Node { height, index: start >> height })
}
