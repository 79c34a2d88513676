//! A load generator for logs of records. Prints one JSON document.
//!
//! ```text
//! records_load genesis ORIGIN FILE                               a signed genesis, for `daybook init`
//! records_load single ADDRESS POLICY ed25519|p256 COUNT CLIENTS  POST /records, 1 KiB each
//! records_load batch ADDRESS POLICY ed25519|p256 COUNT STREAMS   POST /records/batch, 1 KiB each
//! records_load fill ADDRESS POLICY COUNT VERSIONS                small ones in batches; VERSIONS of them under one key
//! records_load history ADDRESS POLICY COUNT                      reads that key: its latest version, and pages of versions
//! ```
//!
//! What is measured is signed before the clock starts. Every answer is looked at, the log must have grown by as many entries
//! as were answered, and of the receipts every hundredth is verified.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tests::records::{Office, Signer, World, sign};
use tlog::hash::{Hash, leaf_hash};
use tlog::note::Note;
use tlog::policy::Policy;
use tlog::tlog_proof::TlogProof;
use tokio::net::TcpStream;

const STATEMENT_BYTES: usize = 1024;
const REGISTER: &str = "measured";
const BUSY_KEY: &str = "busy";
/// Statements in one request of `fill`.
const FILL_STATEMENTS: u64 = 20_000;
const PAGE_ITEMS: u64 = 100;
/// Statements of one worker after which it says how far it is.
const TOLD_STATEMENTS: u64 = 200_000;

/// The log that is measured, and who writes to it.
struct Target {
    address: String,
    policy: Policy,
    world: World,
    office: Office,
}

type Connection = SendRequest<Full<Bytes>>;

async fn connect(address: &str) -> Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(sender: &mut Connection, method: &str, path: &str, body: Bytes) -> Result<(u16, Bytes)> {
    let request = Request::builder().method(method).uri(path).header("host", "log");
    let request = request.header("content-type", "application/octet-stream").body(Full::new(body))?;
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}

impl Target {
    /// Enrols the agency and opens its register, if that is still to be done.
    async fn open(address: &str, policy: &str) -> Result<Self> {
        let policy = Policy::parse(&std::fs::read(policy)?)?;
        let mut sender = connect(address).await?;
        let (_, note) = ask(&mut sender, "GET", "/checkpoint", Bytes::new()).await?;
        let origin = std::str::from_utf8(&note)?.lines().next().context("a checkpoint")?.to_owned();
        let (world, office) = (World::new(&origin), Office::new("treasury.example"));
        for statement in [world.enrol(&office), world.open(&office, REGISTER)] {
            let (status, answer) = ask(&mut sender, "POST", "/records", statement.into()).await?;
            ensure!(status == 200, "{}", String::from_utf8_lossy(&answer));
        }
        Ok(Self { address: address.to_owned(), policy, world, office })
    }

    fn signer(&self, algorithm: &str) -> Result<&Signer> {
        match algorithm {
            "ed25519" => Ok(&self.office.publisher),
            "p256" => self.office.officers.get(2).context("an officer"),
            other => bail!("{other} is no algorithm"),
        }
    }

    async fn size(&self) -> Result<u64> {
        let mut sender = connect(&self.address).await?;
        let (_, note) = ask(&mut sender, "GET", "/checkpoint", Bytes::new()).await?;
        Ok(self.policy.verify(&Note::parse(&note)?)?.head().size.get())
    }

