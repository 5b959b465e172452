//! What users of other tokens suffer from, one named test each: objects, keys and parameters. Those of
//! logins, slots and initialisation are in `pains_logins.rs`; `pkcs11-tests/README.md` maps pains to tests.

use cryptoki_sys::*;
use pkcs11_tests::keys::{ED25519, P256, bytes, no, number, template, yes};
use pkcs11_tests::{Fixture, call, loosened as fixture};
use std::ptr::null_mut;

fn start() -> (&'static Fixture, CK_SESSION_HANDLE) {
    (fixture(), fixture().open())
}

fn plain(kind: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 }
}

/// AWS CloudHSM refuses the search that crypto11 makes for a key without a label.
#[test]
fn find_with_empty_label() {
    let (at, session) = start();
    let key = [number(CKA_VALUE_LEN, 16), bytes(CKA_ID, b"unlabelled")];
    let key = at.module.generate(session, CKM_AES_KEY_GEN, &key).expect("key");
    let search = [bytes(CKA_ID, b"unlabelled"), bytes(CKA_LABEL, b"")];
    assert_eq!(at.module.find(session, &search), Ok(vec![key]));
    let mut null = [CK_ATTRIBUTE { type_: CKA_LABEL, pValue: null_mut(), ulValueLen: 0 }];
    assert_eq!(call!(at.module, C_FindObjectsInit, session, null.as_mut_ptr(), 1), CKR_OK);
    assert_eq!(call!(at.module, C_FindObjectsFinal, session), CKR_OK);
}

#[test]
fn duplicate_cka_id() {
    let (at, session) = start();
    let key = [number(CKA_VALUE_LEN, 16), yes(CKA_TOKEN), bytes(CKA_ID, b"twin"), bytes(CKA_LABEL, b"twin")];
    let mut twins = [0; 2].map(|_| at.module.generate(session, CKM_AES_KEY_GEN, &key).expect("key"));
    twins.sort_unstable();
    let mut found = at.module.find(session, &[bytes(CKA_ID, b"twin")]).expect("find");
    found.sort_unstable();
    assert_eq!(found, twins);
    at.module.destroy(session, twins[0]).expect("destroy");
    assert_eq!(at.module.find(session, &[bytes(CKA_LABEL, b"twin")]), Ok(vec![twins[1]]));
    at.module.destroy(session, twins[1]).expect("destroy");
}

#[test]
fn long_ids_and_labels_are_never_cut() {
    let (at, session) = start();
    let (id, label) = ([7u8; 1000], "\u{e9}".repeat(700));
    let key =
        [number(CKA_VALUE_LEN, 16), yes(CKA_TOKEN), bytes(CKA_ID, &id), bytes(CKA_LABEL, label.as_bytes())];
    let key = at.module.generate(session, CKM_AES_KEY_GEN, &key).expect("key");
    assert_eq!(at.module.attribute(session, key, CKA_ID), Ok(id.to_vec()));
    assert_eq!(at.module.attribute(session, key, CKA_LABEL), Ok(label.clone().into_bytes()));
    assert_eq!(at.module.find(session, &[bytes(CKA_LABEL, label.as_bytes())]), Ok(vec![key]));
    assert_eq!(at.module.find(session, &[bytes(CKA_ID, &id[1..])]), Ok(vec![]));
    at.module.destroy(session, key).expect("destroy");
}

/// SunPKCS11 and NSS make EC keys without CKA_DERIVE and derive with them.
#[test]
fn ec_key_without_derive_derives() {
    let (at, session) = start();
    let pair = at.module.ec(session, P256);
    let mut point = at.module.attribute(session, pair.public, CKA_EC_POINT).expect("point");
    let mut params = CK_ECDH1_DERIVE_PARAMS {
        kdf: CKD_NULL,
        ulSharedDataLen: 0,
        pSharedData: null_mut(),
        ulPublicDataLen: point.len() as CK_ULONG,
        pPublicData: point.as_mut_ptr(),
    };
    let mut mechanism = plain(CKM_ECDH1_DERIVE);
    mechanism.pParameter = (&raw mut params).cast();
    mechanism.ulParameterLen = size_of_val(&params) as CK_ULONG;
    let wanted =
        [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_AES), number(CKA_VALUE_LEN, 32)];
    let (mut list, mut key) = (template(&wanted), 0);
    let code =
        call!(at.module, C_DeriveKey, session, &mut mechanism, pair.private, list.as_mut_ptr(), 3, &mut key);
    assert_eq!(code, CKR_OK);
}

/// pkcs11-provider passes both; libp11 and NSS one.
#[test]
fn notify_and_application_pointers_accepted() {
    unsafe extern "C" fn never(_: CK_SESSION_HANDLE, _: CK_NOTIFICATION, _: CK_VOID_PTR) -> CK_RV {
        std::process::abort()
    }
    let at = fixture();
    let (mut application, mut session) = (0u64, 0);
    let given = (&raw mut application).cast();
    let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    assert_eq!(call!(at.module, C_OpenSession, 0, flags, given, Some(never), &mut session), CKR_OK);
    at.module.ec(session, P256);
    assert_eq!((call!(at.module, C_CloseSession, session), application), (CKR_OK, 0));
}

