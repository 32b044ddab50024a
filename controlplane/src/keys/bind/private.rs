//! The `.private` file: lines of a name, a colon and a value, numbers in Base64 without leading zeros.
//!
//! BIND writes version 1.3, with times; ldns and PowerDNS write 1.2, without. Invariant: a problem shows nothing of what
//! the file has, but names of fields that are known and the position.

use data_encoding::BASE64;
use thiserror::Error;
use zeroize::Zeroizing;

use super::super::numbers::{Numbers, RSA_SECRET_COUNT, scalar, stripped};
use super::super::{Algorithm, KeyPair};
use super::BindError;

/// The versions that are read.
const VERSIONS: [&str; 2] = ["v1.2", "v1.3"];
/// The first field.
const FORMAT: &str = "Private-key-format";
/// The second field.
const ALGORITHM: &str = "Algorithm";
/// The field of keys on curves.
const PRIVATE_KEY: &str = "PrivateKey";
/// The fields of RSA keys: two public ones, then the secrets in their order.
const RSA: [&str; 2 + RSA_SECRET_COUNT] =
    ["Modulus", "PublicExponent", "PrivateExponent", "Prime1", "Prime2", "Exponent1", "Exponent2", "Coefficient"];
/// The fields of keys in hardware.
const HARDWARE: [&str; 2] = ["Engine", "Label"];
/// The fields about times and rollovers, which are not taken over.
const LIFE: [&str; 19] = [
    "Created",
    "Publish",
    "Activate",
    "Revoke",
    "Inactive",
    "Delete",
    "DSPublish",
    "SyncPublish",
    "SyncDelete",
    "DNSKEYChange",
    "ZRRSIGChange",
    "KRRSIGChange",
    "DSChange",
    "DSRemoved",
    "Predecessor",
    "Successor",
    "MaxTTL",
    "RollPeriod",
    "Lifetime",
];
/// How much a file can have: room for the numbers of RSA with 4,096 bits, so that the text never moves while it grows.
const TEXT_LEN_MAX: usize = 8_192;

/// What is wrong with a `.private` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PrivateProblem {
    /// Octets that are no text.
    #[error("it is no text")]
    NotText,
    /// No colon.
    #[error("expected a field, a colon and a value")]
    NoField,
    /// The file does not begin as it should.
    #[error("expected `Private-key-format: v1.2` or `v1.3`, then `Algorithm`")]
    Format,
    /// Another algorithm, or a number whose mnemonic is that of another one.
    #[error("expected algorithm 8 (RSASHA256), 13 (ECDSAP256SHA256), 14 (ECDSAP384SHA384) or 15 (ED25519)")]
    Algorithm,
    /// A field that keys of this algorithm do not have.
    #[error("the field is not one that such a key has")]
    Unknown,
    /// A field that comes again.
    #[error("{0} is there twice")]
    Twice(&'static str),
    /// A value that is no Base64.
    #[error("the value of {0} is no Base64")]
    Base64(&'static str),
    /// A number that is too long for the curve.
    #[error("the value of {0} does not have the length that keys of this algorithm have")]
    Length(&'static str),
    /// A field is missing.
    #[error("{0} is missing: the file was cut, or is of another algorithm")]
    Missing(&'static str),
    /// The key is in hardware.
    #[error("the private key is not in the file but in hardware, where it must stay: roll over to a new key")]
    Hardware,
}

/// Reads a `.private` file.
pub(super) fn read(octets: &[u8]) -> Result<(Algorithm, Numbers), BindError> {
    let at = |line| move |problem| BindError::PrivateFile { line, problem };
    let text = std::str::from_utf8(octets).map_err(|_| at(1)(PrivateProblem::NotText))?;
    let lines = text.lines().enumerate().map(|(idx, line)| (idx + 1, line.trim()));
    let mut fields = lines.filter(|(_, line)| !line.is_empty());
    let (line, value) = field(fields.next(), FORMAT)?;
    if !VERSIONS.contains(&value) {
        return Err(at(line)(PrivateProblem::Format));
    }
    let (line, value) = field(fields.next(), ALGORITHM)?;
    let algorithm = algorithm(value).ok_or(PrivateProblem::Algorithm).map_err(at(line))?;
    let names = if algorithm == Algorithm::RsaSha256 { &RSA[..] } else { &[PRIVATE_KEY] };
    let mut values: Vec<Option<Zeroizing<Vec<u8>>>> = names.iter().map(|_| None).collect();
    let mut last = line;
    for (line, text) in fields {
        last = line;
        take(text, names, &mut values).map_err(at(line))?;
    }
    let missing = names.iter().zip(&values).find(|(_, value)| value.is_none());
    if let Some((&name, _)) = missing {
        return Err(at(last)(PrivateProblem::Missing(name)));
    }
    // All are there now.
    let values: Vec<Zeroizing<Vec<u8>>> = values.into_iter().flatten().collect();
    let numbers = numbers(algorithm, &values).ok_or(PrivateProblem::Length(names[0])).map_err(at(last))?;
    Ok((algorithm, numbers))
}

/// Writes a `.private` file.
pub(super) fn write(pair: &KeyPair) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(TEXT_LEN_MAX));
    let algorithm = pair.algorithm();
    text.push_str(&format!("{FORMAT}: v1.3\n{ALGORITHM}: {} ({algorithm})\n", algorithm.number()));
    let mut push = |name: &str, octets: &[u8]| {
        text.push_str(name);
        text.push_str(": ");
        // Appended without a copy in between.
        BASE64.encode_append(octets, &mut text);
        text.push('\n');
    };
    match pair.numbers() {
        Numbers::Curve { secret, .. } => push(PRIVATE_KEY, secret),
        Numbers::Rsa { modulus, exponent, secrets } => {
            let public = [modulus.as_slice(), exponent];
            let numbers = public.into_iter().chain(secrets.iter().map(|secret| secret.as_slice()));
            RSA.iter().zip(numbers).for_each(|(name, number)| push(name, number));
        }
    }
    text
}

/// The value of the line, which must be the field `name`.
fn field<'t>(line: Option<(usize, &'t str)>, name: &str) -> Result<(usize, &'t str), BindError> {
    let (line, text) = line.unwrap_or((1, ""));
    match text.split_once(':') {
        Some((found, value)) if found.eq_ignore_ascii_case(name) => Ok((line, value.trim())),
        _ => Err(BindError::PrivateFile { line, problem: PrivateProblem::Format }),
    }
}

