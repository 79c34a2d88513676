//! Privacy in a log that forgets nothing: values that are shown one by one to whom they concern, and values that can be
//! destroyed, while the log goes on proving that nothing else changed.

use record::statement::{EntryRef, Erased};
use serde::Deserialize;
use tlog::tlog_proof::TlogProof;

use super::super::failure::Failure;
use super::super::output::Output;
use super::later::alarm;
use super::newspaper::{self, Newspaper};
use super::publish::{Published, check};
use super::town::Town;

/// What the court asks for; everything else stays sealed.
const ASKED: &str = "price";
/// What has to go.
const NAME: &str = "name";
/// What the office handed in.
const OWN_COPY: &str = "records/grants.ndjson";
const DISCLOSURE: &str = "plot.disclosure";
const TOMBSTONE: &str = "receipts/tombstone.statement";
const BASIS: &str = "Order of the administrative court, on the ground of GDPR Art. 17";

/// What came of it.
pub(super) struct Kept {
    pub(super) disclosed: String,
    pub(super) erased_status: u16,
    pub(super) link: String,
}

pub(super) fn show(
    town: &mut Town,
    newspaper: &Newspaper,
    shelf: &[Published],
    output: &Output,
) -> Result<Kept, Failure> {
    let disclosed = disclose(town, find(shelf, "plots")?, output)?;
    let erased_status = erase(town, find(shelf, "grants")?, output)?;
    let erased = newspaper.alert(town, newspaper::ERASED)?;
    if erased.event != "erased" || !erased.text.contains("Art. 17") {
        return Err(Failure::wrong("the monitor does not tell on which ground something was erased"));
    }
    alarm(output, newspaper::ERASED, &erased, BASIS);
    Ok(Kept { disclosed, erased_status, link: erased.link })
}

fn find<'a>(shelf: &'a [Published], register: &str) -> Result<&'a Published, Failure> {
    let found = shelf.iter().find(|published| published.register == register);
    found.ok_or_else(|| Failure::Failed(format!("no record in {register}")))
}

/// What `daybook verify-disclosure --json` prints.
#[derive(Deserialize)]
struct Disclosed {
    verified: bool,
    index: u64,
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    value: serde_json::Value,
}

/// The land registry shows a court one field of a plot.
fn disclose(town: &Town, plot: &Published, output: &Output) -> Result<String, Failure> {
    let title = plot.record.content.as_ref().and_then(|content| content.title.as_ref());
    output.say(&format!(
        "   A court asks the land registry what {} was sold for. It is shown that one sealed field, and checks it \
         offline:\n",
        title.map_or("a plot", |title| title.as_str()),
    ));
    let statement = town.shown(&plot.entered.file);
    // `submit` has left the values, secret, beside the statement.
    let typed = ["disclose", &statement, "--field", ASKED, "--out", DISCLOSURE];
    town.type_in::<serde_json::Value>(&typed, output)?;
    let typed = ["verify-disclosure", DISCLOSURE, "--policy", "policy.txt"];
    let disclosed: Disclosed = town.type_in(&typed, output)?;
    let [field] = disclosed.fields.as_slice() else {
        return Err(Failure::wrong("the disclosure shows something else than was asked for"));
    };
    if !disclosed.verified || disclosed.index != plot.entered.index.get() || field.name != ASKED {
        return Err(Failure::wrong("the disclosure is of another record or field"));
    }
    let value = field.value.as_str().unwrap_or_default().to_owned();
    output.say(&format!("   {ASKED} = {value}. The buyer stays sealed.\n"));
    Ok(value)
}

#[derive(Deserialize)]
struct Gone {
    tombstone: Shown,
}

#[derive(Deserialize)]
struct Shown {
    index: u64,
    receipt: String,
}

/// The social office erases a person's name. Returns the status with which the log answers from then on.
fn erase(town: &mut Town, grant: &Published, output: &Output) -> Result<u16, Failure> {
    let url = format!("{}/records/{}/disclosures", town.url, grant.entered.leaf);
    let before = town.web.get(&url)?;
    let name = name_in(&before.body).ok_or_else(|| Failure::wrong("the log does not show the name"))?;
    let index = grant.entered.index;
    output.say(&format!(
        "   Entry {index} is a grant to a household. The name, {name}, is not in the log: only a commitment is. It lies\n   \
         beside the log, and a court orders that it be erased. One officer alone tries. The log says:"
    ));
    let what: Erased = format!("/erasable/{NAME}").parse().map_err(Failure::failed)?;
    let entry = EntryRef { index, leaf: grant.entered.leaf };
    let (office, _) = town.register("grants")?;
    let alone = office.erase(&grant.record, entry, &what, BASIS, 1)?;
    let (signers, register) = (office.quorum_files(), format!("{}/grants", office.id));
    output.say(&format!("   \"{}\"", town.must_refuse(&alone, 403)?));
    let (url_of_log, pointer) = (town.url.clone(), what.to_string());
    let mut typed = vec!["erase", &url_of_log, &register, grant.record.key.as_str(), "--what", &pointer];
    typed.extend(["--basis", BASIS, "--out", TOMBSTONE, "--policy", "policy.txt"]);
    signers.iter().for_each(|signer| typed.extend(["--signer", signer]));
    output.say("   Two officers sign:\n");
    town.type_in::<serde_json::Value>(&typed, output)?;
    let tombstone = town.take(town.folder.join(TOMBSTONE))?;
    // The log has destroyed its copy before it answered; what the office handed in is the office's to destroy.
    let own = town.folder.join(OWN_COPY);
    std::fs::remove_file(&own).map_err(Failure::file(&own))?;

    let after = town.web.get(&url)?;
    if after.status != 410 || name_in(&after.body).is_some() {
        return Err(Failure::wrong("what was erased is still shown"));
    }
    let gone: Gone = after.json()?;
    let receipt = TlogProof::parse(gone.tombstone.receipt.as_bytes()).map_err(Failure::wrong)?;
    receipt.verify(&tombstone.leaf, &town.policy).map_err(Failure::wrong)?;
    check(town, &grant.entered)?;
    output.say(&format!(
        "   The office destroys its own copy too. Whoever asks the log for the name now is answered {}, with the receipt of\n   \
         entry {}, which says who erased what, and why. The receipt of the grant itself still holds:\n\n   $ daybook verify \
         {} --policy policy.txt\n",
        after.status,
        gone.tombstone.index,
        town.shown(&grant.entered.file),
    ));
    Ok(after.status)
}

#[derive(Deserialize)]
struct Disclosures {
    disclosures: Vec<OneDisclosure>,
}

#[derive(Deserialize)]
struct OneDisclosure {
    document: String,
}

/// The name, if the log shows it.
fn name_in(body: &[u8]) -> Option<String> {
    let shown: Disclosures = serde_json::from_slice(body).ok()?;
    let openings =
        shown.disclosures.iter().filter_map(|one| record::erasable::parse_field(&one.document).ok());
    let mut names = openings.filter(|opening| opening.name.as_str() == NAME);
    names.next()?.value.as_text().map(str::to_owned)
}
