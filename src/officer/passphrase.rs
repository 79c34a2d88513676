//! Where a passphrase comes from: a file, the environment, or a person at a terminal, who is not shown what they type.
//!
//! Absent on purpose: any place where a passphrase would be seen by others, such as an argument of the command.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use daemon::config::{ConfigError, read_secret};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The environment variable.
pub const PASSPHRASE_VARIABLE: &str = "DAYBOOK_PASSPHRASE";
/// Bytes of a passphrase at least.
pub const PASSPHRASE_BYTES_MIN: usize = 8;
const TERMINAL: &str = "/dev/tty";

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The file cannot be read, or others can read it.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// It is no line of text.
    #[error("a passphrase is one line of UTF-8 text, and not an empty one")]
    Text,
    /// It is too short to protect anything.
    #[error("a passphrase has at least {PASSPHRASE_BYTES_MIN} letters; take a few words")]
    Short,
    /// The two are different.
    #[error("the two passphrases are different; nothing was written")]
    Different,
    /// There is nobody to ask.
    #[error(
        "{file}: needs a passphrase, and there is no terminal to ask at ({error}); give --passphrase-file FILE, or \
         set {PASSPHRASE_VARIABLE}",
        file = .file.display()
    )]
    NoTerminal {
        /// Which key file.
        file: PathBuf,
        /// The system's answer.
        error: std::io::Error,
    },
}

/// A passphrase, wiped from memory when dropped.
pub struct Passphrase(Zeroizing<String>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Passphrase {
    /// One line of text.
    ///
    /// # Errors
    /// [`PassphraseError::Text`].
    pub fn new(text: &str) -> Result<Self, PassphraseError> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() || line.contains('\n') {
            return Err(PassphraseError::Text);
        }
        Ok(Self(Zeroizing::new(line.to_owned())))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn long_enough(self) -> Result<Self, PassphraseError> {
        if self.0.len() < PASSPHRASE_BYTES_MIN { Err(PassphraseError::Short) } else { Ok(self) }
    }
}

/// Where to look, in this order: the file, the environment, the terminal.
#[derive(Clone, Debug, Default)]
pub struct PassphraseSource {
    /// A file whose only line is the passphrase.
    pub file: Option<PathBuf>,
}

impl PassphraseSource {
    /// The passphrase of an existing key.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn get(&self, key_file: &Path) -> Result<Passphrase, PassphraseError> {
        match self.without_asking()? {
            Some(passphrase) => Ok(passphrase),
            None => ask(key_file, &format!("Passphrase of {}: ", key_file.display())),
        }
    }

    /// A passphrase for a new key; a person types it twice.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn get_new(&self, key_file: &Path) -> Result<Passphrase, PassphraseError> {
        if let Some(passphrase) = self.without_asking()? {
            return passphrase.long_enough();
        }
        let first = ask(key_file, &format!("New passphrase for {}: ", key_file.display()))?.long_enough()?;
        let again = ask(key_file, "The same again: ")?;
        if first.as_bytes() == again.as_bytes() { Ok(first) } else { Err(PassphraseError::Different) }
    }

    fn without_asking(&self) -> Result<Option<Passphrase>, PassphraseError> {
        if let Some(file) = &self.file {
            let bytes = Zeroizing::new(read_secret(file)?);
            let text = std::str::from_utf8(&bytes).map_err(|_| PassphraseError::Text)?;
            return Passphrase::new(text).map(Some);
        }
        match std::env::var(PASSPHRASE_VARIABLE) {
            Ok(text) => Passphrase::new(&Zeroizing::new(text)).map(Some),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(PassphraseError::Text),
        }
    }
}

/// Asks at the terminal, whatever standard input is, without showing the answer.
fn ask(key_file: &Path, question: &str) -> Result<Passphrase, PassphraseError> {
    let failed = |error| PassphraseError::NoTerminal { file: key_file.to_owned(), error };
    let terminal = File::options().read(true).write(true).open(TERMINAL).map_err(failed)?;
    let shown = tcgetattr(&terminal).map_err(|error| failed(error.into()))?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    let set = |modes| tcsetattr(&terminal, OptionalActions::Flush, modes);
    // Hidden before it is asked for: who types at once is not shown either.
    set(&hidden).map_err(|error| failed(error.into()))?;
    let mut line = Zeroizing::new(String::new());
    let asked = (&terminal).write_all(question.as_bytes());
    let read = asked.and_then(|()| BufReader::new(&terminal).read_line(&mut line));
    // Whatever was read, the terminal shows again what is typed.
    let restored = set(&shown);
    let _ = (&terminal).write_all(b"\n");
    read.map_err(failed)?;
    restored.map_err(|error| failed(error.into()))?;
    Passphrase::new(&line)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_passphrase_file_has_one_line_and_nobody_else_may_read_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = PassphraseSource { file: Some(file.path().to_owned()) };
        std::fs::write(file.path(), "correct horse\r\n").unwrap();
        assert_eq!(source.get(Path::new("key")).unwrap().as_bytes(), b"correct horse");
        for bad in ["", "\n", "two\nlines\n"] {
            std::fs::write(file.path(), bad).unwrap();
            assert!(matches!(source.get(Path::new("key")), Err(PassphraseError::Text)), "{bad:?}");
        }
        std::fs::write(file.path(), "short").unwrap();
        assert!(matches!(source.get_new(Path::new("key")), Err(PassphraseError::Short)));
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(source.get(Path::new("key")), Err(PassphraseError::File(_))));
    }
}
