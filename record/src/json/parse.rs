//! Reads the canonical form and only that, or any form that says one thing; what stands in the way is named with its place.
//!
//! Both are one grammar. Which of them it is, the compiler knows: the canonical reader, on the path of every statement, pays
//! nothing for the other.

use super::{DEPTH_LEVELS_MAX, INTEGER_MAX, JsonError, JsonProblem, Number, Object, Value};
use super::{compare_names, within, write};

/// Bytes of a string that are looked at together.
const PLAIN_BLOCK_BYTES: usize = 32;
/// Digits of [`INTEGER_MAX`].
const INTEGER_DIGITS_MAX: usize = 16;

/// Text in the canonical form.
pub(super) fn parse(text: &str) -> Result<Value, JsonError> {
    document::<true>(text)
}

/// Text in any form that no two readers understand differently.
pub(super) fn read(text: &str) -> Result<Value, JsonError> {
    document::<false>(text)
}

fn document<const CANONICAL: bool>(text: &str) -> Result<Value, JsonError> {
    let mut reader = Reader::<CANONICAL> { text, bytes: text.as_bytes(), at: 0 };
    reader.blanks();
    let value = reader.value(0)?;
    reader.blanks();
    if reader.at == text.len() { Ok(value) } else { Err(reader.unexpected()) }
}

struct Reader<'a, const CANONICAL: bool> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<const CANONICAL: bool> Reader<'_, CANONICAL> {
    fn error(&self, problem: JsonProblem) -> JsonError {
        JsonError { path: String::new(), offset: self.at, problem }
    }

    fn unexpected(&self) -> JsonError {
        self.error(if self.is_blank() { JsonProblem::WhiteSpace } else { JsonProblem::Syntax })
    }

    fn is_blank(&self) -> bool {
        matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r'))
    }

    /// Skips white space, which the canonical form has none of.
    fn blanks(&mut self) {
        while !CANONICAL && self.is_blank() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.eat(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        if depth > DEPTH_LEVELS_MAX {
            return Err(self.error(JsonProblem::Depth));
        }
        match self.peek() {
            Some(b'{') => self.object(depth).map(Value::Object),
            Some(b'[') => self.list(depth).map(Value::List),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            _ => {
                for (word, value) in
                    [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))]
                {
                    if self.bytes[self.at..].starts_with(word.as_bytes()) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.unexpected())
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>, JsonError> {
        self.expect(b'[')?;
        self.blanks();
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(items);
        }
        loop {
            let item = self.value(depth + 1);
            items.push(item.map_err(|error| within(error, &items.len().to_string()))?);
            self.blanks();
            if self.eat(b']') {
                return Ok(items);
            }
            self.expect(b',')?;
            self.blanks();
        }
    }

    fn object(&mut self, depth: usize) -> Result<Object, JsonError> {
        self.expect(b'{')?;
        self.blanks();
        let (mut sorted, mut unsorted) = (Object::new(), Vec::new());
        if self.eat(b'}') {
            return Ok(sorted);
        }
        loop {
            let start = self.at;
            let (name, member) = self.member(depth)?;
            if !CANONICAL {
                unsorted.push((name, member, start));
            } else if let Err((name, problem)) = sorted.push_last(name, member) {
                return Err(within(JsonError { path: String::new(), offset: start, problem }, &name));
            }
            self.blanks();
            if self.eat(b'}') {
                return if CANONICAL { Ok(sorted) } else { sort(unsorted) };
            }
            self.expect(b',')?;
            self.blanks();
        }
    }

    fn member(&mut self, depth: usize) -> Result<(String, Value), JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        let name = self.string()?;
        self.blanks();
        self.expect(b':').map_err(|error| within(error, &name))?;
        self.blanks();
        let member = self.value(depth + 1).map_err(|error| within(error, &name))?;
        Ok((name, member))
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.expect(b'"')?;
        let mut out = String::new();
        loop {
            let rest = &self.bytes[self.at..];
            let Some(plain) = plain_bytes(rest) else {
                self.at = self.bytes.len();
                return Err(self.error(JsonProblem::Syntax));
            };
            out.push_str(&self.text[self.at..self.at + plain]);
            self.at += plain;
            match self.bytes[self.at] {
                b'"' => {
                    self.at += 1;
                    return Ok(out);
                }
                b'\\' => out.push(self.escape()?),
                _ => return Err(self.error(JsonProblem::Syntax)),
            }
        }
    }

