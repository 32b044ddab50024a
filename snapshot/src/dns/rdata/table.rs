//! The table of RR types: one row is all that a type is, its code, its mnemonic and the fields of its RDATA.
//!
//! No code here reads or writes a field: see `parse`, `write` and `wire`, each with one arm per [`Field`]. The constants
//! of [`Rtype`] are made of these rows too. Invariant: rows ascend by code; a row has a field list or says why not.

use crate::dns::rtype::Rtype;

use super::rules;

/// One RR type.
pub(in crate::dns) struct Row {
    /// The code.
    pub(in crate::dns) rtype: Rtype,
    /// The mnemonic in upper case.
    pub(in crate::dns) mnemonic: &'static str,
    /// What its RDATA is.
    pub(super) format: Format,
}

/// What is known about the RDATA of a type.
pub(super) enum Format {
    /// These fields, one after the other.
    Fields(&'static [Field]),
    /// Octets to us: the RFC 3597 form is the only presentation format.
    Opaque,
}

/// One field of RDATA.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// A domain name.
    Name(NameUse),
    /// An 8-bit number.
    U8,
    /// A 16-bit number.
    U16,
    /// A 32-bit number.
    U32,
    /// A 32-bit number of seconds, units allowed in text.
    Seconds,
    /// A point in time, `YYYYMMDDHHMMSS` or seconds since 1970 (RFC 4034 section 3.2).
    Time,
    /// An 8-bit number with mnemonics, read but not written.
    Code8(&'static [(&'static str, u8)]),
    /// A 16-bit number with mnemonics, read but not written.
    Code16(&'static [(&'static str, u16)]),
    /// An IPv4 address.
    Ip4,
    /// An IPv6 address.
    Ip6,
    /// An RR type.
    Type,
    /// A string of up to 255 octets with a length octet.
    CharString,
    /// One or more of them, to the end.
    CharStrings,
    /// Text without a length, to the end.
    Text(Empty),
    /// A CAA property tag: letters and digits with a length octet (RFC 8659 section 4.1).
    Tag,
    /// Octets to the end, as hex.
    Hex,
    /// Octets to the end, as base64.
    Base64,
    /// Octets with a length octet, as hex or `-` (RFC 5155 section 3.3).
    Salt,
    /// Octets with a length octet, as base32hex (RFC 5155 section 3.3).
    NextHash,
    /// Type bitmaps to the end (RFC 4034 section 4.1.2).
    Bitmap(Empty),
    /// Service parameters to the end (RFC 9460 section 2.2).
    SvcParams,
    /// This many octets, as pairs of hex digits with dashes between (RFC 7043).
    Eui(usize),
    /// 64 bits, as four groups of hex digits with colons between (RFC 6742).
    Groups64,
    /// Nothing: a rule over the whole RDATA, checked after its fields.
    Rule(fn(&[u8]) -> Result<(), &'static str>),
}

/// Whether a field to the end of the RDATA may have no octets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    /// It may.
    Allowed,
    /// It may not.
    Refused,
}

/// How a name in RDATA is treated; each kind adds a privilege to the next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NameUse {
    /// As it is, in every respect.
    Verbatim,
    /// Lower-cased in canonical form (RFC 4034 section 6.2 as amended by RFC 6840 section 5.1).
    Lower,
    /// And receivers expand it if it is compressed, though nobody may send it so (RFC 3597 section 4).
    Expand,
    /// And it may be compressed: the types of RFC 1035.
    Compress,
}

