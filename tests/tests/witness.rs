//! `add-checkpoint` over HTTP against the real executable. Each test is a case that witnesses got wrong, and quotes the
//! MUST of C2SP tlog-witness, tlog-checkpoint or signed-note that decides it.

use std::time::Duration;

use tests::server::read_some;
use tests::testlog::{TestLog, size};
use tests::witness::{WitnessServer, WitnessSite, cosigned};
use tlog::checkpoint::Checkpoint;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::TreeHead;
use tlog::note::{Note, SignatureLine};
use tlog::sign::Ed25519Signer;
use tlog::witness_wire::{AddCheckpoint, parse_cosignatures};

const ORIGIN: &str = "log.example/witnessed";

fn served(leaves: u64) -> (WitnessSite, WitnessServer, TestLog) {
    let (site, log) = (WitnessSite::new(), TestLog::new(ORIGIN, 1, leaves));
    site.follow(&log, &[]);
    let server = site.start();
    (site, server, log)
}

#[test]
fn an_unknown_origin_is_404() {
    // "If the checkpoint origin is unknown, the witness MUST respond with a '404 Not Found'".
    let (_site, server, _) = served(0);
    let stranger = TestLog::new("log.example/stranger", 2, 3);
    assert_eq!(server.add(&stranger.request(0, 3)).status, 404);
}

#[test]
fn a_checkpoint_without_a_good_signature_of_a_trusted_key_is_403() {
    // "403 Forbidden ... if either no signature from a trusted key for the origin is present, or a signature line's key
    // name and ID match a trusted key but the signature itself fails to verify".
    let (_site, server, log) = served(3);
    let text = log.text(3);
    let other = Ed25519Signer::from_seed(ORIGIN.parse().unwrap(), &[9; 32]);
    let (good, foreign, bad) = (log.signer.sign(&text), other.sign(&text), log.signer.sign("another\n"));
    for lines in
        [vec![foreign.clone()], vec![bad.clone()], vec![bad.clone(), good.clone()], vec![good.clone(), bad]]
    {
        let checkpoint = Note::new(text.clone(), lines).unwrap();
        let request = AddCheckpoint { old: size(0), proof: Vec::new(), checkpoint };
        assert_eq!(server.add(&request).status, 403, "{request:?}");
    }
    // "it MUST ignore signatures from unknown keys"; and of two good ones under one name and ID, both verify.
    let checkpoint = Note::new(text, vec![foreign, good.clone(), good]).unwrap();
    let request = AddCheckpoint { old: size(0), proof: Vec::new(), checkpoint };
    assert_eq!(server.add(&request).status, 200);
}

#[test]
fn what_cannot_be_read_is_400() {
    // "Signed notes MUST be valid UTF-8 and MUST NOT contain any ASCII control characters"; "Each line MUST terminate in
    // a newline"; "the ASCII decimal representation ... with no leading zeroes".
    let (_site, server, log) = served(3);
    let good = String::from_utf8(log.request(0, 3).to_bytes()).unwrap();
    let root = log.head(3).root.to_base64();
    let mut loose = root.clone();
    // The last character before the padding carries two bits that must be zero.
    let last = loose.remove(42);
    loose.insert(42, char::from_u32(last as u32 + 1).unwrap());
    let bad = [
        good.replace('\n', "\r\n"),
        good.trim_end().to_owned(),
        good.replace("\n3\n", "\n3\u{7}\n"),
        good.replace("\n3\n", "\n03\n"),
        good.replace("\n3\n", "\n+3\n"),
        good.replace("\n3\n", "\n9223372036854775808\n"),
        good.replace(&root, &root[..43]),
        good.replace(&root, &loose),
        good.replace("old 0\n\n", "old 0\n"),
        good.replace("old 0", "old  0"),
        good.replace("old 0", "new 0"),
        good.replace(&format!("{root}\n"), ""),
        String::new(),
    ];
    for body in bad {
        assert_eq!(server.add_bytes(body.as_bytes()).status, 400, "{body:?}");
    }
    let mut bytes = good.clone().into_bytes();
    bytes[8] = 0xff;
    assert_eq!(server.add_bytes(&bytes).status, 400);
    assert_eq!(server.add_bytes(good.as_bytes()).status, 200, "unchanged it is good");
}

