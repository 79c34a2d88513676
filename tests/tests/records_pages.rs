//! Long lists and long entries: pages stay small, and following them gives everything exactly once, in each form. And what
//! stands on the pages of a record besides its fields.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::BTreeSet;

use daybook::client::Client;
use record::statement::{
    AgencyAction, Attachment, AttachmentContent, Body, Content, Dispute, EntryRef, FieldClass, FieldRule,
    FieldType, KeyGrant, Role,
};
use serde_json::Value;
use tests::records::{AT, Office, Signer, World, previous, sign};
use tests::server::{Answer, ORIGIN, Server, Site};
use tests::uploads;
use tlog::hash::{leaf_hash, sha256};
use tlog::ids::LeafIndex;

/// What a page may hold of entries, as documented, and room for what is around them.
const PAGE_BYTES_MAX: usize = (4 << 20) + (1 << 20);
const REGISTER: &str = "/registers/treasury.example/country";

struct Scene {
    server: Server,
    _site: Site,
    world: World,
    office: Office,
}

impl Scene {
    /// A log with an agency.
    fn new() -> Self {
        let site = Site::new("records");
        let server = site.start();
        let scene =
            Self { server, _site: site, world: World::new(ORIGIN), office: Office::new("treasury.example") };
        scene.enter(&[scene.world.enrol(&scene.office)]);
        scene
    }

    /// Enters statements as one stream.
    fn enter(&self, statements: &[Vec<u8>]) {
        let mut body = Vec::new();
        for statement in statements {
            body.extend_from_slice(&u16::try_from(statement.len()).unwrap().to_be_bytes());
            body.extend_from_slice(statement);
        }
        let answer = self.server.post("/records/batch", &body);
        let said = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == 200 && !said.contains("problem"), "{said}");
    }

    fn put(&self, key: &str, before: Option<&[u8]>, public: &str) -> Vec<u8> {
        self.world.put(&self.office, "country", key, before.and_then(previous), public)
    }

    fn accept(&self, path: &str, kind: &str, language: &str) -> Answer {
        let answer = self.server.send("GET", path, &[("accept", kind), ("accept-language", language)], b"");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer
    }

    fn page(&self, path: &str) -> String {
        self.accept(path, "text/html", "en").text().to_owned()
    }

    /// The pages of a list, as `next` names them.
    fn pages(&self, path: &str, query: &str) -> Vec<Value> {
        let (mut pages, mut query) = (Vec::new(), query.to_owned());
        loop {
            let answer = self.accept(&format!("{path}?{query}"), "application/json", "");
            assert!(answer.body.len() <= PAGE_BYTES_MAX, "{}", answer.body.len());
            pages.push(answer.json());
            match pages.last().unwrap()["next"].as_str() {
                Some(next) => next.clone_into(&mut query),
                None => return pages,
            }
        }
    }

    /// The tables of a list, as the header `Link` names them.
    fn tables(&self, path: &str, query: &str) -> Vec<String> {
        let (mut tables, mut query) = (Vec::new(), query.to_owned());
        loop {
            let answer = self.accept(&format!("{path}?{query}"), "text/csv", "");
            tables.push(answer.text().to_owned());
            match answer.header("link").strip_prefix("<?").and_then(|link| link.split_once(">; rel=\"next\""))
            {
                Some((next, _)) => next.clone_into(&mut query),
                None => return tables,
            }
        }
    }
}

fn indexes(pages: &[Value]) -> Vec<u64> {
    let items = pages.iter().flat_map(|page| page["items"].as_array().unwrap());
    items.map(|item| item["index"].as_u64().unwrap()).collect()
}

/// Public fields of about 60,000 bytes, of values as small as can be.
fn long() -> String {
    format!("{{\"a\":[{}0]}}", "0,".repeat(30_000))
}

