//! CKM_RSA_AES_KEY_WRAP (PKCS#11 3.2 §6.1.18): a key of any size under an RSA key, the way customers
//! bring keys to HSMs and clouds. A new AES key wraps it (RFC 5649), RSA-OAEP wraps that; the two stand
//! one after the other. Its row is among `rsa`'s.

use super::{Key, Params};
use crate::crypto::{Hash, Secret, aes};
use crate::error::{Error, Result};
use std::sync::Arc;

/// Bytes of the AES key, then what OAEP takes.
fn checked(params: Params) -> Result<(usize, Hash, Hash, Vec<u8>)> {
    match params {
        Params::RsaAes { key_bits: bits @ (128 | 192 | 256), hash, mgf, label } => {
            Ok((bits / 8, hash, mgf, label))
        }
        _ => Err(Error::MechanismParamInvalid),
    }
}

pub fn wrap(key: &Arc<Key>, params: Params, plain: &[u8]) -> Result<Secret> {
    let (length, hash, mgf, label) = checked(params)?;
    let (public, between) = (key.rsa_public()?, Secret::random(length)?);
    let mut wrapped = vec![0; public.length()];
    public.encrypt_oaep(hash, mgf, &label, &between, &mut wrapped)?;
    wrapped.extend(aes::wrap(&between, true, plain)?);
    Ok(Secret::from(wrapped))
}

/// The AES key may have any length: the wrapped key knows it, and clients say what they like.
pub fn unwrap(key: &Arc<Key>, params: Params, wrapped: &[u8]) -> Result<Secret> {
    let (_, hash, mgf, label) = checked(params)?;
    let private = key.rsa_private()?;
    let (first, rest) = wrapped
        .split_at_checked(private.length())
        .filter(|(_, rest)| rest.len() >= 16 && rest.len().is_multiple_of(8))
        .ok_or(Error::EncryptedDataLenRange)?;
    // One answer for all that can be wrong inside: which step failed would be an oracle.
    let between = private.decrypt_oaep(hash, mgf, &label, first).map_err(inside)?;
    if !matches!(between.len(), 16 | 24 | 32) {
        return Err(Error::EncryptedDataInvalid);
    }
    aes::unwrap(&between, true, rest).map_err(inside)
}

fn inside(error: Error) -> Error {
    match error {
        Error::DataInvalid | Error::DataLenRange | Error::EncryptedDataLenRange => {
            Error::EncryptedDataInvalid
        }
        other => other,
    }
}
