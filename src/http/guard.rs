//! What a request must look like to be looked at, and what every answer carries.

use axum::extract::Request;
use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::{HeaderValue, Uri};
use axum::response::Response;
use std::net::{IpAddr, SocketAddr};
use url::{Position, Url};

/// The address of ours that a connection came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local(pub(super) SocketAddr);

/// Who is at the other end of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// A page may load our stylesheet, send our forms, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// A page that shows a picture of a story.
const POLICY_WITH_PICTURES: &str = "default-src 'none'; style-src 'self'; img-src https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page of the console: our script besides, which asks us and writes no text as markup, and the
/// frame in which a story's body stands.
const CONSOLE: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";
const CONSOLE_WITH_PICTURES: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; img-src https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// The body of a story, in a frame of our pages or by itself: nothing runs, nothing is sent, and
/// links open elsewhere.
const FRAME: &str = "sandbox allow-popups; default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";
const FRAME_WITH_PICTURES: &str = "sandbox allow-popups; default-src 'none'; style-src 'self'; img-src https:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// What every answer carries, unless it says otherwise itself.
const STRICT: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (HeaderName::from_static("x-robots-tag"), "noindex"),
];

/// Lets a page show pictures from the web.
pub(super) fn allow_pictures(answer: &mut Response) {
    let policy = HeaderValue::from_static(POLICY_WITH_PICTURES);
    answer
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
}

/// Lets a page of the console run its script.
pub(super) fn allow_console(answer: &mut Response, with_pictures: bool) {
    let policy = if with_pictures {
        CONSOLE_WITH_PICTURES
    } else {
        CONSOLE
    };
    let policy = HeaderValue::from_static(policy);
    answer
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
}

/// Lets our pages frame the body of a story, in which nothing acts.
pub(super) fn frame(answer: &mut Response, with_pictures: bool) {
    let policy = if with_pictures {
        FRAME_WITH_PICTURES
    } else {
        FRAME
    };
    let policy = HeaderValue::from_static(policy);
    answer
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
}

/// Lets the forms of a page be sent. Without a referrer browsers send them with `Origin: null`, and
/// over plain HTTP with nothing else that tells us from other pages. Others still learn nothing.
pub(super) fn allow_forms(answer: &mut Response) {
    let policy = HeaderValue::from_static("same-origin");
    answer.headers_mut().insert(header::REFERRER_POLICY, policy);
}

/// A request's path below the path of the public URL. Proxies may have taken that away already.
pub(super) fn below(base: &str, uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_prefix(base).filter(|_| !base.is_empty())?;
    path.starts_with('/').then(|| path.parse().ok())?
}

/// Where we are reached.
pub(super) struct Guard {
    url: Option<Url>,
}

impl Guard {
    pub(super) fn new(url: Option<&str>) -> Self {
        let url = url.and_then(|url| Url::parse(url).ok());
        Self { url }
    }

    /// The path of the public URL, without a slash at its end.
    pub(super) fn base(&self) -> String {
        let path = self.url.as_ref().map_or("", Url::path);
        path.trim_end_matches('/').to_owned()
    }

    /// Whether a request names us: by the public URL, by the address that it came to, or as
    /// `localhost`. A name of someone else that leads here must not make us answer.
    pub(super) fn is_ours(&self, request: &Request, local: SocketAddr) -> bool {
        let host = request.headers().get(header::HOST);
        let host = host.map(|host| host.to_str().unwrap_or_default());
        let named = request
            .uri()
            .authority()
            .map(|authority| authority.as_str());
        let mut names = host.into_iter().chain(named).peekable();
        names.peek().is_some() && names.all(|name| self.is_our_name(name, local))
    }

    fn is_our_name(&self, name: &str, local: SocketAddr) -> bool {
        let name = name.to_ascii_lowercase();
        let public = self.url.as_ref().is_some_and(|url| {
            let (host, port) = (
                &url[Position::BeforeHost..Position::AfterHost],
                url.port_or_known_default(),
            );
            let whole = format!("{host}:{}", port.unwrap_or_default());
            name == whole || (url.port().is_none() && name == host)
        });
        public || authorities(local).contains(&name)
    }

