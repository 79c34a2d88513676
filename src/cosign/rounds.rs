//! Who is asked what, when. Decides; sends nothing, waits for nothing, publishes nothing.
//!
//! One head at a time is *gathering* cosignatures; the one that was published before it is *shown*, and still takes
//! the cosignatures that come late. A witness has one letter under way at most: one that is slow with an old head
//! delays nobody, and is asked for the newest when it is free.
//!
//! Whatever an answer claims about our tree is a claim, until a note with this log's own signature says it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daemon::clock::Random;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::hash::sha256;
use tlog::ids::{Origin, TreeHead, TreeSize, UnixMillis};
use tlog::note::{Note, SignatureLine};
use tlog::policy::Policy;
use tlog::vkey::VerifierKey;
use tlog::witness_wire::AddCheckpoint;

use super::CosignError;
use super::answer::{self, Answer, Refused, Trouble};
use super::board::Board;
use super::courier::{Delivered, Letter, Request};
use super::roster::Roster;
use super::seat::{Claim, Seat, Sent, What};
use super::tree::Tree;

/// What the operator of the log has set.
#[derive(Clone, Debug)]
pub struct RoundsSettings {
    /// How long a head may gather before it counts as below quorum.
    pub deadline: Duration,
    /// Witnesses that are left out, by place among the operators.
    pub left_out: Vec<usize>,
}

/// A committed head that is to be cosigned.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The signed checkpoint; cosignatures under it that hold are kept.
    pub checkpoint: VerifiedCheckpoint,
    /// Its time.
    pub time: UnixMillis,
}

/// A head and the cosignatures that it has.
#[derive(Clone, Debug)]
pub struct Gathering {
    candidate: Candidate,
    since: Duration,
    /// By place of the key in the policy, so that the order is that of the policy.
    lines: BTreeMap<usize, SignatureLine>,
}

/// How the head that gathers stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No head gathers.
    Idle,
    /// Not enough yet.
    Open,
    /// The quorum is met.
    Met,
    /// The deadline has passed without a quorum.
    Late,
}

/// The rounds of one log.
pub struct Rounds {
    roster: Roster,
    origin: Origin,
    log_keys: Vec<VerifierKey>,
    settings: RoundsSettings,
    random: Arc<dyn Random>,
    board: Arc<Board>,
    seats: Vec<Seat>,
    /// Nothing may be signed yet.
    probing: bool,
    /// When the witnesses were asked first; those that are slow are waited for until the deadline after it.
    probed: Option<Duration>,
    /// The newest head that a witness may have been shown.
    newest: Candidate,
    gathering: Option<Gathering>,
    shown: Gathering,
    /// Cosignatures have joined the head that is shown.
    amended: bool,
    /// Nothing could be published for longer than the deadline, and that was said.
    below: bool,
    letters: u64,
}

impl std::fmt::Debug for Rounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rounds").field("seats", &self.seats).finish_non_exhaustive()
    }
}

impl Rounds {
    /// Begins with the start-up probe. `committed` is the last committed head, signed again; `shown` the checkpoint
    /// that was published last.
    #[must_use]
    pub fn new(
        roster: Roster,
        log_keys: Vec<VerifierKey>,
        settings: RoundsSettings,
        random: Arc<dyn Random>,
        committed: Candidate,
        shown: Candidate,
    ) -> Self {
        let witnesses = roster.policy().witnesses();
        let seats: Vec<Seat> = roster
            .operators()
            .iter()
            .enumerate()
            .map(|(at, operator)| {
                let keys = operator.keys.iter().map(|key| (*key, witnesses[*key].key.clone())).collect();
                let left_out = settings.left_out.contains(&at);
                Seat::new(operator.name.clone(), operator.url.clone(), keys, left_out)
            })
            .collect();
        let board = Board::new(seats.iter().map(|seat| seat.name.clone()).collect());
        settings.left_out.iter().for_each(|at| board.exclude(*at));
        let origin = committed.checkpoint.origin().clone();
        Self {
            shown: gather(&seats, shown, Duration::ZERO),
            gathering: None,
            newest: committed,
            probing: true,
            probed: None,
            amended: false,
            below: false,
            letters: 0,
            board: Arc::new(board),
            seats,
            roster,
            origin,
            log_keys,
            settings,
            random,
        }
    }

