//! What ARCHITECTURE.md says, checked: rooms, arrows, lints, samples, licences and sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Who may depend on whom among our own crates.
const ARROWS: [(&str, &[&str]); 8] = [
    ("tlog", &[]),
    ("record", &["tlog"]),
    ("daemon", &[]),
    ("daybook", &["tlog", "record", "daemon"]),
    ("witness", &["tlog", "record", "daemon"]),
    ("monitor", &["tlog", "record", "daemon"]),
    ("tests", &["tlog", "record", "daemon", "daybook", "witness", "monitor"]),
    ("xtask", &[]),
];

/// What the pure crates must not use, even through others.
const IMPURE: [&str; 5] = ["tokio", "hyper", "rusqlite", "getrandom", "rustix"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).exec().expect("cargo metadata")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_arrows_hold() {
    let metadata = metadata();
    let members = metadata.workspace_packages();
    let names: BTreeSet<&str> = members.iter().map(|package| package.name.as_str()).collect();
    let expected: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, expected);
    for package in members {
        let allowed = ARROWS.iter().find(|(name, _)| *name == package.name.as_str()).expect("a member").1;
        let own = package.dependencies.iter().filter(|dependency| names.contains(dependency.name.as_str()));
        for dependency in own {
            assert!(
                allowed.contains(&dependency.name.as_str()),
                "{} must not use {}",
                package.name,
                dependency.name
            );
        }
    }
}

#[test]
fn the_pure_crates_are_pure() {
    let metadata = metadata();
    for name in ["tlog", "record"] {
        let package = metadata
            .workspace_packages()
            .into_iter()
            .find(|package| package.name.as_str() == name)
            .expect("a member");
        for dependency in
            package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal)
        {
            assert!(!IMPURE.contains(&dependency.name.as_str()), "{name} uses {}", dependency.name);
        }
    }
    for file in rust_files(&root().join("tlog/src")).into_iter().chain(rust_files(&root().join("record/src")))
    {
        let text = std::fs::read_to_string(&file).expect("text");
        for word in ["std::fs", "std::net", "std::time", "std::env", "async fn"] {
            assert!(!text.contains(word), "{} says {word}", file.display());
        }
    }
}

#[test]
fn every_member_inherits_the_lints_and_none_is_published() {
    for package in metadata().workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("a manifest");
        let manifest: toml::Table = manifest.parse().expect("TOML");
        assert_eq!(manifest["lints"]["workspace"], toml::Value::Boolean(true), "{}", package.name);
        assert_eq!(package.publish, Some(Vec::new()), "{}", package.name);
        assert_eq!(package.license.as_deref(), Some("Apache-2.0"), "{}", package.name);
    }
}

#[test]
fn the_rooms_of_the_architecture_exist() {
    let text = read("ARCHITECTURE.md");
    assert!(text.lines().count() < 200, "ARCHITECTURE.md stays on a few pages");
    let mut rooms = 0;
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let room = line.split('`').nth(1).expect("a room");
        assert!(root().join(room).exists(), "ARCHITECTURE.md names {room}, which does not exist");
        rooms += 1;
    }
    assert!(rooms > 20, "the tables of rooms are there");
    for (room, file) in
        [("src", "src/lib.rs"), ("witness", "witness/src/lib.rs"), ("monitor", "monitor/src/lib.rs")]
    {
        let listed = read(file);
        let modules = listed.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
        for module in modules {
            assert!(listed.contains(&format!("[`{module}`]")), "{room}: the table of {file} lacks {module}");
        }
    }
}

#[test]
fn sample_configurations_parse_and_say_the_defaults() {
    let parsed = daybook::config::Config::load(&root().join("deploy/config.toml")).expect("it parses");
    assert_eq!(format!("{parsed:?}"), format!("{:?}", daybook::config::Config::default()));
    let text = read("deploy/monitor.toml");
    let parsed: monitor::config::Config = toml::from_str(&text).expect("it parses");
    assert_eq!(format!("{parsed:?}"), format!("{:?}", monitor::config::Config::default()));
    // The example in it, without the signs that make it a comment, is a log that could be followed.
    let example: String = text
        .lines()
        .skip_while(|line| *line != "# [[log]]")
        .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
        .collect();
    let parsed: monitor::config::Config = toml::from_str(&example).expect("the example parses");
    assert_eq!(parsed.log.len(), 1);
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let mut documents =
        vec![root().join("README.md"), root().join("SECURITY.md"), root().join("CHANGELOG.md")];
    for folder in ["docs", "docs/spec", "docs/decisions"] {
        let files = std::fs::read_dir(root().join(folder)).expect("a folder");
        documents.extend(
            files
                .map(|file| file.expect("a file").path())
                .filter(|file| file.extension().is_some_and(|end| end == "md")),
        );
    }
    for document in documents {
        let text = std::fs::read_to_string(&document).expect("text");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or("");
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = document.parent().expect("a folder").join(target);
            assert!(path.exists(), "{} links to {link}", document.display());
        }
    }
}

#[test]
fn dependencies_come_from_the_registry_under_licences_that_we_allow() {
    let deny: toml::Table = read("deny.toml").parse().expect("TOML");
    let texts = |table: &toml::Value| -> Vec<String> {
        table
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect()
    };
    let allowed = texts(&deny["licenses"]["allow"]);
    let banned: Vec<String> = deny["bans"]["deny"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|ban| ban.get("crate")?.as_str().map(str::to_owned))
        .collect();
    let metadata = metadata();
    let own: BTreeSet<_> = metadata.workspace_members.iter().collect();
    let mut unlicensed = BTreeMap::new();
    for package in metadata.packages.iter().filter(|package| !own.contains(&package.id)) {
        let source = package.source.as_ref().expect("not a path").to_string();
        assert!(source.starts_with("registry+"), "{} comes from {source}", package.name);
        let licence = package.license.clone().unwrap_or_default();
        let any = |text: &str| {
            let text = text.trim().trim_start_matches('(').trim_end_matches(')');
            text.split(" AND ")
                .all(|one| allowed.iter().any(|allowed| allowed == one.trim().trim_matches(['(', ')'])))
        };
        let expression = licence.replace('/', " OR ");
        if !expression.split(" OR ").any(any) {
            unlicensed.insert(package.name.to_string(), licence);
        }
    }
    assert!(unlicensed.is_empty(), "{unlicensed:?}");
    // The lock file lists what features could bring in; the tree is what is compiled.
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--target", "all", "--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .expect("cargo tree");
    assert!(tree.status.success(), "{tree:?}");
    let tree = String::from_utf8_lossy(&tree.stdout).into_owned();
    let compiled: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(compiled.contains("hyper"), "the tree is there");
    for name in &banned {
        assert!(!compiled.contains(name.as_str()), "{name} is banned");
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files
}
