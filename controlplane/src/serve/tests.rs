//! The pages, asked over a loopback connection.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;
use crate::http::Caller;
use crate::http::credentials::{AuthFailure, Credentials};
use crate::http::listen::{Listener, accept};
use crate::http::route::Permission;
use crate::http::server::{Server, Settings};
use crate::http::throttle::Class;
use crate::planes::Pace;

/// The application that has nothing but these pages.
struct Site {
    /// The planes it follows.
    planes: Arc<Planes>,
    /// What keeps it from publishing.
    trouble: Option<String>,
}

/// Nobody has credentials here.
enum Nobody {}

impl Caller for Nobody {
    fn identity(&self) -> String {
        match *self {}
    }

    fn class(&self) -> Class {
        match *self {}
    }

    fn may(&self, _: Permission) -> bool {
        match *self {}
    }
}

impl App for Site {
    type Caller = Nobody;
    type Domain = Nobody;

    fn now_us(&self) -> u64 {
        0
    }

    async fn authenticate(&self, _: Credentials<'_>, _: IpAddr) -> Result<Nobody, AuthFailure> {
        Err(AuthFailure::Wrong)
    }

    async fn domain(&self, _: &Nobody, _: &str) -> Result<Option<Nobody>, Refusal> {
        Ok(None)
    }
}

impl Follows for Site {
    fn planes(&self) -> &Arc<Planes> {
        &self.planes
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }
}

/// Runs a server without a data plane while `talk` talks to it.
fn with_server(talk: impl FnOnce(SocketAddr)) {
    with_site(&["/nowhere/control"], None, talk);
}

/// The same with these data planes, none of which is there, and what keeps it from publishing.
fn with_site(controls: &[&str], trouble: Option<String>, talk: impl FnOnce(SocketAddr)) {
    let controls = controls.iter().map(Into::into).collect();
    let (sender, stop) = watch::channel(false);
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let planes = Planes::new("/nowhere".into(), controls, Pace::default());
            let site = Arc::new(Site { planes: Arc::new(planes), trouble });
            accept(Listener::Net(listener), Server::new(site, &[routes()], Settings::default()), stop).await;
        });
    });
    talk(told.recv().unwrap());
    sender.send_replace(true);
    thread.join().unwrap();
}

/// Asks for one thing and returns all that comes back.
fn ask(addr: SocketAddr, what: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(format!("{what} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn bodies_and_types_are_as_documented() {
    with_server(|addr| {
        let health = ask(addr, "GET /healthz");
        assert!(health.contains("content-type: text/plain") && health.ends_with("\r\n\r\nok\n"), "{health}");
        let metrics = ask(addr, "GET /metrics");
        assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
        assert!(metrics.contains("\ndns_plane_up{plane=\"/nowhere/control\"} 0\n"), "{metrics}");
        assert!(metrics.contains("{route=\"/healthz\",method=\"GET\",status=\"2xx\"} 1\n"), "{metrics}");
        let ready = ask(addr, "GET /readyz");
        let expected = r#"{"ready":false,"planes":[{"path":"/nowhere/control","attached":false,"generation":null}]}"#;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.ends_with(&format!("{expected}\n")), "{ready}");
        let method = ask(addr, "PUT /metrics");
        assert!(method.starts_with("HTTP/1.1 405") && method.contains("allow: GET, HEAD, OPTIONS\r\n"), "{method}");
        assert!(ask(addr, "HEAD /healthz").ends_with("\r\n\r\n"));
    });
}

#[test]
fn a_database_in_quarantine_is_not_ready_and_says_why() {
    with_site(&[], None, |addr| {
        let ready = ask(addr, "GET /readyz");
        assert!(ready.starts_with("HTTP/1.1 200") && ready.ends_with("{\"ready\":true,\"planes\":[]}\n"), "{ready}");
    });
    with_site(&[], Some("changes were lost".into()), |addr| {
        let ready = ask(addr, "GET /readyz");
        let expected = r#"{"ready":false,"reason":"changes were lost","planes":[]}"#;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.ends_with(&format!("{expected}\n")), "{ready}");
        assert!(ask(addr, "GET /healthz").starts_with("HTTP/1.1 200"));
    });
}
