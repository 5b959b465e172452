//! Which of two versions of a record stays. Pure: no file, no network, no clock.
//!
//! Versions are ordered by [`Stamp`], and the greater one stays. An order of all versions makes the end the
//! same in whatever order they come, how often, and through whom: that is all there is to merging.

use super::{Id, Kind, RecordRow};
use crate::crypto::Hash;
use std::cmp::{Ordering, Reverse};

/// What versions of one record are compared by, the first field first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// What an officer brought back by name ([`Change::bring_back`](super::Change::bring_back)) beats what was
    /// done to it before: also its destruction.
    returns: u32,
    /// Destroyed beats all the rest.
    gone: bool,
    /// What only ever gets stricter (objects); the number of the last password or
    /// unlocking, and a lock (users).
    strictness: u32,
    version: u64,
    /// The same content, sealed anew.
    epoch: u32,
    author: Id,
    /// Who loses a key with his account loses it without a new version: nobody else can seal one.
    holders: Reverse<usize>,
    /// Such a change, and a user's new keys, leave a term more.
    terms: usize,
    /// Of all its bytes: a host that was put back to an older file may write the same version twice.
    hash: [u8; 32],
}

impl Stamp {
    pub fn of(whole: &RecordRow) -> Stamp {
        let header = &whole.record.header;
        let gone = header.kind == Kind::Gone;
        let mut hash = [0; 32];
        hash.copy_from_slice(&Hash::Sha256.digest(&whole.encode()));
        Stamp {
            returns: header.returns(),
            gone,
            strictness: if gone { 0 } else { header.strictness() },
            version: header.version,
            epoch: header.epoch,
            author: header.author,
            holders: Reverse(whole.keys.len()),
            terms: whole.terms.len(),
            hash,
        }
    }
}

/// What to do with a peer's version of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Same,
    /// Take it.
    Theirs,
    /// Keep ours; they should get it.
    Ours,
    /// It is another kind of record than ours: nobody of us writes that.
    Foreign,
}

