//! Open contracting data (OCDS release packages) as records: the `ocid` is the key, each release a version.
//!
//! A release's `date`, in whatever offset, becomes `at`; the release itself is `public`, and nothing in it changes but
//! the order of its members and the way its numbers and characters are written: `100.00` is `100`, and the same amount. A
//! package of which more would change, because a name occurs twice or a number has more digits than a double, is not read
//! at all ([`Value::read`]). Releases are put in the order of their dates, those of one date in the order of the package.
//!
//! An `ocid` begins with a prefix that the Open Contracting Partnership gave to one publisher, `ocds-213czf-`; the
//! register declares it, and the log gives a prefix to one agency.

use super::Version;
use crate::ids::Line;
use crate::json::{Object, Value};
use crate::time::UtcTime;

/// Bytes of a prefix, with the hyphen at its end.
const PREFIX_BYTES: usize = "ocds-213czf-".len();

/// Why a package cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OcdsError {
    /// There is no array of releases.
    #[error("/releases is missing or no array: this is no release package")]
    NoReleases,
    /// A member of a release is missing or malformed.
    #[error("/releases/{0}/{1} is missing or malformed")]
    Member(usize, &'static str),
}

/// A release and the key, time and content that it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The publisher's identifier of the release, unique within its process.
    pub id: String,
    /// The prefix of its `ocid`.
    pub prefix: Line,
    /// The version.
    pub version: Version,
}

/// The releases of a package, by date.
///
/// # Errors
/// [`OcdsError`] names the release.
pub fn import(package: &Value) -> Result<Vec<Release>, OcdsError> {
    let releases = package.as_object().and_then(|package| package.get("releases"));
    let Some(Value::List(releases)) = releases else { return Err(OcdsError::NoReleases) };
    let all: Result<Vec<Release>, OcdsError> =
        releases.iter().enumerate().map(|(at, release)| self::release(at, release)).collect();
    let mut all = all?;
    all.sort_by_key(|release| release.version.at);
    Ok(all)
}

fn release(at: usize, release: &Value) -> Result<Release, OcdsError> {
    let public = release.as_object().ok_or(OcdsError::Member(at, "ocid"))?;
    let ocid = text(public, at, "ocid")?;
    let prefix = prefix_of(ocid).ok_or(OcdsError::Member(at, "ocid"))?;
    let date = UtcTime::from_rfc3339(text(public, at, "date")?);
    Ok(Release {
        id: text(public, at, "id")?.to_owned(),
        prefix: prefix.parse().map_err(|_| OcdsError::Member(at, "ocid"))?,
        version: Version {
            key: ocid.parse().map_err(|_| OcdsError::Member(at, "ocid"))?,
            at: date.ok_or(OcdsError::Member(at, "date"))?,
            public: public.clone(),
        },
    })
}

fn text<'a>(object: &'a Object, at: usize, name: &'static str) -> Result<&'a str, OcdsError> {
    object.get(name).and_then(Value::as_text).ok_or(OcdsError::Member(at, name))
}

/// `ocds-213czf-` of `ocds-213czf-000-00001`.
fn prefix_of(ocid: &str) -> Option<&str> {
    let (prefix, rest) = ocid.split_at_checked(PREFIX_BYTES)?;
    let code = prefix.strip_prefix("ocds-")?.strip_suffix('-')?;
    let good = code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    (good && !rest.is_empty()).then_some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(releases: &str) -> Value {
        Value::read(&format!("{{\"releases\":[{releases}]}}")).unwrap()
    }

    #[test]
    fn releases_are_versions_of_their_process_in_the_order_of_their_dates() {
        let package = package(
            r#"{"ocid":"ocds-213czf-1","id":"b","date":"2010-05-10T11:30:00+01:00","n":1.0},
               {"ocid":"ocds-213czf-1","id":"a","date":"2010-05-10T10:29:59.75Z"}"#,
        );
        let releases = import(&package).unwrap();
        let ids: Vec<&str> = releases.iter().map(|release| release.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
        assert_eq!(releases[1].version.at.to_string(), "2010-05-10T10:30:00Z");
        assert_eq!(releases[0].version.at.to_string(), "2010-05-10T10:29:59Z");
        assert_eq!(releases[0].prefix.as_str(), "ocds-213czf-");
        let text = Value::Object(releases[1].version.public.clone()).to_text();
        assert_eq!(text, r#"{"date":"2010-05-10T11:30:00+01:00","id":"b","n":1,"ocid":"ocds-213czf-1"}"#);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(import(&Value::Object(Object::new())), Err(OcdsError::NoReleases));
        for (release, member) in [
            (r#"{"id":"a","date":"2010-05-10T10:30:00Z"}"#, "ocid"),
            (r#"{"ocid":"213czf-1","id":"a","date":"2010-05-10T10:30:00Z"}"#, "ocid"),
            (r#"{"ocid":"ocds-213czf-","id":"a","date":"2010-05-10T10:30:00Z"}"#, "ocid"),
            (r#"{"ocid":"ocds-213czf-1","id":"a","date":"10 May 2010"}"#, "date"),
            (r#"{"ocid":"ocds-213czf-1","date":"2010-05-10T10:30:00Z"}"#, "id"),
            ("[]", "ocid"),
        ] {
            assert_eq!(import(&package(release)), Err(OcdsError::Member(0, member)), "{release}");
        }
    }
}
