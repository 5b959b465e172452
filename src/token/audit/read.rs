//! Reading the log: for officers entry by entry, for anyone who can open the file whether it is whole.

use super::super::{Access, Token, policy};
use super::prune::follows;
use super::seed_in;
use crate::audit::chain::{Chain, Findings};
use crate::audit::{Entry, Tip};
use crate::crypto::ed25519::PrivateKey;
use crate::error::{Error, Result};
use crate::object::Object;
use crate::store::{BodyKey, Kind, Store};

/// How many lines are read at once: memory stays small, and no other reader waits long.
pub(super) const BATCH: usize = 1000;

/// Which entries are wanted; what is `None` wants all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Not before this time, as lines say it (RFC 3339, UTC).
    pub since: Option<String>,
    /// An event's name.
    pub event: Option<String>,
    /// A name or id, of the one who did it or whom it was done to.
    pub user: Option<String>,
    /// An object's id.
    pub object: Option<String>,
}

impl Filter {
    pub fn wants(&self, entry: &Entry) -> bool {
        self.since.as_ref().is_none_or(|since| entry.time >= *since)
            && self.event.as_ref().is_none_or(|event| entry.event == *event)
            && self.user.as_ref().is_none_or(|user| entry.concerns(user))
            && self.object.as_ref().is_none_or(|id| {
                entry.objects.contains(id) || entry.details.values().any(|detail| detail == id)
            })
    }
}

/// What a look at the whole log gave.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    pub found: Findings,
    /// Whether the log still has the line that somebody else remembers; `None`: nobody asked.
    pub holds: Option<bool>,
}

impl Token {
    /// The lines from a number on, in order, until `take` answers false; gives the number to go on from.
    /// `UserNotLoggedIn` unless an officer asks; `DeviceError` for a line that does not open.
    pub fn audit_lines(
        &self,
        access: Access<'_>,
        from: u64,
        mut take: impl FnMut(Entry, &[u8]) -> bool,
    ) -> Result<u64> {
        policy::may_manage(access, policy::Operation::ReadLog)?;
        let (store, mut next) = (self.store()?, from.max(1));
        loop {
            let lines = store.lines(next, BATCH)?;
            let full = lines.len() == BATCH;
            for (sequence, line) in lines {
                let entry = line.as_deref().and_then(|line| Some((Entry::parse(line)?, line)));
                let (entry, line) = entry.ok_or_else(|| {
                    Error::DeviceError.because(format_args!("entry {sequence} of the audit log was altered"))
                })?;
                next = sequence + 1;
                if !take(entry, line) {
                    return Ok(next);
                }
            }
            if !full {
                return Ok(next);
            }
        }
    }

    /// Signs the log as it is now; for officers.
    pub fn audit_checkpoint(&self, access: Access<'_>) -> Result<()> {
        policy::may_manage(access, policy::Operation::ReadLog)?;
        self.write(&*self.store()?, |change| change.checkpoint(access.login))
    }

    /// The public key (Ed25519, 32 bytes) that checkpoints are verified with; `None`: an older token that
    /// signed nothing yet.
    pub fn audit_key(&self) -> Result<Option<[u8; 32]>> {
        public_key(&*self.store()?)
    }

    /// Follows the whole chain and compares its end with what the token knows. `remembered`: an end of
    /// the log that someone kept elsewhere, which this one must go on from.
    pub fn audit_verify(&self, remembered: Option<Tip>) -> Result<Verification> {
        let store = self.store()?;
        let log = store.log()?;
        let mut chain = Chain::whole(store.token_id().to_string(), public_key(&store)?);
        let (mut next, mut holds) = (1, remembered.map(|tip| tip == Tip::default()));
        // What is added meanwhile is the next one's business.
        let end = log.tip.sequence.max(log.last);
        loop {
            let lines = store.lines(next, BATCH)?.into_iter().take_while(|(sequence, _)| *sequence <= end);
            let before = next;
            for (sequence, line) in lines {
                next = sequence + 1;
                match line {
                    Some(line) => {
                        chain.take(&line);
                        holds = holds.map(|holds| holds || follows(sequence, &line, remembered));
                    }
                    None => chain.unreadable(sequence),
                }
            }
            if next == before {
                break;
            }
        }
        Ok(Verification { found: chain.finish(Some(log.tip)), holds })
    }
}

pub(super) fn public_key(store: &Store) -> Result<Option<[u8; 32]>> {
    let Some(record) = store.load(Kind::Token, store.token_id())? else { return Ok(None) };
    let seed = seed_in(&Object::decode(&store.open_body(&record, BodyKey::Seal)?)?);
    seed.map(|seed| PrivateKey::new(&seed).map(|key| key.public())).transpose()
}
