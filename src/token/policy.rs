//! Who may do what: the one table. Nobody above this room decides permissions.
//!
//! A row says for an operation, on such objects, what each kind of asker is told. What the objects
//! themselves forbid (CKA_DESTROYABLE, CKA_SIGN and the like) comes on top. To add an operation: a
//! name in [`Operation`], its rows, and a call of [`may`] where it is done.

pub mod attacks;

use super::cache::Opened;
use super::{Access, Login, Role};
use crate::error::{Error, Result};
use crate::mechanism::Key;
use crate::object::Object;
use crate::object::attribute::CKA_STRONGROOM_OWNER;
use crate::object::template::Asker;
use crate::store::Id;
use cryptoki_sys::*;
use std::sync::Arc;

/// What an asker is to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Nobody,
    /// A CU: of what he makes or owns, of session objects, and of what has no owner.
    User,
    /// A CU with whom the owner shares the object.
    Sharer,
    /// A CU, of what another owns and everybody may see.
    Stranger,
    Officer,
    /// AU: the host itself.
    Appliance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Find it, read its attributes.
    See,
    /// Sign, decrypt, unwrap, derive with a private or secret key.
    UseSecret,
    /// Verify, encrypt, wrap with a public key.
    UsePublic,
    /// Read key material that the key does not hide, digest it.
    Reveal,
    /// Wrap it: it leaves the token.
    Export,
    Make,
    Change,
    Copy,
    Destroy,
    /// Suspend and resume its use.
    Suspend,
    /// Put a new version in its place.
    Rotate,
    /// Share and unshare it, and know with whom.
    Share,
    /// Give it to another owner.
    Transfer,
    /// Take it to another token with the same seal key, or take it in there.
    Replicate,
    /// Make users, set their passwords, delete them; approve such a thing.
    ManageUsers,
    /// Found a cluster, let hosts join it.
    ManagePeers,
    /// Read the audit log: officers, who manage, as with the model, whose users do not see its log either.
    ReadLog,
    /// Make backups and schedules of them, remove old ones, restore over the present token.
    Backup,
    /// Remove old entries of the audit log that were exported.
    PruneLog,
    /// Compare the records with the digest of them all.
    CheckState,
    /// Add, exchange and remove what the token's file opens with.
    ManageSeal,
}

/// What it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    SessionPublic,
    SessionPrivate,
    TokenPublic,
    TokenPrivate,
    /// The token itself.
    Token,
}

use Operation::*;
use Target::*;

type Verdict = std::result::Result<(), Error>;

struct Row {
    operations: &'static [Operation],
    targets: &'static [Target],
    /// In the order of [`Who`].
    verdicts: [Verdict; 6],
}

const fn row(operations: &'static [Operation], targets: &'static [Target], verdicts: [Verdict; 6]) -> Row {
    Row { operations, targets, verdicts }
}

const YES: Verdict = Ok(());
/// For the asker there is no such object.
const GONE: Verdict = Err(Error::ObjectHandleInvalid);
const LOGIN: Verdict = Err(Error::UserNotLoggedIn);
const FORBIDDEN: Verdict = Err(Error::ActionProhibited);
const NO_USE: Verdict = Err(Error::KeyFunctionNotPermitted);
const SECRET: Verdict = Err(Error::AttributeSensitive);
/// CKR_KEY_NOT_WRAPPABLE: the key is extractable, but not by this one.
const KEPT: Verdict = Err(Error::KeyNotWrappable);

const PUBLIC: &[Target] = &[SessionPublic, TokenPublic];
const PRIVATE: &[Target] = &[SessionPrivate, TokenPrivate];

