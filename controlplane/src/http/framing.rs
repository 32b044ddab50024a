//! Where one request ends and the next begins, by the letter (RFC 9112 sections 2.2, 6 and 7.1).
//!
//! Two servers in a row that disagree about it can be made to see different requests. hyper is generous where the RFC lets
//! it be (lines that end in a bare LF, a length said twice, a length beside chunks); a proxy in front of us may be generous in another
//! way. So bytes pass through here before hyper sees them, and what is not in the one form that everybody reads alike is replaced by what
//! hyper answers with 400 before it closes. Invariant: what comes out is framed strictly, or broken for good. A connection that
//! closes before its peer has sent all is closed in two steps, as a reset would cost the peer the answer (RFC 9112 section 9.6).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How many bytes are read at a time.
const READ_LEN: usize = 8 << 10;
/// The longest line with the size of a chunk, extensions included.
const CHUNK_LINE_LEN_MAX: usize = 256;
/// How many bytes of a peer that has its answer are passed over: more than any body may have.
const LINGER_LEN_MAX: usize = 64 << 20;
/// And for how long.
const LINGER_TIME: Duration = Duration::from_secs(5);
/// No head, and no size of a chunk: hyper refuses it in either place.
const BROKEN: &[u8] = b"\x01\r\n\r\n";

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A head, which is held until it is whole.
    Head,
    /// A body with so many bytes left.
    Body(u64),
    /// The line with the size of a chunk, which is held until it is whole.
    ChunkLine,
    /// A chunk with so many bytes left.
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// Fields after the last chunk, held until they are whole.
    Trailers,
    /// Something that hyper refuses by its length.
    TooLong,
    /// Something else than the above; the rest is dropped.
    Broken,
}

/// Reads along with what a peer sends.
#[derive(Debug)]
pub(super) struct Framing {
    /// What the next byte belongs to.
    state: State,
    /// What is held.
    held: Vec<u8>,
    /// The longest head in bytes.
    head_len_max: usize,
}

impl Framing {
    /// At the begin of a connection.
    pub(super) fn new(head_len_max: usize) -> Framing {
        Framing { state: State::Head, held: Vec::new(), head_len_max }
    }

    /// Whether the peer is in the middle of something.
    fn is_within(&self) -> bool {
        self.state != State::Head || !self.held.is_empty()
    }

    /// Takes what the peer sent, and appends what hyper may see.
    pub(super) fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            let taken = match self.state {
                State::Body(left) => self.pass(input, left, out, State::Body),
                State::Chunk(left) => self.pass(input, left, out, State::Chunk),
                State::Head | State::ChunkLine | State::ChunkEnd | State::Trailers => self.hold(input, out),
                State::TooLong => {
                    out.extend_from_slice(input);
                    input.len()
                }
                State::Broken => input.len(),
            };
            input = &input[taken..];
        }
    }

    /// Lets bytes of a body through. Returns how many.
    fn pass(&mut self, input: &[u8], left: u64, out: &mut Vec<u8>, state: fn(u64) -> State) -> usize {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        out.extend_from_slice(&input[..len]);
        let left = left - len as u64;
        self.state = match (left, self.state) {
            (0, State::Chunk(_)) => State::ChunkEnd,
            (0, _) => State::Head,
            _ => state(left),
        };
        len
    }

    /// Holds bytes until what they belong to is whole, and judges it then. Returns how many.
    fn hold(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        for (idx, byte) in input.iter().enumerate() {
            let after_cr = self.held.last() == Some(&b'\r');
            self.held.push(*byte);
            if after_cr != (*byte == b'\n') || *byte == 0 {
                return self.end(None, input.len(), out);
            }
            if self.held == b"\r\n" && self.state == State::Head {
                // An empty line before a request is passed over (RFC 9112 section 2.2).
                self.held.clear();
            }
            if self.is_whole() {
                let next = self.judge();
                return self.end(next, idx + 1, out);
            }
            let (len_max, too_long) = match self.state {
                State::ChunkLine => (CHUNK_LINE_LEN_MAX, None),
                State::Head => (self.head_len_max, Some(State::TooLong)),
                _ => (self.head_len_max, None),
            };
            if self.held.len() > len_max {
                return self.end(too_long, idx + 1, out);
            }
        }
        input.len()
    }

    /// Lets what is held through and goes on, or breaks.
    fn end(&mut self, next: Option<State>, taken: usize, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(if next.is_some() { &self.held } else { BROKEN });
        self.held.clear();
        self.state = next.unwrap_or(State::Broken);
        taken
    }

    /// Whether what is held is whole.
    fn is_whole(&self) -> bool {
        match self.state {
            State::Head => self.held.ends_with(b"\r\n\r\n"),
            State::Trailers => self.held == b"\r\n" || self.held.ends_with(b"\r\n\r\n"),
            _ => self.held.ends_with(b"\r\n"),
        }
    }

    /// What follows what is held; `None` if it is not as it must be.
    fn judge(&self) -> Option<State> {
        match self.state {
            State::Head => after_head(&self.held),
            State::ChunkLine => after_chunk_line(&self.held),
            State::ChunkEnd => (self.held == b"\r\n").then_some(State::ChunkLine),
            _ => Some(State::Head),
        }
    }
}

