//! How the hosts of a cluster do: each says it in etcd, sealed and signed like a record.

use super::engine::{Engine, Fault};
use super::peer::{Peer, Stop};
use super::sightings::{Heard, SILENT, standing};
use super::{etcd, news, wire};
use crate::audit::{hex, time};
use crate::config::ClusterConfig;
use crate::error::Result;
use crate::store::keeper::{self, Condition, Sighting, Standing};
use crate::store::{Id, Store};
use crate::token::{Member, Token};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant, SystemTime};

/// What a host says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Said {
    /// By the host's own clock.
    pub time: String,
    /// The revision of etcd up to which the host has everything.
    pub revision: i64,
    /// The last one at which anybody wrote a record, as far as the host knows.
    pub newest: i64,
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
    /// `None`: not known, because etcd cannot be asked.
    pub standing: Option<Standing>,
    /// How whoever keeps this host in step sees it; `None` when nobody does.
    pub sighting: Option<Sighting>,
}

/// The cluster as seen from here.
#[derive(Clone, Debug)]
pub struct Overview {
    /// How whoever keeps this host in step does; `None` when nobody does.
    pub agent: Option<Condition>,
    /// This host as it is now.
    pub here: Said,
    /// Why the others could not be asked.
    pub unreachable: Option<String>,
    /// The last revision at which anybody wrote a record, as far as anybody knows.
    pub newest: i64,
    /// The engine's own revision, and the member of it that said so.
    pub engine: Option<(i64, String)>,
    pub members: Vec<Row>,
}

/// Hears how the others do, and says how this host does, if that changed or the last time is `every` ago. It
/// tells, too, that etcd has a majority.
pub(super) async fn tell(
    peer: &mut Peer<'_>,
    engine: &mut Engine,
    last: &mut Option<(Instant, Said)>,
    every: Duration,
) -> std::result::Result<(), Stop> {
    let all = engine.all(&peer.places.statuses()).await?;
    peer.numbers.contact = news::now();
    peer.numbers.engine = all.header.as_ref().map_or(0, |header| header.revision);
    let now = Said {
        revision: peer.position.revision,
        newest: peer.numbers.newest,
        refused: peer.condition.refused,
        last_error: peer.condition.last_error.clone(),
        ..here(&peer.store)?
    };
    hear(peer, &all, &now)?;
    let key = peer.places.status(peer.signer.id);
    let old = |(at, said): &(Instant, Said)| {
        at.elapsed() >= every || Said { time: now.time.clone(), ..said.clone() } != now
    };
    if last.as_ref().is_some_and(|last| !old(last)) {
        return Ok(());
    }
    let plain = serde_json::to_vec(&now).unwrap_or_default();
    engine.put(key.clone(), wire::pack(&peer.store, &peer.signer, &key, &plain)?).await?;
    *last = Some((Instant::now(), now));
    Ok(())
}

fn hear(peer: &mut Peer<'_>, all: &etcd::RangeResponse, here: &Said) -> Result<()> {
    let members = peer.token.members()?;
    let others = members.iter().filter(|member| member.id != peer.signer.id);
    let heard = others.map(|member| Heard {
        id: member.id,
        name: &member.name,
        said: said_by(peer, &all.kvs, member.id),
    });
    let heard: Vec<Heard<'_>> = heard.collect();
    let newest = heard.iter().filter_map(|heard| heard.said.as_ref().map(|(_, said)| said.newest)).max();
    let newest = newest.unwrap_or(0).max(here.newest);
    peer.numbers.anywhere = newest;
    for (warning, line) in peer.news.sightings.look(&heard, here, newest, (Instant::now(), SystemTime::now()))
    {
        match warning {
            true => log::warn!("cluster: {line}"),
            false => log::info!("cluster: {line}"),
        }
    }
    peer.condition.peers = peer.news.sightings.public();
    Ok(())
}

