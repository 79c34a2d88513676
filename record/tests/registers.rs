//! The 38 registers that a government published, with their roots.

use std::path::{Path, PathBuf};

use record::rsf::{Command, RsfError, replay};

fn folder() -> Option<PathBuf> {
    let configured = std::env::var_os("DAYBOOK_TEST_DATA").map(PathBuf::from);
    let data = configured.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let folder = data.join("registers");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs the registers at {}", folder.display());
    eprintln!("SKIPPED: no registers at {}; set DAYBOOK_TEST_DATA", folder.display());
    None
}

fn files() -> Vec<PathBuf> {
    let Some(folder) = folder() else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rsf"));
    files.sort();
    assert_eq!(files.len(), 38, "all registers are there");
    files
}

#[test]
fn every_published_root_is_reproduced_at_its_place() {
    for file in files() {
        let register = replay(&std::fs::read(&file).expect("a file"))
            .unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert!(register.assertions.len() >= 2, "{}", file.display());
        let last = register.assertions.last().expect("an assertion");
        assert!(last.head.size.get() > 0, "{}: the last root covers entries", file.display());
    }
}

#[test]
fn every_line_formats_back_to_itself() {
    for file in files() {
        for line in std::fs::read_to_string(&file).expect("text").lines() {
            assert_eq!(line.parse::<Command>().expect("a command").to_string(), line, "{}", file.display());
        }
    }
}

#[test]
fn a_changed_entry_is_noticed_at_the_next_assertion() {
    for file in files() {
        let text = std::fs::read_to_string(&file).expect("text");
        let changed = text.replacen("append-entry\tuser\t", "append-entry\tuser\tx", 1);
        assert!(matches!(replay(changed.as_bytes()), Err(RsfError::Root { .. })), "{}", file.display());
    }
}
