//! The token's seals: what opens its file, and officers who add, exchange and remove that, while other
//! processes go on undisturbed: they hold the seal key itself, which stays the same.

use super::custody::still_good;
use super::policy::Operation;
use super::{Access, Login, Token};
use crate::audit::{Event, Note};
use crate::config::SealConfig;
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::store::{Opened, Provider, Rotation, SealInfo, Store, Wrapping, passphrase};
use std::sync::Arc;

/// What came of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealRotated {
    /// Of the seal in use now.
    pub number: u32,
    pub provider: Provider,
    /// The numbers of those that went: the one that was in use, and what earlier exchanges left.
    pub removed: Vec<u32>,
    /// False: the passphrase stays, under a fresh salt.
    pub new_key: bool,
}

fn note(event: Event, number: u32, provider: Provider) -> Note {
    Note::of(event).detail("seal", number).detail("provider", provider.name())
}

fn listed(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

impl Token {
    /// All seals. Nobody need be logged in: whoever can open the file could read as much in it.
    pub fn seals(&self) -> Result<Vec<SealInfo>> {
        let store = self.store()?;
        let in_use = store.opened_by(&self.config.seal).unwrap_or_default();
        store.seals(in_use.as_ref())
    }

    /// The officer who may, and a file that can be written, before anything is made on the disk.
    fn for_seals<'a>(&self, access: Access<'a>) -> Result<(&'a Arc<Login>, Arc<Store>)> {
        let officer = Self::officer(access, Operation::ManageSeal)?;
        let store = self.store()?;
        if store.read_only() {
            let why = "the token's file or folder cannot be written by this user: its seals stay as they are";
            return Err(Error::TokenWriteProtected.because(why));
        }
        Ok((officer, store))
    }

    /// One more seal; its number. A missing key file is made. `ArgumentsBad` when it opens the token
    /// already.
    pub fn add_seal(&self, access: Access<'_>, seal: &SealConfig) -> Result<u32> {
        let (officer, store) = self.for_seals(access)?;
        let wrapping = Wrapping::fresh(seal)?;
        if let Some(opened) = store.opened_by(seal)? {
            return Err(
                Error::ArgumentsBad.because(format_args!("this opens seal {} already", opened.number()))
            );
        }
        self.write_own(&store, |change| {
            still_good(change, officer)?;
            let number = change.add_seal(&wrapping)?;
            change.audit(Some(officer), note(Event::SealAdded, number, wrapping.provider()))?;
            Ok(number)
        })
    }

    /// Takes a seal away for good. `ArgumentsBad` when there is none of this number; `ActionProhibited` for
    /// the last good one, and, unless it is forced, for the one that this configuration names.
    pub fn remove_seal(&self, access: Access<'_>, number: u32, force: bool) -> Result<()> {
        let (officer, store) = self.for_seals(access)?;
        // The configured key may be the very one that was lost.
        let in_use = match store.opened_by(&self.config.seal) {
            Err(_) if force => None,
            known => known?,
        };
        let before = store.seals(in_use.as_ref())?;
        let provider = before.iter().find(|seal| seal.number == number).and_then(|seal| seal.provider);
        self.write_own(&store, |change| {
            still_good(change, officer)?;
            change.remove_seal(number, in_use.as_ref(), &self.config.seal, force)?;
            let gone = Note::of(Event::SealRemoved).detail("seal", number);
            change.audit(
                Some(officer),
                provider.iter().fold(gone, |note, provider| note.detail("provider", provider.name())),
            )
        })
    }

    /// Exchanges the seal in use: a key file gets a fresh key, a passphrase file this passphrase, and without
    /// one a passphrase gets a fresh salt. At every moment the configured file opens the token.
    /// `ActionProhibited` for what cannot be written from here: a credential, a variable.
    pub fn rotate_seal(&self, access: Access<'_>, new_passphrase: Option<Secret>) -> Result<SealRotated> {
        let (officer, store) = self.for_seals(access)?;
        let new = new_passphrase.map(|words| passphrase(words.to_vec())).transpose()?;
        let rotation = Rotation::begin(self.seal_in_use(&store)?, &self.config.seal, new)?;
        let number = self.add_successor(officer, &store, &rotation)?;
        let finished = self.write_own(&store, |change| {
            still_good(change, officer)?;
            let (number, removed) = rotation.finish(change, &self.config.seal, number)?;
            let note =
                note(Event::SealRotated, number, rotation.provider()).detail("removed", listed(&removed));
            change.audit(Some(officer), note)?;
            Ok((number, removed))
        });
        if let (Err(_), Some(number)) = (&finished, number) {
            self.forget_successor(officer, &store, &rotation, number);
        }
        let (provider, new_key) = (rotation.provider(), rotation.exchanges());
        finished.map(|(number, removed)| SealRotated { number, provider, removed, new_key })
    }

    fn seal_in_use(&self, store: &Store) -> Result<Opened> {
        store.opened_by(&self.config.seal)?.ok_or_else(|| {
            Error::TokenNotRecognized.because(
                "the seal key that is configured opens the token no more: it was exchanged or removed",
            )
        })
    }

    /// The wrapping under the new key, if there is a new one.
    pub(super) fn add_successor(
        &self,
        officer: &Arc<Login>,
        store: &Store,
        rotation: &Rotation,
    ) -> Result<Option<u32>> {
        if !rotation.exchanges() {
            return Ok(None);
        }
        self.write_own(store, |change| {
            still_good(change, officer)?;
            let number = rotation.add(change)?;
            let note =
                note(Event::SealAdded, number, rotation.provider()).detail("replaces", rotation.replaces());
            change.audit(Some(officer), note)?;
            Ok(Some(number))
        })
    }

    /// After a failure: the wrapping under a new key that is not in its place opens nothing. When that
    /// cannot be written either, or nobody can tell where the key is, the next exchange sweeps it away.
    pub(super) fn forget_successor(
        &self,
        officer: &Arc<Login>,
        store: &Store,
        rotation: &Rotation,
        number: u32,
    ) {
        if rotation.may_be_in_place(&self.config.seal) {
            return;
        }
        let _ = self.write_own(store, |change| {
            change.remove_seal(number, None, &self.config.seal, true)?;
            change.audit(Some(officer), note(Event::SealRemoved, number, rotation.provider()))
        });
    }
}
