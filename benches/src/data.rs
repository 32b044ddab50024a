//! What `perf/versus` has servers answer: the questions about the zone of [`crate::zone`] and about a hundred thousand
//! small zones, and those zones as files.
//!
//! Nine of ten questions are about what exists. How often each owner is asked for falls with its rank (Zipf's law with
//! exponent 1), and the types are mixed as resolvers mix them, so part of the nine are NODATA. Every run writes the same.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::{APEX, label};

/// Types and how many of a hundred questions ask for them.
const TYPES: [(&str, u32); 7] = [("A", 60), ("AAAA", 22), ("MX", 6), ("TXT", 5), ("NS", 4), ("HTTPS", 2), ("SOA", 1)];
/// One of so many questions is about a name that does not exist.
const MISS_EVERY: u32 = 10;
/// One of so many owners stands for the names that the wildcard covers.
const WILD_EVERY: u32 = 1000;
/// How many zone files lie in one folder.
const FOLDER_COUNT: u32 = 1000;
/// Where the small zones lie in the tree of names.
const PARENT: &str = "test.";

/// The zones that are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zones {
    /// The one of [`crate::zone`], with so many owners.
    One(u32),
    /// So many of ten RRsets.
    Many(u32),
}

/// Writes `count` questions, a line `QNAME QTYPE` each.
///
/// # Errors
/// Those of `out`.
pub fn write_questions(zones: Zones, count: u32, out: &mut impl Write) -> io::Result<()> {
    let mut random = Random(0x0070_6574_7265_6c00 + u64::from(zones.ranks()));
    let popular = Popular::new(zones.ranks(), &mut random);
    for _ in 0..count {
        let qtype = qtype(random.below(100));
        let is_miss = random.below(MISS_EVERY) == 0;
        let subject = popular.pick(&mut random);
        let qname = match (zones, is_miss) {
            (Zones::One(_), true) => format!("x{:x}q.{APEX}", random.below(1 << 30)),
            (Zones::Many(_), true) => format!("x{:x}q.{}", random.below(1 << 20), origin(subject)),
            (Zones::One(_), false) => existing(subject, &mut random),
            (Zones::Many(_), false) => {
                let owners = ["", "www.", "mail.", "api.", "h1.dyn."];
                let owner = owners[random.below(5) as usize];
                format!("{owner}{}", origin(subject))
            }
        };
        writeln!(out, "{qname} {qtype}")?;
    }
    Ok(())
}

impl Zones {
    /// How many owners, or zones, are asked for more or less often.
    fn ranks(self) -> u32 {
        match self {
            Zones::One(owners) => owners,
            Zones::Many(zones) => zones,
        }
    }
}

/// A name for owner number `i` that has an answer.
fn existing(i: u32, random: &mut Random) -> String {
    match i % 10 {
        _ if i % WILD_EVERY == WILD_EVERY - 1 => format!("h{}.wild.{APEX}", random.below(1 << 20)),
        // These are zone cuts; resolvers ask for what is below.
        7 | 8 => format!("www.{}.{APEX}", label(i)),
        _ => format!("{}.{APEX}", label(i)),
    }
}

/// The type at a place among a hundred.
fn qtype(place: u32) -> &'static str {
    let mut left = place;
    for (qtype, share) in TYPES {
        if left < share {
            return qtype;
        }
        left -= share;
    }
    "A"
}

/// The origin of small zone number `i`.
fn origin(i: u32) -> String {
    format!("z{i:06}.{PARENT}")
}

/// Writes `count` zone files of ten RRsets into folders below `dir`, and their list, `list`: origin, tab, path relative
/// to `dir`.
///
/// # Errors
/// Those of the file system.
pub fn write_zones(count: u32, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let mut list = BufWriter::new(File::create(dir.join("list"))?);
    let mut text = String::new();
    for i in 0..count {
        let folder = format!("{:03}", i / FOLDER_COUNT);
        if i % FOLDER_COUNT == 0 {
            fs::create_dir_all(dir.join(&folder))?;
        }
        text.clear();
        write_small_zone(i, &mut text).map_err(io::Error::other)?;
        let path = format!("{folder}/{}zone", origin(i));
        fs::write(dir.join(&path), &text)?;
        writeln!(list, "{}\t{path}", origin(i))?;
    }
    list.flush()
}

