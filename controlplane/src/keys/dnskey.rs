//! DNSKEY and what is made of it: key tags, DS and CDS, CDNSKEY, and how the API shows keys.
//!
//! Everything here is public, and a function of RDATA and owner. It shares no code with `check::dnssec`, which judges what
//! we make. RFC 4034 sections 2 and 5, appendix B; RFC 4509, 6605 section 2, 7344.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use ring::digest;
use snapshot::dns::name::NameRef;

/// The flag of keys that sign zones (RFC 4034 section 2.1.1).
const FLAG_ZONE: u16 = 0x0100;
/// The flag of secure entry points, which a DS is made of (RFC 4034 section 2.1.1).
const FLAG_ENTRY_POINT: u16 = 0x0001;
/// The one protocol (RFC 4034 section 2.1.2).
const PROTOCOL: u8 = 3;
/// RSA/MD5, of which the tag is something else (RFC 4034 appendix B.1).
const ALGORITHM_RSAMD5: u8 = 1;

/// What a key of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Signs everything.
    Csk,
    /// Signs the keys.
    Ksk,
    /// Signs all but the keys.
    Zsk,
}

/// A digest of a DS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestType {
    /// SHA-256, 2 (RFC 4509).
    Sha256,
    /// SHA-384, 4 (RFC 6605 section 2).
    Sha384,
}

/// A DNSKEY or CDNSKEY of protocol 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dnskey {
    /// Flags.
    pub flags: u16,
    /// Algorithm, also one that we do not sign with.
    pub algorithm: u8,
    /// The public key in the format of its algorithm.
    pub public: Vec<u8>,
}

/// A key as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// DNSKEY in presentation format, the public key without spaces.
    pub dnskey: String,
    /// DS in presentation format by digest type, digests in lower case; none if the key is no entry point.
    pub ds: Vec<String>,
    /// Flags.
    pub flags: u16,
    /// What it is for; `None` if it is not ours but added by the user.
    pub role: Option<Role>,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 3] = [Role::Csk, Role::Ksk, Role::Zsk];

    /// The flags of DNSKEY.
    #[must_use]
    pub fn flags(self) -> u16 {
        match self {
            Role::Csk | Role::Ksk => FLAG_ZONE | FLAG_ENTRY_POINT,
            Role::Zsk => FLAG_ZONE,
        }
    }

    /// The word for it, as `keytype` of the API has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Csk => "csk",
            Role::Ksk => "ksk",
            Role::Zsk => "zsk",
        }
    }

    /// The role of a word, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name().eq_ignore_ascii_case(name))
    }
}

/// Writes the word.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl DigestType {
    /// Those that are published (RFC 8624 section 3.3).
    pub const ALL: [DigestType; 2] = [DigestType::Sha256, DigestType::Sha384];

    /// The number in DS.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            DigestType::Sha256 => 2,
            DigestType::Sha384 => 4,
        }
    }

    /// How it is computed.
    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            DigestType::Sha256 => &digest::SHA256,
            DigestType::Sha384 => &digest::SHA384,
        }
    }
}

impl Dnskey {
    /// Reads RDATA; `None` if it ends early or is of another protocol.
    #[must_use]
    pub fn read(rdata: &[u8]) -> Option<Dnskey> {
        match *rdata {
            [high, low, PROTOCOL, algorithm, ref public @ ..] => {
                Some(Dnskey { flags: u16::from_be_bytes([high, low]), algorithm, public: public.to_vec() })
            }
            _ => None,
        }
    }

    /// The RDATA of DNSKEY, and of CDNSKEY (RFC 7344 section 3.2).
    #[must_use]
    pub fn rdata(&self) -> Vec<u8> {
        let [high, low] = self.flags.to_be_bytes();
        [&[high, low, PROTOCOL, self.algorithm][..], self.public.as_slice()].concat()
    }

    /// The key tag.
    #[must_use]
    pub fn tag(&self) -> u16 {
        key_tag(&self.rdata())
    }

    /// Whether a DS is made of it.
    #[must_use]
    pub fn is_entry_point(&self) -> bool {
        self.flags & FLAG_ENTRY_POINT != 0
    }

    /// The RDATA of DS, and of CDS (RFC 7344 section 3.1), for the key at `owner`.
    #[must_use]
    pub fn ds(&self, owner: NameRef<'_>, digest_type: DigestType) -> Vec<u8> {
        ds_of(&self.rdata(), owner, digest_type)
    }
}

/// Writes presentation format, the public key without spaces.
impl fmt::Display for Dnskey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {PROTOCOL} {} {}", self.flags, self.algorithm, BASE64.encode(&self.public))
    }
}

