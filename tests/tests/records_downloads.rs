//! Readers who ask for attachments and then take nothing: they are in nobody's way.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tests::records::{Office, World};
use tests::server::{ORIGIN, Server, Site};
use tests::uploads;
use tlog::hash::sha256;
use tokio::net::TcpSocket;

/// As many requests as one connection may have at a time.
const STREAMS: usize = 128;
/// Downloads at a time, as documented.
const DOWNLOADS: usize = 512;
/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A served log with an enrolled agency and an attachment of many pieces.
struct Scene {
    server: Server,
    _site: Site,
    world: World,
    office: Office,
    contents: Vec<u8>,
    path: String,
}

impl Scene {
    fn new(per_network: usize) -> Self {
        let site = Site::new("records");
        site.configure("network_downloads_max = 64", &format!("network_downloads_max = {per_network}"));
        let server = site.start();
        let (world, office) = (World::new(ORIGIN), Office::new("treasury.example"));
        let contents: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
        let path = format!("/blobs/{}", sha256(&contents));
        let scene = Self { _site: site, server, world, office, contents, path };
        scene.post(&scene.world.enrol(&scene.office));
        let kept = uploads::put(&scene.server, &scene.office, &scene.path, &scene.contents);
        assert_eq!(kept.status, 200, "{}", kept.text());
        scene
    }

    fn post(&self, statement: &[u8]) {
        let answer = self.server.send("POST", "/records", &[("content-type", "text/plain")], statement);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// Requests whose answers have begun and are not read, on one connection.
struct Stalled {
    answers: Vec<http::Response<Incoming>>,
    /// The connection ends without it.
    _sender: http2::SendRequest<Empty<Bytes>>,
}

impl Stalled {
    /// From an address of the loopback network; the client has room for no byte of any body.
    async fn new(from: &str, server: SocketAddr, path: &str, count: usize) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let stream = socket.connect(server).await.unwrap();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(0);
        let (mut sender, connection) =
            builder.handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        let mut answers = Vec::new();
        for _ in 0..count {
            sender.ready().await.unwrap();
            let request =
                http::Request::get(format!("http://{server}{path}")).body(Empty::<Bytes>::new()).unwrap();
            let answer = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
            answers.push(answer.expect("an answer in time").unwrap());
        }
        Self { answers, _sender: sender }
    }

    fn statuses(&self) -> Vec<u16> {
        self.answers.iter().map(|answer| answer.status().as_u16()).collect()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn readers_that_take_nothing_keep_nobody_from_writing_or_reading() {
    let scene = Scene::new(0);
    let address = scene.server.address();
    let runtime = runtime();
    let mut stalled = Vec::new();
    for _ in 0..DOWNLOADS / STREAMS {
        let held = runtime.block_on(Stalled::new("127.0.0.1", address, &scene.path, STREAMS));
        assert_eq!(held.statuses(), [200; STREAMS]);
        stalled.push(held);
    }
    // Every place is taken; what is not a download is answered as ever.
    scene.post(&scene.world.open(&scene.office, "country"));
    assert_eq!(scene.server.get("/agencies").status, 200);
    assert_eq!(uploads::put(&scene.server, &scene.office, &scene.path, &scene.contents).status, 200);
    let refused = scene.server.get(&scene.path);
    assert_eq!((refused.status, &refused.json()["type"]), (503, &"urn:daybook:problem:busy".into()));
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    // Who leaves gives its places back.
    drop(stalled);
    drop(runtime);
    let served = (0..600).find_map(|_| {
        let answer = scene.server.get(&scene.path);
        let free = answer.status == 200;
        if !free {
            std::thread::sleep(Duration::from_millis(50));
        }
        free.then_some(answer)
    });
    assert!(served.expect("a place is free again").body == scene.contents);
}

#[test]
fn one_network_has_a_share_of_the_downloads_and_the_rest_is_for_others() {
    let scene = Scene::new(4);
    let address = scene.server.address();
    let runtime = runtime();
    let held = runtime.block_on(Stalled::new("127.0.0.1", address, &scene.path, 6));
    assert_eq!(held.statuses(), [200, 200, 200, 200, 503, 503]);
    let elsewhere = runtime.block_on(Stalled::new("127.9.8.7", address, &scene.path, 1));
    assert_eq!(elsewhere.statuses(), [200], "another network has its own");
    let refused = held.answers.last().unwrap().headers();
    assert!(refused.contains_key("retry-after"));
}

#[test]
fn a_download_that_is_read_on_is_whole_whatever_stood_still_beside_it() {
    let scene = Scene::new(4);
    let address = scene.server.address();
    let whole = runtime().block_on(async {
        let _still = Stalled::new("127.0.0.1", address, &scene.path, 3).await;
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(async move { drop(connection.await) });
        let request =
            http::Request::get(format!("http://{address}{}", scene.path)).body(Empty::<Bytes>::new());
        let answer = sender.send_request(request.unwrap()).await.unwrap();
        let body = tokio::time::timeout(PATIENCE, answer.into_body().collect()).await.unwrap().unwrap();
        connection.abort();
        body.to_bytes()
    });
    assert!(whole == scene.contents);
}
