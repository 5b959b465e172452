//! PKCS#1 v1.5 encryption padding without an oracle (RFC 8017 §7.2, implicit rejection).

use super::Secret;

/// Takes a decrypted block apart in constant time. A bad padding yields a random-looking message
/// derived from `rejection_key` and `ciphertext` instead of an error, so that neither the answer
/// nor the time tells. `rejection_key` is a secret of the key (for RSA: HMAC key from d).
pub fn unpad_implicit(block: &Secret, rejection_key: &[u8; 32], ciphertext: &[u8]) -> Secret {
    let _ = (block, rejection_key, ciphertext);
    todo!()
}
