//! A log that lies on demand: an HTTP server over entries in memory, with keys that are the same in every run.
//!
//! It serves what its script says: any tree it can make up, under any head it signs, and for single paths whatever
//! a server can do to a reader. What it signs is really signed, so that what a monitor makes of it is real as well.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tlog::checkpoint::Checkpoint;
use tlog::hash::{Hash, leaf_hash, node_hash};
use tlog::ids::{LeafIndex, Origin, TreeHead, TreeSize};
use tlog::note::Note;
use tlog::proof::plan_inclusion;
use tlog::sign::{CosignerEd25519, Ed25519Signer};
use tlog::tile::{Bundle, TilePath, hash_tiles, tile_at};
use tlog::tlog_proof::TlogProof;
use tlog::tree::root_of;

/// Pause between two bytes of a body that drips.
const DRIP: Duration = Duration::from_millis(20);

/// What a path is answered with, where it is not the tree's own object.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status and a body.
    Body(u16, Vec<u8>),
    /// A body with another header line.
    Titled(String, Vec<u8>),
    /// The body as often as said, and then status 500.
    Times(usize, Vec<u8>),
    /// A body that ends before its declared length.
    CutShort(Vec<u8>),
    /// A byte now and then.
    Drip,
    /// A body without end.
    Endless,
    /// Nothing: the connection is closed.
    Hangup,
}

/// A tree, by its entries.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// The entries, in order.
    pub entries: Vec<Vec<u8>>,
    leaves: Vec<Hash>,
}

impl Tree {
    /// A tree of so many entries, each of which says where it is.
    #[must_use]
    pub fn of(count: u64) -> Self {
        Self::named("entry", count)
    }

    /// Another tree of so many entries.
    #[must_use]
    pub fn named(name: &str, count: u64) -> Self {
        let mut tree = Self::default();
        (0..count).for_each(|index| tree.push(format!("{name} {index}").into_bytes()));
        tree
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: Vec<u8>) {
        self.leaves.push(leaf_hash(&entry));
        self.entries.push(entry);
    }

    /// The same tree with another entry at a place.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn with(&self, index: usize, entry: &[u8]) -> Self {
        let mut tree = self.clone();
        tree.leaves[index] = leaf_hash(entry);
        tree.entries[index] = entry.to_vec();
        tree
    }

    /// Its first entries.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        Self { entries: self.entries[..count].to_vec(), leaves: self.leaves[..count].to_vec() }
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size(), root: root_of(&self.leaves) }
    }

    fn size(&self) -> TreeSize {
        TreeSize::new(self.leaves.len() as u64).expect("a small tree")
    }

    fn node(&self, height: u32, index: u64) -> Hash {
        let first = usize::try_from(index << height).expect("a small tree");
        let mut level = self.leaves[first..first + (1 << height)].to_vec();
        while level.len() > 1 {
            level = level.chunks(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
        }
        level[0]
    }

    /// An object of the tree; partial ones only as wide as some tree with these beginnings has them.
    #[must_use]
    pub fn object(&self, path: TilePath) -> Option<Vec<u8>> {
        match path {
            TilePath::Hashes(tile) => {
                let most = tile_at(tile.level(), tile.index(), self.size())?;
                (tile.width() <= most.width()).then(|| {
                    let at = |offset| self.node(8 * u32::from(tile.level()), tile.index() * 256 + offset);
                    (0..u64::from(tile.width())).flat_map(|offset| *at(offset).as_bytes()).collect()
                })
            }
            TilePath::Entries(bundle) => {
                let first = usize::try_from(bundle.index() * 256).ok()?;
                let entries = self.entries.get(first..first + usize::from(bundle.width()))?;
                let mut bytes = Vec::new();
                entries.iter().for_each(|entry| tlog::bundle::push_entry(&mut bytes, entry).expect("short"));
                Some(bytes)
            }
        }
    }

    /// Writes the tree into a folder, as somebody who copies a log has it: everything but a checkpoint.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn copy_to(&self, folder: &std::path::Path) {
        for tile in hash_tiles(self.size()) {
            let mut paths = vec![TilePath::Hashes(tile)];
            if tile.level() == 0 {
                paths.push(TilePath::Entries(Bundle::new(tile.index(), tile.width()).expect("a bundle")));
            }
            for path in paths {
                let file = folder.join(path.to_string());
                std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
                std::fs::write(file, self.object(path).expect("an object of the tree")).expect("written");
            }
        }
    }

    /// The inclusion proof of an entry.
    ///
    /// # Panics
    /// If there is no such entry.
    #[must_use]
    pub fn inclusion(&self, index: u64) -> Vec<Hash> {
        let plan =
            plan_inclusion(LeafIndex::new(index).expect("an index"), self.size()).expect("in the tree");
        let hashes: Vec<Hash> =
            plan.nodes().iter().map(|node| self.node(u32::from(node.height), node.index)).collect();
        plan.finish(&hashes).expect("as many as planned")
    }
}

