//! Reading and writing the caller's memory: the only place that touches it.
//!
//! Rules: NULL with a length of zero is empty, with another length `ArgumentsBad`; lengths beyond
//! what an address space can hold are `ArgumentsBad`; nothing need be aligned; a length that is only
//! an answer (that of a length query) may hold anything. Small things are copied. Bulk data is borrowed when it does not overlap the result's buffer and copied when it
//! does: copying 16 KiB in and out would cost a third of an AES-GCM call.

use super::{trace, wanted};
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::session::Output;
use cryptoki_sys::CK_ULONG;

/// A C length as ours.
fn length(length: CK_ULONG) -> Result<usize> {
    usize::try_from(length).ok().filter(|length| *length <= isize::MAX as usize).ok_or(Error::ArgumentsBad)
}

/// A value, wherever it lies.
///
/// # Safety
/// `pointer` is NULL or points to a `T`.
pub unsafe fn read<T: Copy>(pointer: *const T) -> Result<T> {
    if pointer.is_null() {
        return Err(Error::ArgumentsBad);
    }
    // SAFETY: not NULL, so it points to a `T`; no alignment is asked for.
    Ok(unsafe { pointer.read_unaligned() })
}

/// Stores a value, wherever it lies.
///
/// # Safety
/// `pointer` is NULL or points to room for a `T`.
pub unsafe fn write<T>(pointer: *mut T, value: T) -> Result<()> {
    let pointer = wanted(pointer)?;
    // SAFETY: not NULL, so there is room for a `T`; no alignment is asked for.
    unsafe { pointer.write_unaligned(value) };
    Ok(())
}

/// The bytes themselves, borrowed: for calls that write nothing back while they read.
///
/// # Safety
/// `pointer` is NULL or points to `count` bytes that do not change during the call.
pub unsafe fn bytes<'a>(pointer: *const u8, count: CK_ULONG) -> Result<&'a [u8]> {
    let count = length(count)?;
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Error::ArgumentsBad);
    }
    // SAFETY: not NULL, so there are `count` bytes; bytes need no alignment.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// A PIN, copied into guarded memory. NULL, and a length that no PIN has, are `ArgumentsBad`.
///
/// # Safety
/// As for [`bytes`].
pub unsafe fn secret(pointer: *const u8, count: CK_ULONG) -> Result<Secret> {
    const LONGEST: CK_ULONG = 8192;
    if pointer.is_null() || count > LONGEST {
        return Err(Error::ArgumentsBad);
    }
    // SAFETY: passed on.
    unsafe { bytes(pointer, count) }.map(Secret::from)
}

/// A user's name, if there is one. What is no text is nobody's name: `PinIncorrect`.
///
/// # Safety
/// As for [`bytes`].
pub unsafe fn user_name(pointer: *const u8, count: CK_ULONG) -> Result<Option<String>> {
    const LONGEST: CK_ULONG = 4096;
    if count == 0 {
        return Ok(None);
    }
    if count > LONGEST {
        return Err(Error::ArgumentsBad);
    }
    // SAFETY: passed on.
    let name = unsafe { bytes(pointer, count)? };
    trace::note(pointer, || format!("{:?}", String::from_utf8_lossy(name)));
    std::str::from_utf8(name).map(|name| Some(name.to_owned())).map_err(|_| Error::PinIncorrect)
}

