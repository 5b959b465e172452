//! What SQLite writes into a token file passes here: the part of a page that is in no use becomes zeros.
//!
//! With `secure_delete` SQLite overwrites the cells and the pages that it frees. But a page of a tree that
//! it builds anew, when pages are split and joined, keeps copies of its cells in the gap between the cell
//! pointers and the cells (`rebuildPage`), and nobody overwrites these when the rows are removed. So the
//! gap is blanked whenever a page goes into the file, which is when the log is moved there. Copies in the
//! log and in memory are the business of `connection::truncate_log`.
//!
//! This is SQLite's "unix", with another `xOpen`, and another `xWrite` for the token's file (not for its
//! log, whose pages have checksums). Files in other places, to which SQLite might move what it has no room
//! for, are refused: they would hold copies of pages. `temp_store = MEMORY` keeps it from asking.
#![allow(unsafe_code)]

use crate::error::{Error, Result};
use rusqlite::ffi;
use std::ffi::{CStr, c_int, c_void};
use std::ops::Range;
use std::sync::OnceLock;

const UNIX: &CStr = c"unix";
const OURS: &CStr = c"strongroom";

/// The most pages of a file. Its greatest page number begins with 1, so nothing but a page of a tree
/// begins with 2 or more: all others begin with the number of a page.
pub const MOST_PAGES: u32 = 0x01ff_ffff;

/// What SQLite does with a file, and the same with our `xWrite`.
static METHODS: OnceLock<(&'static ffi::sqlite3_io_methods, ffi::sqlite3_io_methods)> = OnceLock::new();

/// The name under which SQLite knows this.
pub fn name() -> Result<&'static CStr> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    if *REGISTERED.get_or_init(register) {
        return Ok(OURS);
    }
    Err(Error::GeneralError.because("SQLite does not let its writing be watched"))
}

fn register() -> bool {
    // SAFETY: `find` gives a structure that SQLite keeps for ever, or null.
    let Some(unix) = (unsafe { ffi::sqlite3_vfs_find(UNIX.as_ptr()).as_ref() }) else { return false };
    let ours = ffi::sqlite3_vfs { zName: OURS.as_ptr(), xOpen: Some(open), ..*unix };
    // SAFETY: name and structure live for ever; SQLite alone changes it from here on (`pNext`).
    unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 0) == ffi::SQLITE_OK }
}

/// `xOpen`: SQLite's own, and then our `xWrite` for the token's file.
unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    path: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls with a file of the size that its "unix" asks for, and arguments as that takes
    // them. What a file can do is told by a constant of SQLite's, the same for all token files; a copy of
    // it is as good, since "unix" does not look at the address.
    unsafe {
        (*file).pMethods = std::ptr::null();
        let unix = ffi::sqlite3_vfs_find(UNIX.as_ptr());
        let Some(open) = unix.as_ref().and_then(|unix| unix.xOpen) else { return ffi::SQLITE_CANTOPEN };
        if flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0 {
            return ffi::SQLITE_CANTOPEN;
        }
        let code = open(unix, path, file, flags, flags_out);
        if code == ffi::SQLITE_OK && flags & ffi::SQLITE_OPEN_MAIN_DB != 0 {
            let theirs = &*(*file).pMethods;
            let ours = || (theirs, ffi::sqlite3_io_methods { xWrite: Some(write), ..*theirs });
            (*file).pMethods = &raw const METHODS.get_or_init(ours).1;
        }
        code
    }
}

/// `xWrite` of the token's file.
unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    at: i64,
) -> c_int {
    let theirs = METHODS.get().and_then(|(theirs, _)| theirs.xWrite);
    let (Some(write), Ok(size)) = (theirs, usize::try_from(length)) else { return ffi::SQLITE_IOERR_WRITE };
    // SAFETY: SQLite gives `length` bytes to be read; its own `xWrite` reads as many of what it is given.
    unsafe {
        match blanked(std::slice::from_raw_parts(bytes.cast(), size), at == 0) {
            Some(page) => write(file, page.as_ptr().cast(), length, at),
            None => write(file, bytes, length, at),
        }
    }
}

/// The page with its gap blanked; `None`: it is not a tree's.
fn blanked(page: &[u8], first: bool) -> Option<Vec<u8>> {
    let gap = gap(page, first)?;
    let mut page = page.to_vec();
    page.get_mut(gap)?.fill(0);
    Some(page)
}

/// What lies between the cell pointers and the cells of a page of a tree (SQLite's file format, 1.6).
fn gap(page: &[u8], first: bool) -> Option<Range<usize>> {
    // The file's own header.
    let head = if first { 100 } else { 0 };
    let number = |at: usize| Some(usize::from(u16::from_be_bytes([*page.get(at)?, *page.get(at + 1)?])));
    let pointers = match page.get(head)? {
        2 | 5 => head + 12,
        10 | 13 => head + 8,
        _ => return None,
    };
    let start = pointers + 2 * number(head + 3)?;
    let end = number(head + 5)?;
    (start <= end && end <= page.len()).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page of 512 bytes of nothing but 7, with a kind, cells and the start of their content.
    fn page(head: usize, kind: u8, cells: u16, content: u16) -> Vec<u8> {
        let mut page = vec![7; 512];
        page[head] = kind;
        page[head + 3..head + 5].copy_from_slice(&cells.to_be_bytes());
        page[head + 5..head + 7].copy_from_slice(&content.to_be_bytes());
        page
    }

    #[test]
    fn only_the_gap_of_a_trees_page_is_blanked() {
        for (first, kind, gap) in [
            (false, 13, 14..300),
            (false, 10, 14..300),
            (false, 5, 18..300),
            (false, 2, 18..300),
            (true, 13, 114..300),
        ] {
            let before = page(if first { 100 } else { 0 }, kind, 3, 300);
            let after = blanked(&before, first).unwrap();
            assert!(after[gap.clone()].iter().all(|byte| *byte == 0));
            assert_eq!((&after[..gap.start], &after[gap.end..]), (&before[..gap.start], &before[gap.end..]));
        }
    }

    #[test]
    fn other_pages_and_damaged_ones_are_left_alone() {
        // The number of another page, of the greatest too; what starts behind its end, or ends behind the page.
        for kind in [0, 1, 3, 14] {
            assert_eq!(blanked(&page(0, kind, 3, 300), false), None);
        }
        assert!(MOST_PAGES.to_be_bytes()[0] < 2 && (MOST_PAGES + 1).to_be_bytes()[0] == 2);
        for (cells, content) in [(200, 300), (3, 513), (u16::MAX, u16::MAX), (3, 0)] {
            assert_eq!(blanked(&page(0, 13, cells, content), false), None);
        }
        for length in 0..110 {
            let part = &page(100, 13, 3, 300)[..length];
            assert_eq!((blanked(part, true), blanked(&part[..length.min(7)], false)), (None, None));
        }
    }
}
