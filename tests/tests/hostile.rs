//! What someone does who means no good, or whose client is broken: the listener answers, and goes on.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tests::server::{Answer, Site, exchange, exchange_raw, read_some};

const ENTRY: (&str, &str) = ("content-type", "application/octet-stream");

fn kind(answer: &Answer) -> String {
    answer.json()["type"].as_str().expect("a type").trim_start_matches("urn:daybook:problem:").to_owned()
}

/// Reads until so many bytes are there that the text occurs.
fn read_until(stream: &mut TcpStream, text: &str) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = read_some(stream, &mut buffer).expect("an answer in time");
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&buffer[..count]);
        let so_far = String::from_utf8_lossy(&all).into_owned();
        if so_far.contains(text) {
            return so_far;
        }
    }
}

#[test]
fn an_answer_does_not_wait_for_the_rest_of_the_next_request() {
    let site = Site::new("open");
    let server = site.start();
    let mut stream = TcpStream::connect(server.address()).expect("connected");
    let first = b"GET /checkpoint HTTP/1.1\r\nhost: x\r\n\r\nGET /log.json HT";
    stream.write_all(first).expect("sent");
    assert!(read_until(&mut stream, "\r\n\r\n").starts_with("HTTP/1.1 200"));
    stream.write_all(b"TP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    read_until(&mut stream, "\"origin\"");
}

#[test]
fn what_is_no_request_is_told_so() {
    let site = Site::new("open");
    let server = site.start();
    let long = format!("GET /checkpoint HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(20_000));
    let many = format!("GET /checkpoint HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(100));
    for (request, status) in [
        ("GARBAGE\r\n\r\n", 400),
        ("GET /checkpoint HTTP/9.9\r\nhost: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", 400),
        ("GET / HTTP/1.1\r\nbad header: x\r\n\r\n", 400),
        (long.as_str(), 431),
        (many.as_str(), 431),
    ] {
        let answer = exchange_raw(server.address(), request.as_bytes()).expect("an answer");
        assert_eq!(answer.status, status, "{}", &request[..request.len().min(60)]);
    }
    let smuggled = b"POST /add HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\
        transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /add HTTP/1.1\r\n\r\n";
    let answer = exchange_raw(server.address(), smuggled).expect("an answer");
    assert_eq!((answer.status, kind(&answer).as_str()), (411, "length-required"));
    assert_eq!(server.checkpoint(&site.policy()).head().size.get(), 0);
}

#[test]
fn contradictory_or_encoded_bodies_are_415() {
    let site = Site::new("open");
    let server = site.start();
    let refused: [&[(&str, &str)]; 5] = [
        &[ENTRY, ("content-type", "text/plain")],
        &[("content-type", "")],
        &[ENTRY, ("content-encoding", "gzip")],
        &[ENTRY, ("content-encoding", "identity"), ("content-encoding", "br")],
        &[("content-type", "multipart/form-data; boundary=application/octet-stream")],
    ];
    for headers in refused {
        for path in ["/add", "/add-batch"] {
            let answer = server.send("POST", path, headers, &[0, 1, 7]);
            assert_eq!(
                (answer.status, kind(&answer).as_str()),
                (415, "unsupported-media-type"),
                "{headers:?}"
            );
        }
    }
    let taken: [&[(&str, &str)]; 3] = [
        &[],
        &[("content-type", "Application/Octet-Stream; x=y")],
        &[ENTRY, ("content-encoding", "identity")],
    ];
    for headers in taken {
        assert_eq!(server.send("POST", "/add", headers, b"an entry").status, 200, "{headers:?}");
    }
}

#[test]
fn odd_methods_and_queries_change_nothing() {
    let site = Site::new("open");
    let server = site.start();
    assert_eq!(server.add(b"an entry"), 0);
    for method in ["OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "get", "BREW"] {
        for path in ["/checkpoint", "/tile/0/000.p/1", "/add", "/entry/0", "/", "/ct/v1/get-sth"] {
            let answer = server.send(method, path, &[], b"");
            let expected = if method == "CONNECT" { vec![400, 404, 405] } else { vec![405] };
            assert!(expected.contains(&answer.status), "{method} {path}: {}", answer.status);
            if answer.status == 405 {
                let allowed = if path == "/add" { "POST" } else { "GET, HEAD" };
                assert_eq!(answer.header("allow"), allowed, "{method} {path}");
            }
        }
    }
    assert_eq!(server.send("OPTIONS", "*", &[], b"").status, 404);
    for path in ["/add?", "/checkpoint?a=/../..", "/?%00", "/ct/v1/get-entries?start=0&end=0&&", "/entry/0?0"]
    {
        let answer = server.get(path);
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
    for query in ["start=-1&end=1", "start=0&end=%30%31", "start=0;end=1", "start=00&end=+1", "start=0&end="]
    {
        let answer = server.get(&format!("/ct/v1/get-entries?{query}"));
        let expected = if query == "start=0&end=%30%31" { 200 } else { 400 };
        assert!(answer.status == expected || query == "start=00&end=+1", "{query}: {}", answer.status);
    }
    let huge = server.get("/ct/v1/get-entries?start=0&end=18446744073709551615").json();
    assert_eq!(huge["entries"].as_array().expect("a list").len(), 1, "as many as there are");
    assert_eq!(server.checkpoint(&site.policy()).head().size.get(), 1);
}

#[test]
fn head_is_get_without_a_body() {
    let site = Site::new("open");
    let server = site.start();
    assert_eq!(server.add(b"an entry"), 0);
    for path in
        ["/checkpoint", "/tile/entries/000.p/1", "/entry/0", "/log.json", "/", "/nothing", "/ct/v1/get-sth"]
    {
        let (get, head) = (server.get(path), server.send("HEAD", path, &[], b""));
        assert!(head.body.is_empty(), "{path}");
        let relevant = |answer: &Answer| {
            let names =
                ["content-type", "content-length", "cache-control", "vary", "access-control-allow-origin"];
            (answer.status, names.map(|name| answer.header(name).to_owned()))
        };
        assert_eq!(relevant(&get), relevant(&head), "{path}");
    }
}

#[test]
fn a_body_that_stops_coming_is_408_and_others_are_served_meanwhile() {
    let site = Site::new("open");
    let server = site.start();
    let stalled: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).expect("connected");
            let head = "POST /add HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\nthe beginning";
            stream.write_all(head.as_bytes()).expect("sent");
            stream
        })
        .collect();
    for number in 0..50 {
        assert_eq!(server.add(format!("entry {number}").as_bytes()), number);
    }
    for mut stream in stalled {
        let answer = read_until(&mut stream, "too-slow");
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    assert_eq!(server.checkpoint(&site.policy()).head().size.get(), 50, "no half of a body was stored");
}

fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(found) = found() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it does not happen within half a minute");
}

