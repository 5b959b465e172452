//! Attacks that make a second key of the first, with less protection, or piece by piece.

use crate::{At, fails_unless};
use cryptoki_sys::*;
use pkcs11_tests::derivation::{joined, kdf};
use pkcs11_tests::keys::{Attribute, bytes, no, number, yes};
use pkcs11_tests::params::{mechanism, with};
use pkcs11_tests::{Result, call};

fn base(at: &At, length: CK_ULONG, more: &[Attribute]) -> CK_OBJECT_HANDLE {
    let attributes = [&[number(CKA_VALUE_LEN, length), yes(CKA_DERIVE)], more].concat();
    at.module.generate(at.session, CKM_GENERIC_SECRET_KEY_GEN, &attributes).expect("a base key")
}

/// Bortolozzo and others 2010: a sensitive key comes back as one that is not.
#[test]
fn unwrapped_as_one_that_can_be_read() {
    fails_unless("loosening", CKR_TEMPLATE_INCONSISTENT, |at| {
        let (key, target) = (at.aes(32, &[yes(CKA_WRAP), yes(CKA_UNWRAP)])?, at.target(32));
        let kwp = || mechanism(CKM_AES_KEY_WRAP_KWP);
        let wrapped = at.wrap(kwp(), key, target)?;
        let open = at.unwrap_aes(kwp(), key, &wrapped, &[no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE)])?;
        at.won(target, &at.attribute(open, CKA_VALUE)?);
        Ok(())
    });
}

/// One-way attributes go one way, for every user and with every switch, by change and by copy.
#[test]
fn no_change_and_no_copy_is_less_protected() {
    let kept = [yes(CKA_SENSITIVE), no(CKA_EXTRACTABLE), yes(CKA_WRAP_WITH_TRUSTED)];
    for at in [At::strict(), At::with("loosening")] {
        let key = at.aes(32, &kept).expect("a key");
        for (kind, value) in [(CKA_SENSITIVE, false), (CKA_EXTRACTABLE, true), (CKA_WRAP_WITH_TRUSTED, false)]
        {
            assert_eq!(at.set(key, kind, value), Err(CKR_ATTRIBUTE_READ_ONLY), "{kind:#x}");
            let changed = if value { yes(kind) } else { no(kind) };
            assert_eq!(at.copy(key, &[changed]), Err(CKR_ATTRIBUTE_READ_ONLY), "{kind:#x}");
        }
        for computed in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
            assert_eq!(at.set(key, computed, false), Err(CKR_ATTRIBUTE_READ_ONLY), "{computed:#x}");
        }
    }
}

/// What somebody had outside is never called what it is not.
#[test]
fn nothing_from_outside_was_always_sensitive() {
    let at = At::strict();
    let kept = [yes(CKA_SENSITIVE), no(CKA_EXTRACTABLE)];
    let imported = at.known(&[7; 32], &kept).expect("imported");
    let key = at.aes(32, &[yes(CKA_WRAP), yes(CKA_UNWRAP)]).expect("a key");
    let kwp = || mechanism(CKM_AES_KEY_WRAP_KWP);
    let wrapped = at.wrap(kwp(), key, at.target(32)).expect("wrapped");
    let unwrapped = at.unwrap_aes(kwp(), key, &wrapped, &kept).expect("unwrapped");
    let with = kdf(CKM_HKDF_DERIVE, b"text");
    let secret = [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_GENERIC_SECRET)];
    let brought = [&secret[..], &[bytes(CKA_VALUE, &[7; 32]), yes(CKA_DERIVE)], &kept].concat();
    let brought = at.module.create(at.session, &brought).expect("a base key");
    let derive = |from| {
        at.module
            .derive(at.session, with, from, &[&[number(CKA_VALUE_LEN, 32)], &kept[..]].concat())
            .expect("key")
    };
    for kind in [CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_LOCAL] {
        for key in [imported, unwrapped, derive(brought)] {
            assert_eq!(at.attribute(key, kind), Ok(vec![CK_FALSE]), "{kind:#x}");
        }
        let again = at.known(&[7; 32], &[yes(kind)]);
        assert_eq!(again, Err(CKR_ATTRIBUTE_READ_ONLY), "{kind:#x}");
    }
    let own = derive(base(&at, 32, &[]));
    assert_eq!(at.attribute(own, CKA_ALWAYS_SENSITIVE), Ok(vec![CK_TRUE]));
}

