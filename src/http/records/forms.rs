//! Pages of entries as JSON and CSV, written one entry at a time.
//!
//! ```text
//! {"tree_size":42,"items":[{"index":7,"leaf_hash":"...","kind":"record","statement":{...}}],"next":"from=8"}
//! ```
//!
//! `statement` is copied from the leaf, whose second line it is. The receipt of an item is at `/entry/<index>`, with
//! `Accept: text/plain`. A table has no place for the next page, so the header `Link` names it.

use std::collections::BTreeSet;

use daemon::problem::Problem;
use http::{HeaderValue, header};
use record::json::Value as Json;
use record::statement::Body;
use serde_json::{Value, json};

use super::query::{Entry, Item, Page};
use crate::csv::row;
use crate::http::answer::{Answer, Caching, JSON, answer};
use crate::http::error;

const CSV: &str = "text/csv; charset=utf-8";
/// A table ends before it would have more cells than this; it has at least one line. Each record can bring columns of its own.
const CELLS_MAX: usize = 1 << 20;
/// Columns that every statement has.
const COLUMNS: [&str; 9] =
    ["index", "leaf_hash", "kind", "agency", "register", "key", "at", "action", "title"];

/// An object without its last brace, and with a comma where more members follow.
fn open(own: &Value) -> String {
    let mut out = own.to_string();
    out.pop();
    if out.len() > 1 {
        out.push(',');
    }
    out
}

fn push_members(out: &mut String, entry: &Entry) -> Result<(), Problem> {
    let item = entry.item()?;
    let statement = item.statement.text().lines().nth(1).ok_or_else(error::internal)?;
    let (index, leaf, kind) = (entry.index, entry.leaf, item.statement.body().kind().as_str());
    out.push_str(&format!(
        "\"index\":{index},\"leaf_hash\":\"{leaf}\",\"kind\":\"{kind}\",\"statement\":{statement}"
    ));
    Ok(())
}

/// One entry, with members of its own.
pub(super) fn item(own: &Value, entry: &Entry) -> Result<Answer, Problem> {
    let mut out = open(own);
    push_members(&mut out, entry)?;
    out.push_str("}\n");
    Ok(answer(JSON, Caching::Never, out))
}

/// A page, with members of its own.
pub(super) fn list(own: &Value, page: &Page) -> Result<Answer, Problem> {
    let mut out = open(own);
    out.push_str("\"items\":[");
    for (at, entry) in page.entries.iter().enumerate() {
        out.push_str(if at == 0 { "{" } else { ",{" });
        push_members(&mut out, entry)?;
        out.push('}');
    }
    out.push_str(&format!("],\"next\":{}}}\n", json!(page.next())));
    Ok(answer(JSON, Caching::Never, out))
}

/// A table, and where it goes on.
pub(super) fn table(text: String, next: Option<String>) -> Answer {
    let mut table = answer(CSV, Caching::Never, text);
    let link = next.and_then(|next| HeaderValue::from_str(&format!("<?{next}>; rel=\"next\"")).ok());
    if let Some(link) = link {
        let headers = table.headers_mut();
        headers.insert(header::LINK, link);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_name(header::LINK));
    }
    table
}

/// Columns that every statement has, then the public fields of the page's records by name.
pub(super) fn csv(mut page: Page) -> Result<Answer, Problem> {
    let mut names = BTreeSet::new();
    for (at, entry) in page.entries.iter().enumerate() {
        let before = names.len();
        let mut own: Vec<String> = fields(&entry.item()?);
        own.retain(|name| !names.contains(name));
        if at > 0 && (at + 1) * (COLUMNS.len() + before + own.len()) > CELLS_MAX {
            page.truncate(at);
            break;
        }
        names.extend(own);
    }
    let mut heads: Vec<String> = COLUMNS.iter().map(|&name| name.to_owned()).collect();
    heads.extend(names.iter().map(|name| format!("public.{name}")));
    let mut out = row(&heads);
    for entry in &page.entries {
        out.push_str(&row(&cells(&entry.item()?, &names)));
    }
    Ok(table(out, page.next()))
}

/// The names of a record's public fields.
fn fields(item: &Item) -> Vec<String> {
    let Body::Record(record) = item.statement.body() else { return Vec::new() };
    let content = record.content.iter();
    content.flat_map(|content| content.public.iter()).map(|(name, _)| name.to_owned()).collect()
}

fn cells(item: &Item, names: &BTreeSet<String>) -> Vec<String> {
    let body = item.statement.body();
    let object = body.to_object();
    let text = |name: &str| object.get(name).and_then(Json::as_text).unwrap_or_default().to_owned();
    let mut cells = vec![
        item.index.to_string(),
        item.statement.leaf_hash().to_string(),
        body.kind().as_str().to_owned(),
        body.agency().to_string(),
    ];
    cells.extend(["register", "key", "at", "action", "title"].map(text));
    let public = match body {
        Body::Record(record) => record.content.as_ref().map(|content| &content.public),
        _ => None,
    };
    cells.extend(names.iter().map(|name| match public.and_then(|public| public.get(name)) {
        Some(Json::Text(text)) => text.clone(),
        Some(value) => value.to_text(),
        None => String::new(),
    }));
    cells
}
