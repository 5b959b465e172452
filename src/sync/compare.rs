//! This host's records against what etcd has, one by one; and reading all of it anew. Neither needs whoever
//! keeps the token in step: `compare` looks only, `resync` asks him or, where nobody is, does it itself.

use super::catch_up::PAGE;
use super::engine::Engine;
use super::etcd::KeyValue;
use super::peer::{Peer, Stop};
use super::{on_this_thread, status, wire};
use crate::config::ClusterConfig;
use crate::error::Result;
use crate::store::keeper::{self, Keeper};
use crate::store::merge::{Verdict, decide};
use crate::store::{Id, Kind, RecordRow};
use crate::token::Token;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long a difference must last to be one: records travel meanwhile.
const LASTS: Duration = Duration::from_secs(3);
/// How often it is looked again, and at how many at the most.
const LOOK: Duration = Duration::from_millis(200);
const LOOKED_AT_AGAIN: usize = 1_000;

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    MissingHere,
    MissingInEtcd,
    NewerHere,
    NewerInEtcd,
    /// Neither is newer; which one stays is decided when it is read.
    NotTheSame,
    /// What etcd has is not taken, and why.
    Refused(String),
    /// What this host's file has is not sound, and why.
    Damaged(String),
}

/// A record that is not the same in both places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The record's id, or its whole name in etcd when that is none of ours.
    pub record: String,
    pub kind: Option<Kind>,
    pub difference: Difference,
    /// Versions.
    pub here: Option<u64>,
    pub in_etcd: Option<u64>,
    /// It waits in the outbox.
    pub pending: bool,
    place: Vec<u8>,
}

/// The outcome of a look at everything.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Of etcd: as of when it was read.
    pub revision: i64,
    pub compared: u64,
    pub findings: Vec<Finding>,
}

type Asked<T> = std::result::Result<T, Stop>;

/// Compares everything. `watch`: how many of how many records are looked at. `ActionProhibited`: the token is
/// no member of a cluster.
pub fn compare(
    token: &Token,
    config: &ClusterConfig,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<Asked<Comparison>> {
    let peer = Peer::new(token, &config.prefix)?;
    on_this_thread(async {
        let mut engine = Engine::connect(config).await?;
        let mut comparison = look_at_everything(&peer, &mut engine, watch).await?;
        let begun = Instant::now();
        while !comparison.findings.is_empty()
            && comparison.findings.len() <= LOOKED_AT_AGAIN
            && begun.elapsed() < LASTS
        {
            sleep(LOOK).await;
            comparison.findings = look_again(&peer, &mut engine, comparison.findings).await?;
        }
        Ok(comparison)
    })
}

async fn look_at_everything(
    peer: &Peer<'_>,
    engine: &mut Engine,
    watch: &mut dyn FnMut(u64, u64),
) -> Asked<Comparison> {
    let members = engine.all(&peer.places.members()).await?;
    let revision = members.header.unwrap_or_default().revision;
    let (mut seen, mut findings, mut compared) = (HashSet::new(), Vec::new(), 0);
    let mut look = |page: Vec<KeyValue>| -> Result<()> {
        for kv in page {
            compared += 1;
            seen.extend(peer.places.id(&kv.key));
            findings.extend(look_at(peer, &kv.key, Some(&kv))?);
        }
        Ok(())
    };
    look(members.kvs)?;
    look(engine.all(&peer.places.epochs()).await?.kvs)?;
    let (prefix, mut from) = (peer.places.records(), peer.places.records());
    let (mut read, mut more, mut limit) = (0, true, PAGE);
    while more {
        let page = engine.page((&prefix, &from), &mut limit, 0, revision).await?;
        more = page.more;
        if let Some(last) = page.kvs.last() {
            from = [&last.key[..], &[0]].concat();
        }
        watch(read + page.kvs.len() as u64, read + page.count as u64);
        read += page.kvs.len() as u64;
        look(page.kvs)?;
    }
    for id in peer.store.all_ids()?.into_iter().filter(|id| !seen.contains(id)) {
        compared += 1;
        let place = match peer.store.whole(id) {
            Ok(Some(whole)) => peer.places.of(peer.folder(&whole), id),
            Ok(None) => continue,
            Err(_) => peer.places.of(Kind::Object, id),
        };
        findings.extend(look_at(peer, &place, None)?);
    }
    Ok(Comparison { revision, compared, findings })
}

/// What was different, as it is now.
async fn look_again(peer: &Peer<'_>, engine: &mut Engine, findings: Vec<Finding>) -> Asked<Vec<Finding>> {
    let mut left = Vec::new();
    for finding in findings {
        let there = engine.get(&finding.place).await?;
        left.extend(look_at(peer, &finding.place, there.as_ref())?);
    }
    Ok(left)
}

/// One place in etcd with what lies there, against what is here.
fn look_at(peer: &Peer<'_>, place: &[u8], there: Option<&KeyValue>) -> Result<Option<Finding>> {
    let Some(id) = peer.places.id(place) else {
        let record = String::from_utf8_lossy(place).into_owned();
        let difference = Difference::Refused("its name is none of ours".into());
        let found = there.map(|_| Finding::of(record, place, difference));
        return Ok(found);
    };
    let named = |difference| Finding::of(id.to_string(), place, difference);
    let ours = match peer.store.whole(id) {
        Ok(ours) => ours,
        Err(error) => return Ok(Some(named(Difference::Damaged(error.cause().to_owned())))),
    };
    let versions = |finding: Finding, theirs: Option<&RecordRow>| Finding {
        kind: theirs.or(ours.as_ref()).map(|whole| whole.record.header.kind),
        here: ours.as_ref().map(|ours| ours.record.header.version),
        in_etcd: theirs.map(|theirs| theirs.record.header.version),
        ..finding
    };
    let Some(there) = there else {
        let missing = ours.is_some().then(|| versions(named(Difference::MissingInEtcd), None));
        return missing.map(|finding| with_pending(peer, id, finding)).transpose();
    };
    let place = (&peer.places, place);
    let theirs = match wire::unpack_record(&peer.store, &peer.signers, place, &there.value) {
        Ok(theirs) => theirs,
        Err(refusal) => return Ok(Some(versions(named(Difference::Refused(refusal.to_string())), None))),
    };
    let same_version =
        ours.as_ref().is_some_and(|ours| ours.record.header.version == theirs.record.header.version);
    let difference = match decide(ours.as_ref(), &theirs) {
        Verdict::Same => return Ok(None),
        Verdict::Theirs if ours.is_none() => Difference::MissingHere,
        Verdict::Foreign => Difference::NotTheSame,
        Verdict::Theirs | Verdict::Ours if same_version => Difference::NotTheSame,
        Verdict::Theirs => Difference::NewerInEtcd,
        Verdict::Ours => Difference::NewerHere,
    };
    with_pending(peer, id, versions(named(difference), Some(&theirs))).map(Some)
}

fn with_pending(peer: &Peer<'_>, id: Id, finding: Finding) -> Result<Finding> {
    Ok(Finding { pending: peer.store.is_pending(id)?, ..finding })
}

impl Finding {
    fn of(record: String, place: &[u8], difference: Difference) -> Finding {
        let place = place.to_vec();
        Finding { record, kind: None, difference, here: None, in_etcd: None, pending: false, place }
    }
}

/// What reading everything again came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resynced {
    /// Whoever keeps this host in step did it; else this process did.
    pub by_keeper: bool,
    /// Records that are here now, and were not so before; sent ones that etcd lacked. Not known of a keeper.
    pub taken: Option<u64>,
    pub sent: Option<u64>,
    /// Records that etcd still lacks.
    pub pending: u64,
}

