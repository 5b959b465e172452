//! A change's way to the majority where nobody on this host keeps the token in step: the calling thread does
//! so for as long as it takes, connects, reads what is new and sends what waits. The connection is kept for the
//! process's next change: making one costs ten times what it is made for.

use super::background;
use super::engine::{Engine, Fault};
use super::peer::{Peer, Stop};
use super::runtime;
use crate::config::ClusterConfig;
use crate::error::{Error, Result};
use crate::store::keeper::{self, Keeper};
use crate::store::{Fate, Header, Store};
use crate::token::Token;
use crate::token::quorum::{self, Carriage, Carrier, Way, refused};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout, timeout_at};

/// How long the thread of this very program may take to become the one who keeps the token in step, before
/// the caller does it himself.
const HEARD: Duration = Duration::from_millis(300);
const LOOK: Duration = Duration::from_millis(2);
/// Before another attempt to reach etcd.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a connection may lie there that nobody uses: etcd forgets who is behind it after 300 s.
const KEPT: Duration = Duration::from_secs(60);
/// How long it may be silent then before another one is made.
const STALE: Duration = Duration::from_secs(1);

/// The one of all tokens.
pub static CARRIER: RoundTrip = RoundTrip;

pub struct RoundTrip;

impl Carrier for RoundTrip {
    fn ready<'a>(
        &self,
        token: &'a Token,
        cluster: &'a ClusterConfig,
        until: Instant,
    ) -> Result<Box<dyn Carriage + 'a>> {
        let mut rung = None;
        loop {
            match quorum::way(token.path()) {
                Way::Open => return Ok(Box::new(Handed { token, cluster })),
                Way::Shut(why) => return Err(refused(&why)),
                Way::Opening => {}
                Way::Nobody if background::ring(token.path()) && heard(&mut rung) => {}
                Way::Nobody => match Own::begin(token, cluster, until) {
                    Ok(Some(own)) => return Ok(Box::new(own)),
                    Ok(None) => {}
                    Err(Stop::Host(error)) => return Err(error),
                    Err(stop) => return Err(refused(&stop.to_string())),
                },
            }
            if Instant::now() >= until {
                return Err(refused("whoever keeps this token in step did not reach etcd in time"));
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Whether it may still be hearing the bell.
fn heard(rung: &mut Option<Instant>) -> bool {
    rung.get_or_insert_with(Instant::now).elapsed() < HEARD
}

/// Somebody else on this host takes it there. When he is gone before it is there, the caller does.
struct Handed<'a> {
    token: &'a Token,
    cluster: &'a ClusterConfig,
}

impl Carriage for Handed<'_> {
    fn settle(&mut self, store: &Store, changed: &[Header], until: Instant) -> Result<Fate> {
        let path = self.token.path();
        loop {
            let mut abandoned = || quorum::way(path) == Way::Nobody && !background::ring(path);
            let fate = quorum::wait(store, changed, until, &mut abandoned)?;
            if fate != Fate::Pending || Instant::now() >= until {
                return Ok(fate);
            }
            match Own::begin(self.token, self.cluster, until) {
                Ok(Some(mut own)) => return own.settle(store, changed, until),
                // Somebody was faster, or etcd is away: it waits in the outbox.
                Ok(None) | Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }
}

/// A connection, and what it runs in.
struct Connection {
    engine: Engine,
    runtime: Runtime,
}

impl Connection {
    fn close(self) {
        drop(self.engine);
        // Waits for nothing.
        self.runtime.shutdown_background();
    }
}

/// The last connection of this process. Only ever tried to lock: it may have been held over a fork.
static IDLE: Mutex<Option<Idle>> = Mutex::new(None);

struct Idle {
    /// A forked child inherits it, and may not touch it.
    process: u32,
    to: ClusterConfig,
    since: Instant,
    connection: Connection,
}

fn idle(to: &ClusterConfig) -> Option<Connection> {
    let idle = IDLE.try_lock().ok()?.take()?;
    if idle.process != std::process::id() {
        std::mem::forget(idle);
        return None;
    }
    if idle.to != *to || idle.since.elapsed() > KEPT {
        idle.connection.close();
        return None;
    }
    Some(idle.connection)
}

/// Ends what this process keeps for its next change.
pub fn forget() {
    let Some(idle) = IDLE.try_lock().ok().and_then(|mut idle| idle.take()) else { return };
    if idle.process == std::process::id() {
        idle.connection.close();
    } else {
        std::mem::forget(idle);
    }
}

/// This thread takes it there.
struct Own<'a> {
    peer: Peer<'a>,
    /// `None` only at its end.
    connection: Option<Connection>,
    /// It answered all that it was asked.
    works: bool,
    cluster: &'a ClusterConfig,
    _keeper: Keeper,
}

impl<'a> Own<'a> {
    /// Connected, and everything new is read. `None`: somebody else keeps the token in step by now.
    fn begin(
        token: &'a Token,
        cluster: &'a ClusterConfig,
        until: Instant,
    ) -> std::result::Result<Option<Own<'a>>, Stop> {
        if token.was_removed()? {
            return Err(Stop::Removed);
        }
        let path = token.path();
        if keeper::agent(path).is_some() {
            return Ok(None);
        }
        let Some(keeper) = Keeper::become_for(path)? else { return Ok(None) };
        let mut peer = Peer::new(token, &cluster.prefix)?;
        let (engine, runtime) = match idle(cluster) {
            Some(Connection { engine, runtime }) => (Some(engine), runtime),
            None => (None, runtime()?),
        };
        let engine = runtime.block_on(async {
            let late = || Fault::CutOff("not reached, and all that is new read, in time".into());
            let reached = timeout_at(until.into(), reach(&mut peer, engine, cluster)).await;
            reached.unwrap_or_else(|_| Err(late().into()))
        });
        let engine = match engine {
            Ok(engine) => engine,
            Err(stop) => {
                runtime.shutdown_background();
                return Err(stop);
            }
        };
        peer.condition.connected = true;
        keeper.tell(&peer.condition)?;
        let connection = Some(Connection { engine, runtime });
        Ok(Some(Own { peer, connection, works: true, cluster, _keeper: keeper }))
    }
}

