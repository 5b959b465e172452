//! Attacks that get a key out by wrapping it.

use crate::{At, fails_unless};
use cryptoki_sys::*;
use pkcs11_tests::Result;
use pkcs11_tests::keys::{bytes, no, number, yes};
use pkcs11_tests::params::mechanism;

fn kwp() -> CK_MECHANISM {
    mechanism(CKM_AES_KEY_WRAP_KWP)
}

/// Clulow 2003: what a key wraps, it decrypts.
#[test]
fn wrap_and_decrypt() {
    fails_unless("wrap_and_decrypt", CKR_TEMPLATE_INCONSISTENT, |at| {
        let key = at.aes(32, &[yes(CKA_WRAP), yes(CKA_DECRYPT)])?;
        let target = at.target(32);
        let wrapped = at.wrap(kwp(), key, target)?;
        at.won(target, &at.decrypt(kwp(), key, &wrapped)?);
        Ok(())
    });
}

/// Bortolozzo, Centenaro, Focardi, Steel 2010: the uses come one after the other.
#[test]
fn first_wrap_then_decrypt() {
    fails_unless("wrap_and_decrypt", CKR_ATTRIBUTE_READ_ONLY, |at| {
        let (key, target) = (at.aes(32, &[yes(CKA_WRAP)])?, at.target(32));
        let wrapped = at.wrap(kwp(), key, target)?;
        at.set(key, CKA_WRAP, false)?;
        at.set(key, CKA_DECRYPT, true)?;
        at.won(target, &at.decrypt(kwp(), key, &wrapped)?);
        Ok(())
    });
    fails_unless("wrap_and_decrypt", CKR_ATTRIBUTE_READ_ONLY, |at| {
        let (key, target) = (at.aes(32, &[yes(CKA_WRAP)])?, at.target(32));
        let wrapped = at.wrap(kwp(), key, target)?;
        let copy = at.copy(key, &[no(CKA_WRAP), yes(CKA_DECRYPT)])?;
        at.won(target, &at.decrypt(kwp(), copy, &wrapped)?);
        Ok(())
    });
}

/// A key whose uses nobody named does not get both by default.
#[test]
fn defaults_do_not_mix_uses() {
    let at = At::strict();
    let flag = |key, kind| at.attribute(key, kind).expect("flag") == [CK_TRUE];
    for usage in [CKA_WRAP, CKA_UNWRAP] {
        let key = at.aes(32, &[yes(usage)]).expect("a key");
        assert!(!flag(key, CKA_ENCRYPT) && !flag(key, CKA_DECRYPT), "{usage:#x}");
    }
    let key = at.aes(32, &[]).expect("a key");
    assert!(flag(key, CKA_ENCRYPT) && flag(key, CKA_DECRYPT) && !flag(key, CKA_WRAP));
}

/// A chosen value, encrypted, is unwrapped as a key.
#[test]
fn encrypt_and_unwrap() {
    fails_unless("wrap_and_decrypt", CKR_TEMPLATE_INCONSISTENT, |at| {
        let key = at.aes(32, &[yes(CKA_ENCRYPT), yes(CKA_UNWRAP)])?;
        let chosen = at.encrypt(kwp(), key, &[7; 32])?;
        let known = at.unwrap_aes(kwp(), key, &chosen, &[yes(CKA_ENCRYPT)])?;
        at.won(known, &[7; 32]);
        Ok(())
    });
}

/// The same with the halves of a pair, made together or brought together.
#[test]
fn a_pair_that_wraps_and_decrypts() {
    let oaep = || mechanism(CKM_RSA_PKCS_OAEP);
    fails_unless("foreign_wrapping_keys", CKR_KEY_NOT_WRAPPABLE, |at| {
        let pair = at.rsa(3072, &[yes(CKA_WRAP)], &[yes(CKA_DECRYPT)])?;
        let target = at.target(16);
        let wrapped = at.wrap(oaep(), pair.public, target)?;
        at.won(target, &at.decrypt(oaep(), pair.private, &wrapped)?);
        Ok(())
    });
    fails_unless("foreign_wrapping_keys", CKR_KEY_NOT_WRAPPABLE, |at| {
        let pair = at.rsa(3072, &[], &[yes(CKA_DECRYPT)])?;
        let number_of = |kind| bytes(kind, &at.attribute(pair.public, kind).expect("a number"));
        let public = [number(CKA_CLASS, CKO_PUBLIC_KEY), number(CKA_KEY_TYPE, CKK_RSA), yes(CKA_WRAP)];
        let numbers = [number_of(CKA_MODULUS), number_of(CKA_PUBLIC_EXPONENT)];
        let public = at.module.create(at.session, &[&public[..], &numbers].concat())?;
        let target = at.target(16);
        let wrapped = at.wrap(oaep(), public, target)?;
        at.won(target, &at.decrypt(oaep(), pair.private, &wrapped)?);
        Ok(())
    });
}

