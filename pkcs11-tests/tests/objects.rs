//! Objects through the C interface: made, read, found, changed, copied, destroyed; tables and bad input.

use cryptoki_sys::*;
use pkcs11_tests::keys::{P256, bytes, no, number, template, yes};
use pkcs11_tests::{call, check, fixture};
use std::ptr::null_mut;

#[test]
fn tables_are_exact_and_full() {
    let module = &fixture().module;
    let (mut list, mut count) = ([CK_INTERFACE::default(); 4], 4);
    assert_eq!(call!(module, C_GetInterfaceList, list.as_mut_ptr(), &mut count), CKR_OK);
    assert_eq!(count, 3);
    let mut seen = Vec::new();
    for (interface, entries) in list.iter().zip([104, 92, 68]) {
        assert_eq!(interface.flags, CKF_INTERFACE_FORK_SAFE);
        // SAFETY: a version, then so many function pointers, as the standard lays them out.
        let (version, functions) = unsafe {
            let version = interface.pFunctionList.cast::<CK_VERSION>().read();
            let first = interface.pFunctionList.cast::<usize>().wrapping_add(1);
            (version, std::slice::from_raw_parts(first, entries))
        };
        assert!(functions.iter().all(|f| *f != 0), "no entry is NULL");
        seen.push(((version.major, version.minor), functions.to_vec()));
    }
    assert_eq!(seen.iter().map(|s| s.0).collect::<Vec<_>>(), [(3, 2), (3, 0), (2, 40)]);
    assert_eq!(seen[0].1[..92], seen[1].1[..], "3.2 begins with 3.0");
    assert_eq!(seen[1].1[..68], seen[2].1[..], "3.0 begins with 2.40");
    let mut old: *mut CK_FUNCTION_LIST = null_mut();
    assert_eq!(call!(module, C_GetFunctionList, &mut old), CKR_OK);
    // SAFETY: just answered.
    assert_eq!(unsafe { ((*old).version.major, (*old).version.minor) }, (2, 40));
    let mut found = null_mut();
    let get = |name: *const u8, version: *mut CK_VERSION, flags, found: &mut *mut CK_INTERFACE| {
        call!(module, C_GetInterface, name.cast_mut(), version, found, flags)
    };
    assert_eq!(get(std::ptr::null(), null_mut(), CKF_INTERFACE_FORK_SAFE, &mut found), CKR_OK);
    assert_eq!(
        get(c"Vendor NSS FIPS Interface".as_ptr().cast(), null_mut(), 0, &mut found),
        CKR_FUNCTION_FAILED
    );
    let mut version = CK_VERSION { major: 9, minor: 9 };
    assert_eq!(get(std::ptr::null(), &mut version, 0, &mut found), CKR_FUNCTION_FAILED);
}

#[test]
fn what_is_not_built_says_so() {
    let (at, session) = (fixture(), fixture().open());
    let module = &at.module;
    let codes = [
        call!(module, C_DigestEncryptUpdate, session, null_mut(), 0, null_mut(), null_mut()),
        call!(module, C_AsyncGetID, session, null_mut(), null_mut()),
        call!(module, C_AsyncJoin, session, null_mut(), 0, null_mut(), 0),
    ];
    assert_eq!(codes, [CKR_FUNCTION_NOT_SUPPORTED; 3]);
    assert_eq!(call!(module, C_GetFunctionStatus, session), CKR_FUNCTION_NOT_PARALLEL);
}

