//! Whom the log asks to cosign: the witnesses of its trust policy, by operator.
//!
//! The log enforces `DIR/policy.txt`, the very file that is handed out to those who verify. An operator is whoever
//! stands behind one key name or one URL. All keys of an operator have to be under one group with nobody else in it,
//! so that an operator counts once, however many keys it has. Each operator is asked once a round.
//!
//! Absent on purpose: signatures, and the witnesses' state.

use std::path::{Path, PathBuf};

use tlog::policy::{Member, Policy, PolicyParseError};
use tlog::vkey::VerifierKey;

/// Keys that may be asked for; with our own lines they stay below the limit of a note.
const KEYS_MAX: usize = 60;

/// Why a policy cannot be enforced by the log.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// The file cannot be read.
    #[error("{file}: {1}. The log enforces this policy; put the file back, it is the one you hand out", file = .0.display())]
    Read(PathBuf, std::io::Error),
    /// The file is no policy.
    #[error("{file}: {1}", file = .0.display())]
    Parse(PathBuf, PolicyParseError),
    /// The policy is another log's.
    #[error("{file} does not accept this log; it needs the line `log {1}`", file = .0.display())]
    OtherLog(PathBuf, String),
    /// A witness that counts cannot be asked.
    #[error("witness {0} of the policy has no URL; add it at the end of its `witness` line")]
    NoUrl(String),
    /// A witness's URL is none.
    #[error("witness {0} of the policy has the URL {1:?}; it must begin with http:// or https://")]
    BadUrl(String, String),
    /// One operator under two addresses.
    #[error("the keys named {0} are of one operator and have different URLs in the policy; give them one")]
    TwoUrls(String),
    /// One operator is counted more than once.
    #[error(
        "witness {0} of the policy has further keys of the same operator (one key name, or one URL) that are counted \
         apart from it; put all of them, and nobody else, under one group: `group NAME any ...`"
    )]
    CountsTwice(String),
    /// Too many.
    #[error("the policy has {0} witness keys that count; this log can collect at most {KEYS_MAX}")]
    TooMany(usize),
    /// `--without-witness` names nobody.
    #[error("the policy has no witness {0:?}; it has {1}")]
    NoSuchWitness(String, String),
}

/// Reads `DIR/policy.txt` and requires that it accepts this log.
///
/// # Errors
/// [`RosterError`] names the file and says what to do.
pub fn load_policy(dir: &Path, log_key: &VerifierKey) -> Result<Policy, RosterError> {
    let path = dir.join("policy.txt");
    let bytes = std::fs::read(&path).map_err(|error| RosterError::Read(path.clone(), error))?;
    let policy = Policy::parse(&bytes).map_err(|error| RosterError::Parse(path.clone(), error))?;
    if policy.logs().iter().any(|log| log.key == *log_key) {
        return Ok(policy);
    }
    Err(RosterError::OtherLog(path, log_key.to_string()))
}

/// An operator of witnesses: one party, one URL, one voice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The name of its group, or of its one key's line.
    pub name: String,
    /// The submission prefix, without a slash at its end.
    pub url: String,
    /// Its keys, by place in [`Policy::witnesses`].
    pub keys: Vec<usize>,
}

