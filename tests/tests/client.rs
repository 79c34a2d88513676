//! The client of a log of records, against logs that are busy, break off, or lie.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use daybook::client::{Client, ClientError, Posted};
use tests::server::read_some;
use tlog::hash::leaf_hash;

/// What the log does with one request.
#[derive(Clone, Debug)]
enum Does {
    /// Answers.
    Answers(u16, &'static str, String),
    /// Takes the request and closes the connection.
    BreaksOff,
}

/// A log that does one thing after the other, the last one for ever; and the bodies that it was sent.
fn log(does: Vec<Does>) -> (Client, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&bodies);
    std::thread::spawn(move || {
        let mut does = does.into_iter().peekable();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut all = Vec::new();
            let mut buffer = [0; 4096];
            let body = loop {
                let read = read_some(&mut stream, &mut buffer).unwrap();
                all.extend_from_slice(&buffer[..read]);
                let Some(at) = all.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
                let head = String::from_utf8_lossy(&all[..at]).to_ascii_lowercase();
                let length =
                    head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                if all.len() >= at + 4 + length.unwrap_or(0) {
                    break all[at + 4..].to_vec();
                }
            };
            kept.lock().unwrap().push(body);
            let now = does.next().unwrap();
            if does.peek().is_none() {
                does = vec![now.clone()].into_iter().peekable();
            }
            if let Does::Answers(status, kind, text) = now {
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nretry-after: 0\r\ncontent-length: {}\r\n\
                     connection: close\r\n\r\n{text}",
                    text.len()
                );
                stream.write_all(head.as_bytes()).unwrap();
            }
        }
    });
    (client, bodies)
}

fn problem(status: u16, kind: &str, more: &str) -> Does {
    let text =
        format!(r#"{{"type":"urn:daybook:problem:{kind}","status":{status},"detail":"A sentence."{more}}}"#);
    Does::Answers(status, "application/problem+json", text)
}

fn placed(statement: &[u8], index: u64) -> String {
    format!(r#"{{"index":{index},"leaf_hash":"{}","duplicate":false}}"#, leaf_hash(statement))
}

#[test]
fn what_a_busy_log_did_not_take_and_what_got_lost_is_sent_again_byte_for_byte() {
    let busy = || problem(503, "busy", "");
    let unknown = || problem(503, "outcome-unknown", "");
    let limited = || problem(429, "too-many", "");
    let good = Does::Answers(200, "application/json", placed(b"statement", 7));
    let (client, bodies) = log(vec![busy(), Does::BreaksOff, limited(), unknown(), good]);
    let Posted::Placed(placed) = client.post(b"statement").unwrap() else { panic!("it is placed") };
    assert_eq!(placed.index.get(), 7);
    assert_eq!(*bodies.lock().unwrap(), vec![b"statement".to_vec(); 5]);
}

#[test]
fn a_log_that_is_never_ready_is_given_up_after_a_bounded_number_of_tries() {
    let (client, bodies) = log(vec![problem(503, "not-taking-entries", "")]);
    let Err(ClientError::Problem(refusal)) = client.post(b"statement") else { panic!("it is not taken") };
    assert_eq!((refusal.status, refusal.kind.as_str()), (503, "not-taking-entries"));
    assert_eq!(bodies.lock().unwrap().len(), 6);
}

#[test]
fn a_refusal_is_an_answer_and_is_not_tried_again() {
    for (status, kind) in
        [(403, "not-allowed"), (409, "stale"), (422, "inadmissible"), (424, "attachment-missing")]
    {
        let more = r#","reason":"a_code","field":"/key","latest":{"index":4}"#;
        let (client, bodies) = log(vec![problem(status, kind, more)]);
        let Posted::Refused(refusal) = client.post(b"statement").unwrap() else { panic!("it is refused") };
        assert_eq!((refusal.status, refusal.reason.as_deref()), (status, Some("a_code")));
        assert_eq!((refusal.field.as_deref(), refusal.latest.unwrap().index.get()), (Some("/key"), 4));
        assert_eq!(bodies.lock().unwrap().len(), 1, "{kind}");
    }
}

#[test]
fn of_a_batch_everything_from_the_first_that_was_not_taken_is_sent_again_in_order() {
    let statements = [b"one".as_slice(), b"two", b"three"];
    let later = r#"{"problem":{"type":"urn:daybook:problem:busy","status":503,"detail":"Later."}}"#;
    let refused = r#"{"problem":{"type":"urn:daybook:problem:stale","status":409,"detail":"Overtaken."}}"#;
    let first = format!("{}\n{later}\n{refused}\n", placed(b"one", 1));
    let second = format!("{}\n{}\n", placed(b"two", 2), placed(b"three", 3));
    let answers = |text: String| Does::Answers(200, "application/x-ndjson", text);
    let (client, bodies) = log(vec![answers(first), answers(second)]);
    let posted = client.post_batch(&statements).unwrap();
    let indexes: Vec<u64> = posted
        .iter()
        .map(|posted| if let Posted::Placed(placed) = posted { placed.index.get() } else { 0 })
        .collect();
    assert_eq!(indexes, [1, 2, 3], "what built on one that was not taken is not judged by that");
    assert_eq!(bodies.lock().unwrap()[1], b"\0\x03two\0\x05three");
}

#[test]
fn an_answer_about_another_statement_is_not_believed() {
    let (client, _) = log(vec![Does::Answers(200, "application/json", placed(b"another", 7))]);
    assert!(matches!(client.post(b"statement"), Err(ClientError::Answer { .. })));
    let (client, _) = log(vec![Does::Answers(200, "text/html", "<p>Welcome".to_owned())]);
    assert!(matches!(client.post(b"statement"), Err(ClientError::Answer { .. })));
    let (client, _) = log(vec![Does::Answers(200, "application/x-ndjson", placed(b"one", 1))]);
    assert!(matches!(client.post_batch(&[b"one", b"two"]), Err(ClientError::Answer { .. })));
}
