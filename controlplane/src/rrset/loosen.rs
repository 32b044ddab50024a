//! Text of a record before the zone-file codec reads it: what clients write and the codec is too strict for.
//!
//! Four things: strings of any length, which are cut at 255 octets; base64 with stray bits at its end; names of service
//! parameters in any case; and strings that must be in quotes. Everything else goes on as it is. Nothing here decides what a
//! valid record is, but for groups of hex digits that are to be complete.

use std::sync::LazyLock;

use data_encoding::{BASE64, BASE64_NOPAD, Encoding};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::token::{Form, Token, Tokens};

use super::canonical::{RDATA_LEN_MAX, RecordError};

/// The longest string of TXT (RFC 1035 section 3.3).
const STRING_LEN_MAX: usize = 255;

/// Base64 without padding whose last character may have bits that nobody needs.
static BASE64_LOOSE: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = BASE64_NOPAD.specification();
    specification.check_trailing_bits = false;
    specification.encoding().expect("what BASE64_NOPAD specifies stays valid when bits are ignored")
});

/// Makes one line out of tokens; white space, comments and parentheses are gone.
///
/// # Errors
/// [`RecordError`] for strings without quotes, broken base64 and what is too long to be a record.
pub(super) fn prepare(rtype: Rtype, tokens: Tokens<'_>) -> Result<Vec<u8>, RecordError> {
    let is_generic = tokens.at(0).is_some_and(|token| token.is_bare() && token.text == b"\\#");
    match rtype {
        Rtype::TXT | Rtype::SPF => strings(rtype, tokens),
        _ if is_generic => Ok(joined(tokens)),
        Rtype::CERT | Rtype::DNSKEY | Rtype::CDNSKEY => base64(rtype, tokens, 3),
        Rtype::DHCID | Rtype::OPENPGPKEY => base64(rtype, tokens, 0),
        Rtype::SVCB | Rtype::HTTPS => Ok(params(tokens)),
        Rtype::NID | Rtype::L64 => groups(rtype, tokens),
        _ => Ok(joined(tokens)),
    }
}

/// All tokens of `tokens`.
fn each<'a>(tokens: Tokens<'a>) -> impl Iterator<Item = Token<'a>> {
    (0..tokens.count()).filter_map(move |idx| tokens.at(idx))
}

/// Appends a token in the form it had.
fn push(line: &mut Vec<u8>, token: Token<'_>) {
    if !line.is_empty() && token.form != Form::QuotedAdjacent {
        line.push(b' ');
    }
    if token.is_bare() {
        line.extend_from_slice(token.text);
    } else {
        line.push(b'"');
        line.extend_from_slice(token.text);
        line.push(b'"');
    }
}

/// The tokens as they are.
fn joined(tokens: Tokens<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    each(tokens).for_each(|token| push(&mut line, token));
    line
}

/// Strings in quotes, the long ones cut.
fn strings(rtype: Rtype, tokens: Tokens<'_>) -> Result<Vec<u8>, RecordError> {
    let mut line = Vec::new();
    let mut rdata_len = 0;
    for token in each(tokens) {
        if token.is_bare() {
            return Err(RecordError::Unquoted(rtype));
        }
        line.extend_from_slice(if line.is_empty() { b"\"" } else { b" \"" });
        rdata_len += 1;
        let mut string_len = 0;
        let mut rest = token.text;
        while !rest.is_empty() {
            if string_len == STRING_LEN_MAX {
                line.extend_from_slice(b"\" \"");
                rdata_len += 1;
                string_len = 0;
            }
            let (octet, tail) = rest.split_at(escape_len(rest).min(rest.len()));
            line.extend_from_slice(octet);
            rest = tail;
            string_len += 1;
            rdata_len += 1;
        }
        line.push(b'"');
    }
    if rdata_len > RDATA_LEN_MAX { Err(RecordError::Long(rdata_len)) } else { Ok(line) }
}

/// How many octets of text stand for the first octet of a string.
fn escape_len(text: &[u8]) -> usize {
    match text {
        [b'\\', digit, ..] if digit.is_ascii_digit() => 4,
        [b'\\', ..] => 2,
        _ => 1,
    }
}

/// `skip` tokens, then base64 to the end: joined, decoded without regard for stray bits and needless padding, and
/// encoded again. Missing padding stays an error, as the end of such text may be lost.
fn base64(rtype: Rtype, tokens: Tokens<'_>, skip: usize) -> Result<Vec<u8>, RecordError> {
    let encoded = tokens.tail(skip);
    if encoded.count() == 0 || each(encoded).any(|token| !token.is_bare()) {
        return Ok(joined(tokens));
    }
    let text: Vec<u8> = each(encoded).flat_map(|token| token.text.iter().copied()).collect();
    let digits_len = text.iter().rposition(|&octet| octet != b'=').map_or(0, |idx| idx + 1);
    if digits_len.next_multiple_of(4) > text.len() {
        return Err(RecordError::malformed(rtype, "incorrect padding of base64"));
    }
    let octets = BASE64_LOOSE
        .decode(&text[..digits_len])
        .map_err(|_| RecordError::malformed(rtype, "characters that are not base64"))?;
    if octets.len() > RDATA_LEN_MAX {
        return Err(RecordError::Long(octets.len()));
    }
    let mut line = Vec::new();
    each(tokens).take(skip).for_each(|token| push(&mut line, token));
    line.push(b' ');
    line.extend_from_slice(BASE64.encode(&octets).as_bytes());
    Ok(line)
}

/// Priority, target and service parameters, whose names become lower case, those in the list of mandatory ones too.
fn params(tokens: Tokens<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    let mut is_mandatory = false;
    for (idx, token) in each(tokens).enumerate() {
        let start = line.len();
        push(&mut line, token);
        let text = line.get_mut(start..).unwrap_or_default();
        match token.form {
            Form::Bare if idx >= 2 => {
                let name_len = text.iter().position(|&octet| octet == b'=').unwrap_or(text.len());
                let (name, value) = text.split_at_mut(name_len);
                name.make_ascii_lowercase();
                is_mandatory = name.trim_ascii() == b"mandatory";
                if is_mandatory {
                    value.make_ascii_lowercase();
                }
            }
            Form::QuotedAdjacent if is_mandatory => text.make_ascii_lowercase(),
            _ => {}
        }
    }
    line
}

/// A preference, then groups of hex digits with four digits each (RFC 6742 sections 2.1.2 and 2.3.2): a group cut short
/// may be a typing error or meant as in IPv6, and the records have no zeros to guess.
fn groups(rtype: Rtype, tokens: Tokens<'_>) -> Result<Vec<u8>, RecordError> {
    let is_whole = |token: Token<'_>| token.text.split(|&octet| octet == b':').all(|group| group.len() == 4);
    match tokens.at(1) {
        Some(token) if !is_whole(token) => Err(RecordError::malformed(rtype, "groups of four hex digits expected")),
        _ => Ok(joined(tokens)),
    }
}
