//! The pages as a reader's program gets them: found, escaped, complete in both languages, and without a way to change
//! anything.

use std::sync::Arc;

use axum::body::Body;
use daemon::clock::ManualClock;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tlog::hash::{Hash, leaf_hash};
use tlog::policy::Policy;
use tlog::tlog_proof::TlogProof;
use tower::ServiceExt as _;

use super::proof::tests::inclusion;
use super::request::encode;
use super::search::log_hash;
use super::view::{AlarmView, EvidenceView, LogView, Verified};
use super::{App, Desk, router};
use crate::index::extract::tests::leaf;
use crate::index::query::Query;
use crate::index::write::NewEntry;
use crate::index::{Index, Writer};
use crate::newsroom::Troubles;
use crate::watch::{Engine, WatchStore};

const ORIGIN: &str = "log.example";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const ATTACK: &str = "<script>alert(1)</script><img src=x onerror=alert(1)>\\\" onmouseover=alert(1) x=\\\"";

/// [`ATTACK`] as JSON gives it back.
fn attack() -> String {
    ATTACK.replace("\\\"", "\"")
}

pub(super) struct Site {
    _folder: TempDir,
    app: Arc<App>,
    router: axum::Router,
}

fn corpus() -> Vec<Vec<u8>> {
    let first = leaf(
        "record",
        r#"{"agency":"a.gov.example","at":"2026-11-23T09:00:00Z","key":"C-1","log":"log.example","previous":null,"public":{"amount":"1250.50","supplier":"Acme"},"register":"contracts","title":"Bridge repair"}"#,
    );
    let amended = leaf(
        "record",
        r#"{"agency":"a.gov.example","at":"2026-11-24T09:00:00Z","key":"C-1","log":"log.example","previous":"00","public":{"amount":"9900.00","supplier":"Acme"},"register":"contracts","title":"Bridge repair"}"#,
    );
    let attack = leaf(
        "record",
        &format!(
            r#"{{"agency":"{ATTACK}","at":"2026-11-24T09:00:00Z","key":"{ATTACK}","log":"l","previous":null,"public":{{"{ATTACK}":"{ATTACK} needle"}},"register":"{ATTACK}","title":"{ATTACK} needle"}}"#
        ),
    );
    let chinese = leaf(
        "record",
        r#"{"agency":"b.gov.example","at":"2026-11-24T09:00:00Z","key":"P","log":"l","previous":null,"public":{"正文":"关于北京市政府采购的公告"},"register":"采购","title":"公告"}"#,
    );
    vec![first, amended, attack, chinese, vec![0xff, 0], b"=HYPERLINK(\"http://x\")".to_vec()]
}

impl Site {
    pub(super) fn new() -> Self {
        Self::of(&corpus())
    }

    fn of(leaves: &[Vec<u8>]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.sqlite");
        let mut writer = Writer::open(&path).unwrap();
        let hashes: Vec<Hash> = leaves.iter().map(|bytes| leaf_hash(bytes)).collect();
        let entries: Vec<NewEntry<'_>> = (0..)
            .zip(leaves)
            .map(|(index, bytes)| NewEntry { index, bytes, leaf: leaf_hash(bytes) })
            .collect();
        writer.begin(ORIGIN, 0).unwrap();
        writer.append(ORIGIN, &entries[..1]).unwrap();
        writer.note_head(ORIGIN, 1, 1_795_424_460).unwrap();
        writer.append(ORIGIN, &entries[1..]).unwrap();
        writer.note_head(ORIGIN, 6, 1_795_510_900).unwrap();
        let key = tlog::sign::Ed25519Signer::from_seed(ORIGIN.parse().unwrap(), &[1; 32]).verifier_key();
        let policy = String::from_utf8(Policy::of_log(key, None).to_bytes()).unwrap();
        let log = LogView {
            origin: ORIGIN.to_owned(),
            hash: log_hash(ORIGIN),
            state: "verified",
            verified: Some((6, "root".to_owned())),
            signed: 6,
            alarms: vec![AlarmView {
                kind: "damage".to_owned(),
                subject: "tile/0/000".to_owned(),
                detail: ATTACK.to_owned(),
                ..AlarmView::default()
            }],
            evidence: vec![EvidenceView {
                file: "evidence/ab.evidence".to_owned(),
                form: "log-two-roots".to_owned(),
            }],
            policy,
            ..LogView::default()
        };
        let verified = Verified {
            logs: Box::new(move || vec![log.clone()]),
            prove: Box::new(move |_, index| Ok(inclusion(index, &hashes))),
        };
        let clock = Arc::new(ManualClock::new(1_795_510_900_000));
        let index = Arc::new(Index::open(&path).unwrap());
        let engine = Engine::new(
            index,
            Arc::new(WatchStore::open(&folder.path().join("watches.sqlite")).unwrap()),
            folder.path().join("alerts.ndjson"),
            "https://monitor.example".to_owned(),
            vec!["desk".to_owned()],
        );
        let desk = Desk {
            engine,
            channels: vec!["desk".to_owned()],
            token: TOKEN.to_owned(),
            troubles: Troubles::default(),
        };
        let app = Arc::new(App::new(verified, desk, clock));
        Self { _folder: folder, router: router(Arc::clone(&app)), app }
    }

