//! JSON as people and programs write it, for what is going to be signed: it must say one thing. A name that stands twice and
//! a number of which digits would be lost are refused, with their place and what to write instead.

use record::json::{JsonProblem, Value};

/// Why a text is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}{place}: {problem}")]
pub struct UnclearError {
    /// Where the text is from, for people: `gb.json`, or `all.ndjson line 3`.
    pub name: String,
    /// Where in it: `, line 2, column 5, at /population`.
    pub place: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// Reads a text that is from there.
///
/// # Errors
/// [`UnclearError`].
pub fn read(name: &str, text: &str) -> Result<Value, UnclearError> {
    Value::read(text).map_err(|error| {
        let at = if error.path.is_empty() { String::new() } else { format!(", at {}", error.path) };
        let place = format!("{}{at}", place(text, error.offset));
        UnclearError { name: name.to_owned(), place, problem: in_words(error.problem) }
    })
}

/// What is wrong, and what to do.
#[must_use]
pub fn in_words(problem: JsonProblem) -> String {
    match problem {
        JsonProblem::Syntax => "is no JSON".to_owned(),
        JsonProblem::Duplicate => "a member name that occurs twice: leave one of the two out".to_owned(),
        JsonProblem::NumberDigits => "a number with more digits than every reader keeps: round it yourself, or write it \
                                      in quotes (a field of type decimal), so that what is signed is what you wrote"
            .to_owned(),
        other => other.to_string(),
    }
}

/// The line, if there are several, and the column, in characters.
fn place(text: &str, offset: usize) -> String {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    match text.trim_end().contains('\n') {
        true => format!(", line {line}, column {column}"),
        false => format!(", column {column}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_named_with_its_place_and_what_to_write_instead() {
        for (text, expected) in [
            ("{\"a\":1,\"a\":2}", "x.json, column 8, at /a: a member name that occurs twice"),
            (
                "{\n \"\u{e9}\": 0.1234567890123456789\n}\n",
                "x.json, line 2, column 7, at /\u{e9}: a number with more digits",
            ),
            (
                "{\"a\":12345678901234567890}",
                "x.json, column 6, at /a: a number that not every reader can hold; write",
            ),
            ("{\"a\":1", "x.json, column 7: is no JSON"),
            ("", "x.json, column 1: is no JSON"),
            ("\"\u{e9}", "x.json, column 3: is no JSON"),
        ] {
            let error = read("x.json", text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert_eq!(
            read("x.json", " {\"b\":1.0, \"a\":31.245270191439438} ").unwrap().to_text(),
            "{\"a\":31.245270191439438,\"b\":1}"
        );
    }
}
