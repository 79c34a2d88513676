//! Record after record, some at a time: written, noted, sent, and their receipts kept.
//!
//! A statement is in the journal before it is sent. A run that was interrupted sends the same bytes again, and the log
//! answers with the entry that is there; so nothing is entered twice. Where somebody else has changed the record since the
//! clerk's own last version, nothing is sent: their change would be buried.

use std::collections::HashSet;

use indicatif::ProgressBar;
use record::ids::RecordKey;
use record::registry::Chain;
use record::statement::{Body, Record, Statement};
use tlog::hash::Hash;
use tlog::ids::LeafIndex;
use tlog::tlog_proof::TlogProof;

use super::super::ceremony::{self, RECEIPT_ENDING};
use super::super::failure::Failure;
use super::{Became, Writer, remains, writer};
use crate::clerk::files::{self, with_ending};
use crate::clerk::input::Item;
use crate::clerk::journal::{Fate, Journal, Signed};
use crate::client::{Client, ClientError, Item as Shown, Posted, Refusal, receipt};

/// Records sent in one request.
const RECORDS_BATCH: usize = 64;

/// What the clerk allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) on_top: bool,
    pub(super) again: bool,
}

/// The work on one input.
pub(super) struct Run<'a> {
    writer: Writer<'a>,
    journal: Journal,
    options: Options,
}

/// What is to be done for a record.
enum Step {
    Done(Became),
    Send(Outgoing),
    Write,
}

/// A statement that is in the journal, and goes out.
struct Outgoing {
    statement: Statement,
    /// Whether this run has signed it, so that nobody can have heard of it before.
    is_new: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(writer: Writer<'a>, journal: Journal, options: Options) -> Self {
        Self { writer, journal, options }
    }

