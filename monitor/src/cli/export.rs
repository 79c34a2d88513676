//! `daybook-monitor export`: what a query finds, or everything, as CSV, NDJSON, SQLite or RSF.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::output::{Failure, Output};
use super::search::{each, open};
use crate::index::query::Query;
use crate::rows;

/// Entries of one register.
const RSF_ROWS_MAX: usize = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For spreadsheets.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// The index itself, a copy that is whole.
    Sqlite,
    /// One register with its history, as GOV.UK published registers.
    Rsf,
}

#[derive(Args, Debug)]
pub(super) struct Export {
    /// The monitor's directory.
    dir: PathBuf,
    /// The file to write.
    file: PathBuf,
    /// What to export, as in the search box; everything, if nothing is given.
    query: Vec<String>,
    /// As what.
    #[arg(long, value_enum, default_value_t = Form::Csv)]
    form: Form,
}

#[derive(Serialize)]
struct Exported {
    file: PathBuf,
    entries: Option<usize>,
}

impl Export {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::Failed(format!("{}: {error}", self.file.display()));
        if self.file.exists() {
            return Err(Failure::Failed(format!(
                "{} is there already; choose another name",
                self.file.display()
            )));
        }
        let index = open(&self.dir, output)?;
        let query = Query::parse(&self.query.join(" "));
        if self.form == Form::Sqlite {
            if !query.is_empty() {
                return Err(Failure::Malformed(
                    "the index is exported as a whole: leave the query out".to_owned(),
                ));
            }
            index.copy_to(&self.file).map_err(Failure::failed)?;
            return finish(output, &Exported { file: self.file, entries: None });
        }
        if self.form == Form::Rsf {
            let mut all = Vec::new();
            each(&index, &query, true, RSF_ROWS_MAX, |rows| {
                all.extend_from_slice(rows);
                Ok(())
            })?;
            if all.len() == RSF_ROWS_MAX {
                return Err(Failure::Failed(format!(
                    "more than {RSF_ROWS_MAX} entries; RSF is made in memory"
                )));
            }
            std::fs::write(&self.file, rows::rsf(&all).map_err(Failure::Malformed)?).map_err(failed)?;
            return finish(output, &Exported { file: self.file, entries: Some(all.len()) });
        }
        let mut out =
            BufWriter::new(File::options().write(true).create_new(true).open(&self.file).map_err(failed)?);
        let mut first = true;
        let entries = each(&index, &query, true, usize::MAX, |rows| {
            let text = match self.form {
                Form::Csv => {
                    let text = rows::csv(rows);
                    // The header line stands once.
                    if first {
                        text
                    } else {
                        text.split_once("\r\n").map_or(String::new(), |(_, rest)| rest.to_owned())
                    }
                }
                Form::Ndjson | Form::Sqlite | Form::Rsf => rows::ndjson(rows),
            };
            first = false;
            out.write_all(text.as_bytes()).map_err(failed)
        })?;
        out.flush().map_err(failed)?;
        drop(out);
        finish(output, &Exported { file: self.file, entries: Some(entries) })
    }
}

fn finish(output: &Output, exported: &Exported) -> Result<(), Failure> {
    output.result(exported, || {
        let what =
            exported.entries.map_or_else(|| "the index".to_owned(), |count| format!("{count} entries"));
        format!("Wrote {what} to {}", exported.file.display())
    });
    Ok(())
}
