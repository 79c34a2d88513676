//! RFC 6962, section 4: the JSON interface of Certificate Transparency, over a log of any entries.
//!
//! `leaf_input` is the entry itself and `extra_data` is empty; tree heads are signed with the log's P-256 key.
//! Numbers come as query parameters, hashes in base64; in a query a `+` stands for itself here, because
//! clients send base64 unescaped.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use daemon::problem::Problem;
use serde::Serialize;
use tlog::checkpoint::split_tree_head_signature;
use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeHead, TreeSize};
use tlog::note::SignatureLine;
use tlog::vkey::KeyKind;

use super::answer::{Caching, json};
use super::route::CtCall;
use super::{App, Outcome, error};
use crate::heads::Published;

#[derive(Serialize)]
struct Sth {
    tree_size: u64,
    timestamp: u64,
    sha256_root_hash: String,
    tree_head_signature: String,
}

#[derive(Serialize)]
struct Consistency {
    consistency: Vec<String>,
}

#[derive(Serialize)]
struct ProofByHash {
    leaf_index: u64,
    audit_path: Vec<String>,
}

#[derive(Serialize)]
struct Leaf {
    leaf_input: String,
    extra_data: &'static str,
}

#[derive(Serialize)]
struct Entries {
    entries: Vec<Leaf>,
}

#[derive(Serialize)]
struct EntryAndProof {
    leaf_input: String,
    extra_data: &'static str,
    audit_path: Vec<String>,
}

fn base64_all(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(Hash::to_base64).collect()
}

impl App {
    pub(super) fn ct(&self, call: CtCall, query: &str) -> Outcome {
        let published = self.log.published();
        let query = Query::parse(query)?;
        match call {
            CtCall::GetSth => self.get_sth(&published),
            CtCall::GetSthConsistency => {
                let (first, second) = (query.number("first")?, query.number("second")?);
                let (first, second) = (size(first)?, size(second)?);
                let found = self.prover.consistency(first, second, published.head());
                let (.., proof) = found.map_err(|error| error::prove(&error))?;
                Ok(json(Caching::Never, &Consistency { consistency: base64_all(&proof) }))
            }
            CtCall::GetProofByHash => {
                let leaf = query.hash("hash")?;
                self.get_proof_by_hash(&leaf, size(query.number("tree_size")?)?, published.head())
            }
            CtCall::GetEntries => {
                self.get_entries(query.number("start")?, query.number("end")?, published.head())
            }
            CtCall::GetEntryAndProof => {
                let index = LeafIndex::new(query.number("leaf_index")?);
                let index = index.map_err(|_| error::malformed("`leaf_index` is too large."))?;
                self.get_entry_and_proof(index, size(query.number("tree_size")?)?, published.head())
            }
        }
    }

    /// The time and the signature are those of the checkpoint's own RFC 6962 signature line.
    fn get_sth(&self, published: &Published) -> Outcome {
        let keys = self.log.signer.verifier_keys();
        let signature = keys
            .iter()
            .filter(|key| key.kind() == KeyKind::TreeHeadP256)
            .find_map(|key| published.checkpoint.note().signatures().iter().find(|line| line.is_by(key)))
            .map(SignatureLine::signature);
        let (time, _) = signature.and_then(split_tree_head_signature).ok_or_else(error::internal)?;
        let digitally_signed = signature.and_then(|bytes| bytes.get(8..)).ok_or_else(error::internal)?;
        let head = published.head();
        let document = Sth {
            tree_size: head.size.get(),
            timestamp: time.get(),
            sha256_root_hash: head.root.to_base64(),
            tree_head_signature: STANDARD.encode(digitally_signed),
        };
        Ok(json(Caching::Second, &document))
    }

    fn get_proof_by_hash(&self, leaf: &Hash, size: TreeSize, published: TreeHead) -> Outcome {
        if size > published.size {
            let error = crate::prove::ProveError::NotPublished(size, published.size);
            return Err(error::prove(&error));
        }
        let found = self.log.lookup.find(leaf, size).map_err(|failure| {
            tracing::error!(error = %failure, "an entry cannot be looked up");
            error::internal()
        })?;
        let index = found.ok_or_else(|| {
            error::not_there(format!("No entry with this leaf hash is in the tree of {size} entries."))
        })?;
        let found = self.prover.inclusion(index, size, published).map_err(|error| error::prove(&error))?;
        let document = ProofByHash { leaf_index: index.get(), audit_path: base64_all(&found.proof) };
        Ok(json(Caching::Never, &document))
    }

