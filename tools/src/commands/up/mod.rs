//! `dnsctl up`: both processes on this machine, with a zone to answer, for a first try.
//!
//! It is a starter, not a supervisor: when a child ends, everything ends. Invariants: nothing is started before it is
//! known that the ports are free and the zones compile and pass the gates; no child outlives `up` (see `child`); the directory keeps what
//! it holds unless zones are given, and the domains of its database even then.

mod banner;
pub(crate) mod child;
mod children;
mod events;

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use controlplane::source::ZoneSource;
use controlplane::store::Store;
use snapshot::dns::name::Name;
use snapshot::handover::frames::Status;

use super::backup::STATE;
use super::compile::{Order, publish};
use super::{gate, load, open_directory};
use crate::args;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Format, Output};
use banner::Banner;
use children::Children;
use events::{Event, Events};

/// The directory when none is given.
const DIR_DEFAULT: &str = "petrel-data";
/// The zone of a new directory.
const SAMPLE: &str = include_str!("sample.zone");
/// The file it is written to, so that it can be changed and compiled again.
const SAMPLE_FILE: &str = "example.test.zone";
/// How long both processes may take to be ready; loading millions of names takes seconds.
const READY_TIME_MAX: Duration = Duration::from_secs(60);
/// How long one question to the data plane may take.
const ASK_TIME_MAX: Duration = Duration::from_millis(500);
/// The pause between two questions whether the data plane is ready; events cut it short.
const ASK_PAUSE: Duration = Duration::from_millis(20);

