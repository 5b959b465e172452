//! Tests of the heap. That no dump of a host holds a key is `pkcs11-tests/tests/memory.rs`.

use super::*;
use std::alloc::{alloc, dealloc, realloc};
use std::cell::Cell;
use std::collections::HashSet;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

thread_local! {
    /// Whether the kernel has no mappings left, for this thread.
    pub static NO_MAPPINGS: Cell<bool> = const { Cell::new(false) };
}

const SIZES: [usize; 8] = [1, 24, 200, 4096, LARGEST - 1, LARGEST, LARGEST + 1, 300_000];

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 16).unwrap()
}

/// A block of the heap, every byte `byte`.
fn filled(size: usize, byte: u8) -> *mut u8 {
    // SAFETY: the layout is not empty.
    unsafe {
        let start = alloc(layout(size));
        assert!(!start.is_null());
        start.write_bytes(byte, size);
        start
    }
}

fn holds(start: *mut u8, size: usize, byte: u8) -> bool {
    // SAFETY: the tests look at memory that they have.
    unsafe { std::slice::from_raw_parts(start, size) }.iter().all(|has| *has == byte)
}

fn free(start: *mut u8, size: usize) {
    // SAFETY: from `filled`, given back once.
    unsafe { dealloc(start, layout(size)) }
}

/// Whether a child made now, and so with one thread, finds what it looks for.
fn in_a_child(look: impl FnOnce() -> bool) {
    let held = crate::crypto::guarded::fork_guard();
    // SAFETY: the child looks, and leaves without coming back here.
    let child = unsafe { libc::fork() };
    drop(held);
    if child == 0 {
        // SAFETY: a child that hangs is ended by a signal, one that panics by the process's end.
        unsafe {
            libc::alarm(60);
            let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(look));
            libc::_exit(if matches!(found, Ok(true)) { 0 } else { 1 });
        }
    }
    let mut status = 0;
    // SAFETY: our own child.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0);
}

#[test]
fn blocks_are_in_no_dump() {
    for size in SIZES {
        let start = filled(size, 1);
        assert!(crate::crypto::guarded::tests::flags(start.addr()).contains(" dd"), "size {size}");
        free(start, size);
    }
}

#[cfg(feature = "aws-lc")]
#[test]
fn aws_lc_has_its_blocks_here() {
    for size in [0, 1, 500, 100_000] {
        // SAFETY: allocated, made longer and freed by AWS-LC.
        unsafe {
            let start = aws_lc_sys::OPENSSL_realloc(aws_lc_sys::OPENSSL_malloc(size), 2 * size + 1);
            assert!(crate::crypto::guarded::tests::flags(start.addr()).contains(" dd"), "size {size}");
            aws_lc_sys::OPENSSL_free(start);
        }
    }
}

/// Whoever has the memory next, what was there is gone.
#[test]
fn what_is_freed_is_wiped() {
    for size in SIZES.into_iter().filter(|size| (16..=LARGEST).contains(size)) {
        let start = filled(size, 0xe7);
        free(start, size);
        // SAFETY: the segment stays; in the worst case another test writes there.
        let left = (0..size).filter(|at| unsafe { start.add(*at).read_volatile() } == 0xe7).count();
        assert!(left < 16, "{left} of {size} bytes");
    }
}

#[test]
fn sizes_change_and_the_bytes_stay() {
    let (mut size, mut start) = (1, filled(1, 7));
    for next in [10, 100, 5000, 50_000, 200_000, 900_000, 70_000, 60_000, 300, 290, 32, 33, 100_000, 5] {
        // SAFETY: a block of this size.
        start = unsafe { realloc(start, layout(size), next) };
        assert!(holds(start, size.min(next), 7), "{size} to {next}");
        // SAFETY: as long as asked for.
        unsafe { start.write_bytes(7, next) };
        size = next;
    }
    free(start, size);
}