/// A policy that the log can enforce.
#[derive(Clone, Debug)]
pub struct Roster {
    policy: Policy,
    operators: Vec<Operator>,
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

impl Roster {
    /// The roster of a policy; `None` where the quorum is `none`.
    ///
    /// # Errors
    /// [`RosterError`] if a witness that counts cannot be asked, or an operator counts more than once.
    pub fn of(policy: &Policy) -> Result<Option<Self>, RosterError> {
        let Some(quorum) = policy.quorum() else { return Ok(None) };
        let mut keys = Vec::new();
        counted(policy, quorum, &mut keys);
        if keys.len() > KEYS_MAX {
            return Err(RosterError::TooMany(keys.len()));
        }
        let mut operators: Vec<Vec<usize>> = Vec::new();
        for key in keys {
            // A key may join two operators that were apart until now.
            let (mut same, other): (Vec<_>, Vec<_>) = operators
                .into_iter()
                .partition(|one| one.iter().any(|known| same_operator(policy, *known, key)));
            same.push(vec![key]);
            operators = other;
            let mut merged = same.concat();
            merged.sort_unstable();
            operators.push(merged);
        }
        operators.sort();
        let operators: Result<Vec<_>, _> = operators.into_iter().map(|keys| operator(policy, keys)).collect();
        Ok(Some(Self { policy: policy.clone(), operators: operators? }))
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whom to ask.
    #[must_use]
    pub fn operators(&self) -> &[Operator] {
        &self.operators
    }

    /// The operator of this name, or with a key of this name.
    ///
    /// # Errors
    /// [`RosterError::NoSuchWitness`].
    pub fn find(&self, name: &str) -> Result<usize, RosterError> {
        let named = |operator: &Operator| {
            operator.name == name
                || operator.keys.iter().any(|key| self.policy.witnesses()[*key].name == name.as_bytes())
        };
        let known: Vec<&str> = self.operators.iter().map(|operator| operator.name.as_str()).collect();
        let found = self.operators.iter().position(named);
        found.ok_or_else(|| RosterError::NoSuchWitness(name.to_owned(), known.join(", ")))
    }

    /// Whether these keys, by place, meet the quorum.
    #[must_use]
    pub fn is_met_by(&self, cosigned: impl Fn(usize) -> bool) -> bool {
        self.policy.is_met_by(cosigned)
    }

    /// Whether every set of witnesses that meets the quorum has one of these operators in it. Those that did not answer
    /// cannot have made a checkpoint public then that none of these has cosigned.
    #[must_use]
    pub fn every_quorum_has_one_of(&self, answered: impl Fn(usize) -> bool) -> bool {
        let of_key = |key: usize| self.operators.iter().position(|operator| operator.keys.contains(&key));
        // The quorum is monotone: some quorum avoids all of them exactly if all others together are one.
        !self.policy.is_met_by(|key| !of_key(key).is_some_and(&answered))
    }

    /// How many operators, at worst, may fail before these keys no longer meet the quorum; -1 if they do not meet it.
    #[must_use]
    pub fn margin(&self, cosigned: impl Fn(usize) -> bool) -> i64 {
        let quorum = self.policy.quorum().map_or(0, |quorum| self.failures_until_unmet(quorum, &cosigned));
        i64::try_from(quorum).unwrap_or(i64::MAX) - 1
    }

    /// The fewest operators without which `member` is not met; 0 if it is not met with all of them.
    fn failures_until_unmet(&self, member: Member, cosigned: &impl Fn(usize) -> bool) -> usize {
        let at = match member {
            Member::Witness(key) => return usize::from(cosigned(key)),
            Member::Group(at) => at,
        };
        let group = &self.policy.groups()[at];
        let costs = group.members.iter().map(|member| self.failures_until_unmet(*member, cosigned));
        let mut met: Vec<usize> = costs.filter(|cost| *cost > 0).collect();
        if met.len() < group.threshold {
            return 0;
        }
        if self.is_of_one_operator(at) {
            return 1;
        }
        met.sort_unstable();
        met.iter().take(met.len() - group.threshold + 1).sum()
    }

    fn is_of_one_operator(&self, group: usize) -> bool {
        let members = &self.policy.groups()[group].members;
        self.operators.iter().any(|operator| {
            members.iter().all(|member| matches!(member, Member::Witness(key) if operator.keys.contains(key)))
        })
    }
}

fn counted(policy: &Policy, member: Member, keys: &mut Vec<usize>) {
    match member {
        Member::Witness(key) => keys.push(key),
        Member::Group(at) => {
            policy.groups()[at].members.iter().for_each(|member| counted(policy, *member, keys));
        }
    }
}

fn url_of(policy: &Policy, key: usize) -> Option<String> {
    let url = policy.witnesses()[key].url.as_deref()?;
    Some(lossy(url).trim_end_matches('/').to_owned())
}

fn same_operator(policy: &Policy, one: usize, other: usize) -> bool {
    let name = |key: usize| policy.witnesses()[key].key.name();
    let urls = (url_of(policy, one), url_of(policy, other));
    name(one) == name(other) || (urls.0.is_some() && urls.0 == urls.1)
}

fn operator(policy: &Policy, keys: Vec<usize>) -> Result<Operator, RosterError> {
    let witnesses = policy.witnesses();
    let first = lossy(&witnesses[keys[0]].name);
    let mut urls: Vec<String> = keys.iter().filter_map(|key| url_of(policy, *key)).collect();
    urls.sort();
    urls.dedup();
    let url = match urls.as_slice() {
        [] => return Err(RosterError::NoUrl(first)),
        [url] => url.clone(),
        _ => return Err(RosterError::TwoUrls(witnesses[keys[0]].key.name().to_string())),
    };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(RosterError::BadUrl(first, url));
    }
    let is_own = |member: &Member| matches!(member, Member::Witness(key) if keys.contains(key));
    let holds = |group: &&tlog::policy::Group, key: &usize| group.members.contains(&Member::Witness(*key));
    let own = policy.groups().iter().find(|group| keys.iter().all(|key| holds(group, key)));
    let own = own.filter(|group| group.members.iter().all(is_own));
    if keys.len() > 1 && own.is_none() {
        return Err(RosterError::CountsTwice(first));
    }
    Ok(Operator { name: own.map_or(first, |group| lossy(&group.name)), url, keys })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tlog::sign::{CosignerEd25519, CosignerMlDsa44, Ed25519Signer};

