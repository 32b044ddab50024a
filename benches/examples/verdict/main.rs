//! Reads the records of `perf/versus` from stdin: `verdict JSON SVG` writes both files and prints the table, `verdict`
//! alone only prints. Ends with 1 if a goal is missed.

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use benches::verdict::Verdict;

/// Reads the arguments and records, and writes.
fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let verdict = Verdict::read(io::stdin().lock())?;
    match arguments.as_slice() {
        [] => {}
        [json, svg] => {
            fs::write(json, format!("{:#}\n", verdict.json()))?;
            fs::write(svg, verdict.chart())?;
        }
        _ => {
            writeln!(io::stderr(), "usage: verdict [JSON SVG]")?;
            return Ok(ExitCode::from(2));
        }
    }
    write!(io::stdout(), "{}", verdict.table())?;
    Ok(if verdict.is_reached() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
