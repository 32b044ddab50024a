//! Signs a zone file and says how long it took: `sign FILE ORIGIN nsec|nsec3|opt-out constant|ed25519|p256 THREADS [OUT]`.
//! The key `constant` makes 64 octets out of nothing, which leaves the cost of everything but the signatures.

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Instant, SystemTime};

use controlplane::sign::{Announce, Denial, Key, Plan, Signer, SignerError, Times, sign};
use controlplane::source::{ReadOptions, ZoneSource, read_zone};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use snapshot::dns::name::Name;
use snapshot::dns::rdata::Text;
use snapshot::dns::zone::Zone;

/// Seconds of a day.
const DAY_SECS: u32 = 86_400;
/// The flags of a key that signs keys.
const ENTRY_POINT: u16 = 257;

/// What signs.
enum Pair {
    /// Nothing.
    Constant,
    /// Algorithm 15.
    Ed25519(Ed25519KeyPair),
    /// Algorithm 13.
    P256(EcdsaKeyPair, SystemRandom),
}

impl Pair {
    /// A new key.
    fn new(kind: &str) -> Result<Pair, Box<dyn Error>> {
        let random = SystemRandom::new();
        match kind {
            "constant" => Ok(Pair::Constant),
            "ed25519" => {
                let document = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| "no randomness")?;
                Ok(Pair::Ed25519(Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|_| "no key")?))
            }
            "p256" => {
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| "no randomness")?;
                let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).map_err(|_| "no key")?;
                Ok(Pair::P256(pair, random))
            }
            _ => Err("the key is constant, ed25519 or p256".into()),
        }
    }

    /// Its DNSKEY.
    fn dnskey(&self) -> Vec<u8> {
        let (algorithm, public) = match self {
            Pair::Constant => (13, &[1; 64][..]),
            Pair::Ed25519(pair) => (15, pair.public_key().as_ref()),
            // DNSKEY leaves out that the point is not compressed.
            Pair::P256(pair, _) => (13, &pair.public_key().as_ref()[1..]),
        };
        [&ENTRY_POINT.to_be_bytes()[..], &[3, algorithm], public].concat()
    }
}

impl Signer for Pair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        match self {
            Pair::Constant => Ok(vec![0x5a; 64]),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::P256(pair, random) => {
                let signature = pair.sign(random, message).map_err(|_| SignerError("no randomness".to_owned()))?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }
}

/// The tag of a DNSKEY (RFC 4034 appendix B).
fn tag(rdata: &[u8]) -> u16 {
    let sum: u32 =
        rdata.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| (*low).into())).sum();
    let [_, _, high, low] = (sum + (sum >> 16)).to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// Reads the arguments, signs, and reports.
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, origin, denial, kind, threads, rest @ ..] = arguments.as_slice() else {
        return Err("usage: sign FILE ORIGIN nsec|nsec3|opt-out constant|ed25519|p256 THREADS [OUT]".into());
    };
    let denial = match denial.as_str() {
        "nsec" => Denial::Nsec,
        "nsec3" => Denial::Nsec3 { opt_out: false },
        "opt-out" => Denial::Nsec3 { opt_out: true },
        _ => return Err("the denial is nsec, nsec3 or opt-out".into()),
    };
    let origin: Name = origin.parse()?;
    let source = ZoneSource { path: file.into(), origin: Some(origin) };
    let zone = read_zone(&source, &ReadOptions::default())?;
    let pair = Pair::new(kind)?;
    let dnskey = pair.dnskey();
    let (tag, algorithm) = (tag(&dnskey), dnskey[3]);
    let keys = [Key {
        dnskey: &dnskey,
        is_announced: true,
        tag,
        algorithm,
        signs_keys: true,
        signs_zone: true,
        signer: &pair,
    }];
    let announced = [&dnskey[..]];
    let times = Times {
        now_unix_secs: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs(),
        validity_secs: 21 * DAY_SECS,
        jitter_secs: 3 * DAY_SECS,
        inception_back_secs: 3 * 3600,
        refresh_secs: 14 * DAY_SECS,
    };
    let announce = Announce::Keys(&announced);
    let plan = Plan { keys: &keys, extra_dnskeys: &[], announce, denial, times, keys_ttl_secs: 3600, zonemd: false };
    let threads: NonZeroUsize = threads.parse()?;
    let mut out = io::stdout().lock();
    let start = Instant::now();
    let signed = sign(&zone, &plan, &(), threads)?;
    writeln!(
        out,
        "{:.2} s, {} signatures, {} records",
        start.elapsed().as_secs_f64(),
        signed.made,
        signed.zone.record_count()
    )?;
    let start = Instant::now();
    let again = sign(&zone, &plan, &signed.zone, threads)?;
    writeln!(out, "{:.2} s again, {} made, {} reused", start.elapsed().as_secs_f64(), again.made, again.reused)?;
    match rest {
        [path] => write(&signed.zone, Path::new(path)).map_err(Into::into),
        _ => Ok(()),
    }
}

/// Writes a zone file.
fn write(zone: &Zone, path: &Path) -> io::Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    let apex = zone.owner(zone.apex());
    let soa = apex.iter().flat_map(|apex| apex.rrsets()).filter(|rrset| rrset.rtype().to_string() == "SOA");
    let rest = zone.owners().flat_map(|owner| owner.rrsets().collect::<Vec<_>>());
    // Some readers want the SOA first.
    for rrset in soa.chain(rest.filter(|rrset| rrset.rtype().to_string() != "SOA")) {
        for record in rrset.records() {
            let text = Text { rtype: record.rtype, rdata: record.rdata };
            writeln!(out, "{} {} IN {} {text}", record.owner, record.ttl_secs, record.rtype)?;
        }
    }
    out.flush()
}
