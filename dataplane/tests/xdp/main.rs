//! AF_XDP between two network namespaces: the scenarios, what is ours and what is not, and a wire that comes and goes.
//!
//! These tests need root; without it they fail and say so. Whether a query came past the kernel's sockets is read from
//! the kernel's own counter of datagrams.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]

#[expect(dead_code, reason = "shared with the scenarios, which load views")]
#[path = "../common/mod.rs"]
mod common;
#[expect(dead_code, reason = "shared with the scenarios in process and on loopback")]
#[path = "../harness/mod.rs"]
mod harness;
mod lab;
mod life;
mod load;
#[expect(dead_code, reason = "shared with tests on loopback and of ends")]
#[path = "../server/mod.rs"]
mod server;
mod traffic;

use std::path::Path;
use std::process::Command;

use dataplane::packet::Transport;

use harness::plane::Plane;
use harness::script::{self, Ask, Over};
use harness::verdict;
use lab::{End, Lab, SERVER, WIRE};
use server::Server;

/// A zone whose `www` and all of `*.u` have the address 192.0.2.1, and whose `wide` does not fit a frame.
fn zone() -> String {
    let wide: String = (0..12).map(|number| format!("wide 60 IN TXT \"{number:0>250}\"\n")).collect();
    format!(
        "@ 60 IN SOA ns hostmaster 1 7200 900 1209600 300\n@ 60 IN NS ns\nns 60 IN A 192.0.2.53\nwww 60 IN A 192.0.2.1\n\
             *.u 60 IN A 192.0.2.1\n{wide}"
    )
}

/// A directory of snapshots with that zone, and settings.
fn published(settings: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    common::publish(dir.path(), &[("example.test.".parse().unwrap(), zone())]).unwrap();
    std::fs::write(dir.path().join("settings.toml"), settings).unwrap();
    dir
}

/// A server in `lab` that answers on `listen` over the wire, with other arguments besides.
fn start(lab: &Lab, dir: &Path, listen: &str, with: &[&str]) -> Server {
    lab.inside(End::Server, || {
        Server::start(dir, listen, &dir.join("control"), |command: &mut Command| {
            command.arg("--config").arg(dir.join("settings.toml"));
            command.args(["--xdp", WIRE[0]]).args(with);
        })
    })
}

/// Has every scenario answered over UDP on `addr`, past the kernel.
fn check_scenarios(addr: &str) {
    let lab = Lab::new(2);
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut failures = Vec::new();
    for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_none_or(|extension| extension != "scn") {
            continue;
        }
        let script = script::read(&path).unwrap();
        let dir = tempfile::tempdir().unwrap();
        common::publish(dir.path(), &script.zones).unwrap();
        let with = ["--engine", "xdp", "--xdp", WIRE[0]];
        let plane = lab.inside(End::Server, || {
            Plane::start_on(&script, dir.path(), addr.parse().unwrap(), &with).map_err(|error| error.to_string())
        });
        let plane = plane.unwrap();
        let before = lab.kernel_datagrams();
        let mut long = 0;
        for (id, step) in (0x100..).zip(script.steps.iter().filter(|step| step.over != Over::Tcp)) {
            let sent = match &step.ask {
                Ask::Query(query) => query.encode(id),
                Ask::Raw(bytes) => bytes.clone(),
            };
            long += u64::from(sent.len() > 1400);
            let checked = lab.inside(End::Client, || {
                let came = plane.ask_udp(&sent).map_err(|error| error.to_string())?;
                verdict::check(step, Transport::Udp, script.udp_len_max, &sent, came.as_deref())
                    .map_err(|error| error.to_string())
            });
            failures.extend(checked.err().map(|error| format!("{} line {}: {error}", script.name, step.line)));
        }
        assert_eq!(lab.kernel_datagrams() - before, long, "{}: queries came to the kernel", script.name);
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn scenarios_hold_over_ipv4() {
    check_scenarios(SERVER[0]);
}

#[test]
fn scenarios_hold_over_ipv6() {
    check_scenarios(SERVER[1]);
}