#[test]
fn the_old_size_line_has_one_spelling() {
    // "the string `old`, a single space (0x20), and the tree size ... encoded as an ASCII decimal with no leading zeroes";
    // "The client MUST NOT send more than 63 consistency proof lines."
    let (_site, server, log) = served(3);
    let good = String::from_utf8(log.request(3, 3).to_bytes()).unwrap();
    for line in
        ["old 03", "old +3", "old 3 x", "old 3 ", "old -3", "old 0x3", "old 9223372036854775808", "old"]
    {
        let answer = server.add_bytes(good.replace("old 3", line).as_bytes());
        assert_eq!(answer.status, 400, "{line:?}");
    }
    let mut long = log.request(0, 3);
    long.proof = vec![leaf_hash(b"x"); 64];
    assert_eq!(server.add(&long).status, 400);
}

#[test]
fn an_old_size_above_the_checkpoint_is_400_and_no_evidence() {
    // "The old size MUST be equal to or lower than the checkpoint size. Otherwise ... 400".
    let (_site, server, log) = served(5);
    let mut request = log.request(0, 3);
    request.old = size(5);
    assert_eq!(server.add(&request).status, 400);
    assert_eq!(server.evidence(), 0);
}

#[test]
fn a_conflict_is_409_with_the_exact_type_and_the_size_of_what_was_cosigned() {
    // "409 Conflict ... The response body MUST consist of the tree size of the latest cosigned checkpoint in decimal,
    // followed by a newline. The response MUST have a `Content-Type` of `text/x.tlog.size`."
    let (_site, server, log) = served(9);
    let never = server.add(&log.request(5, 9));
    assert_eq!((never.status, never.header("content-type"), never.text()), (409, "text/x.tlog.size", "0\n"));
    assert_eq!(server.add(&log.request(0, 7)).status, 200);
    for old in [0, 6, 8] {
        let answer = server.add(&log.request(old, 9));
        let seen = (answer.status, answer.header("content-type"), answer.text());
        assert_eq!(seen, (409, "text/x.tlog.size", "7\n"), "old {old}");
    }
}

#[test]
fn proofs_that_are_superfluous_or_fail_are_422_and_junk_is_no_evidence() {
    // "If the proof is not empty when the old size is zero, or if a Merkle Consistency Proof doesn't verify ... 422".
    let (_site, server, log) = served(13);
    let mut padded = log.request(0, 7);
    padded.proof.push(leaf_hash(b"x"));
    assert_eq!(server.add(&padded).status, 422);
    assert_eq!(server.add(&log.request(0, 7)).status, 200);
    let mut padded = log.request(7, 7);
    padded.proof.push(leaf_hash(b"x"));
    assert_eq!(server.add(&padded).status, 422);
    let honest = log.request(7, 13);
    for at in 0..honest.proof.len() {
        let mut junk = honest.clone();
        junk.proof[at] = leaf_hash(b"junk");
        assert_eq!(server.add(&junk).status, 422);
    }
    let (mut short, mut long) = (honest.clone(), honest.clone());
    short.proof.pop();
    long.proof.push(leaf_hash(b"x"));
    assert_eq!((server.add(&short).status, server.add(&long).status), (422, 422));
    let forked = log.fork(5, 13, "fork").request(7, 13);
    assert_eq!(server.add(&forked).status, 422);
    assert_eq!(server.evidence(), 0, "a failing proof proves nothing");
    assert_eq!(server.add(&honest).status, 200, "and nothing was moved");
}

