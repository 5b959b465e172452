//! The appliance user (AU), the model's `app_user`: this host as a member of the token's people.
//!
//! It has an Ed25519 key and no password: nobody logs in as it, in no program. Whoever may open the token's
//! file acts as it where a role is needed and nobody is logged in: it checks the state, carries sealed
//! records, and opens, uses and manages nothing (`policy.rs`). Its key says who wrote something that travels
//! to other hosts. It is not the key of the audit log: that one belongs to the log and goes where the log
//! goes, into a backup and onto a new host; this one stays with its file and is made anew on another host,
//! so that there are never two who sign as the same.

use super::keychain::{self, UserKeys};
use super::{Login, Role, Token};
use crate::audit::{Event, Note, hex};
use crate::crypto::ed25519::PrivateKey;
use crate::crypto::{Hash, Secret, derive, hpke};
use crate::error::{Error, Result};
use crate::store::{Change, Id, Store};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Its name, which nobody else may have.
pub const NAME: &str = "appliance";

/// The row of the token's file that holds the seed of its key: nonce, AES-256-GCM, tag, under a secret of
/// the token, bound to the token's id.
const ROW: &str = "appliance";
const SECRET: &[u8] = b"appliance identity";

/// This host's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appliance {
    /// From its public key.
    pub id: Id,
    /// Ed25519.
    pub public: [u8; 32],
}

impl Appliance {
    pub(super) fn of(seed: &Secret) -> Result<Appliance> {
        let public = PrivateKey::new(seed)?.public();
        Ok(Appliance::named(public))
    }

    /// Who has this public key.
    pub(super) fn named(public: [u8; 32]) -> Appliance {
        let mut id = Id::NONE;
        id.0.copy_from_slice(&Hash::Sha256.digest(&public)[..16]);
        Appliance { id, public }
    }

    /// SHA-256 of the public key, for people to compare.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", hex(&Hash::Sha256.digest(&self.public)))
    }
}

/// Gives this file an identity.
pub fn make(change: &mut Change<'_>) -> Result<Appliance> {
    make_of(change, &PrivateKey::generate()?)
}

/// The same, of a key that the host has already.
pub(super) fn make_of(change: &mut Change<'_>, seed: &Secret) -> Result<Appliance> {
    let sealed = keychain::wrap(&change.derived_secret(SECRET), &change.token_id().0, seed)?;
    change.set_local(ROW, &sealed)?;
    Appliance::of(seed)
}

/// This file's identity, in a transaction; made when there is none.
pub(super) fn own(change: &mut Change<'_>) -> Result<Appliance> {
    match own_seed(change)? {
        Some(seed) => Appliance::of(&seed),
        None => make(change),
    }
}

fn own_seed(change: &mut Change<'_>) -> Result<Option<Secret>> {
    let Some(sealed) = change.local(ROW)? else { return Ok(None) };
    open(&change.derived_secret(SECRET), change.token_id(), &sealed).map(Some)
}

/// The pair of X25519 keys that follows from a host's seed: what is sealed to it, only this host opens.
pub(super) fn receiving_pair(seed: &Secret) -> (Secret, [u8; 32]) {
    hpke::key_pair_of(&derive::hkdf_sha256(b"", seed, b"strongroom member receives", 32))
}

/// The private half of it, and this host's id: `DeviceError` in a file without an identity.
pub(super) fn receiving_key(change: &mut Change<'_>) -> Result<(Secret, Id)> {
    let seed =
        own_seed(change)?.ok_or_else(|| Error::DeviceError.because("this host has no identity (AU)"))?;
    Ok((receiving_pair(&seed).0, Appliance::of(&seed)?.id))
}

/// The public half of it; of a file that has an identity.
pub(super) fn receives(change: &mut Change<'_>) -> Result<Option<[u8; 32]>> {
    Ok(own_seed(change)?.map(|seed| receiving_pair(&seed).1))
}

fn open(secret: &Secret, token: Id, sealed: &[u8]) -> Result<Secret> {
    let seed = keychain::unwrap(secret, &token.0, sealed);
    seed.map_err(|_| Error::DeviceError.because("this host's identity (AU) was altered"))
}

/// This file's identity; `None` in one of before there was any; `DeviceError` when it was altered.
pub fn load(store: &Store) -> Result<Option<Appliance>> {
    seed(store)?.map(|seed| Appliance::of(&seed)).transpose()
}

fn seed(store: &Store) -> Result<Option<Secret>> {
    let Some(sealed) = store.local(ROW)? else { return Ok(None) };
    open(&store.derived_secret(SECRET), store.token_id(), &sealed).map(Some)
}

/// The key that signs what this host sends.
pub(crate) fn signing_key(store: &Store) -> Result<Option<PrivateKey>> {
    seed(store)?.map(|seed| PrivateKey::new(&seed)).transpose()
}

/// Who acts where nobody is logged in.
pub fn login(store: &Store) -> Result<Arc<Login>> {
    let known = load(store).ok().flatten();
    Ok(Arc::new(Login {
        user: known.map_or(Id::NONE, |appliance| appliance.id),
        name: NAME.to_owned(),
        role: Role::Appliance,
        token: store.token_id(),
        process: std::process::id(),
        credential: 0,
        // It has none that open anything.
        keys: UserKeys::random()?,
        ended: AtomicBool::new(false),
    }))
}

impl Token {
    /// This host's identity; `None` in a file that is read only, or in which no officer logged in since
    /// there are identities.
    pub fn appliance(&self) -> Result<Option<Appliance>> {
        load(&*self.store()?)
    }

    /// An identity for a file of before there was any.
    pub(super) fn give_appliance(&self, store: &Store) -> Result<()> {
        if store.read_only() || store.local(ROW)?.is_some() {
            return Ok(());
        }
        self.write_own(store, |change| {
            if change.local(ROW)?.is_some() {
                return Ok(());
            }
            let made = make(change)?;
            change.enter(Note::of(Event::ApplianceMade).detail("appliance", made.fingerprint()))
        })
    }
}
