//! What is typed, told from the bytes that a terminal sends for it.

/// One thing typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Backspace,
    /// Ctrl-U: the line anew.
    Clear,
    Escape,
    /// An arrow down or right.
    Next,
    /// An arrow up or left.
    Previous,
    /// Text that was pasted: it is text, and no keys.
    Pasted(String),
    /// Ctrl-C or Ctrl-D.
    Stop,
}

/// Has the terminal mark what is pasted, and not.
pub(super) const MARKS_PASTES: (&str, &str) = ("\x1b[?2004h", "\x1b[?2004l");
const PASTE_ENDS: &[u8] = b"\x1b[201~";
/// More than this is not waited for to end.
const LONGEST: usize = 64 * 1024;

/// Bytes on their way to keys.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<u8>);

impl Keys {
    /// The keys that some bytes end; what may still become one is kept.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.0.extend(bytes);
        let mut keys = Vec::new();
        while let Some((key, length)) = first(&self.0) {
            self.0.drain(..length.min(self.0.len()));
            keys.extend(key);
        }
        if self.0.len() > LONGEST {
            self.0.clear();
        }
        keys
    }
}

/// The first key and its length in bytes; `None` when it has not ended.
fn first(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    let key = match bytes {
        [] => return None,
        [0x1b] => Key::Escape,
        [0x1b, b'[', rest @ ..] => {
            let end = rest.iter().position(|byte| (0x40..=0x7e).contains(byte))?;
            let length = 2 + end + 1;
            return match rest.get(..=end)? {
                b"200~" => pasted(bytes.get(length..)?, length),
                [.., b'A' | b'D'] => Some((Some(Key::Previous), length)),
                [.., b'B' | b'C'] => Some((Some(Key::Next), length)),
                _ => Some((None, length)),
            };
        }
        [0x1b, b'O', end, ..] => {
            let key = match end {
                b'A' | b'D' => Some(Key::Previous),
                b'B' | b'C' => Some(Key::Next),
                _ => None,
            };
            return Some((key, 3));
        }
        [0x1b, b'O'] => return None,
        // With Alt it is another key.
        [0x1b, ..] => return Some((None, 2)),
        [0x03 | 0x04, ..] => Key::Stop,
        [b'\r' | b'\n', ..] => Key::Enter,
        [0x7f | 0x08, ..] => Key::Backspace,
        [0x15, ..] => Key::Clear,
        [0..0x20, ..] => return Some((None, 1)),
        _ => return character(bytes),
    };
    Some((Some(key), 1))
}

fn pasted(bytes: &[u8], before: usize) -> Option<(Option<Key>, usize)> {
    let ends = bytes
        .windows(PASTE_ENDS.len())
        .position(|window| window == PASTE_ENDS)?;
    let text = String::from_utf8_lossy(bytes.get(..ends)?).into_owned();
    Some((Some(Key::Pasted(text)), before + ends + PASTE_ENDS.len()))
}

fn character(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    let start = bytes.get(..bytes.len().min(4))?;
    let (valid, wrong) = match std::str::from_utf8(start) {
        Ok(text) => (text, None),
        Err(error) => {
            let valid = start.get(..error.valid_up_to())?;
            (std::str::from_utf8(valid).ok()?, Some(error.error_len()))
        }
    };
    match (valid.chars().next(), wrong) {
        (Some(char), _) => Some((Some(Key::Char(char)), char.len_utf8())),
        (None, Some(Some(length))) => Some((None, length)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(chunks: &[&[u8]]) -> Vec<Key> {
        let mut keys = Keys::default();
        chunks.iter().flat_map(|chunk| keys.read(chunk)).collect()
    }

    #[test]
    fn bytes_are_the_keys_that_were_typed() {
        use Key::{Backspace, Char, Clear, Enter, Escape, Next, Previous, Stop};
        assert_eq!(keys(&[b"aR?"]), [Char('a'), Char('R'), Char('?')]);
        assert_eq!(
            keys(&[b"\x1b[A\x1b[1;2B\x1bOC\x1bOD"]),
            [Previous, Next, Next, Previous]
        );
        assert_eq!(keys(&[b"\x1b", b"a"]), [Escape, Char('a')]);
        assert_eq!(
            keys(&[b"\r\n\x7f\x15\x03\x04\x00\x1a"]),
            [Enter, Enter, Backspace, Clear, Stop, Stop]
        );
        assert_eq!(keys(&["é日".as_bytes()]), [Char('é'), Char('日')]);
    }

    #[test]
    fn a_key_may_come_in_pieces() {
        assert_eq!(keys(&[b"\x1b[", b"A"]), [Key::Previous]);
        assert_eq!(keys(&[b"\xe6", b"\x97", b"\xa5"]), [Key::Char('日')]);
        assert_eq!(keys(&[b"\xff\xfea"]), [Key::Char('a')]);
    }

    #[test]
    fn what_is_pasted_or_another_key_decides_nothing() {
        let pasted = keys(&[b"\x1b[200~aaa\rq", b"a\x1b[201~", b"s"]);
        assert_eq!(pasted, [Key::Pasted("aaa\rqa".into()), Key::Char('s')]);
        assert_eq!(keys(&[b"\x1ba\x1b[H\x1b[3~\x1bOP"]), []);
        assert_eq!(
            keys(&[b"\x1b[200~", &[b'a'; LONGEST], b"s"]),
            [Key::Char('s')]
        );
    }
}
