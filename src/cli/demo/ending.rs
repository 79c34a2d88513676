//! What to open and what to try, once everything was shown.

use tlog::hash::sha256;

use super::Shown;
use super::newspaper::Newspaper;
use super::town::Town;

pub(super) fn text(town: &Town, newspaper: &Newspaper, shown: &Shown, stay: bool) -> String {
    if !stay {
        return "That was the whole system. To look around in it: daybook demo --stay".to_owned();
    }
    let (log, monitor, folder) = (&town.url, &newspaper.url, town.folder.display());
    let policy = town.policy_file.display();
    let contract = town.register("contracts").map(|(_, register)| town.record_url(register, shown.contract));
    let contract = contract.unwrap_or_default();
    let hash = sha256(town.origin.as_str().as_bytes());
    format!(
        "10. Look around. Everything runs until Ctrl-C.\n\n   Open in a browser:\n\n   The log          {log}/\n   Its agencies     \
         {log}/agencies\n   A contract       {contract}\n   and its history  {contract}/history\n   A witness        {}/\n\n   \
         The monitor      {monitor}/\n   Search           {monitor}/search?q=harbour\n   The same, proved  \
         {monitor}/log/{hash}/{}\n   What it watches  {monitor}/watches\n   A feed           {monitor}/feed/watch/1/atom\n   The \
         evidence     {monitor}/evidence\n\n   Try in another terminal:\n\n   daybook fsck {log} --policy {policy}\n   daybook \
         verify {folder}/contract.record --policy {policy}\n   daybook get {log} 3 --policy {policy}\n   daybook \
         verify-evidence {} --key '{}'\n   daybook-monitor search {folder}/monitor harbour\n   daybook-monitor status \
         {folder}/monitor\n\n   Here `daybook` stands for {}.",
        town.witnesses[0].url,
        shown.amended_entry,
        shown.evidence.display(),
        town.log_key,
        std::env::current_exe().map_or_else(|_| "this program".to_owned(), |path| path.display().to_string())
    )
}
