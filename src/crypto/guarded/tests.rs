//! Tests of guarded memory. That no dump of a host holds a key is `pkcs11-tests/tests/memory.rs`.

use super::heap::{self, Heap};
use super::*;
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

thread_local! {
    /// Whether the kernel has no mappings left, for this thread.
    pub static NO_MAPPINGS: Cell<bool> = const { Cell::new(false) };
}

/// The VmFlags line of the mapping that holds an address.
fn flags(address: usize) -> String {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut inside = false;
    for line in maps.lines() {
        if let Some((start, rest)) = line.split_once('-') {
            let end = rest.split(' ').next().unwrap();
            if let (Ok(start), Ok(end)) = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16)) {
                inside = (start..end).contains(&address);
            }
        }
        if inside && line.starts_with("VmFlags") {
            return line.to_owned();
        }
    }
    panic!("no mapping holds {address:#x}");
}

fn bytes<'a>(start: *mut u8, length: usize) -> &'a mut [u8] {
    assert!(!start.is_null());
    // SAFETY: the tests ask for no more than they allocated, and look once at a time.
    unsafe { std::slice::from_raw_parts_mut(start, length) }
}

#[test]
fn blocks_are_left_out_of_dumps() {
    for size in [1, 32, 33, 4096, 5000, 100_000] {
        let block = Block::new(size);
        assert!(flags(block.start.as_ptr() as usize).contains(" dd"), "size {size}");
        let vector = vec![1u8; size];
        assert!(flags(vector.as_ptr() as usize).contains(" dd"), "a vector of {size}");
    }
}

#[test]
fn blocks_come_zeroed_and_do_not_overlap() {
    let mut blocks: Vec<Block> = (0..500).map(|n| Block::new(1 + n * 137 % 50_000)).collect();
    for (number, block) in blocks.iter_mut().enumerate() {
        let length = block.length;
        assert!(block.bytes(length).iter().all(|byte| *byte == 0));
        block.bytes_mut(length).fill(number as u8);
    }
    for (number, block) in blocks.iter().enumerate() {
        assert!(block.bytes(block.length).iter().all(|byte| *byte == number as u8));
    }
    drop(blocks);
    assert!(Block::new(64).bytes(64).iter().all(|byte| *byte == 0), "used again, and wiped");
}

#[test]
fn what_comes_back_is_wiped() {
    for heap in [&Heap::new(false), &Heap::new(true)] {
        for size in [8, 40, 4096, 30_000] {
            let start = heap.allocate(size);
            bytes(start, size).fill(1);
            // SAFETY: a block of this heap and size; its memory stays, and nobody else has this heap.
            unsafe { heap.release(start, size) };
            let link = size_of::<usize>();
            assert!(bytes(start, size)[link..].iter().all(|byte| *byte == 0), "{size} bytes");
        }
    }
}

#[test]
fn a_guarded_value_is_one_value() {
    let rc = std::rc::Rc::new(5);
    let (kept, given) = (Guarded::new(rc.clone()), Guarded::new(rc.clone()));
    let third = kept.clone();
    assert_eq!((*given.into_inner(), **kept, std::rc::Rc::strong_count(&rc)), (5, 5, 3));
    drop((kept, third));
    assert_eq!(std::rc::Rc::strong_count(&rc), 1);
}

#[test]
fn sizes_change_and_the_bytes_stay() {
    static HEAP: Heap = Heap::new(false);
    let sizes = [10, 20, 100, 5000, 50_000, 200_000, 40_000, 300, 290, 10, 32, 33, 100_000, 5];
    for no_mappings in [false, true] {
        let (mut size, mut start) = (1, HEAP.allocate(1));
        bytes(start, 1)[0] = 7;
        for next in sizes {
            NO_MAPPINGS.set(no_mappings);
            // SAFETY: a block of this heap and size.
            start = unsafe { HEAP.resize(start, size, next) };
            NO_MAPPINGS.set(false);
            let kept = size.min(next);
            assert!(bytes(start, kept).iter().all(|byte| *byte == 7), "{size} to {next}");
            assert!(bytes(start, next)[kept..].iter().all(|byte| *byte == 0), "{size} to {next}");
            bytes(start, next).fill(7);
            size = next;
        }
        // SAFETY: as above.
        unsafe { HEAP.release(start, size) };
        assert!(bytes(HEAP.allocate(size), size).iter().all(|byte| *byte == 0));
    }
}

