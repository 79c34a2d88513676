//! Where a log is read: URLs, and folders with a copy of its public files. Any C2SP tlog-tiles log.
//!
//! Everything that a server can do to a reader has a bound: connecting, the whole of an answer, its pace, its size.
//! A bundle larger than `SMALL_BYTES_MAX` is legal and rare; those are read one at a time in the whole process,
//! so that a log that serves nothing else cannot fill the memory.
//!
//! Absent on purpose: trust. What is read is authenticated in [`crate::tiles`] and [`crate::rebuild`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use daemon::fetch::{FetchError, Fetcher};
use http::StatusCode;
use tlog::bundle;
use tlog::hash::HASH_BYTES;
use tlog::note::NOTE_BYTES_MAX;
use tlog::tile::{TILE_WIDTH, Tile, TilePath};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::tiles::Tiles;

/// Requests in flight at a time, for one reader.
const REQUESTS_MAX: usize = 8;
/// Objects up to here are read side by side.
const SMALL_BYTES_MAX: usize = 1 << 20;
/// The largest bundle there can be: 256 entries of 65,535 bytes with their lengths.
const OBJECT_BYTES_MAX: usize = 256 * (65_535 + 2);

/// Why something could not be read. Whether it is there is not known then.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file system refuses.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    /// The network or the server fails, or is too slow.
    #[error(transparent)]
    Fetch(FetchError),
    /// The server answers with something else.
    #[error("{0} answers with status {1}")]
    Status(String, StatusCode),
    /// There is nothing that looks like a log.
    #[error("{0} has no checkpoint")]
    NoCheckpoint(String),
    /// More bytes than the object can have, or bytes that are not encoded as they say.
    #[error("{0}")]
    Senseless(String),
}

impl From<FetchError> for SourceError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::TooLarge { .. } | FetchError::Encoding(_) => Self::Senseless(error.to_string()),
            other => Self::Fetch(other),
        }
    }
}

impl SourceError {
    /// Whether an answer came that no log would give; otherwise nobody answered.
    #[must_use]
    pub fn is_senseless(&self) -> bool {
        matches!(self, Self::Senseless(_))
    }
}

/// One place where a log is read.
#[derive(Clone, Debug)]
pub enum Source {
    /// Files.
    Folder(PathBuf),
    /// HTTP.
    Url(Box<Remote>),
}

/// A log behind a URL.
#[derive(Clone, Debug)]
pub struct Remote {
    base: String,
    network: Network,
}

/// What sources share to reach the network.
#[derive(Clone, Debug)]
pub struct Network {
    /// The client.
    pub fetcher: Fetcher,
    /// The runtime that drives it; callers are threads of their own.
    pub runtime: Handle,
    /// The turn to read something large.
    large: Arc<Semaphore>,
}

impl Network {
    /// A client on this runtime.
    #[must_use]
    pub fn new(fetcher: Fetcher, runtime: Handle) -> Self {
        Self { fetcher, runtime, large: Arc::new(Semaphore::new(1)) }
    }

    /// Fetches; `None` where the server says that nothing is there. Blocks the calling thread.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn get(&self, url: &str, bytes_max: usize) -> Result<Option<Bytes>, SourceError> {
        self.runtime.block_on(get(&self.fetcher, url, bytes_max))
    }
}

impl Source {
    /// A URL, or a folder: a log's directory or its public files.
    #[must_use]
    pub fn open(text: &str, network: &Network) -> Self {
        if text.starts_with("http://") || text.starts_with("https://") {
            let base = text.trim_end_matches('/').to_owned();
            return Self::Url(Box::new(Remote { base, network: network.clone() }));
        }
        let text = text.strip_prefix("file://").unwrap_or(text);
        let public = Path::new(text).join("public");
        Self::Folder(if public.is_dir() { public } else { PathBuf::from(text) })
    }

    /// As it was configured.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Url(remote) => remote.base.clone(),
        }
    }

    /// The address and the network of a log that is read by URL: where more than its public files can be asked for.
    #[must_use]
    pub fn remote(&self) -> Option<(&str, &Network)> {
        match self {
            Self::Folder(_) => None,
            Self::Url(remote) => Some((&remote.base, &remote.network)),
        }
    }

    /// How many threads can read from it at the same time to advantage.
    #[must_use]
    pub fn readers(&self) -> usize {
        match self {
            Self::Folder(_) => 2,
            Self::Url(_) => 4,
        }
    }

    /// The checkpoint's bytes.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn checkpoint(&self) -> Result<Bytes, SourceError> {
        let found = match self {
            Self::Folder(folder) => read_bounded(&folder.join("checkpoint"), NOTE_BYTES_MAX)?,
            Self::Url(remote) => {
                remote.network.get(&format!("{}/checkpoint", remote.base), NOTE_BYTES_MAX)?
            }
        };
        found.ok_or_else(|| SourceError::NoCheckpoint(self.name()))
    }

    /// The objects at these paths, in order, each exactly as wide as asked for where it can be cut from a fuller
    /// one; `None` where there is none.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn read(&self, paths: &[TilePath]) -> Result<Vec<Option<Bytes>>, SourceError> {
        match self {
            Self::Folder(folder) => paths.iter().map(|path| read_file(folder, *path)).collect(),
            Self::Url(remote) => remote.network.runtime.block_on(remote.read(paths)),
        }
    }
}

