//! What a host does when a new epoch began (`token::epochs` says what one is): it takes the epoch's secret from
//! its record, seals its own records anew, then what lies in etcd under an earlier one, and at the end throws the
//! earlier secrets away. All in small steps between other work; a host that is stopped in between begins again
//! and finds most of it done.

use super::engine::Engine;
use super::peer::{Peer, Stop};
use super::{on_this_thread, wire};
use crate::audit::{Event, Note};
use crate::config::ClusterConfig;
use crate::error::{Error, Result};
use crate::store::{Id, Mark};
use crate::token::{Access, Token, epochs};
use std::time::{Duration, Instant};

/// Records that are sealed anew in one transaction.
const BATCH: usize = 64;
/// Values of etcd that are looked at in one step.
const PAGE: i64 = 500;
/// So long at least both epochs are good: what was on its way when the new one began is taken.
const GRACE: Duration = Duration::from_secs(3);
/// The member who began the epoch seals what lies in etcd; each of the others begins so much later to look
/// whether all is done.
const TURN: Duration = Duration::from_secs(2);
/// How often somebody else may be faster with a new epoch.
const TRIES: usize = 16;

/// How far a host is with the present epoch.
#[derive(Default)]
pub(super) struct Progress {
    /// A later epoch, whose secret this host was not given.
    pub missing: Option<u32>,
    /// An officer on another member took this host out.
    pub removed: bool,
    step: Step,
}

#[derive(Default)]
enum Step {
    /// Nothing was looked at since the start.
    #[default]
    Unknown,
    /// The file: up to here, and whether this walk found anything.
    File {
        mark: Mark,
        found: bool,
    },
    /// What lies in etcd: from this key on, since when, and whether this walk found anything.
    Engine {
        from: Vec<u8>,
        not_before: Instant,
        found: bool,
    },
    Done,
}

impl Step {
    fn file() -> Step {
        Step::File { mark: Mark::default(), found: false }
    }
}

