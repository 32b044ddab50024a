//! Canonical text of a record where the API has another one than our zone files.
//!
//! Digests are in lower case, addresses without a dotted part, and of service parameters exactly the values of `ech` and of keys
//! without a name are in quotes. All of it is valid in a zone file too.

use std::net::Ipv6Addr;

use snapshot::dns::rdata::Text;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::token::{Entry, Form};

/// Prints RDATA that is valid for its type.
pub(super) fn text(rtype: Rtype, rdata: &[u8]) -> String {
    let printed = Text { rtype, rdata }.to_string();
    match rtype {
        Rtype::AAAA => address(rdata).unwrap_or(printed),
        // Nothing but numbers and hex digits.
        Rtype::DS | Rtype::CDS | Rtype::DLV | Rtype::SSHFP | Rtype::TLSA | Rtype::SMIMEA => {
            printed.to_ascii_lowercase()
        }
        Rtype::SVCB | Rtype::HTTPS => service(&printed).unwrap_or(printed),
        _ => printed,
    }
}

/// Prints an address that holds an IPv4 one without dots; `None` for the others, which never have them.
fn address(rdata: &[u8]) -> Option<String> {
    let octets: [u8; 16] = rdata.try_into().ok()?;
    let address = Ipv6Addr::from(octets);
    address.to_ipv4_mapped()?;
    let [.., high, low] = address.segments();
    Some(format!("::ffff:{high:x}:{low:x}"))
}

/// Sets the quotes of service parameters; `None` if the text cannot be split, which our own text can.
fn service(printed: &str) -> Option<String> {
    let entry = Entry::parse(printed.as_bytes()).ok()?;
    let tokens = entry.tokens();
    let mut out = String::with_capacity(printed.len() + 2);
    for (idx, token) in (0..tokens.count()).filter_map(|idx| Some((idx, tokens.at(idx)?))) {
        let text = std::str::from_utf8(token.text).ok()?;
        if token.form == Form::QuotedAdjacent {
            let is_bare = out.ends_with(" alpn=") && !text.is_empty() && text.bytes().all(is_plain);
            let quote = if is_bare { "" } else { "\"" };
            out.extend([quote, text, quote]);
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        match text.strip_prefix("ech=") {
            // A target may be called so, too.
            Some(value) if idx >= 2 => out.extend(["ech=\"", value, "\""]),
            _ => out.push_str(text),
        }
    }
    Some(out)
}

/// Whether an octet needs no quotes in any place.
fn is_plain(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'"' | b'\\' | b';' | b'(' | b')')
}
