//! Entries as CSV and NDJSON, for spreadsheets and programs. Pure.
//!
//! A cell that a spreadsheet would take for a formula begins with an apostrophe: what an agency wrote must not run on
//! the reader's machine.

use record::statement::{Body, Record, Statement};
use serde::Serialize;
use serde_json::Value;

use crate::index::Row;
use crate::index::amount::SCALE;
use crate::index::extract::{content, extract};

const COLUMNS: [&str; 15] = [
    "log",
    "index",
    "leaf_hash",
    "form",
    "kind",
    "agency",
    "register",
    "key",
    "title",
    "at",
    "action",
    "amount",
    "currency",
    "logged_after",
    "text",
];

/// A cell of CSV: in quotes, and never a formula.
#[must_use]
pub fn cell(text: &str) -> String {
    let first = text.chars().find(|letter| !matches!(letter, ' ' | '\u{a0}' | '\u{feff}'));
    let formula = first.is_some_and(|letter| "=+-@\t\r\n＝＋－＠|%".contains(letter));
    let number = text.parse::<f64>().is_ok_and(f64::is_finite);
    let guard = if formula && !number { "'" } else { "" };
    // A NUL ends the text for some readers.
    format!("\"{guard}{}\"", text.replace('\0', "").replace('"', "\"\""))
}

/// An amount as a plain number: `1250.5`.
fn amount(thousandths: i64) -> String {
    let sign = if thousandths < 0 { "-" } else { "" };
    let (units, rest) =
        (thousandths.unsigned_abs() / SCALE.unsigned_abs(), thousandths.unsigned_abs() % 1000);
    let text = format!("{sign}{units}.{rest:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn time(seconds: Option<i64>) -> String {
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map(|time| time.to_string()).unwrap_or_default()
}

/// Entries as CSV (RFC 4180) with a header line.
#[must_use]
pub fn csv(rows: &[Row]) -> String {
    let mut out = COLUMNS.map(cell).join(",");
    out.push_str("\r\n");
    for row in rows {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let cells = [
            row.origin.clone(),
            row.index.to_string(),
            row.leaf.clone(),
            row.form.clone(),
            text(&row.kind),
            text(&row.agency),
            text(&row.register),
            text(&row.key),
            text(&row.title),
            text(&row.at),
            text(&row.action),
            row.amount_thousandths.map(amount).unwrap_or_default(),
            text(&row.currency),
            time(row.logged_after),
            extract(&row.bytes).text,
        ];
        out.push_str(&cells.each_ref().map(|text| cell(text)).join(","));
        out.push_str("\r\n");
    }
    out
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    row: &'a Row,
    /// What the entry says, where it is JSON.
    content: Option<Value>,
    /// The entry, where it is text.
    entry: Option<&'a str>,
}

/// Entries as JSON, one a line.
#[must_use]
pub fn ndjson(rows: &[Row]) -> String {
    let mut out = String::new();
    for row in rows {
        let line = Line { row, content: content(&row.bytes), entry: std::str::from_utf8(&row.bytes).ok() };
        out.push_str(&serde_json::to_string(&line).expect("rows have a JSON form"));
        out.push('\n');
    }
    out
}

/// The records of one register, in the order of the log, as RSF with its root asserted.
///
/// # Errors
/// What keeps them from being one register, in words.
pub fn rsf(rows: &[Row]) -> Result<String, String> {
    let mut records = Vec::with_capacity(rows.len());
    for row in rows.iter().filter(|row| row.kind.as_deref() == Some("record")) {
        let statement =
            Statement::parse(&row.bytes).map_err(|error| format!("entry {}: {error}", row.index))?;
        if let Body::Record(record) = statement.body() {
            records.push(record.clone());
        }
    }
    let Some(first) = records.first() else { return Err("there is no record among them".to_owned()) };
    let same = |record: &Record| {
        (&record.agency, &record.register, &record.log) == (&first.agency, &first.register, &first.log)
    };
    if !records.iter().all(same) {
        return Err("RSF holds one register: narrow the search with log:, agency: and register:".to_owned());
    }
    record::exchange::rsf::export(&records).map(|(text, _)| text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for bad in [
            "=1+1",
            "+1+1",
            "-1+1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            " =1",
            "＝1",
            "\u{feff}=1",
            "-2+3",
            "|cmd",
            "=\"a\"",
        ] {
            assert!(cell(bad).starts_with("\"'"), "{bad:?} gives {}", cell(bad));
        }
        for good in ["a=1", "-12.5", "+3", "12", "", "a-b", "Ministry + Works"] {
            assert!(!cell(good).contains('\''), "{good:?} gives {}", cell(good));
        }
        assert_eq!(cell("a\"b\nc"), "\"a\"\"b\nc\"");
        assert!(cell("-inf").starts_with("\"'"), "what reads as a number in one program only is none");
    }

    #[test]
    fn no_field_of_a_record_becomes_a_formula() {
        let attack = || Some("=HYPERLINK(\"http://x\",\"y\")".to_owned());
        let row = Row {
            origin: "+origin".to_owned(),
            form: "statement".to_owned(),
            kind: attack(),
            agency: attack(),
            register: attack(),
            key: attack(),
            title: attack(),
            at: attack(),
            action: attack(),
            currency: attack(),
            bytes: b"@SUM(1+1)*cmd|' /C calc'!A0".to_vec(),
            ..Row::default()
        };
        let csv = csv(&[row]);
        let line = csv.lines().nth(1).unwrap();
        assert_eq!(line.matches("\"'=HYPERLINK(").count(), 8, "{line}");
        assert!(
            line.starts_with("\"'+origin\"") && line.ends_with("\"'@SUM(1+1)*cmd|' /C calc'!A0\""),
            "{line}"
        );
    }

    #[test]
    fn amounts_are_numbers() {
        assert_eq!(["1250.5", "-0.005", "7"].map(str::to_owned), [1_250_500, -5, 7_000].map(amount));
    }
}
