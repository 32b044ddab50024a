//! What a reply says in EDNS(0) options: cookie, NSID, idle timeout, zone version, subnet of the client, and why there is no
//! answer.
//!
//! Options that were asked for are decided before the body of the reply, so that their room is kept and truncation never
//! costs them; the extended error comes last, into the room that is left. Queries without options do not come here, unless
//! they are refused or fail. RFC 5001, RFC 7828, RFC 7871, RFC 7873, RFC 8914, RFC 9660.

use snapshot::dns::class::Class;
use snapshot::dns::rtype::Rtype;
use snapshot::image::View;

use super::cookie::{COOKIE_LEN, Standing};
use super::subnet::Subnet;
use super::{Context, CookiePolicy, Lane, chaos};
use crate::packet::{Packet, Transport};
use crate::wire::options::{COOKIE, EDE, KEEPALIVE, NSID, OPTION_HEAD, SUBNET, Wish, ZONEVERSION};
use crate::wire::{Parsed, Query, Rcode, Writer};

/// The longest NSID in octets: the question, all other options and an extended error leave that much of 512 bytes.
pub const NSID_LEN_MAX: usize = 128;
/// SOA-SERIAL, the only type of zone versions (RFC 9660 section 2.1).
const SOA_SERIAL: u8 = 0;
/// Octets of a zone version: labels, type, serial.
const ZONE_VERSION_LEN: usize = 6;
/// The fields of a SOA from the serial on (RFC 1035 section 3.3.13).
const SOA_TAIL_LEN: usize = 20;

/// The options of a reply that its query asked for.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// Client and server cookie.
    cookie: Option<[u8; COOKIE_LEN]>,
    /// Whether the query's server cookie was ours and in time.
    proves: bool,
    /// Whether the name server identifier is sent.
    nsid: bool,
    /// The idle timeout in units of 100 ms.
    keepalive: Option<u16>,
    /// Labels of the zone, type and serial.
    zone_version: Option<[u8; ZONE_VERSION_LEN]>,
    /// The subnet of the client, from a resolver whose word is taken.
    subnet: Option<Subnet>,
    /// Whether that was malformed.
    is_malformed: bool,
}

/// Decides what is sent, and the response code if the cookie does; returns the octets that the options will take.
#[cold]
pub(super) fn grant(
    context: &Context<'_>,
    packet: &Packet<'_>,
    lane: &Lane,
    query: &Query,
    fixed: &mut Option<Rcode>,
    extras: &mut Extras,
) -> usize {
    *extras = Extras::default();
    let message = packet.buf.get(..packet.query_len).unwrap_or_default();
    let options = query.options(message);
    let settings = context.settings;
    if let Some(cookie) = options.cookie(message)
        && let Some(judged) = settings.cookies.judge(cookie, packet.client, context.arrival.now_secs)
    {
        extras.cookie = Some(judged.reply);
        extras.proves = judged.standing == Standing::Known;
        let required =
            settings.cookies.policy() == CookiePolicy::Require && context.arrival.transport == Transport::Udp;
        match (lane.parsed, judged.standing) {
            // What asks nothing but this is told in any case (RFC 7873 section 5.4).
            (Parsed::Bare(_), Standing::Wrong) => *fixed = Some(Rcode::BadCookie),
            (Parsed::Bare(_), Standing::New | Standing::Known) => *fixed = Some(Rcode::NoError),
            (Parsed::Query(_), Standing::New | Standing::Wrong) if required => *fixed = Some(Rcode::BadCookie),
            _ => {}
        }
    }
    extras.nsid = options.has(Wish::Nsid) && settings.nsid.is_some();
    if options.has(Wish::Keepalive) && context.arrival.transport == Transport::Tcp {
        extras.keepalive = settings.tcp_idle.map(|idle| u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX));
    }
    if let Some(subnet) = options.subnet(message)
        && settings.subnets.trust(packet.client)
    {
        extras.subnet = Subnet::read(subnet).ok();
        extras.is_malformed = extras.subnet.is_none();
        if extras.is_malformed && fixed.is_none() {
            *fixed = Some(Rcode::FormErr);
        }
    }
    if options.has(Wish::ZoneVersion) && fixed.is_none() {
        extras.zone_version = zone_version(context.view, lane);
    }
    extras.len(settings.nsid.as_deref())
}

