//! How many syncs stand between a request and its answer, counted by the system itself.

use tests::clerk::{AGENCY, Desk};
use tests::server::Site;
use tests::testlog::TestLog;
use tests::witness::{WitnessSite, serve_under};

/// Thread names are cut by the kernel at 15 characters.
fn syncs_by_thread(trace: &str, names: &std::collections::BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for line in trace.lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if call.starts_with("fsync(")
            || call.starts_with("fdatasync(")
            || call.starts_with("sync_file_range(")
        {
            let thread = names.get(pid).cloned().unwrap_or_default();
            all.push((thread, call.split('(').next().unwrap_or("").to_owned()));
        }
    }
    all
}

fn has_strace() -> bool {
    let found = std::process::Command::new("strace").arg("-V").stdout(std::process::Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        assert!(std::env::var_os("CI").is_none(), "CI needs strace");
        eprintln!("SKIPPED: strace is not installed");
    }
    found
}

#[test]
fn a_batch_costs_one_data_sync_on_the_path_to_its_answer() {
    if !has_strace() {
        return;
    }
    let mut site = Site::new("open");
    let trace = site.root().join("trace").to_string_lossy().into_owned();
    site.wrapper =
        ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,sync,syncfs", "-o", &trace]
            .map(str::to_owned)
            .to_vec();
    let server = site.start();
    let before = std::fs::read_to_string(&trace).expect("a trace").len();
    let child = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children", pid = server.pid()))
        .expect("children");
    let child = child.split_whitespace().next().expect("the traced server").to_owned();
    let mut names = std::collections::BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{child}/task")).expect("threads") {
        let task = task.expect("a thread").file_name().to_string_lossy().into_owned();
        let name = std::fs::read_to_string(format!("/proc/{child}/task/{task}/comm")).expect("a name");
        names.insert(task, name.trim().to_owned());
    }
    let adds = 40;
    for number in 0..adds {
        // One at a time, so that each is a batch of its own.
        assert_eq!(server.add(format!("entry {number}").as_bytes()), number);
    }
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(child.parse().expect("a pid")).expect("a pid"),
        rustix::process::Signal::KILL,
    )
    .expect("killed");
    drop(server);
    let trace = std::fs::read_to_string(&trace).expect("a trace");
    let calls = syncs_by_thread(&trace[before..], &names);
    let apart = ["housekeeper", "index", "index-merge"];
    let on_the_path: Vec<_> = calls.iter().filter(|(thread, _)| !apart.contains(&thread.as_str())).collect();
    let by = |thread: &str| on_the_path.iter().filter(|(name, _)| name == thread).count();
    assert_eq!(by("sequencer"), usize::try_from(adds).expect("small"), "one commit, one sync: {calls:?}");
    assert!(on_the_path.iter().all(|(name, call)| name != "sequencer" || call == "fdatasync"), "{calls:?}");
    assert_eq!(by("publisher"), 0, "publication does not wait for the disk: {calls:?}");
}

#[test]
fn a_lone_checkpoint_costs_a_witness_one_data_sync() {
    if !has_strace() {
        return;
    }
    let (site, log) = (WitnessSite::new(), TestLog::new("log.example/synced", 1, 40));
    site.follow(&log, &[]);
    let trace = site.root().join("trace").to_string_lossy().into_owned();
    let wrapper =
        ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,sync,syncfs", "-o", &trace]
            .map(str::to_owned);
    let server = serve_under(&wrapper, &[site.dir()]).expect("it starts");
    // The first commit after a start begins a new write-ahead log, whose header has a sync of its own.
    assert_eq!(server.add(&log.request(0, 1)).status, 200);
    // A call that another thread interrupts in the trace has a second line, "resumed".
    let count = |text: String| text.lines().filter(|line| line.contains("sync(")).count();
    let syncs = || count(std::fs::read_to_string(&trace).expect("a trace"));
    let before = syncs();
    for old in 1..40 {
        assert_eq!(server.add(&log.request(old, old + 1)).status, 200);
    }
    assert_eq!(syncs() - before, 39, "{}", std::fs::read_to_string(&trace).expect("a trace"));
    let child = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children", pid = server.pid()));
    let child = child.expect("children").trim().parse().expect("a pid");
    let pid = rustix::process::Pid::from_raw(child).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
}

#[test]
fn what_a_clerk_relies_on_is_on_the_disk_with_its_name_before_anything_is_sent() {
    if !has_strace() {
        return;
    }
    let desk = Desk::enrolled();
    desk.open("person", &["--field", "pay=decimal:sealed"]);
    desk.write("a.json", r#"{"key":"1","pay":"1.00"}"#);
    let folder = desk.path(".").canonicalize().expect("a folder");
    let (trace, place) = (desk.path("trace"), format!("{AGENCY}/person"));
    let submit = ["submit", "URL", "a.json", "--register", &place, "--signer", "clerk.pem"];
    let submit = desk.command(&[&submit[..], &["--receipts", "new/deep"]].concat());
    let calls = "trace=fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto,sendmsg";
    let mut traced = std::process::Command::new("strace");
    traced.args(["-f", "-qq", "-y", "-s", "64", "-e", calls, "-o"]).arg(&trace);
    traced.arg(submit.get_program()).args(submit.get_args()).current_dir(&folder);
    let output = traced.stdin(std::process::Stdio::null()).output().expect("strace starts");
    assert!(output.status.success(), "{output:?}");
    let trace = std::fs::read_to_string(&trace).expect("a trace");
    let lines: Vec<&str> = trace.lines().collect();
    let all = |wanted: &dyn Fn(&str) -> bool| -> Vec<usize> {
        lines.iter().enumerate().filter(|(_, line)| wanted(line)).map(|(at, _)| at).collect()
    };
    let synced = |path: &str| {
        let path = format!("<{}>", folder.join(path).display());
        all(&|line| line.contains("sync(") && line.contains(&path))
    };
    let sent = all(&|line| line.contains("POST /records "))[0];
    let named = all(&|line| line.contains("rename") && line.contains(".sealed\""))[0];
    let journal = synced("new/deep/a.json.journal");
    let (above, deep) = (synced("new"), synced("new/deep"));
    assert!(named < sent && journal.len() >= 2 && journal[1] < sent, "{trace}");
    assert!(
        above.first().is_some_and(|at| *at < named),
        "the new folder has its name in the one above: {trace}"
    );
    assert!(deep.first().is_some_and(|at| *at < named), "the journal has its name: {trace}");
    assert!(
        deep.iter().any(|at| (named..sent).contains(at)),
        "what opens the sealed field has its name: {trace}"
    );
}
