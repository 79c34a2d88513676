//! Policy files to policies and back. Everything the specification requires of a file is required here.

use super::{
    GROUPS_MAX, Group, LOGS_MAX, LogEntry, Member, POLICY_BYTES_MAX, Policy, WITNESSES_MAX, WitnessEntry,
};
use crate::vkey::{KeyKind, VerifierKey, VkeyError};

/// Why a file is no policy. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyParseError {
    /// Longer than [`POLICY_BYTES_MAX`].
    #[error("the policy has {0} bytes; at most {POLICY_BYTES_MAX} are accepted")]
    TooLong(usize),
    /// The last line does not end.
    #[error("the last line of the policy does not end in a newline")]
    Unterminated,
    /// A line is wrong.
    #[error("policy line {line}: {problem}")]
    Line {
        /// Which.
        line: usize,
        /// What is wrong with it.
        problem: Problem,
    },
    /// There is no quorum line.
    #[error("the policy has no `quorum` line; write `quorum none` if no cosignatures are required")]
    NoQuorum,
}

/// What can be wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its case is")]
pub enum Problem {
    #[error("a control character; only tab and newline are allowed")]
    Control,
    #[error("unknown keyword {0:?}; expected log, witness, group or quorum")]
    Keyword(String),
    #[error("expected `{0}`")]
    Usage(&'static str),
    #[error("{0}")]
    Key(VkeyError),
    #[error("a key of signature type {0:#04x} cannot be a {1} key")]
    Kind(u8, &'static str),
    #[error("the same public key as an earlier {0} line")]
    Duplicate(&'static str),
    #[error(
        "the key of a witness bears the name of a log, {0:?}; nobody could tell whose signature is whose"
    )]
    LogName(String),
    #[error("the name {0:?} is already taken, or is `none`")]
    NameTaken(String),
    #[error("{0:?} is not defined on an earlier line")]
    Undefined(String),
    #[error("{0:?} is already a member of a group; a name can be a member once")]
    MemberTwice(String),
    #[error("the threshold must be `any`, `all`, or a decimal from 1 to the number of members")]
    Threshold,
    #[error("a second quorum line")]
    SecondQuorum,
    #[error("more than {0} of these")]
    TooMany(usize),
}

#[derive(Default)]
struct Parser {
    logs: Vec<LogEntry>,
    witnesses: Vec<WitnessEntry>,
    groups: Vec<Group>,
    used: Vec<Member>,
    quorum: Option<Option<Member>>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Policy, PolicyParseError> {
    if bytes.len() > POLICY_BYTES_MAX {
        return Err(PolicyParseError::TooLong(bytes.len()));
    }
    let text = match bytes {
        [] => bytes,
        [text @ .., b'\n'] => text,
        _ => return Err(PolicyParseError::Unterminated),
    };
    let mut parser = Parser::default();
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        parser.line(line).map_err(|problem| PolicyParseError::Line { line: number, problem })?;
    }
    let quorum = parser.quorum.ok_or(PolicyParseError::NoQuorum)?;
    Ok(Policy { logs: parser.logs, witnesses: parser.witnesses, groups: parser.groups, quorum })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(80).collect()
}

impl Parser {
    fn line(&mut self, line: &[u8]) -> Result<(), Problem> {
        if line.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
            return Err(Problem::Control);
        }
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        let Some(keyword) = words.next() else { return Ok(()) };
        let words: Vec<&[u8]> = words.collect();
        match keyword {
            [b'#', ..] => Ok(()),
            b"log" => self.log(&words),
            b"witness" => self.witness(&words),
            b"group" => self.group(&words),
            b"quorum" => self.set_quorum(&words),
            other => Err(Problem::Keyword(lossy(other))),
        }
    }

    fn log(&mut self, words: &[&[u8]]) -> Result<(), Problem> {
        let (key, url) = match words {
            [key] => (key, None),
            [key, url] => (key, Some(url.to_vec())),
            _ => return Err(Problem::Usage("log <vkey> [<url>]")),
        };
        let key = parse_key(key)?;
        // A 0x05 signature does not cover the origin, a 0x04 one is a cosignature.
        if matches!(key.kind(), KeyKind::CosignatureEd25519 | KeyKind::TreeHeadP256) {
            return Err(Problem::Kind(key.kind() as u8, "log"));
        }
        if self.logs.iter().any(|log| log.key.same_key(&key)) {
            return Err(Problem::Duplicate("log"));
        }
        if self.witnesses.iter().any(|witness| witness.key.name() == key.name()) {
            return Err(Problem::LogName(key.name().to_string()));
        }
        self.logs.push(LogEntry { key, url });
        at_most(self.logs.len(), LOGS_MAX)
    }

