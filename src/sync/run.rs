//! The loop: connected, everything read, then what is written there is taken and what is written here is
//! sent, until etcd cannot be reached; then again from the start.

use super::doorbell::Doorbell;
use super::engine::{Engine, Fault};
use super::peer::{Peer, Stop};
use super::{Numbers, on_this_thread, status};
use crate::config::ClusterConfig;
use crate::error::{Error, Result};
use crate::store::keeper::{self, Keeper};
use crate::token::Token;
use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, sleep};

/// How often the engine is asked whether it has a majority, when nothing else happens.
const PULSE: Duration = Duration::from_secs(1);
/// How often a host says how it does, when nothing changed.
const STATUS: Duration = Duration::from_secs(5);
/// The longest pause between two attempts to reach etcd.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often a long reading says how far it is.
const PROGRESS: Duration = Duration::from_millis(200);
/// How often an agent looks whether whoever is before it is gone.
const LOOK: Duration = Duration::from_millis(50);
/// How long an agent waits for one that should make room before it says so: longer than it takes.
const SHOULD_BE_GONE: Duration = Duration::from_secs(2);

/// What a process that keeps a token in step is told, and says.
pub trait Agent {
    /// Everything is read and etcd has a majority, or not any more, and why.
    fn changed(&self, connected: bool, why: &str);
    /// So many of so many records are read, of those that this host missed.
    fn reading(&self, _done: u64, _all: u64) {}
    /// What there is to measure, whenever it may have changed.
    fn numbers(&self, _now: &Numbers) {}
    /// It is not its turn yet, and why.
    fn waits(&self, _why: &str) {}
    /// Ends when the process is to stop.
    fn stopped(&self) -> impl Future<Output = ()>;
}

/// As this host's agent: keeps a token in step on this thread, for good, until `agent` is stopped. A program
/// that did so until now makes room. `ActionProhibited`: the token is no member of a cluster. `CantLock`:
/// another process is this host's agent; with `standby` it is waited for.
pub fn run(token: &Token, config: &ClusterConfig, agent: &impl Agent, standby: bool) -> Result<()> {
    let none = || Error::ActionProhibited.because("this token is no member of a cluster");
    token.peer()?.ok_or_else(none)?;
    on_this_thread(async {
        let mut stopped = std::pin::pin!(agent.stopped());
        let (_agent, keeper) = tokio::select! {
            place = take_place(token.path(), agent, standby) => place?,
            () = &mut stopped => return Ok(()),
        };
        keep(token, config, agent, keeper, stopped).await
    })?
}

/// The agent's two locks: first the one that makes others give the second free.
async fn take_place(path: &Path, agent: &impl Agent, standby: bool) -> Result<(keeper::Agent, Keeper)> {
    let mut said = false;
    let place = loop {
        if let Some(place) = keeper::Agent::become_for(path)? {
            break place;
        }
        let other = keeper::agent(path).unwrap_or_default();
        let why = format!("another agent, process {other}, keeps this token in step");
        if !standby {
            return Err(Error::CantLock.because(why));
        }
        if !std::mem::replace(&mut said, true) {
            agent.waits(&format!("standing by: {why}"));
        }
        sleep(LOOK).await;
    };
    let (since, mut said) = (Instant::now(), false);
    loop {
        if let Some(keeper) = Keeper::become_for(path)? {
            return Ok((place, keeper));
        }
        if since.elapsed() > SHOULD_BE_GONE && !std::mem::replace(&mut said, true) {
            let other = keeper::holder(path).unwrap_or_default();
            agent.waits(&format!("waiting for process {other}, which does not make room"));
        }
        sleep(LOOK).await;
    }
}

/// Keeps a token in step until `stopped` ends.
pub(super) async fn keep(
    token: &Token,
    config: &ClusterConfig,
    agent: &impl Agent,
    keeper: Keeper,
    mut stopped: Pin<&mut impl Future<Output = ()>>,
) -> Result<()> {
    token.publish_receiving_key()?;
    let mut peer = Peer::new(token, &config.prefix)?;
    keeper.tell(&peer.condition)?;
    let doorbell = Doorbell::new(token.path())?;
    let mut pause = Duration::from_millis(100);
    loop {
        let mut round = Round { peer: &mut peer, keeper: &keeper, doorbell: &doorbell, agent, config };
        let ended = tokio::select! {
            ended = round.run() => ended,
            () = &mut stopped => return Ok(()),
        };
        let was_connected = peer.condition.connected;
        let why = match ended {
            Stop::Host(Error::DeviceMemory) => "the disk is full".to_owned(),
            Stop::Host(error) if peer.is_still_one() => error.cause().to_owned(),
            // Made anew, or for another cluster: it is no member of this one now.
            Stop::Host(error) => return Err(error),
            Stop::Engine(fault) => {
                if fault == Fault::Compacted {
                    peer.news.read_again_because(fault.to_string());
                    peer.read_again = true;
                }
                fault.to_string()
            }
            stop @ (Stop::Removed | Stop::WrongEpoch(..)) => stop.to_string(),
        };
        peer.news.cut_off(&why);
        peer.numbers.cut_off += u64::from(was_connected);
        peer.numbers.connected = false;
        agent.numbers(&peer.numbers);
        peer.condition.connected = false;
        peer.condition.reading = None;
        peer.condition.last_error = why;
        // On a full disk it cannot even say so, and goes on when there is room.
        let _ = keeper.tell(&peer.condition);
        agent.changed(false, &peer.condition.last_error);
        if peer.progress.removed {
            return Err(Error::ActionProhibited);
        }
        pause = if was_connected { Duration::from_millis(100) } else { (pause * 2).min(LONGEST_PAUSE) };
        tokio::select! {
            () = sleep(pause) => {}
            () = &mut stopped => return Ok(()),
        }
    }
}

