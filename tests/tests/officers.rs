//! Officers and their keys, over the real executable: enrolment by several hands, rotation, revocation, recovery,
//! delegation, and what becomes of keys that others can read or open.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;
use tests::binaries::binary;
use tests::clerk::{AGENCY, Desk};
use tests::server::ORIGIN;

const REGISTRAR: &str = "registrar.example";

fn live(desk: &Desk, agency: &str) -> Vec<String> {
    let mut live: Vec<String> =
        desk.keys(agency).into_iter().filter(|(_, live)| *live).map(|(name, _)| name).collect();
    live.sort();
    live
}

fn label(agency: &str, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("{agency}/{name}")).collect()
}

/// A record that some signer is to submit.
fn submit<'a>(place: &'a str, input: &'a str, signers: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["submit", "URL", input, "--register", place];
    signers.iter().for_each(|signer| args.extend(["--signer", signer]));
    args
}

#[test]
fn an_agency_is_enrolled_once_every_key_and_two_registrars_have_signed() {
    let desk = Desk::new();
    let (one, two) = (desk.keygen("one"), desk.keygen("two"));
    let request = ["agency", "request", "URL", AGENCY, "--title", "The Treasury", "--out", "enrol.txt"];
    let keys = ["--officer", "one.pem", "--officer", &two, "--publisher", &one];
    desk.bad(2, "/keys", &[&request[..], &keys].concat());
    let asked = desk.good(&[&request[..], &["--officer", "one.pem", "--officer", &two]].concat()).json();
    assert_eq!(asked["entered"], false);
    assert_eq!(asked["signed"], json!([format!("{AGENCY}/one")]));
    let missing = asked["missing"].to_string();
    assert!(missing.contains(&format!("{AGENCY}/two is brought in")), "{missing}");
    assert!(missing.contains("2 more of registrar.example: registrar.example/officer-1"), "{missing}");

    desk.bad(3, "not complete", &["submit", "URL", "enrol.txt"]);
    let first = desk.good(&["agency", "enrol", "URL", "enrol.txt", "--signer", "registrar-1.pem"]).json();
    assert_eq!(first["entered"], false);
    let again = desk.good(&["agency", "enrol", "URL", "enrol.txt", "--signer", "registrar-1.pem"]).json();
    assert_eq!(again["missing"].as_array().unwrap().len(), 2, "one officer signs once: {again}");
    let second = desk.good(&["cosign", "enrol.txt", "--signer", "two.pem"]).json();
    assert_eq!(second["missing"], json!([]), "by itself the file cannot tell what the registrar's quorum is");
    let told = desk.good(&["cosign", "enrol.txt", "--log", "URL"]).json();
    assert!(told["missing"].to_string().contains("1 more of registrar.example"), "{told}");
    let done = desk.good(&["agency", "enrol", "URL", "enrol.txt", "--signer", "registrar-2.pem"]).json();
    assert_eq!((&done["entered"], &done["index"]), (&json!(true), &json!(1)));
    desk.verify("enrol.txt");
    assert_eq!(live(&desk, AGENCY), label(AGENCY, &["one", "two"]));
    desk.bad(3, "enrolled already", &[&request[..7], &["again.txt", "--officer", "one.pem"]].concat());
    desk.bad(
        2,
        "the file exists",
        &["agency", "add-key", "URL", AGENCY, "--officer", "one.pem", "--out", "enrol.txt"],
    );
    assert_eq!(
        desk.good(&["submit", "URL", "enrol.txt"]).json()["records"][0]["state"],
        "known",
        "sent again"
    );
}

#[test]
fn a_signature_that_does_not_count_is_named_before_it_spoils_the_statement() {
    let desk = Desk::new();
    desk.keygen("one");
    desk.keygen("stranger");
    let request =
        ["agency", "request", "URL", AGENCY, "--title", "T", "--out", "enrol.txt", "--officer", "one.pem"];
    desk.good(&request);
    desk.good(&["cosign", "enrol.txt", "--signer", "stranger.pem"]);
    let told = desk.good(&[
        "agency",
        "enrol",
        "URL",
        "enrol.txt",
        "--signer",
        "registrar-1.pem",
        "--signer",
        "registrar-2.pem",
    ]);
    let told = told.json();
    assert_eq!(told["entered"], false);
    assert!(told["missing"].to_string().contains("stranger does not count"), "{told}");
}

