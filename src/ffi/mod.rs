//! The C boundary: pointers in, owned values down, results out. The only room with `unsafe` besides
//! the AWS-LC binding.
//!
//! Every C function is one entry of a [`c_functions!`] block, named as in the standard; its body is a
//! plain `Result` function inside [`call`]. Raw memory is read and written by `memory` only. What is
//! not built yet stands in `unsupported.rs`.
#![allow(unsafe_code, non_snake_case)]

mod attributes;
mod describe;
mod fork;
mod general;
mod keys;
mod memory;
mod messages;
mod objects;
mod operations;
mod params;
mod sessions;
mod signals;
mod tables;
mod tokens;
mod trace;
mod unsupported;

use crate::config;
use crate::error::{Error, Result};
use crate::session::{Library, tracer};
use cryptoki_sys::{CK_RV, CKR_GENERAL_ERROR, CKR_OK};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Runs a function's body: no panic crosses into C, errors become their CK_RV.
fn answer(name: &str, work: impl FnOnce() -> Result<()>) -> CK_RV {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => CKR_OK,
        Ok(Err(error)) => {
            log::debug!("{name}: {}", error.name());
            error.code()
        }
        Err(panic) => {
            // Dropping what was thrown could throw again.
            std::mem::forget(panic);
            log::error!("{name} panicked; this is a defect of Strongroom");
            CKR_GENERAL_ERROR
        }
    }
}

/// The same for what needs the initialised library.
fn call(name: &str, work: impl FnOnce(&'static Library) -> Result<()>) -> CK_RV {
    answer(name, || work(Library::current()?))
}

/// Defines exported C functions: `fn C_Name(arguments) |library| { body }`.
macro_rules! c_functions {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?) |$library:pat_param| $body:block)*) => {$(
        $crate::ffi::exported! { $name($($argument: $type),*) after {}
            // SAFETY: a C caller promises what PKCS#11 asks of it: each pointer is NULL or points to
            // what its type and length say. `memory` demands no more than that: no alignment, no
            // absence of overlap.
            $crate::ffi::call(stringify!($name), |$library| unsafe { $body })
        }
    )*};
}
use c_functions;

/// The same for functions that work without the initialised library.
macro_rules! early_c_functions {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {$(
        $crate::ffi::exported! { $name($($argument: $type),*) after { $crate::ffi::environment() }
            // SAFETY: as for `c_functions`.
            $crate::ffi::answer(stringify!($name), || unsafe { $body })
        }
    )*};
}
use early_c_functions;

/// One exported function. While calls are traced it is called again by the tracer.
macro_rules! exported {
    ($name:ident($($argument:ident: $type:ty),*) after $first:block $work:expr) => {
        // Some bodies only pass numbers on and need no `unsafe`; one macro serves all.
        #[allow(unused_unsafe)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> cryptoki_sys::CK_RV {
            $first;
            if $crate::ffi::trace::on() {
                let arguments = [$($crate::ffi::trace::Traced::traced($argument, stringify!($argument))),*];
                // SAFETY: the caller's own arguments.
                let again = || unsafe { $name($($argument),*) };
                if let Some(code) = $crate::ffi::trace::traced(stringify!($name), &arguments, &again) {
                    return code;
                }
            }
            $work
        }
    };
}
use exported;

/// Looks, once, at what the environment may say and asks for.
fn environment() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: asks for a number.
        if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
            config::distrust_environment();
        }
        tracer::from_environment();
    });
}

/// That a pointer for a result is there.
fn wanted<T>(pointer: *mut T) -> Result<*mut T> {
    if pointer.is_null() { Err(Error::ArgumentsBad) } else { Ok(pointer) }
}
