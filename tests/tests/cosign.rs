//! The log and its witnesses, in process: rounds, the start-up probe, and what the public sees meanwhile. Sources: C2SP
//! tlog-witness and tlog-policy.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::path::Path;
use std::time::Duration;

use daybook::log::{AddError, EngineError};
use daybook::pool::{Outcome, SubmitError};
use daybook::publish::PublishError;
use daybook::store::disk::fault::{Fault, How};
use tests::check::{check, root_at};
use tests::cosigners::Mood;
use tests::{Bench, Running, copy_all};
use tlog::ids::{TreeHead, TreeSize, UnixMillis};
use tlog::note::Note;
use tlog::policy::PolicyError;
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

const DEADLINE: Duration = Duration::from_secs(5);

/// A log with four witnesses, three of which must cosign, past its start-up probe.
fn started() -> (Bench, Running) {
    let bench = Bench::with_witnesses(3, 4);
    let running = restart(&bench);
    (bench, running)
}

fn restart(bench: &Bench) -> Running {
    let mut running = bench.start().unwrap();
    running.step().unwrap();
    running
}

/// The checkpoint file, as any web server would serve it.
fn public(bench: &Bench) -> Note {
    Note::parse(&std::fs::read(bench.dir().join("public/checkpoint")).unwrap()).unwrap()
}

/// The public checkpoint is accepted by the policy that verifiers hold; how many operators have cosigned it.
fn accepted(bench: &Bench, running: &Running) -> (TreeHead, usize) {
    let note = public(bench);
    let checkpoint = running.log.policy.verify(&note).unwrap();
    let mut names: Vec<_> = checkpoint.cosignatures().iter().map(|one| one.key.name().to_string()).collect();
    names.sort();
    names.dedup();
    assert_eq!(running.log.published().note, note.to_bytes(), "memory and file say the same");
    (checkpoint.head(), names.len())
}

fn size(running: &Running) -> u64 {
    running.log.published().head().size.get()
}

fn answer(answer: &mut Receiver<Outcome>) -> Option<Outcome> {
    match answer.try_recv() {
        Ok(outcome) => Some(outcome),
        Err(TryRecvError::Empty) => None,
        Err(TryRecvError::Closed) => panic!("an engine that lives answers"),
    }
}

/// Lets time pass in small steps, as the server's threads would see it.
fn pass(bench: &Bench, running: &mut Running, time: Duration) {
    for _ in 0..time.as_millis() / 50 {
        bench.clock.advance(Duration::from_millis(50));
        running.engine.step().unwrap();
    }
}

fn end_of(running: &mut Running) -> String {
    match running.step() {
        Err(EngineError::Publish(error @ PublishError::Cosign(_))) => error.to_string(),
        other => panic!("the log has to end: {other:?}"),
    }
}

#[test]
fn a_new_log_is_cosigned_before_its_first_entry_and_every_receipt_has_a_quorum() {
    let (bench, mut running) = started();
    assert_eq!(accepted(&bench, &running), (TreeHead::EMPTY, 4));
    for number in 0..5_u64 {
        running.add(&[&number.to_be_bytes()]).unwrap().unwrap();
        let (head, cosigned) = accepted(&bench, &running);
        assert_eq!((head.size.get(), cosigned), (number + 1, 4));
    }
    let board = running.log.board.clone().unwrap();
    assert_eq!((board.margin(), board.trouble()), (Some(1), None));
}

