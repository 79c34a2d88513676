//! Reads a log from outside at one signed head: its lists say where things stand, and the tiles prove what stands there.
//!
//! A list is the log's word. It can leave out the end of a history, or a revocation; it cannot put in what the tree does not
//! hold, and a gap shows in the chain. [`from_copy`] takes nobody's word: it reads the whole tree and judges every entry.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::StatusCode;
use record::evidence::ProvedEntry;
use record::ids::{AgencyId, RecordKey, RegisterId};
use record::provenance::Provenance;
use record::registry::{Chain, History, JudgeError, Registry, Signatures};
use record::statement::{AttachmentContent, Body, EntryRef, Statement};
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeHead};
use tlog::tile::{TILE_WIDTH, TilePath};

use super::ProvenanceError;
use super::judge::changes_registry;
use crate::fsck::{Report, fsck};
use crate::http::records::route::encode;
use crate::prove::{ProveError, Prover};
use crate::source::{Source, SourceError, TileSource};

/// Bytes of tiles and bundles that are kept for the next proof.
const KEPT_BYTES_MAX: usize = 128 << 20;

/// Why a log does not say what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// It cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Something cannot be proved.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// What is proved is not right.
    #[error(transparent)]
    Provenance(#[from] ProvenanceError),
    /// Objects of the copy are damaged.
    #[error("{0} objects are not what the checkpoint promises; `daybook fsck` names them")]
    Damaged(usize),
    /// The log does not begin with a genesis.
    #[error("this is no log of records: its entry 0 is no genesis")]
    NoRecords,
    /// There is nothing of that name.
    #[error("the log has no {0}")]
    Nothing(String),
    /// The log lists something else.
    #[error("the log lists entry {0} as {1}, which it is not")]
    Other(LeafIndex, String),
    /// A history has a gap.
    #[error(
        "entry {0} does not follow the version before it: its `previous` names another entry, so the log has left a \
         version out"
    )]
    Gap(LeafIndex),
}

/// Whose agency, register and key a history is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordName {
    /// Whose.
    pub agency: AgencyId,
    /// In which register.
    pub register: RegisterId,
    /// Under which key.
    pub key: RecordKey,
}

impl RecordName {
    pub(super) fn chain(&self) -> Chain {
        Chain::Record(self.agency.clone(), self.register.clone(), self.key.clone())
    }

    fn path(&self) -> String {
        format!("/registers/{}/{}/records/{}", self.agency, self.register, encode(self.key.as_str()))
    }
}

impl std::fmt::Display for RecordName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} {}", self.agency, self.register, self.key.as_str())
    }
}

/// Where things stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// What is about the agency, the registrar, and their registers.
    pub registry: Vec<LeafIndex>,
    /// The versions of a record.
    pub versions: Vec<LeafIndex>,
    /// The tombstones of those versions.
    pub tombstones: Vec<LeafIndex>,
    /// Whether the whole log was read: nothing is left out.
    pub whole: bool,
}

/// A log, read at one signed head.
#[derive(Debug)]
pub struct Reader {
    source: Kept,
    checkpoint: VerifiedCheckpoint,
}

/// Remembers what it read: the proofs of a history share most of their tiles.
#[derive(Debug)]
struct Kept {
    source: Source,
    /// Never more than [`KEPT_BYTES_MAX`] bytes.
    objects: Mutex<HashMap<TilePath, Bytes>>,
}

impl TileSource for Kept {
    fn read(&self, paths: &[TilePath]) -> Result<Vec<Option<Bytes>>, SourceError> {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<TilePath> =
            paths.iter().filter(|path| !objects.contains_key(path)).copied().collect();
        let read = self.source.read(&missing)?;
        let fresh: HashMap<TilePath, Bytes> =
            missing.into_iter().zip(read).filter_map(|(path, bytes)| Some((path, bytes?))).collect();
        let found = paths.iter().map(|path| fresh.get(path).or_else(|| objects.get(path)).cloned()).collect();
        objects.extend(fresh);
        if objects.values().map(Bytes::len).sum::<usize>() > KEPT_BYTES_MAX {
            objects.clear();
        }
        Ok(found)
    }
}