#[test]
fn a_page_of_long_entries_ends_early_and_the_pages_give_each_exactly_once() {
    let scene = Scene::new();
    scene.enter(&[scene.world.open(&scene.office, "country")]);
    let statements: Vec<Vec<u8>> = (0..100).map(|key| scene.put(&format!("K{key}"), None, &long())).collect();
    scene.enter(&statements);
    let expected: Vec<u64> = (3..103).collect();
    for (path, query) in
        [("records", "limit=1000"), ("entries", "from=3&limit=1000"), ("records", "limit=40")]
    {
        let pages = scene.pages(&format!("{REGISTER}/{path}"), query);
        assert_eq!(indexes(&pages), expected, "{path}?{query}");
        assert!(pages.len() >= 2, "{}", pages.len());
        let sent = pages.iter().flat_map(|page| page["items"].as_array().unwrap());
        for (item, statement) in sent.zip(&statements) {
            assert_eq!(item["leaf_hash"], leaf_hash(statement).to_string());
            assert_eq!(item["statement"]["public"]["a"].as_array().unwrap().len(), 30_001);
        }
    }
    let back = scene.pages(&format!("{REGISTER}/entries"), "before=103&limit=1000&size=103");
    assert_eq!(indexes(&back), (2..103).rev().collect::<Vec<u64>>());
    let tables = scene.tables(&format!("{REGISTER}/records"), "limit=1000");
    assert!(tables.len() >= 2);
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let listed: Vec<u64> = lines.map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(listed, expected);
}

#[test]
fn a_history_of_long_versions_is_paged_for_programs_and_for_people() {
    let scene = Scene::new();
    scene.enter(&[scene.world.open(&scene.office, "country")]);
    let mut versions: Vec<Vec<u8>> = Vec::new();
    for at in 0..90 {
        let public = long().replacen('0', &at.to_string(), 1);
        versions.push(scene.put("GB", versions.last().map(Vec::as_slice), &public));
    }
    scene.enter(&versions);
    let path = format!("{REGISTER}/records/GB/history");
    let pages = scene.pages(&path, "limit=1000");
    assert!(pages.len() >= 2);
    assert_eq!(indexes(&pages), (3..93).collect::<Vec<u64>>());
    // People go from page to page too, and each version is compared with the one before it wherever that stands.
    let (mut seen, mut query) = (Vec::new(), "limit=1000".to_owned());
    loop {
        let page = scene.page(&format!("{path}?{query}"));
        let sections = page.split("<section><h2>Entry ").skip(1);
        let shown: Vec<u64> =
            sections.map(|section| section.split('<').next().unwrap().parse().unwrap()).collect();
        assert!(shown.len() <= 20, "{}", shown.len());
        assert_eq!(page.matches("<del>").count(), shown.iter().filter(|index| **index > 3).count());
        seen.extend(shown);
        match page.split_once("<a href=\"?from=") {
            Some((_, rest)) => {
                let next = rest.split('"').next().unwrap().replace("&amp;", "&");
                query = format!("from={next}");
            }
            None => break,
        }
    }
    assert_eq!(seen, (3..93).collect::<Vec<u64>>());
}

#[test]
fn records_with_columns_of_their_own_make_tables_that_end_early() {
    let scene = Scene::new();
    scene.enter(&[scene.world.open(&scene.office, "country")]);
    let own = |record: u32| {
        let fields: Vec<String> = (0..2000).map(|field| format!("\"f{record:02}{field:04}\":0")).collect();
        scene.put(&format!("K{record}"), None, &format!("{{{}}}", fields.join(",")))
    };
    scene.enter(&(0..60).map(own).collect::<Vec<_>>());
    let tables = scene.tables(&format!("{REGISTER}/records"), "limit=1000");
    assert!(tables.len() >= 2);
    let mut seen = BTreeSet::new();
    for table in &tables {
        assert!(table.len() < 4 << 20, "{}", table.len());
        let columns = table.lines().next().unwrap().split(',').count();
        for line in table.lines().skip(1) {
            assert_eq!(line.split(',').count(), columns);
            assert!(seen.insert(line.split(',').next().unwrap().parse::<u64>().unwrap()), "once");
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), (3..63).collect::<Vec<u64>>());
}

