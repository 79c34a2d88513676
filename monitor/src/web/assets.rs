//! Style sheet, script and icon: files of our own, under names that change with their content.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use tlog::hash::sha256;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const ICON: &str = include_str!("icon.svg");

struct Asset {
    path: String,
    kind: &'static str,
    content: &'static str,
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    let named = |ending: &str, kind, content: &'static str| {
        let hash = sha256(content.as_bytes()).to_string();
        Asset { path: format!("/assets/{}.{ending}", &hash[..16]), kind, content }
    };
    [
        named("css", "text/css; charset=utf-8", STYLE),
        named("js", "text/javascript; charset=utf-8", SCRIPT),
        named("svg", "image/svg+xml", ICON),
    ]
});

pub(super) fn style_path() -> &'static str {
    &ASSETS[0].path
}

pub(super) fn script_path() -> &'static str {
    &ASSETS[1].path
}

pub(super) fn icon_path() -> &'static str {
    &ASSETS[2].path
}

/// `GET /assets/<hash>.<ending>`
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.path.strip_prefix("/assets/") == Some(&name)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = asset.content.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    let for_ever = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, for_ever);
    response
}
