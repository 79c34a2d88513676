//! The vectors of docs/spec/evidence.md: files that prove something, files that do not, and who says so.
//!
//! The committed files are what this test makes; run it with `UPDATE_EXPECT=1` to write them anew. Three verifiers
//! give their verdict on each: the library, the command line, and the one in Python that shares no code with them.

mod signers;
mod vectors;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tests::server::daybook;
use tlog::evidence::Evidence;
use tlog::evidence::report::Report;
use tlog::vkey::VerifierKey;

use signers::{ORIGIN, Signer, signers};
use vectors::{MALFORMED, NOT_PROVED, PROVED, Vector, malformed, proving_nothing, valid};

fn vectors() -> Vec<Vector> {
    [valid(), proving_nothing(), malformed()].into_iter().flatten().collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/evidence")
}

fn judge(bytes: &[u8], key: &VerifierKey) -> &'static str {
    match Evidence::parse(bytes).map(|evidence| evidence.verify(std::slice::from_ref(key))) {
        Ok(Ok(_)) => PROVED,
        Ok(Err(_)) => NOT_PROVED,
        Err(_) => MALFORMED,
    }
}

/// Every file by name, and the index with keys and verdicts.
fn files() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut index = Vec::new();
    for Vector { name, bytes, key, verdict, why } in vectors() {
        let file = format!("{name}.evidence");
        let mut line = json!({ "file": file, "key": key.to_string(), "verdict": verdict });
        if verdict == PROVED {
            let evidence = Evidence::parse(&bytes).expect("parses");
            let contradiction = evidence.verify(&[key]).expect("proves");
            line["form"] = json!(evidence.form());
            line["id"] = json!(evidence.id().to_string());
            line["summary"] = json!(contradiction.summary());
        } else {
            line["why"] = json!(why);
        }
        index.push(line);
        assert!(files.insert(file, bytes).is_none(), "names are unique");
    }
    let index = serde_json::to_string_pretty(&Value::Array(index)).expect("JSON") + "\n";
    files.insert("index.json".to_owned(), index.into_bytes());
    files
}

#[test]
fn the_committed_vectors_are_what_the_code_makes() {
    let (folder, files) = (folder(), files());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(&folder).expect("a folder");
        for (name, bytes) in &files {
            std::fs::write(folder.join(name), bytes).expect("written");
        }
    }
    let committed = std::fs::read_dir(&folder).expect("a folder").map(|entry| {
        let entry = entry.expect("an entry");
        (entry.file_name().into_string().expect("a name"), std::fs::read(entry.path()).expect("a file"))
    });
    let committed: BTreeMap<String, Vec<u8>> = committed.collect();
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&committed), names(&files));
    for (name, bytes) in &files {
        assert!(
            committed[name] == *bytes,
            "{name} is not what the code makes; UPDATE_EXPECT=1 writes it anew"
        );
    }
}

#[test]
fn the_library_judges_every_vector_as_it_is_listed() {
    for Vector { name, bytes, key, verdict, .. } in vectors() {
        assert_eq!(
            judge(&bytes, &key),
            verdict,
            "{name}: {:?}",
            Evidence::parse(&bytes).map(|evidence| evidence.verify(&[key]))
        );
    }
}

#[test]
fn the_specification_shows_vectors_as_they_are_and_the_verdict_as_it_is_printed() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/spec/evidence.md");
    let page = std::fs::read_to_string(page).expect("the specification");
    let vectors = vectors();
    let named = |name: &str| vectors.iter().find(|vector| vector.name == name).expect("a vector");
    for name in ["log-ed25519-two-roots", "log-ed25519-two-leaves"] {
        let file = String::from_utf8(named(name).bytes.clone()).expect("text");
        assert!(page.contains(&format!("```text\n{file}```\n")), "{name} is not in the specification");
    }
    let report =
        page.split("```text\n").find(|part| part.starts_with("daybook/alarm/v1\n")).expect("a report");
    let report = report.split("```").next().expect("it ends");
    assert!(Report::parse(report.as_bytes()).is_ok());
    let Vector { bytes, key, .. } = named("log-ed25519-two-roots");
    let evidence = Evidence::parse(bytes).expect("parses");
    let verdict = evidence.verify(std::slice::from_ref(key)).expect("proves");
    assert!(page.contains(&format!("```text\n{verdict}\n```\n")), "the verdict is now\n{verdict}");
}

