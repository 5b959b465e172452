//! A whole backup into a running cluster: what its members lack comes from this host, as any change does. What is
//! newer there stays, and what was destroyed there stays destroyed.
//!
//! Two readings: the first says what is wanted, the second puts it in, in transactions small enough that nobody
//! waits for long. Each by itself leaves the token whole, and a merge may be done again.
//!
//! Destroyed records leave something behind in a cluster only (kind `Gone`). What is not here at all may have been
//! destroyed before this was a cluster; but then no member wrote it, and it stays out unless somebody asks for it.

use super::super::custody::still_good;
use super::super::policy::Operation;
use super::super::{Access, Login, Role, Token};
use super::contents::{Contents, Reading, read};
use super::partial::{is_pending, settle_in, whose};
use super::recipients::Secrets;
use super::restore::{Merged, Restored, note};
use crate::audit::hash;
use crate::config::ResetPolicy;
use crate::error::{Error, Result};
use crate::store::merge::{Verdict, decide};
use crate::store::{Change, Id, Kind, RecordRow, Row, Store};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

/// Records in one transaction.
const BATCH: usize = 500;

/// What of a backup is wanted, and why the rest is not.
struct Plan<'a> {
    token: &'a Token,
    store: &'a Store,
    /// Who ever was a member.
    members: BTreeSet<Id>,
    /// Also what none of them wrote.
    unknown: bool,
    /// With the hash of their bytes: the second reading must be of the same.
    wanted: HashMap<Id, [u8; 32]>,
    /// Users among them.
    people: BTreeSet<Id>,
    merged: Merged,
    left_out: u64,
}

impl<'a> Plan<'a> {
    fn new(token: &'a Token, store: &'a Store, unknown: bool) -> Result<Plan<'a>> {
        let present = store.list(Kind::Member)?.into_iter();
        let former = store.list(Kind::Gone)?.into_iter().filter(|header| header.was(Kind::Member));
        Ok(Plan {
            token,
            store,
            members: present.chain(former).map(|header| header.id).collect(),
            unknown,
            wanted: HashMap::new(),
            people: BTreeSet::new(),
            merged: Merged::default(),
            left_out: 0,
        })
    }

    fn take(&mut self, reading: &Reading, row: &Row) -> Result<()> {
        let Row::Record(row) = row else { return Ok(()) };
        let header = row.record.header;
        // Who is a member, and what an epoch is, the members say.
        if [Kind::Member, Kind::Epoch].iter().any(|kind| header.kind == *kind || header.was(*kind)) {
            return Ok(());
        }
        let here = self.store.sealed_here(row, |record| reading.check.open(record))?;
        let ours = self.store.whole(header.id)?;
        match decide(ours.as_ref(), &here) {
            Verdict::Same => self.merged.same += 1,
            Verdict::Foreign => self.left_out += 1,
            Verdict::Ours if ours.as_ref().is_some_and(|ours| ours.record.header.kind == Kind::Gone) => {
                *if header.kind == Kind::Gone {
                    &mut self.merged.same
                } else {
                    &mut self.merged.destroyed
                } += 1;
            }
            Verdict::Ours => self.merged.newer += 1,
            Verdict::Theirs if !self.members.contains(&header.author) && !self.unknown => {
                self.merged.unknown += 1;
            }
            Verdict::Theirs if !self.fits(reading, row, ours.as_ref())? => self.left_out += 1,
            Verdict::Theirs => {
                if header.kind == Kind::User {
                    self.people.insert(header.id);
                }
                self.wanted.insert(header.id, hash(&row.encode()));
            }
        }
        Ok(())
    }

    /// Whether it can be of use here, and does nobody harm.
    fn fits(&self, reading: &Reading, row: &RecordRow, ours: Option<&RecordRow>) -> Result<bool> {
        let id = row.record.header.id;
        match row.record.header.kind {
            Kind::User => {
                let Some(user) = reading.people.get(&id) else { return Ok(false) };
                let present = self.token.load_user(self.store, id)?;
                let others_name =
                    self.token.find_user(self.store, &user.name)?.is_some_and(|other| other.header.id != id);
                // An officer who is not here was deleted, or is made anew by one who is.
                let missing_officer = user.role == Role::Officer && present.is_none();
                // What he has here, of a time that the backup does not know, would not open any more.
                let other_keys = present.is_some_and(|present| present.public != user.public)
                    && !self.members.contains(&row.record.header.author);
                Ok(!(others_name || missing_officer || other_keys))
            }
            Kind::Object if ours.is_none() || !self.members.contains(&row.record.header.author) => {
                let owner = whose(&row.record, |record| reading.check.open(record))?;
                if row.record.header.owner == Id::NONE || self.people.contains(&owner) {
                    return Ok(true);
                }
                let then = reading.people.get(&owner).map(|user| user.public);
                let now = self.token.load_user(self.store, owner)?.map(|user| user.public);
                Ok(then.is_some() && then == now)
            }
            // Of another cluster's it would bring that one's reset key and schedule.
            Kind::Token => Ok(self.members.contains(&row.record.header.author)),
            Kind::Object | Kind::Gone => Ok(true),
            Kind::Member | Kind::Epoch => Ok(false),
        }
    }
}