/// DNSSEC algorithms (RFC 4034 appendix A.1 and the registry that grew out of it).
const ALGORITHMS: &[(&str, u8)] = &[
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("RSASHA1", 5),
    ("NSEC3DSA", 6),
    ("DSA-NSEC3-SHA1", 6),
    ("NSEC3RSASHA1", 7),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECCGOST", 12),
    ("ECC-GOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

/// DS digest types, named as BIND does.
const DIGESTS: &[(&str, u8)] =
    &[("SHA-1", 1), ("SHA1", 1), ("SHA-256", 2), ("SHA256", 2), ("SHA-384", 4), ("SHA384", 4)];

/// Certificate types (RFC 4398 section 2.1).
const CERTIFICATES: &[(&str, u16)] = &[
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];

/// Makes the rows and the constants of [`Rtype`].
macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $format:expr;)*) => {
        impl Rtype {
            $($(#[$doc])* pub const $name: Rtype = Rtype($code);)*
        }

        /// All types with a mnemonic, ascending by code.
        pub(in crate::dns) static ROWS: &[Row] = {
            use Field::*;
            &[$(Row { rtype: Rtype($code), mnemonic: stringify!($name), format: $format }),*]
        };
    };
}

/// Shortens the rows: these fields.
const fn is(fields: &'static [Field]) -> Format {
    Format::Fields(fields)
}

/// Shortens the rows: a name as in RFC 1035.
const NAME: Field = Field::Name(NameUse::Compress);

types! {
    /// An IPv4 address (RFC 1035 section 3.4.1).
    A = 1, is(&[Ip4]);
    /// A name server (RFC 1035 section 3.3.11).
    NS = 2, is(&[NAME]);
    /// Obsolete (RFC 1035 section 3.3.4).
    MD = 3, is(&[NAME]);
    /// Obsolete (RFC 1035 section 3.3.5).
    MF = 4, is(&[NAME]);
    /// An alias (RFC 1035 section 3.3.1).
    CNAME = 5, is(&[NAME]);
    /// The start of a zone of authority (RFC 1035 section 3.3.13).
    SOA = 6, is(&[NAME, NAME, U32, Seconds, Seconds, Seconds, Seconds]);
    /// Experimental (RFC 1035 section 3.3.3).
    MB = 7, is(&[NAME]);
    /// Experimental (RFC 1035 section 3.3.6).
    MG = 8, is(&[NAME]);
    /// Experimental (RFC 1035 section 3.3.8).
    MR = 9, is(&[NAME]);
    /// Anything at all (RFC 1035 section 3.3.10).
    NULL = 10, Format::Opaque;
    /// Well-known services (RFC 1035 section 3.4.2).
    WKS = 11, Format::Opaque;
    /// A pointer to a name (RFC 1035 section 3.3.12).
    PTR = 12, is(&[NAME]);
    /// Host information, also the answer to ANY (RFC 1035 section 3.3.2, RFC 8482).
    HINFO = 13, is(&[CharString, CharString]);
    /// Experimental (RFC 1035 section 3.3.7).
    MINFO = 14, is(&[NAME, NAME]);
    /// A mail exchange (RFC 1035 section 3.3.9).
    MX = 15, is(&[U16, NAME]);
    /// Text (RFC 1035 section 3.3.14).
    TXT = 16, is(&[CharStrings]);
    /// A responsible person (RFC 1183 section 2.2).
    RP = 17, is(&[Name(NameUse::Expand), Name(NameUse::Expand)]);
    /// An AFS database (RFC 1183 section 1).
    AFSDB = 18, is(&[U16, Name(NameUse::Expand)]);
    /// Route through (RFC 1183 section 3.3).
    RT = 21, is(&[U16, Name(NameUse::Expand)]);
    /// The predecessor of RRSIG (RFC 2535), and SIG(0) (RFC 2931).
    SIG = 24, Format::Opaque;
    /// The predecessor of DNSKEY (RFC 2535).
    KEY = 25, Format::Opaque;
    /// X.400 mapping (RFC 2163).
    PX = 26, is(&[U16, Name(NameUse::Expand), Name(NameUse::Expand)]);
    /// An IPv6 address (RFC 3596).
    AAAA = 28, is(&[Ip6]);
    /// A location (RFC 1876).
    LOC = 29, Format::Opaque;
    /// The predecessor of NSEC (RFC 2535).
    NXT = 30, Format::Opaque;
    /// A service (RFC 2782).
    SRV = 33, is(&[U16, U16, U16, Name(NameUse::Expand)]);
    /// A naming authority pointer (RFC 3403).
    NAPTR = 35, is(&[U16, U16, CharString, CharString, CharString, Name(NameUse::Expand)]);
    /// A key exchanger (RFC 2230).
    KX = 36, is(&[U16, Name(NameUse::Lower)]);
    /// A certificate (RFC 4398).
    CERT = 37, is(&[Code16(CERTIFICATES), U16, Code8(ALGORITHMS), Base64]);
    /// The redirection of a subtree (RFC 6672).
    DNAME = 39, is(&[Name(NameUse::Lower)]);
    /// The EDNS pseudo-record (RFC 6891).
    OPT = 41, Format::Opaque;
    /// Address prefixes (RFC 3123).
    APL = 42, Format::Opaque;
    /// A delegation signer (RFC 4034 section 5).
    DS = 43, is(&[U16, Code8(ALGORITHMS), Code8(DIGESTS), Hex, Rule(rules::ds_digest)]);
    /// An SSH key fingerprint (RFC 4255).
    SSHFP = 44, is(&[U8, U8, Hex]);
    /// An IPsec key (RFC 4025).
    IPSECKEY = 45, Format::Opaque;
    /// A signature (RFC 4034 section 3).
    RRSIG = 46, is(&[Type, Code8(ALGORITHMS), U8, U32, Time, Time, U16, Name(NameUse::Lower), Base64]);
    /// The next name in the zone (RFC 4034 section 4).
    NSEC = 47, is(&[Name(NameUse::Verbatim), Bitmap(Empty::Refused)]);
    /// A zone's public key (RFC 4034 section 2).
    DNSKEY = 48, is(&[U16, U8, Code8(ALGORITHMS), Base64]);
    /// A DHCP identifier (RFC 4701).
    DHCID = 49, is(&[Base64]);
    /// The next hashed name in the zone (RFC 5155 section 3).
    NSEC3 = 50, is(&[U8, U8, U16, Salt, NextHash, Bitmap(Empty::Allowed)]);
    /// The parameters of NSEC3 (RFC 5155 section 4).
    NSEC3PARAM = 51, is(&[U8, U8, U16, Salt]);
    /// A TLS certificate association (RFC 6698).
    TLSA = 52, is(&[U8, U8, U8, Hex]);
    /// An S/MIME certificate association (RFC 8162).
    SMIMEA = 53, is(&[U8, U8, U8, Hex]);
    /// The host identity protocol (RFC 8005).
    HIP = 55, Format::Opaque;
    /// What the child wants as DS (RFC 7344, RFC 8078).
    CDS = 59, is(&[U16, Code8(ALGORITHMS), Code8(DIGESTS), Hex, Rule(rules::ds_digest)]);
    /// What the child wants as key (RFC 7344, RFC 8078).
    CDNSKEY = 60, is(&[U16, U8, Code8(ALGORITHMS), Base64]);
    /// An OpenPGP key (RFC 7929).
    OPENPGPKEY = 61, is(&[Base64]);
    /// What the child wants copied to the parent (RFC 7477).
    CSYNC = 62, is(&[U32, U16, Bitmap(Empty::Allowed)]);
    /// A digest of the zone (RFC 8976).
    ZONEMD = 63, is(&[U32, U8, U8, Hex, Rule(rules::zonemd_digest)]);
    /// A service binding (RFC 9460).
    SVCB = 64, is(&[U16, Name(NameUse::Verbatim), SvcParams, Rule(rules::service)]);
    /// A service binding of HTTP (RFC 9460 section 9).
    HTTPS = 65, is(&[U16, Name(NameUse::Verbatim), SvcParams, Rule(rules::service)]);
    /// The sender policy, given up for TXT (RFC 7208 section 3.1).
    SPF = 99, is(&[CharStrings]);
    /// A node identifier (RFC 6742).
    NID = 104, is(&[U16, Groups64]);
    /// A 32-bit locator (RFC 6742).
    L32 = 105, is(&[U16, Ip4]);
    /// A 64-bit locator (RFC 6742).
    L64 = 106, is(&[U16, Groups64]);
    /// A pointer to locators (RFC 6742).
    LP = 107, is(&[U16, Name(NameUse::Verbatim)]);
    /// A 48-bit Ethernet address (RFC 7043).
    EUI48 = 108, is(&[Eui(6)]);
    /// A 64-bit Ethernet address (RFC 7043).
    EUI64 = 109, is(&[Eui(8)]);
    /// A key agreement (RFC 2930).
    TKEY = 249, Format::Opaque;
    /// A transaction signature (RFC 8945).
    TSIG = 250, Format::Opaque;
    /// An incremental zone transfer (RFC 1995).
    IXFR = 251, Format::Opaque;
    /// A zone transfer (RFC 5936).
    AXFR = 252, Format::Opaque;
    /// Obsolete QTYPE (RFC 1035 section 3.2.3).
    MAILB = 253, Format::Opaque;
    /// Obsolete QTYPE (RFC 1035 section 3.2.3).
    MAILA = 254, Format::Opaque;
    /// All types, or one of them (RFC 8482).
    ANY = 255, Format::Opaque;
    /// A URI (RFC 7553).
    URI = 256, is(&[U16, U16, Text(Empty::Refused)]);
    /// Who may issue certificates (RFC 8659).
    CAA = 257, is(&[U8, Tag, Text(Empty::Allowed)]);
    /// A trust anchor elsewhere, obsolete (RFC 4431, RFC 8749).
    DLV = 32769, is(&[U16, Code8(ALGORITHMS), Code8(DIGESTS), Hex, Rule(rules::ds_digest)]);
}

/// The longest mnemonic in octets that a packed key holds.
const MNEMONIC_LEN_MAX: usize = 15;
/// The codes below this have a direct index.
const DIRECT_COUNT: usize = 258;

/// From code to row number plus one; 0 where there is no row.
static DIRECT: [u8; DIRECT_COUNT] = {
    let mut direct = [0u8; DIRECT_COUNT];
    let mut idx = 0u8;
    while (idx as usize) < ROWS.len() {
        let code = ROWS[idx as usize].rtype.0 as usize;
        idx += 1;
        if code < DIRECT_COUNT {
            direct[code] = idx;
        }
    }
    direct
};

/// The mnemonics as numbers, in the order of the rows: comparing a number is cheaper than comparing text, and a zone
/// file asks once a record.
static KEYS: [u128; ROWS.len()] = {
    let mut keys = [0u128; ROWS.len()];
    let mut idx = 0;
    while idx < ROWS.len() {
        let mnemonic = ROWS[idx].mnemonic.as_bytes();
        assert!(mnemonic.len() <= MNEMONIC_LEN_MAX, "mnemonics fit the key");
        keys[idx] = key(mnemonic);
        idx += 1;
    }
    keys
};

/// Packs a mnemonic of at most 15 octets, upper-cased. The leading one tells texts that begin with zero octets apart.
const fn key(mnemonic: &[u8]) -> u128 {
    let mut key = 1u128;
    let mut idx = 0;
    while idx < mnemonic.len() {
        key = key << 8 | mnemonic[idx].to_ascii_uppercase() as u128;
        idx += 1;
    }
    key
}

/// The row of a type, if it has a mnemonic.
pub(in crate::dns) fn row(rtype: Rtype) -> Option<&'static Row> {
    match DIRECT.get(usize::from(rtype.0)) {
        Some(&number) => ROWS.get(usize::from(number).checked_sub(1)?),
        None => {
            ROWS.iter().rev().take_while(|row| usize::from(row.rtype.0) >= DIRECT_COUNT).find(|row| row.rtype == rtype)
        }
    }
}

