//! A road between a client and a log: everything that goes to the log is overheard, and one request can be held up while
//! something else happens.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a request that is to be held up may take to come.
const COMES_WITHIN: Duration = Duration::from_secs(60);

/// A road.
#[derive(Debug)]
pub struct Road {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
    held: Receiver<()>,
    go: SyncSender<()>,
}

/// What the threads of a road share.
struct Way {
    heard: Arc<Mutex<Vec<u8>>>,
    hold: Option<&'static [u8]>,
    was_held: AtomicBool,
    held: SyncSender<()>,
    go: Mutex<Receiver<()>>,
}

impl Road {
    /// A road on which nothing is held up.
    ///
    /// # Panics
    /// If there is no address for it; here and below.
    #[must_use]
    pub fn to(log: SocketAddr) -> Self {
        Self::new(log, None)
    }

    /// A road on which the first request with these bytes waits for [`Road::open`].
    #[must_use]
    pub fn holding(log: SocketAddr, hold: &'static [u8]) -> Self {
        Self::new(log, Some(hold))
    }

    fn new(log: SocketAddr, hold: Option<&'static [u8]>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ((tell, held), (go, wait)) = (sync_channel(1), sync_channel(1));
        let way = Way {
            heard: Arc::clone(&heard),
            hold,
            was_held: AtomicBool::new(false),
            held: tell,
            go: Mutex::new(wait),
        };
        let way = Arc::new(way);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(log)) = (client, TcpStream::connect(log)) else { return };
                let way = Arc::clone(&way);
                std::thread::spawn(move || way.carry(client, log));
            }
        });
        Self { address, heard, held, go }
    }

    /// The log's URL, as the client knows it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that went to the log.
    #[must_use]
    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().expect("not poisoned").clone()
    }

    /// Whether these bytes went to the log.
    #[must_use]
    pub fn has_heard(&self, bytes: &[u8]) -> bool {
        self.heard().windows(bytes.len()).any(|window| window == bytes)
    }

    /// Waits until the request that is to be held up has come.
    pub fn wait(&self) {
        self.held.recv_timeout(COMES_WITHIN).expect("the request comes");
    }

    /// Lets it go on.
    pub fn open(&self) {
        self.go.send(()).expect("it waits");
    }
}

impl Way {
    fn carry(&self, mut client: TcpStream, mut log: TcpStream) {
        let (Ok(mut from_log), Ok(mut to_client)) = (log.try_clone(), client.try_clone()) else { return };
        let back = std::thread::spawn(move || {
            let _ = std::io::copy(&mut from_log, &mut to_client);
            let _ = to_client.shutdown(std::net::Shutdown::Both);
        });
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = client.read(&mut buffer) {
            let piece = &buffer[..read];
            self.heard.lock().expect("not poisoned").extend_from_slice(piece);
            let is_it = |hold: &[u8]| piece.windows(hold.len()).any(|window| window == hold);
            if self.hold.is_some_and(is_it) && !self.was_held.swap(true, Ordering::SeqCst) {
                let _ = self.held.send(());
                let _ = self.go.lock().expect("not poisoned").recv();
            }
            if log.write_all(piece).is_err() {
                break;
            }
        }
        let _ = log.shutdown(std::net::Shutdown::Both);
        let _ = back.join();
    }
}
