//! What is indexed of an entry: taken out of its bytes, whoever wrote them.
//!
//! - A statement (two lines of text, the first `daybook/<kind>/v<number>`) gives its kind, agency, register, key,
//!   time, title and the text of every value in it; later versions and kinds that this program does not know too.
//! - Other JSON gives the text of all its strings and numbers; opaque UTF-8 is text; anything else has only metadata.
//!
//! Nothing is judged here: that was done before, and an index of what a log holds must hold what is wrong as well.
//!
//! Pure.

use jiff::Timestamp;
use serde_json::{Map, Value};
use tlog::note::Note;

use super::amount::{AMOUNTS_MAX, Amount, Integers, amount};

/// Bytes of text that are indexed of one entry; a leaf has at most 65,535.
pub const TEXT_BYTES_MAX: usize = 65_535;
/// Attachments that are indexed of one entry; a record has at most so many.
pub const ATTACHMENTS_MAX: usize = 64;

/// What sort of bytes an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// A statement of an agency.
    Statement,
    /// JSON that is no statement.
    Json,
    /// Text.
    Text,
    /// Anything else.
    Binary,
}

impl Form {
    /// Its name in the index.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Json => "json",
            Self::Text => "text",
            Self::Binary => "binary",
        }
    }
}

/// What is indexed of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// `Some` but for binary entries.
    pub form: Option<Form>,
    /// The kind of a statement.
    pub kind: Option<String>,
    /// Who signed it.
    pub agency: Option<String>,
    /// In which register.
    pub register: Option<String>,
    /// Under which key.
    pub key: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// The time that it gives itself, as it is written.
    pub at: Option<String>,
    /// That time in seconds since 1970.
    pub at_seconds: Option<i64>,
    /// The leaf hash of the entry that it follows.
    pub previous: Option<String>,
    /// What a statement about an agency does; `withdraw` of a record.
    pub action: Option<String>,
    /// The leaf hash of the entry whose values a tombstone erases.
    pub erases: Option<String>,
    /// What names its attachments, in hex: the SHA-256 of a public one, the commitment to an erasable one.
    pub attachments: Vec<String>,
    /// Amounts of money.
    pub amounts: Vec<Amount>,
    /// All text, a line for each value.
    pub text: String,
    /// Where in it what the entry says begins, after its agency, register, key and title.
    pub said_from: usize,
}

/// The second line of a statement, and its kind; `None` if the bytes are no statement.
#[must_use]
pub fn statement(bytes: &[u8]) -> Option<(String, Map<String, Value>)> {
    let note = Note::parse(bytes).ok()?;
    let (first, rest) = note.text().split_once('\n')?;
    let (kind, version) = first.strip_prefix("daybook/")?.split_once("/v")?;
    let word =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if !word(kind) || version.parse::<u32>().is_err() {
        return None;
    }
    let members: Map<String, Value> = serde_json::from_str(rest.strip_suffix('\n')?).ok()?;
    Some((kind.to_owned(), members))
}

/// The part of an entry that says something: `public` of a record, all of other JSON.
#[must_use]
pub fn content(bytes: &[u8]) -> Option<Value> {
    if let Some((_, mut members)) = statement(bytes) {
        return Some(members.remove("public").unwrap_or(Value::Object(members)));
    }
    let value: Value = serde_json::from_slice(bytes).ok()?;
    matches!(value, Value::Object(_) | Value::Array(_)).then_some(value)
}

/// Takes out of an entry what is indexed of it.
#[must_use]
pub fn extract(bytes: &[u8]) -> Document {
    if let Some((kind, members)) = statement(bytes) {
        return of_statement(kind, members);
    }
    let value = serde_json::from_slice::<Value>(bytes).ok();
    if let Some(value) = value.filter(|value| matches!(value, Value::Object(_) | Value::Array(_))) {
        let mut document = Document { form: Some(Form::Json), ..Document::default() };
        document.title = text_of(&value, "title").or_else(|| text_of(&value, "name"));
        document.walk(&value, &mut String::new(), Integers::Units);
        return document;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Document { form: Some(Form::Text), text: text.to_owned(), ..Document::default() },
        Err(_) => Document { form: Some(Form::Binary), ..Document::default() },
    }
}

