//! A file system of its own, whose power can be cut. Needs root.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const IMAGE_BYTES: u64 = 1 << 30;

/// Runs a command.
///
/// # Panics
/// If it fails.
pub fn run(program: &str, args: &[&str]) {
    let output =
        Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}

/// An ext4 file system in a file, mounted.
#[derive(Debug)]
pub struct Volume {
    image: PathBuf,
    /// Where it is mounted.
    pub mount: PathBuf,
}

impl Volume {
    /// Makes one in `folder`.
    ///
    /// # Panics
    /// Without root, here and below.
    #[must_use]
    pub fn make(folder: &Path) -> Self {
        let (image, mount) = (folder.join("image"), folder.join("mount"));
        File::create(&image).and_then(|file| file.set_len(IMAGE_BYTES)).expect("an image");
        std::fs::create_dir_all(&mount).expect("a folder");
        run("mkfs.ext4", &["-q", "-F", &image.to_string_lossy()]);
        let volume = Self { image, mount };
        volume.mount();
        volume
    }

    /// Mounts it.
    pub fn mount(&self) {
        run("mount", &["-o", "loop", &self.image.to_string_lossy(), &self.mount.to_string_lossy()]);
    }

    /// Stops the file system without writing its journal: what was not synced is gone. Calls `now` just before.
    ///
    /// A real power cut ends the process at the same moment. Here it lives on for a while, and a sync that was under way may
    /// even be told that it succeeded; so what is answered after `now` was not answered.
    pub fn cut(&self, now: impl FnOnce()) {
        // EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH.
        let script = "import fcntl, os, struct, sys\n\
            file = os.open(sys.argv[1], os.O_RDONLY)\n\
            print('ready', flush=True)\n\
            sys.stdin.readline()\n\
            fcntl.ioctl(file, 0x8004587d, struct.pack('I', 2))";
        let mut python = Command::new("python3")
            .args(["-c", script, &self.mount.to_string_lossy()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut ready = String::new();
        BufReader::new(python.stdout.take().expect("piped")).read_line(&mut ready).expect("it answers");
        assert_eq!(ready, "ready\n");
        now();
        python.stdin.take().expect("piped").write_all(b"\n").expect("it listens");
        assert!(python.wait().expect("it ends").success(), "the file system refuses to be shut down");
    }

    /// Unmounts it.
    pub fn unmount(&self) {
        run("umount", &[&self.mount.to_string_lossy()]);
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // It may be unmounted already.
        let _ = Command::new("umount").arg(&self.mount).output();
    }
}
