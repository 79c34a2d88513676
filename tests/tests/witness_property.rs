//! No two cosigned heads of one origin are ever inconsistent, whatever logs and strangers send and in whatever order.
//!
//! The oracle is the whole trees, kept by the test: of any two cosigned heads the smaller one must be the beginning of
//! the larger one's tree, recomputed from the leaves.

use std::sync::Arc;

use daemon::clock::SystemClock;
use proptest::prelude::*;
use tests::testlog::{TestLog, size};
use tests::witness::InProcess;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::TreeHead;
use tlog::tree::root_of;
use witness::judge::{judge, open};
use witness::probe::Probe;

/// The most leaves of a tree.
const LEAVES_MAX: u64 = 40;
/// Trees that one log signs: the first, and forks of it.
const TREES: usize = 4;

/// One request: from whose tree, from and to which size, and what is wrong with its proof.
#[derive(Clone, Debug)]
struct Ask {
    log: usize,
    tree: usize,
    old: Option<u64>,
    new: u64,
    proof: ProofKind,
}

#[derive(Clone, Copy, Debug)]
enum ProofKind {
    Right,
    OfAnotherTree(usize),
    Short,
    Long,
    Flipped(usize),
}

fn asks(logs: usize) -> impl Strategy<Value = Vec<Ask>> {
    let proof = prop_oneof![
        6 => Just(ProofKind::Right),
        1 => (0..TREES).prop_map(ProofKind::OfAnotherTree),
        1 => Just(ProofKind::Short),
        1 => Just(ProofKind::Long),
        1 => (0..8_usize).prop_map(ProofKind::Flipped),
    ];
    // Mostly the size that the witness has, as an attacker would find out first.
    let old = prop_oneof![5 => Just(None), 1 => (0..=LEAVES_MAX).prop_map(Some)];
    let ask = (0..logs, 0..TREES, old, 0..=LEAVES_MAX, proof).prop_map(|(log, tree, old, new, proof)| Ask {
        log,
        tree,
        old,
        new,
        proof,
    });
    proptest::collection::vec(ask, 1..400)
}

/// The trees of one log: forks at places of their own.
fn trees(number: usize) -> Vec<TestLog> {
    let origin = format!("log{number}.example");
    let seed = u8::try_from(number % 250).expect("small") + 1;
    let honest = TestLog::new(&origin, seed, LEAVES_MAX);
    let fork = |at: usize| honest.fork((number * 7 + at * 11) % 40, LEAVES_MAX, &format!("fork {at}"));
    let forks: Vec<TestLog> = (1..TREES).map(fork).collect();
    std::iter::once(honest).chain(forks).collect()
}

fn proof_of(trees: &[TestLog], ask: &Ask, old: u64) -> Vec<Hash> {
    let tree = if let ProofKind::OfAnotherTree(other) = ask.proof { other } else { ask.tree };
    let mut proof = if old <= ask.new { trees[tree].proof(old, ask.new) } else { Vec::new() };
    match ask.proof {
        ProofKind::Right | ProofKind::OfAnotherTree(_) => (),
        ProofKind::Short => drop(proof.pop()),
        ProofKind::Long => proof.push(leaf_hash(b"more")),
        ProofKind::Flipped(at) => {
            if let Some(hash) = proof.get_mut(at) {
                *hash = leaf_hash(hash.as_bytes());
            }
        }
    }
    proof
}

/// Every cosigned head is the beginning of the tree of every larger one.
fn all_consistent(cosigned: &[(usize, TreeHead)], trees: &[TestLog]) -> bool {
    let beginning = |tree: usize, head: TreeHead| {
        let count = usize::try_from(head.size.get()).expect("small");
        root_of(&trees[tree].leaves[..count]) == head.root
    };
    cosigned.iter().all(|(_, smaller)| {
        cosigned.iter().all(|(tree, larger)| smaller.size > larger.size || beginning(*tree, *smaller))
    })
}