/// `ours`: what is here of the id, if anything is.
pub fn decide(ours: Option<&RecordRow>, theirs: &RecordRow) -> Verdict {
    let Some(ours) = ours else { return Verdict::Theirs };
    let (mine, other) = (ours.record.header.kind, theirs.record.header.kind);
    if mine != other && mine != Kind::Gone && other != Kind::Gone {
        return Verdict::Foreign;
    }
    match Stamp::of(theirs).cmp(&Stamp::of(ours)) {
        Ordering::Equal => Verdict::Same,
        Ordering::Greater => Verdict::Theirs,
        Ordering::Less => Verdict::Ours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Header, Record};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn record(kind: Kind, version: u64, author: u8, flags: u32, body: u8) -> RecordRow {
        let (id, author) = (Id([1; 16]), Id([author; 16]));
        let header = Header { kind, id, version, epoch: 1, author, owner: Id::NONE, flags };
        RecordRow { record: Record { header, body: vec![body] }, keys: Vec::new(), terms: Vec::new() }
    }

    fn beats(greater: &RecordRow, less: &RecordRow) {
        assert_eq!(decide(Some(less), greater), Verdict::Theirs);
        assert_eq!(decide(Some(greater), less), Verdict::Ours);
    }

    #[test]
    fn destroyed_then_stricter_then_newer_then_author() {
        let object = |version, author, flags| record(Kind::Object, version, author, flags, 0);
        beats(&record(Kind::Gone, 2, 1, 3, 0), &object(9, 9, 63));
        beats(&object(2, 1, 3), &object(9, 1, 1));
        beats(&object(3, 1, 1), &object(2, 9, 1));
        beats(&object(2, 2, 1), &object(2, 1, 1));
        let mut anew = object(2, 1, 1);
        anew.record.header.epoch = 2;
        beats(&anew, &object(2, 2, 1));
        beats(&object(3, 1, 1), &anew);
        assert_eq!(decide(Some(&object(2, 2, 1)), &object(2, 2, 1)), Verdict::Same);
        assert_eq!(decide(None, &object(1, 1, 0)), Verdict::Theirs);
        // Brought back: before its destruction, but not before the next one.
        let back = |flags: u32| 1 << 20 | flags;
        beats(&object(1, 1, back(0)), &record(Kind::Gone, 9, 1, Kind::Object as u32, 0));
        beats(&object(1, 1, back(0)), &object(9, 9, 63));
        beats(&record(Kind::Gone, 2, 1, back(3), 0), &object(9, 9, back(63)));
        beats(&object(2, 1, back(0)), &object(1, 9, back(0) | 1 << 19));
        let held = RecordRow { keys: vec![(Id([7; 16]), vec![1])], ..object(2, 2, 1) };
        beats(&object(2, 2, 1), &held);
        let rewrapped =
            RecordRow { terms: vec![[1; 16]], keys: vec![(Id([7; 16]), vec![2])], ..held.clone() };
        beats(&rewrapped, &held);
        // The same version twice, of a host that was put back: everybody keeps the same one.
        let (one, two) = (record(Kind::Object, 2, 1, 1, 0), record(Kind::Object, 2, 1, 1, 1));
        assert_ne!(decide(Some(&one), &two), decide(Some(&two), &one));
        assert_eq!(decide(Some(&one), &record(Kind::User, 9, 9, 9, 0)), Verdict::Foreign);
    }

    /// Hosts with a record each, and everything that was ever sent.
    struct Model {
        hosts: Vec<BTreeMap<u8, RecordRow>>,
        sent: Vec<(u8, RecordRow)>,
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// A host makes a record or changes it; stricter by one rule, or not.
        Change {
            host: u8,
            record: u8,
            stricter: bool,
            body: u8,
        },
        Destroy {
            host: u8,
            record: u8,
        },
        /// An officer brings back what was there at some time.
        Return {
            host: u8,
            record: u8,
        },
        /// A host gets something that was sent at some time: late, early, again, or never.
        Deliver {
            host: u8,
            message: u16,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..4u8, 0..3u8, any::<bool>(), any::<u8>())
                .prop_map(|(host, record, stricter, body)| Step::Change { host, record, stricter, body }),
            1 => (0..4u8, 0..3u8).prop_map(|(host, record)| Step::Destroy { host, record }),
            1 => (0..4u8, 0..3u8).prop_map(|(host, record)| Step::Return { host, record }),
            6 => (0..4u8, any::<u16>()).prop_map(|(host, message)| Step::Deliver { host, message }),
        ]
    }

    impl Model {
        fn take(&mut self, host: usize, name: u8, theirs: &RecordRow) {
            let ours = self.hosts[host].get(&name);
            if decide(ours, theirs) == Verdict::Theirs {
                self.hosts[host].insert(name, theirs.clone());
            }
        }

        fn run(&mut self, step: &Step) {
            match *step {
                Step::Change { host, record: name, stricter, body } => {
                    let now = self.hosts[usize::from(host)].get(&name);
                    if now.is_some_and(|now| now.record.header.kind == Kind::Gone) {
                        return;
                    }
                    let (version, flags) =
                        now.map_or((0, 0), |now| (now.record.header.version, now.record.header.flags));
                    let flags = if stricter { flags | 1 << (body % 4) } else { flags };
                    self.write(host, name, record(Kind::Object, version + 1, host, flags, body));
                }
                Step::Destroy { host, record: name } => {
                    if let Some(now) = self.hosts[usize::from(host)].get(&name) {
                        let (version, flags) =
                            (now.record.header.version + 1, now.record.header.flags_when_gone());
                        self.write(host, name, record(Kind::Gone, version, host, flags, 0));
                    }
                }
                Step::Return { host, record: name } => {
                    if let Some(now) = self.hosts[usize::from(host)].get(&name) {
                        let (returns, version) =
                            (now.record.header.returns() + 1, now.record.header.version + 1);
                        self.write(host, name, record(Kind::Object, version, host, returns << 20, 0));
                    }
                }
                Step::Deliver { host, message } => {
                    let Some(last) = self.sent.len().checked_sub(1) else { return };
                    let (name, whole) = self.sent[usize::from(message) % (last + 1)].clone();
                    self.take(usize::from(host), name, &whole);
                }
            }
        }

        fn write(&mut self, host: u8, name: u8, whole: RecordRow) {
            self.hosts[usize::from(host)].insert(name, whole.clone());
            self.sent.push((name, whole));
        }

        /// Everybody hears of what everybody has, in an order of its own for each.
        fn settle(&mut self, order: &[u16]) {
            let have: Vec<(u8, RecordRow)> = self
                .hosts
                .iter()
                .flat_map(|host| host.iter().map(|(name, whole)| (*name, whole.clone())))
                .collect();
            for host in 0..self.hosts.len() {
                let mut mail = have.clone();
                for (place, to) in order.iter().enumerate().filter(|_| !have.is_empty()) {
                    mail.swap(place % have.len(), (usize::from(*to) + host) % have.len());
                }
                mail.iter().for_each(|(name, whole)| self.take(host, *name, whole));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn every_history_ends_the_same_everywhere(
            steps in proptest::collection::vec(step(), 0..60),
            order in proptest::collection::vec(any::<u16>(), 12),
        ) {
            let mut model = Model { hosts: vec![BTreeMap::new(); 4], sent: Vec::new() };
            steps.iter().for_each(|step| model.run(step));
            model.settle(&order);
            for host in &model.hosts[1..] {
                prop_assert_eq!(host, &model.hosts[0]);
            }
            for (name, whole) in &model.sent {
                let end = &model.hosts[0][name];
                // Nothing comes back by itself, and nothing that was made stricter alone is less strict at the end.
                let (end, whole) = (&end.record.header, &whole.record.header);
                prop_assert!(end.returns() >= whole.returns());
                if end.returns() == whole.returns() {
                    prop_assert!(whole.kind != Kind::Gone || end.kind == Kind::Gone);
                    prop_assert!(end.kind == Kind::Gone || end.strictness() >= whole.strictness());
                }
            }
        }

        #[test]
        fn a_record_travels_whole(body in any::<Vec<u8>>(), keys in any::<Vec<([u8; 16], Vec<u8>)>>(),
                                  terms in any::<Vec<[u8; 16]>>(), cut in any::<u16>()) {
            let keys = keys.into_iter().map(|(holder, key)| (Id(holder), key)).collect();
            let mut whole = RecordRow { keys, terms, ..record(Kind::Object, 7, 1, 3, 0) };
            whole.record.body = body;
            let bytes = whole.encode();
            prop_assert_eq!(RecordRow::decode(&bytes), Some(whole));
            prop_assert_eq!(RecordRow::decode(&bytes[..usize::from(cut) % bytes.len()]), None);
            prop_assert_eq!(RecordRow::decode(&[&bytes[..], &[0]].concat()), None);
        }
    }
}
