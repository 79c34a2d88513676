//! Evidence: what proves something is accepted, what proves nothing is never made, and nothing can be changed.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use proptest::prelude::*;
use tlog::checkpoint::Checkpoint;
use tlog::evidence::fork::{ForkSearch, Step, subtree_nodes};
use tlog::evidence::{About, Evidence, EvidenceParseError, Leaf, NoContradiction, Proved, Role};
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::{LeafIndex, TreeHead, TreeSize, UnixMillis};
use tlog::note::{Note, SignatureLine};
use tlog::proof::{ProofError, check_consistency, plan_consistency, plan_subtree_consistency};
use tlog::sign::*;
use tlog::tree::{Node, root_of};
use tlog::vkey::VerifierKey;

const ORIGIN: &str = "log.example/2027";
const WITNESS: &str = "witness.example/w1";

/// Somebody who can sign a checkpoint.
enum Signer {
    Ed25519(Ed25519Signer),
    P256(EcdsaP256Signer),
    TreeHead(TreeHeadSigner),
    Cosigner(CosignerEd25519),
    MlDsa(CosignerMlDsa44),
}

impl Signer {
    fn key(&self) -> VerifierKey {
        match self {
            Self::Ed25519(signer) => signer.verifier_key(),
            Self::P256(signer) => signer.verifier_key(),
            Self::TreeHead(signer) => signer.verifier_key(),
            Self::Cosigner(signer) => signer.verifier_key(),
            Self::MlDsa(signer) => signer.verifier_key(),
        }
    }

    fn line(&self, text: &str, seconds: u64) -> SignatureLine {
        let checkpoint = Checkpoint::parse(text).unwrap();
        match self {
            Self::Ed25519(signer) => signer.sign(text),
            Self::P256(signer) => signer.sign(text),
            Self::TreeHead(signer) => signer.sign(checkpoint.head(), UnixMillis::new(seconds * 1000)),
            Self::Cosigner(signer) => signer.cosign(text, seconds),
            Self::MlDsa(signer) => signer.cosign(&checkpoint, seconds),
        }
    }

    fn note(&self, text: &str, seconds: u64) -> Note {
        Note::new(text.to_owned(), vec![self.line(text, seconds)]).unwrap()
    }

    fn head(&self, head: TreeHead) -> Note {
        self.note(&text_of(head), 1_790_000_000)
    }
}

fn text_of(head: TreeHead) -> String {
    Checkpoint::new(ORIGIN.parse().unwrap(), head).to_text()
}

fn ed25519() -> Signer {
    Signer::Ed25519(Ed25519Signer::from_seed(ORIGIN.parse().unwrap(), &[1; 32]))
}

/// Every kind of key that can be accused, and as what.
fn signers() -> Vec<(Role, Signer)> {
    let (log, witness) = (|| ORIGIN.parse().unwrap(), || WITNESS.parse().unwrap());
    vec![
        (Role::Log, ed25519()),
        (Role::Log, Signer::P256(EcdsaP256Signer::from_seed(log(), &[2; 32]).unwrap())),
        (Role::Log, Signer::MlDsa(CosignerMlDsa44::from_seed(log(), &[3; 32]))),
        (Role::Witness, Signer::Cosigner(CosignerEd25519::from_seed(witness(), &[4; 32]))),
        (Role::Witness, Signer::MlDsa(CosignerMlDsa44::from_seed(witness(), &[5; 32]))),
    ]
}

fn entry(index: u64, salt: u64) -> Vec<u8> {
    format!("entry {index} {salt}").into_bytes()
}

/// A tree that has other entries from `fork` on.
fn leaves(count: u64, fork: u64, salt: u64) -> Vec<Hash> {
    let leaf = |index: u64| leaf_hash(&entry(index, if index < fork { 0 } else { salt }));
    (0..count).map(leaf).collect()
}

