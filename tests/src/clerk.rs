//! A clerk at a desk: a folder with keys and files, commands that run in it, and a log of records that is served.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use record::ids::AgencyId;
use serde_json::Value;
use tempfile::TempDir;
use tlog::sign::Ed25519Signer;

use crate::binaries::binary;
use crate::records::{Office, Signer, World};
use crate::server::{ORIGIN, Server, Site};

/// The agency of most tests.
pub const AGENCY: &str = "treasury.gov.example";

/// A folder, a log, and the registrar's key files.
#[derive(Debug)]
pub struct Desk {
    /// Only `None` while it is stopped. It ends before its directory does.
    pub server: Option<Server>,
    /// The log's directory.
    pub site: Site,
    folder: TempDir,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// The JSON document that was printed.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// Everything that was printed.
    #[must_use]
    pub fn said(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}

impl Desk {
    /// A desk beside a log that is served. The registrar's three officers, of whom two must sign, have their keys in
    /// `registrar-1.pem` and so on.
    ///
    /// # Panics
    /// If it cannot be set up; here and below.
    #[must_use]
    pub fn new() -> Self {
        let site = Site::new("records");
        let server = Some(site.start());
        let desk = Self { folder: TempDir::new().expect("a folder"), site, server };
        let registrar: Office = World::new(ORIGIN).registrar;
        for (signer, number) in registrar.officers.iter().zip(1..) {
            desk.keep(signer, &format!("registrar-{number}.pem"));
        }
        std::fs::copy(desk.site.policy_path(), desk.path("policy.txt")).expect("copied");
        desk
    }

    /// A desk whose agency is enrolled with the officer `clerk.pem`.
    #[must_use]
    pub fn enrolled() -> Self {
        let desk = Self::new();
        desk.keygen("clerk");
        desk.enrol(&["--officer", "clerk.pem"]);
        desk
    }

    /// Enrols the agency with keys that these arguments name.
    pub fn enrol(&self, keys: &[&str]) {
        let request = ["agency", "request", "URL", AGENCY, "--title", "The Treasury", "--out", "enrol.txt"];
        self.good(&[&request[..], keys].concat());
        let enrol = ["agency", "enrol", "URL", "enrol.txt", "--signer"];
        self.good(&[&enrol[..], &["registrar-1.pem", "--signer", "registrar-2.pem"]].concat());
    }

    /// Opens a register of the agency, signed by `clerk.pem`.
    pub fn open(&self, register: &str, more: &[&str]) {
        let place = format!("{AGENCY}/{register}");
        let open = ["register", "open", "URL", &place, "--title", "A register", "--licence", "OGL-UK-3.0"];
        self.good(&[&open[..], &["--signer", "clerk.pem"], more].concat());
    }

    /// Makes `<label>.pem`, a key of the agency; its verifier key.
    pub fn keygen(&self, label: &str) -> String {
        let ran = self.good(&["keygen", &format!("{AGENCY}/{label}"), "--out", &format!("{label}.pem")]);
        ran.json()["vkey"].as_str().expect("a verifier key").to_owned()
    }

    fn keep(&self, signer: &Signer, file: &str) {
        let der = match signer {
            Signer::Ed25519(signer) => Ed25519Signer::to_pkcs8_der(signer),
            Signer::P256(signer) => signer.to_pkcs8_der(),
        };
        let line = signer.key().to_string();
        daemon::keyfile::write_with(&self.path(file), &line, &der, None).expect("written");
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("the log is served")
    }

    /// A command that is to run in the folder. `URL` in the arguments is the log's; commands that take a policy get the
    /// log's.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let url = self.server.as_ref().map_or_else(|| "http://127.0.0.1:1".to_owned(), Server::url);
        let mut command = Command::new(binary("daybook"));
        command.args(args.iter().map(|arg| if *arg == "URL" { url.as_str() } else { *arg }));
        if args.contains(&"URL") && !args.contains(&"--log") {
            command.args(["--policy", "policy.txt"]);
        }
        command.arg("--json").current_dir(self.folder.path()).env_remove("DAYBOOK_PASSPHRASE");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&self.command(args).output().expect("daybook starts"))
    }

    /// Runs a command that must succeed.
    pub fn good(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
        ran
    }

    /// Runs a command that must fail with this code, and say these words.
    pub fn bad(&self, code: i32, words: &str, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        assert!(ran.said().contains(words), "{args:?} says {words:?}: {ran:?}");
        ran
    }

    /// Submits an input to a register, signed by `clerk.pem`; the report.
    pub fn submit(&self, register: &str, input: &str, more: &[&str]) -> Value {
        let place = format!("{AGENCY}/{register}");
        let submit = ["submit", "URL", input, "--register", &place, "--signer", "clerk.pem"];
        self.good(&[&submit[..], more].concat()).json()
    }

    /// Verifies a statement and the receipt beside it, offline.
    pub fn verify(&self, statement: &str) {
        let ran = self.good(&["verify", statement, "--policy", "policy.txt"]);
        assert_eq!(ran.json()["verified"], true);
    }

    /// The versions of a record, oldest first.
    #[must_use]
    pub fn history(&self, register: &str, key: &str) -> Vec<Value> {
        let answer = self.server().get(&format!("/registers/{AGENCY}/{register}/records/{key}/history"));
        if answer.status == 404 {
            return Vec::new();
        }
        answer.json()["items"].as_array().expect("a list").clone()
    }

    /// How many entries and records a register has.
    #[must_use]
    pub fn counts(&self, register: &str) -> (u64, u64) {
        let document = self.server().get(&format!("/registers/{AGENCY}/{register}")).json();
        (document["entries"].as_u64().expect("a number"), document["records"].as_u64().expect("a number"))
    }

    /// The agency's keys, by name, with their end.
    #[must_use]
    pub fn keys(&self, agency: &str) -> Vec<(String, bool)> {
        let _: AgencyId = agency.parse().expect("an agency");
        let document = self.server().get(&format!("/agencies/{agency}")).json();
        let keys = document["keys"].as_array().expect("keys").iter();
        keys.map(|key| {
            let name = key["key"].as_str().expect("a key").split('+').next().expect("a name");
            (name.to_owned(), key["until"].is_null())
        })
        .collect()
    }
}
