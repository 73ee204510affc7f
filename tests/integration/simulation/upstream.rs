//! What upstream has written, as the model keeps it: each file's bytes follow from a few numbers.

use std::collections::BTreeMap;

/// The two sources: their names, and what a file without the flag means.
pub(super) const SOURCES: [(&str, bool); 2] = [("alpha", true), ("beta", false)];

/// Source and path below it.
pub(super) type Key = (usize, String);

/// One version of a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// Names the story; without it its path does.
    pub(super) url: Option<u64>,
    /// Whether a queue decides on it by itself.
    pub(super) wire: bool,
    /// What is judged: no two versions of any story have the same.
    pub(super) number: u64,
    pub(super) heat: u64,
    pub(super) volatile: u64,
    /// Bits: quoted title, keys in another order, a comment, CRLF.
    pub(super) format: u64,
    /// What upstream says of `published`.
    pub(super) flag: Option<bool>,
    /// Whether only half of it is written yet.
    pub(super) half: bool,
}

impl Content {
    /// The file as it reads when the flag says this; without upstream's own it comes last.
    pub(super) fn bytes(&self, flag: Option<bool>) -> Vec<u8> {
        let Self {
            number,
            heat,
            volatile,
            format,
            ..
        } = self;
        let quote = if format & 1 == 0 { "" } else { "\"" };
        let mut lines = vec![format!("title: {quote}Story {number}{quote}")];
        lines.extend(
            self.url
                .map(|url| format!("originalUrl: https://www.example.org/{url}")),
        );
        lines.extend(self.wire.then(|| "kind: wire".to_owned()));
        lines.push("section: news".into());
        let published = flag.map(|flag| format!("published: {flag}"));
        lines.extend(published.clone().filter(|_| self.flag.is_some()));
        lines.push(format!("heat: {heat}"));
        if format & 2 != 0 {
            lines.reverse();
        }
        if format & 4 != 0 {
            lines.push("# swept".into());
        }
        lines.push(format!("secured: \"{volatile}\""));
        lines.extend(published.filter(|_| self.flag.is_none()));
        let mut all = vec!["---".to_owned()];
        all.extend(lines);
        if !self.half {
            all.extend(["---".into(), format!("The body of story {number}.")]);
        }
        let end = if format & 8 == 0 { "\n" } else { "\r\n" };
        all.iter()
            .map(|line| format!("{line}{end}"))
            .collect::<String>()
            .into_bytes()
    }

    /// The name that the desk should know it by.
    pub(super) fn identity(&self, path: &str) -> String {
        match self.url {
            Some(url) => format!("https://www.example.org/{url}"),
            None => path.to_owned(),
        }
    }
}

/// A file that stands, and what its flag says now: upstream's word, or the desk's.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) content: Content,
    pub(super) flag: Option<bool>,
    /// What upstream said before it wrote the very bytes that the desk had written: nobody can see that
    /// it did.
    pub(super) alike: Option<bool>,
}

impl File {
    /// What stands once upstream has written this over it.
    pub(super) fn after(before: Option<&Self>, content: Content) -> Self {
        let flag = content.flag;
        let alike = before
            .filter(|file| file.content.bytes(file.flag) == content.bytes(flag))
            .and_then(|file| {
                if file.flag == file.content.flag {
                    file.alike
                } else {
                    file.content.flag
                }
            });
        Self {
            content,
            flag,
            alike,
        }
    }
}

pub(super) type Files = BTreeMap<Key, File>;