fn size(n: u64) -> TreeSize {
    TreeSize::new(n).unwrap()
}

fn index(n: u64) -> LeafIndex {
    LeafIndex::new(n).unwrap()
}

fn head(leaves: &[Hash]) -> TreeHead {
    TreeHead { size: size(leaves.len() as u64), root: root_of(leaves) }
}

fn hash_of(node: Node, leaves: &[Hash]) -> Hash {
    let range = node.leaves();
    root_of(&leaves[range.start as usize..range.end as usize])
}

fn proof(node: Node, leaves: &[Hash]) -> Vec<Hash> {
    let range = node.leaves();
    let plan = plan_subtree_consistency(range.start, range.end, size(leaves.len() as u64)).unwrap();
    let hashes: Vec<_> = plan.nodes().iter().map(|node| hash_of(*node, leaves)).collect();
    plan.finish(&hashes).unwrap()
}

fn leaf_node(index: u64) -> Node {
    Node { height: 0, index }
}

fn subtree(signer: &Signer, node: Node, leaves: &[Hash]) -> Proved<Hash> {
    let content = hash_of(node, leaves);
    Proved { checkpoint: signer.head(head(leaves)), content, proof: proof(node, leaves) }
}

fn leaf(signer: &Signer, at: u64, content: Leaf, leaves: &[Hash]) -> Proved<Leaf> {
    Proved { checkpoint: signer.head(head(leaves)), content, proof: proof(leaf_node(at), leaves) }
}

/// One piece of evidence of every form that `signer` can be accused with: a fork at 5, trees of 7 and 12.
fn every_form(signer: &Signer) -> [Evidence; 3] {
    let keys = [signer.key()];
    let (small, large, same) = (leaves(7, 5, 1), leaves(12, 5, 2), leaves(12, 5, 3));
    let node = Node { height: 1, index: 2 };
    let leaf = |content, leaves| leaf(signer, 5, content, leaves);
    let (entered, hashed) = (Leaf::Entry(entry(5, 1)), Leaf::Hash(large[5]));
    [
        Evidence::two_roots(&keys, &signer.head(head(&large)), &signer.head(head(&same))).unwrap(),
        Evidence::two_subtrees(&keys, node, subtree(signer, node, &large), subtree(signer, node, &small))
            .unwrap(),
        Evidence::two_leaves(&keys, index(5), leaf(entered, &small), leaf(hashed, &large)).unwrap(),
    ]
}

