//! The main job on real input: registers that a government published are imported over HTTP, and the log's signed roots
//! are those that the government published.

use std::path::PathBuf;

use record::rsf::replay;
use tests::data_dir;
use tests::server::{Site, daybook};
use tlog::hash::leaf_hash;
use tlog::tlog_proof::TlogProof;

fn files() -> Vec<PathBuf> {
    let Some(data) = data_dir() else { return Vec::new() };
    let listed = std::fs::read_dir(data.join("registers")).expect("the registers");
    let mut files: Vec<PathBuf> = listed.map(|file| file.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rsf"));
    files.sort();
    assert_eq!(files.len(), 38);
    files
}

#[test]
fn every_register_imports_and_the_signed_root_is_the_published_one() {
    for file in files() {
        let name = file.display().to_string();
        let register = replay(&std::fs::read(&file).expect("a file")).expect("a register");
        let site = Site::new("open");
        let server = site.start();
        let policy = site.policy_path();
        let imported =
            daybook(&["import", "rsf", &name, "--to", &server.url(), "--policy", &policy, "--json"]);
        assert!(imported.status.success(), "{name}: {imported:?}");
        let said: serde_json::Value = serde_json::from_slice(&imported.stdout).expect("JSON");
        assert_eq!(said["log_has_the_same_roots"], true);
        // Not the importer's word: the signed head itself.
        let checkpoint = server.checkpoint(&site.policy());
        assert_eq!(checkpoint.head(), register.head, "{name}");
        for (index, leaf) in register.leaves.iter().enumerate() {
            let answer = server.send("GET", &format!("/entry/{index}"), &[("accept", "text/plain")], b"");
            let receipt = TlogProof::parse(&answer.body).expect("a receipt");
            receipt.verify(&leaf_hash(leaf), &site.policy()).expect("the receipt verifies offline");
        }
        let again = daybook(&["import", "rsf", &name, "--to", &server.url(), "--policy", &policy]);
        assert!(again.status.success(), "importing again changes nothing: {again:?}");
        assert_eq!(server.checkpoint(&site.policy()).head(), register.head);
    }
}

#[test]
fn a_register_does_not_go_into_a_log_that_holds_something_else() {
    let Some(file) = files().into_iter().next() else { return };
    let site = Site::new("open");
    let server = site.start();
    assert_eq!(server.add(b"something else"), 0);
    let name = file.display().to_string();
    let refused = daybook(&["import", "rsf", &name, "--to", &server.url(), "--policy", &site.policy_path()]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("a log of its own"), "{refused:?}");
}
