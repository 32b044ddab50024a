//! DNS data as both planes see it: names, types, RDATA, zone files and messages.
//!
//! It opens no socket and knows no snapshot. Words are those of RFC 9499.

pub mod choice;
pub mod class;
mod compressed;
pub mod lookup_name;
pub mod message;
pub mod name;
pub mod nsec3;
mod number;
pub mod rdata;
pub mod region;
pub mod rtype;
pub mod token;
pub mod zone;
pub mod zonefile;
