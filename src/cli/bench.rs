//! `daybook bench`: a load generator for any log with tiles and `POST /add`.
//!
//! Every writer keeps one connection and waits for its answer before it sends again; with `--rate`, latency counts
//! from the time at which a request was due, so that a stalled log does not hide its stall. Only answers whose
//! entries a check of the whole log finds afterwards are counted as good.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use daemon::clock::{Random, SystemRandom};
use daemon::config::HumanDuration;
use hdrhistogram::Histogram;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tlog::bundle;
use tlog::tile::{Bundle, TILE_WIDTH, TilePath};
use tokio::net::TcpStream;

use super::failure::{Failure, unless_good};
use super::output::Output;
use super::trust::Trust;
use crate::fsck::fsck;

/// The shortest entry: a tag that tells entries apart.
const ENTRY_BYTES_MIN: usize = 16;
/// Latencies are kept up to this, in microseconds.
const LATENCY_MAX: u64 = 600_000_000;

#[derive(Args, Clone, Debug)]
pub(super) struct Bench {
    /// The log's URL, http:// only.
    url: String,
    /// Connections that add entries.
    #[arg(long, default_value_t = 64)]
    writers: u64,
    /// Connections that read bundles.
    #[arg(long, default_value_t = 0)]
    readers: u64,
    /// Size of an entry.
    #[arg(long, default_value_t = 1024)]
    entry_bytes: usize,
    /// Entries in a request; more than one uses /add-batch.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// How long to send.
    #[arg(long, default_value = "10s")]
    duration: HumanDuration,
    /// Stop after so many entries, even if there is time left.
    #[arg(long)]
    entries: Option<u64>,
    /// Requests per second over all writers; without it each sends as soon as it is answered.
    #[arg(long)]
    rate: Option<f64>,
    /// Share of requests that repeat an entry sent before, 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    duplicates: f64,
    /// Do not check the log afterwards; the answers are then unverified.
    #[arg(long)]
    no_check: bool,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Serialize)]
struct Measured {
    seconds: f64,
    answers: u64,
    entries: u64,
    entries_per_second: f64,
    latency_ms: Option<Percentiles>,
    refused: u64,
    failed: u64,
    reads: u64,
    reads_per_second: f64,
    /// Answered entries that the checked log holds at the answered index; absent with `--no-check`.
    entries_found: Option<u64>,
}

