//! The words of a data plane's local control socket.
//!
//! A frame is a length (u32, big-endian, at most [`FRAME_LEN_MAX`]) and that many bytes of JSON: one [`Request`] from
//! the client, one [`Reply`] back, any number of times on one connection. Types here are the wire form and carry a
//! version; nothing else serializes. It is no public API: both ends ship together, and unknown fields are ignored so
//! that neighbouring versions understand each other.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The longest frame body in bytes: a status with all its counters stays far below.
pub const FRAME_LEN_MAX: usize = 1 << 20;
/// The version of these frames, in [`Status::protocol`].
pub const PROTOCOL: u32 = 1;

/// What a client asks of a data plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// What are you serving?
    Status,
    /// Take the newest generation of your directory; the reply comes when it is being served.
    Reload,
    /// Have this pack in memory: a generation that follows will name it. The reply comes when it is, and may be
    /// an error without harm to anything.
    Prepare(Parcel),
    /// The counters.
    Stats,
    /// A successor has joined: take no new queries, answer what you hold, then end.
    Retire,
}

/// What the data plane answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", content = "body", rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Reload`]: this generation is being served.
    Serving(Serving),
    /// To [`Request::Prepare`]: it is in memory.
    Prepared,
    /// To [`Request::Stats`]: counters by their metric name (without the `dns_` prefix), summed over workers.
    Stats(Counters),
    /// To [`Request::Retire`]: no new query will be taken.
    Retiring,
    /// The request failed; what was served before still is.
    Error {
        /// One line for people.
        message: String,
    },
}

/// A pack that lies ready before a generation names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// Its file in the directory of snapshots.
    pub file: String,
    /// Its digest, in hexadecimal.
    pub digest: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Counter values in the order in which they are to be shown.
pub type Counters = Vec<Counter>;

/// One counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Metric name without prefix, as `queries_total`.
    pub name: String,
    /// At most one label, as `("rcode", "NXDOMAIN")`; values come from closed sets.
    pub label: Option<(String, String)>,
    /// The value.
    pub value: u64,
}

/// A generation that is being served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Serving {
    /// Its number.
    pub generation: u64,
    /// Whether this request brought it, or it was served already.
    pub fresh: bool,
    /// Milliseconds from the request to being served.
    pub millis: f64,
}

/// What a data plane is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`PROTOCOL`] of the sender.
    pub protocol: u32,
    /// Version of the binary.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Seconds since start.
    pub uptime_secs: u64,
    /// The directory it follows.
    pub directory: String,
    /// The generation it serves; `None` before the first.
    pub generation: Option<u64>,
    /// How many zones that has.
    pub zones: u64,
    /// Bytes of snapshot memory.
    pub bytes: u64,
    /// Why the newest generation is not served, if it is not; one line.
    pub refused: Option<String>,
    /// The engine of the workers, as `uring`.
    pub engine: String,
    /// Why better engines are not used; one line each.
    pub engine_notes: Vec<String>,
    /// The addresses it answers on.
    pub listen: Vec<String>,
    /// How many workers.
    pub workers: u32,
    /// Whether it is retiring.
    pub retiring: bool,
    /// Packets that made the answering code panic, oldest first; few are kept.
    #[serde(default)]
    pub quarantine: Vec<Quarantined>,
}

/// A packet that made the answering code panic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// How it came, as `udp`.
    pub transport: String,
    /// Its bytes in hexadecimal; a long one is cut.
    pub packet: String,
    /// Its whole length in bytes.
    pub packet_len: u64,
    /// Where the panic came up, as `file:line:column`.
    pub place: String,
    /// What the panic said; it may hold anything.
    pub message: String,
    /// When the packet came first, in seconds since 1970.
    pub first_unix_secs: u64,
    /// When it came last.
    pub last_unix_secs: u64,
    /// How often it came.
    pub count: u64,
}

/// Writes one frame.
///
/// # Errors
/// Those of `stream`, and [`io::ErrorKind::InvalidData`] if the body exceeds [`FRAME_LEN_MAX`].
pub fn write_frame<T: Serialize>(stream: &mut impl Write, message: &T) -> io::Result<()> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let body_len = frame.len() - 4;
    if body_len > FRAME_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame is too long"));
    }
    let len = u32::try_from(body_len).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "frame is too long"))?;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    stream.write_all(&frame)?;
    stream.flush()
}

/// Reads one frame; `None` if the peer closed before it.
///
/// # Errors
/// Those of `stream`, and [`io::ErrorKind::InvalidData`] for a length over [`FRAME_LEN_MAX`] or JSON that is no `T`.
pub fn read_frame<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<Option<T>> {
    let mut len = [0; 4];
    match stream.read_exact(&mut len) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let len = u32::from_be_bytes(len) as usize;
    if len > FRAME_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame is too long"));
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body)?;
    serde_json::from_slice(&body).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_round_trip_and_end_of_stream_is_none() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &Request::Reload).unwrap();
        write_frame(&mut bytes, &Reply::Error { message: "no".into() }).unwrap();
        let mut stream = bytes.as_slice();
        assert_eq!(read_frame(&mut stream).unwrap(), Some(Request::Reload));
        assert_eq!(read_frame(&mut stream).unwrap(), Some(Reply::Error { message: "no".into() }));
        assert_eq!(read_frame::<Reply>(&mut stream).unwrap(), None);
    }

    #[test]
    fn counters_round_trip() {
        let mut bytes = Vec::new();
        let counter =
            Counter { name: "queries_total".into(), label: Some(("transport".into(), "udp".into())), value: 1 };
        let reply = Reply::Stats(vec![counter]);
        write_frame(&mut bytes, &reply).unwrap();
        assert_eq!(read_frame(&mut bytes.as_slice()).unwrap(), Some(reply));
    }

    #[test]
    fn a_hostile_length_allocates_nothing() {
        let error = read_frame::<Request>(&mut &[0xff; 64][..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
