//! Tests of the key files of BIND: those of other programs, ours, and damaged ones.

use data_encoding::BASE64;
use proptest::prelude::*;

use super::super::testing::*;
use super::private::PrivateProblem;
use super::*;

/// Files of other programs: private, public, algorithm and key tag.
const FOREIGN: [(&str, &str, Algorithm, u16); 7] = [
    (BIND_RSA_PRIVATE, BIND_RSA_KEY, Algorithm::RsaSha256, 25820),
    (BIND_P256_PRIVATE, BIND_P256_KEY, Algorithm::EcdsaP256Sha256, 43643),
    (BIND_P384_PRIVATE, BIND_P384_KEY, Algorithm::EcdsaP384Sha384, 45703),
    (BIND_ED25519_PRIVATE, BIND_ED25519_KEY, Algorithm::Ed25519, 54494),
    (LDNS_P256_PRIVATE, LDNS_P256_KEY, Algorithm::EcdsaP256Sha256, 50725),
    (LDNS_P384_PRIVATE, LDNS_P384_KEY, Algorithm::EcdsaP384Sha384, 23553),
    (LDNS_ED25519_PRIVATE, LDNS_ED25519_KEY, Algorithm::Ed25519, 7682),
];

/// Why these files are refused.
fn refused(private: &str, key: &str) -> String {
    let error = read(private.as_bytes(), key.as_bytes()).unwrap_err().to_string();
    // No part of a private key that could help anybody.
    let secrets = private.lines().filter_map(|line| line.split_once(": ")).map(|(_, value)| value);
    for secret in secrets.filter(|secret| secret.len() > 20) {
        assert!(!error.contains(&secret[..20]), "{error}");
    }
    error
}

