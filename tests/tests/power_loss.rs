//! Real power loss: the log on a file system of its own, whose journal is cut off without a flush. What was answered
//! before the cut must be there afterwards. Run by `cargo xtask power-loss`, as root.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daemon::clock::{Random, SystemRandom};
use tests::check::check;
use tests::server::{Server, Site, exchange};

const CUTS_DEFAULT: u32 = 10;
const CLIENTS: u32 = 4;
const IMAGE_BYTES: u64 = 1 << 30;

fn run(program: &str, args: &[&str]) {
    let output =
        Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}

/// An ext4 file system in a file, mounted.
struct Volume {
    image: PathBuf,
    mount: PathBuf,
}

impl Volume {
    fn make(folder: &Path) -> Self {
        let (image, mount) = (folder.join("image"), folder.join("mount"));
        File::create(&image).and_then(|file| file.set_len(IMAGE_BYTES)).expect("an image");
        std::fs::create_dir_all(&mount).expect("a folder");
        run("mkfs.ext4", &["-q", "-F", &image.to_string_lossy()]);
        let volume = Self { image, mount };
        volume.mount();
        volume
    }

    fn mount(&self) {
        run("mount", &["-o", "loop", &self.image.to_string_lossy(), &self.mount.to_string_lossy()]);
    }

    /// Stops the file system without writing its journal: what was not synced is gone.
    fn cut(&self) {
        // EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH.
        let script = "import fcntl, os, struct, sys\n\
            fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";
        run("python3", &["-c", script, &self.mount.to_string_lossy()]);
    }

    fn unmount(&self) {
        run("umount", &[&self.mount.to_string_lossy()]);
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // It may be unmounted already.
        let _ = Command::new("umount").arg(&self.mount).output();
    }
}

fn client(
    server: std::net::SocketAddr,
    next: &AtomicU64,
    told: &Mutex<Vec<(u64, Vec<u8>)>>,
    over: &AtomicBool,
) {
    while !over.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let entry = format!("entry {number}").into_bytes();
        let headers = [("content-type", "application/octet-stream")];
        let Ok(answer) = exchange(server, "POST", "/add", &headers, &entry) else { continue };
        if answer.status == 200 {
            let index = answer.text().trim().parse().expect("an index");
            told.lock().expect("no client panicked").push((index, entry));
        }
    }
}

#[test]
#[ignore = "needs root; run it with `cargo xtask power-loss`"]
fn what_was_answered_survives_every_power_cut() {
    let cuts = std::env::var("DAYBOOK_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(CUTS_DEFAULT);
    let site = Site::new("open");
    let volume = Volume::make(site.root());
    let dir = volume.mount.join("log");
    run("cp", &["-r", &site.dir().to_string_lossy(), &dir.to_string_lossy()]);
    // The copy must be on the device before the first cut, as a log that was made with `init` is.
    run("sync", &[]);
    std::fs::remove_dir_all(site.dir()).expect("removed");
    std::os::unix::fs::symlink(&dir, site.dir()).expect("a link");
    let told = Arc::new(Mutex::new(Vec::new()));
    let next = Arc::new(AtomicU64::new(0));
    for cut in 1..=cuts {
        let server: Server = site.start();
        let over = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (told, next, over, address) =
                    (Arc::clone(&told), Arc::clone(&next), Arc::clone(&over), server.address());
                std::thread::spawn(move || client(address, &next, &told, &over))
            })
            .collect();
        let mut byte = [0];
        SystemRandom.fill(&mut byte);
        std::thread::sleep(Duration::from_millis(50 + u64::from(byte[0]) * 4));
        volume.cut();
        over.store(true, Ordering::Relaxed);
        server.kill();
        clients.into_iter().for_each(|client| client.join().expect("no client panics"));
        volume.unmount();
        volume.mount();
        let server = site.start();
        let described = server.get("/log.json").json();
        let keys: Vec<tlog::vkey::VerifierKey> = described["keys"]
            .as_array()
            .expect("keys")
            .iter()
            .map(|key| key.as_str().expect("text").parse().expect("a key"))
            .collect();
        let audited = check(&dir.join("public"), &keys);
        let told = told.lock().expect("no client panicked");
        for (index, entry) in told.iter() {
            let at = usize::try_from(*index).expect("an index");
            assert_eq!(audited.entries.get(at), Some(entry), "entry {index} was answered and is gone");
        }
        println!("cut {cut}: {} answered entries are there, of {} in all", told.len(), audited.entries.len());
        assert_eq!(server.stop(), 0);
    }
}
