//! The table of RR types: one row is all that a type is, its code, its mnemonic and the fields of its RDATA.
//!
//! No code here reads or writes a field: see `parse`, `write` and `wire`, each with one arm per [`Field`]. The constants
//! of [`Rtype`] are made of these rows too. Invariant: rows ascend by code; a row has a field list or says why not.

use crate::dns::rtype::Rtype;

use super::codes::{ALGORITHMS, CERTIFICATES, DIGESTS, DSYNC_SCHEMES, KEY_PROTOCOLS, NSEC3_HASHES};
use super::shape::{Shape, a6, apl, doa, gateway, hip, loc, nsap, wks};
use super::{bitmap, rules};

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
    /// These fields, but octets to us where the function does not know the RDATA: of another version, for example.
    FieldsIf(fn(&[u8]) -> bool, &'static [Field]),
    /// Octets to us: the RFC 3597 form is the only presentation format.
    Opaque,
}

/// One field of RDATA.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// A domain name.
    Name(NameUse),
    /// A domain name, or the end of the RDATA.
    OptionalName(NameUse),
    /// An 8-bit number.
    U8,
    /// A 16-bit number.
    U16,
    /// A 32-bit number.
    U32,
    /// A 64-bit number.
    U64,
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
    /// One of them, or the end of the RDATA.
    OptionalCharString,
    /// One or more of them, to the end.
    CharStrings,
    /// Text without a length, to the end.
    Text(Empty),
    /// A CAA property tag: letters and digits with a length octet (RFC 8659 section 4.1).
    Tag,
    /// Octets to the end, as hex.
    Hex,
    /// Octets to the end, as base64.
    Base64(Empty),
    /// Octets with a length octet, as hex or `-` (RFC 5155 section 3.3).
    Salt,
    /// Octets with a length octet, as base32hex (RFC 5155 section 3.3).
    NextHash,
    /// Type bitmaps to the end, none too (RFC 4034 section 4.1.2).
    Bitmap,
    /// Service parameters to the end (RFC 9460 section 2.2).
    SvcParams,
    /// This many octets, as pairs of hex digits with dashes between (RFC 7043).
    Eui(usize),
    /// 64 bits, as four groups of hex digits with colons between (RFC 6742).
    Groups64,
    /// A format of its own.
    Shape(&'static Shape),
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

/// Makes the rows and the constants of [`Rtype`].
macro_rules! types {
    (@mnemonic $name:ident) => { stringify!($name) };
    (@mnemonic $name:ident $mnemonic:literal) => { $mnemonic };
    ($($(#[$doc:meta])* $name:ident $(as $mnemonic:literal)? = $code:literal, $format:expr;)*) => {
        impl Rtype {
            $($(#[$doc])* pub const $name: Rtype = Rtype($code);)*
        }

        /// All types with a mnemonic, ascending by code.
        pub(in crate::dns) static ROWS: &[Row] = {
            use Field::*;
            &[$(Row {
                rtype: Rtype($code),
                mnemonic: types!(@mnemonic $name $($mnemonic)?),
                format: $format,
            }),*]
        };
    };
}

/// Shortens the rows: these fields.
const fn is(fields: &'static [Field]) -> Format {
    Format::Fields(fields)
}

/// Shortens the rows: a name as in RFC 1035.
const NAME: Field = Field::Name(NameUse::Compress);
/// Shortens the rows: a name of one of the types that RFC 3597 section 4 lists.
const OLD_NAME: Field = Field::Name(NameUse::Expand);
/// Shortens the rows: a key or a signature, which is never empty.
const BASE64: Field = Field::Base64(Empty::Refused);
/// The fields of DNSKEY and of what was made after it.
const KEY_FIELDS: &[Field] = &[Field::U16, Field::Code8(KEY_PROTOCOLS), Field::Code8(ALGORITHMS), BASE64];
/// The fields of DS and of what was made after it.
const DS_FIELDS: &[Field] =
    &[Field::U16, Field::Code8(ALGORITHMS), Field::Code8(DIGESTS), Field::Hex, Field::Rule(rules::ds_digest)];

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
    WKS = 11, Format::FieldsIf(wks::is_known, &[Ip4, Shape(&wks::SHAPE)]);
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
    RP = 17, is(&[OLD_NAME, OLD_NAME]);
    /// An AFS database (RFC 1183 section 1).
    AFSDB = 18, is(&[U16, OLD_NAME]);
    /// An X.25 address (RFC 1183 section 3.1).
    X25 = 19, is(&[CharString, Rule(rules::x25_address)]);
    /// An ISDN address (RFC 1183 section 3.2).
    ISDN = 20, is(&[CharString, OptionalCharString]);
    /// Route through (RFC 1183 section 3.3).
    RT = 21, is(&[U16, OLD_NAME]);
    /// An OSI address (RFC 1706).
    NSAP = 22, is(&[Shape(&nsap::NSAP)]);
    /// A pointer from an OSI address to a name (RFC 1348).
    NSAP_PTR as "NSAP-PTR" = 23, is(&[Name(NameUse::Verbatim)]);
    /// The predecessor of RRSIG (RFC 2535), and SIG(0) (RFC 2931).
    SIG = 24, is(&[Type, Code8(ALGORITHMS), U8, U32, Time, Time, U16, OLD_NAME, BASE64]);
    /// The predecessor of DNSKEY (RFC 2535), which may say that there is no key.
    KEY = 25, is(&[
        U16, Code8(KEY_PROTOCOLS), Code8(ALGORITHMS), Base64(Empty::Allowed), Rule(rules::key_unless_none),
    ]);
    /// X.400 mapping (RFC 2163).
    PX = 26, is(&[U16, OLD_NAME, OLD_NAME]);
    /// A geographical position (RFC 1712).
    GPOS = 27, is(&[CharString, CharString, CharString]);
    /// An IPv6 address (RFC 3596).
    AAAA = 28, is(&[Ip6]);
    /// A location (RFC 1876).
    LOC = 29, Format::FieldsIf(loc::is_known, &[Shape(&loc::SHAPE)]);
    /// The predecessor of NSEC (RFC 2535).
    NXT = 30, is(&[OLD_NAME, Shape(&bitmap::NXT)]);
    /// A Nimrod endpoint (draft-ietf-nimrod-dns).
    EID = 31, is(&[Hex]);
    /// A Nimrod locator (draft-ietf-nimrod-dns).
    NIMLOC = 32, is(&[Hex]);
    /// A service (RFC 2782).
    SRV = 33, is(&[U16, U16, U16, OLD_NAME]);
    /// An ATM address (ATM Name System Specification 1.0).
    ATMA = 34, Format::FieldsIf(nsap::is_known_atma, &[Shape(&nsap::ATMA)]);
    /// A naming authority pointer (RFC 3403).
    NAPTR = 35, is(&[U16, U16, CharString, CharString, CharString, OLD_NAME]);
    /// A key exchanger (RFC 2230).
    KX = 36, is(&[U16, Name(NameUse::Lower)]);
    /// A certificate (RFC 4398).
    CERT = 37, is(&[Code16(CERTIFICATES), U16, Code8(ALGORITHMS), BASE64]);
    /// An IPv6 address in parts (RFC 2874), historic (RFC 6563).
    A6 = 38, is(&[Shape(&a6::SHAPE), OptionalName(NameUse::Lower), Rule(a6::has_name_for_its_prefix)]);
    /// The redirection of a subtree (RFC 6672).
    DNAME = 39, is(&[Name(NameUse::Lower)]);
    /// Any structured data (draft-eastlake-kitchen-sink).
    SINK = 40, is(&[U8, U8, U8, Base64(Empty::Allowed)]);
    /// The EDNS pseudo-record (RFC 6891).
    OPT = 41, Format::Opaque;
    /// Address prefixes (RFC 3123).
    APL = 42, Format::FieldsIf(apl::is_known, &[Shape(&apl::SHAPE)]);
    /// A delegation signer (RFC 4034 section 5).
    DS = 43, is(DS_FIELDS);
    /// An SSH key fingerprint (RFC 4255).
    SSHFP = 44, is(&[U8, U8, Hex]);
    /// An IPsec key (RFC 4025).
    IPSECKEY = 45, Format::FieldsIf(
        gateway::is_known_ipseckey,
        &[U8, Shape(&gateway::IPSECKEY), Base64(Empty::Allowed)],
    );
    /// A signature (RFC 4034 section 3).
    RRSIG = 46, is(&[Type, Code8(ALGORITHMS), U8, U32, Time, Time, U16, Name(NameUse::Lower), BASE64]);
    /// The next name in the zone (RFC 4034 section 4).
    NSEC = 47, is(&[Name(NameUse::Verbatim), Bitmap]);
    /// A zone's public key (RFC 4034 section 2).
    DNSKEY = 48, is(KEY_FIELDS);
    /// A DHCP identifier (RFC 4701).
    DHCID = 49, is(&[BASE64]);
    /// The next hashed name in the zone (RFC 5155 section 3).
    NSEC3 = 50, is(&[Code8(NSEC3_HASHES), U8, U16, Salt, NextHash, Bitmap]);
    /// The parameters of NSEC3 (RFC 5155 section 4).
    NSEC3PARAM = 51, is(&[Code8(NSEC3_HASHES), U8, U16, Salt]);
    /// A TLS certificate association (RFC 6698).
    TLSA = 52, is(&[U8, U8, U8, Hex]);
    /// An S/MIME certificate association (RFC 8162).
    SMIMEA = 53, is(&[U8, U8, U8, Hex]);
    /// The host identity protocol (RFC 8005).
    HIP = 55, is(&[Shape(&hip::SHAPE)]);
    /// The state of a zone, as text (draft-reid-dnsext-zs).
    NINFO = 56, is(&[CharStrings]);
    /// A key to encrypt to (draft-reid-dnsext-rkey).
    RKEY = 57, is(KEY_FIELDS);
    /// The end points of a list of trust anchors (draft-wijngaards-dnsop-trust-history).
    TALINK = 58, is(&[Name(NameUse::Verbatim), Name(NameUse::Verbatim)]);
    /// What the child wants as DS (RFC 7344, RFC 8078).
    CDS = 59, is(DS_FIELDS);
    /// What the child wants as key (RFC 7344, RFC 8078).
    CDNSKEY = 60, is(KEY_FIELDS);
    /// An OpenPGP key (RFC 7929).
    OPENPGPKEY = 61, is(&[BASE64]);
    /// What the child wants copied to the parent (RFC 7477).
    CSYNC = 62, is(&[U32, U16, Bitmap]);
    /// A digest of the zone (RFC 8976).
    ZONEMD = 63, is(&[U32, U8, U8, Hex, Rule(rules::zonemd_digest)]);
    /// A service binding (RFC 9460).
    SVCB = 64, is(&[U16, Name(NameUse::Verbatim), SvcParams, Rule(rules::service)]);
    /// A service binding of HTTP (RFC 9460 section 9).
    HTTPS = 65, is(&[U16, Name(NameUse::Verbatim), SvcParams, Rule(rules::service)]);
    /// Where the child wants to be told from (RFC 9859).
    DSYNC = 66, is(&[Type, Code8(DSYNC_SCHEMES), U16, Name(NameUse::Verbatim)]);
    /// A hierarchical host identity tag (RFC 9886).
    HHIT = 67, is(&[BASE64]);
    /// The broadcast remote identification of an aircraft (RFC 9886).
    BRID = 68, is(&[BASE64]);
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
    /// The mark of a name that does not exist, in bitmaps only (RFC 9824).
    NXNAME = 128, Format::Opaque;
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
    /// Application visibility and control, as text.
    AVC = 258, is(&[CharStrings]);
    /// A digital object (draft-durand-doa-over-dns).
    DOA = 259, is(&[U32, U32, U8, CharString, Shape(&doa::SHAPE)]);
    /// A relay for multicast (RFC 8777).
    AMTRELAY = 260, Format::FieldsIf(gateway::is_known_amtrelay, &[U8, Shape(&gateway::AMTRELAY)]);
    /// What a resolver can do, as text (RFC 9606).
    RESINFO = 261, is(&[CharStrings]);
    /// A wallet, as text.
    WALLET = 262, is(&[CharStrings]);
    /// A CLA address, as text (the BPv7 registry of the Interplanetary Internet).
    CLA = 263, is(&[CharStrings]);
    /// A node number of the Interplanetary Internet.
    IPN = 264, is(&[U64]);
    /// A trust anchor (INI1999-19).
    TA = 32768, is(DS_FIELDS);
    /// A trust anchor elsewhere, obsolete (RFC 4431, RFC 8749).
    DLV = 32769, is(DS_FIELDS);
}

/// The longest mnemonic in octets that a packed key holds.
const MNEMONIC_LEN_MAX: usize = 15;
/// The codes below this have a direct index.
const DIRECT_COUNT: usize = 265;

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

/// The fields of a type whose RDATA has a text.
pub(super) fn fields(rtype: Rtype) -> Option<&'static [Field]> {
    match row(rtype)?.format {
        Format::Fields(fields) | Format::FieldsIf(_, fields) => Some(fields),
        Format::Opaque => None,
    }
}

/// The fields of RDATA at hand, `None` if it is octets to us.
pub(super) fn fields_of(rtype: Rtype, rdata: &[u8]) -> Option<&'static [Field]> {
    match row(rtype)?.format {
        Format::FieldsIf(is_known, _) if !is_known(rdata) => None,
        Format::Fields(fields) | Format::FieldsIf(_, fields) => Some(fields),
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
            let Some(fields) = fields(row.rtype) else { continue };
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
                        | Field::Base64(_)
                        | Field::OptionalCharString
                        | Field::Bitmap
                        | Field::SvcParams
                )
            });
            assert!(!endless, "{}", row.mnemonic);
        }
    }
}