impl Tiles for Source {
    fn tiles(&self, tiles: &[Tile]) -> Result<Vec<Option<Bytes>>, SourceError> {
        let paths: Vec<TilePath> = tiles.iter().map(|tile| TilePath::Hashes(*tile)).collect();
        self.read(&paths)
    }
}

impl Remote {
    async fn read(&self, paths: &[TilePath]) -> Result<Vec<Option<Bytes>>, SourceError> {
        let mut found = vec![None; paths.len()];
        let mut running = tokio::task::JoinSet::new();
        for (at, path) in paths.iter().copied().enumerate() {
            if running.len() == REQUESTS_MAX {
                settle(&mut running, &mut found).await?;
            }
            let remote = self.clone();
            running.spawn(async move { Ok((at, remote.object(path).await?)) });
        }
        while !running.is_empty() {
            settle(&mut running, &mut found).await?;
        }
        Ok(found)
    }

    async fn object(&self, path: TilePath) -> Result<Option<Bytes>, SourceError> {
        let found = self.get(path).await?;
        if found.is_some() || path.is_full() {
            return Ok(found);
        }
        // A log may drop a partial object once the full one is there (tlog-tiles, "Partial Tiles").
        Ok(self.get(path.full()).await?.and_then(|full| cut(path, &full)))
    }

    async fn get(&self, path: TilePath) -> Result<Option<Bytes>, SourceError> {
        let url = format!("{}/{path}", self.base);
        let bytes_max = bytes_max(path);
        let first = get(&self.network.fetcher, &url, bytes_max.min(SMALL_BYTES_MAX)).await;
        match first {
            Err(SourceError::Senseless(_)) if bytes_max > SMALL_BYTES_MAX => {
                let _turn = self.network.large.acquire().await;
                get(&self.network.fetcher, &url, bytes_max).await
            }
            other => other,
        }
    }
}

/// The most bytes that an object can have.
fn bytes_max(path: TilePath) -> usize {
    match path {
        TilePath::Hashes(_) => usize::from(path.width()) * HASH_BYTES,
        TilePath::Entries(_) => OBJECT_BYTES_MAX / (TILE_WIDTH as usize) * usize::from(path.width()),
    }
}

type Fetching = tokio::task::JoinSet<Result<(usize, Option<Bytes>), SourceError>>;

async fn settle(running: &mut Fetching, found: &mut [Option<Bytes>]) -> Result<(), SourceError> {
    if let Some(done) = running.join_next().await {
        let (at, bytes) = done.expect("fetching does not panic")?;
        found[at] = bytes;
    }
    Ok(())
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
    if let Some(bytes) = read_bounded(&folder.join(path.to_string()), bytes_max(path))? {
        return Ok(Some(bytes));
    }
    if path.is_full() {
        return Ok(None);
    }
    let full = path.full();
    Ok(read_bounded(&folder.join(full.to_string()), bytes_max(full))?.and_then(|full| cut(path, &full)))
}

fn read_bounded(file: &Path, bytes_max: usize) -> Result<Option<Bytes>, SourceError> {
    use std::io::{ErrorKind, Read};
    let failed = |error| SourceError::Io(file.display().to_string(), error);
    let opened = match std::fs::File::open(file) {
        Ok(opened) => opened,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let length = opened.metadata().map_err(failed)?.len();
    let too_large =
        || SourceError::Senseless(format!("{}: the file has more than {bytes_max} bytes", file.display()));
    if length > bytes_max as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    opened.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > bytes_max { Err(too_large()) } else { Ok(Some(bytes.into())) }
}

/// The partial object inside the full one; `None` if the full one is too short for it.
fn cut(path: TilePath, full: &Bytes) -> Option<Bytes> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_bundle_is_cut_from_the_full_one_and_never_made_up() {
        let mut full = Vec::new();
        for entry in 0..256_u16 {
            bundle::push_entry(&mut full, &entry.to_be_bytes()).unwrap();
        }
        let full = Bytes::from(full);
        let path: TilePath = "tile/entries/000.p/3".parse().unwrap();
        assert_eq!(cut(path, &full).unwrap().len(), 3 * 4);
        assert_eq!(cut(path, &full.slice(..8)), None);
        assert_eq!(cut("tile/0/000.p/3".parse().unwrap(), &full.slice(..95)), None);
    }

    #[test]
    fn a_folder_is_read_up_to_what_the_object_can_have() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("tile/0")).unwrap();
        std::fs::write(folder.path().join("tile/0/000"), vec![0; 8193]).unwrap();
        let path: TilePath = "tile/0/000".parse().unwrap();
        assert!(read_file(folder.path(), path).unwrap_err().is_senseless());
        assert!(read_file(folder.path(), "tile/0/001".parse().unwrap()).unwrap().is_none());
        std::fs::write(folder.path().join("tile/0/000"), vec![0; 8192]).unwrap();
        let partial = read_file(folder.path(), "tile/0/000.p/2".parse().unwrap()).unwrap();
        assert_eq!(partial.unwrap().len(), 64);
    }
}