/// Ownership and sharing as AWS CloudHSM has them; officers manage people and touch no key. Sharers
/// derive, too: none of our derivations gives away its base key, and one that does must not be added
/// without a row of its own.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    //                                                  nobody  user  sharer     stranger   officer  appliance
    row(&[See],                            PUBLIC,     [YES,    YES,  YES,       YES,       YES,     YES]),
    row(&[UsePublic],                      PUBLIC,     [YES,    YES,  YES,       YES,       YES,     NO_USE]),
    row(&[UseSecret],                      PUBLIC,     [YES,    YES,  YES,       YES,       NO_USE,  NO_USE]),
    row(&[Reveal],                         PUBLIC,     [YES,    YES,  SECRET,    YES,       SECRET,  SECRET]),
    row(&[Export],                         PUBLIC,     [YES,    YES,  KEPT,      YES,       KEPT,    KEPT]),
    row(&[Copy],                           PUBLIC,     [YES,    YES,  FORBIDDEN, YES,       YES,     FORBIDDEN]),
    row(&[Make, Change, Destroy, Suspend], &[SessionPublic],
                                                       [YES,    YES,  FORBIDDEN, FORBIDDEN, YES,     FORBIDDEN]),
    row(&[Make, Change, Destroy],  &[TokenPublic],     [LOGIN,  YES,  FORBIDDEN, FORBIDDEN, YES,     FORBIDDEN]),
    row(&[See, UsePublic, UseSecret],      PRIVATE,    [GONE,   YES,  YES,       GONE,      GONE,    GONE]),
    row(&[Reveal],                         PRIVATE,    [GONE,   YES,  SECRET,    GONE,      GONE,    GONE]),
    row(&[Export],                         PRIVATE,    [GONE,   YES,  KEPT,      GONE,      GONE,    GONE]),
    row(&[Copy, Change, Destroy, Suspend], PRIVATE,    [GONE,   YES,  FORBIDDEN, GONE,      GONE,    GONE]),
    row(&[Make],                           PRIVATE,    [LOGIN,  YES,  YES,       YES,       LOGIN,   FORBIDDEN]),
    row(&[Suspend],                &[TokenPublic],     [LOGIN,  YES,  FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN]),
    row(&[Rotate],                 &[TokenPrivate],    [GONE,   YES,  FORBIDDEN, GONE,      GONE,    GONE]),
    row(&[Rotate],                 &[TokenPublic],     [LOGIN,  YES,  FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN]),
    // A session's key dies with it: whoever wants another one makes it.
    row(&[Rotate],  &[SessionPublic, SessionPrivate],
                                            [FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN]),
    row(&[Share],                  &[TokenPrivate],    [GONE,   YES,  FORBIDDEN, GONE,      GONE,    GONE]),
    // There is nothing to share of what everybody sees, and of what dies with its session.
    row(&[Share],  &[SessionPublic, SessionPrivate, TokenPublic],
                                            [FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN]),
    row(&[Transfer],               &[TokenPrivate],    [GONE,   YES,  FORBIDDEN, GONE,      GONE,    GONE]),
    row(&[Transfer],               &[TokenPublic],     [LOGIN,  YES,  FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN]),
    row(&[Transfer],  &[SessionPublic, SessionPrivate],
                                            [FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN]),
    // Sealed as they are; an officer names what he does not see by its id.
    row(&[Replicate],              &[TokenPrivate],    [GONE,   YES,  FORBIDDEN, GONE,      YES,     GONE]),
    row(&[Replicate],              &[TokenPublic],     [LOGIN,  YES,  FORBIDDEN, FORBIDDEN, YES,     FORBIDDEN]),
    row(&[Replicate],  &[SessionPublic, SessionPrivate],
                                            [FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN]),
    row(&[ManageUsers, ManagePeers, ReadLog, PruneLog, ManageSeal, Backup], &[Token],
                                            [LOGIN,  LOGIN, LOGIN,    LOGIN,     YES,     FORBIDDEN]),
    row(&[CheckState],             &[Token],           [LOGIN,  YES,  YES,       YES,       YES,     YES]),
];

impl Operation {
    /// Whether it writes: on the token it needs a read-write session.
    const fn writes(self) -> bool {
        matches!(
            self,
            Make | Change
                | Destroy
                | Suspend
                | Rotate
                | Share
                | Transfer
                | Replicate
                | ManageUsers
                | ManagePeers
                | PruneLog
                | ManageSeal
                | Backup
        )
    }
}

impl Target {
    pub fn of(token: bool, private: bool) -> Target {
        match (token, private) {
            (false, false) => SessionPublic,
            (false, true) => SessionPrivate,
            (true, false) => TokenPublic,
            (true, true) => TokenPrivate,
        }
    }
}

fn verdict(who: Who, operation: Operation, target: Target) -> Verdict {
    let row = TABLE.iter().find(|row| row.operations.contains(&operation) && row.targets.contains(&target));
    row.map_or(Err(Error::GeneralError), |row| row.verdicts[who as usize])
}

/// What the login is without regard to an object.
fn who(login: Option<&Arc<Login>>) -> Who {
    match login.filter(|login| !login.ended()).map(|login| login.role) {
        None => Who::Nobody,
        Some(Role::User) => Who::User,
        Some(Role::Officer) => Who::Officer,
        Some(Role::Appliance) => Who::Appliance,
    }
}

/// What the login is to an object of the token's file.
fn who_to(login: Option<&Arc<Login>>, found: &Opened) -> Who {
    let Some(login) = login.filter(|_| who(login) == Who::User) else { return who(login) };
    if found.header.owner != Id::NONE {
        return if found.header.owner == login.user { Who::User } else { Who::Sharer };
    }
    let owner = found.key.object().bytes(CKA_STRONGROOM_OWNER);
    if owner.is_empty() || owner == login.user.0 { Who::User } else { Who::Stranger }
}

pub fn asker(login: Option<&Arc<Login>>) -> Asker {
    match who(login) {
        Who::Nobody | Who::Appliance => Asker::Public,
        Who::Officer => Asker::Officer,
        _ => Asker::User,
    }
}

