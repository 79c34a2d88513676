//! Text to search words, in any language, the same way for what is indexed and for what is looked for.
//!
//! - Letters are folded: case, accents (`São` is `sao`), width (`ＡＢＣ` is `abc`), Arabic vowel signs, letter variants
//!   and the article (`العَقْد` is `عقد`), digits of other scripts (`٣` is `3`).
//! - Scripts that are written without spaces (Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese) become pairs of
//!   neighbouring letters: `北京市` is `北京 京市 市`, so that every word of two letters is found; the last letter
//!   stands alone, so that one letter can be found as the beginning of a word. One letter begins so many pairs that a
//!   text's letters are indexed as well, each once ([`index_form_with`]).
//!
//! What comes out is plain lower-case words with spaces between, which `unicode61` of SQLite leaves as they are. So a
//! database made with this needs no tokenizer that only we have.
//!
//! Pure.

use std::collections::BTreeSet;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The fewest letters that must be left of an Arabic word without its article.
const STEM_LETTERS_MIN: usize = 3;

/// A search word and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Folded.
    pub text: String,
    /// The bytes of the original text.
    pub at: Range<usize>,
    /// The lone last letter of a run without spaces.
    pub tail: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Between,
    Spaced,
    Dense,
}

fn class(letter: char) -> Class {
    if letter.is_ascii() {
        return if letter.is_ascii_alphanumeric() { Class::Spaced } else { Class::Between };
    }
    if is_dense(letter) {
        return Class::Dense;
    }
    if letter.is_alphanumeric() || is_combining_mark(letter) { Class::Spaced } else { Class::Between }
}

/// Letters of scripts that put no spaces between words.
fn is_dense(letter: char) -> bool {
    matches!(u32::from(letter),
        0x0e01..=0x0e4e // Thai
        | 0x0e81..=0x0ece // Lao
        | 0x1000..=0x109f // Burmese
        | 0x1100..=0x11ff // Hangul jamo
        | 0x1780..=0x17d3 // Khmer
        | 0x3005..=0x3007 | 0x3021..=0x3029
        | 0x3041..=0x309f | 0x30a1..=0x30fa | 0x30fc..=0x30ff // kana
        | 0x3105..=0x312f | 0x3131..=0x318e | 0x31a0..=0x31ff
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff // Han
        | 0xa960..=0xa97c | 0xac00..=0xd7fb // Hangul
        | 0xf900..=0xfaff
        | 0xff66..=0xff9f | 0xffa1..=0xffdc // half width
        | 0x1b000..=0x1b16f
        | 0x20000..=0x3ffff)
}

/// Marks that a reader leaves out when typing: accents of European scripts, Hebrew points, Arabic vowel signs.
fn is_left_out(letter: char) -> bool {
    matches!(u32::from(letter),
        0x0300..=0x036f | 0x0591..=0x05c7 | 0x0610..=0x061a | 0x0640 | 0x064b..=0x065f | 0x0670 | 0x06d6..=0x06ed)
}

fn unified(letter: char) -> char {
    match letter {
        'ٱ' => 'ا',
        'ى' | 'ی' => 'ي',
        'ة' => 'ه',
        'ک' => 'ك',
        'ς' => 'σ',
        '٠'..='٩' => ascii_digit(letter, '٠'),
        '۰'..='۹' => ascii_digit(letter, '۰'),
        '०'..='९' => ascii_digit(letter, '०'),
        other => other,
    }
}

fn ascii_digit(letter: char, zero: char) -> char {
    let digit = u32::from(letter) - u32::from(zero);
    char::from_digit(digit, 10).expect("one of ten digits")
}

/// A word as it is compared.
#[must_use]
pub fn fold(word: &str) -> String {
    if word.is_ascii() {
        return word.to_ascii_lowercase();
    }
    // Taken apart, `⑴` has brackets: only letters and digits stay, so that a word can stand in a query as it is.
    let letters = word.nfkd().filter(|letter| !is_left_out(*letter) && class(*letter) != Class::Between);
    let folded: String = letters.flat_map(char::to_lowercase).map(unified).nfc().collect();
    without_article(folded)
}

