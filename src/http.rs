//! The desk as browsers and programs see it: the pages behind the links of mails, the API, and what
//! watches the service.
//!
//! Requests are taken here and answered by the core on threads that may block, a few at a time
//! (`work`). A GET reads by a connection that SQLite lets change nothing. What a link may do is for
//! `links`; what a request must look like, and what every answer carries, for `guard`.

mod acts;
mod api;
mod body;
mod broken;
mod changes;
mod chart;
mod decide;
mod desk;
mod guard;
mod health;
mod history;
mod item;
mod limits;
mod links;
mod live;
mod mails;
mod metrics;
mod page;
mod pour;
mod queue;
mod rules;
mod sign_in;
mod status;
mod story;
mod tokens;
mod traffic;
mod view;
mod visitor;
mod work;

pub use sign_in::link as sign_in_link;

use crate::http::api::Problem;
use crate::http::guard::{Guard, Local, Peer};
use crate::http::limits::{Caller, Limits};
use crate::http::live::Live;
use crate::http::page::Note;
use crate::http::traffic::{Line, Named, Traffic};
use crate::http::work::Work;
use crate::notify::NotifyError;
use crate::notify::outbox::Outbox;
use crate::rules::RuleSet;
use crate::store::StoreError;
use crate::token::KeyError;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Connections at once; more wait.
const CONNECTIONS: usize = 256;
/// The longest that the head of a request, and then its body, may take to come.
const COMES: Duration = Duration::from_secs(10);
/// The longest that a request may take.
const TAKES: Duration = Duration::from_secs(30);
/// A connection is closed after this long; browsers open another.
const LIVES: Duration = Duration::from_secs(120);
/// The most that the body of a request may hold.
const BODY: usize = 64 << 10;
/// Headers, and all their bytes, of a request that is answered by a page. Past the double it is cut.
const HEADERS: (usize, usize) = (64, 16 << 10);

/// The rule set in force, asked for again with each request.
pub type Rules = Arc<dyn Fn() -> Arc<RuleSet> + Send + Sync>;