    fn witness(&mut self, words: &[&[u8]]) -> Result<(), Problem> {
        let (name, key, url) = match words {
            [name, key] => (name, key, None),
            [name, key, url] => (name, key, Some(url.to_vec())),
            _ => return Err(Problem::Usage("witness <name> <vkey> [<url>]")),
        };
        self.check_new(name)?;
        let key = parse_key(key)?;
        if !key.kind().is_cosignature() {
            return Err(Problem::Kind(key.kind() as u8, "witness"));
        }
        if self.witnesses.iter().any(|witness| witness.key.same_key(&key)) {
            return Err(Problem::Duplicate("witness"));
        }
        if self.logs.iter().any(|log| log.key.name() == key.name()) {
            return Err(Problem::LogName(key.name().to_string()));
        }
        self.witnesses.push(WitnessEntry { name: name.to_vec(), key, url });
        at_most(self.witnesses.len(), WITNESSES_MAX)
    }

    fn group(&mut self, words: &[&[u8]]) -> Result<(), Problem> {
        let [name, threshold, names @ ..] = words else {
            return Err(Problem::Usage("group <name> all|any|<k> <name>..."));
        };
        self.check_new(name)?;
        let mut members = Vec::new();
        for name in names {
            let member = self.find(name)?;
            if self.used.contains(&member) {
                return Err(Problem::MemberTwice(lossy(name)));
            }
            self.used.push(member);
            members.push(member);
        }
        let threshold = match *threshold {
            b"any" => 1,
            b"all" => members.len(),
            number => decimal(number).ok_or(Problem::Threshold)?,
        };
        if !(1..=members.len()).contains(&threshold) {
            return Err(Problem::Threshold);
        }
        self.groups.push(Group { name: name.to_vec(), threshold, members });
        at_most(self.groups.len(), GROUPS_MAX)
    }

    fn set_quorum(&mut self, words: &[&[u8]]) -> Result<(), Problem> {
        let [name] = words else { return Err(Problem::Usage("quorum <name>|none")) };
        if self.quorum.is_some() {
            return Err(Problem::SecondQuorum);
        }
        self.quorum = Some(if *name == b"none" { None } else { Some(self.find(name)?) });
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Option<Member> {
        let witness = self.witnesses.iter().position(|witness| witness.name == name).map(Member::Witness);
        witness.or_else(|| self.groups.iter().position(|group| group.name == name).map(Member::Group))
    }

    fn find(&self, name: &[u8]) -> Result<Member, Problem> {
        self.lookup(name).ok_or_else(|| Problem::Undefined(lossy(name)))
    }

    fn check_new(&self, name: &[u8]) -> Result<(), Problem> {
        let taken = name == b"none" || self.lookup(name).is_some();
        if taken { Err(Problem::NameTaken(lossy(name))) } else { Ok(()) }
    }
}

fn at_most(count: usize, max: usize) -> Result<(), Problem> {
    if count <= max { Ok(()) } else { Err(Problem::TooMany(max)) }
}

/// Decimal digits without leading zeroes.
fn decimal(word: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(word).ok().filter(|text| !text.starts_with(['0', '+']))?;
    text.parse().ok()
}

fn parse_key(word: &[u8]) -> Result<VerifierKey, Problem> {
    let text = std::str::from_utf8(word).map_err(|_| Problem::Key(VkeyError::Format))?;
    text.parse().map_err(Problem::Key)
}

pub(super) fn format(policy: &Policy) -> Vec<u8> {
    let mut out = Vec::new();
    let mut line = |words: &[&[u8]]| {
        out.extend(words.join(&b' '));
        out.push(b'\n');
    };
    for log in &policy.logs {
        let key = log.key.to_string();
        let url = log.url.as_deref();
        line(&[&[b"log".as_slice(), key.as_bytes()], url.as_slice()].concat());
    }
    for witness in &policy.witnesses {
        let key = witness.key.to_string();
        let url = witness.url.as_deref();
        line(&[&[b"witness".as_slice(), &witness.name, key.as_bytes()], url.as_slice()].concat());
    }
    let name_of = |member: &Member| match *member {
        Member::Witness(at) => policy.witnesses[at].name.as_slice(),
        Member::Group(at) => policy.groups[at].name.as_slice(),
    };
    for group in &policy.groups {
        let threshold = group.threshold.to_string();
        let members: Vec<&[u8]> = group.members.iter().map(name_of).collect();
        line(&[&[b"group".as_slice(), &group.name, threshold.as_bytes()], members.as_slice()].concat());
    }
    line(&[b"quorum", policy.quorum.as_ref().map_or(b"none".as_slice(), name_of)]);
    out
}
