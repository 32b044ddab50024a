//! The control plane: owns the data, and makes every change of it served.
//!
//! [`run`] is the process. A change comes in through `api` (over `http`), is parsed by `rrset`, `zonetext`, `dyndns`, `naming`
//! and `value`, made in one transaction by `change` over `store`, and brought into service by `publish`; `planes` and `serve`
//! watch and tell; `gate` says what is too great a loss. Modules `source`, `zonelist`, `check` and `compile` turn zone files into a generation and are a library
//! that `dnsctl` calls, as is `recovery`; `sign` signs zones. While the process runs it is the one writer of its database and of the snapshot
//! directory. To the network it holds the HTTP listener; `ask` looks names up.

mod alarm;
pub mod api;
pub mod ask;
pub mod auth;
pub mod change;
pub mod check;
pub mod clock;
pub mod compile;
pub mod config;
pub mod dnssec;
pub mod dyndns;
pub mod gate;
pub mod geo;
pub mod http;
pub mod keys;
mod life;
pub mod naming;
pub mod planes;
pub mod publish;
pub mod recovery;
pub mod roll;
pub mod rrset;
pub mod serve;
pub mod sign;
pub mod source;
pub mod store;
pub mod value;
pub mod verify;
pub mod zonelist;
pub mod zonetext;

pub use life::run;
