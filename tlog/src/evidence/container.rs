//! The outer shape of an evidence file: lines in blocks, without knowing what they prove.
//!
//! ```text
//! daybook/evidence/v1
//! form <name>
//! <lines of the form>
//!
//! <block of lines>
//!
//! <block of lines>
//! ```
//!
//! Blocks stand one empty line apart, and no block holds an empty line, so that a checkpoint is one block and its
//! signature lines are the next. Every limit is checked here, before anything is decoded.
//!
//! The forms that concern trees are in [`super`]; other crates add forms over the same container.

use crate::ids::TreeSize;

/// The longest evidence file, in bytes: room for two notes of any length, two entries and two proofs.
pub const EVIDENCE_BYTES_MAX: usize = 1 << 20;
/// The most blocks in a file, the first one included.
pub const BLOCKS_MAX: usize = 64;
/// The longest name of a form, in bytes.
pub const FORM_BYTES_MAX: usize = 64;

const HEADER: &str = "daybook/evidence/v1";
const HEADER_PREFIX: &str = "daybook/evidence/v";
const ALARM_PREFIX: &str = "daybook/alarm/";

/// Why bytes are no evidence file. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceParseError {
    /// Longer than [`EVIDENCE_BYTES_MAX`].
    #[error("the file has {0} bytes; an evidence file has at most {EVIDENCE_BYTES_MAX}")]
    TooLong(usize),
    /// Not UTF-8, or a control character other than newline.
    #[error("an evidence file is UTF-8 text without control characters other than newline")]
    Characters,
    /// The first line is another.
    #[error("not an evidence file: the first line must be `{HEADER}`")]
    Header,
    /// An alarm report, which accuses nobody.
    #[error("this is an alarm report, not evidence: it proves nothing against anyone, and can be cleared")]
    AlarmReport,
    /// A later version of the format.
    #[error("the file is of the later format {0:?}; a newer version of this program reads it")]
    Version(String),
    /// The second line names no form.
    #[error("line 2 must be `form` and the name of a form, in lowercase letters, digits and hyphens")]
    Form,
    /// A form that this version does not know.
    #[error("the evidence has the form {0:?}, which this program does not know; a newer one may")]
    UnknownForm(String),
    /// Empty lines where none may be, a missing newline at the end, or too many blocks or lines.
    #[error(
        "an evidence file is made of at most {BLOCKS_MAX} blocks of lines, one empty line apart, and ends in a \
         newline"
    )]
    Shape,
    /// More or fewer blocks than the form has.
    #[error("evidence of this form has {expected} blocks of lines, this file has {found}")]
    Blocks {
        /// As many as there should be.
        expected: usize,
        /// As many as there are.
        found: usize,
    },
    /// A line is not what it must be.
    #[error("line {line} must be {expected}")]
    Line {
        /// Which.
        line: usize,
        /// What it must be.
        expected: &'static str,
    },
}

/// Consecutive lines, none of them empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// The number of its first line in the file, from 1.
    pub first: usize,
    /// The lines, without newlines.
    pub lines: Vec<&'a str>,
}

impl Block<'_> {
    /// An error at line `at` of this block, counted from 0.
    #[must_use]
    pub fn error(&self, at: usize, expected: &'static str) -> EvidenceParseError {
        EvidenceParseError::Line { line: self.first + at, expected }
    }

    /// The value of line `at` after `<keyword> `.
    ///
    /// # Errors
    /// [`EvidenceParseError::Line`] if there is no such line, or it begins otherwise.
    pub fn value(
        &self,
        at: usize,
        keyword: &str,
        expected: &'static str,
    ) -> Result<&str, EvidenceParseError> {
        let line = self.lines.get(at);
        let value = line.and_then(|line| line.strip_prefix(keyword)?.strip_prefix(' '));
        value.ok_or_else(|| self.error(at, expected))
    }
}

/// An evidence file, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container<'a> {
    /// The name of the form.
    pub form: &'a str,
    /// The lines after the form's, in the first block; there may be none.
    pub header: Block<'a>,
    /// The other blocks.
    pub blocks: Vec<Block<'a>>,
}

impl<'a> Container<'a> {
    /// Takes a file apart. Accepts only bytes that [`format()`] gives back.
    ///
    /// # Errors
    /// [`EvidenceParseError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EvidenceParseError> {
        if bytes.len() > EVIDENCE_BYTES_MAX {
            return Err(EvidenceParseError::TooLong(bytes.len()));
        }
        check_first_line(bytes)?;
        let text = std::str::from_utf8(bytes).map_err(|_| EvidenceParseError::Characters)?;
        if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(EvidenceParseError::Characters);
        }
        let text = text.strip_suffix('\n').ok_or(EvidenceParseError::Shape)?;
        let mut blocks = Vec::new();
        let mut first = 1;
        for block in text.split("\n\n") {
            let lines: Vec<&str> = block.split('\n').collect();
            if blocks.len() == BLOCKS_MAX || lines.iter().any(|line| line.is_empty()) {
                return Err(EvidenceParseError::Shape);
            }
            let after = first + lines.len() + 1;
            blocks.push(Block { first, lines });
            first = after;
        }
        let mut header = blocks.remove(0);
        let form = header.value(1, "form", "").map_err(|_| EvidenceParseError::Form)?;
        let of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=FORM_BYTES_MAX).contains(&form.len()) || !form.bytes().all(of_name) {
            return Err(EvidenceParseError::Form);
        }
        let form = &header.lines[1]["form ".len()..];
        header = Block { first: 3, lines: header.lines.split_off(2) };
        Ok(Self { form, header, blocks })
    }

    /// Requires this many blocks after the first, and this many lines in the first after the form's.
    ///
    /// # Errors
    /// [`EvidenceParseError`].
    pub fn expect(&self, header: usize, blocks: usize) -> Result<(), EvidenceParseError> {
        if self.header.lines.len() > header {
            return Err(self.header.error(header, "empty"));
        }
        if self.blocks.len() == blocks {
            return Ok(());
        }
        Err(EvidenceParseError::Blocks { expected: blocks + 1, found: self.blocks.len() + 1 })
    }
}

