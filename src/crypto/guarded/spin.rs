//! A lock for a few instructions. It is taken with one atomic exchange and given back with a plain
//! store, and never calls what might allocate: the heaps are under it.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

pub struct Spin<T> {
    busy: AtomicBool,
    inside: UnsafeCell<T>,
}

// SAFETY: the content is reached through `Held` only, one at a time.
unsafe impl<T> Sync for Spin<T> {}

/// What is inside, until dropped.
pub struct Held<'a, T>(&'a Spin<T>);

impl<T> Spin<T> {
    pub const fn new(inside: T) -> Spin<T> {
        Spin { busy: AtomicBool::new(false), inside: UnsafeCell::new(inside) }
    }

    #[inline]
    pub fn try_lock(&self) -> Option<Held<'_, T>> {
        (!self.busy.swap(true, Ordering::Acquire)).then_some(Held(self))
    }

    pub fn lock(&self) -> Held<'_, T> {
        Spin::any(|_| self, 1)
    }

    /// The first of `count` that is free.
    #[inline]
    pub fn any<'a>(lock: impl Fn(usize) -> &'a Spin<T>, count: usize) -> Held<'a, T> {
        match lock(0).try_lock() {
            Some(held) => held,
            None => Spin::wait(lock, count),
        }
    }

    #[cold]
    #[inline(never)]
    fn wait<'a>(lock: impl Fn(usize) -> &'a Spin<T>, count: usize) -> Held<'a, T> {
        let mut rounds = 0;
        loop {
            if let Some(held) = (0..count).find_map(|turn| lock(turn).try_lock()) {
                return held;
            }
            pause(rounds);
            rounds += 1;
        }
    }

    /// Gives back a lock whose [`Held`] was forgotten.
    ///
    /// # Safety
    /// The caller took it, and uses the content no more.
    pub unsafe fn unlock(&self) {
        self.busy.store(false, Ordering::Release);
    }
}

/// Waits a moment; asleep at last, for a holder of a lower priority must get to run.
#[cold]
fn pause(rounds: u32) {
    match rounds {
        0..20 => std::hint::spin_loop(),
        20..40 => std::thread::yield_now(),
        _ => std::thread::sleep(std::time::Duration::from_micros(50)),
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.0.inside.get() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held.
        unsafe { &mut *self.0.inside.get() }
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}
