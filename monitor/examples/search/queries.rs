//! The published mix of queries: what people type, with words drawn from the corpus.

use crate::corpus::{AGENCIES, Corpus, Numbers};

/// A sort of query, and how it is made.
pub(crate) struct Sort {
    pub(crate) name: &'static str,
    make: fn(&Corpus, &mut Numbers) -> String,
}

fn english(corpus: &Corpus, numbers: &mut Numbers) -> String {
    corpus.english.words[numbers.skewed(corpus.english.words.len())].clone()
}

fn rare(corpus: &Corpus, numbers: &mut Numbers) -> String {
    let words = &corpus.english.words;
    words[words.len() / 2 + numbers.below(words.len() / 2)].clone()
}

fn letters(corpus: &Corpus, numbers: &mut Numbers, count: usize) -> String {
    corpus.chinese.text(numbers, count)
}

fn agency(numbers: &mut Numbers) -> String {
    format!("agency:agency-{}.gov.example", numbers.skewed(AGENCIES))
}

/// Every sort; each is asked equally often.
pub(crate) const SORTS: [Sort; 22] = [
    Sort { name: "nothing: everything, newest first", make: |_, _| String::new() },
    Sort { name: "a word", make: english },
    Sort { name: "a rare word", make: rare },
    Sort { name: "two words", make: |c, n| format!("{} {}", english(c, n), english(c, n)) },
    Sort { name: "a common and a rare word", make: |c, n| format!("contract {}", rare(c, n)) },
    Sort { name: "two common words that follow one another", make: |_, _| "\"bridge repair\"".to_owned() },
    Sort { name: "one of two words", make: |c, n| format!("{} OR {}", english(c, n), rare(c, n)) },
    Sort { name: "a word without another", make: |c, n| format!("{} -{}", english(c, n), english(c, n)) },
    Sort {
        name: "the beginning of a word",
        make: |_, n| format!("{}*", ["contra", "hosta", "bridgeta", "water"][n.below(4)]),
    },
    Sort { name: "two Chinese letters", make: |c, n| letters(c, n, 2) },
    Sort { name: "four Chinese letters", make: |c, n| letters(c, n, 4) },
    Sort { name: "one Chinese letter", make: |c, n| letters(c, n, 1) },
    Sort { name: "an Arabic word", make: |c, n| c.arabic.text(n, 1) },
    Sort { name: "an agency", make: |_, n| agency(n) },
    Sort { name: "a word of an agency", make: |c, n| format!("{} {}", agency(n), english(c, n)) },
    Sort {
        name: "a register and a month",
        make: |_, n| format!("register:register-{} after:2020-03 before:2020-04", n.skewed(40)),
    },
    Sort { name: "a key", make: |_, n| format!("key:{}-{}", n.skewed(40), n.below(1000)) },
    Sort { name: "a word in the title", make: |c, n| format!("title:{}", english(c, n)) },
    Sort { name: "a word in a field", make: |c, n| format!("supplier:{}", english(c, n)) },
    Sort { name: "a word and an amount", make: |c, n| format!("{} amount>1000000", english(c, n)) },
    Sort { name: "withdrawn, of an agency", make: |_, n| format!("is:withdrawn {}", agency(n)) },
    Sort { name: "what is not there", make: |_, n| format!("nowhere{} contract", n.below(1000)) },
];

impl Sort {
    /// A query of this sort.
    pub(crate) fn query(&self, corpus: &Corpus, numbers: &mut Numbers) -> String {
        (self.make)(corpus, numbers)
    }
}