#[test]
fn agencies_and_their_keys_and_registers_are_paged_like_everything_else() {
    let scene = Scene::new();
    let others: Vec<Office> = (0..4).map(|at| Office::new(&format!("a{at}.example"))).collect();
    scene.enter(&others.iter().map(|office| scene.world.enrol(office)).collect::<Vec<_>>());
    let names = |pages: &[Value], list: &str, member: &str| -> Vec<String> {
        let all = pages.iter().flat_map(|page| page[list].as_array().unwrap());
        all.map(|one| one[member].as_str().unwrap().to_owned()).collect()
    };
    let pages = scene.pages("/agencies", "limit=2");
    assert_eq!(
        pages.iter().map(|page| page["agencies"].as_array().unwrap().len()).collect::<Vec<_>>(),
        [2, 2, 2]
    );
    let listed = names(&pages, "agencies", "agency");
    let expected =
        ["registrar.example", "treasury.example", "a0.example", "a1.example", "a2.example", "a3.example"];
    assert_eq!(listed, expected, "in the order of their enrolment");
    assert_eq!(names(&scene.pages("/agencies", "from=4"), "agencies", "agency"), expected[4..]);
    let back = names(&scene.pages("/agencies", "before=4&limit=1"), "agencies", "agency");
    assert_eq!(back, ["a1.example", "a0.example", "treasury.example", "registrar.example"]);
    let tables = scene.tables("/agencies", "limit=4");
    assert_eq!(tables.iter().map(|table| table.lines().count()).collect::<Vec<_>>(), [5, 3]);
    assert!(scene.page("/agencies?limit=5").contains("<a href=\"?from=5&amp;limit=5\">More</a>"));

    // More registers than an agency's own document shows.
    let opened: Vec<Vec<u8>> =
        (0..1001).map(|at| scene.world.open(&scene.office, &format!("r{at:04}"))).collect();
    scene.enter(&opened);
    let agency = scene.accept("/agencies/treasury.example", "application/json", "").json();
    assert_eq!(agency["registers"].as_array().unwrap().len(), 1000);
    assert_eq!((&agency["keys_next"], agency["keys"].as_array().unwrap().len()), (&Value::Null, 4));
    let next = agency["registers_next"].as_str().unwrap();
    let rest = scene.accept(next, "application/json", "").json();
    assert_eq!(
        (names(std::slice::from_ref(&rest), "registers", "register"), &rest["next"]),
        (vec!["r1000".to_owned()], &Value::Null)
    );
    let client = Client::new(&scene.server.url()).unwrap();
    let facts = client.agency(&scene.office.id).unwrap().unwrap();
    assert_eq!((facts.registers.len(), facts.keys.len()), (1001, 4), "a client goes on to the end");
    let page = scene.page("/agencies/treasury.example");
    assert!(page.contains("<a href=\"/agencies/treasury.example/registers?from="), "{}", page.len());
    let path = "/agencies/treasury.example";
    assert_eq!(scene.pages(&format!("{path}/registers"), "limit=500").len(), 3);
    let keys = scene.pages(&format!("{path}/keys"), "limit=1");
    assert_eq!(keys.len(), 1, "what came in together stays together");
    assert_eq!(keys[0]["keys"].as_array().unwrap().len(), 4);
    assert_eq!(scene.tables(&format!("{path}/keys"), "")[0].lines().count(), 5);
    assert!(scene.page(&format!("{path}/keys")).contains("sign as an officer"));
    assert!(scene.page(&format!("{path}/registers?limit=7")).contains("r0006"));
    let nobody = scene.server.get("/agencies/nobody.example/keys");
    assert_eq!(nobody.status, 404);
    assert_eq!(scene.server.get("/agencies?sort=title").status, 400);
}

