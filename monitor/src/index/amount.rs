//! Amounts of money in JSON: found by their names, and brought to one unit.
//!
//! A member is money if its name says so ([`MONEY_WORDS`]) and its value is an integer, a number or a decimal string
//! (`"1250.00"`). Its unit:
//!
//! | Value | In a statement | In other JSON |
//! |---|---|---|
//! | decimal string, number with a fraction | units of the currency | units |
//! | integer named `amount` beside a `currency`, as OCDS writes it | units | units |
//! | integer named `..._minor`, `..._cents`, `..._pence` | minor units | minor units |
//! | any other integer | minor units: cents, or what `currency` beside it has | units |
//!
//! Pure. An amount is kept in thousandths of the currency's unit, so that every currency fits.

use serde_json::{Map, Number, Value};

/// Thousandths in a unit.
pub const SCALE: i64 = 1000;
/// Amounts of one entry that are kept, the largest ones.
pub const AMOUNTS_MAX: usize = 64;
/// A word in the name of a member whose value is money: `contract_amount`, `totalPrice`, `合同金额`.
pub const MONEY_WORDS: [&str; 16] = [
    "amount", "price", "cost", "budget", "total", "fee", "salary", "grant", "payment", "paid", "subsidy",
    "sum", "fine", "penalty", "金额", "مبلغ",
];
const MINOR_ENDINGS: [&str; 3] = ["minor", "cents", "pence"];
/// Currencies without minor units, and those with thousandths (ISO 4217).
const WITHOUT_MINOR: [&str; 17] = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
    "XOF", "XPF",
];
const WITH_THOUSANDTHS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Where it stands, as a JSON Pointer.
    pub path: String,
    /// In thousandths of the currency's unit.
    pub thousandths: i64,
    /// The currency beside it.
    pub currency: Option<String>,
}

/// Whether integers are in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integers {
    /// As in statements.
    Minor,
    /// As in other people's JSON.
    Units,
}

/// The amounts in a member of an object, if it is one.
#[must_use]
pub fn amount(
    object: &Map<String, Value>,
    name: &str,
    value: &Value,
    integers: Integers,
) -> Option<(i64, Option<String>)> {
    let words = words_of(name);
    let minor = words.last().is_some_and(|last| MINOR_ENDINGS.contains(&last.as_str()));
    if !minor && !words.iter().any(|word| is_money(word)) {
        return None;
    }
    let currency = object.get("currency").and_then(Value::as_str);
    let thousandths = match value {
        Value::String(text) => parse_decimal(text)?,
        Value::Number(number) => match whole(number) {
            Some(integer) => {
                let open_contracting = name == "amount" && currency.is_some();
                let in_minor = minor || (integers == Integers::Minor && !open_contracting);
                integer.checked_mul(if in_minor { SCALE / minor_units(currency) } else { SCALE })?
            }
            None => parse_decimal(&number.to_string())?,
        },
        _ => return None,
    };
    Some((thousandths, currency.map(str::to_owned)))
}

/// `totalPrice_eur` is `total price eur`.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small_before = false;
    for letter in name.chars() {
        let starts = !letter.is_alphanumeric() || (letter.is_uppercase() && small_before);
        if starts && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if letter.is_alphanumeric() {
            words.last_mut().expect("never empty").extend(letter.to_lowercase());
        }
        small_before = letter.is_lowercase() || letter.is_ascii_digit();
    }
    words
}

fn is_money(word: &str) -> bool {
    let single = word.strip_suffix('s').unwrap_or(word);
    // Scripts without spaces put the word inside a longer one.
    MONEY_WORDS.iter().any(|money| single == *money || (!money.is_ascii() && word.contains(money)))
}

fn whole(number: &Number) -> Option<i64> {
    number.as_i64()
}

/// Minor units in a unit of the currency.
#[must_use]
pub fn minor_units(currency: Option<&str>) -> i64 {
    match currency {
        Some(code) if WITHOUT_MINOR.contains(&code) => 1,
        Some(code) if WITH_THOUSANDTHS.contains(&code) => 1000,
        _ => 100,
    }
}

/// Thousandths from a decimal: `-12.5` is -12500. Digits beyond the third after the point are cut off.
#[must_use]
pub fn parse_decimal(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let value = whole.parse::<i64>().ok()?.checked_mul(SCALE)?.checked_add(thousandths.parse().ok()?)?;
    Some(if negative { -value } else { value })
}

/// An amount for people: `1,234,567.50 EUR`.
#[must_use]
pub fn shown(thousandths: i64, currency: Option<&str>) -> String {
    let places = minor_units(currency).ilog10() as usize;
    let sign = if thousandths < 0 { "-" } else { "" };
    let (units, rest) = (thousandths.unsigned_abs() / 1000, thousandths.unsigned_abs() % 1000);
    let mut text = format!("{sign}{}", grouped(units));
    let fraction = format!("{rest:03}");
    // What the currency does not have is shown all the same where it is there.
    let shown = fraction.trim_end_matches('0').len().max(if rest == 0 { 0 } else { places.min(3) });
    if shown > 0 {
        text = format!("{text}.{}", &fraction[..shown]);
    }
    currency.map_or(text.clone(), |currency| format!("{text} {currency}"))
}

/// With a comma between groups of three digits.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(json: &str, integers: Integers) -> Option<i64> {
        let Value::Object(object) = serde_json::from_str(json).unwrap() else { panic!("an object") };
        let found: Vec<i64> = object
            .iter()
            .filter_map(|(name, value)| amount(&object, name, value, integers))
            .map(|(value, _)| value)
            .collect();
        assert!(found.len() < 2, "{found:?}");
        found.first().copied()
    }

    #[test]
    fn the_same_money_is_the_same_number_however_it_is_written() {
        for json in [
            r#"{"contract_amount":125050}"#,
            r#"{"amount":"1250.50","currency":"EUR"}"#,
            r#"{"amount":1250.5,"currency":"EUR"}"#,
            r#"{"price_cents":125050}"#,
            r#"{"total_minor":1250500,"currency":"KWD"}"#,
        ] {
            assert_eq!(only(json, Integers::Minor), Some(1_250_500), "{json}");
        }
        assert_eq!(only(r#"{"amount":1250,"currency":"GBP"}"#, Integers::Minor), Some(1_250_000));
        assert_eq!(only(r#"{"cost":1250}"#, Integers::Units), Some(1_250_000));
        assert_eq!(only(r#"{"budget":1250,"currency":"JPY"}"#, Integers::Minor), Some(1_250_000));
    }

    #[test]
    fn what_is_no_money_is_none() {
        for json in [
            r#"{"name":"12"}"#,
            r#"{"amount":"many"}"#,
            r#"{"amount":null}"#,
            r#"{"summary":12}"#,
            r#"{"refined":3}"#,
            r#"{"amount":"1e9"}"#,
            r#"{"amount":9223372036854775807}"#,
            r#"{"amount":"1."}"#,
        ] {
            assert_eq!(only(json, Integers::Minor), None, "{json}");
        }
    }

    #[test]
    fn amounts_are_shown_as_people_write_them() {
        assert_eq!(shown(1_234_567_500, Some("EUR")), "1,234,567.50 EUR");
        assert_eq!(shown(1_000_000, None), "1,000");
        assert_eq!(shown(-1_005, Some("KWD")), "-1.005 KWD");
        assert_eq!(shown(5_000_000, Some("JPY")), "5,000 JPY");
    }
}