/// smallstep, pkcs11-provider and others compute with the limits: -1 means "no answer", 0 "no limit".
#[test]
fn session_limits_say_unlimited_not_minus_one() {
    let at = fixture();
    let mut info = CK_TOKEN_INFO::default();
    assert_eq!(call!(at.module, C_GetTokenInfo, 0, &mut info), CKR_OK);
    assert_eq!(
        (info.ulMaxSessionCount, info.ulMaxRwSessionCount),
        (CK_EFFECTIVELY_INFINITE, CK_EFFECTIVELY_INFINITE)
    );
    assert_eq!(CK_EFFECTIVELY_INFINITE, 0);
    let sessions: Vec<_> = (0..2000).map(|_| at.open()).collect();
    for session in sessions {
        assert_eq!(call!(at.module, C_CloseSession, session), CKR_OK);
    }
}

/// keytool makes a key pair in the session and copies it to the token under a new CKA_ID.
#[test]
fn keytool_copies_a_session_key_to_the_token() {
    let (at, session) = start();
    let pair = at.module.ec(session, P256);
    let change = [yes(CKA_TOKEN), bytes(CKA_ID, b"keytool")];
    let (mut change, mut copy) = (template(&change), 0);
    let code = call!(at.module, C_CopyObject, session, pair.private, change.as_mut_ptr(), 2, &mut copy);
    assert_eq!(code, CKR_OK);
    assert_eq!(at.module.find(session, &[bytes(CKA_ID, b"keytool"), yes(CKA_TOKEN)]), Ok(vec![copy]));
    assert_eq!(call!(at.module, C_SignInit, session, &mut plain(CKM_ECDSA), copy), CKR_OK);
    assert_eq!(call!(at.module, C_SessionCancel, session, CKF_SIGN), CKR_OK);
    at.module.destroy(session, copy).expect("destroy");
}

/// Engines and providers need the public part; with other tokens it is lost when its object is.
#[test]
fn private_key_knows_its_public_part() {
    let (at, session) = start();
    for pair in [at.module.ec(session, P256), at.module.ed(session), at.module.rsa(session)] {
        let info = |key| at.module.attribute(session, key, CKA_PUBLIC_KEY_INFO).expect("CKA_PUBLIC_KEY_INFO");
        let public = info(pair.public);
        at.module.destroy(session, pair.public).expect("destroy");
        assert_eq!(info(pair.private), public);
        assert_eq!(public[0], 0x30, "a SubjectPublicKeyInfo");
    }
}

/// OpenSSH and older tools name the curve by a PrintableString, newer ones by its OID; the point may
/// be raw or in an OCTET STRING.
#[test]
fn ed25519_by_name_and_oid_points_raw_and_wrapped() {
    let (at, session) = start();
    let named = b"\x13\x0cedwards25519";
    for params in [ED25519, named] {
        let pair = at
            .module
            .generate_pair(session, CKM_EC_EDWARDS_KEY_PAIR_GEN, &[bytes(CKA_EC_PARAMS, params)], &[])
            .expect("pair");
        let point = at.module.attribute(session, pair.public, CKA_EC_POINT).expect("point");
        let raw = &point[point.len() - 32..];
        for point in [&point[..], raw] {
            let public = [
                number(CKA_CLASS, CKO_PUBLIC_KEY),
                number(CKA_KEY_TYPE, CKK_EC_EDWARDS),
                bytes(CKA_EC_PARAMS, params),
                bytes(CKA_EC_POINT, point),
                yes(CKA_VERIFY),
            ];
            let public = at.module.create(session, &public).expect("public key");
            let code = call!(at.module, C_VerifyInit, session, &mut plain(CKM_EDDSA), public);
            assert_eq!(code, CKR_OK);
            assert_eq!(call!(at.module, C_SessionCancel, session, CKF_VERIFY), CKR_OK);
        }
    }
}

/// OpenSSH looks for keys with CKA_SIGN first, then for any.
#[test]
fn keys_are_found_by_what_they_may_do() {
    let (at, session) = start();
    let key = |usage| {
        let attributes = [number(CKA_VALUE_LEN, 16), bytes(CKA_LABEL, b"by usage"), usage];
        at.module.generate(session, CKM_AES_KEY_GEN, &attributes).expect("key")
    };
    let (signs, does_not) = (key(yes(CKA_SIGN)), key(no(CKA_SIGN)));
    let label = bytes(CKA_LABEL, b"by usage");
    assert_eq!(at.module.find(session, &[label.clone(), yes(CKA_SIGN)]), Ok(vec![signs]));
    assert_eq!(at.module.find(session, &[label.clone(), no(CKA_SIGN)]), Ok(vec![does_not]));
    assert_eq!(at.module.find(session, &[label]).map(|found| found.len()), Ok(2));
}

