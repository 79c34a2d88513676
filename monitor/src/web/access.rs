//! Who may edit watches: whoever holds the token.
//!
//! Programs send it as `Authorization: Bearer <token>`. People sign in; the cookie is derived from the token, is sent to
//! the watches' pages alone and never along with a request from another site, and every form carries a second value
//! derived from the token, so that no other page can send one.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, header};
use sha2::Sha256;

use super::request::cookie;

/// The cookie's name.
const COOKIE: &str = "desk";

fn derived(token: &str, purpose: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("any length of key is possible");
    mac.update(purpose.as_bytes());
    mac
}

fn hex(mac: Hmac<Sha256>) -> String {
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether two texts are the same, in a time that says nothing about where they differ.
fn same(token: &str, one: &str, other: &str) -> bool {
    derived(token, one).finalize().into_bytes() == derived(token, other).finalize().into_bytes()
}

/// How a request may edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// Not at all.
    None,
    /// By its cookie: its forms need the second value.
    Cookie,
    /// By the token itself.
    Bearer,
}

/// What a request may do.
pub(super) fn right(headers: &HeaderMap, token: &str) -> Right {
    let bearer =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if bearer.is_some_and(|given| is_token(token, given)) {
        return Right::Bearer;
    }
    let session = hex(derived(token, "session"));
    match cookie(headers, COOKIE) {
        Some(given) if same(token, given, &session) => Right::Cookie,
        _ => Right::None,
    }
}

/// Whether this is the token.
pub(super) fn is_token(token: &str, given: &str) -> bool {
    same(token, given.trim(), token)
}

/// The second value, for forms.
pub(super) fn form_value(token: &str) -> String {
    hex(derived(token, "form"))
}

/// Whether a request that changes something is meant by whoever has the right.
pub(super) fn is_meant(headers: &HeaderMap, token: &str, given: &str) -> bool {
    match right(headers, token) {
        Right::None => false,
        Right::Bearer => true,
        Right::Cookie => {
            let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
            site.is_none_or(|site| site == "same-origin") && same(token, given, &form_value(token))
        }
    }
}

/// The cookie for whoever has signed in, or the end of it.
pub(super) fn set_cookie(token: Option<&str>, secure: bool) -> String {
    let (value, age) =
        token.map_or_else(|| (String::new(), 0), |token| (hex(derived(token, "session")), 2_592_000));
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/watches; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_token_or_its_cookie_with_the_forms_value_is_needed() {
        let cookie = set_cookie(Some(TOKEN), true);
        assert!(cookie.contains("HttpOnly; SameSite=Strict; Secure") && !cookie.contains(TOKEN));
        let session = cookie.split(';').next().unwrap();
        let with_cookie = headers(&[("cookie", session)]);
        assert_eq!(right(&with_cookie, TOKEN), Right::Cookie);
        assert!(is_meant(&with_cookie, TOKEN, &form_value(TOKEN)));
        assert!(!is_meant(&with_cookie, TOKEN, ""), "another site's form has no such value");
        let from_elsewhere = headers(&[("cookie", session), ("sec-fetch-site", "cross-site")]);
        assert!(!is_meant(&from_elsewhere, TOKEN, &form_value(TOKEN)));
        assert!(is_meant(&headers(&[("authorization", &format!("Bearer {TOKEN}"))]), TOKEN, ""));
        for bad in [headers(&[]), headers(&[("authorization", "Bearer no")]), headers(&[("cookie", "desk=")])]
        {
            assert_eq!(right(&bad, TOKEN), Right::None);
            assert!(!is_meant(&bad, TOKEN, &form_value(TOKEN)));
        }
        assert!(!is_token(TOKEN, "") && is_token(TOKEN, &format!(" {TOKEN}\n")));
    }
}
