//! How the hosts of a cluster do: each says it in etcd, sealed and signed like a record.

use super::engine::Engine;
use super::peer::{Peer, Stop};
use super::{on_this_thread, wire};
use crate::audit::{hex, time};
use crate::config::ClusterConfig;
use crate::error::Result;
use crate::store::keeper::{self, Condition};
use crate::token::{Member, Token};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant, SystemTime};

/// What a host says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// By the host's own clock.
    pub time: String,
    /// The revision of etcd up to which the host has everything.
    pub revision: i64,
    pub records: u64,
    /// Of the state digest: equal on hosts that hold the same.
    pub digest: String,
    /// Records that etcd does not have yet.
    pub pending: u64,
    pub refused: u64,
    pub last_error: String,
    /// Under which records are sealed that are written now, and how many are still under an earlier one.
    #[serde(default)]
    pub epoch: u32,
    #[serde(default)]
    pub stale: u64,
}

/// A member, and what it said last that can be believed.
#[derive(Clone, Debug)]
pub struct Row {
    pub member: Member,
    pub this_host: bool,
    pub said: Option<Said>,
}

/// The cluster as seen from here.
#[derive(Clone, Debug)]
pub struct Overview {
    /// How this host's agent does; `None` when none runs.
    pub agent: Option<Condition>,
    /// This host as it is now.
    pub here: Said,
    /// Why the others could not be asked.
    pub unreachable: Option<String>,
    pub members: Vec<Row>,
}

/// Says how this host does, if that changed or the last time is `every` ago; else only asks whether etcd has a
/// majority.
pub(super) async fn tell(
    peer: &Peer<'_>,
    engine: &mut Engine,
    last: &mut Option<(Instant, Said)>,
    every: Duration,
) -> std::result::Result<(), Stop> {
    let now = Said {
        revision: peer.position.revision,
        refused: peer.condition.refused,
        last_error: peer.condition.last_error.clone(),
        ..here(&peer.store)?
    };
    let key = peer.places.status(peer.signer.id);
    let old = |(at, said): &(Instant, Said)| {
        at.elapsed() >= every || Said { time: now.time.clone(), ..said.clone() } != now
    };
    if last.as_ref().is_some_and(|last| !old(last)) {
        engine.get(&key).await?;
        return Ok(());
    }
    let plain = serde_json::to_vec(&now).unwrap_or_default();
    engine.put(key.clone(), wire::pack(&peer.store, &peer.signer, &key, &plain)?).await?;
    *last = Some((Instant::now(), now));
    Ok(())
}

fn here(store: &crate::store::Store) -> Result<Said> {
    let (digest, records) = store.summary()?;
    Ok(Said {
        time: time(SystemTime::now()),
        revision: store.position()?.revision,
        records,
        digest: hex(&digest[..8]),
        pending: store.pending()?,
        epoch: store.ring().present(),
        stale: store.stale()?,
        ..Said::default()
    })
}

/// Asks etcd what the others said.
pub fn overview(token: &Token, config: &ClusterConfig) -> Result<Overview> {
    let peer = Peer::new(token, &config.prefix)?;
    let asked = on_this_thread(async {
        let mut engine = Engine::connect(config).await?;
        engine.all(&peer.places.statuses()).await
    })?;
    let (values, unreachable) = match asked {
        Ok(found) => (found.kvs, None),
        Err(fault) => (Vec::new(), Some(fault.to_string())),
    };
    let said = |member: &Member| {
        let key = peer.places.status(member.id);
        let value = values.iter().find(|kv| kv.key == key)?;
        let plain = wire::unpack(&peer.store, &peer.signers, &key, &value.value).ok()?;
        // A member says only how he does himself.
        (value.value.get(..16)? == member.id.0).then_some(())?;
        serde_json::from_slice(&plain).ok()
    };
    let members = token.members()?.into_iter().map(|member| {
        let this_host = member.id == peer.signer.id;
        Row { said: said(&member), this_host, member }
    });
    Ok(Overview {
        agent: keeper::condition(token.path()),
        here: here(&peer.store)?,
        unreachable,
        members: members.collect(),
    })
}
