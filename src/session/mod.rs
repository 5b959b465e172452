//! The initialised library: slots, sessions, login state, and the operation life cycle, which is
//! written once in `operation.rs` for every mechanism.
//!
//! Everything here takes owned values or byte slices; C pointers end in `ffi`. Each entry finds its
//! session, releases the map lock, and locks that session only.

mod fork;
mod keys;
mod library;
mod logger;
mod login;
mod objects;
mod operation;
mod random;
mod sessions;
pub mod tracer;

pub use library::Library;
pub use operation::{Output, Purpose};
pub use sessions::{SessionCounts, SessionInfo};
