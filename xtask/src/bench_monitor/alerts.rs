//! From publication to an alert: a real log, a real monitor, and a webhook that says when it was told.
//!
//! The clock starts when an entry is sent to the log and stops when the webhook has the alert that names it. Publications
//! are spread over the monitor's pause between two looks, so that its phase does not decide.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Place, configure, init};
use crate::run::{command, output};

const ORIGIN: &str = "log.example/alerts";
/// How long one alert is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// A prime number of milliseconds: publications do not keep step with anything.
const SPREAD_MILLIS: u64 = 373;

/// A process that is ended with the benchmark.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server, and returns its address.
fn serve(program: &str, words: &[&str]) -> Result<(Running, String)> {
    let mut serving = command(program, words);
    let mut child = serving.env("DAYBOOK_LOG", "error").stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
    let running = Running(child);
    let said: Value = serde_json::from_str(&line).with_context(|| format!("it did not start: {line}"))?;
    Ok((running, said["url"].as_str().context("no url")?.to_owned()))
}

/// A row of the table.
pub(super) fn measure(place: &Place, count: u32, poll: Option<&str>) -> Result<String> {
    let dir = place.folder.join("alerts-log");
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => (),
    }
    let (daybook, monitor) = (place.program("daybook"), place.program("daybook-monitor"));
    let log = dir.to_string_lossy().into_owned();
    output(&mut command(&daybook, &["init", "--json", "--origin", ORIGIN, "--admission", "open", &log]))?;
    let local = ["--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let (_log, url) = serve(&daybook, &[&["serve"], &local[..], &[log.as_str()]].concat())?;
    let home = init(place, "alerts-monitor", ORIGIN, &url, &dir.join("policy.txt"))?;
    let (hook, told) = webhook()?;
    let mut secret =
        std::fs::File::options().write(true).create_new(true).mode(0o600).open(home.join("hook-secret"))?;
    secret.write_all(b"0123456789abcdef0123456789abcdef")?;
    let setting = poll.map(|poll| format!("poll = \"{poll}\"\n")).unwrap_or_default();
    configure(
        &home,
        &format!(
            "{setting}[[channel]]\nname = \"hook\"\n\
             webhook = {{ url = \"{hook}\", secret_file = \"hook-secret\", allow_private = true }}"
        ),
    )?;
    let home = home.to_string_lossy().into_owned();
    // The first look makes the index, which a watch needs.
    publish(&url, "the first entry")?;
    output(&mut command(&monitor, &["once", "--json", &home]))?;
    let watch = ["watch", "add", "--json", &home, "needle*", "--channel", "hook"];
    output(&mut command(&monitor, &watch))?;
    let (_monitor, _) = serve(&monitor, &[&["run"], &local[..], &[home.as_str()]].concat())?;
    let mut times = Vec::new();
    for number in 0..count {
        std::thread::sleep(Duration::from_millis(u64::from(number) * SPREAD_MILLIS % 1009));
        let started = Instant::now();
        publish(&url, &format!("needle{number} was published"))?;
        times.push(wait(&told, &format!("needle{number} "), started)?);
    }
    times.sort_by(f64::total_cmp);
    let looks = poll.map_or("as installed".to_owned(), |poll| format!("the monitor looks every {poll}"));
    let at = |part: usize| times[(times.len() * part).div_ceil(100).saturating_sub(1)];
    Ok(format!(
        "| from publication to alert, {count} publications, {looks} | p95 under 2 s | \
         p50 {:.2} s, p95 {:.2} s, at most {:.2} s |",
        at(50),
        at(95),
        at(100)
    ))
}

/// Seconds until the webhook was told of it.
fn wait(told: &Receiver<(Instant, String)>, what: &str, started: Instant) -> Result<f64> {
    loop {
        let (at, body) = told.recv_timeout(PATIENCE).with_context(|| format!("no alert of {what}"))?;
        if body.contains(what) {
            return Ok(at.duration_since(started).as_secs_f64());
        }
    }
}

fn publish(url: &str, text: &str) -> Result<()> {
    let address = url.strip_prefix("http://").context("a URL")?;
    let mut stream = TcpStream::connect(address)?;
    let head = "content-type: application/octet-stream\r\nconnection: close";
    write!(
        stream,
        "POST /add HTTP/1.1\r\nhost: {address}\r\n{head}\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "the log did not take it: {answer}");
    Ok(())
}

/// A webhook on this machine, and what it is told, with the time.
fn webhook() -> Result<(String, Receiver<(Instant, String)>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    let (sender, receiver) = sync_channel(1024);
    // It ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Err(error) = take(stream, &sender) {
                eprintln!("webhook: {error:#}");
            }
        }
    });
    Ok((url, receiver))
}

fn take(stream: TcpStream, sender: &SyncSender<(Instant, String)>) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    sender.send((Instant::now(), String::from_utf8_lossy(&body).into_owned()))?;
    Ok(write!(reader.get_mut(), "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")?)
}
