//! The seals of an open token: what there is, one more, one less, and the exchange of the one in use.
//!
//! An exchange of a file's content takes three steps, after each of which the configured file opens the
//! token: the new key is written beside the old one; a wrapping under it goes into the token's file beside
//! the old wrapping; and, in one write transaction that shuts out every other exchange, the new key takes the
//! old one's name and the old wrapping goes. A process that is killed before the last step's end leaves one
//! wrapping too many, which says what it was to replace; the next exchange sweeps it away.

use super::digest::State;
use super::provider::{self, Provider, Successor};
use super::wrapping::{self, Opened, Row, Wrapping};
use super::{Change, Store};
use crate::config::SealConfig;
use crate::crypto::Secret;
use crate::error::{Error, Result};

/// The most seals of a token: each may cost an Argon2id at its opening.
const MOST: usize = 8;

/// A seal, as may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealInfo {
    pub number: u32,
    /// `None`: the row does not say.
    pub provider: Option<Provider>,
    /// Seconds since 1970; seals of earlier files do not say.
    pub made: Option<u64>,
    pub state: SealState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealState {
    /// What the configuration names opens it.
    InUse,
    /// As it was written; something else opens it.
    Intact,
    /// Of an earlier file: only its own key can tell.
    Unchecked,
    Altered,
    /// Of an exchange that is under way or did not come to its end.
    LeftOver,
}

/// An exchange under way: the new key lies beside the old one.
pub struct Rotation {
    old: Opened,
    new: Wrapping,
    /// `None`: the key stays, the wrapping is fresh.
    successor: Option<Successor>,
}

fn changed() -> Error {
    Error::FunctionFailed.because("the token's seals were changed meanwhile by somebody else")
}

/// Whether an exchange of `old` would sweep the row away.
fn leftover_of(old: &Row, row: &Row) -> bool {
    let replaces = |row: &Row| row.said().map_or(0, |said| said.replaces);
    replaces(row) == old.number || replaces(old) == row.number
}

impl Store {
    /// The seal that this opens, if it opens one. No lock is held meanwhile.
    pub fn opened_by(&self, config: &SealConfig) -> Result<Option<Opened>> {
        wrapping::find(|| self.read(wrapping::rows), self.keys.token, config)
    }

    /// All seals. `in_use`: by what the configuration names.
    pub fn seals(&self, in_use: Option<&Opened>) -> Result<Vec<SealInfo>> {
        let rows = self.read(wrapping::rows)?;
        let state = |row: &Row| {
            if in_use.is_some_and(|opened| opened.row == *row) {
                return SealState::InUse;
            }
            match row.intact(&self.keys) {
                Some(false) => SealState::Altered,
                _ if in_use.is_some_and(|opened| leftover_of(&opened.row, row)) => SealState::LeftOver,
                _ if row.is_successor(&rows) => SealState::LeftOver,
                Some(true) => SealState::Intact,
                None => SealState::Unchecked,
            }
        };
        let info = |row: &Row| {
            let said = row.said();
            SealInfo {
                number: row.number,
                provider: said.as_ref().map(|said| said.provider),
                made: said.and_then(|said| said.made),
                state: state(row),
            }
        };
        Ok(rows.iter().map(info).collect())
    }
}

