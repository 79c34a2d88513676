//! Where the tiles of a log are read from: a folder, or a URL. Works with any C2SP tlog-tiles log.
//!
//! A partial object may have been superseded by the full one; it is then cut from that.
//!
//! Absent on purpose: trust. [`crate::prove`] and [`crate::fsck`] authenticate what they read.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use daemon::fetch::{FetchError, FetchOptions, Fetcher};
use http::StatusCode;
use tlog::bundle;
use tlog::hash::{HASH_BYTES, Hash};
use tlog::ids::LeafIndex;
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

/// Why something cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file system refuses.
    #[error("{0}: {1}")]
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