    /// A first version of 1 KiB under a key of its own.
    fn statement(&self, signer: &Signer, key: &str, previous: Option<Hash>, bytes: usize) -> Vec<u8> {
        let make = |filling: usize| {
            let public = format!(r#"{{"text":"{}"}}"#, "x".repeat(filling));
            let body = self.world.record_body(&self.office, REGISTER, key, previous, &public);
            sign(&record::statement::Body::Record(body), &[signer])
        };
        let empty = make(0).len();
        if bytes <= empty { make(0) } else { make(bytes - empty) }
    }

    /// Keys that no other run has used.
    async fn statements(&self, algorithm: &str, count: usize) -> Result<Vec<Bytes>> {
        let (signer, run) = (self.signer(algorithm)?, self.size().await?);
        let make = |at: usize| -> Bytes {
            self.statement(signer, &format!("run-{run}-{at:08}"), None, STATEMENT_BYTES).into()
        };
        Ok((0..count).map(make).collect())
    }
}

/// How long each of some requests took, sorted.
fn percentiles(mut latencies: Vec<Duration>) -> Result<Value> {
    latencies.sort_unstable();
    let last = latencies.len().checked_sub(1).context("nothing was answered")?;
    let at = |share: f64| latencies[(last as f64 * share) as usize].as_secs_f64() * 1000.0;
    Ok(json!({ "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0) }))
}

async fn single(target: Target, algorithm: &str, count: usize, clients: usize) -> Result<Value> {
    let statements = Arc::new(target.statements(algorithm, count).await?);
    let before = target.size().await?;
    let (next, address) = (Arc::new(AtomicUsize::new(0)), Arc::new(target.address.clone()));
    let started = Instant::now();
    let mut workers = Vec::new();
    for _ in 0..clients {
        let (statements, next, address) = (Arc::clone(&statements), Arc::clone(&next), Arc::clone(&address));
        workers.push(tokio::spawn(async move {
            let mut sender = connect(&address).await?;
            let (mut latencies, mut receipts) = (Vec::new(), Vec::new());
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(statement) = statements.get(at) else { return anyhow::Ok((latencies, receipts)) };
                let sent = Instant::now();
                let (status, answer) = ask(&mut sender, "POST", "/records", statement.clone()).await?;
                ensure!(status == 200, "{}", String::from_utf8_lossy(&answer));
                latencies.push(sent.elapsed());
                if at % 100 == 0 {
                    receipts.push((at, answer));
                }
            }
        }));
    }
    let (mut latencies, mut verified) = (Vec::new(), 0);
    let mut all = Vec::new();
    for worker in workers {
        let (more, receipts) = worker.await??;
        latencies.extend(more);
        all.extend(receipts);
    }
    let seconds = started.elapsed().as_secs_f64();
    for (at, receipt) in all {
        TlogProof::parse(&receipt)?.verify(&leaf_hash(&statements[at]), &target.policy)?;
        verified += 1;
    }
    ensure!(target.size().await? == before + count as u64, "the log has not grown by what it answered");
    Ok(json!({
        "statements": count,
        "statement_bytes": statements.first().map_or(0, Bytes::len),
        "statements_per_second": count as f64 / seconds,
        "latency_ms": percentiles(latencies)?,
        "receipts_verified": verified,
    }))
}

fn framed(statements: &[Bytes]) -> Result<Bytes> {
    let mut body = Vec::new();
    for statement in statements {
        body.extend_from_slice(&u16::try_from(statement.len())?.to_be_bytes());
        body.extend_from_slice(statement);
    }
    Ok(body.into())
}

/// Sends a stream and counts its outcomes, of which each must be an entry.
async fn stream(address: &str, body: Bytes, count: usize) -> Result<()> {
    let mut sender = connect(address).await?;
    let (status, answer) = ask(&mut sender, "POST", "/records/batch", body).await?;
    let text = std::str::from_utf8(&answer)?;
    ensure!(status == 200, "{text}");
    if let Some(bad) = text.lines().find(|line| !line.contains("\"index\"") || line.contains("\"problem\"")) {
        bail!("{bad}");
    }
    ensure!(text.lines().count() == count, "{} outcomes for {count}", text.lines().count());
    Ok(())
}

async fn batch(target: Target, algorithm: &str, count: usize, streams: usize) -> Result<Value> {
    let statements = target.statements(algorithm, count).await?;
    let before = target.size().await?;
    let share = count.div_ceil(streams.max(1)).max(1);
    let bodies: Result<Vec<(Bytes, usize)>> =
        statements.chunks(share).map(|part| Ok((framed(part)?, part.len()))).collect();
    let bodies = bodies?;
    let started = Instant::now();
    let mut workers = Vec::new();
    for (body, count) in bodies {
        let address = target.address.clone();
        workers.push(tokio::spawn(async move { stream(&address, body, count).await }));
    }
    for worker in workers {
        worker.await??;
    }
    let seconds = started.elapsed().as_secs_f64();
    ensure!(target.size().await? == before + count as u64, "the log has not grown by what it answered");
    Ok(json!({
        "statements": count,
        "streams": streams,
        "statement_bytes": statements.first().map_or(0, Bytes::len),
        "statements_per_second": count as f64 / seconds,
    }))
}

/// Two workers, so that one signs while the log reads the other's; the busy key is the first one's.
async fn fill(target: Target, count: u64, versions: u64) -> Result<Value> {
    let (target, started) = (Arc::new(target), Instant::now());
    let (before, each) = (target.size().await?, count.div_ceil(2));
    let every = (each / versions.max(1)).max(1);
    let mut workers = Vec::new();
    for worker in 0..2_u64 {
        let target = Arc::clone(&target);
        workers.push(tokio::spawn(async move {
            let (mut sent, mut busy, mut left): (u64, Option<Hash>, u64) = (0, None, versions);
            let mine = if worker == 0 { each } else { count - each };
            while sent < mine {
                let part = FILL_STATEMENTS.min(mine - sent);
                let made = tokio::task::block_in_place(|| {
                    let make = |at: u64| -> Bytes {
                        let signer = &target.office.publisher;
                        if worker == 0 && at.is_multiple_of(every) && left > 0 {
                            let statement = target.statement(signer, BUSY_KEY, busy, 0);
                            (busy, left) = (Some(leaf_hash(&statement)), left - 1);
                            return statement.into();
                        }
                        target.statement(signer, &format!("fill-{before}-{worker}-{at}"), None, 0).into()
                    };
                    (sent..sent + part).map(make).collect::<Vec<Bytes>>()
                });
                stream(&target.address, framed(&made)?, made.len()).await?;
                sent += part;
                if worker == 0 && sent / TOLD_STATEMENTS > (sent - part) / TOLD_STATEMENTS {
                    eprintln!("about {} of {count} statements", sent * 2);
                }
            }
            anyhow::Ok(())
        }));
    }
    for worker in workers {
        worker.await??;
    }
    let seconds = started.elapsed().as_secs_f64();
    ensure!(target.size().await? == before + count, "the log has not grown by what it answered");
    Ok(json!({ "statements": count, "versions": versions, "statements_per_second": count as f64 / seconds }))
}

/// Indexes of versions, in an order that looks random and is the same in every run.
fn scattered(indexes: &[u64], count: usize) -> impl Iterator<Item = u64> {
    let mut state = 1_u64;
    let indexes = indexes.to_vec();
    (0..count).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        indexes[(state >> 33) as usize % indexes.len()]
    })
}

async fn history(target: Target, count: usize) -> Result<Value> {
    let record = format!("/registers/{}/{REGISTER}/records/{BUSY_KEY}", target.office.id);
    let mut sender = connect(&target.address).await?;
    let (mut versions, mut query) = (Vec::new(), "from=0&limit=1000".to_owned());
    loop {
        let (status, answer) =
            ask(&mut sender, "GET", &format!("{record}/history?{query}"), Bytes::new()).await?;
        ensure!(status == 200, "{}", String::from_utf8_lossy(&answer));
        let page: Value = serde_json::from_slice(&answer)?;
        let items = page["items"].as_array().context("items")?;
        versions.extend(items.iter().filter_map(|item| item["index"].as_u64()));
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut query),
            None => break,
        }
    }
    let last = *versions.last().context("the busy key has versions")?;
    let (mut latest, mut pages) = (Vec::new(), Vec::new());
    for from in scattered(&versions, count) {
        let sent = Instant::now();
        let (status, answer) = ask(&mut sender, "GET", &record, Bytes::new()).await?;
        latest.push(sent.elapsed());
        ensure!(status == 200, "{}", String::from_utf8_lossy(&answer));
        ensure!(serde_json::from_slice::<Value>(&answer)?["index"] == last, "not the latest");
        let path = format!("{record}/history?from={from}&limit={PAGE_ITEMS}");
        let sent = Instant::now();
        let (status, answer) = ask(&mut sender, "GET", &path, Bytes::new()).await?;
        pages.push(sent.elapsed());
        ensure!(status == 200, "{}", String::from_utf8_lossy(&answer));
        ensure!(serde_json::from_slice::<Value>(&answer)?["items"][0]["index"] == from, "another page");
    }
    Ok(json!({
        "entries": target.size().await?,
        "versions": versions.len(),
        "page_items": PAGE_ITEMS,
        "latest_ms": percentiles(latest)?,
        "page_ms": percentiles(pages)?,
    }))
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["genesis", origin, file] => {
            std::fs::write(file, World::new(origin).genesis())?;
            json!({ "genesis": file })
        }
        ["single", address, policy, algorithm, count, clients] => {
            let target = Target::open(address, policy).await?;
            single(target, algorithm, count.parse()?, clients.parse()?).await?
        }
        ["batch", address, policy, algorithm, count, streams] => {
            let target = Target::open(address, policy).await?;
            batch(target, algorithm, count.parse()?, streams.parse()?).await?
        }
        ["fill", address, policy, count, versions] => {
            fill(Target::open(address, policy).await?, count.parse()?, versions.parse()?).await?
        }
        ["history", address, policy, count] => {
            history(Target::open(address, policy).await?, count.parse()?).await?
        }
        _ => bail!(
            "usage: records_load genesis|single|batch|fill|history ..., see the first lines of its source"
        ),
    };
    println!("{result}");
    Ok(())
}
