//! Who may do what: the one table. Nobody above this room decides permissions.

use super::{Access, Login, Role};
use crate::error::{Error, Result};
use crate::mechanism::Key;
use crate::object::Object;
use crate::object::template::Asker;
use cryptoki_sys::*;
use std::sync::Arc;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Nobody,
    User,
    Officer,
}

/// What kind of object it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub token: bool,
    pub private: bool,
}

/// One row: may this one make, change and destroy such objects (PKCS#11 3.2 §5.6, stricter where
/// a public session would write to the token).
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub who: Who,
    pub target: Target,
    pub write: std::result::Result<(), Error>,
    pub read: bool,
}

const fn row(who: Who, token: bool, private: bool, write: std::result::Result<(), Error>, read: bool) -> Row {
    Row { who, target: Target { token, private }, write, read }
}

pub const TABLE: &[Row] = &[
    row(Who::Nobody, false, false, Ok(()), true),
    row(Who::Nobody, false, true, Err(Error::UserNotLoggedIn), false),
    row(Who::Nobody, true, false, Err(Error::UserNotLoggedIn), true),
    row(Who::Nobody, true, true, Err(Error::UserNotLoggedIn), false),
    row(Who::User, false, false, Ok(()), true),
    row(Who::User, false, true, Ok(()), true),
    row(Who::User, true, false, Ok(()), true),
    row(Who::User, true, true, Ok(()), true),
    row(Who::Officer, false, false, Ok(()), true),
    row(Who::Officer, false, true, Err(Error::UserNotLoggedIn), false),
    row(Who::Officer, true, false, Ok(()), true),
    row(Who::Officer, true, true, Err(Error::UserNotLoggedIn), false),
];

pub fn who(login: Option<&Arc<Login>>) -> Who {
    match login.filter(|login| !login.ended()).map(|login| login.role) {
        None => Who::Nobody,
        Some(Role::User) => Who::User,
        Some(Role::Officer) => Who::Officer,
    }
}

pub fn asker(login: Option<&Arc<Login>>) -> Asker {
    match who(login) {
        Who::Nobody => Asker::Public,
        Who::User => Asker::User,
        Who::Officer => Asker::Officer,
    }
}

/// The rows stand in the order of (who, token, private), so that finding one is arithmetic.
fn find(who: Who, token: bool, private: bool) -> Option<&'static Row> {
    TABLE.get(who as usize * 4 + usize::from(token) * 2 + usize::from(private))
}

/// Whether the asker may make, change or destroy this object: `UserNotLoggedIn`, `SessionReadOnly`.
pub fn may_write(access: Access<'_>, object: &Object) -> Result<()> {
    let row = find(who(access.login), object.is_token(), object.is_private()).ok_or(Error::GeneralError)?;
    row.write?;
    if object.is_token() && !access.write { Err(Error::SessionReadOnly) } else { Ok(()) }
}

/// Whether the asker may see objects of this kind at all (owners are checked besides).
pub fn may_read(login: Option<&Arc<Login>>, token: bool, private: bool) -> bool {
    find(who(login), token, private).is_some_and(|row| row.read)
}

/// Whether the asker may use this key in a mechanism: an officer uses public keys only.
pub fn may_use(login: Option<&Arc<Login>>, key: &Key) -> Result<()> {
    let secret = matches!(key.class(), CKO_PRIVATE_KEY | CKO_SECRET_KEY);
    if secret && who(login) == Who::Officer { Err(Error::KeyFunctionNotPermitted) } else { Ok(()) }
}

/// Whether the asker may read the audit log: officers, who manage. Nobody else, as with the model, whose
/// users do not see its log either.
pub fn may_read_log(login: Option<&Arc<Login>>) -> Result<()> {
    if who(login) == Who::Officer { Ok(()) } else { Err(Error::UserNotLoggedIn) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_at_its_place() {
        for row in TABLE {
            let found = find(row.who, row.target.token, row.target.private).unwrap();
            assert_eq!((found.who, found.target), (row.who, row.target));
        }
        assert_eq!(TABLE.len(), 12);
    }
}
