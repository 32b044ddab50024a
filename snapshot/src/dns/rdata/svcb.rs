//! Service parameters of SVCB and HTTPS: the list of keys and values (RFC 9460 sections 2.1, 2.2 and 8).
//!
//! What a value is, each key says in `svcvalue`. Invariant of a valid list: keys strictly ascend, every value is well formed for its key.

use std::fmt;

use crate::dns::token::Form;

use super::parse::Args;
use super::svcvalue::{self, Key};
use super::{ParseError, RdataError, codec};

/// One parameter in wire format.
struct Param<'a> {
    /// The key.
    key: Key,
    /// The value.
    value: &'a [u8],
}

/// Reads `key[=value]` to the end, in any order, and appends them in ascending order.
pub(super) fn parse(args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    let mut params: Vec<(Key, Vec<u8>)> = Vec::new();
    while args.idx < args.tokens.count() {
        let param = param(args)?;
        if params.iter().any(|(key, _)| *key == param.0) {
            return Err(args.fail_last("each service parameter once"));
        }
        params.push(param);
    }
    params.sort_unstable_by_key(|(key, _)| *key);
    for (key, value) in params {
        let len = u16::try_from(value.len()).map_err(|_| args.fail_last("values of at most 65535 octets"))?;
        out.extend_from_slice(&key.0.to_be_bytes());
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&value);
    }
    Ok(())
}

/// Reads one parameter: a token, and the quoted token that follows its `=` without a space.
fn param(args: &mut Args<'_>) -> Result<(Key, Vec<u8>), ParseError> {
    let text = args.bare("a service parameter")?;
    let (name, raw) = match text.iter().position(|&octet| octet == b'=') {
        Some(len) => (&text[..len], Some(&text[len + 1..])),
        None => (text, None),
    };
    let key = Key::parse(name).ok_or_else(|| args.fail_last("the name of a service parameter, or keyNNNNN"))?;
    let raw = match (raw, args.tokens.at(args.idx)) {
        (Some([]), Some(token)) if token.form == Form::QuotedAdjacent => {
            args.idx += 1;
            Some(token.text)
        }
        (raw, _) => raw,
    };
    let mut text = Vec::new();
    codec::push_unescaped(raw.unwrap_or_default(), &mut text)
        .map_err(|_| args.fail_last("a value with escapes \\X or \\DDD up to 255"))?;
    let mut value = Vec::new();
    // A generic name takes octets as they are, whatever the key (RFC 9460 section 2.1).
    let result = if name.starts_with(b"key") {
        value = text;
        svcvalue::check(key, &value)
    } else {
        svcvalue::parse(key, &text, &mut value)
    };
    result.map_err(|words| args.fail_last(words))?;
    Ok((key, value))
}

/// Validates a list.
pub(super) fn check(params: &[u8]) -> Result<(), RdataError> {
    let mut rest = params;
    let mut previous = None;
    while !rest.is_empty() {
        let param = next(&mut rest).ok_or(RdataError::Short)?;
        if previous >= Some(param.key) {
            return Err(RdataError::Field("service parameters in ascending order"));
        }
        previous = Some(param.key);
        svcvalue::check(param.key, param.value).map_err(RdataError::Field)?;
    }
    Ok(())
}

/// Whether the parameters of a valid list agree with each other: what is mandatory is there (RFC 9460 section 8), and
/// `no-default-alpn` comes with `alpn` (section 7.1.1).
pub(super) fn consistent(params: &[u8]) -> Result<(), &'static str> {
    if find(params, Key::NO_DEFAULT_ALPN).is_some() && find(params, Key::ALPN).is_none() {
        return Err("alpn beside no-default-alpn");
    }
    let mandatory = find(params, Key::MANDATORY).unwrap_or_default();
    let missing =
        mandatory.chunks_exact(2).any(|key| find(params, Key(u16::from_be_bytes([key[0], key[1]]))).is_none());
    if missing { Err("every parameter that is mandatory") } else { Ok(()) }
}

/// Writes a valid list, each parameter after a space.
pub(super) fn write(params: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    let mut rest = params;
    while !rest.is_empty() {
        let Param { key, value } = next(&mut rest).ok_or(fmt::Error)?;
        write!(out, " {key}")?;
        if !value.is_empty() {
            out.write_char('=')?;
            svcvalue::write(key, value, out)?;
        }
    }
    Ok(())
}

/// The value of a key.
fn find(params: &[u8], wanted: Key) -> Option<&[u8]> {
    let mut rest = params;
    loop {
        let param = next(&mut rest)?;
        if param.key == wanted {
            return Some(param.value);
        }
    }
}

/// Takes the first parameter off a list.
fn next<'a>(rest: &mut &'a [u8]) -> Option<Param<'a>> {
    let [k0, k1, l0, l1, tail @ ..] = *rest else { return None };
    let len = usize::from(u16::from_be_bytes([*l0, *l1]));
    let (value, after) = tail.split_at_checked(len)?;
    *rest = after;
    Some(Param { key: Key(u16::from_be_bytes([*k0, *k1])), value })
}
