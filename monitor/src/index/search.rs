//! A query to rows, in log order, a page at a time.
//!
//! Words and exact values are one FTS5 expression, made only of quoted words without quotes in them, so no query can be
//! a syntax error. Months, years and digits of amounts narrow ranges; the row decides. Words that begin so are looked up
//! one by one, because SQLite would first put all their entries together; where there are too many of them, the row
//! decides again. How many candidates are looked at for one page is bounded; where that ends a search early, the answer
//! says from where to go on.

use std::fmt::Write as _;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::extract::extract;
use super::facet;
use super::matching::Subject;
use super::query::{Place, Query, Term};
use super::read::{ROW_COLUMNS, Row, row};

/// Rows on a page.
pub const PAGE_ROWS_MAX: usize = 100;
/// Candidates that are looked at for one page.
const SCAN_ROWS_MAX: usize = 10_000;
/// Candidates whose bytes are read for one page.
const SCAN_BYTES_ROWS_MAX: usize = 1_000;
/// Hits are counted up to here.
pub const COUNT_MAX: u64 = 1_000;
/// Words with a common beginning that the index is asked for; beyond, the rows decide.
const BEGINNINGS_MAX: usize = 256;
/// Months that a range of time is made of; beyond, only years.
const MONTHS_MAX: usize = 36;

/// What ranges are asked about; the last one is whether the entry changes a record that was there.
const RANGE_COLUMNS: &str = ", r.at_seconds, r.amount, r.logged_after, \
    (r.kind IS 'record' AND r.previous IS NOT NULL) OR r.erases IS NOT NULL";

/// In which order, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Newest first, below this row.
    Newest(Option<i64>),
    /// In log order, above this row.
    Oldest(Option<i64>),
}

/// A page of what was found.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    /// The entries.
    pub rows: Vec<Row>,
    /// From where to go on, if there may be more.
    pub next: Option<i64>,
    /// Whether the search ended before the page was full, because enough was looked at.
    pub cut_short: bool,
}

/// Finds a page of entries.
pub(super) fn search(
    connection: &Connection,
    query: &Query,
    page: Page,
    rows: usize,
) -> rusqlite::Result<Hits> {
    hits(connection, (query, &plan(connection, query)?), page, rows)
}

/// Finds a page, and how many entries there are, up to [`COUNT_MAX`] and one more, as [`count`] does. Words that begin so are
/// looked up once for both.
pub(super) fn search_and_count(
    connection: &Connection,
    query: &Query,
    page: Page,
    rows: usize,
) -> rusqlite::Result<(Hits, Option<u64>)> {
    let plan = plan(connection, query)?;
    Ok((hits(connection, (query, &plan), page, rows)?, number(connection, (query, &plan), COUNT_MAX)?))
}

fn hits(connection: &Connection, planned: Planned<'_>, page: Page, rows: usize) -> rusqlite::Result<Hits> {
    let rows = rows.clamp(1, PAGE_ROWS_MAX);
    let (ids, next, cut_short) = candidates(connection, planned, page, rows)?;
    let text = format!("SELECT {ROW_COLUMNS} FROM record r JOIN log l ON l.id = r.log WHERE r.id = ?1");
    let mut statement = connection.prepare_cached(&text)?;
    let found = ids.iter().map(|id| statement.query_row([id], row)).collect::<rusqlite::Result<_>>()?;
    Ok(Hits { rows: found, next, cut_short })
}

/// How many entries there are, up to `most` and one more; `None` where counting takes as long as looking.
pub(super) fn count(connection: &Connection, query: &Query, most: u64) -> rusqlite::Result<Option<u64>> {
    number(connection, (query, &plan(connection, query)?), most)
}

fn number(connection: &Connection, (query, plan): Planned<'_>, most: u64) -> rusqlite::Result<Option<u64>> {
    if plan.rows_decide || query.has_ranges() || query.has_fields() || query.is_empty() {
        return Ok(None);
    }
    let text = "SELECT count(*) FROM (SELECT 1 FROM record_fts WHERE record_fts MATCH ?1 LIMIT ?2)";
    let limit = i64::try_from(most.saturating_add(1)).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(text)?;
    statement
        .query_row(rusqlite::params![plan.expression, limit], |row| row.get::<_, i64>(0))
        .map(|count| u64::try_from(count).ok())
}

type Candidates = (Vec<i64>, Option<i64>, bool);
/// A query, and how it is answered.
type Planned<'a> = (&'a Query, &'a Plan);