#[test]
fn without_a_quorum_nothing_is_published_and_nothing_is_lost() {
    let (bench, mut running) = started();
    running.add(&[b"before"]).unwrap().unwrap();
    let before = public(&bench);
    bench.witnesses.set(0, Mood::Down);
    bench.witnesses.set(1, Mood::Down);
    let mut waiting = running.submit(&[b"during"]).unwrap();
    running.step().unwrap();
    assert_eq!(running.log.heads.committed().get(), 2, "commits never wait for witnesses");
    assert!(answer(&mut waiting).is_none(), "receipts do");
    pass(&bench, &mut running, DEADLINE + Duration::from_secs(1));
    assert_eq!(answer(&mut waiting), Some(Err(SubmitError::Unknown)));
    assert_eq!(public(&bench), before);
    let trouble = running.log.board.as_ref().unwrap().trouble().unwrap();
    assert!(trouble.contains("w1 cannot be reached") && trouble.contains("w2"), "{trouble}");
    assert!(!trouble.contains("w3"), "{trouble}");
    assert_eq!(running.log.board.as_ref().unwrap().margin(), Some(-1));

    // The same bytes again: the entry is known, and its duplicate waits for publication too.
    let mut again = running.submit(&[b"during"]).unwrap();
    running.step().unwrap();
    assert_eq!(running.log.heads.committed().get(), 2, "a duplicate costs no place");
    assert!(answer(&mut again).is_none());

    bench.witnesses.set(1, Mood::Honest);
    pass(&bench, &mut running, DEADLINE);
    let placed = answer(&mut again).unwrap().unwrap();
    let placed = placed[0].as_ref().expect("an entry");
    assert!(placed.index.get() == 1 && placed.duplicate);
    assert_eq!(accepted(&bench, &running).0.size.get(), 2);
    assert_eq!(running.log.board.as_ref().unwrap().trouble(), None);
    let audited = check(&bench.dir().join("public"), running.log.signer.verifier_keys());
    assert_eq!(audited.entries, [b"before".to_vec(), b"during".to_vec()]);
}

#[test]
fn what_waits_for_witnesses_is_bounded_and_refused_before_it_is_committed() {
    let mut bench = Bench::with_witnesses(3, 4);
    bench.config.limits.unpublished_entries_max = 10;
    let mut running = restart(&bench);
    bench.witnesses.set_all(&Mood::Down);
    let mut refused = None;
    for number in 0..20_u64 {
        let mut waiting = running.submit(&[&number.to_be_bytes()]).unwrap();
        running.step().unwrap();
        if let Some(outcome) = answer(&mut waiting) {
            refused = Some((number, outcome));
            break;
        }
    }
    let (number, outcome) = refused.expect("the tail is bounded");
    assert_eq!((number, running.log.heads.committed().get()), (10, 10));
    assert!(
        matches!(&outcome, Err(SubmitError::Closed(reason)) if reason.contains("publication")),
        "{outcome:?}"
    );
    bench.witnesses.set_all(&Mood::Honest);
    pass(&bench, &mut running, DEADLINE);
    assert_eq!(size(&running), 10);
    running.add(&[b"room again"]).unwrap().unwrap();
}

#[test]
fn fail_open_publishes_after_the_deadline_and_late_cosignatures_join() {
    let mut bench = Bench::with_witnesses(3, 4);
    bench.config.witnesses.fail_open = true;
    let mut running = restart(&bench);
    bench.witnesses.set(0, Mood::Down);
    bench.witnesses.set(1, Mood::Down);
    let mut waiting = running.submit(&[b"entry"]).unwrap();
    running.step().unwrap();
    assert!(answer(&mut waiting).is_none());
    bench.clock.advance(DEADLINE);
    running.engine.step().unwrap();
    assert!(answer(&mut waiting).unwrap().is_ok());
    let refused = running.log.policy.verify(&public(&bench)).unwrap_err();
    assert!(matches!(refused, PolicyError::Quorum { .. }), "verifiers still ask for their quorum: {refused}");
    assert!(running.log.board.as_ref().unwrap().trouble().is_some(), "and the operator is told");
    bench.witnesses.set_all(&Mood::Honest);
    pass(&bench, &mut running, Duration::from_secs(8));
    assert_eq!(accepted(&bench, &running).1, 4);
}

