//! A bell between two threads: something was indexed, look at once.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Rung by the thread that indexes, heard by the one that looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Bell {
    /// Whether it was rung since it was last heard.
    rung: Arc<(Mutex<bool>, Condvar)>,
}

impl Bell {
    /// Rings. Rung twice before it is heard is rung once.
    pub(super) fn ring(&self) {
        let (rung, heard) = &*self.rung;
        *rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        heard.notify_one();
    }

    /// Waits until it rings, or so long.
    pub(super) fn wait(&self, longest: Duration) {
        let (rung, heard) = &*self.rung;
        let rung = rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = heard.wait_timeout_while(rung, longest, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_that_was_rung_before_is_heard_at_once_and_once() {
        let bell = Bell::default();
        bell.ring();
        bell.wait(Duration::from_secs(3600));
        bell.wait(Duration::ZERO);
        assert!(!*bell.rung.0.lock().unwrap());
    }
}