fn candidates(
    connection: &Connection,
    (query, plan): Planned<'_>,
    page: Page,
    rows: usize,
) -> rusqlite::Result<Candidates> {
    let (text, values) = statement(query, plan, page);
    let mut statement = connection.prepare_cached(&text)?;
    let mut found = statement.query(params_from_iter(values))?;
    let bytes = query.has_fields() || plan.rows_decide;
    let scan_max = if bytes { SCAN_BYTES_ROWS_MAX } else { SCAN_ROWS_MAX };
    let (mut ids, mut looked) = (Vec::with_capacity(rows + 1), 0);
    let mut last = None;
    while let Some(next) = found.next()? {
        let id: i64 = next.get(0)?;
        if looked == scan_max {
            return Ok((ids, last, true));
        }
        looked += 1;
        if is_wanted(query, plan, next)? {
            if ids.len() == rows {
                return Ok((ids, last, false));
            }
            ids.push(id);
        }
        last = Some(id);
    }
    Ok((ids, None, false))
}

fn is_wanted(query: &Query, plan: &Plan, row: &rusqlite::Row<'_>) -> rusqlite::Result<bool> {
    let bytes = query.has_fields() || plan.rows_decide;
    if !query.has_ranges() && !bytes {
        return Ok(true);
    }
    let logged_after: Option<i64> = row.get(3)?;
    let at: Option<i64> = row.get(1)?;
    if !query.ranges_hold(at, row.get(2)?, logged_after) || !query.change_holds(row.get(4)?, at, logged_after)
    {
        return Ok(false);
    }
    if !bytes {
        return Ok(true);
    }
    let (bytes, leaf, origin): (Vec<u8>, String, String) = (row.get(5)?, row.get(6)?, row.get(7)?);
    if let Some(holds) = query.fields_hold(&bytes).filter(|_| !plan.rows_decide) {
        return Ok(holds);
    }
    let document = extract(&bytes);
    Ok(query.matches(&Subject::new(&origin, &leaf, &bytes, &document, logged_after)))
}

fn statement(query: &Query, plan: &Plan, page: Page) -> (String, Vec<Sql>) {
    let (order, compare, from) = match page {
        Page::Newest(from) => ("DESC", "<", from),
        Page::Oldest(from) => ("ASC", ">", from),
    };
    let mut values = Vec::new();
    let everything = query.is_empty();
    let bytes = query.has_fields() || plan.rows_decide;
    let needs_row = query.has_ranges() || bytes;
    let ranges = if needs_row { RANGE_COLUMNS } else { "" };
    let contents = if bytes { ", r.bytes, r.leaf, l.origin" } else { "" };
    let mut text = if everything {
        "SELECT f.id FROM record f WHERE 1".to_owned()
    } else {
        values.push(Sql::Text(plan.expression.clone()));
        let join = if needs_row { " JOIN record r ON r.id = f.rowid JOIN log l ON l.id = r.log" } else { "" };
        format!("SELECT f.rowid{ranges}{contents} FROM record_fts f{join} WHERE f.record_fts MATCH ?1")
    };
    let id = if everything { "f.id" } else { "f.rowid" };
    if let Some(from) = from {
        values.push(Sql::Integer(from));
        let _ = write!(text, " AND {id} {compare} ?{}", values.len());
    }
    let _ = write!(text, " ORDER BY {id} {order}");
    (text, values)
}

/// How a query is answered.
struct Plan {
    /// The FTS5 expression that finds the candidates.
    expression: String,
    /// It leaves something out: each row is asked whether it matches.
    rows_decide: bool,
}

fn plan(connection: &Connection, query: &Query) -> rusqlite::Result<Plan> {
    let (mut all, mut none, mut rows_decide) = (Vec::new(), Vec::new(), false);
    for any in &query.all {
        let terms: Vec<Option<String>> =
            any.iter().map(|one| term(connection, one)).collect::<rusqlite::Result<_>>()?;
        match terms.into_iter().collect::<Option<Vec<String>>>() {
            Some(terms) => all.push(either(terms.into_iter())),
            None => rows_decide = true,
        }
    }
    all.extend(
        months(query.at_min, query.at_below).map(|words| either(words.iter().map(|word| facet(word)))),
    );
    all.extend(magnitudes(query).map(|words| either(words.iter().map(|word| facet(word)))));
    if all.is_empty() {
        all.push(facet(facet::ALL));
    }
    // Words of certain fields are decided by the row: the index cannot exclude by them.
    for one in query.none.iter().filter(|one| !is_field(one)) {
        match term(connection, one)? {
            Some(text) => none.push(text),
            None => rows_decide = true,
        }
    }
    let wanted = all.join(" AND ");
    let expression = if none.is_empty() { wanted } else { format!("({wanted}) NOT ({})", none.join(" OR ")) };
    Ok(Plan { expression, rows_decide })
}

