//! The way to the service: its socket in the data directory, or `--server`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::Global;
use super::exit::{self, Failure};
use super::find;
use crate::shell::http;
use crate::shell::store::{OpenError, in_use};
use crate::shell::view::ErrorView;

/// Longest wait for an answer; a long poll of the service ends sooner.
const PATIENCE: Duration = Duration::from_secs(60);
/// Address of the service behind its socket.
const LOCAL: &str = "http://localhost";

/// A client.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    place: Place,
}

/// Where the service is looked for, for sentences.
enum Place {
    Socket { socket: PathBuf, config: PathBuf },
    Server(String),
}

impl Client {
    /// A client for the service that the options name.
    ///
    /// # Errors
    /// When they name none, or an address that is none.
    pub fn of(global: &Global) -> Result<Self, Failure> {
        let builder = |base: &str| http::builder(base).no_proxy();
        if let Some(server) = &global.server {
            let base = server.trim_end_matches('/').to_owned();
            if !base.starts_with("http://") && !base.starts_with("https://") {
                return Err(Failure::usage(format!("--server {server:?} is no address")).help("as in --server http://127.0.0.1:8500"));
            }
            let http = build(builder(&base))?;
            let token = std::env::var("SIGNALBOX_TOKEN").ok().filter(|t| !t.is_empty());
            return Ok(Self {
                http,
                base: base.clone(),
                token,
                place: Place::Server(base),
            });
        }
        let config = find::configuration(global)?;
        let socket = find::socket(&config)?;
        let http = build(builder(LOCAL).unix_socket(socket.clone()))?;
        Ok(Self {
            http,
            base: LOCAL.to_owned(),
            token: None,
            place: Place::Socket { socket, config },
        })
    }

    /// Reads `path`.
    ///
    /// # Errors
    /// As the service answers, or when it does not.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.send::<(), T>(Method::GET, path, None, PATIENCE).await
    }

    /// Asks for an act.
    ///
    /// # Errors
    /// As the service answers, or when it does not.
    pub async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Failure> {
        self.send(Method::POST, path, Some(body), PATIENCE).await
    }

    /// Asks for an act that may take as long as this.
    ///
    /// # Errors
    /// As the service answers, or when it does not.
    pub async fn post_within<B: Serialize, T: DeserializeOwned>(&self, patience: Duration, path: &str, body: &B) -> Result<T, Failure> {
        self.send(Method::POST, path, Some(body), patience).await
    }

    async fn send<B, T>(&self, method: Method, path: &str, body: Option<&B>, patience: Duration) -> Result<T, Failure>
    where
        B: Serialize,
        T: DeserializeOwned,
    {
        let acting = method != Method::GET;
        let mut request = self.http.request(method, format!("{}{path}", self.base)).timeout(patience);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|e| self.unreachable(e, acting, patience))?;
        let status = answer.status();
        if let Some(to) = answer.headers().get(LOCATION).filter(|_| status.is_redirection()) {
            let to = to.to_str().unwrap_or("elsewhere").to_owned();
            return Err(Failure::other(format!("{} sends on to {to}: nothing was done there", self.base))
                .help("the token goes to the named address only: give the one that answers itself in --server"));
        }
        let bytes = answer.bytes().await.map_err(|e| self.unreachable(e, acting, patience))?;
        if !status.is_success() {
            return Err(refusal(status, &bytes));
        }
        serde_json::from_slice(&bytes).map_err(|e| {
            Failure::other(format!("the service's answer is not understood: {e}"))
                .help("are the service and this command of the same version?")
        })
    }

    fn unreachable(&self, e: reqwest::Error, acting: bool, patience: Duration) -> Failure {
        if e.is_timeout() {
            return Failure {
                code: exit::NO_SERVICE,
                ..Failure::other(format!("the service does not answer within {} s", patience.as_secs()))
            };
        }
        let e = e.without_url();
        let need = if acting {
            "this command needs the running service: nothing was done"
        } else {
            "the service is not running"
        };
        match &self.place {
            Place::Socket { socket, .. } if let Some(process) = shut_out(socket) => Failure {
                code: exit::NO_SERVICE,
                error: format!(
                    "the service runs (process {process}), but its socket {} was removed: nobody can ask it anything",
                    socket.display()
                ),
                help: Some(format!(
                    "start it again: kill {process}, then signalbox serve; agents at work stay at work and are taken up"
                )),
            },
            Place::Socket { socket, config } => Failure {
                code: exit::NO_SERVICE,
                error: format!("{need} (nobody answers at {})", socket.display()),
                help: Some(format!("start it: signalbox serve --config {}", config.display())),
            },
            Place::Server(server) => Failure {
                code: exit::NO_SERVICE,
                error: format!("no service answers at {server}: {}", cause(&e)),
                help: Some("is the address right, and does the service listen there?".to_owned()),
            },
        }
    }
}

