//! Records that an officer brings back by name over something newer, or over what is left of a destroyed one:
//! their version is above it, and every peer keeps them.
//!
//! `flags` of a header, from the top: how often the record was brought back (12 bits), whether it is sealed twice
//! (1), what only gets stricter (19). The header is sealed together with the body, and a private object's body
//! opens for its holders alone. So such a one is sealed twice: as it was, with the header of then, and both under
//! the seal key with the header of now. Its next change by a holder seals it once again.

use super::ring::follows_epoch;
use super::seal::{self, Keys};
use super::{BodyKey, Change, Header, Id, Kind, Record, RecordRow, Store, replica};
use crate::crypto::Secret;
use crate::error::{Error, Result};

const RETURNS: u32 = 20;
const MOST_RETURNS: u32 = u32::MAX >> RETURNS;
const TWICE: u32 = 1 << 19;
const STRICTNESS: u32 = TWICE - 1;
/// Bytes of a header.
const HEADER: usize = 65;

impl Header {
    /// How often an officer brought the record back: what is done to it counts from then on.
    pub fn returns(&self) -> u32 {
        self.flags >> RETURNS
    }

    /// What only ever grows between two returns.
    pub fn strictness(&self) -> u32 {
        self.flags & STRICTNESS
    }

    pub fn set_strictness(&mut self, strictness: u32) {
        self.flags = self.flags & !STRICTNESS | strictness.min(STRICTNESS);
    }

    /// Of a record that is left of a destroyed one: whether that was of this kind.
    pub fn was(&self, kind: Kind) -> bool {
        self.kind == Kind::Gone && self.strictness() == kind as u32
    }

    /// The flags of what is left of this one.
    pub(super) fn flags_when_gone(&self) -> u32 {
        self.returns() << RETURNS | self.kind as u32
    }

    /// The outer seal is of no epoch: nobody seals it anew, and what it shows is sealed for the holders.
    pub(super) fn is_sealed_twice(&self) -> bool {
        self.flags & TWICE != 0
    }

    pub(super) fn sealed_once(self) -> Header {
        Header { flags: self.flags & !TWICE, ..self }
    }
}

/// What is inside a record that is sealed twice; `None` of all others. `DeviceError` when it was altered.
pub(super) fn inner(keys: &Keys, record: &Record) -> Result<Option<Record>> {
    let outer = record.header;
    if !outer.is_sealed_twice() {
        return Ok(None);
    }
    let plain = seal::open_once(keys, record, BodyKey::Seal)?;
    let inner = plain.split_first_chunk::<HEADER>();
    let inner = inner.and_then(|(header, body)| Some((Header::from_bytes(header).ok()?, body)));
    let same = |header: &Header| {
        (header.kind, header.id, header.owner) == (outer.kind, outer.id, outer.owner)
            && !header.is_sealed_twice()
    };
    match inner.filter(|(header, _)| same(header)) {
        Some((header, body)) => Ok(Some(Record { header, body: body.to_vec() })),
        None => Err(Error::DeviceError.because(format_args!("record {} holds another one", outer.id))),
    }
}

impl Change<'_> {
    /// Puts a record back in the place of what is here of its id. Where peers, or what is left of a destroyed
    /// one, would say otherwise, it is above them. `ActionProhibited`: brought back 4,095 times already.
    pub fn bring_back(&mut self, row: &RecordRow) -> Result<()> {
        let header = row.record.header;
        match replica::present(self.connection, header.id)? {
            Some(now) if self.peer_id().is_some() || now.kind == Kind::Gone => {
                let returns = now.returns().max(header.returns()) + 1;
                let raised = self.raised(row, now.version.max(header.version) + 1, returns)?;
                self.adopt(&raised)
            }
            _ => self.put_back(row),
        }
    }

    /// The next version of a private object that somebody was given a data key of, made by one who cannot open
    /// it: with the old version the peers would keep the fewer holders.
    pub fn next_version(&mut self, id: Id) -> Result<()> {
        let Some(row) = self.whole(id)? else { return Ok(()) };
        let header = row.record.header;
        let raised = self.raised(&row, header.version + 1, header.returns())?;
        self.touch(header.kind, id)?;
        self.insert(&raised.record.header, &raised.record.body)
    }

    /// The record with another version, sealed so that it opens for those for whom it did.
    fn raised(&self, row: &RecordRow, version: u64, returns: u32) -> Result<RecordRow> {
        let was = row.record.header;
        if returns > MOST_RETURNS {
            return Err(Error::ActionProhibited
                .because(format_args!("{} was brought back {MOST_RETURNS} times: not again", was.id)));
        }
        let private = was.kind == Kind::Object && was.owner != Id::NONE;
        let twice = if private { TWICE } else { 0 };
        let flags = returns << RETURNS | twice | was.strictness();
        let epoch = self.keys.epoch_of_new(&was);
        let header = Header { version, epoch, author: self.author(), flags, ..was };
        let plain = if private {
            let inside = inner(self.keys, &row.record)?;
            let Record { header, body } = inside.as_ref().unwrap_or(&row.record);
            [&header.to_bytes()[..], body].concat().into()
        } else {
            seal::open(self.keys, &row.record, BodyKey::Seal)?
        };
        let body = seal::seal(self.keys, &header, BodyKey::Seal, &plain)?;
        Ok(RecordRow { record: Record { header, body }, ..row.clone() })
    }
}

impl Store {
    /// Whether records of the other are of the same token: one id, one root of all secrets.
    pub fn is_clone_of(&self, other: &Store) -> bool {
        self.keys.token == other.keys.token && self.keys.ring().root == other.keys.ring().root
    }

