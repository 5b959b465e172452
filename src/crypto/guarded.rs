//! Memory for secrets: locked against swapping and left out of core dumps where the kernel allows,
//! wiped when it is given back.
//!
//! A limit on locked memory (RLIMIT_MEMLOCK) or a lack of mappings never makes it fail: the memory is
//! then only wiped. To know what is guarded, read `/proc/PID/smaps` (flags `lo`, `dd`).
#![allow(unsafe_code)]

pub mod heap;
mod spin;
#[cfg(test)]
mod tests;

use heap::{LOCKED, SMALLEST};
use std::alloc::{Layout, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A value in guarded memory. All its bytes are wiped when it goes: a move from the stack also fills
/// those that the value does not use.
pub struct Guarded<T>(NonNull<T>);

// SAFETY: owns its value alone, like a `Box<T>`.
unsafe impl<T: Send> Send for Guarded<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    const SIZE: usize = {
        assert!(align_of::<T>() <= SMALLEST);
        if size_of::<T>() == 0 { 1 } else { size_of::<T>() }
    };

    pub fn new(value: T) -> Guarded<T> {
        let Some(place) = NonNull::new(LOCKED.allocate(Self::SIZE).cast::<T>()) else {
            handle_alloc_error(Layout::new::<T>())
        };
        // SAFETY: a block of the size, aligned as a block of the smallest size at least.
        unsafe { place.write(value) };
        Guarded(place)
    }

    pub fn into_inner(self) -> T {
        let place = std::mem::ManuallyDrop::new(self).0;
        // SAFETY: the value is moved out, and its block given back once, without dropping the value.
        unsafe {
            let value = place.read();
            LOCKED.release(place.as_ptr().cast(), Self::SIZE);
            value
        }
    }
}

impl<T: Clone> Clone for Guarded<T> {
    fn clone(&self) -> Self {
        Guarded::new((**self).clone())
    }
}

impl<T> Deref for Guarded<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: a live value of our own.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and borrowed alone.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // SAFETY: dropped once, then given back once.
        unsafe {
            self.0.drop_in_place();
            LOCKED.release(self.0.as_ptr().cast(), Self::SIZE);
        }
    }
}

/// A zeroed block of guarded memory.
pub struct Block {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a block owns its memory alone, like a `Box<[u8]>`.
unsafe impl Send for Block {}
// SAFETY: as above; shared references only read.
unsafe impl Sync for Block {}

impl Block {
    /// `length` zero bytes.
    pub fn new(length: usize) -> Block {
        if length == 0 {
            return Block { start: NonNull::dangling(), length };
        }
        match NonNull::new(LOCKED.allocate(length)) {
            Some(start) => Block { start, length },
            // A size that a slice can have is a size that a layout of bytes can have.
            None => handle_alloc_error(Layout::array::<u8>(length).unwrap_or(Layout::new::<u8>())),
        }
    }

    /// The first `length` bytes; the caller keeps within what it asked for.
    pub fn bytes(&self, length: usize) -> &[u8] {
        let length = length.min(self.length);
        // SAFETY: the block has so many initialised bytes, or none and a dangling start.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), length) }
    }

    pub fn bytes_mut(&mut self, length: usize) -> &mut [u8] {
        let length = length.min(self.length);
        // SAFETY: as above, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), length) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.length != 0 {
            // SAFETY: made with this length, given back once.
            unsafe { LOCKED.release(self.start.as_ptr(), self.length) }
        }
    }
}
