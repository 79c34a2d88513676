//! An agency at work with the real command line, against a log of records that is served.

use std::path::{Path, PathBuf};
use std::process::Output;

use daemon::clock::SystemRandom;
use daybook::officer::Officer;
use tlog::hash::sha256;
use tlog::sign::{EcdsaP256Signer, Ed25519Signer};
use tlog::vkey::KeyKind;

use crate::records::{Office, Signer, World};
use crate::server::{Answer, ORIGIN, Server, Site, daybook};

/// A log with one agency, `treasury.example`, and the key files of its officers and its publisher.
#[derive(Debug)]
pub struct Clerk {
    /// The log is served; `None` while it is not.
    pub server: Option<Server>,
    /// Where the log is.
    pub site: Site,
    /// The registrar.
    pub world: World,
    /// The agency.
    pub office: Office,
}

/// What a command printed, whichever way.
#[must_use]
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A path as an argument.
#[must_use]
pub fn arg(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Runs a command that must end with this code, and returns what it printed.
///
/// # Panics
/// If it ends with another one.
pub fn expect(code: i32, args: &[&str]) -> String {
    let output = daybook(args);
    assert_eq!(output.status.code(), Some(code), "daybook {}: {}", args.join(" "), said(&output));
    said(&output)
}

/// Writes the key of this name, as [`Signer`] derives it, into a key file.
///
/// # Panics
/// If it cannot be written.
pub fn write_key(path: &Path, signer: &Signer) {
    let key = signer.key();
    let (name, seed) = (key.name().clone(), *sha256(key.name().as_str().as_bytes()).as_bytes());
    let officer = match key.kind() {
        KeyKind::EcdsaP256 => Officer::P256(EcdsaP256Signer::from_seed(name, &seed).expect("a key")),
        _ => Officer::Ed25519(Ed25519Signer::from_seed(name, &seed)),
    };
    assert_eq!(officer.verifier_key(), key, "the same key");
    officer.write(path, None, &SystemRandom).expect("a key file");
}

impl Clerk {
    /// A new log with the agency enrolled.
    ///
    /// # Panics
    /// If that does not work; here and below.
    #[must_use]
    pub fn new() -> Self {
        let site = Site::new("records");
        let server = Some(site.start());
        let clerk = Self { site, server, world: World::new(ORIGIN), office: Office::new("treasury.example") };
        clerk.post_good(&clerk.world.enrol(&clerk.office));
        for (number, officer) in clerk.office.officers.iter().enumerate() {
            write_key(&clerk.file(&format!("officer-{}.pem", number + 1)), officer);
        }
        write_key(&clerk.file("publisher.pem"), &clerk.office.publisher);
        clerk
    }

    /// A file of the clerk's.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.site.root().join(name)
    }

    /// A file of the clerk's, as an argument.
    #[must_use]
    pub fn arg(&self, name: &str) -> String {
        arg(&self.file(name))
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("a server")
    }

    /// The log's URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.server().url()
    }

    /// The log ends as in a crash, its files are touched, and it starts again.
    pub fn restart_after(&mut self, touch: impl FnOnce(&Site)) {
        self.server = None;
        touch(&self.site);
        self.server = Some(self.site.start());
    }

    /// Posts a statement.
    #[must_use]
    pub fn post(&self, statement: &[u8]) -> Answer {
        self.server().send("POST", "/records", &[("content-type", "text/plain")], statement)
    }

    /// Posts a statement that must be taken; its index.
    pub fn post_good(&self, statement: &[u8]) -> u64 {
        let headers = [("content-type", "text/plain"), ("accept", "application/json")];
        let answer = self.server().send("POST", "/records", &headers, statement);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["index"].as_u64().expect("an index")
    }

    /// Runs a command with `--policy`; it must end with this code. What it printed.
    pub fn run(&self, code: i32, args: &[&str]) -> String {
        let policy = self.site.policy_path();
        expect(code, &[args, &["--policy", &policy]].concat())
    }

    /// The same with `--json`: the document.
    pub fn json(&self, code: i32, args: &[&str]) -> serde_json::Value {
        let said = self.run(code, &[args, &["--json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }
}

impl Default for Clerk {
    fn default() -> Self {
        Self::new()
    }
}