    /// Whether a request that acts comes from a page of ours, or from no browser.
    pub(super) fn is_same_origin(&self, headers: &HeaderMap, local: SocketAddr) -> bool {
        if let Some(site) = headers.get("sec-fetch-site") {
            return site == "same-origin";
        }
        let Some(origin) = headers.get(header::ORIGIN) else {
            return true;
        };
        let public = self
            .url
            .as_ref()
            .map(|url| url.origin().ascii_serialization());
        let own = authorities(local).map(|name| format!("http://{name}"));
        own.iter().chain(&public).any(|own| origin == own.as_str())
    }

    /// Adds what every answer carries.
    pub(super) fn finish(&self, mut answer: Response) -> Response {
        let headers = answer.headers_mut();
        for (name, value) in STRICT {
            headers
                .entry(name)
                .or_insert(HeaderValue::from_static(value));
        }
        if self.url.as_ref().is_some_and(|url| url.scheme() == "https") {
            let year = HeaderValue::from_static("max-age=31536000");
            headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
        }
        answer
    }
}

/// How an address of ours is named.
fn authorities(local: SocketAddr) -> [String; 2] {
    // A socket for both families names a caller of the older one in the newer.
    let local = SocketAddr::new(local.ip().to_canonical(), local.port());
    [local.to_string(), format!("localhost:{}", local.port())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    const LOCAL: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8420);

    #[test]
    fn only_our_own_names_are_answered() {
        let guard = Guard::new(Some("https://desk.example.org/copy"));
        for (uri, host, ours) in [
            ("/", Some("desk.example.org"), true),
            ("/", Some("Desk.Example.org:443"), true),
            ("/", Some("127.0.0.1:8420"), true),
            ("/", Some("localhost:8420"), true),
            ("http://localhost:8420/", Some("localhost:8420"), true),
            ("/", None, false),
            ("/", Some(""), false),
            ("/", Some("evil.example.org"), false),
            ("/", Some("desk.example.org.evil.example"), false),
            ("/", Some("desk.example.org:80"), false),
            ("/", Some("localhost"), false),
            ("http://evil.example.org/", Some("localhost:8420"), false),
        ] {
            let request = Request::builder().uri(uri);
            let request = match host {
                Some(host) => request.header("host", host),
                None => request,
            };
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(guard.is_ours(&request, LOCAL), ours, "{uri} {host:?}");
        }
        let elsewhere = Guard::new(Some("http://desk.example.org:8080"));
        assert!(elsewhere.is_our_name("desk.example.org:8080", LOCAL));
        assert!(!elsewhere.is_our_name("desk.example.org", LOCAL));
    }

    #[test]
    fn what_acts_comes_from_our_own_pages_or_no_browser() {
        let guard = Guard::new(Some("https://desk.example.org/copy"));
        for (headers, same) in [
            (&[][..], true),
            (
                &[("sec-fetch-site", "same-origin"), ("origin", "null")],
                true,
            ),
            (&[("sec-fetch-site", "same-site")], false),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://desk.example.org"),
                ],
                false,
            ),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "https://desk.example.org")], true),
            (&[("origin", "http://localhost:8420")], true),
            (&[("origin", "http://127.0.0.1:8420")], true),
            (&[("origin", "http://desk.example.org")], false),
            (&[("origin", "https://evil.example.org")], false),
            (&[("origin", "null")], false),
        ] {
            let map = headers.iter().map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            assert_eq!(
                guard.is_same_origin(&map.collect(), LOCAL),
                same,
                "{headers:?}"
            );
        }
    }

    #[test]
    fn the_path_of_the_public_url_is_taken_away_if_it_is_there() {
        let path = |base, path: &'static str| {
            below(base, &Uri::from_static(path)).map(|uri| uri.to_string())
        };
        assert_eq!(path("/copy", "/copy/d/x"), Some("/d/x".into()));
        for (base, unchanged) in [
            ("/copy", "/d/x"),
            ("/copy", "/copydesk"),
            ("/copy", "/copy"),
            ("", "/d/x"),
        ] {
            assert_eq!(path(base, unchanged), None, "{unchanged}");
        }
        assert_eq!(
            Guard::new(Some("https://desk.example.org/copy/")).base(),
            "/copy"
        );
        assert_eq!(Guard::new(None).base(), "");
    }
}
