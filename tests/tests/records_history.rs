//! From a receipt to "published, by whom, when, unchanged": `history`, `diff` and `verify`, against a real log, a copy of
//! it, and a server that leaves things out.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use record::statement::{AgencyAction, Body, Dispute};
use tests::agency::{Clerk, arg, expect};
use tests::records::{AT, previous, sign};
use tests::server::ORIGIN;
use tlog::hash::leaf_hash;
use tlog::ids::LeafIndex;

const NAME: &str = "treasury.example/country";

/// `GB` three times, the last one a withdrawal; entries 3 to 5.
fn published() -> (Clerk, Vec<Vec<u8>>) {
    let clerk = Clerk::new();
    clerk.post_good(&clerk.world.open(&clerk.office, "country"));
    let put = |before: Option<&[u8]>, public: &str| {
        clerk.world.put(&clerk.office, "country", "GB", before.and_then(previous), public)
    };
    let first = put(None, r#"{"name":"Britain"}"#);
    let second = put(Some(&first), "{\"name\":\"\u{202e}Britain\",\"pop\":67}");
    let mut withdrawal = clerk.world.record_body(&clerk.office, "country", "GB", previous(&second), "{}");
    withdrawal.content = None;
    let third = sign(&Body::Record(withdrawal), &[&clerk.office.publisher]);
    let versions = vec![first, second, third];
    versions.iter().for_each(|statement| {
        clerk.post_good(statement);
    });
    (clerk, versions)
}

#[test]
fn a_history_is_proved_signed_and_chained_and_says_who_enrolled_the_agency() {
    let (clerk, versions) = published();
    let url = clerk.url();
    let history = clerk.json(0, &["history", &url, NAME, "GB"]);
    assert_eq!((&history["verified"], &history["whole"]), (&true.into(), &false.into()));
    let shown = history["versions"].as_array().unwrap();
    for (version, statement) in shown.iter().zip(&versions) {
        assert_eq!(version["leaf_hash"], leaf_hash(statement).to_string());
        let signed = &version["signed"];
        assert!(signed["by"][0]["key"].as_str().unwrap().starts_with("treasury.example/publisher+"));
        assert_eq!(signed["by"][0]["since_entry"], 1);
        assert_eq!(signed["enrolled"]["registrar"], "registrar.example");
        assert_eq!(signed["enrolled"]["by"].as_array().unwrap().len(), 2, "two of the registrar's officers");
    }
    assert_eq!((&shown[0]["previous"], &shown[2]["action"]), (&serde_json::Value::Null, &"withdraw".into()));
    let text = clerk.run(0, &["history", &url, NAME, "GB", "--whole"]);
    assert!(text.contains("The whole log was read: there is no other version."), "{text}");
    assert!(clerk.run(0, &["history", &url, NAME, "GB"]).contains("the log's word"));
    let table = clerk.run(0, &["history", &url, NAME, "GB", "--csv"]);
    assert_eq!(table.lines().count(), 4, "{table}");
    clerk.run(3, &["history", &url, NAME, "FR"]);
    clerk.run(2, &["history", &url, "treasury.example", "GB"]);

    let diff = clerk.json(0, &["diff", &url, NAME, "GB", "--to", "4"]);
    assert_eq!((&diff["from"], &diff["to"]), (&3.into(), &4.into()));
    assert_eq!(diff["changes"][1], serde_json::json!({ "path": "/public/pop", "what": "added", "to": 67 }));
    let text = clerk.run(0, &["diff", &url, NAME, "GB", "--to", "4"]);
    assert!(
        text.contains("\\u{202e}Britain") && !text.contains('\u{202e}'),
        "nothing acts on the terminal: {text}"
    );
    assert_eq!(clerk.run(0, &["diff", &url, NAME, "GB", "--to", "4", "--csv"]).lines().count(), 3);
    let first = clerk.run(2, &["diff", &url, NAME, "GB", "--to", "3"]);
    assert!(first.contains("no version before"), "{first}");
    assert!(clerk.run(2, &["diff", &url, NAME, "GB", "--to", "2"]).contains("3, 4, 5"));
}

#[test]
fn with_the_files_of_a_history_everything_is_checked_without_the_log() {
    let (mut clerk, versions) = published();
    let (url, folder, copy) = (clerk.url(), clerk.file("gb"), clerk.arg("copy"));
    clerk.run(0, &["history", &url, NAME, "GB", "--receipts", &arg(&folder)]);
    clerk.run(0, &["export", &url, "--format", "tiles", "--out", &copy]);
    let [file, receipt, provenance] = ["one", "one.receipt", "one.provenance"].map(|name| clerk.arg(name));
    clerk.run(0, &["get", &url, "4", "--out", &file, "--receipt", &receipt, "--provenance", &provenance]);
    drop(clerk.server.take());

    let said = clerk.run(0, &["verify", &file, &receipt, "--provenance", &provenance]);
    for words in [
        "RIGHT",
        "entry 4 of log.example/http",
        "kind record",
        "agency An office (treasury.example)",
        "register country",
        "key GB",
        "dated 2026-11-23T09:00:00Z",
        "signed by treasury.example/publisher+",
        "publisher since entry 1: the signature holds",
        "enrolled by registrar.example in entry 1, signed by registrar.example/officer-1, registrar.example/officer-2",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    for index in 3..=5_usize {
        let file = folder.join(format!("{index}.txt"));
        assert_eq!(std::fs::read(&file).unwrap(), versions[index - 3]);
        let provenance = arg(&folder.join("history.provenance"));
        let verified = clerk.json(0, &["verify", &arg(&file), "--provenance", &provenance]);
        assert_eq!(verified["statement"]["signed"]["by"][0]["may"], "publisher");
    }
    let genesis = leaf_hash(&clerk.world.genesis()).to_string();
    let pinned = ["verify", &file, &receipt, "--provenance", &provenance, "--genesis"];
    assert!(clerk.run(0, &[&pinned[..], &[&genesis]].concat()).contains(&genesis));
    let other = leaf_hash(b"another genesis").to_string();
    assert!(clerk.run(1, &[&pinned[..], &[&other]].concat()).contains("another registrar"));
    clerk.run(2, &["verify", &file, &receipt, "--genesis", &genesis]);
    // Without it the names in the signature lines are no more than names, and that is said.
    let alone = clerk.run(0, &["verify", &file, &receipt]);
    assert!(alone.contains("its signature lines say treasury.example/publisher; whether"), "{alone}");
    // A copy of the log leaves nothing out.
    let whole = clerk.json(0, &["history", &copy, NAME, "GB"]);
    assert_eq!((&whole["whole"], whole["versions"].as_array().unwrap().len()), (&true.into(), 3));

    let good = std::fs::read_to_string(&provenance).unwrap();
    let altered = |text: String, code: i32| {
        std::fs::write(&provenance, text).unwrap();
        let said = clerk.run(code, &["verify", &file, &receipt, "--provenance", &provenance]);
        assert!(!said.contains("RIGHT"), "{said}");
        said
    };
    altered(good.replace("daybook/provenance/v1", "daybook/provenance/v2"), 2);
    altered(good.replacen("entry 1 ", "entry 01 ", 1), 2);
    altered(good.replacen("entry 2 ", "entry 1 ", 1), 2);
    let moved = altered(good.replacen("entry 2 ", "entry 3 ", 1), 1);
    assert!(moved.contains("does not prove entry"), "{moved}");
    // Without the enrolment nobody knows the key.
    let begin = good.find("entry 1 ").unwrap();
    let end = good.find("entry 2 ").unwrap();
    let nobody = altered(format!("{}{}", &good[..begin], &good[end..]), 1);
    assert!(nobody.contains("is not admissible"), "{nobody}");
    let other = Clerk::new();
    std::fs::write(&provenance, &good).unwrap();
    expect(
        1,
        &["verify", &file, &receipt, "--provenance", &provenance, "--policy", &other.site.policy_path()],
    );
}

#[test]
fn a_key_that_ended_later_and_one_that_was_stolen_are_told_apart() {
    let (clerk, _) = published();
    let key = clerk.office.publisher.key();
    let about = |action: AgencyAction, before: &[u8]| {
        let body = clerk.world.agency_body(&clerk.office, previous(before), action);
        sign(&body, &clerk.office.quorum())
    };
    let revoked = about(
        AgencyAction::Revoke { keys: vec![key.clone()], reason: "lost".parse().unwrap() },
        &clerk.world.enrol(&clerk.office),
    );
    assert_eq!(clerk.post_good(&revoked), 6);
    let place = |index: u64| LeafIndex::new(index).unwrap();
    let dispute = Body::Dispute(Dispute {
        agency: clerk.office.id.clone(),
        at: AT.parse().unwrap(),
        log: ORIGIN.parse().unwrap(),
        previous: None,
        key,
        from: place(4),
        to: place(5),
        reason: "stolen".parse().unwrap(),
    });
    assert_eq!(clerk.post_good(&sign(&dispute, &clerk.office.quorum())), 7);
    let url = clerk.url();
    let history = clerk.json(0, &["history", &url, NAME, "GB"]);
    let by = |at: usize| history["versions"][at]["signed"]["by"][0].clone();
    assert_eq!(
        (&by(0)["ended_by_entry"], &by(0)["disowned_by_entry"]),
        (&6.into(), &serde_json::Value::Null)
    );
    assert_eq!((&by(1)["ended_by_entry"], &by(1)["disowned_by_entry"]), (&6.into(), &7.into()));
    let file = clerk.arg("four");
    let receipt = format!("{file}.tlog-proof");
    clerk.run(0, &["get", &url, "4", "--out", &file, "--receipt", &receipt]);
    let said = clerk.run(0, &["verify", &file, "--log", &url]);
    assert!(said.contains("BUT the agency says in entry 7 that the key was stolen"), "{said}");
    assert!(said.contains("entry 6 ended that key later; what it had signed stands"), "{said}");
}

/// A server in front of the log that answers lists with what `alter` makes of them; its URL.
fn liar(log: SocketAddr, alter: fn(&mut serde_json::Value)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || while answer(&mut stream, log, alter).is_some() {});
        }
    });
    url
}