#[test]
fn a_stalled_witness_delays_nobody_and_its_late_cosignature_joins_the_same_checkpoint() {
    let (bench, mut running) = started();
    bench.witnesses.set(2, Mood::Stalled);
    running.add(&[b"one"]).unwrap().unwrap();
    let (head, cosigned) = accepted(&bench, &running);
    assert_eq!((head.size.get(), cosigned), (1, 3));
    bench.witnesses.set(2, Mood::Honest);
    bench.witnesses.release();
    running.step().unwrap();
    assert_eq!(accepted(&bench, &running), (head, 4), "the same head, with more cosignatures");

    // One that is slow with an old head is asked for the newest when it is free, and delays no head between.
    bench.witnesses.set(2, Mood::Stalled);
    for number in 0..5_u64 {
        running.add(&[&number.to_be_bytes()]).unwrap().unwrap();
    }
    assert_eq!(size(&running), 6);
    bench.witnesses.set(2, Mood::Honest);
    bench.witnesses.release();
    running.step().unwrap();
    assert_eq!(accepted(&bench, &running).1, 4);
    assert_eq!(bench.witnesses.cosigned(2).size.get(), 6);
}

#[test]
fn a_head_that_gathers_is_published_though_newer_ones_are_committed_and_flushed() {
    let (bench, mut running) = started();
    running.add(&[&[b"x".as_slice(); 1][..]].concat()).unwrap().unwrap();
    bench.witnesses.set_all(&Mood::Stalled);
    let mut first = running.submit(&[b"in the round"]).unwrap();
    running.step().unwrap();
    // Meanwhile the tile that this head needs a part of fills up, and is flushed.
    let more: Vec<Vec<u8>> = (0..300).map(|number: u32| number.to_be_bytes().to_vec()).collect();
    let more: Vec<&[u8]> = more.iter().map(Vec::as_slice).collect();
    let mut second = running.submit(&more).unwrap();
    running.step().unwrap();
    running.engine.housekeeper.step().unwrap();
    assert_eq!((running.log.heads.committed().get(), size(&running)), (302, 1));
    assert!(bench.dir().join("public/tile/0/000.p/2").exists(), "a round's head keeps its partial tiles");
    assert!(bench.dir().join("public/tile/entries/000.p/1").exists(), "so does the published one");
    bench.witnesses.set_all(&Mood::Honest);
    bench.witnesses.release();
    running.engine.publisher.step(Duration::ZERO).unwrap().unwrap();
    assert!(answer(&mut first).unwrap().is_ok() && answer(&mut second).unwrap().is_ok());
    assert_eq!(accepted(&bench, &running).0.size.get(), 302);
    running.engine.housekeeper.step().unwrap();
    assert!(!bench.dir().join("public/tile/0/000.p").exists());
}

/// The witness asks for a resynchronisation: "409 Conflict ... the tree size of the latest cosigned checkpoint".
#[test]
fn a_witness_that_is_behind_gets_a_proof_from_its_own_size() {
    let (bench, mut running) = started();
    for number in 0..300_u64 {
        running.add(&[&number.to_be_bytes()]).unwrap().unwrap();
    }
    let audited = check(&bench.dir().join("public"), running.log.signer.verifier_keys());
    for old in [0, 1, 2, 127, 255, 256, 257, 299, 300] {
        let old = TreeSize::new(old).unwrap();
        bench.witnesses.rewind(1, TreeHead { size: old, root: root_at(&audited, old) });
        running.add(&[&[7, u8::try_from(old.get() % 251).unwrap()]]).unwrap().unwrap();
        assert_eq!(accepted(&bench, &running).1, 4, "from {old}");
    }
}

#[test]
fn signatures_that_do_not_verify_never_enter_the_checkpoint() {
    let (bench, mut running) = started();
    bench.witnesses.set(0, Mood::Chatty);
    bench.witnesses.set(1, Mood::Forges);
    running.add(&[b"entry"]).unwrap().unwrap();
    assert_eq!(accepted(&bench, &running).1, 3);
    let note = public(&bench);
    assert!(note.signatures().iter().all(|line| !line.name().as_str().starts_with("stranger")));
    assert!(note.signatures().iter().all(|line| line.signature() != [1; 72]));
    // Below quorum the forger does not help.
    bench.witnesses.set(2, Mood::Down);
    let mut waiting = running.submit(&[b"another"]).unwrap();
    pass(&bench, &mut running, DEADLINE + Duration::from_secs(1));
    assert_eq!(answer(&mut waiting), Some(Err(SubmitError::Unknown)));
}

