//! The body of a story as a page of its own, which is shown in a frame: Markdown with whatever markup
//! its author put into it, of which nothing acts and nothing is loaded but pictures, where they may be.

use crate::record::shown;
use ammonia::Builder;
use pulldown_cmark::{Event, Options, Parser, html};
use regex::{Captures, Regex};
use std::collections::HashSet;
use std::sync::LazyLock;
use url::Url;

/// How much of a body is laid out. What is longer, deeper or holds more tags and escapes is shown as it
/// is written.
const LONGEST: usize = 128 << 10;
/// See [`LONGEST`].
const DEEPEST: usize = 64;
/// See [`LONGEST`].
const TAGS: usize = 4_000;

/// A frame of another page, or what plays there.
static FRAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let attributes =
        r#"[^>]{0,2000}?\b(?:src|data)\s*=\s*("[^"<>]*"|'[^'<>]*'|[^\s"'<>]+)[^>]{0,2000}>"#;
    Regex::new(&format!(
        "(?i)<(?:iframe|frame|embed|object)\\b{attributes}"
    ))
    .ok()
});

/// The body as markup that is safe to show.
pub(super) fn safe(body: &str, with_pictures: bool) -> String {
    laid_out(body).map_or_else(
        || format!("<pre>{}</pre>", escaped(cut(body))),
        |markup| cleaner(with_pictures).clean(&linked(&markup)).to_string(),
    )
}

/// The markup that is meant, unless laying it out would cost too much.
fn laid_out(body: &str) -> Option<String> {
    let tags = body.bytes().filter(|byte| b"<&".contains(byte)).count();
    if body.len() > LONGEST || tags > TAGS || is_nested(body) {
        return None;
    }
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES;
    let (mut events, mut depth) = (Vec::new(), 0);
    for event in Parser::new_ext(body, options) {
        match &event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            _ => {}
        }
        if depth > DEEPEST {
            return None;
        }
        events.push(event);
    }
    let mut markup = String::new();
    html::push_html(&mut markup, events.into_iter());
    Some(markup)
}

/// Whether a line begins with more quotes and lists than anyone writes: each costs for every line
/// after it.
fn is_nested(body: &str) -> bool {
    let depth = |line: &str| {
        let mut rest = line;
        let mut depth = 0;
        loop {
            rest = rest.trim_start_matches([' ', '\t']);
            let number = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let marks: &[char] = if number.len() < rest.len() {
                &['.', ')']
            } else {
                &['>', '*', '+', '-']
            };
            let inner = number.strip_prefix(marks);
            match inner.filter(|it| number.starts_with('>') || it.starts_with([' ', '\t'])) {
                Some(inner) if depth < DEEPEST => (rest, depth) = (inner, depth + 1),
                Some(_) => return true,
                None => return false,
            }
        }
    };
    body.lines().any(depth)
}

/// Frames become links: what is in them is not loaded, and yet known.
fn linked(markup: &str) -> String {
    let Some(frame) = &*FRAME else {
        return markup.to_owned();
    };
    let link = |found: &Captures<'_>| {
        let src = found[1].trim_matches(['"', '\'']);
        let src = shown::unescaped(src.trim());
        let absolute = match src.strip_prefix("//") {
            Some(rest) => format!("https://{rest}"),
            None => src,
        };
        let url = Url::parse(&absolute).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let host = url.as_ref().and_then(Url::host_str).map(str::to_owned);
        match (url, host) {
            (Some(url), Some(host)) => format!(
                "<p><a href=\"{}\">embed: {}</a></p>",
                escaped(url.as_str()),
                escaped(&host)
            ),
            _ => String::new(),
        }
    };
    frame.replace_all(markup, link).into_owned()
}

