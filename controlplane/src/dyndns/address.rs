//! The addresses of a request: from the parameters of a family, in their order, to what becomes of a host's records.

use std::net::IpAddr;

use ipnet::IpNet;
use snapshot::dns::rtype::Rtype;

use super::network::moved;
use super::{DyndnsError, Request};

/// The word that leaves records as they are.
const PRESERVE: &str = "preserve";

/// The two kinds of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4, A records.
    V4,
    /// IPv6, AAAA records.
    V6,
}

/// What becomes of the addresses of a host, in one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// They stay.
    Keep,
    /// They are these from now on, each once; none deletes the RRset.
    Set(Vec<IpAddr>),
    /// Their network bits are replaced by those of this network.
    Network(IpNet),
}

/// A parameter that is for one host, such as `myipv4:www.example.com`, and its value.
pub(super) type Own<'a> = (&'a str, &'a str);

/// One value of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// An address.
    Address(IpAddr),
    /// A network, host bits cleared.
    Network(IpNet),
    /// Nothing, between commas or at all.
    Empty,
    /// `preserve`.
    Preserve,
}

impl Action {
    /// The addresses after the action where `existing` are there now; `None` if nothing is to be written.
    #[must_use]
    pub fn apply(&self, existing: &[IpAddr]) -> Option<Vec<IpAddr>> {
        match self {
            Action::Keep => None,
            Action::Set(addresses) => Some(addresses.clone()),
            Action::Network(_) if existing.is_empty() => None,
            Action::Network(network) => Some(unique(existing.iter().filter_map(|&address| moved(*network, address)))),
        }
    }
}

impl Family {
    /// The parameters for all hosts, the first that has something to say first.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Family::V4 => &["myip", "myipv4", "ip"],
            Family::V6 => &["myipv6", "ipv6", "myip", "ip"],
        }
    }

    /// The type of records with such addresses.
    #[must_use]
    pub fn rtype(self) -> Rtype {
        match self {
            Family::V4 => Rtype::A,
            Family::V6 => Rtype::AAAA,
        }
    }

    /// Whether an address is of this family.
    fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Family::V4)
    }
}

impl Value {
    /// Reads one value of `parameter`, blanks around it removed.
    fn parse(parameter: &str, text: &str) -> Result<Value, DyndnsError> {
        let escaped = || text.escape_debug().to_string();
        match text {
            "" => return Ok(Value::Empty),
            PRESERVE => return Ok(Value::Preserve),
            _ => {}
        }
        if text.contains('/') {
            // An IPv4 address in an IPv6 one is neither here nor below: nobody can be reached at it.
            let network = text.parse::<IpNet>().ok().filter(|network| !is_mapped(network.addr()));
            let parameter = || parameter.to_owned();
            return match network {
                Some(network) => Ok(Value::Network(network.trunc())),
                None => Err(DyndnsError::Network { parameter: parameter(), text: escaped() }),
            };
        }
        match text.parse::<IpAddr>().ok().filter(|&address| !is_mapped(address)) {
            Some(address) => Ok(Value::Address(address)),
            None => Err(DyndnsError::Address { parameter: parameter.to_owned(), text: escaped() }),
        }
    }

    /// Whether the value says something about `family`: words speak for both.
    fn concerns(self, family: Family) -> bool {
        match self {
            Value::Address(address) => family.has(address),
            Value::Network(network) => family.has(network.addr()),
            Value::Empty | Value::Preserve => true,
        }
    }
}

/// Finds what becomes of the addresses of a host in `family`; `own` is its own parameter with its value, if it has one.
pub(super) fn action(request: &Request<'_>, own: Option<Own<'_>>, family: Family) -> Result<Action, DyndnsError> {
    let of_all = family.parameters().iter().filter_map(|&key| request.param(key).map(|value| (key, value)));
    let mut is_named = false;
    for (parameter, text) in own.into_iter().chain(of_all) {
        is_named = true;
        if let Some(action) = read(parameter, text, family)? {
            return Ok(action);
        }
    }
    let client = request.client.to_canonical();
    // A request that names its addresses means those. That of the connection may be one of a network in between, and
    // depends on which protocol the client happened to use.
    let is_used = !is_named && family.has(client);
    Ok(Action::Set(if is_used { vec![client] } else { Vec::new() }))
}

/// Reads what a parameter says about `family`; `None` if it has only addresses of the other one.
fn read(parameter: &str, text: &str, family: Family) -> Result<Option<Action>, DyndnsError> {
    let mut values: Vec<Value> = Vec::new();
    for text in text.split(',') {
        let value = Value::parse(parameter, text.trim())?;
        if value.concerns(family) && !values.contains(&value) {
            values.push(value);
        }
    }
    let named = || parameter.to_owned();
    match values.as_slice() {
        [] => Ok(None),
        [Value::Empty] => Ok(Some(Action::Set(Vec::new()))),
        [Value::Preserve] => Ok(Some(Action::Keep)),
        [Value::Network(network)] => Ok(Some(Action::Network(*network))),
        values if values.iter().any(|value| matches!(value, Value::Empty | Value::Preserve)) => {
            Err(DyndnsError::Mixed(named()))
        }
        values => {
            let addresses = values.iter().map(|value| match value {
                Value::Address(address) => Ok(*address),
                _ => Err(DyndnsError::NetworkInList(named())),
            });
            Ok(Some(Action::Set(addresses.collect::<Result<_, _>>()?)))
        }
    }
}

/// Whether this is an IPv4 address written as an IPv6 one.
fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// The addresses, each once.
fn unique(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut seen = Vec::new();
    for address in addresses {
        if !seen.contains(&address) {
            seen.push(address);
        }
    }
    seen
}
