//! How text from a record is shown to a person: on one line, with nothing in it that acts.

use unicode_width::UnicodeWidthChar;

/// The text on one line, at most `columns` wide; what is cut ends in `…`.
///
/// Control characters, line breaks and the marks that turn the direction of text become visible
/// (`␛`) or a space, so that a title can neither colour a terminal nor forge a line of a mail.
#[must_use]
pub fn line(text: &str, columns: usize) -> String {
    let columns = columns.max(1);
    let mut shown = String::new();
    let mut width = 0;
    let mut marks = 0;
    for c in text.trim().chars().filter_map(visible) {
        if c == ' ' && shown.ends_with(' ') {
            continue;
        }
        let columns_of_c = c.width().unwrap_or_default();
        // A base character carries a few combining marks in every script; hundreds hide the line.
        marks = if columns_of_c == 0 { marks + 1 } else { 0 };
        if marks > 4 {
            continue;
        }
        if width + columns_of_c > columns {
            while width + 1 > columns {
                width -= shown.pop().and_then(|c| c.width()).unwrap_or(columns);
            }
            shown.push('…');
            break;
        }
        width += columns_of_c;
        shown.push(c);
    }
    shown
}

/// Feeds leave the escapes of HTML in their texts; people read what they stand for.
#[must_use]
pub fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let escape = rest.find(';').filter(|end| *end < 10);
        let escape = escape.and_then(|end| Some((character(&rest[1..end])?, end + 1)));
        let (c, length) = escape.unwrap_or(('&', 1));
        plain.push(c);
        rest = &rest[length..];
    }
    plain + rest
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => {
            let number = name.strip_prefix('#')?;
            let hex = number.strip_prefix(['x', 'X']);
            let number = hex.map_or_else(|| number.parse(), |hex| u32::from_str_radix(hex, 16));
            char::from_u32(number.ok()?)
        }
    }
}

fn visible(c: char) -> Option<char> {
    match c {
        '\t' | '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)),
        '\u{7f}'..='\u{9f}' => Some('\u{fffd}'),
        // Marks, embeddings, overrides and isolates of direction; zero-width and invisible ones.
        '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Some('\u{fffd}')
        }
        '\u{200b}'
        | '\u{2060}'..='\u{2064}'
        | '\u{feff}'
        | '\u{ad}'
        | '\u{e0000}'..='\u{e007f}' => None,
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_title_acts() {
        for (text, expected) in [
            ("plain", "plain"),
            ("  two\r\nlines\t ", "two lines"),
            ("\u{1b}[31mred", "␛[31mred"),
            ("a\u{202e}txt.exe", "a\u{fffd}txt.exe"),
            ("zero\u{200b}width", "zerowidth"),
            ("abcdefghijkl", "abcdefghi…"),
            ("日本語日本語", "日本語日…"),
        ] {
            assert_eq!(line(text, 10), expected);
        }
        assert_eq!(
            line(&format!("e{}", "\u{301}".repeat(500)), 10)
                .chars()
                .count(),
            5
        );
        assert_eq!(line("anything", 0), "…");
    }
}
