//! What the HSM holds and who may do what: users and their keys, objects and handles, policy.
//!
//! One [`Token`] per slot. Nobody above decides permissions: every entry takes an [`Access`] and
//! asks the one table in `policy.rs`. No lock is held while a mechanism runs; nothing here is on
//! the path of C_Sign but [`Token::key`] at C_SignInit, which is served from memory.

use crate::config::SlotConfig;
use crate::error::Result;
use crate::mechanism::Key;
use crate::object::{Object, Template};
use crate::store::{Id, Report};
use std::sync::Arc;

/// CK_OBJECT_HANDLE: per process, independent of sessions, never used again for another object
/// while the library is initialised.
pub type Handle = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// CO: CKU_SO.
    Officer,
    /// CU: CKU_USER.
    User,
}

/// A person who proved a password, with the keys that follow from it. Wiped on drop.
pub struct Login {
    pub user: Id,
    pub name: String,
    pub role: Role,
}

/// Who asks, from which session.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    pub login: Option<&'a Arc<Login>>,
    /// The session is CKF_RW_SESSION.
    pub write: bool,
    /// The session's handle: session objects made through it die with it.
    pub session: u64,
}

/// What C_GetTokenInfo tells of the token itself.
#[derive(Clone, Debug, Default)]
pub struct Info {
    pub label: String,
    /// 16 characters, from the token's id.
    pub serial: String,
    /// CKF_TOKEN_INITIALIZED, CKF_USER_PIN_COUNT_LOW and the rest that is the token's to know:
    /// always true to fact for the default user and the default officer.
    pub flags: u64,
    pub min_pin_length: usize,
    pub max_pin_length: usize,
}

/// A user as anyone may list.
#[derive(Clone, Debug)]
pub struct UserInfo {
    pub id: Id,
    pub name: String,
    pub role: Role,
    pub locked: bool,
    pub failures: u32,
}

/// The token in a slot, whether its file exists yet or not.
pub struct Token {}

impl Token {
    /// Touches no file; the first use opens it, and again after it failed to open.
    pub fn new(config: SlotConfig) -> Token {
        let _ = config;
        todo!()
    }
    /// `TokenNotRecognized` when there is a file that cannot be used; an absent file is an
    /// uninitialised token (flags without CKF_TOKEN_INITIALIZED), not an error.
    pub fn info(&self) -> Result<Info> {
        todo!()
    }
    /// Ok when sessions may be opened: `TokenNotRecognized` when not initialised or unusable.
    pub fn ready(&self) -> Result<()> {
        todo!()
    }

    // People.

    /// C_InitToken: a new token with the officer `default_officer`; a present one needs that
    /// officer's PIN (`PinIncorrect`, `PinLocked`) and loses everything.
    pub fn initialize(&self, pin: &[u8], label: &str) -> Result<()> {
        let _ = (pin, label);
        todo!()
    }
    /// Checks a password; counts failures in the store (`PinIncorrect`, `PinLocked`,
    /// `UserPinNotInitialized`). Without `name`, the PIN may be `user:password`; a prefix that is
    /// no user's name belongs to the password of the slot's default user.
    pub fn log_in(&self, role: Role, name: Option<&str>, pin: &[u8]) -> Result<Arc<Login>> {
        let _ = (role, name, pin);
        todo!()
    }
    /// C_Login(CKU_CONTEXT_SPECIFIC): the password of the one who is logged in, again.
    pub fn confirm(&self, login: &Login, pin: &[u8]) -> Result<()> {
        let _ = (login, pin);
        todo!()
    }
    /// Forgets the handles and keys of private objects in this process, private session objects too.
    pub fn log_out(&self) {
        todo!()
    }
    /// C_InitPIN: makes the slot's default user, or resets that user's password and lock.
    /// `user:password` resets the user of that name.
    pub fn init_pin(&self, access: Access<'_>, pin: &[u8]) -> Result<()> {
        let _ = (access, pin);
        todo!()
    }
    /// C_SetPIN: of the one logged in, or of the default user in a public session.
    pub fn set_pin(&self, access: Access<'_>, old: &[u8], new: &[u8]) -> Result<()> {
        let _ = (access, old, new);
        todo!()
    }
    pub fn users(&self) -> Result<Vec<UserInfo>> {
        todo!()
    }
    /// A new user by an officer. Names: 1 to 64 of letters, digits, `.`, `_`, `-`, `@`.
    pub fn create_user(&self, access: Access<'_>, name: &str, role: Role, password: &[u8]) -> Result<Id> {
        let _ = (access, name, role, password);
        todo!()
    }

    // Objects.

    /// Stores a complete object (CKA_UNIQUE_ID is given here) and gives its handle.
    pub fn insert(&self, access: Access<'_>, object: Object) -> Result<Handle> {
        let _ = (access, object);
        todo!()
    }
    /// Several at once, all or nothing (a key pair).
    pub fn insert_all(&self, access: Access<'_>, objects: Vec<Object>) -> Result<Vec<Handle>> {
        let _ = (access, objects);
        todo!()
    }
    /// The object as of now, other processes' commits included; `ObjectHandleInvalid` when it is
    /// gone or not the asker's to see.
    pub fn object(&self, access: Access<'_>, handle: Handle) -> Result<Arc<Key>> {
        let _ = (access, handle);
        todo!()
    }
    /// For an operation: from memory when it is there and was checked within 50 ms;
    /// `KeyHandleInvalid`. The officer gets no private or secret key.
    pub fn key(&self, access: Access<'_>, handle: Handle) -> Result<Arc<Key>> {
        let _ = (access, handle);
        todo!()
    }
    /// C_SetAttributeValue.
    pub fn modify(&self, access: Access<'_>, handle: Handle, changes: Template) -> Result<()> {
        let _ = (access, handle, changes);
        todo!()
    }
    /// C_CopyObject.
    pub fn copy(&self, access: Access<'_>, handle: Handle, changes: Template) -> Result<Handle> {
        let _ = (access, handle, changes);
        todo!()
    }
    /// C_DestroyObject.
    pub fn destroy(&self, access: Access<'_>, handle: Handle) -> Result<()> {
        let _ = (access, handle);
        todo!()
    }
    /// Handles of all objects the asker may see that match; CKO_PROFILE objects included.
    pub fn find(&self, access: Access<'_>, template: &Template) -> Result<Vec<Handle>> {
        let _ = (access, template);
        todo!()
    }
    /// The session objects of a closed session go.
    pub fn close_session(&self, session: u64) {
        let _ = session;
        todo!()
    }

    // Care.

    pub fn verify(&self) -> Result<Report> {
        todo!()
    }
    /// See `Store::suspend`.
    pub fn suspend(&self) {
        todo!()
    }
}
