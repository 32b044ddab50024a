//! The REST API over real HTTP: a whole control plane in this process, asked as clients ask it.

mod harness;
mod smoke;