#[test]
fn two_officers_sign_a_record_in_turn_or_together() {
    let desk = Desk::new();
    desk.keygen("clerk");
    desk.keygen("chief");
    desk.enrol(&["--officer", "clerk.pem", "--officer", "chief.pem", "--quorum", "1"]);
    desk.open("award", &["--approvals", "2"]);
    desk.write("a.json", r#"{"key":"1","amount":"100.00"}"#);
    let place = format!("{AGENCY}/award");
    desk.bad(2, "signatures of 2 officers", &submit(&place, "a.json", &["clerk.pem"]));
    desk.good(&submit(&place, "a.json", &["clerk.pem", "chief.pem"]));
    desk.verify("a.json.statement");

    desk.write("b.json", r#"{"key":"2","amount":"200.00"}"#);
    let signed = desk.good(&[
        "sign",
        "URL",
        "b.json",
        "--register",
        &place,
        "--signer",
        "clerk.pem",
        "--out",
        "b.txt",
    ]);
    assert!(signed.json()["missing"].to_string().contains("1 more"), "{signed:?}");
    desk.bad(3, "treasury.gov.example/chief", &["submit", "URL", "b.txt"]);
    let told = desk.good(&["cosign", "b.txt", "--signer", "chief.pem", "--log", "URL"]).json();
    assert_eq!(told["missing"], json!([]));
    desk.good(&["submit", "URL", "b.txt"]);
    desk.verify("b.txt");
    assert_eq!(desk.counts("award").1, 2);
    let altered = std::fs::read_to_string(desk.path("b.txt")).unwrap().replace("200.00", "900.00");
    desk.write("c.txt", altered);
    desk.bad(3, "does not count", &["submit", "URL", "c.txt"]);
}

#[test]
fn a_draft_of_private_values_keeps_them_until_it_is_sent() {
    let desk = Desk::enrolled();
    desk.open("person", &["--field", "name=string:erasable", "--field", "pay=decimal:sealed"]);
    desk.write("a.json", r#"{"key":"1","name":"Ann","pay":"1.00"}"#);
    let place = format!("{AGENCY}/person");
    desk.good(&["sign", "URL", "a.json", "--register", &place, "--signer", "clerk.pem", "--out", "a.txt"]);
    desk.bad(2, "--signer", &["submit", "URL", "a.txt"]);
    let sent = desk.good(&["submit", "URL", "a.txt", "--signer", "clerk.pem"]).json();
    let leaf = sent["records"][0]["leaf_hash"].as_str().unwrap();
    let shown = desk.server().get(&format!("/records/{leaf}/disclosures"));
    assert!(shown.text().contains("Ann"), "{}", shown.text());
}

#[test]
fn a_key_under_a_passphrase_opens_with_it_and_with_no_other() {
    let desk = Desk::new();
    let name = format!("{AGENCY}/clerk");
    let secret = |file: &str, text: &str, mode: u32| {
        desk.write(file, text);
        std::fs::set_permissions(desk.path(file), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    secret("pass.txt", "correct horse battery\n", 0o600);
    secret("wrong.txt", "incorrect horse\n", 0o600);
    secret("open.txt", "correct horse battery\n", 0o644);
    secret("short.txt", "horse\n", 0o600);
    let keygen =
        |out: &'static str| ["keygen", name.as_str(), "--out", out, "--encrypt", "--passphrase-file"];
    desk.bad(3, "others than its owner", &[&keygen("clerk.pem")[..], &["open.txt"]].concat());
    desk.bad(2, "at least 8", &[&keygen("clerk.pem")[..], &["short.txt"]].concat());
    desk.good(&[&keygen("clerk.pem")[..], &["pass.txt"]].concat());
    desk.bad(3, "never overwritten", &[&keygen("clerk.pem")[..], &["pass.txt"]].concat());
    let pem = std::fs::read_to_string(desk.path("clerk.pem")).unwrap();
    assert!(pem.starts_with(&name) && pem.contains("BEGIN ENCRYPTED PRIVATE KEY"), "{pem}");
    let mode = std::fs::metadata(desk.path("clerk.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let request =
        ["agency", "request", "URL", AGENCY, "--title", "T", "--out", "r.txt", "--officer", "clerk.pem"];
    desk.bad(3, "does not open the key", &[&request[..], &["--passphrase-file", "wrong.txt"]].concat());
    assert!(!desk.path("r.txt").exists());
    let ran = desk.command(&request).env("DAYBOOK_PASSPHRASE", "incorrect").output().unwrap();
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    let ran = desk.command(&request).env("DAYBOOK_PASSPHRASE", "correct horse battery").output().unwrap();
    assert!(ran.status.success(), "{ran:?}");

    desk.good(&[
        "keygen",
        &name,
        "--out",
        "p256.pem",
        "--kind",
        "ecdsa-p256",
        "--encrypt",
        "--passphrase-file",
        "pass.txt",
    ]);
    desk.write("t.txt", std::fs::read(desk.path("r.txt")).unwrap());
    desk.good(&["cosign", "t.txt", "--signer", "p256.pem", "--passphrase-file", "pass.txt"]);
}

/// Runs a command at a terminal of its own, answers each question, and prints what it showed; the last line tells whether the
/// terminal shows again what is typed.
const TERMINAL: &str = r#"
import os, pty, signal, sys, termios
cut = sys.argv.index("--")
answers, command = [pair.split("=", 1) for pair in sys.argv[1:cut]], sys.argv[cut + 1:]
signal.alarm(120)
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
said, seen = b"", 0
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    if not piece:
        break
    said += piece
    if answers and answers[0][0].encode() in said[seen:]:
        seen = len(said)
        os.write(terminal, answers.pop(0)[1].encode() + b"\n")
shown = bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.stdout.buffer.write(said + b"\nshown again: %s, not asked: %d\n" % (str(shown).encode(), len(answers)))
sys.exit(code)
"#;

/// What a command shows at a terminal where these questions are answered like this, `question=answer`; it must end with this code.
fn at_a_terminal(desk: &Desk, code: i32, answers: &[&str], args: &[&str]) -> String {
    let mut command = Command::new("python3");
    command.args(["-I", "-c", TERMINAL]).args(answers).arg("--").arg(binary("daybook")).args(args);
    command.current_dir(desk.path(".")).env_remove("DAYBOOK_PASSPHRASE").env("TERM", "dumb");
    let output = command.stdin(std::process::Stdio::null()).output().expect("python3 starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{args:?}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("shown again: True, not asked: 0"), "{args:?}: {said}");
    said
}

#[test]
fn a_passphrase_is_asked_for_at_the_terminal_and_not_shown() {
    let desk = Desk::new();
    let name = format!("{AGENCY}/clerk");
    let keygen = ["keygen", name.as_str(), "--out", "clerk.pem", "--encrypt"];
    let new = "New passphrase for clerk.pem: =correct horse";
    let said = at_a_terminal(&desk, 2, &[new, "The same again: =correct mouse"], &keygen);
    assert!(said.contains("the two passphrases are different"), "{said}");
    let said = at_a_terminal(&desk, 2, &["New passphrase for clerk.pem: =horse"], &keygen);
    assert!(said.contains("at least 8"), "{said}");
    assert!(!desk.path("clerk.pem").exists());
    let said = at_a_terminal(&desk, 0, &[new, "The same again: =correct horse"], &keygen);
    assert!(!said.contains("horse"), "{said}");
    let pem = std::fs::read_to_string(desk.path("clerk.pem")).unwrap();
    assert!(pem.contains("BEGIN ENCRYPTED PRIVATE KEY"), "{pem}");

    let (url, ask) = (desk.server().url(), "Passphrase of clerk.pem: =");
    let request =
        ["agency", "request", &url, AGENCY, "--title", "T", "--out", "r.txt", "--officer", "clerk.pem"];
    let request = [&request[..], &["--policy", "policy.txt"]].concat();
    let said = at_a_terminal(&desk, 3, &[&format!("{ask}incorrect horse")], &request);
    assert!(said.contains("does not open the key") && !said.contains("incorrect horse"), "{said}");
    assert!(!desk.path("r.txt").exists());
    let said = at_a_terminal(&desk, 0, &[&format!("{ask}correct horse")], &request);
    assert!(!said.contains("correct horse"), "{said}");
    assert!(std::fs::read_to_string(desk.path("r.txt")).unwrap().contains(&format!("\u{2014} {name} ")));

    // Who signs has read it when they are asked.
    let said = at_a_terminal(
        &desk,
        0,
        &[&format!("{ask}correct horse")],
        &["cosign", "r.txt", "--signer", "clerk.pem"],
    );
    let (text, question) = (said.find("daybook/agency/v1").unwrap(), said.find("Passphrase of").unwrap());
    assert!(text < question, "{said}");
}

/// A command whose output is for people.
fn for_people(desk: &Desk, args: &[&str]) -> std::process::Output {
    let mut command = Command::new(binary("daybook"));
    command
        .args(args)
        .current_dir(desk.path("."))
        .env_remove("DAYBOOK_PASSPHRASE")
        .output()
        .expect("daybook starts")
}

#[test]
fn an_officer_sees_the_very_letters_that_are_signed_and_sees_them_before() {
    let desk = Desk::enrolled();
    desk.open("award", &[]);
    desk.write("pass.txt", "correct horse battery\n");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(desk.path("pass.txt"), private).unwrap();
    let chief = format!("{AGENCY}/chief");
    desk.good(&["keygen", &chief, "--out", "chief.pem", "--encrypt", "--passphrase-file", "pass.txt"]);
    // On a terminal that turns letters around this would read as another amount, with nothing behind it.
    let title = "Pay \u{202e}00.1\u{202c} \u{9b}2K\u{200b}";
    desk.write("a.json", serde_json::to_string(&json!({ "key": "1", "public": { "pay": title } })).unwrap());
    let place = format!("{AGENCY}/award");
    desk.good(&["sign", "URL", "a.json", "--register", &place, "--signer", "clerk.pem", "--out", "a.txt"]);
    let before = std::fs::read_to_string(desk.path("a.txt")).unwrap();
    assert!(before.contains(title), "the statement has the letters themselves");

    // Nobody is there to give the passphrase: the officer has seen the statement, and has not signed it.
    let failed =
        for_people(&desk, &["cosign", "a.txt", "--signer", "chief.pem", "--passphrase-file", "none.txt"]);
    assert_eq!(failed.status.code(), Some(3), "{failed:?}");
    let shown = "Pay \\u{202e}00.1\\u{202c} \\u{9b}2K\\u{200b}";
    let said = |output: &std::process::Output| String::from_utf8(output.stdout.clone()).unwrap();
    assert!(said(&failed).contains(shown), "{failed:?}");
    assert_eq!(std::fs::read_to_string(desk.path("a.txt")).unwrap(), before);

    let good =
        for_people(&desk, &["cosign", "a.txt", "--signer", "chief.pem", "--passphrase-file", "pass.txt"]);
    assert!(good.status.success(), "{good:?}");
    let text = said(&good);
    assert!(text.starts_with("daybook/record/v1\n{") && text.contains(shown), "{text:?}");
    assert!(!text.contains(['\u{202e}', '\u{9b}', '\u{200b}']), "{text:?}");
    let after = std::fs::read_to_string(desk.path("a.txt")).unwrap();
    assert!(after.contains(title) && after.contains(&chief));
}

#[test]
fn a_registrar_sees_the_very_letters_of_a_request() {
    let desk = Desk::new();
    desk.keygen("clerk");
    let request = ["agency", "request", "URL", AGENCY, "--title", "The \u{202e}yrusaerT", "--out", "r.txt"];
    desk.good(&[&request[..], &["--officer", "clerk.pem"]].concat());
    let url = desk.server().url();
    let enrol = ["agency", "enrol", &url, "r.txt", "--signer", "registrar-1.pem", "--policy", "policy.txt"];
    let ran = for_people(&desk, &enrol);
    assert!(ran.status.success(), "{ran:?}");
    let text = String::from_utf8(ran.stdout).unwrap();
    assert!(text.contains("The \\u{202e}yrusaerT") && !text.contains('\u{202e}'), "{text:?}");
}

#[test]
fn a_recovery_key_has_a_name_of_its_own() {
    let desk = Desk::new();
    desk.keygen("clerk");
    desk.keygen("new");
    let name = format!("{AGENCY}/clerk");
    let twin = desk.good(&["keygen", &name, "--out", "twin.pem"]).json()["vkey"].as_str().unwrap().to_owned();
    let request =
        ["agency", "request", "URL", AGENCY, "--title", "T", "--out", "r.txt", "--officer", "clerk.pem"];
    let words = "treasury.gov.example/clerk would be the name of two keys";
    desk.bad(2, words, &[&request[..], &["--recovery", "twin.pem"]].concat());
    assert!(!desk.path("r.txt").exists());
    desk.good(&request);
    // What another program has written is not signed either; nor does the log look at it.
    let asked = std::fs::read_to_string(desk.path("r.txt")).unwrap();
    let (text, _) = asked.split_once("\n\n").unwrap();
    let altered = text.replace("\"title\"", &format!("\"recovery\":\"{twin}\",\"title\""));
    desk.write("other.txt", format!("{altered}\n"));
    desk.bad(2, words, &["agency", "enrol", "URL", "other.txt", "--signer", "registrar-1.pem"]);
    let enrol =
        ["agency", "enrol", "URL", "r.txt", "--signer", "registrar-1.pem", "--signer", "registrar-2.pem"];
    desk.good(&enrol);
    let recover = ["agency", "recover", "URL", AGENCY, "--officer", "new.pem", "--reason", "Lost"];
    let recover = [&recover[..], &["--signer", "registrar-1.pem", "--out", "n.txt", "--recovery"]].concat();
    let same = desk.good(&["keygen", &format!("{AGENCY}/new"), "--out", "same.pem"]).json();
    desk.bad(2, "would be the name of two keys", &[&recover[..], &["same.pem"]].concat());
    let init = [
        "init",
        "log",
        "--origin",
        ORIGIN,
        "--admission",
        "records",
        "--genesis",
        "g.txt",
        "--threshold",
        "1",
    ];
    let keys = [
        "--registrar-title",
        "T",
        "--registrar-recovery",
        &twin,
        "--registrar",
        same["vkey"].as_str().unwrap(),
    ];
    desk.good(&[&init[..], &keys].concat());
    let clerk = std::fs::read_to_string(desk.path("clerk.pem")).unwrap();
    let keys = [
        "--registrar-title",
        "T",
        "--registrar-recovery",
        &twin,
        "--registrar",
        clerk.lines().next().unwrap(),
    ];
    std::fs::remove_file(desk.path("g.txt")).unwrap();
    desk.bad(2, "would be the name of two keys", &[&init[..], &keys].concat());
    assert!(!desk.path("g.txt").exists());
}

#[test]
fn a_key_that_others_can_read_or_that_says_it_is_another_is_refused() {
    let desk = Desk::enrolled();
    desk.open("country", &[]);
    desk.write("a.json", r#"{"key":"1"}"#);
    let place = format!("{AGENCY}/country");
    let mode = |mode| {
        std::fs::set_permissions(desk.path("clerk.pem"), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for open in [0o644, 0o640, 0o604] {
        mode(open);
        desk.bad(3, "chmod 600", &submit(&place, "a.json", &["clerk.pem"]));
    }
    mode(0o600);
    let pem = std::fs::read_to_string(desk.path("clerk.pem")).unwrap();
    let other = desk.keygen("other");
    let write = |file: &str, text: String| {
        desk.write(file, text);
        std::fs::set_permissions(desk.path(file), std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let (_, bare) = pem.split_once('\n').unwrap();
    write("lying.pem", format!("{other}\n{bare}"));
    desk.bad(2, "it holds another", &submit(&place, "a.json", &["lying.pem"]));
    write("bare.pem", bare.to_owned());
    desk.bad(2, "write NAME=", &submit(&place, "a.json", &["bare.pem"]));
    desk.good(&submit(&place, "a.json", &[&format!("{AGENCY}/clerk=bare.pem")]));
    desk.bad(3, "missing.pem", &submit(&place, "a.json", &["missing.pem"]));
    desk.write("a.json", r#"{"key":"2"}"#);
    desk.bad(3, "unknown_key", &submit(&place, "a.json", &["other.pem"]));
}

#[test]
fn a_rotated_and_a_revoked_key_sign_no_more() {
    let desk = Desk::enrolled();
    desk.open("country", &[]);
    let place = format!("{AGENCY}/country");
    for name in ["second", "machine", "third"] {
        desk.keygen(name);
    }
    desk.good(&[
        "agency",
        "add-key",
        "URL",
        AGENCY,
        "--officer",
        "second.pem",
        "--publisher",
        "machine.pem",
        "--signer",
        "clerk.pem",
        "--out",
        "add.txt",
    ]);
    desk.verify("add.txt");
    desk.write("a.json", r#"{"key":"1"}"#);
    desk.good(&submit(&place, "a.json", &["machine.pem"]));
    let city = format!("{AGENCY}/city");
    let open =
        ["register", "open", "URL", &city, "--title", "T", "--licence", "L", "--signer", "machine.pem"];
    let told = desk.good(&[&open[..], &["--out", "city.txt"]].concat()).json();
    assert!(told["missing"].to_string().contains("machine does not count"), "{told}");

    desk.bad(
        2,
        "no live key",
        &["agency", "rotate", "URL", AGENCY, "--retire", "nobody", "--signer", "clerk.pem", "--out", "x.txt"],
    );
    desk.bad(
        2,
        "nothing would change",
        &["agency", "rotate", "URL", AGENCY, "--signer", "clerk.pem", "--out", "x.txt"],
    );
    let rotate = ["agency", "rotate", "URL", AGENCY, "--add-officer", "third.pem", "--retire", "clerk"];
    desk.good(&[&rotate[..], &["--quorum", "2", "--signer", "clerk.pem", "--out", "rotate.txt"]].concat());
    assert_eq!(live(&desk, AGENCY), label(AGENCY, &["machine", "second", "third"]));
    desk.write("b.json", r#"{"key":"2"}"#);
    desk.bad(3, "key_retired", &submit(&place, "b.json", &["clerk.pem"]));

    let revoke =
        ["agency", "revoke", "URL", AGENCY, "--revoke", "machine", "--reason", "The machine was stolen"];
    let half = desk.good(&[&revoke[..], &["--signer", "second.pem", "--out", "revoke.txt"]].concat()).json();
    assert_eq!(half["entered"], false, "the quorum is two now");
    assert!(half["missing"].to_string().contains("or 2 more of registrar.example"), "{half}");
    desk.good(&["cosign", "revoke.txt", "--signer", "third.pem"]);
    desk.good(&["submit", "URL", "revoke.txt"]);
    desk.bad(3, "key_revoked", &submit(&place, "b.json", &["machine.pem"]));
    desk.good(&submit(&place, "b.json", &["second.pem"]));
    let stolen =
        std::fs::read_to_string(desk.path("machine.pem")).unwrap().lines().next().unwrap().to_owned();
    let dispute = [
        "agency", "dispute", "URL", AGENCY, "--stolen", &stolen, "--from", "1", "--to", "5", "--reason",
        "Stolen",
    ];
    desk.good(
        &[&dispute[..], &["--signer", "second.pem", "--signer", "third.pem", "--out", "dispute.txt"]]
            .concat(),
    );
    desk.good(
        &[&dispute[..], &["--signer", "second.pem", "--signer", "third.pem", "--out", "dispute2.txt"]]
            .concat(),
    );
    desk.verify("dispute2.txt");
}

#[test]
fn the_registrar_revokes_for_an_agency_that_cannot() {
    let desk = Desk::enrolled();
    let revoke =
        ["agency", "revoke", "URL", AGENCY, "--revoke", "clerk", "--reason", "Reported by telephone"];
    desk.good(
        &[&revoke[..], &["--signer", "registrar-1.pem", "--signer", "registrar-3.pem", "--out", "r.txt"]]
            .concat(),
    );
    assert!(live(&desk, AGENCY).is_empty());
    desk.keygen("new");
    let recover = ["agency", "recover", "URL", AGENCY, "--officer", "new.pem", "--reason", "All keys lost"];
    desk.good(
        &[&recover[..], &["--signer", "registrar-1.pem", "--signer", "registrar-2.pem", "--out", "n.txt"]]
            .concat(),
    );
    assert_eq!(live(&desk, AGENCY), label(AGENCY, &["new"]));
}

#[test]
fn the_recovery_key_replaces_all_others_and_signs_nothing_else() {
    let desk = Desk::new();
    for name in ["clerk", "safe", "new", "safe2"] {
        desk.keygen(name);
    }
    desk.enrol(&["--officer", "clerk.pem", "--recovery", "safe.pem"]);
    desk.open("country", &[]);
    desk.write("a.json", r#"{"key":"1"}"#);
    let place = format!("{AGENCY}/country");
    desk.bad(3, "key_role", &submit(&place, "a.json", &["safe.pem"]));
    let recover = ["agency", "recover", "URL", AGENCY, "--officer", "new.pem", "--recovery", "safe2.pem"];
    let recover =
        [&recover[..], &["--reason", "The officers' keys were lost", "--signer", "safe.pem"]].concat();
    let done = desk.good(&[&recover[..], &["--out", "recover.txt"]].concat()).json();
    assert_eq!(done["entered"], true, "the recovery key needs nobody else");
    desk.verify("recover.txt");
    assert_eq!(live(&desk, AGENCY), label(AGENCY, &["new", "safe2"]));
    desk.bad(3, "key_revoked", &submit(&place, "a.json", &["clerk.pem"]));
    desk.good(&submit(&place, "a.json", &["new.pem"]));
}

#[test]
fn the_registrars_own_keys_rotate_by_its_quorum() {
    let desk = Desk::new();
    let made = desk.good(&["keygen", "registrar.example/officer-4", "--out", "registrar-4.pem"]).json();
    let rotate = ["agency", "rotate", "URL", REGISTRAR, "--add-officer", made["vkey"].as_str().unwrap()];
    let rotate =
        [&rotate[..], &["--retire", "officer-1", "--signer", "registrar-2.pem", "--out", "r.txt"]].concat();
    assert_eq!(desk.good(&rotate).json()["entered"], false);
    desk.good(&["cosign", "r.txt", "--signer", "registrar-3.pem"]);
    desk.bad(3, "officer-4 is brought in", &["submit", "URL", "r.txt"]);
    desk.good(&["cosign", "r.txt", "--signer", "registrar-4.pem"]);
    desk.good(&["submit", "URL", "r.txt"]);
    desk.keygen("clerk");
    let enrol = |file: &str, [one, two]: [&str; 2]| {
        let request = ["agency", "request", "URL", AGENCY, "--title", "T", "--officer", "clerk.pem", "--out"];
        desk.good(&[&request[..], &[file]].concat());
        desk.good(&["agency", "enrol", "URL", file, "--signer", one, "--signer", two]).json()
    };
    let old = enrol("e.txt", ["registrar-1.pem", "registrar-2.pem"]);
    assert!(old["missing"].to_string().contains("officer-1 does not count"), "{old}");
    let new = enrol("f.txt", ["registrar-4.pem", "registrar-2.pem"]);
    assert_eq!(new["entered"], true);
}

#[test]
fn a_unit_signs_the_registers_that_it_was_given_and_until_it_was_told() {
    let desk = Desk::enrolled();
    desk.open("country", &[]);
    desk.open("city", &[]);
    desk.keygen("unit");
    let delegate = ["agency", "delegate", "URL", AGENCY, "--unit", "unit.pem", "--register", "country"];
    let delegate = [&delegate[..], &["--signer", "clerk.pem"]].concat();
    desk.good(&[&delegate[..], &["--until", "2999-01-01T00:00:00Z", "--out", "d.txt"]].concat());
    desk.write("a.json", r#"{"key":"1"}"#);
    let [country, city] = ["country", "city"].map(|register| format!("{AGENCY}/{register}"));
    desk.good(&submit(&country, "a.json", &["unit.pem"]));
    std::fs::remove_file(desk.path("a.json.journal")).unwrap();
    desk.bad(3, "delegated_register", &submit(&city, "a.json", &["unit.pem"]));
    desk.good(&[&delegate[..], &["--until", "2020-01-01T00:00:00Z", "--out", "e.txt"]].concat());
    desk.write("b.json", r#"{"key":"2"}"#);
    desk.bad(3, "delegation_ended", &submit(&country, "b.json", &["unit.pem"]));
}

#[test]
fn a_register_is_opened_once_and_amended_on_top_of_what_it_was() {
    let desk = Desk::enrolled();
    let place = format!("{AGENCY}/country");
    desk.write(
        "definition.json",
        r#"{"title":"Countries","licence":"OGL-UK-3.0","fields":{"name":{"type":"string","class":"public","required":true}},
            "calendar":{"every":"month","first":"2026-01-31","grace_days":5}}"#,
    );
    let register = |word: &'static str, out: &'static str| {
        vec![
            "register",
            word,
            "URL",
            &place,
            "--definition",
            "definition.json",
            "--signer",
            "clerk.pem",
            "--out",
            out,
        ]
    };
    desk.bad(3, "not open yet", &register("amend", "x.txt"));
    desk.good(&register("open", "open.txt"));
    desk.verify("open.txt");
    desk.bad(3, "open already", &register("open", "x.txt"));
    desk.good(&[&register("amend", "amend.txt")[..], &["--field", "capital=string"]].concat());
    let shown = desk.server().get(&format!("/registers/{place}")).json();
    assert_eq!(shown["statement"]["calendar"]["every"], "month");
    assert_eq!(shown["statement"]["fields"].as_object().unwrap().len(), 2);
    desk.bad(3, "field_more_public", &{
        let mut sealed = register("amend", "sealed.txt");
        sealed.extend(["--field", "name=string:sealed"]);
        desk.good(&sealed);
        register("amend", "public.txt")
    });
    desk.write("definition.json", r#"{"title":"T","licence":"L","owner":"me"}"#);
    desk.bad(2, "/owner is not part", &register("amend", "y.txt"));
    desk.bad(
        2,
        "types are",
        &[
            "register",
            "open",
            "URL",
            &format!("{AGENCY}/b"),
            "--title",
            "T",
            "--licence",
            "L",
            "--field",
            "a=text",
            "--signer",
            "clerk.pem",
        ],
    );
    desk.bad(
        2,
        "--licence",
        &["register", "open", "URL", &format!("{AGENCY}/b"), "--title", "T", "--signer", "clerk.pem"],
    );
}

#[test]
fn a_log_begins_with_a_genesis_that_its_registrars_have_cosigned() {
    let folder = tempfile::TempDir::new().unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(binary("daybook"));
        command.args(args).arg("--json").current_dir(folder.path()).output().unwrap()
    };
    let good = |args: &[&str]| {
        let ran = run(args);
        assert!(ran.status.success(), "{args:?}: {ran:?}");
        serde_json::from_slice::<serde_json::Value>(&ran.stdout).unwrap()
    };
    let keys: Vec<String> = (1..=3)
        .map(|number| {
            let (name, file) = (format!("registrar.gov.example/o{number}"), format!("o{number}.pem"));
            good(&["keygen", &name, "--out", &file])["vkey"].as_str().unwrap().to_owned()
        })
        .collect();
    let init = ["init", "log", "--origin", ORIGIN, "--admission", "records", "--genesis", "genesis.txt"];
    let who: Vec<&str> = keys.iter().flat_map(|key| ["--registrar", key]).collect();
    good(&[&init[..], &who[..], &["--threshold", "2", "--registrar-title", "The registrar"]].concat());
    assert_eq!(run(&init).status.code(), Some(2), "not signed yet");
    let first = good(&["cosign", "genesis.txt", "--signer", "o1.pem", "--signer", "o2.pem"]);
    assert!(first["missing"].to_string().contains("registrar.gov.example/o3 is brought in"), "{first}");
    assert_eq!(run(&init).status.code(), Some(2), "one is missing");
    good(&["cosign", "genesis.txt", "--signer", "o3.pem"]);
    good(&init);
}

#[test]
fn a_log_that_is_another_one_is_noticed_before_anything_is_signed() {
    let desk = Desk::enrolled();
    let other = tests::server::Site::new("open");
    let other_server = other.start();
    desk.write("a.json", r#"{"key":"1"}"#);
    let place = format!("{AGENCY}/country");
    let url = other_server.url();
    let args =
        ["submit", &url, "a.json", "--register", &place, "--signer", "clerk.pem", "--policy", "policy.txt"];
    desk.bad(3, "other things than records", &args);
    let wrong = desk.good(&["keygen", "log.example/elsewhere", "--out", "elsewhere.pem"]).json();
    let (url, key) = (desk.server().url(), wrong["vkey"].as_str().unwrap().to_owned());
    let args = ["submit", &url, "a.json", "--register", &place, "--signer", "clerk.pem", "--key", &key];
    desk.bad(2, "calls itself", &args);
    let args = ["submit", &url, "a.json", "--register", &place, "--signer", "clerk.pem"];
    desk.bad(2, "whom shall be trusted", &args);
}
