//! What is wrong with a rule set: each fault at its file, line and column, with the line itself
//! and what to write instead.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;
use std::ops::Range;
use std::sync::Arc;

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The set is refused.
    Error,
    /// The set loads.
    Warning,
}

/// One fault in a rule file.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnostic {
    /// A short name of the kind of fault.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The file, below the folder as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong: lower case, no final stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// The text of the file and the bytes that are marked in it.
    #[serde(skip)]
    shown: (Arc<str>, Range<usize>),
}

impl Diagnostic {
    /// A fault at some bytes of a file; `place` tells the line and the column of a byte.
    pub(crate) fn new(
        code: &'static str,
        severity: Severity,
        (file, text): (&str, &Arc<str>),
        place: impl Fn(usize) -> (usize, usize),
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) -> Self {
        let span = line_only(text, span);
        let (line, column) = place(span.start);
        let file = file.to_owned();
        Self {
            code,
            severity,
            file,
            line,
            column,
            message,
            help,
            shown: (text.clone(), span),
        }
    }

    /// Whether the set is refused for it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The fault as text for a person, with the line and its mark; in colour if `styled`.
    #[must_use]
    pub fn render(&self, styled: bool) -> String {
        let level = if self.is_error() {
            Level::ERROR
        } else {
            Level::WARNING
        };
        let (text, span) = &self.shown;
        let mark = AnnotationKind::Primary.span(span.clone());
        let snippet = Snippet::source(&**text)
            .path(self.file.as_str())
            .annotation(mark);
        let group = level
            .primary_title(self.message.as_str())
            .id(self.code)
            .element(snippet);
        let group = match &self.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        };
        let renderer = if styled {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        renderer.decor_style(DecorStyle::Ascii).render(&[group])
    }
}

/// A span cut to its first line, and never empty unless the line is.
fn line_only(text: &str, span: Range<usize>) -> Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (mut start, mut end) = (floor(span.start), floor(span.end.max(span.start)));
    // The end of the text is shown as the end of its last line.
    if start == text.len() {
        start = text.trim_end().len();
    }
    let line_end = text[start..]
        .find(['\n', '\r'])
        .map_or(text.len(), |n| start + n);
    end = end.clamp(start, line_end);
    if end == start && start < line_end {
        end += text[start..].chars().next().map_or(0, char::len_utf8);
    }
    start..end
}