    fn client(&self) -> &'a Client {
        &self.writer.desk.client
    }

    pub(super) fn all(&mut self, items: &[Item], bar: &ProgressBar) -> Result<Vec<Became>, Failure> {
        let mut done: Vec<Became> = Vec::with_capacity(items.len());
        while done.len() < items.len() {
            let batch = batch(&items[done.len()..]);
            match self.batch(batch) {
                Ok(became) => done.extend(became),
                Err(failure) if done.is_empty() && items.len() == 1 => return Err(failure),
                Err(failure) => return Err(interrupted(&failure, &done, items.len())),
            }
            bar.inc(batch.len() as u64);
        }
        Ok(done)
    }

    fn batch(&mut self, items: &[Item]) -> Result<Vec<Became>, Failure> {
        let steps: Result<Vec<Step>, Failure> = items.iter().map(|item| self.known(item)).collect();
        let steps = self.write_missing(items, steps?)?;
        self.send(items, steps, true)
    }

    /// What an earlier run has left.
    fn known(&self, item: &Item) -> Result<Step, Failure> {
        let Some(signed) = self.journal.of_item(&item.digest) else { return Ok(Step::Write) };
        Ok(match signed.fate {
            Fate::Signed => send_again(signed),
            Fate::Entered(_) if self.options.again => Step::Write,
            Fate::Entered(index) => match self.kept(item, &signed.statement) {
                true => Step::Done(became(item, "known", index, &signed.statement)),
                false => send_again(signed),
            },
            Fate::Overtaken(_) | Fate::Refused => Step::Write,
        })
    }

    /// Whether statement and receipt are where they belong, and good.
    fn kept(&self, item: &Item, statement: &Statement) -> bool {
        let path = item.statement_path();
        let same = std::fs::read(&path).is_ok_and(|bytes| bytes == statement.to_bytes());
        let proof = std::fs::read(with_ending(&path, RECEIPT_ENDING)).ok();
        let proof = proof.and_then(|bytes| TlogProof::parse(&bytes).ok());
        let policy = &self.writer.desk.policy;
        same && proof.is_some_and(|proof| proof.verify(&statement.leaf_hash(), policy).is_ok())
    }

    /// Signs what is not signed yet, on top of what the log has, and takes note of it.
    fn write_missing(&mut self, items: &[Item], steps: Vec<Step>) -> Result<Vec<Step>, Failure> {
        let keys: Vec<&RecordKey> = items
            .iter()
            .zip(&steps)
            .filter(|(_, step)| matches!(step, Step::Write))
            .filter_map(|(item, _)| item.entry.key.as_ref())
            .collect();
        let definition = self.writer.definition;
        let latest = self.client().latest_records(&definition.agency, &definition.register, &keys);
        let mut latest = latest.map_err(ceremony::failed)?.into_iter();
        let (mut out, mut signed) = (Vec::with_capacity(items.len()), Vec::new());
        for (item, step) in items.iter().zip(steps) {
            let Step::Write = step else {
                out.push(step);
                continue;
            };
            let latest = if item.entry.key.is_some() { latest.next().flatten() } else { None };
            let step = match self.write_one(item, latest.as_ref()) {
                Ok(step) => step,
                Err(failure) => {
                    // Those before it are signed, and their values kept: the next run sends these, and draws none anew.
                    self.journal.signed(&signed).map_err(Failure::failed)?;
                    return Err(failure);
                }
            };
            if let Step::Send(outgoing) = &step {
                signed.push((item.digest, outgoing.statement.clone()));
            }
            out.push(step);
        }
        self.journal.signed(&signed).map_err(Failure::failed)?;
        Ok(out)
    }

    fn write_one(&self, item: &Item, latest: Option<&Shown>) -> Result<Step, Failure> {
        if let Some(shown) = latest {
            if !self.options.again && says_the_same(item, shown) {
                return self.unchanged(item, shown).map(Step::Done);
            }
            if !self.options.on_top && (self.was_overtaken(item) || self.is_somebody_elses(item, shown)) {
                return Ok(Step::Done(overtaken(item, Some(shown.entry.index.get()))));
            }
        }
        let previous = latest.map(|shown| shown.entry.leaf);
        let draft = self.writer.write(item, &item.stem, previous)?;
        let statement = draft.statement().map_err(Failure::malformed)?;
        Ok(Step::Send(Outgoing { statement, is_new: true }))
    }

    /// Whether this very content was overtaken before: it is not sent again behind the clerk's back.
    fn was_overtaken(&self, item: &Item) -> bool {
        let signed = self.journal.of_item(&item.digest);
        signed.is_some_and(|signed| matches!(signed.fate, Fate::Overtaken(_)))
    }

    /// Whether the clerk has a version of their own of this record, or has named one, and the log's is another.
    fn is_somebody_elses(&self, item: &Item, shown: &Shown) -> bool {
        if let Some(previous) = item.entry.previous {
            return previous != shown.entry.leaf;
        }
        let own = std::fs::read(item.statement_path()).ok();
        let own = own.and_then(|bytes| Statement::parse(&bytes).ok());
        own.is_some_and(|own| {
            Chain::of(own.body()) == Chain::of(&shown.body)
                && own.body().log() == &self.writer.desk.origin
                && own.leaf_hash() != shown.entry.leaf
        })
    }

    /// The log has it already: what is there is kept as if it had been entered now.
    fn unchanged(&self, item: &Item, shown: &Shown) -> Result<Became, Failure> {
        let missing = || ClientError::Receipt(format!("entry {} is not shown", shown.entry.index));
        let entered = self.client().entry(shown.entry.index).map_err(ceremony::failed)?;
        let entered = entered.ok_or_else(missing).map_err(ceremony::failed)?;
        entered.verify(&self.writer.desk.policy).map_err(ceremony::failed)?;
        let statement = Statement::parse(&entered.bytes).map_err(Failure::wrong)?;
        // What was compared is what the log said; what is kept is what it has proved.
        if !matches!(statement.body(), Body::Record(record) if item.entry.says_the_same_as(record)) {
            let message =
                format!("entry {} is another than the log shows in the register", shown.entry.index);
            return Err(Failure::Wrong(message));
        }
        keep(item, &statement, &entered.receipt)?;
        Ok(became(item, "unchanged", shown.entry.index.get(), &statement))
    }

    /// Sends what is to be sent. A statement that was overtaken may be written anew once, where the clerk allows it.
    fn send(&mut self, items: &[Item], steps: Vec<Step>, may_rewrite: bool) -> Result<Vec<Became>, Failure> {
        let outgoing = |step: &Step| match step {
            Step::Send(outgoing) => Some(outgoing.statement.to_bytes()),
            _ => None,
        };
        let statements: Vec<Vec<u8>> = steps.iter().filter_map(outgoing).collect();
        let posted = match statements.as_slice() {
            [] => Vec::new(),
            [one] => vec![self.client().post(one).map_err(ceremony::failed)?],
            many => self.client().post_batch(many).map_err(ceremony::failed)?,
        };
        let mut receipts = self.receipts(&posted)?.into_iter();
        let mut posted = posted.into_iter();
        let (mut out, mut fates, mut ended) = (Vec::with_capacity(items.len()), Vec::new(), Vec::new());
        for (item, step) in items.iter().zip(steps) {
            let Outgoing { statement, is_new } = match step {
                Step::Done(became) => {
                    out.push(became);
                    continue;
                }
                Step::Send(outgoing) => outgoing,
                Step::Write => unreachable!("everything was written"),
            };
            let (became, fate, is_its_end) = match posted.next() {
                Some(Posted::Placed(placed)) => {
                    let proof = receipts.next().expect("a receipt for each entry");
                    let became = self.entered(item, &statement, placed.index, &proof)?;
                    (became, Fate::Entered(placed.index.get()), false)
                }
                Some(Posted::Refused(refusal)) => {
                    let (became, fate) = self.refused(item, &refusal, may_rewrite)?;
                    (became, fate, is_new && remains::is_about_the_statement(&refusal))
                }
                None => unreachable!("an outcome for each statement"),
            };
            fates.push((statement.identity(), fate));
            ended.push((out.len(), item, statement, is_its_end));
            out.push(became);
        }
        self.journal.became(&fates).map_err(Failure::failed)?;
        // Not before the journal says so: a statement that may be sent again must find its values.
        for ((at, item, statement, is_its_end), (_, fate)) in ended.iter().zip(&fates) {
            let became: &mut Became = &mut out[*at];
            match fate {
                Fate::Entered(_) => remains::forget_rivals(&self.journal, &item.stem, statement)?,
                _ => {
                    let desk = self.writer.desk;
                    let kept = remains::after_refusal(desk, &item.stem, statement, *is_its_end)?;
                    became.values_kept.extend(kept);
                }
            }
        }
        Ok(out)
    }

    /// The receipts of what was placed, in order, each verified.
    fn receipts(&self, posted: &[Posted]) -> Result<Vec<TlogProof>, Failure> {
        let placed = || {
            posted
                .iter()
                .filter_map(|posted| if let Posted::Placed(placed) = posted { Some(placed) } else { None })
        };
        let policy = &self.writer.desk.policy;
        let missing: Vec<(LeafIndex, Hash)> = placed()
            .filter(|placed| placed.receipt.is_none())
            .map(|placed| (placed.index, placed.leaf))
            .collect();
        let mut fetched = self.client().receipts(&missing, policy).map_err(ceremony::failed)?.into_iter();
        placed()
            .map(|placed| match &placed.receipt {
                None => Ok(fetched.next().expect("one for each that was missing")),
                Some(proof) => {
                    receipt::verify(proof, &placed.leaf, policy).map_err(ceremony::failed)?;
                    Ok(proof.clone())
                }
            })
            .collect()
    }

    fn entered(
        &self,
        item: &Item,
        statement: &Statement,
        index: LeafIndex,
        proof: &TlogProof,
    ) -> Result<Became, Failure> {
        writer::upload_values(self.writer.desk, self.writer.officers, statement, &item.stem)?;
        keep(item, statement, proof)?;
        Ok(became(item, "entered", index.get(), statement))
    }

    fn refused(
        &mut self,
        item: &Item,
        refusal: &Refusal,
        may_rewrite: bool,
    ) -> Result<(Became, Fate), Failure> {
        if !refusal.is_stale() {
            let detail = ceremony::refused(&item.name, refusal);
            return Ok((refusal_of(item, refusal, detail.message()), Fate::Refused));
        }
        let latest = match &item.entry.key {
            Some(key) => self.client().latest(&self.writer.chain(key)).map_err(ceremony::failed)?,
            None => None,
        };
        let Some(shown) = latest else {
            return Ok((overtaken(item, None), Fate::Refused));
        };
        let index = shown.entry.index.get();
        // Somebody has entered the very same: nobody's words are lost.
        if says_the_same(item, &shown) {
            return Ok((self.unchanged(item, &shown)?, Fate::Overtaken(index)));
        }
        if !(may_rewrite && self.options.on_top && item.entry.previous.is_none()) {
            return Ok((overtaken(item, Some(index)), Fate::Overtaken(index)));
        }
        let step = self.write_one(item, Some(&shown))?;
        if let Step::Send(outgoing) = &step {
            self.journal.signed(&[(item.digest, outgoing.statement.clone())]).map_err(Failure::failed)?;
        }
        let mut rewritten = self.send(std::slice::from_ref(item), vec![step], false)?;
        let became = rewritten.pop().expect("one outcome for one record");
        Ok((became, Fate::Overtaken(index)))
    }
}

