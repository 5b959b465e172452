//! Epochs of a cluster: a member is removed, and everything that is written from then on is sealed under a
//! secret that it does not get.
//!
//! An epoch begins with a record (kind `Epoch`, one for each number) that holds its secret as an HPKE ciphertext
//! to each member of that moment. Whoever begins it puts the record into etcd first, where only one of two of the
//! same number can be (`sync::epochs`); every member, the one who began it too, then takes it from the record.

use super::custody::still_good;
use super::members::Member;
use super::policy::{Operation, may_manage};
use super::{Access, Token, appliance};
use crate::audit::{Event, Note};
use crate::crypto::{Hash, Secret, hpke};
use crate::error::{Error, Result};
use crate::store::{BodyKey, Change, Header, Id, Kind, Record, RecordRow, Store};
use std::collections::BTreeMap;

const INFO: &[u8] = b"strongroom cluster epoch";
const FORM: u8 = 1;
/// An HPKE ciphertext of 32 bytes.
const SEALED: usize = 80;

/// What a record of an epoch says.
struct Beginning {
    number: u32,
    secrets: BTreeMap<Id, [u8; SEALED]>,
}

impl Beginning {
    /// Form (1), number (u32 LE), then each member's id (16) and ciphertext (80).
    fn encode(&self) -> Vec<u8> {
        let mut out = [&[FORM][..], &self.number.to_le_bytes()].concat();
        for (member, sealed) in &self.secrets {
            out.extend_from_slice(&member.0);
            out.extend_from_slice(sealed);
        }
        out
    }

    fn decode(bytes: &[u8]) -> Option<Beginning> {
        let (fixed, rest) = bytes.split_first_chunk::<5>()?;
        let (entries, []) = rest.as_chunks::<{ 16 + SEALED }>() else { return None };
        let entry = |bytes: &[u8; 16 + SEALED]| {
            let (member, sealed) = bytes.split_first_chunk::<16>()?;
            Some((Id(*member), sealed.try_into().ok()?))
        };
        let number = u32::from_le_bytes([fixed[1], fixed[2], fixed[3], fixed[4]]);
        let secrets = entries.iter().map(entry).collect::<Option<_>>()?;
        (fixed[0] == FORM).then_some(Beginning { number, secrets })
    }
}

/// The id of an epoch's record.
fn id_of(token: Id, number: u32) -> Id {
    let mut id = Id::NONE;
    let hash = Hash::Sha256.digest(&[INFO, &token.0, &number.to_le_bytes()].concat());
    id.0.copy_from_slice(&hash[..16]);
    id
}

fn bound_to(token: Id, number: u32, member: Id) -> Vec<u8> {
    [&token.0[..], &number.to_le_bytes(), &member.0].concat()
}

/// An epoch that is to begin: its record, which nobody has yet.
pub(crate) struct NewEpoch {
    pub number: u32,
    pub row: RecordRow,
}

/// What the epochs' records say to this host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Learned {
    /// The greatest number that came anew.
    pub new: Option<u32>,
    /// A later epoch, whose secret is not among what this host was given.
    pub missing: Option<u32>,
}

/// Takes the secrets of epochs that this host does not have yet out of their records.
pub(crate) fn learn(change: &mut Change<'_>) -> Result<Learned> {
    let (mut learned, mut found) = (Learned::default(), BTreeMap::new());
    let (token, present) = (change.token_id(), change.present_epoch());
    for header in change.list(Kind::Epoch)? {
        let Some(record) = change.load(Kind::Epoch, header.id)? else { continue };
        let body = change.open_body(&record, BodyKey::Seal)?;
        let begins = Beginning::decode(&body).filter(|begins| id_of(token, begins.number) == header.id);
        let Some(Beginning { number, secrets }) = begins.filter(|begins| begins.number > present) else {
            continue;
        };
        let (private, me) = appliance::receiving_key(change)?;
        let secret = secrets
            .get(&me)
            .and_then(|sealed| hpke::open(&private, INFO, &bound_to(token, number, me), sealed).ok());
        match secret {
            Some(secret) => drop(found.insert(number, (secret, header.author))),
            None => learned.missing = learned.missing.max(Some(number)),
        }
    }
    learned.new = found.keys().next_back().copied();
    // An epoch between two was for others.
    learned.missing = learned.missing.filter(|missing| Some(*missing) > learned.new);
    for (number, (secret, by)) in found {
        change.learn_epochs([(number, secret)])?;
        change.enter(Note::of(Event::EpochBegun).detail("epoch", number).detail("by", by))?;
    }
    Ok(learned)
}