/// What follows a head.
fn after_head(head: &[u8]) -> Option<State> {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let request = lines.next()?;
    let (mut lengths, mut codings) = (Vec::new(), Vec::new());
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        // Also a line that continues the one before begins with a blank.
        if name.is_empty() || name.iter().any(|byte| byte.is_ascii_whitespace()) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            lengths.push(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            codings.push(value);
        }
    }
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Some(State::Head),
        ([length], []) => match number(length, 10)? {
            0 => Some(State::Head),
            length => Some(State::Body(length)),
        },
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && request.ends_with(b"HTTP/1.1") => {
            Some(State::ChunkLine)
        }
        _ => None,
    }
}

/// What follows the line with the size of a chunk.
fn after_chunk_line(line: &[u8]) -> Option<State> {
    let line = line.strip_suffix(b"\r\n")?;
    let size = line.split(|byte| *byte == b';').next()?;
    match number(size, 16)? {
        0 => Some(State::Trailers),
        size => Some(State::Chunk(size)),
    }
}

/// Digits and nothing else, of a number that fits.
fn number(text: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    if !text.bytes().all(|byte| char::from(byte).is_digit(radix)) {
        return None;
    }
    // hyper counts in a type that has two values to spare.
    u64::from_str_radix(text, radix).ok().filter(|number| *number < u64::MAX - 2)
}

/// A connection of which only strictly framed requests are read.
pub(super) struct Strict<IO> {
    /// The connection.
    io: IO,
    /// Reads along.
    framing: Framing,
    /// What the connection reads into.
    raw: Box<[u8]>,
    /// What hyper may see.
    passed: Vec<u8>,
    /// How much of it hyper has seen.
    seen: usize,
    /// What the rest of the peer's bytes may take, once the answer is out.
    linger: Option<Linger>,
}

/// Bounds of passing over what comes after the answer.
struct Linger {
    /// Bytes.
    left: usize,
    /// Time.
    end: Pin<Box<Sleep>>,
}

impl<IO> Strict<IO> {
    /// Around a connection.
    pub(super) fn new(io: IO, head_len_max: usize) -> Strict<IO> {
        let raw = vec![0; READ_LEN].into_boxed_slice();
        Strict { io, framing: Framing::new(head_len_max), raw, passed: Vec::new(), seen: 0, linger: None }
    }
}

