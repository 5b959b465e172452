//! Whether a backup is older than the present token: by the audit log, which tells every change of a token.

use super::contents::Reading;
use crate::audit::{Entry, Event, Tip, hash};
use crate::error::Result;
use crate::store::{Line, Row, Store};
use std::collections::VecDeque;

/// How many lines of the present log are read at once.
const BATCH: usize = 1000;

/// What changes neither people nor objects, or nothing that a restore touches.
const HARMLESS: &[Event] = &[
    Event::Login,
    Event::LoginFailed,
    Event::Logout,
    Event::LoginsRepeated,
    Event::Wrap,
    Event::Use,
    Event::Backup,
    Event::BackupPruned,
    Event::ApplianceMade,
    Event::CloneApproved,
    Event::ReplicatedOut,
    Event::AuditPruned,
    Event::Checkpoint,
    // The seals are of the file, and stay.
    Event::SealAdded,
    Event::SealRemoved,
    Event::SealRotated,
];

/// What may be missing in the log that goes on: it tells of nothing that anyone did with a key, of no attempt
/// and of nothing that left the token.
const FORGETTABLE: &[Event] = &[
    Event::Login,
    Event::Logout,
    Event::LoginsRepeated,
    // A host without one gets it at the first login after a restore.
    Event::ApplianceMade,
    Event::Checkpoint,
    // From backups that are there still.
    Event::Restore,
];

/// Follows a backup's log beside the present one.
pub struct Comparing<'a> {
    store: &'a Store,
    /// Where the present log ended when the comparison began.
    present: Tip,
    ahead: VecDeque<Line>,
    /// The last entry that both have.
    common: u64,
}

/// How the present token stands to a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Where the present log ended.
    pub present: Tip,
    /// The present log goes on from the backup's end.
    follows: bool,
    /// What the present token has that the backup has not: how many changes, the first of them.
    changes: u64,
    first: Option<(u64, String)>,
    /// And none of its entries has to be kept.
    forgettable: bool,
}

impl<'a> Comparing<'a> {
    pub fn new(store: &'a Store) -> Result<Comparing<'a>> {
        Ok(Comparing { store, present: store.log()?.tip, ahead: VecDeque::new(), common: 0 })
    }

    /// The backup's next row.
    pub fn take(&mut self, reading: &Reading, row: &Row) -> Result<()> {
        let Row::Line(sequence, _) = row else { return Ok(()) };
        // Either log may begin later than the other. Each entry holds the hash of the one before: where one is
        // the same, all before it were.
        if *sequence <= self.present.sequence {
            if self.ahead.is_empty() {
                self.ahead = self.store.lines(*sequence, BATCH)?.into();
            }
            if self.ahead.front().is_some_and(|(there, _)| there == sequence)
                && let Some((_, Some(line))) = self.ahead.pop_front()
                && hash(&line) == reading.check.so_far().hash
            {
                self.common = *sequence;
            }
        }
        Ok(())
    }

    /// The backup's log ends here.
    pub fn finish(self, backup: Tip) -> Result<Comparison> {
        let mut comparison = Comparison {
            present: self.present,
            follows: self.common == backup.sequence,
            changes: 0,
            first: None,
            forgettable: true,
        };
        if self.common == 0 && self.present.sequence > 0 && backup.sequence > 0 {
            // Old entries were removed of one of them, or it is another log.
            comparison.changes += 1;
            comparison.forgettable = false;
            comparison.first = Some((0, "no entry in common".into()));
        }
        let mut next = self.common + 1;
        while next <= self.present.sequence {
            let lines = self.store.lines(next, BATCH)?;
            if lines.is_empty() {
                break;
            }
            for (sequence, line) in lines {
                next = sequence + 1;
                // What nobody can read may have been anything.
                let event =
                    line.and_then(|line| Entry::parse(&line)).map_or("altered".into(), |entry| entry.event);
                let is_of = |events: &[Event]| events.iter().any(|known| known.name() == event);
                comparison.forgettable &= is_of(FORGETTABLE);
                if !is_of(HARMLESS) {
                    comparison.changes += 1;
                    comparison.first.get_or_insert((sequence, event));
                }
            }
        }
        Ok(comparison)
    }
}

impl Comparison {
    /// The backup's log is the one to go on with: it has what happened since, and the present one does not.
    pub fn takes_backups_log(&self) -> bool {
        !self.follows && self.forgettable
    }

    /// Why it needs force, if it does.
    pub fn objection(&self) -> Option<String> {
        let (sequence, event) = self.first.as_ref()?;
        let what = match self.follows {
            true => "the token is newer than this backup",
            false => "the token and this backup went apart",
        };
        Some(format!(
            "{what}: changes since then, which would be lost: {}; the first is entry {sequence} of the audit log ({event})",
            self.changes
        ))
    }
}
