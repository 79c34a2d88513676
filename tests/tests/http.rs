//! The log's HTTP interface over the real executable. Sources: C2SP tlog-tiles, RFC 6962 section 4, RFC 9457.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Verifier;
use p256::pkcs8::DecodePublicKey;
use serde_json::Value;
use tests::server::{Answer, Server, Site, exchange_raw};
use tlog::checkpoint::tree_head_message;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::{LeafIndex, TreeHead, TreeSize, UnixMillis};
use tlog::proof::{check_consistency, check_inclusion};
use tlog::tlog_proof::TlogProof;
use tlog::tree::Frontier;
use tlog::vkey::{KeyKind, VerifierKey};

fn entry(number: u64) -> Vec<u8> {
    format!("entry {number} with some text that compresses, compresses, compresses").into_bytes()
}

fn batch(entries: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut body = Vec::new();
    entries.for_each(|entry| tlog::bundle::push_entry(&mut body, &entry).expect("short"));
    body
}

/// A log with so many entries.
fn filled(count: u64) -> (Site, Server) {
    let site = Site::new("open");
    let server = site.start();
    let answer = server.post("/add-batch", &batch((0..count).map(entry)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected: String = (0..count).map(|index| format!("{index}\n")).collect();
    assert_eq!(answer.text(), expected, "indexes come in order");
    (site, server)
}

fn root(count: u64) -> TreeHead {
    let mut frontier = Frontier::new();
    (0..count).for_each(|number| frontier.push(leaf_hash(&entry(number)), |_, _| ()));
    frontier.head()
}

fn problem(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let document = answer.json();
    assert_eq!(document["type"], format!("urn:daybook:problem:{kind}"));
    assert_eq!(document["status"], status);
    let detail = document["detail"].as_str().expect("a detail");
    assert!(detail.ends_with('.') && detail.len() > 10, "{detail}");
}

fn hashes(value: &Value) -> Vec<Hash> {
    let list = value.as_array().expect("a list");
    list.iter().map(|hash| Hash::from_base64(hash.as_str().expect("text")).expect("a hash")).collect()
}

fn size(size: u64) -> TreeSize {
    TreeSize::new(size).expect("a size")
}

fn index(index: u64) -> LeafIndex {
    LeafIndex::new(index).expect("an index")
}

#[test]
fn the_checkpoint_covers_every_answered_entry() {
    let site = Site::new("open");
    let server = site.start();
    for number in 0..5 {
        assert_eq!(server.add(&entry(number)), number);
        assert!(server.checkpoint(&site.policy()).head().size.get() > number, "answered means published");
    }
    assert_eq!(server.checkpoint(&site.policy()).head(), root(5));
    let answer = server.get("/checkpoint");
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8", "\"MUST be text/plain\"");
    assert_eq!(answer.header("cache-control"), "public, max-age=1", "\"SHOULD NOT be cached\" for long");
    assert_eq!(server.stop(), 0);
}

#[test]
fn tiles_are_immutable_and_bundles_are_compressed_where_asked_for() {
    let (_site, server) = filled(300);
    for path in
        ["/tile/0/000", "/tile/0/001.p/44", "/tile/1/000.p/1", "/tile/entries/000", "/tile/entries/001.p/44"]
    {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(answer.header("content-encoding"), "");
    }
    let plain = server.get("/tile/entries/000");
    let packed = server.send("GET", "/tile/entries/000", &[("accept-encoding", "gzip")], b"");
    assert_eq!((packed.header("content-encoding"), packed.header("vary")), ("gzip", "accept-encoding"));
    assert_eq!(plain.header("vary"), "accept-encoding");
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed.body[..]), &mut unpacked)
        .expect("gzip");
    assert_eq!(unpacked, plain.body);
    assert!(packed.body.len() < plain.body.len() / 2);
    assert_eq!(plain.body, batch((0..256).map(entry)));
    let head = server.send("HEAD", "/tile/0/000", &[], b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "8192", 0));
}

#[test]
fn a_path_that_is_not_canonical_is_404_and_a_wrong_method_405() {
    let (_site, server) = filled(3);
    for path in [
        "/nothing",
        "/tile/0/0",
        "/tile/0/000",
        "/tile/0/000.p/4",
        "/tile/0/000.p/03",
        "/checkpoint/",
        "/tile/../checkpoint",
        "/../keys/ed25519.pem",
        "/tile/0/..%2f..%2fkeys/ed25519.pem",
        "//",
        "/entry/03",
    ] {
        problem(&server.get(path), 404, "not-found");
    }
    for (method, path, allow) in [
        ("GET", "/add", "POST"),
        ("DELETE", "/checkpoint", "GET, HEAD"),
        ("POST", "/tile/0/000.p/3", "GET, HEAD"),
    ] {
        let answer = server.send(method, path, &[], b"");
        problem(&answer, 405, "method-not-allowed");
        assert_eq!(answer.header("allow"), allow);
    }
}

