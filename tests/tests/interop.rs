//! A log of ours, read by clients that others wrote: one in Rust, always; one in Go, by `cargo xtask interop`, which
//! builds it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

use signed_note::{StandardVerifier, VerifierList};
use tests::server::{Server, Site, daybook};
use tlog_tiles::{HashReader, Tile, TileHashReader, TileReader};

/// The transport that the foreign client asks us for: tiles over HTTP, and a folder for those that it has confirmed.
struct OverHttp<'a> {
    server: &'a Server,
    confirmed: RefCell<HashMap<String, Vec<u8>>>,
}

/// Its paths name the height, ours do not.
fn path_of(tile: &Tile) -> String {
    tile.path().replacen("tile/8/", "tile/", 1).replacen("tile/data/", "tile/entries/", 1)
}

impl TileReader for OverHttp<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &Tile| {
            let answer = self.server.get(&format!("/{}", path_of(tile)));
            assert_eq!(answer.status, 200, "{}", path_of(tile));
            answer.body
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, tiles: &[Tile], data: &[Vec<u8>]) {
        self.confirmed.borrow_mut().extend(tiles.iter().map(path_of).zip(data.iter().cloned()));
    }
}

/// Opens the checkpoint, proves every entry and the tree before, and copies what it has confirmed into a folder.
fn read_and_copy(
    site: &Site,
    server: &Server,
    before: Option<(u64, tlog_tiles::Hash)>,
) -> (PathBuf, u64, tlog_tiles::Hash) {
    let vkey = site.policy().logs()[0].key.to_string();
    let note = server.get("/checkpoint").body;
    let opened = signed_note::Note::from_bytes(&note).expect("a note");
    let verifier = StandardVerifier::new(&vkey).expect("a key");
    opened.verify(&VerifierList::new(vec![Box::new(verifier)])).expect("the log's signature");
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(opened.text()).expect("a checkpoint");
    let (size, root) = (checkpoint.size(), *checkpoint.hash());

    let transport = OverHttp { server, confirmed: RefCell::default() };
    let hashes = TileHashReader::new(size, root, &transport);
    if let Some((old, old_root)) = before {
        let proof = tlog_tiles::prove_tree(size, old, &hashes).expect("a proof");
        tlog_tiles::check_tree(&proof, size, root, old, old_root).expect("the log only grew");
    }
    let folder = site.root().join(format!("foreign-{size}"));
    for first in (0..size).step_by(256) {
        let width = u32::try_from((size - first).min(256)).expect("at most 256");
        let bundle = Tile::new(8, 0, first / 256, width, true);
        let bytes = server.get(&format!("/{}", path_of(&bundle))).body;
        let mut rest = bytes.as_slice();
        for index in first..first + u64::from(width) {
            let (length, after) = rest.split_first_chunk::<2>().expect("a length");
            let (entry, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
            rest = after;
            let leaf = tlog_tiles::record_hash(entry);
            let stored = hashes.read_hashes(&[tlog_tiles::stored_hash_index(0, index)]).expect("authentic");
            assert_eq!(stored, [leaf], "entry {index}");
            if index % 97 == 0 || index + 1 == size {
                let proof = tlog_tiles::prove_record(size, index, &hashes).expect("a proof");
                tlog_tiles::check_record(&proof, size, root, index, leaf).expect("the entry is in the tree");
            }
        }
        assert!(rest.is_empty());
        transport.save_tiles(&[bundle], &[bytes]);
    }
    for (path, bytes) in transport.confirmed.borrow().iter() {
        let file = folder.join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, bytes).expect("written");
    }
    std::fs::write(folder.join("checkpoint"), note).expect("written");
    (folder, size, root)
}

#[test]
fn a_foreign_library_reads_verifies_and_copies_the_log() {
    let site = Site::new("open");
    let server = site.start();
    let mut before = None;
    for count in [1, 255, 256, 257, 700] {
        let file = site.root().join("lines");
        let lines: String = (0..count).map(|number| format!("entry {number}\n")).collect();
        std::fs::write(&file, lines).expect("written");
        assert!(daybook(&["add", &server.url(), &file.to_string_lossy(), "--lines"]).status.success());
        let (copy, size, root) = read_and_copy(&site, &server, before);
        assert_eq!(size, count);
        before = Some((size, root));
        let checked = daybook(&["fsck", &copy.to_string_lossy(), "--policy", &site.policy_path()]);
        assert!(checked.status.success(), "the copy is a whole log: {checked:?}");
    }
}

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
