//! The initialised library: slots, sessions, login state, and the operation life cycle, which is
//! written once in `operation.rs` and `running.rs` for every mechanism.
//!
//! Everything here takes owned values or byte slices; C pointers end in `ffi`. Each entry finds its
//! session without a lock, and locks that session only.

mod derive;
mod fork;
mod keys;
mod library;
mod logger;
mod login;
mod messages;
mod objects;
mod operation;
mod random;
mod running;
mod saved;
mod sessions;
mod sink;
mod table;
pub mod tracer;

pub use library::Library;
pub use running::{Output, Purpose};
pub use saved::LONGEST_STATE;
pub use sessions::{SessionCounts, SessionInfo};
