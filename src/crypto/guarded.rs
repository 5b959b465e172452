//! Memory for secrets: locked against swapping and left out of core dumps where the kernel allows,
//! wiped when it is given back.
//!
//! Small blocks come out of 64 KiB chunks by size class and are used again; larger ones are mappings
//! of their own. A limit on locked memory (RLIMIT_MEMLOCK) or a lack of mappings never makes it fail:
//! the memory is then only wiped. To know what is guarded, read `/proc/PID/smaps` (flags `lo`, `dd`).
#![allow(unsafe_code)]

pub mod heap;

use parking_lot::{Mutex, MutexGuard};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::{NonNull, null_mut};
use zeroize::Zeroize;

const SMALLEST: usize = 32;
const LARGEST: usize = 4096;
const CLASSES: usize = 8;
const CHUNK: usize = 64 << 10;

/// Where a block came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// No memory: an empty block.
    Nothing,
    Chunk,
    Mapping,
    Heap,
}

/// A zeroed block of guarded memory.
pub struct Block {
    start: NonNull<u8>,
    capacity: usize,
    origin: Origin,
}

// SAFETY: a block owns its memory alone, like a `Box<[u8]>`.
unsafe impl Send for Block {}
// SAFETY: as above; shared references only read.
unsafe impl Sync for Block {}

/// Free blocks of each class, as addresses.
pub struct Arena([Vec<usize>; CLASSES]);

static ARENA: Mutex<Arena> = Mutex::new(Arena([const { Vec::new() }; CLASSES]));

/// All guarded memory and the heap, held over a fork, so that the child does not inherit them in the
/// middle of a change by another thread. Until it is dropped this thread must not allocate.
pub struct ForkGuard {
    _heap: heap::ForkGuard,
    _arena: MutexGuard<'static, Arena>,
}

pub fn fork_guard() -> ForkGuard {
    // In this order: who holds the arena may allocate. Dropped in the other.
    let arena = ARENA.lock();
    ForkGuard { _heap: heap::fork_guard(), _arena: arena }
}

fn class(size: usize) -> (usize, usize) {
    let capacity = size.next_power_of_two().max(SMALLEST);
    (capacity.trailing_zeros() as usize - SMALLEST.trailing_zeros() as usize, capacity)
}

/// New pages, locked and undumped if the kernel lets us.
fn map(length: usize) -> Option<NonNull<u8>> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: an anonymous mapping at an address of the kernel's choice; the advice touches it alone.
    unsafe {
        let start = libc::mmap(null_mut(), length, protection, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return None;
        }
        libc::mlock(start, length);
        libc::madvise(start, length, libc::MADV_DONTDUMP);
        NonNull::new(start.cast())
    }
}

impl Block {
    /// At least `size` zero bytes.
    pub fn new(size: usize) -> Block {
        if size == 0 {
            return Block { start: NonNull::dangling(), capacity: 0, origin: Origin::Nothing };
        }
        if size > LARGEST {
            let capacity = size.next_multiple_of(LARGEST);
            return match map(capacity) {
                Some(start) => Block { start, capacity, origin: Origin::Mapping },
                None => Block::on_heap(size),
            };
        }
        let (class, capacity) = class(size);
        let free = &mut ARENA.lock().0[class];
        if free.is_empty() {
            let Some(chunk) = map(CHUNK) else { return Block::on_heap(size) };
            free.extend((0..CHUNK).step_by(capacity).map(|offset| chunk.as_ptr() as usize + offset));
        }
        match free.pop().and_then(|address| NonNull::new(address as *mut u8)) {
            Some(start) => Block { start, capacity, origin: Origin::Chunk },
            None => Block::on_heap(size),
        }
    }

    fn on_heap(size: usize) -> Block {
        let layout = Self::layout(size);
        // SAFETY: the size is not zero.
        match NonNull::new(unsafe { alloc_zeroed(layout) }) {
            Some(start) => Block { start, capacity: size, origin: Origin::Heap },
            None => handle_alloc_error(layout),
        }
    }

    fn layout(size: usize) -> Layout {
        // A size that a slice can have is a size that a layout of bytes can have.
        Layout::array::<u8>(size).unwrap_or(Layout::new::<u8>())
    }

    /// The first `length` bytes; the caller keeps within what it asked for.
    pub fn bytes(&self, length: usize) -> &[u8] {
        let length = length.min(self.capacity);
        // SAFETY: the block has `capacity` initialised bytes, or none and a dangling start.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), length) }
    }

    pub fn bytes_mut(&mut self, length: usize) -> &mut [u8] {
        let length = length.min(self.capacity);
        // SAFETY: as above, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), length) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let capacity = self.capacity;
        self.bytes_mut(capacity).zeroize();
        match self.origin {
            Origin::Nothing => {}
            Origin::Chunk => ARENA.lock().0[class(capacity).0].push(self.start.as_ptr() as usize),
            Origin::Mapping => {
                // SAFETY: mapped with this length, given back once.
                let _ = unsafe { libc::munmap(self.start.as_ptr().cast(), capacity) };
            }
            // SAFETY: allocated with this layout, given back once.
            Origin::Heap => unsafe { dealloc(self.start.as_ptr(), Self::layout(capacity)) },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The VmFlags line of the mapping that holds an address.
    pub fn flags(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in maps.lines() {
            if let Some((start, rest)) = line.split_once('-') {
                let end = rest.split(' ').next().unwrap();
                if let (Ok(start), Ok(end)) =
                    (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
                {
                    inside = (start..end).contains(&address);
                }
            }
            if inside && line.starts_with("VmFlags") {
                return line.to_owned();
            }
        }
        panic!("no mapping holds {address:#x}");
    }

    #[test]
    fn blocks_are_left_out_of_dumps() {
        for size in [1, 32, 33, 4096, 5000, 100_000] {
            let block = Block::new(size);
            assert!(block.capacity >= size);
            assert!(flags(block.start.as_ptr() as usize).contains(" dd"), "size {size}");
        }
    }

    #[test]
    fn blocks_come_zeroed_and_do_not_overlap() {
        let mut blocks: Vec<Block> = (0..500).map(|n| Block::new(1 + n * 13 % 3000)).collect();
        for (number, block) in blocks.iter_mut().enumerate() {
            let capacity = block.capacity;
            assert!(block.bytes(capacity).iter().all(|byte| *byte == 0));
            block.bytes_mut(capacity).fill(number as u8);
        }
        for (number, block) in blocks.iter().enumerate() {
            assert!(block.bytes(block.capacity).iter().all(|byte| *byte == number as u8));
        }
        drop(blocks);
        assert!(Block::new(64).bytes(64).iter().all(|byte| *byte == 0), "used again, and wiped");
    }
}