/// The version of the zone that a query falls into.
fn zone_version(view: &View, lane: &Lane) -> Option<[u8; ZONE_VERSION_LEN]> {
    let Parsed::Query(Query { qclass: Class::IN, .. }) = lane.parsed else { return None };
    let zone = view.get(lane.zone?.0)?;
    let [s0, s1, s2, s3, ..] = *zone.soa()?.records.last_chunk::<SOA_TAIL_LEN>()?;
    Some([u8::try_from(zone.apex_labels()).ok()?, SOA_SERIAL, s0, s1, s2, s3])
}

impl Extras {
    /// Whether the client has proved its address.
    pub(super) fn proves(&self) -> bool {
        self.proves
    }

    /// The subnet of the client, if it is believed.
    pub(super) fn subnet(&self) -> Option<&Subnet> {
        self.subnet.as_ref()
    }

    /// Says for how many bits of the subnet the reply holds.
    pub(super) fn hold_for(&mut self, scope: u8) {
        if let Some(subnet) = &mut self.subnet {
            subnet.set_scope(scope);
        }
    }

    /// Octets that the options take.
    fn len(&self, nsid: Option<&str>) -> usize {
        let option = |content_len: Option<usize>| content_len.map_or(0, |len| OPTION_HEAD + len);
        option(self.cookie.map(|cookie| cookie.len()))
            + option(nsid.filter(|_| self.nsid).map(str::len))
            + option(self.keepalive.map(|_| 2))
            + option(self.zone_version.map(|version| version.len()))
            + option(self.subnet.map(|subnet| subnet.len()))
    }
}

/// Writes what was granted, and why there is no answer, behind a complete body.
#[cold]
pub(super) fn put(context: &Context<'_>, lane: &Lane, rcode: Rcode, extras: &mut Extras, writer: &mut Writer<'_>) {
    let extras = std::mem::take(extras);
    let nsid = context.settings.nsid.as_deref().filter(|_| extras.nsid);
    let timeout = extras.keepalive.map(u16::to_be_bytes);
    // A version says what an answer came from; a refusal comes from no zone (RFC 9660 section 3.2).
    let answered = !matches!(rcode, Rcode::Refused | Rcode::NotImp | Rcode::FormErr);
    let zone_version = extras.zone_version.filter(|_| answered);
    let options = [
        (COOKIE, extras.cookie.as_ref().map(<[u8; COOKIE_LEN]>::as_slice)),
        (NSID, nsid.map(str::as_bytes)),
        (KEEPALIVE, timeout.as_ref().map(<[u8; 2]>::as_slice)),
        (ZONEVERSION, zone_version.as_ref().map(<[u8; ZONE_VERSION_LEN]>::as_slice)),
        (SUBNET, extras.subnet.as_ref().map(Subnet::content)),
    ];
    // Room was kept; were it missing all the same, the reply would be whole without the option.
    for (code, content) in options {
        if let Some(content) = content {
            writer.put_option(code, &[content]);
        }
    }
    let malformed = (extras.is_malformed && rcode == Rcode::FormErr).then_some((0, "malformed option"));
    if let Some((code, text)) = malformed.or_else(|| explain(context, lane, rcode)) {
        writer.put_option(EDE, &[&code.to_be_bytes(), text.as_bytes()]);
    }
}

/// Code and text of the extended error (RFC 8914 section 4) where there is no answer. The texts are for people; they say
/// nothing that the query and the response code do not.
fn explain(context: &Context<'_>, lane: &Lane, rcode: Rcode) -> Option<(u16, &'static str)> {
    let (Parsed::Query(query) | Parsed::Bare(query) | Parsed::Error { query, .. }) = &lane.parsed else { return None };
    let asked = matches!(lane.parsed, Parsed::Query(_));
    match rcode {
        Rcode::Refused if query.qclass == Class::IN && matches!(query.qtype, Rtype::AXFR | Rtype::IXFR) => {
            Some((18, "no zone transfer"))
        }
        Rcode::Refused if query.qclass == Class::IN => Some((20, "no zone for this name")),
        Rcode::Refused if query.qclass == Class::CH && chaos::is_known(&lane.name) => Some((18, "not disclosed")),
        Rcode::Refused => Some((20, "no zone of this class")),
        Rcode::ServFail if context.view.generation().is_none() => Some((14, "no zones loaded yet")),
        Rcode::ServFail => Some((24, "the zone cannot be read")),
        Rcode::NotImp => Some((21, "not implemented")),
        Rcode::FormErr if asked => Some((0, "not a type to ask for")),
        Rcode::FormErr if query.qname_len == 0 => Some((0, "no question")),
        Rcode::FormErr => Some((0, "malformed option")),
        Rcode::NoError | Rcode::NxDomain | Rcode::YxDomain | Rcode::BadVers | Rcode::BadCookie => None,
    }
}
