//! Reads the canonical form, and only that; what stands in the way is named with its place.

use super::{DEPTH_LEVELS_MAX, INTEGER_MAX, JsonError, JsonProblem, Number, Object, Value, within, write};

/// Bytes of a string that are looked at together.
const PLAIN_BLOCK_BYTES: usize = 32;
/// Digits of [`INTEGER_MAX`].
const INTEGER_DIGITS_MAX: usize = 16;

pub(super) fn parse(text: &str) -> Result<Value, JsonError> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0 };
    let value = reader.value(0)?;
    if reader.at == text.len() { Ok(value) } else { Err(reader.unexpected()) }
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn error(&self, problem: JsonProblem) -> JsonError {
        JsonError { path: String::new(), offset: self.at, problem }
    }

    fn unexpected(&self) -> JsonError {
        let blank = matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r'));
        self.error(if blank { JsonProblem::WhiteSpace } else { JsonProblem::Syntax })
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
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(items);
        }
        loop {
            let item = self.value(depth + 1);
            items.push(item.map_err(|error| within(error, &items.len().to_string()))?);
            if self.eat(b']') {
                return Ok(items);
            }
            self.expect(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Object, JsonError> {
        self.expect(b'{')?;
        let mut members = Object::new();
        if self.eat(b'}') {
            return Ok(members);
        }
        loop {
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.unexpected());
            }
            let name = self.string()?;
            self.expect(b':').map_err(|error| within(error, &name))?;
            let member = self.value(depth + 1).map_err(|error| within(error, &name))?;
            if let Err((name, problem)) = members.push_last(name, member) {
                return Err(within(JsonError { path: String::new(), offset: start, problem }, &name));
            }
            if self.eat(b'}') {
                return Ok(members);
            }
            self.expect(b',')?;
        }
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

    /// One escape. What it stands for is written again, and must come out the same.
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
            Some(b'/') => return Err(self.error(JsonProblem::Escape)),
            Some(b'u') => {
                let hex = self.bytes.get(self.at + 2..self.at + 6);
                let code = hex.filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
                let code = code.and_then(|hex| std::str::from_utf8(hex).ok());
                let code = code.and_then(|hex| u32::from_str_radix(hex, 16).ok());
                let code = code.ok_or_else(|| self.error(JsonProblem::Syntax))?;
                // Half of a surrogate pair is no character; a pair would be written as it is.
                (char::from_u32(code).ok_or_else(|| self.error(JsonProblem::Escape))?, 6)
            }
            _ => return Err(self.error(JsonProblem::Syntax)),
        };
        let mut canonical = String::new();
        write::text(character.encode_utf8(&mut [0; 4]), &mut canonical);
        if self.bytes[start..start + length] != canonical.as_bytes()[1..canonical.len() - 1] {
            return Err(self.error(JsonProblem::Escape));
        }
        self.at += length;
        Ok(character)
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
            return if text == "-0" { Err(error(JsonProblem::Number)) } else { Ok(number) };
        }
        let value: f64 = text.parse().map_err(|_| error(JsonProblem::Syntax))?;
        let number = Number::from_f64(value).ok_or_else(|| error(JsonProblem::NumberRange))?;
        if number.to_string() == text { Ok(number) } else { Err(error(JsonProblem::Number)) }
    }
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
