//! From where a request comes and under which address it was sent.
//!
//! Behind a proxy the connection tells nothing of either; `X-Forwarded-For`, `-Proto` and `-Host` do, but anyone can write
//! them. Invariant: they are heeded only from the networks that the operator listed, and a host that is none never gets
//! into a reply (RFC 9110 section 7.2, RFC 9112 section 3.2).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::header::{HOST, HeaderMap, HeaderName};
use axum::http::{Uri, Version};
use ipnet::IpNet;

use super::reply::Refusal;

/// Addresses of clients, nearest proxy last.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The scheme that the client used.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The host that the client asked.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The longest host with port in characters.
const HOST_LEN_MAX: usize = 255 + 6;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Over the network.
    Net(SocketAddr),
    /// A process on this machine, over the local socket.
    Local {
        /// Its user, as the kernel vouches for.
        uid: u32,
    },
}

impl Peer {
    /// Its user, if it is on this machine.
    pub(super) fn uid(self) -> Option<u32> {
        match self {
            Peer::Net(_) => None,
            Peer::Local { uid } => Some(uid),
        }
    }
}

/// Where a request comes from, and the address it was sent to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The client.
    pub(super) client: IpAddr,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// Host, and port if it was given.
    pub(super) host: String,
}

impl Origin {
    /// Reads the head. `here` is the address to fall back to where HTTP/1.0 names no host.
    ///
    /// # Errors
    /// 400 if HTTP/1.1 names no host or two, or what it names is none.
    pub(super) fn read(
        peer: Peer,
        trusted: &[IpNet],
        (uri, version, headers): (&Uri, Version, &HeaderMap),
        here: &str,
    ) -> Result<Origin, Refusal> {
        let mut named = headers.get_all(HOST).iter();
        let first = named.next().map(|value| value.to_str().unwrap_or("?"));
        let target = uri.authority().map(|authority| authority.as_str());
        let host = match (first, target) {
            _ if named.next().is_some() => None,
            (None, _) if version >= Version::HTTP_11 => None,
            // The target wins over the header (RFC 9112 section 3.2.2).
            (_, Some(target)) => Some(target),
            (Some(host), None) => Some(host),
            (None, None) => Some(here),
        };
        let mut origin = Origin { client: IpAddr::V4(Ipv4Addr::LOCALHOST), scheme: "http", host: String::new() };
        let mut host = host;
        if let Peer::Net(addr) = peer {
            origin.client = addr.ip().to_canonical();
            if is_trusted(trusted, origin.client) {
                origin.client = client_before(origin.client, trusted, headers);
                if last(headers, &FORWARDED_PROTO).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")) {
                    origin.scheme = "https";
                }
                host = last(headers, &FORWARDED_HOST).or(host);
            }
        }
        match host.filter(|host| is_host(host)) {
            Some(host) => origin.host = host.to_owned(),
            None => return Err(Refusal::detail(400, "Invalid host header.")),
        }
        Ok(origin)
    }

    /// The host in lower case, without its port.
    pub(super) fn bare_host(&self) -> String {
        let host = match self.host.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.host,
        };
        host.trim_end_matches('.').to_ascii_lowercase()
    }
}

/// Whether this address is one of a trusted proxy.
fn is_trusted(trusted: &[IpNet], addr: IpAddr) -> bool {
    trusted.iter().any(|net| net.contains(&addr))
}

/// The client in front of trusted proxies: from the nearest on, the first address that is no proxy's.
///
/// What stands before it was written by the client and proves nothing. What is no address ends the way: the proxy that
/// wrote it is then the nearest that is known.
fn client_before(nearest: IpAddr, trusted: &[IpNet], headers: &HeaderMap) -> IpAddr {
    let fields: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().map(|value| value.to_str().unwrap_or("?")).collect();
    let mut client = nearest;
    for entry in fields.iter().flat_map(|field| field.split(',')).rev() {
        let Some(addr) = address(entry.trim()) else { return client };
        client = addr;
        if !is_trusted(trusted, addr) {
            return client;
        }
    }
    client
}

/// An address, with or without port, with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|addr| addr.ip());
    bare.parse::<IpAddr>().ok().or_else(with_port).map(|addr| addr.to_canonical())
}

/// The last entry of all fields of this name: what the nearest proxy wrote.
fn last<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let field = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    field.rsplit(',').next().map(str::trim).filter(|entry| !entry.is_empty())
}

