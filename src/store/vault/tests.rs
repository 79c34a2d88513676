use daemon::clock::SystemRandom;
use record::erasable::store::CHUNK_BYTES;
use record::erasable::{AttachmentOpening, Place};
use record::opening::Salt;
use tlog::hash::{leaf_hash, sha256};
use tlog::ids::LeafIndex;

use super::attachments::KeepError;
use super::values::{Put, VERSION_BYTES_MAX, VERSION_DOCUMENTS_MAX};
use super::*;
use crate::store::disk::RealDisk;
use crate::store::disk::fault::{Fault, FaultDisk, How};

fn vault(dir: &Path) -> Vault {
    Vault::open(dir, Arc::new(RealDisk::default())).unwrap()
}

/// All bytes of all files below a folder.
fn all_bytes(folder: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        out.extend(if path.is_dir() { all_bytes(&path) } else { std::fs::read(path).unwrap() });
    }
    out
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_value_comes_back_until_it_is_erased_and_leaves_no_trace_in_any_file() {
    let dir = tempfile::tempdir().unwrap();
    let vault = self::vault(dir.path());
    let (leaf, other) = (leaf_hash(b"record"), leaf_hash(b"other"));
    let key = [0xa7; KEY_BYTES];
    put(&vault, &leaf, "/erasable/name", b"a name", key);
    put(&vault, &leaf, "/erasable/note", b"a note", [3; 32]);
    put(&vault, &other, "/erasable/name", b"another", [4; 32]);
    assert_eq!(of(&vault, &leaf).len(), 2);
    assert!(contains(&all_bytes(dir.path()), &key), "the key is in a file");
    assert_eq!(vault.erase(&leaf, is_name).unwrap(), 2, "key and value");
    assert_eq!(of(&vault, &leaf), [("/erasable/note".to_owned(), b"a note".to_vec())]);
    assert_eq!(of(&vault, &other).len(), 1);
    assert_eq!(vault.erase(&leaf, is_name).unwrap(), 0, "once is enough");
    assert!(!contains(&all_bytes(dir.path()), &key), "the key is in no file");
    drop(vault);
    assert_eq!(of(&self::vault(dir.path()), &leaf).len(), 1);
}

fn commitment() -> Hash {
    sha256(b"commitment")
}

fn put(vault: &Vault, leaf: &Hash, item: &str, value: &[u8], key: [u8; KEY_BYTES]) -> Put {
    let never = || Ok::<_, VaultError>(false);
    vault.put(leaf, item, &commitment(), value, (key, [key[0]; 19]), never).unwrap()
}

fn is_name(item: &str) -> bool {
    item == "/erasable/name"
}

/// The values that open.
fn of(vault: &Vault, leaf: &Hash) -> Vec<(String, Vec<u8>)> {
    let values = vault.of(leaf).unwrap().into_iter();
    values.filter_map(|(item, value)| Some((item, value.ok()?))).collect()
}

/// The files as they are at this moment, which is what a crash leaves; opened, and what is in them then.
fn after_a_crash(dir: &Path) -> Vec<u8> {
    let copy = tempfile::tempdir().unwrap();
    let folder = copy.path().join(FOLDER);
    std::fs::create_dir(&folder).unwrap();
    for file in std::fs::read_dir(dir.join(FOLDER)).unwrap() {
        let file = file.unwrap();
        // The index of a write-ahead log is in memory that is gone.
        if file.path().is_file() && !file.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
    }
    let opened = vault(copy.path());
    let bytes = all_bytes(copy.path());
    drop(opened);
    bytes
}