/// A version with two attachments as entry 3, and where they are: the erasable one, and the public one.
fn letter(scene: &Scene) -> (Vec<u8>, String, String) {
    let mut register = scene.world.register_body(&scene.office, "country", None);
    register.attachments = vec![FieldClass::Erasable, FieldClass::Public];
    let rule = FieldRule { class: FieldClass::Erasable, kind: FieldType::String, required: false };
    register.fields.insert("name".to_owned(), rule);
    scene.enter(&[sign(&Body::Register(register), &scene.office.quorum())]);
    let mut record = scene.world.record_body(&scene.office, "country", "GB", None, "{}");
    let opening = uploads::erasable(&record, "a letter.pdf", b"personal", 7);
    assert_eq!(uploads::put_erasable(&scene.server, &scene.office, &opening, b"personal").status, 200);
    let public = format!("/blobs/{}", sha256(b"public"));
    assert_eq!(uploads::put(&scene.server, &scene.office, &public, b"public").status, 200);
    let map = Attachment {
        name: "map.png".parse().unwrap(),
        media: "image/png".parse().unwrap(),
        bytes: 6,
        content: AttachmentContent::Public(sha256(b"public")),
    };
    let attachments = vec![opening.attachment(), map];
    record.content = Some(Content { attachments, ..record.content.unwrap() });
    let version = sign(&Body::Record(record), &[&scene.office.publisher]);
    scene.enter(std::slice::from_ref(&version));
    (version, format!("href=\"/blobs/{}\"", opening.commitment()), format!("href=\"{public}\""))
}

/// Entry 4 takes the letter, entry 5 ends the publisher's key, and entry 6 disowns what it signed.
fn say_later(scene: &Scene, version: &[u8]) {
    let place = |index: u64| LeafIndex::new(index).unwrap();
    let entry = EntryRef { index: place(3), leaf: leaf_hash(version) };
    let gone = ["/attachments/a letter.pdf"];
    let tombstone = scene.world.tombstone_body(&scene.office, "country", "GB", entry, &gone);
    let dispute = Body::Dispute(Dispute {
        agency: scene.office.id.clone(),
        at: AT.parse().unwrap(),
        log: ORIGIN.parse().unwrap(),
        previous: None,
        key: scene.office.publisher.key(),
        from: place(3),
        to: place(4),
        reason: "stolen <b>".parse().unwrap(),
    });
    for body in [tombstone, revoked_body(scene), dispute] {
        scene.enter(&[sign(&body, &scene.office.quorum())]);
    }
}

fn paths() -> [String; 2] {
    [format!("{REGISTER}/records/GB"), format!("{REGISTER}/records/GB/history")]
}

#[test]
fn a_records_pages_show_its_attachments_what_was_erased_and_that_it_is_disowned() {
    let scene = Scene::new();
    let (version, erasable, public) = letter(&scene);
    for path in &paths() {
        let page = scene.page(path);
        assert!(page.contains("<h3>Attachments</h3>") && page.contains("image/png"), "{page}");
        assert!(page.contains(&public) && page.contains(&erasable), "{page}");
        assert!(!page.contains("Erased") && !page.contains("disowns"), "{page}");
    }
    say_later(&scene, &version);
    for path in &paths() {
        let page = scene.page(path);
        assert!(!page.contains(&erasable) && page.contains(&public), "{page}");
        assert!(page.contains("<h3>Erased</h3>") && page.contains("/attachments/a letter.pdf"), "{page}");
        assert!(page.contains("GDPR, Art. 17") && page.contains("<a href=\"/entry/4\">4</a>"), "{page}");
        assert!(page.contains("disowns this version") && page.contains("stolen &lt;b&gt;"), "{page}");
        assert!(page.contains("<a href=\"/entry/6\">6</a>"), "{page}");
        let then = scene.page(&format!("{path}?size=4"));
        assert!(!then.contains("<h3>Erased</h3>") && !then.contains("disowns"), "as it was: {then}");
        let chinese = scene.accept(path, "text/html", "zh-CN").text().to_owned();
        for word in ["附件", "已删除的内容", "法律依据", "机构不承认这一版"] {
            assert!(chinese.contains(word), "{word}: {chinese}");
        }
        assert!(!chinese.contains("Attachments") && !chinese.contains("Erased"), "{chinese}");
    }
}

