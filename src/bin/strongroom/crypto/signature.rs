//! How ECDSA's signatures are written: as PKCS#11 has them, or as nearly everybody else does.

use crate::output::Failure;
use cryptoki_sys::{CKK_EC, CKM_ECDSA};
use strongroom::crypto::der::{Reader, SEQUENCE, element, integer};
use strongroom::crypto::{Curve, Hash};
use strongroom::mechanism::Mechanism;

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// As PKCS#11 has them: ECDSA's two numbers side by side, each as long as the curve's field.
    Raw,
    /// ECDSA's two numbers in DER, as OpenSSL, Java and X.509 have them.
    Der,
}

/// Whether there is more than one way to write this mechanism's signatures.
pub fn is_ecdsa(mechanism: &Mechanism) -> bool {
    mechanism.sign.is_some() && mechanism.keys == [CKK_EC]
}

/// CKM_ECDSA takes a hash, and of anything longer than the curve the first bytes only: the rest of a file would
/// be anybody's.
pub fn must_be_hash(mechanism: &Mechanism, data: &[u8]) -> Result<(), Failure> {
    match mechanism.id == CKM_ECDSA && !Hash::ALL.iter().any(|hash| hash.length() == data.len()) {
        true => Err(Failure::usage(format!("CKM_ECDSA takes a hash, and {} bytes are none.", data.len()))
            .next("ecdsa-sha256 and its like hash the data first; `strongroom crypto hash` makes a hash.")),
        false => Ok(()),
    }
}

impl Format {
    /// Refuses DER for what has no such form.
    pub fn check(self, mechanism: &Mechanism) -> Result<(), Failure> {
        match self == Format::Der && !is_ecdsa(mechanism) {
            true => Err(Failure::usage(format!(
                "--signature-format der is for ECDSA; {} has one form only.",
                mechanism.name
            ))
            .next("leave it out.")),
            false => Ok(()),
        }
    }
}

/// Two numbers side by side into a DER sequence (RFC 3279 §2.2.3).
pub fn to_der(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at(raw.len() / 2);
    element(SEQUENCE, &[&integer(r), &integer(s)])
}

/// The reverse; `None` for what is no such sequence, or of a longer curve.
pub fn from_der(der: &[u8], curve: Curve) -> Option<Vec<u8>> {
    let mut outer = Reader::new(der);
    let mut inner = outer.sequence()?;
    let numbers = [inner.unsigned()?, inner.unsigned()?];
    if !(inner.is_empty() && outer.is_empty()) {
        return None;
    }
    let mut raw = Vec::new();
    for number in numbers {
        raw.resize(raw.len() + curve.field_length().checked_sub(number.len())?, 0);
        raw.extend_from_slice(&number);
    }
    Some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        // Leading zeros go, and a first bit of 1 gets a zero before it.
        let raw = [&[0; 31][..], &[7], &[0x80; 32]].concat();
        let der = to_der(&raw);
        assert_eq!(der[..5], [0x30, 38, 2, 1, 7]);
        assert_eq!(der[5..9], [2, 33, 0, 0x80]);
        assert_eq!(from_der(&der, Curve::P256), Some(raw.clone()));
        assert_eq!(from_der(&der, Curve::P224), None, "too long for it");
        for wrong in [&der[..der.len() - 1], &raw, &[], &[&der[..], &[0]].concat()] {
            assert_eq!(from_der(wrong, Curve::P256), None);
        }
    }
}