#[test]
fn what_was_erased_while_another_program_read_is_in_no_file_once_it_is_erased_again() {
    let dir = tempfile::tempdir().unwrap();
    let vault = self::vault(dir.path());
    let leaf = leaf_hash(b"record");
    let key = [0xa7; KEY_BYTES];
    put(&vault, &leaf, "/erasable/name", b"a name", key);
    let reader = rusqlite::Connection::open(dir.path().join("vault/keys.sqlite")).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM key;").unwrap();
    assert!(matches!(vault.erase(&leaf, is_name), Err(VaultError::Busy)), "it is not called erased");
    assert!(contains(&all_bytes(dir.path()), &key), "nothing is there to be read, and its key is in a file");
    assert!(!contains(&after_a_crash(dir.path()), &key), "a start erases what was only deleted");
    reader.execute_batch("COMMIT;").unwrap();
    vault.erase(&leaf, is_name).unwrap();
    assert!(!contains(&all_bytes(dir.path()), &key), "and so does the next attempt");
    assert!(of(&vault, &leaf).is_empty());
}

#[test]
fn so_it_is_with_an_attachment() {
    let dir = tempfile::tempdir().unwrap();
    let vault = self::vault(dir.path());
    let commitment = keep(&vault, b"contents", 0).unwrap();
    let key: Vec<u8> = vault.lock().1.query_row("SELECT key FROM attachment", [], |row| row.get(0)).unwrap();
    let reader = rusqlite::Connection::open(dir.path().join("vault/keys.sqlite")).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM attachment;").unwrap();
    let erase = || vault.erase_attachment(&commitment, LeafIndex::new(9).unwrap(), |_| true);
    assert!(matches!(erase(), Err(VaultError::Busy)));
    assert!(contains(&all_bytes(dir.path()), &key));
    reader.execute_batch("COMMIT;").unwrap();
    assert!(erase().unwrap());
    assert!(!contains(&all_bytes(dir.path()), &key), "the key is in no file");
    assert!(all_bytes(&dir.path().join("vault/attachments")).is_empty(), "the file is gone");
}

#[test]
fn a_crash_between_deleting_and_emptying_the_write_ahead_log_leaves_no_key_after_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let vault = self::vault(dir.path());
    let leaf = leaf_hash(b"record");
    let key = [0xa7; KEY_BYTES];
    put(&vault, &leaf, "/erasable/name", b"a name", key);
    vault.lock().1.execute("DELETE FROM key", []).unwrap();
    assert!(contains(&all_bytes(dir.path()), &key), "deleted, and still in the write-ahead log");
    assert!(!contains(&after_a_crash(dir.path()), &key));
}

#[test]
fn the_same_value_again_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let vault = self::vault(dir.path());
    let leaf = leaf_hash(b"record");
    put(&vault, &leaf, "/erasable/name", b"a name", [1; 32]);
    let written =
        || ["keys", "values"].map(|one| std::fs::read(dir.path().join(format!("vault/{one}.sqlite-wal"))));
    let before = written().map(Result::unwrap);
    assert_eq!(put(&vault, &leaf, "/erasable/name", b"a name", [2; 32]), Put::Kept);
    assert!(written().map(Result::unwrap) == before && before.iter().all(|bytes| !bytes.is_empty()));
    assert_eq!(of(&vault, &leaf), [("/erasable/name".to_owned(), b"a name".to_vec())]);
}

#[test]
fn a_value_that_is_damaged_hides_no_other_and_is_healed_when_it_is_shown_again() {
    let dir = tempfile::tempdir().unwrap();
    let vault = self::vault(dir.path());
    let leaf = leaf_hash(b"record");
    let both = [
        ("/erasable/name".to_owned(), b"a name".to_vec()),
        ("/erasable/note".to_owned(), b"a note".to_vec()),
    ];
    put(&vault, &leaf, "/erasable/note", b"a note", [2; 32]);
    let damages = [
        (1, "UPDATE key SET key = zeroblob(32) WHERE item = '/erasable/name'"),
        (1, "DELETE FROM key WHERE item = '/erasable/name'"),
        (0, "UPDATE value SET sealed = zeroblob(99) WHERE item = '/erasable/name'"),
        (0, "UPDATE value SET sealed = x'' WHERE item = '/erasable/name'"),
    ];
    for (file, damage) in damages {
        put(&vault, &leaf, "/erasable/name", b"a name", [1; 32]);
        let open = vault.lock();
        let database = if file == 0 { &open.0 } else { &open.1 };
        assert_eq!(database.execute(damage, []).unwrap(), 1, "{damage}");
        drop(open);
        let values = vault.of(&leaf).unwrap();
        assert!(values.len() == 2 && values[0].1.is_err() && values[1].1.is_ok(), "{damage}: {values:?}");
        assert_eq!(put(&vault, &leaf, "/erasable/name", b"a name", [3; 32]), Put::Kept);
        assert_eq!(of(&vault, &leaf), both, "{damage}");
    }
    assert!(vault.erase(&leaf, |_| true).unwrap() > 0 && of(&vault, &leaf).is_empty());
}

