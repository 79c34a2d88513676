//! The files: what each holds, and what a verifier must say to it.

use tlog::evidence::container::format;
use tlog::evidence::{Evidence, Leaf, Proved};
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::{LeafIndex, TreeHead, TreeSize};
use tlog::note::SignatureLine;
use tlog::proof::plan_subtree_consistency;
use tlog::tree::{Node, root_of};
use tlog::vkey::VerifierKey;

use crate::signers::{ORIGIN, Signer, signers, text_of};

pub(crate) const PROVED: &str = "proved";
pub(crate) const NOT_PROVED: &str = "not proved";
pub(crate) const MALFORMED: &str = "malformed";

fn entry(index: u64, amount: u64) -> Vec<u8> {
    format!("payment {index}: {amount} EUR").into_bytes()
}

/// A tree with other amounts from `fork` on.
fn leaves(count: u64, fork: u64, amount: u64) -> Vec<Hash> {
    (0..count).map(|index| leaf_hash(&entry(index, if index < fork { 100 } else { amount }))).collect()
}

pub(crate) fn head(leaves: &[Hash]) -> TreeHead {
    TreeHead { size: TreeSize::new(leaves.len() as u64).expect("small"), root: root_of(leaves) }
}

fn hash_of(node: Node, leaves: &[Hash]) -> Hash {
    let range = node.leaves();
    let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).expect("small"));
    root_of(&leaves[start..end])
}

fn proof(node: Node, leaves: &[Hash]) -> Vec<Hash> {
    let range = node.leaves();
    let plan = plan_subtree_consistency(range.start, range.end, head(leaves).size).expect("in the tree");
    let hashes: Vec<_> = plan.nodes().iter().map(|node| hash_of(*node, leaves)).collect();
    plan.finish(&hashes).expect("as many as planned")
}

const LEAF: Node = Node { height: 0, index: 5 };
const PAIR: Node = Node { height: 1, index: 2 };

/// Trees of 7, 12 and 12 entries that part at entry 5.
fn trees() -> [Vec<Hash>; 3] {
    [leaves(7, 5, 700), leaves(12, 5, 800), leaves(12, 5, 900)]
}

fn roots(signer: &Signer) -> Evidence {
    let [_, one, other] = trees().map(|leaves| signer.head(&leaves));
    Evidence::two_roots(std::slice::from_ref(&signer.key), &one, &other).expect("evidence")
}

fn subtrees(signer: &Signer) -> Evidence {
    let [small, large, _] = trees();
    let side = |leaves: &[Hash]| Proved {
        checkpoint: signer.head(leaves),
        content: hash_of(PAIR, leaves),
        proof: proof(PAIR, leaves),
    };
    let keys = std::slice::from_ref(&signer.key);
    Evidence::two_subtrees(keys, PAIR, side(&small), side(&large)).expect("evidence")
}

fn two_leaves(signer: &Signer, contents: [Leaf; 2]) -> Evidence {
    let [small, large, _] = trees();
    let [first, second] = contents;
    let side = |leaves: &[Hash], content| Proved {
        checkpoint: signer.head(leaves),
        content,
        proof: proof(LEAF, leaves),
    };
    let index = LeafIndex::new(LEAF.index).expect("small");
    let keys = std::slice::from_ref(&signer.key);
    Evidence::two_leaves(keys, index, side(&small, first), side(&large, second)).expect("evidence")
}

/// A file, the key to verify it with, and the verdict.
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) key: VerifierKey,
    pub(crate) verdict: &'static str,
    pub(crate) why: &'static str,
}

impl Vector {
    fn not_proved(name: &str, bytes: Vec<u8>, key: &VerifierKey, why: &'static str) -> Self {
        Self { name: name.to_owned(), bytes, key: key.clone(), verdict: NOT_PROVED, why }
    }

    fn malformed(name: &str, bytes: Vec<u8>, key: &VerifierKey, why: &'static str) -> Self {
        Self { name: name.to_owned(), bytes, key: key.clone(), verdict: MALFORMED, why }
    }
}