impl Reader {
    /// Reads this log at this head.
    #[must_use]
    pub fn new(source: Source, checkpoint: VerifiedCheckpoint) -> Self {
        Self { source: Kept { source, objects: Mutex::default() }, checkpoint }
    }

    /// The signed head.
    #[must_use]
    pub fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }

    fn head(&self) -> TreeHead {
        self.checkpoint.head()
    }

    /// An entry, proved.
    ///
    /// # Errors
    /// [`CollectError::Prove`].
    pub fn proved(&self, index: LeafIndex) -> Result<ProvedEntry, CollectError> {
        let (entry, inclusion) = Prover::new(&self.source).entry(index, self.head())?;
        Ok(ProvedEntry { index, entry: entry.to_vec(), proof: inclusion.proof })
    }

    /// An entry that is a statement, proved.
    ///
    /// # Errors
    /// [`CollectError`].
    pub fn statement(&self, index: LeafIndex) -> Result<(Statement, ProvedEntry), CollectError> {
        let proved = self.proved(index)?;
        let statement =
            Statement::parse(&proved.entry).map_err(|error| ProvenanceError::Statement(index, error))?;
        Ok((statement, proved))
    }

    /// Where the statements stand that say who signs for an agency, as the log lists them.
    ///
    /// # Errors
    /// [`CollectError`].
    pub fn registry_places(&self, agency: &AgencyId) -> Result<Vec<LeafIndex>, CollectError> {
        let first = LeafIndex::new(0).expect("the first index");
        if self.head().size.get() == 0 {
            return Err(CollectError::NoRecords);
        }
        let (genesis, _) = self.statement(first).map_err(|_| CollectError::NoRecords)?;
        let Body::Genesis(genesis) = genesis.body() else { return Err(CollectError::NoRecords) };
        let mut places = vec![first];
        for agency in [&genesis.registrar, agency] {
            let listed = self.source.source.list(&format!("/agencies/{agency}"), self.head().size)?;
            let listed = listed.ok_or_else(|| CollectError::Nothing(format!("agency {agency}")))?;
            let about = |kind: &str| ["agency", "register", "dispute"].contains(&kind);
            let about = listed.into_iter().filter(|(_, kind)| about(kind));
            places.extend(about.map(|(index, _)| index));
        }
        places.sort_unstable();
        places.dedup();
        Ok(places)
    }

    /// Where the history of a record stands, as the log lists it.
    ///
    /// # Errors
    /// [`CollectError`].
    pub fn record_places(&self, name: &RecordName) -> Result<Places, CollectError> {
        let registry = self.registry_places(&name.agency)?;
        let history = format!("{}/history", name.path());
        let versions = self.source.source.list(&history, self.head().size)?;
        let versions = versions.ok_or_else(|| CollectError::Nothing(format!("record {name}")))?;
        let versions = versions.into_iter().map(|(index, _)| index).collect();
        Ok(Places { registry, versions, tombstones: Vec::new(), whole: false })
    }

    /// Where the statements about a register and its records stand, as the log lists them.
    ///
    /// # Errors
    /// [`CollectError`].
    pub fn register_places(
        &self,
        agency: &AgencyId,
        register: &RegisterId,
    ) -> Result<Vec<LeafIndex>, CollectError> {
        let path = format!("/registers/{agency}/{register}/entries");
        let listed = self.source.source.list(&path, self.head().size)?;
        let listed = listed.ok_or_else(|| CollectError::Nothing(format!("register {agency}/{register}")))?;
        Ok(listed.into_iter().map(|(index, _)| index).collect())
    }

    /// The statements at these places, ascending, each proved to be in the tree with all entries around it.
    ///
    /// Cost: one bundle and its tiles for each 256 entries that hold one of them.
    ///
    /// # Errors
    /// [`CollectError`].
    pub fn statements(&self, places: &[LeafIndex]) -> Result<Vec<(LeafIndex, Statement)>, CollectError> {
        let prover = Prover::new(&self.source);
        let mut found = Vec::with_capacity(places.len());
        let (mut first, mut bundle): (u64, Vec<Bytes>) = (0, Vec::new());
        for index in places {
            let at = |first: u64| index.get().checked_sub(first).and_then(|at| usize::try_from(at).ok());
            if at(first).is_none_or(|at| at >= bundle.len()) {
                (first, bundle) = (index.get(), prover.entries(*index, TILE_WIDTH, self.head())?);
            }
            let entry = at(first).and_then(|at| bundle.get(at)).expect("the bundle begins there");
            let statement =
                Statement::parse(entry).map_err(|error| ProvenanceError::Statement(*index, error))?;
            found.push((*index, statement));
        }
        Ok(found)
    }

    /// The tombstones of a version, as the log names them.
    ///
    /// Cost: one request; where nothing is left of the version also the list of its register, and the tombstones in it.
    ///
    /// # Errors
    /// [`CollectError`].
    pub fn tombstones_of(&self, name: &RecordName, leaf: &Hash) -> Result<Vec<LeafIndex>, CollectError> {
        let asked = self.source.source.ask(&format!("/records/{leaf}/disclosures"))?;
        let Some((status, document)) = asked else { return Ok(Vec::new()) };
        let mut places: Vec<LeafIndex> = if status == StatusCode::GONE {
            // The answer names only the first of them.
            let path = format!("/registers/{}/{}/entries", name.agency, name.register);
            let listed = self.source.source.list(&path, self.head().size)?.unwrap_or_default();
            let tombstones: Vec<LeafIndex> =
                listed.into_iter().filter(|(_, kind)| kind == "tombstone").map(|(index, _)| index).collect();
            let of_it = |(index, statement): (LeafIndex, Statement)| {
                let Body::Tombstone(tombstone) = statement.body() else { return None };
                (tombstone.entry.leaf == *leaf).then_some(index)
            };
            self.statements(&tombstones)?.into_iter().filter_map(of_it).collect()
        } else {
            let index = |tombstone: &serde_json::Value| LeafIndex::new(tombstone["index"].as_u64()?).ok();
            let erased = document["erased"].as_array().into_iter().flatten();
            erased.filter_map(|erased| index(&erased["tombstone"])).collect()
        };
        places.retain(|place| place.get() < self.head().size.get());
        places.sort_unstable();
        places.dedup();
        Ok(places)
    }

    /// The file that shows who signs for an agency, and the entries in `besides`.
    ///
    /// # Errors
    /// [`CollectError`].
    pub fn provenance(
        &self,
        registry: &[LeafIndex],
        besides: &[LeafIndex],
    ) -> Result<Provenance, CollectError> {
        let mut places: Vec<LeafIndex> = registry.iter().chain(besides).copied().collect();
        places.sort_unstable();
        places.dedup();
        let entries: Result<Vec<ProvedEntry>, CollectError> =
            places.into_iter().map(|index| self.proved(index)).collect();
        Ok(Provenance { checkpoint: self.checkpoint.note().clone(), entries: entries? })
    }

    /// Reads the whole log and judges every entry.
    ///
    /// # Errors
    /// [`CollectError`].
    pub fn whole(
        &self,
        seen: &mut dyn FnMut(&Judged<'_>),
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), CollectError> {
        from_copy(&self.source.source, self.head(), seen, progress)
    }
}

