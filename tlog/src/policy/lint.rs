//! Advice to the author of a policy: what it allows that he may not have meant.
//!
//! A log that shows two trees to two victims needs each of them to meet the quorum. With `k` of `n` witnesses, and
//! honest ones that each cosign one tree alone, two quorums share at least `2k - n` witnesses. The bound used
//! here, `k >= 1 + floor(2n/3)`, leaves the split view impossible while fewer than a third of them are dishonest.

use super::{Group, Member, Policy};
use crate::ids::KeyName;

/// One thing to know about a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// No log can be accepted.
    #[error("the policy names no log: it accepts no checkpoint")]
    NoLog,
    /// Cosignatures are not required.
    #[error("no witnesses are required: the log can show different trees to different people unnoticed")]
    NoWitnesses,
    /// The threshold is too low.
    #[error(
        "group {group:?} takes {threshold} of {members}: two disjoint or barely overlapping sets can meet it, so a \
         split view is not excluded; require at least {enough}"
    )]
    LowThreshold {
        /// The group.
        group: String,
        /// Its threshold.
        threshold: usize,
        /// How many members it has.
        members: usize,
        /// The least threshold that excludes a split view.
        enough: usize,
    },
    /// One operator counts more than once.
    #[error(
        "witnesses {0:?} and {1:?} have keys of one name, so probably one operator; put them under one `any` group"
    )]
    SameOperator(String, String),
    /// A log witnesses itself.
    #[error("witness {0:?} has the public key of a log")]
    LogIsWitness(String),
    /// Defined and never counted.
    #[error("{0:?} is defined and does not count towards the quorum")]
    Unused(String),
}

pub(super) fn lint(policy: &Policy) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if policy.logs.is_empty() {
        warnings.push(Warning::NoLog);
    }
    if policy.quorum.is_none() {
        warnings.push(Warning::NoWitnesses);
    }
    for witness in &policy.witnesses {
        if policy.logs.iter().any(|log| log.key.same_key(&witness.key)) {
            warnings.push(Warning::LogIsWitness(lossy(&witness.name)));
        }
    }
    let mut counted = Vec::new();
    reach(policy, policy.quorum, &mut counted);
    for (at, group) in policy.groups.iter().enumerate() {
        if counted.contains(&Member::Group(at)) {
            warnings.extend(threshold_of(policy, group));
            warnings.extend(operators_of(policy, group));
        }
    }
    let witnesses = policy.witnesses.iter().enumerate().map(|(at, one)| (Member::Witness(at), &one.name));
    let groups = policy.groups.iter().enumerate().map(|(at, one)| (Member::Group(at), &one.name));
    let unused = witnesses.chain(groups).filter(|(member, _)| !counted.contains(member));
    warnings.extend(unused.map(|(_, name)| Warning::Unused(lossy(name))));
    warnings
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn reach(policy: &Policy, member: Option<Member>, counted: &mut Vec<Member>) {
    let Some(member) = member else { return };
    counted.push(member);
    if let Member::Group(at) = member {
        policy.groups[at].members.iter().for_each(|member| reach(policy, Some(*member), counted));
    }
}

/// One operator's keys under one group: any of them stands for the operator.
fn operator<'a>(policy: &'a Policy, group: &Group) -> Option<&'a KeyName> {
    let mut names = group.members.iter().map(|member| match *member {
        Member::Witness(at) => Some(policy.witnesses[at].key.name()),
        Member::Group(_) => None,
    });
    let first = names.next()??;
    names.all(|name| name == Some(first)).then_some(first)
}

fn threshold_of(policy: &Policy, group: &Group) -> Option<Warning> {
    let (threshold, members) = (group.threshold, group.members.len());
    let enough = 1 + 2 * members / 3;
    if threshold >= enough || operator(policy, group).is_some() {
        return None;
    }
    Some(Warning::LowThreshold { group: lossy(&group.name), threshold, members, enough })
}

fn operators_of(policy: &Policy, group: &Group) -> Option<Warning> {
    if group.threshold == 1 && operator(policy, group).is_some() {
        return None;
    }
    let names = group.members.iter().filter_map(|member| match *member {
        Member::Witness(at) => Some(&policy.witnesses[at]),
        Member::Group(_) => None,
    });
    let names = names.collect::<Vec<_>>();
    names.iter().enumerate().find_map(|(at, one)| {
        let other = names[at + 1..].iter().find(|other| other.key.name() == one.key.name())?;
        Some(Warning::SameOperator(lossy(&one.name), lossy(&other.name)))
    })
}