    /// As the RFC allows, fewer entries may come than asked for: those up to the end of one bundle.
    fn get_entries(&self, start: u64, end: u64, published: TreeHead) -> Outcome {
        if start > end {
            return Err(error::malformed(format!("`start` ({start}) is after `end` ({end}).")));
        }
        let first = LeafIndex::new(start).map_err(|_| error::malformed("`start` is too large."))?;
        let count = (end - start).saturating_add(1);
        let found = self.prover.entries(first, count, published).map_err(|error| error::prove(&error))?;
        let entries =
            found.iter().map(|entry| Leaf { leaf_input: STANDARD.encode(entry), extra_data: "" }).collect();
        Ok(json(Caching::Never, &Entries { entries }))
    }

    fn get_entry_and_proof(&self, index: LeafIndex, size: TreeSize, published: TreeHead) -> Outcome {
        let inclusion =
            self.prover.inclusion(index, size, published).map_err(|error| error::prove(&error))?;
        let entries = self.prover.entries(index, 1, published).map_err(|error| error::prove(&error))?;
        let entry = entries.first().ok_or_else(error::internal)?;
        let document = EntryAndProof {
            leaf_input: STANDARD.encode(entry),
            extra_data: "",
            audit_path: base64_all(&inclusion.proof),
        };
        Ok(json(Caching::Never, &document))
    }
}

fn size(number: u64) -> Result<TreeSize, Problem> {
    TreeSize::new(number).map_err(|_| error::malformed(format!("{number} is larger than any tree.")))
}

/// Query parameters, decoded; a name that comes twice is an error.
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut all: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if all.iter().any(|(known, _)| *known == name) {
                return Err(error::malformed(format!("The parameter {name:?} is given twice.")));
            }
            all.push((name, value));
        }
        Ok(Self(all))
    }

    fn get(&self, name: &str) -> Result<&str, Problem> {
        let found = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        found.ok_or_else(|| error::malformed(format!("The parameter `{name}` is missing.")))
    }

    fn number(&self, name: &str) -> Result<u64, Problem> {
        let text = self.get(name)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { text.parse().ok() } else { None };
        number.ok_or_else(|| error::malformed(format!("`{name}` must be a decimal number, not {text:?}.")))
    }

    fn hash(&self, name: &str) -> Result<Hash, Problem> {
        let text = self.get(name)?;
        Hash::from_base64(text)
            .map_err(|_| error::malformed(format!("`{name}` must be 32 bytes in base64, not {text:?}.")))
    }
}

fn decode(text: &str) -> Result<String, Problem> {
    let broken = || error::malformed(format!("{text:?} is not a valid query component."));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = (digit().ok_or_else(broken)?, digit().ok_or_else(broken)?);
        bytes.push(u8::try_from(high * 16 + low).expect("two hex digits are a byte"));
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_survives_a_query_escaped_or_not() {
        for text in ["hash=ab+/=", "hash=ab%2B%2f%3D"] {
            let query = Query::parse(text).expect("a query");
            assert_eq!(query.get("hash").expect("a value"), "ab+/=");
        }
    }

    #[test]
    fn a_malformed_query_is_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=1&a=2"] {
            assert!(Query::parse(text).is_err(), "{text}");
        }
        let query = Query::parse("n=+1&m=&o=18446744073709551616").expect("a query");
        assert!(["n", "m", "o", "p"].iter().all(|name| query.number(name).is_err()));
    }

    proptest::proptest! {
        #[test]
        fn a_query_means_what_was_escaped_and_none_makes_it_panic(
            pairs in proptest::collection::btree_map("\\PC{1,6}", "\\PC{0,12}", 0..4), noise in "[%&=a0+\\PC]{0,30}",
        ) {
            let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
            let text: Vec<String> =
                pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
            let query = Query::parse(&text.join("&")).expect("it is well formed");
            for (name, value) in &pairs {
                proptest::prop_assert_eq!(query.get(name).expect("it is there"), value);
            }
            if let Ok(query) = Query::parse(&noise) {
                let _ = (query.number("a"), query.hash("a"));
            }
        }
    }
}
