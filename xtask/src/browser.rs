//! `cargo xtask browser`: the monitor's pages in a real browser.
//!
//! Needs Chromium and Node; the packages that drive the browser and look for obstacles to people with disabilities
//! (puppeteer-core, axe-core) are pinned in `tests/browser/package.json` and installed into `target/browser`. Pictures of
//! every page are left there.

use anyhow::{Result, bail};

use crate::run::{cargo, command, has, root, run};

/// Names under which Chromium is installed.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

pub(crate) fn browser() -> Result<()> {
    let Some(chromium) = BROWSERS.into_iter().find(|name| has(name)) else {
        bail!("Chromium is not installed: `apt install chromium`, then run this again");
    };
    if !has("node") || !has("npm") {
        bail!("Node is not installed: `apt install nodejs npm`, then run this again");
    }
    let place = root().join("target/browser");
    std::fs::create_dir_all(&place)?;
    std::fs::copy(root().join("tests/browser/package.json"), place.join("package.json"))?;
    run(command("npm", &["install", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&place))?;
    let path = which(chromium)?;
    let arguments =
        ["test", "--locked", "--package", "tests", "--test", "browser", "--", "--ignored", "--nocapture"];
    let mut tests = cargo(&arguments);
    tests
        .env("DAYBOOK_BROWSER", path)
        .env("DAYBOOK_BROWSER_MODULES", &place)
        .env("DAYBOOK_BROWSER_SHOTS", &place);
    run(&mut tests)
}

/// Where a program is.
fn which(program: &str) -> Result<String> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|file| file.is_file());
    let Some(found) = found else { bail!("{program} is not on the path") };
    Ok(found.to_string_lossy().into_owned())
}
