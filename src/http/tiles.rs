//! `GET /checkpoint` and `GET /tile/...` (C2SP tlog-tiles).

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use tlog::tile::TilePath;

use super::answer::{Answer, BYTES, Caching, TEXT, answer, takes_gzip};
use super::{App, Outcome, error};
use crate::reader::Encoding;

impl App {
    pub(super) fn checkpoint(&self) -> Answer {
        answer(TEXT, Caching::Second, self.log.published().note.clone())
    }

    /// Straight from memory if it is there; otherwise from the disk.
    pub(super) async fn tile(self: Arc<Self>, path: TilePath, headers: &HeaderMap) -> Outcome {
        let wanted = match path {
            TilePath::Entries(_) if takes_gzip(headers) => Encoding::Gzip,
            _ => Encoding::Identity,
        };
        if let Some((bytes, encoding)) = self.reader.cached(path, wanted) {
            return Ok(object(path, bytes, encoding));
        }
        self.on_disk(move |app| match app.reader.get(path, wanted) {
            Ok(Some((bytes, encoding))) => Ok(object(path, bytes, encoding)),
            Ok(None) => Err(error::not_there(missing(path))),
            Err(failure) => {
                tracing::error!(%path, error = %failure, "a tile cannot be read");
                Err(error::internal())
            }
        })
        .await
    }
}

fn object(path: TilePath, bytes: bytes::Bytes, encoding: Encoding) -> Answer {
    let mut answer = answer(BYTES, Caching::Forever, bytes);
    if matches!(path, TilePath::Entries(_)) {
        answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    if encoding == Encoding::Gzip {
        answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

fn missing(path: TilePath) -> String {
    if path.is_full() {
        return format!("The log has no {path}. Fetch /checkpoint to see how far it reaches.");
    }
    format!("The log has no {path}, or no longer: ask for {}.", path.full())
}
