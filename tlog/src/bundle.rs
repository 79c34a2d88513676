//! Entry bundles (tlog-tiles, "Log entries"): entries, each behind its 16-bit big-endian length.
//!
//! ```text
//! 00 05 h e l l o   00 00   00 02 h i      three entries: "hello", "", "hi"
//! ```
//!
//! A full bundle holds 256 entries. Which entries those are is [`crate::tile`]'s business.

/// The longest entry, in bytes: what a 16-bit length can say.
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// Why bytes are not a bundle, or an entry does not fit one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The entry is too long.
    #[error("an entry has at most {ENTRY_BYTES_MAX} bytes, this one has {0}")]
    EntryTooLong(usize),
    /// The bytes end inside an entry.
    #[error("the bundle ends inside entry {0}")]
    Truncated(usize),
    /// Another number of entries than there should be.
    #[error("the bundle holds {found} entries instead of {expected}")]
    Count {
        /// As many as there should be.
        expected: usize,
        /// As many as there are.
        found: usize,
    },
}

/// Appends an entry to a bundle.
///
/// # Errors
/// [`BundleError::EntryTooLong`]; `out` is unchanged then.
pub fn push_entry(out: &mut Vec<u8>, entry: &[u8]) -> Result<(), BundleError> {
    let length = u16::try_from(entry.len()).map_err(|_| BundleError::EntryTooLong(entry.len()))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(entry);
    Ok(())
}

/// Splits bytes into entries, however many they are.
///
/// # Errors
/// [`BundleError::Truncated`] if the last one is cut short.
pub fn split(bytes: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let (mut entries, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let truncated = BundleError::Truncated(entries.len());
        let (length, after) = rest.split_first_chunk::<2>().ok_or(truncated)?;
        let (entry, after) =
            after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(truncated)?;
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

/// Splits a bundle of exactly `width` entries.
///
/// # Errors
/// [`BundleError`] if it is cut short, or holds more or fewer.
pub fn entries(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, BundleError> {
    let entries = split(bytes)?;
    let expected = usize::from(width);
    if entries.len() == expected {
        Ok(entries)
    } else {
        Err(BundleError::Count { expected, found: entries.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_round_trip_and_nothing_else_is_accepted() {
        let mut bytes = Vec::new();
        for entry in [&b"hello"[..], b"", b"hi"] {
            push_entry(&mut bytes, entry).unwrap();
        }
        assert_eq!(entries(&bytes, 3).unwrap(), [&b"hello"[..], b"", b"hi"]);
        assert_eq!(entries(&bytes, 2), Err(BundleError::Count { expected: 2, found: 3 }));
        for end in 1..bytes.len() {
            assert!(entries(&bytes[..end], 3).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn the_longest_entry_fits_and_one_byte_more_does_not() {
        let mut bytes = Vec::new();
        push_entry(&mut bytes, &[7; ENTRY_BYTES_MAX]).unwrap();
        assert_eq!(entries(&bytes, 1).unwrap()[0].len(), ENTRY_BYTES_MAX);
        assert_eq!(push_entry(&mut bytes, &[7; 65_536]), Err(BundleError::EntryTooLong(65_536)));
    }
}
