//! What to open and what to try, once everything was shown.

use std::path::Path;

use tlog::hash::sha256;

use super::Shown;
use super::newspaper::Newspaper;
use super::publish::CONTRACTS;
use super::town::Town;

pub(super) fn text(town: &Town, newspaper: &Newspaper, shown: &Shown, stay: bool) -> String {
    if !stay {
        return "That was the whole system. To look around in it: daybook demo --stay".to_owned();
    }
    format!(
        "10. Look around. Everything runs until Ctrl-C.\n\n   In a browser:\n\n{}\n   In another terminal:\n\n{}",
        pages(town, newspaper, shown),
        commands(town)
    )
}

fn pages(town: &Town, newspaper: &Newspaper, shown: &Shown) -> String {
    let (log, monitor) = (&town.url, &newspaper.url);
    let contract = town.register(CONTRACTS).map(|(_, register)| town.record_url(register, shown.contract));
    let contract = contract.unwrap_or_default();
    let hash = sha256(town.origin.as_str().as_bytes());
    let pages = [
        ("the log", format!("{log}/")),
        ("its offices", format!("{log}/agencies")),
        ("how a contract grew", format!("{contract}/history")),
        ("a witness", format!("{}/", town.witnesses[0].url)),
        ("the newspaper's monitor", format!("{monitor}/")),
        ("search", format!("{monitor}/search?q=harbour")),
        ("the contract, with proof", format!("{monitor}/log/{hash}/{}", shown.amended_entry)),
        ("what it watches", format!("{monitor}/watches")),
        ("a feed of a watch", format!("{monitor}/feed/watch/1/atom")),
        ("the evidence", format!("{monitor}/evidence")),
    ];
    pages.iter().map(|(name, url)| format!("   {name:<25} {url}\n")).collect()
}

fn commands(town: &Town) -> String {
    let url = &town.url;
    let ours = std::env::current_exe().unwrap_or_default();
    let programs = ours.parent().unwrap_or(Path::new(".")).display();
    let commands = [
        format!("cd {}; PATH=\"$PATH:{programs}\"", town.folder.display()),
        format!("daybook fsck {url} --policy policy.txt"),
        "daybook verify contract.statement --policy policy.txt".to_owned(),
        format!("daybook history {url} procurement.seaton.example/contracts 2026-02 --policy policy.txt"),
        "echo '{\"key\":\"mine\",\"title\":\"My notice\",\"public\":{\"text\":\"Hello\"}}' > mine.json"
            .to_owned(),
        format!(
            "daybook submit {url} mine.json --register council.seaton.example/notices \\\n       --signer \
             keys/council.seaton.example/publisher.pem --policy policy.txt"
        ),
        "daybook verify-evidence two-histories.evidence --policy policy.txt".to_owned(),
        "daybook-monitor search monitor harbour".to_owned(),
        "daybook-monitor status monitor".to_owned(),
    ];
    commands.iter().map(|command| format!("   {command}\n")).collect()
}
