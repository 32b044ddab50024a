//! The small values of the API, as clients write them and as we store them.
//!
//! Each file is one value: text in, a type that cannot be wrong, text out. Messages of errors are those that clients of
//! the deSEC API know, word by word. Nothing here reads a clock or makes randomness; both are passed in.

mod class;
mod email;
mod json;
mod period;
mod secret;
mod subnet;
mod timestamp;

pub use class::Class;
pub use email::{Email, EmailError};
pub use json::type_name;
pub use period::{Period, PeriodError};
pub use secret::{RANDOM_LEN, Secret, SecretHash};
pub use subnet::{SubnetError, is_allowed, subnet, subnets};
pub use timestamp::{Timestamp, TimestampError};