#[test]
fn witnesses_that_answer_nonsense_are_asked_less_often_and_stop_nothing() {
    let nonsense = [
        Mood::Says(200, "text/plain", b"hello\n".to_vec()),
        Mood::Says(200, "text/plain", Vec::new()),
        Mood::Says(409, "text/plain", b"1\n".to_vec()),
        Mood::Says(409, "text/x.tlog.size", b"one\n".to_vec()),
        Mood::Says(404, "text/plain", Vec::new()),
        Mood::Says(403, "text/plain", Vec::new()),
        Mood::Says(429, "text/plain", Vec::new()),
        Mood::Says(500, "text/html", b"<html>".to_vec()),
        Mood::Claims(0),
    ];
    let (bench, mut running) = started();
    for mood in nonsense {
        bench.witnesses.set(3, mood.clone());
        let asked = bench.witnesses.asked(3);
        for number in 0..50_u64 {
            running.add(&[format!("{mood:?} {number}").as_bytes()]).unwrap().unwrap();
        }
        assert!(
            bench.witnesses.asked(3) - asked < 10,
            "{mood:?}: a failing witness is left alone for a while"
        );
        bench.witnesses.set(3, Mood::Honest);
        pass(&bench, &mut running, Duration::from_secs(6));
        assert_eq!(accepted(&bench, &running).1, 4, "{mood:?}: it is asked again, for what is shown");
    }
}

#[test]
fn an_idle_log_has_its_fresh_head_cosigned_and_one_below_quorum_does_not_pile_up_heads() {
    let (bench, mut running) = started();
    let first = running.log.published().time;
    bench.clock.advance(Duration::from_secs(61));
    running.engine.housekeeper.step().unwrap();
    running.step().unwrap();
    assert!(running.log.published().time.get() >= first.get() + 61_000);
    assert_eq!(accepted(&bench, &running).1, 4);
    bench.witnesses.set_all(&Mood::Down);
    let before = running.engine.sequencer.committed_seq();
    for _ in 0..600 {
        bench.clock.advance(Duration::from_secs(1));
        running.engine.housekeeper.step().unwrap();
        running.engine.step().unwrap();
    }
    let heads = running.engine.sequencer.committed_seq() - before;
    assert!((8..=11).contains(&heads), "one fresh head a minute, not {heads}");
}

#[test]
fn a_cosignature_that_was_visible_is_never_taken_back() {
    let (bench, mut running) = started();
    running.add(&[b"entry"]).unwrap().unwrap();
    let before = public(&bench);
    // A power cut takes the checkpoint file, which is not synced; the ledger has it.
    for damage in [None, Some(Vec::new()), Some(before.to_bytes()[..40].to_vec())] {
        drop(running);
        let file = bench.dir().join("public/checkpoint");
        match damage {
            None => std::fs::remove_file(&file).unwrap(),
            Some(bytes) => std::fs::write(&file, bytes).unwrap(),
        }
        bench.witnesses.set_all(&Mood::Down);
        running = bench.start().unwrap();
        assert_eq!(public(&bench), before, "cosignatures included, and before any witness has answered");
        running.step().unwrap();
        assert_eq!(public(&bench), before);
        bench.witnesses.set_all(&Mood::Honest);
    }
    // A copy that was late joins, and survives as well.
    bench.witnesses.set(0, Mood::Stalled);
    pass(&bench, &mut running, Duration::from_secs(6));
    running.add(&[b"another"]).unwrap().unwrap();
    bench.witnesses.set(0, Mood::Honest);
    bench.witnesses.release();
    pass(&bench, &mut running, Duration::from_secs(6));
    let (_, cosigned) = accepted(&bench, &running);
    assert_eq!(cosigned, 4);
    let before = public(&bench);
    running.engine.housekeeper.finish().unwrap();
    drop(running);
    std::fs::remove_file(bench.dir().join("public/checkpoint")).unwrap();
    let running = bench.start().unwrap();
    assert_eq!(public(&bench), before);
    drop(running);
}

