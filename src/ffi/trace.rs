//! The call trace: a line for each C call, with its arguments, its result and the time it took.
//!
//! What a pointer leads to is told by the code that reads it for the call itself (`params`,
//! `attributes`, `memory`): it leaves a [`note`], and the line shows the note at the argument with
//! that address. So the trace reads no memory that the call does not read. Results are looked at when
//! the answer says that they were written. Nothing here runs while the trace is off, but one load.
//!
//! A new function needs nothing. A new way to read the caller's memory needs a note.

use super::answer;
use super::describe;
use super::memory::read;
use crate::error::Error;
use crate::session::tracer;
use cryptoki_sys::*;
use std::any::TypeId;
use std::cell::RefCell;
use std::fmt::Write;
use std::mem::ManuallyDrop;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Longer lines are cut.
const LONGEST: usize = 16 << 10;

/// An argument: its name in the function's definition and what it is.
pub struct Argument {
    name: &'static str,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Number(u64),
    /// Where a CK_ULONG goes, or a list of them.
    Ulong(*const CK_ULONG),
    Bytes(*const u8),
    Other(usize),
}

/// What stands in a C function's arguments.
pub trait Traced: Copy {
    fn traced(self, name: &'static str) -> Argument;
}

impl Traced for CK_ULONG {
    fn traced(self, name: &'static str) -> Argument {
        Argument { name, what: What::Number(self) }
    }
}

impl Traced for CK_BYTE {
    fn traced(self, name: &'static str) -> Argument {
        Argument { name, what: What::Number(self.into()) }
    }
}

impl<T: 'static> Traced for *mut T {
    fn traced(self, name: &'static str) -> Argument {
        let kind = TypeId::of::<T>();
        let what = if kind == TypeId::of::<CK_ULONG>() {
            What::Ulong(self.cast())
        } else if kind == TypeId::of::<CK_BYTE>() {
            What::Bytes(self.cast())
        } else {
            What::Other(self as usize)
        };
        Argument { name, what }
    }
}

impl Traced for CK_NOTIFY {
    fn traced(self, name: &'static str) -> Argument {
        Argument { name, what: What::Other(self.map_or(0, |function| function as usize)) }
    }
}

struct Note {
    address: usize,
    result: bool,
    text: String,
}

thread_local! {
    // The notes of the call that runs. Without a destructor: threads may end in any order with this library.
    static NOTES: RefCell<ManuallyDrop<Option<Vec<Note>>>> = const { RefCell::new(ManuallyDrop::new(None)) };
}

#[inline(always)]
pub fn on() -> bool {
    tracer::on()
}

/// Says what the call read at an address.
#[inline(always)]
pub fn note<T>(pointer: *const T, text: impl FnOnce() -> String) {
    if on() {
        keep(pointer as usize, false, text());
    }
}

/// Says what the call wrote at an address.
#[inline(always)]
pub fn note_result<T>(pointer: *const T, text: impl FnOnce() -> String) {
    if on() {
        keep(pointer as usize, true, text());
    }
}

#[cold]
fn keep(address: usize, result: bool, text: String) {
    NOTES.with(|notes| {
        if let Some(notes) = notes.borrow_mut().as_mut() {
            notes.push(Note { address, result, text });
        }
    });
}

/// Runs a call and writes its line. `None` inside a traced call: the function itself is meant, which
/// `again` came back to.
#[cold]
#[inline(never)]
pub fn traced(name: &'static str, arguments: &[Argument], again: &dyn Fn() -> CK_RV) -> Option<CK_RV> {
    let inside = NOTES.with(|notes| {
        let mut notes = notes.borrow_mut();
        let inside = notes.is_some();
        if !inside {
            **notes = Some(Vec::new());
        }
        inside
    });
    if inside {
        return None;
    }
    let start = Instant::now();
    let code = again();
    let micros = start.elapsed().as_micros();
    let notes = NOTES.with(|notes| notes.borrow_mut().take()).unwrap_or_default();
    answer("call trace", || {
        tracer::write(&line(name, arguments, &notes, code, micros));
        Ok(())
    });
    Some(code)
}

