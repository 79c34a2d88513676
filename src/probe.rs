//! Where tests reach into the write path: every buffer between an entry's hash and the signature.
//!
//! A probe may alter the buffer it is shown, as a failing memory chip would. The server runs with
//! [`Probe::none`], which costs a branch. The tests flip a bit at every [`Point`] and require that nothing
//! leaves the process.
//!
//! Absent on purpose: faults of the disk, which `store::disk` injects.

use std::fmt;
use std::sync::Arc;

use tlog::hash::Hash;
use tlog::ids::TreeHead;

use crate::integrate::Object;

/// A buffer of the write path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// A leaf hash, after admission computed it.
    Leaf,
    /// The journal payload, before the audit.
    Payload,
    /// A tile or bundle, before the audit.
    Object,
    /// The root, before the audit.
    Head,
    /// The journal payload, after the audit.
    AuditedPayload,
    /// A tile or bundle, after the audit.
    AuditedObject,
    /// The root, after the audit and before the commit.
    AuditedHead,
    /// The root, after the commit and before the signature.
    CommittedHead,
}

impl Point {
    /// Every point, in the order of the write path.
    pub const ALL: [Self; 8] = [
        Self::Leaf,
        Self::Payload,
        Self::Object,
        Self::Head,
        Self::AuditedPayload,
        Self::AuditedObject,
        Self::AuditedHead,
        Self::CommittedHead,
    ];
}

type Hook = dyn Fn(Point, &mut [u8]) + Send + Sync;

/// Sees, and may alter, the buffers of the write path.
#[derive(Clone, Default)]
pub struct Probe {
    hook: Option<Arc<Hook>>,
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probe({})", if self.hook.is_some() { "set" } else { "none" })
    }
}

impl Probe {
    /// No probe.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// A probe that calls `hook` with every buffer.
    #[must_use]
    pub fn new(hook: impl Fn(Point, &mut [u8]) + Send + Sync + 'static) -> Self {
        Self { hook: Some(Arc::new(hook)) }
    }

    pub(crate) fn bytes(&self, point: Point, bytes: &mut [u8]) {
        if let Some(hook) = &self.hook {
            hook(point, bytes);
        }
    }

    pub(crate) fn leaf(&self, leaf: &mut Hash) {
        if self.hook.is_some() {
            let mut bytes = *leaf.as_bytes();
            self.bytes(Point::Leaf, &mut bytes);
            *leaf = Hash::from_bytes(bytes);
        }
    }

    pub(crate) fn head(&self, point: Point, head: &mut TreeHead) {
        if self.hook.is_some() {
            let mut bytes = *head.root.as_bytes();
            self.bytes(point, &mut bytes);
            head.root = Hash::from_bytes(bytes);
        }
    }

    pub(crate) fn objects(&self, point: Point, objects: &mut [Object]) {
        if self.hook.is_some() {
            for object in objects {
                let mut bytes = object.bytes.to_vec();
                self.bytes(point, &mut bytes);
                object.bytes = bytes.into();
            }
        }
    }
}
