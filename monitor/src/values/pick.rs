//! Which version is looked at next.
//!
//! One that is in trouble and one that is not take turns, so that neither waits for the other: a log with many files that
//! it does not answer must not keep its new ones from being looked at.

use super::{Check, TROUBLE_PAUSE, Values};
use crate::case::CaseError;
use crate::report::{LOST, MEMORY};

impl Values {
    /// Which version is next.
    pub(super) fn pick(&mut self) -> Result<Option<u64>, CaseError> {
        self.trouble_next = !self.trouble_next;
        let first = if self.trouble_next { self.pick_trouble()? } else { self.pick_other()? };
        match first {
            Some(index) => Ok(Some(index)),
            None if self.trouble_next => self.pick_other(),
            None => self.pick_trouble(),
        }
    }

    fn pick_trouble(&self) -> Result<Option<u64>, CaseError> {
        let pause = u64::try_from(TROUBLE_PAUSE.as_millis()).unwrap_or(u64::MAX);
        let found = self.kept.trouble(self.case.now().saturating_sub(pause))?;
        if let Some(index) = found {
            self.kept.set_trouble(index, Some(self.case.now()))?;
        }
        Ok(found)
    }

    /// One that was never looked at, else the next one of all.
    fn pick_other(&mut self) -> Result<Option<u64>, CaseError> {
        let mut mark = self.kept.mark()?;
        let verified = self.verified();
        let known = |index: &u64| *index < verified;
        if self.case.followed.values.check == Check::Sample {
            self.has_memory()?;
            return self.pick_at_random(verified);
        }
        if let Some(index) = self.outside.from(mark.fresh)?.filter(known) {
            mark.fresh = index + 1;
            self.kept.set_mark(mark)?;
            return Ok(Some(index));
        }
        if verified > 0 {
            self.has_memory()?;
        }
        let next = match self.outside.from(mark.again)?.filter(known) {
            Some(index) => Some(index),
            None => self.outside.from(0)?.filter(known),
        };
        if let Some(index) = next {
            mark.again = index + 1;
            self.kept.set_mark(mark)?;
        }
        Ok(next)
    }

    fn pick_at_random(&self, verified: u64) -> Result<Option<u64>, CaseError> {
        if verified == 0 {
            return Ok(None);
        }
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        let place = u64::from_le_bytes(bytes) % verified;
        let known = |index: &u64| *index < verified;
        match self.outside.from(place)?.filter(known) {
            Some(index) => Ok(Some(index)),
            None => Ok(self.outside.from(0)?.filter(known)),
        }
    }

    /// What is shown now is known again, as far as it is going to be.
    fn has_memory(&mut self) -> Result<(), CaseError> {
        if std::mem::take(&mut self.lost) {
            self.case.clear_about(LOST, &[MEMORY.to_owned()])?;
        }
        Ok(())
    }
}
