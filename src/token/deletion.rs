//! Users who leave: deleted by an officer, with what is theirs, and out of every process.

use super::custody::{lost_term, still_good};
use super::officers::{nobody, part_with};
use super::policy::Operation;
use super::{Access, Role, Token};
use crate::audit::{Event, Note};
use crate::error::{Error, Result};
use crate::store::{Change, Id, Kind, Store};

/// Destroys a user's private objects, and takes from him what others share with him: whatever the
/// owners change there next they seal under a data key that he never had. Answers which objects went.
pub fn take_all(change: &mut Change<'_>, user: Id) -> Result<Vec<Id>> {
    let owned: Vec<Id> = change.owned(user)?.into_iter().map(|header| header.id).collect();
    owned.iter().try_for_each(|id| change.remove(Kind::Object, *id))?;
    for object in change.held_by(user)? {
        change.remove_key(object, user)?;
        if let Some(record) = change.load(Kind::Object, object)? {
            change.add_terms(object, record.header.owner, &[lost_term()])?;
        }
    }
    Ok(owned)
}

impl Token {
    /// Deletes a user by an officer; answers how many objects went along. With `destroy` the user's
    /// private objects go; without it one who owns any stays (`ActionProhibited`), because nobody else
    /// could ever open them. Nobody deletes himself, so one officer always stays. `ArgumentsBad`: no
    /// such user.
    pub fn delete_user(&self, access: Access<'_>, name: &str, destroy: bool) -> Result<usize> {
        let officer = Self::officer(access, Operation::ManageUsers)?;
        let store = self.store()?;
        let policy = self.policy_of(&store)?;
        let destroyed = self.write(&store, |change| {
            still_good(change, officer)?;
            let user = change.user_named(name)?.ok_or_else(|| nobody(name))?;
            let id = user.header.id;
            if id == officer.user {
                return Err(Error::ActionProhibited.because("an officer is deleted by another officer"));
            }
            let gone = take_all(change, id)?;
            let many = gone.len();
            if many > 0 && !destroy {
                return Err(
                    Error::ActionProhibited.because(format_args!("{name} owns {many} private objects"))
                );
            }
            let note = Note::of(Event::UserDeleted).user(user.person());
            let note = gone.iter().fold(note, |note, id| note.object(id));
            if user.role == Role::Officer {
                part_with(change, officer, &user, policy)?;
            }
            change.remove(Kind::User, id)?;
            change.audit(access.login, note)?;
            Ok(many)
        })?;
        // It is done, whatever this says; who looks next sees it too.
        let _ = self.look(&store);
        Ok(destroyed)
    }

    /// Ends the logins of this process that were to another token: it was made anew.
    pub(super) fn end_others_logins(&self, store: &Store) {
        let given = self.verifiers.read().given();
        given.iter().filter(|login| login.token != store.token_id()).for_each(|login| login.end());
    }

    /// Ends the logins of this process whose users are no more, or have a new key chain after a reset
    /// that destroys, among those whom `changed` names.
    pub(super) fn end_logins(&self, store: &Store, changed: impl Fn(Id) -> bool) -> Result<()> {
        let given = self.verifiers.read().given();
        for login in given.iter().filter(|login| !login.ended() && changed(login.user)) {
            if self.load_user(store, login.user)?.is_none_or(|user| user.public != login.keys.public) {
                login.end();
            }
        }
        Ok(())
    }
}
