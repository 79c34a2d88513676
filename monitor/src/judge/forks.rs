//! Signed heads that do not fit, and that nothing proves to others yet: an alarm each, until the head turns out to fit.

use tlog::ids::{TreeHead, TreeSize};

use crate::case::{Case, CaseError};
use crate::report::FORK;
use crate::store::Standing;

/// Open alarms about heads that do not fit; more are counted in one.
const FORK_ALARMS_MAX: usize = 100;
/// What the alarm is about that counts them.
const MORE_FORKS: &str = "more";

/// What an alarm about a head is about: `<size> <root>`.
fn fork_subject(head: TreeHead) -> String {
    format!("{} {}", head.size, head.root)
}

fn parse_fork_subject(subject: &str) -> Option<TreeHead> {
    let (size, root) = subject.split_once(' ')?;
    Some(TreeHead { size: TreeSize::new(size.parse().ok()?).ok()?, root: root.parse().ok()? })
}

impl Case {
    /// A head that does not fit, and hashes that would prove it which nobody serves: an alarm, and the head is kept.
    pub(crate) fn unproved_fork(&self, head: TreeHead) -> Result<(), CaseError> {
        let detail = format!(
            "the log has signed a tree of {} entries with the root {} that is not the beginning of its verified tree, \
             and does not serve the tiles that would prove it; the signed head is kept",
            head.size,
            head.root.to_base64()
        );
        self.fork_alarm(head, detail)
    }

    /// Two roots of one size that nobody can be accused of.
    pub(super) fn two_roots_unproved(&self, head: TreeHead) -> Result<(), CaseError> {
        let detail = format!(
            "the log has signed a tree of {} entries with the root {}, and another of that size with another of its keys; \
             no key has contradicted itself, so nothing proves it yet; both signed heads are kept",
            head.size,
            head.root.to_base64()
        );
        self.fork_alarm(head, detail)
    }

    fn fork_alarm(&self, head: TreeHead, detail: String) -> Result<(), CaseError> {
        let subject = fork_subject(head);
        let open = self.store.alarms(self.origin())?;
        let mut open = open.iter().filter(|alarm| alarm.cleared_at.is_none() && alarm.kind == FORK);
        let known = open.clone().any(|alarm| alarm.subject == subject);
        if known || open.nth(FORK_ALARMS_MAX).is_none() {
            self.alarm(FORK, &subject, &detail)?;
        } else {
            self.alarm(FORK, MORE_FORKS, "more signed heads do not fit than are told of one by one")?;
        }
        self.learn(|facts| facts.damage = Some(detail));
        Ok(())
    }

    /// Clears the alarms about heads that turned out to fit, and no others: that a proof failed once more, or that
    /// nothing waits, says nothing.
    pub(crate) fn clear_forks(&self) -> Result<(), CaseError> {
        let open = self.store.alarms(self.origin())?;
        let open = open.iter().filter(|alarm| alarm.cleared_at.is_none() && alarm.kind == FORK);
        let (mut fits, mut left) = (Vec::new(), 0_usize);
        for alarm in open.filter(|alarm| alarm.subject != MORE_FORKS) {
            let Some(head) = parse_fork_subject(&alarm.subject) else { continue };
            let settled = self.store.standing(self.origin(), head)? == Some(Standing::Consistent);
            if settled || self.is_own_beginning(head) {
                fits.push(alarm.subject.clone());
            } else {
                left += 1;
            }
        }
        if left == 0 {
            fits.push(MORE_FORKS.to_owned());
        }
        self.clear_about(FORK, &fits)
    }

    fn is_own_beginning(&self, head: TreeHead) -> bool {
        let verified = self.verified().filter(|verified| head.size <= verified.head().size);
        let own = verified.and_then(|verified| self.tree_at(&verified, head).ok());
        own.is_some_and(|(own, _)| own.root == head.root)
    }
}
