//! The specification names every code that the vectors end in, and the vectors are where it says.

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn codes(value: &serde_json::Value, out: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(members) => {
            out.extend(members.get("code").and_then(|code| code.as_str()).map(str::to_owned));
            members.values().for_each(|member| codes(member, out));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| codes(item, out)),
        _ => {}
    }
}

#[test]
fn every_code_of_the_vectors_stands_in_the_specification() {
    let specification = read("docs/spec/record.md");
    let mut found = BTreeSet::new();
    for file in ["statements", "sealed", "json"] {
        let vectors =
            serde_json::from_str(&read(&format!("tests/vectors/record/{file}.json"))).expect("JSON");
        codes(&vectors, &mut found);
    }
    assert!(found.len() > 30, "{found:?}");
    for code in found {
        assert!(specification.contains(&format!("`{code}`")), "docs/spec/record.md does not explain {code}");
    }
}

/// The codes in the source, from the arms of `code()`.
#[test]
fn every_refusal_of_the_registry_stands_in_the_specification() {
    let specification = read("docs/spec/record.md");
    let source = read("record/src/registry/refusal.rs");
    let arms = source.lines().filter_map(|line| line.split_once(" => \""));
    let codes: Vec<&str> = arms.filter_map(|(_, rest)| rest.strip_suffix("\",")).collect();
    assert!(codes.len() > 35, "{codes:?}");
    for code in codes {
        assert!(specification.contains(&format!("`{code}`")), "docs/spec/record.md does not explain {code}");
    }
}