fn line(name: &str, arguments: &[Argument], notes: &[Note], code: CK_RV, micros: u128) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // SAFETY: asks for a number.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    let mut text =
        format!("{}.{:06} {}.{thread} {name}(", since.as_secs(), since.subsec_micros(), std::process::id());
    for (place, argument) in arguments.iter().enumerate() {
        let comma = if place > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}{}={}", argument.shown(), argument.given(notes));
    }
    let _ = match Error::name_of(code) {
        Some(name) => write!(text, ") = {name}"),
        None => write!(text, ") = {code:#x}"),
    };
    for argument in arguments {
        if let Some(result) = argument.result(arguments, notes, code) {
            let _ = write!(text, " {}={result}", argument.shown());
        }
    }
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    let _ = writeln!(text, " {micros} us");
    text
}

/// What notes say of an address, if anything.
fn noted(notes: &[Note], address: usize, result: bool) -> Option<String> {
    let here = |note: &&Note| note.address == address && note.result == result;
    let texts: Vec<&str> = notes.iter().filter(here).map(|note| note.text.as_str()).collect();
    match texts.as_slice() {
        [] => None,
        [one] => Some((*one).to_owned()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}

impl Argument {
    fn shown(&self) -> &'static str {
        self.name.trim_start_matches('_')
    }

    fn address(&self) -> usize {
        match self.what {
            What::Number(_) => 0,
            What::Ulong(pointer) => pointer as usize,
            What::Bytes(pointer) => pointer as usize,
            What::Other(address) => address,
        }
    }

    fn given(&self, notes: &[Note]) -> String {
        if let What::Number(number) = self.what {
            return self.number(number);
        }
        match self.address() {
            0 => "NULL".into(),
            // `*`: something is there, and it is not shown.
            address => noted(notes, address, false).unwrap_or_else(|| "*".into()),
        }
    }

    fn number(&self, number: u64) -> String {
        match self.shown() {
            // How long a PIN is helps who guesses it.
            "ulPinLen" | "ulOldLen" | "ulNewLen" if number > 0 => "*".into(),
            "kind" => describe::mechanism_name(number),
            "userType" => describe::user(number),
            "flags" => format!("{number:#x}"),
            _ if number == CK_UNAVAILABLE_INFORMATION => "-1".into(),
            _ => number.to_string(),
        }
    }

    fn result(&self, all: &[Argument], notes: &[Note], code: CK_RV) -> Option<String> {
        if let Some(text) = noted(notes, self.address(), true) {
            return Some(text);
        }
        let What::Ulong(pointer) = self.what else { return None };
        if pointer.is_null() {
            return None;
        }
        let is_length = self.name.starts_with("pul");
        // SAFETY: these answers are given only after the length or count was written.
        let number = |pointer| unsafe { read::<CK_ULONG>(pointer).ok() };
        match code {
            CKR_BUFFER_TOO_SMALL if is_length => number(pointer).map(|n| n.to_string()),
            CKR_OK if is_length => number(pointer).map(|n| n.to_string()),
            CKR_OK if length_query(all) => None,
            CKR_OK => match all.iter().find(|other| other.name == "pulCount") {
                Some(Argument { what: What::Ulong(count), .. }) => {
                    let shown = number(*count)?.min(100) as usize;
                    let items = (0..shown).filter_map(|place| number(pointer.wrapping_add(place)));
                    let texts = items.map(|item| match self.name {
                        "pMechanismList" => describe::mechanism_name(item),
                        _ => item.to_string(),
                    });
                    Some(format!("[{}]", texts.collect::<Vec<_>>().join(" ")))
                }
                _ => number(pointer).map(|n| n.to_string()),
            },
            _ => None,
        }
    }
}

/// Whether a call with these arguments asks only how much room its result needs: there is a length to
/// write and no buffer before it.
fn length_query(all: &[Argument]) -> bool {
    all.windows(2).any(|pair| match (pair[0].what, pair[1].what) {
        (What::Bytes(buffer), What::Ulong(_)) => buffer.is_null() && pair[1].name.starts_with("pul"),
        _ => false,
    })
}