#[test]
fn files_of_other_programs_are_read() {
    for (private, key, algorithm, tag) in FOREIGN {
        let imported = read(private.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(imported.apex, "example.com.".parse().unwrap());
        assert_eq!(imported.flags, 257);
        assert_eq!(imported.pair.algorithm(), algorithm);
        assert_eq!(imported.pair.dnskey(Role::Csk).tag(), tag);
        // Lines may end as in DOS.
        let private = private.replace('\n', "\r\n");
        assert!(read(private.as_bytes(), key.as_bytes()).is_ok());
    }
}

#[test]
fn what_is_written_is_read_again() {
    let apex: Name = "a.example.net.".parse().unwrap();
    for pair in pairs() {
        for role in Role::ALL {
            let written = write(apex.as_ref(), role, &pair);
            let read = read(written.private.as_bytes(), written.key.as_bytes()).unwrap();
            assert_eq!((&read.apex, read.flags), (&apex, role.flags()));
            assert_eq!(read.pair.to_pkcs8(), pair.to_pkcs8());
            let tag = pair.dnskey(role).tag();
            assert_eq!(written.stem, format!("Ka.example.net.+{:03}+{tag:05}", pair.algorithm().number()));
        }
    }
}

#[test]
fn written_files_have_the_form_of_bind() {
    let imported = read(LDNS_P256_PRIVATE.as_bytes(), LDNS_P256_KEY.as_bytes()).unwrap();
    let written = write(imported.apex.as_ref(), Role::Csk, &imported.pair);
    assert_eq!(written.stem, "Kexample.com.+013+50725");
    assert_eq!(*written.private, LDNS_P256_PRIVATE.replace("v1.2", "v1.3"));
    let record = LDNS_P256_KEY.split(" ;").next().unwrap().replace('\t', " ");
    assert_eq!(written.key, format!("; This is a key-signing key, keyid 50725, for example.com.\n{record}\n"));
}

#[test]
fn no_name_makes_a_path() {
    for (name, expected) in [
        (".", "."),
        ("Example.NET.", "example.net."),
        ("a_b-c.x.", "a_b-c.x."),
        (r"\.\./etc.", "%2E%2E%2Fetc."),
        (r"a\000b\%.", "a%00b%25."),
        (r"\200.", "%C8."),
    ] {
        assert_eq!(file_name(name.parse::<Name>().unwrap().as_ref()), expected);
    }
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let of = |idx: usize| FOREIGN[idx];
    assert_eq!(
        refused(of(0).0, of(1).1),
        "the .private file has a key for RSASHA256, the .key file one of algorithm 13: they are of different keys"
    );
    for (ours, theirs) in [(1, 4), (2, 5), (3, 6), (4, 1)] {
        assert_eq!(
            refused(of(ours).0, of(theirs).1),
            format!(
                "the .private file is not that of the key with tag {} in the .key file: they are of different keys",
                of(theirs).3
            )
        );
    }
    let key = read(of(0).0.as_bytes(), of(0).1.as_bytes()).unwrap();
    let mut other = key.pair.dnskey(Role::Csk);
    other.public[20] ^= 1;
    let other_key = format!("example.com. DNSKEY {other}\n");
    assert!(refused(of(0).0, &other_key).contains(&format!("tag {}", other.tag())));
}

#[test]
fn keys_that_cannot_sign_are_refused() {
    // RFC 5702 section 6.1, 512 bits.
    let private = "Private-key-format: v1.2\n\
        Algorithm:       8 (RSASHA256)\n\
        Modulus: wVwaxrHF2CK64aYKRUibLiH30KpPuPBjel7E8ZydQW1HYWHfoGmidzC2RnhwCC293hCzw+TFR2nqn8OVSY5t2Q==\n\
        PublicExponent:  AQAB\n\
        PrivateExponent: UR44xX6zB3eaeyvTRzmskHADrPCmPWnr8dxsNwiDGHzrMKLN+i/HAam+97HxIKVWNDH2ba9Mf1SA8xu9dcHZAQ==\n\
        Prime1:          4c8IvFu1AVXGWeFLLFh5vs7fbdzdC6U82fduE6KkSWk=\n\
        Prime2:          2zZpBE8ZXVnL74QjG4zINlDfH+EOEtjJJ3RtaYDugvE=\n\
        Exponent1:       G2xAPFfK0KGxGANDVNxd1K1c9wOmmJ51mGbzKFFNMFk=\n\
        Exponent2:       GYxP1Pa7CAwtHm8SAGX594qZVofOMhgd6YFCNyeVpKE=\n\
        Coefficient:     icQdNRjlZGPmuJm2TIadubcO8X7V4y07aVhX464tx8Q=\n";
    let key = "example.net. 3600 IN DNSKEY (256 3 8 AwEAAcFcGsaxxdgiuuGmCkVImy4h99CqT7jwY3pexPGcnUFtR2Fh36BponcwtkZ4cAgtvd4Q\
        s8PkxUdp6p/DlUmObdk= ) ; {id = 9033 (zsk), size = 512b}\n";
    assert!(refused(private, key).starts_with(".private file: an RSA key of 512 bits cannot sign here"));
}

#[test]
fn problems_of_the_private_file_have_words_and_a_line() {
    let good = BIND_ED25519_PRIVATE;
    let rsa = BIND_RSA_PRIVATE;
    let line = |name: &str| rsa.lines().find(|line| line.starts_with(name)).unwrap().to_owned() + "\n";
    for (private, key, line, problem) in [
        (String::new(), 3, 1, PrivateProblem::Format),
        (good.replace("v1.3", "v1.4"), 3, 1, PrivateProblem::Format),
        (good.replace("Algorithm:", "Alg:"), 3, 2, PrivateProblem::Format),
        (good.replace("15 (ED25519)", "5 (RSASHA1)"), 3, 2, PrivateProblem::Algorithm),
        (good.replace("15 (ED25519)", "15 (ECDSAP256SHA256)"), 3, 2, PrivateProblem::Algorithm),
        (good.replace("15 (ED25519)", "15 ED25519"), 3, 2, PrivateProblem::Algorithm),
        (good.replace("PrivateKey: ", "PrivateKey "), 3, 3, PrivateProblem::NoField),
        (good.replace("PrivateKey", "Modulus"), 3, 3, PrivateProblem::Unknown),
        (good.replace("PrivateKey: ", "PrivateKey: *"), 3, 3, PrivateProblem::Base64("PrivateKey")),
        (good.replace("PrivateKey: ", "PrivateKey: AAAA"), 3, 3, PrivateProblem::Length("PrivateKey")),
        (good.replace("PrivateKey: ", "Engine: pkcs11\nPrivateKey: "), 3, 3, PrivateProblem::Hardware),
        (format!("{good}Created: 20261122172421\n\nPrivateKey: AAAA\n"), 3, 6, PrivateProblem::Twice("PrivateKey")),
        (good.lines().take(2).collect::<Vec<_>>().join("\n"), 3, 2, PrivateProblem::Missing("PrivateKey")),
        (rsa.replace(&line("Exponent2"), ""), 0, 9, PrivateProblem::Missing("Exponent2")),
        (format!("{rsa}{}", line("Prime1")), 0, 11, PrivateProblem::Twice("Prime1")),
    ] {
        let expected = format!(".private file, line {line}: {problem}");
        assert_eq!(refused(&private, FOREIGN[key].1), expected);
    }
    let error = read(b"\xff\xfe", BIND_P256_KEY.as_bytes()).unwrap_err().to_string();
    assert_eq!(error, ".private file, line 1: it is no text");
}

#[test]
fn problems_of_the_key_file_have_words() {
    let private = BIND_ED25519_PRIVATE;
    let key = BIND_ED25519_KEY;
    let one = "the .key file must have one DNSKEY record and nothing else";
    for (key, expected) in [
        (String::new(), one),
        ("; only a comment\n".to_owned(), one),
        (format!("{key}{key}"), one),
        ("example.com. IN A 192.0.2.1\n".to_owned(), one),
        (key.replace("257 3 15", "257 2 15"), "the DNSKEY in the .key file is not of protocol 3"),
        (key.replace("257 3 15", "385 3 15"), "the DNSKEY in the .key file has flags 385"),
        (key.replace("257 3 15", "0 3 15"), "the DNSKEY in the .key file has flags 0"),
        (key.replace("257 3 15", "257 3"), ".key file: 1:"),
        (key.replace("example.com.", "example.com"), ".key file: 1:1"),
        (" ".repeat(FILE_LEN_MAX + 1), "the .key file has more than 65536 octets"),
    ] {
        let error = refused(private, &key);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn scalars_without_their_leading_zeros_are_read() {
    // Older programs write no more octets than the number has. So does this key: 31 of them.
    let numbers = Numbers::Curve { secret: Zeroizing::new([&[0][..], &[5; 31]].concat()), public: None };
    let pair = KeyPair::from_numbers(numbers, Algorithm::EcdsaP256Sha256).unwrap();
    let apex: Name = "example.net.".parse().unwrap();
    let written = write(apex.as_ref(), Role::Csk, &pair);
    let full = BASE64.encode(&[&[0][..], &[5; 31]].concat());
    assert!(written.private.contains(&full));
    let short = written.private.replace(&full, &BASE64.encode(&[5; 31]));
    let read = read(short.as_bytes(), written.key.as_bytes()).unwrap();
    assert_eq!(read.pair.public(), pair.public());
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(private in any::<Vec<u8>>(), key in any::<Vec<u8>>(), text in any::<String>()) {
        prop_assert!(read(&private, BIND_P256_KEY.as_bytes()).is_err());
        prop_assert!(read(BIND_P256_PRIVATE.as_bytes(), &key).is_err());
        prop_assert!(read(text.as_bytes(), BIND_P256_KEY.as_bytes()).is_err());
        let with_head = format!("Private-key-format: v1.3\nAlgorithm: 13 (ECDSAP256SHA256)\n{text}");
        prop_assert!(read(with_head.as_bytes(), BIND_P256_KEY.as_bytes()).is_err());
    }

    #[test]
    fn damaged_files_are_read_without_a_panic(
        which in 0usize..7,
        at in any::<prop::sample::Index>(),
        instead in any::<Vec<u8>>(),
        cut in 0usize..50,
    ) {
        let (private, key, algorithm, tag) = FOREIGN[which];
        for is_private in [true, false] {
            let text = if is_private { private } else { key };
            let at = at.index(text.len());
            let mut damaged = text.as_bytes().to_vec();
            damaged.splice(at..(at + cut).min(text.len()), instead.iter().copied());
            let (private, key) =
                if is_private { (&damaged[..], key.as_bytes()) } else { (private.as_bytes(), &damaged[..]) };
            // What is still read is the same key: nothing else belongs to the other file.
            if let Ok(read) = read(private, key) {
                prop_assert_eq!(read.pair.algorithm(), algorithm);
                let tags = Role::ALL.map(|role| read.pair.dnskey(role).tag());
                prop_assert!(tags.contains(&tag));
            }
        }
    }
}