impl Peer<'_> {
    /// Takes the secrets of epochs whose records came.
    pub(super) fn learn_epochs(&mut self) -> Result<()> {
        let learned = self.write(epochs::learn)?;
        if let Some(number) = learned.new {
            self.store.refresh()?;
            self.progress.step = Step::file();
            log::info!(
                "cluster: epoch {number} begins: {} records here are sealed anew",
                self.store.stale()?
            );
            self.look_again();
        }
        self.progress.missing = learned.missing;
        Ok(())
    }

    /// Whether this host can go on as a member.
    pub(super) fn check_epoch(&self) -> std::result::Result<(), Stop> {
        if self.progress.removed {
            return Err(Stop::Removed);
        }
        self.progress
            .missing
            .map_or(Ok(()), |number| Err(Stop::WrongEpoch(number, self.store.ring().present())))
    }

    /// A member is one no more: nothing that it signs is good from now on.
    pub(super) fn expel(&mut self, member: Id) {
        self.progress.removed |= member == self.signer.id;
        if self.signers.remove(&member).is_some() {
            log::info!("cluster: host {member} was removed");
        }
    }

    /// The next step of a new epoch; whether there is another one to do at once.
    pub(super) async fn turn(&mut self, engine: &mut Engine) -> std::result::Result<bool, Stop> {
        if self.store.ring().epochs.len() < 2 {
            return Ok(false);
        }
        match std::mem::take(&mut self.progress.step) {
            Step::Unknown => self.progress.step = Step::file(),
            Step::File { mark, found } => self.turn_file(mark, found)?,
            Step::Engine { from, not_before, found } => {
                // What this walk found must be there before the next one looks.
                let waits = not_before > Instant::now() || (from.is_empty() && self.store.pending()? > 0);
                if waits {
                    self.progress.step = Step::Engine { from, not_before, found };
                    return Ok(false);
                }
                self.turn_engine(engine, from, found).await?;
            }
            Step::Done => self.progress.step = Step::file(),
        }
        Ok(!matches!(self.progress.step, Step::Done))
    }

    fn turn_file(&mut self, mark: Mark, found: bool) -> Result<()> {
        let next = self.write(|change| change.reseal(mark, BATCH))?;
        self.progress.step = match next {
            Some(mark) => Step::File { mark, found: true },
            None if found => Step::file(),
            None => {
                log::info!("cluster: all records of this file are of epoch {}", self.store.ring().present());
                let not_before = Instant::now() + TURN * self.place()?;
                Step::Engine { from: Vec::new(), not_before, found: false }
            }
        };
        Ok(())
    }

    /// How many members look before this one.
    fn place(&self) -> Result<u32> {
        let first = epochs::begun_by(&self.store)?;
        let members: Vec<Id> = self.signers.keys().copied().collect();
        let at = |id: Id| members.iter().position(|member| *member == id).unwrap_or_default();
        let (own, first) = (at(self.signer.id), first.map_or(0, at));
        let count = members.len().max(1);
        Ok(((own + count - first) % count) as u32)
    }

    async fn turn_engine(
        &mut self,
        engine: &mut Engine,
        from: Vec<u8>,
        mut found: bool,
    ) -> std::result::Result<(), Stop> {
        let prefix = self.places.records();
        let begin = if from.is_empty() { prefix.clone() } else { from };
        let page = engine.page((&prefix, &begin), &mut { PAGE }, 0, 0).await?;
        let old = page.kvs.iter().filter(|kv| !wire::is_present(&self.store, &kv.key, &kv.value));
        let mut again = Vec::new();
        for kv in old {
            let Some(id) = self.places.id(&kv.key) else { continue };
            let good = wire::unpack_record(&self.store, &self.signers, (&self.places, &kv.key), &kv.value);
            if good.is_ok() || self.store.has(id)? {
                again.push(id);
            }
        }
        found |= !again.is_empty();
        if !again.is_empty() {
            self.write(|change| again.iter().try_for_each(|id| super::peer::resend(change, *id)))?;
        }
        self.progress.step = match page.kvs.last().filter(|_| page.more) {
            Some(last) => {
                Step::Engine { from: [&last.key[..], &[0]].concat(), not_before: Instant::now(), found }
            }
            None if found => {
                Step::Engine { from: Vec::new(), not_before: Instant::now() + GRACE, found: false }
            }
            None => self.end_earlier()?,
        };
        Ok(())
    }

    /// Everything here and in etcd is of the present epoch.
    fn end_earlier(&mut self) -> Result<Step> {
        let gone = self.write(|change| {
            let gone = change.drop_epochs()?;
            for number in &gone {
                change.enter(Note::of(Event::EpochEnded).detail("epoch", number))?;
            }
            Ok(gone)
        })?;
        if gone.is_empty() {
            // Somebody wrote meanwhile who did not know yet.
            return Ok(Step::file());
        }
        self.store.refresh()?;
        self.outdate(self.position.revision);
        log::info!(
            "cluster: everything is of epoch {}; what came before is closed",
            self.store.ring().present()
        );
        Ok(Step::Done)
    }
}

/// Takes a member out, and begins an epoch without it; the number. `None`: only a new epoch.
pub fn rotate(
    token: &Token,
    config: &ClusterConfig,
    access: Access<'_>,
    remove: Option<Id>,
) -> std::result::Result<u32, Stop> {
    let mut peer = Peer::new(token, &config.prefix)?;
    on_this_thread(async {
        let mut engine = Engine::connect(config).await?;
        // Nobody is taken out by an officer who cannot finish it.
        peer.read_members(&mut engine).await?;
        peer.check_epoch()?;
        if let Some(member) = remove {
            token.remove_member(access, member)?;
            peer.expel(member);
            // Before the epoch begins, whatever durability is: whoever hears of it must know who is out.
            while peer.send(&mut engine).await? {}
        }
        for _ in 0..TRIES {
            peer.read_members(&mut engine).await?;
            peer.check_epoch()?;
            let new = token.new_epoch(access)?;
            let put = peer.packed(&new.row)?;
            let key = put.key.clone();
            match engine.swap(vec![put]).await? {
                Ok(_) => {
                    token.keep_epoch(access, &peer.store, &new)?;
                    return Ok(new.number);
                }
                // Another officer's, which is read now; or what no member wrote, which is written over.
                Err(there) => peer.note_there(&key, new.row.record.header.id, there),
            }
        }
        Err(Stop::Host(Error::FunctionFailed.because("others begin epochs all the time")))
    })?
}