/// An entry of a whole copy.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Where it stands.
    pub index: LeafIndex,
    /// Its bytes.
    pub entry: &'a [u8],
    /// The statement that it is, or why the log should not have taken it.
    pub statement: Result<&'a Statement, &'a str>,
}

/// What of the entries before is needed to judge the next one.
#[derive(Default)]
struct FullCopy {
    registry: Registry,
    latest: HashMap<Hash, EntryRef>,
    /// Versions of which something can be erased.
    erasable: BTreeMap<LeafIndex, Vec<u8>>,
    texts: HashSet<Hash>,
}

impl History for FullCopy {
    type Error = Infallible;

    fn latest(&self, chain: &Chain) -> Result<Option<EntryRef>, Infallible> {
        Ok(self.latest.get(&chain.id()).copied())
    }

    fn entry(&self, index: LeafIndex) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.erasable.get(&index).cloned())
    }
}

impl FullCopy {
    fn judge(&mut self, index: LeafIndex, entry: &[u8]) -> Result<Statement, String> {
        let statement = Statement::parse(entry).map_err(|error| error.to_string())?;
        if !self.texts.insert(statement.identity()) {
            return Err("its text stands in the log already".to_owned());
        }
        let authentic = self
            .registry
            .authenticate(statement, Signatures::Check)
            .map_err(|refusal| refusal.to_string())?;
        let effect = match self.registry.judge(index, &authentic, self) {
            Ok(effect) => effect,
            Err(JudgeError::Refused(refusal)) => return Err(refusal.to_string()),
            Err(JudgeError::History(never)) => match never {},
        };
        self.latest.insert(effect.chain().id(), effect.entry());
        self.registry.apply(effect);
        let statement = authentic.into_statement();
        if can_be_erased(&statement) {
            self.erasable.insert(index, entry.to_vec());
        }
        Ok(statement)
    }
}

