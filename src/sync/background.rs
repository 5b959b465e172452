//! The thread of a program that loaded the module: waits until nobody else on this host keeps the token in
//! step, then does so, until C_Finalize or until an agent wants to.
//!
//! It is a guest. It works with a token and connections of its own, so that it holds nothing that the
//! program's threads wait for; the caller starts it with its signals blocked; when it panics, the program
//! goes on. A forked child has no such thread and forgets its parent's; nothing of it is shared but locks
//! that belong to the parent alone (`store::process_lock`).

use super::run::{Agent, keep};
use super::{carry, on_this_thread};
use crate::config::SlotConfig;
use crate::error::Result;
use crate::store::keeper::{self, Keeper};
use crate::token::Token;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How often it is looked whether somebody else, or an agent, is there. The first time after as long: a
/// program that lives no longer bothers nobody.
const LOOK: Duration = Duration::from_millis(250);
/// The same for a token that is not made yet, or is in no cluster.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long C_Finalize waits for it: a thread that is in the middle of writing ends by itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// Locks of the standard library: they are words, and nothing of them is anywhere else when another thread
/// forks. Without a rank: whoever holds one takes no other of ours.
static THREADS: Mutex<Vec<Arc<Thread>>> = Mutex::new(Vec::new());

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Thread {
    /// For good: a thread that C_Finalize did not wait for may still use it.
    token: &'static Token,
    state: Mutex<State>,
    changed: Condvar,
    /// The same for who waits in a runtime.
    called: Notify,
    handle: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    stop: bool,
    rung: bool,
    ended: bool,
    /// What the log was told last.
    connected: bool,
}

/// Starts one for a slot, if it is to have one. Touches no file and waits for nothing.
pub fn start(slot: &SlotConfig) {
    if !slot.cluster.as_ref().is_some_and(|cluster| cluster.background) {
        return;
    }
    let thread = Arc::new(Thread {
        token: Box::leak(Box::new(Token::new(slot.clone()))),
        state: Mutex::default(),
        changed: Condvar::new(),
        called: Notify::new(),
        handle: Mutex::default(),
    });
    let body = Arc::clone(&thread);
    // In the list before it runs: a fork must find its token.
    let mut threads = locked(&THREADS);
    let started = std::thread::Builder::new().name("strongroom-sync".into()).spawn(move || body.run());
    match started {
        Ok(handle) => {
            *locked(&thread.handle) = Some(handle);
            threads.push(thread);
        }
        Err(error) => log::warn!("cluster: no thread for slot {}: {error}", slot.id),
    }
}

/// Stops all of this process, and waits for their end; closes what a caller's changes left open.
pub fn stop() {
    carry::forget();
    let threads = locked(&THREADS).clone();
    threads.iter().for_each(|thread| thread.tell(|state| state.stop = true));
    let until = Instant::now() + PATIENCE;
    for thread in threads {
        if !thread.wait_for(until, |state| state.ended) {
            log::warn!("cluster: the thread of {} ends later", thread.token.path().display());
            continue;
        }
        // All that is left of it is its last instruction.
        let handle = locked(&thread.handle).take();
        handle.map(JoinHandle::join);
    }
}

/// Whether this process has a thread for the token, which looks at once now.
pub fn ring(token: &Path) -> bool {
    let threads = locked(&THREADS);
    let Some(thread) = threads.iter().find(|thread| thread.token.path() == token) else { return false };
    thread.tell(|state| state.rung = true);
    true
}

/// The list, held over a fork.
pub struct ForkGuard(MutexGuard<'static, Vec<Arc<Thread>>>);

pub fn fork_guard() -> ForkGuard {
    ForkGuard(locked(&THREADS))
}

impl ForkGuard {
    /// Whose files are to be closed over the fork.
    pub fn tokens(&self) -> impl Iterator<Item = &'static Token> {
        self.0.iter().map(|thread| thread.token)
    }
}

/// In a forked child: they are the parent's. Not freed: their locks and handles are as they were.
pub fn forget_parents() {
    std::mem::take(&mut *locked(&THREADS)).into_iter().for_each(std::mem::forget);
}

/// Runs a part of the thread: a panic is logged and costs a pause.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Some(done),
        Ok(Err(_)) => None,
        Err(panic) => {
            // Dropping what was thrown could throw again.
            std::mem::forget(panic);
            log::error!("cluster: the background thread panicked; this is a defect of Strongroom");
            None
        }
    }
}

impl Thread {
    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut locked(&self.state));
        self.changed.notify_all();
        self.called.notify_one();
    }

    fn run(&self) {
        let (mut pause, mut after_failure) = (LOOK, LOOK);
        while self.rest(pause) {
            pause = match guarded(|| self.attempt()) {
                Some(pause) => {
                    after_failure = LOOK;
                    pause
                }
                None => {
                    self.close();
                    after_failure = (after_failure * 2).min(LONGEST_PAUSE);
                    after_failure
                }
            };
        }
        self.close();
        locked(&THREADS).retain(|thread| !std::ptr::eq(&**thread, self));
        self.tell(|state| state.ended = true);
    }

    fn close(&self) {
        guarded(|| {
            self.token.close();
            Ok(())
        });
    }

    /// Whether its state is so, at the latest by `until`.
    fn wait_for(&self, until: Instant, is: impl Fn(&State) -> bool) -> bool {
        let mut state = locked(&self.state);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if is(&state) || left.is_zero() {
                return is(&state);
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sleeps until it is time or somebody rings; whether to go on.
    fn rest(&self, pause: Duration) -> bool {
        self.wait_for(Instant::now() + pause, |state| state.stop || state.rung);
        let mut state = locked(&self.state);
        state.rung = false;
        !state.stop
    }

    /// Keeps the token in step if nobody else does, and returns how long to rest when that is over.
    fn attempt(&self) -> Result<Duration> {
        let (Some(cluster), true) = (&self.token.config().cluster, self.token.is_made()) else {
            return Ok(LOOK_AGAIN);
        };
        // The file first: another copy of this library in the process, which may not have it open, may not
        // look at its locks either.
        if self.token.peer()?.is_none() {
            self.token.close();
            return Ok(LOOK_AGAIN);
        }
        if self.token.was_removed()? {
            return Ok(LOOK_AGAIN);
        }
        let path = self.token.path();
        if keeper::agent(path).is_some() {
            return Ok(LOOK);
        }
        let Some(keeper) = Keeper::become_for(path)? else { return Ok(LOOK) };
        on_this_thread(async {
            let stopped = std::pin::pin!(self.stopped());
            keep(self.token, cluster, self, keeper, stopped).await
        })??;
        Ok(LOOK)
    }
}

impl Agent for Thread {
    fn changed(&self, connected: bool, why: &str) {
        let before = std::mem::replace(&mut locked(&self.state).connected, connected);
        match connected {
            true if !before => log::info!("cluster: in step, by a thread of this program"),
            false if before => log::warn!("cluster: cut off: {why}"),
            _ => {}
        }
    }

    async fn stopped(&self) {
        while !locked(&self.state).stop && keeper::agent(self.token.path()).is_none() {
            let _ = tokio::time::timeout(LOOK, self.called.notified()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_panic_and_an_error_cost_a_pause() {
        assert_eq!(guarded(|| Ok(LOOK)), Some(LOOK));
        assert_eq!(guarded::<()>(|| Err(Error::DeviceError)), None);
        assert_eq!(guarded::<()>(|| panic!("on purpose")), None);
    }
}