pub(crate) fn valid() -> Vec<Vector> {
    let mut vectors = Vec::new();
    for (who, signer) in signers() {
        let entries = [Leaf::Entry(entry(5, 700)), Leaf::Entry(entry(5, 800))];
        let hashes = [Leaf::Hash(leaf_hash(&entry(5, 700))), Leaf::Entry(entry(5, 800))];
        let contents = if who == "log-ed25519" { entries } else { hashes };
        for (form, evidence) in [
            ("two-roots", roots(&signer)),
            ("two-subtrees", subtrees(&signer)),
            ("two-leaves", two_leaves(&signer, contents)),
        ] {
            let (name, key) = (format!("{who}-{form}"), signer.key.clone());
            vectors.push(Vector { name, bytes: evidence.to_bytes(), key, verdict: PROVED, why: "" });
        }
    }
    // Extension lines that an Ed25519 signature covers belong to the file and change nothing.
    let signer = Signer::ed25519(ORIGIN, 1);
    let [_, one, other] =
        trees().map(|leaves| signer.note(&format!("{}extension 1\n", text_of(ORIGIN, head(&leaves)))));
    let evidence = Evidence::two_roots(std::slice::from_ref(&signer.key), &one, &other).expect("evidence");
    vectors.push(Vector {
        name: "log-ed25519-extension-lines".to_owned(),
        bytes: evidence.to_bytes(),
        key: signer.key,
        verdict: PROVED,
        why: "",
    });
    vectors
}

/// Two checkpoints of one signer as a file, whatever they say.
fn raw(form: &str, signer: &Signer, place: &[&str], texts: [&str; 2], contents: [&[String]; 2]) -> Vec<u8> {
    let mut header = vec![format!("accused {}", signer.key)];
    header.extend(place.iter().map(|line| (*line).to_owned()));
    let mut blocks = Vec::new();
    for (text, content) in texts.iter().zip(contents) {
        blocks.extend(signer.blocks(text));
        if !content.is_empty() {
            blocks.push(content.to_vec());
        }
    }
    format(form, &header, &blocks)
}

fn lines(first: String, proof: &[Hash]) -> Vec<String> {
    std::iter::once(first).chain(proof.iter().map(Hash::to_base64)).collect()
}

/// Well-formed files that show no contradiction.
pub(crate) fn proving_nothing() -> Vec<Vector> {
    [heads(), signatures(), proofs()].into_iter().flatten().collect()
}

/// Checkpoints that do not contradict each other.
fn heads() -> Vec<Vector> {
    let signer = Signer::ed25519(ORIGIN, 1);
    let [small, large, other] = trees();
    let text = |leaves: &[Hash]| text_of(ORIGIN, head(leaves));
    let vector = |name: &str, texts: [&str; 2], why| {
        let bytes = raw("log-two-roots", &signer, &[], texts, [&[], &[]]);
        Vector::not_proved(name, bytes, &signer.key, why)
    };
    let extended = format!("{}extension\n", text(&small));
    let elsewhere = text_of("log.example/2028", head(&other));
    let empty = |root| text_of(ORIGIN, TreeHead { size: TreeSize::ZERO, root });
    let [first, second] = [small[0].min(Hash::EMPTY_ROOT), small[0].max(Hash::EMPTY_ROOT)];
    let stranger = roots(&Signer::ed25519(ORIGIN, 9)).to_bytes();
    vec![
        Vector::not_proved(
            "other-key",
            stranger,
            &signer.key,
            "the file accuses a key that is not the log's",
        ),
        vector("same-tree", [&text(&small), &text(&small)], "one checkpoint twice"),
        vector(
            "extension-lines-only",
            [&text(&small), &extended],
            "one tree; only the extension lines differ",
        ),
        vector("other-sizes", [&text(&small), &text(&large)], "two sizes have two roots"),
        vector("other-logs", [&text(&large), &elsewhere], "the checkpoints are of two logs"),
        vector("empty-tree", [&empty(first), &empty(second)], "an empty tree contradicts nothing"),
    ]
}

/// Contradictions that the accused has not signed.
fn signatures() -> Vec<Vector> {
    // R is the identity, and S was computed with the log's secret: a verifier that allows it sees a signature.
    const SMALL_ORDER: &str =
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAC/3sHmaUW0FMuDH6SmeKYKE7/q9pCmLLT9FRcPDhOSCw==";
    let signer = Signer::ed25519(ORIGIN, 1);
    let good = String::from_utf8(roots(&signer).to_bytes()).expect("text");
    let other = text_of(ORIGIN, head(&trees()[2]));
    let forged = |name: &str, change: &dyn Fn(&mut Vec<u8>), why| {
        let line = (signer.sign)(&other);
        let mut bytes = line.signature().to_vec();
        change(&mut bytes);
        let changed = SignatureLine::new(line.name().clone(), line.id(), bytes);
        let bytes = good.replace(&line.to_string(), &changed.to_string()).into_bytes();
        Vector::not_proved(name, bytes, &signer.key, why)
    };
    let p256 = Signer::p256(ORIGIN, 2);
    let line = (p256.sign)(&other);
    let (r, s) = p256::ecdsa::Signature::from_der(line.signature()).expect("DER").split_scalars();
    let high = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).expect("a signature");
    let high = SignatureLine::new(line.name().clone(), line.id(), high.to_der().as_bytes().to_vec());
    let by_p256 = String::from_utf8(roots(&p256).to_bytes()).expect("text");
    let by_p256 = by_p256.replace(&line.to_string(), &high.to_string()).into_bytes();
    vec![
        forged("forged-signature", &|bytes| bytes[3] ^= 1, "the signature does not hold"),
        forged("short-signature", &|bytes| bytes.truncate(63), "an Ed25519 signature has 64 bytes"),
        forged(
            "malleable-signature",
            &|bytes| add_group_order(&mut bytes[32..]),
            "S of an Ed25519 signature must be below the group's order",
        ),
        forged(
            "small-order-r",
            &|bytes| *bytes = tlog::b64::decode(SMALL_ORDER).expect("base64"),
            "R of an Ed25519 signature must not be of small order",
        ),
        Vector::not_proved(
            "p256-high-s",
            by_p256,
            &p256.key,
            "of the two forms of a P-256 signature only the one with the lower s counts",
        ),
    ]
}

