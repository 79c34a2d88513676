use proptest::prelude::*;

use super::*;

fn problem(text: &str) -> (JsonProblem, String) {
    let error = Value::parse(text).expect_err(text);
    (error.problem, error.path)
}

#[test]
fn numbers_are_written_as_the_appendix_of_rfc_8785_lists_them() {
    // RFC 8785, appendix B: bits of a double, and its text. Those beyond 2^53-1 are written and not accepted.
    let vectors: [(u64, &str); 25] = [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        (0x3ff8_0000_0000_0000, "1.5"),
    ];
    for (bits, expected) in vectors {
        let value = f64::from_bits(bits);
        let mut text = String::new();
        write::number(value, &mut text);
        // The sign of zero is not part of the value.
        assert_eq!(text.trim_start_matches(if value == 0.0 { "-" } else { "" }), expected);
        let accepted = Value::parse(expected).is_ok();
        assert_eq!(accepted, value.fract() != 0.0 || value.abs() < 9_007_199_254_740_992.0, "{expected}");
    }
}

#[test]
fn the_example_of_rfc_8785_sorts_by_utf_16_and_escapes_as_little_as_possible() {
    let object: Object = [
        ("\u{20ac}", "Euro Sign"),
        ("\r", "Carriage Return"),
        ("\u{fb33}", "Hebrew Letter Dalet With Dagesh"),
        ("1", "One"),
        ("\u{1f600}", "Emoji: Grinning Face"),
        ("\u{80}", "Control"),
        ("\u{f6}", "Latin Small Letter O With Diaeresis"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), Value::from(value)))
    .collect();
    let names: Vec<&str> = object.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["\r", "1", "\u{80}", "\u{f6}", "\u{20ac}", "\u{1f600}", "\u{fb33}"]);
    let text = Value::from("\u{20ac}$\u{f}\nA'B\"\\\\\"/").to_text();
    assert_eq!(text, "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"");
}

#[test]
fn what_the_canonical_form_writes_differently_is_refused_with_its_place() {
    let at = |problem, path: &str| (problem, path.to_owned());
    for (text, expected) in [
        ("{\"a\": 1}", at(JsonProblem::WhiteSpace, "/a")),
        ("{\"a\":1 }", at(JsonProblem::WhiteSpace, "")),
        (" 1", at(JsonProblem::WhiteSpace, "")),
        ("1\n", at(JsonProblem::WhiteSpace, "")),
        ("{\"b\":1,\"a\":2}", at(JsonProblem::Order, "/a")),
        ("{\"a\":1,\"a\":2}", at(JsonProblem::Duplicate, "/a")),
        ("{\"x\":{\"a\":1,\"b\":1,\"a\":2}}", at(JsonProblem::Duplicate, "/x/a")),
        ("{\"\u{fb33}\":1,\"\u{1f600}\":2}", at(JsonProblem::Order, "/\u{1f600}")),
        ("[0,1.0]", at(JsonProblem::Number, "/1")),
        ("1e3", at(JsonProblem::Number, "")),
        ("1E-7", at(JsonProblem::Number, "")),
        ("1e-07", at(JsonProblem::Number, "")),
        ("0.10", at(JsonProblem::Number, "")),
        ("-0", at(JsonProblem::Number, "")),
        ("-0.0", at(JsonProblem::Number, "")),
        ("0.1000000000000000055511151231257827", at(JsonProblem::Number, "")),
        ("9007199254740992", at(JsonProblem::NumberRange, "")),
        ("-9007199254740993", at(JsonProblem::NumberRange, "")),
        ("1e+21", at(JsonProblem::NumberRange, "")),
        ("1e400", at(JsonProblem::NumberRange, "")),
        ("{\"a/b\":[{\"~\":01}]}", at(JsonProblem::Syntax, "/a~1b/0/~0")),
        ("\"\\/\"", at(JsonProblem::Escape, "")),
        ("\"\\u000a\"", at(JsonProblem::Escape, "")),
        ("\"\\u000F\"", at(JsonProblem::Escape, "")),
        ("\"\\u0041\"", at(JsonProblem::Escape, "")),
        ("\"\\ud83d\\ude00\"", at(JsonProblem::Escape, "")),
        ("\"\\ud83d\"", at(JsonProblem::Escape, "")),
        ("\"\t\"", at(JsonProblem::Syntax, "")),
        ("\"a", at(JsonProblem::Syntax, "")),
        ("\"\\u00", at(JsonProblem::Syntax, "")),
        ("\"\\", at(JsonProblem::Syntax, "")),
        ("{\"a\":1,}", at(JsonProblem::Syntax, "")),
        ("[1,]", at(JsonProblem::Syntax, "/1")),
        ("nul", at(JsonProblem::Syntax, "")),
        ("NaN", at(JsonProblem::Syntax, "")),
        ("1.", at(JsonProblem::Syntax, "")),
        ("--1", at(JsonProblem::Syntax, "")),
        ("", at(JsonProblem::Syntax, "")),
    ] {
        assert_eq!(problem(text), expected, "{text}");
    }
    assert_eq!(Value::parse("9007199254740991").unwrap().to_text(), "9007199254740991");
    assert_eq!(Value::parse("1e-7").unwrap().to_text(), "1e-7");
}

