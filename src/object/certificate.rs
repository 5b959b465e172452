//! What an X.509 certificate says of itself, for the attributes a caller left out.

use super::{Object, Value};
use crate::crypto::Hash;
use crate::crypto::der::{INTEGER, Reader, SEQUENCE};
use crate::error::{Error, Result};
use cryptoki_sys::*;

/// Fills CKA_SUBJECT, CKA_ISSUER, CKA_SERIAL_NUMBER, CKA_PUBLIC_KEY_INFO and CKA_CHECK_VALUE from
/// CKA_VALUE where they are absent or empty (a check value given as empty is declined). A value that
/// is no X.509 certificate fills nothing but the check value. `TemplateIncomplete` without a value,
/// unless CKA_URL and both key hashes say where to find it (§4.6.3).
pub fn fill(object: &mut Object) -> Result<()> {
    let value = object.bytes(CKA_VALUE).to_vec();
    if value.is_empty() {
        let instead = [CKA_URL, CKA_HASH_OF_SUBJECT_PUBLIC_KEY, CKA_HASH_OF_ISSUER_PUBLIC_KEY];
        let missing = instead.iter().any(|kind| object.bytes(*kind).is_empty());
        return if missing { Err(Error::TemplateIncomplete) } else { Ok(()) };
    }
    let x509 = object.number(CKA_CERTIFICATE_TYPE) == Some(CKC_X_509);
    if let Some(parts) = parts(&value).filter(|_| x509) {
        for (kind, bytes) in parts {
            if object.bytes(kind).is_empty() {
                object.set(kind, Value::Bytes(bytes.to_vec()));
            }
        }
    }
    if object.get(CKA_CHECK_VALUE).is_none() {
        object.set(CKA_CHECK_VALUE, Value::Bytes(Hash::Sha1.digest(&value)[..3].to_vec()));
    }
    Ok(())
}

/// TBSCertificate (RFC 5280 §4.1) as far as the public key.
fn parts(der: &[u8]) -> Option<[(u64, &[u8]); 4]> {
    let mut certificate = Reader::new(der).sequence()?;
    let mut body = certificate.sequence()?;
    if body.peek() == Some(0xa0) {
        body.take(0xa0)?;
    }
    let serial = body.take_whole(INTEGER)?;
    body.take(SEQUENCE)?;
    let issuer = body.take_whole(SEQUENCE)?;
    body.take(SEQUENCE)?;
    let subject = body.take_whole(SEQUENCE)?;
    let key = body.take_whole(SEQUENCE)?;
    Some([
        (CKA_SERIAL_NUMBER, serial),
        (CKA_ISSUER, issuer),
        (CKA_SUBJECT, subject),
        (CKA_PUBLIC_KEY_INFO, key),
    ])
}
