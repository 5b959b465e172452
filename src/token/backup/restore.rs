//! Everything back: to a host without a token, or over the same token.
//!
//! Over a present token its audit log stays, whatever the backup's says: it goes on with the restore, so
//! nothing that happened is forgotten. Only where the backup's log has all of the present one and more (an
//! older backup was restored before) does it take its place.

use super::super::policy::Operation;
use super::super::{Access, Token, custody::still_good};
use super::contents::{self, Contents};
use super::header::Header;
use super::recipients::Secrets;
use crate::audit::{Entry, Event, Note, Tip, hash};
use crate::error::{Error, Result};
use crate::store::{Change, Id, Row, Store};
use std::path::Path;

/// What is to come back.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    Whole,
    /// A user of this name with his keys, what he owns and what others share with him.
    User(&'a str),
    /// One object.
    Key(Id),
}

/// What came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// A token was made where none was.
    pub new: bool,
    pub users: u64,
    pub objects: u64,
    /// Objects of the backup that stayed away: others own them now, or nobody is left who could open them.
    pub left_out: u64,
}

/// What happens to a token all the time and changes neither people nor objects.
const HARMLESS: &[Event] = &[
    Event::Login,
    Event::LoginFailed,
    Event::Logout,
    Event::LoginsRepeated,
    Event::Wrap,
    Event::Use,
    Event::Backup,
    Event::BackupPruned,
    Event::Checkpoint,
];

/// How the present log and a backup's stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Relation {
    /// The present one goes on from the backup's end: with so many changes, the first of them so.
    Newer { changes: u64, first: Option<(u64, String)> },
    /// The backup's goes on from the present one's end.
    Older,
    /// Neither.
    Forked,
}

pub(super) fn note(what: &str, path: &Path, header: &Header, forced: bool) -> Note {
    let note = Note::of(Event::Restore).detail("what", what).detail("file", path.display());
    let note = note.detail("backup_sequence", header.sequence).detail("backup_hash", &header.hash);
    if forced { note.detail("forced", true) } else { note }
}

fn refused(why: impl std::fmt::Display) -> Error {
    Error::ActionProhibited.because(why)
}

impl Relation {
    /// Why it needs force, if it does.
    fn objection(&self) -> Option<String> {
        match self {
            Relation::Newer { first: Some((sequence, event)), changes } => Some(format!(
                "the token is newer than this backup: {changes} changes would be lost, the first is entry {sequence} \
                 of the audit log ({event})"
            )),
            Relation::Newer { .. } | Relation::Older => None,
            Relation::Forked => Some(
                "the present token and this backup went apart: neither one's audit log goes on from the other's"
                    .into(),
            ),
        }
    }
}

