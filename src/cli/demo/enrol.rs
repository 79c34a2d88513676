//! The registrar enrols the offices, and they open their registers.

use serde::Deserialize;

use super::super::failure::Failure;
use super::super::output::Output;
use super::office::QUORUM;
use super::town::Town;

#[derive(Deserialize)]
struct Agencies {
    agencies: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    agency: String,
    title: String,
}

#[derive(Deserialize)]
struct Keeper {
    registers: Vec<Kept>,
}

#[derive(Deserialize)]
struct Kept {
    title: String,
}

/// Who is enrolled then, by the log's own list.
pub(super) struct Enrolled {
    pub(super) agencies: usize,
    pub(super) registers: usize,
}

pub(super) fn show(town: &mut Town, output: &Output) -> Result<Enrolled, Failure> {
    let alone = town.registrar.enrol(&town.agencies[0].office, &town.origin, 1)?;
    let refusal = town.must_refuse(&alone, 403)?;
    output.say(&format!("   One officer of the registrar tries alone. The log says: \"{refusal}\"\n"));
    for at in 0..town.agencies.len() {
        let enrolment = town.registrar.enrol(&town.agencies[at].office, &town.origin, QUORUM.into())?;
        town.enter(&enrolment)?;
        for register in town.agencies[at].registers.clone() {
            let opened = town.agencies[at].office.open(&register)?;
            town.enter(&opened)?;
        }
    }
    let mut enrolled = Enrolled { agencies: 0, registers: 0 };
    let listed: Agencies = town.web.get(&format!("{}/agencies", town.url))?.json()?;
    for agency in listed.agencies.iter().filter(|agency| agency.agency != town.registrar.id.as_str()) {
        let keeper: Keeper = town.web.get(&format!("{}/agencies/{}", town.url, agency.agency))?.json()?;
        let titles: Vec<&str> = keeper.registers.iter().map(|register| register.title.as_str()).collect();
        output.say(&format!("   {:<30}  keeps: {}", agency.title, titles.join(", ")));
        enrolled.agencies += 1;
        enrolled.registers += titles.len();
    }
    if enrolled.agencies != town.agencies.len() {
        return Err(Failure::wrong("the log does not list every office that was enrolled"));
    }
    output.say("");
    Ok(enrolled)
}
