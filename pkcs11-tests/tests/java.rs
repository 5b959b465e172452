//! What SunPKCS11 does that no other client does.

use cryptoki_sys::*;
use pkcs11_tests::keys::{P256, Pair};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Fixture, Result, call, check, fixture};

const P521: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x23";

/// A pair, and a signature over a digest.
struct Signed {
    at: &'static Fixture,
    session: CK_SESSION_HANDLE,
    pair: Pair,
    digest: [u8; 32],
    signature: Vec<u8>,
}

impl Signed {
    /// A signature that `fits`; of many digests, because one of a digest is always the same in a
    /// build that signs deterministically.
    fn new(params: &[u8], fits: fn(&[u8]) -> bool) -> Signed {
        let at = fixture();
        let session = at.open();
        let pair = at.module.ec(session, params);
        for number in 0..1000u16 {
            let mut digest = [0x17; 32];
            digest[..2].copy_from_slice(&number.to_be_bytes());
            let (mut ecdsa, mut signature, mut length) = (mechanism(CKM_ECDSA), vec![0; 200], 200);
            check(call!(at.module, C_SignInit, session, &mut ecdsa, pair.private)).expect("C_SignInit");
            check(call!(
                at.module,
                C_Sign,
                session,
                digest.as_mut_ptr(),
                32,
                signature.as_mut_ptr(),
                &mut length
            ))
            .expect("C_Sign");
            signature.truncate(length as usize);
            if fits(&signature) {
                return Signed { at, session, pair, digest, signature };
            }
        }
        panic!("none of 1,000 signatures fits");
    }

    fn verify(&self, signature: &[u8]) -> Result<()> {
        let (module, session, mut ecdsa) = (&self.at.module, self.session, mechanism(CKM_ECDSA));
        check(call!(module, C_VerifyInit, session, &mut ecdsa, self.pair.public)).expect("C_VerifyInit");
        let (pointer, length) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
        check(call!(module, C_Verify, session, self.digest.as_ptr().cast_mut(), 32, pointer, length))
    }

    /// r and s, each without its first `cut` bytes.
    fn shorter(&self, cut: usize) -> Vec<u8> {
        let (r, s) = self.signature.split_at(self.signature.len() / 2);
        [&r[cut..], &s[cut..]].concat()
    }
}

/// Java drops the leading zeros that r and s have in common; PKCS#11 3.2 §6.3.1 lets it.
#[test]
fn jdk_short_ecdsa_signatures() {
    // One in four of P-521 can be shortened.
    let signed = Signed::new(P521, |s| s[0] == 0 && s[66] == 0 && s[1] != 0);
    assert_eq!(signed.verify(&signed.signature), Ok(()));
    assert_eq!(signed.verify(&signed.shorter(1)), Ok(()));
    let mut changed = signed.shorter(1);
    changed[70] ^= 1;
    assert_eq!(signed.verify(&changed), Err(CKR_SIGNATURE_INVALID));
    // Bytes that are missed are no zeros.
    assert_eq!(signed.verify(&signed.shorter(2)), Err(CKR_SIGNATURE_INVALID));
    let signed = Signed::new(P256, |s| s[0] != 0 && s[32] != 0);
    assert_eq!(signed.verify(&signed.shorter(1)), Err(CKR_SIGNATURE_INVALID));
    let whole = &signed.signature;
    for wrong in [&whole[..63], &whole[1..], &[&whole[..], &[0, 0]].concat(), &[]] {
        assert_eq!(signed.verify(wrong), Err(CKR_SIGNATURE_LEN_RANGE), "{}", wrong.len());
    }
}

/// A padded decryption in parts, as Cipher.doFinal does it: all the room is `room`.
fn decrypt(
    at: &Fixture,
    session: CK_SESSION_HANDLE,
    key: CK_OBJECT_HANDLE,
    sealed: &[u8],
    room: usize,
) -> Result<Vec<u8>> {
    let (mut cbc, mut out) = (mechanism(CKM_AES_CBC_PAD), vec![0; room + 1]);
    check(call!(at.module, C_DecryptInit, session, &mut cbc, key)).expect("C_DecryptInit");
    let (data, size) = (sealed.as_ptr().cast_mut(), sealed.len() as CK_ULONG);
    let mut first = room as CK_ULONG;
    check(call!(at.module, C_DecryptUpdate, session, data, size, out.as_mut_ptr(), &mut first))?;
    let mut last = room as CK_ULONG - first;
    let end = out.as_mut_ptr().wrapping_add(first as usize);
    let answer = call!(at.module, C_DecryptFinal, session, end, &mut last);
    if answer == CKR_BUFFER_TOO_SMALL {
        // It goes on, and what it asked for is enough.
        let mut more = vec![0; last as usize];
        check(call!(at.module, C_DecryptFinal, session, more.as_mut_ptr(), &mut last)).expect("again");
        return Err(answer);
    }
    check(answer)?;
    out.truncate((first + last) as usize);
    Ok(out)
}

/// Cipher.doFinal into an array that is as long as the plaintext; and of half a block Java wants to
/// hear that it is half a block, however little room there is.
#[test]
fn jdk_padded_decryption_into_exact_room() {
    let at = fixture();
    let session = at.open();
    let key = at.module.aes(session);
    let data: Vec<u8> = (0..100).collect();
    for length in [0, 1, 15, 16, 17, 31, 32, 100] {
        let (mut cbc, mut sealed, mut size) = (mechanism(CKM_AES_CBC_PAD), vec![0; 128], 128);
        check(call!(at.module, C_EncryptInit, session, &mut cbc, key)).expect("C_EncryptInit");
        let (plain, count) = (data.as_ptr().cast_mut(), length as CK_ULONG);
        check(call!(at.module, C_Encrypt, session, plain, count, sealed.as_mut_ptr(), &mut size))
            .expect("C_Encrypt");
        sealed.truncate(size as usize);
        assert_eq!(decrypt(at, session, key, &sealed, length).as_deref(), Ok(&data[..length]), "{length}");
        if length % 16 > 0 {
            assert_eq!(decrypt(at, session, key, &sealed, length - 1), Err(CKR_BUFFER_TOO_SMALL), "{length}");
        }
        let half = &sealed[..sealed.len() - 3];
        let through = half.len() / 16 * 16;
        assert_eq!(decrypt(at, session, key, half, through), Err(CKR_ENCRYPTED_DATA_LEN_RANGE), "{length}");
        let last = sealed.len() - 1;
        let mut bad = sealed.clone();
        bad[last.saturating_sub(16)] ^= 0x80;
        if length >= 16 {
            assert_eq!(
                decrypt(at, session, key, &bad, last - 15),
                Err(CKR_ENCRYPTED_DATA_INVALID),
                "{length}"
            );
        }
    }
}
