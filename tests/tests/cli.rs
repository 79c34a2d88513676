//! The command line, over the real executable: what a newcomer does, and what an adversary serves.

use std::path::Path;

use tests::server::{Server, Site, daybook};

fn said(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a command that must end with this code, and returns what it printed.
fn expect(code: i32, args: &[&str]) -> String {
    let output = daybook(args);
    assert_eq!(output.status.code(), Some(code), "daybook {}: {}", args.join(" "), said(&output));
    said(&output)
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn with_lines(count: u32) -> (Site, Server) {
    let site = Site::new("open");
    let server = site.start();
    let file = site.root().join("lines");
    std::fs::write(&file, (0..count).map(|number| format!("line {number}\n")).collect::<String>())
        .expect("written");
    let printed = expect(0, &["add", &server.url(), &path(&file), "--lines"]);
    assert_eq!(printed.lines().count(), usize::try_from(count).expect("small"));
    (site, server)
}

#[test]
fn a_file_and_its_receipt_verify_offline_and_a_changed_file_does_not() {
    let site = Site::new("open");
    let server = site.start();
    let (policy, file) = (site.policy_path(), site.root().join("notice.txt"));
    std::fs::write(&file, "Notice of 4 January").expect("written");
    let file = path(&file);
    expect(0, &["add", &server.url(), &file, "--receipts", "--policy", &policy]);
    assert_eq!(server.stop(), 0);
    assert!(expect(0, &["verify", &file, "--policy", &policy]).starts_with("RIGHT"));
    std::fs::write(&file, "Notice of 5 January").expect("written");
    assert!(expect(1, &["verify", &file, "--policy", &policy]).starts_with("WRONG"));
    std::fs::write(format!("{file}.tlog-proof"), "nothing").expect("written");
    expect(2, &["verify", &file, "--policy", &policy]);
    expect(3, &["verify", &format!("{file}.missing"), "--policy", &policy]);
    expect(2, &["verify", &file]);
    expect(2, &["verify"]);
}

#[test]
fn a_file_that_cannot_be_had_is_named_with_what_to_do() {
    let site = Site::new("open");
    let (missing, policy) = (path(&site.root().join("nowhere/p.txt")), site.policy_path());
    let folder = path(site.root());
    for args in [
        ["verify", &policy, "--policy", &missing],
        ["verify", &missing, "--policy", &policy],
        ["verify-disclosure", &missing, "--policy", &policy],
        ["verify-evidence", &policy, "--policy", &missing],
        ["verify-evidence", &missing, "--policy", &policy],
        ["cosign", &missing, "--signer", &missing],
        ["keygen", "agency.example/clerk", "--out", &missing],
    ] {
        let advice = "check the name, and that its folder is there";
        for said in [expect(3, &args), expect(3, &[&args[..], &["--json"]].concat())] {
            assert!(said.contains(&missing) && said.contains(advice), "{args:?}: {said}");
        }
    }
    let said = expect(3, &["verify", &folder, "--policy", &policy]);
    assert!(said.contains("it is a folder: name a file in it"), "{said}");
}

#[test]
fn a_receipt_of_another_log_is_refused() {
    let (site, server) = with_lines(3);
    let (other, other_server) = with_lines(3);
    let [file, receipt] = ["entry", "receipt"].map(|name| path(&site.root().join(name)));
    let policy = other.policy_path();
    expect(0, &["get", &other_server.url(), "1", "--out", &file, "--receipt", &receipt, "--policy", &policy]);
    expect(0, &["verify", &file, &receipt, "--policy", &policy]);
    expect(1, &["verify", &file, &receipt, "--policy", &site.policy_path()]);
    expect(1, &["get", &other_server.url(), "1", "--policy", &site.policy_path()]);
    drop(server);
}

#[test]
fn an_entry_is_found_by_index_and_by_hash_and_in_a_copy() {
    let (site, server) = with_lines(300);
    let policy = site.policy_path();
    assert_eq!(expect(0, &["get", &server.url(), "290", "--policy", &policy]), "line 290");
    let leaf = tlog::hash::leaf_hash(b"line 17").to_string();
    assert_eq!(expect(0, &["get", &server.url(), &leaf, "--policy", &policy]), "line 17");
    let copy = path(&site.root().join("copy"));
    expect(0, &["export", &server.url(), "--format", "tiles", "--out", &copy, "--policy", &policy]);
    expect(2, &["export", &server.url(), "--format", "tiles", "--out", &copy, "--policy", &policy]);
    assert_eq!(server.stop(), 0);
    assert_eq!(expect(0, &["get", &copy, "290", "--policy", &policy]), "line 290");
    expect(0, &["fsck", &copy, "--policy", &policy]);
    assert!(
        expect(0, &["prove", "consistency", &copy, "256", "--policy", &policy]).contains("the beginning of")
    );
    assert!(
        expect(0, &["prove", "inclusion", &copy, "5", "--policy", &policy])
            .starts_with("c2sp.org/tlog-proof@v1")
    );
    expect(2, &["get", &copy, "300", "--policy", &policy]);
    expect(3, &["get", &copy, &leaf, "--policy", &policy]);
    expect(2, &["get", &copy, "+5", "--policy", &policy]);
    let ndjson = site.root().join("all.ndjson");
    expect(0, &["export", &copy, "--out", &path(&ndjson), "--policy", &policy]);
    let text = std::fs::read_to_string(&ndjson).expect("a file");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 300);
    assert!((0..).zip(&lines).all(|(index, line)| line["index"] == index));
}

#[test]
fn fsck_names_every_bad_object_and_no_other() {
    let (site, server) = with_lines(70_000);
    assert_eq!(server.stop(), 0);
    let dir = path(&site.dir());
    expect(0, &["fsck", &dir]);
    let cases = [
        "tile/0/000",
        "tile/0/273.p/112",
        "tile/entries/100",
        "tile/entries/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ];
    for object in cases {
        let file = site.dir().join("public").join(object);
        let good = std::fs::read(&file).expect("an object");
        let mut bad = good.clone();
        let at = bad.len() / 2 + 3;
        bad[at] ^= 0x10;
        for damaged in [Some(bad), Some(good[..good.len() - 1].to_vec()), None] {
            match &damaged {
                Some(bytes) => std::fs::write(&file, bytes).expect("written"),
                None => std::fs::remove_file(&file).expect("removed"),
            }
            let printed = expect(1, &["fsck", &dir, "--json"]);
            let report: serde_json::Value = serde_json::from_str(&printed).expect("one JSON document");
            let findings = report["findings"].as_array().expect("a list").clone();
            assert!(!findings.is_empty() && report["good"] == false, "{object}");
            let right_edge = object.contains(".p/") && !object.contains("entries");
            let named = |finding: &serde_json::Value| {
                let path = finding["path"].as_str().expect("a path");
                path == object || right_edge && ["right edge", "tiles"].contains(&path)
            };
            assert!(findings.iter().all(named), "{object}: {findings:?}");
            let bundle = object.contains("entries");
            let good_entries = report["entries_good"].as_u64().expect("a number");
            assert!(good_entries >= 70_000 - if bundle { 256 } else { 0 }, "{object}: {good_entries}");
        }
        std::fs::write(&file, good).expect("written");
    }
    expect(0, &["fsck", &dir]);
}

#[test]
fn what_checks_never_says_right_to_a_log_that_serves_something_else() {
    let (site, server) = with_lines(600);
    let policy = site.policy_path();
    assert_eq!(server.stop(), 0);
    let bundle = site.dir().join("public/tile/entries/001");
    let text =
        String::from_utf8_lossy(&std::fs::read(&bundle).expect("a bundle")).replace("line 300", "line 999");
    std::fs::write(&bundle, text).expect("written");
    let server = site.start();
    for args in [vec!["get", "300"], vec!["fsck"], vec!["export", "--out", "/nonexistent/never-written"]] {
        let url = server.url();
        let mut all = vec![args[0], &url];
        all.extend(&args[1..]);
        all.extend(["--policy", &policy]);
        let output = daybook(&all);
        assert!(matches!(output.status.code(), Some(1 | 3)), "{args:?}: {}", said(&output));
        assert!(!said(&output).contains("RIGHT"), "{args:?}");
    }
    assert_eq!(
        expect(0, &["get", &server.url(), "5", "--policy", &policy]),
        "line 5",
        "the rest is still provable"
    );
}

#[test]
fn nothing_is_made_over_something_else() {
    let site = Site::new("open");
    let dir = path(&site.dir());
    let said = expect(3, &["init", &dir, "--origin", "log.example/x", "--admission", "open"]);
    assert!(said.contains("not empty"), "{said}");
    let key = path(&site.root().join("key.pem"));
    assert!(expect(0, &["keygen", "a.example", "--out", &key]).contains("a.example+"));
    expect(3, &["keygen", "a.example", "--out", &key]);
    expect(2, &["init", &dir, "--origin", "", "--admission", "open"]);
}

#[test]
fn an_anchor_can_be_made_anew_only_on_the_operators_word() {
    let (site, server) = with_lines(3);
    let dir = path(&site.dir());
    let anchor = path(&site.root().join("anchor"));
    expect(2, &["anchor", &dir, "--path", &anchor]);
    expect(3, &["anchor", &dir, "--path", &anchor, "--this-is-the-newest-copy"]);
    assert_eq!(server.stop(), 0);
    expect(0, &["anchor", &dir, "--path", &anchor, "--this-is-the-newest-copy"]);
    site.configure("# path = \"/other-volume/daybook.anchor\"", &format!("path = {anchor:?}"));
    let server = site.start();
    assert_eq!(server.add(b"with an anchor"), 3);
}

#[test]
fn a_misspelt_setting_is_refused_with_its_place() {
    let site = Site::new("open");
    site.configure("[limits]", "[limits]\npool_entris_max = 5");
    let said = site.try_start().expect_err("an unknown key");
    assert!(said.contains("pool_entris_max") && said.contains("config.toml"), "{said}");
}

#[test]
fn the_load_generator_counts_only_what_the_log_holds() {
    let site = Site::new("open");
    let server = site.start();
    let policy = site.policy_path();
    for extra in [vec!["--batch", "50"], vec!["--duplicates", "0.5"], vec!["--rate", "50"]] {
        let url = server.url();
        let mut args = vec![
            "bench",
            &url,
            "--writers",
            "4",
            "--readers",
            "1",
            "--duration",
            "600ms",
            "--json",
            "--policy",
            &policy,
        ];
        args.extend(extra);
        let report: serde_json::Value = serde_json::from_str(&expect(0, &args)).expect("JSON");
        assert!(report["entries"].as_u64().expect("a number") > 0);
        assert_eq!(report["entries"], report["entries_found"]);
    }
}

#[test]
fn the_demonstration_shows_the_system_and_ends() {
    let said = expect(0, &["demo"]);
    for shown in [
        "hash to that root",
        "is refused",
        "VERIFIED",
        "1243000.00 -> 1868500.00",
        "is answered 410",
        "Nothing was lost",
        "MISBEHAVING",
    ] {
        assert!(said.contains(shown), "{shown}: {said}");
    }
    assert_eq!(said.matches("PROVED").count(), 2, "by the witness and by the monitor: {said}");
    let report: serde_json::Value = serde_json::from_str(&expect(0, &["demo", "--json"])).expect("JSON");
    for shown in [
        "forged_entry_refused",
        "receipts_verify",
        "stopped_below_quorum",
        "nothing_lost",
        "evidence_verifies",
    ] {
        assert_eq!(report[shown], true, "{shown}");
    }
    let counts = ["witnesses", "agencies", "registers", "records", "entries", "erased_status"];
    assert_eq!(counts.map(|name| report[name].as_u64().expect(name)), [4, 4, 5, 18, 29, 410]);
    assert_eq!(report["monitor_state"], "misbehaving");
    assert!(report["days_late"].as_i64().expect("a number") > 30);
    assert_eq!(report["alerts"].as_array().expect("links").len(), 4);
}