/// The keys of the log and of three witnesses, the same in every run.
#[derive(Debug)]
pub struct Keys {
    origin: Origin,
    log: Ed25519Signer,
    /// The log's other key, where a policy names both.
    second: Ed25519Signer,
    witnesses: Vec<CosignerEd25519>,
}

impl Keys {
    /// Of the log with this name.
    ///
    /// # Panics
    /// If it is no name.
    #[must_use]
    pub fn new(origin: &str) -> Self {
        let name = |number: u8| format!("witness-{number}.example").parse().expect("a name");
        Self {
            origin: origin.parse().expect("an origin"),
            log: Ed25519Signer::from_seed(origin.parse().expect("a name"), &[1; 32]),
            second: Ed25519Signer::from_seed(origin.parse().expect("a name"), &[7; 32]),
            witnesses: (2..5).map(|number| CosignerEd25519::from_seed(name(number), &[number; 32])).collect(),
        }
    }

    /// The policy: two of three witnesses, or none.
    #[must_use]
    pub fn policy(&self, witnessed: bool) -> String {
        let mut text = format!("log {}\n", self.log.verifier_key());
        for (at, witness) in self.witnesses.iter().enumerate() {
            text.push_str(&format!("witness w{at} {}\n", witness.verifier_key()));
        }
        text + if witnessed { "group all 2 w0 w1 w2\nquorum all\n" } else { "quorum none\n" }
    }

    /// The policy with both keys of the log.
    #[must_use]
    pub fn policy_of_two(&self) -> String {
        format!("log {}\n{}", self.second.verifier_key(), self.policy(true))
    }

    /// A checkpoint that the log's other key signed.
    ///
    /// # Panics
    /// If it is no note.
    #[must_use]
    pub fn sign_second(&self, head: TreeHead) -> Vec<u8> {
        let text = Checkpoint::new(self.origin.clone(), head).to_text();
        let line = self.second.sign(&text);
        Note::new(text, vec![line]).expect("a note").to_bytes()
    }

    /// A signed checkpoint with an extension line of so many letters.
    ///
    /// # Panics
    /// If it is no note.
    #[must_use]
    pub fn sign_long(&self, head: TreeHead, letters: usize) -> Vec<u8> {
        let text =
            format!("{}{}\n", Checkpoint::new(self.origin.clone(), head).to_text(), "x".repeat(letters));
        let line = self.log.sign(&text);
        Note::new(text, vec![line]).expect("a note").to_bytes()
    }

    /// A signed checkpoint, cosigned by these witnesses at this time in seconds.
    ///
    /// # Panics
    /// If it is no note.
    #[must_use]
    pub fn sign(&self, head: TreeHead, cosigners: &[usize], seconds: u64) -> Vec<u8> {
        let times: Vec<(usize, u64)> = cosigners.iter().map(|at| (*at, seconds)).collect();
        self.sign_each(head, &times)
    }

    /// The same, each witness at a time of its own.
    ///
    /// # Panics
    /// If it is no note.
    #[must_use]
    pub fn sign_each(&self, head: TreeHead, cosigners: &[(usize, u64)]) -> Vec<u8> {
        let text = Checkpoint::new(self.origin.clone(), head).to_text();
        let mut lines = vec![self.log.sign(&text)];
        lines.extend(cosigners.iter().map(|(at, seconds)| self.witnesses[*at].cosign(&text, *seconds)));
        Note::new(text, lines).expect("a note").to_bytes()
    }

