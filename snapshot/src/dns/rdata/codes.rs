//! Mnemonics of numbers inside RDATA. They are read; what is printed are the numbers, as every reader takes those.
//!
//! Types, classes and service parameters have tables of their own.

/// DNSSEC algorithms (RFC 4034 appendix A.1 and the registry that grew out of it).
pub(super) const ALGORITHMS: &[(&str, u8)] = &[
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
pub(super) const DIGESTS: &[(&str, u8)] =
    &[("SHA-1", 1), ("SHA1", 1), ("SHA-256", 2), ("SHA256", 2), ("SHA-384", 4), ("SHA384", 4)];

/// Hash algorithms of NSEC3 (RFC 5155 section 11).
pub(super) const NSEC3_HASHES: &[(&str, u8)] = &[("SHA-1", 1), ("SHA1", 1)];

/// Certificate types (RFC 4398 section 2.1).
pub(super) const CERTIFICATES: &[(&str, u16)] = &[
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

/// What a key is for (RFC 2535 section 7.1).
pub(super) const KEY_PROTOCOLS: &[(&str, u8)] =
    &[("NONE", 0), ("TLS", 1), ("EMAIL", 2), ("DNSSEC", 3), ("IPSEC", 4), ("ALL", 255)];

/// Schemes of DSYNC (RFC 9859 section 2.1).
pub(super) const DSYNC_SCHEMES: &[(&str, u8)] = &[("NOTIFY", 1)];

/// Protocols over IP that WKS was used with.
pub(super) const IP_PROTOCOLS: &[(&str, u8)] =
    &[("ICMP", 1), ("IGMP", 2), ("GGP", 3), ("TCP", 6), ("EGP", 8), ("IGP", 9), ("UDP", 17), ("RDP", 27)];

/// Services that WKS was used with; others are to be given as numbers, because a table of the machine that reads the zone
/// would make the zone depend on it.
pub(super) const IP_SERVICES: &[(&str, u16)] = &[
    ("ECHO", 7),
    ("DISCARD", 9),
    ("SYSTAT", 11),
    ("DAYTIME", 13),
    ("NETSTAT", 15),
    ("QOTD", 17),
    ("CHARGEN", 19),
    ("FTP-DATA", 20),
    ("FTP", 21),
    ("SSH", 22),
    ("TELNET", 23),
    ("SMTP", 25),
    ("TIME", 37),
    ("WHOIS", 43),
    ("NICNAME", 43),
    ("TACACS", 49),
    ("DOMAIN", 53),
    ("BOOTPS", 67),
    ("BOOTPC", 68),
    ("TFTP", 69),
    ("GOPHER", 70),
    ("FINGER", 79),
    ("HTTP", 80),
    ("WWW", 80),
    ("KERBEROS", 88),
    ("HOSTNAME", 101),
    ("POP2", 109),
    ("POP3", 110),
    ("SUNRPC", 111),
    ("AUTH", 113),
    ("NNTP", 119),
    ("NTP", 123),
    ("IMAP", 143),
    ("IMAP2", 143),
    ("SNMP", 161),
    ("SNMP-TRAP", 162),
    ("IRC", 194),
    ("LDAP", 389),
    ("HTTPS", 443),
    ("EXEC", 512),
    ("LOGIN", 513),
    ("SHELL", 514),
    ("PRINTER", 515),
    ("NFS", 2049),
];

/// The code of a mnemonic, ASCII case ignored.
pub(super) fn named<T: Copy>(codes: &[(&str, T)], text: &[u8]) -> Option<T> {
    codes.iter().find(|(mnemonic, _)| text.eq_ignore_ascii_case(mnemonic.as_bytes())).map(|&(_, code)| code)
}
