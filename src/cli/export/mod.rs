//! `daybook export`: a checked copy of a log, as tiles that any web server can serve, or as lines of JSON; or one register
//! of a log of records, so that it can be replayed.

mod register;

use std::cell::Cell;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use serde::Serialize;
use tlog::hash::leaf_hash;
use tlog::ids::TreeHead;
use tlog::tile::TilePath;

use super::desk::RegisterArg;
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
    /// A register in Register Serialisation Format, with its root asserted. Needs --register.
    Rsf,
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
    /// One register of a log of records, as AGENCY/REGISTER. As lines of JSON: with everything that it takes to judge its
    /// statements again, and the root over all lines in the last one.
    #[arg(long, value_name = "AGENCY/REGISTER", required_if_eq("format", "rsf"))]
    register: Option<RegisterArg>,
    /// Assert the root of the register also after that many entries; may be given several times. For RSF.
    #[arg(long, value_name = "ENTRIES", requires = "register")]
    assert_after: Vec<u64>,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Serialize)]
struct Exported {
    out: PathBuf,
    origin: String,
    entries: u64,
    root_hash: String,
    /// What was written of one register.
    #[serde(skip_serializing_if = "Option::is_none")]
    register: Option<register::Written>,
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
        let register = match (&self.register, self.format) {
            (Some(_), Format::Tiles) => {
                return Err(Failure::Malformed("tiles hold the whole log; leave out --register".to_owned()));
            }
            (Some(name), format) => Some(self.write_register(&source, head, name, format, &aside, output)?),
            (None, _) => {
                self.write_log(&source, head, &note, &aside, output)?;
                None
            }
        };
        std::fs::rename(&aside, &self.out).map_err(Failure::file(&self.out))?;
        let exported = Exported {
            out: self.out,
            origin: checkpoint.origin().to_string(),
            entries: head.size.get(),
            root_hash: head.root.to_base64(),
            register,
        };
        output.result(&exported, || {
            let (out, entries, origin) = (exported.out.display(), exported.entries, &exported.origin);
            match &exported.register {
                Some(register) => format!(
                    "RIGHT: {out} holds a register of {origin}; all {entries} entries of the log were checked and judged.\n{}",
                    register.text()
                ),
                None => format!("RIGHT: {out} holds all {entries} entries of {origin}, each checked."),
            }
        });
        Ok(())
    }

    fn write_register(
        &self,
        source: &Source,
        head: TreeHead,
        name: &RegisterArg,
        format: Format,
        aside: &Path,
        output: &Output,
    ) -> Result<register::Written, Failure> {
        let file = std::fs::File::create(aside).map_err(Failure::file(aside))?;
        let mut file = BufWriter::new(file);
        let written = match format {
            Format::Rsf => {
                let mut after = self.assert_after.clone();
                after.sort_unstable();
                register::rsf(source, head, name, &after, (&mut file, aside), output)?
            }
            _ => register::ndjson(source, head, name, (&mut file, aside), output)?,
        };
        file.flush().map_err(Failure::file(aside))?;
        Ok(written)
    }

    fn write_log(
        &self,
        source: &Source,
        head: TreeHead,
        note: &[u8],
        aside: &Path,
        output: &Output,
    ) -> Result<(), Failure> {
        let bar = output.bar(head.size.get(), "copying entries");
        let mut progress = |checked| bar.set_position(checked);
        let report = match self.format {
            Format::Tiles => {
                std::fs::create_dir_all(aside).map_err(Failure::file(aside))?;
                let copying = Copying { source, folder: aside, failed: Cell::new(None) };
                let report = fsck(&copying, head, &mut |_, _| (), &mut progress)?;
                if let Some(error) = copying.failed.take() {
                    return Err(Failure::file(aside)(error));
                }
                // Last, so that a copy that was cut short does not look like a log.
                let path = aside.join("checkpoint");
                std::fs::write(&path, note).map_err(Failure::file(&path))?;
                report
            }
            Format::Ndjson | Format::Rsf => {
                let file = std::fs::File::create(aside).map_err(Failure::file(aside))?;
                let mut file = BufWriter::new(file);
                let mut written = Ok(());
                let mut seen = |index, entry: &[u8]| {
                    if written.is_ok() {
                        written = write_line(&mut file, index, entry);
                    }
                };
                let report = fsck(source, head, &mut seen, &mut progress)?;
                written.and_then(|()| file.flush()).map_err(Failure::file(aside))?;
                report
            }
        };
        bar.finish_and_clear();
        unless_good(&report)
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