/// Runs the command until it is told to stop or a child ends.
///
/// # Errors
/// [`Failure::Input`] for bad zones, [`Failure::Unable`] for taken ports and the like, [`Failure::Ended`] if a child ended
/// by itself.
pub(crate) fn run(args: &args::Up, global: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let dir = global.unwrap_or(Path::new(DIR_DEFAULT));
    let control = dir.join("control");
    refuse_second(&control)?;
    probe(args)?;
    let zone_file = prepare(args, dir, output)?;
    let question = question(dir, output)?;
    let events = Events::catch()?;
    let mut children = Children::default();
    let started = start(args, dir, &control, &mut children, &events);
    let ended = match started {
        Ok(Some(started)) => {
            let banner = Banner {
                directory: dir.display().to_string(),
                generation: started.status.generation.unwrap_or_default(),
                zones: started.status.zones,
                dns: address(&started.status, args.dns),
                api: started.api,
                dataplane_pid: started.status.pid,
                controlplane_pid: started.controlplane_pid,
                control: control.display().to_string(),
                program: banner::program(),
                question,
                zone_file,
            };
            output.report(&banner).and_then(|()| wait(&mut children, &events))
        }
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    children.stop(&events);
    if ended.is_ok() && output.format == Format::Text {
        output.note("stopped");
    }
    ended
}

/// Refuses to start beside a data plane that already serves the directory: it would be taken over.
fn refuse_second(control: &Path) -> Result<(), Failure> {
    match Client::connect(control, ASK_TIME_MAX).and_then(|mut client| client.status()) {
        Ok(Status { pid, .. }) => {
            let path = control.display();
            Err(Failure::Unable(format!("a data plane (pid {pid}) already answers on {path}: stop it first")))
        }
        Err(_) => Ok(()),
    }
}

/// Finds out early whether the ports can be had, because the message is better here than from a child.
fn probe(args: &args::Up) -> Result<(), Failure> {
    let refuse = |what: &str, addr: SocketAddr, option: &str, cause: &io::Error| {
        let why = match cause.kind() {
            io::ErrorKind::AddrInUse => "another process has it".to_owned(),
            io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege".to_owned(),
            io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
            _ => cause.to_string(),
        };
        let remedy = format!("give another with {option} ADDR (port 0 takes a free one)");
        Failure::Unable(format!("cannot listen on {addr} for {what}: {why}; {remedy}"))
    };
    UdpSocket::bind(args.dns).map_err(|cause| refuse("DNS over UDP", args.dns, "--dns", &cause))?;
    TcpListener::bind(args.dns).map_err(|cause| refuse("DNS over TCP", args.dns, "--dns", &cause))?;
    TcpListener::bind(args.api).map_err(|cause| refuse("HTTP", args.api, "--api", &cause))?;
    Ok(())
}

/// Makes the directory hold a generation: the zones given, what it holds, or the sample. Returns a zone file that can
/// be changed.
fn prepare(args: &args::Up, dir: &Path, output: &mut Output<'_>) -> Result<Option<PathBuf>, Failure> {
    let sample = dir.join(SAMPLE_FILE);
    let paths = if args.zones.is_empty() {
        if holds_generation(dir)? {
            return Ok(Some(sample).filter(|path| path.is_file()));
        }
        write_sample(&sample)?;
        vec![sample]
    } else {
        args.zones.clone()
    };
    let sources = paths.iter().map(|path| ZoneSource { path: path.clone(), origin: None }).collect();
    let force = gate::force_of(&args.force)?;
    let stay = Some(domains(dir)?);
    let report = publish(&Order { force, stay, ..Order::of(dir, sources, "dnsctl up") }, output)?;
    if let Some(refusal) = report.refusal() {
        return Err(refusal);
    }
    if output.format == Format::Text {
        output.note(report.to_string().trim_end());
    }
    Ok(paths.into_iter().next())
}

/// The domains of the database that the control plane of this directory has had, if it has: they stay in service whatever
/// zone files are given.
fn domains(dir: &Path) -> Result<HashSet<Name>, Failure> {
    let state = dir.join(STATE);
    if !state.is_dir() {
        return Ok(HashSet::new());
    }
    let names = Store::open(&state).and_then(|store| store.read(|reader| reader.domain_names()));
    let names = names.map_err(|cause| Failure::Unable(snapshot::handover::explain(&cause)))?;
    // One that is no name is no zone in service either.
    Ok(names.iter().filter_map(|name| format!("{name}.").parse().ok()).collect())
}

/// Whether a directory is there and holds something to serve.
fn holds_generation(dir: &Path) -> Result<bool, Failure> {
    if !dir.exists() {
        return Ok(false);
    }
    let current = open_directory(dir)?.current();
    current.map(|found| found.is_some()).map_err(|cause| Failure::Input(snapshot::handover::explain(&cause)))
}

/// Writes the sample zone; a file that is there already is the user's.
fn write_sample(path: &Path) -> Result<(), Failure> {
    use std::io::Write;
    let unable =
        |cause: &dyn std::error::Error, what: &Path| Failure::Unable(format!("writing {}: {cause}", what.display()));
    if let Some(dir) = path.parent() {
        snapshot::handover::Directory::create(dir).map_err(|cause| unable(&cause, dir))?;
    }
    match std::fs::File::create_new(path) {
        Ok(mut file) => file.write_all(SAMPLE.as_bytes()).map_err(|cause| unable(&cause, path)),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(cause) => Err(unable(&cause, path)),
    }
}

/// A question that has an answer: the sample's alias, or the SOA of the first zone.
fn question(dir: &Path, output: &mut Output<'_>) -> Result<String, Failure> {
    let view = load(dir, output)?;
    let zones = view.zones();
    let sample = zones.iter().any(|facts| facts.apex.to_string() == "example.test.");
    Ok(match zones.first() {
        _ if sample => "www.example.test. A".to_owned(),
        Some(facts) => format!("{} SOA", facts.apex),
        None => ". SOA".to_owned(),
    })
}

/// Both processes, ready.
struct Started {
    /// The status of the data plane.
    status: Status,
    /// Where HTTP is answered.
    api: String,
    /// Process id of the control plane.
    controlplane_pid: u32,
}

/// Starts both processes and waits until they are ready; `None` if we are told to stop before.
fn start(
    args: &args::Up,
    dir: &Path,
    control: &Path,
    children: &mut Children,
    events: &Events,
) -> Result<Option<Started>, Failure> {
    let words = |pairs: &[(&str, OsString)]| -> Vec<OsString> {
        pairs.iter().flat_map(|(option, value)| [OsString::from(option), value.clone()]).collect()
    };
    let (dir, control_word) = (dir.as_os_str().to_owned(), control.as_os_str().to_owned());
    let addr = |addr: SocketAddr| OsString::from(addr.to_string());
    let mut dataplane =
        words(&[("--snapshots", dir.clone()), ("--listen", addr(args.dns)), ("--control", control_word.clone())]);
    dataplane.extend(args.ecs.iter().flat_map(|prefix| words(&[("--ecs", prefix.into())])));
    let (dataplane_pid, _) = children.start("data plane", "__dataplane", &dataplane)?;
    let status = ready("data plane", children, events, |_| serving(control, dataplane_pid))?;
    let Some(status) = status else { return Ok(None) };
    // The control plane comes second, so that it finds the data plane at its first look and says ready at once.
    let mut controlplane = words(&[("--snapshots", dir), ("--api", addr(args.api)), ("--dataplane", control_word)]);
    controlplane.extend(words(&[("--dnssec", args.dnssec.clone().into())]));
    controlplane.extend(args.geoip.iter().flat_map(|file| words(&[("--geoip", file.into())])));
    let (controlplane_pid, output) = children.start("control plane", "__controlplane", &controlplane)?;
    if let Some(output) = output {
        events.watch_ready(output)?;
    }
    let api = ready("control plane", children, events, |event| match event {
        Some(Event::ApiReady(addr)) => Some(addr),
        _ => None,
    })?;
    Ok(api.map(|api| Started { status, api, controlplane_pid }))
}

/// Waits until `found` finds that the child `who` is ready; it gets each event and is asked again after a pause. `None`
/// if we are told to stop before.
fn ready<T>(
    who: &str,
    children: &mut Children,
    events: &Events,
    mut found: impl FnMut(Option<Event>) -> Option<T>,
) -> Result<Option<T>, Failure> {
    let deadline = Instant::now() + READY_TIME_MAX;
    while Instant::now() < deadline {
        let event = events.next_within(ASK_PAUSE);
        if event == Some(Event::Stop) {
            return Ok(None);
        }
        if let Some((name, how)) = children.ended() {
            return Err(Failure::Ended(format!("the {name} ended {how} before it was ready; its log above says why")));
        }
        if let Some(ready) = found(event) {
            return Ok(Some(ready));
        }
    }
    Err(Failure::Unable(format!("the {who} was not ready within {} s", READY_TIME_MAX.as_secs())))
}

/// The status of our data plane, once it serves a generation.
fn serving(control: &Path, pid: u32) -> Option<Status> {
    let status = Client::connect(control, ASK_TIME_MAX).and_then(|mut client| client.status()).ok()?;
    (status.pid == pid && status.generation.is_some()).then_some(status)
}

/// The address the data plane says it answers on: the port differs from what was asked for if that was 0.
fn address(status: &Status, asked: SocketAddr) -> SocketAddr {
    status.listen.iter().find_map(|addr| addr.parse().ok()).unwrap_or(asked)
}

/// Waits until we are told to stop, or a child ends.
fn wait(children: &mut Children, events: &Events) -> Result<(), Failure> {
    loop {
        match events.next() {
            Event::Stop => return Ok(()),
            Event::Child | Event::ApiReady(_) => {}
        }
        if let Some((name, how)) = children.ended() {
            // Ctrl-C reaches the children too, and they may be faster than our own signal.
            return match events.next_within(ASK_PAUSE) {
                Some(Event::Stop) => Ok(()),
                _ => Err(Failure::Ended(format!("the {name} ended {how}; everything is stopped"))),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arguments with these addresses.
    fn args(dns: SocketAddr, api: SocketAddr) -> args::Up {
        args::Up {
            zones: vec![],
            dns,
            api,
            geoip: None,
            ecs: vec![],
            dnssec: "nsec".to_owned(),
            force: args::Force::default(),
        }
    }

    #[test]
    fn a_taken_port_is_named_with_its_remedy() {
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let udp = UdpSocket::bind(free).unwrap();
        let tcp = TcpListener::bind(free).unwrap();
        let (udp_addr, tcp_addr) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
        for (args, expected) in [
            (args(udp_addr, free), format!("cannot listen on {udp_addr} for DNS over UDP: another process has it")),
            (args(tcp_addr, free), format!("cannot listen on {tcp_addr} for DNS over TCP: another process has it")),
            (args(free, tcp_addr), format!("cannot listen on {tcp_addr} for HTTP: another process has it")),
        ] {
            let failure = probe(&args);
            assert!(matches!(&failure, Err(Failure::Unable(text)) if text.starts_with(&expected)), "{failure:?}");
        }
    }

    #[test]
    fn the_sample_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new").join(SAMPLE_FILE);
        write_sample(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), SAMPLE);
        std::fs::write(&path, "mine").unwrap();
        write_sample(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn the_address_is_the_one_the_data_plane_tells() {
        let asked = "127.0.0.1:0".parse().unwrap();
        let status = crate::client::tests::status();
        assert_eq!(address(&status, asked), "127.0.0.1:5300".parse::<std::net::SocketAddr>().unwrap());
        assert_eq!(address(&Status { listen: vec!["?".into()], ..status }, asked), asked);
    }
}
