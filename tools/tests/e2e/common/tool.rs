//! Runs `dnsctl` to its end, with a time limit.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program under test.
pub(crate) const DNSCTL: &str = env!("CARGO_BIN_EXE_dnsctl");
/// Seconds that one run may take; `timeout(1)` ends it with code 124 then.
const SECONDS_MAX: &str = "60";

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; 124 if it took too long.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

/// Runs `dnsctl` with these words.
pub(crate) fn dnsctl<W: AsRef<OsStr>>(words: &[W]) -> Ended {
    run(Command::new("timeout").args(["-k", "1", SECONDS_MAX, DNSCTL]).args(words))
}

/// Runs `dnsctl` with these words, which must succeed and print one JSON document.
pub(crate) fn document<W: AsRef<OsStr>>(words: &[W]) -> serde_json::Value {
    let ended = dnsctl(words);
    assert_eq!(ended.code, 0, "{ended:?}");
    serde_json::from_str(&ended.out).unwrap()
}

/// Compiles zone files into `dir`, which must succeed.
pub(crate) fn compile(dir: &Path, files: &[&Path]) -> serde_json::Value {
    let words = ["compile".as_ref(), "--json".as_ref(), "--out".as_ref(), dir.as_os_str()];
    document(&[&words[..], &files.iter().map(|file| file.as_os_str()).collect::<Vec<_>>()].concat())
}

/// Runs any command to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}
