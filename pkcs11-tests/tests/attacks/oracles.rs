//! Attacks that ask the token whether something decrypts: Vaudenay 2002, Bleichenbacher 1998, Manger 2001; and the
//! tokens of Bardou and others 2012, which answered through C_UnwrapKey. (`ci/timing` measures the time, Marvin.)

use crate::{At, fails_unless};
use cryptoki_sys::*;
use pkcs11_tests::keys::{Pair, bytes, number, yes};
use pkcs11_tests::params::{mechanism, with};

const SECRET: [u8; 20] = *b"\x8ea secret of twenty.";

/// Whether CBC padding is right is asked by unwrapping, byte for byte, with IVs of the attacker's choice.
#[test]
fn padding_of_cbc() {
    let pad = |iv: [u8; 16]| with(CKM_AES_CBC_PAD, iv);
    fails_unless("unauthenticated_wrap", CKR_MECHANISM_INVALID, |at| {
        let key = at.aes(32, &[yes(CKA_WRAP), yes(CKA_UNWRAP)])?;
        let generic = [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_GENERIC_SECRET)];
        let target = [&generic[..], &[bytes(CKA_VALUE, &SECRET), yes(CKA_EXTRACTABLE)]].concat();
        let wrapped = at.wrap(pad([3; 16]), key, at.module.create(at.session, &target)?)?;
        let is_right = |iv| at.unwrap(pad(iv), key, &wrapped[..16], &generic).is_ok();
        let found = (0..=255u8).find(|guess| {
            let mut iv = [3; 16];
            iv[15] = *guess;
            let first = is_right(iv);
            // A longer padding would depend on the byte before.
            iv[14] ^= 0xff;
            first && is_right(iv)
        });
        assert_eq!(found.map(|guess| guess ^ 1 ^ 3), Some(SECRET[15]), "the sixteenth byte of the secret");
        Ok(())
    });
}

/// A pair, and what the attacker sends it: blocks of his choice under the public half.
struct Rsa<'a> {
    at: &'a At,
    pair: Pair,
}

impl Rsa<'_> {
    fn new<'a>(at: &'a At, private: &[CK_ATTRIBUTE_TYPE]) -> Rsa<'a> {
        let private: Vec<_> = private.iter().copied().map(yes).collect();
        Rsa { at, pair: at.rsa(2048, &[], &private).expect("a pair") }
    }

    fn sent(&self, block: &[u8]) -> Vec<u8> {
        self.at.encrypt(mechanism(CKM_RSA_X_509), self.pair.public, block).expect("raw encryption")
    }

    fn decrypt(&self, kind: CK_MECHANISM_TYPE, block: &[u8]) -> Result<Vec<u8>, CK_RV> {
        self.at.decrypt(mechanism(kind), self.pair.private, &self.sent(block))
    }
}

/// 00 02, padding, 00, data; and each way to do it wrong.
fn blocks(data: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let good = [&[0, 2][..], &vec![0xaa; 253 - data.len()], &[0], data].concat();
    let changed = |place: usize, byte: u8| {
        let mut block = good.clone();
        block[place] = byte;
        block
    };
    let no_end: Vec<u8> = good.iter().enumerate().map(|(n, b)| if n > 1 { b | 1 } else { *b }).collect();
    (good.clone(), vec![changed(0, 1), changed(1, 1), changed(5, 0), changed(9, 0), no_end, vec![0x55; 256]])
}

/// A wrong padding is not told: it decrypts, and unwraps, to something that stays the same.
#[test]
fn padding_of_pkcs1() {
    let at = At::strict();
    let rsa = Rsa::new(&at, &[CKA_DECRYPT]);
    let (good, bad) = blocks(&[7; 16]);
    assert_eq!(rsa.decrypt(CKM_RSA_PKCS, &good), Ok(vec![7; 16]));
    for block in &bad {
        let opened = rsa.decrypt(CKM_RSA_PKCS, block).expect("no error tells");
        assert_eq!(rsa.decrypt(CKM_RSA_PKCS, block), Ok(opened.clone()));
        assert_ne!(opened, [7; 16]);
    }
    let rsa = Rsa::new(&at, &[CKA_UNWRAP]);
    let unwrap = |at: &At, rsa: &Rsa<'_>, block: &[u8]| {
        let key = at.unwrap_aes(mechanism(CKM_RSA_PKCS), rsa.pair.private, &rsa.sent(block), &[])?;
        Ok((at.attribute(key, CKA_VALUE_LEN)?, at.attribute(key, CKA_CHECK_VALUE)?))
    };
    assert_eq!(unwrap(&at, &rsa, &good), Err(CKR_MECHANISM_INVALID));
    // Where the switch lets it unwrap, there is no oracle either: neither padding nor length makes an error.
    let at = At::with("unauthenticated_wrap");
    let rsa = Rsa::new(&at, &[CKA_UNWRAP]);
    let sixteen = 16 as CK_ULONG;
    let taken = unwrap(&at, &rsa, &good).expect("a right one");
    assert_eq!(taken.0, sixteen.to_ne_bytes());
    let wrong_length = blocks(&[7; 17]).0;
    for block in bad.iter().chain([&wrong_length]) {
        let opened = unwrap(&at, &rsa, block).expect("no error tells");
        assert_eq!(unwrap(&at, &rsa, block), Ok(opened.clone()));
        assert_ne!(opened, taken);
    }
}

/// OAEP: one code, whether the first byte is wrong (Manger), the label's hash, or the end; the same where RSA only
/// carries the key between.
#[test]
fn padding_of_oaep() {
    let at = At::strict();
    let rsa = Rsa::new(&at, &[CKA_DECRYPT]);
    let mut blocks: Vec<Vec<u8>> = (0..8).map(|n| vec![n; 256]).collect();
    blocks.push([&[0][..], &[0xff; 255]].concat());
    for block in &blocks {
        let refused = rsa.decrypt(CKM_RSA_PKCS_OAEP, block);
        assert_eq!(refused, Err(CKR_ENCRYPTED_DATA_INVALID), "{:#x}", block[0]);
    }
    let rsa = Rsa::new(&at, &[CKA_UNWRAP]);
    for block in &blocks {
        let sent = rsa.sent(block);
        let whole = [&sent[..], &[1; 40]].concat();
        for (kind, wrapped) in [(CKM_RSA_PKCS_OAEP, &sent), (CKM_RSA_AES_KEY_WRAP, &whole)] {
            let refused = at.unwrap_aes(mechanism(kind), rsa.pair.private, wrapped, &[]);
            assert_eq!(refused, Err(CKR_WRAPPED_KEY_INVALID), "{kind:#x} {:#x}", block[0]);
        }
    }
}
