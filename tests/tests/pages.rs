//! The pages for people, taken at their word: the commands that they show are run as they stand there.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::binaries::binary;
use tests::clerk::{AGENCY, Desk};
use tests::server::{Site, daybook};

/// A file or a page of the project.
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A block of a page, between its fences.
struct Block {
    /// `console`, `json gb.json`
    kind: String,
    text: String,
}

/// A command, and what the page shows of its answer.
#[derive(Debug)]
struct Shown {
    command: String,
    answer: Vec<String>,
}

fn blocks(page: &str) -> Vec<Block> {
    let split = |block: &str| {
        let (kind, text) = block.split_once('\n').unwrap();
        Block { kind: kind.to_owned(), text: text.to_owned() }
    };
    format!("\n{page}").split("\n```").skip(1).step_by(2).map(split).collect()
}

fn commands(block: &Block) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for line in block.text.replace("\\\n", "").lines() {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => all.push(Shown { command: command.to_owned(), answer: Vec::new() }),
            (None, Some(shown)) => shown.answer.push(line.to_owned()),
            (None, None) => panic!("an answer without a command: {line}"),
        }
    }
    all
}

/// The words of a command, of which some stand in quotes.
fn words(command: &str) -> Vec<String> {
    let parts = command.split('"').enumerate();
    let words = parts.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

/// Runs a command in a folder; it must succeed. What it printed.
fn run(command: &str, url: &str, folder: &Path) -> String {
    let words = words(&command.replace("https://log.example", url));
    let program = if words[0] == "daybook" { binary("daybook") } else { PathBuf::from(&words[0]) };
    let ran = Command::new(program).args(&words[1..]).current_dir(folder).output().unwrap();
    assert!(ran.status.success(), "{command}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

/// The first word of an answer is its verdict, and the page shows the same.
fn has_the_verdict_of(said: &str, shown: &Shown) {
    if let Some(verdict) = shown.answer.first().and_then(|line| line.split(':').next()) {
        assert!(said.starts_with(&format!("{verdict}: ")), "{shown:?}: {said}");
    }
}

#[test]
fn from_nothing_to_a_receipt_in_five_commands_as_the_page_says() {
    let desk = Desk::new();
    let page = std::fs::read_to_string(project("docs/agency.md")).unwrap();
    let (_, section) = page.split_once("## From nothing to a receipt\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let (mut all, mut clerks) = (Vec::new(), 0);
    for block in blocks(section) {
        if let Some(file) = block.kind.strip_prefix("json ") {
            desk.write(file, &block.text);
            continue;
        }
        let found = commands(&block);
        clerks += if block.kind == "console" { found.len() } else { 0 };
        all.extend(found);
    }
    assert_eq!(clerks, 5, "five commands of the clerk's: {all:?}");
    for shown in all {
        assert!(shown.command.starts_with("daybook "), "{shown:?}");
        let said = run(&shown.command, &desk.server().url(), &desk.path("."));
        if shown.command.starts_with("daybook verify ") {
            has_the_verdict_of(&said, &shown);
        }
    }
}

/// A log of any bytes, and a folder with a document of it and its receipt.
fn with_a_document() -> (Site, PathBuf) {
    let site = Site::new("open");
    let server = site.start();
    let folder = site.root().join("citizen");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(site.policy_path(), folder.join("policy.txt")).unwrap();
    let document = folder.join("document.pdf");
    std::fs::write(&document, "a document").unwrap();
    let (document, policy) = (document.to_str().unwrap(), site.policy_path());
    let added = daybook(&["add", &server.url(), document, "--receipts", "--policy", &policy]);
    assert!(added.status.success(), "{added:?}");
    assert_eq!(server.stop(), 0, "what a citizen checks needs no log");
    (site, folder)
}

/// A desk with what a citizen was given: a record of which there are two versions, and a field of another that was sealed.
fn with_records() -> Desk {
    let desk = Desk::enrolled();
    desk.open("country", &[]);
    desk.open("staff", &["--field", "salary=string:sealed"]);
    for name in ["Britain", "United Kingdom"] {
        desk.write("record.json", format!(r#"{{"key":"GB","name":"{name}"}}"#));
        desk.submit("country", "record.json", &[]);
    }
    desk.write("pay.json", r#"{"key":"7","salary":"120000"}"#);
    let pay = desk.submit("staff", "pay.json", &[])["records"][0]["index"].to_string();
    let values = std::fs::read_dir(desk.path("."))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap());
    let values = values.into_iter().find(|name| name.ends_with(".sealed")).unwrap();
    let disclose = ["disclose", "pay.json.statement", "--field", "salary", "--values", &values];
    desk.good(&[&disclose[..], &["--out", "salary.disclosure"]].concat());
    desk.good(&["get", "URL", &pay, "--out", "pay.txt", "--provenance", "salary.provenance"]);
    let gb = desk.history("country", "GB")[1]["index"].to_string();
    let get = ["get", "URL", &gb, "--out", "gb.txt", "--receipt", "gb.txt.tlog-proof"];
    desk.good(&[&get[..], &["--provenance", "gb.provenance"]].concat());
    desk
}

/// A folder with evidence, the policy that names whom it accuses, and the program that needs nothing but Python.
fn with_evidence(folder: &Path) {
    let evidence =
        std::fs::read_to_string(project("tests/vectors/evidence/log-ed25519-two-roots.evidence")).unwrap();
    let accused = evidence.lines().find_map(|line| line.strip_prefix("accused ")).unwrap();
    std::fs::write(folder.join("policy.txt"), format!("log {accused}\nquorum none\n")).unwrap();
    std::fs::write(folder.join("fork.evidence"), &evidence).unwrap();
    for program in ["verify_evidence.py", "record_statement.py"] {
        std::fs::copy(project("deploy").join(program), folder.join(program)).unwrap();
    }
}

#[test]
fn a_citizen_gets_the_answers_that_the_page_shows_with_the_commands_that_it_shows() {
    let page = std::fs::read_to_string(project("docs/citizen.md")).unwrap();
    let all: Vec<Shown> =
        blocks(&page).iter().filter(|block| block.kind == "console").flat_map(commands).collect();
    let (desk, (_site, document), evidence) =
        (with_records(), with_a_document(), tempfile::tempdir().unwrap());
    with_evidence(evidence.path());
    let mut run_so_far = Vec::new();
    for shown in &all {
        let command = &shown.command;
        let folder = match command {
            _ if command.contains("document.pdf") => document.clone(),
            _ if command.contains("fork.evidence") => evidence.path().to_owned(),
            _ => desk.path("."),
        };
        let said = run(command, &desk.server().url(), &folder);
        has_the_verdict_of(&said, shown);
        run_so_far.push(command.split_whitespace().nth(1).unwrap());
        if command.contains("gb.txt") {
            // Each line that the page shows begins like one of the answer, in the same order.
            let mut lines = said.lines();
            for line in &shown.answer {
                let begins = line.split_whitespace().next().unwrap();
                let found = lines.any(|line| line.split_whitespace().next() == Some(begins));
                assert!(found, "{line}: {said}");
            }
            assert!(said.contains(&format!("  agency The Treasury ({AGENCY})")), "{said}");
        }
        if command.contains("verify-disclosure") {
            assert!(said.contains("  salary = \"120000\""), "{said}");
        }
        if command.starts_with("daybook verify-evidence") {
            assert!(
                said.contains(shown.answer[1].split(" that differ").next().unwrap()),
                "{shown:?}: {said}"
            );
        }
    }
    let expected =
        ["verify", "verify", "history", "diff", "verify-disclosure", "verify-evidence", "verify_evidence.py"];
    assert_eq!(run_so_far, expected, "a command that is new on the page is new here");
}
