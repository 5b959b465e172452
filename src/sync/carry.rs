//! A change's way to the majority where nobody on this host keeps the token in step: the calling thread does
//! so for as long as it takes, connects, reads what is new and sends what waits.

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
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout_at};

/// How long the thread of this very program may take to become the one who keeps the token in step, before
/// the caller does it himself.
const HEARD: Duration = Duration::from_millis(300);
const LOOK: Duration = Duration::from_millis(2);
/// Before another attempt to reach etcd.
const PAUSE: Duration = Duration::from_millis(50);

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

/// This thread takes it there. Fields are dropped in this order: what runs in the runtime, before it.
struct Own<'a> {
    peer: Peer<'a>,
    engine: Engine,
    runtime: Option<Runtime>,
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
        let path = token.path();
        if keeper::agent(path).is_some() {
            return Ok(None);
        }
        let Some(keeper) = Keeper::become_for(path)? else { return Ok(None) };
        let mut peer = Peer::new(token, &cluster.prefix)?;
        let runtime = runtime()?;
        let engine = runtime.block_on(async {
            let reached = timeout_at(until.into(), async {
                let mut engine = Engine::connect(cluster).await?;
                peer.catch_up(&mut engine, &mut |_, _| {}).await?;
                Ok::<_, Stop>(engine)
            });
            let late = || Fault::CutOff("not reached, and all that is new read, in time".into());
            reached.await.unwrap_or_else(|_| Err(late().into()))
        })?;
        peer.condition.connected = true;
        keeper.tell(&peer.condition)?;
        Ok(Some(Own { peer, engine, runtime: Some(runtime), cluster, _keeper: keeper }))
    }
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
        let runtime = self.runtime.as_ref().ok_or(Error::GeneralError)?;
        let sending = send(&mut self.peer, &mut self.engine, self.cluster, (store, changed));
        let in_time = async { timeout_at(until.into(), sending).await };
        runtime.block_on(in_time).unwrap_or(Ok(Fate::Pending))
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        // Waits for nothing.
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}
