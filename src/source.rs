//! Where the tiles of a log are read from: a folder, or a URL. Works with any C2SP tlog-tiles log.
//!
//! A partial object may have been superseded by the full one; it is then cut from that.
//!
//! Absent on purpose: trust. [`crate::prove`] and [`crate::fsck`] authenticate what they read.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use daemon::fetch::{FetchError, FetchOptions, Fetcher};
use daemon::files::in_words;
use http::StatusCode;
use tlog::bundle;
use tlog::hash::{HASH_BYTES, Hash};
use tlog::ids::{LeafIndex, TreeSize};
use tlog::note::NOTE_BYTES_MAX;
use tlog::tile::TilePath;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Requests in flight at the same time.
const REQUESTS_MAX: usize = 16;
/// The largest bundle there can be: 256 entries of 65,535 bytes with their lengths.
const OBJECT_BYTES_MAX: usize = 256 * (65_535 + 2);

/// An entry in base64, with its receipt.
const ENTRY_ANSWER_BYTES_MAX: usize = 512 * 1024;
/// Items asked for at a time, and the bytes that they can have as JSON.
const LIST_ITEMS: usize = 100;
const LIST_ANSWER_BYTES_MAX: usize = 64 << 20;

/// Why something cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file system refuses.
    #[error("{0}: {why}", why = in_words(.1))]
    Io(String, std::io::Error),
    /// The network, or the server, fails.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The server answers with something else.
    #[error("{0} answers with status {1}")]
    Status(String, StatusCode),
    /// There is no log there.
    #[error("{0} has no checkpoint; is it a log's directory, its `public` folder, or its URL?")]
    NoLog(String),
    /// Files have no lists.
    #[error("a folder has no lists of records; read the whole copy instead, or ask the log's URL")]
    NoLists,
    /// An answer is not what was asked for.
    #[error("{0} answers with something else than was asked for")]
    Answer(String),
    /// The place of an entry is not known.
    #[error("no entry with the leaf hash {0} is known there; folders have no index, a log's URL has")]
    NoIndex(Hash),
    /// The process cannot make a runtime.
    #[error("the network cannot be used: {0}")]
    Runtime(std::io::Error),
}

/// Reads tiles and bundles.
pub trait TileSource {
    /// The objects at these paths, in order, each exactly as wide as asked for; `None` where there is none.
    ///
    /// # Errors
    /// [`SourceError`]: it is not known what is there.
    fn read(&self, paths: &[TilePath]) -> Result<Vec<Option<Bytes>>, SourceError>;
}

/// A log that is read from outside.
#[derive(Debug)]
pub enum Source {
    /// Files.
    Folder(PathBuf),
    /// HTTP.
    Url(Box<Remote>),
}

/// A log behind a URL.
#[derive(Debug)]
pub struct Remote {
    base: String,
    fetcher: Fetcher,
    runtime: Runtime,
}

impl Source {
    /// A URL, a log's directory, or its public folder.
    ///
    /// # Errors
    /// [`SourceError::NoLog`] for a folder that holds none.
    pub fn open(text: &str) -> Result<Self, SourceError> {
        if text.starts_with("http://") || text.starts_with("https://") {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime = runtime.map_err(SourceError::Runtime)?;
            let fetcher = Fetcher::new(FetchOptions::default());
            return Ok(Self::Url(Box::new(Remote {
                base: text.trim_end_matches('/').to_owned(),
                fetcher,
                runtime,
            })));
        }
        let folders = [Path::new(text).join("public"), PathBuf::from(text)];
        let found = folders.into_iter().find(|folder| folder.join("checkpoint").is_file());
        found.map(Self::Folder).ok_or_else(|| SourceError::NoLog(text.to_owned()))
    }

