//! A log of ours, read by a client that others wrote. Run by `cargo xtask interop`, which builds the client.

use std::process::Command;

use tests::server::{Site, daybook};

#[test]
#[ignore = "needs a client that `cargo xtask interop` builds"]
fn a_foreign_client_reads_checks_and_copies_the_log() {
    let client = std::env::var("DAYBOOK_INTEROP_CLIENT").expect("run this with `cargo xtask interop`");
    let site = Site::new("open");
    let server = site.start();
    for count in [1, 255, 256, 700, 70_000] {
        let file = site.root().join("lines");
        let lines: String = (0..count).map(|number| format!("entry {number}\n")).collect();
        std::fs::write(&file, lines).expect("written");
        assert!(daybook(&["add", &server.url(), &file.to_string_lossy(), "--lines"]).status.success());
        let vkey = site.policy().logs()[0].key.to_string();
        let copy = site.root().join(format!("copy-{count}"));
        // Every entry is proved by the client; that takes a while for the largest log.
        let read = Command::new(&client).args([server.url(), vkey]).arg(&copy).output().expect("it starts");
        assert!(read.status.success(), "{read:?}");
        assert_eq!(String::from_utf8_lossy(&read.stdout).trim(), count.to_string());
        let checked = daybook(&["fsck", &copy.to_string_lossy(), "--policy", &site.policy_path()]);
        assert!(checked.status.success(), "the copy is a whole log: {checked:?}");
        println!("{count} entries: read, proved and copied by golang.org/x/mod, and the copy is whole");
    }
}
