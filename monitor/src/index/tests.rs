//! The index as a whole: what goes in is found, in order, after every kind of restart.

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::select;
use tempfile::TempDir;
use tlog::hash::{Hash, leaf_hash};

use super::extract::{extract, tests::leaf};
use super::matching::Subject;
use super::query::Query;
use super::read::{Index, Window};
use super::schema::IndexError;
use super::search::Page;
use super::write::{NewEntry, Watermark, Writer};

const ORIGIN: &str = "log.example/2026";

struct Bench {
    folder: TempDir,
    writer: Writer,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::open(&folder.path().join("index.sqlite")).unwrap();
        Self { folder, writer }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("index.sqlite")
    }

    fn add(&mut self, origin: &str, leaves: &[Vec<u8>]) {
        let first = self.writer.begin(origin, 0).unwrap().next;
        let entries: Vec<NewEntry<'_>> = (first..)
            .zip(leaves)
            .map(|(index, bytes)| NewEntry { index, bytes, leaf: leaf_hash(bytes) })
            .collect();
        self.writer.append(origin, &entries).unwrap();
    }

    fn index(&self) -> Index {
        Index::open(&self.path()).unwrap()
    }

    fn found(&self, query: &str) -> Vec<u64> {
        let hits = self.index().search(&Query::parse(query), Page::Oldest(None), 100).unwrap();
        assert!(!hits.cut_short);
        hits.rows.iter().map(|row| row.index).collect()
    }
}

fn record(agency: &str, register: &str, key: &str, at: &str, title: &str, public: &str) -> Vec<u8> {
    leaf(
        "record",
        &format!(
            r#"{{"agency":"{agency}","at":"{at}","key":"{key}","log":"{ORIGIN}","previous":null,"public":{public},"register":"{register}","title":"{title}"}}"#
        ),
    )
}

fn count(index: &Index, query: &str) -> Option<u64> {
    index.search_and_count(&Query::parse(query), Page::Newest(None), 1).unwrap().1
}

