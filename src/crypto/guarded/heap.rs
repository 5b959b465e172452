//! The heap of this library: what Rust code and AWS-LC allocate is in no core dump, and wiped when it is
//! freed.
//!
//! All of it, not only keys: values leave copies that nobody meant, as when moving a large enum copies what
//! an earlier call left on the stack into the bytes that its variant does not use.
//!
//! dlmalloc keeps the blocks, in arenas with a lock each. A thread prefers the arena of its stack's address,
//! so that threads seldom meet, and nothing is to be done when one ends. A block's arena is found by its
//! address: an arena's segments are aligned to their size and begin with its number. Large blocks are
//! mappings of their own. Not locked into memory: hosts may lock too little for that (`Secret` is).
//!
//! Nothing here may allocate, log, panic or take another lock.

#[cfg(test)]
mod tests;

use dlmalloc::Dlmalloc;
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static HEAP: Heap = Heap;

const PAGE: usize = 4096;
const ARENAS: usize = 16;
const SEGMENT: usize = 1 << 20;
/// Longer blocks are mappings. A segment holds one of this length at any alignment up to it.
const LARGEST: usize = 64 << 10;
/// Where in its page a large block stands for which there was no mapping.
const OFF_PAGE: usize = PAGE / 2;

static ALL: [Arena; ARENAS] = {
    let mut all = [const { Arena::new(0) }; ARENAS];
    let mut number = 0;
    while number < ARENAS {
        all[number] = Arena::new(number);
        number += 1;
    }
    all
};

/// Apart from its neighbours, so that two processors do not wait for one line of memory.
#[repr(align(128))]
struct Arena(Mutex<Dlmalloc<Segments>>);

type Held = MutexGuard<'static, Dlmalloc<Segments>>;

impl Arena {
    const fn new(number: usize) -> Arena {
        Arena(Mutex::new(Dlmalloc::new_with_allocator(Segments { number })))
    }

