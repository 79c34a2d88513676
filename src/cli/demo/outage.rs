//! Two of four witnesses fail: nothing is published, and nothing is lost.

use tlog::checkpoint::Checkpoint;
use tlog::note::Note;

use super::super::failure::Failure;
use super::super::output::Output;
use super::samples;
use super::town::Town;

const NOTICE: &str = include_str!("../../../deploy/samples/notices-outage.ndjson");
const REGISTER: &str = "notices";
/// How many witnesses are switched off: one more than can be missing.
const GONE: usize = 2;

/// Entries under the public checkpoint.
fn published(town: &Town) -> Result<u64, Failure> {
    let note =
        Note::parse(&town.web.get(&format!("{}/checkpoint", town.url))?.body).map_err(Failure::failed)?;
    Ok(Checkpoint::parse(note.text()).map_err(Failure::failed)?.head().size.get())
}

/// The notice, signed.
fn notice(town: &Town) -> Result<Vec<u8>, Failure> {
    let (office, register) = town.register(REGISTER)?;
    office.publish(samples::plain(NOTICE, register)?)
}

pub(super) fn show(town: &mut Town, output: &Output) -> Result<(), Failure> {
    let before = published(town)?;
    for witness in &mut town.witnesses[..GONE] {
        witness.switch_off();
        output.say(&format!("   The {} is gone.", witness.name));
    }
    let notice = notice(town)?;
    let answer = town.hand_in(&notice)?;
    if answer.status != 503 || published(town)? != before {
        return Err(Failure::wrong("a notice was published without enough witnesses"));
    }
    output.say(&format!("\n   The log says: \"{}\"", answer.detail()));
    output.say(&format!("   It still shows {before} entries, to everybody. To its operator it says:"));
    let ready = town.web.get(&format!("{}/readyz", town.admin_url))?;
    output.say(&format!("   \"{}\"\n", ready.detail()));

    for witness in &mut town.witnesses[..GONE] {
        witness.switch_on()?;
        output.say(&format!("   The {} is back.", witness.name));
    }
    town.web.wait_until("the log publishes again", || Ok(published(town)? == before + 1))?;
    // Refused if it has another place than the one after what was there.
    let entered = town.enter(&notice)?;
    if published(town)? != before + 1 {
        return Err(Failure::wrong("a notice that waited for witnesses was stored twice"));
    }
    output.say(&format!(
        "   The log shows {} entries again, by itself. The notice is entry {}; sent once more, it is still entry {}.\n   \
         Nothing was lost.\n",
        before + 1,
        entered.index,
        entered.index,
    ));
    Ok(())
}
