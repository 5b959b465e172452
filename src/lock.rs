//! Ranked locks over parking_lot: a thread takes locks in rising rank only.
//!
//! Debug builds assert the order, so a deadlock is a test failure and not a matter of luck.
//! To add a lock, give it a rank here and build it with [`Mutex::new`] or [`RwLock::new`].

use std::ops::{Deref, DerefMut};

/// The order in which locks are taken: a lock is taken only while all held ones rank lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rank {
    Library = 1,
    Slot = 2,
    Session = 3,
    Login = 4,
    TokenIndex = 5,
    StoreGate = 6,
    Store = 7,
    Leaf = 8,
}

#[cfg(debug_assertions)]
mod order {
    use super::Rank;
    use std::cell::Cell;

    thread_local! {
        // One bit for each rank held; const and without a destructor.
        static HELD: Cell<u16> = const { Cell::new(0) };
    }

    /// The proof that a rank is held; gives it back when dropped.
    #[derive(Debug)]
    pub struct Held(u16);

    pub fn take(rank: Rank) -> Held {
        let bit = 1u16 << rank as u8;
        HELD.with(|held| {
            assert!(held.get() < bit, "lock {rank:?} taken while ranks {:#b} are held", held.get());
            held.set(held.get() | bit);
        });
        Held(bit)
    }

    impl Drop for Held {
        fn drop(&mut self) {
            HELD.with(|held| held.set(held.get() & !self.0));
        }
    }
}

#[cfg(not(debug_assertions))]
mod order {
    #[derive(Debug)]
    pub struct Held;
    #[inline(always)]
    pub fn take(_: super::Rank) -> Held {
        Held
    }
}

/// A guard of either lock: the data, and the rank while it lives.
#[derive(Debug)]
pub struct Guard<G> {
    guard: G,
    _held: order::Held,
}

impl<G: Deref> Deref for Guard<G> {
    type Target = G::Target;
    fn deref(&self) -> &G::Target {
        &self.guard
    }
}

impl<G: DerefMut> DerefMut for Guard<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.guard
    }
}

/// A mutual exclusion lock with a rank.
#[derive(Debug)]
pub struct Mutex<T> {
    rank: Rank,
    inner: parking_lot::Mutex<T>,
}

pub type MutexGuard<'a, T> = Guard<parking_lot::MutexGuard<'a, T>>;

impl<T> Mutex<T> {
    pub const fn new(rank: Rank, value: T) -> Self {
        Self { rank, inner: parking_lot::Mutex::new(value) }
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        let held = order::take(self.rank);
        Guard { guard: self.inner.lock(), _held: held }
    }

    /// The lock if nobody holds it now.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let held = order::take(self.rank);
        Some(Guard { guard: self.inner.try_lock()?, _held: held })
    }
}

/// What [`RwLock::write_for_fork`] gives.
pub type ForkGuard<'a, T> = parking_lot::RwLockWriteGuard<'a, T>;

impl<T> RwLock<T> {
    /// For the moment of a fork, when one thread holds all locks of a rank at once.
    pub fn write_for_fork(&self) -> ForkGuard<'_, T> {
        self.inner.write()
    }
}

/// A reader-writer lock with a rank.
#[derive(Debug)]
pub struct RwLock<T> {
    rank: Rank,
    inner: parking_lot::RwLock<T>,
}

pub type ReadGuard<'a, T> = Guard<parking_lot::RwLockReadGuard<'a, T>>;
pub type WriteGuard<'a, T> = Guard<parking_lot::RwLockWriteGuard<'a, T>>;

impl<T> RwLock<T> {
    pub const fn new(rank: Rank, value: T) -> Self {
        Self { rank, inner: parking_lot::RwLock::new(value) }
    }

    pub fn read(&self) -> ReadGuard<'_, T> {
        let held = order::take(self.rank);
        Guard { guard: self.inner.read(), _held: held }
    }

    pub fn write(&self) -> WriteGuard<'_, T> {
        let held = order::take(self.rank);
        Guard { guard: self.inner.write(), _held: held }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rising_ranks_pass() {
        let (a, b) = (Mutex::new(Rank::Session, 1), RwLock::new(Rank::Store, 2));
        let first = a.lock();
        assert_eq!(*first + *b.read(), 3);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "taken while")]
    fn falling_ranks_panic() {
        let (a, b) = (Mutex::new(Rank::Session, 1), RwLock::new(Rank::Store, 2));
        let _second = b.read();
        let _first = a.lock();
    }
}