fn corpus() -> Vec<Vec<u8>> {
    let at = "2026-11-23T09:00:00Z";
    vec![
        record(
            "a.gov.example",
            "contracts",
            "C-1",
            at,
            "Bridge repair",
            r#"{"supplier":"Acme Ltd","amount":"1250.50"}"#,
        ),
        record(
            "a.gov.example",
            "contracts",
            "C-2",
            "2025-02-01T00:00:00Z",
            "Tunnel",
            r#"{"supplier":"Bridge Brothers","amount":"99000000.00"}"#,
        ),
        record("b.gov.example", "采购", "P-1", at, "关于北京市政府采购的公告", r#"{"金额":"5000.00"}"#),
        record("b.gov.example", "عقود", "Q-1", at, "تم توقيع العَقْد مع الشركة", "{}"),
        leaf(
            "record",
            r#"{"action":"withdraw","agency":"a.gov.example","at":"2026-12-01T00:00:00Z","key":"C-1","log":"l","previous":"00","register":"contracts"}"#,
        ),
        br#"{"name":"foreign","note":"a bridge too far"}"#.to_vec(),
        "plain text about a bridge".as_bytes().to_vec(),
        vec![0xff, 0xfe],
    ]
}

#[test]
fn words_of_every_language_are_found() {
    let mut bench = Bench::new();
    bench.add(ORIGIN, &corpus());
    for (query, expected) in [
        ("bridge", vec![0, 1, 5, 6]),
        ("\"bridge repair\"", vec![0]),
        ("\"repair bridge\"", vec![]),
        ("bridge -repair", vec![1, 5, 6]),
        ("repair OR tunnel", vec![0, 1]),
        ("brid*", vec![0, 1, 5, 6]),
        ("北京", vec![2]),
        ("政府", vec![2]),
        ("市政府", vec![2]),
        ("京政", vec![]),
        ("عقد", vec![3]),
        ("العقد الشركة", vec![3]),
        ("-bridge", vec![2, 3, 4, 7]),
        ("", (0..8).collect()),
    ] {
        assert_eq!(bench.found(query), expected, "{query}");
    }
}

#[test]
fn fields_filters_and_ranges_narrow_the_search() {
    let mut bench = Bench::new();
    bench.add(ORIGIN, &corpus());
    bench.add("other.example", &[b"bridge".to_vec()]);
    for (query, expected) in [
        ("agency:b.gov.example", vec![2, 3]),
        ("register:采购", vec![2]),
        ("key:C-1", vec![0, 4]),
        ("is:withdrawn", vec![4]),
        ("kind:record register:contracts", vec![0, 1, 4]),
        ("supplier:bridge", vec![1]),
        ("title:bridge", vec![0]),
        ("-supplier:bridge title:tunnel", vec![]),
        ("bridge -supplier:bridge log:log.example/2026", vec![0, 5, 6]),
        ("amount>1250.50", vec![1, 2]),
        ("amount>=1250.50 amount<5000", vec![0]),
        ("after:2026-12-01", vec![4]),
        ("before:2026", vec![1]),
        ("after:2026-11-23 before:2026-11-24", vec![0, 2, 3]),
        ("after:1999 before:1998", vec![]),
        ("form:json", vec![5]),
        ("log:other.example", vec![0]),
    ] {
        assert_eq!(bench.found(query), expected, "{query}");
    }
    let hash = leaf_hash(&corpus()[3]).to_string();
    assert_eq!(bench.found(&format!("hash:{hash}")), [3]);
}

#[test]
fn pages_follow_one_another_in_log_order_without_gap_or_repetition() {
    let mut bench = Bench::new();
    let leaves: Vec<Vec<u8>> = (0..25).map(|number| format!("common word {number}").into_bytes()).collect();
    bench.add(ORIGIN, &leaves);
    let index = bench.index();
    for (query, newest_first) in [("common", true), ("common", false), ("", true), ("", false)] {
        let query = Query::parse(query);
        let (mut from, mut seen) = (None, Vec::new());
        loop {
            let page = if newest_first { Page::Newest(from) } else { Page::Oldest(from) };
            let hits = index.search(&query, page, 10).unwrap();
            assert!(hits.rows.len() <= 10);
            seen.extend(hits.rows.iter().map(|row| row.index));
            let Some(next) = hits.next else { break };
            from = Some(next);
        }
        let mut expected: Vec<u64> = (0..25).collect();
        if newest_first {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
    assert_eq!(count(&index, "common"), Some(25));
    assert_eq!(count(&index, "amount>1"), None);
}

#[test]
fn the_beginning_of_many_words_is_found_as_exactly_as_that_of_a_few() {
    let mut bench = Bench::new();
    let leaves: Vec<Vec<u8>> =
        (0..700).map(|number| format!("common word{number} other{}", number % 3).into_bytes()).collect();
    bench.add(ORIGIN, &leaves);
    let index = bench.index();
    let all = |text: &str| {
        let (query, mut from, mut seen) = (Query::parse(text), None, Vec::new());
        loop {
            let hits = index.search(&query, Page::Oldest(from), 100).unwrap();
            seen.extend(hits.rows.iter().map(|row| row.index));
            let Some(next) = hits.next else { return seen };
            from = Some(next);
        }
    };
    assert_eq!(all("word*"), (0..700).collect::<Vec<_>>(), "more words than the index is asked for");
    assert_eq!(count(&index, "word*"), None);
    assert_eq!(all("other*").len(), 700);
    assert_eq!(count(&index, "other*"), Some(700));
    assert_eq!(all("word69*"), [69, 690, 691, 692, 693, 694, 695, 696, 697, 698, 699]);
    assert_eq!(all("\"common word1*"), [1], "in quotes a star is none");
    assert_eq!(all("common -word*"), Vec::<u64>::new());
    assert_eq!(all("nothing* OR word12"), [12]);
}

#[test]
fn indexing_goes_on_exactly_where_it_stopped() {
    let mut bench = Bench::new();
    bench.add(ORIGIN, &corpus()[..3]);
    let path = bench.path();
    // Rows of a batch that was never committed are not there, nor is its watermark.
    {
        let connection = rusqlite::Connection::open(&path).unwrap();
        let transaction = connection.unchecked_transaction().unwrap();
        transaction.execute("UPDATE log SET next = 8", []).unwrap();
        drop(transaction);
    }
    let mut writer = Writer::open(&path).unwrap();
    let watermark = writer.begin(ORIGIN, 0).unwrap();
    assert_eq!((watermark.next, watermark.leaf), (3, Some(leaf_hash(&corpus()[2]))));
    let leaves = corpus();
    let entry = |index: u64| {
        let bytes = leaves[usize::try_from(index).unwrap()].as_slice();
        NewEntry { index, bytes, leaf: leaf_hash(bytes) }
    };
    let gap = writer.append(ORIGIN, &[entry(4)]).unwrap_err();
    assert!(matches!(gap, IndexError::Gap { expected: 3, found: 4, .. }), "{gap}");
    assert!(writer.append(ORIGIN, &[entry(2)]).is_err(), "nothing is indexed twice");
    writer.append(ORIGIN, &[entry(3), entry(4)]).unwrap();
    drop(writer);
    bench.writer = Writer::open(&path).unwrap();
    assert_eq!(bench.found(""), [0, 1, 2, 3, 4]);
}

#[test]
fn a_newer_schema_and_a_foreign_file_are_refused() {
    let bench = Bench::new();
    let path = bench.path();
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Writer::open(&path), Err(IndexError::Newer { found: 99, .. })));
    assert!(matches!(Index::open(&path), Err(IndexError::Newer { found: 99, .. })));
    let foreign = bench.folder.path().join("foreign.sqlite");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(Writer::open(&foreign), Err(IndexError::Foreign { .. })));
}