fn without_article(word: String) -> String {
    for article in ["وال", "بال", "كال", "فال", "لل", "ال"] {
        if let Some(rest) = word.strip_prefix(article)
            && rest.chars().count() >= STEM_LETTERS_MIN
        {
            return rest.to_owned();
        }
    }
    word
}

/// The runs of letters of one class.
fn runs(text: &str) -> impl Iterator<Item = (Class, Range<usize>)> {
    let mut letters = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (start, kind) = loop {
            let (at, letter) = letters.next()?;
            match class(letter) {
                Class::Between => (),
                kind => break (at, kind),
            }
        };
        let mut end = text.len();
        while let Some((at, letter)) = letters.peek() {
            // A mark belongs to the letter before it, whatever script it is listed under.
            if class(*letter) != kind && !is_combining_mark(*letter) {
                end = *at;
                break;
            }
            letters.next();
        }
        Some((kind, start..end))
    })
}

/// The search words of a text, in order.
pub fn tokens(text: &str, mut take: impl FnMut(Token)) {
    for (kind, at) in runs(text) {
        if kind == Class::Spaced {
            let folded = fold(&text[at.clone()]);
            if !folded.is_empty() {
                take(Token { text: folded, at, tail: false });
            }
            continue;
        }
        let mut before: Option<(String, Range<usize>)> = None;
        for (start, letter) in text[at.clone()].char_indices() {
            let start = at.start + start;
            let here = start..start + letter.len_utf8();
            let folded = fold(letter.encode_utf8(&mut [0; 4]));
            if folded.is_empty() {
                continue;
            }
            if let Some((last, place)) = before.take() {
                take(Token { text: format!("{last}{folded}"), at: place.start..here.end, tail: false });
            }
            before = Some((folded, here));
        }
        if let Some((last, place)) = before {
            take(Token { text: last, at: place, tail: true });
        }
    }
}

/// Adds a text to what is indexed: its search words with spaces between.
pub fn index_form(text: &str, out: &mut String) {
    index_form_with(text, out, &mut BTreeSet::new());
}

/// The same, and the letters of scripts without spaces with which search words begin.
pub fn index_form_with(text: &str, out: &mut String, letters: &mut BTreeSet<char>) {
    tokens(text, |token| {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&token.text);
        letters.extend(token.text.chars().next().filter(|letter| is_dense(*letter)));
    });
}

/// What is looked for: words that follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    /// The words, folded; never empty.
    pub words: Vec<String>,
    /// Whether the last word is the beginning of a longer one.
    pub prefix: bool,
}

impl Phrase {
    /// The phrase for a text, or `None` if it has no letters. `prefix` if what is found may go on.
    #[must_use]
    pub fn new(text: &str, prefix: bool) -> Option<Self> {
        let mut found = Vec::new();
        tokens(text, |token| found.push(token));
        let lone = found.last()?.tail;
        // The pair before it says the same, and more: what is found may go on after it.
        let paired = lone && found.len() > 1 && {
            let before = &found[found.len() - 2];
            !before.tail && before.at.end == found[found.len() - 1].at.end
        };
        if paired {
            found.pop();
        }
        let prefix = prefix || (lone && !paired);
        Some(Self { words: found.into_iter().map(|token| token.text).collect(), prefix })
    }

    /// The letter of a script without spaces that is all that is looked for.
    #[must_use]
    pub fn letter(&self) -> Option<char> {
        let [word] = self.words.as_slice() else { return None };
        let mut letters = word.chars();
        letters.next().filter(|letter| self.prefix && letters.next().is_none() && is_dense(*letter))
    }

