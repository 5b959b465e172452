//! Two heaps that no core dump holds, over pages of their own: `LOCKED` for secrets and for AWS-LC,
//! `RUST` for everything that Rust code allocates.
//!
//! All of it, because values leave copies that nobody meant: moving a large enum copies what an
//! earlier call left on the stack into the bytes that its variant does not use.
//!
//! Blocks are of sizes that are powers of two, zero when they are given out and wiped when they come
//! back; larger ones are mappings. A thread finds its free blocks by the place of its stack, so that
//! threads seldom meet and nothing needs to be done when one ends. Nothing here may allocate, log or
//! panic. What the kernel refuses (locking over RLIMIT_MEMLOCK, mappings) is done without.

use super::spin::{Held, Spin};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{null_mut, write_bytes};

/// Size and alignment of the smallest block.
pub const SMALLEST: usize = 32;
const CLASSES: usize = 11;
const SHARDS: usize = 16;
const PAGE: usize = 4096;
/// As much as old containers let a process lock.
const CHUNK: usize = 64 << 10;
/// Where in its page a large block stands that is not a mapping. Alignments up to this are kept.
const ON_SYSTEM: usize = PAGE / 2;

/// Secrets and AWS-LC.
pub static LOCKED: Heap = Heap::new(true);

/// The Rust code of this library. Not locked: that would use up what the host may lock.
static RUST: Heap = Heap::new(false);

#[global_allocator]
static GLOBAL: Rust = Rust;

/// A free block: all zero but for this.
struct Free {
    next: *mut Free,
}

/// Free blocks of each class.
#[repr(align(128))]
struct Shard(Spin<[*mut Free; CLASSES]>);

type List<'a> = Held<'a, [*mut Free; CLASSES]>;

/// Pages not yet handed out.
struct Pages {
    start: *mut u8,
    left: usize,
}

pub struct Heap {
    shards: [Shard; SHARDS],
    pages: Spin<Pages>,
    locked: bool,
}

// SAFETY: the pointers lead to memory that belongs to the heap, and are behind locks.
unsafe impl Sync for Heap {}

/// The class of a size, `CLASSES` and more for a mapping.
fn class(size: usize) -> usize {
    let rounds_up = usize::BITS - size.max(SMALLEST).saturating_sub(1).leading_zeros();
    (rounds_up - SMALLEST.trailing_zeros()) as usize
}

fn pages(size: usize) -> usize {
    size.next_multiple_of(PAGE)
}

/// Zeroes memory that is about to be free.
fn wipe(start: *mut u8, size: usize) {
    // SAFETY: the caller owns so many bytes. They are zero for the next owner: no dead store.
    unsafe { write_bytes(start, 0, size) }
    std::hint::black_box(start);
}

/// New zero pages, undumped and perhaps locked if the kernel lets us; null when there are none.
fn map(length: usize, locked: bool) -> *mut u8 {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    #[cfg(test)]
    if super::tests::NO_MAPPINGS.get() {
        return null_mut();
    }
    // SAFETY: an anonymous mapping at an address of the kernel's choice; the advice touches it alone.
    unsafe {
        let start = libc::mmap(null_mut(), length, protection, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return null_mut();
        }
        libc::madvise(start, length, libc::MADV_DONTDUMP);
        if locked {
            libc::mlock(start, length);
        }
        start.cast()
    }
}

impl Heap {
    pub(super) const fn new(locked: bool) -> Heap {
        Heap {
            shards: [const { Shard(Spin::new([null_mut(); CLASSES])) }; SHARDS],
            pages: Spin::new(Pages { start: null_mut(), left: 0 }),
            locked,
        }
    }

    /// At least `size` zero bytes, aligned to the size's power of two or [`ON_SYSTEM`]; null when
    /// there is no memory. Given back with [`Heap::release`].
    pub fn allocate(&self, size: usize) -> *mut u8 {
        let class = class(size);
        if class >= CLASSES {
            return self.large(size);
        }
        let mut list = self.list();
        let block = list[class];
        if block.is_null() {
            return self.more(list, class);
        }
        // SAFETY: a free block of this heap, now taken out of its list.
        unsafe {
            list[class] = (*block).next;
            (*block).next = null_mut();
        }
        block.cast()
    }

    /// Takes back what [`Heap::allocate`] gave, wiped.
    ///
    /// # Safety
    /// `start` is from this heap, of this size (or one of its class), and not used any more.
    pub unsafe fn release(&self, start: *mut u8, size: usize) {
        let class = class(size);
        if class >= CLASSES {
            return self.release_large(start, size);
        }
        wipe(start, size);
        let block: *mut Free = start.cast();
        let mut list = self.list();
        // SAFETY: the block is the heap's again, and aligned for a pointer.
        unsafe { (*block).next = list[class] };
        list[class] = block;
    }

    /// The same bytes in a block of `new` bytes: the old one, or another. Null, with the old one as it
    /// was, when there is no memory.
    ///
    /// # Safety
    /// As for [`Heap::release`].
    pub unsafe fn resize(&self, start: *mut u8, old: usize, new: usize) -> *mut u8 {
        let (from, to) = (class(old), class(new));
        if from == to && from < CLASSES {
            if new < old {
                // SAFETY: the bytes between both sizes.
                wipe(unsafe { start.add(new) }, old - new);
            }
            return start;
        }
        if from >= CLASSES && to >= CLASSES && start.addr().is_multiple_of(PAGE) {
            // SAFETY: a whole mapping of this length, which belongs to the caller.
            let moved = unsafe { libc::mremap(start.cast(), pages(old), pages(new), libc::MREMAP_MAYMOVE) };
            if moved != libc::MAP_FAILED {
                return moved.cast();
            }
        }
        let target = self.allocate(new);
        if !target.is_null() {
            // SAFETY: two blocks, each at least as long as the smaller size.
            unsafe {
                std::ptr::copy_nonoverlapping(start, target, old.min(new));
                self.release(start, old);
            }
        }
        target
    }