    /// The checkpoint's bytes.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn checkpoint(&self) -> Result<Bytes, SourceError> {
        match self {
            Self::Folder(folder) => {
                let file = folder.join("checkpoint");
                let read = std::fs::read(&file);
                read.map(Bytes::from).map_err(|error| SourceError::Io(file.display().to_string(), error))
            }
            Self::Url(remote) => {
                let url = format!("{}/checkpoint", remote.base);
                let bytes = remote.runtime.block_on(get(&remote.fetcher, &url, NOTE_BYTES_MAX))?;
                bytes.ok_or_else(|| SourceError::NoLog(remote.base.clone()))
            }
        }
    }
}

impl Source {
    /// Where the log says that the entry with this leaf hash is. Its word only: check what is there.
    ///
    /// # Errors
    /// [`SourceError::NoIndex`] for files, which have no index, and where the log knows no such entry.
    pub fn index_of(&self, leaf: &Hash) -> Result<LeafIndex, SourceError> {
        let no_index = || SourceError::NoIndex(*leaf);
        let Self::Url(remote) = self else { return Err(no_index()) };
        let url = format!("{}/entry/by-hash/{leaf}", remote.base);
        let found = remote.runtime.block_on(get(&remote.fetcher, &url, ENTRY_ANSWER_BYTES_MAX))?;
        let document: Option<serde_json::Value> = found.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let index = document.and_then(|document| document["index"].as_u64());
        index.and_then(|index| LeafIndex::new(index).ok()).ok_or_else(no_index)
    }
}

impl Source {
    /// What the log answers to a question about records: a JSON document, `None` if there is nothing of that name, and the
    /// status where it is no 200. Its word only.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn ask(&self, path: &str) -> Result<Option<(StatusCode, serde_json::Value)>, SourceError> {
        let Self::Url(remote) = self else { return Err(SourceError::NoLists) };
        let url = format!("{}{path}", remote.base);
        let answer = remote.runtime.block_on(remote.fetcher.get(&url, LIST_ANSWER_BYTES_MAX))?;
        match answer.status {
            StatusCode::OK | StatusCode::GONE => {
                let document = serde_json::from_slice(&answer.body);
                Ok(Some((answer.status, document.map_err(|_| SourceError::Answer(url))?)))
            }
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(SourceError::Status(url, status)),
        }
    }

    /// Whether an attachment is there. Where it is gone, with the answer that says so; what it holds is not read.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn ask_gone(&self, path: &str) -> Result<Option<(StatusCode, serde_json::Value)>, SourceError> {
        let Self::Url(remote) = self else { return Err(SourceError::NoLists) };
        let url = format!("{}{path}", remote.base);
        let there = Ok(Some((StatusCode::OK, serde_json::Value::Null)));
        let answer = match remote.runtime.block_on(remote.fetcher.get(&url, ENTRY_ANSWER_BYTES_MAX)) {
            Err(FetchError::TooLarge { .. }) => return there,
            answer => answer?,
        };
        match answer.status {
            StatusCode::OK => there,
            StatusCode::GONE => {
                let document = serde_json::from_slice(&answer.body);
                Ok(Some((StatusCode::GONE, document.map_err(|_| SourceError::Answer(url))?)))
            }
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(SourceError::Status(url, status)),
        }
    }

    /// The places that the log lists under this path in the tree of that size, ascending, with the kind of each; `None` if
    /// there is no such list. Its word only: what is there has to be proved.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn list(&self, path: &str, size: TreeSize) -> Result<Option<Vec<(LeafIndex, String)>>, SourceError> {
        let mut all: Vec<(LeafIndex, String)> = Vec::new();
        let mut next = Some(format!("from=0&size={size}&limit={LIST_ITEMS}"));
        while let Some(query) = next {
            let page = format!("{path}?{query}");
            let other = || SourceError::Answer(page.clone());
            let Some((_, document)) = self.ask(&page)? else { return Ok(None) };
            let items = document["items"].as_array().ok_or_else(other)?;
            let before = all.len();
            for item in items {
                let index = item["index"].as_u64().and_then(|index| LeafIndex::new(index).ok());
                let (index, kind) = index.zip(item["kind"].as_str()).ok_or_else(other)?;
                if all.last().is_some_and(|(last, _)| *last >= index) {
                    return Err(other());
                }
                all.push((index, kind.to_owned()));
            }
            next = document["next"].as_str().map(str::to_owned);
            if next.is_some() && all.len() == before {
                return Err(other());
            }
        }
        Ok(Some(all))
    }
}