    /// Whether the words of a text from `at` on are this phrase.
    #[must_use]
    pub fn is_at(&self, words: &[Token], at: usize) -> bool {
        let Some(here) = words.get(at..at + self.words.len()) else { return false };
        let last = self.words.len() - 1;
        here.iter().zip(&self.words).enumerate().all(|(place, (token, word))| {
            if place == last && self.prefix { token.text.starts_with(word) } else { token.text == *word }
        })
    }

    /// Whether a text contains the phrase.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        let mut words = Vec::new();
        tokens(text, |token| words.push(token));
        (0..words.len()).any(|at| self.is_at(&words, at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn indexed(text: &str) -> String {
        let mut out = String::new();
        index_form(text, &mut out);
        out
    }

    fn finds(query: &str, text: &str) -> bool {
        Phrase::new(query, false).unwrap().is_in(text)
    }

    #[test]
    fn letters_are_folded_in_every_script() {
        assert_eq!(indexed("São PAULO, ＡＢＣ-12"), "sao paulo abc 12");
        assert_eq!(indexed("العَقْدُ رقم ٤٢"), "عقد رقم 42");
        assert_eq!(indexed("Straße ΟΔΟΣ Ёлка"), "straße οδοσ елка");
    }

    #[test]
    fn a_chinese_word_of_two_letters_is_found_inside_a_sentence() {
        assert_eq!(indexed("北京市政府"), "北京 京市 市政 政府 府");
        for word in ["北京", "京市", "市政府", "政府", "府", "北", "北京市政府"] {
            assert!(finds(word, "关于北京市政府采购的公告"), "{word}");
        }
        for word in ["京北", "北市", "政采"] {
            assert!(!finds(word, "关于北京市政府采购的公告"), "{word}");
        }
        assert!(finds("府", "北京市政府"), "the last letter of a run is found too");
    }

    #[test]
    fn one_letter_is_told_from_a_word_and_from_the_beginning_of_one() {
        let letter = |query: &str, prefix| Phrase::new(query, prefix).unwrap().letter();
        assert_eq!(
            (letter("北", false), letter("北", true), letter("ｶ", false)),
            (Some('北'), Some('北'), Some('カ'))
        );
        assert_eq!((letter("北京", false), letter("b", true), letter("a北", false)), (None, None, None));
        let (mut form, mut letters) = (String::new(), BTreeSet::new());
        index_form_with("京北京ABC号", &mut form, &mut letters);
        assert_eq!(
            letters.into_iter().collect::<String>(),
            "京北号",
            "each once, in the order of their numbers"
        );
    }

    #[test]
    fn a_run_beside_latin_letters_ends_there() {
        assert_eq!(indexed("合同ABC号"), "合同 同 abc 号");
        assert!(finds("合同ABC", "合同ABC号") && finds("abc", "合同ABC号"));
    }

    #[test]
    fn an_arabic_word_is_found_with_and_without_article_and_vowel_signs() {
        for query in ["عقد", "العقد", "العَقْد", "والعقد"] {
            assert!(finds(query, "تم توقيع العقد مع الشركة"), "{query}");
        }
        assert!(finds("شركه", "تم توقيع العقد مع الشركة"), "ta marbuta and ha are one");
        assert!(!finds("عقود", "تم توقيع العقد مع الشركة"));
        assert_eq!(indexed("الله"), "الله", "too short to lose its beginning");
    }

    #[test]
    fn korean_japanese_and_thai_words_are_found() {
        assert!(finds("계약", "공공계약서"));
        assert!(finds("契約", "公共契約に関する"));
        assert!(finds("สัญญา", "เลขที่สัญญา12"));
    }

    proptest! {
        #[test]
        fn every_text_finds_itself_and_the_index_form_is_stable(text in "\\PC{0,40}") {
            let form = indexed(&text);
            prop_assert!(form.chars().all(|c| c == ' ' || !c.is_ascii() || c.is_ascii_alphanumeric()));
            if let Some(phrase) = Phrase::new(&text, false) {
                prop_assert!(phrase.is_in(&text), "{phrase:?} in {form:?}");
            }
        }
    }
}