/// The service that works beside a socket that is not there.
fn shut_out(socket: &Path) -> Option<u32> {
    match in_use(socket.parent()?) {
        Some(OpenError::Locked { pid, .. }) if socket.symlink_metadata().is_err() => pid,
        _ => None,
    }
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, Failure> {
    builder
        .build()
        .map_err(|e| Failure::other(format!("no client can be made: {}", cause(&e))))
}

/// The innermost reason: the outer ones only say that something failed.
fn cause(e: &dyn std::error::Error) -> String {
    let mut last = e;
    while let Some(inner) = last.source() {
        last = inner;
    }
    last.to_string()
}

/// What the service said when it did not do as it was asked.
fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let code = match status.as_u16() {
        401 | 403 | 409 => exit::REFUSED,
        404 => exit::NOT_FOUND,
        422 => exit::INVALID,
        _ => exit::FAILURE,
    };
    match serde_json::from_slice::<ErrorView>(body) {
        Ok(view) => Failure {
            code,
            error: view.error,
            help: view.help,
        },
        Err(_) => Failure {
            code,
            ..Failure::other(format!("the service answers {status}"))
        },
    }
}

/// A part of a path: `#`, `~` and `/` in names must not change what is asked for.
#[must_use]
pub fn part(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_paths_are_escaped() {
        assert_eq!(part("ORCH-001~1"), "ORCH-001~1");
        assert_eq!(part("#7"), "%237");
        assert_eq!(part("shop#3/../ä"), "shop%233%2F..%2F%C3%A4");
    }

    #[test]
    fn a_service_that_is_down_is_told_with_the_command_that_starts_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("signalbox.toml"), "").unwrap();
        let client = Client::of(&Global {
            dir: Some(dir.path().to_owned()),
            ..Global::default()
        })
        .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let reading = runtime.block_on(client.get::<serde_json::Value>("/status")).unwrap_err();
        assert_eq!(reading.code, exit::NO_SERVICE);
        assert!(reading.help.unwrap().contains("signalbox serve --config"));
        let acting = runtime
            .block_on(client.post::<_, serde_json::Value>("/api/tasks", &()))
            .unwrap_err();
        assert!(acting.error.contains("needs the running service"), "{}", acting.error);
    }

    #[test]
    fn nobody_is_followed_elsewhere() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", server.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut asked = [0; 1024];
            let _ = std::io::Read::read(&mut stream, &mut asked);
            let answer = b"HTTP/1.1 308 Permanent Redirect\r\nLocation: https://box.example/\r\nContent-Length: 0\r\n\r\n";
            std::io::Write::write_all(&mut stream, answer).unwrap();
        });
        let global = Global {
            server: Some(base),
            ..Global::default()
        };
        let client = Client::of(&global).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sent_on = runtime.block_on(client.get::<serde_json::Value>("/status")).unwrap_err();
        answering.join().unwrap();
        assert!(sent_on.error.contains("sends on to https://box.example/"), "{}", sent_on.error);
        assert!(sent_on.help.unwrap().contains("--server"));
    }

    #[test]
    fn a_refusal_keeps_the_services_words() {
        let body = br#"{"error":"no","help":"ask","code":"conflict"}"#;
        assert_eq!(
            refusal(StatusCode::CONFLICT, body),
            Failure {
                code: exit::REFUSED,
                error: "no".into(),
                help: Some("ask".into())
            }
        );
        assert_eq!(refusal(StatusCode::NOT_FOUND, b"<html>").code, exit::NOT_FOUND);
    }
}
