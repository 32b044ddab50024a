//! Listeners and connections: TCP and the local socket.
//!
//! Invariants: every resource a peer can hold is bounded by [`Limits`], and a peer that is slow loses its connection. The
//! local socket is open to its own user only, and the kernel says who is at its other end (RFC 9112).

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use super::App;
use super::crowd::{Crowd, Place};
use super::framing::Strict;
use super::origin::Peer;
use super::route::LARGE_BODY_LEN_MAX;
use super::sending::Sending;
use super::server::Server;

/// The most header fields in a head.
const HEADER_COUNT_MAX: usize = 100;
/// How long accepting rests after an error such as too many open files.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How long a connection that gives way may take to finish.
const GIVE_WAY_TIME: Duration = Duration::from_millis(250);
/// What stands for the address of the local socket in URLs.
const LOCAL_HOST: &str = "localhost";

/// What a peer can make us hold or wait for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections a listener holds; for further ones those that are idle give way, and if none is, they wait.
    pub connection_count: u32,
    /// The longest request head in bytes.
    pub head_len: usize,
    /// How long a peer may take to send a head, also while a kept connection is idle, or a body that nobody wants.
    pub head_time: Duration,
    /// The longest request body in bytes of any row.
    pub body_len: usize,
    /// How long a body may take.
    pub body_time: Duration,
    /// How long one connection may live: it bounds a peer that never reads its answer. What is asked on it after that is
    /// answered with word that it was the last.
    pub connection_time: Duration,
    /// How long open connections may take to finish once we are told to stop, or a connection at the end of its life.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connection_count: 256,
            head_len: 16 << 10,
            head_time: Duration::from_secs(10),
            body_len: LARGE_BODY_LEN_MAX,
            body_time: Duration::from_secs(60),
            connection_time: Duration::from_secs(300),
            drain_time: Duration::from_secs(3),
        }
    }
}

/// Where connections come from.
pub enum Listener {
    /// The network.
    Net(TcpListener),
    /// Processes of this machine.
    Local(UnixListener),
}

impl Listener {
    /// Makes the local socket, mode 0600, in place of one that a former process left.
    ///
    /// It is made beside its place and moved there, so that nobody finds it before its mode is set.
    ///
    /// # Errors
    /// What the system says, or that something else lies there.
    pub fn local(path: &Path) -> io::Result<Listener> {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                let text = format!("{} is there and is no socket", path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            _ => {}
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        match fs::remove_file(&beside) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
            _ => {}
        }
        let listener = UnixListener::bind(&beside)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
        fs::rename(&beside, path)?;
        Ok(Listener::Local(listener))
    }

    /// The next connection and who is at its other end.
    async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match self {
            Listener::Net(listener) => {
                let (stream, addr) = listener.accept().await?;
                // Replies are written whole; waiting to fill a segment would only delay them.
                stream.set_nodelay(true).ok();
                Ok((Box::new(stream), Peer::Net(addr)))
            }
            Listener::Local(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Box::new(stream), Peer::Local { uid }))
            }
        }
    }

    /// Its own address, as a client would name it.
    fn host(&self) -> String {
        match self {
            Listener::Net(listener) => {
                listener.local_addr().map_or_else(|_| LOCAL_HOST.into(), |addr| addr.to_string())
            }
            Listener::Local(_) => LOCAL_HOST.into(),
        }
    }
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Completes as soon as `stop` is true; a sender that is gone can never say stop, and that is an end too.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|stop| *stop).await.ok();
}

/// Accepts connections until `stop` is true, then lets the open ones finish for at most [`Limits::drain_time`].
pub async fn accept<A: App>(listener: Listener, server: Server<A>, stop: watch::Receiver<bool>) {
    let limits = server.limits();
    let host: Arc<str> = listener.host().into();
    let crowd = Crowd::new(limits.connection_count);
    let mut stopping = stop.clone();
    // A shortage lasts for many attempts; its begin and its end are what is worth a line.
    let mut failing = false;
    loop {
        let next = async {
            match listener.accept().await {
                Ok((stream, peer)) => Ok((stream, peer, crowd.enter().await)),
                Err(cause) => Err(cause),
            }
        };
        let accepted = tokio::select! {
            accepted = next => Some(accepted),
            () = stopped(&mut stopping) => None,
        };
        match accepted {
            Some(Ok((stream, peer, place))) => {
                if failing {
                    info!("connections are accepted again");
                    failing = false;
                }
                tokio::spawn(connection(stream, peer, Arc::clone(&host), server.clone(), stop.clone(), place));
            }
            Some(Err(cause)) => {
                server.shared().counters.not_accepted();
                if !failing {
                    warn!("no connection can be accepted: {cause}");
                    failing = true;
                }
                tokio::time::sleep(ACCEPT_REST).await;
            }
            None => break,
        }
    }
    drop(listener);
    drop(timeout(limits.drain_time, crowd.empty()).await);
}

/// Serves one connection; `place` is free again at its end.
async fn connection<A: App>(
    stream: Box<dyn Stream>,
    peer: Peer,
    host: Arc<str>,
    server: Server<A>,
    mut stop: watch::Receiver<bool>,
    place: Place,
) {
    let limits = server.limits();
    let place = Arc::new(place);
    let at = Arc::clone(&place);
    let old = Arc::new(AtomicBool::new(false));
    let is_old = Arc::clone(&old);
    let service = service_fn(move |request: Request<Incoming>| {
        let (server, host, place, is_old) = (server.clone(), Arc::clone(&host), Arc::clone(&at), Arc::clone(&is_old));
        async move {
            let _under_way = place.begin();
            let mut reply = server.answer(request.map(Body::new), peer, &host).await;
            if is_old.load(Ordering::Relaxed) {
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(reply)
        }
    });
    // A peer that is told with a reply loses nothing; one whose connection ends while it asks cannot know whether it was heard.
    let lived = async {
        tokio::time::sleep(limits.connection_time).await;
        old.store(true, Ordering::Relaxed);
        tokio::time::sleep(limits.head_time).await;
    };
    let mut http = hyper::server::conn::http1::Builder::new();
    // Whoever has sent all may close that half and still gets the answer.
    http.half_close(true).timer(TokioTimer::new()).header_read_timeout(limits.head_time);
    http.max_buf_size(limits.head_len).max_headers(HEADER_COUNT_MAX);
    let stream = Sending::new(Strict::new(stream, limits.head_len), Arc::clone(&place));
    let mut open = pin!(http.serve_connection(TokioIo::new(stream), service));
    let drain_time = tokio::select! {
        // What a peer does wrong was answered by hyper or ended the connection; it is no fact for the log.
        _ = open.as_mut() => return,
        () = lived => limits.drain_time,
        () = stopped(&mut stop) => limits.drain_time,
        has_asked = place.left() => if has_asked { limits.drain_time.min(GIVE_WAY_TIME) } else { return },
    };
    open.as_mut().graceful_shutdown();
    if timeout(drain_time, open.as_mut()).await.is_err() && place.is_busy() {
        // It was told while it was idle, and a request came just then: that may still be waiting for its answer.
        drop(timeout(limits.drain_time.saturating_sub(drain_time), open).await);
    }
}

#[cfg(test)]
mod tests;