#[test]
fn a_client_with_too_many_connections_is_429_until_it_closes_some() {
    let site = Site::new("open");
    site.configure("connections_per_client_max = 1024", "connections_per_client_max = 4");
    let server = site.start();
    let address: SocketAddr = server.address();
    let held: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(address).expect("connected")).collect();
    let refused =
        until(|| exchange(address, "GET", "/checkpoint", &[], b"").ok().filter(|a| a.status != 200));
    assert_eq!((refused.status, kind(&refused).as_str()), (429, "too-many-connections"));
    let seconds: u32 = refused.header("retry-after").parse().expect("a number of seconds");
    assert!((1..=5).contains(&seconds), "{seconds}");
    assert_eq!(server.admin("/livez").status, 200, "the admin listener counts by itself");
    drop(held);
    until(|| exchange(address, "GET", "/checkpoint", &[], b"").ok().filter(|a| a.status == 200));
}

#[test]
fn a_full_server_says_503_and_when_to_come_back() {
    let site = Site::new("open");
    site.configure("connections_max = 4096", "connections_max = 2");
    let server = site.start();
    let _held: Vec<TcpStream> =
        (0..2).map(|_| TcpStream::connect(server.address()).expect("connected")).collect();
    let refused = until(|| exchange(server.address(), "GET", "/", &[], b"").ok().filter(|a| a.status != 200));
    assert_eq!((refused.status, kind(&refused).as_str()), (503, "busy"));
    assert!(!refused.header("retry-after").is_empty());
}