impl Token {
    /// Brings back what a backup holds. Where there is no token, nobody needs to be logged in; over a present
    /// one, which must be the same, an officer. All of it or nothing: on an error the token is as before.
    /// Errors: as of [`contents::read`]; `ActionProhibited` for what needs `force`; `ArgumentsBad` when the
    /// present token is another one, or the backup has no such user or object.
    pub fn restore_backup(
        &self,
        access: Access<'_>,
        path: &Path,
        secrets: &Secrets,
        what: What<'_>,
        force: bool,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Restored> {
        if !Store::exists(&self.config) {
            return self.restore_new((path, secrets), what, watch);
        }
        match what {
            What::Whole => self.restore_over(access, (path, secrets), force, watch),
            What::User(name) => self.restore_user(access, (path, secrets), name, force, watch),
            What::Key(id) => self.restore_key(access, (path, secrets), id, force, watch),
        }
    }

    /// Everything over the present token.
    fn restore_over(
        &self,
        access: Access<'_>,
        (path, secrets): (&Path, &Secrets),
        force: bool,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Restored> {
        let officer = Self::officer(access, Operation::Backup)?;
        let store = self.store()?;
        let mut ends = Ends { wanted: store.log()?.tip.sequence, found: None };
        let contents = self.looked_through(&store, path, secrets, watch, &mut |reading, row| {
            ends.take(reading, row);
            Ok(())
        })?;
        // So that nothing of this process is added to the log after it was compared.
        self.write_repeats();
        let (relation, tip) = self.relation(&store, contents.tip, &ends)?;
        if let Some(why) = relation.objection().filter(|_| !force) {
            return Err(refused(why));
        }
        let forced = relation.objection().is_some();
        let note = note("whole", path, &contents.header, forced).by(Some(officer.person()));
        let note = note.detail("over_sequence", tip.sequence).detail("over_hash", crate::audit::hex(&tip.hash));
        let restored = self.write(&store, |change| {
            still_good(change, officer)?;
            if change.tip() != tip {
                return Err(Error::FunctionFailed.because("the token was changed meanwhile: try again"));
            }
            change.empty()?;
            if relation == Relation::Older {
                change.empty_lines()?;
            }
            let restored = put_all(change, (path, secrets), relation == Relation::Older, watch)?;
            change.enter(note)?;
            Ok(restored)
        })?;
        self.forget_passwords();
        // It is done, whatever this says; who looks next sees it too.
        let _ = self.look(&store);
        Ok(restored)
    }

    /// Reads a backup of the present token to its end.
    pub(super) fn looked_through(
        &self,
        store: &Store,
        path: &Path,
        secrets: &Secrets,
        watch: &mut dyn FnMut(u64, u64),
        take: &mut dyn FnMut(&contents::Reading, &Row) -> Result<()>,
    ) -> Result<Contents> {
        let contents = contents::read(path, secrets, watch, take)?;
        if !store.is(&contents.identity) {
            return Err(Error::ArgumentsBad.because(format_args!(
                "this backup is of token {}, and the present one is {}: it is never overwritten. Move its file away to \
                 restore the other one, or configure another slot",
                contents.identity.token,
                store.token_id()
            )));
        }
        Ok(contents)
    }

    /// How the logs stand to each other, and the end of the present one at that moment.
    fn relation(&self, store: &Store, backup: Tip, ends: &Ends) -> Result<(Relation, Tip)> {
        let present = store.log()?.tip;
        if backup.sequence > present.sequence {
            let goes_on = present == Tip::default() || ends.found == Some(present);
            return Ok((if goes_on { Relation::Older } else { Relation::Forked }, present));
        }
        let (mut changes, mut first, mut next) = (0, None, backup.sequence.max(1));
        let mut goes_on = backup.sequence == 0;
        while next <= present.sequence {
            let lines = store.lines(next, 1000)?;
            if lines.is_empty() {
                break;
            }
            for (sequence, line) in lines {
                next = sequence + 1;
                let altered =
                    || Error::DeviceError.because(format_args!("entry {sequence} of the log was altered"));
                let line = line.ok_or_else(altered)?;
                if sequence == backup.sequence {
                    goes_on = hash(&line) == backup.hash;
                    continue;
                }
                let event = Entry::parse(&line).ok_or_else(altered)?.event;
                if !HARMLESS.iter().any(|harmless| harmless.name() == event) {
                    changes += 1;
                    first.get_or_insert((sequence, event));
                }
            }
        }
        let relation = if goes_on { Relation::Newer { changes, first } } else { Relation::Forked };
        Ok((relation, present))
    }

    /// Whether the present token could be restored from a backup without force; if not, why.
    pub(super) fn would_accept(&self, contents: &Contents) -> Result<std::result::Result<(), String>> {
        let store = self.store()?;
        if !store.is(&contents.identity) {
            return Ok(Err("the present token is another one".into()));
        }
        let present = store.log()?.tip;
        if contents.tip.sequence > present.sequence {
            return Ok(Err("its audit log is longer than the present one: restore compares them".into()));
        }
        let (relation, _) = self.relation(&store, contents.tip, &Ends::default())?;
        Ok(relation.objection().map_or(Ok(()), Err))
    }

    /// What was proved of passwords is proved again: they may be those of another time.
    pub(super) fn forget_passwords(&self) {
        self.verifiers.write().forget();
        *self.info.write() = None;
    }
}

/// The hash at one place of a backup's log: where the present log ends.
#[derive(Default)]
struct Ends {
    wanted: u64,
    found: Option<Tip>,
}

impl Ends {
    fn take(&mut self, reading: &contents::Reading, row: &Row) {
        if matches!(row, Row::Line(sequence, _) if *sequence == self.wanted) {
            self.found = Some(reading.check.so_far());
        }
    }
}

/// All records of a backup into an empty token, and its log if that is wanted.
pub(super) fn put_all(
    change: &mut Change<'_>,
    (path, secrets): (&Path, &Secrets),
    with_log: bool,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<Restored> {
    let contents = contents::read(path, secrets, watch, &mut |_, row| match row {
        Row::Identity(_) => Ok(()),
        Row::Record(row) => change.put_back(row),
        Row::Line(sequence, body) if with_log => change.put_line_back(*sequence, body),
        Row::Line(..) => Ok(()),
    })?;
    if !change.is_whole(&contents.identity)? {
        return Err(Error::DeviceError.because("what was restored is not what the backup says"));
    }
    let counts = &contents.counts;
    let (users, objects) = (counts.officers + counts.users, counts.objects());
    Ok(Restored { users, objects, ..Restored::default() })
}