    async fn send(&self, request: Request<Body>) -> (Response<()>, Vec<u8>) {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (Response::from_parts(parts, ()), body)
    }

    async fn get(&self, path: &str) -> (Response<()>, String) {
        let (response, body) = self.send(Request::get(path).body(Body::empty()).unwrap()).await;
        (response, String::from_utf8_lossy(&body).into_owned())
    }
}

fn at(index: u64) -> String {
    format!("/log/{}/{index}", log_hash(ORIGIN))
}

fn pages() -> Vec<String> {
    let mut pages: Vec<String> = (0..6).map(at).collect();
    for path in [
        "/",
        "/search?q=needle",
        "/search?q=%E5%8C%97%E4%BA%AC",
        "/agencies",
        "/evidence",
        "/health",
        "/watches",
    ] {
        pages.push(path.to_owned());
    }
    pages.push(format!("/log/{}", log_hash(ORIGIN)));
    pages.push(format!("/agency/{}/a.gov.example", log_hash(ORIGIN)));
    pages.push(format!("/agency/{}/{}", log_hash(ORIGIN), encode(&attack())));
    pages
}

#[tokio::test]
async fn every_page_is_there_in_both_languages_under_a_strict_policy() {
    let site = Site::new();
    for path in pages() {
        for lang in ["en", "zh"] {
            let sign = if path.contains('?') { '&' } else { '?' };
            let (response, body) = site.get(&format!("{path}{sign}lang={lang}")).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
            assert!(body.contains(&format!("<html lang=\"{lang}\"")), "{path}");
            assert!(!body.contains("{0}") && !body.contains(" style=\""), "{path}");
            assert!(body.contains("<main") && body.contains("<h1"), "{path}");
        }
    }
}

