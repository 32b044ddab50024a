//! A toy application behind a real socket, for the tests of the server.
//!
//! Its tokens are named after what they may do, and it has one domain, `example`.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::call::{Body, Call};
use super::credentials::{AuthFailure, Credentials};
use super::listen::{Limits, Listener, accept};
use super::page::{Paging, Position};
use super::reply::{Refusal, Reply};
use super::route::{Access, Count, Operation, Permission, Resource, Route, Scope, Style, Success, Takes};
use super::server::{Server, Settings};
use super::throttle::Class;
use super::{App, Caller, openapi};

/// The application.
#[derive(Default)]
pub(super) struct Toy {
    /// Its clock in microseconds.
    now_us: AtomicU64,
}

/// Who has one of its tokens.
pub(super) struct Someone(String);

impl Caller for Someone {
    fn identity(&self) -> String {
        self.0.clone()
    }

    fn class(&self) -> Class {
        if self.0 == "hosted" { Class::Hosting } else { Class::Operator }
    }

    fn may(&self, _: Permission) -> bool {
        self.0 != "poor"
    }
}

impl App for Toy {
    type Caller = Someone;
    type Domain = String;

    fn now_us(&self) -> u64 {
        self.now_us.load(Ordering::Relaxed)
    }

    async fn authenticate(&self, credentials: Credentials<'_>, client: IpAddr) -> Result<Someone, AuthFailure> {
        let token = match credentials {
            Credentials::Token(token) | Credentials::Named { token, .. } => token.to_owned(),
            Credentials::Peer { uid } => format!("uid {uid}"),
        };
        match token.as_str() {
            "good" | "poor" | "hosted" => Ok(Someone(token)),
            "near" if client.is_loopback() => Ok(Someone(token)),
            "locked" => Err(AuthFailure::Inactive),
            "busy" => Err(AuthFailure::Unavailable(Refusal::detail(503, "Not now."))),
            peer if peer.starts_with("uid ") => Ok(Someone(token)),
            _ => Err(AuthFailure::Wrong),
        }
    }

    async fn domain(&self, _: &Someone, name: &str) -> Result<Option<String>, Refusal> {
        Ok((name == "example").then(|| name.to_owned()))
    }

    fn path_at_host(&self, host: &str, path: &str) -> Option<&'static str> {
        (host == "update.test" && path != "/nothing").then_some("/api/v1/dyndns/update")
    }
}

/// Says what it was asked.
async fn echo(_: Arc<Toy>, call: Call<Toy>) -> Result<Reply, Refusal> {
    let body = match &call.body {
        Body::Absent => json!(null),
        Body::Json(value) => value.clone(),
        Body::Bytes(bytes) => json!(bytes.len()),
    };
    let reply = json!({
        "body": body,
        "caller": call.caller.as_ref().map(|caller| caller.0.as_str()),
        "client": call.client.to_string(),
        "here": call.url.absolute("/api/v1/here/"),
        "domain": call.domain,
        "subname": call.subname(),
        "type": call.param("type"),
        "wait": call.wait.map(|wait| wait.as_secs()),
    });
    Ok(Reply::json(200, &reply).etag("e").change(7).not_served_yet())
}

/// A list of six hundred items.
async fn list(_: Arc<Toy>, call: Call<Toy>) -> Result<Reply, Refusal> {
    let paging = Paging::of(&call)?;
    let slice = paging.slice(600)?;
    let items: Vec<u64> = (0..600).rev().take(slice.item_count_max).collect();
    let (items, link) = paging.finish(items, |id| Position { created_us: 0, id: *id });
    Ok(Reply::json(200, &items.len()).link(link.as_deref()))
}

/// A dynamic update.
async fn update(_: Arc<Toy>, call: Call<Toy>) -> Result<Reply, Refusal> {
    let name = call.query("hostname").unwrap_or("example");
    call.throttle(Scope::DynDns, name)?;
    Ok(Reply::text(200, "good"))
}

/// A bug.
async fn bug(_: Arc<Toy>, call: Call<Toy>) -> Result<Reply, Refusal> {
    assert!(call.query("really").is_none(), "this is a bug");
    Ok(Reply::empty(204))
}

/// A body.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct Thing {
    /// Its name.
    name: String,
    /// What it is made of.
    parts: Vec<Part>,
}

/// A part of a thing.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct Part {
    /// How many.
    count: u32,
}

/// How most of it succeeds.
const OK: &[Success] = &[Success::json::<Thing>(200)];

