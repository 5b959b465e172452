//! Making a token's file, replacing what is in it, and opening it.

use super::connection::{self, GATE, Link};
use super::provider::{self, Provider};
use super::seal::Keys;
use super::wrapping::{self, Wrapping};
use super::{Change, NEVER, OTHERS, Store, change};
use crate::config::SlotConfig;
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::lock::{Mutex, Rank};
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32};
use std::time::Duration;

impl Store {
    /// Whether there is a file at all.
    pub fn exists(config: &SlotConfig) -> bool {
        std::fs::metadata(&config.path).is_ok_and(|file| file.len() > 0)
    }

    /// Makes a new file (and key file, mode 0600, if the provider wants one) holding the records
    /// that `first` writes: all or nothing. A present file is replaced by a new, empty token with
    /// a new seal key in one transaction; other processes find that their seal key opens nothing.
    pub fn create(config: &SlotConfig, first: impl FnOnce(&mut Change<'_>) -> Result<()>) -> Result<Store> {
        Self::create_with(config, Keys::random()?, first)
    }

    pub(super) fn create_with(
        config: &SlotConfig,
        keys: Keys,
        first: impl FnOnce(&mut Change<'_>) -> Result<()>,
    ) -> Result<Store> {
        Self::create_under(config, keys, &provider::material_or_new(&config.seal)?, first)
    }

    /// `FunctionFailed` when the configuration names another seal key than `material` by the time the
    /// present file is shut to others: somebody exchanged it, and this one would open nothing.
    pub(super) fn create_under(
        config: &SlotConfig,
        keys: Keys,
        material: &Secret,
        first: impl FnOnce(&mut Change<'_>) -> Result<()>,
    ) -> Result<Store> {
        let wrapping = Wrapping::under(Provider::of(&config.seal), material)?;
        let _gate = GATE.read();
        if Self::exists(config) {
            let (link, _) = Link::open(config)?;
            let connection = link.writer()?;
            change::transact(&connection, &keys, |change| {
                if provider::material(&config.seal)? != *material {
                    return Err(Error::FunctionFailed.because(
                        "the seal key was exchanged meanwhile by somebody else: the token is as it was; try again",
                    ));
                }
                change.clear(&wrapping)?;
                first(change)
            })?;
            connection::truncate_log(&connection, Duration::ZERO);
            return Ok(Store::with(link, keys));
        }
        Self::make(config, keys, &wrapping, first)
    }

    /// A new file with these keys, whole or not at all.
    pub(super) fn make(
        config: &SlotConfig,
        keys: Keys,
        wrapping: &Wrapping,
        first: impl FnOnce(&mut Change<'_>) -> Result<()>,
    ) -> Result<Store> {
        let link = Link::make(config, |connection| {
            change::transact(connection, &keys, |change| {
                change.clear(wrapping)?;
                first(change)
            })
        })?;
        Ok(Store::with(link, keys))
    }

    /// Opens; nothing is read that grows with the number of records. Errors, each logged with what
    /// to do: `TokenNotRecognized` (seal key missing, unreadable or wrong; not our file; newer
    /// format), `DeviceError` (damaged). A file or folder that cannot be written opens read-only.
    pub fn open(config: &SlotConfig) -> Result<Store> {
        let _gate = GATE.read();
        let (link, connection) = Link::open(config)?;
        let keys = wrapping::unseal(&connection, config)?;
        let store = Store::with(link, keys);
        *store.reader.lock() = Some(connection);
        Ok(store)
    }

    pub(super) fn with(link: Link, keys: Keys) -> Store {
        let empty = || Mutex::new(Rank::Store, None);
        Store {
            link,
            keys,
            reader: empty(),
            writer: empty(),
            proven: Mutex::new(Rank::Leaf, None),
            openings: AtomicU32::new(0),
            current: AtomicI64::new(NEVER),
            traces: AtomicU8::new(OTHERS),
        }
    }
}