#[test]
fn no_statement_of_a_put_that_is_the_last_before_a_crash_leaves_an_old_value_under_a_new_key() {
    let dir = tempfile::tempdir().unwrap();
    let leaf = leaf_hash(b"record");
    for (file, table) in [(1, "key"), (0, "value")] {
        let vault = self::vault(dir.path());
        vault.erase(&leaf, |_| true).unwrap();
        put(&vault, &leaf, "/erasable/note", b"a note", [2; 32]);
        put(&vault, &leaf, "/erasable/name", b"a name", [1; 32]);
        // Another value under the same name, and from the first insertion into this file on nothing is written.
        let open = vault.lock();
        let database = if file == 0 { &open.0 } else { &open.1 };
        let stop = format!(
            "CREATE TEMP TRIGGER stop BEFORE INSERT ON main.{table} BEGIN SELECT RAISE(ABORT, 'stop'); END"
        );
        database.execute_batch(&stop).unwrap();
        drop(open);
        let never = || Ok::<_, VaultError>(false);
        let broken =
            vault.put(&leaf, "/erasable/name", &commitment(), b"other name", ([3; 32], [3; 19]), never);
        assert!(broken.is_err(), "{table}");
        drop(vault);
        let vault = self::vault(dir.path());
        let values = vault.of(&leaf).unwrap();
        assert!(values.iter().all(|(_, value)| value.is_ok()), "{table}: {values:?}");
        assert!(values.iter().any(|(item, _)| item == "/erasable/note"), "{table}");
        assert_eq!(put(&vault, &leaf, "/erasable/name", b"other name", [4; 32]), Put::Kept);
        assert_eq!(of(&vault, &leaf)[0].1, b"other name");
    }
}

#[test]
fn a_version_has_so_many_documents_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let vault = self::vault(dir.path());
    let (leaf, other) = (leaf_hash(b"record"), leaf_hash(b"other"));
    {
        // Rows as they would be, in one transaction: each by itself is a wait for the disk.
        let open = vault.lock();
        let all = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {VERSION_DOCUMENTS_MAX})
             INSERT INTO value (leaf, item, commitment, sealed) SELECT ?1, 'item' || i, ?1, x'00' FROM n"
        );
        open.0.execute(&all, [leaf.as_bytes()]).unwrap();
    }
    assert_eq!(put(&vault, &leaf, "one more", b"value", [1; 32]), Put::Full);
    assert_eq!(
        put(&vault, &leaf, "item7", b"value", [1; 32]),
        Put::Kept,
        "in the place of one that is there"
    );
    assert_eq!(put(&vault, &other, "one more", b"value", [1; 32]), Put::Kept, "another version");
    assert_eq!(vault.erase(&leaf, |item| item == "item9").unwrap(), 1);
    assert_eq!(put(&vault, &leaf, "one more", b"value", [1; 32]), Put::Kept, "what is erased makes room");
    assert_eq!(put(&vault, &leaf, "and another", b"value", [1; 32]), Put::Full);
}

#[test]
fn a_version_has_so_many_bytes_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let vault = self::vault(dir.path());
    let leaf = leaf_hash(b"record");
    let half = vec![b'x'; usize::try_from(VERSION_BYTES_MAX / 2).unwrap() - 2000];
    assert_eq!(put(&vault, &leaf, "first", &half, [1; 32]), Put::Kept);
    assert_eq!(put(&vault, &leaf, "second", &half, [2; 32]), Put::Kept);
    assert_eq!(put(&vault, &leaf, "third", &[b'x'; 4000], [3; 32]), Put::Full);
    assert_eq!(put(&vault, &leaf, "second", &half, [4; 32]), Put::Kept, "it is there already");
    assert_eq!(of(&vault, &leaf).len(), 2);
}

