//! What a witness must never forget: start-up refusals, races, crashes at each step, commits of unknown outcome.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use daemon::clock::{Clock, ManualClock, SystemClock};
use tests::testlog::TestLog;
use tests::witness::{InProcess, WitnessSite, cosigned, serve, verified};
use tlog::ids::TreeHead;
use witness::judge::Refusal;
use witness::probe::{Fault, Point, Probe};
use witness::witness::AddError;

const ORIGIN: &str = "log.example/witnessed";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn refusal(site: &WitnessSite) -> String {
    let said = site.try_start().expect_err("it must not start");
    let said: serde_json::Value = serde_json::from_str(&said).expect("an error in JSON");
    assert_eq!(said["exit_code"], 3);
    said["error"].as_str().expect("words").to_owned()
}

#[test]
fn a_missing_state_is_never_made_anew() {
    let site = WitnessSite::new();
    let state = site.dir().join("state.sqlite");
    std::fs::remove_file(&state).unwrap();
    assert!(refusal(&site).contains("is missing"));
    assert!(!state.exists());
}

#[test]
fn a_copied_state_is_refused_until_the_operator_vouches_for_it() {
    let (site, log) = (WitnessSite::new(), TestLog::new(ORIGIN, 1, 9));
    site.follow(&log, &[]);
    let server = site.start();
    assert_eq!(server.add(&log.request(0, 5)).status, 200);
    assert_eq!(server.stop(), 0);
    let (state, copy) = (site.dir().join("state.sqlite"), site.root().join("copy"));
    std::fs::copy(&state, &copy).unwrap();
    std::fs::rename(&copy, &state).unwrap();
    assert!(refusal(&site).contains("is a copy"));
    assert_eq!(site.run(&["adopt"], &[]).status.code(), Some(2), "without the words it does nothing");
    let adopted = site.run(&["adopt"], &["--this-is-the-newest-copy"]);
    assert!(adopted.status.success(), "{adopted:?}");
    assert_eq!(site.start().add(&log.request(0, 9)).text(), "5\n");
}

#[test]
fn a_state_of_other_keys_is_refused_even_when_it_is_vouched_for() {
    let (site, other) = (WitnessSite::new(), WitnessSite::new());
    std::fs::remove_dir_all(site.dir().join("keys")).unwrap();
    std::fs::rename(other.dir().join("keys"), site.dir().join("keys")).unwrap();
    assert!(refusal(&site).contains("belongs to other keys"));
    assert_eq!(site.run(&["adopt"], &["--this-is-the-newest-copy"]).status.code(), Some(3));
}

#[test]
fn a_state_that_was_rolled_back_in_place_is_behind_its_counter() {
    let root = tempfile::tempdir().unwrap();
    let counter = root.path().join("other-volume/counter").to_string_lossy().into_owned();
    let (site, log) = (WitnessSite::with(&["--counter", &counter]), TestLog::new(ORIGIN, 1, 9));
    site.follow(&log, &[]);
    let server = site.start();
    assert_eq!(server.add(&log.request(0, 5)).status, 200);
    assert_eq!(server.stop(), 0);
    let state = site.dir().join("state.sqlite");
    let old = std::fs::read(&state).unwrap();
    let server = site.start();
    assert_eq!(server.add(&log.request(5, 9)).status, 200);
    assert_eq!(server.stop(), 0);
    // Written into the same file, as a snapshot of the volume would.
    std::fs::write(&state, &old).unwrap();
    assert!(refusal(&site).contains("has been rolled back"));
    assert_eq!(
        site.run(&["adopt"], &["--this-is-the-newest-copy"]).status.code(),
        Some(3),
        "nobody overrules it"
    );
    std::fs::remove_file(&counter).unwrap();
    assert!(refusal(&site).contains("cannot be used"), "nor does losing the counter");
}

#[test]
fn keys_that_others_can_read_and_a_second_process_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let site = WitnessSite::new();
    let server = site.start();
    assert!(refusal(&site).contains("in use by another process"));
    assert_eq!(server.stop(), 0);
    let key = site.dir().join("keys/1/ml-dsa-44.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(refusal(&site).contains("chmod 600"));
}