    /// What operators are told.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// The policy that the rounds work for.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        self.roster.policy()
    }

    /// Whether the witnesses have not yet said enough for this log to sign.
    #[must_use]
    pub fn is_probing(&self) -> bool {
        self.probing
    }

    /// Begins a round. A head that still gathers is given up for it.
    pub fn begin(&mut self, candidate: Candidate, now: Duration) {
        self.newest = candidate.clone();
        self.gathering = Some(gather(&self.seats, candidate, now));
    }

    /// How the head that gathers stands.
    #[must_use]
    pub fn standing(&self, now: Duration) -> Standing {
        match &self.gathering {
            None => Standing::Idle,
            Some(gathering) if self.roster.is_met_by(|key| gathering.lines.contains_key(&key)) => {
                Standing::Met
            }
            Some(gathering) if now >= gathering.since + self.settings.deadline => Standing::Late,
            Some(_) => Standing::Open,
        }
    }

    /// The head that gathers, with what it has.
    #[must_use]
    pub fn gathering(&self) -> Option<&Gathering> {
        self.gathering.as_ref()
    }

    /// The head that gathers is published, and takes late cosignatures from now on.
    pub fn published(&mut self) {
        let Some(gathering) = self.gathering.take() else { return };
        self.set_margin(&gathering);
        if self.below && self.roster.is_met_by(|key| gathering.lines.contains_key(&key)) {
            self.below = false;
            tracing::info!("enough witnesses cosign again");
        }
        if !self.below {
            self.board.set_trouble(None);
        }
        self.shown = gathering;
        self.amended = false;
    }

    /// The deadline has passed: says so, once, and lets the same head gather on.
    pub fn missed(&mut self, now: Duration) {
        let Some(mut gathering) = self.gathering.take() else { return };
        gathering.since = now;
        self.set_margin(&gathering);
        let reason = format!("too few witnesses cosign: {}", self.absentees(&gathering));
        if !std::mem::replace(&mut self.below, true) {
            tracing::error!("{reason}. Entries are committed, and not published before enough of them do");
        }
        self.board.set_trouble(Some(reason));
        self.gathering = Some(gathering);
    }

    /// The published head, if cosignatures have joined it since this was asked last.
    pub fn take_amended(&mut self) -> Option<&Gathering> {
        if !std::mem::take(&mut self.amended) {
            return None;
        }
        self.set_margin(&self.shown);
        Some(&self.shown)
    }

    /// When something is to be done without an answer: a witness can be asked again, or the deadline passes.
    #[must_use]
    pub fn next_due(&self, now: Duration) -> Option<Duration> {
        let since = match self.probing {
            true => self.probed,
            false => self.gathering.as_ref().map(|gathering| gathering.since),
        };
        let deadline =
            since.map(|since| since + self.settings.deadline).filter(|due| !self.probing || *due > now);
        let waiting = self.seats.iter().filter(|seat| self.is_wanted(seat)).filter_map(Seat::free_at);
        waiting.chain(deadline).min()
    }

    /// Whether there is something to ask this witness for.
    fn is_wanted(&self, seat: &Seat) -> bool {
        if seat.claim.is_some() {
            return true;
        }
        if self.probing {
            return !seat.answered;
        }
        let target = self.target();
        !target.is_cosigned_by(seat) && seat.known.is_none_or(|known| known <= target.head().size)
    }

    fn target(&self) -> &Gathering {
        self.gathering.as_ref().unwrap_or(&self.shown)
    }

    /// The letters that are to be sent now.
    ///
    /// # Errors
    /// [`CosignError::Prove`] if our own tree does not hold.
    pub fn letters(&mut self, now: Duration, tree: &mut Tree) -> Result<Vec<Letter>, CosignError> {
        self.check_probe(now);
        let mut letters = Vec::new();
        for witness in 0..self.seats.len() {
            let seat = &self.seats[witness];
            if !seat.is_free(now) || !self.is_wanted(seat) {
                continue;
            }
            let (request, what) = if seat.claim.is_some() {
                let hash = sha256(self.origin.as_str().as_bytes()).to_string();
                (Request::Checkpoint(hash), What::Note)
            } else {
                let (candidate, old) = match self.probing {
                    true => (&self.newest, TreeSize::ZERO),
                    false => (&self.target().candidate, seat.known.unwrap_or(TreeSize::ZERO)),
                };
                let head = candidate.checkpoint.head();
                let checkpoint = log_lines(&candidate.checkpoint, &self.log_keys);
                let (text, time) = (checkpoint.text().to_owned(), candidate.time);
                let body = AddCheckpoint { old, proof: tree.proof(old, head)?, checkpoint }.to_bytes();
                (Request::AddCheckpoint(body.into()), What::Checkpoint { text, size: head.size, time })
            };
            self.letters += 1;
            let (number, url) = (self.letters, seat.url.clone());
            self.seats[witness].sent = Some(Sent { number, at: now, what });
            letters.push(Letter { number, witness, url, request });
        }
        Ok(letters)
    }

    /// Takes in an answer.
    ///
    /// # Errors
    /// [`CosignError`]: the process has to end.
    pub fn receive(&mut self, delivered: &Delivered, now: Duration, tree: &Tree) -> Result<(), CosignError> {
        let Delivered { number, witness, delivery } = delivered;
        let seat = &mut self.seats[*witness];
        let Some(sent) = seat.sent.take_if(|sent| sent.number == *number) else { return Ok(()) };
        let (text, size, time) = match sent.what {
            What::Note => {
                let note = delivery.as_ref().ok().filter(|raw| raw.status == 200);
                return self.weigh_claim(*witness, note.map(|raw| &raw.body), now, tree);
            }
            What::Checkpoint { text, size, time } => (text, size, time),
        };
        match answer::read(delivery, &text, &seat.keys) {
            Ok(Answer::Cosigned(lines)) => {
                self.board.answered(*witness, now.saturating_sub(sent.at));
                seat.succeeded();
                (seat.known, seat.answered) = (Some(size), true);
                self.board.cosigned(*witness, size);
                self.join(time, lines);
            }
            Ok(Answer::Holds(held)) => {
                self.board.answered(*witness, now.saturating_sub(sent.at));
                self.stands_at(*witness, held, size, now);
            }
            Err(refused) => self.failed(*witness, refused, now),
        }
        self.check_probe(now);
        Ok(())
    }

    fn join(&mut self, time: UnixMillis, lines: Vec<(usize, SignatureLine)>) {
        if let Some(gathering) = self.gathering.as_mut().filter(|gathering| gathering.candidate.time == time)
        {
            gathering.lines.extend(lines);
        } else if self.shown.candidate.time == time {
            for (key, line) in lines {
                // One that is public already is not exchanged for a fresh one.
                if let std::collections::btree_map::Entry::Vacant(place) = self.shown.lines.entry(key) {
                    place.insert(line);
                    self.amended = true;
                }
            }
        }
    }

    fn stands_at(&mut self, witness: usize, held: TreeSize, asked: TreeSize, now: Duration) {
        let newest = self.newest.checkpoint.head().size;
        let seat = &mut self.seats[witness];
        if held > newest {
            seat.claim = Some(Claim::Larger(held));
            return;
        }
        seat.answered = true;
        let steady = seat.stands_at(held);
        if self.probing {
            seat.succeeded();
        } else if held > asked || !steady {
            let trouble = if steady { Trouble::Ahead } else { Trouble::Unsteady };
            self.failed(witness, Refused { trouble, retry_after: None }, now);
        }
    }

    fn failed(&mut self, witness: usize, refused: Refused, now: Duration) {
        let Refused { trouble, retry_after } = refused;
        let seat = &mut self.seats[witness];
        if seat.trouble != Some(trouble) {
            tracing::warn!(witness = seat.name, "the witness {trouble}");
        }
        if trouble == Trouble::ProofRefused {
            // Its own copy of our checkpoint is asked for at once.
            seat.claim = Some(Claim::Other);
        } else {
            seat.failed(trouble, retry_after, now, &*self.random);
        }
        self.board.failed(witness, trouble);
    }

    /// A witness has claimed something about our tree, and has been asked for its copy of our checkpoint. Only what
    /// carries our own signature stops the log; before anything was signed, a claim is enough not to begin.
    fn weigh_claim(
        &mut self,
        witness: usize,
        note: Option<&Bytes>,
        now: Duration,
        tree: &Tree,
    ) -> Result<(), CosignError> {
        let seat = &mut self.seats[witness];
        let Some(claim) = seat.claim.take() else { return Ok(()) };
        let (name, held) = (seat.name.clone(), self.newest.checkpoint.head());
        let signed = note.and_then(|note| self.signed_by_us(note));
        if let Some((head, note)) = signed {
            let ours = head.size <= held.size && tree.at(head.size, held)? == head;
            if !ours && head.size > held.size && self.probing {
                return Err(CosignError::Forgotten {
                    witness: name,
                    size: head.size,
                    held: held.size,
                    signed: true,
                });
            }
            if !ours {
                return Err(CosignError::Contradicted { witness: name, size: head.size, note, kept: None });
            }
        }
        let seat = &mut self.seats[witness];
        match claim {
            Claim::Larger(size) if self.probing => {
                Err(CosignError::Forgotten { witness: name, size, held: held.size, signed: false })
            }
            Claim::Larger(size) => {
                seat.excluded = true;
                self.board.exclude(witness);
                let held = held.size;
                tracing::error!(
                    witness = name,
                    "the witness claims to know {size} entries of this log, which has {held}, and has shown no \
                     signature for that. It is not asked any more. Restart the log to compare again"
                );
                Ok(())
            }
            Claim::Other => {
                seat.failed(Trouble::ProofRefused, None, now, &*self.random);
                tracing::error!(
                    witness = name,
                    "the witness does not accept that this log continues the tree it has cosigned; its own copy of the \
                     checkpoint shows no other tree"
                );
                Ok(())
            }
        }
    }

    /// The head of a checkpoint of this log that carries our signature, whatever else is under it.
    fn signed_by_us(&self, bytes: &Bytes) -> Option<(TreeHead, Vec<u8>)> {
        let note = Note::parse(bytes).ok()?;
        let verified = VerifiedCheckpoint::verify(&note, &self.log_keys[..1]).ok()?;
        Some((verified.of(&self.origin).ok()?.head(), bytes.to_vec()))
    }

    fn check_probe(&mut self, now: Duration) {
        if !self.probing {
            return;
        }
        let until = *self.probed.get_or_insert(now) + self.settings.deadline;
        let answered = |at: usize| self.seats[at].answered || self.seats[at].left_out;
        // Even if others would be enough, each has one chance to claim that it knows more, and is heard out.
        let unheard = |seat: &Seat| {
            let fresh = !seat.left_out && !seat.answered && seat.trouble.is_none();
            seat.claim.is_some() || (fresh && now < until)
        };
        if !self.seats.iter().any(unheard) && self.roster.every_quorum_has_one_of(answered) {
            self.probing = false;
            self.board.set_trouble(None);
            return;
        }
        let silent = self.seats.iter().filter(|seat| !seat.answered && !seat.left_out);
        let silent: Vec<String> = silent.map(|seat| said(seat, "has not answered yet")).collect();
        self.board.set_trouble(Some(format!(
            "nothing is signed before enough witnesses have said how much of this log they know: {}",
            silent.join("; ")
        )));
    }

    fn absentees(&self, gathering: &Gathering) -> String {
        let absent = self.seats.iter().filter(|seat| !gathering.is_cosigned_by(seat));
        absent.map(|seat| said(seat, "has not answered yet")).collect::<Vec<_>>().join("; ")
    }

    fn set_margin(&self, gathering: &Gathering) {
        self.board.set_margin(self.roster.margin(|key| gathering.lines.contains_key(&key)));
    }
}

