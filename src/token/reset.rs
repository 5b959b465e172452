//! Reset policy `quorum`: a user's keys come back when enough officers say so, one after the other, each
//! in a process of his own.
//!
//! Each user has a reset key of his own. It is cut into shares when the user is made and at each password
//! after that, one for each shareholder of that day (`shareholders.rs`), as an HPKE ciphertext in the user's record. An officer
//! who asks for a reset leaves a request there; another who approves opens his share and gives it to the
//! first, bound to the request. So approving the reset of one user gives away nothing of another, and
//! whoever holds fewer shares than are needed holds nothing.

use super::keychain::{self, UserKeys};
use super::officers::nobody;
use super::policy::{self, Operation};
use super::shareholders;
use super::users::User;
use super::{Access, Login, Role, Token};
use crate::audit::{Event, Note};
use crate::config::ResetPolicy;
use crate::crypto::{Secret, random, shamir};
use crate::error::{Error, Result};
use crate::object::{Object, Value};
use crate::store::{Change, Id, Kind};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A request that is older, in seconds, is void: a day.
const LONGEST_S: u64 = 24 * 60 * 60;

/// Shares, each sealed to someone: by officer.
pub type Shares = Vec<(Id, Vec<u8>)>;

/// A reset that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The officer to whom approvals are sealed.
    pub officer: Id,
    pub nonce: [u8; 16],
    /// Seconds since 1970.
    pub begun: u64,
    pub approvals: Shares,
}

/// A request as officers may list.
#[derive(Clone, Debug)]
pub struct PendingReset {
    pub user: String,
    /// The user is an officer who is to hold shares.
    pub shareholder: bool,
    pub officer: String,
    /// Officers who said yes, the one who asks included.
    pub approved: Vec<String>,
    pub needed: u32,
    /// Seconds since 1970, after which it is void.
    pub expires: u64,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Officer and ciphertext of each, as the value of a field.
pub fn encode_shares(shares: &Shares) -> Value {
    let one = |(place, (officer, sealed)): (usize, &(Id, Vec<u8>))| {
        (place as u64, Value::Bytes([&officer.0[..], sealed].concat()))
    };
    Value::Template(shares.iter().enumerate().map(one).collect())
}

pub fn decode_shares(value: Option<&Value>) -> Option<Shares> {
    let Some(Value::Template(list)) = value else { return value.is_none().then(Vec::new) };
    let one = |(_, value): &(u64, Value)| {
        let (officer, sealed) = value.bytes()?.split_first_chunk::<16>()?;
        Some((Id(*officer), sealed.to_vec()))
    };
    list.iter().map(one).collect()
}

const OFFICER: u64 = 1;
const NONCE: u64 = 2;
const BEGUN: u64 = 3;
const APPROVALS: u64 = 4;

impl Request {
    pub fn encode(&self) -> Value {
        Value::Template(vec![
            (OFFICER, Value::Bytes(self.officer.0.to_vec())),
            (NONCE, Value::Bytes(self.nonce.to_vec())),
            (BEGUN, Value::Ulong(self.begun)),
            (APPROVALS, encode_shares(&self.approvals)),
        ])
    }

    pub fn decode(value: &Value) -> Option<Request> {
        let Value::Template(fields) = value else { return None };
        let fields = Object::new(fields.clone());
        Some(Request {
            officer: Id(fields.bytes(OFFICER).try_into().ok()?),
            nonce: fields.bytes(NONCE).try_into().ok()?,
            begun: fields.number(BEGUN)?,
            approvals: decode_shares(fields.get(APPROVALS))?,
        })
    }

    /// Void also when its time lies ahead: a clock was set.
    pub(super) fn is_void(&self) -> bool {
        !(self.begun..=self.begun.saturating_add(LONGEST_S)).contains(&now())
    }