fn cleaner(with_pictures: bool) -> Builder<'static> {
    let mut cleaner = Builder::default();
    cleaner
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer"))
        .set_tag_attribute_value("a", "target", "_blank")
        .rm_tags(["area", "map"]);
    if with_pictures {
        cleaner
            .attribute_filter(|tag, key, value| {
                let is_source = (tag, key) == ("img", "src");
                (!is_source || value.trim_start().starts_with("https:")).then(|| value.into())
            })
            .set_tag_attribute_value("img", "referrerpolicy", "no-referrer")
            .set_tag_attribute_value("img", "loading", "lazy");
    } else {
        cleaner.rm_tags(["img"]);
    }
    cleaner
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_is_laid_out() {
        for (body, shows) in [
            (
                "# Head\n\ntext *with* weight",
                "<h1>Head</h1>\n<p>text <em>with</em> weight</p>",
            ),
            ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
            ("| a |\n|---|\n| 1 |", "<td>1</td>"),
            ("a <b>bold</b> word", "<p>a <b>bold</b> word</p>"),
            ("1 < 2 & 3", "1 &lt; 2 &amp; 3"),
            (
                "[text](https://example.org/a?b=1&c=2)",
                "<a href=\"https://example.org/a?b=1&amp;c=2\" target=\"_blank\" rel=\"noopener noreferrer\">text</a>",
            ),
            (
                "<https://example.org>",
                "href=\"https://example.org\" target=\"_blank\" rel=\"noopener noreferrer\"",
            ),
            (
                "<iframe width=1 src=\"https://www.youtube.com/embed/x?a=1&amp;b=2\"></iframe>",
                "<a href=\"https://www.youtube.com/embed/x?a=1&amp;b=2\" target=\"_blank\" rel=\"noopener noreferrer\">embed: www.youtube.com</a>",
            ),
            (
                "<IFRAME SRC=//player.example/x></IFRAME>",
                ">embed: player.example</a>",
            ),
            (
                "<embed src='https://player.example/x'>",
                ">embed: player.example</a>",
            ),
            (
                "<object data=\"https://player.example/x\"></object>",
                ">embed: player.example</a>",
            ),
        ] {
            let safe = safe(body, false);
            assert!(safe.contains(shows), "{body}\n{safe}");
        }
    }

    /// Nothing of these is left in any case, spelled with or without pictures.
    #[test]
    fn nothing_in_a_body_acts() {
        let vectors = [
            "<script>alert(1)</script>",
            "<SCRIPT SRC=https://evil.example/x.js></SCRIPT>",
            "<scr<script>ipt>alert(1)</scr</script>ipt>",
            "<img src=x onerror=alert(1)>",
            "<img src=\"https://evil.example/x.png\" onload=alert(1) srcset=\"https://evil.example/2 2x\">",
            "<img src=\"javascript:alert(1)\">",
            "<img src=\"data:text/html;base64,PHNjcmlwdD4=\">",
            "<svg onload=alert(1)><animate onbegin=alert(1)></svg>",
            "<svg><style><img src=x onerror=alert(1)></style></svg>",
            "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
            "<style>body{background:url(https://evil.example/x)}</style>",
            "<p style=\"background:url(https://evil.example/x)\">text</p>",
            "<link rel=stylesheet href=https://evil.example/x.css>",
            "<meta http-equiv=refresh content=\"0;url=https://evil.example\">",
            "<base href=https://evil.example/>",
            "<form action=https://evil.example><input name=a><button>Approve</button></form>",
            "<textarea></textarea><select><option>a</select>",
            "<iframe src=\"javascript:alert(1)\"></iframe>",
            "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
            "<iframe src=\"https://evil.example/&quot;><script>alert(1)</script>\"></iframe>",
            "<iframe src='https://evil.example/\"onmouseover=\"alert(1)'></iframe>",
            "<object data=\"data:text/html,<script>alert(1)</script>\"></object>",
            "<embed src=javascript:alert(1)>",
            "<a href=\"javascript:alert(1)\">a</a>",
            "<a href=\"JaVaScRiPt:alert(1)\">a</a>",
            "<a href=\"java\tscript:alert(1)\">a</a>",
            "<a href=\" &#14; javascript:alert(1)\">a</a>",
            "<a href=\"vbscript:x\">a</a><a href=\"data:text/html,x\">a</a>",
            "[a](javascript:alert(1))",
            "[a](<java\u{1}script:alert(1)>)",
            "![a](javascript:alert(1))",
            "![a](data:image/svg+xml,x)",
            "<a href=\"/sign-out\" onclick=alert(1)>a</a>",
            "<div id=csrf class=primary>a</div>",
            "<video src=https://evil.example/v autoplay onplay=alert(1)></video>",
            "<audio src=https://evil.example/v autoplay></audio>",
            "<picture><source srcset=https://evil.example/v></picture>",
            "<body onload=alert(1)><html onload=alert(1)>",
            "<template><script>alert(1)</script></template>",
            "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
            "<xmp><img src=x onerror=alert(1)></xmp>",
            "<!--><script>alert(1)</script>-->",
            "<![CDATA[<script>alert(1)</script>]]>",
            "<a\u{0}href=x onmouseover=alert(1)>a</a>",
            "<img/src=x/onerror=alert(1)>",
            "</p><script>alert(1)</script>",
            "```html\n</code></pre><script>alert(1)</script>\n```",
        ];
        let tag = Regex::new(r"<(/?)([a-z0-9]+)([^>]*)>").unwrap();
        let known = [
            "p", "a", "b", "em", "strong", "pre", "code", "img", "div", "table", "tbody", "tr",
            "td", "span", "br",
        ];
        let values = Regex::new("=\"[^\"]*\"").unwrap();
        for vector in vectors {
            for with_pictures in [false, true] {
                let safe = safe(vector, with_pictures);
                for found in tag.captures_iter(&safe) {
                    let (name, attributes) = (&found[2], found[3].to_lowercase());
                    assert!(known.contains(&name), "{vector}\n{safe}");
                    assert!(with_pictures || name != "img", "{vector}\n{safe}");
                    let attributes = values.replace_all(&attributes, "");
                    for attribute in attributes.split_whitespace() {
                        let plain = [
                            "href",
                            "rel",
                            "target",
                            "src",
                            "alt",
                            "referrerpolicy",
                            "loading",
                            "title",
                            "class",
                        ];
                        assert!(
                            plain.contains(&attribute),
                            "{attribute} in {vector}\n{safe}"
                        );
                    }
                }
                for acts in ["javascript:", "data:", "vbscript:"] {
                    let quoted = format!("=\"{acts}");
                    assert!(!safe.to_lowercase().contains(&quoted), "{vector}\n{safe}");
                }
                assert!(!safe.contains("\"/sign-out"), "{safe}");
            }
        }
    }

    #[test]
    fn pictures_are_shown_where_they_may_be_and_over_tls() {
        let body = "![a sea](https://example.org/sea.png) <img src=http://example.org/land.png srcset=\"x 2x\">";
        assert!(!safe(body, false).contains("<img"));
        let with = safe(body, true);
        assert!(
            with.contains("src=\"https://example.org/sea.png\" alt=\"a sea\""),
            "{with}"
        );
        assert!(
            !with.contains("land.png") && !with.contains("srcset"),
            "{with}"
        );
    }

    #[test]
    fn what_would_cost_too_much_is_shown_as_it_is_written() {
        for (body, n) in [
            (">", 50_000),
            ("> ", 50_000),
            ("<div>", 20_000),
            ("1. ", 50_000),
            ("a\n", 200_000),
        ] {
            let safe = safe(&body.repeat(n), false);
            assert!(safe.starts_with("<pre>"), "{body}");
            assert!(safe.len() < 5 * LONGEST + 11);
        }
        for body in ["[", "*a_ ", "![](", "`", "&", "| a "] {
            // Costly only if it were quadratic.
            safe(&body.repeat(LONGEST / 4 / body.len()), false);
        }
        let plain = format!("> a\n\n{}\n\n* * *\n", "-".repeat(200));
        assert!(safe(&plain, false).contains("<blockquote>"));
    }
}
