//! The C boundary: pointers in, owned values down, results out. The only room with `unsafe` besides
//! the AWS-LC binding.
//!
//! Every C function is one entry of a [`c_functions!`] block, named as in the standard; its body is a
//! plain `Result` function inside [`call`]. Raw memory is read and written by `memory` only. What is
//! not built yet stands in `unsupported.rs`.
#![allow(unsafe_code, non_snake_case)]

mod attributes;
mod fork;
mod general;
mod keys;
mod memory;
mod objects;
mod operations;
mod params;
mod sessions;
mod tables;
mod tokens;
mod unsupported;

use crate::error::{Error, Result};
use crate::session::Library;
use cryptoki_sys::{CK_RV, CKR_GENERAL_ERROR, CKR_OK};
use std::panic::{AssertUnwindSafe, catch_unwind};

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
        // Some bodies only pass numbers on and need no `unsafe`; one macro serves all.
        #[allow(unused_unsafe)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> cryptoki_sys::CK_RV {
            // SAFETY: a C caller promises what PKCS#11 asks of it: each pointer is NULL or points to
            // what its type and length say. `memory` demands no more than that: no alignment, no
            // absence of overlap.
            $crate::ffi::call(stringify!($name), |$library| unsafe { $body })
        }
    )*};
}
use c_functions;

/// That a pointer for a result is there.
fn wanted<T>(pointer: *mut T) -> Result<*mut T> {
    if pointer.is_null() { Err(Error::ArgumentsBad) } else { Ok(pointer) }
}
