//! A small HTTP client: one kept connection, one request at a time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A connection to the API.
pub(crate) struct Client {
    /// Where it leads.
    address: String,
    /// The token.
    token: String,
    /// The connection.
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects.
    pub(crate) fn new(address: &str, token: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client { address: address.to_owned(), token: token.to_owned(), stream: BufReader::new(stream) })
    }

    /// Another connection to the same server.
    pub(crate) fn another(&self) -> io::Result<Client> {
        Client::new(&self.address, &self.token)
    }

    /// Sends a request whose reply must have a status, and be served if it is a change.
    pub(crate) fn expect(&mut self, method: &str, path: &str, body: &str, status: u16) -> io::Result<()> {
        let (found, served, text) = self.ask(method, path, body)?;
        if found != status || !served {
            return Err(io::Error::other(format!("{method} {path}: {found}, served {served}: {text}")));
        }
        Ok(())
    }

    /// Sends a request: the status of the reply, whether it is served if it is a change, and the beginning of its body.
    /// The server says so when a connection has lived for long enough; the next request gets another.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<(u16, bool, String)> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Token {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            self.token,
            body.len()
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(body.as_bytes());
        self.stream.get_mut().write_all(&request)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let found = line.split(' ').nth(1).and_then(|word| word.parse::<u16>().ok()).unwrap_or(0);
        let (mut len, mut served, mut is_last) = (0, true, false);
        loop {
            let mut field = String::new();
            if self.stream.read_line(&mut field)? <= 2 {
                break;
            }
            let field = field.to_ascii_lowercase();
            if let Some(value) = field.strip_prefix("content-length:") {
                len = value.trim().parse().map_err(io::Error::other)?;
            }
            served &= !field.starts_with("petrel-served: no");
            is_last |= field.starts_with("connection: close");
        }
        let mut reply = vec![0; len];
        self.stream.read_exact(&mut reply)?;
        if is_last {
            *self = self.another()?;
        }
        Ok((found, served, String::from_utf8_lossy(&reply).chars().take(300).collect()))
    }
}
