//! `daybook-monitor watch`: saved searches. A running monitor takes a new one up at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use daemon::clock::{Clock, SystemClock};
use serde::Serialize;

use super::output::{Failure, Output};
use crate::config::Config;
use crate::newsroom::WATCHES_FILE;
use crate::watch::rule::{Wanted, When, names, watch_for};
use crate::watch::{Engine, EngineError, WatchStore};

/// Letters of a watch's name in the list.
const NAME_LETTERS_MAX: usize = 40;

#[derive(Args, Debug)]
pub(super) struct Watch {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a watch, and show what it finds in the past.
    Add(Add),
    /// List the watches.
    List(List),
    /// Send a test message to the channels of a watch.
    Test(One),
    /// Remove a watch.
    Remove(One),
    /// Make a watch for each name of a list or of the first column of a CSV.
    Import(Import),
}

#[derive(Args, Debug)]
struct List {
    /// The monitor's directory.
    dir: PathBuf,
}

#[derive(Args, Debug)]
struct One {
    /// The monitor's directory.
    dir: PathBuf,
    /// The watch's number.
    id: i64,
}

#[derive(Args, Debug)]
struct Import {
    /// The monitor's directory.
    dir: PathBuf,
    /// The file with the names.
    file: PathBuf,
    /// A channel that is told; may be given several times.
    #[arg(long)]
    channel: Vec<String>,
}

#[derive(Args, Debug)]
struct Add {
    /// The monitor's directory.
    dir: PathBuf,
    /// What to look for, as in the search box.
    query: Vec<String>,
    /// The watch's name; what it looks for, if none is given.
    #[arg(long)]
    name: Option<String>,
    /// When it tells.
    #[arg(long, value_enum, default_value_t = Moment::Found)]
    when: Moment,
    /// Days, for `silent` and `late`.
    #[arg(long)]
    days: Option<u32>,
    /// Nothing from before this day, month or year: 2026-11-24.
    #[arg(long, value_name = "DATE")]
    since: Option<String>,
    /// A regular expression that the entry's text has as well.
    #[arg(long)]
    pattern: Option<String>,
    /// A channel of monitor.toml that is told; may be given several times. "*" is every channel.
    #[arg(long)]
    channel: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Moment {
    /// Something new is found.
    Found,
    /// A record that is found changes, is withdrawn, or has values erased.
    Changed,
    /// Nothing was published for so many days.
    Silent,
    /// Something was published so many days late.
    Late,
    /// An agency's keys change.
    Keys,
    /// A log misbehaves or raises an alarm.
    Misbehaviour,
}

impl From<Moment> for When {
    fn from(moment: Moment) -> Self {
        match moment {
            Moment::Found => Self::Found,
            Moment::Changed => Self::Changed,
            Moment::Silent => Self::Silent,
            Moment::Late => Self::Late,
            Moment::Keys => Self::Keys,
            Moment::Misbehaviour => Self::Misbehaviour,
        }
    }
}

#[derive(Serialize)]
struct Made {
    id: i64,
    name: String,
    past_hits: usize,
}

#[derive(Serialize)]
struct Done {
    done: bool,
}

/// The watches of a directory.
fn open(dir: &Path, output: &Output) -> Result<Engine, Failure> {
    let (config, _) = Config::load(dir).map_err(|error| Failure::Malformed(error.to_string()))?;
    Ok(Engine::new(
        Arc::new(super::search::open(dir, output)?),
        Arc::new(WatchStore::open(&dir.join(WATCHES_FILE)).map_err(Failure::failed)?),
        dir.join(crate::alerts::FILE),
        config.web.address(config.listen.address, config.listen.tls_certificate.is_some()),
        config.channel.into_iter().map(|channel| channel.name).collect(),
    ))
}

fn now() -> u64 {
    SystemClock.unix_millis() / 1000
}

fn failed(error: EngineError) -> Failure {
    match error {
        EngineError::Rule(error) => Failure::Malformed(error.to_string()),
        error => Failure::failed(error),
    }
}

fn make(engine: &Engine, wanted: &Wanted) -> Result<Made, Failure> {
    let id = engine.add(wanted, now()).map_err(failed)?;
    let counts = engine.store.counts().map_err(Failure::failed)?;
    let past = counts.iter().find(|(watch, _)| *watch == id).map_or(0, |(_, count)| *count);
    Ok(Made { id, name: wanted.name.clone(), past_hits: usize::try_from(past).unwrap_or(usize::MAX) })
}

impl Watch {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        match self.command {
            Command::Add(command) => command.run(output),
            Command::List(command) => command.run(output),
            Command::Import(command) => command.run(output),
            Command::Test(One { dir, id }) => {
                let engine = open(&dir, output)?;
                let sent = engine.test(id, now()).map_err(failed)?;
                done(output, sent, id, "A test message is on its way, if the monitor is running.")
            }
            Command::Remove(One { dir, id }) => {
                let engine = open(&dir, output)?;
                let removed = engine.store.remove(id).map_err(Failure::failed)?;
                done(output, removed, id, "Removed.")
            }
        }
    }
}