/// The first schema, as its version made it.
const SCHEMA_1: &str = r#"
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE log (
        id INTEGER PRIMARY KEY, origin TEXT NOT NULL UNIQUE, first INTEGER NOT NULL, next INTEGER NOT NULL, leaf TEXT
    ) STRICT;
    CREATE TABLE record (
        id INTEGER PRIMARY KEY, log INTEGER NOT NULL REFERENCES log(id), idx INTEGER NOT NULL, leaf TEXT NOT NULL,
        form TEXT NOT NULL, kind TEXT, agency TEXT, register TEXT, key TEXT, title TEXT, at TEXT, at_seconds INTEGER,
        previous TEXT, action TEXT, erases TEXT, amount INTEGER, currency TEXT, logged_after INTEGER,
        bytes BLOB NOT NULL, UNIQUE (log, idx)
    ) STRICT;
    CREATE TABLE head (
        log INTEGER NOT NULL REFERENCES log(id), size INTEGER NOT NULL, first_seconds INTEGER NOT NULL,
        last_seconds INTEGER NOT NULL, PRIMARY KEY (log, size)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE volume (
        log INTEGER NOT NULL REFERENCES log(id), agency TEXT NOT NULL, register TEXT NOT NULL, month TEXT NOT NULL,
        entries INTEGER NOT NULL, timed INTEGER NOT NULL, seconds_late INTEGER NOT NULL,
        seconds_late_max INTEGER NOT NULL, newest INTEGER NOT NULL, newest_at INTEGER,
        PRIMARY KEY (log, agency, register, month)
    ) STRICT, WITHOUT ROWID;
    CREATE VIRTUAL TABLE record_fts USING fts5(
        title, body, facet, content='', columnsize=0,
        tokenize="unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'"
    );
    INSERT INTO meta VALUES ('title', 'Entries of transparency logs, verified by daybook-monitor');
    INSERT INTO log VALUES (1, 'log.example/2026', 0, 2, 'ab');
    INSERT INTO head VALUES (1, 1, 1795424500, 1795424560);
    INSERT INTO record (log, idx, leaf, form, kind, agency, bytes) VALUES (1, 0, 'aa', 'statement', 'record', 'a', x'00');
    INSERT INTO record (log, idx, leaf, form, kind, agency, bytes) VALUES (1, 1, 'ab', 'statement', 'record', 'a', x'00');
    INSERT INTO record_fts (rowid, title, body, facet) VALUES (1, 'old', 'old', 'zall'), (2, 'old', 'old', 'zall');
    INSERT INTO volume VALUES (1, 'a', 'r', '2026-11', 2, 0, 0, 0, 1, NULL);
    PRAGMA user_version = 1;
"#;

#[test]
fn an_index_of_the_first_schema_is_made_again_and_keeps_the_times_of_heads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.sqlite");
    rusqlite::Connection::open(&path).unwrap().execute_batch(SCHEMA_1).unwrap();
    let refused = Index::open(&path).unwrap_err();
    assert!(matches!(refused, IndexError::Older { found: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("made again when the monitor looks next"), "{refused}");
    let mut bench = Bench { writer: Writer::open(&path).unwrap(), folder };
    assert_eq!(bench.writer.begin(ORIGIN, 0).unwrap(), Watermark { next: 0, leaf: None });
    let missing = |bench: &Bench| {
        bench.index().logs().unwrap().iter().map(super::read::IndexedLog::missing).sum::<u64>()
    };
    assert_eq!((missing(&bench), bench.found("old").len()), (2, 0), "less is found, and that can be told");
    bench.add(ORIGIN, &corpus()[..1]);
    assert_eq!(missing(&bench), 1);
    // What the agency signed in 2025 was not in the log at the time of the head that was kept.
    bench.add(ORIGIN, &corpus()[1..]);
    assert_eq!((missing(&bench), bench.found("bridge")), (0, vec![0, 1, 5, 6]));
    assert_eq!(bench.found("late:600"), [1]);
    assert_eq!(bench.index().window(ORIGIN, 0).unwrap().before, Some(1_795_424_500));
    assert!(bench.index().published(ORIGIN, Some("a")).unwrap().is_empty());
    drop(bench.writer);
    let again = Writer::open(&path).unwrap().begin(ORIGIN, 0).unwrap();
    assert_eq!(again.next, 8, "once");
}

#[test]
fn one_letter_finds_every_entry_with_it_however_many_words_begin_so() {
    let mut bench = Bench::new();
    let leaves: Vec<Vec<u8>> = (0..400_u32)
        .map(|number| {
            format!(
                "{}北{}",
                char::from_u32(0x5000 + number).unwrap(),
                char::from_u32(0x6000 + number).unwrap()
            )
        })
        .map(String::into_bytes)
        .chain([b"north".to_vec(), "京".as_bytes().to_vec()])
        .collect();
    bench.add(ORIGIN, &leaves);
    let index = bench.index();
    assert_eq!(
        (count(&index, "北"), count(&index, "北 OR 京"), count(&index, "-北")),
        (Some(400), Some(401), Some(2))
    );
    let newest = index.search(&Query::parse("北"), Page::Newest(None), 2).unwrap();
    assert_eq!(newest.rows.iter().map(|row| row.index).collect::<Vec<_>>(), [399, 398]);
    assert_eq!(bench.found("京"), [401]);
}

#[test]
fn an_attachment_is_found_by_what_names_it() {
    let (public, erasable) = ("ab".repeat(32), "cd".repeat(32));
    let attached = |hash: &str| {
        leaf(
            "record",
            &format!(
                r#"{{"agency":"a","attachments":[{{"bytes":1,"media":"text/plain","name":"x",{hash}}}],"key":"K","register":"r"}}"#
            ),
        )
    };
    let mut bench = Bench::new();
    let leaves =
        [attached(&format!(r#""sha256":"{public}""#)), attached(&format!(r#""commitment":"{erasable}""#))];
    bench.add(ORIGIN, &leaves);
    assert_eq!(bench.found(&format!("attachment:{public}")), [0]);
    assert_eq!(bench.found(&format!("attachment:{}", erasable.to_uppercase())), [1]);
    assert_eq!(bench.found(&format!("attachment:{}", "ef".repeat(32))), Vec::<u64>::new());
}

#[test]
fn other_tools_find_words_with_sqlite_alone() {
    let mut bench = Bench::new();
    bench.add(ORIGIN, &corpus());
    let plain = rusqlite::Connection::open(bench.path()).unwrap();
    let query =
        "SELECT r.title FROM record r WHERE r.id IN (SELECT rowid FROM record_fts WHERE record_fts MATCH ?1)";
    let title = |word: &str| plain.query_row(query, [word], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(title("\"北京\""), "关于北京市政府采购的公告");
    assert_eq!(title("REPAIR"), "Bridge repair");
    let check: String = plain.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn the_window_of_an_entry_lies_between_the_heads_around_it() {
    let mut bench = Bench::new();
    bench.writer.begin(ORIGIN, 0).unwrap();
    for (size, seconds) in [(2, 1_000), (2, 1_060), (5, 1_120), (5, 1_180), (8, 1_240)] {
        bench.writer.note_head(ORIGIN, size, seconds).unwrap();
    }
    bench.add(ORIGIN, &corpus());
    let index = bench.index();
    let window = |at| index.window(ORIGIN, at).unwrap();
    assert_eq!(window(0), Window { after: None, before: Some(1_000) });
    assert_eq!(window(2), Window { after: Some(1_060), before: Some(1_120) });
    assert_eq!(window(4), Window { after: Some(1_060), before: Some(1_120) });
    assert_eq!(window(7), Window { after: Some(1_180), before: Some(1_240) });
    assert_eq!(window(9), Window { after: Some(1_240), before: None });
    assert_eq!(index.entry(ORIGIN, 2).unwrap().unwrap().logged_after, Some(1_060));
    assert_eq!(index.growth(ORIGIN).unwrap(), [(1_000, 2), (1_120, 5), (1_240, 8)]);
}

#[test]
fn the_growth_of_a_log_with_many_heads_is_told_in_a_few_points() {
    let mut bench = Bench::new();
    bench.writer.begin(ORIGIN, 0).unwrap();
    for number in 1..=2_000 {
        bench.writer.note_head(ORIGIN, number * 7, 1_000 + number * 60).unwrap();
    }
    let points = bench.index().growth(ORIGIN).unwrap();
    assert!(points.len() as u64 <= super::read::GROWTH_POINTS_MAX && points.len() > 250, "{}", points.len());
    assert_eq!((points[0], points[points.len() - 1]), ((1_060, 7), (121_000, 14_000)));
    assert!(points.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 < two[1].1));
}

#[test]
fn what_an_agency_published_and_how_late_is_counted_as_it_comes() {
    let mut bench = Bench::new();
    bench.writer.begin(ORIGIN, 0).unwrap();
    bench.add(ORIGIN, &corpus()[..1]);
    // The second contract says February 2025, and was not in the log in November 2026.
    bench.writer.note_head(ORIGIN, 1, 1_795_424_500).unwrap();
    bench.add(ORIGIN, &corpus()[1..]);
    let index = bench.index();
    let published = index.published(ORIGIN, Some("a.gov.example")).unwrap();
    assert_eq!(published.len(), 1);
    assert_eq!((published[0].entries, published[0].newest), (3, 4));
    assert!(published[0].seconds_late_max > 600 * 86_400, "{published:?}");
    assert_eq!(bench.found("late:600"), [1]);
    assert_eq!(bench.found("late:700"), Vec::<u64>::new());
    assert_eq!(index.published(ORIGIN, None).unwrap().len(), 3);
    let months = index.months(ORIGIN, "a.gov.example").unwrap();
    let names: Vec<&str> = months.iter().map(|month| month.month.as_str()).collect();
    assert_eq!(names, ["2025-02", "2026-11", "2026-12"]);
    let late: Vec<Option<u64>> =
        months.iter().map(|month| month.seconds_late_max.map(|late| late / 86_400)).collect();
    assert_eq!(late, [Some(660), None, Some(0)], "of the first entry nothing is known");
}

#[test]
fn the_entries_about_one_record_are_found_together() {
    let mut bench = Bench::new();
    bench.add(ORIGIN, &corpus());
    bench.add("other.example", &corpus());
    let about = bench.index().about(ORIGIN, "a.gov.example", "contracts", "C-1").unwrap();
    let found: Vec<(&str, u64)> = about.iter().map(|row| (row.origin.as_str(), row.index)).collect();
    assert_eq!(found, [(ORIGIN, 0), (ORIGIN, 4)]);
}

fn random_entry() -> impl Strategy<Value = Vec<u8>> {
    let word = select(vec!["bridge", "Brídge", "repair", "北京市", "政府采购", "العقد", "acme", "12"]);
    let text = proptest::collection::vec(word, 0..4).prop_map(|words| words.join(" "));
    let at = select(vec!["2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z", "2026-11-23T09:00:00Z"]);
    let agency = select(vec!["a.gov.example", "b.gov.example"]);
    (text.clone(), text, at, agency, 0_u64..3_000_000).prop_map(|(title, supplier, at, agency, cents)| {
        let public = format!(r#"{{"supplier":"{supplier}","amount_cents":{cents}}}"#);
        record(agency, "contracts", "C-1", at, &title, &public)
    })
}

fn random_query() -> impl Strategy<Value = String> {
    let term = select(vec![
        "bridge",
        "repair",
        "brid*",
        "\"bridge repair\"",
        "北京",
        "京市",
        "府",
        "北",
        "-京",
        "title:政",
        "supplier:市",
        "عقد",
        "-acme",
        "-北京",
        "OR",
        "agency:a.gov.example",
        "-agency:a.gov.example",
        "supplier:acme",
        "title:bridge",
        "-title:北京",
        "kind:record",
        "amount>10000",
        "amount<=2000",
        "after:2026",
        "before:2026-11",
        "is:withdrawn",
        "-supplier:repair",
    ]);
    proptest::collection::vec(term, 0..5).prop_map(|terms| terms.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_exactly_what_matches(
        leaves in proptest::collection::vec(random_entry(), 1..12),
        queries in proptest::collection::vec(random_query(), 12),
    ) {
        let mut bench = Bench::new();
        bench.add(ORIGIN, &leaves);
        for text in queries {
            let query = Query::parse(&text);
            let matches = |bytes: &Vec<u8>| {
                let (document, leaf) = (extract(bytes), leaf_hash(bytes).to_string());
                query.matches(&Subject::new(ORIGIN, &leaf, bytes, &document, None))
            };
            let expected: Vec<u64> = (0..).zip(&leaves).filter(|(_, bytes)| matches(bytes)).map(|(at, _)| at).collect();
            prop_assert_eq!(bench.found(&text), expected, "{}", text);
        }
    }

    #[test]
    fn whatever_is_typed_gives_an_answer(text in "[\\PC\"*:()^{}+\\-]{0,40}") {
        let mut bench = Bench::new();
        bench.add(ORIGIN, &corpus());
        let index = bench.index();
        let query = Query::parse(&text);
        index.search_and_count(&query, Page::Newest(None), 10).unwrap();
    }
}

#[test]
fn a_watermark_names_the_last_leaf() {
    let mut bench = Bench::new();
    assert_eq!(bench.writer.begin("late.example", 70).unwrap().next, 70, "a log that is followed from a pin");
    let bytes = b"x";
    let entry = NewEntry { index: 70, bytes, leaf: leaf_hash(bytes) };
    let watermark = bench.writer.append("late.example", &[entry]).unwrap();
    assert_eq!((watermark.next, watermark.leaf), (71, Some(leaf_hash(bytes))));
    assert_ne!(watermark.leaf, Some(Hash::from_bytes([0; 32])));
}