impl<S: TileSource> TileSource for &S {
    fn read(&self, paths: &[TilePath]) -> Result<Vec<Option<Bytes>>, SourceError> {
        (**self).read(paths)
    }
}

impl TileSource for Source {
    fn read(&self, paths: &[TilePath]) -> Result<Vec<Option<Bytes>>, SourceError> {
        match self {
            Self::Folder(folder) => paths.iter().map(|path| read_file(folder, *path)).collect(),
            Self::Url(remote) => remote.runtime.block_on(remote.read(paths)),
        }
    }
}

impl Remote {
    async fn read(&self, paths: &[TilePath]) -> Result<Vec<Option<Bytes>>, SourceError> {
        let mut found = vec![None; paths.len()];
        let mut running = JoinSet::new();
        for (at, path) in paths.iter().copied().enumerate() {
            if running.len() == REQUESTS_MAX {
                settle(&mut running, &mut found).await?;
            }
            let (fetcher, base) = (self.fetcher.clone(), self.base.clone());
            running.spawn(async move { Ok((at, get_object(&fetcher, &base, path).await?)) });
        }
        while !running.is_empty() {
            settle(&mut running, &mut found).await?;
        }
        Ok(found)
    }
}

type Fetching = JoinSet<Result<(usize, Option<Bytes>), SourceError>>;

async fn settle(running: &mut Fetching, found: &mut [Option<Bytes>]) -> Result<(), SourceError> {
    if let Some(done) = running.join_next().await {
        let (at, bytes) = done.expect("fetching does not panic")?;
        found[at] = bytes;
    }
    Ok(())
}

async fn get_object(fetcher: &Fetcher, base: &str, path: TilePath) -> Result<Option<Bytes>, SourceError> {
    let found = get(fetcher, &format!("{base}/{path}"), OBJECT_BYTES_MAX).await?;
    if found.is_some() || path.is_full() {
        return Ok(found);
    }
    let full = get(fetcher, &format!("{base}/{}", path.full()), OBJECT_BYTES_MAX).await?;
    Ok(full.and_then(|full| cut(path, &full)))
}

async fn get(fetcher: &Fetcher, url: &str, bytes_max: usize) -> Result<Option<Bytes>, SourceError> {
    let answer = fetcher.get(url, bytes_max).await?;
    match answer.status {
        StatusCode::OK => Ok(Some(answer.body)),
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN => Ok(None),
        status => Err(SourceError::Status(url.to_owned(), status)),
    }
}

fn read_file(folder: &Path, path: TilePath) -> Result<Option<Bytes>, SourceError> {
    let read = |path: TilePath| {
        let file = folder.join(path.to_string());
        match std::fs::read(&file) {
            Ok(bytes) => Ok(Some(Bytes::from(bytes))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(SourceError::Io(file.display().to_string(), error)),
        }
    };
    if let Some(bytes) = read(path)? {
        return Ok(Some(bytes));
    }
    if path.is_full() {
        return Ok(None);
    }
    Ok(read(path.full())?.and_then(|full| cut(path, &full)))
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// The partial object inside the full one; `None` if the full one is too short for it.
#[must_use]
pub fn cut(path: TilePath, full: &Bytes) -> Option<Bytes> {
    let width = usize::from(path.width());
    let bytes = match path {
        TilePath::Hashes(_) => width * HASH_BYTES,
        TilePath::Entries(_) => {
            let entries = bundle::split(full).ok().filter(|entries| entries.len() >= width)?;
            entries.iter().take(width).map(|entry| entry.len() + 2).sum()
        }
    };
    (full.len() >= bytes).then(|| full.slice(..bytes))
}
