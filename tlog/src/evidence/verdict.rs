//! What verified evidence says, in words for people who do not know what a tree is.

use std::fmt;
use std::ops::Range;
use std::str::EscapeDebug;

use super::utc::utc;
use super::{Leaf, Role};
use crate::hash::Hash;
use crate::ids::{LeafIndex, Origin, TreeHead};
use crate::vkey::VerifierKey;

/// How much of an entry is shown.
const EXCERPT_CHARACTERS: usize = 300;

/// A tree that the accused has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedTree {
    /// Size and root.
    pub head: TreeHead,
    /// The time in a witness's cosignature, in seconds since 1970; 0 where none is stated.
    pub cosigned_at: u64,
}

/// What the two trees contradict each other about, the smaller tree's part first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// Two roots for one size.
    Roots,
    /// Two hashes of one complete subtree.
    Subtrees {
        /// The indexes of its leaves.
        leaves: Range<u64>,
        /// In either tree.
        hashes: [Hash; 2],
    },
    /// Two leaves at one index.
    Leaves {
        /// The place.
        index: LeafIndex,
        /// In either tree.
        leaves: [Leaf; 2],
    },
}

/// Two signed things that cannot both be true. Has no constructor but [`super::Evidence::verify`].
///
/// Its `Display` is what every `verify-evidence` prints: several lines for a journalist or a court.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    role: Role,
    accused: VerifierKey,
    origin: Origin,
    signed: [SignedTree; 2],
    about: About,
}

impl Contradiction {
    pub(super) fn new(
        role: Role,
        accused: VerifierKey,
        origin: Origin,
        signed: [SignedTree; 2],
        about: About,
    ) -> Self {
        Self { role, accused, origin, signed, about }
    }

    /// As what the owner of the key is accused.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The key that signed both.
    #[must_use]
    pub fn accused(&self) -> &VerifierKey {
        &self.accused
    }

    /// The log that both trees are said to be of.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The two trees, the smaller one first.
    #[must_use]
    pub fn signed(&self) -> &[SignedTree; 2] {
        &self.signed
    }

    /// What they contradict each other about.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// One line: who did what.
    #[must_use]
    pub fn summary(&self) -> String {
        let what = match &self.about {
            About::Roots => "of the same size".to_owned(),
            About::Subtrees { leaves, .. } => format!("that differ in {}", entries(leaves)),
            About::Leaves { index, .. } => format!("that differ in entry {index}"),
        };
        match self.role {
            Role::Log => {
                format!("The log {} has signed two different trees {what}.", shown(self.origin.as_str()))
            }
            Role::Witness => format!(
                "The witness {} has cosigned two different trees {what} of the log {}.",
                shown(self.accused.name().as_str()),
                shown(self.origin.as_str())
            ),
        }
    }

    /// The facts by name, for programs: every value as text, `first_` and `second_` for the two trees.
    ///
    /// ```text
    /// role log|witness, accused <vkey>, accused_name, accused_key_id, origin,
    /// first_size, first_root, first_cosigned_at (in UTC, where there is a time), second_...,
    /// about roots|subtree|leaf, subtree_start, subtree_end, first_hash, second_hash, index, first_leaf_hash, ...
    /// summary
    /// ```
    #[must_use]
    pub fn facts(&self) -> Vec<(String, String)> {
        let mut facts: Vec<(String, String)> = Vec::new();
        let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
        fact("role", self.role.as_str().to_owned());
        fact("accused", self.accused.to_string());
        fact("accused_name", self.accused.name().to_string());
        fact("accused_key_id", format!("{:08x}", self.accused.id()));
        fact("origin", self.origin.to_string());
        match &self.about {
            About::Roots => fact("about", "roots".to_owned()),
            About::Subtrees { leaves, .. } => {
                fact("about", "subtree".to_owned());
                fact("subtree_start", leaves.start.to_string());
                fact("subtree_end", leaves.end.to_string());
            }
            About::Leaves { index, .. } => {
                fact("about", "leaf".to_owned());
                fact("index", index.to_string());
            }
        }
        for (at, tree) in ["first", "second"].into_iter().enumerate() {
            let SignedTree { head, cosigned_at } = self.signed[at];
            fact(&format!("{tree}_size"), head.size.to_string());
            fact(&format!("{tree}_root"), head.root.to_base64());
            if cosigned_at != 0 {
                fact(&format!("{tree}_cosigned_at"), utc(cosigned_at));
            }
            match &self.about {
                About::Roots => (),
                About::Subtrees { hashes, .. } => fact(&format!("{tree}_hash"), hashes[at].to_base64()),
                About::Leaves { leaves, .. } => {
                    fact(&format!("{tree}_leaf_hash"), leaves[at].hash().to_string());
                }
            }
        }
        fact("summary", self.summary());
        facts
    }

