//! Everything back: to a host without a token, or over the same token.
//!
//! Over a present token its audit log stays, whatever the backup's says: it goes on with the restore, so
//! nothing that happened is forgotten. Only where nothing but logins and restores would be lost of it (an older
//! copy of the file was put back before, or an older backup) does the backup's log take its place.

use super::super::policy::Operation;
use super::super::users::{User, request_term};
use super::super::{Access, Token, clone, custody::still_good, members};
use super::compare::Comparing;
use super::contents::{self, Contents};
use super::header::Header;
use super::recipients::Secrets;
use crate::audit::{Event, Note, hex};
use crate::error::{Error, Result};
use crate::store::{Change, Id, Kind, Row, Store};
use serde::Serialize;
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

/// What becomes of a cluster. Where one is concerned, somebody has to choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cluster {
    /// Nobody said.
    #[default]
    Unsaid,
    /// The present token stays a member, and its peers get what comes back.
    Merge,
    /// What comes back is a member of no cluster, and so can become one of a new cluster.
    New,
}

/// What must or may be of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// Also over what is newer.
    pub force: bool,
    /// The key that the log inside must be signed with. Over a present token its own secrets prove as much.
    pub audit_key: Option<[u8; 32]>,
    pub cluster: Cluster,
    /// In a merge of everything: also what this cluster may have destroyed before it was one.
    pub unknown: bool,
}

/// What came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// A token was made where none was.
    pub new: bool,
    pub users: u64,
    pub objects: u64,
    /// Objects of the backup that stayed away: others own them now, or nobody is left who could open them.
    /// In a merge also users: officers, and those whose name somebody else has.
    pub left_out: u64,
    pub merged: Merged,
}

/// What a merge into a cluster left as it is there, and what it did besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Merged {
    /// Records that are there as the backup has them.
    pub same: u64,
    /// Those that were older there than in the backup, and are as the backup has them now.
    pub updated: u64,
    /// Those that are newer there.
    pub newer: u64,
    /// Those that were destroyed there, and stay so.
    pub destroyed: u64,
    /// Those that no member of this cluster wrote: destroyed before it was one, or of another.
    pub unknown: u64,
    /// Those that the backup knows to be destroyed and that were there.
    pub removed: u64,
    /// The peers' majority did not confirm everything yet; it is here, and goes to them.
    pub pending: bool,
}

pub(super) fn note(what: &str, path: &Path, header: &Header, forced: bool) -> Note {
    let note = Note::of(Event::Restore).detail("what", what).detail("file", path.display());
    let note = note.detail("backup_sequence", header.sequence).detail("backup_hash", &header.hash);
    if forced { note.detail("forced", true) } else { note }
}