/// The table.
pub(super) static ROUTES: &[Route<Toy>] = &[
    Route::new(
        "/api/v1/",
        &[Operation::get(|app, call| Box::pin(echo(app, call))).access(Access::Optional).replies(OK)],
    ),
    Route::new(
        "/api/v1/domains/",
        &[
            Operation::get(|app, call| Box::pin(list(app, call)))
                .scopes(&[Scope::DnsApiCheap])
                .query(&["cursor"])
                .replies(OK),
            Operation::post(|app, call| Box::pin(echo(app, call)))
                .access(Access::With(Permission::CreateDomain))
                .body::<Thing>(Count::OneOrList)
                .large()
                .scopes(&[Scope::DnsApiExpensive])
                .replies(&[Success::list::<Thing>(201)])
                .refuses(&[409]),
        ],
    ),
    Route::new(
        "/api/v1/domains/{name}/",
        &[
            Operation::get(|app, call| Box::pin(echo(app, call))).resource(Resource::Domain).replies(OK),
            Operation::delete(|app, call| Box::pin(echo(app, call))).replies(&[Success::empty(204)]),
        ],
    ),
    Route::new(
        "/api/v1/domains/{name}/zonefile/",
        &[Operation::get(|app, call| Box::pin(echo(app, call)))
            .resource(Resource::Domain)
            .replies(&[Success::media(200, "text/dns")])],
    ),
    Route::new(
        "/api/v1/domains/{name}/rrsets/",
        &[Operation::post(|app, call| Box::pin(echo(app, call)))
            .resource(Resource::PartOfDomain)
            .scopes(&[Scope::DnsApiPerDomainExpensive])
            .replies(OK)],
    ),
    Route::new(
        "/api/v1/domains/{name}/rrsets/{subname}/{type}/",
        &[
            Operation::get(|app, call| Box::pin(echo(app, call))).resource(Resource::PartOfDomain).replies(OK),
            Operation::put(|app, call| Box::pin(echo(app, call))).resource(Resource::PartOfDomain).replies(OK),
        ],
    ),
    Route::new(
        "/api/v1/dyndns/update",
        &[Operation::get(|app, call| Box::pin(update(app, call))).replies(&[Success::media(200, "text/plain")])],
    )
    .style(Style::DynDns),
    Route::new(
        "/api/v1/bug/",
        &[Operation::get(|app, call| Box::pin(bug(app, call))).access(Access::Open).replies(OK)],
    ),
    Route::new(
        "/api/zones/{name}/import",
        &[Operation::post(|app, call| Box::pin(echo(app, call)))
            .access(Access::With(Permission::Write))
            .takes(Takes::Text)
            .large()
            .query(&["replace"])
            .replies(OK)],
    )
    .style(Style::Operations),
];

/// Limits that make slow peers fail fast.
pub(super) fn quick() -> Limits {
    let short = Duration::from_millis(100);
    Limits { connection_count: 4, head_time: short, body_time: short, drain_time: short, ..Limits::default() }
}

/// A server that runs while `talk` talks to it.
pub(super) fn with_server(settings: Settings, talk: impl FnOnce(SocketAddr, &Server<Toy>)) {
    let server = Server::new(Arc::new(Toy::default()), &[ROUTES, openapi::routes()], settings);
    let (sender, stop) = watch::channel(false);
    let (tell, told) = std::sync::mpsc::channel();
    let runs = server.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            accept(Listener::Net(listener), runs, stop).await;
        });
    });
    talk(told.recv().unwrap(), &server);
    sender.send_replace(true);
    thread.join().unwrap();
}

/// Sends `request`, closes our side, and returns all that comes back.
pub(super) fn talk(addr: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    // The server may refuse early and close: what it said until then counts.
    stream.write_all(request).ok();
    stream.shutdown(Shutdown::Write).ok();
    read_all(stream)
}

/// Reads until the server closes.
pub(super) fn read_all(mut stream: impl Read) -> String {
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).ok();
    String::from_utf8(reply).unwrap()
}

/// Asks one thing: method and target, lines of header, body. A host and a length are added.
pub(super) fn ask(addr: SocketAddr, what: &str, head: &[&str], body: &str) -> String {
    let mut request = format!("{what} HTTP/1.1\r\nHost: pets.test\r\n");
    for line in head {
        request += line;
        request += "\r\n";
    }
    if !body.is_empty() {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request += "\r\n";
    request += body;
    talk(addr, request.as_bytes())
}
