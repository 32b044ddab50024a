//! Writes what `perf/versus` has servers answer: `data zone OWNERS` and `data questions one|many COUNT QUESTIONS` to
//! stdout, `data zones COUNT DIR` into a folder.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use benches::data::{Zones, write_questions, write_zones};
use benches::write_zone;

/// Reads the arguments and writes.
fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u32>().map_err(io::Error::other);
    let mut out = BufWriter::new(io::stdout().lock());
    match arguments[..] {
        ["zone", owners] => write_zone(number(owners)?, &mut out)?,
        ["questions", "one", owners, count] => {
            write_questions(Zones::One(number(owners)?), number(count)?, &mut out)?;
        }
        ["questions", "many", zones, count] => {
            write_questions(Zones::Many(number(zones)?), number(count)?, &mut out)?;
        }
        ["zones", count, dir] => write_zones(number(count)?, Path::new(dir))?,
        _ => {
            writeln!(io::stderr(), "usage: data zone OWNERS | questions one|many COUNT QUESTIONS | zones COUNT DIR")?;
            std::process::exit(2)
        }
    }
    out.flush()
}