#[test]
fn keys_are_rotated_at_rest_and_old_cosignatures_still_count_for_subtrees() {
    let (site, log) = (WitnessSite::new(), TestLog::new(ORIGIN, 1, 9));
    site.follow(&log, &[]);
    let server = site.start();
    let request = log.request(0, 5);
    let answer = server.add(&request);
    let lines = tlog::witness_wire::parse_cosignatures(&answer.body).unwrap();
    assert_eq!(site.run(&["key", "rotate"], &[]).status.code(), Some(3), "not while it serves");
    assert_eq!(server.stop(), 0);
    let rotated = site.run(&["key", "rotate", "--json"], &[]);
    assert!(rotated.status.success(), "{rotated:?}");
    let server = site.start();
    let keys = server.said["witnesses"][0]["vkeys"].as_array().unwrap().clone();
    let keys: Vec<tlog::vkey::VerifierKey> =
        keys.iter().map(|key| key.as_str().unwrap().parse().unwrap()).collect();
    assert!(keys.iter().all(|key| !site.keys.contains(key)));
    let old = request.checkpoint.with_signatures(lines).unwrap();
    let subtree = log.subtree_request(0, 4, old, 5);
    assert_eq!(server.send("POST", "/sign-subtree", &subtree.to_bytes()).status, 200);
    let request = log.request(5, 9);
    assert_eq!(cosigned(&server.add(&request), &request.checkpoint, &keys).len(), 2, "nothing was forgotten");
}