/// Everything new is read, by the connection that was left if it still works.
async fn reach(
    peer: &mut Peer<'_>,
    left: Option<Engine>,
    cluster: &ClusterConfig,
) -> std::result::Result<Engine, Stop> {
    if let Some(mut engine) = left {
        match timeout(STALE, peer.catch_up(&mut engine, &mut |_, _| {})).await {
            Ok(Ok(())) => return Ok(engine),
            Ok(Err(Stop::Engine(_))) | Err(_) => {}
            Ok(Err(stop)) => return Err(stop),
        }
    }
    let mut engine = Engine::connect(cluster).await?;
    peer.catch_up(&mut engine, &mut |_, _| {}).await?;
    Ok(engine)
}

/// What waits is sent, the oldest first, until the change is settled.
async fn send(
    peer: &mut Peer<'_>,
    engine: &mut Engine,
    cluster: &ClusterConfig,
    (store, changed): (&Store, &[Header]),
) -> Result<Fate> {
    loop {
        let fault = match step(peer, engine).await {
            Ok(more) => match store.fate(changed)? {
                Fate::Pending if more => continue,
                // Etcd does not take it: the log says why.
                fate => return Ok(fate),
            },
            Err(Stop::Host(error)) => return Err(error),
            Err(Stop::Engine(fault)) => fault,
            // It is done here, and stays here.
            Err(Stop::Removed | Stop::WrongEpoch(..)) => return Ok(Fate::Pending),
        };
        log::info!("cluster: {fault}; trying again");
        peer.read_again |= fault == Fault::Compacted;
        sleep(PAUSE).await;
        if let Ok(again) = Engine::connect(cluster).await {
            *engine = again;
        }
    }
}

async fn step(peer: &mut Peer<'_>, engine: &mut Engine) -> std::result::Result<bool, Stop> {
    if peer.read_again {
        peer.catch_up(engine, &mut |_, _| {}).await?;
    }
    peer.send(engine).await
}

impl Carriage for Own<'_> {
    fn settle(&mut self, store: &Store, changed: &[Header], until: Instant) -> Result<Fate> {
        let Connection { engine, runtime } = self.connection.as_mut().ok_or(Error::GeneralError)?;
        let sending = send(&mut self.peer, engine, self.cluster, (store, changed));
        let in_time = async { timeout_at(until.into(), sending).await };
        let settled = runtime.block_on(in_time).unwrap_or(Ok(Fate::Pending));
        self.works = matches!(settled, Ok(Fate::Sent | Fate::Overruled));
        settled
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if !self.works {
            return connection.close();
        }
        let (process, to, since) = (std::process::id(), self.cluster.clone(), Instant::now());
        let Ok(mut place) = IDLE.try_lock() else { return connection.close() };
        if let Some(other) = place.replace(Idle { process, to, since, connection }) {
            other.connection.close();
        }
    }
}