/// Every disk operation of a round fails, between the commit and the moment the checkpoint is visible.
#[test]
fn a_crash_between_cosignature_and_publication_loses_nothing_and_publishes_no_less() {
    let mut crashes = 0;
    for at in 0..12 {
        for how in [How::Fails, How::FailsButDone] {
            let bench = Bench::with(true, 3, 4);
            let mut running = restart(&bench);
            running.add(&[b"before"]).unwrap().unwrap();
            bench.disk.set(Some(Fault { at, how, once: false }));
            let answered = running.add(&[b"during"]).unwrap();
            let visible = public(&bench);
            drop(running);
            bench.disk.set(None);
            let mut running = bench.start().unwrap();
            let shown = running.log.policy.verify(&public(&bench)).unwrap();
            let seen = running.log.policy.verify(&visible).unwrap();
            assert!(shown.head().size >= seen.head().size && shown.tree_head_time() >= seen.tree_head_time());
            running.step().unwrap();
            if answered.is_some() {
                assert_eq!(size(&running), 2, "{at} {how:?}");
            } else {
                crashes += 1;
            }
            let placed = running.add(&[b"during"]).unwrap().unwrap();
            assert_eq!(placed[0].index.get(), 1, "{at} {how:?}");
            assert_eq!(accepted(&bench, &running).1, 4);
        }
    }
    assert!(crashes > 6, "the faults hit the round: {crashes}");
}

#[test]
fn nothing_is_signed_before_enough_witnesses_have_said_what_they_know() {
    let (bench, mut running) = started();
    running.add(&[b"entry"]).unwrap().unwrap();
    drop(running);
    // 3 of 4: the two that are silent might have made something public with one of the others.
    bench.witnesses.set(0, Mood::Down);
    bench.witnesses.set(1, Mood::Says(404, "text/plain", Vec::new()));
    bench.witnesses.set(2, Mood::Stalled);
    let mut running = bench.start().unwrap();
    let committed = running.engine.sequencer.committed_seq();
    bench.clock.advance(Duration::from_secs(120));
    running.engine.housekeeper.step().unwrap();
    pass(&bench, &mut running, DEADLINE);
    assert_eq!(running.engine.sequencer.committed_seq(), committed, "no refresh either: it would be signed");
    let refused = running.submit(&[b"more"]).unwrap_err();
    assert!(matches!(refused, AddError::Submit(SubmitError::Closed(_))), "{refused}");
    let trouble = running.log.board.as_ref().unwrap().trouble().unwrap();
    assert!(
        trouble.contains("w1 cannot be reached") && trouble.contains("w2 does not know this log"),
        "{trouble}"
    );
    assert_eq!(size(&running), 1, "reads go on");
    bench.witnesses.set(0, Mood::Honest);
    pass(&bench, &mut running, Duration::from_secs(6));
    let more = running.submit(&[b"more"]);
    more.unwrap_or_else(|error| panic!("two of four are in every quorum of three: {error}"));
    running.step().unwrap();
    assert_eq!(running.log.heads.committed().get(), 2);
    assert_eq!(size(&running), 1, "and are not a quorum");
}

/// Whoever answers first, the outcome is the same: one that knows more is heard, if it answers in time.
#[test]
fn at_the_start_a_slow_witness_is_heard_until_the_deadline_and_waited_for_no_longer() {
    let (bench, mut running) = started();
    running.add(&[b"entry"]).unwrap().unwrap();
    drop(running);
    bench.witnesses.set(2, Mood::Stalled);
    let mut running = restart(&bench);
    assert!(running.submit(&[b"too early"]).is_err(), "the other three would be enough");
    bench.witnesses.set(2, Mood::Claims(4711));
    bench.witnesses.release();
    assert!(end_of(&mut running).contains("4711"));
    drop(running);
    bench.witnesses.set(2, Mood::Stalled);
    let mut running = restart(&bench);
    pass(&bench, &mut running, DEADLINE);
    running.add(&[b"after the deadline"]).unwrap().unwrap();
    assert_eq!(accepted(&bench, &running).1, 3);
}

