//! The REST API over real HTTP: a whole control plane in this process, asked as clients ask it.

mod admin;
mod authorisation;
mod contract;
mod dyndns;
mod harness;
mod history;
mod import;
mod names;
mod policies;
mod quota;
mod secrets;
mod smoke;
mod tenants;
mod tokens;
