//! Old entries leave the log, when an export has them.

use super::super::{Access, Token, policy};
use super::read::public_key;
use crate::audit::chain::{Findings, check_export};
use crate::audit::{Entry, Event, Note, Tip, hash};
use crate::error::{Error, Result};
use crate::store::Store;
use std::io::BufRead;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub removed: u64,
    /// The first entry that the log still has: a checkpoint, which stands for all before it.
    pub first: u64,
}

fn refused(why: impl std::fmt::Display) -> Error {
    Error::ActionProhibited.because(format_args!("nothing was removed: {why}"))
}

impl Token {
    /// Removes entries of before a time (RFC 3339, UTC) up to the last checkpoint of that time, for officers.
    /// `ActionProhibited` unless the export holds them all, is signed by this token and ends with an entry of
    /// this very log. That it was done is recorded, and is how `audit_verify` knows where the log may begin.
    pub fn audit_prune(&self, access: Access<'_>, before: &str, export: impl BufRead) -> Result<Pruned> {
        policy::may_manage(access, policy::Operation::PruneLog)?;
        let store = self.store()?;
        let key = public_key(&store)?.ok_or_else(|| refused("this token has signed nothing yet"))?;
        let found = check_export(export, key);
        let found = found.map_err(|error| refused(format_args!("the export cannot be read: {error}")))?;
        if let Some(fault) = found.faults.first() {
            return Err(refused(format_args!("the export is not whole: {fault}")));
        }
        let verified = self.audit_verify(Some(found.tip))?;
        if let Some(fault) = verified.found.faults.first() {
            return Err(refused(format_args!("the log is not whole: {fault}")));
        }
        if verified.holds != Some(true) {
            return Err(refused("the export does not end with an entry of this log"));
        }
        let present = verified.found.first;
        if found.first == 0 || found.first > present {
            return Err(refused(format_args!(
                "the export begins after entry {present}, the log's first one"
            )));
        }
        let first = checkpoint_before(&store, before, &found)?;
        let first = first.filter(|first| *first > present);
        let first = first
            .ok_or_else(|| refused("no checkpoint of before that time follows what is in the export"))?;
        self.write(&store, |change| {
            super::super::custody::still_good(change, access.login.ok_or(Error::UserNotLoggedIn)?)?;
            let removed = change.remove_lines(first - 1)?;
            let note = Note::of(Event::AuditPruned).detail("upto", first - 1).detail("before", before);
            change.audit(access.login, note.detail("exported", found.tip.sequence))?;
            Ok(Pruned { removed, first })
        })
    }
}

/// The last checkpoint of before a time whose predecessors the export has; it was verified already.
fn checkpoint_before(store: &Store, before: &str, exported: &Findings) -> Result<Option<u64>> {
    let (mut next, mut last) = (1, None);
    loop {
        let lines = store.lines(next, super::read::BATCH)?;
        if lines.is_empty() {
            return Ok(last);
        }
        for (sequence, line) in lines {
            let entry = line.as_deref().and_then(Entry::parse);
            let entry = entry.ok_or_else(|| refused(format_args!("entry {sequence} was altered")))?;
            if *entry.time >= *before || sequence - 1 > exported.tip.sequence {
                return Ok(last);
            }
            if entry.event == Event::Checkpoint.name() {
                last = Some(sequence);
            }
            next = sequence + 1;
        }
    }
}

/// Whether this line, the first one of a log, follows from the end that somebody remembers.
pub(super) fn follows(sequence: u64, line: &[u8], remembered: Option<Tip>) -> bool {
    let here = Tip { sequence, hash: hash(line) };
    let before = Entry::parse(line).and_then(|entry| {
        let previous = crate::audit::from_hex(&entry.previous)?.try_into().ok()?;
        Some(Tip { sequence: sequence.checked_sub(1)?, hash: previous })
    });
    remembered.is_some_and(|tip| tip == here || Some(tip) == before)
}
