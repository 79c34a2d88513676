//! Our trees, tiles and notes against implementations that others wrote.

use rs_merkle::algorithms::Sha256 as RsSha256;
use rs_merkle::{Hasher, MerkleTree};
use sha2::Sha256;
use signed_note::{StandardVerifier, VerifierList};
use tlog::checkpoint::{Checkpoint, VerifiedCheckpoint};
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::{LeafIndex, TreeHead, TreeSize};
use tlog::note::Note;
use tlog::proof::{check_consistency, check_inclusion, plan_consistency, plan_inclusion};
use tlog::sign::Ed25519Signer;
use tlog::tile::{Bundle, Tile, TilePath};
use tlog::tree::{Frontier, Node, root_of};

fn entry(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|number| leaf_hash(&entry(number))).collect()
}

fn head(leaves: &[Hash]) -> TreeHead {
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| frontier.push(*leaf, |_, _| ()));
    frontier.head()
}

fn hash_of(node: Node, leaves: &[Hash]) -> Hash {
    let [start, end] = [node.leaves().start, node.leaves().end].map(|at| usize::try_from(at).expect("small"));
    root_of(&leaves[start..end])
}

fn size(size: u64) -> TreeSize {
    TreeSize::new(size).expect("a size")
}

const SIZES: [u64; 12] = [1, 2, 3, 4, 5, 7, 8, 100, 255, 256, 257, 1000];

#[test]
fn ct_merkle_has_the_same_roots_and_proofs() {
    for count in SIZES {
        let mut theirs = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, Vec<u8>>::new();
        (0..count).for_each(|number| theirs.push(entry(number)));
        let leaves = leaves(count);
        let ours = head(&leaves);
        assert_eq!(theirs.root().as_bytes().as_slice(), ours.root.as_bytes(), "size {count}");
        for index in (0..count).step_by(7) {
            let plan = plan_inclusion(LeafIndex::new(index).expect("an index"), size(count)).expect("a plan");
            let hashes: Vec<Hash> = plan.nodes().iter().map(|node| hash_of(*node, &leaves)).collect();
            let proof = plan.finish(&hashes).expect("a proof");
            let bytes: Vec<u8> = proof.iter().flat_map(|hash| *hash.as_bytes()).collect();
            let at = usize::try_from(index).expect("small");
            let their_proof = theirs.prove_inclusion(at);
            assert_eq!(their_proof.as_bytes(), bytes, "entry {index} of {count}");
            theirs.root().verify_inclusion(&entry(index), index, &their_proof).expect("theirs verifies");
            check_inclusion(&leaves[at], LeafIndex::new(index).expect("an index"), &ours, &proof)
                .expect("ours does");
        }
        for old in (1..count).step_by(7) {
            let plan = plan_consistency(size(old), size(count)).expect("a plan");
            let hashes: Vec<Hash> = plan.nodes().iter().map(|node| hash_of(*node, &leaves)).collect();
            let proof = plan.finish(&hashes).expect("a proof");
            let added = usize::try_from(count - old).expect("small");
            let bytes: Vec<u8> = proof.iter().flat_map(|hash| *hash.as_bytes()).collect();
            assert_eq!(theirs.prove_consistency(added).as_bytes(), bytes, "from {old} to {count}");
            let before = head(&leaves[..usize::try_from(old).expect("small")]);
            check_consistency(&before, &ours, &proof).expect("it holds");
        }
    }
}

#[test]
fn rs_merkle_has_the_same_roots_over_complete_trees() {
    // Its inner nodes carry no domain separation by themselves, so its leaves and nodes are hashed our way.
    #[derive(Clone)]
    struct Rfc6962;
    impl Hasher for Rfc6962 {
        type Hash = [u8; 32];
        fn hash(data: &[u8]) -> [u8; 32] {
            RsSha256::hash(&[&[1], data].concat())
        }
    }
    for count in [1, 2, 4, 8, 64, 256, 512] {
        let leaves = leaves(count);
        let raw: Vec<[u8; 32]> = leaves.iter().map(|leaf| *leaf.as_bytes()).collect();
        let theirs = MerkleTree::<Rfc6962>::from_leaves(&raw).root().expect("a root");
        assert_eq!(&theirs, head(&leaves).root.as_bytes(), "size {count}");
    }
}