/// Clulow 2003: a wrapping key that the attacker brought. CKA_WRAP_WITH_TRUSTED holds even with the switch.
#[test]
fn a_wrapping_key_of_the_attackers_own() {
    fails_unless("foreign_wrapping_keys", CKR_KEY_NOT_WRAPPABLE, |at| {
        let (own, target) = (at.known(&[9; 32], &[yes(CKA_WRAP)])?, at.target(32));
        let wrapped = at.wrap(kwp(), own, target)?;
        let opener = at.known(&[9; 32], &[yes(CKA_DECRYPT)])?;
        at.won(target, &at.decrypt(kwp(), opener, &wrapped)?);
        let kept = [yes(CKA_ENCRYPT), yes(CKA_EXTRACTABLE), yes(CKA_WRAP_WITH_TRUSTED)];
        assert_eq!(at.wrap(kwp(), own, at.aes(32, &kept)?), Err(CKR_KEY_NOT_WRAPPABLE));
        Ok(())
    });
    // A wrapping key that could be read once is one that somebody knows.
    fails_unless("foreign_wrapping_keys", CKR_KEY_NOT_WRAPPABLE, |at| {
        let own = at.aes(32, &[yes(CKA_WRAP), no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE)])?;
        let (value, target) = (at.attribute(own, CKA_VALUE)?, at.target(32));
        at.set(own, CKA_SENSITIVE, true)?;
        let wrapped = at.wrap(kwp(), own, target)?;
        let opener = at.known(&value, &[yes(CKA_DECRYPT)])?;
        at.won(target, &at.decrypt(kwp(), opener, &wrapped)?);
        Ok(())
    });
}

/// Delaune, Kremer, Steel 2008: a wrapping key goes out under another, and comes back as one that decrypts.
#[test]
fn a_wrapping_key_that_comes_back_with_another_use() {
    fails_unless("wrap_wrapping_keys", CKR_KEY_NOT_WRAPPABLE, |at| {
        let target = at.target(32);
        let inner = at.aes(32, &[yes(CKA_WRAP), yes(CKA_EXTRACTABLE)])?;
        let outer = at.aes(32, &[yes(CKA_WRAP), yes(CKA_UNWRAP)])?;
        let (of_target, of_inner) = (at.wrap(kwp(), inner, target)?, at.wrap(kwp(), outer, inner)?);
        let again = at.unwrap_aes(kwp(), outer, &of_inner, &[yes(CKA_DECRYPT)])?;
        at.won(target, &at.decrypt(kwp(), again, &of_target)?);
        Ok(())
    });
    // The other way round: a key that decrypts comes back as one that wraps.
    fails_unless("foreign_wrapping_keys", CKR_KEY_NOT_WRAPPABLE, |at| {
        let target = at.target(32);
        let inner = at.aes(32, &[yes(CKA_DECRYPT), yes(CKA_EXTRACTABLE)])?;
        let outer = at.aes(32, &[yes(CKA_WRAP), yes(CKA_UNWRAP)])?;
        let again = at.unwrap_aes(kwp(), outer, &at.wrap(kwp(), outer, inner)?, &[yes(CKA_WRAP)])?;
        at.won(target, &at.decrypt(kwp(), inner, &at.wrap(kwp(), again, target)?)?);
        Ok(())
    });
}

/// Clulow 2003, reduced length: a strong key under a weak one.
#[test]
fn a_stronger_key_under_a_weaker_one() {
    fails_unless("wrap_stronger", CKR_WRAPPING_KEY_SIZE_RANGE, |at| {
        let weak = at.aes(16, &[yes(CKA_WRAP)])?;
        at.wrap(kwp(), weak, at.target(32)).map(drop)
    });
    let under_rsa = |at: &At| {
        let pair = at.rsa(2048, &[yes(CKA_WRAP)], &[]).expect("a pair");
        at.wrap(mechanism(CKM_RSA_PKCS_OAEP), pair.public, at.target(16))
    };
    assert_eq!(under_rsa(&At::strict()), Err(CKR_WRAPPING_KEY_SIZE_RANGE));
    assert_eq!(under_rsa(&At::with("wrap_stronger")), Err(CKR_KEY_NOT_WRAPPABLE), "the next rule");
    let at = At::strict();
    let equal = at.aes(32, &[yes(CKA_WRAP)]).expect("a key");
    at.wrap(kwp(), equal, at.target(32)).expect("one of the same strength wraps");
}

/// Two keys under one key and nonce: their XOR is that of the ciphertexts.
#[test]
fn a_nonce_that_comes_twice() {
    for kind in [CKM_AES_GCM, CKM_AES_CCM] {
        fails_unless("caller_nonce_wrap", CKR_MECHANISM_INVALID, |at| {
            let (key, target) = (at.aes(32, &[yes(CKA_WRAP)])?, at.target(32));
            let known = at.known(&[5; 32], &[yes(CKA_EXTRACTABLE)])?;
            let (one, two) = (at.wrap(mechanism(kind), key, target)?, at.wrap(mechanism(kind), key, known)?);
            let value: Vec<u8> = one.iter().zip(&two).take(32).map(|(one, two)| one ^ two ^ 5).collect();
            at.won(target, &value);
            Ok(())
        });
    }
}