fn text_of(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

fn of_statement(kind: String, members: Map<String, Value>) -> Document {
    let value = Value::Object(members);
    let at = text_of(&value, "at");
    let time: Option<Timestamp> = at.as_deref().and_then(|text| text.parse().ok());
    let mut document = Document {
        form: Some(Form::Statement),
        agency: text_of(&value, "agency").or_else(|| text_of(&value, "registrar")),
        register: text_of(&value, "register"),
        key: text_of(&value, "key").filter(|_| matches!(kind.as_str(), "record" | "tombstone")),
        title: text_of(&value, "title"),
        at_seconds: time.map(Timestamp::as_second),
        at,
        previous: text_of(&value, "previous"),
        action: text_of(&value, "action"),
        erases: value.get("entry").and_then(|entry| text_of(entry, "leaf")),
        attachments: attachments(&value),
        kind: Some(kind),
        ..Document::default()
    };
    for word in [&document.agency, &document.register, &document.key, &document.title].into_iter().flatten() {
        document.text.push_str(word);
        document.text.push('\n');
    }
    document.said_from = document.text.len();
    let Value::Object(members) = &value else { unreachable!("made above") };
    let known =
        ["agency", "registrar", "register", "key", "title", "at", "log", "previous", "sealed", "erasable"];
    for (name, member) in members.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
        let mut path = if name == "public" { String::new() } else { format!("/{name}") };
        document.walk(member, &mut path, Integers::Minor);
    }
    document
}

/// What names the attachments of a statement.
fn attachments(statement: &Value) -> Vec<String> {
    let listed = statement.get("attachments").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let name = |one: &Value| text_of(one, "sha256").or_else(|| text_of(one, "commitment"));
    listed.iter().take(ATTACHMENTS_MAX).filter_map(name).collect()
}

impl Document {
    /// What the entry says beside what is shown of it anyway; all of its text, if that is nothing.
    #[must_use]
    pub fn said(&self) -> &str {
        self.text.get(self.said_from..).filter(|said| !said.trim().is_empty()).unwrap_or(&self.text)
    }

    /// The largest amount.
    #[must_use]
    pub fn largest(&self) -> Option<&Amount> {
        self.amounts.iter().max_by_key(|amount| amount.thousandths)
    }

    /// Whether it changes what was there: a later version of a record, or a tombstone.
    #[must_use]
    pub fn changes(&self) -> bool {
        (self.kind.as_deref() == Some("record") && self.previous.is_some()) || self.erases.is_some()
    }

    /// Where there are more than are kept, the smallest one goes: a large amount cannot hide behind small ones.
    fn keep_amount(&mut self, thousandths: i64, make: impl FnOnce() -> Amount) {
        if self.amounts.len() < AMOUNTS_MAX {
            self.amounts.push(make());
            return;
        }
        let smallest = self.amounts.iter_mut().min_by_key(|amount| amount.thousandths);
        if let Some(smallest) = smallest.filter(|amount| amount.thousandths < thousandths) {
            *smallest = make();
        }
    }

    fn walk(&mut self, value: &Value, path: &mut String, integers: Integers) {
        match value {
            Value::String(text) => self.line(text),
            Value::Number(number) => self.line(&number.to_string()),
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.below(item, path, &at.to_string(), integers);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    if let Some((thousandths, currency)) = amount(members, name, member, integers) {
                        self.keep_amount(thousandths, || Amount {
                            path: pointer(path, name),
                            thousandths,
                            currency,
                        });
                    }
                    self.below(member, path, name, integers);
                }
            }
            Value::Null | Value::Bool(_) => (),
        }
    }

    fn below(&mut self, value: &Value, path: &mut String, segment: &str, integers: Integers) {
        let length = path.len();
        *path = pointer(path, segment);
        self.walk(value, path, integers);
        path.truncate(length);
    }

    fn line(&mut self, text: &str) {
        if self.text.len() + text.len() < TEXT_BYTES_MAX {
            self.text.push_str(text);
            self.text.push('\n');
        }
    }
}