impl Change<'_> {
    /// One more seal; its number. `replaces`: of the one it is to replace, or 0. `ActionProhibited` when
    /// there are too many.
    fn insert_seal(&mut self, wrapping: &Wrapping, replaces: u32) -> Result<Row> {
        State::load(self.connection, self.keys)?;
        let rows = wrapping::rows(self.connection)?;
        if rows.len() >= MOST && replaces == 0 {
            return Err(Error::ActionProhibited
                .because(format_args!("a token has at most {MOST} seals: remove one that nobody needs")));
        }
        let greatest = rows.last().map_or(0, |row| row.number);
        let none_left =
            || Error::DeviceError.because("the file was altered: a seal has the greatest number there is");
        let number = greatest.checked_add(1).ok_or_else(none_left)?;
        wrapping.save(self.connection, self.keys, number, replaces)
    }

    /// One more seal; its number.
    pub fn add_seal(&mut self, wrapping: &Wrapping) -> Result<u32> {
        self.insert_seal(wrapping, 0).map(|row| row.number)
    }

    /// Takes a seal away, overwriting its bytes. `ArgumentsBad` when there is none of this number;
    /// `ActionProhibited` for one without which nothing opens the token, and, unless it is forced, for
    /// the one in use.
    pub fn remove_seal(
        &mut self,
        number: u32,
        in_use: Option<&Opened>,
        config: &SealConfig,
        force: bool,
    ) -> Result<()> {
        State::load(self.connection, self.keys)?;
        let rows = wrapping::rows(self.connection)?;
        let (gone, rest): (Vec<Row>, Vec<Row>) = rows.iter().cloned().partition(|row| row.number == number);
        if gone.is_empty() {
            return Err(Error::ArgumentsBad.because(format_args!("there is no seal {number}")));
        }
        if in_use.is_some_and(|opened| !opened.still_true(&rows, config)) {
            return Err(changed());
        }
        let is_used = |row: &Row| in_use.is_some_and(|opened| opened.row == *row);
        // A key that never came to its place opens nothing.
        let opens =
            |row: &Row| is_used(row) || (row.intact(self.keys) != Some(false) && !row.is_successor(&rows));
        if !rest.iter().any(opens) {
            return Err(Error::ActionProhibited.because(format_args!(
                "seal {number} is the last good one: without it nothing opens the token"
            )));
        }
        if !force && gone.iter().any(is_used) {
            return Err(Error::ActionProhibited.because(format_args!(
                "seal {number} is the one that this configuration opens the token with"
            )));
        }
        self.removed = true;
        gone.iter().try_for_each(|row| row.delete(self.connection))
    }
}

impl Rotation {
    /// Writes the new key or passphrase beside the old one. A passphrase stays when no new one is given, and
    /// gets a fresh salt. `ActionProhibited` for what cannot be written from here, or is the same again.
    pub fn begin(old: Opened, config: &SealConfig, new_passphrase: Option<Secret>) -> Result<Rotation> {
        let provider = Provider::of(config);
        if provider == Provider::Passphrase && new_passphrase.is_none() {
            let new = Wrapping::under(provider, &old.material)?;
            return Ok(Rotation { old, new, successor: None });
        }
        if new_passphrase.as_ref() == Some(&old.material) {
            return Err(Error::ActionProhibited.because("the new passphrase is the old one"));
        }
        let successor = Successor::write(config, new_passphrase)?;
        let new = Wrapping::under(provider, &successor.material)?;
        Ok(Rotation { old, new, successor: Some(successor) })
    }

    /// The number of the seal that goes.
    pub fn replaces(&self) -> u32 {
        self.old.row.number
    }

    pub fn provider(&self) -> Provider {
        self.new.provider()
    }

    /// Whether a new key or passphrase comes, and not only a fresh salt.
    pub fn exchanges(&self) -> bool {
        self.successor.is_some()
    }

    /// The new wrapping beside the old one; its number. For an exchange only.
    pub fn add(&self, change: &mut Change<'_>) -> Result<u32> {
        change.insert_seal(&self.new, self.replaces()).map(|row| row.number)
    }

    /// The last step: the new key in the old one's place, and the old wrapping gone. `number` is what `add`
    /// gave. Gives the number of the seal in use and of those that went.
    pub fn finish(
        &self,
        change: &mut Change<'_>,
        config: &SealConfig,
        number: Option<u32>,
    ) -> Result<(u32, Vec<u32>)> {
        State::load(change.connection, change.keys)?;
        let rows = wrapping::rows(change.connection)?;
        if !self.old.still_true(&rows, config) {
            return Err(changed());
        }
        let number = match (&self.successor, number) {
            (Some(successor), Some(number)) => {
                let ours = |row: &&Row| row.number == number && row.intact(change.keys) == Some(true);
                let said = rows.iter().find(ours).and_then(Row::said);
                if said.is_none_or(|said| said.replaces != self.replaces()) {
                    return Err(changed());
                }
                successor.put_in_place()?;
                number
            }
            _ => change.insert_seal(&self.new, self.replaces())?.number,
        };
        change.removed = true;
        let mut gone = Vec::new();
        for row in rows.iter().filter(|row| row.number != number) {
            let swept = row.intact(change.keys) != Some(false) && leftover_of(&self.old.row, row);
            if *row == self.old.row || swept {
                row.delete(change.connection)?;
                gone.push(row.number);
            }
        }
        Ok((number, gone))
    }

    /// Whether the new key has the old one's place: then its wrapping must stay, whatever failed.
    pub fn in_place(&self, config: &SealConfig) -> bool {
        let now = provider::material(config);
        self.successor.as_ref().is_some_and(|successor| now.is_ok_and(|now| now == successor.material))
    }
}
