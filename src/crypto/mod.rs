//! Primitives, and the only room that names a crypto library.
//!
//! Two implementations stand behind one seam. `portable` (RustCrypto) is always compiled;
//! `aws_lc` (feature `aws-lc`, default) is used where it was measured faster and constant-time.
//! Each family is a module of the same name and the same public signatures in both, and the
//! lines below choose: one algorithm has one implementation in a given build. The tests in
//! `differential.rs` make both agree.
//!
//! Conventions of the seam: integers are big-endian bytes; lengths are in bytes; an output slice
//! has exactly the documented length (the caller guarantees it; a wrong one is
//! [`Error::GeneralError`](crate::error::Error), never a panic); secrets come back as [`Secret`];
//! `Send + Sync` keys, usable from many threads at once without a lock of ours.

pub mod argon2id;
pub mod der;
pub mod derive;
pub mod ec;
pub mod guarded;
pub mod hash;
pub mod hpke;
pub mod ml_dsa;
pub mod ml_kem;
pub mod parts;
pub mod pkcs1;
pub mod pkcs8;
pub mod portable;
pub mod prehash;
pub mod secret;
pub mod shamir;
pub mod slh_dsa;
pub mod sp800_108;
pub mod triple_des;

#[cfg(feature = "aws-lc")]
pub mod aws_lc;
#[cfg(all(test, feature = "aws-lc"))]
mod differential;
#[cfg(test)]
mod vectors;

pub use ec::Curve;
pub use hash::Hash;
pub use parts::{Direction, EdScheme, Mode, RsaParts, RsaPublic};
pub use secret::Secret;

#[cfg(feature = "aws-lc")]
pub use aws_lc::{aes, chacha20_poly1305, ed25519, random, rsa, x25519};
#[cfg(not(feature = "aws-lc"))]
pub use portable::{aes, chacha20_poly1305, ed25519, random, rsa, x25519};