    fn ed25519(name: &str, seed: u8) -> String {
        CosignerEd25519::from_seed(name.parse().unwrap(), &[seed; 32]).verifier_key().to_string()
    }

    fn ml_dsa(name: &str, seed: u8) -> String {
        CosignerMlDsa44::from_seed(name.parse().unwrap(), &[seed; 32]).verifier_key().to_string()
    }

    fn parse(text: &str) -> Policy {
        Policy::parse(text.as_bytes()).unwrap()
    }

    fn roster(text: &str) -> Result<Option<Roster>, RosterError> {
        Roster::of(&parse(text))
    }

    /// Four operators with two keys each, three needed.
    fn three_of_four() -> String {
        let mut text = String::new();
        for n in 1..=4 {
            let name = format!("w{n}.example");
            text.push_str(&format!("witness w{n}-ed {} http://w{n}.example/\n", ed25519(&name, n)));
            text.push_str(&format!("witness w{n}-ml {}\n", ml_dsa(&name, n)));
            text.push_str(&format!("group w{n} any w{n}-ed w{n}-ml\n"));
        }
        text + "group all-of-them 3 w1 w2 w3 w4\nquorum all-of-them\n"
    }

    #[test]
    fn the_keys_of_an_operator_are_asked_for_together_and_count_once() {
        let roster = roster(&three_of_four()).unwrap().unwrap();
        let names: Vec<&str> = roster.operators().iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["w1", "w2", "w3", "w4"]);
        assert_eq!(roster.operators()[1].url, "http://w2.example");
        assert_eq!(roster.operators()[1].keys, [2, 3]);
        assert!(!roster.is_met_by(|key| key < 4), "four signatures of two operators are not three operators");
        assert!(roster.is_met_by(|key| [0, 3, 5].contains(&key)));
        assert_eq!(roster.find("w3").unwrap(), 2);
        assert_eq!(roster.find("w3-ml").unwrap(), 2);
        assert!(roster.find("w5").unwrap_err().to_string().contains("w1, w2, w3, w4"));
    }

    /// CVE-2026-49834: a quorum that one compromised party meets alone.
    #[test]
    fn a_policy_in_which_one_operator_counts_twice_is_refused() {
        let (one, two) = (ed25519("w.example", 1), ml_dsa("w.example", 1));
        let other = ed25519("v.example", 2);
        let by_name = format!(
            "witness a {one} http://w.example\nwitness b {two} http://w.example\ngroup g 2 a b\n\
             witness c {other} http://v.example\ngroup h all g c\nquorum h\n"
        );
        assert!(roster(&by_name).is_ok(), "both keys of one operator may be required");
        let apart = format!(
            "witness a {one} http://w.example\nwitness b {two} http://w.example\n\
             witness c {other} http://v.example\ngroup g 2 a b c\nquorum g\n"
        );
        assert!(matches!(roster(&apart), Err(RosterError::CountsTwice(_))));
        let second = ed25519("u.example", 3);
        let by_url = format!(
            "witness a {other} http://w.example/\nwitness b {second} http://w.example\ngroup g 2 a b\nquorum g\n"
        );
        let one_voice = roster(&by_url).unwrap().unwrap();
        assert_eq!(one_voice.operators().len(), 1, "one URL is one operator");
        assert_eq!(one_voice.margin(|_| true), 0);
    }

    #[test]
    fn a_witness_that_counts_and_cannot_be_asked_is_named() {
        let key = ed25519("w.example", 1);
        assert!(
            matches!(roster(&format!("witness w {key}\nquorum w\n")), Err(RosterError::NoUrl(name)) if name == "w")
        );
        let bad = roster(&format!("witness w {key} ftp://w.example\nquorum w\n"));
        assert!(matches!(bad, Err(RosterError::BadUrl(..))));
        let two = ml_dsa("w.example", 1);
        let apart =
            format!("witness a {key} http://a\nwitness b {two} http://b\ngroup g any a b\nquorum g\n");
        assert!(matches!(roster(&apart), Err(RosterError::TwoUrls(_))));
        assert!(roster(&format!("witness w {key}\nquorum none\n")).unwrap().is_none());
    }