#[test]
fn evidence_is_checked_with_a_policy_and_by_the_worst_of_several_files() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = |name: &str| folder_of(&format!("{name}.evidence"));
    let policy = folder.path().join("policy.txt").to_string_lossy().into_owned();
    let [(_, log), _, _, (_, witness), _] = signers();
    let text = format!("log {}\nwitness w1 {}\nquorum w1\n", log.key, witness.key);
    std::fs::write(&policy, text).expect("written");
    let run = |args: &[&str]| {
        let ended = daybook(&[&["verify-evidence"], args].concat());
        let said = [ended.stdout, ended.stderr].concat();
        (ended.status.code(), String::from_utf8(said).expect("text"))
    };
    let (by_log, by_witness) = (file("log-ed25519-two-leaves"), file("witness-ed25519-two-roots"));
    let (code, said) = run(&[&by_log, &by_witness, "--policy", &policy]);
    assert_eq!((code, said.matches("PROVED: ").count()), (Some(0), 2), "{said}");
    assert!(said.contains("payment 5: 700 EUR") && said.contains("2026-11-24T08:00:00Z"), "{said}");
    let (code, said) = run(&[&by_log, &file("same-tree"), "--policy", &policy]);
    assert!(code == Some(1) && said.contains("NOT PROVED: "), "{said}");
    let (code, said) = run(&[&file("same-tree"), &file("order"), "--policy", &policy]);
    assert!(code == Some(2) && said.contains("MALFORMED: "), "{said}");
    let missing = folder.path().join("missing").to_string_lossy().into_owned();
    assert_eq!(run(&[&by_log, &missing, "--policy", &policy]).0, Some(3));
    assert_eq!(run(&[&by_log]).0, Some(2), "whose key it is, is not for the file to say");
    let tree_head = Signer::tree_head(ORIGIN, 6).key.to_string();
    assert_eq!(run(&[&by_log, "--key", &tree_head]).0, Some(2));
    let (log, witness) = (log.key.to_string(), witness.key.to_string());
    assert_eq!(run(&[&by_log, &by_witness, "--key", &log, "--key", &witness]).0, Some(0));
}

fn folder_of(file: &str) -> String {
    folder().join(file).to_string_lossy().into_owned()
}

fn code_of(verdict: &str) -> i32 {
    match verdict {
        PROVED => 0,
        NOT_PROVED => 1,
        _ => 2,
    }
}

#[test]
fn the_command_line_judges_every_vector_as_it_is_listed() {
    for Vector { name, key, verdict, .. } in vectors() {
        let file = folder().join(format!("{name}.evidence"));
        let ended =
            daybook(&["verify-evidence", &file.to_string_lossy(), "--key", &key.to_string(), "--json"]);
        assert_eq!(ended.status.code(), Some(code_of(verdict)), "{name}: {ended:?}");
        let said: Value = serde_json::from_slice(&ended.stdout).expect("one JSON document");
        assert_eq!(
            (&said["proved"], &said["exit_code"]),
            (&json!(verdict == PROVED), &json!(code_of(verdict)))
        );
        let first = &said["files"][0];
        if verdict == PROVED {
            assert!(first["summary"].as_str().is_some_and(|text| text.contains(ORIGIN)), "{said}");
            assert_eq!(first["accused"], json!(key.to_string()));
        } else {
            assert!(first["error"].is_string(), "{said}");
        }
    }
}

/// Asks the verifier in Python about many files under one key; `None` where there is no Python.
fn python(files: &[PathBuf], key: &VerifierKey) -> Option<Vec<&'static str>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/verify_evidence.py");
    let mut command = Command::new("python3");
    command.arg("-I").arg(script).args(files).args(["--key", &key.to_string()]).stdin(Stdio::null());
    let ended = match command.output() {
        Ok(ended) => ended,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "CI needs python3: {error}");
            eprintln!("SKIPPED: python3 cannot be started: {error}");
            return None;
        }
    };
    let said = String::from_utf8(ended.stdout).expect("text");
    let verdicts = said.lines().filter_map(|line| {
        let verdict = [("PROVED: ", PROVED), ("NOT PROVED: ", NOT_PROVED), ("MALFORMED: ", MALFORMED)];
        verdict.into_iter().find(|(prefix, _)| line.starts_with(prefix)).map(|(_, verdict)| verdict)
    });
    let verdicts: Vec<_> = verdicts.collect();
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(verdicts.len(), files.len(), "a verdict for each file: {said}\n{errors}");
    let worst = verdicts.iter().map(|verdict| code_of(verdict)).max();
    assert_eq!(ended.status.code(), worst, "{errors}");
    Some(verdicts)
}

#[test]
fn the_verifier_in_python_judges_every_vector_as_it_is_listed() {
    for Vector { name, key, verdict, .. } in vectors() {
        let Some(found) = python(&[folder().join(format!("{name}.evidence"))], &key) else { return };
        assert_eq!(found, [verdict], "{name}");
    }
}

/// Changes of a file in many places, the same at every run.
fn mutations(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut mutations = Vec::new();
    let mut change = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = bytes.to_vec();
        change(&mut changed);
        mutations.push(changed);
    };
    let step = (bytes.len() / 8).max(1);
    for (at, round) in (0..bytes.len()).step_by(step).zip(0_usize..) {
        change(&|bytes| bytes[at] ^= 1 << (round % 8));
        change(&|bytes| {
            bytes.remove(at);
        });
        change(&|bytes| bytes.insert(at, b"0\n= Az\xc2"[round % 7]));
        change(&|bytes| bytes.truncate(at));
    }
    mutations
}

#[test]
fn rust_and_python_agree_on_mutated_files() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let mut disagreements = Vec::new();
    for Vector { name, bytes, key, .. } in vectors() {
        let mutations = mutations(&bytes);
        let files: Vec<PathBuf> =
            (0..mutations.len()).map(|at| folder.path().join(format!("{name}-{at}"))).collect();
        for (file, bytes) in files.iter().zip(&mutations) {
            std::fs::write(file, bytes).expect("written");
        }
        if files.is_empty() {
            continue;
        }
        let Some(found) = python(&files, &key) else { return };
        for ((bytes, found), at) in mutations.iter().zip(found).zip(0..) {
            let expected = judge(bytes, &key);
            if expected != found {
                disagreements.push(format!("{name}, mutation {at}: {expected} here, {found} there"));
            }
        }
    }
    assert!(disagreements.is_empty(), "{disagreements:#?}");
}
