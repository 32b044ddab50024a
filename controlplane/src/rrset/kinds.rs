//! The RR types that the API takes, and why it does not take the others.
//!
//! It knows no RDATA. The list is closed: a type that the servers can serve is not in the API before it is listed here.

use snapshot::dns::rtype::Rtype;
use thiserror::Error;

/// The types that clients may write, ascending by code.
pub const ACCEPTED: [Rtype; 39] = [
    Rtype::A,
    Rtype::NS,
    Rtype::CNAME,
    Rtype::PTR,
    Rtype::HINFO,
    Rtype::MX,
    Rtype::TXT,
    Rtype::RP,
    Rtype::AFSDB,
    Rtype::AAAA,
    Rtype::LOC,
    Rtype::SRV,
    Rtype::NAPTR,
    Rtype::KX,
    Rtype::CERT,
    Rtype::DNAME,
    Rtype::APL,
    Rtype::DS,
    Rtype::SSHFP,
    Rtype::DNSKEY,
    Rtype::DHCID,
    Rtype::TLSA,
    Rtype::SMIMEA,
    Rtype::CDS,
    Rtype::CDNSKEY,
    Rtype::OPENPGPKEY,
    Rtype::CSYNC,
    Rtype::SVCB,
    Rtype::HTTPS,
    Rtype::SPF,
    Rtype::NID,
    Rtype::L32,
    Rtype::L64,
    Rtype::LP,
    Rtype::EUI48,
    Rtype::EUI64,
    Rtype::URI,
    Rtype::CAA,
    Rtype::DLV,
];

/// The types that only we write, by their names in the API.
pub const AUTOMATIC: [&str; 7] = ["KEY", "NSEC", "NSEC3", "NSEC3PARAM", "OPT", "RRSIG", "SOA"];

/// Why a type is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KindError {
    /// It is one of [`AUTOMATIC`].
    #[error("You cannot tinker with the {0} RR set. It is managed automatically.")]
    Automatic(String),
    /// It is written as a number.
    #[error("Generic type format is not supported.")]
    Generic,
    /// It is any other text.
    #[error("The {0} RR set type is currently unsupported.")]
    Unsupported(String),
}

/// Finds an accepted type by its name in upper case.
///
/// # Errors
/// [`KindError`] for all other text.
pub fn accepted(text: &str) -> Result<Rtype, KindError> {
    let is_upper = !text.bytes().any(|octet| octet.is_ascii_lowercase());
    if AUTOMATIC.contains(&text) {
        return Err(KindError::Automatic(text.to_owned()));
    }
    if text.starts_with("TYPE") {
        return Err(KindError::Generic);
    }
    let rtype = Rtype::parse(text.as_bytes()).filter(|rtype| is_upper && ACCEPTED.contains(rtype));
    rtype.ok_or_else(|| KindError::Unsupported(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_types_ascend_and_are_found_by_name() {
        assert!(ACCEPTED.is_sorted_by(|a, b| a < b));
        for rtype in ACCEPTED {
            assert_eq!(accepted(&rtype.to_string()), Ok(rtype));
            assert!(accepted(&rtype.to_string().to_lowercase()).is_err(), "{rtype}");
        }
    }

    #[test]
    fn other_types_are_refused_for_a_reason() {
        for name in AUTOMATIC {
            let expected = format!("You cannot tinker with the {name} RR set. It is managed automatically.");
            assert_eq!(accepted(name).unwrap_err().to_string(), expected);
        }
        for name in ["TYPE1", "TYPE65534", "TYPEX"] {
            assert_eq!(accepted(name).unwrap_err().to_string(), "Generic type format is not supported.", "{name}");
        }
        for name in [
            "ALIAS", "ANAME", "IPSECKEY", "WKS", "SIG", "X25", "ZONEMD", "TSIG", "TKEY", "RKEY", "MR", "MINFO", "GPOS",
            "NSAP", "PX", "RT", "ISDN", "DSYNC", "WALLET", "HIP", "NULL", "AMTRELAY", "ANY", "AXFR", "FOO", "",
        ] {
            let expected = format!("The {name} RR set type is currently unsupported.");
            assert_eq!(accepted(name).unwrap_err().to_string(), expected);
        }
    }
}
