//! The REST API over real HTTP: a whole control plane in this process, asked as clients ask it.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod authorisation;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod device;
#[cfg(test)]
mod dnssec;
#[cfg(test)]
mod dyndns;
#[cfg(test)]
mod files;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod held_back;
#[cfg(test)]
mod history;
#[cfg(test)]
mod import;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod load;
#[cfg(test)]
mod log;
#[cfg(test)]
mod names;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod owned;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod rolling;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod signal;
#[cfg(test)]
mod signed_files;
#[cfg(test)]
mod smoke;
#[cfg(test)]
mod tenants;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod verify;
#[cfg(test)]
mod ways_back;