#[test]
fn what_is_erased_by_the_time_that_the_vault_is_free_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let vault = self::vault(dir.path());
    let leaf = leaf_hash(b"record");
    let erased = || Ok::<_, VaultError>(true);
    let put = vault.put(&leaf, "/erasable/name", &commitment(), b"a name", ([1; 32], [1; 19]), erased);
    assert_eq!(put.unwrap(), Put::Erased);
    assert!(vault.of(&leaf).unwrap().is_empty());
}

fn opening(contents: &[u8]) -> AttachmentOpening {
    AttachmentOpening {
        place: Place {
            agency: "a.example".parse().unwrap(),
            register: "file".parse().unwrap(),
            key: "A".parse().unwrap(),
        },
        name: "letter.pdf".parse().unwrap(),
        media: "application/pdf".parse().unwrap(),
        bytes: contents.len() as u64,
        salt: Salt::new([7; 32]),
        sha256: sha256(contents),
    }
}

fn keep(vault: &Vault, contents: &[u8], at: i64) -> Result<Hash, KeepError> {
    let opening = opening(contents);
    let commitment = opening.commitment();
    let mut incoming = vault.begin(&commitment, &SystemRandom)?;
    for piece in contents.chunks(10_000) {
        incoming.write(piece)?;
    }
    vault.keep(incoming, &opening, at).map(|()| commitment)
}

fn read(vault: &Vault, commitment: &Hash) -> Option<Vec<u8>> {
    let (_, mut outgoing) = vault.attachment(commitment).unwrap()?;
    let mut out = Vec::new();
    while let Some(chunk) = outgoing.next_chunk().unwrap() {
        out.extend(chunk);
    }
    Some(out)
}

#[test]
fn an_attachment_of_any_length_comes_back_and_lies_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    let vault = self::vault(dir.path());
    for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 200_000] {
        let contents: Vec<u8> = b"plain text in a letter ".iter().copied().cycle().take(length).collect();
        let commitment = keep(&vault, &contents, 0).unwrap();
        assert_eq!(read(&vault, &commitment).as_deref(), Some(contents.as_slice()), "{length}");
        assert_eq!(vault.held(&commitment, 0).unwrap(), Some(opening(&contents)));
    }
    let all = all_bytes(dir.path());
    assert!(!contains(&all, b"plain text") && !contains(&all, b"letter.pdf"));
    drop(vault);
    assert!(self::vault(dir.path()).held(&opening(b"").commitment(), 0).unwrap().is_some());
}

#[test]
fn other_bytes_than_the_opening_names_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let vault = self::vault(dir.path());
    let opening = opening(b"contents");
    for contents in [b"content!".as_slice(), b"content", b"contents!"] {
        let mut incoming = vault.begin(&opening.commitment(), &SystemRandom).unwrap();
        incoming.write(contents).unwrap();
        assert!(matches!(vault.keep(incoming, &opening, 0), Err(KeepError::OtherBytes { .. })));
    }
    assert!(vault.held(&opening.commitment(), 0).unwrap().is_none());
    let folder = dir.path().join("vault/attachments");
    assert!(all_bytes(&folder).is_empty() && std::fs::read_dir(&folder).unwrap().count() == 1);
}

