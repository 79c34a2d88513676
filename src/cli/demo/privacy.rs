//! Privacy in a log that forgets nothing: values that are shown one by one to whom they concern, and values that can be
//! destroyed, while the log goes on proving that nothing else changed.

use record::sealed::{Disclosure, SealedValues};
use record::statement::{EntryRef, Erased};
use serde::Deserialize;
use tlog::hash::leaf_hash;
use tlog::tlog_proof::TlogProof;

use super::super::failure::Failure;
use super::super::output::Output;
use super::later::alarm;
use super::newspaper::{self, Newspaper};
use super::office::QUORUM;
use super::publish::{Published, check};
use super::town::{Town, write};
use crate::clerk::values::sealed_path;

/// What the court asks for; everything else stays sealed.
const ASKED: &str = "price";
/// What has to go.
const NAME: &str = "name";
/// What the office handed in.
const OWN_COPY: &str = "records/grants.ndjson";
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

/// The land registry shows a court one field of a plot.
fn disclose(town: &Town, plot: &Published, output: &Output) -> Result<String, Failure> {
    // `submit` has left the values, secret, beside the statement.
    let kept = sealed_path(&plot.entered.file.with_extension(""), &plot.statement.identity());
    let values = std::fs::read_to_string(&kept).map_err(Failure::file(&kept))?;
    let values = SealedValues::parse(&values).map_err(Failure::wrong)?;
    let disclosure = Disclosure::new(plot.statement.clone(), &values, &[ASKED]).map_err(Failure::failed)?;
    let path = write(town.folder.join("plot.disclosure"), &disclosure.to_bytes())?;

    // From here on as the court, which has the file, the receipt and the policy.
    let shown = std::fs::read(&path).map_err(Failure::file(&path))?;
    let shown = Disclosure::parse(&shown).map_err(Failure::wrong)?;
    if leaf_hash(&shown.statement().to_bytes()) != plot.entered.leaf {
        return Err(Failure::wrong("the disclosure is of another record"));
    }
    check(town, &plot.entered)?;
    let [field] = shown.fields() else {
        return Err(Failure::wrong("the disclosure shows something else than was asked for"));
    };
    let value = field.opening.value.as_text().unwrap_or_default().to_owned();
    output.say(&format!(
        "   A court asks the land registry what {} was sold for. It is shown one sealed field: {} = {value}.\n   The \
         court checks it against the log offline. The buyer stays sealed.\n",
        plot.record.content.as_ref().and_then(|content| content.title.as_ref()).map_or("a plot", |title| title.as_str()),
        field.opening.name,
    ));
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
    let both = office.erase(&grant.record, entry, &what, BASIS, QUORUM.into())?;
    output.say(&format!("   \"{}\"", town.must_refuse(&alone, 403)?));
    let tombstone = town.enter(&both)?;
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
        "   Two officers sign, and the office destroys its own copy too. Whoever asks the log for the name now is answered \
         {},\n   with the receipt of entry {}, which says who erased what, and why. The receipt of the grant itself still \
         holds:\n\n   $ daybook verify {} --policy policy.txt\n",
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