#[test]
fn a_version_that_another_key_signs_is_not_disowned() {
    let scene = Scene::new();
    let (version, ..) = letter(&scene);
    say_later(&scene, &version);
    let successor = Signer::ed25519("treasury.example/publisher-2");
    let rotate = AgencyAction::Rotate {
        add: vec![KeyGrant { key: successor.key(), role: Role::Publisher }],
        retire: Vec::new(),
        quorum: 2,
        recovery: None,
    };
    let revoked = sign(&revoked_body(&scene), &scene.office.quorum());
    let rotate = scene.world.agency_body(&scene.office, previous(&revoked), rotate);
    let officers = &scene.office.officers;
    scene.enter(&[sign(&rotate, &[&officers[0], &officers[1], &successor])]);
    let next = scene.world.record_body(&scene.office, "country", "GB", previous(&version), "{}");
    scene.enter(&[sign(&Body::Record(next), &[&successor])]);
    let [record, history] = paths();
    assert!(!scene.page(&record).contains("disowns"));
    assert_eq!(scene.page(&history).matches("disowns").count(), 1);
}

fn revoked_body(scene: &Scene) -> Body {
    let reason = "lost".parse().unwrap();
    let revoke = AgencyAction::Revoke { keys: vec![scene.office.publisher.key()], reason };
    scene.world.agency_body(&scene.office, previous(&scene.world.enrol(&scene.office)), revoke)
}

#[test]
fn kinds_and_grants_the_start_page_and_errors_speak_the_readers_language() {
    let scene = Scene::new();
    scene.enter(&[scene.world.open(&scene.office, "country")]);
    let chinese = |path: &str| scene.accept(path, "text/html", "zh-CN,zh;q=0.9").text().to_owned();
    let agency = chinese("/agencies/treasury.example");
    for word in ["以官员身份签署", "签署记录", "登记册", "机构"] {
        assert!(agency.contains(word), "{word}: {agency}");
    }
    for word in [">officer<", ">publisher<", ">agency<", ">register<"] {
        assert!(!agency.contains(word), "{word}: {agency}");
    }
    let start = chinese("/");
    assert!(start.contains("lang=\"zh-Hans\"") && start.contains("不要只听日志的一面之词"), "{start}");
    assert!(
        !start.contains("Answer") && !start.contains("{refresh}"),
        "nothing is left to be filled in: {start}"
    );
    let english = scene.page("/");
    assert!(
        english.contains("lang=\"en\"") && english.contains("Do not take the log's word for it"),
        "{english}"
    );
    assert_eq!(scene.accept("/", "text/html", "zh").header("content-language"), "zh-Hans");

    let ask = |path: &str, accept: &str, language: &str| {
        scene.server.send("GET", path, &[("accept", accept), ("accept-language", language)], b"")
    };
    let cases = [
        ("/agencies/nobody.example", 404, "这里没有内容", "Nothing is here"),
        ("/nothing", 404, "这里没有内容", "Nothing is here"),
        ("/agencies?size=999", 404, "尚未发布", "Not published yet"),
        ("/agencies?from=x", 400, "无法理解的请求", "That cannot be understood"),
        ("/records", 405, "不能这样操作", "That cannot be done here"),
    ];
    for (path, status, chinese, english) in cases {
        for (language, heading) in [("zh", chinese), ("en", english)] {
            let page = ask(path, "text/html,*/*;q=0.8", language);
            assert_eq!(
                (page.status, page.header("content-type")),
                (status, "text/html; charset=utf-8"),
                "{path}"
            );
            assert!(page.text().contains(heading), "{path}: {}", page.text());
            assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
            assert_eq!(page.header("cache-control"), "no-store");
        }
        let document = ask(path, "application/json", "zh");
        assert_eq!((document.status, document.header("content-type")), (status, "application/problem+json"));
        let detail = document.json()["detail"].as_str().unwrap().to_owned();
        assert!(!detail.is_empty());
    }
    assert_eq!(ask("/records", "text/html", "en").header("allow"), "POST");
    let markup = ask("/agencies?%3Cscript%3E=<b>", "text/html", "en");
    assert!(!markup.text().contains("<script>") && !markup.text().contains("<b>"), "{}", markup.text());
}