    /// One escape. In the canonical form what it stands for is written again, and must come out the same.
    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        let escaped = self.bytes.get(self.at + 1).copied();
        let (character, length) = match escaped {
            Some(b'"') => ('"', 2),
            Some(b'\\') => ('\\', 2),
            Some(b'b') => ('\u{8}', 2),
            Some(b't') => ('\t', 2),
            Some(b'n') => ('\n', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'r') => ('\r', 2),
            Some(b'/') if CANONICAL => return Err(self.error(JsonProblem::Escape)),
            Some(b'/') => ('/', 2),
            Some(b'u') => self.code_point()?,
            _ => return Err(self.error(JsonProblem::Syntax)),
        };
        let mut canonical = String::new();
        write::text(character.encode_utf8(&mut [0; 4]), &mut canonical);
        if CANONICAL && self.bytes[start..start + length] != canonical.as_bytes()[1..canonical.len() - 1] {
            return Err(self.error(JsonProblem::Escape));
        }
        self.at += length;
        Ok(character)
    }

    /// What `\u` and four hex digits stand for, or two such escapes, and how many bytes they are. Half of a surrogate pair is
    /// no character; in the canonical form a pair is written as it is.
    fn code_point(&self) -> Result<(char, usize), JsonError> {
        let code = self.code_unit(self.at).ok_or_else(|| self.error(JsonProblem::Syntax))?;
        if let Some(character) = char::from_u32(code) {
            return Ok((character, 6));
        }
        if CANONICAL {
            return Err(self.error(JsonProblem::Escape));
        }
        let low = self.code_unit(self.at + 6).filter(|low| (0xdc00..0xe000).contains(low));
        let pair =
            low.filter(|_| code < 0xdc00).map(|low| 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00));
        let character = pair.and_then(char::from_u32);
        character.map(|character| (character, 12)).ok_or_else(|| self.error(JsonProblem::Surrogate))
    }

    fn code_unit(&self, at: usize) -> Option<u32> {
        let hex = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        let hex =
            std::str::from_utf8(hex).ok().filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        u32::from_str_radix(hex?, 16).ok()
    }

    fn number(&mut self) -> Result<Number, JsonError> {
        let start = self.at;
        let is_part = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
        let length = self.bytes[start..].iter().take_while(|byte| is_part(byte)).count();
        let text = &self.text[start..start + length];
        if !is_json_number(text) {
            return Err(self.error(JsonProblem::Syntax));
        }
        self.at += length;
        let error = |problem| JsonError { path: String::new(), offset: start, problem };
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.len() <= INTEGER_DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let integer: i64 = text.parse().expect("sixteen digits fit");
            let number = Number::from_i64(integer).ok_or_else(|| error(JsonProblem::NumberRange))?;
            return if CANONICAL && text == "-0" { Err(error(JsonProblem::Number)) } else { Ok(number) };
        }
        let value: f64 = text.parse().map_err(|_| error(JsonProblem::Syntax))?;
        let number = Number::from_f64(value).ok_or_else(|| error(JsonProblem::NumberRange))?;
        let canonical = number.to_string();
        match (canonical == text, CANONICAL) {
            (true, _) => Ok(number),
            (false, true) => Err(error(JsonProblem::Number)),
            (false, false) if decimal(&canonical) == decimal(text) => Ok(number),
            (false, false) => Err(error(JsonProblem::NumberDigits)),
        }
    }
}

/// Members in the order of the canonical form. Each is given with where it stood.
fn sort(mut members: Vec<(String, Value, usize)>) -> Result<Object, JsonError> {
    members.sort_by(|(a, ..), (b, ..)| compare_names(a, b));
    if let Some(pair) = members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let (name, _, offset) = &pair[1];
        let error = JsonError { path: String::new(), offset: *offset, problem: JsonProblem::Duplicate };
        return Err(within(error, name));
    }
    Ok(Object(members.into_iter().map(|(name, value, _)| (name, value)).collect()))
}

/// What a number is, however it is written: its sign, its digits without zeroes at either end, and the power of ten of the
/// last digit. None for powers that no double has.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{integer}{fraction}");
    let kept = digits.trim_end_matches('0');
    let significant = kept.trim_start_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    let behind = i64::try_from(fraction.len()).ok()?;
    let zeroes = i64::try_from(digits.len() - kept.len()).ok()?;
    let power = exponent.parse::<i64>().ok()?.checked_sub(behind)?.checked_add(zeroes)?;
    Some((negative, significant.to_owned(), power))
}

/// How many bytes stand before the first that cannot stand in a string as it is; none if there is no such byte.
fn plain_bytes(bytes: &[u8]) -> Option<usize> {
    let is_special = |byte: u8| (byte == b'"') | (byte == b'\\') | (byte < 0x20);
    // Block by block without a branch for each byte: long texts are most of what is parsed.
    let is_plain =
        |block: &&[u8; PLAIN_BLOCK_BYTES]| !block.iter().fold(false, |found, byte| found | is_special(*byte));
    let blocks = bytes.as_chunks::<PLAIN_BLOCK_BYTES>().0;
    let start = blocks.iter().take_while(is_plain).count() * PLAIN_BLOCK_BYTES;
    bytes[start..].iter().position(|byte| is_special(*byte)).map(|at| start + at)
}

/// The grammar of RFC 8259, section 6.
fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (integer, fraction) = match mantissa.split_once('.') {
        Some((integer, fraction)) => (integer, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    digits(integer)
        && (integer == "0" || !integer.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

const _: () = assert!(INTEGER_MAX < 10_i64.pow(INTEGER_DIGITS_MAX as u32));