/// The key tag of the RDATA of a DNSKEY (RFC 4034 appendix B).
#[must_use]
pub fn key_tag(rdata: &[u8]) -> u16 {
    if let [_, _, _, ALGORITHM_RSAMD5, ref key @ ..] = *rdata {
        return match *key {
            [.., high, low, _] => u16::from_be_bytes([high, low]),
            _ => 0,
        };
    }
    let words = rdata.chunks(2).map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |&low| u32::from(low)));
    // RDATA has at most 65,535 octets, and the sum of 32,768 words fits.
    let sum: u32 = words.sum();
    let [.., high, low] = (sum + (sum >> 16)).to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// How the API shows the keys of the zone at `apex`: first `managed`, in the order given, then the RDATA of `added`, the
/// DNSKEY records of the user, sorted by their presentation.
#[must_use]
pub fn shown(apex: NameRef<'_>, managed: &[(Role, Dnskey)], added: &[&[u8]]) -> Vec<Shown> {
    let managed = managed.iter().map(|(role, key)| shown_as(apex, &key.rdata(), Some(*role)));
    let mut added: Vec<_> = added.iter().map(|rdata| shown_as(apex, rdata, None)).collect();
    added.sort_by(|a, b| a.dnskey.cmp(&b.dnskey));
    managed.chain(added).collect()
}

/// How the API shows one key.
fn shown_as(apex: NameRef<'_>, rdata: &[u8], role: Option<Role>) -> Shown {
    let mut header = [0; 4];
    header.iter_mut().zip(rdata).for_each(|(to, from)| *to = *from);
    let [high, low, protocol, algorithm] = header;
    let flags = u16::from_be_bytes([high, low]);
    let public = BASE64.encode(rdata.get(4..).unwrap_or_default());
    let is_entry_point = flags & FLAG_ENTRY_POINT != 0;
    let digests = DigestType::ALL.into_iter().filter(|_| is_entry_point);
    let ds = digests.map(|digest_type| ds_text(&ds_of(rdata, apex, digest_type))).collect();
    Shown { dnskey: format!("{flags} {protocol} {algorithm} {public}"), ds, flags, role }
}

/// The RDATA of the DS of a DNSKEY (RFC 4034 section 5.1).
fn ds_of(rdata: &[u8], owner: NameRef<'_>, digest_type: DigestType) -> Vec<u8> {
    let mut context = digest::Context::new(digest_type.algorithm());
    context.update(&owner.as_wire().to_ascii_lowercase());
    context.update(rdata);
    let [high, low] = key_tag(rdata).to_be_bytes();
    let algorithm = rdata.get(3).copied().unwrap_or_default();
    [&[high, low, algorithm, digest_type.number()][..], context.finish().as_ref()].concat()
}

