//! Input that is wrong, of every kind an operator meets: each is refused with a reason, and nothing else changes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::common::client::Client;
use super::common::plane::Plane;
use super::common::tool::{DNSCTL, Ended, compile, dnsctl, document, run};
use super::common::versions::{self, RRSET_LEN, version_of};

/// A directory with one generation and the zone file of it.
struct Fixture {
    /// Everything else lies in it.
    scratch: tempfile::TempDir,
    /// The snapshot directory.
    dir: PathBuf,
    /// The zone file.
    zone: PathBuf,
}

impl Fixture {
    /// Compiles version 1 of the zone.
    fn new() -> Fixture {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, zone) = (scratch.path().join("snap"), scratch.path().join("v.test.zone"));
        versions::write(&zone, 1);
        compile(&dir, &[&zone]);
        Fixture { scratch, dir, zone }
    }

    /// A file beside the directory.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.scratch.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Compiles `file` into the directory.
    fn compile(&self, file: &Path) -> Ended {
        dnsctl(&["compile".as_ref(), "--out".as_ref(), self.dir.as_os_str(), file.as_os_str()])
    }

    /// Checks that compiling `file` ends with `code`, says `reason`, and leaves the directory as it was.
    fn check_refused(&self, file: &Path, code: i32, reason: &str) {
        let before = contents(&self.dir);
        let ended = self.compile(file);
        check_ended(&ended, code, reason);
        assert_eq!(ended.out, "");
        assert!(contents(&self.dir) == before, "{} changed after {reason:?}", self.dir.display());
    }

    /// Adds a generation whose file with this prefix has a flipped bit. Each file gets there in one step, as by a copy.
    fn plant(&self, version: u32, broken: &str) {
        let copy = self.scratch.path().join("copy");
        let words = ["-a".as_ref(), self.dir.as_os_str(), copy.as_os_str()];
        assert!(Command::new("cp").args(words).status().unwrap().success());
        let before = contents(&copy);
        versions::write(&self.zone, version);
        compile(&copy, &[&self.zone]);
        let mut files: Vec<_> = contents(&copy).into_iter().filter(|(name, _)| !before.contains_key(name)).collect();
        // What names the others comes last.
        files.sort_by_key(|(name, _)| !name.starts_with("pack-"));
        files.push(("CURRENT".into(), std::fs::read(copy.join("CURRENT")).unwrap()));
        for (name, mut bytes) in files {
            if name.starts_with(broken) {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            std::fs::write(self.dir.join(".new"), bytes).unwrap();
            std::fs::rename(self.dir.join(".new"), self.dir.join(&name)).unwrap();
        }
    }
}

/// The files of a directory but the lock, whose text names the latest writer.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let files = files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    files.filter(|(name, _)| name != "lock").map(|(name, path)| (name, std::fs::read(path).unwrap())).collect()
}

/// Checks an exit code and what standard error says.
fn check_ended(ended: &Ended, code: i32, reason: &str) {
    assert!(ended.code == code && ended.err.contains(reason), "wanted {code} and {reason:?}: {ended:#?}");
}

/// Runs a shell script as root of a private mount namespace; `None` where that is not allowed.
fn in_namespace(script: &str, words: &[&Path]) -> Option<Ended> {
    let enter = |flags: &[&str], script: &str| {
        let mut command = Command::new("unshare");
        command.args(flags).args(["--mount", "--propagation", "private", "sh", "-c", script, DNSCTL]);
        run(command.args(words))
    };
    // Root needs no user namespace; others may be allowed one.
    let flags: &[&[&str]] = &[&[], &["--user", "--map-root-user"]];
    let flags = flags.iter().find(|flags| enter(flags, "mount -t tmpfs none \"$1\"").code == 0)?;
    Some(enter(flags, script))
}

