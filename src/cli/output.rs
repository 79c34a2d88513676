//! Where results go: [`daemon::console`], and how text from a log is shown there.

pub(super) use daemon::console::Output;

/// Text from a log, or one that is about to be signed, for a terminal: no control character of it may act there, nor turn the
/// direction of what follows, nor hide.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if acts(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// Controls, marks and overrides of direction, separators of lines, tags, and characters that are never seen. The joiners U+200C
/// and U+200D stay: words of several languages are written with them.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_on_a_terminal_or_hide_is_shown_by_its_number() {
        assert_eq!(printable("\u{202e}9.1\u{1b}[2K\u{85}\u{200f}"), "\\u{202e}9.1\\u{1b}[2K\\u{85}\\u{200f}");
        assert_eq!(printable("a\u{200b}b\u{e0041}\u{2066}"), "a\\u{200b}b\\u{e0041}\\u{2066}");
        let words = "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645} \u{65e5}\u{672c} \u{e9} \u{1f469}\u{200d}\u{1f680}";
        assert_eq!(printable(words), words);
    }
}
