//! DNS behaviour, stated in files: every scenario on every engine and transport.
//!
//! `tests/scenarios/README.md` describes the files. A failure lists all failing steps of all files.

mod common;
mod harness;

use std::fmt::Write as _;
use std::path::Path;

use dataplane::packet::Transport;

use common::Failure;
use harness::inprocess::{self, Batch};
use harness::plane::Plane;
use harness::script::{self, Ask, Over, Script, Step};
use harness::verdict;

/// Both transports.
const TRANSPORTS: [Transport; 2] = [Transport::Udp, Transport::Tcp];

/// Runs `run` on every scenario file with its zones published in a fresh directory, and panics with all failures.
fn every_file(run: impl Fn(&Script, &Path) -> Result<(), Failure>) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .expect("the directory of scenarios is part of the sources")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "scn"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "there are no scenarios");
    let mut failures = String::new();
    for path in paths {
        if let Err(error) = one_file(&path, &run) {
            writeln!(failures, "{}: {error}\n", path.display()).expect("writing to a String cannot fail");
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// Runs `run` on one file.
fn one_file(path: &Path, run: impl Fn(&Script, &Path) -> Result<(), Failure>) -> Result<(), Failure> {
    let script = script::read(path)?;
    let dir = tempfile::tempdir()?;
    common::publish(dir.path(), &script.zones)?;
    run(&script, dir.path())
}

/// The steps of a transport, each with its message; ids are given by position.
fn steps(script: &Script, transport: Transport) -> (Vec<&Step>, Vec<Vec<u8>>) {
    let other = if transport == Transport::Udp { Over::Tcp } else { Over::Udp };
    let steps: Vec<&Step> = script.steps.iter().filter(|step| step.over != other).collect();
    let messages = (0x0100..)
        .zip(&steps)
        .map(|(id, step)| match &step.ask {
            Ask::Query(query) => query.encode(id),
            Ask::Raw(bytes) => bytes.clone(),
        })
        .collect();
    (steps, messages)
}

/// Joins the failures of many steps into one.
fn all(results: impl Iterator<Item = Result<(), Failure>>) -> Result<(), Failure> {
    let failures: Vec<String> = results.filter_map(Result::err).map(|error| error.to_string()).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

/// Answers one file in process.
fn in_process(script: &Script, dir: &Path, batch: Batch) -> Result<(), Failure> {
    let view = common::load(dir)?;
    all(TRANSPORTS.into_iter().map(|transport| {
        let (steps, messages) = steps(script, transport);
        let replies = inprocess::answer(script, &view, transport, batch, &messages);
        verdicts(script, transport, &steps, &messages, &replies)
    }))
}

/// Compares what came for each step with what it expects.
fn verdicts(
    script: &Script,
    transport: Transport,
    steps: &[&Step],
    messages: &[Vec<u8>],
    replies: &[Option<Vec<u8>>],
) -> Result<(), Failure> {
    all(steps
        .iter()
        .zip(messages)
        .zip(replies)
        .map(|((step, sent), came)| verdict::check(step, transport, script.udp_len_max, sent, came.as_deref())))
}

/// Has one file answered by a server with `engine`: over UDP, over TCP, and over one TCP connection at once.
fn on_a_server(script: &Script, dir: &Path, engine: &str) -> Result<(), Failure> {
    let plane = Plane::start(script, dir, engine)?;
    let (udp_steps, udp_messages) = steps(script, Transport::Udp);
    let udp = udp_steps.iter().zip(&udp_messages).map(|(step, sent)| {
        let came = plane.ask_udp(sent).map_err(|error| format!("line {}: {error}", step.line))?;
        verdict::check(step, Transport::Udp, script.udp_len_max, sent, came.as_deref())
    });
    let (tcp_steps, tcp_messages) = steps(script, Transport::Tcp);
    let tcp = tcp_steps.iter().zip(&tcp_messages).map(|(step, sent)| {
        let replies =
            plane.ask_tcp(std::slice::from_ref(sent)).map_err(|error| format!("line {}: {error}", step.line))?;
        if replies.len() > 1 {
            return Err(format!("line {}: two replies to one query", step.line).into());
        }
        verdict::check(step, Transport::Tcp, script.udp_len_max, sent, replies.first().map(Vec::as_slice))
    });
    all([all(udp), all(tcp), pipelined(&plane, script, &tcp_steps, &tcp_messages)].into_iter())
}

/// Writes all queries that are answered to one connection at once (RFC 7766 section 6.2.1.1).
fn pipelined(plane: &Plane, script: &Script, steps: &[&Step], messages: &[Vec<u8>]) -> Result<(), Failure> {
    let pairs: Vec<_> = steps.iter().zip(messages).filter(|(step, _)| step.expected.is_some()).collect();
    let queries: Vec<Vec<u8>> = pairs.iter().map(|(_, message)| (*message).clone()).collect();
    let replies = plane.ask_tcp(&queries)?;
    if replies.len() != queries.len() {
        return Err(format!("{} pipelined queries have {} replies", queries.len(), replies.len()).into());
    }
    all(pairs
        .iter()
        .zip(&replies)
        .map(|((step, sent), came)| verdict::check(step, Transport::Tcp, script.udp_len_max, sent, Some(came))))
}

#[test]
fn scenarios_hold_in_process_one_query_at_a_time() {
    every_file(|script, dir| in_process(script, dir, Batch::One));
}

#[test]
fn scenarios_hold_in_process_as_batches() {
    every_file(|script, dir| in_process(script, dir, Batch::All));
}

#[test]
fn scenarios_hold_on_the_memory_engine() {
    every_file(|script, dir| {
        let (steps, messages) = steps(script, Transport::Udp);
        let replies = inprocess::through_memory(script, &*common::load(dir)?, &messages);
        verdicts(script, Transport::Udp, &steps, &messages, &replies)
    });
}

#[test]
fn scenarios_hold_on_the_uring_engine() {
    every_file(|script, dir| on_a_server(script, dir, "uring"));
}

#[test]
fn scenarios_hold_on_the_socket_engine() {
    every_file(|script, dir| on_a_server(script, dir, "socket"));
}