    #[test]
    fn the_policy_has_to_accept_this_log() {
        let dir = tempfile::tempdir().unwrap();
        let key = Ed25519Signer::from_seed("log.example".parse().unwrap(), &[1; 32]).verifier_key();
        let other = Ed25519Signer::from_seed("log.example".parse().unwrap(), &[2; 32]).verifier_key();
        assert!(matches!(load_policy(dir.path(), &key), Err(RosterError::Read(..))));
        std::fs::write(dir.path().join("policy.txt"), format!("log {other}\nquorum none\n")).unwrap();
        let refused = load_policy(dir.path(), &key).unwrap_err().to_string();
        assert!(refused.contains(&key.to_string()), "{refused}");
        std::fs::write(dir.path().join("policy.txt"), format!("log {other}\nlog {key}\nquorum none\n"))
            .unwrap();
        load_policy(dir.path(), &key).unwrap();
    }

    #[test]
    fn the_margin_is_what_may_fail_at_worst() {
        let roster = roster(&three_of_four()).unwrap().unwrap();
        assert_eq!(roster.margin(|_| true), 1);
        assert_eq!(roster.margin(|key| key != 0), 1, "the other key still speaks for its operator");
        assert_eq!(roster.margin(|key| key >= 2), 0);
        assert_eq!(roster.margin(|key| key >= 4), -1);
    }

    /// A random policy over at most eight operators: thresholds over groups over witnesses.
    fn policies() -> impl Strategy<Value = (String, usize)> {
        (1_usize..=8, prop::collection::vec((any::<u8>(), any::<u8>()), 1..4)).prop_map(|(count, shape)| {
            let mut text = String::new();
            for n in 0..count {
                let seed = u8::try_from(n).unwrap() + 1;
                text.push_str(&format!(
                    "witness w{n} {} http://w{n}\n",
                    ed25519(&format!("w{n}.example"), seed)
                ));
            }
            let mut loose: Vec<String> = (0..count).map(|n| format!("w{n}")).collect();
            for (at, (take, threshold)) in shape.into_iter().enumerate() {
                let take = 1 + usize::from(take) % loose.len();
                let members: Vec<String> = loose.drain(..take).collect();
                let threshold = 1 + usize::from(threshold) % members.len();
                text.push_str(&format!("group g{at} {threshold} {}\n", members.join(" ")));
                loose.push(format!("g{at}"));
            }
            let quorum = loose.pop().unwrap();
            (format!("{text}quorum {quorum}\n"), count)
        })
    }

    fn subsets(count: usize) -> impl Iterator<Item = Vec<bool>> {
        (0_u32..1 << count).map(move |bits| (0..count).map(|at| bits >> at & 1 == 1).collect())
    }

    proptest! {
        #[test]
        fn which_answers_are_enough_agrees_with_trying_every_quorum((text, _) in policies()) {
            let roster = roster(&text).unwrap().unwrap();
            let count = roster.operators().len();
            let met = |set: &[bool]| {
                roster.is_met_by(|key| roster.operators().iter().zip(set).any(|(one, on)| *on && one.keys.contains(&key)))
            };
            let quorums: Vec<Vec<bool>> = subsets(count).filter(|set| met(set)).collect();
            for answered in subsets(count) {
                let all = quorums.iter().all(|quorum| quorum.iter().zip(&answered).any(|(one, other)| *one && *other));
                prop_assert_eq!(roster.every_quorum_has_one_of(|at| answered[at]), all, "{} {:?}", text, answered);
            }
        }

        #[test]
        fn the_margin_agrees_with_failing_every_set_of_operators((text, _) in policies(), bits in any::<u32>()) {
            let roster = roster(&text).unwrap().unwrap();
            let count = roster.operators().len();
            let up: Vec<bool> = (0..count).map(|at| bits >> at & 1 == 1).collect();
            let met = |failed: &[bool]| roster.is_met_by(|key| {
                (0..count).any(|at| up[at] && !failed[at] && roster.operators()[at].keys.contains(&key))
            });
            let fewest = subsets(count)
                .filter(|failed| !met(failed))
                .map(|failed| failed.iter().filter(|one| **one).count())
                .min()
                .unwrap();
            let cosigned = |key: usize| (0..count).any(|at| up[at] && roster.operators()[at].keys.contains(&key));
            prop_assert_eq!(roster.margin(cosigned), i64::try_from(fewest).unwrap() - 1, "{}", text);
        }
    }
}
