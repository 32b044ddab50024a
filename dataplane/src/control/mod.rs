//! The control socket: answers the frames of `snapshot::handover::frames` on a unix socket.
//!
//! It is local and takes no zone data. This process's user and root may ask for anything (SO_PEERCRED); the members of
//! one group, if the operator names it, for all but to retire. Every client has little time and there are few at once.
//! Invariants: the socket listens only after its mode is set, so who is connected had the right to; its path is removed
//! on exit only if it is still ours.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use snapshot::handover::frames::{Reply, Request, read_frame, write_frame};

pub(crate) mod predecessor;
mod rights;

/// Clients at once; more are turned away.
const CLIENTS_MAX: usize = 16;
/// How long a client may take to send or to read a frame. It covers silence between requests too.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Clients that wait for accept(2).
const BACKLOG: i32 = 128;

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
    /// Who may ask.
    audience: Audience,
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
    /// The group cannot be given the socket.
    #[error("control socket {path}: group {gid} cannot be let in, because this process's user is no member: {source}")]
    Group {
        /// The path.
        path: PathBuf,
        /// The group.
        gid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// The socket could not be put in its place later on.
    #[error(
        "control socket {path}: user {uid} cannot create or replace files in its directory ({reason}); give the \
         directory to that user, or choose a path in one that it owns"
    )]
    Locked {
        /// The path.
        path: PathBuf,
        /// Who this process is.
        uid: u32,
        /// What is in the way.
        reason: String,
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

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The user of this process, and root.
    Owner,
    /// They, and the members of the group with this id, except for [`Request::Retire`].
    Group(u32),
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// The user of this process, or root.
    Owner,
    /// A member of the group.
    Member,
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
    /// Binds a socket of mode 0600, or 0660 for a group, beside `path`; clients find it after [`Control::publish`].
    ///
    /// # Errors
    /// [`ControlError`].
    pub(crate) fn bind(path: &Path, claim: Claim, audience: Audience) -> Result<Control, ControlError> {
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
        let listener = bind_mute(&temporary).map_err(fail)?;
        let made = fs::symlink_metadata(&temporary).map_err(fail)?;
        let identity = (made.dev(), made.ino());
        // From here on the file is removed if anything fails.
        let control = Control { listener, path: path.to_owned(), temporary, identity, audience };
        let mode = match audience {
            Audience::Owner => 0o600,
            Audience::Group(gid) => {
                let refused = |source| ControlError::Group { path: path.to_owned(), gid, source };
                std::os::unix::fs::lchown(&control.temporary, None, Some(gid)).map_err(refused)?;
                0o660
            }
        };
        fs::set_permissions(&control.temporary, Permissions::from_mode(mode)).map_err(fail)?;
        rustix::net::listen(&control.listener, BACKLOG).map_err(|errno| fail(errno.into()))?;
        Ok(control)
    }

    /// Makes sure that this user may put the socket in its place, before anything depends on it: with privileges given
    /// up, the directory may be closed to us by now.
    ///
    /// # Errors
    /// [`ControlError::Locked`].
    pub(crate) fn rehearse(&mut self) -> Result<(), ControlError> {
        let uid = rustix::process::geteuid().as_raw();
        let locked = |reason: String| ControlError::Locked { path: self.path.clone(), uid, reason };
        let mut moved = self.temporary.as_os_str().to_owned();
        moved.push("-");
        fs::rename(&self.temporary, &moved).map_err(|error| locked(error.to_string()))?;
        self.temporary = moved.into();
        let Ok(there) = fs::symlink_metadata(&self.path) else { return Ok(()) };
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let parent = fs::metadata(parent).map_err(|error| locked(error.to_string()))?;
        // A sticky directory lets only the owners of a file and of the directory replace the file (rename(2)).
        let ours = uid == 0 || there.uid() == uid || parent.uid() == uid;
        if parent.mode() & libc::S_ISVTX != 0 && !ours {
            return Err(locked(format!("it is sticky, and user {} owns the socket that is there", there.uid())));
        }
        Ok(())
    }

    /// Renames the socket over its path, so that there always is one that answers and never one with a wrong mode. A
    /// stale file, or that of a predecessor, is replaced.
    ///
    /// # Errors
    /// [`ControlError::Io`].
    pub(crate) fn publish(&self) -> Result<(), ControlError> {
        fs::rename(&self.temporary, &self.path).map_err(|source| ControlError::Io { path: self.path.clone(), source })
    }

    /// Gives the socket file to the user who will serve it, and to that user's group unless another may ask.
    ///
    /// # Errors
    /// Those of chown(2).
    pub(crate) fn give_to(&self, uid: u32, gid: u32) -> io::Result<()> {
        let gid = match self.audience {
            Audience::Owner => gid,
            Audience::Group(gid) => gid,
        };
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
        let (listener, audience) = (self.listener.try_clone()?, self.audience);
        thread::Builder::new().name("control".into()).spawn(move || accept(&listener, audience, &desk))?;
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

/// A socket that is bound and does not listen yet.
fn bind_mute(path: &Path) -> io::Result<UnixListener> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

/// Accepts clients for ever.
fn accept(listener: &UnixListener, audience: Audience, desk: &Arc<dyn Desk>) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        match listener.accept() {
            Ok((client, _)) => admit(client, audience, desk, &open),
            // Descriptors ran out; clients wait in the backlog meanwhile.
            Err(error) => {
                tracing::warn!(%error, "control socket: {error}");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// Starts to serve a client, if it may ask and there is room.
fn admit(client: UnixStream, audience: Audience, desk: &Arc<dyn Desk>, open: &Arc<AtomicUsize>) {
    let caller = match check_peer(&client, audience) {
        Ok(caller) => caller,
        Err(error) => return tracing::warn!("control socket: {error}"),
    };
    if open.fetch_add(1, Ordering::AcqRel) >= CLIENTS_MAX {
        open.fetch_sub(1, Ordering::AcqRel);
        tracing::warn!("control socket: more than {CLIENTS_MAX} clients");
        return;
    }
    let (desk, open_too) = (Arc::clone(desk), Arc::clone(open));
    let started = thread::Builder::new().name("control-client".into()).spawn(move || {
        if let Err(error) = converse(&client, caller, desk.as_ref()) {
            tracing::debug!(%error, "control client: {error}");
        }
        open_too.fetch_sub(1, Ordering::AcqRel);
    });
    if started.is_err() {
        open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Tells who asks. The kernel lets only those connect whom the mode of the socket file admits, so another user than ours
/// is a member of the group if there is one, by its first group or by another.
fn check_peer(client: &UnixStream, audience: Audience) -> io::Result<Caller> {
    let peer = rustix::net::sockopt::socket_peercred(client)?;
    if peer.uid.is_root() || peer.uid == rustix::process::geteuid() {
        return Ok(Caller::Owner);
    }
    match audience {
        Audience::Group(_) => Ok(Caller::Member),
        Audience::Owner => {
            let message = format!("user {} may not ask", peer.uid.as_raw());
            Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
        }
    }
}

/// Answers requests until the client closes, is silent too long, or sends what is no frame.
fn converse(client: &UnixStream, caller: Caller, desk: &dyn Desk) -> io::Result<()> {
    client.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    client.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let mut stream = client;
    while let Some(request) = read_frame::<Request>(&mut stream)? {
        let reply = match (caller, request) {
            // Who takes over gets the listeners, and answers in our place.
            (Caller::Member, Request::Retire) => {
                Reply::Error { message: "only the user of this process and root may take over".to_owned() }
            }
            (_, request) => desk.reply(request),
        };
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
