//! Values of service parameters, one arm per key in each direction (RFC 9460 section 7, RFC 9461, RFC 9540).
//!
//! Text here has passed the escapes of strings already; the escapes of lists (RFC 9460 appendix A.1) are a second layer
//! and belong here. Keys without an arm have octets.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::BASE64;

use super::codec;
use super::parse::text_as;

/// The key of a service parameter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) u16);

/// The names of the keys, by their number.
const NAMES: [&str; 9] =
    ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];

impl Key {
    /// Keys a client must understand.
    pub(super) const MANDATORY: Key = Key(0);
    /// Protocols.
    pub(super) const ALPN: Key = Key(1);
    /// The default protocol is not supported.
    pub(super) const NO_DEFAULT_ALPN: Key = Key(2);
    /// A port.
    const PORT: Key = Key(3);
    /// IPv4 addresses.
    const IPV4HINT: Key = Key(4);
    /// Encrypted ClientHello configurations.
    const ECH: Key = Key(5);
    /// IPv6 addresses.
    const IPV6HINT: Key = Key(6);
    /// The URI template of DNS over HTTPS (RFC 9461 section 5).
    const DOHPATH: Key = Key(7);
    /// Oblivious HTTP (RFC 9540 section 4).
    const OHTTP: Key = Key(8);

    /// Reads a name in lower case, or `keyNNNNN` without leading zeros.
    pub(super) fn parse(text: &[u8]) -> Option<Key> {
        if let Some(code) = (0u16..).zip(NAMES).find_map(|(code, name)| (name.as_bytes() == text).then_some(code)) {
            return Some(Key(code));
        }
        let digits = text.strip_prefix(b"key")?;
        if digits.len() > 1 && digits.starts_with(b"0") {
            return None;
        }
        codec::number_16(digits).map(Key)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(usize::from(self.0)) {
            Some(name) => f.write_str(name),
            None => write!(f, "key{}", self.0),
        }
    }
}

/// Appends the wire format of a value; the error says what was expected.
pub(super) fn parse(key: Key, text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    match key {
        Key::MANDATORY => {
            let keys: Option<Vec<Key>> = text.split(|&octet| octet == b',').map(Key::parse).collect();
            let mut keys = keys.ok_or("names of service parameters with commas between")?;
            keys.sort_unstable();
            out.extend(keys.iter().flat_map(|key| key.0.to_be_bytes()));
        }
        Key::ALPN => push_list(text, out)?,
        Key::PORT => {
            let port = codec::number_16(text).ok_or("a port from 0 to 65535")?;
            out.extend_from_slice(&port.to_be_bytes());
        }
        Key::IPV4HINT => {
            for address in text.split(|&octet| octet == b',') {
                let address = text_as::<Ipv4Addr>(address).ok_or("IPv4 addresses with commas between")?;
                out.extend_from_slice(&address.octets());
            }
        }
        Key::IPV6HINT => {
            for address in text.split(|&octet| octet == b',') {
                let address = text_as::<Ipv6Addr>(address).ok_or("IPv6 addresses with commas between")?;
                out.extend_from_slice(&address.octets());
            }
        }
        Key::ECH => codec::push_decoded(&BASE64, text, out).map_err(|_| "octets in base64")?,
        _ => out.extend_from_slice(text),
    }
    check(key, out)
}