fn is_field(term: &Term) -> bool {
    matches!(term, Term::Words { place: Place::Field(_), .. })
}

fn either(terms: impl Iterator<Item = String>) -> String {
    format!("({})", terms.collect::<Vec<_>>().join(" OR "))
}

fn facet(word: &str) -> String {
    format!("facet : \"{word}\"")
}

/// `None` if the row has to decide.
fn term(connection: &Connection, term: &Term) -> rusqlite::Result<Option<String>> {
    let (phrase, place) = match term {
        Term::Facet { word, .. } => return Ok(Some(facet(word))),
        Term::Words { phrase, place } => (phrase, place),
    };
    let columns = match place {
        Place::Anywhere => "{title body}",
        Place::Title => "title",
        Place::Field(_) => "body",
    };
    // The pairs that begin with one letter are as many as there are letters.
    if let (Some(letter), Place::Anywhere | Place::Field(_)) = (phrase.letter(), place) {
        return Ok(Some(format!("letter : \"{letter}\"")));
    }
    if !phrase.prefix {
        return Ok(Some(format!("{columns} : \"{}\"", phrase.words.join(" "))));
    }
    let (last, before) = phrase.words.split_last().expect("a phrase has a word");
    let Some(words) = beginning_with(connection, last)? else { return Ok(None) };
    if words.is_empty() {
        return Ok(Some(facet("znever")));
    }
    let phrase = |word: &String| {
        let words: Vec<&str> = before.iter().chain([word]).map(String::as_str).collect();
        format!("\"{}\"", words.join(" "))
    };
    Ok(Some(format!("{columns} : {}", either(words.iter().map(phrase)))))
}

/// The words of the index that begin so; `None` if there are too many.
fn beginning_with(connection: &Connection, beginning: &str) -> rusqlite::Result<Option<Vec<String>>> {
    let mut next = connection.prepare_cached("SELECT term FROM temp.vocabulary WHERE term >= ?1 LIMIT 1")?;
    let (mut words, mut from) = (Vec::new(), beginning.to_owned());
    loop {
        let word: Option<String> = next.query_row([&from], |row| row.get(0)).optional()?;
        let Some(word) = word.filter(|word| word.starts_with(beginning)) else { return Ok(Some(words)) };
        if words.len() == BEGINNINGS_MAX {
            return Ok(None);
        }
        // After the word, and before every word that goes on with a letter.
        from = format!("{word}\u{1}");
        words.push(word);
    }
}

/// Facets of the months and years that a range of time touches.
fn months(least: Option<i64>, below: Option<i64>) -> Option<Vec<String>> {
    if least.is_none() && below.is_none() {
        return None;
    }
    let (first, last) = (*facet::YEARS.start(), *facet::YEARS.end());
    let from = least.map_or(Some((first, 1)), facet::month)?;
    let to = below.map_or(Some((last, 12)), |below| facet::month(below.saturating_sub(1)))?;
    let number =
        |(year, month): (i16, i8)| usize::try_from(i32::from(year) * 12 + i32::from(month) - 1).unwrap_or(0);
    let (from_number, to_number) = (number(from), number(to));
    if from_number > to_number {
        return Some(vec!["znever".to_owned()]);
    }
    if to_number - from_number < MONTHS_MAX {
        let name = |month: usize| format!("m{}{:02}", month / 12, month % 12 + 1);
        return Some((from_number..=to_number).map(name).collect());
    }
    Some((from.0..=to.0).map(|year| format!("j{year}")).collect())
}

/// Facets of the amounts' digits that a range touches.
fn magnitudes(query: &Query) -> Option<Vec<String>> {
    if query.amount_min.is_none() && query.amount_max.is_none() {
        return None;
    }
    let from = query.amount_min.map_or(0, facet::magnitude);
    let to = query.amount_max.map_or(facet::MAGNITUDE_MAX, facet::magnitude);
    if from > to {
        return Some(vec!["znever".to_owned()]);
    }
    Some((from..=to).map(|digits| format!("z{digits}")).collect())
}
