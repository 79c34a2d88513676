//! What others hold: each witness's monitoring endpoint, and other monitors.
//!
//! `GET <prefix>/<origin hash>/checkpoint` (C2SP tlog-witness) and `GET <monitor>/heads/<origin hash>`. What comes
//! back is a head like any other: signed by the log or refused, kept, judged. A witness that does not answer is
//! silent, no more; one that shows what the log has not signed is told of.

use serde::Serialize;
use tlog::note::NOTE_BYTES_MAX;

use crate::case::{Case, CaseError};
use crate::judge::Seen;
use crate::report::ELSEWHERE;
use crate::source::Network;

/// Every answer.
pub const ANSWERS: [&str; 7] = ["same", "older", "kept", "contradiction", "none", REFUSED, SILENT];
/// It shows what the log has not signed.
const REFUSED: &str = "refused";
/// It does not answer.
const SILENT: &str = "silent";

/// What one of the others said.
#[derive(Clone, Debug, Serialize)]
pub struct Other {
    /// Whom.
    pub url: String,
    /// `same`, `older`, `kept`, `contradiction`, `none` (knows no head), `refused` (no signed head), `silent`.
    pub answer: &'static str,
    /// In words.
    pub detail: String,
    /// Evidence files, relative to the monitor's directory.
    pub evidence: Vec<String>,
}

/// An answer for programs.
#[must_use]
pub fn answer_of(seen: &Seen) -> (&'static str, String, Vec<String>) {
    match seen {
        Seen::Same => ("same", "the verified head".to_owned(), Vec::new()),
        Seen::Older => ("older", "a beginning of the verified tree".to_owned(), Vec::new()),
        Seen::Kept(why) => ("kept", why.clone(), Vec::new()),
        Seen::Contradiction(files) => {
            ("contradiction", "contradicts another head that the log has signed".to_owned(), files.clone())
        }
    }
}

impl Case {
    /// Asks every witness and every other monitor for its head of this log.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn crosscheck(&self, network: &Network, peers: &[String]) -> Result<Vec<Other>, CaseError> {
        let base = |url: &String| url.trim_end_matches('/').to_owned();
        let witnesses =
            self.followed.witnesses.iter().map(|url| format!("{}/{}/checkpoint", base(url), self.hash));
        let monitors = peers.iter().map(|url| format!("{}/heads/{}", base(url), self.hash));
        let others: Vec<Other> =
            witnesses.chain(monitors).map(|url| self.ask(network, url)).collect::<Result<_, _>>()?;
        self.note_others(&others)?;
        self.set_others(others.clone());
        Ok(others)
    }

    /// Whoever shows as a head of this log what the log has not signed is told of; whoever shows something else since then
    /// is well again. It is no fault of the log's. Silence says nothing.
    fn note_others(&self, others: &[Other]) -> Result<(), CaseError> {
        let mut well = Vec::new();
        for other in others {
            if other.answer == REFUSED {
                self.alarm(
                    ELSEWHERE,
                    &other.url,
                    &format!("what it shows is no head of this log: {}", other.detail),
                )?;
            } else if other.answer != SILENT {
                well.push(other.url.clone());
            }
        }
        self.clear_about(ELSEWHERE, &well)
    }

    /// Asks for one head.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn ask(&self, network: &Network, url: String) -> Result<Other, CaseError> {
        let other = |url, answer, detail| Ok(Other { url, answer, detail, evidence: Vec::new() });
        let bytes = match network.get(&url, NOTE_BYTES_MAX) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return other(url, "none", "knows no head of this log".to_owned()),
            Err(error) => return other(url, SILENT, error.to_string()),
        };
        match self.show(&bytes, &url)? {
            Ok(seen) => {
                let (answer, detail, evidence) = answer_of(&seen);
                Ok(Other { url, answer, detail, evidence })
            }
            Err(why) => other(url, REFUSED, why),
        }
    }
}
