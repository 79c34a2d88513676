//! A load generator for witnesses: many logs that each grow by one entry at random moments, or one log as fast as it is
//! answered. Prints one JSON document.
//!
//! ```text
//! witness_load list LOGS                           a list of the logs, for `daybook-witness list pull`
//! witness_load many ADDRESS LOGS RATE SECONDS      RATE requests a second, moments drawn from a Poisson process
//! witness_load one ADDRESS LOG SECONDS             one log, back to back, on one connection
//! ```
//!
//! Requests are signed before the clock starts. A latency counts from the moment at which a request was due, so that a
//! witness that stalls is charged for everyone who waits.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tests::testlog::TestLog;
use tlog::hash::{leaf_hash, sha256};
use tlog::sign::Ed25519Signer;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Connections that the requests of many logs share.
const CONNECTIONS: usize = 64;
/// A log that sends back to back has at most so many entries.
const ENTRIES_MAX: u64 = 100_000;

fn origin(number: usize) -> String {
    format!("log{number}.example/bench")
}

fn log(number: usize) -> TestLog {
    let name = origin(number).parse().expect("a key name");
    let signer = Ed25519Signer::from_seed(name, sha256(&number.to_be_bytes()).as_bytes());
    TestLog { origin: origin(number), signer, leaves: Vec::new() }
}

/// The request that takes a log from `old` to `old + 1` entries.
fn growth(number: usize, old: u64) -> Bytes {
    let mut log = log(number);
    log.leaves = (0..=old).map(|at| leaf_hash(&at.to_be_bytes())).collect();
    log.request(old, old + 1).to_bytes().into()
}

/// Numbers that look random, the same in every run.
struct Lcg(u64);

impl Lcg {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 11
    }

    /// Between 0 and 1, without 0.
    fn unit(&mut self) -> f64 {
        (self.next() + 1) as f64 / (1_u64 << 53) as f64
    }
}

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, body: Bytes) -> Result<(u16, Bytes)> {
    let request = Request::post("/add-checkpoint").header("host", "witness").body(Full::new(body))?;
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}

/// When each request is due, and what it is. Each log comes once in each round, in an order of its own, so that no log
/// has two requests on their way.
fn plan(logs: usize, rate: f64, seconds: f64) -> Vec<(Duration, Bytes)> {
    let mut random = Lcg(1);
    let mut due = 0.0;
    let mut round: Vec<usize> = Vec::new();
    let mut rounds = 0;
    let mut planned = Vec::new();
    loop {
        due -= random.unit().ln() / rate;
        if due > seconds {
            return planned;
        }
        if round.is_empty() {
            round = (0..logs).collect();
            for at in (1..logs).rev() {
                round.swap(at, usize::try_from(random.next()).unwrap_or(0) % (at + 1));
            }
            rounds += 1;
        }
        let number = round.pop().expect("a round has logs");
        planned.push((Duration::from_secs_f64(due), growth(number, rounds - 1)));
    }
}

async fn many(address: &str, logs: usize, rate: f64, seconds: f64) -> Result<serde_json::Value> {
    let planned = Arc::new(plan(logs, rate, seconds));
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now() + Duration::from_millis(200);
    let mut workers = Vec::new();
    for _ in 0..CONNECTIONS {
        let (planned, next, mut sender) = (Arc::clone(&planned), Arc::clone(&next), connect(address).await?);
        workers.push(tokio::spawn(async move {
            let (mut latencies, mut refused) = (Vec::new(), 0_u64);
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((due, body)) = planned.get(at) else { return anyhow::Ok((latencies, refused)) };
                let due = started + *due;
                tokio::time::sleep_until(due).await;
                let (status, _) = ask(&mut sender, body.clone()).await?;
                latencies.push(due.elapsed());
                refused += u64::from(status != 200);
            }
        }));
    }
    let (mut latencies, mut refused) = (Vec::new(), 0);
    for worker in workers {
        let (more, not) = worker.await??;
        latencies.extend(more);
        refused += not;
    }
    report(latencies, refused, started.elapsed())
}

async fn one(address: &str, number: usize, seconds: f64) -> Result<serde_json::Value> {
    let mut sender = connect(address).await?;
    let mut grown = log(number);
    let mut frontier = tlog::tree::Frontier::new();
    let begun = Instant::now();
    let (mut latencies, mut refused) = (Vec::new(), 0);
    // The first entries alone, so that signing here is not part of what is measured and stays small.
    for old in 0..ENTRIES_MAX.min(256) {
        grown.leaves.push(leaf_hash(&old.to_be_bytes()));
        frontier.push(leaf_hash(&old.to_be_bytes()), |_, _| ());
        let body: Bytes = grown.request(old, old + 1).to_bytes().into();
        let sent = Instant::now();
        let (status, _) = ask(&mut sender, body).await?;
        latencies.push(sent.elapsed());
        refused += u64::from(status != 200);
    }
    // From here the same head again, which costs the witness the same.
    let again: Bytes = grown.request(256, 256).to_bytes().into();
    while begun.elapsed().as_secs_f64() < seconds {
        let sent = Instant::now();
        let (status, _) = ask(&mut sender, again.clone()).await?;
        latencies.push(sent.elapsed());
        refused += u64::from(status != 200);
    }
    report(latencies, refused, begun.elapsed())
}

fn report(mut latencies: Vec<Duration>, refused: u64, took: Duration) -> Result<serde_json::Value> {
    latencies.sort_unstable();
    let at = |share: f64| -> Result<f64> {
        let last = latencies.len().checked_sub(1).context("nothing was answered")?;
        Ok(latencies[((last as f64) * share) as usize].as_secs_f64() * 1000.0)
    };
    Ok(json!({
        "requests": latencies.len(),
        "refused": refused,
        "requests_per_second": latencies.len() as f64 / took.as_secs_f64(),
        "latency_ms": { "p50": at(0.5)?, "p90": at(0.9)?, "p99": at(0.99)?, "max": at(1.0)? },
    }))
}

fn list(logs: usize) -> String {
    let mut text = "logs/v0\n".to_owned();
    for number in 0..logs {
        let key = log(number).signer.verifier_key();
        text.push_str(&format!("\nvkey {key}\nqpd 2147483647\ncontact bench\n"));
    }
    text
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list", logs] => print!("{}", list(logs.parse()?)),
        ["many", address, logs, rate, seconds] => {
            println!("{}", many(address, logs.parse()?, rate.parse()?, seconds.parse()?).await?);
        }
        ["one", address, number, seconds] => {
            println!("{}", one(address, number.parse()?, seconds.parse()?).await?);
        }
        _ => {
            bail!("usage: witness_load list LOGS | many ADDRESS LOGS RATE SECONDS | one ADDRESS LOG SECONDS")
        }
    }
    Ok(())
}