#[test]
fn every_form_is_accepted_from_every_kind_of_key_that_counts() {
    for (role, signer) in signers() {
        for (evidence, form) in every_form(&signer).iter().zip(["two-roots", "two-subtrees", "two-leaves"]) {
            assert_eq!(evidence.form(), format!("{}-{form}", role.as_str()));
            let bytes = evidence.to_bytes();
            let again = Evidence::parse(&bytes).unwrap();
            assert_eq!((&again, again.to_bytes(), again.id()), (evidence, bytes, evidence.id()));
            let contradiction = again.verify(&[ed25519().key(), signer.key()]).unwrap();
            assert_eq!((contradiction.role(), contradiction.accused()), (role, &signer.key()));
            assert_eq!(contradiction.origin().as_str(), ORIGIN);
            let [one, other] = contradiction.signed().map(|signed| signed.head);
            assert!(one != other && one.size <= other.size);
            let text = contradiction.to_string();
            for part in [ORIGIN, &one.root.to_base64(), &other.root.to_base64(), signer.key().name().as_str()]
            {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
    }
}

#[test]
fn a_contradiction_says_who_signed_what_and_when() {
    let signers = signers();
    let [roots, subtrees, _] = every_form(&signers[3].1);
    let roots = roots.verify(&[signers[3].1.key()]).unwrap();
    assert_eq!(
        roots.summary(),
        "The witness witness.example/w1 has cosigned two different trees of the same size of the log \
         log.example/2027."
    );
    assert!(roots.to_string().contains("signed at 2026-09-21T14:13:20Z: a tree of 12 entries"), "{roots}");
    assert_eq!(roots.signed()[0].cosigned_at, 1_790_000_000);
    let subtrees = subtrees.verify(&[signers[3].1.key()]).unwrap();
    assert!(subtrees.to_string().contains("in which entries 4 to 5 hash to"), "{subtrees}");
    let [_, _, by_log] = every_form(&signers[0].1);
    let by_log = by_log.verify(&[signers[0].1.key()]).unwrap();
    assert_eq!(
        by_log.summary(),
        "The log log.example/2027 has signed two different trees that differ in entry 5."
    );
    assert!(matches!(by_log.about(), About::Leaves { leaves: [Leaf::Entry(_), Leaf::Hash(_)], .. }));
    assert!(by_log.to_string().contains("(9 bytes, which the file holds: \"entry 5 1\")"), "{by_log}");
}

#[test]
fn no_bit_of_a_file_can_be_changed() {
    for (_, signer) in signers() {
        let keys = [signer.key()];
        for evidence in every_form(&signer) {
            let bytes = evidence.to_bytes();
            // Every bit of the short files, a sample of those with the long keys and signatures.
            let step = if bytes.len() > 4000 { 37 } else { 1 };
            for bit in (0..bytes.len() * 8).step_by(step) {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let verdict = Evidence::parse(&flipped).map(|evidence| evidence.verify(&keys));
                assert!(!matches!(verdict, Ok(Ok(_))), "{}: bit {bit}", evidence.form());
            }
        }
    }
}

#[test]
fn no_line_can_be_left_out_doubled_or_exchanged() {
    for (_, signer) in signers() {
        let keys = [signer.key()];
        for evidence in every_form(&signer) {
            let text = String::from_utf8(evidence.to_bytes()).unwrap();
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            let mut changed = Vec::new();
            for at in 0..lines.len() {
                changed.push([&lines[..at], &lines[at + 1..]].concat());
                changed.push([&lines[..at], &lines[at..=at], &lines[at..]].concat());
                for other in at + 1..lines.len() {
                    let mut lines = lines.clone();
                    lines.swap(at, other);
                    changed.push(lines);
                }
            }
            for changed in changed.into_iter().map(|lines| lines.concat()).filter(|changed| *changed != text)
            {
                let verdict = Evidence::parse(changed.as_bytes()).map(|evidence| evidence.verify(&keys));
                assert!(!matches!(verdict, Ok(Ok(_))), "{changed}");
            }
        }
    }
}

#[test]
fn a_fork_at_any_point_of_trees_of_up_to_40_entries_is_found_and_proved() {
    let signer = ed25519();
    let keys = [signer.key()];
    for fork in 0..40 {
        let honest = leaves(40, fork, 1);
        let forked = leaves(40, fork, 2);
        let trees = |all: &[Hash]| -> Vec<Note> { (0..=40).map(|n| signer.head(head(&all[..n]))).collect() };
        let (honest_notes, forked_notes) = (trees(&honest), trees(&forked));
        for n in 1..=40_usize {
            for m in 1..=40_usize {
                let found = search(&honest[..m], &forked[..n]);
                if fork >= m.min(n) as u64 {
                    assert_eq!(found, None, "fork at {fork}, sizes {m} and {n}");
                    continue;
                }
                assert_eq!(found, Some(leaf_node(fork)), "fork at {fork}, sizes {m} and {n}");
                // Cryptography on a sample, so that the test ends soon; the search on everything.
                if (m + n) % 5 != fork as usize % 5 {
                    continue;
                }
                let node = leaf_node(fork);
                let side = |notes: &[Note], leaves: &[Hash]| {
                    let checkpoint = notes[leaves.len()].clone();
                    Proved { checkpoint, content: hash_of(node, leaves), proof: proof(node, leaves) }
                };
                let (one, other) = (side(&honest_notes, &honest[..m]), side(&forked_notes, &forked[..n]));
                let evidence = Evidence::two_subtrees(&keys, node, one, other).unwrap();
                assert!(Evidence::parse(&evidence.to_bytes()).unwrap().verify(&keys).is_ok());
                let roots = Evidence::two_roots(&keys, &honest_notes[m], &forked_notes[n]);
                assert_eq!(roots.is_ok(), m == n, "{roots:?}");
            }
        }
    }
}

/// Drives a search to its end, counting rounds.
fn search(one: &[Hash], other: &[Hash]) -> Option<Node> {
    let mut search = ForkSearch::new(size(one.len() as u64), size(other.len() as u64));
    for _ in 0..9 {
        assert!(search.nodes().len() <= 256);
        let read = |leaves: &[Hash]| -> Vec<Hash> {
            search.nodes().iter().map(|node| hash_of(*node, leaves)).collect()
        };
        let (one, other) = (read(one), read(other));
        match search.advance(&one, &other).unwrap() {
            Step::Consistent => return None,
            Step::Leaf(node) => return Some(node),
            Step::Search(next) => search = next,
        }
    }
    panic!("the search does not end");
}

#[test]
fn a_search_goes_down_one_tile_a_round_and_wants_every_hash() {
    let (one, other) = (leaves(70_000, 66_000, 1), leaves(70_001, 66_000, 2));
    assert_eq!(search(&one, &other), Some(leaf_node(66_000)));
    let first = ForkSearch::new(size(70_000), size(70_001));
    assert_eq!(first.nodes()[0], Node { height: 16, index: 0 });
    let too_few = first.clone().advance(&[], &[]);
    assert_eq!(too_few, Err(ProofError::HashCount(first.nodes().len(), 0)));
    let empty = ForkSearch::new(TreeSize::ZERO, size(7));
    assert_eq!(empty.advance(&[], &[]), Ok(Step::Consistent));
}

#[test]
fn tiles_of_two_views_give_evidence_of_a_fork() {
    use tlog::evidence::fork::evidence;
    use tlog::verify_tiles::{AuthenticTiles, plan_tiles};
    let signer = ed25519();
    let view = |leaves: &[Hash], nodes: &[Node]| -> AuthenticTiles {
        let plan = plan_tiles(head(leaves), nodes);
        let bytes = |tile: &tlog::tile::Tile| -> Vec<u8> {
            let height = 8 * tile.level();
            let first = tile.index() * 256;
            let nodes = (first..first + u64::from(tile.width())).map(|index| Node { height, index });
            nodes.flat_map(|node| *hash_of(node, leaves).as_bytes()).collect()
        };
        let fetched: Vec<Vec<u8>> = plan.tiles().iter().map(bytes).collect();
        plan.authenticate(&fetched).unwrap()
    };
    let (one, other) = (leaves(700, 300, 1), leaves(900, 300, 2));
    let node = search(&one, &other).unwrap();
    let tiles = |leaves: &[Hash]| view(leaves, &subtree_nodes(node, size(leaves.len() as u64)).unwrap());
    let notes = [&one, &other].map(|leaves| signer.head(head(leaves)));
    let keys = [signer.key()];
    let found = evidence(&keys, node, (&notes[0], &tiles(&one)), (&notes[1], &tiles(&other))).unwrap();
    assert!(found.verify(&keys).is_ok());
    let honest = signer.head(head(&one[..600]));
    let same = evidence(&keys, node, (&notes[0], &tiles(&one)), (&honest, &tiles(&one[..600])));
    assert!(same.is_err(), "{same:?}");
}

#[test]
fn what_proves_nothing_is_never_made() {
    let signer = ed25519();
    let keys = [signer.key()];
    let (one, other) = (leaves(7, 5, 1), leaves(12, 5, 2));
    let (small, large) = (signer.head(head(&one)), signer.head(head(&other)));
    let roots = |one: &Note, other: &Note| Evidence::two_roots(&keys, one, other).unwrap_err();
    assert_eq!(roots(&small, &small), NoContradiction::SameTree);
    assert_eq!(roots(&small, &large), NoContradiction::OtherSizes(size(7), size(12)));
    let extended = signer.note(&format!("{}an extension\n", text_of(head(&one))), 0);
    assert_eq!(roots(&small, &extended), NoContradiction::SameTree, "extension lines are no contradiction");
    let stranger = Signer::Ed25519(Ed25519Signer::from_seed(ORIGIN.parse().unwrap(), &[9; 32]));
    assert_eq!(roots(&small, &stranger.head(head(&leaves(7, 5, 2)))), NoContradiction::NotSigned);
    let of = |origin: &str, leaves: &[Hash]| {
        signer.note(&Checkpoint::new(origin.parse().unwrap(), head(leaves)).to_text(), 0)
    };
    let elsewhere = roots(&small, &of("log.example/2028", &leaves(7, 5, 2)));
    assert_eq!(elsewhere, NoContradiction::OtherLogs(ORIGIN.to_owned(), "log.example/2028".to_owned()));
    let empty = |root| signer.head(TreeHead { size: TreeSize::ZERO, root });
    assert_eq!(roots(&empty(Hash::EMPTY_ROOT), &empty(one[0])), NoContradiction::EmptyTree);
    let node = Node { height: 2, index: 0 };
    let same =
        Evidence::two_subtrees(&keys, node, subtree(&signer, node, &one), subtree(&signer, node, &other));
    assert_eq!(same, Err(NoContradiction::SameContent));
}

#[test]
fn a_proof_that_fails_proves_nothing() {
    let signer = ed25519();
    let keys = [signer.key()];
    let honest = leaves(12, 12, 0);
    let node = leaf_node(3);
    let good = || subtree(&signer, node, &honest[..7]);
    let proved = |change: &dyn Fn(&mut Proved<Hash>)| {
        let mut side = subtree(&signer, node, &honest);
        change(&mut side);
        Evidence::two_subtrees(&keys, node, good(), side).unwrap_err()
    };
    let invented = leaf_hash(b"invented");
    assert_eq!(proved(&|side| side.content = invented), NoContradiction::Proof(2, ProofError::Root));
    for at in 0..4 {
        let wrong = proved(&|side| {
            side.content = invented;
            side.proof[at] = invented;
        });
        assert_eq!(wrong, NoContradiction::Proof(2, ProofError::Root));
    }
    let short = proved(&|side| {
        side.content = invented;
        side.proof.pop();
    });
    assert_eq!(short, NoContradiction::Proof(2, ProofError::Length(3)));
    let beyond = Node { height: 3, index: 0 };
    let side =
        |leaves: &[Hash]| Proved { checkpoint: signer.head(head(leaves)), content: invented, proof: vec![] };
    let outside =
        Evidence::two_subtrees(&keys, beyond, side(&honest[..7]), subtree(&signer, beyond, &honest));
    assert_eq!(outside, Err(NoContradiction::Proof(1, ProofError::NotASubtree(0, 8, 7))));
    for absurd in [Node { height: 63, index: 0 }, Node { height: 62, index: 2 }, leaf_node(u64::MAX)] {
        let found = Evidence::two_subtrees(&keys, absurd, good(), side(&honest));
        assert_eq!(found, Err(NoContradiction::NotInAnyTree), "{absurd:?}");
    }
    let long = Leaf::Entry(vec![0; 65_536]);
    let long = Evidence::two_leaves(
        &keys,
        index(3),
        leaf(&signer, 3, long, &honest),
        leaf(&signer, 3, Leaf::Hash(honest[3]), &honest[..7]),
    );
    assert_eq!(long, Err(NoContradiction::EntryTooLong(65_536)));
}

#[test]
fn a_tree_head_signature_alone_does_not_count() {
    let signer = Signer::TreeHead(TreeHeadSigner::from_seed(ORIGIN.parse().unwrap(), &[6; 32]).unwrap());
    let notes = [1, 2].map(|salt| signer.head(head(&leaves(7, 5, salt))));
    let found = Evidence::two_roots(&[signer.key()], &notes[0], &notes[1]);
    assert_eq!(found, Err(NoContradiction::NotSigned));
    // Nor can a file name such a key.
    let [evidence, ..] = every_form(&ed25519());
    let text = String::from_utf8(evidence.to_bytes()).unwrap();
    let text = text.replace(&ed25519().key().to_string(), &signer.key().to_string());
    assert!(matches!(Evidence::parse(text.as_bytes()), Err(EvidenceParseError::Line { .. })));
}

#[test]
fn the_key_must_be_one_that_the_verifier_brings() {
    let signers = signers();
    for (_, signer) in &signers {
        for evidence in every_form(signer) {
            let others: Vec<VerifierKey> =
                signers.iter().map(|(_, other)| other.key()).filter(|key| *key != signer.key()).collect();
            let accused = Box::new(signer.key());
            assert_eq!(evidence.verify(&others), Err(NoContradiction::OtherKey(accused.clone())));
            assert_eq!(evidence.verify(&[]), Err(NoContradiction::OtherKey(accused)));
        }
    }
}

#[test]
fn one_role_cannot_be_written_as_the_other() {
    for (role, signer) in signers() {
        for evidence in every_form(&signer) {
            let text = String::from_utf8(evidence.to_bytes()).unwrap();
            let (from, to) = match role {
                Role::Log => ("form log-", "form witness-"),
                Role::Witness => ("form witness-", "form log-"),
            };
            let refused = Evidence::parse(text.replacen(from, to, 1).as_bytes());
            assert!(matches!(refused, Err(EvidenceParseError::Line { line: 3, .. })), "{refused:?}");
        }
    }
}

#[test]
fn what_others_wrote_under_the_note_neither_spoils_nor_enters_evidence() {
    for (_, signer) in signers() {
        let keys = [signer.key()];
        let notes = [1, 2].map(|salt| signer.head(head(&leaves(7, 5, salt))));
        let clean = Evidence::two_roots(&keys, &notes[0], &notes[1]).unwrap();
        let spoiled = notes.map(|note| {
            let good = note.signatures()[0].clone();
            let junk = SignatureLine::new(good.name().clone(), good.id(), vec![7; good.signature().len()]);
            let other =
                Signer::Cosigner(CosignerEd25519::from_seed("other.example".parse().unwrap(), &[8; 32]));
            let foreign = other.line(note.text(), 3);
            note.with_signatures(vec![junk, foreign, good.clone(), good]).unwrap()
        });
        let found = Evidence::two_roots(&keys, &spoiled[0], &spoiled[1]).unwrap();
        assert_eq!(found.to_bytes(), clean.to_bytes());
    }
}

#[test]
fn the_other_form_of_a_p256_signature_makes_the_same_evidence() {
    let signer = Signer::P256(EcdsaP256Signer::from_seed(ORIGIN.parse().unwrap(), &[2; 32]).unwrap());
    let keys = [signer.key()];
    let notes = [1, 2].map(|salt| signer.head(head(&leaves(7, 5, salt))));
    let negated = notes.clone().map(|note| {
        let line = &note.signatures()[0];
        let (r, s) = p256::ecdsa::Signature::from_der(line.signature()).unwrap().split_scalars();
        let high = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
        let high = SignatureLine::new(line.name().clone(), line.id(), high.to_der().as_bytes().to_vec());
        note.with_signatures(vec![high]).unwrap()
    });
    assert!(negated[0].verify(&keys).is_ok(), "verifiers accept it");
    let evidence = Evidence::two_roots(&keys, &notes[0], &notes[1]).unwrap();
    assert_eq!(Evidence::two_roots(&keys, &negated[0], &negated[1]).unwrap(), evidence);
    // In a file there is only the canonical form.
    let [low, high] = [&notes[0], &negated[0]].map(|note| note.signatures()[0].to_string());
    let text = String::from_utf8(evidence.to_bytes()).unwrap().replace(&low, &high);
    let refused = Evidence::parse(text.as_bytes()).unwrap().verify(&keys);
    assert!(matches!(refused, Err(NoContradiction::Signature(_))), "{refused:?}");
}

#[test]
fn extension_lines_stay_only_where_the_signature_covers_them() {
    for (_, signer) in signers() {
        let keys = [signer.key()];
        let notes = [1, 2].map(|salt| {
            signer.note(&format!("{}an extension line\n", text_of(head(&leaves(7, 5, salt)))), 5)
        });
        let evidence = Evidence::two_roots(&keys, &notes[0], &notes[1]).unwrap();
        let text = String::from_utf8(evidence.to_bytes()).unwrap();
        let covered = !matches!(signer, Signer::MlDsa(_));
        assert_eq!(text.contains("an extension line\n"), covered);
        assert!(Evidence::parse(text.as_bytes()).unwrap().verify(&keys).is_ok());
        if !covered {
            let root = head(&leaves(7, 5, 1)).root.to_base64();
            let added = text.replacen(&root, &format!("{root}\nadded"), 1);
            assert!(matches!(Evidence::parse(added.as_bytes()), Err(EvidenceParseError::Line { .. })));
        }
    }
}

#[test]
fn the_longest_notes_and_entries_still_make_evidence() {
    let signer = ed25519();
    let keys = [signer.key()];
    let long = |salt: u8| vec![salt; 65_535];
    let trees = [1, 2].map(|salt| vec![leaf_hash(&long(salt)), leaf_hash(b"next")]);
    let sides = [1, 2].map(|salt: u8| {
        let leaves = &trees[usize::from(salt) - 1];
        let text = format!("{}{}", text_of(head(leaves)), "x\n".repeat(130_000));
        let content = Leaf::Entry(long(salt));
        Proved { checkpoint: signer.note(&text, 0), content, proof: proof(leaf_node(0), leaves) }
    });
    let [one, other] = sides;
    let evidence = Evidence::two_leaves(&keys, index(0), one, other).unwrap();
    assert!(Evidence::parse(&evidence.to_bytes()).unwrap().verify(&keys).is_ok());
}

#[test]
fn the_id_names_the_contradiction_and_not_the_signatures() {
    let signer = &signers()[3].1;
    let keys = [signer.key()];
    let texts = [1, 2].map(|salt| text_of(head(&leaves(7, 5, salt))));
    let id = |seconds: u64, order: [usize; 2]| {
        let [one, other] = order.map(|at| signer.note(&texts[at], seconds));
        Evidence::two_roots(&keys, &one, &other).unwrap().id()
    };
    assert_eq!(id(1, [0, 1]), id(2, [1, 0]));
    let ids: std::collections::BTreeSet<Hash> =
        signers().iter().flat_map(|(_, signer)| every_form(signer).map(|evidence| evidence.id())).collect();
    assert_eq!(ids.len(), 15);
}

#[test]
fn names_from_a_file_cannot_deceive_the_eye_or_a_terminal() {
    let hostile = "log\u{9b}31m.example\u{202e}drowssap";
    let signer = Signer::Ed25519(Ed25519Signer::from_seed(hostile.parse().unwrap(), &[1; 32]));
    let notes = [1, 2].map(|salt| {
        let checkpoint = Checkpoint::new(hostile.parse().unwrap(), head(&leaves(7, 5, salt)));
        signer.note(&checkpoint.to_text(), 0)
    });
    let evidence = Evidence::two_roots(&[signer.key()], &notes[0], &notes[1]).unwrap();
    let contradiction = evidence.verify(&[signer.key()]).unwrap();
    let other = evidence.verify(&[ed25519().key()]).unwrap_err();
    for text in [contradiction.to_string(), contradiction.summary(), other.to_string()] {
        assert!(text.contains("log\\u{9b}31m.example\\u{202e}drowssap"), "{text:?}");
        assert!(!text.contains(['\u{9b}', '\u{202e}']), "{text:?}");
    }
}

#[test]
fn an_unknown_form_and_a_later_version_are_named() {
    let text = String::from_utf8(every_form(&ed25519())[0].to_bytes()).unwrap();
    for form in ["log-three-roots", "record-inadmissible", "two-roots", "log", "log-"] {
        let refused = Evidence::parse(text.replacen("log-two-roots", form, 1).as_bytes());
        assert_eq!(refused, Err(EvidenceParseError::UnknownForm(form.to_owned())));
    }
    let later = Evidence::parse(text.replacen("v1", "v2", 1).as_bytes());
    assert_eq!(later, Err(EvidenceParseError::Version("daybook/evidence/v2".to_owned())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever an accuser does with what an honest log signed and proves, there is no evidence against it.
    #[test]
    fn an_honest_log_can_never_be_accused(
        n in 1_u64..200, m in 1_u64..200, height in 0_u8..8, at in 0_u64..200, invented: [u8; 32],
        change in prop::option::of(0_usize..12),
    ) {
        let signer = ed25519();
        let keys = [signer.key()];
        let all = leaves(n.max(m), 200, 0);
        let trees = [&all[..n as usize], &all[..m as usize]];
        let notes = trees.map(|leaves| signer.head(head(leaves)));
        prop_assert!(Evidence::two_roots(&keys, &notes[0], &notes[1]).is_err());

        let at = at % n.min(m);
        let node = Node { height, index: at >> height };
        if node.leaves().end <= n.min(m) {
            let mut sides = trees.map(|leaves| subtree(&signer, node, leaves));
            prop_assert!(Evidence::two_subtrees(&keys, node, sides[0].clone(), sides[1].clone()).is_err());
            sides[0].content = Hash::from_bytes(invented);
            if let Some(change) = change.filter(|change| *change < sides[0].proof.len()) {
                sides[0].proof[change] = Hash::from_bytes(invented);
            }
            let [one, other] = sides;
            prop_assert!(Evidence::two_subtrees(&keys, node, one, other).is_err());
        }
        let sides = trees.map(|leaves| leaf(&signer, at, Leaf::Hash(leaves[at as usize]), leaves));
        prop_assert!(Evidence::two_leaves(&keys, index(at), sides[0].clone(), sides[1].clone()).is_err());
        let lie = Proved { content: Leaf::Entry(invented.to_vec()), ..sides[0].clone() };
        prop_assert!(Evidence::two_leaves(&keys, index(at), lie, sides[1].clone()).is_err());
        // A proof at another index proves the leaf there and not here.
        let elsewhere = leaf(&signer, 0, Leaf::Hash(all[0]), trees[0]);
        let moved = Evidence::two_leaves(&keys, index(at), elsewhere, sides[1].clone());
        prop_assert!(moved.is_err());
        // The search finds nothing either, as a consistency proof exists.
        prop_assert_eq!(search(trees[0], trees[1]), None);
        let (old, new) = if n < m { (trees[0], trees[1]) } else { (trees[1], trees[0]) };
        let plan = plan_consistency(head(old).size, head(new).size).unwrap();
        let hashes: Vec<_> = plan.nodes().iter().map(|node| hash_of(*node, new)).collect();
        prop_assert!(check_consistency(&head(old), &head(new), &plan.finish(&hashes).unwrap()).is_ok());
    }
}
