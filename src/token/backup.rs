//! Backups: one file with all that the token's file holds, encrypted to a passphrase or to recovery keys, and the
//! way back.
//!
//! What is sealed under users' own keys stays sealed inside: a backup and its secret give what the token's file
//! and its seal key give, and open no private object. `stream` encrypts, `header` is what anyone may read,
//! `recipients` who can open it, `rows` what is inside, `contents` reads and checks it, `create`, `restore`, `merge`
//! (into a cluster) and `schedule` do what their names say.

mod compare;
mod contents;
mod create;
mod header;
mod merge;
mod partial;
mod recipients;
mod restore;
mod rows;
mod schedule;
mod stream;
#[cfg(test)]
mod tests;

pub use contents::{Contents, Counts, Verified};
pub use create::{Made, Place};
pub use header::{BackupFile, Header, SUFFIX, id_of};
pub(super) use partial::whose;
pub use recipients::{Recipient, RecoveryKey, SHORTEST_PASSPHRASE, Secrets, new_recovery_key};
pub use restore::{Cluster, Merged, Restored, Terms, What};
pub use schedule::{DEFAULT_KEEP_DAYS, KEEP_DAYS, Listed, Schedule};
