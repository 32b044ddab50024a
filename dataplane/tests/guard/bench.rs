//! Zones in memory, and a responder with a guard that is asked at times of its own.

use std::io::{Seek, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dataplane::answer::{CookiePolicy, Cookies, Secret, Settings};
use dataplane::guard::{self, Lost};
use dataplane::packet::{Outcome, Packet, Restraint, Transport};
use dataplane::responder::{Answer, Responder};
use snapshot::dns::name::Name;
use snapshot::image::{Generation, Pack, PackFile, Segment, View};

use crate::common;
use crate::packets::{name, query};

/// Bytes of a buffer, as the engines have it.
pub(crate) const BUF_LEN: usize = 2048;
/// The content of every zone.
const ZONE: &str = "\
@ 3600 SOA ns host 1 7200 900 604800 300
@ 3600 NS ns
@ 3600 TXT \"a text that is long enough to be worth being reflected, over and over again, to somebody else\"
@ 3600 TXT \"another one of some length, so that the answer is many times as long as the question about it\"
ns 3600 A 192.0.2.53
www 3600 A 192.0.2.1
mail 3600 MX 10 www
*.wild 3600 TXT \"grey\"
cut 3600 NS ns.cut
ns.cut 3600 A 192.0.2.5
";

/// What became of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Its outcome.
    pub(crate) outcome: Outcome,
    /// Why it has no answer, if it is sent none.
    pub(crate) restraint: Option<Restraint>,
    /// The reply; empty if there is none.
    pub(crate) reply: Vec<u8>,
}

impl Fate {
    /// Whether it was answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.restraint.is_none() && !self.reply.is_empty()
    }
}

/// A responder and what it answers from.
pub(crate) struct Bench {
    /// `example.test.`, `other.test.` and a hundred zones more, all with the same content.
    view: Arc<View>,
    /// What answers.
    responder: Responder,
    /// The buffers of a turn.
    bufs: Vec<Vec<u8>>,
}

impl Bench {
    /// A responder with a guard.
    pub(crate) fn new(guard: guard::Settings) -> Bench {
        let apexes = (0..100).map(|number| format!("zone{number}.test."));
        let segments = ["example.test.".to_owned(), "other.test.".to_owned()]
            .into_iter()
            .chain(apexes)
            .map(|apex| {
                let apex: Name = apex.parse().unwrap();
                Segment::build(&common::zone(&apex, ZONE).unwrap()).unwrap()
            })
            .collect();
        let pack = PackFile::encode(segments).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&pack.bytes).unwrap();
        file.rewind().unwrap();
        let pack = Pack::load(&file, pack.digest).unwrap();
        let view = Arc::new(View::assemble(Generation(1), vec![Arc::new(pack)]).unwrap());
        let cookies = Cookies::new(CookiePolicy::Answer, vec![Secret([7; 16])]);
        let settings = Settings { cookies, ..Settings::default() };
        Bench { view, responder: Responder::guarded(settings, guard), bufs: vec![vec![0; BUF_LEN]; 64] }
    }

    /// Has a turn's queries answered at a time in nanoseconds.
    pub(crate) fn turn(&mut self, transport: Transport, at_ns: u64, queries: &[(IpAddr, Vec<u8>)]) -> Vec<Fate> {
        let mut packets: Vec<_> = self
            .bufs
            .iter_mut()
            .zip(queries)
            .map(|(buf, (client, query))| {
                buf[..query.len()].copy_from_slice(query);
                Packet::new(buf, query.len(), *client)
            })
            .collect();
        assert_eq!(packets.len(), queries.len(), "a turn is no longer than this");
        self.responder.answer_at(&self.view, transport, Duration::from_nanos(at_ns), &mut packets);
        packets
            .iter()
            .map(|packet| Fate {
                outcome: packet.outcome,
                restraint: packet.notes.restraint,
                reply: packet.buf[..packet.reply_len()].to_vec(),
            })
            .collect()
    }

    /// Tells the guard how many datagrams the rings have lost.
    pub(crate) fn lose(&mut self, rings: u64) {
        self.responder.lose(Lost { queues: 0, rings });
    }

    /// Asks one question over UDP.
    pub(crate) fn ask(&mut self, at_ns: u64, client: &str, query: &[u8]) -> Fate {
        self.turn(Transport::Udp, at_ns, &[(client.parse().unwrap(), query.to_vec())]).remove(0)
    }
}

/// A query of class IN for a name in presentation format.
pub(crate) fn question(qname: &str, qtype: u16) -> Vec<u8> {
    query(&name(qname), qtype, 1)
}

/// Appends an OPT record with one option.
pub(crate) fn with_option(mut message: Vec<u8>, code: u16, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap();
    message.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0]);
    message.extend_from_slice(&(len + 4).to_be_bytes());
    message.extend_from_slice(&code.to_be_bytes());
    message.extend_from_slice(&len.to_be_bytes());
    message.extend_from_slice(content);
    message[11] += 1;
    message
}

/// The cookie in a reply whose OPT is its last record and has no other option.
pub(crate) fn cookie(reply: &[u8]) -> Option<&[u8]> {
    let at = reply.windows(4).rposition(|window| window == [0, 10, 0, 24])?;
    (at + 28 == reply.len()).then(|| &reply[at + 4..])
}
