//! The watches at work, filed so that an entry is asked about few of them.
//!
//! A watch that needs a word or an exact value stands under it, and is asked only about entries that have it; so two
//! thousand names cost a look-up for each word of an entry, and not two thousand readings of it. What is filed under
//! nothing is asked about every entry. Each one that is asked decides by itself: the file only leaves out what cannot be.
//!
//! Pure.

use std::collections::HashMap;

use super::rule::{Entry, Need, Rule, When};
use super::store::Watch;

/// A watch and its rule.
#[derive(Clone, Debug)]
pub struct Active {
    /// The watch.
    pub watch: Watch,
    /// Its rule, ready to be asked.
    pub rule: Rule,
}

/// The watches at work.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    active: Vec<Active>,
    by_word: HashMap<String, Vec<usize>>,
    by_facet: HashMap<String, Vec<usize>>,
    /// Those that are asked about every entry.
    others: Vec<usize>,
    follows_versions: bool,
}

impl Roster {
    /// Files these watches. One whose rule cannot be made any more is left out.
    #[must_use]
    pub fn new(watches: Vec<Watch>) -> Self {
        let mut roster = Self::default();
        for watch in watches {
            let Ok(rule) = watch.wanted.any_rule() else { continue };
            roster.file(&rule, roster.active.len());
            roster.follows_versions |= rule.when == When::Changed;
            roster.active.push(Active { watch, rule });
        }
        roster
    }

    fn file(&mut self, rule: &Rule, at: usize) {
        match rule.need() {
            // No entry is ever asked about.
            _ if rule.when == When::Misbehaviour => (),
            Some(Need::Word(word)) => self.by_word.entry(word.to_owned()).or_default().push(at),
            Some(Need::Facet(word)) => self.by_facet.entry(word.to_owned()).or_default().push(at),
            None => self.others.push(at),
        }
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn all(&self) -> &[Active] {
        &self.active
    }

    /// Whether no entry has to be asked about.
    #[must_use]
    pub fn asks_of_no_entry(&self) -> bool {
        self.by_word.is_empty() && self.by_facet.is_empty() && self.others.is_empty()
    }

    /// Whether one of them has to know what an entry changes.
    #[must_use]
    pub fn follows_versions(&self) -> bool {
        self.follows_versions
    }

    /// Those that may be about an entry, or about what was before it; oldest first.
    pub fn about<'a>(
        &'a self,
        entry: &Entry<'_>,
        before: Option<&Entry<'_>>,
    ) -> impl Iterator<Item = &'a Active> + use<'a> {
        let mut found = self.others.clone();
        for entry in [Some(entry), before].into_iter().flatten() {
            let by_word = entry.subject.words().filter_map(|word| self.by_word.get(word));
            let by_facet = entry.subject.facets().filter_map(|word| self.by_facet.get(word));
            found.extend(by_word.chain(by_facet).flatten());
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|at| &self.active[at])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::index::Row;
    use crate::index::extract::extract;
    use crate::watch::rule::Wanted;

    fn roster(queries: &[&str]) -> Roster {
        let watch = |(id, query): (i64, &&str)| Watch {
            id,
            wanted: Wanted { name: "x".to_owned(), query: (*query).to_owned(), ..Wanted::default() },
            made_at: 0,
        };
        Roster::new((0..).zip(queries).map(watch).collect())
    }

    fn row(text: &str) -> Row {
        Row { origin: "log.example".to_owned(), bytes: text.as_bytes().to_vec(), ..Row::default() }
    }

    const QUERIES: [&str; 12] = [
        "",
        "bridge",
        "\"bridge repair\"",
        "bridge OR tunnel",
        "bridg*",
        "\"repair brid*\"",
        "-bridge",
        "form:text repair",
        "log:other.example",
        "supplier:bridge",
        "title:bridge",
        "北京 bridge",
    ];

    #[test]
    fn only_watches_under_a_word_of_the_entry_are_asked() {
        let names: Vec<String> =
            (0..2_000).map(|number| format!("\"Name{number} Holdings{number}\"")).collect();
        let roster = roster(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let row = row("Name7 Holdings7 and Holdings8 built a bridge");
        let document = extract(&row.bytes);
        let entry = Entry::new(&row, &document);
        let asked: Vec<i64> = roster.about(&entry, None).map(|one| one.watch.id).collect();
        assert_eq!(asked, [7, 8]);
        let told: Vec<i64> =
            roster.about(&entry, None).filter(|one| one.rule.finds(&entry)).map(|one| one.watch.id).collect();
        assert_eq!(told, [7]);
    }

    proptest! {
        #[test]
        fn what_is_found_by_asking_all_is_found_by_asking_few(
            words in prop::collection::vec(
                prop::sample::select(vec!["bridge", "repair", "tunnel", "bridges", "北京市", "x"]), 0..6),
        ) {
            let roster = roster(&QUERIES);
            let row = row(&words.join(" "));
            let document = extract(&row.bytes);
            let entry = Entry::new(&row, &document);
            let finds = |one: &&Active| one.rule.finds(&entry);
            let all: Vec<i64> = roster.all().iter().filter(finds).map(|one| one.watch.id).collect();
            let few: Vec<i64> = roster.about(&entry, None).filter(finds).map(|one| one.watch.id).collect();
            prop_assert_eq!(all, few);
        }
    }
}