fn answer(stream: &mut TcpStream, log: SocketAddr, alter: fn(&mut serde_json::Value)) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?;
    let mut answer = tests::server::exchange(log, "GET", path, &[], b"").ok()?;
    if path.contains("/history?") {
        let mut document = answer.json();
        alter(&mut document);
        answer.body = document.to_string().into_bytes();
    }
    let status = format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n\r\n", answer.status, answer.body.len());
    stream.write_all(status.as_bytes()).ok()?;
    stream.write_all(&answer.body).ok()
}

#[test]
fn a_version_that_is_left_out_or_put_in_is_seen() {
    let (clerk, _) = published();
    let log = clerk.server().address();
    let drop_one = |document: &mut serde_json::Value| {
        document["items"].as_array_mut().unwrap().remove(1);
    };
    let drop_first = |document: &mut serde_json::Value| {
        document["items"].as_array_mut().unwrap().remove(0);
    };
    let put_other = |document: &mut serde_json::Value| document["items"][0]["index"] = 2.into();
    let turn = |document: &mut serde_json::Value| document["items"].as_array_mut().unwrap().reverse();
    let drop_last = |document: &mut serde_json::Value| {
        document["items"].as_array_mut().unwrap().pop();
    };
    let run = |alter: fn(&mut serde_json::Value), code| {
        clerk.run(code, &["history", &liar(log, alter), NAME, "GB"])
    };
    assert!(run(drop_one, 1).contains("left a version out"));
    assert!(run(drop_first, 1).contains("left a version out"));
    assert!(run(put_other, 1).contains("lists entry 2 as a version"));
    run(turn, 3);
    // The end can be left out, which is why it is said; who reads the whole log sees it.
    assert!(run(drop_last, 0).contains("the log's word; --whole"));
    let whole = clerk.run(0, &["history", &liar(log, drop_last), NAME, "GB", "--whole"]);
    assert!(whole.contains("has 3 versions"), "{whole}");
}

#[test]
fn an_older_checkpoint_bounds_the_time_only_if_it_is_older_and_a_witness_dates_it() {
    let clerk = Clerk::new();
    let early = clerk.arg("early");
    std::fs::write(&early, clerk.server().get("/checkpoint").body).unwrap();
    clerk.post_good(&clerk.world.open(&clerk.office, "country"));
    let (url, file) = (clerk.url(), clerk.arg("two"));
    let receipt = format!("{file}.tlog-proof");
    clerk.run(0, &["get", &url, "2", "--out", &file, "--receipt", &receipt]);
    let said = clerk.run(1, &["verify", &file, "--earlier", &receipt]);
    assert!(said.contains("may hold entry 2 already"), "{said}");
    let said = clerk.run(1, &["verify", &file, "--earlier", &early]);
    assert!(said.contains("no witness's time"), "{said}");
    std::fs::write(&early, "nothing").unwrap();
    clerk.run(2, &["verify", &file, "--earlier", &early]);
}