#[test]
fn whatever_says_one_thing_is_read_however_it_is_written() {
    let read = |text: &str| Value::read(text).map(|value| value.to_text());
    for (text, canonical) in [
        (" { \"b\" : [ 1 ,\t2 ] ,\r\n \"a\" : { } }\n", "{\"a\":{},\"b\":[1,2]}"),
        ("[ ]", "[]"),
        ("{\"\u{fb33}\":1,\"\u{1f600}\":2}", "{\"\u{1f600}\":2,\"\u{fb33}\":1}"),
        ("\"\\/\\u0041\\u000A\\u00e9\"", "\"/A\\n\u{e9}\""),
        (
            "\"\\ud83d\\ude00\\uD83D\\uDE00\\ud800\\udc00\\udbff\\udfff\"",
            "\"\u{1f600}\u{1f600}\u{10000}\u{10ffff}\"",
        ),
        ("1.0", "1"),
        ("100.00", "100"),
        ("0.10", "0.1"),
        ("1e3", "1000"),
        ("1E-07", "1e-7"),
        ("0.00000010", "1e-7"),
        ("12.50e+1", "125"),
        ("-0", "0"),
        ("-0.0e99999999999999999999", "0"),
        ("31.245270191439438", "31.245270191439438"),
        ("9007199254740991.0", "9007199254740991"),
        ("5e-324", "5e-324"),
    ] {
        assert_eq!(read(text).as_deref(), Ok(canonical), "{text}");
    }
}

#[test]
fn what_two_readers_could_understand_differently_is_not_read() {
    for (text, problem, path, offset) in [
        ("{\"a\":1, \"a\":1}", JsonProblem::Duplicate, "/a", 8),
        ("{\"b\":1,\"a\":2,\"b\":3}", JsonProblem::Duplicate, "/b", 13),
        ("[{\"x\":{\"a\":1,\"b\":1,\"\\u0061\":2}}]", JsonProblem::Duplicate, "/0/x/a", 19),
        ("{\"a\": 0.1000000000000000055511151231257827}", JsonProblem::NumberDigits, "/a", 6),
        ("31.2452701914394381", JsonProblem::NumberDigits, "", 0),
        ("1e-400", JsonProblem::NumberDigits, "", 0),
        ("1e-99999999999999999999", JsonProblem::NumberDigits, "", 0),
        ("9007199254740992", JsonProblem::NumberRange, "", 0),
        ("9007199254740993.0", JsonProblem::NumberRange, "", 0),
        ("1e400", JsonProblem::NumberRange, "", 0),
        ("\"\\ud83d\"", JsonProblem::Surrogate, "", 1),
        ("\"\\ud83d\\ud83d\"", JsonProblem::Surrogate, "", 1),
        ("\"\\ude00\\ud83d\"", JsonProblem::Surrogate, "", 1),
        ("\"\\ud83dx\"", JsonProblem::Surrogate, "", 1),
        ("\"\\u00e\"", JsonProblem::Syntax, "", 1),
        ("\"\\u+041\"", JsonProblem::Syntax, "", 1),
        ("[01]", JsonProblem::Syntax, "/0", 1),
        ("[1 2]", JsonProblem::Syntax, "", 3),
        ("{\"a\" 1}", JsonProblem::Syntax, "/a", 5),
        ("{\"a\":1,}", JsonProblem::Syntax, "", 7),
        ("[1,]", JsonProblem::Syntax, "/1", 3),
        ("1 1", JsonProblem::Syntax, "", 2),
        ("\u{feff}1", JsonProblem::Syntax, "", 0),
        ("\u{a0}1", JsonProblem::Syntax, "", 0),
        ("", JsonProblem::Syntax, "", 0),
    ] {
        let path = path.to_owned();
        assert_eq!(Value::read(text), Err(JsonError { path, offset, problem }), "{text}");
    }
    let nested = |levels: usize| "[ ".repeat(levels) + &"]".repeat(levels);
    assert!(Value::read(&nested(DEPTH_LEVELS_MAX + 1)).is_ok());
    assert_eq!(Value::read(&nested(DEPTH_LEVELS_MAX + 2)).unwrap_err().problem, JsonProblem::Depth);
    assert!(Value::read(&"{\"a\":".repeat(60_000)).is_err());
}

