//! Handles: which number C sees for which object, and the opened objects themselves.

use super::cache::Opened;
use super::{Handle, profile};
use crate::mechanism::Key;
use crate::store::Id;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Spreads small numbers: handles need no more, and get it in a nanosecond.
#[derive(Default)]
pub struct HandleHasher(u64);

impl Hasher for HandleHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    }
}

/// A map by handle.
type HandleMap<T> = HashMap<u64, T, BuildHasherDefault<HandleHasher>>;

/// What a handle stands for.
pub enum Place {
    /// A record of the file, and its opened form while that is known to be current.
    Token { id: Id, open: Option<Opened> },
    /// An object in memory only, of a session (0: built in).
    Session { session: u64, key: Arc<Key> },
}

/// All handles of a token in this process.
pub struct Index {
    last: Handle,
    places: HandleMap<Place>,
    by_id: HashMap<Id, Handle>,
    /// Session and handle of objects that are in memory only: a search must not walk all places, and
    /// the end of a session not the objects of others.
    in_memory: BTreeSet<(u64, Handle)>,
    /// The change log up to here, and the file's version at that look, are in `places`.
    pub seen: u64,
    pub version: Option<i64>,
}

impl Index {
    pub fn new() -> Index {
        let mut index = Index {
            last: 0,
            places: HandleMap::default(),
            by_id: HashMap::new(),
            in_memory: BTreeSet::new(),
            seen: u64::MAX,
            version: None,
        };
        for object in profile::objects() {
            index.add_session(0, Arc::new(Key::new(object)));
        }
        index
    }

    pub fn place(&self, handle: Handle) -> Option<&Place> {
        self.places.get(&handle)
    }

    /// The opened form of a record, if it is known.
    pub fn opened(&self, id: Id) -> Option<&Opened> {
        match self.places.get(self.by_id.get(&id)?)? {
            Place::Token { open, .. } => open.as_ref(),
            Place::Session { .. } => None,
        }
    }

    fn next(&mut self) -> Handle {
        self.last += 1;
        self.last
    }

    pub fn add_session(&mut self, session: u64, key: Arc<Key>) -> Handle {
        let handle = self.next();
        self.places.insert(handle, Place::Session { session, key });
        self.in_memory.insert((session, handle));
        handle
    }

    /// The handle of a record, made if it has none yet.
    pub fn handle(&mut self, id: Id) -> Handle {
        if let Some(handle) = self.by_id.get(&id) {
            return *handle;
        }
        let handle = self.next();
        self.by_id.insert(id, handle);
        self.places.insert(handle, Place::Token { id, open: None });
        handle
    }

    pub fn set_open(&mut self, handle: Handle, opened: Option<Opened>) {
        if let Some(Place::Token { open, .. }) = self.places.get_mut(&handle) {
            *open = opened;
        }
    }

    pub fn set_session(&mut self, handle: Handle, new: Arc<Key>) {
        if let Some(Place::Session { key, .. }) = self.places.get_mut(&handle) {
            *key = new;
        }
    }

    pub fn remove(&mut self, handle: Handle) {
        match self.places.remove(&handle) {
            Some(Place::Token { id, .. }) => drop(self.by_id.remove(&id)),
            Some(Place::Session { session, .. }) => drop(self.in_memory.remove(&(session, handle))),
            None => {}
        }
    }

    /// Session objects, with their handles.
    pub fn sessions(&self) -> impl Iterator<Item = (Handle, &Arc<Key>)> {
        self.in_memory.iter().filter_map(|(_, handle)| match self.places.get(handle) {
            Some(Place::Session { key, .. }) => Some((*handle, key)),
            _ => None,
        })
    }

    /// Whether a session has objects.
    pub fn has_session(&self, session: u64) -> bool {
        self.in_memory.range(Self::objects_of(session)).next().is_some()
    }

    fn objects_of(session: u64) -> RangeInclusive<(u64, Handle)> {
        (session, 0)..=(session, Handle::MAX)
    }

    /// Drops the objects of a session.
    pub fn drop_session(&mut self, session: u64) {
        let places = &mut self.places;
        self.in_memory.extract_if(Self::objects_of(session), |_| true).for_each(|(_, handle)| {
            places.remove(&handle);
        });
    }

    /// Drops the session objects that `gone` names, of all sessions.
    pub fn drop_sessions(&mut self, gone: impl Fn(&Key) -> bool) {
        let places = &mut self.places;
        self.in_memory.retain(|(session, handle)| match places.get(handle) {
            Some(Place::Session { key, .. }) if *session != 0 && gone(key) => {
                places.remove(handle);
                false
            }
            _ => true,
        });
    }

    /// Forgets the opened form of one record.
    pub fn forget(&mut self, id: Id) {
        if let Some(handle) = self.by_id.get(&id) {
            self.set_open(*handle, None);
        }
    }

    /// Forgets opened records: all, or the private ones.
    pub fn forget_opened(&mut self, private_only: bool) {
        for place in self.places.values_mut() {
            if let Place::Token { open, .. } = place
                && (!private_only || open.as_ref().is_some_and(|opened| opened.holder != Id::NONE))
            {
                *open = None;
            }
        }
    }

    /// The token was made anew: no record of before exists.
    pub fn forget_token(&mut self) {
        self.places.retain(|_, place| matches!(place, Place::Session { .. }));
        self.by_id.clear();
        self.seen = u64::MAX;
        self.version = None;
    }
}
