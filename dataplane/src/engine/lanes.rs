//! Where datagrams are answered: a lane for each of a turn, reused from turn to turn and so in the nearest cache.
//!
//! Queries are copied here out of the kernel's buffers, which go back at once; a copy of some fifty bytes costs less than
//! rendering a reply into memory that was last touched a thousand queries ago.

use std::mem::offset_of;

use super::buffers::{CONTROL_LEN, NAME_LEN};

/// Lanes of an engine: a turn's datagrams, and the datagrams that came merged with the last of them.
pub(super) const LANE_COUNT: usize = super::TURN_LEN + MERGED_MAX;
/// Most datagrams that come merged as one (`UDP_MAX_SEGMENTS` of Linux).
pub(super) const MERGED_MAX: usize = 128;
/// Room for a query and its reply: 4096, the largest UDP reply, and slack for vector loads.
pub(super) const PAYLOAD_LEN: usize = 4096 + 144;
/// Bytes from lane to lane: an odd number of cache lines, as in `buffers`.
const STRIDE: usize = 67 * 64;

/// Lanes.
pub(super) struct Lanes {
    /// Queries, and then replies.
    payloads: Vec<u8>,
    /// Who asked, and where.
    envelopes: Vec<Envelope>,
}

/// The peer of a datagram, as bytes that go back to the kernel.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Envelope {
    /// Packet info of the reply, and room for the length of merged replies; aligned as control data must be.
    pub(super) control: [u8; CONTROL_LEN],
    /// The peer's address.
    pub(super) name: [u8; NAME_LEN],
    /// Bytes of `control` that say something.
    pub(super) control_len: u8,
    /// Bytes of `name` that say something.
    pub(super) name_len: u8,
}

/// Raw pointers to a lane.
pub(super) struct Pointers {
    /// [`PAYLOAD_LEN`] bytes.
    pub(super) payload: *mut u8,
    /// The peer's address.
    pub(super) name: *mut u8,
    /// Its bytes.
    pub(super) name_len: u8,
    /// Control data.
    pub(super) control: *mut u8,
    /// Its bytes.
    pub(super) control_len: u8,
}

impl Envelope {
    /// The peer's address.
    pub(super) fn name(&self) -> &[u8] {
        &self.name[..usize::from(self.name_len).min(NAME_LEN)]
    }

    /// The packet info.
    pub(super) fn control(&self) -> &[u8] {
        &self.control[..usize::from(self.control_len).min(CONTROL_LEN)]
    }
}

impl Lanes {
    /// [`LANE_COUNT`] lanes, 0.8 MB of which those of a usual turn are touched.
    pub(super) fn new() -> Lanes {
        let blank = Envelope { control: [0; CONTROL_LEN], name: [0; NAME_LEN], control_len: 0, name_len: 0 };
        Lanes { payloads: vec![0; LANE_COUNT * STRIDE], envelopes: vec![blank; LANE_COUNT] }
    }

    /// The envelope of lane `lane`, and the room of its payload.
    pub(super) fn lane_mut(&mut self, lane: usize) -> Option<(&mut Envelope, &mut [u8])> {
        let payload = self.payloads.get_mut(lane * STRIDE..)?.get_mut(..PAYLOAD_LEN)?;
        Some((self.envelopes.get_mut(lane)?, payload))
    }

    /// The envelope of lane `lane`.
    pub(super) fn envelope(&self, lane: usize) -> Option<&Envelope> {
        self.envelopes.get(lane)
    }

    /// Where the parts of lane `lane` are, for the kernel. They stay valid as long as nothing else is done to the lanes.
    pub(super) fn pointers(&mut self, lane: usize) -> Option<Pointers> {
        let Envelope { control_len, name_len, .. } = *self.envelopes.get(lane)?;
        // From the base of the vectors, so that one lane's pointers do not end those of another.
        let envelope = self.envelopes.as_mut_ptr().wrapping_add(lane).cast::<u8>();
        Some(Pointers {
            payload: self.payloads.as_mut_ptr().wrapping_add(lane * STRIDE),
            name: envelope.wrapping_add(offset_of!(Envelope, name)),
            name_len,
            control: envelope.wrapping_add(offset_of!(Envelope, control)),
            control_len,
        })
    }

    /// The payload rooms of all lanes, in their order.
    pub(super) fn payloads_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.payloads.chunks_exact_mut(STRIDE).map(|lane| &mut lane[..PAYLOAD_LEN])
    }
}
