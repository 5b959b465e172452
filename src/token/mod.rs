//! What the HSM holds and who may do what: users and their keys, objects and handles, policy.
//!
//! One [`Token`] per slot. Nobody above decides permissions: every entry takes an [`Access`] and
//! asks the one table in `policy.rs`. No lock is held while a mechanism or a password KDF runs;
//! nothing here is on the path of C_Sign but [`Token::key`] at C_SignInit, served from memory.

pub mod appliance;
mod audit;
pub mod backup;
mod cache;
mod clone;
mod custody;
mod deletion;
pub(crate) mod epochs;
mod handles;
mod keychain;
mod lifecycle;
mod login;
pub(crate) mod members;
mod objects;
mod officers;
pub mod policy;
mod profile;
pub mod quorum;
mod renewal;
mod replicate;
mod reset;
mod rules;
mod seal;
mod shareholders;
#[cfg(test)]
mod tests;
mod users;

pub use audit::{Filter, Pruned, Verification};
pub use lifecycle::Rotated;
pub use login::Login;
pub use members::{JoinRequest, Joined, Joining, Member};
pub use replicate::Replicated;
pub use reset::PendingReset;
pub use seal::SealRotated;
pub use shareholders::Part;

pub use crate::store::{SealInfo, SealState};

use crate::config::{Allowed, SlotConfig};
use crate::error::{Error, Result};
use crate::lock::{ForkGuard, Rank, RwLock, WriteGuard};
use crate::store::{Id, Report, Store};
use audit::Repeats;
use cryptoki_sys::*;
use handles::Index;
use login::Verifiers;
use quorum::{ByOthers, Carrier};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// CK_OBJECT_HANDLE: per process, independent of sessions, never used again for another object
/// while the library is initialised.
pub type Handle = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// CO: CKU_SO.
    Officer,
    /// CU: CKU_USER.
    User,
    /// AU: this host; no login of PKCS#11.
    Appliance,
}

impl Role {
    /// `CO`, `CU` or `AU`.
    pub fn short(self) -> &'static str {
        match self {
            Role::Officer => "CO",
            Role::User => "CU",
            Role::Appliance => "AU",
        }
    }
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
    /// Somebody else gave the password (or perhaps did: in tokens of before this was noted).
    pub given: bool,
    /// An officer's, with reset policy `quorum`.
    pub part: Option<Part>,
}

/// How often a change is tried again when another process was faster.
const TRIES: usize = 5;

/// How long the library's end waits for readers, if something that was removed is still in the log.
const LAST_READERS: Duration = Duration::from_secs(1);

/// Longest password in bytes.
pub const MAX_PIN_LENGTH: usize = 255;

/// The token in a slot, whether its file exists yet or not.
pub struct Token {
    config: SlotConfig,
    carrier: &'static dyn Carrier,
    store: RwLock<Option<Arc<Store>>>,
    verifiers: RwLock<Verifiers>,
    index: RwLock<Index>,
    /// What the audit log is still to be told of this process's logins.
    repeats: RwLock<Repeats>,
    /// The last answer of `info` and the file's version it was true for.
    info: RwLock<Option<(i64, Info)>>,
    /// When the file was last looked at for other processes' changes, in milliseconds.
    looked: AtomicU64,
    /// Counts everything that may end the validity of a key that was looked up before.
    generation: AtomicU64,
}

/// All locks of a token, held over a fork.
pub struct ForkGuards<'a> {
    store: ForkGuard<'a, Option<Arc<Store>>>,
    _verifiers: ForkGuard<'a, Verifiers>,
    _index: ForkGuard<'a, Index>,
    _repeats: ForkGuard<'a, Repeats>,
    _info: ForkGuard<'a, Option<(i64, Info)>>,
}

impl ForkGuards<'_> {
    /// Closes the file's connections; the caller holds `store::GATE` for writing.
    pub fn suspend(&self) {
        if let Some(store) = &*self.store {
            store.suspend();
        }
    }
}

impl Token {
    /// As new in a forked child, of the same configuration. What was proved of passwords moves along:
    /// the workers of a web server need not stretch the same PIN one after the other.
    pub fn afresh(&self) -> Token {
        let token = Token::new(self.config.clone()).carried_by(self.carrier);
        let proved = std::mem::take(&mut *self.verifiers.write());
        *token.verifiers.write() = proved;
        token
    }

    /// Touches no file; the first use opens it, and again after it failed to open.
    pub fn new(config: SlotConfig) -> Token {
        Token {
            config,
            carrier: &ByOthers,
            store: RwLock::new(Rank::Login, None),
            verifiers: RwLock::new(Rank::Login, Verifiers::default()),
            index: RwLock::new(Rank::TokenIndex, Index::new()),
            repeats: RwLock::new(Rank::Login, Repeats::default()),
            info: RwLock::new(Rank::Login, None),
            looked: AtomicU64::new(0),
            generation: AtomicU64::new(0),
        }
    }

    /// By whom changes get to the peers where nobody keeps the token in step.
    pub fn carried_by(mut self, carrier: &'static dyn Carrier) -> Token {
        self.carrier = carrier;
        self
    }