fn send_again(signed: &Signed) -> Step {
    Step::Send(Outgoing { statement: signed.statement.clone(), is_new: false })
}

/// The first records, of which no two have one key: later versions are written when earlier ones are in the log.
fn batch(items: &[Item]) -> &[Item] {
    let mut keys = HashSet::new();
    let fits = items.iter().take(RECORDS_BATCH);
    let count = fits.take_while(|item| item.entry.key.as_ref().is_none_or(|key| keys.insert(key))).count();
    &items[..count.max(1)]
}

fn says_the_same(item: &Item, shown: &Shown) -> bool {
    let record: Option<&Record> = if let Body::Record(record) = &shown.body { Some(record) } else { None };
    record.is_some_and(|record| item.entry.says_the_same_as(record))
}

/// Keeps statement and receipt, the statement first: a receipt of nothing would help nobody.
fn keep(item: &Item, statement: &Statement, proof: &TlogProof) -> Result<(), Failure> {
    let path = item.statement_path();
    files::replace_soon(&path, &statement.to_bytes()).map_err(Failure::failed)?;
    files::replace_soon(&with_ending(&path, RECEIPT_ENDING), &proof.to_bytes()).map_err(Failure::failed)
}

fn key_of(statement: &Statement) -> Option<String> {
    if let Body::Record(record) = statement.body() { Some(record.key.to_string()) } else { None }
}