/// Clulow 2003, key conjuring: any bytes are a key, and a piece of a wrapped key is one. What is authenticated
/// takes neither.
#[test]
fn keys_out_of_nothing_and_out_of_pieces() {
    let cbc = || mechanism(CKM_AES_CBC);
    fails_unless("unauthenticated_wrap", CKR_MECHANISM_INVALID, |at| {
        let key = at.aes(32, &[yes(CKA_UNWRAP)])?;
        for chance in 0..16 {
            at.unwrap_aes(cbc(), key, &[chance; 16], &[yes(CKA_ENCRYPT)])?;
        }
        Ok(())
    });
    fails_unless("unauthenticated_wrap", CKR_MECHANISM_INVALID, |at| {
        let key = at.aes(32, &[yes(CKA_WRAP), yes(CKA_UNWRAP)])?;
        let wrapped = at.wrap(cbc(), key, at.target(32))?;
        at.unwrap_aes(cbc(), key, &wrapped[..16], &[yes(CKA_ENCRYPT)]).map(drop)
    });
    let at = At::strict();
    let key = at.aes(32, &[yes(CKA_WRAP), yes(CKA_UNWRAP)]).expect("a key");
    let wrapped = at.wrap(mechanism(CKM_AES_KEY_WRAP), key, at.target(32)).expect("wrapped");
    for piece in [&wrapped[..24], &wrapped[16..], &[3; 24]] {
        let taken = at.unwrap_aes(mechanism(CKM_AES_KEY_WRAP), key, piece, &[]);
        assert_eq!(taken, Err(CKR_WRAPPED_KEY_INVALID));
    }
}

/// The officer's trust: nobody else gives it, what needs it leaves under it only, and comes back needing it.
#[test]
fn trust_is_the_officers() {
    let at = At::slot(crate::OFFICERS);
    let own = [yes(CKA_WRAP), yes(CKA_UNWRAP), yes(CKA_TOKEN), no(CKA_PRIVATE)];
    let trusted = at.aes(32, &own).expect("a key");
    assert_eq!(at.set(trusted, CKA_TRUSTED, true), Err(CKR_ATTRIBUTE_READ_ONLY));
    assert_eq!(at.aes(32, &[yes(CKA_WRAP), yes(CKA_TRUSTED)]), Err(CKR_ATTRIBUTE_READ_ONLY));
    let kept = [yes(CKA_ENCRYPT), yes(CKA_EXTRACTABLE), yes(CKA_WRAP_WITH_TRUSTED), yes(CKA_TOKEN)];
    let (target, other) =
        (at.aes(32, &kept).expect("a target"), at.aes(32, &[yes(CKA_WRAP)]).expect("a key"));
    assert_eq!(at.set(target, CKA_WRAP_WITH_TRUSTED, false), Err(CKR_ATTRIBUTE_READ_ONLY), "one way");
    assert_eq!(at.copy(target, &[no(CKA_WRAP_WITH_TRUSTED)]), Err(CKR_ATTRIBUTE_READ_ONLY), "one way");
    for wrapping in [trusted, other] {
        assert_eq!(at.wrap(kwp(), wrapping, target), Err(CKR_KEY_NOT_WRAPPABLE));
    }
    let log_in = |user, pin: &[u8]| {
        assert_eq!(pkcs11_tests::call!(at.module, C_Logout, at.session), CKR_OK);
        at.module.login(at.session, user, pin).expect("login");
    };
    log_in(CKU_SO, pkcs11_tests::SO_PIN);
    at.set(trusted, CKA_TRUSTED, true).expect("the officer trusts it");
    log_in(CKU_USER, pkcs11_tests::PIN);
    let wrapped = at.wrap(kwp(), trusted, target).expect("under a trusted key");
    let back = |more: &[_]| -> Result<_> { at.unwrap_aes(kwp(), trusted, &wrapped, more) };
    assert_eq!(back(&[no(CKA_WRAP_WITH_TRUSTED)]), Err(CKR_TEMPLATE_INCONSISTENT));
    let again = back(&[yes(CKA_EXTRACTABLE)]).expect("unwrapped");
    assert_eq!(at.attribute(again, CKA_WRAP_WITH_TRUSTED), Ok(vec![CK_TRUE]));
    let other = at.aes(32, &[yes(CKA_WRAP)]).expect("a key");
    assert_eq!(at.wrap(kwp(), other, again), Err(CKR_KEY_NOT_WRAPPABLE));
    // What leaves under any key comes in without that bond.
    let free = at.aes(32, &[yes(CKA_ENCRYPT), yes(CKA_EXTRACTABLE)]).expect("a key");
    at.wrap(kwp(), other, free).expect("it never was kept");
    // A wrapping key leaves under a trusted one.
    let inner = at.aes(32, &[yes(CKA_WRAP), yes(CKA_EXTRACTABLE)]).expect("a key");
    assert_eq!(at.wrap(kwp(), other, inner), Err(CKR_KEY_NOT_WRAPPABLE));
    at.wrap(kwp(), trusted, inner).expect("under a trusted key");
}
