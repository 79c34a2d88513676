//! Where results go: [`daemon::console`], and how text from a log is shown there.

pub(super) use daemon::console::Output;

/// Text from a log for a terminal: no control character of it may act there, nor turn the direction of what follows.
pub(super) fn printable(text: &str) -> String {
    let acts = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if acts(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}