/// How long ago each loop of the service was last heard of.
pub type Loops = Arc<dyn Fn() -> Vec<(&'static str, Duration)> + Send + Sync>;

/// What the pages are of.
pub struct Settings {
    /// The database.
    pub database: PathBuf,
    /// The folder of the keys that sign links.
    pub state: PathBuf,
    /// The address that links lead to, without a slash at its end.
    pub url: Option<String>,
    /// The rules.
    pub rules: Rules,
    /// Where links to sign in are mailed.
    pub outbox: Outbox,
    /// Who may say in a header who is signed in, and in which.
    pub proxies: (Vec<IpAddr>, String),
    /// The loops of the service.
    pub loops: Loops,
}

/// An address that is listened on.
#[derive(Debug)]
pub struct Door {
    listener: std::net::TcpListener,
    /// The address, with the port that was found if none was asked for.
    pub address: SocketAddr,
}

impl Door {
    /// Listens on an address; port 0 is any that is free.
    ///
    /// # Errors
    /// [`HttpError::Listen`].
    pub fn open(address: SocketAddr) -> Result<Self, HttpError> {
        let open = || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        open().map_err(|error| HttpError::Listen { address, error })
    }
}

/// What answers requests.
struct Site {
    work: Arc<Work>,
    live: Arc<Live>,
    state: PathBuf,
    url: Option<String>,
    /// What stands before every path of ours: the path of the public URL.
    base: String,
    rules: Rules,
    guard: Guard,
    traffic: Traffic,
    limits: Limits,
    /// What describes the API, once it was asked for.
    document: OnceLock<String>,
    loops: Loops,
    outbox: Outbox,
    proxies: Vec<IpAddr>,
    proxy_header: String,
    /// What the forms of sessions are told by, as long as the service runs.
    secret: [u8; 32],
}

type Shared = State<Arc<Site>>;

impl Site {
    fn new(settings: Settings, stop: watch::Receiver<bool>) -> std::io::Result<Self> {
        let guard = Guard::new(settings.url.as_deref());
        let (proxies, proxy_header) = settings.proxies;
        let secret = *blake3::hash(crate::token::unguessable()?.as_bytes()).as_bytes();
        let work = Arc::new(Work::new(settings.database));
        Ok(Self {
            live: Live::new(Arc::clone(&work), stop),
            work,
            state: settings.state,
            base: guard.base(),
            url: settings.url,
            rules: settings.rules,
            guard,
            traffic: Traffic::default(),
            limits: Limits::default(),
            document: OnceLock::new(),
            loops: settings.loops,
            outbox: settings.outbox,
            proxies,
            proxy_header,
            secret,
        })
    }

    /// The answer, or the page that says why there is none.
    fn answer(&self, done: Result<Response, HttpError>) -> Response {
        done.unwrap_or_else(|error| {
            let note = match error {
                HttpError::Note(note) => *note,
                HttpError::Refused(why) => {
                    tracing::info!("A link was refused: {why}");
                    Note::refused()
                }
                error => {
                    tracing::error!("A page could not be made: {error}");
                    Note::failed()
                }
            };
            note.show(&self.base)
        })
    }
}

/// Answers until it is told to stop; what is being answered then is ended first.
///
/// # Errors
/// When the system does not let it begin.
pub async fn serve(
    door: Door,
    settings: Settings,
    stop: watch::Receiver<bool>,
) -> Result<(), HttpError> {
    let address = door.address;
    let failed = |error| HttpError::Listen { address, error };
    let listener = TcpListener::from_std(door.listener).map_err(failed)?;
    let site = Arc::new(Site::new(settings, stop.clone()).map_err(failed)?);
    let router = router(&site);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = told(stop.clone()) => break,
        };
        while open.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let talk = talk(stream, router.clone(), Arc::clone(&site), stop.clone());
                open.spawn(async move {
                    talk.await;
                    drop(place);
                });
            }
            // No file is free, say: that passes.
            Err(error) => {
                tracing::warn!("A connection could not be taken: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
    Ok(())
}

/// Waits until it is told to stop, or nobody can tell any more.
async fn told(mut stop: watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// Answers what comes by one connection.
async fn talk(stream: TcpStream, router: Router, site: Arc<Site>, stop: watch::Receiver<bool>) {
    let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else {
        return;
    };
    let peer = Peer(peer.ip().to_canonical());
    let answers = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Local(local));
        request.extensions_mut().insert(peer);
        if let Some(uri) = guard::below(&site.base, request.uri()) {
            *request.uri_mut() = uri;
        }
        answers.call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(COMES)
        .max_headers(2 * HEADERS.0)
        .max_buf_size(2 * HEADERS.1);
    let talk = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(talk);
    tokio::select! {
        // That someone hung up is nobody's fault.
        _ = talk.as_mut() => return,
        () = told(stop) => {}
        () = sleep(LIVES) => {}
    }
    talk.as_mut().graceful_shutdown();
    drop(timeout(TAKES, talk).await);
}

fn router(site: &Arc<Site>) -> Router {
    Router::new()
        .route("/d/{token}", get(decide::look).post(decide::act))
        .route("/mails/{token}", get(mails::look).post(mails::act))
        .route("/unsubscribe/{token}", get(mails::ask).post(mails::stop))
        .merge(page::assets())
        .merge(sign_in::routes())
        .merge(desk::routes())
        .merge(api::routes())
        .merge(broken::routes())
        .merge(history::routes())
        .merge(rules::routes())
        .merge(status::routes())
        .merge(tokens::routes())
        .merge(queue::routes())
        .merge(item::routes())
        .route("/healthz", get(health::lives))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(site), around))
        .with_state(Arc::clone(site))
}

async fn unknown(State(site): Shared, uri: Uri) -> Response {
    let note = if api::is_of(uri.path()) {
        Note::unknown_endpoint()
    } else {
        Note::unknown()
    };
    site.refuse(note, uri.path())
}