/// The second reading.
struct Putting<'a> {
    token: &'a Token,
    store: &'a Store,
    officer: &'a Arc<Login>,
    policy: ResetPolicy,
    path: &'a Path,
    contents: &'a Contents,
    batch: Vec<RecordRow>,
    restored: Restored,
}

impl Token {
    /// Everything of a backup that this cluster lacks.
    pub(super) fn merge_backup(
        &self,
        access: Access<'_>,
        (path, secrets): (&Path, &Secrets),
        unknown: bool,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Restored> {
        let officer = Self::officer(access, Operation::Backup)?;
        let store = self.store()?;
        let mut plan = Plan::new(self, &store, unknown)?;
        let take = &mut |reading: &Reading, row: &Row| plan.take(reading, row);
        let contents = self.looked_through(&store, path, secrets, watch, take)?;
        let Plan { wanted, merged, left_out, .. } = plan;
        let mut putting = Putting {
            token: self,
            store: &store,
            officer,
            policy: self.policy_of(&store)?,
            path,
            contents: &contents,
            batch: Vec::new(),
            restored: Restored { merged, left_out, ..Restored::default() },
        };
        let again = read(path, secrets, watch, &mut |reading, row| match row {
            Row::Record(row) if wanted.contains_key(&row.record.header.id) => {
                if wanted[&row.record.header.id] != hash(&row.encode()) {
                    return Err(Error::FunctionFailed.because("the backup was exchanged meanwhile"));
                }
                putting.add(store.sealed_here(row, |record| reading.check.open(record))?)
            }
            _ => Ok(()),
        })?;
        again.is_still(&contents)?;
        putting.put(true)?;
        let restored = putting.restored;
        self.forget_passwords();
        let _ = self.look(&store);
        Ok(restored)
    }
}

impl Putting<'_> {
    fn add(&mut self, row: RecordRow) -> Result<()> {
        self.batch.push(row);
        if self.batch.len() < BATCH { Ok(()) } else { self.put(false) }
    }

    /// One transaction. The last one says in the audit log what stayed away.
    fn put(&mut self, last: bool) -> Result<()> {
        let (batch, before) = (std::mem::take(&mut self.batch), self.restored);
        let mut restored = before;
        let written = self.token.write(self.store, |change| {
            restored = before;
            still_good(change, self.officer)?;
            if change.peer_id().is_none() {
                return Err(Error::ActionProhibited.because("this token left its cluster meanwhile"));
            }
            let mut note = note("merge", self.path, &self.contents.header, false);
            for row in &batch {
                if self.put_one(change, row, &mut restored)? {
                    note = note.object(row.record.header.id);
                }
            }
            note = note.detail("users", restored.users - before.users);
            note = note.detail("objects", restored.objects - before.objects);
            note = note.detail("updated", restored.merged.updated - before.merged.updated);
            note = note.detail("removed", restored.merged.removed - before.merged.removed);
            if last {
                let Merged { newer, destroyed, unknown, .. } = restored.merged;
                note = note.detail("newer_here", newer).detail("destroyed_here", destroyed);
                note = note.detail("unknown", unknown).detail("left_out", restored.left_out);
            }
            change.audit(Some(self.officer), note)
        });
        let pending = is_pending(written)?;
        self.restored = restored;
        self.restored.merged.pending |= pending;
        Ok(())
    }

    /// Whether it was put in: somebody may have been faster since the first reading.
    fn put_one(&self, change: &mut Change<'_>, row: &RecordRow, restored: &mut Restored) -> Result<bool> {
        let header = row.record.header;
        let ours = change.whole(header.id)?;
        if decide(ours.as_ref(), row) != Verdict::Theirs {
            restored.merged.newer += 1;
            return Ok(false);
        }
        restored.merged.updated += u64::from(ours.is_some() && header.kind != Kind::Gone);
        match header.kind {
            Kind::Object if ours.is_none() => {
                if header.owner != Id::NONE && !self.contents.is_same(change, header.owner)? {
                    restored.left_out += 1;
                    return Ok(false);
                }
                let fitting = self.contents.fitting(change, row)?;
                change.adopt(&fitting)?;
                restored.objects += 1;
            }
            Kind::User => {
                change.adopt(row)?;
                settle_in(change, self.officer, self.policy, self.contents, (header.id, ours.is_none()))?;
                restored.users += u64::from(ours.is_none());
            }
            kind => {
                change.adopt(row)?;
                let lost = kind == Kind::Gone && ours.is_some();
                restored.merged.removed += u64::from(lost);
            }
        }
        Ok(true)
    }
}