/// Whether this can be a host with or without port: only characters that need no escape anywhere.
fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !text.is_empty() && text.len() <= HOST_LEN_MAX && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `client scheme host`, or `refused`, of a request from `peer` with these fields to a server that trusts 10/8 and fd00::/8.
    fn check(peer: &str, fields: &[(&'static str, &str)], expected: &str) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let peer = Peer::Net(SocketAddr::new(peer.parse().unwrap(), 1));
        let head = (&Uri::from_static("/"), Version::HTTP_11, &headers);
        let shown = match Origin::read(peer, &trusted, head, "here:1") {
            Ok(Origin { client, scheme, host }) => format!("{client} {scheme} {host}"),
            Err(_) => "refused".into(),
        };
        assert_eq!(shown, expected, "{fields:?}");
    }

    /// T-F14.
    #[test]
    fn forwarded_fields_count_only_from_trusted_proxies() {
        let spoof =
            [("host", "a"), ("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "b")];
        check("192.0.2.1", &spoof, "192.0.2.1 http a");
        check("::1", &spoof, "::1 http a");
        check("10.0.0.1", &spoof, "1.1.1.1 https b");
        check("::ffff:10.0.0.1", &spoof, "1.1.1.1 https b");
        check("fd00::1", &spoof, "1.1.1.1 https b");
        check("10.0.0.1", &[("host", "a")], "10.0.0.1 http a");
    }

    #[test]
    fn of_a_chain_only_what_proxies_wrote_counts() {
        let chain = |text| [("host", "a"), ("x-forwarded-for", text)];
        check("10.0.0.1", &chain("9.9.9.9, 1.1.1.1, 10.0.0.2"), "1.1.1.1 http a");
        check("10.0.0.1", &chain("9.9.9.9, junk, 10.0.0.2"), "10.0.0.2 http a");
        check("10.0.0.1", &chain("junk"), "10.0.0.1 http a");
        check("10.0.0.1", &chain("10.0.0.3"), "10.0.0.3 http a");
        check("10.0.0.1", &chain("[2001:db8::1]:80"), "2001:db8::1 http a");
        check("10.0.0.1", &chain("1.2.3.4:80"), "1.2.3.4 http a");
        check("10.0.0.1", &chain("::ffff:1.2.3.4"), "1.2.3.4 http a");
        let two = [("host", "a"), ("x-forwarded-for", "9.9.9.9"), ("x-forwarded-for", "1.1.1.1")];
        check("10.0.0.1", &two, "1.1.1.1 http a");
    }

    #[test]
    fn hosts_are_checked() {
        check("192.0.2.1", &[], "refused");
        check("192.0.2.1", &[("host", "a"), ("host", "a")], "refused");
        for bad in ["", "a b", "a/b", "a\"b", "a@b", "a<b>", "a%0d%0a", &"x".repeat(300)] {
            check("192.0.2.1", &[("host", bad)], "refused");
        }
        check("10.0.0.1", &[("host", "a"), ("x-forwarded-host", "x\"y")], "refused");
        check("192.0.2.1", &[("host", "[::1]:80")], "192.0.2.1 http [::1]:80");
        let origin = |host: &str| Origin { client: Ipv4Addr::LOCALHOST.into(), scheme: "http", host: host.into() };
        for (host, bare) in [("A.B:80", "a.b"), ("a.", "a"), ("[::1]", "[::1]"), ("[::1]:1", "[::1]")] {
            assert_eq!(origin(host).bare_host(), bare);
        }
    }

    #[test]
    fn old_requests_need_no_host_and_targets_win() {
        let read = |uri: &'static str, version, headers: &HeaderMap| {
            let peer = Peer::Local { uid: 0 };
            Origin::read(peer, &[], (&Uri::from_static(uri), version, headers), "here:1").map(|origin| origin.host)
        };
        assert_eq!(read("/", Version::HTTP_10, &HeaderMap::new()).unwrap(), "here:1");
        assert!(read("/", Version::HTTP_11, &HeaderMap::new()).is_err());
        let named = HeaderMap::from_iter([(HOST, "b".parse().unwrap())]);
        assert_eq!(read("http://a:1/x", Version::HTTP_11, &named).unwrap(), "a:1");
    }
}