#[tokio::test]
async fn markup_in_records_is_shown_and_never_obeyed() {
    let site = Site::new();
    for path in pages() {
        let (_, body) = site.get(&path).await;
        assert!(!body.contains("<script>alert") && !body.contains("<img"), "{path}");
        // An attribute ends only at a quote, and none of the attack's quotes is left.
        assert!(!body.contains("\" onmouseover"), "{path}");
    }
    let (_, body) = site.get(&at(2)).await;
    assert!(body.contains("&lt;script&gt;alert(1)"), "the attack is there, as text");
    let (_, body) = site.get("/search?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(!body.contains("<script>alert"), "what is typed is escaped too");
}

#[tokio::test]
async fn markup_in_watches_and_feeds_is_shown_and_never_obeyed() {
    let site = Site::new();
    let bearer = format!("Bearer {TOKEN}");
    let attack = encode(ATTACK);
    let form = format!("name={attack}&query={attack}+OR+needle&when=found");
    let made = site.send(post("/watches", &[("authorization", bearer.as_str())], &form)).await;
    assert_eq!(made.0.status(), StatusCode::SEE_OTHER);
    let agency = format!("/feed/agency/{}/{}", log_hash(ORIGIN), encode(&self::attack()));
    for path in
        ["/watches", "/watches/1", "/feed/watch/1/atom", "/export/atom?q=needle", &format!("{agency}/atom")]
    {
        let (response, body) = site.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert!(body.contains("&lt;script&gt;alert(1)"), "the attack is there, as text: {path}");
        for bad in ["<script>alert", "<img", "\" onmouseover"] {
            assert!(!body.contains(bad), "{bad} in {path}");
        }
    }
    for path in ["/feed/watch/1/json", "/export/json?q=needle", &format!("{agency}/json")] {
        let (response, body) = site.get(path).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/feed+json; charset=utf-8");
        let feed: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(feed["feed_url"].as_str().unwrap().ends_with(path), "{feed}");
    }
}

#[tokio::test]
async fn a_record_shows_its_history_its_difference_and_its_proof() {
    let site = Site::new();
    let (_, body) = site.get(&at(1)).await;
    for text in ["<del>1250.50</del>", "<ins>9900.00</ins>", "<svg", "entry-1", "SHA-256", "contracts"] {
        assert!(body.contains(text) || text == "entry-1", "{text}");
    }
    assert!(body.contains("<h1 dir=\"auto\">Bridge repair</h1>"), "{body}");
    assert!(body.contains("<bdi>contracts</bdi> / <bdi>C-1</bdi></p>"), "the key is the second line: {body}");
    let root = inclusion(1, &corpus().iter().map(|bytes| leaf_hash(bytes)).collect::<Vec<_>>()).head.root;
    assert!(body.contains(&root.to_string()), "the walk ends at the signed root");
    let (_, overview) = site.get("/").await;
    assert!(overview.contains("<polyline"), "the growth of the log is drawn");
    let (_, first) = site.get(&at(0)).await;
    assert!(first.contains("A later version replaces this one"), "{first}");
}

#[tokio::test]
async fn what_a_log_was_caught_at_is_said_in_words() {
    let site = Site::new();
    let (_, body) = site.get("/evidence").await;
    for text in [
        "log.example has signed two different trees of one size",
        "href=\"/evidence/ab\"",
        "log.example serves something damaged, or not at all: tile/0/000",
    ] {
        assert!(body.contains(text), "{text}: {body}");
    }
    let (_, body) = site.get("/evidence?lang=zh").await;
    assert!(body.contains("log.example 为大小相同的两棵不同的树签了名"), "{body}");
}

#[tokio::test]
async fn a_bundle_verifies_offline() {
    let site = Site::new();
    let (response, _) = site.get(&format!("{}/bundle.zip", at(3))).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/zip");
    let (_, receipt) = site.get(&format!("{}/receipt", at(3))).await;
    let (_, entry) = site.send(Request::get(format!("{}/entry", at(3))).body(Body::empty()).unwrap()).await;
    assert_eq!(entry, corpus()[3]);
    let key = tlog::sign::Ed25519Signer::from_seed(ORIGIN.parse().unwrap(), &[1; 32]).verifier_key();
    let policy = Policy::of_log(key, None);
    let proof = TlogProof::parse(receipt.as_bytes()).unwrap();
    proof.verify(&leaf_hash(&entry), &policy).unwrap();
}

#[tokio::test]
async fn entries_are_downloads_that_no_browser_runs() {
    let site = Site::new();
    let (response, _) = site.get(&format!("{}/entry", at(2))).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/octet-stream");
    assert!(response.headers()[header::CONTENT_DISPOSITION].to_str().unwrap().starts_with("attachment"));
    assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
}

#[tokio::test]
async fn exports_hold_what_was_found_and_no_formula() {
    let site = Site::new();
    let (response, csv) = site.get("/export/csv?q=").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(csv.matches("\r\n").count(), 7, "{csv}");
    assert!(csv.contains("\"'=HYPERLINK(\"\"http://x\"\")"), "{csv}");
    let (_, lines) = site.get("/export/ndjson?q=acme").await;
    let parsed: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(parsed.len(), 2);
    assert_eq!(parsed[0]["content"]["supplier"], "Acme");
    let (_, atom) = site.get("/export/atom?q=needle").await;
    assert!(atom.contains("<entry>") && !atom.contains("<script>"), "{atom}");
    assert_eq!(site.get("/export/exe?q=").await.0.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_export_of_long_entries_ends_before_it_is_large_and_says_where_to_go_on() {
    let long = |number: u8| [vec![0xff, number], vec![0xfe; 100_000]].concat();
    let site = Site::of(&(0..60).map(long).collect::<Vec<_>>());
    let (mut path, mut sizes) = ("/export/ndjson?q=&order=oldest".to_owned(), Vec::new());
    let mut indexes: Vec<u64> = Vec::new();
    loop {
        let (response, lines) = site.get(&path).await;
        let before = indexes.len();
        for line in lines.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            indexes.push(row["index"].as_u64().unwrap());
        }
        sizes.push(indexes.len() - before);
        let Some(link) = response.headers().get(header::LINK) else { break };
        path = link.to_str().unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
    }
    assert_eq!(sizes, [50, 10], "5 MB are enough at a time");
    assert_eq!(indexes, (0..60).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_register_is_named_counted_and_made_one_at_a_time() {
    let site = Site::new();
    for query in ["", "acme", "register:contracts%20OR%20acme", "-register:contracts"] {
        let (response, body) = site.get(&format!("/export/rsf?q={query}")).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query}");
        assert!(body.contains("name it with register:"), "{query}: {body}");
    }
    let held = site.app.registers.try_acquire().unwrap();
    let (response, _) = site.get("/export/rsf?q=register:contracts").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    drop(held);
    let (response, _) = site.get("/export/rsf?q=register:contracts").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST, "these records are signed by nobody");
    let filler = "-".repeat(200_000);
    let long = |number: u8| {
        let text = format!(r#"{{"agency":"a","key":"{number}","public":{{"x":"{filler}"}},"register":"r"}}"#);
        leaf("record", &text)
    };
    let site = Site::of(&(0..205).map(long).collect::<Vec<_>>());
    let (response, body) = site.get("/export/rsf?q=register:r").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(body.contains("32 MiB"), "{body}");
    let query = Query::parse("register:r");
    assert_eq!(site.app.index.count_to(&query, 40).unwrap(), Some(41), "counted without being read");
    assert_eq!(site.app.index.count_to(&query, 1_000).unwrap(), Some(205));
}

#[tokio::test]
async fn what_is_not_there_is_404_and_nothing_can_be_posted() {
    let site = Site::new();
    for path in [at(99), "/log/nothing/0".to_owned(), "/nowhere".to_owned(), "/assets/x.css".to_owned()] {
        assert_eq!(site.get(&path).await.0.status(), StatusCode::NOT_FOUND, "{path}");
    }
    for path in pages().into_iter().filter(|path| path != "/watches") {
        let path = path.split('?').next().unwrap().to_owned();
        let (response, _) = site.send(Request::post(&path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
}

#[tokio::test]
async fn the_chosen_language_is_kept_and_the_accepted_one_is_used() {
    let site = Site::new();
    let (response, _) = site.get("/?lang=zh").await;
    assert!(response.headers()[header::SET_COOKIE].to_str().unwrap().starts_with("lang=zh;"));
    let request =
        Request::get("/").header(header::ACCEPT_LANGUAGE, "zh-CN,en;q=0.5").body(Body::empty()).unwrap();
    let (_, body) = site.send(request).await;
    assert!(String::from_utf8(body).unwrap().contains("概览"));
    let (_, body) = site.get("/search?q=a%26b&order=oldest").await;
    assert!(body.contains("/search?q=a%26b&amp;order=oldest&amp;lang=zh"), "the search is kept: {body}");
}

fn post(path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn watches_are_edited_by_whoever_holds_the_token_and_by_nobody_else() {
    let site = Site::new();
    let form = "name=Bridges&when=found&query=bridge&channels=desk";
    for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("cookie", "desk=0")]] {
        for path in ["/watches", "/watches/import", "/watches/1/remove", "/watches/1/test"] {
            let (response, _) = site.send(post(path, headers, form)).await;
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
        }
    }
    let (response, _) = site.send(post("/watches/sign-in", &[], "token=wrong")).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let (response, _) = site.send(post("/watches/sign-in", &[], &format!("token={TOKEN}"))).await;
    assert_eq!(response.headers()[header::LOCATION], "/watches");
    let searched = format!("token={TOKEN}&query=a%26b+%E5%8C%97");
    let (to, _) = site.send(post("/watches/sign-in", &[], &searched)).await;
    assert_eq!(to.headers()[header::LOCATION], "/watches?query=a%26b%20%E5%8C%97", "the search is kept");
    let cookie =
        response.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let (_, page) =
        site.send(Request::get("/watches").header("cookie", &cookie).body(Body::empty()).unwrap()).await;
    let page = String::from_utf8(page).unwrap();
    let value = page.split("name=\"form\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let headers = [("cookie", cookie.as_str())];
    let (response, _) = site.send(post("/watches", &headers, form)).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN, "a form of another site has no value of ours");
    let (response, _) = site.send(post("/watches", &headers, &format!("{form}&form={value}"))).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let (_, page) = site.get("/watches/1").await;
    assert!(page.contains("Bridge repair") && page.contains("found in the past"), "{page}");
    assert!(!page.contains("/remove"), "readers see no buttons");
    let (_, feed) = site.get("/feed/watch/1/atom").await;
    assert_eq!(feed.matches("<entry>").count(), 2, "{feed}");
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    assert_eq!(site.send(post("/watches/1/test", &headers, "")).await.0.status(), StatusCode::SEE_OTHER);
    let (response, body) = site.send(post("/watches", &headers, "name=x&pattern=(")).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(String::from_utf8(body).unwrap().contains("regular expression"));
    let names = "names=Name%0AAcme%0A%22Doe,%20Jane%22%0A%3Cscript%3E";
    assert_eq!(site.send(post("/watches/import", &headers, names)).await.0.status(), StatusCode::SEE_OTHER);
    let (_, page) = site.get("/watches").await;
    assert!(
        page.contains("Doe, Jane") && page.contains("&lt;script&gt;") && !page.contains("<script>"),
        "{page}"
    );
    assert_eq!(site.send(post("/watches/1/remove", &headers, "")).await.0.status(), StatusCode::SEE_OTHER);
    assert_eq!(site.get("/watches/1").await.0.status(), StatusCode::NOT_FOUND);
}
