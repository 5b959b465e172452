//! How strong a key is, in bits of security (SP 800-57 part 1, tables 2 and 3; FIPS 203 and 204 for their
//! parameter sets).

use super::Key;
use cryptoki_sys::*;

/// The most that any key counts: what is longer than this is not stronger.
const MOST: u64 = 256;

/// The step of the table that a size reaches.
fn step(size: u64, table: &[(u64, u64)]) -> u64 {
    table.iter().rev().find(|(from, _)| size >= *from).map_or(0, |(_, bits)| *bits)
}

/// A type of key that is not here counts as the strongest: what would wrap it is then refused, not let through.
pub fn bits(key: &Key) -> u64 {
    let size = key.size();
    match key.key_type() {
        Some(CKK_RSA) => step(size, &[(1024, 80), (2048, 112), (3072, 128), (7680, 192), (15360, 256)]),
        Some(CKK_EC | CKK_EC_EDWARDS | CKK_EC_MONTGOMERY) => {
            step(size, &[(160, 80), (224, 112), (255, 128), (384, 192), (448, 224), (512, 256)])
        }
        // By the length of the public key.
        Some(CKK_ML_KEM) => step(size, &[(800, 128), (1184, 192), (1568, 256)]),
        Some(CKK_ML_DSA) => step(size, &[(1312, 128), (1952, 192), (2592, 256)]),
        Some(CKK_DES3) => 112,
        _ if key.class() == CKO_SECRET_KEY => (8 * size).min(MOST),
        _ => MOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Object, Value};

    fn secret(key_type: u64, length: usize) -> u64 {
        let class = (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY));
        let value = (CKA_VALUE, Value::Bytes(vec![1; length]));
        bits(&Key::new(Object::new(vec![class, (CKA_KEY_TYPE, Value::Ulong(key_type)), value])))
    }

    #[test]
    fn the_tables_of_sp_800_57() {
        assert_eq!([16, 24, 32].map(|length| secret(CKK_AES, length)), [128, 192, 256]);
        assert_eq!((secret(CKK_DES3, 24), secret(CKK_GENERIC_SECRET, 5)), (112, 40));
        assert_eq!(secret(CKK_GENERIC_SECRET, 1000), 256);
        let rsa = |bits| step(bits, &[(1024, 80), (2048, 112), (3072, 128), (7680, 192), (15360, 256)]);
        assert_eq!([512, 1024, 2047, 2048, 4096, 8192].map(rsa), [0, 80, 80, 112, 128, 192]);
    }
}