/// What a member said of himself, if that can be believed, and etcd's revision of it.
fn said_by(peer: &Peer<'_>, values: &[etcd::KeyValue], member: Id) -> Option<(i64, Said)> {
    let key = peer.places.status(member);
    let value = values.iter().find(|kv| kv.key == key)?;
    let plain = wire::unpack(&peer.store, &peer.signers, &key, &value.value).ok()?;
    // A member says only how he does himself.
    (value.value.get(..16)? == member.0).then_some(())?;
    Some((value.mod_revision, serde_json::from_slice(&plain).ok()?))
}

/// A host by its file alone.
fn here(store: &Store) -> Result<Said> {
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

/// Asks etcd how the members do, as often as one wants, over one connection.
pub struct Observer<'a> {
    token: &'a Token,
    config: &'a ClusterConfig,
    runtime: tokio::runtime::Runtime,
    engine: Option<Engine>,
}

impl<'a> Observer<'a> {
    pub fn new(token: &'a Token, config: &'a ClusterConfig) -> Result<Observer<'a>> {
        Ok(Observer { token, config, runtime: super::runtime()?, engine: None })
    }

    /// `ActionProhibited`: the token is no member of a cluster.
    pub fn look(&mut self) -> Result<Overview> {
        let peer = Peer::new(self.token, &self.config.prefix)?;
        let (found, unreachable) = match self.ask(&peer.places.statuses()) {
            Ok(found) => (Some(found), None),
            Err(fault) => (None, Some(fault.to_string())),
        };
        let agent = keeper::condition(self.token.path());
        let mut here = here(&peer.store)?;
        let values = found.as_ref().map_or(&[][..], |(all, _)| &all.kvs[..]);
        let mut members = Vec::new();
        for member in self.token.members()? {
            let this_host = member.id == peer.signer.id;
            let said = said_by(&peer, values, member.id).map(|(_, said)| said);
            let sightings = agent.iter().flat_map(|agent| &agent.peers);
            let sighting = sightings.into_iter().find(|one| one.peer == member.id.to_string()).cloned();
            members.push(Row { member, this_host, said, standing: None, sighting });
        }
        let said = members.iter().filter_map(|row| row.said.as_ref().map(|said| said.newest));
        let newest = said.max().unwrap_or(0);
        // What it said is newer than what it wrote down of its position.
        let own = members.iter().find(|row| row.this_host).and_then(|row| row.said.as_ref());
        here.revision = own.map_or(0, |said| said.revision).max(here.revision);
        here.refused = agent.as_ref().map_or(0, |agent| agent.refused);
        if unreachable.is_none() {
            members.iter_mut().for_each(|row| row.standing = Some(judged(row, &here, newest)));
        }
        let engine = found.map(|(all, endpoint)| (all.header.unwrap_or_default().revision, endpoint));
        Ok(Overview { agent, here, unreachable, newest, engine, members })
    }

    fn ask(&mut self, places: &[u8]) -> std::result::Result<(etcd::RangeResponse, String), Fault> {
        let (engine, config) = (&mut self.engine, self.config);
        let asked = self.runtime.block_on(async {
            let connected = match engine.take() {
                Some(connected) => connected,
                None => Engine::connect(config).await?,
            };
            let connected = engine.insert(connected);
            Ok((connected.all(places).await?, connected.endpoint.clone()))
        });
        if asked.is_err() {
            self.engine = None;
        }
        asked
    }
}

/// Without whoever keeps this host in step, the others' own clocks tell how old their word is.
fn judged(row: &Row, here: &Said, newest: i64) -> Standing {
    if row.this_host {
        return standing(Some(here), false, here, newest);
    }
    let at = row.said.as_ref().and_then(|said| humantime::parse_rfc3339(&said.time).ok());
    let age = at.and_then(|at| SystemTime::now().duration_since(at).ok()).unwrap_or_default();
    let silent = match &row.sighting {
        Some(sighting) => sighting.standing == Standing::Silent,
        None => age >= SILENT,
    };
    standing(row.said.as_ref(), silent, here, newest)
}

/// A host by its file, for those who measure while another thread keeps it in step.
pub fn measured(token: &Token) -> Result<Said> {
    here(&*token.store()?)
}