/// The copy of the directory from before the last entries, with the clock where it is.
struct Restored {
    bench: Bench,
}

fn restored(anchor: bool, anchor_too: bool) -> Restored {
    let bench = Bench::with(anchor, 3, 4);
    let mut running = restart(&bench);
    for number in 0..20_u64 {
        running.add(&[&number.to_be_bytes()]).unwrap().unwrap();
    }
    running.engine.housekeeper.finish().unwrap();
    drop(running);
    let (copy, other) = (bench.root().join("copy"), bench.root().join("other-volume"));
    copy_all(&bench.dir(), &copy);
    if anchor_too {
        copy_all(&other, &bench.root().join("copy-of-other"));
    }
    let mut running = restart(&bench);
    running.add(&[b"promised"]).unwrap().unwrap();
    running.engine.housekeeper.finish().unwrap();
    drop(running);
    put_back(&copy, &bench.dir());
    if anchor_too {
        put_back(&bench.root().join("copy-of-other"), &other);
    }
    Restored { bench }
}

fn put_back(copy: &Path, to: &Path) {
    std::fs::remove_dir_all(to).unwrap();
    copy_all(copy, to);
}

#[test]
fn a_log_restored_from_an_older_copy_refuses_by_its_anchor() {
    let Restored { bench } = restored(true, false);
    let refused = bench.start().unwrap_err().to_string();
    assert!(refused.contains("anchor") && refused.contains("21") && refused.contains("20"), "{refused}");
}

