//! What readers see of agencies, registers, records and histories: JSON, CSV and pages, at any size.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use record::statement::Body;
use serde_json::Value;
use tests::records::{Office, World, previous, sign};
use tests::server::{Answer, ORIGIN, Server, Site};
use tlog::hash::leaf_hash;

/// Entries: genesis, an agency, its register, then `GB` three times and 20 other keys.
struct Scene {
    _site: Site,
    server: Server,
    versions: Vec<Vec<u8>>,
}

const REGISTER: &str = "/registers/treasury.example/country";

impl Scene {
    fn new() -> Self {
        let site = Site::new("records");
        let server = site.start();
        let (world, office) = (World::new(ORIGIN), Office::new("treasury.example"));
        let put = |key: &str, before: Option<&[u8]>, public: &str| {
            world.put(&office, "country", key, before.and_then(previous), public)
        };
        let first = put("GB", None, "{\"name\":\"<b>\u{5d0}\u{5d1}</b>\"}");
        let second = put("GB", Some(&first), r#"{"name":"=1+1","pop":67}"#);
        let mut withdrawal = world.record_body(&office, "country", "GB", previous(&second), "{}");
        withdrawal.content = None;
        let third = sign(&Body::Record(withdrawal), &[&office.publisher]);
        let mut statements = vec![world.enrol(&office), world.open(&office, "country")];
        let versions = vec![first, second, third];
        statements.extend(versions.iter().cloned());
        statements.extend((0..20).map(|key| put(&format!("K {key}"), None, &format!(r#"{{"n":{key}}}"#))));
        for statement in statements {
            let answer = server.send("POST", "/records", &[("content-type", "text/plain")], &statement);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        Self { _site: site, server, versions }
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.server.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    fn accept(&self, path: &str, kind: &str, language: &str) -> Answer {
        self.server.send("GET", path, &[("accept", kind), ("accept-language", language)], b"")
    }
}

fn indexes(page: &Value) -> Vec<u64> {
    page["items"].as_array().unwrap().iter().map(|item| item["index"].as_u64().unwrap()).collect()
}

#[test]
fn agencies_registers_and_records_are_read_as_they_are_and_as_they_were() {
    let scene = Scene::new();
    let agencies = scene.json("/agencies");
    assert_eq!(agencies["registrar"], "registrar.example");
    assert_eq!(agencies["agencies"].as_array().unwrap().len(), 2);
    let agency = scene.json("/agencies/treasury.example");
    assert_eq!(agency["registers"][0]["register"], "country");
    assert_eq!(agency["keys"].as_array().unwrap().len(), 4);
    assert_eq!(indexes(&agency), [1, 2]);
    let register = scene.json(REGISTER);
    assert_eq!((&register["entries"], &register["records"]), (&24.into(), &21.into()));
    let history = scene.json(&format!("{REGISTER}/records/GB/history"));
    assert_eq!(indexes(&history), [3, 4, 5]);
    for (item, statement) in history["items"].as_array().unwrap().iter().zip(&scene.versions) {
        assert_eq!(item["leaf_hash"], leaf_hash(statement).to_string());
        let text = std::str::from_utf8(statement).unwrap().lines().nth(1).unwrap();
        assert_eq!(item["statement"].to_string(), text, "as it is in the leaf");
    }
    let latest = scene.json(&format!("{REGISTER}/records/GB"));
    assert_eq!((&latest["index"], &latest["statement"]["action"]), (&5.into(), &"withdraw".into()));
    let before = scene.json(&format!("{REGISTER}/records/GB?size=5"));
    assert_eq!((&before["index"], &before["tree_size"]), (&4.into(), &5.into()));
    assert_eq!(scene.json("/agencies?size=1")["agencies"].as_array().unwrap().len(), 1);
    for absent in [
        "/agencies/nobody.example",
        "/registers/treasury.example/nothing",
        &format!("{REGISTER}?size=2"),
        &format!("{REGISTER}/records/XX"),
        &format!("{REGISTER}/records/K%200?size=6"),
        "/agencies?size=99999",
    ] {
        assert_eq!(scene.server.get(absent).status, 404, "{absent}");
    }
    assert_eq!(scene.server.get("/agencies?filter=x").status, 400);
    let receipt = scene.server.send("GET", "/entry/4", &[("accept", "text/plain")], b"");
    assert!(receipt.text().starts_with("c2sp.org/tlog-proof"), "receipts on demand");
    let queried = scene.server.get(&format!("{REGISTER}?size=5"));
    assert_eq!(queried.header("cache-control"), "no-store");
}

#[test]
fn pages_are_followed_by_index_to_the_end_in_both_directions() {
    let scene = Scene::new();
    for (path, count) in [("records", 21), ("entries", 24), ("records/GB/history", 3)] {
        for start in ["from=0", "before=1000"] {
            let (mut seen, mut query) = (Vec::new(), format!("{start}&limit=2&size=26"));
            loop {
                let page = scene.json(&format!("{REGISTER}/{path}?{query}"));
                seen.extend(indexes(&page));
                match page["next"].as_str() {
                    Some(next) => next.clone_into(&mut query),
                    None => break,
                }
            }
            assert_eq!(seen.len(), count, "{path} {start}: {seen:?}");
        }
    }
    let records = scene.json(&format!("{REGISTER}/records?limit=3"));
    assert_eq!(indexes(&records), [5, 6, 7], "the latest version under each key");
    assert_eq!(scene.json(&format!("{REGISTER}/records/K%203"))["statement"]["key"], "K 3");
}

#[test]
fn a_spreadsheet_gets_columns_and_no_formulas() {
    let scene = Scene::new();
    let csv = scene.accept(&format!("{REGISTER}/records/GB/history"), "text/csv", "");
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<&str> = csv.text().split("\r\n").collect();
    assert_eq!(
        lines[0],
        "index,leaf_hash,kind,agency,register,key,at,action,title,\"public.name\",\"public.pop\""
            .replace('"', "")
    );
    assert!(lines[2].contains("\"'=1+1\"") && lines[2].ends_with(",67"), "{}", lines[2]);
    assert!(lines[3].contains("withdraw"), "{}", lines[3]);
    assert_eq!(scene.accept("/agencies", "text/csv", "").text().lines().count(), 3);
}

#[test]
fn pages_for_people_escape_everything_show_what_changed_and_speak_two_languages() {
    let scene = Scene::new();
    let path = format!("{REGISTER}/records/GB/history");
    let page = scene.accept(&path, "text/html,application/xhtml+xml;q=0.9", "en-GB,en;q=0.9");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert!(page.header("vary").contains("Accept-Language"));
    let text = page.text();
    assert!(!text.contains("<b>") && text.contains("&lt;b&gt;\u{5d0}\u{5d1}&lt;/b&gt;"), "{text}");
    assert!(!text.contains("<script"));
    assert!(text.contains("<code dir=\"auto\">/public/name</code>"), "field by field");
    assert!(
        text.contains("<del><bdi dir=\"auto\">&lt;b&gt;") && text.contains("<ins><bdi dir=\"auto\">=1+1")
    );
    assert!(text.contains("Withdrawn") && text.contains("First version"));
    let chinese = scene.accept(&path, "text/html", "zh-CN,zh;q=0.9,en;q=0.1");
    assert!(chinese.text().contains("lang=\"zh-Hans\"") && chinese.text().contains("已撤回"));
    assert_eq!(chinese.header("content-language"), "zh-Hans");
    let alone = scene.accept(&format!("{path}?from=4&limit=1"), "text/html", "en");
    assert!(alone.text().contains("/public/pop"), "compared with the version on the page before");
    for path in ["/agencies", "/agencies/treasury.example", REGISTER, &format!("{REGISTER}/entries")] {
        let page = scene.accept(path, "text/html", "en");
        assert_eq!(page.status, 200, "{path}");
        assert!(page.text().contains("<table>"), "{path}");
    }
    let record = scene.accept(&format!("{REGISTER}/records/K%200"), "text/html", "en");
    assert!(record.text().contains("href=\"/registers/treasury.example/country/records/K%200/history\""));
}

#[test]
fn a_page_about_a_record_bears_its_title_and_the_key_as_a_line_of_its_own() {
    let scene = Scene::new();
    let (world, office) = (World::new(ORIGIN), Office::new("treasury.example"));
    let mut before = None;
    for title in ["Old <bridge>", "New <bridge>"] {
        let mut titled = world.record_body(&office, "country", "B-1", before, "{}");
        titled.content.as_mut().unwrap().title = Some(title.parse().unwrap());
        let statement = sign(&Body::Record(titled), &[&office.publisher]);
        let answer = scene.server.send("POST", "/records", &[("content-type", "text/plain")], &statement);
        assert_eq!(answer.status, 200, "{}", answer.text());
        before = previous(&statement);
    }
    for (path, what) in [("records/B-1", "Record"), ("records/B-1/history", "History")] {
        let page = scene.accept(&format!("{REGISTER}/{path}"), "text/html", "en");
        let heading = format!("<h1><bdi dir=\"auto\">{what}: New &lt;bridge&gt;</bdi></h1>");
        assert!(page.text().contains(&heading), "{}", page.text());
        assert!(page.text().contains("<p><bdi dir=\"auto\">B-1</bdi></p>"), "{}", page.text());
    }
    let untitled = scene.accept(&format!("{REGISTER}/records/K%200"), "text/html", "en");
    assert!(untitled.text().contains("<h1><bdi dir=\"auto\">Record: K 0</bdi></h1>"), "{}", untitled.text());
}
