//! Addresses as operators write them: `IP`, `IP:PORT`, `[IPv6]`, `[IPv6]:PORT`; port 53 if none is given.
//!
//! Names are not resolved: a server must not need a resolver to start.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The port of DNS (RFC 1035 section 4.2).
const PORT: u16 = 53;

/// Reads one address.
pub(super) fn parse(text: &str) -> Option<SocketAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    text.parse::<SocketAddr>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT)))
        .or_else(|| bracketed().map(|ip| SocketAddr::new(ip.into(), PORT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_port_53_unless_they_say_otherwise() {
        let cases = [
            ("127.0.0.1", Some("127.0.0.1:53")),
            ("192.0.2.1:5300", Some("192.0.2.1:5300")),
            ("::1", Some("[::1]:53")),
            ("[::1]", Some("[::1]:53")),
            ("[2001:db8::1]:0", Some("[2001:db8::1]:0")),
            ("0.0.0.0", Some("0.0.0.0:53")),
            ("", None),
            ("53", None),
            ("localhost", None),
            ("127.0.0.1:", None),
            ("127.0.0.1:65536", None),
            ("[127.0.0.1]:53", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).map(|addr| addr.to_string()).as_deref(), expected, "{text:?}");
        }
    }
}