/// The algorithm of `number (mnemonic)` or a number alone.
fn algorithm(value: &str) -> Option<Algorithm> {
    let (number, mnemonic) = value.split_once(' ').unwrap_or((value, ""));
    let algorithm = Algorithm::from_number(number.parse().ok()?)?;
    let mnemonic = mnemonic.trim();
    let named = mnemonic.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let agrees = mnemonic.is_empty() || named.is_some_and(|named| named.parse::<Algorithm>() == Ok(algorithm));
    agrees.then_some(algorithm)
}

/// Takes a line after the first two: a value that is wanted, or what may be there besides.
fn take(text: &str, names: &[&'static str], values: &mut [Option<Zeroizing<Vec<u8>>>]) -> Result<(), PrivateProblem> {
    let (found, value) = text.split_once(':').ok_or(PrivateProblem::NoField)?;
    let is_one_of = |names: &[&str]| names.iter().any(|name| found.eq_ignore_ascii_case(name));
    let Some(idx) = names.iter().position(|name| found.eq_ignore_ascii_case(name)) else {
        if is_one_of(&HARDWARE) {
            return Err(PrivateProblem::Hardware);
        }
        return if is_one_of(&LIFE) { Ok(()) } else { Err(PrivateProblem::Unknown) };
    };
    let octets = BASE64.decode(value.trim().as_bytes()).map_err(|_| PrivateProblem::Base64(names[idx]))?;
    match values[idx].replace(Zeroizing::new(octets)) {
        Some(_) => Err(PrivateProblem::Twice(names[idx])),
        None => Ok(()),
    }
}

/// The numbers of the values, which are as many as the algorithm has; `None` if one is too long.
fn numbers(algorithm: Algorithm, values: &[Zeroizing<Vec<u8>>]) -> Option<Numbers> {
    if algorithm != Algorithm::RsaSha256 {
        return Some(Numbers::Curve { secret: scalar(algorithm, values.first()?)?, public: None });
    }
    let mut numbers = values.iter().map(|value| stripped(value).to_vec());
    let (modulus, exponent) = (numbers.next()?, numbers.next()?);
    let mut secrets: [Zeroizing<Vec<u8>>; RSA_SECRET_COUNT] = Default::default();
    secrets.iter_mut().zip(numbers).for_each(|(secret, number)| *secret = Zeroizing::new(number));
    Some(Numbers::Rsa { modulus, exponent, secrets })
}
