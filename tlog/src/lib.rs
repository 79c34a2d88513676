//! The pure core of Daybook: hashes, trees, proofs, tiles, notes, checkpoints, policies.
//!
//! Everything two programs must agree on byte for byte lives here, and nothing else: no I/O, no clock, no
//! async, no randomness. Parsers accept only bytes that format back to the same bytes; proof code plans
//! which hashes it needs, lets the caller read them, and then consumes exactly those.
//!
//! Start with [`hash`] and [`ids`]; trees and proofs are [`tree`], [`proof`], [`tile`], [`verify_tiles`]; signed
//! things are [`note`], [`checkpoint`], [`cosignature`], [`policy`], [`tlog_proof`]; what proves that one of the
//! signers lied is [`evidence`]. Cryptographic back ends are behind [`crypto`].

pub mod b64;
pub mod bundle;
pub mod checkpoint;
pub mod cosignature;
pub mod crypto;
pub mod evidence;
pub mod hash;
pub mod ids;
pub mod log_list;
pub mod note;
pub mod policy;
pub mod proof;
pub mod sign;
pub mod tile;
pub mod tlog_proof;
pub mod tree;
pub mod verify_tiles;
pub mod vkey;
pub mod witness_wire;