impl Token {
    /// Brings back what a backup holds. Where there is no token, nobody needs to be logged in; over a present
    /// one, which must be the same, an officer. All of it or nothing: on an error the token is as before.
    /// Errors: as of [`contents::read`]; `ActionProhibited` for what needs `force`, or another audit key; `ArgumentsBad` when the
    /// present token is another one, or the backup has no such user or object.
    pub fn restore_backup(
        &self,
        access: Access<'_>,
        path: &Path,
        secrets: &Secrets,
        what: What<'_>,
        terms: Terms,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Restored> {
        let Terms { force, audit_key, cluster, unknown } = terms;
        let from = (path, secrets);
        if !self.is_made() {
            return self.restore_new(from, what, terms, None, watch);
        }
        if audit_key.is_some() && self.audit_key()? != audit_key {
            return Err(other_key());
        }
        let member = self.peer()?.is_some();
        chosen(cluster, member, member)?;
        match what {
            What::Whole if cluster == Cluster::Merge => self.merge_backup(access, from, unknown, watch),
            What::Whole => self.restore_over(access, from, terms, watch),
            _ if cluster == Cluster::New => Err(Error::ArgumentsBad
                .because("a new cluster is made of a whole backup, or on a host without a token")),
            What::User(name) => self.restore_user(access, from, name, force, watch),
            What::Key(id) => self.restore_key(access, from, id, force, watch),
        }
    }

    /// A token where there is none, of everything in a backup, as the first member of a cluster of its own. `name`:
    /// this host's, as [`Token::found_cluster`] takes it. Nobody needs to be logged in. Errors: as above, and
    /// `ActionProhibited` when there is a token.
    pub fn clone_from_backup(
        &self,
        (path, secrets): (&Path, &Secrets),
        name: &str,
        audit_key: Option<[u8; 32]>,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Restored> {
        members::check_name(name)?;
        if self.is_made() {
            return Err(Error::ActionProhibited.because("there is a token already"));
        }
        let terms = Terms { audit_key, cluster: Cluster::New, ..Terms::default() };
        self.restore_new((path, secrets), What::Whole, terms, Some(name), watch)
    }

    /// Everything over the present token.
    fn restore_over(
        &self,
        access: Access<'_>,
        (path, secrets): (&Path, &Secrets),
        Terms { force, cluster, .. }: Terms,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Restored> {
        let officer = Self::officer(access, Operation::Backup)?;
        let store = self.store()?;
        // So that nothing of this process is added to the log after it was compared.
        self.write_repeats();
        let mut comparing = Comparing::new(&store)?;
        let take = &mut |reading: &contents::Reading, row: &Row| comparing.take(reading, row);
        let contents = self.looked_through(&store, path, secrets, watch, take)?;
        chosen(cluster, false, contents.counts.members > 0)?;
        let comparison = comparing.finish(contents.tip)?;
        let (tip, objection) = (comparison.present, comparison.objection());
        let forced = objection.is_some();
        if let Some(why) = objection.filter(|_| !force) {
            return Err(Error::ActionProhibited.because(why));
        }
        let with_log = comparison.takes_backups_log();
        let note = note("whole", path, &contents.header, forced).by(Some(officer.person()));
        let note = note.detail("over_sequence", tip.sequence).detail("over_hash", hex(&tip.hash));
        let restored = self.write(&store, |change| {
            still_good(change, officer)?;
            let member = change.peer_id().is_some();
            chosen(cluster, member, member)?;
            if change.tip() != tip {
                return Err(Error::FunctionFailed.because("the token was changed meanwhile: try again"));
            }
            // A token of before there was one may have got it since; a damaged one has none.
            let seed = change.present_seed().ok().flatten();
            // Before its records go: as a member's they would be destroyed, and not only gone from here.
            change.disband()?;
            change.empty()?;
            if with_log {
                change.empty_lines()?;
            }
            let restored = put_all(change, (path, secrets), &contents, with_log, watch)?;
            seed.map_or(Ok(()), |seed| change.keep_seed(seed))?;
            if cluster == Cluster::New {
                clone::leave(change)?;
            }
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

    /// What was proved of passwords is proved again: they may be those of another time.
    pub(super) fn forget_passwords(&self) {
        self.verifiers.write().forget();
        *self.info.write() = None;
    }
}

pub(super) fn other_key() -> Error {
    Error::ActionProhibited.because("the audit log is signed with another key than the one that was demanded")
}

/// Whether it was chosen what becomes of a cluster, if one is concerned: that of the present token (`member`)
/// or that in which the backup was made. `ActionProhibited`, with what there is to choose.
pub(super) fn chosen(cluster: Cluster, member: bool, concerned: bool) -> Result<()> {
    match cluster {
        Cluster::Unsaid if member => Err(Error::ActionProhibited.because(
            "this token is a member of a cluster. --merge: it stays one, and its peers get what is missing there; \
             --new-cluster: it leaves, and all of the backup takes its place here, for a cluster of its own",
        )),
        Cluster::Unsaid if concerned => Err(Error::ActionProhibited.because(
            "this backup was made in a cluster. If that goes on, `strongroom cluster join` it and restore with \
             --merge; --new-cluster makes a token that is in none, for a cluster of its own",
        )),
        Cluster::Merge if !member => {
            Err(Error::ActionProhibited.because("there is no member of a cluster here to merge a backup into"))
        }
        _ => Ok(()),
    }
}

/// What officers asked of each other then: it may have been taken back since, or be the word of one who is gone.
pub(super) fn forget_requests(change: &mut Change<'_>) -> Result<()> {
    for header in change.find(Kind::User, &[Id::NONE], &[request_term()])? {
        if let Some(user) = change.user(header.id)? {
            User { request: None, ..user }.save(change)?;
        }
    }
    Ok(())
}

/// All records of a backup into an empty token, and its log if that is wanted. `before`: what was in the
/// file when it was looked at.
pub(super) fn put_all(
    change: &mut Change<'_>,
    (path, secrets): (&Path, &Secrets),
    before: &Contents,
    with_log: bool,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<Restored> {
    let contents = contents::read(path, secrets, watch, &mut |_, row| match row {
        // What was sealed before an epoch that began since opens again.
        Row::Identity(identity) => change.learn_epochs(identity.ring.epochs.clone()),
        Row::Record(row) => change.put_back(row),
        Row::Line(sequence, body) if with_log => change.put_line_back(*sequence, body),
        Row::Line(..) => Ok(()),
    })?;
    contents.is_still(before)?;
    if !change.is_whole(&contents.identity)? {
        return Err(Error::DeviceError.because("what was restored is not what the backup says"));
    }
    forget_requests(change)?;
    let counts = &contents.counts;
    let (users, objects) = (counts.officers + counts.users, counts.objects());
    Ok(Restored { users, objects, ..Restored::default() })
}
