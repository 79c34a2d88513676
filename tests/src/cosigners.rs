//! Witnesses in process, honest and otherwise, as the log's courier or behind a socket.
//!
//! They assert more than a witness promises: that every request has the one form that the specification gives it, that
//! the log never shows two trees whatever it went through, and that a proof from the size asked for always holds.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use daybook::cosign::{Courier, Delivery, Inbox, Letter, Raw, Request, Undelivered};
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::hash::{Hash, sha256};
use tlog::ids::TreeHead;
use tlog::note::SignatureLine;
use tlog::policy::Policy;
use tlog::proof::check_consistency;
use tlog::sign::{CosignerEd25519, CosignerMlDsa44};
use tlog::vkey::VerifierKey;
use tlog::witness_wire::AddCheckpoint;

/// When the witnesses sign, in seconds; each cosignature is a second later than the one before.
const TIME: u64 = 1_790_000_000;

/// How a witness behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As the specification asks.
    Honest,
    /// Nothing listens.
    Down,
    /// Takes a request and does not answer before [`Witnesses::release`].
    Stalled,
    /// Answers with this, whatever it is asked.
    Says(u16, &'static str, Vec<u8>),
    /// Answers every checkpoint with 409 and this size.
    Claims(u64),
    /// Signs with other keys than its own, under its own name.
    Forges,
    /// Adds lines of strangers, and forged ones under its own name, around its own.
    Chatty,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    cosigned: TreeHead,
    /// What it shows to monitors.
    note: Option<Vec<u8>>,
}

/// One witness.
#[derive(Debug)]
pub struct Witness {
    name: String,
    ed25519: CosignerEd25519,
    ml_dsa: CosignerMlDsa44,
    state: Mutex<State>,
    asked: AtomicU64,
}

