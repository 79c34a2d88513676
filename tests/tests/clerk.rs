//! What a clerk does, over the real executable: records from files, folders, lines and tables; receipts that verify
//! offline; interruptions, races, mistakes.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use serde_json::{Value, json};
use tests::clerk::{AGENCY, Desk};
use tests::server::read_some;
use tlog::hash::sha256;

fn state(report: &Value, at: usize) -> &str {
    report["records"][at]["state"].as_str().unwrap()
}

fn lines(count: usize) -> String {
    (0..count).map(|at| format!("{{\"key\":\"K{at}\",\"name\":\"Name {at}\"}}\n")).collect()
}

#[test]
fn a_record_is_put_changed_and_withdrawn_and_what_does_not_change_is_not_entered_again() {
    let desk = Desk::enrolled();
    desk.open("country", &[]);
    desk.write("gb.json", r#"{"key":"GB","name":"Britain","population":67000000}"#);
    let first = desk.submit("country", "gb.json", &[]);
    assert_eq!((state(&first, 0), first["entered"].clone()), ("entered", json!(1)));
    desk.verify("gb.json.statement");
    let leaf = std::fs::read(desk.path("gb.json.statement")).unwrap();
    let index = first["records"][0]["index"].as_u64().unwrap();
    let entry =
        desk.server().send("GET", &format!("/entry/{index}"), &[("accept", "application/octet-stream")], b"");
    assert_eq!(entry.body, leaf, "the file is the leaf, byte for byte");

    let again = desk.submit("country", "gb.json", &[]);
    assert_eq!((state(&again, 0), &again["records"][0]["index"]), ("known", &json!(index)));
    for gone in ["gb.json.journal", "gb.json.statement.tlog-proof"] {
        std::fs::remove_file(desk.path(gone)).unwrap();
    }
    let unchanged = desk.submit("country", "gb.json", &[]);
    assert_eq!(state(&unchanged, 0), "unchanged", "the log itself tells, without a journal");
    desk.verify("gb.json.statement");
    assert_eq!(state(&desk.submit("country", "gb.json", &["--again"]), 0), "entered");

    desk.write("gb.json", r#"{"key":"GB","name":"United Kingdom"}"#);
    assert_eq!(state(&desk.submit("country", "gb.json", &[]), 0), "entered");
    desk.verify("gb.json.statement");
    desk.write("gone.json", r#"{"key":"GB","action":"withdraw"}"#);
    assert_eq!(state(&desk.submit("country", "gone.json", &[]), 0), "entered");
    let history = desk.history("country", "GB");
    assert_eq!(history.len(), 4);
    assert_eq!(history[3]["statement"]["action"], "withdraw");
    for pair in history.windows(2) {
        assert_eq!(pair[1]["statement"]["previous"], pair[0]["leaf_hash"], "a chain");
    }
}

#[test]
fn a_folder_lines_a_table_an_array_and_standard_input_leave_receipts_that_verify() {
    let desk = Desk::enrolled();
    desk.open(
        "country",
        &["--field", "name=string:required", "--field", "population=integer", "--field", "eu=boolean"],
    );
    desk.write("folder/fr.json", r#"{"key":"FR","name":"France","population":68}"#);
    desk.write("folder/de.json", r#"{"key":"DE","title":"Germany","public":{"name":"Deutschland"}}"#);
    desk.write("folder/notes.txt", "not a record");
    let report = desk.submit("country", "folder", &[]);
    assert_eq!(report["entered"], 2);
    desk.verify("folder/de.json.statement");
    desk.verify("folder/fr.json.statement");

    desk.write(
        "more.ndjson",
        "{\"key\":\"IT\",\"name\":\"Italia\"}\n\n{\"key\":\"ES\",\"name\":\"Espa\u{f1}a\"}\n",
    );
    assert_eq!(desk.submit("country", "more.ndjson", &[])["entered"], 2);
    desk.verify("more.ndjson.receipts/000001.statement");
    desk.verify("more.ndjson.receipts/000003.statement");

    desk.write("array.json", r#"[{"key":"PT","name":"Portugal"},{"key":"NL","name":"Nederland"}]"#);
    assert_eq!(desk.submit("country", "array.json", &["--receipts", "kept"])["entered"], 2);
    desk.verify("kept/array.json.receipts/000002.statement");

    desk.write("map.toml", "key = \"Code\"\ntitle = \"Short\"\nseparator = \";\"\n[fields]\nname = \"Official name\"\npopulation = \"People\"\neu = \"EU\"\n");
    desk.write(
        "table.csv",
        "Code;Short;Official name;People;EU;Notes\r\nCH;Swiss;\"Schweiz; Suisse\";9;no;draft\r\nAT;Austria;\u{d6}sterreich;;yes;\r\n",
    );
    let report = desk.submit("country", "table.csv", &["--mapping", "map.toml"]);
    assert_eq!(report["entered"], 2, "{report}");
    desk.verify("table.csv.receipts/000002.statement");
    let swiss = &desk.history("country", "CH")[0]["statement"];
    assert_eq!(swiss["public"], json!({ "name": "Schweiz; Suisse", "population": 9, "eu": false }));
    assert_eq!(swiss["title"], "Swiss");
    let austria = &desk.history("country", "AT")[0]["statement"]["public"];
    assert_eq!(*austria, json!({ "name": "\u{d6}sterreich", "eu": true }), "an empty cell is no field");

    let place = format!("{AGENCY}/country");
    let piped = ["submit", "URL", "-", "--register", &place, "--signer", "clerk.pem"];
    desk.bad(2, "--receipts DIR", &piped);
    let mut child =
        desk.command(&[&piped[..], &["--receipts", "piped"]].concat()).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{\"key\":\"BE\",\"name\":\"Belgi\\u00eb\"}\n").unwrap();
    assert!(child.wait().unwrap().success());
    desk.verify("piped/000001.statement");
    assert_eq!(desk.counts("country").1, 9);
}

#[test]
fn what_the_register_does_not_declare_or_seals_never_leaves_the_house() {
    let desk = Desk::enrolled();
    let fields = ["--field", "name=string", "--field", "salary=decimal:sealed", "--field", "age=integer"];
    desk.open("staff", &fields);
    let before = desk.counts("staff");
    let place = format!("{AGENCY}/staff");
    let cases = [
        (r#"{"key":"1","name":"A","phone":"1"}"#, "declares no field"),
        (r#"{"key":"1","public":{"salary":"12.50"}}"#, "declares this field as sealed"),
        (r#"{"key":"1","sealed":{"bonus":"1"}}"#, "no sealed field"),
        (r#"{"key":"1","name":7}"#, "declares it as string"),
        (r#"{"key":"1","age":12.5}"#, "declares it as integer"),
        (r#"{"key":"1","age":12345678901234567890}"#, "not every reader can hold"),
        (r#"{"name":"A"}"#, "has no key"),
        (r#"{"key":"1","action":"withdraw","public":{"name":"A"}}"#, "a withdrawal says nothing else"),
        (r#"{"key":"1","name":"A""#, "is no JSON"),
        (r#"["A"]"#, "a record is a JSON object"),
        ("[]", "holds no records"),
        (r#"{"key":" 1","name":"A"}"#, "/key: must be 1 to 256 bytes"),
    ];
    for (text, words) in cases {
        desk.write("bad.json", text);
        desk.bad(2, words, &["submit", "URL", "bad.json", "--register", &place, "--signer", "clerk.pem"]);
    }
    desk.write("bad.ndjson", "{\"key\":\"1\",\"name\":\"A\"}\n{\"key\":\"2\",\"phone\":\"1\"}\n");
    desk.bad(2, "line 2", &["submit", "URL", "bad.ndjson", "--register", &place, "--signer", "clerk.pem"]);
    desk.write("bad.csv", "key,name\n1\n");
    desk.bad(
        2,
        "line 2 has 1 cells",
        &["submit", "URL", "bad.csv", "--register", &place, "--signer", "clerk.pem"],
    );
    assert_eq!(desk.counts("staff"), before, "a mistake on any line costs nothing");
    desk.bad(
        3,
        "no register nowhere",
        &["submit", "URL", "bad.csv", "--register", &format!("{AGENCY}/nowhere"), "--signer", "clerk.pem"],
    );
    desk.bad(2, "--signer", &["submit", "URL", "bad.csv", "--register", &place]);
    desk.bad(2, "--register", &["submit", "URL", "bad.csv", "--signer", "clerk.pem"]);
}

#[test]
fn what_is_signed_is_what_was_written_to_the_last_digit() {
    let desk = Desk::enrolled();
    desk.open("gauge", &["--field", "level=number", "--field", "name=string"]);
    let level = "31.245270191439438";
    desk.write("a.json", format!("{{\n  \"level\": {level},\n  \"key\": \"1\", \"name\": \"\\u00e9\"\n}}\n"));
    desk.submit("gauge", "a.json", &[]);
    let signed = |file: &str| std::fs::read_to_string(desk.path(file)).unwrap();
    assert!(signed("a.json.statement").contains(&format!("{{\"level\":{level},\"name\":\"\u{e9}\"}}")));
    // What the log shows is read with all of its digits too: otherwise it would be accused of showing another entry.
    std::fs::remove_file(desk.path("a.json.journal")).unwrap();
    assert_eq!(state(&desk.submit("gauge", "a.json", &[]), 0), "unchanged");
    desk.write("t.csv", format!("key,level\n2,{level}\n3,100.00\n4,1e-7\n"));
    desk.submit("gauge", "t.csv", &[]);
    for (line, kept) in [(2, level), (3, "100"), (4, "1e-7")] {
        let statement = signed(&format!("t.csv.receipts/{line:06}.statement"));
        assert!(statement.contains(&format!("{{\"level\":{kept}}}")), "{statement}");
    }
}

#[test]
fn what_could_be_understood_in_two_ways_is_not_signed_and_its_place_is_named() {
    let desk = Desk::enrolled();
    desk.open("gauge", &["--field", "level=number", "--field", "name=string"]);
    let before = desk.counts("gauge");
    let place = format!("{AGENCY}/gauge");
    let digits = "31.2452701914394380001";
    for (name, text, words) in [
        (
            "a.json",
            r#"{"key":"1","level":1,"level":2}"#.to_owned(),
            "a.json, column 22, at /level: a member name",
        ),
        (
            "b.json",
            format!("{{\"key\":\"1\",\n \"level\":{digits}}}"),
            "b.json, line 2, column 10, at /level: a number",
        ),
        (
            "c.json",
            format!("[{{\"key\":\"1\"}},{{\"key\":\"2\",\"level\":{digits}}}]"),
            "at /1/level: a number with more",
        ),
        (
            "d.ndjson",
            format!("{{\"key\":\"1\"}}\n{{\"key\":\"2\",\"level\":{digits}}}\n"),
            "d.ndjson line 2, column 20",
        ),
        (
            "e.ndjson",
            "{\"key\":\"1\"}\n{\"key\":\"2\",\"key\":\"3\"}\n".to_owned(),
            "e.ndjson line 2, column 12, at /key",
        ),
        ("f.csv", format!("key,level\n1,2\n2,{digits}\n"), "f.csv line 3 /level: a number with more digits"),
        ("g.json", r#"{"key":"1","name":"\ud83d"}"#.to_owned(), "one half of a surrogate pair"),
        ("h.json", r#"{"key":"1","previous":7,"public":{}}"#.to_owned(), "/previous: must be a leaf hash"),
    ] {
        desk.write(name, text);
        let ran = desk.bad(2, words, &["submit", "URL", name, "--register", &place, "--signer", "clerk.pem"]);
        assert!(!ran.said().contains("REFUSED"), "{ran:?}");
    }
    assert_eq!(desk.counts("gauge"), before);
    desk.write("d.json", r#"{"title":"T","licence":"L","keys":"opaque","keys":"public"}"#);
    let open = ["register", "open", "URL", &format!("{AGENCY}/more"), "--definition", "d.json"];
    desk.bad(
        2,
        "d.json, column 44, at /keys: a member name that occurs twice",
        &[&open[..], &["--signer", "clerk.pem"]].concat(),
    );
}

#[test]
fn a_record_that_is_too_long_for_a_statement_is_refused_before_it_is_sent() {
    let desk = Desk::enrolled();
    desk.open("text", &["--field", "text=string", "--field", "pay=decimal:sealed"]);
    let before = desk.counts("text");
    let place = format!("{AGENCY}/text");
    let record =
        |letters: usize| format!("{{\"key\":\"1\",\"text\":\"{}\",\"pay\":\"1.00\"}}", "x".repeat(letters));
    desk.write("long.json", record(66_000));
    let submit = ["submit", "URL", "long.json", "--register", &place, "--signer", "clerk.pem"];
    desk.bad(2, "at most 65535 are accepted: make its content an attachment", &submit);
    assert_eq!(desk.counts("text"), before);
    let left: Vec<_> =
        std::fs::read_dir(desk.path(".")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".sealed")), "{left:?}");
    desk.write("long.json", record(64_000));
    assert_eq!(state(&desk.submit("text", "long.json", &[]), 0), "entered");
}

/// A road to the log on which the answer to the third such request is lost, and the test is told.
fn lossy(to: SocketAddr, lose: &'static [u8]) -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, tell) = sync_channel(16);
    let seen = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), told, seen) = (client, told.clone(), Arc::clone(&seen)) else { return };
            std::thread::spawn(move || carry(client, TcpStream::connect(to).unwrap(), lose, &seen, &told));
        }
    });
    (address, tell)
}

/// What every good outcome of a batch has.
const OUTCOME: &[u8] = b"\"leaf_hash\"";

/// Carries both ways, until the answer that is to be lost.
fn carry(
    mut client: TcpStream,
    mut log: TcpStream,
    lose: &'static [u8],
    seen: &Arc<AtomicUsize>,
    told: &SyncSender<()>,
) {
    let (mut from_client, mut to_log) = (client.try_clone().unwrap(), log.try_clone().unwrap());
    let (lost, losing) = sync_channel(1);
    let count = Arc::clone(seen);
    std::thread::spawn(move || {
        let (mut buffer, mut tail) = (vec![0; 1 << 16], Vec::new());
        while let Ok(read @ 1..) = read_some(&mut from_client, &mut buffer) {
            tail.extend_from_slice(&buffer[..read]);
            while let Some(at) = tail.windows(lose.len()).position(|window| window == lose) {
                tail.drain(..at + lose.len());
                if count.fetch_add(1, Ordering::SeqCst) == 2 {
                    let _ = lost.send(());
                }
            }
            let keep = tail.len().saturating_sub(lose.len());
            tail.drain(..keep);
            if to_log.write_all(&buffer[..read]).is_err() {
                return;
            }
        }
    });
    let (mut buffer, mut unheard) = (vec![0; 1 << 16], None::<Vec<u8>>);
    while let Ok(read @ 1..) = read_some(&mut log, &mut buffer) {
        if losing.try_recv().is_ok() {
            unheard = Some(Vec::new());
        }
        if let Some(unheard) = &mut unheard {
            unheard.extend_from_slice(&buffer[..read]);
            if unheard.windows(OUTCOME.len()).any(|window| window == OUTCOME) {
                // The log has the records and says so, and nobody hears it.
                let _ = told.send(());
            }
            continue;
        }
        if client.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

#[test]
fn two_hundred_lines_that_are_killed_in_the_middle_are_entered_once_each() {
    let desk = Desk::enrolled();
    desk.open("country", &[]);
    desk.write("all.ndjson", lines(200));
    let place = format!("{AGENCY}/country");
    let (road, lost) = lossy(desk.server().address(), b"POST /records/batch");
    let url = format!("http://{road}");
    let args = [
        "submit",
        &url,
        "all.ndjson",
        "--register",
        &place,
        "--signer",
        "clerk.pem",
        "--policy",
        "policy.txt",
    ];
    let mut child = desk.command(&args).stdout(Stdio::null()).spawn().unwrap();
    // An answer is on its way and never arrives: the log has the records, the clerk does not know.
    lost.recv_timeout(Duration::from_secs(60)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let receipts = || {
        let folder = std::fs::read_dir(desk.path("all.ndjson.receipts"));
        let names = folder.map(|folder| folder.map(|file| file.unwrap().file_name().into_string().unwrap()));
        names.map_or(0, |names| names.filter(|name| name.ends_with(".tlog-proof")).count())
    };
    let (kept, (entries, _)) = (receipts(), desk.counts("country"));
    assert!(kept > 0 && kept < 200, "killed in the middle: {kept}");
    assert!(
        usize::try_from(entries).unwrap() > kept + 1,
        "the log has more than the clerk knows of: {entries}"
    );

    let report = desk.submit("country", "all.ndjson", &[]);
    assert_eq!(report["refused"], 0);
    assert_eq!(report["already_there"], kept, "{report}");
    assert_eq!(desk.counts("country"), (201, 200), "the register's definition, and each record once");
    assert_eq!(receipts(), 200);
    for line in 1..=200 {
        desk.verify(&format!("all.ndjson.receipts/{line:06}.statement"));
    }
    let again = desk.submit("country", "all.ndjson", &[]);
    assert_eq!((again["already_there"].clone(), again["entered"].clone()), (json!(200), json!(0)));
}

#[test]
fn a_submission_that_is_killed_again_and_again_comes_to_its_end() {
    let desk = Desk::enrolled();
    desk.open("country", &[]);
    desk.write("all.ndjson", lines(150));
    let place = format!("{AGENCY}/country");
    let args = ["submit", "URL", "all.ndjson", "--register", &place, "--signer", "clerk.pem"];
    // Each run is killed a little later: before the journal, in it, in an answer, between receipts.
    for kill in 0..12_u64 {
        let mut child = desk.command(&args).stdout(Stdio::null()).spawn().unwrap();
        let reached = || {
            let journal = std::fs::metadata(desk.path("all.ndjson.journal")).map_or(0, |file| file.len());
            journal + desk.counts("country").0 * 1000
        };
        let goal = reached() + kill * 5000 + 1;
        while child.try_wait().unwrap().is_none() && reached() < goal {
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().unwrap();
    }
    let report = desk.submit("country", "all.ndjson", &[]);
    assert_eq!(report["refused"], 0);
    assert_eq!(desk.counts("country"), (151, 150));
    for line in 1..=150 {
        desk.verify(&format!("all.ndjson.receipts/{line:06}.statement"));
    }
}

#[test]
fn a_log_that_goes_away_leaves_a_submission_that_goes_on_elsewhere() {
    let mut desk = Desk::enrolled();
    desk.open("person", &["--field", "name=string:erasable", "--field", "salary=string:sealed"]);
    desk.write("one.json", r#"{"key":"1","name":"Ann","salary":"12"}"#);
    let place = format!("{AGENCY}/person");
    // The register is read, and then nobody is there any more: the statement is signed and kept.
    let (road, lost) = lossy_after(desk.server().address(), b"POST /records ");
    let url = format!("http://{road}");
    let args =
        ["submit", &url, "one.json", "--register", &place, "--signer", "clerk.pem", "--policy", "policy.txt"];
    let mut child = desk.command(&args).stdout(Stdio::null()).spawn().unwrap();
    lost.recv_timeout(Duration::from_secs(60)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let journal = std::fs::read_to_string(desk.path("one.json.journal")).unwrap();
    let mode = std::fs::metadata(desk.path("one.json.journal")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let server = desk.server.take().unwrap();
    assert_eq!(server.stop(), 0);
    desk.server = Some(desk.site.start());
    let report = desk.submit("person", "one.json", &[]);
    assert_eq!(report["refused"], 0);
    assert_eq!(desk.counts("person"), (2, 1));
    let statement = std::fs::read_to_string(desk.path("one.json.statement")).unwrap();
    let text = statement.split("\n\n").next().unwrap();
    let escaped = serde_json::to_string(text).unwrap();
    assert!(
        journal.contains(escaped.trim_matches('"')),
        "the very bytes that were signed before, salts and all"
    );
}

/// As [`lossy`], and the first such request is never even sent on.
fn lossy_after(to: SocketAddr, hold: &'static [u8]) -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, tell) = sync_channel(16);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(mut client), told) = (client, told.clone()) else { return };
            let mut log = TcpStream::connect(to).unwrap();
            let (mut from_log, mut to_client) = (log.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from_log, &mut to_client));
            std::thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(read @ 1..) = read_some(&mut client, &mut buffer) {
                    if buffer[..read].windows(hold.len()).any(|window| window == hold) {
                        let _ = told.send(());
                        return;
                    }
                    if log.write_all(&buffer[..read]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, tell)
}

#[test]
fn of_two_clerks_who_change_one_record_the_second_is_told_and_nothing_is_buried() {
    let desk = Desk::enrolled();
    desk.open("country", &[]);
    desk.write("a/gb.json", r#"{"key":"GB","name":"Britain"}"#);
    desk.write("b/gb.json", r#"{"key":"GB","name":"Great Britain"}"#);
    let place = format!("{AGENCY}/country");
    assert_eq!(state(&desk.submit("country", "a/gb.json", &[]), 0), "entered");
    assert_eq!(
        state(&desk.submit("country", "b/gb.json", &[]), 0),
        "entered",
        "b has never seen it: the first of b's"
    );
    desk.write("a/gb.json", r#"{"key":"GB","name":"United Kingdom"}"#);
    let submit = ["submit", "URL", "a/gb.json", "--register", &place, "--signer", "clerk.pem"];
    for _ in 0..2 {
        let told = desk.bad(3, "somebody else has entered a version", &submit).json();
        assert_eq!((state(&told, 0), &told["records"][0]["reason"]), ("overtaken", &json!("stale_previous")));
    }
    assert_eq!(desk.history("country", "GB").len(), 2, "nothing was sent");
    assert_eq!(state(&desk.submit("country", "a/gb.json", &["--on-top"]), 0), "entered");
    let history = desk.history("country", "GB");
    assert_eq!((history.len(), &history[2]["statement"]["public"]["name"]), (3, &json!("United Kingdom")));

    // Written against a version that is no longer the latest.
    let old = history[0]["leaf_hash"].as_str().unwrap();
    desk.write("c.json", format!(r#"{{"key":"GB","previous":"{old}","public":{{"name":"GB"}}}}"#));
    desk.bad(3, "somebody else", &["submit", "URL", "c.json", "--register", &place, "--signer", "clerk.pem"]);
    let latest = history[2]["leaf_hash"].as_str().unwrap();
    desk.write("c.json", format!(r#"{{"key":"GB","previous":"{latest}","public":{{"name":"GB"}}}}"#));
    assert_eq!(state(&desk.submit("country", "c.json", &[]), 0), "entered");
}

#[test]
fn of_many_who_race_on_one_key_every_version_follows_another_and_losers_are_told() {
    let desk = Desk::enrolled();
    desk.open("country", &[]);
    let place = format!("{AGENCY}/country");
    let racers: Vec<_> = (0..6)
        .map(|at| {
            desk.write(&format!("{at}.json"), format!(r#"{{"key":"GB","name":"{at}"}}"#));
            let input = format!("{at}.json");
            let args = ["submit", "URL", &input, "--register", &place, "--signer", "clerk.pem"];
            desk.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let (mut won, mut lost) = (0, 0);
    for racer in racers {
        let output = racer.wait_with_output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        match (output.status.code(), state(&report, 0)) {
            (Some(0), "entered") => won += 1,
            (Some(3), "overtaken") => lost += 1,
            other => panic!("{other:?}: {report}"),
        }
    }
    let history = desk.history("country", "GB");
    assert_eq!((history.len(), won + lost), (won, 6), "who was told so is in the log, and nobody else");
    for pair in history.windows(2) {
        assert_eq!(pair[1]["statement"]["previous"], pair[0]["leaf_hash"]);
    }
}

#[test]
fn attachments_go_before_the_record_that_names_them() {
    let desk = Desk::enrolled();
    desk.open("notice", &["--attachments", "public"]);
    let file: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    desk.write("in/plan.pdf", &file);
    desk.write(
        "in/notice.json",
        r#"{"key":"N1","title":"A plan","public":{"of":"2026"},"attachments":[{"file":"plan.pdf","media":"application/pdf"}]}"#,
    );
    assert_eq!(state(&desk.submit("notice", "in/notice.json", &[]), 0), "entered");
    let hash = sha256(&file);
    assert_eq!(desk.server().get(&format!("/blobs/{hash}")).body, file);
    let attachment = &desk.history("notice", "N1")[0]["statement"]["attachments"][0];
    assert_eq!(
        *attachment,
        json!({ "bytes": 800_000, "media": "application/pdf", "name": "plan.pdf", "sha256": hash.to_string() })
    );
    assert_eq!(state(&desk.submit("notice", "in/notice.json", &[]), 0), "known");
    desk.write("in/plan.pdf", "another plan");
    assert_eq!(
        state(&desk.submit("notice", "in/notice.json", &[]), 0),
        "entered",
        "another file is another version"
    );
    desk.write("in/notice.json", r#"{"key":"N1","attachments":[{"file":"nothing.pdf"}]}"#);
    let place = format!("{AGENCY}/notice");
    desk.bad(
        2,
        "nothing.pdf",
        &["submit", "URL", "in/notice.json", "--register", &place, "--signer", "clerk.pem"],
    );
}

#[test]
fn an_erasable_attachment_is_named_by_a_commitment_and_read_until_it_is_erased() {
    let desk = Desk::enrolled();
    desk.open("notice", &["--attachments", "public,erasable"]);
    desk.write("in/letter.txt", "Dear Ann");
    desk.write(
        "in/n.json",
        r#"{"key":"N1","attachments":[{"file":"letter.txt","media":"text/plain","class":"erasable","name":"letter.txt"}]}"#,
    );
    assert_eq!(state(&desk.submit("notice", "in/n.json", &[]), 0), "entered");
    let attachment = &desk.history("notice", "N1")[0]["statement"]["attachments"][0];
    assert!(attachment["sha256"].is_null(), "its hash would tell what it was for ever: {attachment}");
    let commitment = attachment["commitment"].as_str().unwrap();
    let read = desk.server().get(&format!("/blobs/{commitment}"));
    assert_eq!((read.status, read.text()), (200, "Dear Ann"));
    assert_eq!(state(&desk.submit("notice", "in/n.json", &[]), 0), "known");
    assert_eq!(state(&desk.submit("notice", "in/n.json", &["--again"]), 0), "entered");
    let again = &desk.history("notice", "N1")[1]["statement"]["attachments"][0]["commitment"];
    assert_ne!(again, commitment, "each version has a salt of its own");
}

#[test]
fn sealed_and_erasable_values_stay_outside_and_their_openings_are_the_agencys() {
    let desk = Desk::enrolled();
    let fields =
        ["--field", "grade=string", "--field", "salary=decimal:sealed", "--field", "name=string:erasable"];
    desk.open("staff", &[&fields[..], &["--opaque-keys"]].concat());
    desk.write("a.json", r#"{"grade":"B","salary":"41000.00","name":"Ann Example"}"#);
    let report = desk.submit("staff", "a.json", &[]);
    let record = &report["records"][0];
    let (key, leaf) = (record["key"].as_str().unwrap(), record["leaf_hash"].as_str().unwrap());
    assert_eq!(key.len(), 32, "an opaque key is drawn");
    let statement = std::fs::read_to_string(desk.path("a.json.statement")).unwrap();
    assert!(!statement.contains("41000") && !statement.contains("Ann"), "{statement}");
    let shown = desk.server().get(&format!("/records/{leaf}/disclosures")).json();
    let document = shown["disclosures"][0]["document"].as_str().unwrap();
    assert!(
        document.contains("Ann Example") && !document.contains("41000"),
        "erasable values are shown until erased"
    );
    let files: Vec<String> = std::fs::read_dir(desk.path("."))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("a.json."))
        .collect();
    assert!(
        !files.iter().any(|name| name.ends_with(".erasable")),
        "what is uploaded does not lie about: {files:?}"
    );
    let sealed = files.iter().find(|name| name.ends_with(".sealed")).unwrap();
    let mode = std::fs::metadata(desk.path(sealed)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let values = std::fs::read_to_string(desk.path(sealed)).unwrap();
    let values = record::sealed::SealedValues::parse(&values).unwrap();
    assert_eq!(values.openings()[0].value.as_text(), Some("41000.00"));
    let committed = record::statement::Statement::parse(statement.as_bytes()).unwrap();
    let record::statement::Body::Record(committed) = committed.body().clone() else { panic!("a record") };
    assert_eq!(committed.content.unwrap().sealed, Some(values.commitment()));

    // Another version keeps its own openings beside the first one's.
    desk.write(
        "a.json",
        format!(r#"{{"key":"{key}","grade":"A","salary":"45000.00","name":"Ann Example"}}"#),
    );
    desk.submit("staff", "a.json", &[]);
    let sealed = std::fs::read_dir(desk.path(".")).unwrap();
    let sealed =
        sealed.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().ends_with(".sealed"));
    assert_eq!(sealed.count(), 2);
}

#[test]
fn one_refused_record_does_not_sink_the_others_and_the_exit_code_tells() {
    let desk = Desk::enrolled();
    desk.open("country", &["--prefix", "C-"]);
    desk.write(
        "some.ndjson",
        "{\"key\":\"C-1\",\"a\":1}\n{\"key\":\"X\",\"a\":1}\n{\"key\":\"C-2\",\"a\":1}\n",
    );
    let place = format!("{AGENCY}/country");
    let ran = desk.bad(
        3,
        "keys begin with",
        &["submit", "URL", "some.ndjson", "--register", &place, "--signer", "clerk.pem"],
    );
    let report = ran.json();
    let states: Vec<&str> = (0..3).map(|at| state(&report, at)).collect();
    assert_eq!(states, ["entered", "refused", "entered"]);
    assert_eq!(report["records"][1]["reason"], "key_prefix");
    desk.verify("some.ndjson.receipts/000003.statement");
    desk.write(
        "some.ndjson",
        "{\"key\":\"C-1\",\"a\":1}\n{\"key\":\"C-3\",\"a\":1}\n{\"key\":\"C-2\",\"a\":1}\n",
    );
    let report = desk.submit("country", "some.ndjson", &[]);
    assert_eq!((report["entered"].clone(), report["already_there"].clone()), (json!(1), json!(2)));
}

#[test]
fn several_versions_of_one_key_in_one_file_become_a_history() {
    let desk = Desk::enrolled();
    desk.open("country", &[]);
    let text: String = (0..5).map(|at| format!("{{\"key\":\"GB\",\"year\":{}}}\n", 2020 + at % 3)).collect();
    desk.write("years.ndjson", text);
    let report = desk.submit("country", "years.ndjson", &[]);
    assert_eq!(report["entered"], 5, "{report}");
    let years: Vec<u64> = desk
        .history("country", "GB")
        .iter()
        .map(|item| item["statement"]["public"]["year"].as_u64().unwrap())
        .collect();
    assert_eq!(years, [2020, 2021, 2022, 2020, 2021]);
    assert_eq!(desk.submit("country", "years.ndjson", &[])["already_there"], 5);
}