#[test]
fn a_log_restored_together_with_its_anchor_refuses_by_its_witnesses() {
    let Restored { bench } = restored(true, true);
    let mut running = bench.start().unwrap();
    let said = end_of(&mut running);
    for word in ["w1", "21", "20", "old copy", "mirror", "--without-witness w1", "signed"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn a_log_restored_from_an_older_copy_refuses_though_one_witness_lags_and_another_is_away() {
    let Restored { bench } = restored(false, false);
    bench.witnesses.rewind(0, TreeHead::EMPTY);
    bench.witnesses.set(1, Mood::Down);
    let mut running = bench.start().unwrap();
    let said = end_of(&mut running);
    assert!(said.contains("w3") || said.contains("w4"), "{said}");
    // The one that lags is not enough to begin with: one of four is not in every quorum of three.
    drop(running);
    bench.witnesses.set(2, Mood::Stalled);
    bench.witnesses.set(3, Mood::Down);
    let mut running = bench.start().unwrap();
    pass(&bench, &mut running, Duration::from_secs(1));
    assert!(running.submit(&[b"fork"]).is_err());
    bench.witnesses.set(2, Mood::Honest);
    bench.witnesses.release();
    let said = end_of(&mut running);
    assert!(said.contains("w3"), "{said}");
}

#[test]
fn the_operator_who_knows_that_a_witness_is_wrong_leaves_it_out() {
    let (mut bench, mut running) = started();
    running.add(&[b"entry"]).unwrap().unwrap();
    drop(running);
    bench.witnesses.set(1, Mood::Claims(4711));
    let mut running = bench.start().unwrap();
    let said = end_of(&mut running);
    assert!(said.contains("4711") && said.contains("no signature"), "{said}");
    drop(running);
    bench.config.witnesses.left_out = vec!["w2".to_owned()];
    let asked = bench.witnesses.asked(1);
    let mut running = restart(&bench);
    running.add(&[b"more"]).unwrap().unwrap();
    assert_eq!(accepted(&bench, &running).1, 3);
    assert_eq!(bench.witnesses.asked(1), asked, "it is not asked at all");
    drop(running);
    bench.config.witnesses.left_out = vec!["w9".to_owned()];
    assert!(bench.start().unwrap_err().to_string().contains("w1, w2, w3, w4"));
}

#[test]
fn a_larger_tree_that_a_witness_claims_while_the_log_runs_excludes_it_and_stops_nothing() {
    let (bench, mut running) = started();
    bench.witnesses.set(1, Mood::Claims(4711));
    for number in 0..5_u64 {
        running.add(&[&number.to_be_bytes()]).unwrap().unwrap();
        assert_eq!(accepted(&bench, &running).1, 3);
    }
    let asked = bench.witnesses.asked(1);
    bench.witnesses.set(1, Mood::Honest);
    pass(&bench, &mut running, Duration::from_secs(20));
    running.add(&[b"more"]).unwrap().unwrap();
    assert_eq!(bench.witnesses.asked(1), asked, "it is not asked again before a restart");
    assert_eq!(running.log.board.as_ref().unwrap().margin(), Some(0));
    drop(running);
    assert_eq!(accepted(&bench, &restart(&bench)).1, 4);
}

/// Signs a head with this log's key, as someone who has stolen it would.
fn signed_elsewhere(running: &Running, head: TreeHead) -> Vec<u8> {
    let time = UnixMillis::new(tests::START + 1);
    running.log.signer.sign(head, time).unwrap().note().to_bytes()
}

#[test]
fn a_note_with_our_own_signature_on_another_tree_ends_the_process_and_is_kept() {
    let other = tlog::hash::leaf_hash(b"another tree");
    // A larger one, and one of a size that we have.
    for (size, mood) in [(4711, Mood::Claims(4711)), (2, Mood::Says(422, "text/plain", Vec::new()))] {
        let (bench, mut running) = started();
        for number in 0..3_u64 {
            running.add(&[&number.to_be_bytes()]).unwrap().unwrap();
        }
        let head = TreeHead { size: TreeSize::new(size).unwrap(), root: other };
        let note = signed_elsewhere(&running, head);
        // A `Says` would answer with the same for the note as well: it is shown by a witness that has rewound.
        bench.witnesses.show(1, note.clone());
        match mood {
            Mood::Claims(_) => bench.witnesses.set(1, mood),
            _ => bench.witnesses.rewind(1, TreeHead { size: TreeSize::new(2).unwrap(), root: other }),
        }
        let waiting = running.submit(&[b"more"]).unwrap();
        let said = end_of(&mut running);
        assert!(said.contains("w2") && said.contains("contradiction"), "{said}");
        let kept = bench.dir().join(format!("contradiction-{size}.checkpoint"));
        assert_eq!(std::fs::read(kept).unwrap(), note);
        drop(waiting);
    }
}

#[test]
fn a_note_that_our_key_has_not_signed_is_no_reason_to_stop() {
    let (bench, mut running) = started();
    running.add(&[b"entry"]).unwrap().unwrap();
    let ours = String::from_utf8(bench.witnesses.shown(1).unwrap()).unwrap();
    for note in [ours.replacen("\n1\n", "\n2\n", 1), "nothing".to_owned(), ours] {
        bench.witnesses.show(1, note.into_bytes());
        bench.witnesses.set(1, Mood::Claims(99));
        running.add(&[b"more"]).unwrap();
        drop(running);
        bench.witnesses.set(1, Mood::Honest);
        running = restart(&bench);
    }
}

#[test]
fn a_policy_that_changes_is_met_before_anything_new_is_shown() {
    let mut bench = Bench::new();
    let mut running = bench.start().unwrap();
    running.add(&[b"before the witnesses came"]).unwrap().unwrap();
    let witnesses = tests::cosigners::Witnesses::new(4);
    witnesses.accept(running.log.signer.verifier_keys());
    let policy = witnesses.policy(3, |at| format!("http://w{at}.invalid"));
    let policy = policy.for_log(running.log.signer.verifier_keys()[0].clone(), None);
    drop(running);
    std::fs::write(bench.dir().join("policy.txt"), policy.to_bytes()).unwrap();
    bench.witnesses = witnesses;
    let mut running = bench.start().unwrap();
    assert!(running.log.policy.verify(&public(&bench)).is_err(), "what was shown stays");
    running.step().unwrap();
    assert_eq!(accepted(&bench, &running).0.size.get(), 1);
    std::fs::remove_file(bench.dir().join("policy.txt")).unwrap();
    drop(running);
    assert!(
        bench.start().unwrap_err().to_string().contains("policy.txt"),
        "a lost policy is not a policy of none"
    );
}
