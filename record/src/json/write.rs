//! Writes the canonical form (RFC 8785, section 3.2).

use std::fmt::Write;

use super::{Object, Value};

pub(super) fn value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(value) => number(value.as_f64(), out),
        Value::Text(value) => text(value, out),
        Value::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                self::value(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => object(members, out),
    }
}

fn object(members: &Object, out: &mut String) {
    out.push('{');
    for (at, (name, member)) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        text(name, out);
        out.push(':');
        value(member, out);
    }
    out.push('}');
}

/// Section 3.2.2.2: two-character escapes where there are, `\u00xx` for other controls, all else as it is.
pub(super) fn text(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' => '"',
            b'\\' => '\\',
            0x08 => 'b',
            b'\t' => 't',
            b'\n' => 'n',
            0x0c => 'f',
            b'\r' => 'r',
            0..=0x1f => '\0',
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        plain = at + 1;
        if short == '\0' {
            write!(out, "\\u{byte:04x}").expect("a string takes everything");
        } else {
            out.push('\\');
            out.push(short);
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Section 3.2.2.3, ECMAScript's `Number::toString` for radix 10.
///
/// The digits are the fewest that identify the value, of those the closest to it, and of two equally close the even
/// one. Here the point and the exponent are placed.
pub(super) fn number(value: f64, out: &mut String) {
    let scientific = shortest(value.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("this format has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is an integer");
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let count = i32::try_from(digits.len()).expect("at most 17 digits");
    // The value is 0.d1d2d3... x 10^point.
    let point = exponent + 1;
    if value < 0.0 {
        out.push('-');
    }
    let zeroes = |many: i32| "0".repeat(usize::try_from(many).expect("not negative"));
    if (count..=21).contains(&point) {
        out.push_str(&digits);
        out.push_str(&zeroes(point - count));
    } else if (1..=21).contains(&point) {
        let at = usize::try_from(point).expect("positive");
        out.push_str(&digits[..at]);
        out.push('.');
        out.push_str(&digits[at..]);
    } else if (-5..=0).contains(&point) {
        out.push_str("0.");
        out.push_str(&zeroes(-point));
        out.push_str(&digits);
    } else {
        out.push_str(&digits[..1]);
        if count > 1 {
            out.push('.');
            out.push_str(&digits[1..]);
        }
        write!(out, "e{exponent:+}").expect("a string takes everything");
    }
}

/// `d.ddde<exponent>`. The standard library finds the fewest digits, but of two equally close it takes the larger; its
/// rounding to a given number of digits takes the even one, unless that is another double.
fn shortest(value: f64) -> String {
    let fewest = format!("{value:e}");
    let digits = fewest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    let even = format!("{value:.*e}", digits - 1);
    if even.parse() == Ok(value) { even } else { fewest }
}
