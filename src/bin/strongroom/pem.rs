//! PEM (RFC 7468): blocks of a file, blocks written, and an Ed25519 public key (RFC 8410) as `openssl pkey
//! -pubin` takes it.

use crate::output::Failure;
use pem::{EncodeConfig, LineEnding, Pem};
use std::path::Path;
use strongroom::crypto::pkcs8::{self, PublicKey};

/// All blocks of a file, or a sentence's end about what is wrong with it.
pub fn blocks(bytes: &[u8]) -> Result<Vec<Pem>, String> {
    let begun = bytes.windows(11).filter(|window| window == b"-----BEGIN ").count();
    match pem::parse_many(bytes) {
        _ if begun == 0 => Err("this is neither PEM nor DER".into()),
        Ok(blocks) if blocks.len() == begun => Ok(blocks),
        _ => Err("its PEM is damaged or cut".into()),
    }
}

pub fn encode(tag: &str, der: Vec<u8>) -> String {
    pem::encode_config(&Pem::new(tag, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

pub fn write(key: &[u8; 32]) -> String {
    encode("PUBLIC KEY", pkcs8::ed25519_public_info(key))
}

pub fn read(path: &Path) -> Result<[u8; 32], Failure> {
    let bytes = std::fs::read(path).map_err(|e| Failure::new(format!("{}: {e}.", path.display())))?;
    let blocks = blocks(&bytes).unwrap_or_default();
    let found = blocks.iter().find(|block| block.tag() == "PUBLIC KEY");
    match found.and_then(|block| pkcs8::decode_public(block.contents())) {
        Some(PublicKey::Ed25519(key)) => Ok(key),
        _ => Err(Failure::new(format!("{}: not an Ed25519 public key as PEM.", path.display()))
            .next("`strongroom audit key` writes one.")),
    }
}
