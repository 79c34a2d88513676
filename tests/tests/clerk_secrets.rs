//! What a clerk keeps secret: what may not leave the house does not, not even in a question; and secret values are kept as long as
//! they open something, and no longer.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use tests::clerk::{AGENCY, Desk};
use tests::road::Road;

const PRIVATE: [&str; 4] = ["--field", "name=string:erasable", "--field", "pay=decimal:sealed"];

/// The files in the desk's folder that hold secret values and whose names begin like this.
fn values(desk: &Desk, stem: &str) -> Vec<String> {
    let files = std::fs::read_dir(desk.path(".")).unwrap();
    let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with(stem) && (name.ends_with(".sealed") || name.ends_with(".erasable")));
    names.sort();
    names
}

fn place(register: &str) -> String {
    format!("{AGENCY}/{register}")
}

/// The arguments of a submission over a road, signed by `clerk.pem`.
fn over<'a>(url: &'a str, place: &'a str, input: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let submit =
        ["submit", url, input, "--register", place, "--signer", "clerk.pem", "--policy", "policy.txt"];
    [&submit[..], more].concat()
}

fn start(desk: &Desk, args: &[&str]) -> Child {
    desk.command(args).stdout(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child, code: i32) -> Value {
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn where_keys_are_opaque_nothing_that_names_a_person_is_sent_not_even_in_a_question() {
    let desk = Desk::enrolled();
    desk.open("patient", &["--field", "ward=string", "--opaque-keys", "--attachments", "public,erasable"]);
    let (road, place) = (Road::to(desk.server().address()), place("patient"));
    let url = road.url();
    desk.write("in/Ann-Smith-passport.pdf", "Ann Smith was born on the first of January");
    let file = |class: &str| {
        format!(
            r#"{{"public":{{"ward":"B"}},"attachments":[{{"file":"in/Ann-Smith-passport.pdf","class":"{class}"}}]}}"#
        )
    };
    for (name, text, words) in [
        ("key.csv", "key,ward\nGB-19700101-123,B\n", "key.csv line 2 /key: the register's keys are opaque"),
        ("key.json", r#"{"key":"GB-19700101-123","ward":"B"}"#, "/key: the register's keys are opaque"),
        ("long.json", r#"{"key":"0123456789ABCDEF0123456789ABCDEF","ward":"B"}"#, "keys are opaque"),
        (
            "gone.json",
            r#"{"key":"GB-19700101-123","action":"withdraw"}"#,
            "/key: the register's keys are opaque",
        ),
        ("nothing.json", r#"{"action":"withdraw"}"#, "has no key"),
        (
            "title.json",
            r#"{"title":"Ann Smith","public":{"ward":"B"}}"#,
            "/title: records of a register with opaque keys",
        ),
        ("named.json", &file("public"), "/attachments/0: needs a `name`"),
        ("erased.json", &file("erasable"), "/attachments/0: needs a `name`"),
        ("some.ndjson", "{\"ward\":\"A\"}\n{\"key\":\"GB-19700101-123\"}\n", "some.ndjson line 2 /key"),
    ] {
        desk.write(name, text);
        desk.bad(2, words, &over(&url, &place, name, &[]));
    }
    let sign =
        ["sign", &url, "key.json", "--register", &place, "--signer", "clerk.pem", "--policy", "policy.txt"];
    desk.bad(2, "keys are opaque", &sign);
    let erase = ["erase", &url, &place, "GB-19700101-123", "--what", "/sealed", "--basis", "GDPR"];
    desk.bad(2, "keys are opaque", &[&erase[..], &["--policy", "policy.txt"]].concat());
    assert!(road.has_heard(b"GET /registers/"), "the road hears what is asked");
    for secret in ["19700101", "0123456789", "Ann", "Smith", "January"] {
        assert!(!road.has_heard(secret.as_bytes()), "{secret} left the house");
    }
    assert!(!road.has_heard(b"POST ") && !road.has_heard(b"PUT "));

    let good = file("public").replace("\"class\"", "\"name\":\"passport.pdf\",\"class\"");
    desk.write("good.json", good);
    let report = end(start(&desk, &over(&url, &place, "good.json", &[])), 0);
    let key = report["records"][0]["key"].as_str().unwrap().to_owned();
    assert_eq!(desk.history("patient", &key)[0]["statement"]["attachments"][0]["name"], "passport.pdf");
    desk.write("again.json", format!(r#"{{"key":"{key}","ward":"C"}}"#));
    end(start(&desk, &over(&url, &place, "again.json", &[])), 0);
    assert_eq!(
        desk.history("patient", &key).len(),
        2,
        "the key that was drawn names the record from then on"
    );
    assert!(road.has_heard(key.as_bytes()) && !road.has_heard(b"Ann-Smith"));
}

#[test]
fn the_name_of_an_erasable_attachment_is_the_clerks_word_and_that_of_a_public_one_is_the_files() {
    let desk = Desk::enrolled();
    desk.open("notice", &["--attachments", "public,erasable"]);
    desk.write("letter-to-ann.txt", "Dear Ann");
    let place = place("notice");
    let submit = ["submit", "URL", "n.json", "--register", &place, "--signer", "clerk.pem"];
    desk.write("n.json", r#"{"key":"1","attachments":[{"file":"letter-to-ann.txt","class":"erasable"}]}"#);
    desk.bad(2, "/attachments/0: needs a `name`", &submit);
    desk.write("n.json", r#"{"key":"1","attachments":[{"file":"letter-to-ann.txt"}]}"#);
    desk.good(&submit);
    assert_eq!(desk.history("notice", "1")[0]["statement"]["attachments"][0]["name"], "letter-to-ann.txt");
}

#[test]
fn an_import_into_a_register_with_opaque_keys_sends_no_key() {
    let desk = Desk::enrolled();
    desk.open("process", &["--opaque-keys"]);
    let road = Road::to(desk.server().address());
    desk.write(
        "p.json",
        r#"{"releases":[{"ocid":"ocds-213czf-0042","id":"1","date":"2026-05-10T10:30:00Z","buyer":"Ann"}]}"#,
    );
    let (url, place) = (road.url(), place("process"));
    let import = ["import", "ocds", "p.json", "--to", &url, "--register", &place, "--signer", "clerk.pem"];
    desk.bad(2, "whose keys are opaque", &[&import[..], &["--policy", "policy.txt"]].concat());
    assert!(road.has_heard(b"GET /") && !road.has_heard(b"213czf") && !road.has_heard(b"Ann"));
}

#[test]
fn the_values_of_a_record_that_the_log_refuses_are_removed() {
    let desk = Desk::enrolled();
    desk.open("person", &[&PRIVATE[..], &["--prefix", "P-"]].concat());
    desk.write("a.json", r#"{"key":"7","name":"Ann","pay":"12.00"}"#);
    let place = place("person");
    let submit = ["submit", "URL", "a.json", "--register", &place, "--signer", "clerk.pem"];
    let report = desk.bad(3, "keys begin with", &submit).json();
    assert_eq!(report["records"][0]["state"], "refused");
    assert!(report["records"][0]["values_kept"].is_null(), "{report}");
    assert!(values(&desk, "a.json").is_empty(), "{:?}", values(&desk, "a.json"));
    desk.write("a.json", r#"{"key":"P-7","name":"Ann","pay":"12.00"}"#);
    desk.good(&submit);
    let kept = values(&desk, "a.json");
    assert_eq!(kept.len(), 1, "what opens the sealed field of what is in the log: {kept:?}");
    assert!(kept[0].ends_with(".sealed"));
}

#[test]
fn the_values_of_a_record_that_was_overtaken_are_removed_once_the_other_is_proved() {
    let desk = Desk::enrolled();
    desk.open("person", &PRIVATE);
    let place = place("person");
    desk.write("a.json", r#"{"key":"1","name":"Ann","pay":"1.00"}"#);
    let road = Road::holding(desk.server().address(), b"POST /records ");
    let url = road.url();
    let child = start(&desk, &over(&url, &place, "a.json", &[]));
    road.wait();
    assert_eq!(values(&desk, "a.json").len(), 2, "they are there before the statement leaves");
    desk.write("b.json", r#"{"key":"1","name":"Bob","pay":"2.00"}"#);
    desk.submit("person", "b.json", &[]);
    road.open();
    let report = end(child, 3);
    assert_eq!(
        (&report["records"][0]["state"], &report["records"][0]["values_kept"]),
        (&json!("overtaken"), &Value::Null)
    );
    assert!(values(&desk, "a.json").is_empty(), "{:?}", values(&desk, "a.json"));
    assert_eq!(values(&desk, "b.json").len(), 1, "b's version is in the log, and can be disclosed");

    // Written anew on top of what came in between: of the two that were signed one is in the log.
    let road = Road::holding(desk.server().address(), b"POST /records ");
    let url = road.url();
    let child = start(&desk, &over(&url, &place, "a.json", &["--on-top"]));
    road.wait();
    desk.write("c.json", r#"{"key":"1","name":"Cy","pay":"3.00"}"#);
    desk.submit("person", "c.json", &[]);
    road.open();
    assert_eq!(end(child, 0)["records"][0]["state"], "entered");
    let kept = values(&desk, "a.json");
    assert_eq!(kept.len(), 1, "{kept:?}");
    let statement = "a.json.statement";
    desk.good(&["disclose", statement, "--field", "pay", "--values", &kept[0], "--out", "pay.disclosure"]);
    assert_eq!(desk.history("person", "1").len(), 3);
}

#[test]
fn the_values_of_a_statement_that_may_be_in_the_log_are_kept_and_named_until_another_takes_its_place() {
    let desk = Desk::enrolled();
    desk.keygen("second");
    let add = ["agency", "add-key", "URL", AGENCY, "--officer", "second.pem", "--signer", "clerk.pem"];
    desk.good(&[&add[..], &["--out", "add.txt"]].concat());
    desk.open("person", &PRIVATE);
    let place = place("person");
    desk.write("a.json", r#"{"key":"1","name":"Ann","pay":"1.00"}"#);
    // It is sent, and the clerk's machine goes down before there is an answer.
    let road = Road::holding(desk.server().address(), b"POST /records ");
    let url = road.url();
    let mut child = start(&desk, &over(&url, &place, "a.json", &[]));
    road.wait();
    child.kill().unwrap();
    child.wait().unwrap();
    let sent = values(&desk, "a.json");
    assert_eq!(sent.len(), 2);
    let revoke = ["agency", "revoke", "URL", AGENCY, "--revoke", "clerk", "--reason", "The machine is lost"];
    desk.good(&[&revoke[..], &["--signer", "second.pem", "--out", "revoke.txt"]].concat());
    let submit = |signer: &'static str| {
        ["submit", "URL", "a.json", "--register", &place, "--signer", signer].map(str::to_owned)
    };
    let again = submit("clerk.pem");
    let report = desk.bad(3, "key_revoked", &again.each_ref().map(String::as_str)).json();
    let named: Vec<PathBuf> = serde_json::from_value(report["records"][0]["values_kept"].clone()).unwrap();
    assert_eq!(named.len(), 2, "{report}");
    assert_eq!(values(&desk, "a.json"), sent, "a refusal now does not say that it was never taken");
    // Another version in its place is the proof.
    let other = submit("second.pem");
    desk.good(&other.each_ref().map(String::as_str));
    let kept = values(&desk, "a.json");
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(!sent.contains(&kept[0]), "the new one's");
}

#[test]
fn the_values_of_a_draft_go_with_its_last_chance() {
    let desk = Desk::enrolled();
    desk.open("person", &PRIVATE);
    let place = place("person");
    desk.write("a.json", r#"{"key":"1","name":"Ann","pay":"1.00"}"#);
    desk.good(&["sign", "URL", "a.json", "--register", &place, "--signer", "clerk.pem", "--out", "a.txt"]);
    assert_eq!(values(&desk, "a.txt").len(), 2);
    desk.write("b.json", r#"{"key":"1","name":"Bob","pay":"2.00"}"#);
    desk.submit("person", "b.json", &[]);
    desk.bad(3, "were removed: a.txt.", &["submit", "URL", "a.txt", "--signer", "clerk.pem"]);
    assert!(values(&desk, "a.txt").is_empty());

    // One that is refused for its date can be sent again when its time has come.
    desk.write(
        "c.json",
        r#"{"key":"2","at":"2999-01-01T00:00:00Z","erasable":{"name":"Cy"},"sealed":{"pay":"3.00"}}"#,
    );
    desk.good(&["sign", "URL", "c.json", "--register", &place, "--signer", "clerk.pem", "--out", "c.txt"]);
    desk.bad(3, "its secret values are kept", &["submit", "URL", "c.txt", "--signer", "clerk.pem"]);
    assert_eq!(values(&desk, "c.txt").len(), 2);
}

#[test]
fn who_erases_is_told_which_files_of_their_own_still_open_what_is_erased() {
    let desk = Desk::enrolled();
    desk.open("person", &[&PRIVATE[..], &["--field", "bonus=decimal:sealed"]].concat());
    desk.write("a.json", r#"{"key":"1","name":"Ann","pay":"1.00","bonus":"2.00"}"#);
    desk.submit("person", "a.json", &["--receipts", "kept"]);
    let place = place("person");
    let erase = |what: &'static str, out: &'static str| {
        let erase = ["erase", "URL", &place, "1", "--basis", "GDPR", "--what", what, "--out", out];
        desk.good(&[&erase[..], &["--signer", "clerk.pem"]].concat()).json()["own_copies"].clone()
    };
    let all = erase("/sealed", "all.txt");
    let found: Vec<PathBuf> = serde_json::from_value(all["found"].clone()).unwrap();
    assert_eq!(found.len(), 1, "{all}");
    assert!(desk.path(found[0].to_str().unwrap()).is_file());
    assert_eq!(all["open_more"], false);
    let ending = all["names_end_with"][0].as_str().unwrap();
    assert!(found[0].to_str().unwrap().ends_with(ending) && ending.ends_with(".sealed"));
    let one = erase("/sealed/pay", "one.txt");
    assert_eq!((&one["found"], &one["open_more"]), (&all["found"], &json!(true)));
    let name = erase("/erasable/name", "name.txt");
    assert_eq!(name["found"], json!([]), "it was uploaded, and is not here any more");
    std::fs::remove_file(desk.path(found[0].to_str().unwrap())).unwrap();
    assert_eq!(erase("/sealed", "gone.txt")["found"], json!([]));
}
