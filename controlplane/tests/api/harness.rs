//! A control plane in this process: database and snapshots in a directory of its own, a free port, a local socket.
//!
//! Requests are written to a socket byte by byte as the test says, so that nothing between test and server mends them.
//! There is no data plane: what would be served is read back from the snapshot directory. Everything ends with [`Bench`].

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use controlplane::api::{self, Api};
use controlplane::clock::now_us;
use controlplane::config::{self, Domains, Verification};
use controlplane::dnssec::Dnssec;
use controlplane::http::listen::{Listener, accept};
use controlplane::http::openapi;
use controlplane::http::server::{Server, Settings};
use controlplane::keys::Device;
use controlplane::planes::{Pace, Planes};
use controlplane::publish::{self, Publisher};
use controlplane::serve;
use controlplane::store::Store;
use controlplane::store::accounts::{Account, Class, NewAccount};
use controlplane::store::tokens::Token;
use controlplane::value::{RANDOM_LEN, Secret, SecretHash};
use serde_json::Value;
use snapshot::handover::Directory;
use snapshot::handover::frames::{Reply, Request, Serving, read_frame, write_frame};
use tokio::net::TcpListener;
use tokio::sync::watch;
use uuid::Uuid;

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running control plane.
pub(crate) struct Bench {
    /// Where it listens.
    addr: SocketAddr,
    /// Its local socket.
    socket: PathBuf,
    /// Its database.
    pub(crate) store: Arc<Store>,
    /// Tells it to end.
    stop: watch::Sender<bool>,
    /// What runs it; taken when it ends.
    runtime: Option<tokio::runtime::Runtime>,
    /// What answers.
    app: Arc<Api>,
    /// Where everything lies; removed last.
    dir: tempfile::TempDir,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who<'w> {
    /// Nobody, over TCP.
    Nobody,
    /// The holder of a secret, over TCP.
    Token(&'w str),
    /// The operator, over the local socket.
    Operator,
}

/// A token with its secret.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    /// Its number.
    pub(crate) id: Uuid,
    /// Its secret.
    pub(crate) secret: String,
}

impl Issued {
    /// Its holder.
    pub(crate) fn who(&self) -> Who<'_> {
        Who::Token(&self.secret)
    }
}

/// What makes a new token special; [`Full`] makes nothing special: all permissions, from everywhere.
pub(crate) trait Special {
    /// Changes the token before it is stored.
    fn apply(self, token: &mut Token);
}

/// A token without bounds.
pub(crate) struct Full;

impl Special for Full {
    fn apply(self, _: &mut Token) {}
}

impl<F: FnOnce(&mut Token)> Special for F {
    fn apply(self, token: &mut Token) {
        self(token);
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its header fields, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Its body.
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// A header field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Bench {
    /// Starts one with an empty database.
    pub(crate) fn start() -> Bench {
        Bench::made(|_| (), Verification::default())
    }

    /// Starts one with an empty database over a snapshot directory that was filled before.
    pub(crate) fn start_over(fill: impl FnOnce(&std::path::Path)) -> Bench {
        Bench::made(fill, Verification::default())
    }

    /// Starts one over a snapshot directory that was filled before, whose tenants prove their domains like this.
    pub(crate) fn with_over(verification: Verification, fill: impl FnOnce(&std::path::Path)) -> Bench {
        Bench::made(fill, verification)
    }

    /// Starts one whose tenants prove their domains like this.
    pub(crate) fn with(verification: Verification) -> Bench {
        Bench::made(|_| (), verification)
    }

    /// The same as [`Bench::start`] with a data plane that serves whatever is published.
    pub(crate) fn with_plane() -> Bench {
        Bench::with_plane_and(Verification::default())
    }

    /// The same, whose tenants prove their domains like this.
    pub(crate) fn with_plane_and(verification: Verification) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let control = dir.path().join("control");
        let listener = UnixListener::bind(&control).unwrap();
        let snapshots = dir.path().join("snapshots");
        std::thread::spawn(move || play_plane(&listener, &snapshots));
        Bench::start_in(dir, vec![control], verification)
    }