/// The presentation format of the RDATA of a DS, the digest in lower case without spaces.
fn ds_text(ds: &[u8]) -> String {
    match *ds {
        [high, low, algorithm, digest_type, ref digest @ ..] => {
            let tag = u16::from_be_bytes([high, low]);
            format!("{tag} {algorithm} {digest_type} {}", HEXLOWER.encode(digest))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use snapshot::dns::name::Name;

    use super::*;

    /// DNSKEY records of RFCs and their DS: digest 2 or 4 as the RFC has it, the other one by `dnssec-dsfromkey`.
    const VECTORS: [(&str, &str, [&str; 2]); 5] = [
        (
            // RFC 4034 section 5.4 and RFC 4509 section 2.3.
            "dskey.example.com.",
            "256 3 5 AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMmmAphXdvxegXd\
             /M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw==",
            [
                "60485 5 2 d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a",
                "60485 5 4 ab64dbebe13c0b6bae558b78ccab93b836f8ada4cbed2d4484a8715a819de7b9e846315e70ea5d884b377394bdaf16a3",
            ],
        ),
        (
            // RFC 5702 section 6.1.
            "example.net.",
            "256 3 8 AwEAAcFcGsaxxdgiuuGmCkVImy4h99CqT7jwY3pexPGcnUFtR2Fh36BponcwtkZ4cAgtvd4Qs8PkxUdp6p/DlUmObdk=",
            [
                "9033 8 2 4fb561367705cc70dac0e34755aa13ab400b4a435ab5bdc3834bd04e13d4a086",
                "9033 8 4 16c706bb4a18b4db0297064cd2d4c89a094942670da11d73f018392ee2cf9c6fdde4dab032ba1ac8d90466d64dd79f51",
            ],
        ),
        (
            // RFC 6605 section 6.1.
            "example.net.",
            "257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
            [
                "55648 13 2 b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17",
                "55648 13 4 3be4b980b34443e569255f4a347d4c8e8e18de755fb8072d7b355c44c56b50a61e8050ae636041b9664a04f05aef2680",
            ],
        ),
        (
            // RFC 6605 section 6.2.
            "example.net.",
            "257 3 14 xKYaNhWdGOfJ+nPrL8/arkwf2EY3MDJ+SErKivBVSum1w/egsXvSADtNJhyem5RCOpgQ6K8X1DRSEkrbYQ+OB+v8\
             /uX45NBwY8rp65F6Glur8I/mlVNgF6W/qTI37m40",
            [
                "10771 14 2 fde87f87d3a32ad8781eb0d79ac02f80d1381cecda3567c2352b4986645c2dd0",
                "10771 14 4 72d7b62976ce06438e9c0bf319013cf801f09ecc84b8d7e9495f27e305c6a9b0563a9b5f4d288405c3008a946df983d6",
            ],
        ),
        (
            // RFC 8080 section 6.1.
            "example.com.",
            "257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
            [
                "3613 15 2 3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b",
                "3613 15 4 89389da437fca8372e67359dfc0dd4428fa2615df6e31bc5501677dd068514fea5c4efaf82188530a8a1645d9d3ef884",
            ],
        ),
    ];

    /// A key from its presentation format.
    fn key(text: &str) -> Dnskey {
        let fields: Vec<&str> = text.split(' ').collect();
        let public = BASE64.decode(fields[3].as_bytes()).unwrap();
        Dnskey { flags: fields[0].parse().unwrap(), algorithm: fields[2].parse().unwrap(), public }
    }

    #[test]
    fn tags_and_ds_are_those_of_the_rfcs() {
        for (owner, text, expected) in VECTORS {
            let owner: Name = owner.parse().unwrap();
            let key = key(text);
            assert_eq!(key.to_string(), text);
            assert_eq!(Dnskey::read(&key.rdata()), Some(key.clone()));
            assert_eq!(key.tag().to_string(), expected[0].split(' ').next().unwrap());
            for (digest_type, expected) in DigestType::ALL.into_iter().zip(expected) {
                assert_eq!(ds_text(&key.ds(owner.as_ref(), digest_type)), expected);
            }
        }
    }

    #[test]
    fn the_case_of_the_owner_does_not_matter() {
        let (_, text, expected) = VECTORS[2];
        let owner: Name = "ExAmPlE.NeT.".parse().unwrap();
        assert_eq!(ds_text(&key(text).ds(owner.as_ref(), DigestType::Sha256)), expected[0]);
    }

    #[test]
    fn the_tag_of_rsamd5_is_the_end_of_its_modulus() {
        assert_eq!(key_tag(&[1, 0, 3, 1, 9, 9, 0x12, 0x34, 9]), 0x1234);
        assert_eq!(key_tag(&[1, 0, 3, 1, 9]), 0);
        // An odd octet at the end counts as the high one of a word.
        assert_eq!(key_tag(&[1, 1, 3, 15, 2]), 0x0101 + 0x030f + 0x0200);
        assert_eq!(key_tag(&[0xff; 6]), 0xffff);
        assert_eq!(key_tag(&[]), 0);
    }

    #[test]
    fn keys_are_shown_as_the_api_has_them() {
        let apex: Name = "example.net.".parse().unwrap();
        let (_, csk, ds) = VECTORS[2];
        let added = [VECTORS[3].1, VECTORS[1].1, "257 3 13 AAAA", "0 2 200 "].map(|text| {
            let fields: Vec<&str> = text.split(' ').collect();
            let mut rdata = key(text).rdata();
            rdata[2] = fields[1].parse().unwrap();
            rdata
        });
        let added = added.each_ref().map(Vec::as_slice);
        let all = shown(apex.as_ref(), &[(Role::Csk, key(csk))], &added);
        let expected =
            Shown { dnskey: csk.to_owned(), ds: ds.map(str::to_owned).to_vec(), flags: 257, role: Some(Role::Csk) };
        assert_eq!(all[0], expected);
        let added: Vec<_> =
            all[1..].iter().map(|key| (key.dnskey.as_str(), key.flags, key.ds.len(), key.role)).collect();
        let expected = [
            ("0 2 200 ", 0, 0, None),
            (VECTORS[1].1, 256, 0, None),
            ("257 3 13 AAAA", 257, 2, None),
            (VECTORS[3].1, 257, 2, None),
        ];
        assert_eq!(added, expected);
    }

    #[test]
    fn roles_have_flags_and_words() {
        for (role, flags, name) in [(Role::Csk, 257, "csk"), (Role::Ksk, 257, "ksk"), (Role::Zsk, 256, "zsk")] {
            assert_eq!(role.flags(), flags);
            assert_eq!(role.to_string(), name);
            assert_eq!(Role::from_name(&name.to_uppercase()), Some(role));
        }
        assert_eq!(Role::from_name("zone"), None);
    }
}