fn proved(node: Node, leaves: &[Hash]) -> Vec<String> {
    lines(format!("hash {}", hash_of(node, leaves).to_base64()), &proof(node, leaves))
}

/// Trees that are not shown to differ.
fn proofs() -> Vec<Vector> {
    let signer = Signer::ed25519(ORIGIN, 1);
    let [small, large, _] = trees();
    let vector = |name: &str, form, place, trees: [&[Hash]; 2], contents: [&[String]; 2], why| {
        let [one, other] = trees.map(|leaves| text_of(ORIGIN, head(leaves)));
        let bytes = raw(form, &signer, &[place], [&one, &other], contents);
        Vector::not_proved(name, bytes, &signer.key, why)
    };
    let two_subtrees = |name: &str, content: &[String], why| {
        let contents = [&proved(PAIR, &small)[..], content];
        vector(name, "log-two-subtrees", "subtree 4 6", [&small, &large], contents, why)
    };
    let (honest, grown) = (leaves(7, 7, 100), leaves(12, 7, 900));
    let [mut wrong, mut long, mut short] = [(); 3].map(|()| proved(PAIR, &large));
    wrong[0] = format!("hash {}", leaf_hash(b"invented").to_base64());
    long.push(small[0].to_base64());
    short.pop();
    let (above, before) = (Node { height: 3, index: 0 }, Node { height: 0, index: 4 });
    let root = [format!("hash {}", head(&small).root.to_base64())];
    let moved = lines(format!("hash {}", small[5].to_base64()), &proof(LEAF, &small));
    vec![
        vector(
            "consistent-trees",
            "log-two-subtrees",
            "subtree 4 6",
            [&honest, &grown],
            [&proved(PAIR, &honest), &proved(PAIR, &grown)],
            "both trees hold the same there",
        ),
        two_subtrees("failing-proof", &wrong, "a proof that does not hold shows nothing"),
        two_subtrees("proof-with-one-hash-more", &long, "a proof is used whole or not at all"),
        two_subtrees("proof-with-one-hash-less", &short, "a proof is used whole or not at all"),
        vector(
            "subtree-outside",
            "log-two-subtrees",
            "subtree 0 8",
            [&small, &large],
            [&root, &proved(above, &large)],
            "the subtree is not in the smaller tree",
        ),
        vector(
            "leaf-elsewhere",
            "log-two-leaves",
            "index 4",
            [&small, &large],
            [&moved, &proved(before, &large)],
            "the leaf is proved at another index",
        ),
    ]
}

/// Adds the order of the Ed25519 group to a little-endian number below it.
fn add_group_order(number: &mut [u8]) {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, add) in number.iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
}

/// Files that are no evidence files.
pub(crate) fn malformed() -> Vec<Vector> {
    [spoiled(), misshapen()].into_iter().flatten().collect()
}