    /// A record of this token from elsewhere, sealed as this file seals it now; `open` opens it as it was. Where it
    /// opens here, or is sealed for its holders, nothing changes; made twice it has the same bytes.
    pub fn sealed_here(
        &self,
        row: &RecordRow,
        open: impl FnOnce(&Record) -> Result<Secret>,
    ) -> Result<RecordRow> {
        let was = row.record.header;
        let epoch = self.keys.epoch_of_new(&was);
        let opens = || was.epoch == epoch && self.opens(&row.record);
        if !follows_epoch(&was) || opens() {
            return Ok(row.clone());
        }
        let header = Header { epoch, ..was };
        let body = seal::seal_again(&self.keys, &header, &open(&row.record)?)?;
        Ok(RecordRow { record: Record { header, body }, ..row.clone() })
    }

    fn opens(&self, record: &Record) -> bool {
        seal::tried(&self.keys, record).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SlotConfig;
    use crate::store::merge::{Verdict, decide};

    /// A member's file with one private object, and its row.
    fn member() -> (tempfile::TempDir, Store, Secret, RecordRow) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(&SlotConfig::for_test(folder.path()), |_| Ok(())).unwrap();
        let (id, owner, key) = (Id([5; 16]), Id([6; 16]), Secret::random(32).unwrap());
        let header = Header { kind: Kind::Object, id, version: 1, epoch: 1, author: id, owner, flags: 3 };
        let row = store
            .write(|change| {
                change.enlist(Id([1; 16]))?;
                change.put(header, BodyKey::Data(&key), b"body", &[(1, vec![2])])?;
                change.put_key(id, owner, &[9; 60])?;
                change.whole(id)
            })
            .unwrap()
            .unwrap();
        (folder, store, key, row)
    }

    #[test]
    fn what_is_brought_back_beats_its_destruction_and_opens() {
        let (_folder, store, key, row) = member();
        let id = row.record.header.id;
        for returns in 1..=3 {
            store.write(|change| change.remove(Kind::Object, id)).unwrap();
            let gone = store.whole(id).unwrap().unwrap();
            assert!(gone.record.header.was(Kind::Object));
            assert_eq!(decide(Some(&gone), &row), Verdict::Ours, "by itself it stays destroyed");
            store.write(|change| change.bring_back(&row)).unwrap();
            let back = store.whole(id).unwrap().unwrap();
            assert_eq!(decide(Some(&gone), &back), Verdict::Theirs);
            assert_eq!((back.record.header.returns(), back.record.header.strictness()), (returns, 3));
            assert_eq!((&back.keys, &back.terms), (&row.keys, &row.terms));
            assert_eq!(&store.open_body(&back.record, BodyKey::Data(&key)).unwrap()[..], b"body");
            assert!(store.open_body(&back.record, BodyKey::Data(&Secret::random(32).unwrap())).is_err());
            // Destroyed once more is destroyed; and the next version is one like all others.
            let next = Header { version: back.record.header.version + 1, ..back.record.header };
            store.write(|change| change.put(next, BodyKey::Data(&key), b"new", &[])).unwrap();
            let changed = store.whole(id).unwrap().unwrap();
            assert_eq!(decide(Some(&back), &changed), Verdict::Theirs);
            assert_eq!(&store.open_body(&changed.record, BodyKey::Data(&key)).unwrap()[..], b"new");
        }
        assert!(store.verify().unwrap().faults.is_empty());
    }

    #[test]
    fn it_is_bound_to_its_header_and_is_never_sealed_three_times() {
        let (_folder, store, key, row) = member();
        let id = row.record.header.id;
        store.write(|change| change.bring_back(&row)).unwrap();
        let once = store.whole(id).unwrap().unwrap();
        store.write(|change| change.bring_back(&once)).unwrap();
        let again = store.whole(id).unwrap().unwrap();
        assert_eq!(again.record.body.len(), once.record.body.len());
        assert_eq!(decide(Some(&once), &again), Verdict::Theirs);
        assert_eq!(&store.open_body(&again.record, BodyKey::Data(&key)).unwrap()[..], b"body");
        for alter in [
            |header: &mut Header| header.version += 1,
            |header: &mut Header| header.flags ^= 1 << RETURNS,
            |header: &mut Header| header.flags ^= TWICE,
            |header: &mut Header| header.owner = Id([7; 16]),
        ] {
            let mut record = again.record.clone();
            alter(&mut record.header);
            assert!(store.open_body(&record, BodyKey::Data(&key)).is_err());
        }
        let mut worn = again.clone();
        worn.record.header.flags |= MOST_RETURNS << RETURNS;
        assert_eq!(store.write(|change| change.bring_back(&worn)), Err(Error::ActionProhibited));
    }

    #[test]
    fn a_holder_more_reaches_the_peers() {
        let (_folder, store, key, row) = member();
        let id = row.record.header.id;
        let more = |change: &mut Change<'_>| change.put_key(id, Id([8; 16]), &[8; 80]);
        store.write(more).unwrap();
        assert_eq!(
            decide(Some(&row), &store.whole(id).unwrap().unwrap()),
            Verdict::Ours,
            "alone it does not"
        );
        store.write(|change| change.next_version(id)).unwrap();
        let now = store.whole(id).unwrap().unwrap();
        assert_eq!(decide(Some(&row), &now), Verdict::Theirs);
        assert_eq!(now.keys.len(), 2);
        assert_eq!(&store.open_body(&now.record, BodyKey::Data(&key)).unwrap()[..], b"body");
    }
}