    /// What an approval is bound to.
    fn purpose(&self, user: Id, officer: Id) -> Vec<u8> {
        [&b"approval"[..], &user.0, &officer.0, &self.nonce].concat()
    }
}

/// What an officer's own share is bound to.
fn share_purpose(user: Id, officer: Id) -> Vec<u8> {
    [&b"share"[..], &user.0, &officer.0].concat()
}

/// Why nothing is done for this user or officer.
pub(super) fn refused(name: &str, why: &str) -> Error {
    Error::ActionProhibited.because(format_args!("{name}: {why}"))
}

/// Gives a user a new reset key, a share of it to each officer who may hold one. `ActionProhibited` when
/// there are fewer than are needed.
pub fn deal(change: &mut Change<'_>, user: &mut User, keys: &UserKeys, threshold: u32) -> Result<()> {
    let officers = change.shareholders()?;
    if officers.len() < threshold as usize {
        return Err(Error::ActionProhibited.because(format_args!(
            "reset policy quorum: a user needs {threshold} officers who hold shares, and there are {}; an \
             officer holds some after changing the password that another officer gave",
            officers.len()
        )));
    }
    let reset = Secret::random(32)?;
    let shares = shamir::split(&reset, threshold as usize, officers.len())?;
    user.keys_for_reset = keys.wrap_for_reset(&reset)?;
    let id = user.header.id;
    let give = |(officer, share): (&User, &Secret)| {
        let to = officer.header.id;
        keychain::give_reset_share(&officer.public, &share_purpose(id, to), share).map(|sealed| (to, sealed))
    };
    user.reset_shares = officers.iter().zip(&shares).map(give).collect::<Result<_>>()?;
    user.request = None;
    Ok(())
}

/// An officer's own share of a user's reset key, if he has one.
fn own_share(officer: &Login, user: &User) -> Option<Secret> {
    let (_, sealed) = user.reset_shares.iter().find(|(holder, _)| *holder == officer.user)?;
    officer.keys.take_reset_share(&share_purpose(user.header.id, officer.user), sealed).ok()
}

/// The user's keys, by what officers approved: for the one who asked, and nobody else.
/// `ActionProhibited` when it is not enough.
pub fn collect(officer: &Login, user: &User, threshold: u32) -> Result<UserKeys> {
    let refused = |why: &str| refused(&format!("reset of {}", user.name), why);
    let request = user.request.as_ref().ok_or_else(|| refused("nobody asked for it"))?;
    if request.officer != officer.user {
        return Err(refused("another officer asked for it, and it is his to finish"));
    }
    if request.is_void() {
        return Err(refused("the request is more than a day old"));
    }
    let mut shares: Vec<Secret> = own_share(officer, user).into_iter().collect();
    for (from, sealed) in &request.approvals {
        shares.extend(officer.keys.take_reset_share(&request.purpose(user.header.id, *from), sealed).ok());
    }
    if shares.len() < threshold as usize {
        return Err(refused(&format!("{} of {threshold} officers approved it", shares.len())));
    }
    let keys = shamir::combine(&shares)
        .and_then(|reset| UserKeys::unwrap_for_reset(&reset, &user.keys_for_reset, user.public));
    keys.map_err(|_| Error::DeviceError.because("a user's keys do not open for reset"))
}

impl Token {
    /// Asks the other officers for a reset of a user's password, or that an officer may hold shares; an older
    /// request for this one is void. Only where the policy is `quorum` (`ActionProhibited`).
    pub fn request_reset(&self, access: Access<'_>, name: &str) -> Result<()> {
        let officer = Self::officer(access, Operation::ManageUsers)?;
        let mut nonce = [0; 16];
        random::fill(&mut nonce)?;
        self.change_request(officer, name, Event::ResetRequested, |change, user, _| {
            let request = Request { officer: officer.user, nonce, begun: now(), approvals: Vec::new() };
            user.request = Some(match user.role {
                Role::Officer => shareholders::ask(change, officer, user, request)?,
                _ => request,
            });
            Ok(())
        })
    }

