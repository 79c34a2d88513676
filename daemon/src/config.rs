//! Configuration files and secret files, read with errors that say where and what to do.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::files::in_words;

/// The longest file that is read as configuration or secret.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{path}: cannot be read: {}", in_words(error), path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        error: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path}: {message}", path = path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Line, key and problem.
        message: String,
    },
    /// Others can read a secret.
    #[error("{path}: others than its owner can read this secret; run `chmod 600 {path}`", path = path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
    },
}

/// Reads a TOML file. Whether unknown keys are errors is the type's choice; all of ours refuse them.
///
/// # Errors
/// [`ConfigError`] names file, line and key.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = read(path)?;
    let text = String::from_utf8(text).map_err(|_| parse_error(path, "is not UTF-8 text".to_owned()))?;
    toml::from_str(&text).map_err(|error| parse_error(path, error.to_string().trim_end().to_owned()))
}

/// Reads a secret, and refuses one that others than its owner can read.
///
/// # Errors
/// [`ConfigError`].
pub fn read_secret(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let failed = |error| ConfigError::Read { path: path.to_owned(), error };
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(ConfigError::Exposed { path: path.to_owned() });
    }
    read(path)
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let failed = |error| ConfigError::Read { path: path.to_owned(), error };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > FILE_BYTES_MAX {
        return Err(parse_error(path, format!("has {length} bytes; at most {FILE_BYTES_MAX} are read")));
    }
    std::fs::read(path).map_err(failed)
}

fn parse_error(path: &Path, message: String) -> ConfigError {
    ConfigError::Parse { path: path.to_owned(), message }
}

/// A number of bytes: `"512MiB"`, `"64KiB"`, `"100"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A length of time: `"30s"`, `"5m"`, `"250ms"`, `"24h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

fn parse_scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

impl ByteSize {
    /// As a length in memory.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let units =
            [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
        let bytes = parse_scaled(&text, &units);
        bytes
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no size; write \"64MiB\"")))
    }
}

impl std::str::FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        let millis = parse_scaled(text, &units);
        millis
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| format!("{text:?} is no length of time; write \"30s\""))
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"];
        let power = self.0.checked_ilog2().map_or(0, |bits| (bits / 10).min(4));
        let scale = 1_u64 << (10 * power);
        write!(f, "{}.{} {}", self.0 / scale, self.0 % scale * 10 / scale, units[power as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        size: ByteSize,
        wait: HumanDuration,
    }

    fn parse(text: &str) -> Result<Sample, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        load(file.path())
    }

    #[test]
    fn sizes_and_durations_are_written_as_people_write_them() {
        let sample = parse("size = \"64MiB\"\nwait = \"250ms\"\n").unwrap();
        assert_eq!((sample.size.0, sample.wait.0), (64 << 20, Duration::from_millis(250)));
        assert_eq!(ByteSize(1536 << 10).to_string(), "1.5 MiB");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = parse("size = \"1\"\nwait = \"1s\"\nsise = 3\n").unwrap_err().to_string();
        assert!(error.contains("sise") && error.contains("line 3"), "{error}");
    }

    #[test]
    fn a_bad_value_says_what_to_write() {
        for bad in [
            "size = \"1 parsec\"\nwait = \"1s\"",
            "size = \"1\"\nwait = \"s\"",
            "size = \"99999999999TiB\"\nwait = \"1s\"",
        ] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains("write \""), "{error}");
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret").unwrap();
        assert_eq!(read_secret(file.path()).unwrap(), b"secret");
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_secret(file.path()), Err(ConfigError::Exposed { .. })));
    }
}