#[test]
fn every_class_legal_attribute_answers() {
    let (at, session) = (fixture(), fixture().open());
    let module = &at.module;
    let pair = module.ec(session, P256);
    let asked = [
        CKA_CLASS,
        CKA_TOKEN,
        CKA_PRIVATE,
        CKA_LABEL,
        CKA_ID,
        CKA_SUBJECT,
        CKA_START_DATE,
        CKA_END_DATE,
        CKA_DERIVE,
        CKA_LOCAL,
        CKA_KEY_GEN_MECHANISM,
        CKA_ALLOWED_MECHANISMS,
        CKA_UNIQUE_ID,
        CKA_PUBLIC_KEY_INFO,
        CKA_MODIFIABLE,
        CKA_COPYABLE,
        CKA_DESTROYABLE,
        CKA_SENSITIVE,
        CKA_EXTRACTABLE,
        CKA_ALWAYS_AUTHENTICATE,
        CKA_UNWRAP_TEMPLATE,
        CKA_EC_PARAMS,
    ];
    for kind in asked {
        module.attribute(session, pair.private, kind).unwrap_or_else(|e| panic!("{kind:#x}: {e:#x}"));
    }
    assert_eq!(
        module.attribute(session, pair.private, CKA_DERIVE),
        Ok(vec![CK_TRUE]),
        "absent counts as true"
    );
    assert_eq!(module.attribute(session, pair.private, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
    assert_eq!(module.attribute(session, pair.private, CKA_MODULUS), Err(CKR_ATTRIBUTE_TYPE_INVALID));

    // Several at once: the good ones are filled, the bad ones marked.
    let (mut label, mut small) = ([0u8; 8], [0u8; 1]);
    let entry = |kind, room: &mut [u8]| CK_ATTRIBUTE {
        type_: kind,
        pValue: room.as_mut_ptr().cast(),
        ulValueLen: room.len() as CK_ULONG,
    };
    let mut list = [
        entry(CKA_CLASS, &mut label),
        entry(CKA_VALUE, &mut [0; 64]),
        entry(CKA_EC_PARAMS, &mut small),
        entry(0x99, &mut [0]),
    ];
    let code = call!(module, C_GetAttributeValue, session, pair.private, list.as_mut_ptr(), 4);
    assert!(
        matches!(code, CKR_ATTRIBUTE_SENSITIVE | CKR_BUFFER_TOO_SMALL | CKR_ATTRIBUTE_TYPE_INVALID),
        "{code:#x}"
    );
    let lengths: Vec<_> = list.iter().map(|entry| entry.ulValueLen).collect();
    assert_eq!(
        lengths,
        [8, CK_UNAVAILABLE_INFORMATION, CK_UNAVAILABLE_INFORMATION, CK_UNAVAILABLE_INFORMATION]
    );
    assert_eq!(CK_ULONG::from_ne_bytes(label), CKO_PRIVATE_KEY);
}

#[test]
fn objects_are_found_changed_copied_and_destroyed() {
    let (at, session) = (fixture(), fixture().open());
    let module = &at.module;
    let data = [
        number(CKA_CLASS, CKO_DATA),
        yes(CKA_TOKEN),
        no(CKA_PRIVATE),
        bytes(CKA_LABEL, b"a note"),
        bytes(CKA_VALUE, b"text"),
    ];
    let note = module.create(session, &data).expect("data object");
    assert_eq!(module.find(session, &[bytes(CKA_LABEL, b"a note"), yes(CKA_TOKEN)]), Ok(vec![note]));
    assert_eq!(module.find(session, &[bytes(CKA_LABEL, b"a not")]), Ok(vec![]));
    assert_eq!(
        module.find(session, &[bytes(0xce53_4350, b"vendor")]),
        Ok(vec![]),
        "an unknown attribute matches nothing"
    );
    let set = |object, attributes: &[_]| {
        let mut list = template(attributes);
        check(call!(module, C_SetAttributeValue, session, object, list.as_mut_ptr(), list.len() as CK_ULONG))
    };
    set(note, &[bytes(CKA_LABEL, b"renamed")]).expect("rename");
    assert_eq!(module.find(session, &[bytes(CKA_LABEL, b"renamed")]), Ok(vec![note]));
    assert_eq!(set(note, &[no(CKA_TOKEN)]), Err(CKR_ATTRIBUTE_READ_ONLY));
    let copy = |object, attributes: &[_]| {
        let (mut list, mut new) = (template(attributes), 0);
        check(call!(
            module,
            C_CopyObject,
            session,
            object,
            list.as_mut_ptr(),
            list.len() as CK_ULONG,
            &mut new
        ))
        .map(|()| new)
    };
    let twin = copy(note, &[no(CKA_TOKEN)]).expect("a session copy");
    assert_ne!(
        module.attribute(session, twin, CKA_UNIQUE_ID),
        module.attribute(session, note, CKA_UNIQUE_ID)
    );
    assert_eq!(module.attribute(session, twin, CKA_VALUE), Ok(b"text".to_vec()));
    module.destroy(session, note).expect("destroy");
    assert_eq!(module.destroy(session, note), Err(CKR_OBJECT_HANDLE_INVALID));
    assert_eq!(module.attribute(session, note, CKA_LABEL), Err(CKR_OBJECT_HANDLE_INVALID));
    let other = at.open();
    let key = module.generate(other, CKM_AES_KEY_GEN, &[number(CKA_VALUE_LEN, 16)]).expect("session key");
    module.attribute(session, key, CKA_LABEL).expect("seen by all sessions");
    check(call!(module, C_CloseSession, other)).expect("close");
    assert_eq!(
        module.attribute(session, key, CKA_LABEL),
        Err(CKR_OBJECT_HANDLE_INVALID),
        "it died with its session"
    );
    for fixed in [CKA_MODIFIABLE, CKA_COPYABLE, CKA_DESTROYABLE] {
        let mut attributes = data.to_vec();
        attributes.extend([no(fixed), no(CKA_TOKEN)].into_iter().filter(|a| a.kind != CKA_TOKEN));
        let object = module.create(session, &attributes).expect("fixed object");
        let code = match fixed {
            CKA_MODIFIABLE => set(object, &[bytes(CKA_LABEL, b"x")]),
            CKA_COPYABLE => copy(object, &[]).map(drop),
            _ => module.destroy(session, object),
        };
        assert_eq!(code, Err(CKR_ACTION_PROHIBITED), "{fixed:#x}");
    }
}

#[test]
fn templates_are_checked() {
    let (at, session) = (fixture(), fixture().open());
    let module = &at.module;
    let aes = |extra: &[pkcs11_tests::keys::Attribute]| {
        let mut all = vec![
            number(CKA_CLASS, CKO_SECRET_KEY),
            number(CKA_KEY_TYPE, CKK_AES),
            bytes(CKA_VALUE, &[7; 16]),
        ];
        all.extend_from_slice(extra);
        module.create(session, &all)
    };
    aes(&[]).expect("a plain key");
    assert_eq!(aes(&[yes(CKA_LOCAL)]), Err(CKR_ATTRIBUTE_READ_ONLY));
    assert_eq!(aes(&[yes(CKA_TRUSTED)]), Err(CKR_ATTRIBUTE_READ_ONLY));
    assert_eq!(aes(&[bytes(CKA_MODULUS, b"x")]), Err(CKR_ATTRIBUTE_TYPE_INVALID));
    assert_eq!(aes(&[bytes(CKA_SIGN, b"xx")]), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    assert_eq!(aes(&[bytes(0x7777_7777, b"x")]), Err(CKR_ATTRIBUTE_TYPE_INVALID));
    assert_eq!(aes(&[bytes(CKA_VALUE, &[1; 16])]), Err(CKR_TEMPLATE_INCONSISTENT));
    assert_eq!(module.create(session, &[]), Err(CKR_TEMPLATE_INCOMPLETE));
    let short =
        [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_AES), bytes(CKA_VALUE, &[7; 15])];
    assert_eq!(module.create(session, &short), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    // A point that is not on the curve, an RSA key whose parts do not belong together.
    let mut point = vec![4, 65, 4];
    point.extend([1; 64]);
    let public = [
        number(CKA_CLASS, CKO_PUBLIC_KEY),
        number(CKA_KEY_TYPE, CKK_EC),
        bytes(CKA_EC_PARAMS, P256),
        bytes(CKA_EC_POINT, &point),
    ];
    assert_eq!(module.create(session, &public), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    let allowed = number(CKA_ALLOWED_MECHANISMS, CKM_AES_CBC);
    let key = aes(&[allowed]).expect("restricted key");
    let mut mechanism = CK_MECHANISM { mechanism: CKM_AES_ECB, pParameter: null_mut(), ulParameterLen: 0 };
    assert_eq!(call!(module, C_EncryptInit, session, &mut mechanism, key), CKR_MECHANISM_INVALID);
}

#[test]
fn nothing_gets_looser_by_copying_or_guessing() {
    let (at, session) = (fixture(), fixture().open());
    let module = &at.module;
    let value = [9; 16];
    let key = [
        number(CKA_CLASS, CKO_SECRET_KEY),
        number(CKA_KEY_TYPE, CKK_AES),
        bytes(CKA_VALUE, &value),
        yes(CKA_SENSITIVE),
        no(CKA_DECRYPT),
        no(CKA_MODIFIABLE),
    ];
    let fixed = module.create(session, &key).expect("unmodifiable key");
    let open = module.create(session, &key[..5]).expect("modifiable key");
    let copy = |object, attribute| {
        let attributes = [attribute];
        let (mut list, mut new) = (template(&attributes), 0);
        check(call!(module, C_CopyObject, session, object, list.as_mut_ptr(), 1, &mut new)).map(|()| new)
    };
    let set = |object, attribute| {
        let attributes = [attribute];
        let mut list = template(&attributes);
        check(call!(module, C_SetAttributeValue, session, object, list.as_mut_ptr(), 1))
    };
    for change in [yes(CKA_DECRYPT), no(CKA_SENSITIVE), yes(CKA_MODIFIABLE), bytes(CKA_LABEL, b"mine")] {
        assert_eq!(copy(fixed, change.clone()), Err(CKR_ATTRIBUTE_READ_ONLY), "{:#x}", change.kind);
    }
    assert_eq!(copy(open, yes(CKA_DECRYPT)), Err(CKR_ATTRIBUTE_READ_ONLY), "uses come with a key or never");
    let twin = copy(open, yes(CKA_DERIVE)).expect("an open key may be copied with a harmless use");
    assert_eq!(module.attribute(session, twin, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
    for guess in [value, [8; 16]] {
        assert_eq!(set(open, bytes(CKA_VALUE, &guess)), Err(CKR_ATTRIBUTE_READ_ONLY));
        assert_eq!(copy(open, bytes(CKA_VALUE, &guess)), Err(CKR_ATTRIBUTE_READ_ONLY));
        assert_eq!(module.find(session, &[bytes(CKA_VALUE, &guess)]), Ok(vec![]));
    }
    set(open, bytes(CKA_CHECK_VALUE, b"")).expect("a check value may be erased");
    assert_eq!(module.attribute(session, open, CKA_CHECK_VALUE), Ok(vec![]));
    assert_eq!(set(open, bytes(CKA_CHECK_VALUE, b"abc")), Err(CKR_ATTRIBUTE_READ_ONLY));
}

#[test]
fn sign_init_before_context_login() {
    let (at, session) = (fixture(), fixture().open());
    let module = &at.module;
    let public = [bytes(CKA_EC_PARAMS, P256)];
    let pair = module
        .generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &[yes(CKA_ALWAYS_AUTHENTICATE)])
        .expect("pair");
    let mut mechanism = CK_MECHANISM { mechanism: CKM_ECDSA, pParameter: null_mut(), ulParameterLen: 0 };
    assert_eq!(
        module.login(session, CKU_CONTEXT_SPECIFIC, pkcs11_tests::PIN),
        Err(CKR_OPERATION_NOT_INITIALIZED)
    );
    let (mut hash, mut signature) = ([1u8; 32], [0u8; 64]);
    for _ in 0..2 {
        assert_eq!(call!(module, C_SignInit, session, &mut mechanism, pair.private), CKR_OK);
        let mut length = 64;
        let sign = |length: &mut CK_ULONG, hash: &mut [u8], signature: &mut [u8]| {
            call!(module, C_Sign, session, hash.as_mut_ptr(), 32, signature.as_mut_ptr(), length)
        };
        assert_eq!(sign(&mut length, &mut hash, &mut signature), CKR_USER_NOT_LOGGED_IN);
        module.login(session, CKU_CONTEXT_SPECIFIC, pkcs11_tests::PIN).expect("context login");
        assert_eq!(sign(&mut length, &mut hash, &mut signature), CKR_OK);
    }
}

#[test]
fn bad_handles_and_pointers_get_their_codes() {
    let (at, session) = (fixture(), fixture().open());
    let module = &at.module;
    let nowhere = 0xdead_beef;
    let mut length = 0;
    let on_no_session = [
        call!(module, C_GetSessionInfo, nowhere, &mut CK_SESSION_INFO::default()),
        call!(module, C_CloseSession, nowhere),
        call!(module, C_Logout, nowhere),
        call!(module, C_DestroyObject, nowhere, 1),
        call!(module, C_FindObjectsInit, nowhere, null_mut(), 0),
        call!(module, C_FindObjectsFinal, nowhere),
        call!(module, C_Sign, nowhere, null_mut(), 0, null_mut(), &mut length),
        call!(module, C_DigestUpdate, nowhere, null_mut(), 0),
        call!(module, C_VerifyFinal, nowhere, [0u8; 1].as_mut_ptr(), 1),
        call!(module, C_GenerateRandom, nowhere, null_mut(), 0),
        call!(module, C_SeedRandom, nowhere, null_mut(), 0),
        call!(module, C_SessionCancel, nowhere, 0),
        call!(module, C_DigestKey, nowhere, 1),
    ];
    assert_eq!(on_no_session, [CKR_SESSION_HANDLE_INVALID; 13]);
    let huge = CK_ULONG::MAX;
    let mut byte = [0u8; 1];
    let nulls = [
        call!(module, C_GetInfo, null_mut()),
        call!(module, C_GetSlotList, 1, null_mut(), null_mut()),
        call!(module, C_GetTokenInfo, 0, null_mut()),
        call!(module, C_GetMechanismList, 0, null_mut(), null_mut()),
        call!(module, C_GetMechanismInfo, 0, CKM_AES_ECB, null_mut()),
        call!(module, C_OpenSession, 0, CKF_SERIAL_SESSION, null_mut(), None, null_mut()),
        call!(module, C_Login, session, CKU_USER, null_mut(), 4),
        call!(module, C_CreateObject, session, null_mut(), 2, &mut length),
        call!(module, C_CreateObject, session, null_mut(), 0, null_mut()),
        call!(module, C_GetAttributeValue, session, 1, null_mut(), 1),
        call!(module, C_FindObjectsInit, session, null_mut(), 3),
        call!(module, C_GenerateKey, session, null_mut(), null_mut(), 0, &mut length),
        call!(module, C_GenerateRandom, session, null_mut(), 10),
        call!(module, C_GenerateRandom, session, byte.as_mut_ptr(), huge),
        call!(module, C_WaitForSlotEvent, CKF_DONT_BLOCK, null_mut(), null_mut()),
    ];
    assert_eq!(nulls, [CKR_ARGUMENTS_BAD; 15]);
    let mut digest = CK_MECHANISM { mechanism: CKM_SHA256, pParameter: null_mut(), ulParameterLen: 0 };
    assert_eq!(call!(module, C_DigestInit, session, &mut digest), CKR_OK);
    assert_eq!(call!(module, C_DigestUpdate, session, null_mut(), 5), CKR_ARGUMENTS_BAD);
    assert_eq!(call!(module, C_DigestUpdate, session, byte.as_mut_ptr(), huge), CKR_ARGUMENTS_BAD);
    assert_eq!(
        call!(module, C_DigestUpdate, session, byte.as_mut_ptr(), 1),
        CKR_OK,
        "the operation lives on"
    );
    assert_eq!(call!(module, C_SessionCancel, session, CKF_DIGEST), CKR_OK);
    assert_eq!(call!(module, C_DigestUpdate, session, byte.as_mut_ptr(), 1), CKR_OPERATION_NOT_INITIALIZED);
    // Unaligned structures, as packed clients pass them.
    let mut memory = [0u8; 64];
    let unaligned = memory.as_mut_ptr().wrapping_add(1).cast::<CK_MECHANISM>();
    // SAFETY: inside the array.
    unsafe { unaligned.write_unaligned(digest) };
    assert_eq!(call!(module, C_DigestInit, session, unaligned), CKR_OK);
    let mut room = [0u8; 80];
    let length = room.as_mut_ptr().wrapping_add(3).cast::<CK_ULONG>();
    // SAFETY: inside the array.
    unsafe { length.write_unaligned(32) };
    let out = room.as_mut_ptr().wrapping_add(17);
    assert_eq!(call!(module, C_Digest, session, byte.as_mut_ptr(), 1, out, length), CKR_OK);
}

#[test]
fn many_threads_use_one_token() {
    let at = fixture();
    let key = {
        let session = at.session;
        at.module.ec(session, P256)
    };
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            scope.spawn(move || {
                let (module, session) = (&at.module, at.open());
                for round in 0..50u8 {
                    let mut mechanism = CK_MECHANISM {
                        mechanism: CKM_ECDSA_SHA256,
                        pParameter: null_mut(),
                        ulParameterLen: 0,
                    };
                    let (mut data, mut signature, mut length) = ([thread, round], [0u8; 64], 64);
                    assert_eq!(call!(module, C_SignInit, session, &mut mechanism, key.private), CKR_OK);
                    assert_eq!(
                        call!(
                            module,
                            C_Sign,
                            session,
                            data.as_mut_ptr(),
                            2,
                            signature.as_mut_ptr(),
                            &mut length
                        ),
                        CKR_OK
                    );
                    assert_eq!(call!(module, C_VerifyInit, session, &mut mechanism, key.public), CKR_OK);
                    assert_eq!(
                        call!(module, C_Verify, session, data.as_mut_ptr(), 2, signature.as_mut_ptr(), 64),
                        CKR_OK
                    );
                    if round % 10 == 0 {
                        let label = bytes(CKA_LABEL, &[thread, round]);
                        let key = [number(CKA_VALUE_LEN, 32), yes(CKA_TOKEN), label.clone()];
                        let made = module.generate(session, CKM_AES_KEY_GEN, &key).expect("token key");
                        assert_eq!(module.find(session, &[label]), Ok(vec![made]));
                        module.destroy(session, made).expect("destroy");
                    }
                }
                assert_eq!(call!(module, C_CloseSession, session), CKR_OK);
            });
        }
    });
}
