//! Signs a zone file, has the gate judge it, and says what that took: `sign FILE ORIGIN nsec|nsec3|opt-out KEY THREADS [OUT]`.
//!
//! KEY is `ours` (algorithm 13 as the server signs much with it, by ring), `single` (as it signs single changes, by the crate
//! p256), `ed25519`, all verified by aws-lc-rs, or `constant`, which makes 64 octets out of nothing and leaves the cost of
//! everything but the signatures. Each line is a name and a value.

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Instant, SystemTime};

use controlplane::check::dnssec::Verifier;
use controlplane::check::dnssec::gate::{Gate, Passed, REMAINING_SECS_MIN};
use controlplane::keys::{Algorithm, Dnskey, KeyPair, Role};
use controlplane::sign::{Announce, Before, Denial, Key, Plan, Signer, SignerError, Times, sign};
use controlplane::source::{ReadOptions, ZoneSource, read_zone};
use snapshot::dns::name::Name;
use snapshot::dns::rdata::Text;
use snapshot::dns::zone::Zone;
use snapshot::image::{PackFile, Segment};

/// Seconds of a day.
const DAY_SECS: u32 = 86_400;

/// What signs.
enum Pair {
    /// Nothing.
    Constant,
    /// A key, as fast as it can be.
    Ours(KeyPair),
    /// A key, so that equal messages have equal signatures.
    Single(KeyPair),
}

impl Pair {
    /// A new key.
    fn new(kind: &str) -> Result<Pair, Box<dyn Error>> {
        match kind {
            "constant" => Ok(Pair::Constant),
            "ours" => Ok(Pair::Ours(KeyPair::generate(Algorithm::EcdsaP256Sha256)?)),
            "single" => Ok(Pair::Single(KeyPair::generate(Algorithm::EcdsaP256Sha256)?)),
            "ed25519" => Ok(Pair::Ours(KeyPair::generate(Algorithm::Ed25519)?)),
            _ => Err("the key is ours, single, ed25519 or constant".into()),
        }
    }

    /// Its DNSKEY.
    fn dnskey(&self) -> Dnskey {
        match self {
            Pair::Constant => Dnskey { flags: Role::Csk.flags(), algorithm: 13, public: vec![1; 64] },
            Pair::Ours(pair) | Pair::Single(pair) => pair.dnskey(Role::Csk),
        }
    }

    /// What verifies its signatures, which is not what made them; none for what is no signature.
    fn verifier(&self) -> Option<Verifier> {
        match self {
            Pair::Ours(_) | Pair::Single(_) => Some(Verifier::AwsLc),
            Pair::Constant => None,
        }
    }
}

impl Signer for Pair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        let signature = match self {
            Pair::Constant => return Ok(vec![0x5a; 64]),
            Pair::Ours(pair) => pair.sign_bulk(message),
            Pair::Single(pair) => pair.sign(message),
        };
        signature.map_err(|error| SignerError(error.to_string()))
    }
}

/// Reads the arguments, signs, and reports.
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, origin, denial, kind, threads, rest @ ..] = arguments.as_slice() else {
        return Err("usage: sign FILE ORIGIN nsec|nsec3|opt-out ours|single|ed25519|constant THREADS [OUT]".into());
    };
    let denial = match denial.as_str() {
        "nsec" => Denial::Nsec,
        "nsec3" => Denial::Nsec3 { opt_out: false },
        "opt-out" => Denial::Nsec3 { opt_out: true },
        _ => return Err("the denial is nsec, nsec3 or opt-out".into()),
    };
    let jobs: NonZeroUsize = threads.parse()?;
    let mut out = io::stdout().lock();
    let begun = Instant::now();
    let origin: Name = origin.parse()?;
    let source = ZoneSource { path: file.into(), origin: Some(origin) };
    let zone = read_zone(&source, &ReadOptions::default())?;
    figure(&mut out, "read_s", begun)?;
    let pair = Pair::new(kind)?;
    let announced = pair.dnskey();
    let (dnskey, tag, algorithm) = (announced.rdata(), announced.tag(), announced.algorithm);
    let (signs_keys, signs_zone) = (true, true);
    let keys = [Key { dnskey: &dnskey, is_announced: true, tag, algorithm, signs_keys, signs_zone, signer: &pair }];
    let entries = [&dnskey[..]];
    let now_unix_secs = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let times = Times {
        now_unix_secs,
        validity_secs: 21 * DAY_SECS,
        jitter_secs: 3 * DAY_SECS,
        inception_back_secs: 3 * 3600,
        refresh_secs: 14 * DAY_SECS,
    };
    let announce = Announce::Keys(&entries);
    let plan = Plan { keys: &keys, extra_dnskeys: &[], announce, denial, times, keys_ttl_secs: 3600, zonemd: false };
    let begun = Instant::now();
    let signed = sign(&zone, &plan, &(), jobs)?;
    figure(&mut out, "sign_s", begun)?;
    writeln!(out, "signatures {}", signed.made)?;
    drop(zone);
    if let [path] = rest {
        let begun = Instant::now();
        write(&signed.zone, Path::new(path))?;
        figure(&mut out, "write_s", begun)?;
    }
    if let Some(verifier) = pair.verifier() {
        let (at_unix_secs, remaining_secs_min) = (now_unix_secs, REMAINING_SECS_MIN);
        let gate =
            Gate { at_unix_secs, remaining_secs_min, keys: &entries, unannounced: &[], has_ns: true, verifier, jobs };
        let begun = Instant::now();
        let passed = gate.pass(&signed.zone)?;
        figure(&mut out, "gate_s", begun)?;
        let begun = Instant::now();
        let again = gate.pass_since(&signed.zone, &Before::new(&signed.zone, signed.zone.apex()))?;
        figure(&mut out, "gate_again_s", begun)?;
        // The second time nothing has to be verified.
        if again != (Passed { signature_count: 0, ..passed }) {
            return Err("the gate does not judge alike".into());
        }
    }
    let begun = Instant::now();
    let pack = PackFile::encode(vec![Segment::build(&signed.zone)?])?;
    figure(&mut out, "build_s", begun)?;
    writeln!(out, "pack_bytes {}", pack.bytes.len())?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    writeln!(out, "peak_kb {}", peak.trim().trim_end_matches(" kB"))?;
    Ok(())
}

/// Writes how many seconds have passed.
fn figure(out: &mut impl Write, name: &str, begun: Instant) -> io::Result<()> {
    writeln!(out, "{name} {:.3}", begun.elapsed().as_secs_f64())
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
