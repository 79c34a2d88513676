//! Files that somebody names, read up to a bound.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The beginning of a file, at most so many bytes. Whoever asks for one more than is allowed sees that there are too many.
///
/// # Errors
/// The system's answer.
pub fn read_up_to(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max as u64).read_to_end(&mut bytes)?;
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
}
