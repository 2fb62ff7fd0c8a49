//! Who asks, and whether they may.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, UnixListener};

use crate::engine::model::{Actor, Via};
use crate::engine::rules::Api;
use crate::shell::door::{Door, person};
use crate::shell::process::run_of;
use crate::shell::secret::Secret;

use super::ServeError;
use super::error::ApiError;
use super::router::Web;

/// The shortest token that is accepted: shorter ones can be guessed.
const SHORTEST: usize = 16;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Someone on this machine, through the socket.
    Socket {
        /// Their uid, as the kernel says; none when it does not.
        uid: Option<u32>,
        /// The process, as we see it; none when it is of no namespace of ours.
        pid: Option<i32>,
    },
    /// Someone at an address.
    Tcp(SocketAddr),
}

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self::Tcp(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let cred = stream.io().peer_cred().ok();
        Self::Socket {
            uid: cred.map(|cred| cred.uid()),
            pid: cred.and_then(|cred| cred.pid()).filter(|pid| *pid > 0),
        }
    }
}

/// The API token. It does not print.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token.
    ///
    /// # Errors
    /// When it is so short that it could be guessed.
    pub fn new(text: &str) -> Result<Self, ServeError> {
        let text = text.trim();
        if text.len() < SHORTEST {
            return Err(ServeError::Token(format!(
                "it has fewer than {SHORTEST} characters; `openssl rand -hex 32` makes a good one"
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether `given` is the token, in a time that does not tell how much of it is right.
    fn is(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The token that the configuration in the folder `dir` refers to.
pub(super) fn token(api: &Api, dir: &Path) -> Result<Option<Token>, ServeError> {
    let Some(from) = &api.token else { return Ok(None) };
    let read = Secret::read(from, dir);
    let secret = read.map_err(|why| ServeError::Token(format!("{why}; or take [api] token out of signalbox.toml")))?;
    Token::new(secret.reveal()).map(Some)
}

/// Lets in only who may read; whoever may act is asked for by [`Caller`].
pub(super) async fn gate(State(web): State<Web>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    let admitted = admit(&web, peer, request.method(), request.headers(), request.uri().host());
    match admitted.and_then(|caller| no_agent(&web, peer, request.method()).map(|()| caller)) {
        Ok(caller) => {
            let mut request = request;
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Someone who was let in.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub Actor);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| ApiError::unauthorized("nobody is known to be asking", "this is a defect"))
    }
}

fn admit(web: &Web, peer: Peer, method: &Method, headers: &HeaderMap, in_uri: Option<&str>) -> Result<Caller, ApiError> {
    let config = web.service.config();
    let people = &config.people;
    let address = match peer {
        Peer::Socket { uid: Some(uid), .. } => return Ok(Caller(person(people, Door::Socket { uid }))),
        Peer::Socket { uid: None, .. } => {
            return Err(ApiError::unauthorized(
                "the kernel does not say who asks",
                "use the HTTP address with a token",
            ));
        }
        Peer::Tcp(address) => address,
    };
    known_host(web, headers, in_uri)?;
    let given = headers.get(header::AUTHORIZATION).map(|value| value.to_str().ok().and_then(bearer));
    match (given, &web.token) {
        (Some(Some(given)), Some(token)) if token.is(given) => Ok(Caller(person(people, Door::Token))),
        (Some(_), Some(_)) => Err(ApiError::unauthorized(
            "the token is wrong",
            "send `Authorization: Bearer TOKEN` with the token of [api]",
        )),
        (_, None) if writes(method) => Err(ApiError::unauthorized(
            "acts are not open on this address: no token is configured",
            "use the signalbox command on the service's machine, or configure [api] token",
        )),
        (None, Some(_)) if writes(method) || !address.ip().to_canonical().is_loopback() => Err(ApiError::unauthorized(
            "this takes a token",
            "send `Authorization: Bearer TOKEN` with the token of [api]",
        )),
        (_, None) if !address.ip().to_canonical().is_loopback() => Err(ApiError::unauthorized(
            "without a token only this machine may read",
            "configure [api] token",
        )),
        _ => Ok(Caller(Actor::Person {
            name: "someone".to_owned(),
            via: Via::Api,
            roles: Vec::new(),
        })),
    }
}

/// Agents are under the service's own user and reach its socket: they may look. What people decide is not decided by the one
/// it is about, nor is more work given by whoever is paid for it.
fn no_agent(web: &Web, peer: Peer, method: &Method) -> Result<(), ApiError> {
    let Peer::Socket { pid: Some(pid), .. } = peer else { return Ok(()) };
    if !writes(method) {
        return Ok(());
    }
    match run_of(pid, &web.service.runs_dir()) {
        None => Ok(()),
        Some(run) => Err(ApiError::agent(&run)),
    }
}

fn writes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Refuses names that are not ours: a page of someone else whose name was made to point here
/// (DNS rebinding) must not read what loopback may.
fn known_host(web: &Web, headers: &HeaderMap, in_uri: Option<&str>) -> Result<(), ApiError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok().map(without_port),
        (None, _) => in_uri,
        _ => None,
    };
    let named = named.map(|n| n.trim_end_matches('.').to_ascii_lowercase()).unwrap_or_default();
    let config = web.service.config();
    let listen = config.listen.ip();
    let own = match listen {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let configured = config.api.hosts.iter().any(|h| without_port(h).eq_ignore_ascii_case(&named));
    if ["localhost", "127.0.0.1", "[::1]"].contains(&named.as_str()) || named == own || configured {
        return Ok(());
    }
    Err(ApiError::misdirected())
}

fn without_port(host: &str) -> &str {
    match host.rfind(']') {
        Some(end) => host.get(..=end).unwrap_or(host),
        None => host.split(':').next().unwrap_or(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_no_part_of_a_name() {
        assert_eq!(without_port("localhost:8500"), "localhost");
        assert_eq!(without_port("[::1]:8500"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
        assert_eq!(without_port(""), "");
    }

    #[test]
    fn tokens_are_compared_whole_and_do_not_print() {
        let token = Token::new(" 0123456789abcdef\n").unwrap();
        assert!(token.is("0123456789abcdef") && !token.is("0123456789abcdeF") && !token.is("0123456789abcde") && !token.is(""));
        assert!(!format!("{token:?}").contains("0123"));
        assert!(Token::new("short").is_err());
    }

    #[test]
    fn bearers() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }

    #[test]
    fn a_token_that_is_not_there_is_said_so() {
        use crate::engine::rules::Secret;

        let dir = tempfile::tempdir().unwrap();
        let read = |secret| {
            let api = Api {
                token: Some(secret),
                hosts: Vec::new(),
            };
            token(&api, dir.path())
        };
        let missing = read(Secret::Env("SIGNALBOX_NO_SUCH_VARIABLE".into())).unwrap_err().to_string();
        assert!(missing.contains("SIGNALBOX_NO_SUCH_VARIABLE"), "{missing}");
        // Relative to the folder of the configuration, wherever the service was started.
        assert!(read(Secret::File("token".into())).is_err());
        std::fs::write(dir.path().join("token"), "0123456789abcdef0123\n").unwrap();
        let read = read(Secret::File("token".into())).unwrap();
        assert!(read.is_some_and(|t| t.is("0123456789abcdef0123")));
    }
}