#[test]
fn of_requests_that_race_one_wins_and_nothing_is_ever_rolled_back() {
    let (site, log) = (WitnessSite::new(), TestLog::new(ORIGIN, 1, 200));
    site.follow(&log, &[]);
    let server = site.start();
    let mut has = 0;
    for round in 0..30 {
        let sizes: Vec<u64> = (1..=4).map(|step| has + step).collect();
        let answers: Vec<(u64, u16)> = std::thread::scope(|scope| {
            let (server, log) = (&server, &log);
            let ask = |size: u64| scope.spawn(move || (size, server.add(&log.request(has, size)).status));
            let asked: Vec<_> = sizes.iter().map(|size| ask(*size)).collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        let won: Vec<u64> =
            answers.iter().filter(|(_, status)| *status == 200).map(|(size, _)| *size).collect();
        assert_eq!(won.len(), 1, "round {round}: {answers:?}");
        assert!(answers.iter().all(|(_, status)| matches!(status, 200 | 409)), "{answers:?}");
        has = won[0];
        assert_eq!(server.add(&log.request(200, 200)).text(), format!("{has}\n"));
    }
}

/// Stalls the first who comes to a point until it is opened.
#[derive(Default)]
struct Gate {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().expect("nobody panics");
        if !state.0 {
            state.0 = true;
            self.changed.notify_all();
            drop(self.changed.wait_while(state, |state| !state.1).expect("nobody panics"));
        }
    }

    fn wait_for_the_first(&self) {
        drop(
            self.changed
                .wait_while(self.state.lock().expect("nobody panics"), |state| !state.0)
                .expect("nobody panics"),
        );
    }

    fn open(&self) {
        self.state.lock().expect("nobody panics").1 = true;
        self.changed.notify_all();
    }
}

#[test]
fn a_request_that_stalls_between_check_and_commit_loses_to_a_later_size() {
    // "Note that checking the old size against the latest checkpoint and persisting the new checkpoint must be performed
    // atomically, otherwise ... rolling back K leaves".
    let root = tempfile::tempdir().unwrap();
    let (dir, log) = (root.path().join("w"), TestLog::new(ORIGIN, 1, 20));
    InProcess::make(&dir, &[&log], &SystemClock);
    let gate = Arc::new(Gate::default());
    let stalled = Arc::clone(&gate);
    let probe = Probe::new(move |point| {
        if point == Point::Judged {
            stalled.pass();
        }
        Ok(())
    });
    let running = InProcess::start(&dir, Arc::new(SystemClock), probe);
    runtime().block_on(async {
        let (witness, body) = (Arc::clone(&running.witness), log.request(0, 5).to_bytes());
        let slow = tokio::spawn(async move { witness.add_checkpoint(&body).await });
        gate.wait_for_the_first();
        running.witness.add_checkpoint(&log.request(0, 9).to_bytes()).await.expect("the later size");
        gate.open();
        let lost = slow.await.unwrap().expect_err("the stalled one");
        assert!(matches!(lost, AddError::Refused(Refusal::Conflict(size)) if size.get() == 9), "{lost:?}");
        running.witness.add_checkpoint(&log.request(9, 20).to_bytes()).await.expect("and on");
    });
    running.end().unwrap();
}

#[test]
fn a_commit_of_unknown_outcome_is_answered_as_such_and_read_again() {
    for point in [Point::BeforeCommit, Point::AfterCommit] {
        let root = tempfile::tempdir().unwrap();
        let (dir, log) = (root.path().join("w"), TestLog::new(ORIGIN, 1, 20));
        InProcess::make(&dir, &[&log], &SystemClock);
        let fails = Arc::new(AtomicBool::new(false));
        let failing = Arc::clone(&fails);
        let hook =
            move |at| if at == point && failing.swap(false, Ordering::SeqCst) { Err(Fault) } else { Ok(()) };
        let running = InProcess::start(&dir, Arc::new(SystemClock), Probe::new(hook));
        runtime().block_on(async {
            let ask =
                async |old, new| running.witness.add_checkpoint(&log.request(old, new).to_bytes()).await;
            ask(0, 5).await.expect("cosigned");
            fails.store(true, Ordering::SeqCst);
            assert!(matches!(ask(5, 9).await, Err(AddError::Unknown)));
            let has = if point == Point::AfterCommit { 9 } else { 5 };
            let told = ask(20, 20).await.expect_err("a conflict");
            assert!(
                matches!(told, AddError::Refused(Refusal::Conflict(size)) if size.get() == has),
                "{told:?}"
            );
            let fork = log.fork(7, 9, "fork").request(5, 9).to_bytes();
            let forked = running.witness.add_checkpoint(&fork).await;
            assert_eq!(forked.is_ok(), has == 5, "only what was never committed can be replaced");
            if has == 9 {
                ask(9, 20).await.expect("it goes on from what it read");
            }
        });
        running.end().unwrap();
    }
}

/// The environment of the child that dies: the point, and the directory.
const CRASH_AT: &str = "DAYBOOK_TEST_CRASH_AT";
const CRASH_IN: &str = "DAYBOOK_TEST_CRASH_IN";

#[test]
#[ignore = "is the child of the test below, which starts it"]
fn crash_child() {
    let dir = std::env::var(CRASH_IN).expect("started by the test below");
    let at: usize = std::env::var(CRASH_AT).expect("a point").parse().expect("a number");
    let log = TestLog::new(ORIGIN, 1, 20);
    let hook = move |point| if point == Point::ALL[at] { std::process::abort() } else { Ok(()) };
    let running = InProcess::start(Path::new(&dir), Arc::new(SystemClock), Probe::new(hook));
    let body = log.request(5, 9).to_bytes();
    let answered = runtime().block_on(running.witness.add_checkpoint(&body));
    panic!("it was to die: {answered:?}");
}

#[test]
fn a_crash_at_any_step_leaves_a_head_that_the_client_can_go_on_from() {
    for (at, point) in Point::ALL.into_iter().enumerate() {
        let root = tempfile::tempdir().unwrap();
        let (dir, log) = (root.path().join("w"), TestLog::new(ORIGIN, 1, 20));
        let keys = InProcess::make(&dir, &[&log], &SystemClock);
        let running = InProcess::start(&dir, Arc::new(SystemClock), Probe::none());
        runtime().block_on(running.witness.add_checkpoint(&log.request(0, 5).to_bytes())).expect("cosigned");
        running.end().unwrap();
        let died = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "crash_child"])
            .env(CRASH_AT, at.to_string())
            .env(CRASH_IN, &dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(died.code(), None, "{point:?}: a signal ended it");
        let server = serve(&[dir]).expect("it starts again");
        let durable = matches!(point, Point::AfterCommit | Point::AfterCounter);
        let retried = server.add(&log.request(5, 9));
        assert_eq!(retried.status, if durable { 409 } else { 200 }, "{point:?}: {}", retried.text());
        if durable {
            assert_eq!(retried.text(), "9\n");
            let again = log.request(9, 9);
            assert_eq!(cosigned(&server.add(&again), &again.checkpoint, &keys).len(), 2);
        }
    }
}

