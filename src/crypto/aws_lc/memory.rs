//! AWS-LC allocates from the heap of secrets: its keys, contexts and numbers are locked and in no dump.

use crate::crypto::guarded::heap::LOCKED;
use std::os::raw::{c_char, c_int, c_void};
use std::ptr::null_mut;

/// Before each block stands its whole size, because `free` is not told.
const HEADER: usize = 16;

/// AWS-LC takes other functions before its first allocation only: when the library is loaded.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = {
    extern "C" fn at_load() {
        // SAFETY: the three belong together. Refused if set before, and it is not.
        unsafe { aws_lc_sys::CRYPTO_set_mem_functions(Some(allocate), Some(resize), Some(release)) };
    }
    at_load
};

/// The block behind the header; NULL for no memory.
fn with_header(start: *mut u8, size: usize) -> *mut c_void {
    if start.is_null() {
        return null_mut();
    }
    // SAFETY: a block of at least the header's length, aligned for a number.
    unsafe {
        start.cast::<usize>().write(size);
        start.add(HEADER).cast()
    }
}

extern "C" fn allocate(size: usize, _: *const c_char, _: c_int) -> *mut c_void {
    match size.checked_add(HEADER) {
        Some(size) => with_header(LOCKED.allocate(size), size),
        None => null_mut(),
    }
}

unsafe extern "C" fn release(block: *mut c_void, _: *const c_char, _: c_int) {
    // SAFETY: AWS-LC gives back, once, what it got from `allocate` or `resize`, and never NULL.
    unsafe {
        let start = block.cast::<u8>().sub(HEADER);
        LOCKED.release(start, start.cast::<usize>().read());
    }
}

unsafe extern "C" fn resize(block: *mut c_void, size: usize, _: *const c_char, _: c_int) -> *mut c_void {
    let Some(size) = size.checked_add(HEADER) else { return null_mut() };
    // SAFETY: as in `release`; the header is among the bytes that are kept.
    unsafe {
        let start = block.cast::<u8>().sub(HEADER);
        with_header(LOCKED.resize(start, start.cast::<usize>().read(), size), size)
    }
}
