//! Questions, and whoever asks them without end.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use snapshot::dns::class::Class;
use snapshot::dns::message::{Edns, Flags, Message, Query, Rcode};
use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;

use super::lab::UNBOUND;

/// How long an answer is waited for: Unbound asks again itself.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

/// Time between two rounds: a hundred in a second see every step, and leave the machine to those that take them.
const PAUSE: Duration = Duration::from_millis(10);

/// What whoever asks without end has seen.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How many answers.
    pub(crate) asked: usize,
    /// Those that were not as they must be.
    pub(crate) wrong: Vec<String>,
}

/// Asks a server at port 53; `None` if it does not answer.
pub(crate) fn ask(server: &str, qname: &str, qtype: Rtype) -> Option<Message> {
    let addr: SocketAddr = format!("{server}:53").parse().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(addr).unwrap();
    socket.set_read_timeout(Some(ANSWER_TIME_MAX)).unwrap();
    let qname = Name::parse(format!("{qname}.").as_bytes(), None).unwrap();
    // AD asks whether the answer is secure (RFC 6840 section 5.7).
    let flags = Flags::RD | Flags::AD;
    let edns = Some(Edns { payload_len: 4096, rcode_high: 0, version: 0, flags: 0, options: Vec::new() });
    let query = Query { id: 7, flags, qname: qname.as_ref(), qtype, qclass: Class::IN, edns };
    socket.send(&query.to_wire().unwrap()).ok()?;
    let mut buf = [0; 4096];
    let len = socket.recv(&mut buf).ok()?;
    Message::from_wire(&buf[..len]).ok()
}

/// The RDATA of an answer's records of a type.
pub(crate) fn rdatas(answer: &Message, rtype: Rtype) -> Vec<Vec<u8>> {
    answer.answers.iter().filter(|rr| rr.rtype == rtype).map(|rr| rr.rdata.clone()).collect()
}

/// Asks Unbound for names of these domains, with and without data, until told to stop. All answers must be secure.
pub(crate) fn watch(domains: &[&str], stop: &Receiver<()>) -> Report {
    let begin = Instant::now();
    let mut report = Report::default();
    while stop.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        let round = report.asked;
        for domain in domains {
            let questions = [
                (format!("www.{domain}"), Rtype::A, Rcode::NOERROR),
                (domain.to_string(), Rtype::SOA, Rcode::NOERROR),
                (domain.to_string(), Rtype::DNSKEY, Rcode::NOERROR),
                (format!("n{round}.{domain}"), Rtype::A, Rcode::NXDOMAIN),
                (format!("no.{domain}"), Rtype::A, Rcode::NXDOMAIN),
                (format!("www.{domain}"), Rtype::TXT, Rcode::NOERROR),
                (format!("n{round}.wild.{domain}"), Rtype::TXT, Rcode::NOERROR),
                (format!("b.deep.{domain}"), Rtype::A, Rcode::NOERROR),
            ];
            for (qname, qtype, rcode) in questions {
                report.asked += 1;
                let secs = begin.elapsed().as_secs_f64();
                match ask(UNBOUND, &qname, qtype) {
                    None => report.wrong.push(format!("{secs:.1} s: {qname} {qtype}: no answer")),
                    Some(answer) => {
                        let is_secure = answer.header.flags.contains(Flags::AD);
                        if answer.rcode() != rcode || !is_secure {
                            let found = answer.rcode();
                            report.wrong.push(format!("{secs:.1} s: {qname} {qtype}: {found:?}, secure: {is_secure}"));
                        }
                    }
                }
            }
        }
    }
    report
}