#[test]
fn what_has_a_query_string_is_never_cacheable() {
    let (_site, server) = filled(3);
    for path in
        ["/checkpoint?x", "/tile/0/000.p/3?", "/?a=b", "/log.json?v=1", "/ct/v1/get-entries?start=0&end=2"]
    {
        assert_eq!(server.get(path).header("cache-control"), "no-store", "{path}");
    }
}

#[test]
fn bodies_that_are_no_entries_are_refused_with_a_reason() {
    let site = Site::new("open");
    let server = site.start();
    problem(&server.post("/add", b""), 422, "not-an-entry");
    problem(&server.post("/add", &[0; 65_536]), 413, "too-large");
    problem(
        &server.send("POST", "/add", &[("content-type", "text/plain")], b"x"),
        415,
        "unsupported-media-type",
    );
    problem(&server.post("/add-batch", b""), 400, "malformed");
    problem(&server.post("/add-batch", &[0, 0]), 422, "not-an-entry");
    problem(&server.post("/add-batch", &[0, 5, 1]), 400, "malformed");
    problem(&server.post("/add-batch", &vec![0; (4 << 20) + 1]), 413, "too-large");
    problem(
        &server
            .post("/add-batch", &batch((0..16_385).map(|n| vec![1, u8::try_from(n % 251).expect("small")]))),
        413,
        "too-large",
    );
    let chunked = b"POST /add HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    problem(&exchange_raw(server.address(), chunked).expect("an answer"), 411, "length-required");
    assert_eq!(server.checkpoint(&site.policy()).head().size.get(), 0, "nothing of it was stored");
    assert_eq!(server.add(&[7; 65_535]), 0, "the longest entry there can be");
    assert_eq!(server.get("/tile/entries/000.p/1").body.len(), 65_537);
}

#[test]
fn the_same_bytes_have_the_same_index_across_restarts_and_in_a_batch() {
    let (site, server) = filled(10);
    assert_eq!(server.add(&entry(4)), 4);
    let mixed = [entry(10), entry(3), entry(10), entry(11)];
    assert_eq!(server.post("/add-batch", &batch(mixed.clone().into_iter())).text(), "10\n3\n10\n11\n");
    server.kill();
    let server = site.start();
    assert_eq!(server.post("/add-batch", &batch(mixed.into_iter())).text(), "10\n3\n10\n11\n");
    let headers = [("content-type", "application/octet-stream"), ("accept", "application/json")];
    let answer = server.send("POST", "/add", &headers, &entry(10));
    assert_eq!(answer.json(), serde_json::json!({"index": 10, "duplicate": true}));
    assert_eq!(server.checkpoint(&site.policy()).head(), root(12));
}