#[test]
fn without_mappings_memory_is_only_wiped() {
    static HEAP: Heap = Heap::new(true);
    NO_MAPPINGS.set(true);
    for size in [1, 40, 4096, 30_000, 40_000, 1_000_000] {
        let start = HEAP.allocate(size);
        assert!(bytes(start, size).iter().all(|byte| *byte == 0), "size {size}");
        assert!(!flags(start as usize).contains(" dd"), "size {size}: not the system's heap");
        bytes(start, size).fill(1);
        // SAFETY: allocated above.
        unsafe { HEAP.release(start, size) };
    }
    NO_MAPPINGS.set(false);
}

#[test]
fn alignments_are_kept() {
    for align in (0..15).map(|bits| 1usize << bits) {
        for size in [1, 31, 48, 1000, 5000, 40_000] {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: the layout is not empty; given back as it was made.
            unsafe {
                let start = std::alloc::alloc(layout);
                assert!(start.addr().is_multiple_of(align), "{layout:?}");
                bytes(start, size).fill(3);
                let longer = std::alloc::realloc(start, layout, 2 * size);
                assert!(longer.addr().is_multiple_of(align) && bytes(longer, size).iter().all(|b| *b == 3));
                std::alloc::dealloc(longer, Layout::from_size_align(2 * size, align).unwrap());
            }
        }
    }
}

/// One thread makes blocks and another frees them: the heap uses them again.
#[test]
fn blocks_come_back_from_other_threads() {
    static HEAP: Heap = Heap::new(false);
    let (give, take) = mpsc::sync_channel::<usize>(100);
    let freeing = std::thread::spawn(move || {
        let mut seen = HashSet::new();
        for address in take {
            seen.insert(address);
            // SAFETY: allocated by the other thread, which forgot it.
            unsafe { HEAP.release(address as *mut u8, 500) };
        }
        seen.len()
    });
    for _ in 0..100_000 {
        give.send(HEAP.allocate(500) as usize).unwrap();
    }
    drop(give);
    let different = freeing.join().unwrap();
    assert!(different < 1000, "{different} places for 100 blocks");
}

/// A child forked while other threads allocate can allocate.
#[test]
fn a_fork_finds_the_heaps_at_rest() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let busy = || {
        while !STOP.load(Ordering::Relaxed) {
            let kept: Vec<_> = (1..40).map(|n| (vec![0u8; n * 50], Block::new(n * 50))).collect();
            std::hint::black_box(kept);
        }
    };
    std::thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(busy)));
        for _ in 0..100 {
            let still = heap::fork_guard();
            // SAFETY: the child only allocates, and leaves.
            let child = unsafe { libc::fork() };
            drop(still);
            if child == 0 {
                // SAFETY: ends a child that would hang.
                unsafe { libc::alarm(10) };
                let kept: Vec<_> = (1..1000).map(|n| (vec![0u8; n], Block::new(n))).collect();
                std::hint::black_box(&kept);
                // SAFETY: leaves at once.
                unsafe { libc::_exit(0) };
            }
            let mut status = 0;
            // SAFETY: our own child.
            unsafe { libc::waitpid(child, &mut status, 0) };
            if status != 0 {
                STOP.store(true, Ordering::Relaxed);
            }
            assert_eq!(status, 0);
        }
        STOP.store(true, Ordering::Relaxed);
    });
}