/// The text of small zone number `i`.
fn write_small_zone(i: u32, text: &mut String) -> std::fmt::Result {
    let [_, high, mid, low] = i.to_be_bytes();
    let address = format!("198.{}.{mid}.{low}", 18 + (high & 1));
    writeln!(text, "$ORIGIN {}\n$TTL 3600", origin(i))?;
    writeln!(text, "@ SOA ns1.hosting.example. admin.hosting.example. 2026010101 7200 900 1209600 300")?;
    writeln!(text, "@ NS ns1.hosting.example.\n@ NS ns2.hosting.example.")?;
    writeln!(text, "@ A {address}\n@ AAAA 2001:db8::{:x}:{:x}", i >> 16, i & 0xffff)?;
    writeln!(text, "@ MX 10 mail\n@ TXT \"v=spf1 mx -all\"\nwww CNAME @\nmail A {address}")?;
    writeln!(text, "api A 192.0.2.1\n*.dyn A 192.0.2.2")
}

/// Numbers that look random and are the same in every run (SplitMix64).
struct Random(u64);

impl Random {
    /// The next number.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).unwrap_or(0)
    }

    /// A number between 0 and 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Numbers by popularity.
struct Popular {
    /// The numbers, the most popular first.
    order: Vec<u32>,
    /// The share of each rank and all before it, up to a common factor.
    shares: Vec<f64>,
}

impl Popular {
    /// The numbers below `count`, in a random order of popularity.
    fn new(count: u32, random: &mut Random) -> Popular {
        let mut order: Vec<u32> = (0..count).collect();
        for idx in (1..count).rev() {
            order.swap(idx as usize, random.below(idx + 1) as usize);
        }
        let shares = (1..=count).scan(0.0, |sum, rank| {
            *sum += 1.0 / f64::from(rank);
            Some(*sum)
        });
        Popular { shares: shares.collect(), order }
    }

    /// One of them.
    fn pick(&self, random: &mut Random) -> u32 {
        let at = random.fraction() * self.shares.last().copied().unwrap_or_default();
        let rank = self.shares.partition_point(|share| *share <= at);
        self.order[rank.min(self.order.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// The questions, as lines.
    fn lines(zones: Zones, count: u32) -> Vec<String> {
        let mut text = Vec::new();
        write_questions(zones, count, &mut text).unwrap();
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn questions_are_the_same_in_every_run_and_one_in_ten_misses() {
        for zones in [Zones::One(1000), Zones::Many(1000)] {
            let asked = lines(zones, 10_000);
            assert_eq!(asked, lines(zones, 10_000));
            let misses = asked.iter().filter(|line| line.starts_with('x') && line.contains("q.")).count();
            assert!((800..1200).contains(&misses), "{misses} misses");
            let of_a = asked.iter().filter(|line| line.ends_with(" A")).count();
            assert!((5700..6300).contains(&of_a), "{of_a} of type A");
        }
    }

    #[test]
    fn the_first_rank_is_asked_twice_as_often_as_the_second() {
        let mut counts: HashMap<u32, u32> = HashMap::new();
        let mut random = Random(1);
        let popular = Popular::new(100, &mut random);
        (0..100_000).for_each(|_| *counts.entry(popular.pick(&mut random)).or_default() += 1);
        let of = |rank: usize| f64::from(counts[&popular.order[rank]]);
        assert!((1.8..2.2).contains(&(of(0) / of(1))), "{} and {}", of(0), of(1));
        assert!((8.0..12.0).contains(&(of(0) / of(9))), "{} and {}", of(0), of(9));
    }

    #[test]
    fn small_zones_have_ten_rrsets() {
        let mut text = String::new();
        write_small_zone(70_000, &mut text).unwrap();
        assert!(text.starts_with("$ORIGIN z070000.test.\n"));
        // Two directives; the NS RRset has two records.
        assert_eq!(text.lines().count(), 2 + 10 + 1);
    }
}