#[test]
fn notes_of_ours_verify_there_and_checkpoints_parse_there() {
    let name = "log.example/oracle";
    let signer = Ed25519Signer::from_seed(name.parse().expect("a name"), &[3; 32]);
    let text = Checkpoint::new(name.parse().expect("an origin"), head(&leaves(1000))).to_text();
    let note = Note::new(text.clone(), vec![signer.sign(&text)]).expect("a note");
    let verifier = StandardVerifier::new(&signer.verifier_key().to_string()).expect("a key");
    let theirs = signed_note::Note::from_bytes(&note.to_bytes()).expect("a note");
    let (verified, _) = theirs.verify(&VerifierList::new(vec![Box::new(verifier)])).expect("it verifies");
    assert_eq!(verified.len(), 1);
    let parsed = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).expect("a checkpoint");
    assert_eq!((parsed.origin(), parsed.size()), (name, 1000));
    assert_eq!(&parsed.hash().0, head(&leaves(1000)).root.as_bytes());
    VerifiedCheckpoint::verify(&note, &[signer.verifier_key()]).expect("and here");
}

#[test]
fn notes_and_checkpoints_of_others_verify_here() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let name = "other.example/log";
    // Their signer takes its key in the text form of the specification; the key ID comes from their own code.
    let seed = [9; 32];
    let public = Ed25519Signer::from_seed(name.parse().expect("a name"), &seed).verifier_key();
    let id = signed_note::key_id(name, &[&[1], public.material()].concat());
    let secret = format!("PRIVATE+KEY+{name}+{id:08x}+{}", STANDARD.encode([&[1], seed.as_slice()].concat()));
    let signer = signed_note::StandardSigner::new(&secret).expect("a signer");
    for (count, extension) in [(1, ""), (1000, ""), (257, "an extension\nanother one\n")] {
        let root = *head(&leaves(count)).root.as_bytes();
        let theirs = tlog_tiles::Checkpoint::new(name, count, tlog_tiles::Hash(root), extension);
        let text = theirs.expect("a checkpoint").to_bytes();
        let mut note = signed_note::Note::new(&text, &[]).expect("a note");
        note.add_sigs(&[&signer]).expect("signed");
        let bytes = note.to_bytes();
        let ours = Note::parse(&bytes).expect("a note");
        assert_eq!(ours.to_bytes(), bytes);
        let verified = VerifiedCheckpoint::verify(&ours, std::slice::from_ref(&public)).expect("it verifies");
        assert_eq!((verified.head(), verified.origin().as_str()), (head(&leaves(count)), name));
        assert_eq!(verified.checkpoint().extensions().concat(), extension.replace('\n', ""));
        let forged = String::from_utf8(bytes).expect("text").replacen(&count.to_string(), "2", 1);
        VerifiedCheckpoint::verify(
            &Note::parse(forged.as_bytes()).expect("a note"),
            std::slice::from_ref(&public),
        )
        .expect_err("another size");
    }
}

#[test]
fn tile_paths_are_spelt_the_same() {
    for (level, index, width) in [(0, 0, 256), (0, 5, 17), (1, 999, 256), (2, 1000, 255), (3, 1_234_067, 1)] {
        let ours = TilePath::Hashes(Tile::new(level, index, width).expect("a tile")).to_string();
        let theirs = tlog_tiles::Tile::new(8, level, index, u32::from(width), false).path();
        assert_eq!(theirs.replacen("tile/8/", "tile/", 1), ours);
        let ours = TilePath::Entries(Bundle::new(index, width).expect("a bundle")).to_string();
        let theirs = tlog_tiles::Tile::new(8, 0, index, u32::from(width), true).path();
        assert_eq!(theirs.replacen("tile/8/data/", "tile/entries/", 1), ours);
    }
}
