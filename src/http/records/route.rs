//! What a path of the records' interface means.
//!
//! ```text
//! /records  /records/batch  /records/<leaf hash>/disclosures  /blobs/<sha256>
//! /agencies  /agencies/<agency>[/keys | /registers]
//! /registers/<agency>/<register>[/entries | /records | /records/<key> | /records/<key>/history]
//! ```
//!
//! Agencies and registers have one spelling. A record's key may hold any letter, so it is percent-encoded, in any way.

use record::ids::{AgencyId, RecordKey, RegisterId};
use tlog::hash::Hash;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordsRoute {
    /// `/records`
    Submit,
    /// `/records/batch`
    SubmitBatch,
    /// `/records/<leaf hash>/disclosures`
    Disclosures(Hash),
    /// `/blobs/<sha256>`
    Blob(Hash),
    /// `/agencies`
    Agencies,
    /// `/agencies/<agency>`
    Agency(AgencyId),
    /// `/agencies/<agency>/keys`
    AgencyKeys(AgencyId),
    /// `/agencies/<agency>/registers`
    AgencyRegisters(AgencyId),
    /// `/registers/<agency>/<register>...`
    Register(AgencyId, RegisterId, RegisterView),
}

/// What of a register is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterView {
    /// Its definition.
    Register,
    /// Every statement about it and its records.
    Entries,
    /// The latest version under each key.
    Records,
    /// The latest version under one key.
    Record(RecordKey),
    /// All versions under one key.
    History(RecordKey),
}

impl RecordsRoute {
    /// Parses the parts of a path.
    #[must_use]
    pub fn parse(parts: &[&str]) -> Option<Self> {
        Some(match parts {
            ["records"] => Self::Submit,
            ["records", "batch"] => Self::SubmitBatch,
            ["records", leaf, "disclosures"] => Self::Disclosures(leaf.parse().ok()?),
            ["blobs", hash] => Self::Blob(hash.parse().ok()?),
            ["agencies"] => Self::Agencies,
            ["agencies", agency] => Self::Agency(agency.parse().ok()?),
            ["agencies", agency, "keys"] => Self::AgencyKeys(agency.parse().ok()?),
            ["agencies", agency, "registers"] => Self::AgencyRegisters(agency.parse().ok()?),
            ["registers", agency, register, view @ ..] => Self::Register(
                agency.parse().ok()?,
                register.parse().ok()?,
                match view {
                    [] => RegisterView::Register,
                    ["entries"] => RegisterView::Entries,
                    ["records"] => RegisterView::Records,
                    ["records", key] => RegisterView::Record(decode(key)?),
                    ["records", key, "history"] => RegisterView::History(decode(key)?),
                    _ => return None,
                },
            ),
            _ => return None,
        })
    }

    /// The metric label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Submit => "records",
            Self::SubmitBatch => "records_batch",
            Self::Disclosures(_) => "disclosures",
            Self::Blob(_) => "blob",
            Self::Agencies => "agencies",
            Self::Agency(_) => "agency",
            Self::AgencyKeys(_) => "agency_keys",
            Self::AgencyRegisters(_) => "agency_registers",
            Self::Register(_, _, RegisterView::Register) => "register",
            Self::Register(_, _, RegisterView::Entries) => "register_entries",
            Self::Register(_, _, RegisterView::Records) => "register_records",
            Self::Register(_, _, RegisterView::Record(_)) => "record",
            Self::Register(_, _, RegisterView::History(_)) => "record_history",
        }
    }

    /// The methods that are allowed, as in `Allow`.
    #[must_use]
    pub fn methods(&self) -> &'static str {
        match self {
            Self::Submit | Self::SubmitBatch => "POST",
            Self::Disclosures(_) | Self::Blob(_) => "GET, HEAD, PUT",
            _ => "GET, HEAD",
        }
    }
}

fn decode(segment: &str) -> Option<RecordKey> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()?.parse().ok()
}

/// A key as a part of a path.
#[must_use]
pub fn encode(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    key.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str) -> Option<RecordsRoute> {
        RecordsRoute::parse(&path.split('/').collect::<Vec<_>>())
    }

    #[test]
    fn a_key_of_any_letters_comes_back_from_its_path() {
        for key in ["GB", "local authority:1", "a/b%2F", "\u{4e2d}\u{6587}", "\u{5d0}?#&+"] {
            let path = format!("registers/a.example/country/records/{}/history", encode(key));
            let Some(RecordsRoute::Register(_, _, RegisterView::History(found))) = route(&path) else {
                panic!("{path}");
            };
            assert_eq!(found.as_str(), key);
        }
    }

    #[test]
    fn what_names_nothing_is_no_route() {
        for path in [
            "agencies/",
            "agencies/A.example",
            "registers/a.example",
            "registers/a.example/country/",
            "registers/a.example/country/records/%",
            "registers/a.example/country/records/%zz",
            "registers/a.example/country/records/%+1",
            "registers/a.example/country/records/%ff",
            "registers/a.example/country/records/%0a",
            "registers/a.example/country/records/a/b",
            "records/batch/x",
        ] {
            assert_eq!(route(path), None, "{path}");
        }
    }
}
