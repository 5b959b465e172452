//! Keys put together from keys and data (PKCS#11 3.2 §6.43), where the switch `joined_keys` is on: whoever may
//! derive so can read the base key piece by piece.

use super::kdf::BASES;
use super::secret::LONGEST;
use super::{Key, Mechanism, Params, Shape, row};
use crate::config::Switch;
use crate::crypto::Secret;
use crate::error::{Error, Result};

/// The other half: data, or another key's value.
fn other(params: &Params) -> Result<&[u8]> {
    let Params::Other(input) = params else { return Err(Error::MechanismParamInvalid) };
    input.bytes()
}

/// As many leading bytes as the new key needs.
fn cut(mut whole: Secret, length: Option<usize>) -> Result<Secret> {
    let length = length.unwrap_or(whole.len());
    if length > whole.len() {
        return Err(Error::KeySizeRange);
    }
    whole.truncate(length);
    Ok(whole)
}

fn xored(key: &[u8], data: &[u8]) -> Secret {
    Secret::from(key.iter().zip(data).map(|(key, data)| key ^ data).collect::<Vec<u8>>())
}

/// Bits from a position on, the first of a byte being its highest; after the last comes the first again.
fn extracted(key: &Key, params: &Params, length: Option<usize>) -> Result<Secret> {
    let Params::BitPosition(first) = params else { return Err(Error::MechanismParamInvalid) };
    let (value, length) = (key.value(), length.ok_or(Error::TemplateIncomplete)?);
    if *first >= 8 * value.len() {
        return Err(Error::MechanismParamInvalid);
    }
    if length > value.len() {
        return Err(Error::KeySizeRange);
    }
    let (start, shift) = (first / 8, first % 8);
    let byte = |place: usize| u16::from(value[(start + place) % value.len()]);
    let shifted = |place| ((byte(place) << 8 | byte(place + 1)) << shift >> 8) as u8;
    Ok(Secret::from((0..length).map(shifted).collect::<Vec<u8>>()))
}

macro_rules! of_switch {
    ($id:ident, $shape:expr, $derive:expr) => {
        row!($id, $shape, BASES, (1, LONGEST), false, derive: $derive, needs: Switch::JoinedKeys)
    };
}

pub const ROWS: &[Mechanism] = &[
    of_switch!(CKM_CONCATENATE_BASE_AND_KEY, Shape::KeyHandle, |key, params, length| {
        cut(Secret::from([key.value(), other(&params)?].concat()), length)
    }),
    of_switch!(CKM_CONCATENATE_BASE_AND_DATA, Shape::StringData, |key, params, length| {
        cut(Secret::from([key.value(), other(&params)?].concat()), length)
    }),
    of_switch!(CKM_CONCATENATE_DATA_AND_BASE, Shape::StringData, |key, params, length| {
        cut(Secret::from([other(&params)?, key.value()].concat()), length)
    }),
    of_switch!(CKM_XOR_BASE_AND_DATA, Shape::StringData, |key, params, length| {
        cut(xored(key.value(), other(&params)?), length)
    }),
    of_switch!(CKM_EXTRACT_KEY_FROM_KEY, Shape::BitPosition, |key, params, length| {
        extracted(key, &params, length)
    }),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Object, Value};
    use cryptoki_sys::*;

    /// The example of PKCS#11 3.2 §6.43.7.
    #[test]
    fn bits_wrap_around() {
        let value = (CKA_VALUE, Value::Bytes(vec![0x32, 0x9f, 0x84, 0xa9]));
        let key = Key::new(Object::new(vec![(CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)), value]));
        let from = |first, length| extracted(&key, &Params::BitPosition(first), Some(length));
        assert_eq!(from(21, 2).unwrap()[..], [0x95, 0x26]);
        assert_eq!(from(0, 4).unwrap()[..], [0x32, 0x9f, 0x84, 0xa9]);
        assert_eq!(from(8, 4).unwrap()[..], [0x9f, 0x84, 0xa9, 0x32]);
        assert_eq!(from(32, 1), Err(Error::MechanismParamInvalid));
        assert_eq!(from(0, 5), Err(Error::KeySizeRange));
    }
}