/// From one connection to its end.
struct Round<'a, 'b, A> {
    peer: &'a mut Peer<'b>,
    keeper: &'a Keeper,
    doorbell: &'a Doorbell,
    agent: &'a A,
    config: &'a ClusterConfig,
}

impl<A: Agent> Round<'_, '_, A> {
    async fn run(&mut self) -> Stop {
        match self.connected().await {
            Err(stop) => stop,
            Ok(never) => match never {},
        }
    }

    async fn connected(&mut self) -> std::result::Result<Infallible, Stop> {
        let mut engine = Engine::connect(self.config).await?;
        self.peer.news.connected(&engine.endpoint);
        self.peer.condition.endpoint.clone_from(&engine.endpoint);
        // Why it was cut off is in the log.
        self.peer.condition.last_error.clear();
        self.read(&mut engine).await?;
        let peer = &mut *self.peer;
        let mut watch = engine.watch(&peer.places.all(), peer.position.revision + 1).await?;
        let (mut said, mut told) = (None, None);
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // A batch at a time: a host that writes without end must hear of the others, too.
            self.peer.check_epoch()?;
            let more = self.peer.send(&mut engine).await?;
            let turns = self.peer.turn(&mut engine).await?;
            if self.peer.read_again {
                self.read(&mut engine).await?;
                continue;
            }
            let peer = &mut *self.peer;
            if said.is_none() {
                // Who cannot write there is not connected: it may be full.
                status::tell(peer, &mut engine, &mut said, STATUS).await?;
            }
            peer.condition.connected = true;
            peer.numbers.connected = true;
            peer.numbers.applied = peer.position.revision;
            peer.numbers.engine = peer.numbers.engine.max(peer.position.revision);
            self.agent.numbers(&peer.numbers);
            if told.as_ref() != Some(&peer.condition) {
                self.keeper.tell(&peer.condition)?;
                self.agent.changed(true, &peer.condition.last_error);
                told = Some(peer.condition.clone());
            }
            tokio::select! {
                // In this order: the pulse is heard however much there is to read and to send, and each turn
                // sends a batch.
                biased;
                _ = pulse.tick() => self.pulse(&mut engine, &mut said).await?,
                news = watch.next() => {
                    let news = news?;
                    let newest = news.iter().map(|seen| seen.revision).max();
                    peer.take(news)?;
                    peer.position.revision = peer.position.revision.max(newest.unwrap_or_default());
                }
                () = self.doorbell.rung() => {}
                () = std::future::ready(()), if more || turns => {}
            }
        }
    }

    /// Once a second, whatever else happens.
    async fn pulse(
        &mut self,
        engine: &mut Engine,
        said: &mut Option<(Instant, status::Said)>,
    ) -> std::result::Result<(), Stop> {
        let position = self.peer.position;
        self.peer.save(position)?;
        self.peer.compact(engine).await?;
        status::tell(self.peer, engine, said, STATUS).await?;
        if let Some(request) = self.keeper.asked_to_read_again() {
            self.peer.news.read_again_because("`strongroom cluster resync` asked for it");
            self.peer.read_again = true;
            self.read(engine).await?;
            self.keeper.has_read_again(&request);
            self.peer.condition.resynced = request;
        }
        Ok(())
    }

    /// Reads what this host missed, and says how far it is. What it has already is of use meanwhile.
    async fn read(&mut self, engine: &mut Engine) -> std::result::Result<(), Stop> {
        let (begun, taken) = (Instant::now(), self.peer.numbers.taken);
        let (keeper, agent, mut said) = (self.keeper, self.agent, None::<Instant>);
        let mut condition = self.peer.condition.clone();
        if !condition.connected {
            // It is about to be: whoever has a change waits for it, and is not told of a value refused meanwhile.
            condition.last_error.clear();
        }
        let mut progress = |done, all| {
            if said.is_some_and(|said| said.elapsed() < PROGRESS) {
                return;
            }
            said = Some(Instant::now());
            condition.reading = Some((done, all));
            // What cannot be said now is said when the reading is over, with the reason why not.
            let _ = keeper.tell(&condition);
            agent.reading(done, all);
        };
        self.peer.catch_up(engine, &mut progress).await?;
        let peer = &mut *self.peer;
        peer.numbers.contact = super::news::now();
        peer.news.caught_up(peer.numbers.taken - taken, begun.elapsed(), peer.position.revision);
        self.agent.numbers(&peer.numbers);
        if said.is_some() {
            // Nobody is to believe that it still reads.
            condition.reading = None;
            keeper.tell(&condition)?;
        }
        Ok(())
    }
}
