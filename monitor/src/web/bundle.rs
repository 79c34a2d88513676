//! An entry with everything that is needed to check it offline, in one ZIP file.
//!
//! The files are stored, not compressed: a reader can see with any tool that the entry is there byte for byte.

use flate2::Crc;

/// A file of the bundle.
pub(super) struct File<'a> {
    name: String,
    bytes: std::borrow::Cow<'a, [u8]>,
}

/// The files for an entry.
pub(super) fn files<'a>(
    index: u64,
    entry: &'a [u8],
    receipt: &'a [u8],
    policy: &'a str,
    cited: &str,
) -> Vec<File<'a>> {
    let readme = format!(
        "{cited}\n\nentry-{index} is the entry, byte for byte. entry-{index}.tlog-proof is its receipt: the proof that it is\n\
         in the log's signed tree. policy.txt names the keys of the log and of its witnesses. Check with\n\n    \
         daybook verify entry-{index} --policy policy.txt\n\nThe keys in policy.txt are those that this monitor trusts. \
         Before you rely on them, compare them with the keys\nthat the log's operator and its witnesses have published.\n"
    );
    vec![
        File { name: format!("entry-{index}"), bytes: entry.into() },
        File { name: format!("entry-{index}.tlog-proof"), bytes: receipt.into() },
        File { name: "policy.txt".to_owned(), bytes: policy.as_bytes().into() },
        File { name: "README.txt".to_owned(), bytes: readme.into_bytes().into() },
    ]
}

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const VERSION: u16 = 20;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// 1980-01-01, the first day that the format knows: the same entry gives the same file.
const DATE: u16 = 0x0021;

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a bundle is far below 4 GiB")
}

/// What a file's two headers have in common.
fn header(file: &File<'_>) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(&file.bytes);
    let mut out = Vec::new();
    for short in [VERSION, FLAGS, 0, 0, DATE] {
        out.extend(short.to_le_bytes());
    }
    for long in [crc.sum(), length(file.bytes.len()), length(file.bytes.len())] {
        out.extend(long.to_le_bytes());
    }
    let name = u16::try_from(file.name.len()).expect("names are short");
    out.extend(name.to_le_bytes());
    out.extend(0_u16.to_le_bytes());
    out
}

/// A ZIP archive (APPNOTE 6.3) of these files.
pub(super) fn zip(files: &[File<'_>]) -> Vec<u8> {
    let (mut out, mut central) = (Vec::new(), Vec::new());
    for file in files {
        let (at, header) = (length(out.len()), header(file));
        out.extend(LOCAL.to_le_bytes());
        out.extend(&header);
        out.extend(file.name.as_bytes());
        out.extend(&*file.bytes);
        central.extend(CENTRAL.to_le_bytes());
        central.extend(VERSION.to_le_bytes());
        central.extend(&header);
        central.extend([0; 10]);
        central.extend(at.to_le_bytes());
        central.extend(file.name.as_bytes());
    }
    let (at, count) = (length(out.len()), u16::try_from(files.len()).expect("a few files"));
    out.extend(&central);
    out.extend(END.to_le_bytes());
    out.extend([0; 4]);
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(length(central.len()).to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0; 2]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_laid_out_as_the_format_says() {
        let archive = zip(&files(7, b"the entry", b"the receipt", "the policy", "cited"));
        let end = archive.len() - 22;
        assert_eq!(archive[end..end + 4], END.to_le_bytes());
        let number = |at: usize| u32::from_le_bytes(archive[at..at + 4].try_into().unwrap()) as usize;
        let (size, start) = (number(end + 12), number(end + 16));
        assert_eq!(start + size, end);
        assert_eq!(archive[start..start + 4], CENTRAL.to_le_bytes());
        // The first file: its header, its name, its bytes as they are.
        assert_eq!(&archive[30..30 + 7], b"entry-7");
        assert_eq!(&archive[37..37 + 9], b"the entry");
        let mut crc = Crc::new();
        crc.update(b"the entry");
        assert_eq!(number(14), crc.sum() as usize);
    }
}
