//! Strongroom: an HSM you own, as a PKCS#11 library.
//!
//! The map of the house. Arrows point down only; `ci/house.rs` enforces it.
//!
//! ```text
//! ffi -> session -> sync -> token -> {mechanism, store, audit} -> {object, crypto} -> {error, lock, config}
//! ```
//!
//! * [`ffi`]: the C boundary: pointers in, owned values down, results out.
//! * [`session`]: the initialised library: slots, sessions, login state, the operation life cycle.
//! * [`sync`]: agreement with peer tokens through etcd.
//! * [`token`]: what the HSM holds and who may do what.
//! * [`mechanism`]: one file per family, one const row per mechanism.
//! * [`store`]: sealed records in SQLite; knows bytes, ids and versions, not PKCS#11.
//! * [`audit`]: the event list and the hash-chained log, as data.
//! * [`object`]: attributes, templates, attribute rules, search terms: pure data, no I/O.
//! * [`crypto`]: primitives; the only room that names a crypto library.
//! * [`config`], [`lock`], [`error`]: the floor everything stands on.
//!
//! To add a mechanism of a known family, add a row in its file under `mechanism/`.

pub mod audit;
pub mod config;
pub mod crypto;
pub mod error;
pub mod ffi;
pub mod lock;
pub mod mechanism;
pub mod object;
pub mod session;
pub mod store;
pub mod sync;
pub mod token;