/// A JSON Pointer (RFC 6901) one level further down.
#[must_use]
pub fn pointer(path: &str, segment: &str) -> String {
    format!("{path}/{}", segment.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A leaf with a signature line that nobody checks here.
    pub(crate) fn leaf(kind: &str, json: &str) -> Vec<u8> {
        format!("daybook/{kind}/v1\n{json}\n\n— a.gov.example/publisher AAAAAAAA\n").into_bytes()
    }

    #[test]
    fn a_statement_gives_its_fields_its_text_and_its_amounts() {
        let document = extract(&leaf(
            "record",
            r#"{"agency":"a.gov.example","at":"2026-11-23T09:00:00Z","key":"C-1","log":"log.example","previous":null,"public":{"contract":{"amount":"1250.50","currency":"EUR"},"note":"bridge","years":[2026,"2027"]},"register":"contracts","title":"Bridge"}"#,
        ));
        assert_eq!(document.form, Some(Form::Statement));
        let fields = [&document.kind, &document.agency, &document.register, &document.key, &document.title];
        let fields: Vec<&str> = fields.into_iter().map(|field| field.as_deref().unwrap()).collect();
        assert_eq!(fields, ["record", "a.gov.example", "contracts", "C-1", "Bridge"]);
        assert_eq!(document.at_seconds, Some(1_795_424_400));
        assert_eq!(document.amounts.len(), 1);
        assert_eq!(
            (document.amounts[0].path.as_str(), document.amounts[0].thousandths),
            ("/contract/amount", 1_250_500)
        );
        assert!(document.text.contains("bridge\n2026\n2027\n"), "{}", document.text);
        assert!(
            document.text.starts_with("a.gov.example\ncontracts\nC-1\nBridge\n1250.50"),
            "{}",
            document.text
        );
        assert!(document.said().starts_with("1250.50\nEUR\nbridge\n"), "{}", document.said());
        assert!(!document.text.contains("log.example"));
    }

    #[test]
    fn a_large_amount_behind_many_small_ones_is_the_largest() {
        let small = (0..AMOUNTS_MAX).map(|at| format!(r#"{{"cost":{at}}}"#)).collect::<Vec<_>>().join(",");
        let json = format!(r#"{{"items":[{small},{{"cost":9000000}},{{"cost":1}}]}}"#);
        let document = extract(json.as_bytes());
        assert_eq!(document.amounts.len(), AMOUNTS_MAX);
        assert_eq!(document.largest().unwrap().thousandths, 9_000_000_000);
        assert_eq!(document.largest().unwrap().path, format!("/items/{AMOUNTS_MAX}/cost"));
        let ones = document.amounts.iter().filter(|amount| amount.thousandths <= 1_000).count();
        assert_eq!(ones, 1, "only the smallest one had to go");
    }

    #[test]
    fn unknown_kinds_and_later_versions_are_indexed_too() {
        let mut bytes = leaf("decree", r#"{"agency":"a","text":"nobody parks here"}"#);
        assert!(extract(&bytes).text.contains("nobody parks here"));
        let text = String::from_utf8(bytes).unwrap().replace("/v1", "/v7");
        bytes = text.into_bytes();
        assert_eq!(extract(&bytes).kind.as_deref(), Some("decree"));
    }

    #[test]
    fn json_text_and_bytes_of_others_are_what_they_are() {
        let json = extract(br#"{"name":"Acme","items":[{"total":12,"note":"deep"}]}"#);
        assert_eq!((json.form, json.title.as_deref()), (Some(Form::Json), Some("Acme")));
        assert!(json.text.contains("deep") && json.amounts[0].thousandths == 12_000);
        assert_eq!(extract("plain words".as_bytes()).form, Some(Form::Text));
        assert_eq!(extract(&[0xff, 0xfe, 0]).form, Some(Form::Binary));
        assert_eq!(extract(b"12").form, Some(Form::Text), "a lone number is text");
        assert_eq!(extract(b"").form, Some(Form::Text));
    }

    #[test]
    fn a_tombstone_names_what_it_erases() {
        let document = extract(&leaf(
            "tombstone",
            r#"{"agency":"a","at":"2026-11-23T09:00:00Z","basis":"court order","entry":{"index":4,"leaf":"ab"},"erased":["/erasable/name"],"key":"C-1","log":"l","previous":null,"register":"r"}"#,
        ));
        assert_eq!(document.erases.as_deref(), Some("ab"));
        assert!(document.text.contains("court order") && document.text.contains("/erasable/name"));
    }
}
