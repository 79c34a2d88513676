//! Two of four witnesses fail: nothing is published, and nothing is lost.

use tlog::checkpoint::Checkpoint;
use tlog::note::Note;

use super::super::failure::Failure;
use super::super::output::Output;
use super::Town;

const NOTICE: &str = r#"{"date":"2027-02-01","office":"Harbour Office","title":"The harbour is closed to traffic on 3 February"}"#;

/// Entries under the public checkpoint.
fn published(town: &Town) -> Result<u64, Failure> {
    let note =
        Note::parse(&town.web.get(&format!("{}/checkpoint", town.url))?.body).map_err(Failure::failed)?;
    Ok(Checkpoint::parse(note.text()).map_err(Failure::failed)?.head().size.get())
}

/// Returns the number of entries that are public in the end.
pub(super) fn show(town: &mut Town, records: &mut Vec<Vec<u8>>, output: &Output) -> Result<u64, Failure> {
    let before = published(town)?;
    for witness in &mut town.witnesses[..2] {
        witness.switch_off();
        output.say(&format!("   The {} is gone.", witness.name));
    }
    let add = |town: &Town| {
        let url = format!("{}/add", town.url);
        town.web.post(&url, "application/octet-stream", NOTICE.as_bytes().to_vec())
    };
    let answer = add(town)?;
    if answer.status != 503 || published(town)? != before {
        return Err(Failure::wrong("a notice was published without enough witnesses"));
    }
    output.say(&format!("\n   The log says: \"{}\"", answer.detail()));
    output.say(&format!("   It still shows {before} entries, to everybody. To its operator it says:"));
    let ready = town.web.get(&format!("{}/readyz", town.admin_url))?;
    output.say(&format!("   \"{}\"\n", ready.detail()));

    for witness in &mut town.witnesses[..2] {
        witness.switch_on()?;
        output.say(&format!("   The {} is back.", witness.name));
    }
    town.web.wait_until("the log publishes again", || Ok(published(town)? == before + 1))?;
    let again = add(town)?;
    if again.status != 200 || again.body != format!("{before}\n") {
        return Err(Failure::wrong("a notice that waited for witnesses was lost, or stored twice"));
    }
    records.push(NOTICE.as_bytes().to_vec());
    output.say(&format!(
        "   The log shows {} entries again, by itself. The notice is entry {before}; sent once more, it is still entry \
         {before}.\n   Nothing was lost.\n",
        before + 1
    ));
    Ok(before + 1)
}