impl<IO: AsyncRead + Unpin> Strict<IO> {
    /// Passes over what the peer still sends, until it ends, or its time does.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(linger) = &mut self.linger else { return Poll::Ready(()) };
        while linger.left > 0 && linger.end.as_mut().poll(context).is_pending() {
            let mut raw = ReadBuf::new(&mut self.raw);
            // Whatever went wrong there: nobody sends any more.
            if ready!(Pin::new(&mut self.io).poll_read(context, &mut raw)).is_err() || raw.filled().is_empty() {
                break;
            }
            linger.left = linger.left.saturating_sub(raw.filled().len());
        }
        Poll::Ready(())
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Strict<IO> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.seen == this.passed.len() {
            this.passed.clear();
            this.seen = 0;
            let mut raw = ReadBuf::new(&mut this.raw);
            ready!(Pin::new(&mut this.io).poll_read(context, &mut raw))?;
            if raw.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.framing.push(raw.filled(), &mut this.passed);
        }
        let rest = &this.passed[this.seen..];
        let len = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..len]);
        this.seen += len;
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Strict<IO> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(context))?;
            let left = if this.framing.is_within() || this.seen < this.passed.len() { LINGER_LEN_MAX } else { 0 };
            this.linger = Some(Linger { left, end: Box::pin(sleep(LINGER_TIME)) });
        }
        this.poll_linger(context).map(Ok)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The end of a head.
    const HOST: &str = "Host: a\r\n\r\n";

    /// What comes out when `input` goes in, cut into pieces of `len`.
    fn passed(input: &[u8], len: usize) -> Vec<u8> {
        let mut framing = Framing::new(1000);
        let mut out = Vec::new();
        for piece in input.chunks(len) {
            framing.push(piece, &mut out);
        }
        out
    }

    #[test]
    fn what_is_framed_as_everybody_reads_it_passes_untouched() {
        let good = [
            format!("GET / HTTP/1.1\r\n{HOST}GET / HTTP/1.0\r\n\r\n"),
            format!("POST / HTTP/1.1\r\nContent-Length: 5\r\n{HOST}a\nb\rcGET / HTTP/1.1\r\n{HOST}"),
            format!("POST / HTTP/1.1\r\nContent-Length: 0\r\n{HOST}GET / HTTP/1.1\r\n{HOST}"),
            format!(
                "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n{HOST}2;x=y\r\n\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n{HOST}"
            ),
            format!("POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\n{HOST}A\r\n0123456789\r\n0\r\nT: x\r\n\r\nG"),
        ];
        for input in good {
            for len in [1, 2, 7, 1000] {
                let whole = input.strip_suffix('G').unwrap_or(&input);
                assert_eq!(String::from_utf8(passed(input.as_bytes(), len)).unwrap(), whole, "in pieces of {len}");
            }
        }
        let empty_first = format!("\r\n\r\nGET / HTTP/1.1\r\n{HOST}");
        assert_eq!(passed(empty_first.as_bytes(), 3), &empty_first.as_bytes()[4..]);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_broken() {
        let heads = [
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 18446744073709551615\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Content-Length : 1\r\n",
            " Content-Length: 1\r\n",
            "X: y\r\n Content-Length: 1\r\n",
            "X: y\nContent-Length: 1\r\n",
            "X: y\rContent-Length: 1\r\n",
            "X: \0\r\n",
            "no colon\r\n",
            ": x\r\n",
        ];
        for head in heads {
            for len in [1, 1000] {
                let input = format!("POST / HTTP/1.1\r\n{head}{HOST}aGET /evil HTTP/1.1\r\n{HOST}");
                assert_eq!(passed(input.as_bytes(), len), BROKEN, "{head:?}");
            }
        }
        assert_eq!(passed(b"GET / HTTP/1.1\nHost: a\n\n", 5), BROKEN);
        assert_eq!(passed(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 5), BROKEN);
    }

    #[test]
    fn chunks_that_could_be_read_in_two_ways_break_the_body() {
        let bodies = [
            "2\nab\r\n0\r\n\r\n",
            "2\r\nabc\r\n0\r\n\r\n",
            "2\r\nab0\r\n\r\n",
            "0x2\r\nab\r\n0\r\n\r\n",
            "\r\n",
            "-1\r\n",
            "2 \r\nab\r\n",
            "g\r\n",
            "fffffffffffffffff\r\n",
            "ffffffffffffffff\r\n",
            "2\r\nab\n0\r\n\r\n",
            "0\r\nX: y\n\r\n\r\n",
            "0\r\n\n",
        ];
        for body in bodies {
            for len in [1, 1000] {
                let head = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{HOST}");
                let out = passed(format!("{head}{body}GET /evil HTTP/1.1\r\n{HOST}").as_bytes(), len);
                let out = String::from_utf8(out).unwrap();
                assert!(out.ends_with("\u{1}\r\n\r\n") && !out.contains("evil"), "{body:?} {out:?}");
            }
        }
        let long = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{HOST}1;{}", "x".repeat(300));
        assert!(passed(long.as_bytes(), 9).ends_with(BROKEN));
    }

    #[test]
    fn heads_that_are_too_long_are_left_to_hyper() {
        let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(2000));
        assert_eq!(passed(long.as_bytes(), 100), long.as_bytes());
    }

    proptest! {
        /// How the bytes are cut makes no difference, and nothing makes it panic or hold more than a head.
        #[test]
        fn pieces_make_no_difference(
            parts in prop::collection::vec(prop::sample::select(vec![
                "GET / HTTP/1.1\r\n", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "\r\n", "\n", "\r", "3", "abc",
                "0\r\n\r\n", "X: y\r\n", "\0", " ",
            ]), 0..40),
            len in 1_usize..50,
        ) {
            let input = parts.concat();
            let (one, other) = (passed(input.as_bytes(), len), passed(input.as_bytes(), usize::MAX));
            prop_assert_eq!(one, other);
        }
    }
}