/// Who began the present epoch; nobody the first one.
pub(crate) fn begun_by(store: &Store) -> Result<Option<Id>> {
    let id = id_of(store.token_id(), store.ring().present());
    Ok(store.load(Kind::Epoch, id)?.map(|record| record.header.author))
}

impl Token {
    /// Takes a member out of the cluster: what it sends is refused from then on. It keeps what it knows until a
    /// new epoch begins. Done already is done. `ActionProhibited` for this very host, and for a token that is no
    /// member; `ArgumentsBad` when there is no such member.
    pub fn remove_member(&self, access: Access<'_>, id: Id) -> Result<()> {
        may_manage(access, Operation::ManagePeers)?;
        let officer = access.login.ok_or(Error::UserNotLoggedIn)?;
        self.write(&*self.store()?, |change| {
            still_good(change, officer)?;
            if change.peer_id().is_none_or(|peer| peer == id) {
                return Err(Error::ActionProhibited
                    .because("a host is removed from a cluster by an officer on another member"));
            }
            if change.load(Kind::Member, id)?.is_none() {
                let gone = change.load(Kind::Gone, id)?.is_some();
                return if gone { Ok(()) } else { Err(Error::ArgumentsBad) };
            }
            change.remove(Kind::Member, id)?;
            change.audit(access.login, Note::of(Event::MemberRemoved).object(id))
        })
    }

    /// A new epoch's secret, sealed to the members. `ActionProhibited` when one of them published no key for it,
    /// or this host lacks an epoch itself.
    pub(crate) fn new_epoch(&self, access: Access<'_>) -> Result<NewEpoch> {
        may_manage(access, Operation::ManagePeers)?;
        let officer = access.login.ok_or(Error::UserNotLoggedIn)?;
        let store = self.store()?;
        let author = store.peer()?.ok_or(Error::ActionProhibited)?;
        store.write(|change| still_good(change, officer))?;
        let (token, number) = (store.token_id(), store.ring().present() + 1);
        let secret = Secret::random(32)?;
        let mut secrets = BTreeMap::new();
        for Member { id, name, receives, .. } in self.members()? {
            let public = receives.ok_or_else(|| {
                Error::ActionProhibited.because(format_args!("{name} has published no key for new epochs"))
            })?;
            let sealed = hpke::seal(&public, INFO, &bound_to(token, number, id), &secret)?;
            secrets.insert(id, sealed.try_into().map_err(|_| Error::GeneralError)?);
        }
        let id = id_of(token, number);
        let header =
            Header { kind: Kind::Epoch, id, version: 1, epoch: 1, author, owner: Id::NONE, flags: 0 };
        let body = store.seal_body(&header, &Beginning { number, secrets }.encode())?;
        let record = Record { header, body };
        Ok(NewEpoch { number, row: RecordRow { record, keys: Vec::new(), terms: Vec::new() } })
    }

    /// Keeps an epoch that was put into etcd.
    pub(crate) fn keep_epoch(&self, access: Access<'_>, store: &Store, new: &NewEpoch) -> Result<()> {
        let peer = store.peer()?.ok_or(Error::ActionProhibited)?;
        self.write_from_peers((store, peer), |change| {
            // The agent may have been faster.
            if change.load(Kind::Epoch, new.row.record.header.id)?.is_none() {
                change.adopt(&new.row)?;
            }
            learn(change)?;
            change.audit(access.login, Note::of(Event::EpochRotated).detail("epoch", new.number))
        })?;
        store.refresh()
    }

    /// Whether this host was removed from the cluster it was in.
    pub fn was_removed(&self) -> Result<bool> {
        let store = self.store()?;
        store.peer()?.map_or(Ok(false), |peer| store.is_gone(peer))
    }

    /// The present epoch, and how many records are still under an earlier one.
    pub fn epoch(&self) -> Result<(u32, u64)> {
        let store = self.store()?;
        Ok((store.ring().present(), store.stale()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_an_epoch_says_is_read_again(number in any::<u32>(), bytes in any::<[u8; SEALED]>(), cut in any::<u16>()) {
            let secrets = BTreeMap::from([(Id([1; 16]), bytes), (Id([2; 16]), bytes)]);
            let said = Beginning { number, secrets }.encode();
            let read = Beginning::decode(&said).unwrap();
            prop_assert_eq!((read.number, read.secrets.len()), (number, 2));
            let short = &said[..usize::from(cut) % said.len()];
            prop_assert!(Beginning::decode(short).is_none_or(|read| read.secrets.len() < 2));
        }
    }
}