/// Good files with one thing changed.
fn spoiled() -> Vec<Vector> {
    let signer = Signer::ed25519(ORIGIN, 1);
    let key = &signer.key;
    let entries = [Leaf::Entry(entry(5, 700)), Leaf::Entry(entry(5, 800))];
    let files = [roots(&signer), subtrees(&signer), two_leaves(&signer, entries)];
    let [roots, subtrees, leaves] =
        files.map(|evidence| String::from_utf8(evidence.to_bytes()).expect("text"));
    let changes = [
        ("later-version", &roots, "evidence/v1", "evidence/v2", "a later version of the format"),
        ("alarm-report", &roots, "evidence/v1", "alarm/v1", "an alarm report accuses nobody"),
        (
            "unknown-form",
            &roots,
            "log-two-roots",
            "log-three-roots",
            "a form that this version does not know",
        ),
        ("other-role", &roots, "form log-", "form witness-", "a log's key in evidence against a witness"),
        ("line-too-many", &roots, "\n\n", "\nindex 5\n\n", "this form has no such line"),
        ("carriage-return", &roots, "form log-two-roots\n", "form log-two-roots\r\n", "a control character"),
        ("two-empty-lines", &roots, "\n\n", "\n\n\n", "blocks stand one empty line apart"),
        ("leading-zero", &roots, "\n12\n", "\n012\n", "a size with a leading zero"),
        ("not-a-power-of-two", &subtrees, "subtree 4 6", "subtree 4 7", "not a complete subtree"),
        ("not-aligned", &subtrees, "subtree 4 6", "subtree 5 7", "not a complete subtree"),
        ("empty-subtree", &subtrees, "subtree 4 6", "subtree 4 4", "not a complete subtree"),
        ("entry-in-subtree", &subtrees, "\nhash ", "\nentry ", "a subtree has a hash, and no entry"),
        (
            "base64-not-canonical",
            &leaves,
            "entry cGF5bWVudCA1OiA3MDAgRVVS",
            "entry cGF5bWVudCA1OiA3MDAgRVV",
            "base64 without its padding",
        ),
        (
            "key-id",
            &roots,
            "accused log.example/2027+",
            "accused log.example/2027+0",
            "the key ID is not the key's",
        ),
    ];
    let changed = changes.map(|(name, text, from, to, why)| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, *text, "{name}");
        Vector::malformed(name, changed.into_bytes(), key, why)
    });
    let unended = roots.trim_end().into();
    let mut vectors = Vec::from(changed);
    vectors.extend([
        Vector::malformed("no-newline-at-the-end", unended, key, "the last line does not end"),
        Vector::malformed("not-utf-8", [roots.as_bytes(), b"\n\xff\n"].concat(), key, "not UTF-8"),
        Vector::malformed("block-too-many", format!("{roots}\nmore\n").into(), key, "one block too many"),
        Vector::malformed("empty-file", Vec::new(), key, "nothing"),
    ]);
    vectors
}

/// Files that were never good.
fn misshapen() -> Vec<Vector> {
    let signer = Signer::ed25519(ORIGIN, 1);
    let key = &signer.key;
    let [_, one, other] = trees();
    let (small, large) = if root_of(&one) < root_of(&other) { (one, other) } else { (other, one) };
    let [small, large] = [small, large].map(|leaves| text_of(ORIGIN, head(&leaves)));
    let two_roots = |signer: &Signer, texts: [&str; 2]| raw("log-two-roots", signer, &[], texts, [&[], &[]]);
    let good = String::from_utf8(two_roots(&signer, [&small, &large])).expect("text");

    let line = (signer.sign)(&small).to_string();
    let twice = good.replacen(&line, &format!("{line}\n{line}"), 1).into_bytes();
    let tree_head = two_roots(&Signer::tree_head(ORIGIN, 6), [&small, &large]);
    let ml_dsa = Signer::ml_dsa(ORIGIN, 3);
    let [one, other] = [&small, &large].map(|text| format!("{text}extension\n"));
    let extended = two_roots(&ml_dsa, [&one, &other]);
    let identity = [vec![1, 1], vec![0; 31]].concat();
    let id = tlog::hash::sha256(&[ORIGIN.as_bytes(), b"\n", &identity].concat()).to_string();
    let weak = format!("{ORIGIN}+{}+{}", &id[..8], tlog::b64::encode(&identity));
    let weak = good.replacen(&key.to_string(), &weak, 1).into_bytes();
    let hash = Hash::EMPTY_ROOT.to_base64();
    let content = [vec![format!("hash {hash}")], vec![hash; 64]].concat();
    let [seven, twelve, _] = trees().map(|leaves| text_of(ORIGIN, head(&leaves)));
    let contents = [content.as_slice(), &content];
    let long = raw("log-two-subtrees", &signer, &["subtree 4 6"], [&seven, &twelve], contents);
    let order = two_roots(&signer, [&large, &small]);
    vec![
        Vector::malformed("order", order, key, "of two roots for one size the lesser comes first"),
        Vector::malformed("two-signatures", twice, key, "a checkpoint has one signature here"),
        Vector::malformed("tree-head-signature", tree_head, key, "RFC 6962 tree heads do not count"),
        Vector::malformed(
            "ml-dsa-44-extension-lines",
            extended,
            &ml_dsa.key,
            "extension lines that the signature does not cover",
        ),
        Vector::malformed("small-order-key", weak, key, "under a key of small order anything verifies"),
        Vector::malformed("proof-of-64-hashes", long, key, "a proof has at most 63 hashes"),
    ]
}