#[derive(Serialize)]
struct Percentiles {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

/// What the writers have in common.
struct Shared {
    bench: Bench,
    authority: String,
    seed: u64,
    started: Instant,
    sent: AtomicU64,
    due: AtomicU64,
}

/// What one connection did.
#[derive(Default)]
struct Tally {
    /// Index and tag of each answered entry.
    placed: Vec<(u64, u64)>,
    micros: Vec<u32>,
    refused: u64,
    failed: u64,
    reads: u64,
}

impl Bench {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        if self.entry_bytes < ENTRY_BYTES_MIN || self.entry_bytes > bundle::ENTRY_BYTES_MAX {
            return Err(Failure::Malformed(format!("--entry-bytes must be {ENTRY_BYTES_MIN} to 65535")));
        }
        if !(0.0..=1.0).contains(&self.duplicates) || self.batch == 0 || self.writers + self.readers == 0 {
            return Err(Failure::malformed(
                "--duplicates is 0 to 1, --batch at least 1, and someone has to write or read",
            ));
        }
        let policy = if self.no_check { None } else { Some(self.trust.policy()?) };
        let uri: Uri =
            self.url.parse().map_err(|_| Failure::Malformed(format!("{:?} is not a URL", self.url)))?;
        if uri.scheme_str() != Some("http") {
            return Err(Failure::malformed("the load generator speaks http:// only"));
        }
        let host = uri.host().ok_or_else(|| Failure::malformed("the URL has no host"))?;
        let authority = format!("{host}:{}", uri.port_u16().unwrap_or(80));
        let mut seed = [0; 8];
        SystemRandom.fill(&mut seed);
        let shared = Arc::new(Shared {
            authority,
            seed: u64::from_le_bytes(seed),
            started: now(),
            sent: AtomicU64::new(0),
            due: AtomicU64::new(0),
            bench: self,
        });
        let runtime = tokio::runtime::Runtime::new().map_err(Failure::failed)?;
        let tallies = Arc::new(Mutex::new(Vec::new()));
        runtime.block_on(drive(&shared, &tallies))?;
        let seconds = shared.started.elapsed().as_secs_f64();
        let tallies = std::mem::take(&mut *tallies.lock().unwrap_or_else(PoisonError::into_inner));
        let mut result = sum(seconds, &tallies)?;
        if let Some(policy) = policy {
            let source = crate::source::Source::open(&shared.bench.url)?;
            let checkpoint = super::trust::checkpoint(&source, &policy)?;
            result.entries_found = Some(check(&source, checkpoint.head(), shared.seed, &tallies, output)?);
        }
        output.result(&result, || text(&result));
        match result.entries_found {
            Some(found) if found != result.entries => Err(Failure::Wrong(format!(
                "{} answered entries are not where the log said",
                result.entries - found
            ))),
            _ => Ok(()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a load generator measures real time")]
fn now() -> Instant {
    Instant::now()
}

async fn drive(shared: &Arc<Shared>, tallies: &Arc<Mutex<Vec<Tally>>>) -> Result<(), Failure> {
    let mut running = tokio::task::JoinSet::new();
    for writer in 0..shared.bench.writers {
        let (shared, tallies) = (Arc::clone(shared), Arc::clone(tallies));
        running.spawn(async move {
            let tally = write(&shared, writer).await;
            tallies.lock().unwrap_or_else(PoisonError::into_inner).push(tally);
        });
    }
    for reader in 0..shared.bench.readers {
        let (shared, tallies) = (Arc::clone(shared), Arc::clone(tallies));
        running.spawn(async move {
            let tally = read(&shared, reader).await;
            tallies.lock().unwrap_or_else(PoisonError::into_inner).push(tally);
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.map_err(Failure::failed)?;
    }
    Ok(())
}

type Connection = SendRequest<Full<Bytes>>;

async fn connect(authority: &str) -> Option<Connection> {
    let stream = TcpStream::connect(authority).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
    // The connection ends with its sender; its errors show up in the requests.
    tokio::spawn(async move { connection.await.ok() });
    Some(sender)
}

async fn exchange(connection: &mut Connection, request: Request<Full<Bytes>>) -> Option<(StatusCode, Bytes)> {
    connection.ready().await.ok()?;
    let response = connection.send_request(request).await.ok()?;
    let status = response.status();
    Some((status, response.into_body().collect().await.ok()?.to_bytes()))
}

impl Shared {
    fn is_over(&self) -> bool {
        let enough = self.bench.entries.is_some_and(|entries| self.sent.load(Ordering::Relaxed) >= entries);
        enough || self.started.elapsed() >= self.bench.duration.0
    }

    /// Waits for the next due time; latency counts from it.
    async fn turn(&self) -> Instant {
        let Some(rate) = self.bench.rate else { return now() };
        let number = self.due.fetch_add(1, Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a pace, not an account")]
        let due = self.started + Duration::from_secs_f64(number as f64 / rate);
        tokio::time::sleep_until(due.into()).await;
        due
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let post = method == Method::POST;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        if let Ok(host) = HeaderValue::from_str(&self.authority) {
            headers.insert(header::HOST, host);
        }
        if post {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        }
        request
    }

    /// Entries are told apart by their tag; the rest does not compress and does not cost.
    fn entry(&self, tag: u64) -> Vec<u8> {
        let mut entry = Vec::with_capacity(self.bench.entry_bytes);
        entry.extend_from_slice(&self.seed.to_le_bytes());
        entry.extend_from_slice(&tag.to_le_bytes());
        let mut noise = self.seed ^ tag.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        while entry.len() < self.bench.entry_bytes {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            let room = (self.bench.entry_bytes - entry.len()).min(8);
            entry.extend_from_slice(&noise.to_le_bytes()[..room]);
        }
        entry
    }
}

async fn write(shared: &Shared, writer: u64) -> Tally {
    let mut tally = Tally::default();
    let (mut number, mut repeated, mut debt) = (0u64, 0u64, 0.0);
    let batch = shared.bench.batch as u64;
    let path = if batch == 1 { "/add" } else { "/add-batch" };
    let mut connection = None;
    while !shared.is_over() {
        let due = shared.turn().await;
        debt += shared.bench.duplicates;
        let first = if debt >= 1.0 && number > 0 {
            debt -= 1.0;
            repeated += 1;
            (repeated * batch) % number / batch * batch
        } else {
            number += batch;
            number - batch
        };
        let tags: Vec<u64> = (first..first + batch).map(|number| writer << 40 | number).collect();
        let mut body = Vec::new();
        if batch == 1 {
            body = shared.entry(tags[0]);
        } else {
            let pushed = tags.iter().try_for_each(|tag| bundle::push_entry(&mut body, &shared.entry(*tag)));
            pushed.expect("entries of the bench are short");
        }
        shared.sent.fetch_add(batch, Ordering::Relaxed);
        if connection.is_none() {
            connection = connect(&shared.authority).await;
        }
        let answered = match &mut connection {
            Some(open) => exchange(open, shared.request(Method::POST, path, body.into())).await,
            None => None,
        };
        match answered {
            Some((StatusCode::OK, answer)) => {
                tally.micros.push(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX));
                let text = std::str::from_utf8(&answer).unwrap_or("");
                tally.placed.extend(text.lines().filter_map(|line| line.parse().ok()).zip(tags));
            }
            Some(_) => {
                tally.refused += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            None => {
                tally.failed += 1;
                connection = None;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    tally
}

/// Reads full bundles in a scattered order, or the newest partial one where there is no full one.
async fn read(shared: &Shared, reader: u64) -> Tally {
    let mut tally = Tally::default();
    let mut connection = None;
    let mut number = reader.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut size = 0;
    while !shared.is_over() {
        if connection.is_none() {
            connection = connect(&shared.authority).await;
        }
        let Some(open) = &mut connection else {
            tally.failed += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let full = size / TILE_WIDTH;
        let path = if full == 0 || tally.reads % 1024 == 0 {
            "/checkpoint".to_owned()
        } else {
            let width = u16::try_from(TILE_WIDTH).unwrap_or(u16::MAX);
            Bundle::new(number % full, width)
                .map_or_else(|_| String::new(), |bundle| format!("/{}", TilePath::Entries(bundle)))
        };
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match exchange(open, shared.request(Method::GET, &path, Bytes::new())).await {
            Some((StatusCode::OK, body)) => {
                tally.reads += 1;
                if path == "/checkpoint" {
                    let line = std::str::from_utf8(&body).ok().and_then(|text| text.lines().nth(1));
                    size = line.and_then(|line| line.parse().ok()).unwrap_or(size);
                }
            }
            Some(_) => tally.refused += 1,
            None => {
                tally.failed += 1;
                connection = None;
            }
        }
    }
    tally
}

fn sum(seconds: f64, tallies: &[Tally]) -> Result<Measured, Failure> {
    let mut latencies = Histogram::<u64>::new_with_bounds(1, LATENCY_MAX, 3).map_err(Failure::failed)?;
    tallies
        .iter()
        .flat_map(|tally| &tally.micros)
        .for_each(|micros| latencies.saturating_record(u64::from(*micros)));
    let entries: u64 = tallies.iter().map(|tally| tally.placed.len() as u64).sum();
    let reads: u64 = tallies.iter().map(|tally| tally.reads).sum();
    #[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
    let millis = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    let percentiles = Percentiles {
        p50: millis(0.5),
        p90: millis(0.9),
        p99: millis(0.99),
        p999: millis(0.999),
        max: millis(1.0),
    };
    #[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
    let per_second = |count: u64| count as f64 / seconds;
    Ok(Measured {
        seconds,
        answers: latencies.len(),
        entries,
        entries_per_second: per_second(entries),
        latency_ms: (!latencies.is_empty()).then_some(percentiles),
        refused: tallies.iter().map(|tally| tally.refused).sum(),
        failed: tallies.iter().map(|tally| tally.failed).sum(),
        reads,
        reads_per_second: per_second(reads),
        entries_found: None,
    })
}

/// Reads the whole log and counts the answers that hold.
fn check(
    source: &crate::source::Source,
    head: tlog::ids::TreeHead,
    seed: u64,
    tallies: &[Tally],
    output: &Output,
) -> Result<u64, Failure> {
    let mut placed: Vec<(u64, u64)> = tallies.iter().flat_map(|tally| tally.placed.iter().copied()).collect();
    placed.sort_unstable();
    let (mut at, mut found) = (0, 0);
    let bar = output.bar(head.size.get(), "checking entries");
    let mut seen = |index: u64, entry: &[u8]| {
        let tag = entry.get(8..16).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        let ours = entry.starts_with(&seed.to_le_bytes());
        while let Some((placed_at, expected)) = placed.get(at).filter(|(placed_at, _)| *placed_at <= index) {
            found += u64::from(*placed_at == index && ours && tag == Some(*expected));
            at += 1;
        }
    };
    let report = fsck(source, head, &mut seen, &mut |checked| bar.set_position(checked))?;
    bar.finish_and_clear();
    unless_good(&report)?;
    Ok(found)
}

fn text(result: &Measured) -> String {
    let mut lines = vec![format!(
        "{} entries in {:.1} s: {:.0} entries/s, {} answers",
        result.entries, result.seconds, result.entries_per_second, result.answers
    )];
    if let Some(Percentiles { p50, p90, p99, p999, max }) = result.latency_ms {
        lines.push(format!(
            "latency in ms: p50 {p50:.2}, p90 {p90:.2}, p99 {p99:.2}, p99.9 {p999:.2}, max {max:.2}"
        ));
    }
    if result.reads > 0 {
        lines.push(format!("{} reads: {:.0} reads/s", result.reads, result.reads_per_second));
    }
    lines.push(format!("{} refused, {} failed", result.refused, result.failed));
    lines.push(match result.entries_found {
        Some(found) => format!("{found} of {} answered entries are in the checked log", result.entries),
        None => "not checked: nothing says that the log holds these entries".to_owned(),
    });
    lines.join("\n")
}
