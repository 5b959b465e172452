//! Agreement with peer tokens through etcd: each host's file stays the one it reads and works with, and
//! changes travel as sealed, signed records. ARCHITECTURE.md, "The cluster", says what lies where and what
//! must hold.
//!
//! `store::merge` decides between two versions, `wire` is their form in etcd, `peer` applies and sends, `run` is the
//! loop that does so for as long as a process is the one of its host: an agent, or by `background` a program
//! with the module; `carry` takes one change to the majority where nobody runs it. `join` lets new hosts in,
//! `epochs` shuts a removed host out, `history` throws etcd's past away. `catch_up` reads what changed,
//! `witness` tells an etcd that was put back. `status` says how all of them do, `sightings` judges it, `news`
//! has the lines of the log and the numbers, `compare` looks at every record. `engine`, `etcd` and `line` are
//! the client, `descriptors` what it has open. Nothing here knows what a record means.

pub mod background;
mod carry;
mod catch_up;
pub mod compare;
pub mod descriptors;
mod doorbell;
mod engine;
pub mod epochs;
mod etcd;
#[cfg(test)]
mod histories;
mod history;
pub mod join;
mod line;
mod news;
mod peer;
mod run;
mod sightings;
pub mod status;
mod wire;
mod witness;

pub use carry::CARRIER;
pub use engine::Fault;
pub use news::Numbers;
pub use peer::Stop;
pub use run::{Agent, run};

/// What everything here runs on: the caller's own thread.
fn runtime() -> crate::error::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| crate::error::Error::HostMemory.because(e))
}

fn on_this_thread<T>(work: impl Future<Output = T>) -> crate::error::Result<T> {
    Ok(runtime()?.block_on(work))
}
