//! `daybook export`: a checked copy of a log, as tiles that any web server can serve, or as lines of JSON.

use std::cell::Cell;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use serde::Serialize;
use tlog::hash::leaf_hash;
use tlog::tile::TilePath;

use super::failure::{Failure, unless_good};
use super::output::Output;
use super::trust::Trust;
use crate::fsck::fsck;
use crate::source::{Source, SourceError, TileSource};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// One JSON object a line: index, `leaf_hash` in hex, entry in base64.
    Ndjson,
    /// A folder with checkpoint and tiles, which any web server can serve.
    Tiles,
}

#[derive(Args, Debug)]
pub(super) struct Export {
    /// The log's URL, its directory, or a folder with a copy of its public files.
    source: String,
    /// The file or folder to write; it must not exist.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// What to write.
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Serialize)]
struct Exported {
    out: PathBuf,
    origin: String,
    entries: u64,
    root_hash: String,
}

#[derive(Serialize)]
struct Line<'a> {
    index: u64,
    leaf_hash: String,
    entry: &'a str,
}

impl Export {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        if self.out.exists() {
            return Err(Failure::Malformed(format!(
                "{} exists; nothing is written over it",
                self.out.display()
            )));
        }
        let (source, checkpoint) = self.trust.open(&self.source)?;
        let note = checkpoint.note().to_bytes();
        let head = checkpoint.head();
        let mut aside = self.out.clone().into_os_string();
        aside.push(".part");
        let aside = PathBuf::from(aside);
        let bar = output.bar(head.size.get(), "copying entries");
        let mut progress = |checked| bar.set_position(checked);
        let report = match self.format {
            Format::Ndjson => {
                let file = std::fs::File::create(&aside).map_err(Failure::file(&aside))?;
                let mut file = BufWriter::new(file);
                let mut written = Ok(());
                let mut seen = |index, entry: &[u8]| {
                    if written.is_ok() {
                        written = write_line(&mut file, index, entry);
                    }
                };
                let report = fsck(&source, head, &mut seen, &mut progress)?;
                written.and_then(|()| file.flush()).map_err(Failure::file(&aside))?;
                report
            }
            Format::Tiles => {
                std::fs::create_dir_all(&aside).map_err(Failure::file(&aside))?;
                let copying = Copying { source: &source, folder: &aside, failed: Cell::new(None) };
                let report = fsck(&copying, head, &mut |_, _| (), &mut progress)?;
                if let Some(error) = copying.failed.take() {
                    return Err(Failure::file(&aside)(error));
                }
                // Last, so that a copy that was cut short does not look like a log.
                let path = aside.join("checkpoint");
                std::fs::write(&path, note).map_err(Failure::file(&path))?;
                report
            }
        };
        bar.finish_and_clear();
        unless_good(&report)?;
        std::fs::rename(&aside, &self.out).map_err(Failure::file(&self.out))?;
        let exported = Exported {
            out: self.out,
            origin: checkpoint.origin().to_string(),
            entries: head.size.get(),
            root_hash: head.root.to_base64(),
        };
        output.result(&exported, || {
            let out = exported.out.display();
            format!(
                "RIGHT: {out} holds all {} entries of {}, each checked.",
                exported.entries, exported.origin
            )
        });
        Ok(())
    }
}

fn write_line(file: &mut impl Write, index: u64, entry: &[u8]) -> std::io::Result<()> {
    let line = Line { index, leaf_hash: leaf_hash(entry).to_string(), entry: &STANDARD.encode(entry) };
    serde_json::to_writer(&mut *file, &line)?;
    file.write_all(b"\n")
}

/// Writes down what it reads.
struct Copying<'a> {
    source: &'a Source,
    folder: &'a Path,
    failed: Cell<Option<std::io::Error>>,
}

impl TileSource for Copying<'_> {
    fn read(&self, paths: &[TilePath]) -> Result<Vec<Option<Bytes>>, SourceError> {
        let read = self.source.read(paths)?;
        for (path, bytes) in paths.iter().zip(&read) {
            let Some(bytes) = bytes else { continue };
            if let Err(error) = write(&self.folder.join(path.to_string()), bytes) {
                self.failed.set(Some(error));
            }
        }
        Ok(read)
    }
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(path, bytes)
}
