//! What others have published becomes signed histories in a log of records, over HTTP and with the real command line, and
//! comes out again with the roots that were published.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use record::json::Value;
use record::registry::{Chain, History, Registry, Signatures};
use record::rsf::{Register, replay};
use record::statement::{EntryRef, Statement};
use tests::agency::{Clerk, arg};
use tests::binaries::binary;
use tests::data_dir;
use tlog::hash::leaf_hash;
use tlog::ids::LeafIndex;
use tlog::tree::Frontier;

/// How often a test looks whether an import has begun.
const LOOKS_MAX: u32 = 30_000;
/// Registers imported at the same time.
const THREADS: usize = 2;

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let Some(data) = data_dir() else { return Vec::new() };
    let listed = std::fs::read_dir(data.join(folder)).unwrap();
    let mut files: Vec<PathBuf> = listed.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == extension));
    files.sort();
    files
}

/// Imports a register with its officers' keys.
fn import(clerk: &Clerk, file: &Path, register: &str) -> serde_json::Value {
    let (url, file) = (clerk.url(), arg(file));
    let [one, two, publisher] = ["officer-1.pem", "officer-2.pem", "publisher.pem"].map(|key| clerk.arg(key));
    let signers = ["--signer", &one, "--signer", &two, "--signer", &publisher];
    let register = format!("treasury.example/{register}");
    let into = ["import", "rsf", &file, "--to", &url, "--register", &register, "--licence", "OGL-UK-3.0"];
    clerk.json(0, &[&into[..], &signers].concat())
}

/// Exports a register with the roots that `original` asserts.
fn export(clerk: &Clerk, register: &str, original: &Register) -> Register {
    let (url, out) = (clerk.url(), clerk.arg(&format!("{register}.out.rsf")));
    let name = format!("treasury.example/{register}");
    let mut args = vec!["export", &url, "--out", &out, "--format", "rsf", "--register", &name];
    let after: Vec<String> = original
        .assertions
        .iter()
        .map(|assertion| assertion.head.size.get())
        .filter(|size| *size > 0)
        .map(|size| size.to_string())
        .collect();
    after.iter().for_each(|size| args.extend(["--assert-after", size]));
    assert!(clerk.run(0, &args).starts_with("RIGHT"));
    replay(&std::fs::read(&out).unwrap()).expect("every root that is asserted holds")
}

fn round_trip(file: &Path) {
    let register = file.file_stem().unwrap().to_str().unwrap().to_owned();
    let register = register.as_str();
    let original = replay(&std::fs::read(file).unwrap()).unwrap();
    let clerk = Clerk::new();
    let imported = import(&clerk, file, register);
    assert_eq!(imported["log_has_the_same_roots"], true, "{imported}");
    assert_eq!(imported["records"]["added"], original.leaves.len(), "{imported}");
    let exported = export(&clerk, register, &original);
    let asserted = |register: &Register| -> Vec<tlog::ids::TreeHead> {
        register.assertions.iter().map(|assertion| assertion.head).collect()
    };
    for head in asserted(&original) {
        assert!(asserted(&exported).contains(&head), "{register}: the root after {} entries", head.size);
    }
    assert_eq!((exported.head, &exported.leaves), (original.head, &original.leaves), "{register}");
    // Not the importer's word: every entry of the file is a version in the signed tree, under its key.
    let size = clerk.server().checkpoint(&clerk.site.policy()).head().size.get();
    assert_eq!(size as usize, original.leaves.len() + 3, "genesis, agency, register, and the versions");
    let again = import(&clerk, file, register);
    assert_eq!((&again["records"]["added"], &again["records"]["opened"]), (&0.into(), &false.into()));
    assert_eq!(clerk.server().checkpoint(&clerk.site.policy()).head().size.get(), size, "nothing twice");
}

