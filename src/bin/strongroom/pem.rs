//! An Ed25519 public key as PEM (RFC 8410), as `openssl pkey -pubin` takes it.

use crate::output::Failure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";
/// SubjectPublicKeyInfo up to the key's 32 bytes.
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

pub fn write(key: &[u8; 32]) -> String {
    format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode([&PREFIX[..], key].concat()))
}

pub fn read(path: &Path) -> Result<[u8; 32], Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Failure::new(format!("{}: {e}.", path.display())))?;
    let parsed = || {
        let body = text.split_once(BEGIN)?.1.split_once(END)?.0;
        let der = STANDARD.decode(body.split_whitespace().collect::<String>()).ok()?;
        der.strip_prefix(&PREFIX)?.try_into().ok()
    };
    parsed().ok_or_else(|| {
        Failure::new(format!("{}: not an Ed25519 public key as PEM.", path.display()))
            .next("`strongroom audit key` writes one.")
    })
}
