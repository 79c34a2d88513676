//! Rounds with the witnesses: one head to all of them, until enough have cosigned it.
//!
//! ```text
//! roster    whom to ask, from the trust policy; which sets of witnesses are enough
//! courier   carries requests to witnesses and answers back, without understanding either
//! answer    bytes of an answer to what it says; a cosignature counts once it is verified
//! seat      what is known of one witness: its size, its patience, its faults
//! rounds    who is asked what, when; decides and sends nothing itself
//! board     what operators are told: metrics, and why nothing is published
//! ```
//!
//! The log's publisher drives it: it begins a round with a committed head, hands letters to the courier and answers to
//! the rounds, and publishes when they say that the quorum is met.
//!
//! At start-up nothing is signed until witnesses of which every quorum has one have said how large a tree they have
//! cosigned. One that knows more than this directory holds ends the process: an old copy was put back. Later, an
//! unsigned claim of that kind only excludes the witness; a note with this log's own signature ends the process.
//!
//! Absent on purpose: publication, which is [`crate::publish`]'s, and everything about the tree but proofs of it.

mod answer;
mod board;
mod courier;
mod roster;
mod rounds;
mod seat;
mod tree;

pub use answer::Trouble;
pub use board::{Board, WitnessMetrics};
pub use courier::{Courier, Delivered, Delivery, HttpCourier, Inbox, Letter, Raw, Request, Undelivered};
pub use roster::{Operator, Roster, RosterError, load_policy};
pub use rounds::{Candidate, Gathering, Rounds, RoundsSettings, Standing};
pub use tree::Tree;

use std::path::PathBuf;

use tlog::ids::TreeSize;

use crate::prove::ProveError;

/// Why the process has to end. Nothing was signed that contradicts what a witness holds.
#[derive(Debug, thiserror::Error)]
pub enum CosignError {
    /// A witness knows a larger tree than this directory holds.
    #[error(
        "witness {witness} knows {size} entries of this log, this directory holds {held} ({}): it is an old copy, or has \
         lost its newest entries. Signing now would fork the log. Put back the newest copy of the directory, or fetch \
         entries {held} to {size} from a mirror. If you know that the witness is wrong, start with --without-witness \
         {witness}",
        if *.signed { "it showed a checkpoint that this log's key signed" } else { "it showed no signature for that" }
    )]
    Forgotten {
        /// Which.
        witness: String,
        /// What it has cosigned.
        size: TreeSize,
        /// What is here.
        held: TreeSize,
        /// Whether its checkpoint carries our signature.
        signed: bool,
    },
    /// Our key has signed a tree that is not ours.
    #[error(
        "witness {witness} holds a checkpoint of {size} entries that this log's key signed and that does not belong to \
         this log's tree ({}). Somebody else has the key, or another copy of the directory was served. Nothing more is \
         signed. Find out which tree is the one that people hold receipts for",
        whereabouts(.kept.as_ref())
    )]
    Contradicted {
        /// Which.
        witness: String,
        /// The size of its checkpoint.
        size: TreeSize,
        /// The note as it came.
        note: Vec<u8>,
        /// Where it was kept.
        kept: Option<PathBuf>,
    },
    /// A proof for a witness cannot be made from our own tiles.
    #[error("the proof for a witness cannot be made from the stored tree: {0}")]
    Prove(#[from] ProveError),
}

fn whereabouts(path: Option<&PathBuf>) -> String {
    path.map_or_else(|| "it could not be kept".to_owned(), |path| format!("kept in {}", path.display()))
}