#[test]
fn another_root_for_the_cosigned_size_is_refused_and_kept_as_evidence_even_with_a_stale_old_size() {
    // "If the old size matches the checkpoint size, the witness MUST check that the root hashes are also identical ...
    // 422". And: "it might be proof of log misbehavior".
    let (site, server, log) = served(13);
    assert_eq!(server.add(&log.request(0, 13)).status, 200);
    let forked = log.fork(5, 13, "fork");
    assert_eq!(server.add(&forked.request(13, 13)).status, 422);
    assert_eq!(server.evidence(), 1);
    assert_eq!(server.add(&forked.request(13, 13)).status, 422);
    assert_eq!(server.evidence(), 1, "the same contradiction is kept once");
    let other = log.fork(5, 13, "another fork");
    assert_eq!(server.add(&other.request(4, 13)).status, 409);
    let list = server.get("/evidence").json();
    assert_eq!(list["total"], 2);
    for entry in list["evidence"].as_array().unwrap() {
        assert_eq!((entry["form"].as_str(), entry["origin"].as_str()), (Some("log-two-roots"), Some(ORIGIN)));
        let file = server.get(&format!("/evidence/{}", entry["id"].as_str().unwrap()));
        assert_eq!(file.status, 200);
        let path = site.root().join("evidence");
        std::fs::write(&path, &file.body).unwrap();
        let path = path.to_string_lossy().into_owned();
        let checked = tests::witness::daybook_witness(&["verify-evidence", &path, "--key", &log.vkey()]);
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
        let stranger = TestLog::new(ORIGIN, 7, 0).vkey();
        let checked = tests::witness::daybook_witness(&["verify-evidence", &path, "--key", &stranger]);
        assert_eq!(checked.status.code(), Some(1), "with another key it proves nothing");
    }
}

#[test]
fn a_tree_of_size_zero_has_the_empty_root_and_grows() {
    // "A checkpoint of size zero MUST have the root hash of the empty tree ... Otherwise ... 422".
    let (_site, server, log) = served(4);
    let wrong = TreeHead { size: size(0), root: leaf_hash(b"x") };
    let text = Checkpoint::new(ORIGIN.parse().unwrap(), wrong).to_text();
    let request = AddCheckpoint { old: size(0), proof: Vec::new(), checkpoint: log.sign(text, &[]) };
    assert_eq!(server.add(&request).status, 422);
    assert_eq!(server.add(&log.request(0, 0)).status, 200);
    assert_eq!(server.add(&log.request(0, 4)).status, 200);
    assert_eq!(server.add(&request).status, 422, "before the conflict");
}

