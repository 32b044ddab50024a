//! The contract between the control plane and the data plane.
//!
//! `dns` holds names, types, RDATA, zone files and messages; `image` the snapshot files and their lookup; `handover` how
//! a generation gets from the one process to the other. The crate opens no network socket but the local control socket
//! and holds no policy: neither plane may reach around it.

pub mod dns;
pub mod handover;
pub mod image;
