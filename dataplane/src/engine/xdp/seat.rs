//! How stations come to the workers and go again: a mailbox for each worker.
//!
//! Who watches the interfaces writes, the worker reads between two batches. A worker that waits is woken; one that is
//! busy pays one load of an atomic a turn.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::EventfdFlags;

use super::station::Station;

/// What a worker is to do with an interface.
#[derive(Debug)]
pub(super) enum Order {
    /// Serve this station of it.
    Serve(Box<Station>),
    /// Leave it.
    Leave,
}

/// The mailbox of a worker.
#[derive(Debug)]
struct Mailbox {
    /// Orders by the number of the interface, oldest first.
    orders: Mutex<Vec<(usize, Order)>>,
    /// Whether there are any.
    filled: AtomicBool,
    /// Readable while there are any.
    bell: OwnedFd,
}

/// A worker's end of its mailbox.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Mailbox>);

/// The other end.
#[derive(Debug)]
pub(super) struct Sender(Arc<Mailbox>);

/// A mailbox with both its ends.
///
/// # Errors
/// Those of eventfd(2).
pub(super) fn pair() -> io::Result<(Sender, Seat)> {
    let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let mailbox = Arc::new(Mailbox { orders: Mutex::default(), filled: AtomicBool::new(false), bell });
    Ok((Sender(Arc::clone(&mailbox)), Seat(mailbox)))
}

impl Sender {
    /// Leaves an order about interface `nic` and wakes the worker.
    pub(super) fn send(&self, nic: usize, order: Order) {
        self.0.orders.lock().unwrap_or_else(PoisonError::into_inner).push((nic, order));
        self.0.filled.store(true, Ordering::Release);
        if let Err(error) = rustix::io::write(&self.0.bell, &1_u64.to_ne_bytes()) {
            // It is readable already, or the worker comes by itself within its longest wait.
            tracing::debug!(%error, "a worker was not woken");
        }
    }
}

impl Seat {
    /// All orders since the last call.
    pub(super) fn orders(&self) -> Vec<(usize, Order)> {
        if !self.0.filled.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut orders = self.0.orders.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.filled.store(false, Ordering::Release);
        // That it was not readable is fine: then nobody rang.
        rustix::io::read(&self.0.bell, &mut [0_u8; 8]).ok();
        std::mem::take(&mut *orders)
    }

    /// What becomes readable with an order.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.0.bell.as_fd()
    }
}
