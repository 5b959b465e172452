//! AWS-LC behind the seam: the same families and signatures as `portable`, through aws-lc-sys.
//! Every handle lives in a small owner that frees it; every failure empties AWS-LC's error queue.
#![allow(unsafe_code)]

pub mod aes;
mod big;
pub mod chacha20_poly1305;
pub mod ec;
pub mod ed25519;
mod memory;
pub mod ml_dsa;
pub mod ml_kem;
pub mod random;
pub mod rsa;
pub mod x25519;

use crate::error::{Error, Result};

/// AWS-LC's 1 is Ok; anything else is `error`, and the thread's error queue is emptied.
fn check(code: std::os::raw::c_int, error: Error) -> Result<()> {
    if code == 1 {
        return Ok(());
    }
    clear_errors();
    Err(error)
}

/// A handle, or `error` for NULL.
fn not_null<T>(handle: *mut T, error: Error) -> Result<std::ptr::NonNull<T>> {
    std::ptr::NonNull::new(handle).ok_or_else(|| {
        clear_errors();
        error
    })
}

fn clear_errors() {
    // SAFETY: touches only this thread's error queue.
    unsafe { aws_lc_sys::ERR_clear_error() }
}

/// An owned AWS-LC handle, freed by the given function.
macro_rules! owned {
    ($(#[$doc:meta])* $name:ident, $type:ty, $free:path) => {
        $(#[$doc])*
        pub(super) struct $name(pub(super) std::ptr::NonNull<$type>);

        impl $name {
            #[allow(dead_code)]
            pub(super) fn get(&self) -> *mut $type {
                self.0.as_ptr()
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: made by AWS-LC, owned by this value alone, freed once.
                unsafe { $free(self.0.as_ptr()) }
            }
        }
    };
}
use owned;
