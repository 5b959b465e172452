//! AWS-LC allocates from the library's own heap: its keys, contexts and numbers are in no dump.

use crate::crypto::guarded::heap::Heap;
use std::alloc::{GlobalAlloc, Layout};
use std::os::raw::{c_char, c_int, c_void};
use std::ptr::null_mut;

/// Before each block stands its whole size, because `release` is not told. As long as C's alignment.
const HEADER: usize = 16;

/// AWS-LC takes other functions before its first allocation only: when the library is loaded.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = {
    extern "C" fn at_load() {
        // SAFETY: the three belong together. Refused if others were set, and none were.
        unsafe { aws_lc_sys::CRYPTO_set_mem_functions(Some(allocate), Some(resize), Some(release)) };
    }
    at_load
};

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(HEADER)?, HEADER).ok()
}

/// What AWS-LC gets of a block of our heap; NULL for none.
///
/// # Safety
/// The block is NULL or has this layout.
unsafe fn behind_header(start: *mut u8, layout: Layout) -> *mut c_void {
    if start.is_null() {
        return null_mut();
    }
    // SAFETY: as long as the header at least, and aligned for it.
    unsafe {
        start.cast::<Layout>().write(layout);
        start.add(HEADER).cast()
    }
}

/// The block and its layout, of what AWS-LC got.
///
/// # Safety
/// It came from `behind_header`.
unsafe fn whole(block: *mut c_void) -> (*mut u8, Layout) {
    const { assert!(size_of::<Layout>() <= HEADER && align_of::<Layout>() <= HEADER) }
    // SAFETY: the header stands before it.
    unsafe {
        let start = block.cast::<u8>().sub(HEADER);
        (start, start.cast::<Layout>().read())
    }
}

unsafe extern "C" fn allocate(size: usize, _: *const c_char, _: c_int) -> *mut c_void {
    let Some(layout) = layout(size) else { return null_mut() };
    // SAFETY: the layout is not empty.
    unsafe { behind_header(Heap.alloc(layout), layout) }
}

unsafe extern "C" fn release(block: *mut c_void, _: *const c_char, _: c_int) {
    // SAFETY: AWS-LC gives back, once, what it got from `allocate` or `resize`, and never NULL.
    unsafe {
        let (start, layout) = whole(block);
        Heap.dealloc(start, layout);
    }
}

unsafe extern "C" fn resize(block: *mut c_void, size: usize, _: *const c_char, _: c_int) -> *mut c_void {
    let Some(new) = layout(size) else { return null_mut() };
    // SAFETY: as in `release`; the header is among the bytes that are kept.
    unsafe {
        let (start, old) = whole(block);
        behind_header(Heap.realloc(start, old, new.size()), new)
    }
}