fn done(output: &Output, done: bool, id: i64, text: &str) -> Result<(), Failure> {
    if !done {
        return Err(Failure::Malformed(format!("there is no watch {id}; `watch list` shows them")));
    }
    output.result(&Done { done }, || text.to_owned());
    Ok(())
}

impl Add {
    fn run(self, output: &Output) -> Result<(), Failure> {
        let engine = open(&self.dir, output)?;
        let query = self.query.join(" ");
        let wanted = Wanted {
            name: self.name.unwrap_or_else(|| query.clone()),
            when: self.when.into(),
            query,
            pattern: self.pattern,
            days: self.days,
            since: self.since,
            channels: self.channel,
        };
        let made = make(&engine, &wanted)?;
        output.result(&made, || {
            let address = format!("{}/watches/{}", engine.address, made.id);
            format!("Watch {} found {} entries in the past. See {address}", made.id, made.past_hits)
        });
        Ok(())
    }
}

impl List {
    fn run(&self, output: &Output) -> Result<(), Failure> {
        let engine = open(&self.dir, output)?;
        let watches = engine.store.watches().map_err(Failure::failed)?;
        let counts = engine.store.counts().map_err(Failure::failed)?;
        output.result(&watches, || table(&watches, &counts));
        Ok(())
    }
}

/// Watches for people, a line each.
fn table(watches: &[crate::watch::Watch], counts: &[(i64, u64)]) -> String {
    if watches.is_empty() {
        return "There are no watches.".to_owned();
    }
    let name =
        |watch: &crate::watch::Watch| watch.wanted.name.chars().take(NAME_LETTERS_MAX).collect::<String>();
    let width = watches.iter().map(|watch| name(watch).chars().count()).max().unwrap_or(0).max("NAME".len());
    let line = |id: &str, when: &str, found: &str, name: &str, query: &str| {
        format!("{id:>5}  {when:<12}  {found:>6}  {name:<width$}  {query}").trim_end().to_owned()
    };
    let mut lines = vec![line("ID", "WHEN", "FOUND", "NAME", "SEARCH")];
    for watch in watches {
        let found = counts.iter().find(|(id, _)| *id == watch.id).map_or(0, |(_, count)| *count);
        let (id, found, wanted) = (watch.id.to_string(), found.to_string(), &watch.wanted);
        lines.push(line(&id, wanted.when.name(), &found, &name(watch), &wanted.query));
    }
    lines.join("\n")
}

impl Import {
    fn run(&self, output: &Output) -> Result<(), Failure> {
        let engine = open(&self.dir, output)?;
        let text = std::fs::read_to_string(&self.file)
            .map_err(|error| Failure::Failed(format!("{}: {error}", self.file.display())))?;
        let names = names(&text);
        let mut made = Vec::with_capacity(names.len());
        let bar = output.bar(names.len() as u64, "watches".to_owned());
        for name in &names {
            made.push(make(&engine, &watch_for(name, &self.channel))?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        output.result(&made, || format!("{} watches were made.", made.len()));
        Ok(())
    }
}
