//! The networks a token may be used from: `allowed_subnets`.
//!
//! A network is given as CIDR or as one address. Invariant: the host bits of what is accepted are zero, so that equal
//! networks have equal texts.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::type_name;

/// Why a text is no network. The messages are those of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SubnetError {
    /// Neither CIDR nor an address.
    #[error("Invalid CIDR address.")]
    Invalid,
    /// Bits are set below the prefix.
    #[error("Must be a network address.")]
    HostBits,
}

/// Reads one network; an address is the network of that address alone, and IPv4 masks may be written with dots.
///
/// # Errors
/// [`SubnetError`].
pub fn subnet(text: &str) -> Result<IpNet, SubnetError> {
    let (address, mask) = match text.split_once('/') {
        Some((address, mask)) => (address, Some(mask)),
        None => (text, None),
    };
    // The parser of std refuses leading zeros, which some programs read as octal.
    let address: IpAddr = address.parse().map_err(|_| SubnetError::Invalid)?;
    let network = match (mask, address) {
        (None, address) => IpNet::from(address),
        (Some(mask), IpAddr::V4(address)) if mask.contains('.') => {
            let mask = mask.parse::<Ipv4Addr>().map_err(|_| SubnetError::Invalid)?;
            IpNet::V4(Ipv4Net::with_netmask(address, mask).map_err(|_| SubnetError::Invalid)?)
        }
        (Some(mask), address) => {
            let len = prefix_len(mask).ok_or(SubnetError::Invalid)?;
            IpNet::new(address, len).map_err(|_| SubnetError::Invalid)?
        }
    };
    if network.addr() == network.network() { Ok(network) } else { Err(SubnetError::HostBits) }
}

/// Reads the length of a prefix: one to three digits.
fn prefix_len(text: &str) -> Option<u8> {
    let is_number = (1..=3).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Reads the whole field. An empty list is allowed: such a token can be used from nowhere.
///
/// # Errors
/// The error value of the field: a list of messages, or messages by position such as `{"0":["Invalid CIDR address."]}`.
pub fn subnets(value: &Value) -> Result<Vec<IpNet>, Value> {
    let items = match value {
        Value::Array(items) => items,
        Value::Null => return Err(json!(["This field may not be null."])),
        other => {
            return Err(json!([format!("Expected a list of items but got type \"{}\".", type_name(other))]));
        }
    };
    let mut networks = Vec::with_capacity(items.len());
    let mut errors = Map::new();
    for (position, item) in items.iter().enumerate() {
        let result = match item {
            Value::Null => Err("This field may not be null.".to_owned()),
            Value::String(text) => subnet(text).map_err(|error| error.to_string()),
            _ => Err(SubnetError::Invalid.to_string()),
        };
        match result {
            Ok(network) => networks.push(network),
            Err(message) => {
                errors.insert(position.to_string(), json!([message]));
            }
        }
    }
    if errors.is_empty() { Ok(networks) } else { Err(Value::Object(errors)) }
}

/// Whether a client may use a token of these networks. IPv4 addresses that a dual-stack socket shows as IPv6 count as IPv4.
#[must_use]
pub fn is_allowed(networks: &[IpNet], client: IpAddr) -> bool {
    let client = client.to_canonical();
    networks.iter().any(|network| network.contains(&client))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses_are_accepted() {
        for (text, expected) in [
            ("127.0.0.0/8", "127.0.0.0/8"),
            ("::1", "::1/128"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:DB8:0::/48", "2001:db8::/48"),
            ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ] {
            assert_eq!(subnet(text).map(|network| network.to_string()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn host_bits_and_junk_are_refused() {
        for text in ["127.0.0.1/8", "::1/64", "10.1.0.0/255.0.0.0"] {
            assert_eq!(subnet(text), Err(SubnetError::HostBits), "{text}");
        }
        for text in [
            "",
            "/",
            "/8",
            "a",
            "1.2.3",
            "1.2.3.4/33",
            "::/129",
            "1.2.3.4/-1",
            "1.2.3.4/8/8",
            " ::1",
            "fe80::1%eth0",
            "010.0.0.0/8",
            "::/255.0.0.0",
            "10.0.0.0/255.0.255.0",
            "example.com",
        ] {
            assert_eq!(subnet(text), Err(SubnetError::Invalid), "{text:?}");
        }
    }

    #[test]
    fn errors_of_the_list_name_the_position() {
        let list = subnets(&json!(["127.0.0.0/8", "::1"])).unwrap();
        assert_eq!(list.iter().map(IpNet::to_string).collect::<Vec<_>>(), ["127.0.0.0/8", "::1/128"]);
        assert_eq!(subnets(&json!([])), Ok(Vec::new()));
        for (value, error) in [
            (json!(["127.0.0.1/8"]), json!({"0": ["Must be a network address."]})),
            (
                json!(["::/0", "x", 7, null]),
                json!({"1": ["Invalid CIDR address."], "2": ["Invalid CIDR address."], "3": ["This field may not be null."]}),
            ),
            (json!("::/0"), json!(["Expected a list of items but got type \"str\"."])),
            (json!({}), json!(["Expected a list of items but got type \"dict\"."])),
            (json!(null), json!(["This field may not be null."])),
        ] {
            assert_eq!(subnets(&value), Err(error), "{value}");
        }
    }

    #[test]
    fn clients_are_matched_in_both_families() {
        let networks = [subnet("10.0.0.0/8").unwrap(), subnet("2001:db8::/32").unwrap()];
        for (client, expected) in
            [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("11.0.0.1", false), ("2001:db8::1", true), ("::1", false)]
        {
            assert_eq!(is_allowed(&networks, client.parse().unwrap()), expected, "{client}");
        }
        assert!(!is_allowed(&[], "10.1.2.3".parse().unwrap()));
    }
}