/// Validates a value in wire format; the error says what was expected.
pub(super) fn check(key: Key, value: &[u8]) -> Result<(), &'static str> {
    let result = |good: Option<()>, words: &'static str| good.ok_or(words);
    let is = |good: Option<bool>| good.filter(|&good| good).map(|_| ());
    let len = value.len();
    match key {
        Key::MANDATORY => {
            let keys: Vec<u16> = value.chunks_exact(2).map(|key| u16::from_be_bytes([key[0], key[1]])).collect();
            // Key 0 is `mandatory` itself, which may not be listed (RFC 9460 section 8).
            let good = len > 0 && len.is_multiple_of(2) && keys[0] != 0 && keys.is_sorted_by(|a, b| a < b);
            result(is(Some(good)), "different keys other than mandatory")
        }
        Key::ALPN => result(is(Some(is_list(value))), "protocol identifiers of 1 to 255 octets"),
        Key::NO_DEFAULT_ALPN | Key::OHTTP => result(is(Some(len == 0)), "no value"),
        Key::PORT => result(is(Some(len == 2)), "a port of two octets"),
        Key::IPV4HINT => result(is(Some(len > 0 && len.is_multiple_of(4))), "one IPv4 address or more"),
        Key::IPV6HINT => result(is(Some(len > 0 && len.is_multiple_of(16))), "one IPv6 address or more"),
        Key::ECH => result(is(Some(len > 0)), "an ECH configuration list"),
        Key::DOHPATH => result(is(Some(is_doh_path(value))), "a path template in UTF-8 with the variable dns"),
        _ => Ok(()),
    }
}

/// Writes a value that is valid and not empty.
pub(super) fn write(key: Key, value: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    let comma = |idx: usize| if idx == 0 { "" } else { "," };
    match key {
        Key::MANDATORY => {
            for (idx, key) in value.chunks_exact(2).enumerate() {
                write!(out, "{}{}", comma(idx), Key(u16::from_be_bytes([key[0], key[1]])))?;
            }
            Ok(())
        }
        Key::ALPN => codec::write_quoted(&list_text(value), out),
        Key::PORT => write!(out, "{}", value.iter().fold(0u16, |port, &octet| port << 8 | u16::from(octet))),
        Key::IPV4HINT => {
            for (idx, address) in value.chunks_exact(4).enumerate() {
                let octets: [u8; 4] = address.try_into().map_err(|_| fmt::Error)?;
                write!(out, "{}{}", comma(idx), Ipv4Addr::from(octets))?;
            }
            Ok(())
        }
        Key::IPV6HINT => {
            for (idx, address) in value.chunks_exact(16).enumerate() {
                let octets: [u8; 16] = address.try_into().map_err(|_| fmt::Error)?;
                write!(out, "{}{}", comma(idx), Ipv6Addr::from(octets))?;
            }
            Ok(())
        }
        Key::ECH => write!(out, "{}", BASE64.encode_display(value)),
        _ => codec::write_quoted(value, out),
    }
}

/// Appends a list: items with commas between, `\,` and `\\` for a comma and a backslash inside an item.
fn push_list(text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut base = out.len();
    out.push(0);
    let mut octets = text.iter();
    while let Some(&octet) = octets.next() {
        match octet {
            b',' => {
                codec::close_counted(base, out).ok_or("protocol identifiers of 1 to 255 octets")?;
                base = out.len();
                out.push(0);
            }
            b'\\' => match octets.next() {
                Some(&octet @ (b',' | b'\\')) => out.push(octet),
                _ => return Err("a comma or a backslash after the backslash"),
            },
            _ => out.push(octet),
        }
    }
    codec::close_counted(base, out).ok_or("protocol identifiers of 1 to 255 octets")
}

/// The text of a list, before strings are escaped.
fn list_text(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&len, tail)) = rest.split_first() {
        let (item, after) = tail.split_at_checked(usize::from(len)).unwrap_or((tail, &[]));
        if !text.is_empty() {
            text.push(b',');
        }
        for &octet in item {
            if matches!(octet, b',' | b'\\') {
                text.push(b'\\');
            }
            text.push(octet);
        }
        rest = after;
    }
    text
}

/// Whether a value is one item or more, each of 1..=255 octets after a length octet.
fn is_list(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some((&len, tail)) = rest.split_first() {
        match tail.get(usize::from(len)..) {
            Some(after) if len > 0 => rest = after,
            _ => return false,
        }
    }
    !value.is_empty()
}

/// Whether a value is a relative URI template with a variable `dns` (RFC 9461 section 5, RFC 6570).
fn is_doh_path(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let mut expressions =
        text.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(expression, _)| expression);
    let has_variable = expressions.any(|expression| {
        let list = expression.trim_start_matches(['?', '&', '/', '+', '#', '.', ';']);
        list.split(',').any(|variable| variable == "dns")
    });
    text.starts_with('/') && has_variable
}
