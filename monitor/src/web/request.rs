//! What a request says about its reader: language and, for whoever edits watches, the token.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, Uri, header};

use super::texts::Lang;

/// Who reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Reader {
    /// The language of the page.
    pub(super) lang: Lang,
    /// The path with its query, to come back to.
    pub(super) here: String,
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

/// The language of `?lang=`.
pub(super) fn chosen_language(uri: &Uri) -> Option<Lang> {
    uri.query()?.split('&').find_map(|pair| Lang::parse(pair.strip_prefix("lang=")?))
}

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let accepted = || Lang::accepted(parts.headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?);
        let lang = chosen_language(&parts.uri)
            .or_else(|| Lang::parse(cookie(&parts.headers, "lang")?))
            .or_else(accepted)
            .unwrap_or_default();
        let here = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        Ok(Self { lang, here })
    }
}

/// Percent-encodes what is not plain in a path segment or a query value.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A query string of these values; those that are empty are left out.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    pairs.map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_an_address_cannot_leave_its_place() {
        assert_eq!(encode("a/b?c&d=é#"), "a%2Fb%3Fc%26d%3D%C3%A9%23");
        assert_eq!(query(&[("q", "a b"), ("x", ""), ("y", "1")]), "q=a%20b&y=1");
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "xlang=en; lang=zh; other=1".parse().unwrap());
        assert_eq!(cookie(&headers, "lang"), Some("zh"));
        assert_eq!(cookie(&headers, "none"), None);
    }
}
