//! The queries of one socket that are on their way: a ring in the order of sending, found again by message id.
//!
//! The id is the low half of a query's number, and the ring has room for no more queries than there are ids, so no two
//! queries in flight share one. A query whose place is needed again counts as lost.

/// The most queries in flight of one socket.
pub(super) const FLIGHT_MAX: usize = 1 << 16;

/// One place of the ring.
#[derive(Clone, Copy, Default)]
struct Place {
    /// When the query was sent.
    sent_ns: u64,
    /// Which question it asks.
    question: u32,
    /// The low half of its number.
    id: u16,
    /// Whether its reply is awaited.
    awaited: bool,
}

/// The ring.
pub(super) struct Flight {
    /// A power of two of places.
    places: Box<[Place]>,
    /// The number of the next query.
    next: u32,
    /// The number of the oldest query that may be awaited still.
    oldest: u32,
    /// How many are awaited.
    awaited: usize,
}

impl Flight {
    /// A ring for `capacity` queries, rounded up to a power of two of at most [`FLIGHT_MAX`].
    pub(super) fn new(capacity: usize) -> Flight {
        let capacity = capacity.clamp(2, FLIGHT_MAX).next_power_of_two();
        Flight { places: vec![Place::default(); capacity].into_boxed_slice(), next: 0, oldest: 0, awaited: 0 }
    }

    /// How many replies are awaited.
    pub(super) fn awaited(&self) -> usize {
        self.awaited
    }

    /// The id of the query that will be launched after `others`.
    #[expect(clippy::cast_possible_truncation, reason = "the id is the low half, and few queries are sent at once")]
    pub(super) fn id(&self, others: usize) -> u16 {
        self.next.wrapping_add(others as u32) as u16
    }

    /// The place of a number.
    fn place(&mut self, number: u32) -> &mut Place {
        let mask = self.places.len() - 1;
        &mut self.places[number as usize & mask]
    }

    /// Notes that the next query was sent; returns how many older ones, 0 or 1, are lost because of it.
    #[expect(clippy::cast_possible_truncation, reason = "the id is the low half of the number")]
    pub(super) fn launch(&mut self, question: u32, sent_ns: u64) -> u64 {
        let number = self.next;
        let capacity = self.places.len();
        let mut lost = 0;
        if self.next.wrapping_sub(self.oldest) as usize == capacity {
            lost = u64::from(self.give_up_oldest());
        }
        *self.place(number) = Place { sent_ns, question, id: number as u16, awaited: true };
        self.next = number.wrapping_add(1);
        self.awaited += 1;
        lost
    }

    /// Takes the query of an id out of the air: its question and when it was sent, if it is awaited.
    pub(super) fn land(&mut self, id: u16) -> Option<(u32, u64)> {
        let place = self.place(id.into());
        if !place.awaited || place.id != id {
            return None;
        }
        place.awaited = false;
        let found = (place.question, place.sent_ns);
        self.awaited -= 1;
        Some(found)
    }

    /// Gives up all queries that were sent before; returns how many.
    pub(super) fn expire(&mut self, before_ns: u64) -> u64 {
        let mut lost = 0;
        while self.oldest != self.next {
            let oldest = self.oldest;
            let place = self.place(oldest);
            if place.awaited && place.sent_ns >= before_ns {
                break;
            }
            lost += u64::from(self.give_up_oldest());
        }
        lost
    }

    /// Moves past the oldest query; whether it was awaited still.
    fn give_up_oldest(&mut self) -> bool {
        let oldest = self.oldest;
        self.oldest = oldest.wrapping_add(1);
        let was_awaited = std::mem::take(&mut self.place(oldest).awaited);
        self.awaited -= usize::from(was_awaited);
        was_awaited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_land_once_and_in_any_order() {
        let mut flight = Flight::new(8);
        for question in 0..5 {
            assert_eq!(flight.id(0), u16::try_from(question).unwrap());
            assert_eq!(flight.launch(question, 100 + u64::from(question)), 0);
        }
        assert_eq!(flight.land(3), Some((3, 103)));
        assert_eq!(flight.land(3), None);
        assert_eq!(flight.land(0), Some((0, 100)));
        assert_eq!(flight.land(7), None);
        assert_eq!(flight.awaited(), 3);
    }

    #[test]
    fn what_is_older_than_the_timeout_is_lost_and_its_reply_a_stray() {
        let mut flight = Flight::new(8);
        (0..4).for_each(|question| assert_eq!(flight.launch(question, u64::from(question)), 0));
        assert_eq!(flight.land(0), Some((0, 0)));
        assert_eq!(flight.expire(3), 2);
        assert_eq!(flight.awaited(), 1);
        assert_eq!(flight.land(1), None);
        assert_eq!(flight.land(3), Some((3, 3)));
    }

    #[test]
    fn a_full_ring_gives_up_its_oldest_query_and_ids_wrap() {
        let mut flight = Flight::new(4);
        let lost: u64 = (0..100_000).map(|number| flight.launch(number, 0)).sum();
        assert_eq!(lost, 100_000 - 4);
        assert_eq!(flight.awaited(), 4);
        let last = 99_999u32;
        let id = u16::try_from(last & 0xffff).unwrap();
        assert_eq!(flight.land(id), Some((last, 0)));
    }
}