/// What kind of file it is comes before everything else about it.
fn check_first_line(bytes: &[u8]) -> Result<(), EvidenceParseError> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return Err(EvidenceParseError::Header) };
    if line == HEADER {
        return Ok(());
    }
    if line.starts_with(ALARM_PREFIX) {
        return Err(EvidenceParseError::AlarmReport);
    }
    match line.strip_prefix(HEADER_PREFIX).map(str::parse::<TreeSize>) {
        Some(Ok(number)) if number.get() > 1 => Err(EvidenceParseError::Version(line.to_owned())),
        _ => Err(EvidenceParseError::Header),
    }
}

/// Puts a file together from the name of the form, the rest of the first block, and the other blocks.
#[must_use]
pub fn format(form: &str, header: &[String], blocks: &[Vec<String>]) -> Vec<u8> {
    let mut out = format!("{HEADER}\nform {form}\n");
    let mut push = |line: &String| {
        out.push_str(line);
        out.push('\n');
    };
    header.iter().for_each(&mut push);
    for block in blocks {
        push(&String::new());
        block.iter().for_each(&mut push);
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "daybook/evidence/v1\nform some-form\na 1\n\nb\nc\n\nd\n";

    #[test]
    fn a_file_is_taken_apart_and_put_together_again() {
        let file = Container::parse(FILE.as_bytes()).unwrap();
        assert_eq!((file.form, file.header.lines.as_slice()), ("some-form", &["a 1"][..]));
        let blocks: Vec<(usize, Vec<&str>)> =
            file.blocks.iter().map(|block| (block.first, block.lines.clone())).collect();
        assert_eq!(blocks, [(5, vec!["b", "c"]), (8, vec!["d"])]);
        let owned = |block: &Block<'_>| block.lines.iter().map(|line| (*line).to_owned()).collect();
        let again: Vec<Vec<String>> = file.blocks.iter().map(owned).collect();
        assert_eq!(format(file.form, &owned(&file.header), &again), FILE.as_bytes());
    }

    #[test]
    fn any_other_shape_is_refused() {
        for (from, to) in [
            ("d\n", "d"),
            ("d\n", "d\n\n"),
            ("\n\nd", "\n\n\nd"),
            ("c\n", "c\r\n"),
            ("b\n", "\tb\n"),
            ("form some-form", "form some form"),
            ("form some-form", "form "),
            ("form some-form", "form Some"),
            ("form some-form\n", ""),
            ("form some-form", "some-form"),
            ("v1\n", "v1\n\n"),
            ("daybook/evidence/v1", " daybook/evidence/v1"),
            ("daybook/evidence/v1", "daybook/evidence/v0"),
            ("daybook/evidence/v1", "daybook/evidence/v01"),
        ] {
            let changed = FILE.replacen(from, to, 1);
            assert_ne!(changed, FILE);
            let refused = Container::parse(changed.as_bytes());
            assert!(refused.is_err(), "{from:?} to {to:?}: {refused:?}");
        }
        assert_eq!(Container::parse(b""), Err(EvidenceParseError::Header));
        assert_eq!(Container::parse(b"\n\n"), Err(EvidenceParseError::Header));
    }

    #[test]
    fn a_later_version_and_an_alarm_report_are_named_as_what_they_are() {
        let later = FILE.replace("/v1", "/v2");
        assert_eq!(
            Container::parse(later.as_bytes()),
            Err(EvidenceParseError::Version("daybook/evidence/v2".to_owned()))
        );
        let alarm = FILE.replace("evidence", "alarm");
        assert_eq!(Container::parse(alarm.as_bytes()), Err(EvidenceParseError::AlarmReport));
    }

    #[test]
    fn sizes_and_counts_are_bounded() {
        let long = [FILE.as_bytes(), &vec![b'x'; EVIDENCE_BYTES_MAX]].concat();
        assert_eq!(Container::parse(&long), Err(EvidenceParseError::TooLong(long.len())));
        let blocks = format("f", &[], &vec![vec!["x".to_owned()]; BLOCKS_MAX]);
        assert_eq!(Container::parse(&blocks), Err(EvidenceParseError::Shape));
        let most = format("f", &[], &vec![vec!["x".to_owned(); 1000]; BLOCKS_MAX - 1]);
        assert!(Container::parse(&most).is_ok());
    }
}
