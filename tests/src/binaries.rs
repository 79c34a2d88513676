//! The real executables, started as children and ended by id.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The path of one of our executables, built if need be.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        // Whoever has built everything already says so: cargo would choose other features for fewer packages, and
        // compile most dependencies again.
        if std::env::var_os("DAYBOOK_TEST_BINARIES_BUILT").is_none() {
            let profile: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
            let built = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--bins", "--package", "daybook", "--package", "witness"])
                .args(["--package", "monitor"])
                .args(profile)
                .current_dir(root)
                .stdin(Stdio::null())
                .status()
                .expect("cargo runs");
            assert!(built.success(), "the executables can be built");
        }
        let test = std::env::current_exe().expect("a test has a path");
        test.ancestors().nth(2).expect("tests lie in target/PROFILE/deps").to_owned()
    });
    folder.join(name)
}