async fn wrong_method(State(site): Shared, uri: Uri) -> Response {
    site.refuse(Note::wrong_method(), uri.path())
}

/// What every request passes on its way in, and every answer on its way out.
async fn around(State(site): Shared, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("other", MatchedPath::as_str).to_owned();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let peer = site.client(request.headers(), request.extensions());
    let answer = match site.refusal(&request, &route, peer) {
        Some(note) => site.refuse(note, &path),
        None => match timeout(TAKES, next.run(request)).await {
            Ok(answer) => answer,
            Err(_) => site.refuse(Note::too_long(), &path),
        },
    };
    let answer = site.guard.finish(answer);
    let line = Line {
        method: &method,
        route: &route,
        peer,
        who: answer.extensions().get::<Named>().map(|named| &*named.0),
    };
    site.traffic.note(&line, answer.status(), begun.elapsed());
    answer
}

impl Site {
    /// Says to people, or to programs, why something was not done.
    fn refuse(&self, note: Note, path: &str) -> Response {
        if api::is_of(path) {
            return Problem::from(note).into_response();
        }
        note.show(&self.base)
    }

    /// Why a request is not looked at.
    fn refusal(&self, request: &Request, route: &str, peer: Option<IpAddr>) -> Option<Note> {
        let headers = request.headers();
        let bytes: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if headers.len() > HEADERS.0 || bytes > HEADERS.1 {
            return Some(Note::many_headers());
        }
        let local = request.extensions().get::<Local>().map(|local| local.0);
        let Some(local) = local.filter(|local| self.guard.is_ours(request, *local)) else {
            return Some(Note::misdirected());
        };
        let acts = !matches!(
            *request.method(),
            Method::GET | Method::HEAD | Method::OPTIONS
        );
        // One click in a mail program is a request from elsewhere, and all that it does is to stop
        // the mails of whom the token names (RFC 8058).
        let from_anywhere = route == "/unsubscribe/{token}";
        if acts && !from_anywhere && !self.guard.is_same_origin(headers, local) {
            return Some(Note::elsewhere());
        }
        let asks_for_link = route == "/sign-in" && request.method() == Method::POST;
        let caller = peer.filter(|_| asks_for_link).map(Caller::sign_in);
        let taken = caller.map(|caller| self.limits.take(caller, Timestamp::now()));
        taken?.err().map(Note::too_often)
    }
}

/// The body of a request, or the page that says why it is not taken.
async fn body(headers: &HeaderMap, body: Body) -> Result<Bytes, Note> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > BODY) {
        return Err(Note::large_body());
    }
    match timeout(COMES, to_bytes(body, BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Note::large_body()),
        Err(_) => Err(Note::slow_body()),
    }
}

impl From<Note> for HttpError {
    fn from(note: Note) -> Self {
        Self::Note(Box::new(note))
    }
}

/// A page of text for machines.
fn plain(status: StatusCode, kind: &'static str, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Why a page was not made, or nothing is listened on.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be listened on.
    #[error(
        "copydesk cannot listen on {address}: {error}; set COPYDESK_LISTEN (or --listen) to another address and port, or to `off`"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The link does not hold.
    #[error(transparent)]
    Refused(#[from] links::Refused),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A page that says so.
    #[error("{}", .0.title)]
    #[expect(
        private_interfaces,
        reason = "how pages look is a matter of this module"
    )]
    Note(Box<Note>),
    /// A problem that says so.
    #[error("a problem")]
    #[expect(
        private_interfaces,
        reason = "how programs are told is a matter of this module"
    )]
    Problem(Box<Problem>),
    /// A mail was not sent.
    #[error(transparent)]
    Mail(#[from] NotifyError),
    /// There are no keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A template failed.
    #[error(transparent)]
    Page(#[from] askama::Error),
    /// The work panicked.
    #[error("the work ended: {0}")]
    Ended(String),
}
