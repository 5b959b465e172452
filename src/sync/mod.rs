//! Agreement with peer tokens through etcd: each host's file stays the one it reads and works with, and
//! changes travel as sealed, signed records. ARCHITECTURE.md, "The cluster", says what lies where and what
//! must hold.
//!
//! `merge` decides between two versions, `wire` is their form in etcd, `peer` applies and sends, `run` is the
//! loop that does so for as long as a process is the one of its host, `join` lets new hosts in, `status` says
//! how all of them do, `witness` tells an etcd that was put back. `engine` and `etcd` are the client. Nothing here knows what a record means.

mod doorbell;
mod engine;
mod etcd;
#[cfg(test)]
mod histories;
pub mod join;
pub mod merge;
mod peer;
mod run;
pub mod status;
mod wire;
mod witness;

pub use engine::Fault;
pub use peer::Stop;
pub use run::{Agent, run};

/// The one thread on which everything here runs: the caller's.
fn on_this_thread<T>(work: impl Future<Output = T>) -> crate::error::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|e| crate::error::Error::HostMemory.because(e))?.block_on(work))
}
