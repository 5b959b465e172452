//! Memory for secrets: locked against swapping and left out of core dumps where the kernel allows,
//! wiped when it is given back.
//!
//! A limit on locked memory (RLIMIT_MEMLOCK) or a lack of mappings never makes it fail: the memory is
//! then only wiped. To know what is guarded, read `/proc/PID/smaps` (flags `lo`, `dd`).
#![allow(unsafe_code)]

pub mod heap;
mod spin;

use heap::LOCKED;
use std::alloc::{Layout, handle_alloc_error};
use std::ptr::NonNull;

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

#[cfg(test)]
mod tests {
    use super::*;

    /// The VmFlags line of the mapping that holds an address.
    fn flags(address: usize) -> String {
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

            assert!(flags(block.start.as_ptr() as usize).contains(" dd"), "size {size}");
        }
    }

    #[test]
    fn blocks_come_zeroed_and_do_not_overlap() {
        let mut blocks: Vec<Block> = (0..500).map(|n| Block::new(1 + n * 13 % 3000)).collect();
        for (number, block) in blocks.iter_mut().enumerate() {
            let capacity = block.length;
            assert!(block.bytes(capacity).iter().all(|byte| *byte == 0));
            block.bytes_mut(capacity).fill(number as u8);
        }
        for (number, block) in blocks.iter().enumerate() {
            assert!(block.bytes(block.length).iter().all(|byte| *byte == number as u8));
        }
        drop(blocks);
        assert!(Block::new(64).bytes(64).iter().all(|byte| *byte == 0), "used again, and wiped");
    }
}
