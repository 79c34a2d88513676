//! `/export/<form>?q=`: what a search finds, as CSV, NDJSON, RSF, an Atom feed or a JSON Feed; and the feeds of agencies.
//!
//! An export is bounded in entries and in bytes; `next` in the `Link` header says where to go on. RSF has no pages: a
//! register is counted before it is read, and one is made at a time. The whole index is a file of its own: see
//! [`super::download`].

use std::sync::Arc;

use axum::extract::{Path, Query as Params, State};
use axum::response::Response;
use http::{HeaderValue, header};

use super::request::{Reader, encode, query as query_string};
use super::search::{Asked, log_hash};
use super::{App, Failure, Outcome, page, record};
use crate::channel::feed::{Feed, Item};
use crate::index::Row;
use crate::index::facet::Exact;
use crate::index::query::{Query, Term};
use crate::index::search::Page as Place;
use crate::rows;

/// Entries of one export.
const EXPORT_ROWS_MAX: usize = 1_000;
/// Bytes of the entries of one export, but for the last page that is read of the index.
const EXPORT_BYTES_MAX: usize = 4 << 20;
/// Entries that are read at a time; each has at most 64 KiB.
const PAGE_ROWS: usize = 50;
/// Entries of a register that is exported here.
const RSF_ROWS_MAX: usize = 20_000;
/// Bytes of these entries.
const RSF_BYTES_MAX: usize = 32 << 20;
/// Entries of a feed.
const FEED_ROWS_MAX: usize = 50;

/// `GET /export/<form>?q=`
pub(super) async fn export(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(form): Path<String>,
    Params(asked): Params<Asked>,
) -> Response {
    page(app, reader, move |app, _| match form.as_str() {
        "csv" => table(app, &asked, "csv", "text/csv; charset=utf-8", rows::csv),
        "ndjson" => table(app, &asked, "ndjson", "application/x-ndjson", rows::ndjson),
        "rsf" => register(app, &asked),
        "atom" | "json" => search_feed(app, &asked, &form),
        _ => Err(Failure::NotFound),
    })
    .await
}

/// `GET /feed/agency/<log>/<agency>/<form>`: what an agency publishes.
pub(super) async fn agency_feed(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path((hash, agency, form)): Path<(String, String, String)>,
) -> Response {
    page(app, reader, move |app, _| {
        let log = app.log(&hash)?;
        let query = Query::default().with(Exact::Log, &log.origin).with(Exact::Agency, &agency);
        let mut rows = app.index.search(&query, Place::Newest(None), FEED_ROWS_MAX)?.rows;
        rows.retain(|row| row.agency.as_deref() == Some(&agency) && row.origin == log.origin);
        if rows.is_empty() {
            return Err(Failure::NotFound);
        }
        let place = format!("{hash}/{}", encode(&agency));
        let feed = |form: &str| format!("{}/feed/agency/{place}/{form}", app.address());
        let feed = Feed {
            id: format!("{}/feed/agency/{place}", app.address()),
            title: agency.clone(),
            page: format!("{}/agency/{place}", app.address()),
            atom_address: feed("atom"),
            json_address: feed("json"),
            items: rows.iter().map(|row| item(app, row)).collect(),
            now: i64::try_from(app.now()).unwrap_or(0),
        };
        written(&form, &feed)
    })
    .await
}

/// A feed in one of its forms.
pub(super) fn written(form: &str, feed: &Feed) -> Outcome {
    match form {
        "atom" => Ok(record::inline("application/atom+xml; charset=utf-8", feed.atom())),
        "json" => Ok(record::inline("application/feed+json; charset=utf-8", feed.json())),
        _ => Err(Failure::NotFound),
    }
}

/// Entries up to so many, or to so many bytes, and where to go on if there may be more.
fn collect(
    app: &App,
    asked: &Asked,
    rows_max: usize,
    bytes_max: usize,
) -> Result<(Vec<Row>, Option<i64>), Failure> {
    let query = Query::parse(&asked.text());
    let (mut asked, mut rows, mut bytes, mut next) = (asked.clone(), Vec::new(), 0, None);
    while rows.len() < rows_max && bytes < bytes_max {
        let hits = app.index.search(&query, asked.place(), PAGE_ROWS.min(rows_max - rows.len()))?;
        bytes += hits.rows.iter().map(|row| row.bytes.len()).sum::<usize>();
        rows.extend(hits.rows);
        next = hits.next;
        // A search that stopped early may go on for long; the reader goes on instead.
        if next.is_none() || hits.cut_short {
            break;
        }
        asked.at = next;
    }
    Ok((rows, next))
}