fn became(item: &Item, state: &'static str, index: u64, statement: &Statement) -> Became {
    let path = item.statement_path();
    Became {
        input: item.name.clone(),
        state,
        index: Some(index),
        leaf_hash: Some(statement.leaf_hash().to_string()),
        key: key_of(statement),
        receipt: Some(with_ending(&path, RECEIPT_ENDING)),
        statement: Some(path),
        reason: None,
        detail: None,
        values_kept: Vec::new(),
    }
}

fn not_in(item: &Item, state: &'static str, index: Option<u64>, reason: &str, detail: String) -> Became {
    Became {
        input: item.name.clone(),
        state,
        index,
        leaf_hash: None,
        key: item.entry.key.as_ref().map(ToString::to_string),
        statement: None,
        receipt: None,
        reason: Some(reason.to_owned()),
        detail: Some(detail),
        values_kept: Vec::new(),
    }
}

fn refusal_of(item: &Item, refusal: &Refusal, detail: &str) -> Became {
    let reason = refusal.reason.as_deref().unwrap_or(&refusal.kind);
    not_in(item, "refused", None, reason, detail.to_owned())
}

fn overtaken(item: &Item, by: Option<u64>) -> Became {
    let key = item.entry.key.as_ref().map(ToString::to_string).unwrap_or_default();
    let entry = by.map_or_else(|| "another entry".to_owned(), |index| format!("entry {index}"));
    let detail = format!(
        "{}: somebody else has entered a version of {key:?} that yours was not written on: {entry}. Look at it with \
         `daybook history`, change your record and submit it again; or, if yours is right as it is, submit it with \
         --on-top",
        item.name
    );
    not_in(item, "overtaken", by, "stale_previous", detail)
}

fn interrupted(failure: &Failure, done: &[Became], total: usize) -> Failure {
    let entered = done.iter().filter(|became| became.is_in()).count();
    let note = format!(
        "{}\n{entered} of {total} records are in the log, with their receipts. Run the same command again: it goes on \
         where it stopped, and nothing is entered twice",
        failure.message()
    );
    match failure {
        Failure::Wrong(_) => Failure::Wrong(note),
        Failure::Malformed(_) => Failure::Malformed(note),
        Failure::Failed(_) | Failure::Shown(_) => Failure::Failed(note),
    }
}
