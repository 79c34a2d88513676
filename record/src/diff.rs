//! What changed between two versions of a record, field by field.
//!
//! ```
//! use record::diff::{Change, diff};
//! use record::json::Value;
//! let (old, new) = (Value::parse(r#"{"a":1,"b":[1,2]}"#).unwrap(), Value::parse(r#"{"b":[2],"c":true}"#).unwrap());
//! let changes: Vec<String> = diff(&old, &new).iter().map(|change| change.path.clone()).collect();
//! assert_eq!(changes, ["/a", "/b/0", "/c"]);
//! ```
//!
//! Deterministic, in the order of the canonical form, and empty only for equal values. Lists of objects of which each
//! has an `id` of its own are compared by `id`, as open contracting data is meant to be; other lists lose what they
//! have in common at both ends, and the rest is compared place by place.

use std::collections::BTreeMap;

use crate::json::{Object, Value, escape_segment};
use crate::statement::{AttachmentContent, Content, Record};

/// A difference at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// JSON Pointer: into the older version for what was removed, else into the newer one.
    pub path: String,
    /// What happened there.
    pub what: What,
}

/// What happened at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Only the newer version has it.
    Added(Value),
    /// Only the older version has it.
    Removed(Value),
    /// Both have it, and it differs.
    Changed {
        /// The older value.
        from: Value,
        /// The newer value.
        to: Value,
    },
}

/// The differences between two values.
///
/// Cost: linear in the size of both, and memory for the parts that differ.
#[must_use]
pub fn diff(old: &Value, new: &Value) -> Vec<Change> {
    let mut out = Vec::new();
    values("", old, new, &mut out);
    out
}

/// The differences between two versions of a record: title, schema, public content, commitments and attachments.
///
/// Paths begin with the members of the statement, `/public/...`; attachments are named, `/attachments/<name>`. Of sealed
/// fields nothing can be told but that the commitment is another, which it is in every version.
#[must_use]
pub fn diff_versions(old: &Record, new: &Record) -> Vec<Change> {
    let visible = |record: &Record| Value::Object(record.content.as_ref().map(visible).unwrap_or_default());
    diff(&visible(old), &visible(new))
}

fn visible(content: &Content) -> Object {
    let mut out = Object::new();
    for (name, line) in [("title", &content.title), ("schema", &content.schema)] {
        if let Some(line) = line {
            out.insert(name, line.as_str());
        }
    }
    out.insert("public", content.public.clone());
    let erasable = content.erasable.iter().map(|(name, hash)| (name.clone(), Value::from(hash.to_string())));
    let erasable: Object = erasable.collect();
    let attachments = content.attachments.iter().map(|attachment| {
        let mut file = Object::new();
        file.insert("media", attachment.media.as_str());
        file.insert("bytes", attachment.bytes.to_string());
        match attachment.content {
            AttachmentContent::Public(hash) => file.insert("sha256", hash.to_string()),
            AttachmentContent::Erasable(hash) => file.insert("commitment", hash.to_string()),
        };
        (attachment.name.to_string(), Value::Object(file))
    });
    let attachments: Object = attachments.collect();
    for (name, members) in [("erasable", erasable), ("attachments", attachments)] {
        if !members.is_empty() {
            out.insert(name, members);
        }
    }
    out
}

fn push(out: &mut Vec<Change>, path: &str, segment: &str, what: What) {
    out.push(Change { path: join(path, segment), what });
}

fn join(path: &str, segment: &str) -> String {
    format!("{path}/{}", escape_segment(segment))
}

fn values(path: &str, old: &Value, new: &Value, out: &mut Vec<Change>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(old), Value::Object(new)) => objects(path, old, new, out),
        (Value::List(old), Value::List(new)) => match (by_id(old), by_id(new)) {
            (Some(olds), Some(news)) if same_order(&olds, &news) => {
                identified(path, &olds, &news, out);
            }
            _ => lists(path, old, new, out),
        },
        _ => {
            let what = What::Changed { from: old.clone(), to: new.clone() };
            out.push(Change { path: path.to_owned(), what });
        }
    }
}

fn objects(path: &str, old: &Object, new: &Object, out: &mut Vec<Change>) {
    let names: Object =
        old.iter().chain(new.iter()).map(|(name, _)| (name.to_owned(), Value::Null)).collect();
    for (name, _) in names.iter() {
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => values(&join(path, name), old, new, out),
            (Some(old), None) => push(out, path, name, What::Removed(old.clone())),
            (None, Some(new)) => push(out, path, name, What::Added(new.clone())),
            (None, None) => {}
        }
    }
}

/// The elements of a list with their places, by the text of their `id`; none unless each has one of its own.
type Identified<'a> = Vec<(String, usize, &'a Value)>;

fn by_id(list: &[Value]) -> Option<Identified<'_>> {
    let id = |value: &Value| match value.as_object()?.get("id")? {
        id @ (Value::Text(_) | Value::Number(_)) => Some(id.to_text()),
        _ => None,
    };
    let all: Option<Identified<'_>> =
        list.iter().enumerate().map(|(place, value)| Some((id(value)?, place, value))).collect();
    let mut ids: Vec<String> = all.as_ref()?.iter().map(|(id, ..)| id.clone()).collect();
    ids.sort_unstable();
    let unique = ids.windows(2).all(|pair| pair[0] != pair[1]);
    all.filter(|_| unique)
}

/// Whether what both have stands in the same order; if not, a comparison by `id` would hide that.
fn same_order(old: &Identified<'_>, new: &Identified<'_>) -> bool {
    let places: BTreeMap<&str, usize> = new.iter().map(|(id, place, _)| (id.as_str(), *place)).collect();
    let shared: Vec<usize> = old.iter().filter_map(|(id, ..)| places.get(id.as_str()).copied()).collect();
    shared.is_sorted()
}