fn table(
    app: &App,
    asked: &Asked,
    ending: &str,
    kind: &'static str,
    write: impl Fn(&[Row]) -> String,
) -> Outcome {
    let (rows, next) = collect(app, asked, EXPORT_ROWS_MAX, EXPORT_BYTES_MAX)?;
    let mut response = record::download(&format!("daybook.{ending}"), kind, write(&rows).into_bytes());
    if let Some(next) = next {
        let (text, next) = (asked.text(), next.to_string());
        let query = query_string(&[("q", &text), ("order", &asked.order), ("at", &next)]);
        let link = format!("</export/{ending}?{query}>; rel=\"next\"");
        response
            .headers_mut()
            .insert(header::LINK, HeaderValue::from_str(&link).expect("it is percent-encoded"));
    }
    Ok(response)
}

/// Whether only entries of one register are asked for.
fn names_register(query: &Query) -> bool {
    let is_register = |term: &Term| matches!(term, Term::Facet { exact: Some((Exact::Register, _)), .. });
    query.all.iter().any(|any| matches!(&any[..], [one] if is_register(one)))
}

/// A register is exported whole or not at all.
fn register(app: &App, asked: &Asked) -> Outcome {
    let query = Query::parse(&asked.text());
    if !names_register(&query) {
        let text = "RSF holds one register: name it with register:, and log: and agency: where others have one of that name";
        return Err(Failure::Refused(text.to_owned()));
    }
    let _turn = app.registers.try_acquire().map_err(|_| Failure::Busy)?;
    let found = app.index.count_to(&query, RSF_ROWS_MAX as u64)?;
    if found.is_some_and(|found| found > RSF_ROWS_MAX as u64) {
        return Err(too_large());
    }
    let asked = Asked { order: "oldest".to_owned(), at: None, ..asked.clone() };
    let (found, next) = collect(app, &asked, RSF_ROWS_MAX, RSF_BYTES_MAX)?;
    if next.is_some() {
        return Err(too_large());
    }
    let text = rows::rsf(&found).map_err(Failure::Refused)?;
    Ok(record::download("register.rsf", "text/plain; charset=utf-8", text.into_bytes()))
}

fn too_large() -> Failure {
    let mib = RSF_BYTES_MAX >> 20;
    Failure::Refused(format!(
        "the register has more than {RSF_ROWS_MAX} entries or {mib} MiB: whoever runs this monitor can export it with \
         daybook-monitor export"
    ))
}

fn search_feed(app: &App, asked: &Asked, form: &str) -> Outcome {
    let text = asked.text();
    let newest = Asked { order: String::new(), at: None, ..asked.clone() };
    let (rows, _) = collect(app, &newest, FEED_ROWS_MAX, EXPORT_BYTES_MAX)?;
    let query = query_string(&[("q", &text)]);
    let items = rows.iter().map(|row| item(app, row));
    let feed = Feed {
        id: format!("{}/search?{query}", app.address()),
        title: if text.is_empty() { "Daybook".to_owned() } else { format!("Daybook: {text}") },
        page: format!("{}/search?{query}", app.address()),
        atom_address: format!("{}/export/atom?{query}", app.address()),
        json_address: format!("{}/export/json?{query}", app.address()),
        items: items.collect(),
        now: i64::try_from(app.now()).unwrap_or(0),
    };
    written(form, &feed)
}

fn item(app: &App, row: &Row) -> Item {
    let link = format!("{}{}", app.address(), record::path(&log_hash(&row.origin), row.index));
    Item {
        id: link.clone(),
        title: super::search::name(row),
        link,
        updated: row.logged_after.or(row.at_seconds).unwrap_or(0),
        author: row.agency.clone().unwrap_or_else(|| row.origin.clone()),
        text: crate::index::extract::extract(&row.bytes).said().to_owned(),
    }
}