#[test]
fn alignments_are_kept_and_zeros_are_zero() {
    for layout in (0..20).flat_map(|bits| SIZES.map(|size| Layout::from_size_align(size, 1 << bits).unwrap()))
    {
        // SAFETY: the layout is not empty; given back as it was made.
        unsafe {
            let start = alloc(layout);
            assert!(start.addr().is_multiple_of(layout.align()), "{layout:?}");
            start.write_bytes(3, layout.size());
            let longer = realloc(start, layout, 2 * layout.size());
            assert!(longer.addr().is_multiple_of(layout.align()) && holds(longer, layout.size(), 3));
            dealloc(longer, Layout::from_size_align(2 * layout.size(), layout.align()).unwrap());
            let zero = std::alloc::alloc_zeroed(layout);
            assert!(zero.addr().is_multiple_of(layout.align()) && holds(zero, layout.size(), 0));
            dealloc(zero, layout);
        }
    }
}

/// Many threads at once, whose blocks are freed by others: none is given out twice, and none is lost.
#[test]
fn threads_share_the_heap() {
    let (give, take) = mpsc::sync_channel::<(usize, usize, u8)>(300);
    let freeing = std::thread::spawn(move || {
        let mut seen = HashSet::new();
        for (address, size, byte) in take {
            assert!(holds(address as *mut u8, size, byte), "{size} bytes of {byte}");
            free(address as *mut u8, size);
            seen.insert(address / SEGMENT);
        }
        seen.len()
    });
    let making: Vec<_> = (1..=8u8)
        .map(|byte| {
            let give = give.clone();
            std::thread::spawn(move || {
                for turn in 0..10_000usize {
                    let size = 16 + turn % 7 * 400;
                    give.send((filled(size, byte).addr(), size, byte)).unwrap();
                }
            })
        })
        .collect();
    drop(give);
    making.into_iter().for_each(|thread| thread.join().unwrap());
    let segments = freeing.join().unwrap();
    assert!(segments < 50, "{segments} MiB for 80,000 blocks of a kilobyte, of which 300 wait");
}

/// A child forked while other threads are in the heap can use it, and memory of theirs.
#[test]
fn a_fork_finds_the_heap_at_rest() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let work =
        || black_box((1..200).map(|n| (vec![0u8; n * 50], Box::new(n))).collect::<Vec<_>>()).len() == 199;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !STOP.load(Ordering::Relaxed) {
                    work();
                }
            });
        }
        let ran = std::panic::catch_unwind(|| (0..100).for_each(|_| in_a_child(work)));
        STOP.store(true, Ordering::Relaxed);
        assert!(ran.is_ok(), "a child hung or failed");
    });
}

#[test]
fn without_mappings_memory_is_only_wiped() {
    in_a_child(|| {
        NO_MAPPINGS.set(true);
        let blocks: Vec<_> =
            (0..400).map(|n| (SIZES[n % 8], n as u8, filled(SIZES[n % 8], n as u8))).collect();
        let dumped = |start: *mut u8| !crate::crypto::guarded::tests::flags(start.addr()).contains(" dd");
        let fell_back = blocks.iter().any(|block| block.0 <= LARGEST && dumped(block.2))
            && blocks.iter().any(|block| block.0 > LARGEST && dumped(block.2));
        let whole = blocks.iter().all(|(size, byte, start)| holds(*start, *size, *byte));
        blocks.iter().for_each(|(size, _, start)| free(*start, *size));
        fell_back && whole
    });
}

/// Memory that nothing uses any more goes back to the system.
#[test]
fn unused_segments_are_given_back() {
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * PAGE
    };
    in_a_child(|| {
        let before = resident();
        let blocks: Vec<_> = (0..12_000).map(|_| filled(20_000, 1)).collect();
        let full = resident() - before;
        blocks.into_iter().for_each(|start| free(start, 20_000));
        // What other tests left to the child may go, too.
        let left = resident().saturating_sub(before);
        eprintln!("{full} bytes, then {left}");
        full > 200_000_000 && left < full / 2
    });
}
