//! Tables for spreadsheets (RFC 4180), in which no cell is a formula.

/// One line. Cells that a spreadsheet would take for a formula are preceded by an apostrophe.
pub(crate) fn row<S: AsRef<str>>(cells: &[S]) -> String {
    let cell = |cell: &S| {
        let text = cell.as_ref();
        let formula = text
            .starts_with(['=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
        let number = text.parse::<f64>().is_ok_and(f64::is_finite);
        let guard = if formula && !number { "'" } else { "" };
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" ._-:/".contains(&byte));
        match plain && guard.is_empty() {
            true => text.to_owned(),
            false => format!("\"{guard}{}\"", text.replace('"', "\"\"")),
        }
    };
    format!("{}\r\n", cells.iter().map(cell).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula_and_a_quote_never_ends_it() {
        let cases = [
            ("GB", "GB"),
            ("=1+1", "\"'=1+1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("-2+3", "\"'-2+3\""),
            ("-12.50", "-12.50"),
            ("a\"b", "\"a\"\"b\""),
            ("a,b\nc", "\"a,b\nc\""),
            ("\u{ff1d}1", "\"'\u{ff1d}1\""),
        ];
        for (text, cell) in cases {
            assert_eq!(row(&[text]), format!("{cell}\r\n"), "{text}");
        }
    }
}