fn writable(access: Access<'_>, operation: Operation, target: Target) -> Result<()> {
    let read_only = operation.writes() && !matches!(target, SessionPublic | SessionPrivate) && !access.write;
    if read_only { Err(Error::SessionReadOnly) } else { Ok(()) }
}

/// Whether the asker may make such an object: `UserNotLoggedIn`, `SessionReadOnly`.
pub fn may_make(access: Access<'_>, object: &Object) -> Result<()> {
    let target = Target::of(object.is_token(), object.is_private());
    verdict(who(access.login), Make, target)?;
    writable(access, Make, target)
}

/// Whether the asker may do it to an object: the table's word, `SessionReadOnly`. `found` is `None`
/// for one in memory only.
pub fn may(access: Access<'_>, operation: Operation, key: &Key, found: Option<&Opened>) -> Result<()> {
    let who = found.map_or_else(|| who(access.login), |found| who_to(access.login, found));
    let target = Target::of(key.is_token(), key.is_private());
    verdict(who, operation, target)?;
    writable(access, operation, target)
}

/// Whether the asker may do it to a record that nobody opened: `owner` is its owner, or the maker of a public one.
pub fn may_to_record(access: Access<'_>, operation: Operation, owner: Id, private: bool) -> Result<()> {
    let who = match (who(access.login), access.login) {
        (Who::User, Some(login)) if login.user != owner => Who::Stranger,
        (who, _) => who,
    };
    let target = Target::of(true, private);
    verdict(who, operation, target)?;
    writable(access, operation, target)
}

/// Whether the asker may do it to the token, or to its people.
pub fn may_manage(access: Access<'_>, operation: Operation) -> Result<()> {
    verdict(who(access.login), operation, Token)?;
    writable(access, operation, Token)
}

/// Whether the asker may see objects of this kind at all (owners and sharers are checked besides).
pub fn may_see(login: Option<&Arc<Login>>, token: bool, private: bool) -> bool {
    verdict(who(login), See, Target::of(token, private)).is_ok()
}

/// What using this key is.
pub fn using(key: &Key) -> Operation {
    if matches!(key.class(), CKO_PRIVATE_KEY | CKO_SECRET_KEY) { UseSecret } else { UsePublic }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_has_one_answer() {
        let objects = [SessionPublic, SessionPrivate, TokenPublic, TokenPrivate];
        let all = [
            See, UseSecret, UsePublic, Reveal, Export, Make, Change, Copy, Destroy, Suspend, Rotate, Share,
            Transfer, Replicate,
        ];
        let cells = all.iter().flat_map(|operation| objects.map(|target| (*operation, target)));
        for (operation, target) in cells.chain(
            [ManageUsers, ManagePeers, ReadLog, PruneLog, ManageSeal, CheckState, Backup]
                .map(|operation| (operation, Token)),
        ) {
            let rows = TABLE.iter();
            let rows =
                rows.filter(|row| row.operations.contains(&operation) && row.targets.contains(&target));
            assert_eq!(rows.count(), 1, "{operation:?} {target:?}");
        }
    }

    #[test]
    fn what_must_hold() {
        for target in [SessionPrivate, TokenPrivate] {
            for operation in
                [See, UseSecret, UsePublic, Reveal, Export, Change, Copy, Destroy, Suspend, Rotate]
            {
                for who in [Who::Nobody, Who::Stranger, Who::Officer, Who::Appliance] {
                    assert!(verdict(who, operation, target).is_err(), "{who:?} {operation:?}");
                }
            }
        }
        for operation in [UseSecret, Reveal, Export, Suspend, Rotate] {
            assert!(verdict(Who::Officer, operation, TokenPublic).is_err(), "{operation:?}");
        }
        // The host: basic information and digests, no cryptography at all, no people.
        for target in [SessionPublic, SessionPrivate, TokenPublic, TokenPrivate] {
            let all = [
                UseSecret, UsePublic, Reveal, Export, Make, Change, Copy, Destroy, Suspend, Rotate, Share,
                Transfer, Replicate,
            ];
            for operation in all {
                assert!(verdict(Who::Appliance, operation, target).is_err(), "{operation:?} {target:?}");
            }
        }
        assert_eq!(verdict(Who::Appliance, ManageUsers, Token), FORBIDDEN);
        assert_eq!(verdict(Who::Appliance, ReadLog, Token), FORBIDDEN);
        assert_eq!(verdict(Who::Appliance, CheckState, Token), YES);
        for operation in [Reveal, Export, Change, Copy, Destroy, Suspend, Rotate, Share, Transfer, Replicate]
        {
            assert!(verdict(Who::Sharer, operation, TokenPrivate).is_err(), "{operation:?}");
        }
        for who in [Who::Nobody, Who::User, Who::Sharer, Who::Stranger] {
            assert_eq!(verdict(who, ManageUsers, Token), LOGIN);
            assert_eq!(verdict(who, Backup, Token), LOGIN);
            assert_eq!(verdict(who, ManageSeal, Token), LOGIN);
        }
    }
}