fn identified(path: &str, old: &Identified<'_>, new: &Identified<'_>, out: &mut Vec<Change>) {
    let olds: BTreeMap<&str, &Value> = old.iter().map(|(id, _, value)| (id.as_str(), *value)).collect();
    let news: BTreeMap<&str, &Value> = new.iter().map(|(id, _, value)| (id.as_str(), *value)).collect();
    for (_, place, value) in old.iter().filter(|(id, ..)| !news.contains_key(id.as_str())) {
        push(out, path, &place.to_string(), What::Removed((*value).clone()));
    }
    for (id, place, value) in new {
        match olds.get(id.as_str()) {
            Some(before) => values(&join(path, &place.to_string()), before, value, out),
            None => push(out, path, &place.to_string(), What::Added((*value).clone())),
        }
    }
}

fn lists(path: &str, old: &[Value], new: &[Value], out: &mut Vec<Change>) {
    let start = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (&old_rest[..old_rest.len() - end], &new_rest[..new_rest.len() - end]);
    let place = |at: usize| (start + at).to_string();
    for (at, (old, new)) in old_rest.iter().zip(new_rest).enumerate() {
        values(&join(path, &place(at)), old, new, out);
    }
    let both = old_rest.len().min(new_rest.len());
    for (at, value) in old_rest.iter().enumerate().skip(both) {
        push(out, path, &place(at), What::Removed(value.clone()));
    }
    for (at, value) in new_rest.iter().enumerate().skip(both) {
        push(out, path, &place(at), What::Added(value.clone()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(old: &str, new: &str) -> Vec<String> {
        let parse = |text| Value::parse(text).unwrap();
        let show = |change: &Change| match &change.what {
            What::Added(value) => format!("+ {} {}", change.path, value.to_text()),
            What::Removed(value) => format!("- {} {}", change.path, value.to_text()),
            What::Changed { from, to } => format!("~ {} {} {}", change.path, from.to_text(), to.to_text()),
        };
        diff(&parse(old), &parse(new)).iter().map(show).collect()
    }

    #[test]
    fn members_are_compared_by_name_and_paths_are_pointers() {
        let changes = lines(r#"{"a":{"x/y":1,"z":2},"b":1}"#, r#"{"a":{"x/y":3,"z":2},"c":null}"#);
        assert_eq!(changes, ["~ /a/x~1y 1 3", "- /b 1", "+ /c null"]);
        assert_eq!(lines("{}", "[]"), ["~  {} []"]);
        assert_eq!(lines(r#"{"a":1}"#, r#"{"a":"1"}"#), ["~ /a 1 \"1\""]);
    }

    #[test]
    fn lists_lose_what_they_share_at_both_ends() {
        assert_eq!(lines("[1,2,3]", "[0,1,2,3]"), ["+ /0 0"]);
        assert_eq!(lines("[1,2,3]", "[1,3]"), ["- /1 2"]);
        assert_eq!(lines("[1,2,3]", "[1,9,8,3]"), ["~ /1 2 9", "+ /2 8"]);
    }

    #[test]
    fn lists_of_things_with_an_id_are_compared_by_it() {
        let old = r#"[{"id":"a","n":1},{"id":"b","n":2}]"#;
        let new = r#"[{"id":"c","n":0},{"id":"b","n":3}]"#;
        assert_eq!(lines(old, new), [r#"- /0 {"id":"a","n":1}"#, r#"+ /0 {"id":"c","n":0}"#, "~ /1/n 2 3"]);
        let swapped = r#"[{"id":"b","n":2},{"id":"a","n":1}]"#;
        assert_eq!(lines(old, swapped).len(), 4, "another order is a change");
        let twice = r#"[{"id":"a","n":1},{"id":"a","n":2}]"#;
        assert_eq!(lines(old, twice), ["~ /1/id \"b\" \"a\""]);
    }

    #[test]
    fn a_withdrawal_removes_everything() {
        let version = crate::registry::tests::world::record("a.example", "r", "k", None, r#"{"a":1}"#);
        let withdrawn = Record { content: None, ..version.clone() };
        let changes = diff_versions(&version, &withdrawn);
        assert_eq!(changes[0].path, "/public");
        assert_eq!(diff_versions(&version, &version), []);
    }

    fn small() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            (0_i64..3).prop_map(|n| Value::Number(crate::json::Number::from_i64(n).unwrap())),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let object = prop::collection::vec(("[abi]d?", inner.clone()), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::List),
                object.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
        path.split('/').skip(1).try_fold(value, |value, segment| match value {
            Value::Object(object) => object.get(segment),
            Value::List(items) => items.get(segment.parse::<usize>().ok()?),
            _ => None,
        })
    }

    proptest! {
        #[test]
        fn only_equal_values_have_no_difference_and_every_path_leads_to_what_it_says(
            old in small(), new in small(),
        ) {
            let changes = diff(&old, &new);
            prop_assert_eq!(changes.is_empty(), old == new);
            for Change { path, what } in &changes {
                match what {
                    What::Added(value) => prop_assert_eq!(find(&new, path), Some(value)),
                    What::Removed(value) => prop_assert_eq!(find(&old, path), Some(value)),
                    What::Changed { from, to } => {
                        prop_assert_ne!(from, to);
                        prop_assert_eq!(find(&new, path), Some(to));
                    }
                }
            }
            let added = changes.iter().filter(|change| matches!(change.what, What::Added(_))).count();
            let back = diff(&new, &old);
            let removed = back.iter().filter(|change| matches!(change.what, What::Removed(_))).count();
            prop_assert_eq!((changes.len(), added), (back.len(), removed));
        }
    }
}
