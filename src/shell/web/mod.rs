//! HTTP: on a Unix socket for the command line, on TCP for pages and scripts.

mod auth;
mod error;
mod forge;
mod hook;
mod listen;
mod logs;
mod read;
mod reject;
mod reload;
mod router;
mod spending;
mod write;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use crate::shell::service::Service;

pub use auth::{Peer, Token};
pub use forge::FrozenView;
pub use router::{Web, router};

/// How long requests may go on after the end was announced.
const GRACE: Duration = Duration::from_secs(5);

/// Why nothing is served, in one sentence with its remedy.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Someone else listens there.
    #[error("{address} is in use by another program: end it, or set another `listen` in signalbox.toml")]
    PortInUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on ({why}): set another `listen` in signalbox.toml")]
    Address {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        why: String,
    },
    /// Everyone could reach it.
    #[error(
        "{address} can be reached from other machines and there is no token: set [api] token in signalbox.toml, or listen on 127.0.0.1"
    )]
    Open {
        /// The address.
        address: SocketAddr,
    },
    /// Another service answers on the socket.
    #[error("{} is in use by another signalbox: stop it first", path.display())]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error("the socket {} cannot be made: {why}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why, with the remedy where there is one.
        why: String,
    },
    /// The token is not to be had.
    #[error("the API token cannot be had: {0}")]
    Token(String),
    /// Serving ended by itself.
    #[error("serving ended: {0}")]
    Ended(String),
}

/// Both listeners, bound; nothing is answered yet.
pub struct Door {
    tcp: TcpListener,
    unix: UnixListener,
    token: Option<Token>,
    socket: listen::Remove,
}

/// Whether the address can be listened on: asked before anything is written.
///
/// # Errors
/// [`ServeError`], as [`bind`] would give it.
pub async fn free(address: SocketAddr) -> Result<(), ServeError> {
    listen::tcp(address).await.map(drop)
}

/// Binds the socket of the data directory and the configured address.
///
/// # Errors
/// [`ServeError`]; nothing is left behind.
pub async fn bind(service: &Service) -> Result<Door, ServeError> {
    let address = service.config().listen;
    let token = auth::token(&service.config().api, &service.dir)?;
    if !address.ip().is_loopback() && token.is_none() {
        return Err(ServeError::Open { address });
    }
    let path = service.data.join("signalbox.sock");
    let (tcp, unix) = (listen::tcp(address).await?, listen::unix(&path).await?);
    tracing::info!(%address, socket = %path.display(), "listening");
    Ok(Door {
        tcp,
        unix,
        token,
        socket: listen::Remove(path),
    })
}

impl Door {
    /// Serves until `stop` is cancelled.
    ///
    /// # Errors
    /// [`ServeError::Ended`] when serving ended by itself.
    pub async fn serve(self, service: Arc<Service>, stop: CancellationToken) -> Result<(), ServeError> {
        let Self { tcp, unix, token, socket } = self;
        let _remove = socket;
        let app = router(Web::new(service, token, stop.clone()));
        let app = app.into_make_service_with_connect_info::<Peer>();
        let on_tcp = axum::serve(tcp, app.clone()).with_graceful_shutdown(stop.clone().cancelled_owned());
        let on_unix = axum::serve(unix, app).with_graceful_shutdown(stop.clone().cancelled_owned());
        let both = async { tokio::try_join!(on_tcp.into_future(), on_unix.into_future()) };
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            ended = both => ended.map(|_| ()).map_err(|e| ServeError::Ended(e.to_string())),
            // Whoever is still being answered is cut off: nothing that was recorded is lost by it.
            () = late => Ok(()),
        }
    }
}
