//! The control plane: what checks, compiles and publishes zones, and the process that watches the data planes.
//!
//! Modules `source`, `zonelist`, `check` and `compile` turn zone files into a generation; they are a library that `dnsctl` calls.
//! [`run`] is the process: `config` says what it does, `planes` follows the data planes, `serve` tells about them over
//! HTTP. Module `rrset` is of the REST API to come. The process only reads the snapshot directory so far, therefore it does not take the directory's writer lock
//! and `dnsctl compile` may publish while it runs. It holds no connection to the network but the HTTP listener.

pub mod api;
pub mod auth;
pub mod change;
pub mod check;
pub mod compile;
pub mod config;
pub mod dyndns;
pub mod http;
mod life;
pub mod naming;
pub mod planes;
pub mod publish;
pub mod recovery;
pub mod rrset;
pub mod serve;
pub mod source;
pub mod store;
pub mod value;
pub mod zonelist;
pub mod zonetext;

pub use life::run;