#[test]
fn broken_zone_files_are_refused_with_their_place() {
    let fixture = Fixture::new();
    let head = "$TTL 60\n@ SOA ns mail 1 1 1 1 1\n@ NS ns\nns A 127.0.0.1\n";
    let huge = [b"a TXT ".to_vec(), vec![b'x'; 32 << 20]].concat();
    for (content, reason) in [
        (format!("{head}a A 192.0.2.256\n").into_bytes(), "b.test.zone:5:5: "),
        (format!("{head}a TXT \"open\n").into_bytes(), "b.test.zone:5:7: "),
        (format!("{head}a ( A\n").into_bytes(), "b.test.zone:5:3: "),
        (format!("{head}$INCLUDE /etc/passwd\n").into_bytes(), "b.test.zone:5:10: "),
        (format!("{head}{}. A 127.0.0.1\n", "x".repeat(64)).into_bytes(), "b.test.zone:5:1: "),
        (format!("{head}a CNAME b\na A 127.0.0.1\n").into_bytes(), "b.test.zone:6"),
        (b"a A 127.0.0.1\n".to_vec(), "b.test.zone: "),
        (Vec::new(), "b.test.zone: "),
        (vec![0; 4096], "b.test.zone:1:1: "),
        (huge, "entry is longer than 1048576 octets"),
    ] {
        let file = fixture.file("b.test.zone", content);
        fixture.check_refused(&file, 1, reason);
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let fixture = Fixture::new();
    let path = |name: &str| fixture.scratch.path().join(name);
    std::fs::create_dir(path("d.test.zone")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, path("f.test.zone"), rustix::fs::Mode::RUSR).unwrap();
    for name in ["d.test.zone", "f.test.zone"] {
        fixture.check_refused(&path(name), 1, "not a regular file");
        check_ended(&dnsctl(&["check".as_ref(), path(name).as_os_str()]), 1, "");
    }
    fixture.check_refused(&path("missing.zone"), 1, "No such file");
    std::fs::create_dir(path("none")).unwrap();
    let words = ["compile".as_ref(), "--out".as_ref(), fixture.dir.as_os_str(), "--zones".as_ref()];
    let ended = dnsctl(&[&words[..], &[path("none").as_os_str()]].concat());
    check_ended(&ended, 1, "none has no files NAME.zone");
}

#[test]
fn a_locked_directory_names_its_holder() {
    let fixture = Fixture::new();
    let lock = std::fs::OpenOptions::new().read(true).write(true).open(fixture.dir.join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    lock.set_len(0).unwrap();
    (&lock).write_all(b"pid 7: dns-controlplane\n").unwrap();
    fixture.check_refused(&fixture.zone, 3, "is in use by pid 7: dns-controlplane");
}

#[test]
fn a_read_only_directory_is_left_alone() {
    let fixture = Fixture::new();
    // A bind mount stops root too, whom permissions do not.
    let script =
        "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && exec \"$0\" compile --out \"$1\" \"$2\"";
    let before = contents(&fixture.dir);
    if let Some(ended) = in_namespace(script, &[&fixture.dir, &fixture.zone]) {
        check_ended(&ended, 3, "Read-only file system");
    } else {
        println!("no mount namespaces here: permissions instead");
        std::fs::set_permissions(&fixture.dir, std::fs::Permissions::from_mode(0o500)).unwrap();
        check_ended(&fixture.compile(&fixture.zone), 3, "Permission denied");
    }
    assert!(contents(&fixture.dir) == before);
}

#[test]
fn a_full_disk_leaves_the_directory_as_it_was() {
    let fixture = Fixture::new();
    let big: String = (0..20_000).map(|number| format!("h{number} A 127.0.0.1\n")).collect();
    let head = "$TTL 60\n@ SOA ns mail 1 1 1 1 1\n@ NS ns\nns A 127.0.0.1\n";
    let big = fixture.file("big.test.zone", format!("{head}{big}"));
    let mount = fixture.scratch.path().join("mount");
    std::fs::create_dir(&mount).unwrap();
    let script = "mount -t tmpfs -o size=256k none \"$1\" && \"$0\" compile --out \"$1/s\" \"$2\" >/dev/null && \
                  ls -A \"$1/s\" >\"$4/before\" && ! \"$0\" compile --out \"$1/s\" \"$3\" 2>\"$4/err\" && \
                  ls -A \"$1/s\" >\"$4/after\" && \"$0\" lookup \"$1/s\" a.v.test. A && \
                  \"$0\" compile --out \"$1/s\" \"$2\" >/dev/null";
    let Some(ended) = in_namespace(script, &[&mount, &fixture.zone, &big, fixture.scratch.path()]) else {
        println!("no mount namespaces here: nothing to fill");
        return;
    };
    let text = |name: &str| std::fs::read_to_string(fixture.scratch.path().join(name)).unwrap();
    assert!(ended.code == 0 && ended.out.contains("status: NOERROR"), "{ended:#?}");
    assert!(text("err").contains("No space left on device"), "{}", text("err"));
    assert_eq!(text("before"), text("after"));
}

#[test]
fn a_broken_generation_is_refused_the_old_one_stays_and_the_next_one_heals() {
    // A damaged pointer names a sound file by a wrong digest.
    for (broken, named) in [("pack-", "pack-"), ("manifest-", "manifest-"), ("CURRENT", "digest")] {
        let fixture = Fixture::new();
        let plane = Plane::start(&fixture.dir);
        fixture.plant(2, broken);
        let ended = dnsctl(&["push".as_ref(), fixture.dir.as_os_str()]);
        check_ended(&ended, 1, "the data plane refuses: ");
        let status = plane.status();
        assert_eq!(status["generation"], 1, "{status:#}");
        let reason = status["refused"].as_str().unwrap();
        assert!(reason.contains(named), "{reason:?} does not name {named}");
        assert!(plane.wait_for("refused").contains(named));
        let mut client = Client::new(plane.addr);
        let version = |client: &mut Client| version_of(&client.udp("a.v.test.", "TXT").unwrap(), RRSET_LEN);
        assert_eq!(version(&mut client), Ok(1));
        versions::write(&fixture.zone, 3);
        compile(&fixture.dir, &[&fixture.zone]);
        document(&["push".as_ref(), "--json".as_ref(), fixture.dir.as_os_str()]);
        assert_eq!(version(&mut client), Ok(3));
        assert!(plane.status()["refused"].is_null());
    }
}

#[test]
fn taken_ports_and_wrong_settings_end_a_start_with_the_reason() {
    let fixture = Fixture::new();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let bad_key = fixture.file("bad.toml", "[tcp]\nidle = 1\n");
    let bad_key = bad_key.to_str().unwrap();
    for (words, code, reason) in [
        (vec!["--listen", addr.as_str()], 1, "is in use by another server"),
        (vec!["--listen", "192.0.2.1:0"], 1, "192.0.2.1:0"),
        (vec!["--listen", "localhost"], 2, "`localhost` is no address"),
        (vec!["--config", bad_key], 2, "unknown field `idle`"),
        (vec!["--config", "/nonexistent.toml"], 2, "No such file"),
        (vec!["--fly"], 2, "unexpected argument '--fly'"),
    ] {
        let output = Plane::spawn(&fixture.dir, &words).wait_with_output().unwrap();
        let ended = Ended {
            code: output.status.code().unwrap_or(-1),
            out: String::new(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        check_ended(&ended, code, reason);
    }
}

#[test]
fn wrong_command_lines_are_usage_errors_in_text_and_json() {
    for words in [
        &["fly"][..],
        &["compile", "--fly", "a.zone"],
        &["compile", "a.zone"],
        &["inspect"],
        &["status", "--to"],
        &["lookup", "/nowhere", "a.test.", "NOTYPE"],
        &["lookup", "/nowhere", "a..test."],
        &["compile", "--out", "/nowhere", "--origin", "a.test", "a.zone", "b.zone"],
    ] {
        let text = dnsctl(words);
        assert!(text.code == 2 && text.err.starts_with("error: ") && text.out.is_empty(), "{words:?}: {text:#?}");
        let json = dnsctl(&[words, &["--json"]].concat());
        let failure: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert!(json.code == 2 && failure["error"].is_string() && failure["exit"] == 2, "{words:?}: {json:#?}");
    }
}

#[test]
fn garbage_on_the_control_socket_harms_nobody() {
    let fixture = Fixture::new();
    let plane = Plane::start(&fixture.dir);
    let frame = |body: &[u8]| [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat();
    for bytes in [
        b"GET / HTTP/1.0\r\n\r\n".to_vec(),
        vec![0xff; 4096],
        frame(b""),
        frame(b"{\"ask\":\"fly\"}"),
        frame(b"[[[[[[[["),
        frame(&[b'['; 1 << 16]),
        b"\0\0".to_vec(),
    ] {
        let mut stream = UnixStream::connect(&plane.control).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The plane may hang up before it has read everything.
        stream.write_all(&bytes).ok();
        stream.shutdown(std::net::Shutdown::Write).ok();
        let mut reply = Vec::new();
        match stream.read_to_end(&mut reply) {
            Ok(_) => {}
            Err(cause) => assert_eq!(cause.kind(), std::io::ErrorKind::ConnectionReset, "{cause}"),
        }
        assert_eq!(plane.status()["generation"], 1);
    }
    // One that connects and says nothing does not keep others from being answered.
    let _silent = UnixStream::connect(&plane.control).unwrap();
    let pushed = document(&["push".as_ref(), "--json".as_ref(), fixture.dir.as_os_str()]);
    assert_eq!((&pushed["generation"], &pushed["fresh"]), (&1.into(), &false.into()));
    assert!(Client::new(plane.addr).tcp("v.test.", "SOA").is_ok());
}