/// Java ints: mechanisms beyond 32 bits are dropped; what verifies but does not sign is "legacy" and
/// switched off, with everything that needs it.
#[test]
fn mechanisms_fit_java() {
    let at = fixture();
    let mut count = 0;
    assert_eq!(call!(at.module, C_GetMechanismList, 0, null_mut(), &mut count), CKR_OK);
    let mut list = vec![0; count as usize];
    assert_eq!(call!(at.module, C_GetMechanismList, 0, list.as_mut_ptr(), &mut count), CKR_OK);
    for kind in list {
        let mut info = CK_MECHANISM_INFO::default();
        assert_eq!(call!(at.module, C_GetMechanismInfo, 0, kind, &mut info), CKR_OK);
        assert!(u32::try_from(kind).is_ok(), "{kind:#x}");
        assert!(i32::try_from(info.ulMaxKeySize).is_ok(), "{kind:#x}");
        assert!(info.flags & CKF_VERIFY == 0 || info.flags & CKF_SIGN != 0, "{kind:#x} is legacy to Java");
    }
}

/// NSS and pkcs11-tool seed what they are given; both ask for no bytes at all at times.
#[test]
fn seeds_and_empty_random_are_accepted() {
    let (at, session) = start();
    let mut seed = [1u8; 64];
    assert_eq!(call!(at.module, C_SeedRandom, session, seed.as_mut_ptr(), 64), CKR_OK);
    assert_eq!(call!(at.module, C_GenerateRandom, session, seed.as_mut_ptr(), 0), CKR_OK);
    assert_eq!(seed, [1; 64]);
    assert_eq!(call!(at.module, C_GenerateRandom, session, seed.as_mut_ptr(), 64), CKR_OK);
    assert_ne!(seed, [1; 64]);
}

/// Oracle keeps data objects beside master keys and finds both by long labels.
#[test]
fn oracle_names_of_data_objects_and_keys() {
    let (at, session) = start();
    let label = format!("ORACLE.SECURITY.KM.ENCRYPTION.{}", "3".repeat(60));
    let data = [
        number(CKA_CLASS, CKO_DATA),
        yes(CKA_TOKEN),
        yes(CKA_PRIVATE),
        bytes(CKA_LABEL, label.as_bytes()),
        bytes(CKA_APPLICATION, b"Oracle"),
        bytes(CKA_VALUE, b"ORACLE.TDE.HSM.MK.06"),
    ];
    let data = at.module.create(session, &data).expect("data object");
    let key = [
        number(CKA_VALUE_LEN, 32),
        yes(CKA_TOKEN),
        no(CKA_EXTRACTABLE),
        yes(CKA_SENSITIVE),
        yes(CKA_ENCRYPT),
        yes(CKA_DECRYPT),
        yes(CKA_WRAP),
        yes(CKA_UNWRAP),
        bytes(CKA_LABEL, b"ORACLE.TDE.HSM.MK.06"),
    ];
    let key = at.module.generate(session, CKM_AES_KEY_GEN, &key).expect("master key");
    let other = at.open();
    let search = [number(CKA_CLASS, CKO_DATA), bytes(CKA_LABEL, label.as_bytes())];
    assert_eq!(at.module.find(other, &search), Ok(vec![data]));
    let name = at.module.attribute(other, data, CKA_VALUE).expect("value");
    assert_eq!(
        at.module.find(other, &[number(CKA_CLASS, CKO_SECRET_KEY), bytes(CKA_LABEL, &name)]),
        Ok(vec![key])
    );
    for object in [data, key] {
        at.module.destroy(session, object).expect("destroy");
    }
}

/// nginx, Apache and BIND log in, then fork their workers.
#[test]
fn fork_after_login() {
    let (at, session) = start();
    let pair = at.module.ec(session, P256);
    let sign = || {
        let (mut hash, mut signature, mut length) = ([1u8; 32], [0u8; 64], 64);
        let code = call!(at.module, C_SignInit, session, &mut plain(CKM_ECDSA), pair.private);
        let signed =
            call!(at.module, C_Sign, session, hash.as_mut_ptr(), 32, signature.as_mut_ptr(), &mut length);
        code == CKR_OK && signed == CKR_OK
    };
    for _ in 0..3 {
        // SAFETY: the child only calls the module and leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let signed = sign();
            // SAFETY: ends the child, nothing else.
            unsafe { libc::_exit(i32::from(!signed)) };
        }
        let mut status = -1;
        // SAFETY: the child is ours.
        assert_eq!((unsafe { libc::waitpid(child, &mut status, 0) }, status), (child, 0));
        assert!(sign(), "the parent goes on");
    }
}