/// A result and its length, by the convention of PKCS#11 3.2 §5.2: NULL asks for the length (what
/// stood there before does not matter), a too-small buffer is told the length needed. `work` gets the input too: borrowed, or a copy when
/// it overlaps the buffer.
///
/// # Safety
/// `input` and `buffer` are NULL or point to as many bytes as their lengths say.
pub unsafe fn with_output(
    (input, input_length): (*const u8, CK_ULONG),
    buffer: *mut u8,
    buffer_length: *mut CK_ULONG,
    work: impl FnOnce(&[u8], &mut Output<'_>) -> Result<()>,
) -> Result<()> {
    // SAFETY: the caller's promises, passed on; the mutable slice overlaps nothing that is read
    // through another one, because overlapping input is copied first.
    unsafe {
        let said = read(buffer_length)?;
        // What stands there in a length query means nothing.
        trace::note(buffer_length, || if buffer.is_null() { "*".into() } else { said.to_string() });
        let room = if buffer.is_null() { 0 } else { length(said)? };
        let data = bytes(input, input_length)?;
        let copy;
        let data = if overlap(data, buffer, room) {
            copy = Secret::from(data);
            &copy
        } else {
            data
        };
        let buffer = if buffer.is_null() { None } else { Some(std::slice::from_raw_parts_mut(buffer, room)) };
        let mut output = Output { buffer, length: 0 };
        let result = work(data, &mut output);
        if matches!(result, Ok(()) | Err(Error::BufferTooSmall)) {
            write(buffer_length, output.length as CK_ULONG)?;
        }
        result
    }
}

fn overlap(data: &[u8], buffer: *const u8, room: usize) -> bool {
    let (data_start, start) = (data.as_ptr() as usize, buffer as usize);
    !buffer.is_null()
        && !data.is_empty()
        && data_start < start.saturating_add(room)
        && start < data_start.saturating_add(data.len())
}

/// Bytes to write, as many as there are.
///
/// # Safety
/// `pointer` is NULL or points to `count` bytes of room.
pub unsafe fn room<'a>(pointer: *mut u8, count: CK_ULONG) -> Result<&'a mut [u8]> {
    let count = length(count)?;
    if count == 0 {
        return Ok(&mut []);
    }
    let pointer = wanted(pointer)?;
    // SAFETY: not NULL, so there is room for `count` bytes.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, count) })
}

/// A list and its count, by the same convention as [`with_output`].
///
/// # Safety
/// `list` is NULL or has room for as many items as `count` says.
pub unsafe fn write_list<T: Copy>(list: *mut T, count: *mut CK_ULONG, items: &[T]) -> Result<()> {
    // SAFETY: the caller's promises; writing stops at the room that was said.
    unsafe {
        let room = read(count)?;
        write(count, items.len() as CK_ULONG)?;
        if list.is_null() {
            return Ok(());
        }
        if room < items.len() as CK_ULONG {
            return Err(Error::BufferTooSmall);
        }
        items.iter().enumerate().try_for_each(|(place, item)| write(list.wrapping_add(place), *item))
    }
}

/// A C string of at most `most` bytes; `None` for NULL, none at all, or no UTF-8.
///
/// # Safety
/// `pointer` is NULL or points to a string that ends in a zero byte.
pub unsafe fn string(pointer: *const u8, most: usize) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    let mut text = Vec::new();
    while text.len() < most {
        // SAFETY: everything before the zero byte is part of the string.
        let byte = unsafe { pointer.wrapping_add(text.len()).read() };
        if byte == 0 {
            return String::from_utf8(text).ok();
        }
        text.push(byte);
    }
    None
}

/// A text in a field of fixed width, padded with blanks, cut at a character's end.
pub fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    let end = (0..=text.len().min(N)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    field[..end].copy_from_slice(&text.as_bytes()[..end]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_seen_and_neighbours_are_not() {
        let memory = [0u8; 10];
        let base = memory.as_ptr();
        assert!(overlap(&memory[..5], base, 5));
        assert!(overlap(&memory[4..], base, 5));
        assert!(!overlap(&memory[5..], base, 5));
        assert!(!overlap(&[], base, 5));
    }

    #[test]
    fn fields_are_cut_at_characters() {
        assert_eq!(&padded::<4>("ab"), b"ab  ");
        assert_eq!(&padded::<4>("abcdef"), b"abcd");
        assert_eq!(&padded::<4>("abc\u{e9}"), b"abc ");
    }
}