    /// Gives this officer's share to the one who asked, or his word for an officer. `ActionProhibited` when
    /// nobody asks, one approves what he asks himself, or has no share.
    pub fn approve_reset(&self, access: Access<'_>, name: &str) -> Result<()> {
        let officer = Self::officer(access, Operation::ManageUsers)?;
        self.change_request(officer, name, Event::ResetApproved, |change, user, threshold| {
            if user.role == Role::Officer {
                return shareholders::approve(change, officer, user, threshold);
            }
            let refused = |why| refused(&format!("reset of {name}"), why);
            let share = own_share(officer, user);
            let id = user.header.id;
            let request = user.request.as_mut().filter(|request| !request.is_void());
            let request = request.ok_or_else(|| refused("nobody asks for it"))?;
            if request.officer == officer.user {
                return Err(refused("who asks for it has approved it"));
            }
            let share =
                share.ok_or_else(|| refused("this officer came after the user's last password: no share"))?;
            let asking = change.user(request.officer)?.filter(|asking| asking.role == Role::Officer);
            let asking = asking.ok_or_else(|| refused("who asked for it is no officer any more"))?;
            let sealed =
                keychain::give_reset_share(&asking.public, &request.purpose(id, officer.user), &share)?;
            request.approvals.retain(|(from, _)| *from != officer.user);
            request.approvals.push((officer.user, sealed));
            Ok(())
        })
    }

    /// Takes a request back, with its approvals: any officer may.
    pub fn cancel_reset(&self, access: Access<'_>, name: &str) -> Result<()> {
        let officer = Self::officer(access, Operation::ManageUsers)?;
        self.change_request(officer, name, Event::ResetCanceled, |_, user, _| {
            user.request = None;
            Ok(())
        })
    }

    fn change_request(
        &self,
        officer: &Arc<Login>,
        name: &str,
        event: Event,
        work: impl FnOnce(&mut Change<'_>, &mut User, u32) -> Result<()>,
    ) -> Result<()> {
        let store = self.store()?;
        let ResetPolicy::Quorum { threshold } = self.policy_of(&store)? else {
            return Err(Error::ActionProhibited.because("the token's reset policy is not quorum"));
        };
        self.write(&store, |change| {
            super::custody::still_good(change, officer)?;
            let mut user = change.user_named(name)?.ok_or_else(|| nobody(name))?;
            // The word comes before what follows from it.
            change.audit(Some(officer), Note::of(event).user(user.person()))?;
            work(change, &mut user, threshold)?;
            user.save(change)
        })
    }

    /// The resets that are asked for; for officers.
    pub fn pending_resets(&self, access: Access<'_>) -> Result<Vec<PendingReset>> {
        policy::may_manage(Access { write: true, ..access }, Operation::ManageUsers)?;
        let store = self.store()?;
        let ResetPolicy::Quorum { threshold: needed } = self.policy_of(&store)? else {
            return Ok(Vec::new());
        };
        let name =
            |id| self.load_user(&store, id).map(|user| user.map_or_else(String::new, |user| user.name));
        let mut pending = Vec::new();
        for header in store.find(Kind::User, &[Id::NONE], &[super::users::request_term()])? {
            let Some(user) = self.load_user(&store, header.id)? else { continue };
            let Some(request) = user.request.filter(|request| !request.is_void()) else { continue };
            let own = user.reset_shares.iter().any(|(holder, _)| *holder == request.officer);
            let asking = own.then_some(request.officer);
            let approved = asking.into_iter().chain(request.approvals.iter().map(|(from, _)| *from));
            pending.push(PendingReset {
                user: user.name,
                shareholder: user.role == Role::Officer,
                officer: name(request.officer)?,
                approved: approved.map(name).collect::<Result<_>>()?,
                needed,
                expires: request.begun.saturating_add(LONGEST_S),
            });
        }
        Ok(pending)
    }
}