    /// A receipt for an entry under a head of this tree.
    ///
    /// # Panics
    /// If there is no such entry.
    #[must_use]
    pub fn receipt(&self, tree: &Tree, index: u64, seconds: u64) -> Vec<u8> {
        let checkpoint = Note::parse(&self.sign(tree.head(), &[0, 1], seconds)).expect("a note");
        let index_ = LeafIndex::new(index).expect("an index");
        TlogProof { extra: None, index: index_, proof: tree.inclusion(index), checkpoint }.to_bytes()
    }
}

/// What the server says now.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The checkpoint.
    pub checkpoint: Vec<u8>,
    /// The tree whose objects are served.
    pub tree: Tree,
    /// Answers for single paths, without the first slash.
    pub replies: BTreeMap<String, Reply>,
    /// Every path that was asked for, once.
    pub asked: BTreeSet<String>,
}

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct Liar {
    /// Read by the threads that answer.
    script: Arc<Mutex<Script>>,
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Liar {
    /// A server that says nothing yet.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (script, ended) = (Arc::new(Mutex::new(Script::default())), Arc::new(AtomicBool::new(false)));
        let (shared, over) = (Arc::clone(&script), Arc::clone(&ended));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(stream), script, over) = (stream, Arc::clone(&shared), Arc::clone(&over)) else {
                    continue;
                };
                std::thread::spawn(move || {
                    // A reader that goes away is what some of these replies are for.
                    let _ = answer(stream, &script, &over);
                });
            }
        });
        Self { script, address, ended }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it says.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a tree under a checkpoint, and lies about nothing else.
    pub fn serve(&self, tree: &Tree, checkpoint: Vec<u8>) {
        *self.script() = Script { checkpoint, tree: tree.clone(), ..Script::default() };
    }

    /// Answers one path otherwise.
    pub fn reply(&self, path: &str, reply: Reply) {
        self.script().replies.insert(path.to_owned(), reply);
    }

    /// Is honest about single paths again.
    pub fn heal(&self) {
        self.script().replies.clear();
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(stream: TcpStream, script: &Mutex<Script>, ended: &AtomicBool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        let path = request.split(' ').nth(1).unwrap_or("").trim_start_matches('/').to_owned();
        let reply = {
            let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
            script.asked.insert(path.clone());
            if let Some(Reply::Times(left, body)) = script.replies.get_mut(&path) {
                let (again, body) = (*left > 0, body.clone());
                *left = left.saturating_sub(1);
                if again { Reply::Body(200, body) } else { Reply::Body(500, Vec::new()) }
            } else {
                honest_or_not(&script, &path)
            }
        };
        if !send(&mut stream, reply, ended)? {
            return Ok(());
        }
    }
}

fn honest_or_not(script: &Script, path: &str) -> Reply {
    if let Some(reply) = script.replies.get(path) {
        return reply.clone();
    }
    let found = if path == "checkpoint" {
        Some(script.checkpoint.clone())
    } else {
        path.parse().ok().and_then(|path| script.tree.object(path))
    };
    found.map_or(Reply::Body(404, Vec::new()), |body| Reply::Body(200, body))
}

/// `true` while the connection goes on.
fn send(stream: &mut TcpStream, reply: Reply, ended: &AtomicBool) -> std::io::Result<bool> {
    let head =
        |status: u16, length: usize| format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n");
    match reply {
        Reply::Body(status, body) => {
            stream.write_all(head(status, body.len()).as_bytes())?;
            stream.write_all(&body)?;
            return Ok(true);
        }
        Reply::Titled(header, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 200 x\r\n{header}\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            stream.write_all(&body)?;
            return Ok(true);
        }
        Reply::CutShort(body) => {
            stream.write_all(head(200, body.len() + 1).as_bytes())?;
            stream.write_all(&body)?;
        }
        Reply::Drip => {
            stream.write_all(head(200, 1_000_000).as_bytes())?;
            while !ended.load(Ordering::Acquire) {
                stream.write_all(b"x")?;
                std::thread::sleep(DRIP);
            }
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n")?;
            let chunk = [b"10000\r\n".as_slice(), &[0; 0x1_0000], b"\r\n"].concat();
            while !ended.load(Ordering::Acquire) {
                stream.write_all(&chunk)?;
            }
        }
        // Counted where it is looked up.
        Reply::Times(..) | Reply::Hangup => (),
    }
    Ok(false)
}
