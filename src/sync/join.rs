//! How a new host comes in, through etcd: it leaves a request, an officer's member leaves the answer.

use super::engine::{Engine, Fault};
use super::peer::{Peer, Stop};
use super::{on_this_thread, wire};
use crate::config::ClusterConfig;
use crate::error::Result;
use crate::store::Id;
use crate::token::{JoinRequest, Token};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How often it is looked whether there is an answer.
const LOOK: Duration = Duration::from_millis(300);

type Asked<T> = std::result::Result<T, Stop>;

fn asked<T>(work: impl Future<Output = std::result::Result<T, Fault>>) -> Asked<T> {
    Ok(on_this_thread(work)??)
}

/// Leaves the request and waits for the answer; `None` when none comes in time.
pub fn ask(config: &ClusterConfig, request: &JoinRequest, patience: Duration) -> Asked<Option<Vec<u8>>> {
    let fingerprint = request.fingerprint();
    let (question, answer) =
        (wire::request(&config.prefix, &fingerprint), wire::answer(&config.prefix, &fingerprint));
    asked(async {
        let mut engine = Engine::connect(config).await?;
        engine.put(question.clone(), request.encode()).await?;
        let since = Instant::now();
        let found = loop {
            match engine.get(&answer).await? {
                Some(found) => break Some(found.value),
                None if since.elapsed() >= patience => break None,
                None => sleep(LOOK).await,
            }
        };
        engine.delete(question).await?;
        engine.delete(answer).await?;
        Ok(found)
    })
}

/// Hosts that ask.
pub fn waiting(config: &ClusterConfig) -> Asked<Vec<JoinRequest>> {
    let found = asked(async { Engine::connect(config).await?.all(&wire::requests(&config.prefix)).await })?;
    let request = |kv: super::etcd::KeyValue| {
        let request = JoinRequest::decode(&kv.value)?;
        // Under another's fingerprint it is nobody's.
        (wire::request(&config.prefix, &request.fingerprint()) == kv.key).then_some(request)
    };
    Ok(found.kvs.into_iter().filter_map(request).collect())
}

/// Leaves the answer to a request.
pub fn answer(config: &ClusterConfig, fingerprint: &str, sealed: Vec<u8>) -> Asked<()> {
    asked(async {
        Engine::connect(config).await?.put(wire::answer(&config.prefix, fingerprint), sealed).await
    })
}

/// Whether etcd has anything of this token where the configuration says: another cluster of it, or an earlier one.
pub fn holds(config: &ClusterConfig, token: Id) -> Asked<bool> {
    let places = wire::Places::new(&config.prefix, token);
    asked(async {
        let mut engine = Engine::connect(config).await?;
        for prefix in [places.members(), places.records()] {
            if engine.has(&prefix).await? {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

/// Reads everything once: what a new host does before anything else. `watch`: how many of how many records.
pub fn read_everything(token: &Token, config: &ClusterConfig, watch: &mut dyn FnMut(u64, u64)) -> Asked<()> {
    let mut peer = Peer::new(token, &config.prefix)?;
    let work: Result<Asked<()>> = on_this_thread(async {
        let mut engine = Engine::connect(config).await?;
        peer.catch_up(&mut engine, watch).await
    });
    work?
}