    fn lock(&'static self) -> Held {
        // Nothing panics under the lock, but a panicking thread allocates.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an arena's memory comes from.
struct Segments {
    number: usize,
}

/// The start of a segment. Of a length that keeps dlmalloc from joining neighbours.
#[repr(C, align(64))]
struct Head {
    arena: usize,
    mapped: bool,
}

// SAFETY: gives out memory of its own, once, as long as it says.
unsafe impl dlmalloc::Allocator for Segments {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        const NONE: (*mut u8, usize, u32) = (null_mut(), 0, 0);
        const ROOM: usize = SEGMENT - size_of::<Head>();
        let Ok(layout) = Layout::from_size_align(SEGMENT, SEGMENT) else { return NONE };
        if size > ROOM {
            return NONE;
        }
        let (mut start, mut mapped) = (map_aligned(SEGMENT), true);
        if start.is_null() {
            // SAFETY: the layout is not empty.
            (start, mapped) = (unsafe { System.alloc(layout) }, false);
        }
        if start.is_null() {
            return NONE;
        }
        // SAFETY: the segment is ours, long enough and aligned.
        unsafe {
            start.cast::<Head>().write(Head { arena: self.number, mapped });
            (start.add(size_of::<Head>()), ROOM, 0)
        }
    }

    fn free(&self, room: *mut u8, _size: usize) -> bool {
        let head = head(room);
        // SAFETY: a whole segment, made by `alloc`, that holds nothing any more.
        unsafe {
            match (*head).mapped {
                true => libc::munmap(head.cast(), SEGMENT) == 0,
                // No longer than the layout that it was made with; rare, and used again.
                false => false,
            }
        }
    }

    fn can_release_part(&self, _flags: u32) -> bool {
        true
    }

    fn free_part(&self, _start: *mut u8, _old: usize, _new: usize) -> bool {
        false
    }

    fn remap(&self, _start: *mut u8, _old: usize, _new: usize, _can_move: bool) -> *mut u8 {
        null_mut()
    }

    fn allocates_zeros(&self) -> bool {
        false
    }

    fn page_size(&self) -> usize {
        PAGE
    }
}

/// The head of the segment that an address is in.
fn head(inside: *mut u8) -> *mut Head {
    inside.map_addr(|address| address & !(SEGMENT - 1)).cast()
}

/// New zero pages that no dump holds, if the kernel lets us; null when there are none.
fn map(length: usize) -> *mut u8 {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    #[cfg(test)]
    if tests::NO_MAPPINGS.get() {
        return null_mut();
    }
    // SAFETY: an anonymous mapping at an address of the kernel's choice; the advice touches it alone.
    unsafe {
        let start = libc::mmap(null_mut(), length, protection, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return null_mut();
        }
        libc::madvise(start, length, libc::MADV_DONTDUMP);
        start.cast()
    }
}

/// As `map`, aligned to its length, which is a power of two.
fn map_aligned(length: usize) -> *mut u8 {
    // The kernel mostly puts a mapping below the last one: after the first, it is aligned at once.
    let start = map(length);
    if start.is_null() || start.addr().is_multiple_of(length) {
        return start;
    }
    // SAFETY: a mapping made here; then the parts of one that are too much.
    unsafe {
        libc::munmap(start.cast(), length);
        let start = map(2 * length);
        if start.is_null() {
            return start;
        }
        let before = start.addr().next_multiple_of(length) - start.addr();
        if before > 0 {
            libc::munmap(start.cast(), before);
        }
        libc::munmap(start.add(before + length).cast(), length - before);
        start.add(before)
    }
}

/// Zeroes memory that is about to be free.
unsafe fn wipe(start: *mut u8, size: usize) {
    // SAFETY: the caller owns so many bytes.
    unsafe { start.write_bytes(0, size) }
    // The bytes may be looked at: what was written is no dead store.
    std::hint::black_box(start);
}

/// An arena that no other thread is in: mostly the one of this thread's last time.
fn arena() -> Held {
    let mark = 0u8;
    // Stacks are mostly a megabyte apart at least; if not, two threads prefer the same.
    let stack = std::hint::black_box(&raw const mark).addr() >> 20;
    let first = ((stack as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize;
    for turn in 0..ARENAS {
        if let Ok(held) = ALL[(first + turn) % ARENAS].0.try_lock() {
            return held;
        }
    }
    ALL[first % ARENAS].lock()
}

/// The allocator of all Rust code in this library, and of AWS-LC (`aws_lc/memory.rs`).
pub struct Heap;

impl Heap {
    #[cold]
    #[inline(never)]
    fn large(size: usize) -> *mut u8 {
        let Some(length) = size.checked_next_multiple_of(PAGE) else { return null_mut() };
        let start = map(length);
        if !start.is_null() {
            return start;
        }
        let Some(layout) = off_page(size) else { return null_mut() };
        // SAFETY: the layout is longer than where the block stands in it.
        unsafe {
            let start = System.alloc(layout);
            if start.is_null() { start } else { start.add(OFF_PAGE) }
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn free_large(start: *mut u8, size: usize) {
        // SAFETY: what `large` made, given back once. The kernel wipes its pages itself, but may lack what it
        // needs to take some out of the middle: then they are lost.
        unsafe {
            if start.addr().is_multiple_of(PAGE) {
                if libc::munmap(start.cast(), size.next_multiple_of(PAGE)) != 0 {
                    wipe(start, size);
                }
            } else if let Some(layout) = off_page(size) {
                wipe(start, size);
                System.dealloc(start.sub(OFF_PAGE), layout);
            }
        }
    }
}

fn off_page(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(OFF_PAGE)?, PAGE).ok()
}

// SAFETY: blocks are as long and as aligned as asked for, and owned by one caller at a time.
unsafe impl GlobalAlloc for Heap {
    // Not inlined, nor `dealloc`: callers that rarely allocate stay small, and a C_Encrypt is 3% faster.
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > OFF_PAGE {
            // SAFETY: the caller's promise. Nothing of ours asks for it.
            return unsafe { System.alloc(layout) };
        }
        if layout.size() > LARGEST {
            return Heap::large(layout.size());
        }
        // SAFETY: any size and a power of two.
        unsafe { arena().malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise; the block has so many bytes.
        unsafe {
            if layout.align() > OFF_PAGE {
                return System.alloc_zeroed(layout);
            }
            let start = self.alloc(layout);
            let zero = layout.size() > LARGEST && start.addr().is_multiple_of(PAGE);
            if !start.is_null() && !zero {
                start.write_bytes(0, layout.size());
            }
            start
        }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise: a block of this heap and layout, given back once.
        unsafe {
            if layout.align() > OFF_PAGE {
                wipe(start, layout.size());
                return System.dealloc(start, layout);
            }
            if layout.size() > LARGEST {
                return Heap::free_large(start, layout.size());
            }
            wipe(start, layout.size());
            ALL[(*head(start)).arena].lock().c_free(start);
        }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let large = layout.size() > LARGEST && size > LARGEST && layout.align() <= OFF_PAGE;
        // SAFETY: the caller's promise: the new size is one that a layout of this alignment can have.
        unsafe {
            if large && start.addr().is_multiple_of(PAGE) {
                let lengths = [layout.size(), size].map(|size| size.next_multiple_of(PAGE));
                let moved = libc::mremap(start.cast(), lengths[0], lengths[1], libc::MREMAP_MAYMOVE);
                if moved != libc::MAP_FAILED {
                    return moved.cast();
                }
            }
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(start, layout.size().min(size));
                self.dealloc(start, layout);
            }
            moved
        }
    }
}

/// Holds the heap over a fork.
pub struct ForkGuard(#[expect(dead_code, reason = "held, not read")] [Held; ARENAS]);

pub fn fork_guard() -> ForkGuard {
    ForkGuard(std::array::from_fn(|number| ALL[number].lock()))
}