/// Whether a statement is a version that commits to something outside the tree.
pub(super) fn can_be_erased(statement: &Statement) -> bool {
    let Body::Record(record) = statement.body() else { return false };
    record.content.as_ref().is_some_and(|content| {
        let mut attachments = content.attachments.iter();
        let erasable =
            attachments.any(|attachment| matches!(attachment.content, AttachmentContent::Erasable(_)));
        erasable || content.sealed.is_some() || !content.erasable.is_empty()
    })
}

/// Reads every entry of the tree of `head`, in order, and judges it as admission does.
///
/// Cost: everything is read; one verification for each signature.
///
/// # Errors
/// [`CollectError`]; an entry that is not admissible is no error, `seen` is told of it.
pub fn from_copy<S: TileSource>(
    source: &S,
    head: TreeHead,
    seen: &mut dyn FnMut(&Judged<'_>),
    progress: &mut dyn FnMut(u64),
) -> Result<(), CollectError> {
    let mut copy = FullCopy::default();
    let mut see = |index: u64, entry: &[u8]| {
        let index = LeafIndex::new(index).expect("an index of the tree");
        let judged = copy.judge(index, entry);
        if judged.is_err() {
            copy.registry.skip(index);
        }
        let statement = judged.as_ref().map_err(String::as_str);
        seen(&Judged { index, entry, statement });
    };
    let report: Report = fsck(source, head, &mut see, progress)?;
    if report.is_good() { Ok(()) } else { Err(CollectError::Damaged(report.findings.len().max(1))) }
}

/// Where the history of a record stands, from a whole copy of the log.
///
/// # Errors
/// [`CollectError`].
pub fn places_in_copy(
    reader: &Reader,
    name: &RecordName,
    progress: &mut dyn FnMut(u64),
) -> Result<Places, CollectError> {
    let mut places = Places { whole: true, ..Places::default() };
    let mut leaves = HashSet::new();
    let mut registrar = None;
    let chain = name.chain();
    let mut seen = |judged: &Judged<'_>| {
        let Ok(statement) = judged.statement else { return };
        let body = statement.body();
        if let Body::Genesis(genesis) = body {
            registrar = Some(genesis.registrar.clone());
        }
        let about = *body.agency() == name.agency || registrar.as_ref() == Some(body.agency());
        if about && (changes_registry(statement) || matches!(body, Body::Dispute(_))) {
            places.registry.push(judged.index);
        }
        if Chain::of(body) == chain {
            leaves.insert(statement.leaf_hash());
            places.versions.push(judged.index);
        }
        if matches!(body, Body::Tombstone(tombstone) if leaves.contains(&tombstone.entry.leaf)) {
            places.tombstones.push(judged.index);
        }
    };
    reader.whole(&mut seen, progress)?;
    if registrar.is_none() {
        return Err(CollectError::NoRecords);
    }
    if places.versions.is_empty() {
        return Err(CollectError::Nothing(format!("record {name}")));
    }
    Ok(places)
}