#[test]
fn the_current_checkpoint_is_cosigned_again_with_a_new_time() {
    // "The signatures MUST be cosignatures from the witness key(s) on the checkpoint ... the timestamp MUST NOT be zero."
    let (site, server, log) = served(4);
    let request = log.request(0, 4);
    let first = cosigned(&server.add(&request), &request.checkpoint, &site.keys);
    assert_eq!(
        first.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(),
        site.keys,
        "both keys, Ed25519 first"
    );
    assert!(first.iter().all(|(_, seconds)| *seconds == first[0].1 && *seconds > 1_700_000_000));
    let again = log.request(4, 4);
    for _ in 0..200 {
        let answer = cosigned(&server.add(&again), &again.checkpoint, &site.keys);
        assert!(answer[0].1 >= first[0].1, "never backwards");
        if answer[0].1 > first[0].1 {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the time stands still");
}

#[test]
fn extension_lines_are_covered_by_ed25519_and_not_by_ml_dsa() {
    // "Extension lines MAY be included in the checkpoint by the log, and if present MUST be included in the cosigned
    // message"; "checkpoint extension lines are not included in the signed message for ML-DSA-44 cosignatures".
    let (site, server, log) = served(4);
    let plain = log.note(4);
    let checkpoint = log.sign(format!("{}ext one\next two\n", log.text(4)), &[]);
    let answer =
        server.add(&AddCheckpoint { old: size(0), proof: Vec::new(), checkpoint: checkpoint.clone() });
    assert_eq!(cosigned(&answer, &checkpoint, &site.keys).len(), 2);
    let lines = parse_cosignatures(&answer.body).unwrap();
    let under =
        |line: &SignatureLine| plain.with_signatures(vec![line.clone()]).unwrap().verify(&site.keys).is_ok();
    assert!(!under(&lines[0]) && under(&lines[1]));
}

#[test]
fn a_signature_line_of_a_trusted_key_that_is_not_canonical_is_403() {
    let (_site, server, log) = served(4);
    let good = String::from_utf8(log.request(0, 4).to_bytes()).unwrap();
    let at = good.rfind("=\n").expect("a padded signature") - 1;
    let mut loose = good.clone().into_bytes();
    loose[at] += 1;
    assert_eq!(server.add_bytes(&loose).status, 403);
    let stranger =
        String::from_utf8(loose).unwrap().replace(&format!("\u{2014} {ORIGIN}"), "\u{2014} other.example");
    assert_eq!(server.add_bytes(stranger.as_bytes()).status, 400, "of nobody it is a malformed note");
}

#[test]
fn sixteen_large_signatures_are_accepted_and_more_than_the_limit_is_413() {
    // "MUST accept at least up to 16 signatures. Remember that post-quantum signatures can be up to nearly 5kB in size."
    let (_site, server, log) = served(4);
    let junk = |number: u32| SignatureLine::new("pq.example".parse().unwrap(), number, vec![7; 5000]);
    let more: Vec<SignatureLine> = (0..15).map(junk).collect();
    let checkpoint = log.sign(log.text(4), &more);
    let request = AddCheckpoint { old: size(0), proof: Vec::new(), checkpoint };
    assert!(request.to_bytes().len() > 100_000);
    assert_eq!(server.add(&request).status, 200);
    assert_eq!(server.add_bytes(&vec![b'x'; 300 * 1024]).status, 413);
}

#[test]
fn a_forged_line_under_the_witnesss_own_name_is_ignored_and_never_stored() {
    // "it MUST ignore signatures from unknown keys".
    let (site, server, log) = served(4);
    let forged = |at: usize| {
        SignatureLine::new(
            site.keys[at].name().clone(),
            site.keys[at].id(),
            vec![3; if at == 0 { 72 } else { 2428 }],
        )
    };
    let other = Ed25519Signer::from_seed("other.example".parse().unwrap(), &[5; 32]).sign(&log.text(4));
    let checkpoint = log.sign(log.text(4), &[forged(0), forged(1), other]);
    let answer = server.add(&AddCheckpoint { old: size(0), proof: Vec::new(), checkpoint });
    let lines = parse_cosignatures(&answer.body).unwrap();
    let stored = server.get(&monitor_path(ORIGIN));
    let stored = Note::parse(&stored.body).unwrap();
    assert_eq!(stored, log.sign(log.text(4), &lines), "the log's line and ours, and nothing else");
    assert_eq!(server.add(&log.request(4, 4)).status, 200, "and it goes on");
}

#[test]
fn an_origin_with_spaces_and_another_key_name_work() {
    // "clients MUST NOT assume that the origin is following this format".
    let site = WitnessSite::new();
    let mut log = TestLog::new("go.sum", 4, 0);
    log.origin = "go.sum database tree".to_owned();
    log.grow(6, "");
    site.follow(&log, &[]);
    let server = site.start();
    let request = log.request(0, 6);
    assert_eq!(cosigned(&server.add(&request), &request.checkpoint, &site.keys).len(), 2);
    assert_eq!(server.get(&monitor_path("go.sum database tree")).status, 200);
}

fn monitor_path(origin: &str) -> String {
    format!("/{}/checkpoint", tlog::hash::sha256(origin.as_bytes()))
}

#[test]
fn monitors_get_the_note_that_was_cosigned_with_the_logs_line_and_ours() {
    // "it MUST include the cosignature(s) from the witness's key(s) that were returned from add-checkpoint and the
    // cosignature from the log key(s) that the witness verified"; "If the witness has never cosigned a checkpoint for
    // that log, it MUST respond with a '404 Not Found'"; "The request MUST be an HTTP GET."
    let (site, server, log) = served(9);
    assert_eq!(server.get(&monitor_path(ORIGIN)).status, 404);
    assert_eq!(server.get(&monitor_path("nobody.example")).status, 404);
    for (old, new) in [(0, 4), (4, 9)] {
        let answer = server.add(&log.request(old, new));
        let lines = parse_cosignatures(&answer.body).unwrap();
        let stored = Note::parse(&server.get(&monitor_path(ORIGIN)).body).unwrap();
        assert_eq!(stored, log.sign(log.text(new), &lines));
    }
    assert_eq!(server.send("POST", &monitor_path(ORIGIN), b"").status, 405);
    let before = server.get(&monitor_path(ORIGIN));
    assert_eq!(server.stop(), 0);
    let server = site.start();
    assert_eq!(server.get(&monitor_path(ORIGIN)).body, before.body, "and it is durable");
    assert_eq!(server.add(&log.request(0, 9)).text(), "9\n");
}

#[test]
fn other_methods_are_405() {
    // "The request MUST be an HTTP POST."
    let (_site, server, log) = served(3);
    let body = log.request(0, 3).to_bytes();
    for path in ["/add-checkpoint", "/sign-subtree"] {
        for method in ["GET", "PUT", "DELETE", "HEAD"] {
            let answer = server.send(method, path, if method == "PUT" { &body } else { b"" });
            assert_eq!((answer.status, answer.header("allow")), (405, "POST"), "{method} {path}");
        }
    }
    assert_eq!(server.get("/evidence/").status, 404);
    assert_eq!(server.get("/add-checkpoint/").status, 404);
}

#[test]
fn over_the_quota_is_429_with_retry_after_and_repeats_do_not_use_up_what_growth_needs() {
    let (site, log) = (WitnessSite::new(), TestLog::new(ORIGIN, 1, 9));
    site.follow(&log, &["--qpd", "2"]);
    let server = site.start();
    assert_eq!(server.add(&log.request(0, 3)).status, 200);
    assert_eq!([3, 3].map(|_| server.add(&log.request(3, 3)).status), [200, 200]);
    let refused = server.add(&log.request(3, 3));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!(refused.status == 429 && (1..=43_200).contains(&wait), "{wait}");
    assert_eq!(server.add(&log.request(3, 4)).status, 200);
    assert_eq!(server.add(&log.request(4, 5)).status, 429);
    assert_eq!(server.add(&log.request(3, 5)).text(), "4\n", "a conflict costs nothing and is still told");
}

#[test]
fn connections_are_kept_alive() {
    // "witnesses SHOULD support, HTTP keep-alive HTTP connections".
    use std::io::Write;
    let (_site, server, log) = served(3);
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let body = log.request(0, 3).to_bytes();
    for expected in ["HTTP/1.1 200", "HTTP/1.1 409"] {
        let head =
            format!("POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 16 * 1024];
        let complete = |seen: &[u8]| {
            let text = String::from_utf8_lossy(seen);
            let (head, body) = text.split_once("\r\n\r\n")?;
            let length =
                head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse::<usize>().ok()?;
            (body.len() >= length).then_some(())
        };
        while complete(&seen).is_none() {
            let read = read_some(&mut stream, &mut buffer).unwrap();
            assert!(read > 0, "the connection stays open");
            seen.extend_from_slice(&buffer[..read]);
        }
        assert!(seen.starts_with(expected.as_bytes()), "{}", String::from_utf8_lossy(&seen));
    }
}

#[test]
fn the_status_page_and_the_description_name_every_log() {
    let (site, server, log) = served(1234);
    assert_eq!(server.add(&log.request(0, 1234)).status, 200);
    let page = server.get("/");
    assert!(page.text().contains(ORIGIN) && page.text().contains("1234"), "{}", page.text());
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"));
    let description = server.get("/witness.json").json();
    assert_eq!(description["name"], "witness.example/w1");
    assert_eq!(description["keys"][1], site.keys[1].to_string());
    assert_eq!(description["logs"][0]["origin"], ORIGIN);
    assert_eq!(server.admin("/readyz").status, 200);
    assert_eq!(server.metric("daybook_witness_add_checkpoint_total{outcome=\"cosigned\"}"), 1);
}

fn subtree_served() -> (WitnessSite, WitnessServer, TestLog, Note) {
    let (site, server, log) = served(14);
    let request = log.request(0, 14);
    let lines = parse_cosignatures(&server.add(&request).body).expect("it parses");
    let cosigned = request.checkpoint.with_signatures(lines).expect("it parses");
    (site, server, log, cosigned)
}

#[test]
fn a_subtree_is_cosigned_by_ml_dsa_without_a_time() {
    // "the witness MUST respond with a '200 Success' ... The cosignature format MUST support subtree cosigning. If the
    // cosignature format supports timestamps, the timestamp MUST be zero."
    let (site, server, log, cosigned) = subtree_served();
    for (start, end) in [(8, 13), (0, 14), (0, 1), (13, 14), (4, 8), (3, 3), (0, 0)] {
        let request = log.subtree_request(start, end, cosigned.clone(), 14);
        let answer = server.send("POST", "/sign-subtree", &request.to_bytes());
        assert_eq!(answer.status, 200, "[{start}, {end}): {}", answer.text());
        let lines = parse_cosignatures(&answer.body).unwrap();
        assert_eq!(lines.len(), 1);
        let subtree =
            tlog::cosignature::Subtree { origin: ORIGIN.parse().unwrap(), start, end, hash: request.hash };
        let seconds = tlog::cosignature::verify_subtree(&site.keys[1], &subtree, lines[0].signature());
        assert_eq!(seconds, Some(0));
    }
}

#[test]
fn a_subtree_that_is_none_is_400_and_a_proof_that_fails_422() {
    // "The half-open interval [start, end) MUST be a valid subtree ... and end MUST be less than or equal to the
    // checkpoint size. If the request is invalid according to the rules above ... 400"; "If the Merkle Consistency
    // Proof doesn't verify ... 422".
    let (_site, server, log, cosigned) = subtree_served();
    let good = log.subtree_request(8, 13, cosigned, 14);
    for (start, end) in [(1, 3), (8, 15), (13, 8), (2, 6)] {
        let mut bad = good.clone();
        (bad.start, bad.end) = (start, end);
        assert_eq!(server.send("POST", "/sign-subtree", &bad.to_bytes()).status, 400, "[{start}, {end})");
    }
    let text = String::from_utf8(good.to_bytes()).unwrap();
    for line in ["subtree 08 13", "subtree 8", "subtree 8 13 ", "subtree 8  13", "tree 8 13"] {
        let answer = server.send("POST", "/sign-subtree", text.replace("subtree 8 13", line).as_bytes());
        assert_eq!(answer.status, 400, "{line:?}");
    }
    let (mut hash, mut proof, mut short) = (good.clone(), good.clone(), good);
    hash.hash = leaf_hash(b"x");
    proof.proof[0] = Hash::EMPTY_ROOT;
    short.proof.pop();
    for bad in [hash, proof, short] {
        assert_eq!(server.send("POST", "/sign-subtree", &bad.to_bytes()).status, 422);
    }
}

#[test]
fn a_subtree_of_an_unknown_log_is_404_and_of_a_checkpoint_that_we_did_not_cosign_403() {
    // "If the checkpoint origin is unknown ... 404"; "The witness MUST verify that the checkpoint includes a valid
    // cosignature from one of its own keys. If the witness can't verify the checkpoint ... 403".
    let (site, server, log, cosigned) = subtree_served();
    let stranger = TestLog::new("log.example/stranger", 2, 14);
    let request = stranger.subtree_request(8, 13, stranger.note(14), 14);
    assert_eq!(server.send("POST", "/sign-subtree", &request.to_bytes()).status, 404);
    let request = log.subtree_request(8, 13, log.note(14), 14);
    assert_eq!(
        server.send("POST", "/sign-subtree", &request.to_bytes()).status,
        403,
        "the log's word is not ours"
    );
    let line = &cosigned.signatures()[1];
    let mut bytes = line.signature().to_vec();
    bytes[100] ^= 1;
    let forged = SignatureLine::new(site.keys[1].name().clone(), site.keys[1].id(), bytes);
    let forged = cosigned.with_signatures(vec![forged]).unwrap();
    let request = log.subtree_request(8, 13, forged, 14);
    assert_eq!(server.send("POST", "/sign-subtree", &request.to_bytes()).status, 403);
    // One good cosignature of ours is enough.
    let only = cosigned.with_signatures(vec![line.clone()]).unwrap();
    let request = log.subtree_request(8, 13, only, 14);
    assert_eq!(server.send("POST", "/sign-subtree", &request.to_bytes()).status, 200);
}
