//! RustCrypto behind the seam: the build without a C toolchain, and the oracle of the
//! differential tests. Its RSA private operations are not for network-facing use
//! (RUSTSEC-2023-0071); ARCHITECTURE.md says why it is here all the same.

pub mod aes;
pub mod chacha20_poly1305;
pub mod ec;
pub mod ed25519;
pub mod ml_dsa;
pub mod ml_kem;
pub mod random;
pub mod rsa;
pub mod x25519;