#[test]
fn a_clock_behind_the_last_cosignature_is_503_and_beyond_five_minutes_it_does_not_start() {
    // A cosignature says "as of this time"; it is "never zero, never backwards".
    for (ahead, starts) in [(100, true), (400, false)] {
        let root = tempfile::tempdir().unwrap();
        let (dir, log) = (root.path().join("w"), TestLog::new(ORIGIN, 1, 20));
        let now = SystemClock.unix_millis();
        let clock = Arc::new(ManualClock::new(now + ahead * 1000));
        let keys = InProcess::make(&dir, &[&log], &*clock);
        let running = InProcess::start(&dir, Arc::clone(&clock) as Arc<dyn Clock>, Probe::none());
        runtime().block_on(async {
            let request = log.request(0, 5);
            let lines = running.witness.add_checkpoint(&request.to_bytes()).await.expect("cosigned");
            assert_eq!(verified(&lines, &request.checkpoint, &keys)[0].1, now / 1000 + ahead);
            clock.set_unix_millis(now);
            let refused = running.witness.add_checkpoint(&log.request(5, 9).to_bytes()).await;
            assert!(matches!(refused, Err(AddError::Clock(_))), "{refused:?}");
            clock.set_unix_millis(now + ahead * 1000);
            running.witness.add_checkpoint(&log.request(5, 9).to_bytes()).await.expect("the clock is back");
        });
        running.end().unwrap();
        match serve(&[dir]) {
            Ok(server) => {
                assert!(starts);
                let refused = server.add(&log.request(9, 20));
                assert_eq!(refused.status, 503, "{}", refused.text());
                assert!(refused.header("retry-after").parse::<u64>().unwrap() > 60);
                assert_eq!(server.admin("/readyz").status, 503);
                assert_eq!(server.add(&log.request(5, 20)).status, 409, "what is not signed is still told");
            }
            Err(said) => assert!(!starts && said.contains("behind"), "{said}"),
        }
    }
}

#[test]
fn many_logs_share_a_commit() {
    let site = WitnessSite::new();
    let logs: Vec<TestLog> =
        (1..=60).map(|seed| TestLog::new(&format!("log{seed}.example"), seed, 3)).collect();
    logs.iter().for_each(|log| site.follow(log, &[]));
    let server = site.start();
    std::thread::scope(|scope| {
        for log in &logs {
            let server = &server;
            scope.spawn(move || {
                for (old, new) in [(0, 1), (1, 2), (2, 3)] {
                    assert_eq!(server.add(&log.request(old, new)).status, 200);
                }
            });
        }
    });
    let (commits, jobs) = (
        server.metric("daybook_witness_commits_total"),
        server.metric("daybook_witness_committed_jobs_total"),
    );
    assert_eq!(jobs, 180);
    assert!(commits < jobs, "{commits} commits for {jobs} heads");
    assert_eq!(server.stop(), 0);
    let status = site.run(&["status", "--json"], &[]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((status["cosigned_logs"].as_u64(), status["commits"].as_u64()), (Some(60), Some(commits)));
}

#[test]
fn several_witnesses_in_one_process_have_keys_and_state_of_their_own() {
    let (one, two, log) = (WitnessSite::new(), WitnessSite::new(), TestLog::new(ORIGIN, 1, 9));
    one.follow(&log, &[]);
    two.follow(&log, &[]);
    let server = serve(&[one.dir(), two.dir()]).expect("it starts");
    let url = server.said["witnesses"][1]["url"].as_str().unwrap().to_owned();
    assert_eq!(url, format!("{}/2", server.said["url"].as_str().unwrap()));
    let request = log.request(0, 5);
    let answer = server.send("POST", "/2/add-checkpoint", &request.to_bytes());
    assert_eq!(cosigned(&answer, &request.checkpoint, &two.keys).len(), 2);
    assert_eq!(server.send("POST", "/1/add-checkpoint", &log.request(5, 9).to_bytes()).text(), "0\n");
    assert_eq!(server.send("POST", "/3/add-checkpoint", &request.to_bytes()).status, 404);
    assert_eq!(server.send("POST", "/add-checkpoint", &request.to_bytes()).status, 404);
    assert!(server.get("/").text().contains("/2/"));
    assert_eq!(server.get("/2/witness.json").json()["keys"][0], two.keys[0].to_string());
}

#[test]
fn a_flipped_bit_in_the_stored_head_makes_it_refuse_and_never_sign() {
    let root = tempfile::tempdir().unwrap();
    let (dir, log) = (root.path().join("w"), TestLog::new(ORIGIN, 1, 20));
    InProcess::make(&dir, &[&log], &SystemClock);
    let running = InProcess::start(&dir, Arc::new(SystemClock), Probe::none());
    let followed = running.witness.logs.get(ORIGIN).unwrap();
    runtime().block_on(async {
        running.witness.add_checkpoint(&log.request(0, 9).to_bytes()).await.expect("cosigned");
        let good = followed.head();
        for size in [0, 1, 8, 11, 13] {
            let head = TreeHead { size: tests::testlog::size(size), ..good.head };
            followed.set_head(witness::state::heads::Head { head, ..good });
            for (old, new) in [(size, 20), (9, 20), (size, size)] {
                let body = log.request(old, new).to_bytes();
                assert!(running.witness.add_checkpoint(&body).await.is_err(), "{size}: {old} to {new}");
            }
        }
    });
    drop(followed);
    running.end().unwrap();
}
