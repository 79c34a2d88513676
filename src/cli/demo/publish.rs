//! The offices publish, with the command that an office would type: each signs its records, hands them in, and has a
//! receipt for each.

use std::path::PathBuf;
use std::process::Command;

use record::statement::{Body, Record, Statement};
use serde::Deserialize;

use super::super::failure::Failure;
use super::super::output::Output;
use super::children::{self, ourselves};
use super::office::Office;
use super::town::{Entered, Town, receipt_of, write};

/// What the offices publish at first, by register.
const FIRST: [(&str, &str); 5] = [
    ("notices", include_str!("../../../deploy/samples/notices.ndjson")),
    ("tenders", include_str!("../../../deploy/samples/tenders.ndjson")),
    (CONTRACTS, include_str!("../../../deploy/samples/contracts.ndjson")),
    ("plots", include_str!("../../../deploy/samples/plots.ndjson")),
    ("grants", include_str!("../../../deploy/samples/grants.ndjson")),
];
/// The register into which somebody else would like to write.
pub(super) const CONTRACTS: &str = "contracts";
const FORGED: &str = include_str!("../../../deploy/samples/contracts-forged.ndjson");

/// A version of a record that is in the log.
pub(super) struct Published {
    pub(super) register: String,
    pub(super) entered: Entered,
    pub(super) record: Record,
}

/// What `daybook submit --json` prints.
#[derive(Deserialize)]
struct Submitted {
    records: Vec<Became>,
}

#[derive(Deserialize)]
struct Became {
    #[serde(default)]
    statement: Option<PathBuf>,
    #[serde(default)]
    detail: Option<String>,
}

pub(super) fn show(town: &mut Town, output: &Output) -> Result<Vec<Published>, Failure> {
    let mut shelf = Vec::new();
    for (register, lines) in FIRST {
        shelf.extend(publish(town, register, register, lines, output)?);
    }
    trespass(town, output)?;
    for published in &shelf {
        check(town, &published.entered)?;
    }
    output.say(&format!(
        "   Each of the {} has a receipt. This accepts them all, without asking the log:\n\n   $ daybook verify {} --policy \
         policy.txt\n",
        shelf.len(),
        town.shown(&shelf[0].entered.file),
    ));
    Ok(shelf)
}

/// The receipt, as anybody checks it, without the log.
pub(super) fn check(town: &Town, entered: &Entered) -> Result<(), Failure> {
    if children::verify(&entered.file, &receipt_of(&entered.file), &town.policy_file)? {
        return Ok(());
    }
    Err(Failure::wrong(format!("the receipt of entry {} does not verify", entered.index)))
}

/// An office's command, in the demonstration's folder. Returns it as it is typed, and what came of it.
fn submit(
    town: &Town,
    office: &Office,
    register: &str,
    name: &str,
    lines: &str,
) -> Result<(String, Submitted), Failure> {
    let input = format!("records/{name}.ndjson");
    write(town.folder.join(&input), lines.as_bytes())?;
    let (_, definition) = town.register(register)?;
    let register = format!("{}/{register}", definition.agency);
    let signer = office.publisher_file();
    let typed =
        ["submit", &town.url, &input, "--register", &register, "--signer", &signer, "--policy", "policy.txt"];
    let mut command = Command::new(ourselves()?);
    let (submitted, _) = children::said(command.args(typed).arg("--json").current_dir(&town.folder))?;
    Ok((typed.join(" "), submitted))
}

/// Publishes records and says what the log then shows under their keys.
pub(super) fn publish(
    town: &mut Town,
    register: &str,
    name: &str,
    lines: &str,
    output: &Output,
) -> Result<Vec<Published>, Failure> {
    let (office, _) = town.register(register)?;
    let (typed, submitted) = submit(town, office, register, name, lines)?;
    if name == FIRST[0].0 {
        output.say(&format!("   $ daybook {}\n", typed.replace(" --signer", " \\\n       --signer")));
    }
    let mut all = Vec::new();
    for became in submitted.records {
        let refused = || Failure::Failed(became.detail.clone().unwrap_or_default());
        let entered = town.take(town.folder.join(became.statement.as_ref().ok_or_else(refused)?))?;
        let statement = town.entries.last().map(|statement| Statement::parse(statement)).transpose();
        let statement = statement.map_err(Failure::wrong)?;
        let Some(Body::Record(record)) = statement.map(|statement| statement.body().clone()) else {
            return Err(Failure::wrong(format!("entry {} is no record", entered.index)));
        };
        let published = Published { register: register.to_owned(), entered, record };
        say(town, &published, output)?;
        all.push(published);
    }
    Ok(all)
}

#[derive(Deserialize)]
struct Shown {
    index: u64,
    statement: serde_json::Value,
}

/// Says what the log shows under the record's key.
fn say(town: &Town, published: &Published, output: &Output) -> Result<(), Failure> {
    let (office, definition) = town.register(&published.register)?;
    let key = published.record.key.as_str();
    let url = town.record_url(definition, key);
    let shown: Shown = town.web.get(&url)?.json()?;
    if shown.index != published.entered.index.get() {
        return Err(Failure::wrong(format!("{url} is not what was published last")));
    }
    // Where a title could identify a person there is none.
    let name = shown.statement["title"].as_str().map_or_else(|| format!("key {key}"), str::to_owned);
    let (index, office, kept) = (shown.index, &office.title, definition.title.as_str());
    output.say(&format!("   {index:>3}  {office:<29} {kept:<20} {name}"));
    Ok(())
}

/// An office tries to write into another's register.
fn trespass(town: &Town, output: &Output) -> Result<(), Failure> {
    let (council, _) = town.register("notices")?;
    let (_, submitted) = submit(town, council, CONTRACTS, "forged", FORGED)?;
    let [Became { statement: _, detail: Some(refusal) }] = submitted.records.as_slice() else {
        return Err(Failure::wrong("an office could write into another's register"));
    };
    output.say(&format!(
        "\n   The council signs a contract in the procurement office's name. It is told:\n   \"{refusal}\"\n"
    ));
    Ok(())
}
