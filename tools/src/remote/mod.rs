//! A client of the control plane's HTTP API, over TCP with a token or over the local socket of this machine.
//!
//! It knows addresses, credentials, pages and how long to wait; what is asked is the commands'. Invariants: a token is
//! sent to the address of `--url` or the socket that was named and to nothing else (no redirect is followed), and never
//! printed; no request takes longer than [`TIME_MAX`], no answer more memory than [`BODY_LEN_MAX`].

mod answer;
mod target;

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;

use crate::args::Reach;
use crate::failure::Failure;

pub(crate) use answer::Answer;
pub(crate) use hyper::Method;

use target::Target;

/// How long one request may take: an import of a million records is one.
const TIME_MAX: Duration = Duration::from_secs(300);
/// The longest answer in bytes: an export of a large domain.
const BODY_LEN_MAX: usize = 1 << 30;
/// Bytes of a path segment that stand for themselves (RFC 3986 section 2.3), and `*` and `@`, which owners have.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'*').remove(b'@');

/// A control plane that can be asked.
pub(crate) struct Remote {
    /// Where it is.
    target: Target,
    /// Who we are; nobody needs to be over the local socket.
    token: Option<String>,
    /// The account we act for, instead of our own.
    account: Option<String>,
    /// Runs one request at a time.
    runtime: Runtime,
}

/// A request to be sent.
pub(crate) struct Ask<'a> {
    /// The method.
    pub(crate) method: Method,
    /// The path from its first slash, each segment encoded with [`segment`], maybe with a query.
    pub(crate) path: &'a str,
    /// The JSON body.
    pub(crate) body: Option<&'a Value>,
    /// The entity tag that must still hold.
    pub(crate) if_match: Option<&'a str>,
}

impl<'a> Ask<'a> {
    /// A GET.
    pub(crate) fn get(path: &'a str) -> Ask<'a> {
        Ask { method: Method::GET, path, body: None, if_match: None }
    }

    /// A DELETE.
    pub(crate) fn delete(path: &'a str) -> Ask<'a> {
        Ask { method: Method::DELETE, path, body: None, if_match: None }
    }

    /// A request with a body.
    pub(crate) fn with(method: Method, path: &'a str, body: &'a Value) -> Ask<'a> {
        Ask { method, path, body: Some(body), if_match: None }
    }
}

/// A word as one segment of a path, or one value of a query.
pub(crate) fn segment(word: &str) -> String {
    // A segment of dots alone would be taken for a step in the tree by whatever stands between us and the server.
    if !word.is_empty() && word.bytes().all(|byte| byte == b'.') {
        return word.replace('.', "%2E");
    }
    utf8_percent_encode(word, PLAIN).to_string()
}

impl Remote {
    /// Finds the control plane that the options and the environment mean; nothing is connected yet.
    ///
    /// # Errors
    /// [`Failure::Usage`] if they mean none, [`Failure::Unable`] if a token cannot be read.
    pub(crate) fn of(reach: &Reach, dir: Option<&std::path::Path>) -> Result<Remote, Failure> {
        let (target, token) = target::find(reach, dir, &|name| std::env::var(name).ok())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|cause| Failure::Unable(format!("starting the client: {cause}")))?;
        Ok(Remote { target, token, account: reach.account.clone(), runtime })
    }

