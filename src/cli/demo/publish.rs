//! The offices publish: each signs its records, hands them in, and has a receipt for each.

use record::erasable::field_to_text;
use record::opening::Opening;
use record::sealed::SealedValues;
use record::statement::Record;
use tlog::hash::{Hash, sha256};

use super::super::failure::Failure;
use super::super::output::Output;
use super::children;
use super::office::{Office, now};
use super::samples::{self, Sample};
use super::town::{Entered, Town, receipt_of};
use crate::records::upload::Upload;

/// What the offices publish at first, by register.
const FIRST: [(&str, &str); 5] = [
    ("notices", include_str!("../../../deploy/samples/notices.ndjson")),
    ("tenders", include_str!("../../../deploy/samples/tenders.ndjson")),
    ("contracts", include_str!("../../../deploy/samples/contracts.ndjson")),
    ("plots", include_str!("../../../deploy/samples/plots.ndjson")),
    ("grants", include_str!("../../../deploy/samples/grants.ndjson")),
];

/// A version of a record that is in the log, and what is kept outside it.
pub(super) struct Published {
    pub(super) entered: Entered,
    pub(super) record: Record,
    pub(super) sealed: Option<SealedValues>,
}

/// Everything that was published, by register.
pub(super) type Shelf = Vec<(&'static str, Published)>;

pub(super) fn show(town: &mut Town, output: &Output) -> Result<Shelf, Failure> {
    let mut shelf = Vec::new();
    for (register, lines) in FIRST {
        for sample in samples::parse(lines)? {
            let published = publish(town, register, &sample)?;
            say(town, register, &published, output)?;
            shelf.push((register, published));
        }
    }
    trespass(town, output)?;
    for (_, published) in &shelf {
        check(town, &published.entered)?;
    }
    output.say(&format!(
        "   Each of the {} has a receipt. `daybook verify` accepts them all, without asking the log:\n\n   \
         $ daybook verify receipts/{} --policy policy.txt\n",
        shelf.len(),
        file_name(&shelf[0].1.entered),
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

pub(super) fn file_name(entered: &Entered) -> String {
    entered.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Publishes one version of a record.
pub(super) fn publish(town: &mut Town, register: &str, sample: &Sample) -> Result<Published, Failure> {
    let (office, register) = town.register(register)?;
    let key = sample.key();
    let draft = sample.draft(register, &key, town.latest(register, &key)?)?;
    let statement = office.publish(draft.record.clone())?;
    let entered = town.enter(statement)?;
    let (office, _) = town.register(draft.record.register.as_str())?;
    for opening in &draft.erasable {
        keep_outside(town, office, &entered.leaf, opening)?;
    }
    Ok(Published { entered, record: draft.record, sealed: draft.sealed })
}

/// Gives the log a value that it can destroy later, because it is not in the tree.
fn keep_outside(town: &Town, office: &Office, leaf: &Hash, opening: &Opening) -> Result<(), Failure> {
    let body = field_to_text(opening).into_bytes();
    let path = format!("/records/{leaf}/disclosures");
    let upload = Upload {
        log: town.origin.to_string(),
        agency: office.id.clone(),
        path: path.clone(),
        sha256: sha256(&body),
        bytes: body.len() as u64,
        at: now()?,
    };
    let note = upload.to_header(office.vouch(&upload.to_text()));
    let answer = town.web.put(&format!("{}{path}", town.url), &note, body)?;
    if answer.status == 200 {
        return Ok(());
    }
    Err(Failure::Failed(format!("the log does not keep a value: {}", answer.detail())))
}

#[derive(serde::Deserialize)]
struct Shown {
    index: u64,
    statement: serde_json::Value,
}

/// Says what the log shows under the record's key.
pub(super) fn say(
    town: &Town,
    register: &str,
    published: &Published,
    output: &Output,
) -> Result<(), Failure> {
    let (office, definition) = town.register(register)?;
    let url = town.record_url(definition, published.record.key.as_str());
    let shown: Shown = town.web.get(&url)?.json()?;
    if shown.index != published.entered.index.get() {
        return Err(Failure::wrong(format!("{url} is not what was published last")));
    }
    // Where a title could identify a person there is none.
    let name = title(&shown.statement).unwrap_or_else(|| format!("key {}", published.record.key.as_str()));
    let (index, office, kept) = (shown.index, &office.title, definition.title.as_str());
    output.say(&format!("   {index:>3}  {office:<29} {kept:<20} {name}"));
    Ok(())
}

fn title(statement: &serde_json::Value) -> Option<String> {
    statement["title"].as_str().map(str::to_owned)
}

/// An office tries to write into another's register.
fn trespass(town: &Town, output: &Output) -> Result<(), Failure> {
    let (_, contracts) = town.register("contracts")?;
    let (council, _) = town.register("notices")?;
    let sample = samples::parse(FIRST[2].1)?.into_iter().next();
    let sample = sample.ok_or_else(|| Failure::Failed("there is no sample of a contract".to_owned()))?;
    let draft = sample.draft(contracts, "2026-99", None)?;
    let refusal = town.must_refuse(&council.publish(draft.record)?, 403)?;
    output.say(&format!("\n   The council tries to enter a contract in the procurement office's name. The log says:\n   \"{refusal}\"\n"));
    Ok(())
}