    fn statement(&self, at: usize) -> String {
        let SignedTree { head, cosigned_at } = self.signed[at];
        let when = if cosigned_at == 0 { String::new() } else { format!(" at {}", utc(cosigned_at)) };
        let tree = format!("a tree of {} entries with the root {}", head.size, head.root.to_base64());
        let holds = match &self.about {
            About::Roots => String::new(),
            About::Subtrees { leaves, hashes } => {
                let hash = hashes[at].to_base64();
                format!(",\n     in which {} hash to {hash}", entries(leaves))
            }
            About::Leaves { index, leaves } => {
                let hash = leaves[at].hash();
                let entry = match &leaves[at] {
                    Leaf::Entry(entry) => excerpt(entry),
                    Leaf::Hash(_) => String::new(),
                };
                format!(",\n     in which entry {index} has the leaf hash {hash}{entry}")
            }
        };
        format!("  {}. signed{when}: {tree}{holds}", at + 1)
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.summary())?;
        let name = shown(self.accused.name().as_str());
        writeln!(f, "Both signatures are by one key, {name} (key ID {:08x}):", self.accused.id())?;
        writeln!(f, "{}\n{}\n", self.statement(0), self.statement(1))?;
        let why = match &self.about {
            About::Roots => {
                "The root is computed from every entry of the tree. Two roots for one number of entries mean two \
                 different lists of entries, and there is only one list in a log."
            }
            About::Subtrees { .. } => {
                "The file proves both under the signed roots. A log only ever appends: once entries are in it, they \
                 are the same in every later tree, and so is their hash."
            }
            About::Leaves { .. } => {
                "The file proves both under the signed roots. A log only ever appends: once an entry has a place, \
                 the same entry stands there in every later tree."
            }
        };
        let who = match self.role {
            Role::Log => "Whoever holds this key showed one of these trees and denied it with the other.",
            Role::Witness => {
                "A witness promises to cosign only trees that continue each other. Whoever holds this key has \
                 broken that promise."
            }
        };
        write!(f, "Both cannot be true. {why}\n{who}")
    }
}

/// A name with everything escaped that could deceive the eye or a terminal.
fn shown(name: &str) -> EscapeDebug<'_> {
    name.escape_debug()
}

/// The beginning of an entry that is text, with everything escaped that could deceive the eye or a terminal.
fn excerpt(entry: &[u8]) -> String {
    let length = entry.len();
    let Ok(text) = std::str::from_utf8(entry) else {
        return format!("\n     ({length} bytes, which the file holds)");
    };
    let shown: String = text.chars().take(EXCERPT_CHARACTERS).collect();
    let more = if shown.len() < length { "..." } else { "" };
    format!("\n     ({length} bytes, which the file holds: {shown:?}{more})")
}

/// `entry 4`, `entries 4 to 7`.
fn entries(leaves: &Range<u64>) -> String {
    if leaves.end - leaves.start == 1 {
        return format!("entry {}", leaves.start);
    }
    format!("entries {} to {}", leaves.start, leaves.end - 1)
}
