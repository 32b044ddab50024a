//! A connection that tells its place in the crowd while it sends.
//!
//! An answer is handed to hyper whole, long before a slow peer has all of it, so only the socket knows how long it takes. It
//! changes no byte. Invariant: the place hears of the end once nothing is left to be written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::crowd::Place;

/// See the module.
pub(super) struct Sending<IO> {
    /// The connection.
    io: IO,
    /// Its place.
    place: Arc<Place>,
    /// Whether something was written and not flushed since.
    is_sending: bool,
}

impl<IO> Sending<IO> {
    /// A connection at its place.
    pub(super) fn new(io: IO, place: Arc<Place>) -> Sending<IO> {
        Sending { io, place, is_sending: false }
    }

    /// Notes an attempt to write, whether or not the peer took something.
    fn note(&mut self, polled: &Poll<io::Result<usize>>) {
        if polled.is_ready() || !self.is_sending {
            self.is_sending = true;
            self.place.sends();
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Sending<IO> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Sending<IO> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write(context, buf);
        this.note(&polled);
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(context))?;
        if std::mem::take(&mut this.is_sending) {
            this.place.has_sent();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write_vectored(context, bufs);
        this.note(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
