//! Files that somebody names: read up to a bound, and what to do where the system refuses.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The system's answer about a file that somebody named, and what they can do.
///
/// ```text
/// No such file or directory (os error 2); check the name, and that its folder is there
/// ```
#[must_use]
pub fn in_words(error: &io::Error) -> String {
    format!("{error}; {}", advice(error.kind()))
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "check the name, and that its folder is there",
        ErrorKind::PermissionDenied => "run this as the user who may, or change who may with chmod or chown",
        ErrorKind::AlreadyExists => "name another, or move what is there out of the way",
        ErrorKind::IsADirectory => "it is a folder: name a file in it",
        ErrorKind::NotADirectory => "what stands before the last `/` is no folder: check the path",
        ErrorKind::InvalidFilename => "use a shorter name, without unusual characters",
        ErrorKind::InvalidData => "it must be UTF-8 text: save it as that",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on that disk, and run this again",
        ErrorKind::ReadOnlyFilesystem => "that disk takes no writes: name a place on another",
        _ => "see that the file and its disk are in order, and run this again",
    }
}

/// The beginning of a file, at most so many bytes. Whoever asks for one more than is allowed sees that there are too many.
///
/// # Errors
/// The system's answer, [`in_words`].
pub fn read_up_to(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(bytes_max as u64).read_to_end(&mut bytes));
    read.map_err(|error| io::Error::new(error.kind(), in_words(&error)))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(read_up_to(&path, 4).is_err());
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read_up_to(&path, 4).unwrap(), b"1234");
        assert_eq!(read_up_to(&path, 9).unwrap(), b"12345");
    }

    #[test]
    fn whoever_is_refused_a_file_is_told_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let (file, inner) = (folder.path().join("file"), folder.path().join("file/inner"));
        let missing = read_up_to(&file, 1).unwrap_err().to_string();
        assert_eq!(
            missing,
            "No such file or directory (os error 2); check the name, and that its folder is there"
        );
        std::fs::write(&file, [0xff]).unwrap();
        let no_folder = read_up_to(&inner, 1).unwrap_err().to_string();
        assert!(no_folder.ends_with("is no folder: check the path"), "{no_folder}");
        let a_folder = read_up_to(folder.path(), 1).unwrap_err().to_string();
        assert!(a_folder.ends_with("it is a folder: name a file in it"), "{a_folder}");
        let no_text = in_words(&std::fs::read_to_string(&file).unwrap_err());
        assert!(no_text.ends_with("it must be UTF-8 text: save it as that"), "{no_text}");
        let there = in_words(&std::fs::create_dir(folder.path()).unwrap_err());
        assert!(there.ends_with("move what is there out of the way"), "{there}");
        // Whatever else there is, something can be done.
        let other = in_words(&ErrorKind::TimedOut.into());
        assert!(other.ends_with("are in order, and run this again"), "{other}");
    }
}