#[test]
fn an_attachment_that_was_erased_is_nowhere_and_never_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let vault = self::vault(dir.path());
    let commitment = keep(&vault, b"contents", 0).unwrap();
    assert_eq!(keep(&vault, b"contents", 0).unwrap(), commitment, "again is the same");
    let key: Vec<u8> = vault.lock().1.query_row("SELECT key FROM attachment", [], |row| row.get(0)).unwrap();
    assert!(contains(&all_bytes(dir.path()), &key));
    let tombstone = LeafIndex::new(9).unwrap();
    assert!(!vault.erase_attachment(&commitment, tombstone, |_| false).unwrap(), "another record's");
    assert_eq!((read(&vault, &commitment).is_some(), vault.erased(&commitment).unwrap()), (true, None));
    for at in [9, 12] {
        let tombstone = LeafIndex::new(at).unwrap();
        assert!(
            vault.erase_attachment(&commitment, tombstone, |held| *held == opening(b"contents")).unwrap()
        );
    }
    assert_eq!(vault.erased(&commitment).unwrap().map(LeafIndex::get), Some(9), "by the first tombstone");
    assert!(read(&vault, &commitment).is_none());
    assert!(!contains(&all_bytes(dir.path()), &key), "the key is in no file");
    assert!(matches!(keep(&vault, b"contents", 0), Err(KeepError::Erased(index)) if index.get() == 9));
    assert!(all_bytes(&dir.path().join("vault/attachments")).is_empty(), "the file is gone");
}

#[test]
fn what_nobody_names_in_time_is_destroyed_and_what_somebody_names_stays() {
    let dir = tempfile::tempdir().unwrap();
    let vault = self::vault(dir.path());
    let named = keep(&vault, b"named", 100).unwrap();
    let forgotten = keep(&vault, b"forgotten", 100).unwrap();
    let young = keep(&vault, b"young", 200).unwrap();
    let asked = keep(&vault, b"asked for", 100).unwrap();
    assert!(vault.held(&asked, 200).unwrap().is_some(), "a statement that names it is on its way");
    let expire = || vault.expire(150, |one| Ok::<_, VaultError>(*one == named)).unwrap();
    assert_eq!((expire(), expire()), (1, 0));
    for (commitment, there) in [(named, true), (forgotten, false), (young, true), (asked, true)] {
        assert_eq!(read(&vault, &commitment).is_some(), there);
    }
    assert_eq!(vault.expire(1000, |_| Ok::<_, VaultError>(false)).unwrap(), 2, "what was named once stays");
    assert!(read(&vault, &named).is_some());
    assert_eq!(vault.erased(&forgotten).unwrap(), None, "it may be uploaded again");
    assert_eq!(keep(&vault, b"forgotten", 300).unwrap(), forgotten);
}

#[test]
fn whatever_disk_operation_fails_an_attachment_is_whole_or_not_there_and_can_be_kept_and_erased_again() {
    let tombstone = LeafIndex::new(9).unwrap();
    let erase = |vault: &Vault, commitment: &Hash| vault.erase_attachment(commitment, tombstone, |_| true);
    for at in 0..12 {
        for how in [How::Fails, How::FailsButDone] {
            let dir = tempfile::tempdir().unwrap();
            let commitment = opening(b"contents").commitment();
            let disk = Arc::new(FaultDisk::new(None));
            let vault = Vault::open(dir.path(), Arc::clone(&disk) as Arc<dyn Disk>).unwrap();
            disk.set(Some(Fault { at, how, once: true }));
            let kept = keep(&vault, b"contents", 0).is_ok();
            drop(vault);
            let vault = Vault::open(dir.path(), Arc::clone(&disk) as Arc<dyn Disk>)
                .unwrap_or_else(|_| self::vault(dir.path()));
            match read(&vault, &commitment) {
                Some(contents) => assert_eq!(contents, b"contents"),
                None => assert!(!kept, "{at} {how:?}: what was kept is there"),
            }
            disk.set(None);
            assert_eq!(keep(&vault, b"contents", 0).unwrap(), commitment, "{at} {how:?}");
            disk.set(Some(Fault { at, how, once: true }));
            let erased = erase(&vault, &commitment).is_ok();
            assert!(read(&vault, &commitment).is_none(), "{at} {how:?}: the key goes first");
            disk.set(None);
            assert!(erased || erase(&vault, &commitment).unwrap());
            assert!(all_bytes(&dir.path().join("vault/attachments")).is_empty(), "{at} {how:?}");
        }
    }
}