/// Some witnesses of one log.
#[derive(Debug)]
pub struct Witnesses {
    all: Vec<Witness>,
    log_keys: Mutex<Vec<VerifierKey>>,
    /// Every head that any of them was shown.
    seen: Mutex<BTreeMap<u64, Hash>>,
    held: Mutex<Vec<(Letter, Arc<Inbox>)>>,
    time: AtomicU64,
    /// Connections that were made to the sockets.
    pub connections: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Witnesses {
    /// So many witnesses that have not seen the log yet.
    ///
    /// # Panics
    /// If there are more than 200.
    #[must_use]
    pub fn new(count: usize) -> Arc<Self> {
        let witness = |number: usize| {
            let name = format!("w{number}.example/witness");
            let seed = [u8::try_from(number).expect("few"); 32];
            let key_name = || name.parse().expect("a key name");
            Witness {
                ed25519: CosignerEd25519::from_seed(key_name(), &seed),
                ml_dsa: CosignerMlDsa44::from_seed(key_name(), &seed),
                state: Mutex::new(State { mood: Mood::Honest, cosigned: TreeHead::EMPTY, note: None }),
                asked: AtomicU64::new(0),
                name: format!("w{number}"),
            }
        };
        Arc::new(Self {
            all: (1..=count).map(witness).collect(),
            log_keys: Mutex::default(),
            seen: Mutex::default(),
            held: Mutex::default(),
            time: AtomicU64::new(TIME),
            connections: AtomicU64::new(0),
        })
    }

    /// A policy that asks for so many of them; `url` gives each its address.
    ///
    /// # Panics
    /// If that is no policy.
    #[must_use]
    pub fn policy(&self, threshold: usize, url: impl Fn(usize) -> String) -> Policy {
        let mut text = String::new();
        for (at, Witness { name, ed25519, ml_dsa, .. }) in self.all.iter().enumerate() {
            let url = url(at);
            text.push_str(&format!("witness {name}-ed {} {url}\n", ed25519.verifier_key()));
            text.push_str(&format!("witness {name}-ml {} {url}\n", ml_dsa.verifier_key()));
            text.push_str(&format!("group {name} any {name}-ed {name}-ml\n"));
        }
        let names: Vec<&str> = self.all.iter().map(|witness| witness.name.as_str()).collect();
        text.push_str(&format!("group enough {threshold} {}\nquorum enough\n", names.join(" ")));
        Policy::parse(text.as_bytes()).expect("a policy")
    }

    /// Accepts the log with these keys.
    pub fn accept(&self, log_keys: &[VerifierKey]) {
        *lock(&self.log_keys) = log_keys.to_vec();
    }

    /// Changes how one of them behaves.
    pub fn set(&self, at: usize, mood: Mood) {
        lock(&self.all[at].state).mood = mood;
    }

    /// Changes how all of them behave.
    pub fn set_all(&self, mood: &Mood) {
        (0..self.all.len()).for_each(|at| self.set(at, mood.clone()));
    }

    /// Forgets what one has cosigned, as a witness restored from an old copy would.
    pub fn rewind(&self, at: usize, head: TreeHead) {
        lock(&self.all[at].state).cosigned = head;
    }

    /// Puts a note in the place where one shows its copy of the checkpoint.
    pub fn show(&self, at: usize, note: Vec<u8>) {
        lock(&self.all[at].state).note = Some(note);
    }

    /// The copy that one shows.
    #[must_use]
    pub fn shown(&self, at: usize) -> Option<Vec<u8>> {
        lock(&self.all[at].state).note.clone()
    }

    /// What one has cosigned last.
    #[must_use]
    pub fn cosigned(&self, at: usize) -> TreeHead {
        lock(&self.all[at].state).cosigned
    }

    /// How many requests one has had.
    #[must_use]
    pub fn asked(&self, at: usize) -> u64 {
        self.all[at].asked.load(Ordering::SeqCst)
    }

    /// Answers every request that a stalled witness holds, as its mood is now.
    pub fn release(&self) {
        for (letter, inbox) in std::mem::take(&mut *lock(&self.held)) {
            let delivery = self.answer(letter.witness, &letter.request);
            inbox.put(letter.number, letter.witness, delivery);
        }
    }

    /// Forgets the requests that stalled witnesses hold, as the end of the log's process does.
    pub fn hang_up(&self) {
        lock(&self.held).clear();
    }

    /// What one answers.
    ///
    /// # Panics
    /// If the request is not what a log may send.
    pub fn answer(&self, at: usize, request: &Request) -> Delivery {
        let witness = &self.all[at];
        let mut state = lock(&witness.state);
        match (state.mood.clone(), request) {
            (Mood::Down | Mood::Stalled, _) => Err(Undelivered::Network),
            (Mood::Says(status, kind, body), _) => answer(status, kind, body),
            (_, Request::Checkpoint(hash)) => {
                assert_eq!(hash.len(), 64, "the hash is in hex");
                match &state.note {
                    Some(note) => answer(200, "text/plain", note.clone()),
                    None => answer(404, "text/plain", Vec::new()),
                }
            }
            (Mood::Claims(size), _) => answer(409, "text/x.tlog.size", format!("{size}\n").into_bytes()),
            (mood, Request::AddCheckpoint(body)) => self.judge(witness, &mut state, &mood, body),
        }
    }

    fn judge(&self, witness: &Witness, state: &mut State, mood: &Mood, body: &Bytes) -> Delivery {
        let request = AddCheckpoint::parse(body).expect("a log sends well-formed requests");
        assert_eq!(request.to_bytes(), body[..], "in the one form that they have");
        let keys = lock(&self.log_keys).clone();
        let checkpoint =
            VerifiedCheckpoint::verify(&request.checkpoint, &keys).expect("a log signs what it sends");
        let head = checkpoint.head();
        let before = lock(&self.seen).insert(head.size.get(), head.root);
        assert!(before.is_none_or(|root| root == head.root), "the log has shown two trees of {}", head.size);
        assert!(request.old <= head.size, "old is never larger than the checkpoint");
        if request.old != state.cosigned.size {
            return answer(409, "text/x.tlog.size", format!("{}\n", state.cosigned.size).into_bytes());
        }
        if check_consistency(&state.cosigned, &head, &request.proof).is_err() {
            return answer(422, "text/plain", Vec::new());
        }
        state.cosigned = head;
        let time = self.time.fetch_add(1, Ordering::SeqCst);
        let text = request.checkpoint.text();
        let mut lines =
            vec![witness.ed25519.cosign(text, time), witness.ml_dsa.cosign(checkpoint.checkpoint(), time)];
        let stranger = CosignerEd25519::from_seed("stranger.example".parse().expect("a name"), &[99; 32]);
        let forged = |line: &SignatureLine| SignatureLine::new(line.name().clone(), line.id(), vec![1; 72]);
        match mood {
            Mood::Forges => lines = lines.iter().map(forged).collect(),
            Mood::Chatty => {
                lines.insert(0, stranger.cosign(text, time));
                lines.push(forged(&lines[1]));
            }
            _ => (),
        }
        let note = request.checkpoint.signatures().iter().chain(&lines).cloned().collect();
        state.note = request.checkpoint.with_signatures(note).ok().map(|note| note.to_bytes());
        answer(
            200,
            "text/plain",
            lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes(),
        )
    }

    /// Listens with each on a socket of its own; the addresses. The threads end with the process.
    ///
    /// # Panics
    /// If there are no sockets.
    #[must_use]
    pub fn listen(self: &Arc<Self>) -> Vec<SocketAddr> {
        let open = |at: usize| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
            let address = listener.local_addr().expect("an address");
            let witnesses = Arc::clone(self);
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let witnesses = Arc::clone(&witnesses);
                    witnesses.connections.fetch_add(1, Ordering::SeqCst);
                    // A client that breaks off is no error of the test.
                    std::thread::spawn(move || witnesses.serve(at, &stream).ok());
                }
            });
            address
        };
        (0..self.all.len()).map(open).collect()
    }

    /// HTTP/1.1 with keep-alive, as much of it as the log needs.
    fn serve(&self, at: usize, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let path = line.split(' ').nth(1).unwrap_or("").to_owned();
            let mut length = 0;
            loop {
                let mut header = String::new();
                reader.read_line(&mut header)?;
                if header.trim_end().is_empty() {
                    break;
                }
                if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            self.all[at].asked.fetch_add(1, Ordering::SeqCst);
            let mood = lock(&self.all[at].state).mood.clone();
            if mood == Mood::Stalled {
                // The client gives up first.
                std::thread::park();
            }
            let request = match path.strip_suffix("/checkpoint").and_then(|path| path.rsplit('/').next()) {
                Some(hash) => Request::Checkpoint(hash.to_owned()),
                None => Request::AddCheckpoint(body.into()),
            };
            let Ok(raw) = self.answer(at, &request) else { return Ok(()) };
            let kind = raw.content_type.unwrap_or_default();
            let head = format!(
                "HTTP/1.1 {} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                raw.status,
                raw.body.len()
            );
            let mut stream = stream;
            stream.write_all(&[head.as_bytes(), &raw.body].concat())?;
        }
    }
}

fn answer(status: u16, kind: &str, body: Vec<u8>) -> Delivery {
    Ok(Raw { status, content_type: Some(kind.to_owned()), retry_after: None, body: body.into() })
}

/// The hash under which a witness shows its copy of a log's checkpoint.
#[must_use]
pub fn origin_hash(origin: &str) -> String {
    sha256(origin.as_bytes()).to_string()
}

impl Courier for Witnesses {
    fn send(&self, letter: Letter, inbox: &Arc<Inbox>) {
        let witness = &self.all[letter.witness];
        witness.asked.fetch_add(1, Ordering::SeqCst);
        let stalled = lock(&witness.state).mood == Mood::Stalled;
        if stalled {
            let mut held = lock(&self.held);
            assert!(held.iter().all(|(one, _)| one.witness != letter.witness), "one request at a time");
            held.push((letter, Arc::clone(inbox)));
            return;
        }
        let delivery = self.answer(letter.witness, &letter.request);
        inbox.put(letter.number, letter.witness, delivery);
    }
}
