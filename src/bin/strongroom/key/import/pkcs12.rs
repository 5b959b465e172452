//! PKCS#12 (RFC 7292), by the crate p12-keystore: PBES2, and the triple DES and 40-bit RC2 of old files.

use super::read::{Item, Kind, damaged};
use super::sound::{material, public_info};
use crate::output::Failure;
use cryptoki_sys::CKK_AES;
use p12_keystore::error::Error;
use p12_keystore::secret::SecretKeyType;
use p12_keystore::{Pkcs12Archive, PrivateKeyBag};
use std::path::Path;
use strongroom::crypto::Secret;
use strongroom::crypto::der::{INTEGER, Reader, SEQUENCE};
use strongroom::crypto::pkcs8;

/// Whether something protects the whole from changes: without it nothing is believed.
fn protected(der: &[u8]) -> bool {
    let Some(mut whole) = Reader::new(der).sequence() else { return false };
    whole.take(INTEGER).and_then(|_| whole.take(SEQUENCE)).is_some() && !whole.is_empty()
}

fn refused(path: &Path, error: &Error) -> Failure {
    match error {
        Error::MacError(_) => damaged(path, "the password is wrong, or the file was changed"),
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm | Error::InvalidParameters => {
            damaged(path, "it is protected in a way that is not supported")
                .because(
                    "supported: PBES2 (PBKDF2, AES), triple DES and 40-bit RC2, with a MAC by SHA-1 or SHA-2",
                )
                .next("`openssl pkcs12 -in FILE -nodes | openssl pkcs12 -export -out NEW` writes it anew.")
        }
        Error::DerError(_) | Error::InvalidVersion | Error::UnsupportedContentType => {
            damaged(path, "this is no PKCS#12 file, or it is damaged")
        }
        other => damaged(path, &format!("what is inside cannot be read ({other})")),
    }
}

fn private(path: &Path, bag: &PrivateKeyBag) -> Result<Item, Failure> {
    let key = pkcs8::decode(bag.key.as_der()).map_err(|_| {
        damaged(path, &format!("its key ({}) is not sound, or of a kind that is not here", bag.key.oid()))
            .next("RSA, P-224, P-256, P-384, P-521, secp256k1, Ed25519 and X25519 can be imported.")
    })?;
    Ok(Item { kind: Kind::Private(key), name: bag.friendly_name.clone() })
}

/// That the certificate which the file names for a key is the key's.
fn belongs(path: &Path, bag: &PrivateKeyBag, archive: &Pkcs12Archive) -> Result<(), Failure> {
    let Some(id) = &bag.local_key_id else { return Ok(()) };
    let named = archive.certs.iter().filter(|cert| cert.local_key_id.as_deref() == Some(id.as_ref()));
    // What cannot be read is told by `private`, and a weak key for what it is.
    let Ok(key) = pkcs8::decode(bag.key.as_der()) else { return Ok(()) };
    let info = public_info(&material(&key).map_err(|failure| failure.about(&path.display().to_string()))?);
    for bag in named {
        let certificate = x509_parser::parse_x509_certificate(bag.cert.as_der());
        let said = certificate.as_ref().map(|(_, certificate)| certificate.public_key().raw);
        if Ok(&info[..]) != said {
            return Err(damaged(path, "the certificate that it names for its key is of another key"));
        }
    }
    Ok(())
}

pub fn items(path: &Path, bytes: &[u8], password: &Secret) -> Result<Vec<Item>, Failure> {
    let Ok(password) = std::str::from_utf8(password) else {
        return Err(damaged(path, "passwords of PKCS#12 files are text (UTF-8)"));
    };
    if !protected(bytes) {
        return Err(damaged(path, "this is no PKCS#12 file, it is damaged, or it has no MAC"));
    }
    let archive = Pkcs12Archive::from_pkcs12(bytes, password).map_err(|error| refused(path, &error))?;
    let mut items = Vec::new();
    for bag in &archive.keys {
        belongs(path, bag, &archive)?;
        items.push(private(path, bag)?);
    }
    for bag in &archive.certs {
        items.push(Item {
            kind: Kind::Certificate(bag.cert.as_der().to_vec()),
            name: bag.friendly_name.clone(),
        });
    }
    for bag in &archive.secrets {
        let aes = [
            SecretKeyType::Aes,
            SecretKeyType::Aes128Cbc,
            SecretKeyType::Aes192Cbc,
            SecretKeyType::Aes256Cbc,
        ];
        if !aes.contains(&bag.key.key_type()) {
            return Err(damaged(path, "it holds a secret key that is no AES key"));
        }
        items.push(Item {
            kind: Kind::Secret(CKK_AES, Secret::from(bag.key.key())),
            name: bag.friendly_name.clone(),
        });
    }
    match items.is_empty() {
        true => Err(damaged(path, "there is no key and no certificate in it")),
        false => Ok(items),
    }
}
