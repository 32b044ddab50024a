//! Hashed owner names of NSEC3 (RFC 5155 section 5) and their text.
//!
//! Pure functions without allocation: the data plane hashes while it answers. Hash algorithm 1, SHA-1, is the only one
//! there is.

use data_encoding::BASE32_DNSSEC;
use sha1::{Digest, Sha1};

use super::name::NameRef;

/// Octets of a hashed owner name.
pub const HASH_LEN: usize = 20;
/// Octets of its text, which is the first label of an NSEC3 owner.
pub const HASH_TEXT_LEN: usize = 32;
/// The most iterations that are served. RFC 9276 section 3.2 lets resolvers treat more as insecure or bogus; each costs
/// every negative answer three rounds of SHA-1, of one block unless the salt is long.
pub const ITERATIONS_MAX: u16 = 150;
/// The number of SHA-1 among the hash algorithms.
const ALGORITHM_SHA1: u8 = 1;

/// How names are hashed: the fields that NSEC3 and NSEC3PARAM share (RFC 5155 sections 3.1 and 4.1), flags aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params<'r> {
    /// How many times the hash is hashed again.
    pub iterations: u16,
    /// Is appended each time; at most 255 octets.
    pub salt: &'r [u8],
}

impl<'r> Params<'r> {
    /// Reads the RDATA of an NSEC3 or NSEC3PARAM; `None` if it is cut or uses another hash.
    #[must_use]
    pub fn of_rdata(rdata: &'r [u8]) -> Option<Params<'r>> {
        let [ALGORITHM_SHA1, _flags, high, low, salt_len, rest @ ..] = rdata else { return None };
        let salt = rest.get(..usize::from(*salt_len))?;
        Some(Params { iterations: u16::from_be_bytes([*high, *low]), salt })
    }

    /// The hash of a name in canonical wire format. About 0.1 µs for each iteration and the first.
    #[must_use]
    pub fn hash(&self, canonical: &[u8]) -> [u8; HASH_LEN] {
        let mut hash: [u8; HASH_LEN] = Sha1::new().chain_update(canonical).chain_update(self.salt).finalize().into();
        for _ in 0..self.iterations {
            hash = Sha1::new().chain_update(hash).chain_update(self.salt).finalize().into();
        }
        hash
    }
}

/// The text of a hash: base32hex in lower case without padding.
#[must_use]
pub fn text(hash: &[u8; HASH_LEN]) -> [u8; HASH_TEXT_LEN] {
    let mut text = [0; HASH_TEXT_LEN];
    BASE32_DNSSEC.encode_mut(hash, &mut text);
    text
}

/// The hash that the first label of an NSEC3 owner stands for; `None` if it is none.
#[must_use]
pub fn hash_of_owner(owner: NameRef<'_>) -> Option<[u8; HASH_LEN]> {
    let label = owner.as_wire().get(1..=HASH_TEXT_LEN)?.to_ascii_lowercase();
    let is_whole = usize::from(owner.as_wire()[0]) == HASH_TEXT_LEN;
    let mut hash = [0; HASH_LEN];
    (is_whole && BASE32_DNSSEC.decode_mut(&label, &mut hash).is_ok()).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::name::Name;

    #[test]
    fn names_hash_as_in_the_appendix_of_rfc_5155() {
        let params = Params::of_rdata(&[1, 0, 0, 12, 4, 0xaa, 0xbb, 0xcc, 0xdd]).unwrap();
        assert_eq!(params, Params { iterations: 12, salt: &[0xaa, 0xbb, 0xcc, 0xdd] });
        for (name, expected) in [
            ("example", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
            ("a.example", "35mthgpgcu1qg68fab165klnsnk3dpvl"),
            ("*.w.example", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
            ("xx.example", "t644ebqk9bibcna874givr6joj62mlhv"),
        ] {
            let name: Name = name.parse().unwrap();
            let hash = params.hash(name.as_wire());
            assert_eq!(text(&hash), expected.as_bytes());
            let owner: Name = format!("{}.example", expected.to_uppercase()).parse().unwrap();
            assert_eq!(hash_of_owner(owner.as_ref()), Some(hash));
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for owner in ["example", ".", "0p9mhaveqvm6t7vbl5lop2u3t2rp3to.x", "0p9mhaveqvm6t7vbl5lop2u3t2rp3toz.x"] {
            assert_eq!(hash_of_owner(owner.parse::<Name>().unwrap().as_ref()), None, "{owner}");
        }
        for rdata in [&[2, 0, 0, 0, 0][..], &[1, 0, 0, 0], &[1, 0, 0, 0, 2, 7], &[]] {
            assert_eq!(Params::of_rdata(rdata), None);
        }
    }
}
