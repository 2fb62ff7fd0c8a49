//! Binding: the address, and the socket that only its owner may open.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::ServeError;

/// Listens on the address.
pub(super) async fn tcp(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|e| match e.kind() {
        ErrorKind::AddrInUse => ServeError::PortInUse { address },
        _ => ServeError::Address {
            address,
            why: e.to_string(),
        },
    })
}

/// Listens on the socket; the one of a service that is gone is replaced.
///
/// It is made under another name, closed to others, and only then given its own: nobody can open
/// it in between.
pub(super) async fn unix(path: &Path) -> Result<UnixListener, ServeError> {
    let failed = |why: String| ServeError::Socket {
        path: path.to_owned(),
        why,
    };
    match std::fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => return Err(failed("something else is there: move it away".to_owned())),
        Ok(_) if UnixStream::connect(path).await.is_ok() => return Err(ServeError::SocketInUse { path: path.to_owned() }),
        _ => {}
    }
    let fresh = path.with_extension(format!("sock.{}", std::process::id()));
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh).map_err(|e| {
        // The kernel holds such paths in 108 bytes; its own words do not say so.
        let long = fresh.as_os_str().len() >= 108;
        failed(if long {
            "its path is too long for a socket: name a data directory with a shorter path".to_owned()
        } else {
            e.to_string()
        })
    })?;
    let placed = std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600)).and_then(|()| std::fs::rename(&fresh, path));
    placed.map_err(|e| {
        let _ = std::fs::remove_file(&fresh);
        failed(e.to_string())
    })?;
    Ok(listener)
}

/// Removes the socket in the end.
pub(super) struct Remove(pub PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        // One that stays is replaced at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signalbox.sock");
        let first = unix(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(unix(&path).await, Err(ServeError::SocketInUse { .. })));
        drop(first);
        let second = unix(&path).await.unwrap();
        assert!(UnixStream::connect(&path).await.is_ok());
        drop(second);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(unix(&path).await, Err(ServeError::Socket { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let error = unix(&deep.join("signalbox.sock")).await.unwrap_err().to_string();
        assert!(error.contains("shorter path"), "{error}");
    }

    #[tokio::test]
    async fn a_port_in_use_is_said_to_be() {
        let held = tcp(([127, 0, 0, 1], 0).into()).await.unwrap();
        let error = tcp(held.local_addr().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("in use by another program"), "{error}");
    }
}