    /// The open file; `TokenNotRecognized` when there is none or it cannot be used.
    pub(crate) fn store(&self) -> Result<Arc<Store>> {
        let open = self.store.read().clone();
        if let Some(store) = open {
            if store.is_current()? {
                return Ok(store);
            }
            log::warn!("{}: the token was initialised anew by another process", self.config.path.display());
            self.replace_store(None);
        }
        let mut slot = self.store.write();
        if let Some(store) = &*slot {
            return Ok(Arc::clone(store));
        }
        if !Store::exists(&self.config) {
            return Err(Error::TokenNotRecognized);
        }
        let store = Arc::new(Store::open(&self.config)?);
        *slot = Some(Arc::clone(&store));
        drop(slot);
        self.end_others_logins(&store);
        Ok(store)
    }

    /// A number that stays the same only while keys that were looked up before stay valid.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The index for a change that may make a key invalid.
    fn index_for_change(&self) -> WriteGuard<'_, Index> {
        let index = self.index.write();
        self.generation.fetch_add(1, Ordering::AcqRel);
        index
    }

    /// Puts a new store in place, or none; nothing known of the old one stays.
    fn replace_store(&self, store: Option<Arc<Store>>) {
        *self.store.write() = store;
        self.verifiers.write().forget();
        *self.repeats.write() = Repeats::default();
        *self.info.write() = None;
        self.index_for_change().forget_token();
    }

    /// Ok when sessions may be opened: `TokenNotRecognized` when not initialised or unusable.
    pub fn ready(&self) -> Result<()> {
        self.store().map(drop)
    }

    /// `TokenNotRecognized` when there is a file that cannot be used; an absent file is an
    /// uninitialised token (flags without CKF_TOKEN_INITIALIZED), not an error.
    pub fn info(&self) -> Result<Info> {
        let bounds = Info {
            min_pin_length: self.config.min_pin_length,
            max_pin_length: MAX_PIN_LENGTH,
            ..Info::default()
        };
        if self.store.read().is_none() && !Store::exists(&self.config) {
            return Ok(bounds);
        }
        let store = self.store()?;
        let version = store.data_version()?;
        if let Some((at, info)) = &*self.info.read()
            && *at == version
        {
            return Ok(info.clone());
        }
        let mut info = bounds;
        info.label = self.label(&store)?;
        info.serial = store.token_id().0[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        info.flags = CKF_TOKEN_INITIALIZED | self.pin_flags(&store)?;
        if store.read_only() {
            info.flags |= CKF_WRITE_PROTECTED;
        }
        *self.info.write() = Some((version, info.clone()));
        Ok(info)
    }

    /// CKF_USER_PIN_INITIALIZED and the PIN counters of the default user and officer.
    fn pin_flags(&self, store: &Store) -> Result<u64> {
        let mut flags = 0;
        let user = self.find_user(store, &self.config.default_user)?.filter(|user| user.role == Role::User);
        let officer = self.find_user(store, &self.config.default_officer)?;
        if user.is_some() {
            flags |= CKF_USER_PIN_INITIALIZED;
        }
        let marks = [
            (user, CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED),
            (officer, CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED),
        ];
        for (user, low, last, locked) in marks {
            let Some(user) = user else { continue };
            let left = self.config.max_failures.saturating_sub(user.failures);
            flags |= if user.failures > 0 { low } else { 0 };
            flags |= if left == 1 { last } else { 0 };
            flags |= if left == 0 { locked } else { 0 };
        }
        Ok(flags)
    }

    /// Wipes everything that is held in memory.
    pub fn close(&self) {
        self.write_repeats();
        let store = self.store.read().clone();
        store.inspect(|store| store.tidy(LAST_READERS));
        self.replace_store(None);
        self.index_for_change().drop_sessions(|_| true);
    }

    /// Reads everything, the audit log too, and compares it with what the token knows, as the host (AU) and
    /// whoever is logged in; `watch` is told
    /// how many of how many records are done.
    pub fn verify(&self, watch: &mut dyn FnMut(u64, u64)) -> Result<Report> {
        let store = self.store()?;
        let host = appliance::login(&store)?;
        let access = Access { login: Some(&host), write: false, session: 0 };
        policy::may_manage(access, policy::Operation::CheckState)?;
        let mut report = store.verify_watched(watch)?;
        if appliance::load(&store).is_err() {
            report.faults.push("this host's identity (AU) was altered".to_owned());
        }
        let log = self.audit_verify(None)?.found;
        report.entries = log.entries;
        report.faults.extend(log.faults.into_iter().map(|fault| format!("audit log: {fault}")));
        Ok(report)
    }

    /// Whether there is a file that holds a token, good or not.
    pub fn is_made(&self) -> bool {
        Store::exists(&self.config)
    }

    /// The slot's configuration.
    pub fn config(&self) -> &SlotConfig {
        &self.config
    }

    /// The rules against attacks that this host's configuration loosens.
    pub fn allowed(&self) -> Allowed {
        self.config.allow
    }

    /// Where the token's file lies.
    pub fn path(&self) -> &std::path::Path {
        &self.config.path
    }

    /// All locks of this token, taken for the moment of a fork.
    pub fn fork_guards(&self) -> ForkGuards<'_> {
        ForkGuards {
            store: self.store.write_for_fork(),
            _verifiers: self.verifiers.write_for_fork(),
            _index: self.index.write_for_fork(),
            _repeats: self.repeats.write_for_fork(),
            _info: self.info.write_for_fork(),
        }
    }
}
