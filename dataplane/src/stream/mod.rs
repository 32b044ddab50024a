//! DNS over TCP (RFC 7766): accepts connections and frames messages, on a thread of its own.
//!
//! It parses no DNS. UDP never waits for it. Everything a client can make us hold has a bound in [`Limits`].

use std::cell::RefCell;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener as Listener;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use self::guests::Guests;
use crate::responder::Answer;
use crate::stats::{Block, Event};

mod connection;
mod guests;

/// Pause of accept(2) when descriptors or memory run out (EMFILE, ENFILE, ENOBUFS, ENOMEM).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The longest message (RFC 1035 section 4.2.2).
const MESSAGE_LEN_MAX: usize = 65_535;

/// What clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Connections open at once; one more makes the one leave that has been silent for longest.
    pub(crate) connections_max: usize,
    /// A connection that brings no whole query for this long is closed; a quarter of it when most connections are taken.
    pub(crate) idle: Duration,
    /// A client that does not take a reply for this long is cut off.
    pub(crate) write: Duration,
    /// Connections still open this long after the order to end are cut off.
    pub(crate) drain: Duration,
}

/// Orders to a running stream thread.
#[derive(Debug)]
enum Ask {
    /// Accept on one more listener.
    Listen(TcpListener),
}

/// A handle on the stream thread.
pub(crate) struct Stream {
    /// For orders.
    asks: mpsc::UnboundedSender<Ask>,
    /// Set once to end.
    ending: watch::Sender<bool>,
    /// The thread, until it is waited for.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What all connections share.
struct Shared<A: Answer> {
    /// The newest view.
    view: Arc<ArcSwap<A::View>>,
    /// Where queries are answered, one at a time: no answer waits for anything.
    desk: RefCell<Desk<A>>,
    /// Counters of the thread.
    block: Arc<Block>,
    /// What clients may take.
    limits: Limits,
    /// Who is connected.
    guests: RefCell<Guests>,
    /// How many connections are open, those included that have been told to leave.
    open: watch::Sender<usize>,
    /// Turns true when the process retires.
    ending: watch::Receiver<bool>,
}

/// An answerer and room for the longest message; one of each serves all connections of the thread.
struct Desk<A: Answer> {
    /// What answers.
    answer: A,
    /// The query, then its reply.
    message: Vec<u8>,
}

impl<A: Answer> Shared<A> {
    /// How long a connection may be idle now: less when three quarters of the connections are taken, so that slow
    /// clients make room before busy ones have to (RFC 7766 section 6.2.3).
    fn idle(&self) -> Duration {
        if self.guests.borrow().is_crowded() { self.limits.idle / 4 } else { self.limits.idle }
    }
}

/// Starts the thread, without a listener yet.
///
/// # Errors
/// If the thread or its reactor cannot be had.
pub(crate) fn start<A: Answer>(
    view: Arc<ArcSwap<A::View>>,
    answer: A,
    block: Arc<Block>,
    limits: Limits,
) -> io::Result<Stream> {
    let (asks, orders) = mpsc::unbounded_channel();
    let (ending, end) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let thread = thread::Builder::new().name("stream".into()).spawn(move || {
        let guests = RefCell::new(Guests::new(limits.connections_max));
        let desk = RefCell::new(Desk { answer, message: vec![0; MESSAGE_LEN_MAX] });
        let (open, _) = watch::channel(0);
        let shared = Rc::new(Shared { view, desk, block, limits, guests, open, ending: end });
        LocalSet::new().block_on(&runtime, serve(shared, orders));
    })?;
    Ok(Stream { asks, ending, thread: Mutex::new(Some(thread)) })
}

impl Stream {
    /// Accepts connections on `listener` too.
    pub(crate) fn listen(&self, listener: TcpListener) {
        if self.asks.send(Ask::Listen(listener)).is_err() {
            tracing::error!("the stream thread has ended");
        }
    }

    /// Closes the listeners and lets open connections finish, within the drain limit.
    pub(crate) fn retire(&self) {
        self.ending.send_replace(true);
    }

    /// After [`Stream::retire`], waits until all connections are closed.
    pub(crate) fn wait(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the stream thread panicked");
        }
    }
}

/// Follows orders until the end, then waits for the connections.
async fn serve<A: Answer>(shared: Rc<Shared<A>>, mut orders: mpsc::UnboundedReceiver<Ask>) {
    let mut ending = shared.ending.clone();
    loop {
        tokio::select! {
            // An order that came before the end is still carried out.
            biased;
            ask = orders.recv() => match ask {
                Some(Ask::Listen(listener)) => {
                    tokio::task::spawn_local(accept(Rc::clone(&shared), listener));
                }
                None => break,
            },
            _ = ending.wait_for(|end| *end) => break,
        }
    }
    let mut open = shared.open.subscribe();
    if tokio::time::timeout(shared.limits.drain, open.wait_for(|open| *open == 0)).await.is_err() {
        let open = *shared.open.borrow();
        tracing::info!(open, "cut off {open} TCP connections that did not finish");
    }
}

/// Accepts on one listener until the end.
async fn accept<A: Answer>(shared: Rc<Shared<A>>, listener: TcpListener) {
    let listener = match Listener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "TCP listener cannot be used: {error}");
            return;
        }
    };
    let mut ending = shared.ending.clone();
    loop {
        let accepted = tokio::select! {
            // The end comes first: what is left in the queue is the successor's, who shares it.
            biased;
            _ = ending.wait_for(|end| *end) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, client)) => {
                shared.block.add(Event::TcpOpened, 1);
                shared.open.send_modify(|open| *open += 1);
                let shared = Rc::clone(&shared);
                tokio::task::spawn_local(async move {
                    connection::run(&shared, socket, client.ip()).await;
                    shared.block.add(Event::TcpClosed, 1);
                    shared.open.send_modify(|open| *open -= 1);
                });
            }
            Err(error) => {
                shared.block.add(Event::TcpAcceptError, 1);
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// How many connections the process may have: the limit asked for, less if descriptors are scarce.
pub(crate) fn connections_max(asked: usize) -> usize {
    /// Descriptors for everything else: sockets, rings, snapshot files, the control socket.
    const RESERVED: u64 = 256;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let free = limit.map_or(usize::MAX, |limit| usize::try_from(limit.saturating_sub(RESERVED)).unwrap_or(usize::MAX));
    asked.min(free).max(1)
}

#[cfg(test)]
mod tests;
