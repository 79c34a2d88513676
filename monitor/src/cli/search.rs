//! `daybook-monitor search`: the index, from the command line; the monitor may be running or not.

use std::path::PathBuf;

use clap::Args;
use daemon::logging::{self, Style};

use super::output::{Failure, Output};
use crate::index::amount::shown;
use crate::index::query::Query;
use crate::index::search::{PAGE_ROWS_MAX, Page};
use crate::index::{Index, Row};
use crate::newsroom::INDEX_FILE;

#[derive(Args, Debug)]
pub(super) struct Search {
    /// The monitor's directory.
    dir: PathBuf,
    /// What to look for, as in the search box: words, "phrases", agency:NAME, amount>1000, -not, OR.
    query: Vec<String>,
    /// How many entries.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Oldest first.
    #[arg(long)]
    oldest: bool,
}

/// Opens the index in a monitor's directory for reading. Says so if not everything can be found in it.
pub(super) fn open(dir: &std::path::Path, output: &Output) -> Result<Index, Failure> {
    let path = dir.join(INDEX_FILE);
    if !path.exists() {
        let text = format!(
            "nothing can be searched yet: {} is not there. Look first: daybook-monitor once {}",
            path.display(),
            dir.display()
        );
        return Err(Failure::Failed(text));
    }
    let index = Index::open(&path).map_err(Failure::failed)?;
    logging::start_quiet(if output.json { Style::Json } else { Style::Human });
    for log in index.logs().map_err(Failure::failed)? {
        let missing = log.missing();
        if missing > 0 {
            tracing::warn!(
                origin = log.origin,
                missing,
                "the index is being made again: entries cannot be found yet"
            );
        }
    }
    Ok(index)
}

/// Takes what a query finds, page by page, until there are so many.
pub(super) fn each(
    index: &Index,
    query: &Query,
    oldest: bool,
    limit: usize,
    mut take: impl FnMut(&[Row]) -> Result<(), Failure>,
) -> Result<usize, Failure> {
    let (mut at, mut left) = (None, limit);
    while left > 0 {
        let page = if oldest { Page::Oldest(at) } else { Page::Newest(at) };
        let hits = index.search(query, page, left.min(PAGE_ROWS_MAX)).map_err(Failure::failed)?;
        take(&hits.rows)?;
        left -= hits.rows.len();
        match hits.next {
            Some(next) => at = Some(next),
            None => break,
        }
    }
    Ok(limit - left)
}

impl Search {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let index = open(&self.dir, output)?;
        let query = Query::parse(&self.query.join(" "));
        let mut found: Vec<Row> = Vec::new();
        each(&index, &query, self.oldest, self.limit, |rows| {
            found.extend_from_slice(rows);
            Ok(())
        })?;
        output.result(&found, || {
            if found.is_empty() {
                return "Nothing was found.".to_owned();
            }
            found.iter().map(line).collect::<Vec<_>>().join("\n")
        });
        Ok(())
    }
}

fn line(row: &Row) -> String {
    let plain = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let part = |value: &Option<String>| {
        value.as_deref().map_or_else(String::new, |text| format!("  {}", plain(text)))
    };
    let amount =
        row.amount_thousandths.map(|amount| format!("  {}", plain(&shown(amount, row.currency.as_deref()))));
    format!(
        "{} #{}{}{}{}{}{}{}",
        row.origin,
        row.index,
        part(&row.at),
        part(&row.agency),
        part(&row.register),
        part(&row.key),
        part(&row.title),
        amount.unwrap_or_default()
    )
}
