//! What happens while somebody watches: a contract grows after its award, something is published long after its date,
//! a court is shown one sealed field, and a person's name is erased. The newspaper's alerts say what it was told.

use record::time::UtcTime;

use super::super::failure::Failure;
use super::super::output::Output;
use super::newspaper::{self, Alert, Newspaper};
use super::publish::{CONTRACTS, Published, publish};
use super::town::Town;

const AMENDED: &str = include_str!("../../../deploy/samples/contracts-later.ndjson");
const LATE: &str = include_str!("../../../deploy/samples/notices-later.ndjson");
/// The field that tells how much a contract costs.
const AMOUNT: &str = "/amount";
const DAY_SECONDS: i64 = 86_400;

/// What the newspaper was told.
pub(super) struct Told {
    pub(super) amount_before: String,
    pub(super) amount_after: String,
    pub(super) days_late: i64,
    pub(super) links: Vec<String>,
}

/// Publishes the seeded story and waits for the alerts that it must cause.
pub(super) fn show(
    town: &mut Town,
    newspaper: &Newspaper,
    shelf: &mut Vec<Published>,
    output: &Output,
) -> Result<Told, Failure> {
    for (register, name, lines) in
        [(CONTRACTS, "contracts-later", AMENDED), ("notices", "notices-later", LATE)]
    {
        shelf.extend(publish(town, register, name, lines, output)?);
    }
    output.say("\n   The newspaper's desk is told, by the monitor's own channel:\n");
    let amended = newspaper.alert(town, newspaper::AMENDED)?;
    let (amount_before, amount_after) = raised(&amended)?;
    alarm(output, newspaper::AMENDED, &amended, &format!("{amount_before} -> {amount_after}"));
    let late = newspaper.alert(town, newspaper::LATE)?;
    let days_late = days_late(&late)?;
    let at = late.at.as_deref().unwrap_or_default();
    alarm(output, newspaper::LATE, &late, &format!("dated {at}, published {days_late} days later"));
    Ok(Told { amount_before, amount_after, days_late, links: vec![amended.link, late.link] })
}

/// Says what an alert says.
pub(super) fn alarm(output: &Output, watch: &str, alert: &Alert, what: &str) {
    output.say(&format!("   [{watch}] {}\n      {what}\n      {}\n", alert.title, alert.link));
}

/// The amounts before and after; the second must be the larger one.
fn raised(alert: &Alert) -> Result<(String, String), Failure> {
    let change = alert.changes.iter().find(|change| change.path.ends_with(AMOUNT));
    let sides = change.and_then(|change| Some((change.old.as_str()?, change.new.as_str()?)));
    let number = |text: &str| text.parse::<f64>().ok();
    let raised = sides.filter(|(old, new)| number(old) < number(new));
    let raised = raised.map(|(old, new)| (old.to_owned(), new.to_owned()));
    raised.ok_or_else(|| Failure::wrong("the monitor does not tell that a contract's amount was raised"))
}

fn days_late(alert: &Alert) -> Result<i64, Failure> {
    let at = alert.at.as_deref().and_then(|at| at.parse::<UtcTime>().ok());
    let days = at.map(|at| (alert.found_at - at.unix_seconds()) / DAY_SECONDS);
    days.filter(|days| *days > 0).ok_or_else(|| Failure::wrong("the monitor's alert has no date in the past"))
}