/// The fields of a type whose RDATA is more than octets to us.
pub(super) fn fields(rtype: Rtype) -> Option<&'static [Field]> {
    match row(rtype)?.format {
        Format::Fields(fields) => Some(fields),
        Format::Opaque => None,
    }
}

/// The type with this mnemonic, ASCII case ignored.
pub(in crate::dns) fn by_mnemonic(text: &[u8]) -> Option<Rtype> {
    if text.is_empty() || text.len() > MNEMONIC_LEN_MAX {
        return None;
    }
    let wanted = key(text);
    KEYS.iter().position(|&key| key == wanted).map(|idx| ROWS[idx].rtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_ascend_and_are_found_by_code_and_mnemonic() {
        assert!(ROWS.is_sorted_by(|a, b| a.rtype < b.rtype));
        for expected in ROWS {
            assert_eq!(row(expected.rtype).unwrap().mnemonic, expected.mnemonic);
            assert_eq!(by_mnemonic(expected.mnemonic.as_bytes()), Some(expected.rtype));
        }
        assert!(row(Rtype(65280)).is_none());
        assert!(by_mnemonic(b"\0A").is_none());
    }

    #[test]
    fn fields_to_the_end_are_last() {
        for row in ROWS {
            let Format::Fields(fields) = row.format else { continue };
            let (rules, plain): (Vec<&Field>, Vec<&Field>) =
                fields.iter().partition(|field| matches!(field, Field::Rule(_)));
            assert!(matches!(fields.last(), Some(Field::Rule(_))) || rules.is_empty(), "{}", row.mnemonic);
            let inner = &plain[..plain.len() - 1];
            let endless = inner.iter().any(|field| {
                matches!(
                    field,
                    Field::CharStrings
                        | Field::Text(_)
                        | Field::Hex
                        | Field::Base64
                        | Field::Bitmap(_)
                        | Field::SvcParams
                )
            });
            assert!(!endless, "{}", row.mnemonic);
        }
    }
}
