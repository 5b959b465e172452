//! Old entries leave the log, when an export has them.

use super::super::{Access, Token, policy};
use super::read::public_key;
use crate::audit::chain::{Findings, check_export};
use crate::audit::{Entry, Event, Note, Tip, hash};
use crate::error::{Error, Result};
use crate::store::{Change, Store};
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
        let first = first.filter(|first| first.sequence > present);
        let first = first
            .ok_or_else(|| refused("no checkpoint of before that time follows what is in the export"))?;
        self.remove_exported(access, &store, before, first, found.tip)
    }

    /// `first`: the checkpoint that stays; `exported`: the export's end. What was verified before need not be
    /// so any more: `FunctionFailed` when a restore put another log there.
    pub(super) fn remove_exported(
        &self,
        access: Access<'_>,
        store: &Store,
        before: &str,
        first: Tip,
        exported: Tip,
    ) -> Result<Pruned> {
        let upto = first.sequence - 1;
        self.write_own(store, |change| {
            super::super::custody::still_good(change, access.login.ok_or(Error::UserNotLoggedIn)?)?;
            if !still_holds(change, first, exported)? {
                let why = "nothing was removed: the log was replaced meanwhile; export it again";
                return Err(Error::FunctionFailed.because(why));
            }
            let removed = change.remove_lines(upto)?;
            let note = Note::of(Event::AuditPruned).detail("upto", upto).detail("before", before);
            change.audit(access.login, note.detail("exported", exported.sequence))?;
            Ok(Pruned { removed, first: first.sequence })
        })
    }
}

/// Whether the log has this checkpoint, and goes on from the export's end: each line names the one before, so
/// all before both are the ones that were verified.
fn still_holds(change: &Change<'_>, first: Tip, exported: Tip) -> Result<bool> {
    if change.line(first.sequence)?.is_none_or(|line| hash(&line) != first.hash) {
        return Ok(false);
    }
    for sequence in [exported.sequence, exported.sequence + 1] {
        if change.line(sequence)?.is_some_and(|line| follows(sequence, &line, Some(exported))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The last checkpoint of before a time whose predecessors the export has; it was verified already.
fn checkpoint_before(store: &Store, before: &str, exported: &Findings) -> Result<Option<Tip>> {
    let (mut next, mut last) = (1, None);
    loop {
        let lines = store.lines(next, super::read::BATCH)?;
        if lines.is_empty() {
            return Ok(last);
        }
        for (sequence, line) in lines {
            let entry = line.as_deref().and_then(|line| Some((Entry::parse(line)?, line)));
            let (entry, line) = entry.ok_or_else(|| refused(format_args!("entry {sequence} was altered")))?;
            if *entry.time >= *before || sequence - 1 > exported.tip.sequence {
                return Ok(last);
            }
            if entry.event == Event::Checkpoint.name() {
                last = Some(Tip { sequence, hash: hash(line) });
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
