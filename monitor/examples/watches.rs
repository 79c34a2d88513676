//! What many watches cost for each entry: asked one by one, each taking the entry apart again; asked one by one about an
//! entry that was taken apart once; and filed under the words that they need, as the monitor does it.
//!
//! ```text
//! cargo run --release -p monitor --example watches -- NAMES ENTRIES
//! ```
//!
//! Prints JSON: microseconds for an entry of about 1 KiB.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::error::Error;
use std::time::Instant;

use monitor::index::Row;
use monitor::index::extract::extract;
use monitor::watch::rule::{Entry, watch_for};
use monitor::watch::{Roster, Watch};
use serde_json::json;

/// Words of an entry.
const WORDS: u64 = 140;
/// Words that there are.
const VOCABULARY: u64 = 20_000;
/// Every so many entries, one has a name that is watched.
const FOUND_EVERY: u64 = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [names, entries] = arguments.as_slice() else { return Err("watches NAMES ENTRIES".into()) };
    let (names, entries) = (names.parse::<u64>()?, entries.parse::<u64>()?);
    let roster = Roster::new((0..names).map(watch).collect());
    let rows: Vec<Row> = (0..entries).map(|number| row(number, names)).collect();
    let (each, found) = timed(&rows, |row| {
        let finds = |one: &&monitor::watch::Active| {
            let document = extract(&row.bytes);
            one.rule.finds(&Entry::new(row, &document))
        };
        roster.all().iter().filter(finds).count()
    });
    let (once, found_once) = timed(&rows, |row| {
        let document = extract(&row.bytes);
        let entry = Entry::new(row, &document);
        roster.all().iter().filter(|one| one.rule.finds(&entry)).count()
    });
    let (filed, found_filed) = timed(&rows, |row| {
        let document = extract(&row.bytes);
        let entry = Entry::new(row, &document);
        roster.about(&entry, None).filter(|one| one.rule.finds(&entry)).count()
    });
    if (found_once, found_filed) != (found, found) {
        return Err(format!("{found}, {found_once} and {found_filed} finds are not the same").into());
    }
    let micros = json!({ "one_by_one": each, "taken_apart_once": once, "filed": filed });
    println!("{}", json!({ "names": names, "entries": entries, "finds": found, "microseconds": micros }));
    Ok(())
}

/// Microseconds for a row, and how much was found.
fn timed(rows: &[Row], ask: impl Fn(&Row) -> usize) -> (f64, usize) {
    let begun = Instant::now();
    let found = rows.iter().map(ask).sum();
    (begun.elapsed().as_secs_f64() * 1e6 / rows.len().max(1) as f64, found)
}

fn name(number: u64) -> String {
    format!("Given{} Family{}", number % 300, number)
}

fn watch(number: u64) -> Watch {
    Watch { id: i64::try_from(number).unwrap_or(i64::MAX), wanted: watch_for(&name(number), &[]), made_at: 0 }
}

fn row(number: u64, names: u64) -> Row {
    let mut state = number + 1;
    let mut words = Vec::new();
    for _ in 0..WORDS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        words.push(format!("word{}", (state >> 33) % VOCABULARY));
    }
    if number.is_multiple_of(FOUND_EVERY) {
        words.push(name(number % names.max(1)));
    }
    let json = format!(
        r#"{{"agency":"a.gov.example","at":"2026-11-24T09:00:00Z","key":"C-{number}","previous":null,"public":{{"text":"{}"}},"register":"contracts","title":"Contract {number}"}}"#,
        words.join(" ")
    );
    let bytes = format!("daybook/record/v1\n{json}\n\n— a.gov.example/publisher AAAAAAAA\n").into_bytes();
    Row { origin: "log.example".to_owned(), leaf: "ab".repeat(32), index: number, bytes, ..Row::default() }
}
