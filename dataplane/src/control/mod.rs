//! The control socket: answers the frames of `snapshot::handover::frames` on a unix socket.
//!
//! It is local and takes no zone data. Only this process's user and root may ask (SO_PEERCRED), every client has little
//! time and there are few at once. Invariant: the socket's path is removed on exit only if it is still ours.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use snapshot::handover::frames::{Reply, Request, read_frame, write_frame};

pub(crate) mod predecessor;
mod rights;

/// Clients at once; more are turned away.
const CLIENTS_MAX: usize = 16;
/// How long a client may take to send or to read a frame. It covers silence between requests too.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Tells apart the temporary names of one process.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// What answers requests.
pub(crate) trait Desk: Send + Sync + 'static {
    /// The reply to one request.
    fn reply(&self, request: Request) -> Reply;

    /// The TCP listeners for a successor that was told [`Reply::Retiring`], and the word to begin retiring.
    fn hand_over(&self) -> Vec<std::net::TcpListener>;

    /// Called when the successor has them, or is gone.
    fn retire(&self);
}

/// A bound control socket.
pub(crate) struct Control {
    /// The socket.
    listener: UnixListener,
    /// The path that clients know.
    path: PathBuf,
    /// The name under which it was bound.
    temporary: PathBuf,
    /// Device and inode of the socket file.
    identity: (u64, u64),
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// Another process answers there.
    #[error("control socket {path}: another process answers there")]
    Busy {
        /// The path.
        path: PathBuf,
    },
    /// A file that is no socket is in the way.
    #[error("control socket {path}: there is a file that is no socket")]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// Anything else.
    #[error("control socket {path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What to do if somebody answers on the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Fail.
    IfFree,
    /// Take it: the one who answers is our predecessor and knows.
    Replace,
}

impl Control {
    /// Binds a socket of mode 0600 beside `path`; clients find it after [`Control::publish`].
    ///
    /// # Errors
    /// [`ControlError`].
    pub(crate) fn bind(path: &Path, claim: Claim) -> Result<Control, ControlError> {
        let fail = |source| ControlError::Io { path: path.to_owned(), source };
        match fs::symlink_metadata(path) {
            Ok(there) if there.file_type().is_socket() => {
                if claim == Claim::IfFree && UnixStream::connect(path).is_ok() {
                    return Err(ControlError::Busy { path: path.to_owned() });
                }
            }
            Ok(_) => return Err(ControlError::NoSocket { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail(error)),
        }
        let mut temporary = path.as_os_str().to_owned();
        // Two successors of one process must not meet here, and in tests they share one process id.
        temporary.push(format!(".{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        let temporary = PathBuf::from(temporary);
        if let Err(error) = fs::remove_file(&temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(fail(error));
        }
        let listener = UnixListener::bind(&temporary).map_err(fail)?;
        fs::set_permissions(&temporary, Permissions::from_mode(0o600)).map_err(fail)?;
        let made = fs::symlink_metadata(&temporary).map_err(fail)?;
        Ok(Control { listener, path: path.to_owned(), temporary, identity: (made.dev(), made.ino()) })
    }

    /// Renames the socket over its path, so that there always is one that answers and never one with a wrong mode. A
    /// stale file, or that of a predecessor, is replaced.
    ///
    /// # Errors
    /// [`ControlError::Io`].
    pub(crate) fn publish(&self) -> Result<(), ControlError> {
        fs::rename(&self.temporary, &self.path).map_err(|source| ControlError::Io { path: self.path.clone(), source })
    }

    /// Gives the socket file to the user who will serve it.
    ///
    /// # Errors
    /// Those of chown(2).
    pub(crate) fn give_to(&self, uid: u32, gid: u32) -> io::Result<()> {
        std::os::unix::fs::lchown(&self.temporary, Some(uid), Some(gid))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets go of the path without removing it: it belongs to a successor.
    pub(crate) fn leave(mut self) {
        self.identity = (0, 0);
    }

    /// Serves clients on threads of their own, as long as the process lives.
    ///
    /// # Errors
    /// If the thread cannot start.
    pub(crate) fn serve(&self, desk: Arc<dyn Desk>) -> io::Result<()> {
        let listener = self.listener.try_clone()?;
        thread::Builder::new().name("control".into()).spawn(move || accept(&listener, &desk))?;
        Ok(())
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        for path in [&self.temporary, &self.path] {
            let ours = fs::symlink_metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == self.identity);
            if ours && let Err(error) = fs::remove_file(path) {
                tracing::warn!(%error, "control socket {} stays behind", path.display());
            }
        }
    }
}

/// Accepts clients for ever.
fn accept(listener: &UnixListener, desk: &Arc<dyn Desk>) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        match listener.accept() {
            Ok((client, _)) => admit(client, desk, &open),
            // Descriptors ran out; clients wait in the backlog meanwhile.
            Err(error) => {
                tracing::warn!(%error, "control socket: {error}");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// Starts to serve a client, if it may ask and there is room.
fn admit(client: UnixStream, desk: &Arc<dyn Desk>, open: &Arc<AtomicUsize>) {
    if let Err(error) = check_peer(&client) {
        tracing::warn!("control socket: {error}");
        return;
    }
    if open.fetch_add(1, Ordering::AcqRel) >= CLIENTS_MAX {
        open.fetch_sub(1, Ordering::AcqRel);
        tracing::warn!("control socket: more than {CLIENTS_MAX} clients");
        return;
    }
    let (desk, open_too) = (Arc::clone(desk), Arc::clone(open));
    let started = thread::Builder::new().name("control-client".into()).spawn(move || {
        if let Err(error) = converse(&client, desk.as_ref()) {
            tracing::debug!(%error, "control client: {error}");
        }
        open_too.fetch_sub(1, Ordering::AcqRel);
    });
    if started.is_err() {
        open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Lets in this process's user and root.
fn check_peer(client: &UnixStream) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(client)?;
    if peer.uid.is_root() || peer.uid == rustix::process::geteuid() {
        return Ok(());
    }
    let message = format!("user {} may not ask", peer.uid.as_raw());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// Answers requests until the client closes, is silent too long, or sends what is no frame.
fn converse(client: &UnixStream, desk: &dyn Desk) -> io::Result<()> {
    client.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    client.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let mut stream = client;
    while let Some(request) = read_frame::<Request>(&mut stream)? {
        let reply = desk.reply(request);
        write_frame(&mut stream, &reply)?;
        if reply == Reply::Retiring {
            // Whether or not the client takes them: our own are closed right after.
            let sent = rights::send(client, &desk.hand_over());
            desk.retire();
            return sent;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
