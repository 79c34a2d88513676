//! Which column of a table, or member of an object, is the key, the title, and which field.
//!
//! ```toml
//! key = "Code"
//! title = "Short name"
//! separator = ";"
//! [fields]
//! name = "Official name"     # the field `name` is what the column `Official name` says
//! ```
//!
//! Without a mapping the column `key` is the key, and every other one a field of its own name.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A mapping.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The column with the key.
    #[serde(default = "default_key")]
    pub key: String,
    /// The column with the title.
    #[serde(default)]
    pub title: Option<String>,
    /// What separates the cells of a table.
    #[serde(default = "default_separator")]
    pub separator: char,
    /// Columns by field; without it every other column is a field.
    #[serde(default)]
    pub fields: Option<BTreeMap<String, String>>,
}

fn default_key() -> String {
    "key".to_owned()
}

fn default_separator() -> char {
    ','
}

impl Default for Mapping {
    fn default() -> Self {
        Self { key: default_key(), title: None, separator: default_separator(), fields: None }
    }
}

impl Mapping {
    /// The field that a column is; none if it is the key, the title, or left out.
    #[must_use]
    pub fn fields_of(&self, column: &str) -> Vec<String> {
        match &self.fields {
            Some(fields) => {
                let of = fields.iter().filter(|(_, from)| *from == column);
                of.map(|(field, _)| field.clone()).collect()
            }
            None if column == self.key || self.title.as_deref() == Some(column) => Vec::new(),
            None => vec![column.to_owned()],
        }
    }

    /// A column that the mapping names and the table does not have.
    #[must_use]
    pub fn missing<'a>(&'a self, columns: &[String]) -> Option<&'a str> {
        let named = self.fields.iter().flat_map(BTreeMap::values).chain(&self.title);
        named.map(String::as_str).find(|name| !columns.iter().any(|column| column == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_the_field_that_the_mapping_says_or_its_own_name() {
        let plain = Mapping::default();
        assert_eq!(plain.fields_of("name"), ["name"]);
        assert!(plain.fields_of("key").is_empty());
        let mapping: Mapping =
            toml::from_str("key = \"Code\"\n[fields]\nname = \"Official name\"\ncode = \"Code\"\n").unwrap();
        assert_eq!(mapping.fields_of("Official name"), ["name"]);
        assert_eq!(mapping.fields_of("Code"), ["code"]);
        assert!(mapping.fields_of("Notes").is_empty(), "what is not mapped stays at home");
        assert_eq!(mapping.missing(&["Code".to_owned()]), Some("Official name"));
        assert!(toml::from_str::<Mapping>("keys = \"Code\"\n").is_err());
    }
}