/// The value of a derived key, read from its twin; byte by byte, from short ones and their check values; and from
/// data that is no secret.
#[test]
fn derived_as_one_that_can_be_read() {
    let derive = || kdf(CKM_HKDF_DERIVE, b"text");
    fails_unless("loosening", CKR_TEMPLATE_INCONSISTENT, |at| {
        let base = base(at, 32, &[]);
        let aes = [number(CKA_KEY_TYPE, CKK_AES), number(CKA_VALUE_LEN, 32), yes(CKA_ENCRYPT)];
        let target = at.module.derive(at.session, derive(), base, &aes)?;
        at.won(target, &at.module.derived_value(at.session, derive(), base, 32)?);
        Ok(())
    });
    fails_unless("loosening", CKR_KEY_SIZE_RANGE, |at| {
        let base = base(at, 32, &[]);
        let short = at.module.derive(at.session, derive(), base, &[number(CKA_VALUE_LEN, 1)])?;
        let check_value = at.attribute(short, CKA_CHECK_VALUE)?;
        let first = (0..=255u8).find(|byte| sha1(at, &[*byte])[..3] == check_value);
        assert!(first.is_some(), "the first byte of every key that is derived so");
        Ok(())
    });
    fails_unless("loosening", CKR_KEY_FUNCTION_NOT_PERMITTED, |at| {
        let base = base(at, 32, &[]);
        let aes = [number(CKA_KEY_TYPE, CKK_AES), number(CKA_VALUE_LEN, 32), yes(CKA_ENCRYPT)];
        let target = at.module.derive(at.session, derive(), base, &aes)?;
        let data = kdf(CKM_HKDF_DATA, b"text");
        let data = at.module.derive(at.session, data, base, &[number(CKA_VALUE_LEN, 32)])?;
        at.won(target, &at.attribute(data, CKA_VALUE)?);
        Ok(())
    });
    // What may leave although its base never does, leaves under a trusted key only.
    let at = At::strict();
    let leaves = [number(CKA_VALUE_LEN, 32), yes(CKA_EXTRACTABLE)];
    let made = at.module.derive(at.session, derive(), base(&at, 32, &[]), &leaves).expect("a key");
    assert_eq!(at.attribute(made, CKA_WRAP_WITH_TRUSTED), Ok(vec![CK_TRUE]));
    let free = base(&at, 32, &[yes(CKA_EXTRACTABLE)]);
    let made = at.module.derive(at.session, derive(), free, &leaves).expect("a key");
    assert_eq!(at.attribute(made, CKA_WRAP_WITH_TRUSTED), Ok(vec![CK_FALSE]));
}

fn sha1(at: &At, data: &[u8]) -> Vec<u8> {
    let (module, session, mut out, mut length) = (at.module, at.session, vec![0; 20], 20);
    assert_eq!(call!(module, C_DigestInit, session, &mut mechanism(CKM_SHA_1)), CKR_OK);
    let (data, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
    assert_eq!(call!(module, C_Digest, session, data, size, out.as_mut_ptr(), &mut length), CKR_OK);
    out
}

/// Clulow 2003: a key is read in pieces so short that the check value tells each.
#[test]
fn a_key_read_piece_by_piece() {
    fails_unless("joined_keys", CKR_MECHANISM_INVALID, |at| {
        let target = base(at, 16, &[]);
        let table: Vec<Vec<u8>> = (0..=255u8).map(|byte| sha1(at, &[byte])[..3].to_vec()).collect();
        let byte = |place: usize| -> Result<u8> {
            let from = with(CKM_EXTRACT_KEY_FROM_KEY, 8 * place as CK_ULONG);
            let piece = at.module.derive(at.session, from, target, &[number(CKA_VALUE_LEN, 1)])?;
            let check_value = at.attribute(piece, CKA_CHECK_VALUE)?;
            Ok(table.iter().position(|one| *one == check_value).expect("one of 256") as u8)
        };
        let value = (0..16).map(byte).collect::<Result<Vec<_>>>()?;
        assert_eq!(sha1(at, &value)[..3], at.attribute(target, CKA_CHECK_VALUE)?[..]);
        Ok(())
    });
}

/// Related keys (Clulow 2003; Biham 1994): of one key come many whose differences are known; and one joined to
/// known bytes is short where it is unknown.
#[test]
fn keys_that_differ_as_the_attacker_likes() {
    fails_unless("joined_keys", CKR_MECHANISM_INVALID, |at| {
        let target = base(at, 32, &[]);
        let xor = |from, data: &[u8]| {
            let aes = [number(CKA_KEY_TYPE, CKK_GENERIC_SECRET), yes(CKA_DERIVE)];
            at.module.derive(at.session, joined(CKM_XOR_BASE_AND_DATA, data), from, &aes)
        };
        let related = xor(target, &[1; 32])?;
        let check_value = |key| at.attribute(key, CKA_CHECK_VALUE);
        assert_ne!(check_value(related)?, check_value(target)?);
        assert_eq!(check_value(xor(related, &[1; 32])?)?, check_value(target)?, "and back");
        Ok(())
    });
    for kind in [CKM_CONCATENATE_BASE_AND_DATA, CKM_CONCATENATE_DATA_AND_BASE] {
        fails_unless("joined_keys", CKR_MECHANISM_INVALID, |at| {
            let target = base(at, 32, &[]);
            at.module.derive(at.session, joined(kind, &[0; 32]), target, &[]).map(drop)
        });
    }
    fails_unless("joined_keys", CKR_MECHANISM_INVALID, |at| {
        let (target, other) = (base(at, 32, &[]), base(at, 32, &[]));
        at.module.derive(at.session, with(CKM_CONCATENATE_BASE_AND_KEY, other), target, &[]).map(drop)
    });
}

/// Blocks of 64 bits (Sweet32, Bhargavan and Leurent 2016).
#[test]
fn triple_des() {
    fails_unless("triple_des", CKR_MECHANISM_INVALID, |at| {
        let key = at.module.generate(at.session, CKM_DES3_KEY_GEN, &[])?;
        let sealed = at.encrypt(mechanism(CKM_DES3_CBC_PAD), key, b"text")?;
        assert_eq!(at.decrypt(mechanism(CKM_DES3_CBC_PAD), key, &sealed)?, b"text");
        Ok(())
    });
    fails_unless("triple_des", CKR_ATTRIBUTE_VALUE_INVALID, |at| {
        let value: Vec<u8> = (1..=24).collect();
        let key =
            [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_DES3), bytes(CKA_VALUE, &value)];
        at.module.create(at.session, &key).map(drop)
    });
    let at = At::with("triple_des");
    let single =
        [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_DES3), bytes(CKA_VALUE, &[1; 24])];
    assert_eq!(at.module.create(at.session, &single), Err(CKR_ATTRIBUTE_VALUE_INVALID), "single DES");
}