    /// Starts one in a directory that was filled before.
    fn made(fill: impl FnOnce(&std::path::Path), verification: Verification) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        fill(&dir.path().join("snapshots"));
        Bench::start_in(dir, Vec::new(), verification)
    }

    /// Starts one in a directory.
    fn start_in(dir: tempfile::TempDir, controls: Vec<PathBuf>, verification: Verification) -> Bench {
        let dnssec = Dnssec::open(&dir.path().join("seal.key"), false).unwrap();
        Bench::start_signing(dir, controls, verification, |_| dnssec)
    }

    /// Starts one in a directory, with what signs.
    fn start_signing(
        dir: tempfile::TempDir,
        controls: Vec<PathBuf>,
        verification: Verification,
        dnssec: impl FnOnce(Arc<Store>) -> Dnssec,
    ) -> Bench {
        let store = Arc::new(Store::open(&dir.path().join("state")).unwrap());
        let dnssec = Arc::new(dnssec(Arc::clone(&store)));
        let snapshots = dir.path().join("snapshots");
        let settings = publish::Settings {
            snapshots: snapshots.clone(),
            planes: controls,
            sign: None,
            dnssec: Some(Arc::clone(&dnssec)),
        };
        let publisher = Publisher::start(Arc::clone(&store), &settings).unwrap();
        let planes = Arc::new(Planes::new(snapshots, Vec::new(), Pace::default()));
        let domains = Domains {
            nameservers: vec!["ns1.petrel.test.".into(), "ns2.petrel.test.".into()],
            hostmaster: "hostmaster.petrel.test.".into(),
            local_suffixes: vec!["dyn.petrel.test".into()],
            minimum_ttl_secs: 3600,
            verification,
            keys: config::Keys::default(),
            dnssec: config::Dnssec::Nsec,
        };
        let app = Arc::new(Api::new(Arc::clone(&store), publisher, planes, domains, dnssec).unwrap());
        let mut tables = vec![serve::routes(), openapi::routes()];
        tables.extend(api::tables());
        let server = Server::new(Arc::clone(&app), &tables, Settings::default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (stop, told) = watch::channel(false);
        let socket = dir.path().join("socket");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let local = runtime.block_on(async { Listener::local(&socket) }).unwrap();
        runtime.spawn(accept(local, server.clone(), told.clone()));
        runtime.spawn(accept(Listener::Net(listener), server, told));
        Bench { addr, socket, store, stop, runtime: Some(runtime), app, dir }
    }

    /// Has signals of name servers brought into line from now on.
    pub(crate) fn keep_signals(&self) {
        let keep = api::signal::keep(Arc::clone(&self.app), self.stop.subscribe());
        self.runtime.as_ref().unwrap().spawn(keep);
    }

    /// Has rollovers go on from now on.
    pub(crate) fn keep_rolling(&self) {
        let keep = api::rolling::keep(Arc::clone(&self.app), self.stop.subscribe());
        self.runtime.as_ref().unwrap().spawn(keep);
    }

    /// The directory of database and snapshots.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// One with a data plane that serves whatever is published, in a directory that was filled before, whose keys are made
    /// in a device.
    pub(crate) fn with_device(dir: tempfile::TempDir, device: Device) -> Bench {
        let control = dir.path().join("control");
        let listener = UnixListener::bind(&control).unwrap();
        let snapshots = dir.path().join("snapshots");
        std::thread::spawn(move || play_plane(&listener, &snapshots));
        let dnssec = Dnssec::open(&dir.path().join("seal.key"), false).unwrap();
        Bench::start_signing(dir, vec![control], Verification::default(), |store| dnssec.with_device(device, store))
    }

    /// Has keys removed from the device from now on that nobody has needed for so many days.
    pub(crate) fn keep_objects(&self, days: u32) {
        let keep = api::objects::keep(Arc::clone(&self.app), days, self.stop.subscribe());
        self.runtime.as_ref().unwrap().spawn(keep);
    }

    /// Makes an account without throttles.
    pub(crate) fn account(&self, email: &str) -> Account {
        self.account_of(email, Class::Operator)
    }

    /// Makes an account of a class.
    pub(crate) fn account_of(&self, email: &str, class: Class) -> Account {
        let uuid = Uuid::new_v4();
        let created_us = now_us();
        let email = email.to_owned();
        let new = NewAccount { uuid, email, class, created_us, limit_domains: None };
        self.store.write_blocking(move |txn| txn.add_account(&new)).unwrap().unwrap()
    }

    /// A server whose account jo@mail.example has these domains, and a full token of that.
    pub(crate) fn with_domains(names: &[&str]) -> (Bench, Issued) {
        let bench = Bench::start();
        let token = bench.token(&bench.account("jo@mail.example"), Full);
        for name in names {
            let body = format!(r#"{{"name":"{name}"}}"#);
            assert_eq!(bench.post(token.who(), "/api/v1/domains/", &body).status, 201);
        }
        (bench, token)
    }

    /// Makes a token.
    pub(crate) fn token(&self, account: &Account, special: impl Special) -> Issued {
        let id = Uuid::new_v4();
        let mut random = [0; RANDOM_LEN];
        random[..16].copy_from_slice(id.as_bytes());
        random[16..].copy_from_slice(Uuid::new_v4().as_bytes());
        let secret = Secret::from_random(random).expose().to_owned();
        let mut token = Token {
            id,
            account: account.id,
            name: String::new(),
            created_us: now_us(),
            last_used_us: None,
            max_age_us: None,
            max_unused_us: None,
            perm_create_domain: true,
            perm_delete_domain: true,
            perm_manage_tokens: true,
            auto_policy: false,
            read_only: false,
            allowed_subnets: vec!["0.0.0.0/0".into(), "::/0".into()],
        };
        special.apply(&mut token);
        let hash = SecretHash::of(&secret).0;
        self.store.write_blocking(move |txn| txn.add_token(&token, &hash)).unwrap();
        Issued { id, secret }
    }

    /// GET.
    pub(crate) fn get(&self, who: Who<'_>, path: &str) -> Answer {
        self.call(who, "GET", path, None)
    }

    /// POST of JSON.
    pub(crate) fn post(&self, who: Who<'_>, path: &str, json: &str) -> Answer {
        self.call(who, "POST", path, Some(json))
    }

    /// One request with JSON or without a body.
    pub(crate) fn call(&self, who: Who<'_>, method: &str, path: &str, json: Option<&str>) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.addr);
        if let Who::Token(secret) = who {
            head.push_str(&format!("Authorization: Token {secret}\r\n"));
        }
        if let Some(json) = json {
            head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", json.len()));
        }
        let request = format!("{head}\r\n{}", json.unwrap_or(""));
        if matches!(who, Who::Operator) {
            let stream = UnixStream::connect(&self.socket).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            return exchange(stream, request.as_bytes());
        }
        self.send(request.as_bytes())
    }

    /// Any bytes, over TCP.
    pub(crate) fn send(&self, request: &[u8]) -> Answer {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(stream, request)
    }

    /// The names of the zones that are published, in their order.
    pub(crate) fn served(&self) -> String {
        let directory = Directory::open(&self.dir().join("snapshots")).unwrap();
        let Some(loaded) = directory.load(None).unwrap() else { return String::new() };
        let names = loaded.view.zones().into_iter().map(|facts| facts.apex.to_string());
        names.collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

/// Serves the newest generation of a directory, as far as the control plane is told, until nobody asks any more.
fn play_plane(listener: &UnixListener, snapshots: &Path) {
    let Ok((mut stream, _)) = listener.accept() else { return };
    while let Ok(Some(Request::Reload)) = read_frame(&mut stream) {
        let current = Directory::open(snapshots).ok().and_then(|directory| directory.current().ok().flatten());
        let reply = match current {
            Some(current) => {
                let generation = current.manifest.generation.0;
                Reply::Serving(Serving { generation, fresh: true, millis: 0.0 })
            }
            None => Reply::Error { message: "nothing yet".into() },
        };
        if write_frame(&mut stream, &reply).is_err() {
            return;
        }
    }
}

/// Sends a request and takes the answer apart.
fn exchange(mut stream: impl Read + Write, request: &[u8]) -> Answer {
    // A server that has refused the head already may close before it has all of the body.
    let _sent = stream.write_all(request);
    let mut bytes = Vec::new();
    let _ended = stream.read_to_end(&mut bytes);
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok()).unwrap();
    let field = |line: &str| line.split_once(": ").map(|(key, value)| (key.to_ascii_lowercase(), value.to_owned()));
    let headers: Vec<(String, String)> = lines.filter_map(field).collect();
    let body = &bytes[split + 4..];
    let is_chunked = headers.iter().any(|(key, value)| key == "transfer-encoding" && value == "chunked");
    let body = if is_chunked { unchunked(body) } else { body.to_vec() };
    Answer { status, headers, text: String::from_utf8_lossy(&body).into_owned() }
}

/// Joins the chunks of a body (RFC 9112 section 7.1).
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let len = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16).unwrap_or(0);
        if len == 0 || rest.len() < end + 2 + len {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + len]);
        rest = &rest[(end + 4 + len).min(rest.len())..];
    }
    body
}