#[test]
fn the_other_json_reader_of_this_build_keeps_every_digit() {
    // Documents of a log are read with it, and what they show is compared with what is signed.
    for text in ["31.245270191439438", "2.2250738585072014e-308", "9007199254740991", "0.30000000000000004"] {
        let read: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(Value::from_serde(&read).unwrap().to_text(), text);
    }
}

#[test]
fn depth_is_bounded_on_both_ways_in() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(Value::parse(&nested(DEPTH_LEVELS_MAX + 1)).is_ok());
    assert_eq!(problem(&nested(DEPTH_LEVELS_MAX + 2)).0, JsonProblem::Depth);
    assert!(Value::parse(&"[".repeat(60_000)).is_err());
    for (levels, accepted) in [(DEPTH_LEVELS_MAX + 1, true), (DEPTH_LEVELS_MAX + 2, false)] {
        let value: serde_json::Value = serde_json::from_str(&nested(levels)).unwrap();
        assert_eq!(Value::from_serde(&value).is_ok(), accepted);
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_filter_map("safe", |value| Number::from_f64(value).map(Value::Number)),
        (-INTEGER_MAX..=INTEGER_MAX)
            .prop_filter_map("safe", |value| Number::from_i64(value).map(Value::Number)),
        any::<String>().prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_parses_back_and_an_independent_writer_agrees(value in values()) {
        let text = value.to_text();
        prop_assert_eq!(Value::parse(&text), Ok(value.clone()));
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&serde_json_canonicalizer::to_string(&read).unwrap(), &text);
        prop_assert_eq!(Value::from_serde(&read), Ok(value.clone()));
        let rendered = serde_json::to_value(&value).unwrap();
        prop_assert_eq!(Value::from_serde(&rendered), Ok(value));
    }

    #[test]
    fn numbers_between_two_equally_close_decimals_are_written_even(
        integer in (1_i64 << 49)..(1 << 53), eighths in 0_u8..8, bits in any::<u64>(),
    ) {
        for value in [integer as f64 + f64::from(eighths) / 8.0, f64::from_bits(bits)] {
            if value.is_finite() {
                let mut text = String::new();
                write::number(value, &mut text);
                let oracle = serde_json::Number::from_f64(value).unwrap();
                prop_assert_eq!(serde_json_canonicalizer::to_string(&oracle).unwrap(), text);
            }
        }
    }

    #[test]
    fn any_writer_is_read_and_understood(value in values()) {
        prop_assert_eq!(&Value::read(&value.to_text()), &Ok(value.clone()));
        prop_assert_eq!(Value::read(&serde_json::to_string_pretty(&value).unwrap()), Ok(value));
    }

    #[test]
    fn a_decimal_is_read_only_with_all_of_its_digits(
        mantissa in 1_u64..=u64::MAX, places in 0_usize..20, power in -30_i32..30, zeroes in 0_usize..3,
    ) {
        let mantissa = mantissa / 10_u64.pow(u32::try_from(places).unwrap());
        let written = mantissa.max(1).to_string();
        let (integer, fraction) = written.split_at(1);
        let text = format!("-{integer}.{fraction}{}e{power}", "0".repeat(zeroes + 1));
        let digits = |text: &str| {
            let mantissa = text.split(['e', 'E']).next().unwrap_or_default().replace(['-', '.'], "");
            mantissa.trim_matches('0').to_owned()
        };
        let safe = Number::from_f64(text.parse().unwrap()).is_some();
        match Value::read(&text) {
            Ok(value) => prop_assert_eq!(digits(&value.to_text()), digits(&text), "{}", text),
            // A double has room for fifteen digits, whatever they are.
            Err(_) => prop_assert!(!safe || digits(&text).len() > 15, "{}", text),
        }
    }

    #[test]
    fn text_that_parses_is_the_text_that_is_written(text in "[\\[\\]{}\",:0-9eE.+\\-tfn\\\\ a]{0,24}") {
        if let Ok(value) = Value::parse(&text) {
            prop_assert_eq!(value.to_text(), text);
        }
    }
}

#[test]
fn a_byte_that_cannot_stand_in_a_string_is_found_at_every_distance() {
    for length in 0..100 {
        let plain = "\u{e9}".repeat(length / 2) + &"x".repeat(length % 2);
        assert_eq!(Value::parse(&format!("\"{plain}\"")).unwrap(), Value::from(plain.as_str()));
        for (special, problem) in [("\n", JsonProblem::Syntax), ("\\/", JsonProblem::Escape)] {
            let error = Value::parse(&format!("\"{plain}{special}{plain}\"")).unwrap_err();
            assert_eq!((error.problem, error.offset), (problem, 1 + plain.len()), "{length}");
        }
        let escaped = format!("\"{plain}\\n{plain}\"");
        assert_eq!(Value::parse(&escaped).unwrap(), Value::from(format!("{plain}\n{plain}")));
        assert!(Value::parse(&format!("\"{plain}")).is_err(), "not closed");
    }
}
