use daemon::clock::SystemRandom;
use record::erasable::store::CHUNK_BYTES;
use record::erasable::{AttachmentOpening, Place};
use record::opening::Salt;
use tlog::hash::{leaf_hash, sha256};
use tlog::ids::LeafIndex;

use super::attachments::KeepError;
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
    let commitment = sha256(b"commitment");
    let key = [0xa7; KEY_BYTES];
    vault.put(&leaf, "/erasable/name", &commitment, b"a name", (key, [1; 19])).unwrap();
    vault.put(&leaf, "/erasable/note", &commitment, b"a note", ([3; 32], [2; 19])).unwrap();
    vault.put(&other, "/erasable/name", &commitment, b"another", ([4; 32], [3; 19])).unwrap();
    assert_eq!(vault.of(&leaf).unwrap().len(), 2);
    assert!(contains(&all_bytes(dir.path()), &key), "the key is in a file");
    assert!(vault.erase(&leaf, |item| item == "/erasable/name").unwrap() > 0);
    assert_eq!(vault.of(&leaf).unwrap(), [("/erasable/note".to_owned(), b"a note".to_vec())]);
    assert_eq!(vault.of(&other).unwrap().len(), 1);
    assert_eq!(vault.erase(&leaf, |item| item == "/erasable/name").unwrap(), 0, "once is enough");
    assert!(!contains(&all_bytes(dir.path()), &key), "the key is in no file");
    drop(vault);
    assert_eq!(self::vault(dir.path()).of(&leaf).unwrap().len(), 1);
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
    assert_eq!((vault.has_key(&commitment).unwrap(), vault.erased(&commitment).unwrap()), (true, None));
    for at in [9, 12] {
        let tombstone = LeafIndex::new(at).unwrap();
        assert!(
            vault.erase_attachment(&commitment, tombstone, |held| *held == opening(b"contents")).unwrap()
        );
    }
    assert_eq!(vault.erased(&commitment).unwrap().map(LeafIndex::get), Some(9), "by the first tombstone");
    assert!(!vault.has_key(&commitment).unwrap() && read(&vault, &commitment).is_none());
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
