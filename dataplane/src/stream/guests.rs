//! Who is connected, and who leaves first when there are too many (RFC 7766 section 6.2.3).
//!
//! It knows no sockets. A connection is as young as its last whole query. When all places are taken, the oldest
//! connection makes room for the next client; one network may hold half of the places, and beyond that its own oldest
//! leaves. So neither idle connections nor ones that trickle keep anybody out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::rc::Rc;

use tokio::sync::Notify;

/// A network whose connections are counted together: /24 of IPv4, /56 of IPv6, the span of one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Network([u8; 7], bool);

impl Network {
    /// The network of an address.
    fn of(ip: IpAddr) -> Network {
        let mut bits = [0; 7];
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                bits[..3].copy_from_slice(&ip.octets()[..3]);
                Network(bits, false)
            }
            IpAddr::V6(ip) => {
                bits.copy_from_slice(&ip.octets()[..7]);
                Network(bits, true)
            }
        }
    }
}

/// A connection's place; its number is its age, the lowest being the oldest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place(u64);

/// A connected client.
struct Guest {
    /// Where it is from.
    network: Network,
    /// Tells its connection to end.
    leave: Rc<Notify>,
}

/// All connections that have a place.
pub(super) struct Guests {
    /// Most of them.
    places_max: usize,
    /// Most of one network.
    network_max: usize,
    /// The next number.
    next: u64,
    /// By age.
    by_age: BTreeMap<u64, Guest>,
    /// The ages in each network.
    networks: HashMap<Network, BTreeSet<u64>>,
}

impl Guests {
    /// Nobody yet, of at most `places_max`.
    pub(super) fn new(places_max: usize) -> Guests {
        let network_max = places_max.div_ceil(2);
        Guests { places_max, network_max, next: 0, by_age: BTreeMap::new(), networks: HashMap::new() }
    }

    /// Gives a client a place; returns it with what tells it to leave, and whether another has been told. O(log n).
    pub(super) fn admit(&mut self, client: IpAddr) -> (Place, Rc<Notify>, bool) {
        let network = Network::of(client);
        let of_network = self.networks.get(&network).filter(|ages| ages.len() >= self.network_max);
        let oldest = match of_network {
            Some(ages) => ages.first().copied(),
            None if self.by_age.len() >= self.places_max => self.by_age.keys().next().copied(),
            None => None,
        };
        let evicted = oldest.and_then(|age| self.remove(age));
        if let Some(guest) = &evicted {
            guest.leave.notify_one();
        }
        let leave = Rc::new(Notify::new());
        (self.put(Guest { network, leave: Rc::clone(&leave) }), leave, evicted.is_some())
    }

    /// Makes a connection the youngest. O(log n).
    pub(super) fn refresh(&mut self, place: &mut Place) {
        // One that has been told to leave has no place any more.
        if let Some(guest) = self.remove(place.0) {
            *place = self.put(guest);
        }
    }

    /// Frees a place; nothing if it was taken away. O(log n).
    pub(super) fn free(&mut self, place: &Place) {
        drop(self.remove(place.0));
    }

    /// Whether most places are taken.
    pub(super) fn is_crowded(&self) -> bool {
        self.by_age.len() > self.places_max - self.places_max / 4
    }

    /// Enters a connection as the youngest.
    fn put(&mut self, guest: Guest) -> Place {
        let age = self.next;
        self.next += 1;
        self.networks.entry(guest.network).or_default().insert(age);
        self.by_age.insert(age, guest);
        Place(age)
    }

    /// Takes a connection out.
    fn remove(&mut self, age: u64) -> Option<Guest> {
        let guest = self.by_age.remove(&age)?;
        if let Some(ages) = self.networks.get_mut(&guest.network) {
            ages.remove(&age);
            if ages.is_empty() {
                self.networks.remove(&guest.network);
            }
        }
        Some(guest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address in network `network`.
    fn ip(network: u8, host: u8) -> IpAddr {
        [192, 0, network, host].into()
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut guests = Guests::new(4);
        let mut places: Vec<_> = (0..4).map(|network| guests.admit(ip(network, 1)).0).collect();
        assert!(guests.is_crowded());
        guests.refresh(&mut places[0]);
        let (_, _, evicted) = guests.admit(ip(9, 1));
        assert!(evicted);
        assert!(!guests.by_age.contains_key(&places[1].0), "the second has been silent for longest");
        assert!(guests.by_age.contains_key(&places[0].0));
        // Who was told to leave neither comes back nor takes a place along.
        let gone = places.remove(1);
        guests.free(&gone);
        assert_eq!(guests.by_age.len(), 4);
        let mut gone = gone;
        guests.refresh(&mut gone);
        assert_eq!(guests.by_age.len(), 4);
    }

    #[test]
    fn a_network_that_holds_half_of_the_places_makes_room_for_itself() {
        let mut guests = Guests::new(8);
        let (other, _, _) = guests.admit(ip(2, 1));
        let greedy: Vec<_> = (0..20).map(|host| guests.admit(ip(1, host)).0).collect();
        assert_eq!(guests.by_age.len(), 5);
        assert!(guests.by_age.contains_key(&other.0), "it is older than all of them");
        assert_eq!(greedy.iter().filter(|place| guests.by_age.contains_key(&place.0)).count(), 4);
        for place in &greedy {
            guests.free(place);
        }
        guests.free(&other);
        assert!(guests.by_age.is_empty() && guests.networks.is_empty());
    }

    #[test]
    fn networks_are_those_of_one_customer() {
        let network = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(network("192.0.2.1"), network("192.0.2.255"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.7"));
        assert_ne!(network("192.0.2.1"), network("192.0.3.1"));
        assert_eq!(network("2001:db8:0:100::1"), network("2001:db8:0:1ff::2"));
        assert_ne!(network("2001:db8:0:100::1"), network("2001:db8:0:200::1"));
        assert_ne!(network("0.0.0.0"), network("::"));
    }
}