    /// Free blocks that no other thread is looking at: mostly those of the last time.
    fn list(&self) -> List<'_> {
        let mark = 0u8;
        // Stacks are a megabyte apart at least, mostly; if not, two threads look at the same first.
        let stack = std::hint::black_box(&raw const mark).addr() >> 20;
        let first = (stack as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
        Spin::any(|turn| &self.shards[(first as usize + turn) % SHARDS].0, SHARDS)
    }

    /// A block when the list has none: another list's, or new pages.
    #[cold]
    #[inline(never)]
    fn more(&self, mut list: List<'_>, class: usize) -> *mut u8 {
        for other in &self.shards {
            // All of it; what the other thread is using comes back to its own list.
            if let Some(mut other) = other.0.try_lock()
                && !other[class].is_null()
            {
                list[class] = std::mem::replace(&mut other[class], null_mut());
                break;
            }
        }
        let size = SMALLEST << class;
        if list[class].is_null() {
            let start = self.fresh(size.max(PAGE));
            if start.is_null() {
                return null_mut();
            }
            for offset in (0..size.max(PAGE)).step_by(size).rev() {
                // SAFETY: within the pages, which are new and zero.
                unsafe {
                    let block: *mut Free = start.add(offset).cast();
                    (*block).next = list[class];
                    list[class] = block;
                }
            }
        }
        let block = list[class];
        // SAFETY: a free block, as in `allocate`.
        unsafe {
            list[class] = (*block).next;
            (*block).next = null_mut();
        }
        block.cast()
    }

    /// Zero pages for blocks, from a chunk of the kernel's or, if it has none, of the system's heap.
    fn fresh(&self, length: usize) -> *mut u8 {
        let mut pages = self.pages.lock();
        if pages.left < length {
            let mut chunk = map(CHUNK, self.locked);
            if chunk.is_null()
                && let Ok(layout) = Layout::from_size_align(CHUNK, PAGE)
            {
                // SAFETY: the layout is not empty.
                chunk = unsafe { System.alloc_zeroed(layout) };
            }
            if chunk.is_null() {
                return chunk;
            }
            *pages = Pages { start: chunk, left: CHUNK };
        }
        let start = pages.start;
        // SAFETY: within the chunk, or one past it.
        pages.start = unsafe { start.add(length) };
        pages.left -= length;
        start
    }

    #[cold]
    #[inline(never)]
    fn large(&self, size: usize) -> *mut u8 {
        let Some(length) = size.checked_next_multiple_of(PAGE) else { return null_mut() };
        let start = map(length, self.locked);
        if !start.is_null() {
            return start;
        }
        let Some(layout) = on_system(size) else { return null_mut() };
        // SAFETY: the layout is not empty, and longer than `ON_SYSTEM`.
        unsafe {
            let start = System.alloc_zeroed(layout);
            if start.is_null() { start } else { start.add(ON_SYSTEM) }
        }
    }

    #[cold]
    #[inline(never)]
    fn release_large(&self, start: *mut u8, size: usize) {
        let mapped = start.addr().is_multiple_of(PAGE);
        // The kernel clears a page before anyone else sees it.
        if self.locked || !mapped {
            wipe(start, size);
        }
        // SAFETY: what `large` made, given back once.
        unsafe {
            if mapped {
                libc::munmap(start.cast(), pages(size));
            } else if let Some(layout) = on_system(size) {
                System.dealloc(start.sub(ON_SYSTEM), layout);
            }
        }
    }
}

/// A large block on the system's heap.
fn on_system(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(ON_SYSTEM)?, PAGE).ok()
}

/// Both heaps held still; on when dropped.
pub struct Still(());

/// Holds both heaps over a fork, so that the child does not inherit one in the middle of a change.
pub fn fork_guard() -> Still {
    for heap in [&RUST, &LOCKED] {
        heap.shards.iter().for_each(|shard| std::mem::forget(shard.0.lock()));
        std::mem::forget(heap.pages.lock());
    }
    Still(())
}

impl Drop for Still {
    fn drop(&mut self) {
        for heap in [&RUST, &LOCKED] {
            // SAFETY: locked by `fork_guard`, which made this value.
            unsafe {
                heap.shards.iter().for_each(|shard| shard.0.unlock());
                heap.pages.unlock();
            }
        }
    }
}

/// The allocator of all Rust code in this library.
struct Rust;

/// What a layout takes of the heap; `None` for alignments that it does not keep.
fn room(layout: Layout) -> Option<usize> {
    (layout.align() <= ON_SYSTEM).then(|| layout.size().max(layout.align()))
}

// SAFETY: blocks are as long and as aligned as asked for, zero, and owned by one caller at a time.
unsafe impl GlobalAlloc for Rust {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match room(layout) {
            Some(size) => RUST.allocate(size),
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise; blocks are zero.
        unsafe { self.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe {
            match room(layout) {
                Some(size) => RUST.release(start, size),
                None => {
                    wipe(start, layout.size());
                    System.dealloc(start, layout);
                }
            }
        }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise: the new size is one that a layout of this alignment can have.
        unsafe {
            let target = Layout::from_size_align_unchecked(size, layout.align());
            if let (Some(old), Some(new)) = (room(layout), room(target)) {
                return RUST.resize(start, old, new);
            }
            let moved = self.alloc(target);
            if !moved.is_null() {
                std::ptr::copy_nonoverlapping(start, moved, layout.size().min(size));
                self.dealloc(start, layout);
            }
            moved
        }
    }
}
