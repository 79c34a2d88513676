//! Tables as spreadsheets write them (RFC 4180): cells in quotes or not, a first row of names.

/// Most columns of a table.
pub const COLUMNS_MAX: usize = 1024;

/// Why text is no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsvError {
    /// There is no first row.
    #[error("the table has no first row with the names of its columns")]
    Empty,
    /// A name occurs twice, or is empty.
    #[error("column {0} of the first row has no name of its own: {1:?}")]
    Name(usize, String),
    /// A row has another number of cells.
    #[error(
        "line {line} has {found} cells, and the first row {expected}; is a quote or a separator missing?"
    )]
    Cells {
        /// Where.
        line: usize,
        /// How many.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A quote stands in the middle of a cell, or is never closed.
    #[error("line {0}: a quote that is not closed, or stands in the middle of a cell")]
    Quote(usize),
    /// More than [`COLUMNS_MAX`].
    #[error("the table has more than {COLUMNS_MAX} columns")]
    Columns,
}

/// A row, with the line on which it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The first line is 1.
    pub line: usize,
    /// As many as there are columns.
    pub cells: Vec<String>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The names in the first row.
    pub columns: Vec<String>,
    /// The others. Empty lines are left out.
    pub rows: Vec<Row>,
}

impl Table {
    /// Parses a table whose cells are separated like this.
    ///
    /// # Errors
    /// [`CsvError`] names the line.
    pub fn parse(text: &str, separator: char) -> Result<Self, CsvError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rows = rows(text, separator)?.into_iter();
        let columns = rows.next().ok_or(CsvError::Empty)?.cells;
        if columns.len() > COLUMNS_MAX {
            return Err(CsvError::Columns);
        }
        for (at, name) in columns.iter().enumerate() {
            if name.is_empty() || columns[..at].contains(name) {
                return Err(CsvError::Name(at + 1, name.clone()));
            }
        }
        let expected = columns.len();
        let rows: Vec<Row> = rows.collect();
        match rows.iter().find(|row| row.cells.len() != expected) {
            Some(row) => Err(CsvError::Cells { line: row.line, found: row.cells.len(), expected }),
            None => Ok(Self { columns, rows }),
        }
    }
}

fn rows(text: &str, separator: char) -> Result<Vec<Row>, CsvError> {
    let (mut rows, mut line) = (Vec::new(), 1);
    let mut letters = text.chars().peekable();
    while letters.peek().is_some() {
        let mut row = Row { line, cells: Vec::new() };
        loop {
            let (cell, ends) = cell(&mut letters, separator, &mut line)?;
            row.cells.push(cell);
            if ends {
                break;
            }
        }
        if row.cells != [""] {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// One cell, and whether its row ends with it.
fn cell(
    letters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    separator: char,
    line: &mut usize,
) -> Result<(String, bool), CsvError> {
    let begun = *line;
    let mut cell = String::new();
    let quoted = letters.next_if_eq(&'"').is_some();
    if quoted {
        loop {
            match letters.next().ok_or(CsvError::Quote(begun))? {
                '"' if letters.next_if_eq(&'"').is_some() => cell.push('"'),
                '"' => break,
                letter => {
                    *line += usize::from(letter == '\n');
                    cell.push(letter);
                }
            }
        }
    }
    loop {
        match letters.next() {
            None => return Ok((cell, true)),
            Some(letter) if letter == separator => return Ok((cell, false)),
            Some('\r') if letters.peek() == Some(&'\n') => {}
            Some('\n') => {
                *line += 1;
                return Ok((cell, true));
            }
            Some(letter) if quoted || letter == '"' => return Err(CsvError::Quote(*line)),
            Some(letter) => cell.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<Vec<String>> {
        Table::parse(text, ',').unwrap().rows.into_iter().map(|row| row.cells).collect()
    }

    #[test]
    fn cells_are_read_as_spreadsheets_write_them() {
        assert_eq!(cells("a,b\r\n1,2\r\n"), [["1", "2"]]);
        assert_eq!(cells("\u{feff}a,b\n\"x, \"\"y\"\"\nz\",\n\n3,4"), [["x, \"y\"\nz", ""], ["3", "4"]]);
        assert_eq!(cells("a\n\u{4e2d}\u{6587}\n"), [["\u{4e2d}\u{6587}"]]);
        let table = Table::parse("a;b\n\"1\n2\";3\n4;5\n", ';').unwrap();
        assert_eq!((table.rows[0].line, table.rows[1].line), (2, 4));
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_line() {
        assert_eq!(Table::parse("", ','), Err(CsvError::Empty));
        assert_eq!(Table::parse("a,a\n", ','), Err(CsvError::Name(2, "a".to_owned())));
        assert_eq!(Table::parse("a,b\n1\n", ','), Err(CsvError::Cells { line: 2, found: 1, expected: 2 }));
        assert_eq!(Table::parse("a\n\"1", ','), Err(CsvError::Quote(2)));
        assert_eq!(Table::parse("a\n1\"2\n", ','), Err(CsvError::Quote(2)));
        assert_eq!(Table::parse("a\n\"1\"2\n", ','), Err(CsvError::Quote(2)));
    }
}