fn said(seat: &Seat, otherwise: &str) -> String {
    let name = &seat.name;
    match seat.trouble {
        _ if seat.left_out => format!("{name} is left out"),
        _ if seat.excluded => format!("{name} claims a larger tree and is not asked"),
        Some(trouble) => format!("{name} {trouble}"),
        None => format!("{name} {otherwise}"),
    }
}

fn gather(seats: &[Seat], candidate: Candidate, since: Duration) -> Gathering {
    let note = candidate.checkpoint.note();
    let keys = seats.iter().flat_map(|seat| &seat.keys);
    let held = keys.filter_map(|(place, key)| {
        let line = note.signatures().iter().find(|line| line.is_by(key))?;
        answer::verifies(note.text(), key, line).then(|| (*place, line.clone()))
    });
    Gathering { lines: held.collect(), candidate, since }
}

fn log_lines(checkpoint: &VerifiedCheckpoint, log_keys: &[VerifierKey]) -> Note {
    let note = checkpoint.note();
    let ours = note.signatures().iter().filter(|line| log_keys.iter().any(|key| line.is_by(key)));
    note.with_signatures(ours.cloned().collect()).expect("a verified checkpoint has a signature of ours")
}

impl Gathering {
    fn is_cosigned_by(&self, seat: &Seat) -> bool {
        seat.keys.iter().any(|(place, _)| self.lines.contains_key(place))
    }

    fn head(&self) -> TreeHead {
        self.candidate.checkpoint.head()
    }

    /// The time of the head.
    #[must_use]
    pub fn time(&self) -> UnixMillis {
        self.candidate.time
    }

    /// The checkpoint with our signatures and the cosignatures gathered so far, in the order of the policy.
    #[must_use]
    pub fn note(&self, log_keys: &[VerifierKey]) -> Note {
        let note = log_lines(&self.candidate.checkpoint, log_keys);
        let lines = note.signatures().iter().chain(self.lines.values()).cloned().collect();
        note.with_signatures(lines).expect("the roster bounds the number of keys")
    }
}
