//! Users who leave: deleted by an officer, with what is theirs, and out of every process.

use super::{Access, Role, Token};
use crate::audit::{Event, Note};
use crate::error::{Error, Result};
use crate::store::{Id, Kind, Store};

impl Token {
    /// Deletes a user by an officer; answers how many objects went along. With `destroy` the user's
    /// private objects go; without it one who owns any stays (`ActionProhibited`), because nobody else
    /// could ever open them. Nobody deletes himself, so one officer always stays. `ArgumentsBad`: no
    /// such user.
    pub fn delete_user(&self, access: Access<'_>, name: &str, destroy: bool) -> Result<usize> {
        let officer = Self::officer(access)?;
        let store = self.store()?;
        let user = self.find_user(&store, name)?;
        let user =
            user.ok_or_else(|| Error::ArgumentsBad.because(format_args!("there is no user {name}")))?;
        let id = user.header.id;
        if id == officer.user {
            return Err(Error::ActionProhibited.because("an officer is deleted by another officer"));
        }
        let destroyed = self.write(&store, |change| {
            change
                .user(officer.user)?
                .filter(|user| user.role == Role::Officer)
                .ok_or(Error::UserNotLoggedIn)?;
            let owned = change.owned(id)?;
            if !owned.is_empty() && !destroy {
                let many = owned.len();
                return Err(
                    Error::ActionProhibited.because(format_args!("{name} owns {many} private objects"))
                );
            }
            owned.iter().try_for_each(|header| change.remove(Kind::Object, header.id))?;
            change.remove(Kind::User, id)?;
            let note = Note::of(Event::UserDeleted).user(user.person());
            let note = owned.iter().fold(note, |note, header| note.object(header.id));
            change.audit(access.login, note)?;
            Ok(owned.len())
        })?;
        self.look(&store)?;
        Ok(destroyed)
    }

    /// Ends the logins of this process whose users are no more, among those whom `changed` names.
    pub(super) fn end_logins(&self, store: &Store, changed: impl Fn(Id) -> bool) -> Result<()> {
        let given = self.verifiers.read().given();
        for login in given.iter().filter(|login| !login.ended() && changed(login.user)) {
            if store.load(Kind::User, login.user)?.is_none() {
                login.end();
            }
        }
        Ok(())
    }
}