#[test]
fn proofs_hold_at_every_published_and_unpublished_size() {
    let (site, server) = filled(300);
    let json = [("accept", "application/json")];
    for (at, of) in [(0, 1), (0, 300), (299, 300), (255, 256), (256, 257), (17, 123)] {
        let answer = server.send("GET", &format!("/proof/inclusion/{at}/{of}"), &json, b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let document = answer.json();
        let proof = hashes(&document["hashes"]);
        check_inclusion(&leaf_hash(&entry(at)), index(at), &root(of), &proof).expect("the proof holds");
        assert_eq!(document["root_hash"], root(of).root.to_base64());
        assert_eq!(document["receipt"].is_string(), of == 300, "only that checkpoint was published");
        let text = server.get(&format!("/proof/inclusion/{at}/{of}"));
        if of == 300 {
            let receipt = TlogProof::parse(&text.body).expect("a receipt");
            receipt.verify(&leaf_hash(&entry(at)), &site.policy()).expect("it verifies offline");
        } else {
            let lines: String = proof.iter().map(|hash| format!("{}\n", hash.to_base64())).collect();
            assert_eq!(text.text(), lines);
        }
    }
    for (old, new) in [(0, 0), (0, 300), (1, 300), (256, 300), (299, 300), (300, 300), (7, 123)] {
        let answer = server.send("GET", &format!("/proof/consistency/{old}/{new}"), &json, b"");
        let proof = hashes(&answer.json()["hashes"]);
        check_consistency(&root(old), &root(new), &proof).expect("the proof holds");
    }
    problem(&server.get("/proof/inclusion/300/300"), 400, "out-of-tree");
    problem(&server.get("/proof/inclusion/0/301"), 404, "not-published");
    problem(&server.get("/proof/consistency/5/4"), 400, "malformed");
    problem(&server.get("/proof/consistency/5/301"), 404, "not-published");
    problem(&server.get("/proof/inclusion/x/300"), 404, "not-found");
}

#[test]
fn an_older_published_checkpoint_still_gives_receipts() {
    let (site, server) = filled(3);
    assert_eq!(server.stop(), 0, "an orderly end keeps the checkpoint in the ledger");
    let server = site.start();
    assert_eq!(server.add(&entry(3)), 3);
    let receipt =
        TlogProof::parse(&server.get("/proof/inclusion/1/3").body).expect("a receipt of the older size");
    let checkpoint = receipt.verify(&leaf_hash(&entry(1)), &site.policy()).expect("it verifies");
    assert_eq!(checkpoint.head(), root(3));
}

#[test]
fn an_entry_comes_with_its_receipt() {
    let (site, server) = filled(300);
    let leaf = leaf_hash(&entry(290));
    for path in ["/entry/290".to_owned(), format!("/entry/by-hash/{leaf}")] {
        let document = server.get(&path).json();
        assert_eq!(document["index"], 290);
        assert_eq!(document["leaf_hash"], leaf.to_string());
        assert_eq!(STANDARD.decode(document["entry"].as_str().expect("text")).expect("base64"), entry(290));
        let receipt =
            TlogProof::parse(document["receipt"].as_str().expect("text").as_bytes()).expect("a receipt");
        receipt.verify(&leaf, &site.policy()).expect("it verifies");
        let raw = server.send("GET", &path, &[("accept", "application/octet-stream")], b"");
        assert_eq!(raw.body, entry(290));
        let receipt = server.send("GET", &path, &[("accept", "text/plain")], b"");
        TlogProof::parse(&receipt.body)
            .expect("a receipt")
            .verify(&leaf, &site.policy())
            .expect("it verifies");
    }
    problem(&server.get("/entry/300"), 404, "not-found");
    problem(&server.get(&format!("/entry/by-hash/{}", "0".repeat(64))), 404, "not-found");
}

#[test]
fn the_rfc_6962_interface_gives_what_section_4_says() {
    let (site, server) = filled(300);
    let sth = server.get("/ct/v1/get-sth").json();
    assert_eq!(sth["tree_size"], 300);
    assert_eq!(sth["sha256_root_hash"], root(300).root.to_base64());
    check_tree_head_signature(&server, &sth);
    let consistency = server.get("/ct/v1/get-sth-consistency?first=100&second=300").json();
    check_consistency(&root(100), &root(300), &hashes(&consistency["consistency"])).expect("the proof holds");
    let leaf = leaf_hash(&entry(17));
    let escaped = leaf.to_base64().replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    for hash in [leaf.to_base64(), escaped] {
        let found = server.get(&format!("/ct/v1/get-proof-by-hash?hash={hash}&tree_size=200")).json();
        assert_eq!(found["leaf_index"], 17);
        check_inclusion(&leaf, index(17), &root(200), &hashes(&found["audit_path"]))
            .expect("the proof holds");
    }
    let entries = server.get("/ct/v1/get-entries?start=250&end=299").json();
    let entries = entries["entries"].as_array().expect("a list").clone();
    assert_eq!(entries.len(), 6, "\"MAY return fewer\": up to the end of the bundle");
    for (number, found) in (250..).zip(&entries) {
        assert_eq!(
            STANDARD.decode(found["leaf_input"].as_str().expect("text")).expect("base64"),
            entry(number)
        );
        assert_eq!(found["extra_data"], "");
    }
    let found = server.get("/ct/v1/get-entry-and-proof?leaf_index=299&tree_size=300").json();
    check_inclusion(&leaf_hash(&entry(299)), index(299), &root(300), &hashes(&found["audit_path"]))
        .expect("it holds");
    for query in [
        "get-entries",
        "get-entries?start=2&end=1",
        "get-entries?start=300&end=301",
        "get-entries?start=a&end=1",
        "get-sth-consistency?first=3&second=2",
        "get-proof-by-hash?hash=xx&tree_size=3",
        "get-entries?start=1&start=2&end=3",
    ] {
        assert_eq!(server.get(&format!("/ct/v1/{query}")).status, 400, "{query}");
    }
    drop(site);
}

/// RFC 6962, 3.5: DigitallySigned over version, `tree_hash`, timestamp, size and root.
fn check_tree_head_signature(server: &Server, sth: &Value) {
    let described = server.get("/log.json").json();
    let keys = described["keys"].as_array().expect("keys").clone();
    let keys = keys.iter().map(|key| key.as_str().expect("text").parse::<VerifierKey>().expect("a vkey"));
    let key = keys.into_iter().find(|key| key.kind() == KeyKind::TreeHeadP256).expect("a tree head key");
    let key = p256::ecdsa::VerifyingKey::from_public_key_der(key.material()).expect("a P-256 key");
    let signed = STANDARD.decode(sth["tree_head_signature"].as_str().expect("text")).expect("base64");
    assert_eq!(signed[..2], [4, 3], "sha256, ecdsa");
    let length = usize::from(u16::from_be_bytes([signed[2], signed[3]]));
    assert_eq!(length, signed.len() - 4);
    let signature = p256::ecdsa::DerSignature::from_bytes(&signed[4..]).expect("DER");
    let time = UnixMillis::new(sth["timestamp"].as_u64().expect("a time"));
    let root = Hash::from_base64(sth["sha256_root_hash"].as_str().expect("text")).expect("a hash");
    let head = TreeHead { size: size(sth["tree_size"].as_u64().expect("a size")), root };
    key.verify(&tree_head_message(&head, time), &signature).expect("the signature is right");
}

#[test]
fn a_log_of_records_takes_no_raw_entries() {
    let site = Site::new("records");
    let server = site.start();
    problem(&server.post("/add", b"x"), 404, "not-found");
    problem(&server.post("/add-batch", &[0, 1, b'x']), 404, "not-found");
    assert_eq!(server.get("/log.json").json()["admission"], "records");
}

#[test]
fn the_log_describes_itself() {
    let (site, server) = filled(3);
    let document = server.get("/log.json").json();
    assert_eq!(document["origin"], "log.example/http");
    assert_eq!(document["tree_size"], 3);
    assert_eq!(document["root_hash"], root(3).root.to_base64());
    let policy =
        tlog::policy::Policy::parse(document["policy"].as_str().expect("text").as_bytes()).expect("a policy");
    assert_eq!(policy.logs()[0].key, site.policy().logs()[0].key);
    let page = server.get("/");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert!(
        page.text().contains(&root(3).root.to_base64())
            && !page.text().contains('{'.to_string().repeat(2).as_str())
    );
    for unfilled in ["{origin}", "{size}", "{policy}", "{keys}", "{style}", "{takes}", "{adding}"] {
        assert!(!page.text().contains(unfilled), "{unfilled}");
    }
}

#[test]
fn health_and_metrics_are_on_a_listener_of_their_own() {
    let (site, server) = filled(3);
    assert_eq!(server.admin("/livez").status, 200);
    assert_eq!(server.admin("/readyz").status, 200, "{}", server.admin("/readyz").text());
    let wait_until = (0..100).find(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        server.admin("/metrics").text().contains("daybook_tree_size_published 3")
    });
    assert!(wait_until.is_some(), "{}", server.admin("/metrics").text());
    problem(&server.get("/metrics"), 404, "not-found");
    let checkpoint = site.dir().join("public/checkpoint");
    std::fs::write(&checkpoint, "not a checkpoint").expect("written");
    problem(&server.admin("/readyz"), 503, "not-ready");
    std::fs::remove_file(&checkpoint).expect("removed");
    problem(&server.admin("/readyz"), 503, "not-ready");
}

#[test]
fn a_damaged_tile_is_never_proved_from() {
    let (site, server) = filled(300);
    assert_eq!(server.stop(), 0, "an orderly end leaves nothing to replay");
    let path = site.dir().join("public/tile/0/000");
    let mut bytes = std::fs::read(&path).expect("a tile");
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    // The right edge is whole, so the log starts.
    let server = site.start();
    problem(&server.get("/proof/inclusion/5/300"), 500, "damaged");
    problem(&server.get("/entry/5"), 500, "damaged");
    assert_eq!(server.get("/entry/299").status, 200, "what does not need it is still proved");
}

#[test]
fn a_second_process_is_refused_and_told_why() {
    let (site, server) = filled(1);
    let said = site.try_start().expect_err("the directory is taken");
    assert!(said.contains("another process") && said.contains("\"exit_code\":3"), "{said}");
    assert_eq!(server.add(&entry(1)), 1, "the first goes on");
}
