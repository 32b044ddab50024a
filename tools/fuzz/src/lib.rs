//! What the fuzz targets check, one module per target.
//!
//! A check takes any bytes and panics if a promise is broken; an input that is refused is fine. Nothing here writes to
//! the file system, reads a clock or draws random numbers, so that every finding can be replayed.

mod ask;
mod memory;
pub mod name;
pub mod packet;
pub mod rdata;
pub mod segment_open;
pub mod zone_file;
