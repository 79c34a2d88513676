//! The part of a text that shows why it was found, with the words marked. Pure.

use std::ops::Range;

use super::text::{Phrase, Token, tokens};

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// Whether it is what was looked for.
    pub marked: bool,
}

/// Where the phrases stand, in order, overlaps joined.
#[must_use]
pub fn marks(text: &str, phrases: &[&Phrase]) -> Vec<Range<usize>> {
    let mut words: Vec<Token> = Vec::new();
    tokens(text, |token| words.push(token));
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in 0..words.len() {
        for phrase in phrases.iter().filter(|phrase| phrase.is_at(&words, at)) {
            found.push(words[at].at.start..words[at + phrase.words.len() - 1].at.end);
        }
    }
    found.sort_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in found {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// A text in pieces, marked and not.
#[must_use]
pub fn pieces(text: &str, phrases: &[&Phrase]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for range in marks(text, phrases) {
        push(&mut pieces, &text[at..range.start], false);
        push(&mut pieces, &text[range.clone()], true);
        at = range.end;
    }
    push(&mut pieces, &text[at..], false);
    pieces
}

fn push(pieces: &mut Vec<Piece>, text: &str, marked: bool) {
    if !text.is_empty() {
        pieces.push(Piece { text: text.to_owned(), marked });
    }
}

/// About `bytes` of a text around the first mark, or its beginning.
#[must_use]
pub fn snippet(text: &str, phrases: &[&Phrase], bytes: usize) -> Vec<Piece> {
    let first = marks(text, phrases).first().map_or(0, |range| range.start);
    let start = text.floor_char_boundary(first.saturating_sub(bytes / 3));
    // Begin at a word where there is one near.
    let start = if start == 0 {
        0
    } else {
        text[start..first.max(start)].find(char::is_whitespace).map_or(start, |space| start + space + 1)
    };
    let end = text.floor_char_boundary((start + bytes).min(text.len()));
    let flat: String = text[start..end].chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    let mut out = Vec::new();
    push(&mut out, if start > 0 { "… " } else { "" }, false);
    out.extend(pieces(flat.trim(), phrases));
    push(&mut out, if end < text.len() { " …" } else { "" }, false);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marked(text: &str, query: &str) -> Vec<String> {
        let phrase = Phrase::new(query, query.ends_with('*')).unwrap();
        pieces(text, &[&phrase]).into_iter().filter(|piece| piece.marked).map(|piece| piece.text).collect()
    }

    #[test]
    fn what_was_found_is_marked_in_its_own_spelling() {
        assert_eq!(marked("A Bridge, a brídge.", "bridge"), ["Bridge", "brídge"]);
        assert_eq!(marked("关于北京市政府采购", "市政府"), ["市政府"]);
        assert_eq!(marked("توقيع العَقْد مع", "عقد"), ["العَقْد"]);
        assert_eq!(marked("contracts contractor", "contr*"), ["contracts", "contractor"]);
    }

    #[test]
    fn a_snippet_shows_the_first_mark() {
        let text = format!("{}needle{}", "hay ".repeat(200), " hay".repeat(200));
        let phrase = Phrase::new("needle", false).unwrap();
        let shown = snippet(&text, &[&phrase], 120);
        assert!(shown.iter().any(|piece| piece.marked && piece.text == "needle"), "{shown:?}");
        assert!(shown.iter().map(|piece| piece.text.len()).sum::<usize>() < 140);
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_text(text in "\\PC{0,60}", query in "\\PC{1,4}") {
            if let Some(phrase) = Phrase::new(&query, false) {
                let joined: String = pieces(&text, &[&phrase]).into_iter().map(|piece| piece.text).collect();
                prop_assert_eq!(joined, text.clone());
                let _ = snippet(&text, &[&phrase], 9);
            }
        }
    }
}
