//! AWS-LC behind the seam: the same families and signatures as `portable`, through aws-lc-sys.

pub mod aes;
pub mod ec;
pub mod ed25519;
pub mod random;
pub mod rsa;