#[test]
fn all_registers_become_signed_histories_and_export_with_the_published_roots() {
    let all = files("registers", "rsf");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let all = &all;
            scope.spawn(move || all.iter().skip(thread).step_by(THREADS).for_each(|file| round_trip(file)));
        }
    });
    assert!(all.len() == 38 || data_dir().is_none());
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_was_and_enters_nothing_twice() {
    let Some(file) =
        files("registers", "rsf").into_iter().find(|file| file.ends_with("government-organisation.rsf"))
    else {
        return;
    };
    let clerk = Clerk::new();
    let entries = replay(&std::fs::read(&file).unwrap()).unwrap().leaves.len() as u64;
    let (policy, url, name) = (clerk.site.policy_path(), clerk.url(), "treasury.example/organisation");
    let keys: Vec<String> = ["officer-1.pem", "officer-2.pem"].iter().map(|key| clerk.arg(key)).collect();
    let mut args = vec!["import".to_owned(), "rsf".to_owned(), arg(&file), "--to".to_owned(), url];
    args.extend(["--register", name, "--licence", "OGL-UK-3.0", "--policy", &policy].map(str::to_owned));
    args.extend(keys.iter().flat_map(|key| ["--signer".to_owned(), key.clone()]));
    let mut killed = Command::new(binary("daybook"))
        .args(&args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let size = || clerk.server().checkpoint(&clerk.site.policy()).head().size.get();
    for _ in 0..LOOKS_MAX {
        if size() >= 300 {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = size();
    assert!(before >= 300, "it had begun");
    // Whoever signs the rest need not be who signed the beginning.
    let rest = import(&clerk, &file, "organisation");
    let there_before = rest["records"]["there_before"].as_u64().unwrap();
    assert!(there_before >= 256, "{rest}");
    assert_eq!(rest["records"]["added"].as_u64().unwrap() + there_before, entries);
    assert_eq!(rest["log_has_the_same_roots"], true);
    assert_eq!(size(), entries + 3, "nothing twice");
}

#[test]
fn a_register_with_something_else_in_it_is_left_alone() {
    let Some(file) = files("registers", "rsf").into_iter().find(|file| file.ends_with("datatype.rsf")) else {
        return;
    };
    let clerk = Clerk::new();
    clerk.post_good(&clerk.world.open(&clerk.office, "datatype"));
    clerk.post_good(&clerk.world.put(&clerk.office, "datatype", "integer", None, r#"{"a":"b"}"#));
    let (url, file, key) = (clerk.url(), arg(&file), clerk.arg("publisher.pem"));
    let into = ["import", "rsf", &file, "--to", &url, "--register", "treasury.example/datatype"];
    let refused = clerk.run(3, &[&into[..], &["--signer", &key]].concat());
    assert!(refused.contains("a register of its own"), "{refused}");
    assert_eq!(clerk.server().checkpoint(&clerk.site.policy()).head().size.get(), 4, "nothing was entered");
    // A register that has to be opened first takes officers, and a licence.
    let into = ["import", "rsf", &file, "--to", &url, "--register", "treasury.example/other"];
    let refused = clerk.run(2, &[&into[..], &["--signer", &key]].concat());
    assert!(refused.contains("--licence"), "{refused}");
    let refused = clerk.run(2, &[&into[..], &["--signer", &key, "--licence", "OGL-UK-3.0"]].concat());
    assert!(refused.contains("more signatures"), "{refused}");
    assert!(clerk.run(2, &into).contains("--signer"));
}

#[test]
fn a_contracting_process_is_one_history_from_planning_to_implementation() {
    let packages: Vec<String> = files("ocds", "json")
        .iter()
        .map(|file| arg(file))
        .filter(|name| name.contains("-0000") && !name.ends_with("-00001.json"))
        .collect();
    if packages.is_empty() {
        return;
    }
    let clerk = Clerk::new();
    let (url, register) = (clerk.url(), "treasury.example/contracts");
    let [one, two] = ["officer-1.pem", "officer-2.pem"].map(|key| clerk.arg(key));
    let into = |files: &[&str]| -> Vec<String> {
        let to = ["--to", &url, "--register", register, "--signer", &one, "--signer", &two];
        ["import", "ocds"].iter().chain(files).chain(&to).map(|word| (*word).to_owned()).collect()
    };
    let run = |files: &[&str]| {
        let args = into(files);
        clerk.json(0, &args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    // As it happens: planning and tender first, the rest later, and some of it again.
    let first = run(&names[..2]);
    assert_eq!((&first["records"]["added"], &first["prefix"]), (&2.into(), &"ocds-213czf-".into()));
    let rest = run(&names);
    assert_eq!((&rest["records"]["added"], &rest["records"]["there_before"]), (&4.into(), &2.into()));
    assert_eq!(rest["processes"], 1);
    let key = "ocds-213czf-000-00001";
    let tags = |items: &serde_json::Value| -> Vec<String> {
        let tag =
            |item: &serde_json::Value| item["statement"]["public"]["tag"][0].as_str().unwrap().to_owned();
        items.as_array().unwrap().iter().map(tag).collect()
    };
    let expected = ["planning", "tender", "tenderAmendment", "award", "contract", "implementation"];
    let over_http = clerk.server().get(&format!("/registers/{register}/records/{key}/history")).json();
    assert_eq!(tags(&over_http["items"]), expected);
    let history = clerk.json(0, &["history", &url, register, key]);
    assert_eq!(tags(&history["versions"]), expected);
    assert_eq!(history["verified"], true);
    let diff = clerk.json(0, &["diff", &url, register, key]);
    let paths: Vec<&str> =
        diff["changes"].as_array().unwrap().iter().map(|change| change["path"].as_str().unwrap()).collect();
    assert!(paths.contains(&"/public/tag/0"), "{paths:?}");
    // The prefix is the agency's own: a release of another publisher is not taken into its register.
    let other = std::fs::read_to_string(&packages[0]).unwrap().replace("ocds-213czf-", "ocds-zzzzzz-");
    let file = clerk.file("other.json");
    std::fs::write(&file, other).unwrap();
    let args = into(&[&arg(&file)]);
    let refused = clerk.run(3, &args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(refused.contains("key_prefix"), "{refused}");
}

#[test]
fn release_packages_are_read_whole_and_say_what_another_reader_says() {
    let packages = files("ocds", "json");
    for package in &packages {
        let text = std::fs::read_to_string(package).unwrap();
        let other: serde_json::Value = serde_json::from_str(&text).unwrap();
        let read = Value::read(&text).unwrap_or_else(|error| panic!("{}: {error}", package.display()));
        assert_eq!(Ok(read), Value::from_serde(&other), "{}", package.display());
    }
    assert!(packages.len() > 6 || data_dir().is_none(), "{packages:?}");
}

#[test]
fn a_package_is_entered_with_the_values_that_it_has_or_not_at_all() {
    let clerk = Clerk::new();
    let (url, file) = (clerk.url(), clerk.file("package.json"));
    let [one, two] = ["officer-1.pem", "officer-2.pem"].map(|key| clerk.arg(key));
    let import = |code: i32, amount: &str| {
        let release = format!(
            "{{\"ocid\":\"ocds-213czf-1\",\"id\":\"1\",\"date\":\"2026-05-10T10:30:00Z\",\"value\":{{\"amount\":{amount}}}}}"
        );
        std::fs::write(&file, format!("{{\"license\":\"CC0-1.0\",\n\"releases\":[{release}]}}\n")).unwrap();
        let file = arg(&file);
        let into = ["import", "ocds", &file, "--to", &url, "--register", "treasury.example/contracts"];
        clerk.run(code, &[&into[..], &["--signer", &one, "--signer", &two]].concat())
    };
    let before = clerk.server().checkpoint(&clerk.site.policy()).head().size.get();
    let at = "package.json, line 2, column";
    for (amount, words) in [
        ("100.00, \"amount\": 900.00", "at /releases/0/value/amount: a member name that occurs twice"),
        ("100.000000000000000001", "at /releases/0/value/amount: a number with more digits"),
        ("9007199254740993", "at /releases/0/value/amount: a number that not every reader can hold"),
    ] {
        let said = import(2, amount);
        assert!(said.contains(at) && said.contains(words), "{said}");
    }
    assert_eq!(clerk.server().checkpoint(&clerk.site.policy()).head().size.get(), before, "nothing was sent");
    // Another spelling is not another amount.
    import(0, "100.00");
    let history =
        clerk.server().get("/registers/treasury.example/contracts/records/ocds-213czf-1/history").json();
    assert_eq!(history["items"][0]["statement"]["public"]["value"]["amount"], 100);
    let again = import(0, "1e2");
    assert!(again.contains("1 were there before"), "{again}");
}

/// The latest entry of each chain, in the lines read so far.
#[derive(Default)]
struct Latest(std::collections::HashMap<tlog::hash::Hash, EntryRef>);

impl History for Latest {
    type Error = std::convert::Infallible;

    fn latest(&self, chain: &Chain) -> Result<Option<EntryRef>, Self::Error> {
        Ok(self.0.get(&chain.id()).copied())
    }

    fn entry(&self, _: LeafIndex) -> Result<Option<Vec<u8>>, Self::Error> {
        Ok(None)
    }
}

#[test]
fn the_lines_of_a_register_can_be_judged_again_from_the_genesis_on() {
    let Some(file) = files("registers", "rsf").into_iter().find(|file| file.ends_with("country.rsf")) else {
        return;
    };
    let clerk = Clerk::new();
    clerk.post_good(&clerk.world.open(&clerk.office, "other"));
    clerk.post_good(&clerk.world.put(&clerk.office, "other", "A", None, "{}"));
    let imported = import(&clerk, &file, "country");
    let versions = imported["records"]["versions"].as_u64().unwrap();
    let (url, out) = (clerk.url(), clerk.arg("country.ndjson"));
    clerk.run(0, &["export", &url, "--out", &out, "--register", "treasury.example/country"]);
    let text = std::fs::read_to_string(&out).unwrap();
    let mut lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let assertion = lines.pop().unwrap();
    let (mut registry, mut history, mut frontier) = (Registry::new(), Latest::default(), Frontier::new());
    for line in &lines {
        let bytes = STANDARD.decode(line["entry"].as_str().unwrap()).unwrap();
        assert_eq!(line["leaf_hash"], leaf_hash(&bytes).to_string());
        let index = LeafIndex::new(line["index"].as_u64().unwrap()).unwrap();
        let authentic = registry.authenticate(Statement::parse(&bytes).unwrap(), Signatures::Check).unwrap();
        let effect =
            registry.judge(index, &authentic, &history).unwrap_or_else(|error| panic!("{index}: {error}"));
        history.0.insert(effect.chain().id(), effect.entry());
        registry.apply(effect);
        frontier.push(leaf_hash(&bytes), |_, _| ());
    }
    // Genesis, agency, both registers of the agency, and no record of the other one.
    assert_eq!(lines.len() as u64, versions + 4);
    assert_eq!(assertion["entries"], lines.len());
    assert_eq!(assertion["assert_root_hash"], format!("sha-256:{}", frontier.root()));
    let missing = ["export", &url, "--out", &out, "--register", "treasury.example/nothing"];
    clerk.run(2, &missing);
    let other = clerk.arg("other");
    clerk.run(3, &["export", &url, "--out", &other, "--register", "treasury.example/nothing"]);
    clerk.run(2, &["export", &url, "--out", &other, "--format", "rsf"]);
    let name = "treasury.example/country";
    let too_far =
        ["export", &url, "--out", &other, "--format", "rsf", "--register", name, "--assert-after", "9999"];
    clerk.run(2, &too_far);
}