/// Why a keeper did not do it (yet).
#[derive(Debug)]
pub enum Unread {
    Stop(Stop),
    /// The keeper is cut off, and why; it will, when etcd is back.
    Later(String),
}

impl<T: Into<Stop>> From<T> for Unread {
    fn from(stop: T) -> Unread {
        Unread::Stop(stop.into())
    }
}

/// Reads everything from etcd again and sends what it lacks: by whoever keeps this host in step, or by this
/// process when nobody does.
pub fn resync(
    token: &Token,
    config: &ClusterConfig,
    watch: &mut dyn FnMut(u64, u64),
) -> std::result::Result<Resynced, Unread> {
    let mut peer = Peer::new(token, &config.prefix)?;
    let Some(keeper) = Keeper::become_for(token.path())? else {
        return by_keeper(&peer, token, watch);
    };
    let done: Asked<()> = on_this_thread(async {
        let mut engine = Engine::connect(config).await?;
        peer.news.read_again_because("`strongroom cluster resync` does it");
        peer.read_again = true;
        peer.catch_up(&mut engine, watch).await?;
        while peer.send(&mut engine).await? {}
        status::tell(&mut peer, &mut engine, &mut None, Duration::ZERO).await
    })?;
    drop(keeper);
    done?;
    let (taken, sent) = (Some(peer.numbers.taken), Some(peer.numbers.sent));
    Ok(Resynced { by_keeper: false, taken, sent, pending: peer.store.pending()? })
}

fn by_keeper(
    peer: &Peer<'_>,
    token: &Token,
    watch: &mut dyn FnMut(u64, u64),
) -> std::result::Result<Resynced, Unread> {
    let request = keeper::ask_to_read_again(token.path())?;
    let mut cut_off = None::<Instant>;
    loop {
        let now = keeper::condition(token.path());
        match &now {
            Some(now) if now.resynced == request => break,
            Some(now) if now.connected || now.reading.is_some() => {
                cut_off = None;
                now.reading.iter().for_each(|(done, all)| watch(*done, *all));
            }
            _ => {
                let since = *cut_off.get_or_insert_with(Instant::now);
                let why = || now.map_or("nobody keeps this host in step now".into(), |now| now.last_error);
                if since.elapsed() >= LASTS {
                    return Err(Unread::Later(why()));
                }
            }
        }
        std::thread::sleep(LOOK / 4);
    }
    let begun = Instant::now();
    // It sends what etcd lacks at once; what etcd does not take stays.
    while peer.store.pending()? > 0 && begun.elapsed() < LASTS {
        std::thread::sleep(LOOK / 4);
    }
    Ok(Resynced { by_keeper: true, pending: peer.store.pending()?, ..Resynced::default() })
}
