//! The hosts of the dynDNS service: those that take updates on any path, and those that tell a client its address.
//!
//! Clients are old, and many cannot be told a path. So each suffix below which we register names has hosts of its own.

/// First labels of hosts that take updates.
const UPDATE_LABELS: [&str; 2] = ["update", "update6"];
/// First labels of hosts that tell the client's address.
const ADDRESS_LABELS: [&str; 3] = ["checkip", "checkipv4", "checkipv6"];
/// The path that tells the address on hosts that take updates.
const ADDRESS_PATH: &str = "/nic/checkip.html";
/// Ends of paths that browsers ask for by themselves; they must not change anything.
const PICTURE_ENDS: [&str; 2] = [".ico", ".png"];

/// What a request on one of the hosts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// An update.
    Update,
    /// The client wants to know its address.
    Address,
    /// Nothing that we have: status 401, without a look at what is asked.
    Refused,
}

/// What a request for `path` on `host` is; `None` if the host is none of the dynDNS service. `host` may have a port; `suffixes`
/// are in lower case without a final dot.
#[must_use]
pub fn place(host: &str, path: &str, suffixes: &[String]) -> Option<Place> {
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let (label, suffix) = name.split_once('.')?;
    if !suffixes.iter().any(|local| local == suffix) {
        return None;
    }
    if ADDRESS_LABELS.contains(&label) {
        return Some(Place::Address);
    }
    if !UPDATE_LABELS.contains(&label) {
        return None;
    }
    Some(match path {
        ADDRESS_PATH => Place::Address,
        path if PICTURE_ENDS.iter().any(|end| path.ends_with(end)) => Place::Refused,
        _ => Place::Update,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_below_a_local_suffix_are_the_service() {
        let suffixes = ["dyn.example.net".to_owned()];
        for (host, path, expected) in [
            ("update.dyn.example.net", "/", Some(Place::Update)),
            ("Update6.Dyn.Example.Net.:443", "/nic/update", Some(Place::Update)),
            ("update.dyn.example.net", "/nic/checkip.html", Some(Place::Address)),
            ("update.dyn.example.net", "/favicon.ico", Some(Place::Refused)),
            ("update.dyn.example.net", "/a/b.png", Some(Place::Refused)),
            ("checkip.dyn.example.net", "/favicon.ico", Some(Place::Address)),
            ("checkipv6.dyn.example.net", "/", Some(Place::Address)),
            ("update.example.net", "/", None),
            ("a.update.dyn.example.net", "/", None),
            ("www.dyn.example.net", "/", None),
            ("dyn.example.net", "/", None),
            ("[::1]:80", "/", None),
            ("", "/", None),
        ] {
            assert_eq!(place(host, path, &suffixes), expected, "{host} {path}");
        }
    }
}