proptest! {
    // 64 times 40 logs: thousands of them.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_judge_never_lets_two_inconsistent_heads_pass(asks in asks(40)) {
        let logs: Vec<Vec<TestLog>> = (0..40).map(trees).collect();
        let mut known = vec![TreeHead::EMPTY; logs.len()];
        let mut cosigned: Vec<Vec<(usize, TreeHead)>> = vec![Vec::new(); logs.len()];
        for ask in &asks {
            let trees = &logs[ask.log];
            let old = ask.old.unwrap_or(known[ask.log].size.get());
            let head = trees[ask.tree].head(ask.new);
            if judge(head, size(old), &proof_of(trees, ask, old), known[ask.log]).is_ok() {
                prop_assert!(head.size >= known[ask.log].size, "a head never shrinks");
                known[ask.log] = head;
                cosigned[ask.log].push((ask.tree, head));
            }
        }
        for (cosigned, trees) in cosigned.iter().zip(&logs) {
            prop_assert!(all_consistent(cosigned, trees), "{cosigned:?}");
        }
    }
}

#[test]
fn honest_logs_are_always_cosigned_and_forks_at_every_place_never() {
    let key = |log: &TestLog| [log.signer.verifier_key()];
    for fork in 0..20_usize {
        let honest = TestLog::new("log.example", 1, 24);
        let forked = honest.fork(fork, 24, "fork");
        for old in 0..=24_u64 {
            for new in old..=24 {
                let known = honest.head(old);
                let good = open(&honest.note(new), &key(&honest)).expect("signed");
                assert_eq!(judge(good.head(), size(old), &honest.proof(old, new), known), Ok(()));
                let bad = open(&forked.note(new), &key(&honest)).expect("signed as well");
                let verdict = judge(bad.head(), size(old), &forked.proof(old, new), known);
                assert_eq!(
                    verdict.is_ok(),
                    old <= fork as u64,
                    "fork at {fork}, {old} to {new}: {verdict:?}"
                );
            }
        }
    }
}

#[test]
fn a_witness_under_parallel_honest_and_forked_requests_never_cosigns_two_inconsistent_heads() {
    let root = tempfile::tempdir().expect("a folder");
    let dir = root.path().join("w");
    let logs: Arc<Vec<Vec<TestLog>>> = Arc::new((0..30).map(trees).collect());
    let honest: Vec<&TestLog> = logs.iter().map(|trees| &trees[0]).collect();
    InProcess::make(&dir, &honest, &SystemClock);
    let running = InProcess::start(&dir, Arc::new(SystemClock), Probe::none());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime");
    let tasks: Vec<_> = (0..8_u64)
        .map(|client| {
            let (witness, logs) = (Arc::clone(&running.witness), Arc::clone(&logs));
            runtime.spawn(async move {
                let mut cosigned = Vec::new();
                let mut state = client;
                for _ in 0..300 {
                    // A linear congruential generator: the same requests in every run, in an order that differs.
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let pick = |shift: u32, of: u64| (state >> shift) % of;
                    let log = usize::try_from(pick(20, logs.len() as u64)).expect("small");
                    let tree = usize::try_from(pick(33, TREES as u64)).expect("small");
                    let old = witness.logs.get(&logs[log][0].origin).expect("known").head().head.size.get();
                    let new = old + pick(45, LEAVES_MAX + 1 - old);
                    let tree_of = &logs[log][tree];
                    let request = tree_of.request(old, new);
                    if witness.add_checkpoint(&request.to_bytes()).await.is_ok() {
                        cosigned.push((log, tree, tree_of.head(new)));
                    }
                }
                cosigned
            })
        })
        .collect();
    let mut cosigned: Vec<Vec<(usize, TreeHead)>> = vec![Vec::new(); logs.len()];
    runtime.block_on(async {
        for task in tasks {
            for (log, tree, head) in task.await.expect("no panic") {
                cosigned[log].push((tree, head));
            }
        }
    });
    drop(runtime);
    running.end().expect("an orderly end");
    assert!(cosigned.iter().map(Vec::len).sum::<usize>() > 100, "much was cosigned");
    for (cosigned, trees) in cosigned.iter().zip(logs.iter()) {
        assert!(all_consistent(cosigned, trees), "{cosigned:?}");
    }
}