    /// Whether we are the operator on this machine, to whom the routes below `/api/admin/` are open.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.target, Target::Local(_)) && self.token.is_none()
    }

    /// The account that was named to be acted for.
    pub(crate) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Sends a request and waits for the answer, whatever it says.
    ///
    /// # Errors
    /// [`Failure::Unable`] if there is none.
    pub(crate) fn send(&self, ask: &Ask<'_>) -> Result<Answer, Failure> {
        let exchange = async {
            tokio::time::timeout(TIME_MAX, self.exchange(ask))
                .await
                .unwrap_or_else(|_| Err(format!("{} gave no answer within {} s", self.target, TIME_MAX.as_secs())))
        };
        self.runtime.block_on(exchange).map_err(Failure::Unable)
    }

    /// Sends a request whose answer must be a success, and returns its JSON; null if it has none.
    ///
    /// # Errors
    /// [`Failure::Input`] with the server's words if it refuses, [`Failure::Unable`] if it cannot.
    pub(crate) fn json(&self, ask: &Ask<'_>) -> Result<Value, Failure> {
        self.send(ask)?.success()?.json()
    }

    /// All pages of a list.
    ///
    /// # Errors
    /// As [`Remote::json`].
    pub(crate) fn list(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let mut next = Some(format!("{path}{joint}cursor="));
        let mut items = Vec::new();
        while let Some(path) = next {
            let answer = self.send(&Ask::get(&path))?.success()?;
            next = answer.next_page();
            match answer.json()? {
                Value::Array(page) => items.extend(page),
                other => return Err(Failure::Unable(format!("the server sent no list but {other}"))),
            }
        }
        Ok(items)
    }

    /// Connects, sends, reads.
    async fn exchange(&self, ask: &Ask<'_>) -> Result<Answer, String> {
        let request = self.request(ask)?;
        let lost = |cause: std::io::Error| format!("no control plane answers on {}: {cause}", self.target);
        match &self.target {
            Target::Local(path) => self.converse(UnixStream::connect(path).await.map_err(lost)?, request).await,
            Target::Net { authority, .. } => {
                self.converse(TcpStream::connect(authority.as_str()).await.map_err(lost)?, request).await
            }
        }
    }

    /// Makes the message.
    fn request(&self, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, String> {
        let mut path = format!("{}{}", self.target.prefix(), ask.path);
        if let Some(account) = &self.account {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str("account=");
            path.push_str(&segment(account));
        }
        let mut request = Request::builder().method(&ask.method).uri(path).header(HOST, self.target.host());
        request = request.header(ACCEPT, "application/json, */*;q=0.5");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Token {token}"));
        }
        if let Some(tag) = ask.if_match {
            request = request.header(hyper::header::IF_MATCH, tag);
        }
        let body = match ask.body {
            None => Bytes::new(),
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
        };
        // Only words of the command line get into a head, so this is their fault.
        request.body(Full::new(body)).map_err(|_| "the token or the address has characters that it cannot have".into())
    }

    /// One request on one connection.
    async fn converse<S>(&self, stream: S, request: Request<Full<Bytes>>) -> Result<Answer, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken =
            |cause: hyper::Error| format!("talking to {}: {}", self.target, snapshot::handover::explain(&cause));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Its errors reach the request too.
        let connection = tokio::spawn(async { drop(connection.await) });
        let response = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = Response::into_parts(response);
        let body = Limited::new(body, BODY_LEN_MAX).collect().await;
        connection.abort();
        let body = body.map_err(|cause| format!("reading the answer of {}: {cause}", self.target))?;
        Ok(Answer::of(&head, body.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Serves `answers`, one connection each, and returns the heads of the requests.
    fn fake(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serve = move || {
            let mut heads = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                    head.push(byte[0]);
                }
                heads.push(String::from_utf8(head).unwrap());
                stream.write_all(answer.as_bytes()).unwrap();
            }
            heads
        };
        (url, std::thread::spawn(serve))
    }

    /// An answer with a body.
    fn answer(head: &str, body: &str) -> String {
        format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    /// A client of a URL, with a token.
    fn remote(url: &str) -> Remote {
        let (target, token) = target::find(&Reach { url: Some(url.into()), ..Reach::default() }, None, &|name| {
            (name == "PETREL_TOKEN").then(|| "sesame".to_owned())
        })
        .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Remote { target, token, account: None, runtime }
    }

    #[test]
    fn pages_are_followed_to_the_end_with_the_token() {
        let link = "200 OK\r\nLink: <http://elsewhere.test/api/v1/domains/?cursor=abc>; rel=\"next\"";
        let (url, server) = fake(vec![answer(link, "[1,2]"), answer("200 OK", "[3]")]);
        assert_eq!(remote(&url).list("/api/v1/domains/").unwrap(), [1, 2, 3]);
        let heads = server.join().unwrap();
        assert!(heads[0].starts_with("GET /api/v1/domains/?cursor= HTTP/1.1\r\n"), "{heads:?}");
        // The place is the server's to name, but not the host: the token goes where it was meant to go.
        assert!(heads[1].starts_with("GET /api/v1/domains/?cursor=abc HTTP/1.1\r\n"), "{heads:?}");
        assert!(heads.iter().all(|head| head.to_ascii_lowercase().contains("authorization: token sesame\r\n")));
    }

    #[test]
    fn no_answer_is_told_apart_from_a_refusal() {
        let (url, server) = fake(vec![answer("404 Not Found", r#"{"detail":"Not found."}"#), "HTTP/1.1 2".into()]);
        let refused = remote(&url).json(&Ask::get("/x")).unwrap_err();
        assert_eq!((refused.exit_code(), refused.to_string().as_str()), (1, "Not found."));
        let broken = remote(&url).json(&Ask::get("/x")).unwrap_err();
        assert_eq!(broken.exit_code(), 3, "{broken}");
        server.join().unwrap();
        let gone = remote(&url).json(&Ask::get("/x")).unwrap_err();
        assert!(gone.to_string().starts_with("no control plane answers on http://127.0.0.1:"), "{gone}");
    }

    #[test]
    fn segments_cannot_leave_their_place() {
        for (word, expected) in [
            ("www.a", "www.a"),
            ("*.a@", "*.a@"),
            ("a/b?c#d", "a%2Fb%3Fc%23d"),
            ("..", "%2E%2E"),
            ("ä b", "%C3%A4%20b"),
        ] {
            assert_eq!(segment(word), expected);
        }
    }
}
