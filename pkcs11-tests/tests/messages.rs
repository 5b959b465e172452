//! Message-based functions: what they make is what the functions without messages take, tags beside the
//! ciphertext, nonces that the token makes, each message whole and in parts, and what ends what.

#[path = "messages/calls.rs"]
mod calls;
#[path = "messages/signatures.rs"]
mod signatures;

use calls::{KINDS, Parts, begin, end, init, key, next, plainly, whole};
use cryptoki_sys::*;
use pkcs11_tests::keys::{no, number};
use pkcs11_tests::{call, check, fixture};
use std::collections::BTreeSet;
use std::ptr::null_mut;

#[test]
fn messages_are_what_the_other_functions_make() {
    let (module, session) = (&fixture().module, fixture().open());
    for kind in KINDS {
        let key = key(module, session, kind);
        init(true, session, kind, key).expect("init");
        init(false, session, kind, key).expect("init");
        for size in [1, 15, 16, 1000, 0] {
            let plain: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let mut parts = Parts::new(kind, size);
            if size > 0 {
                assert_eq!(whole(true, session, &mut parts, &plain, None).1, size as CK_ULONG);
                let short = whole(true, session, &mut parts, &plain, Some(size - 1));
                assert_eq!(short, (Err(CKR_BUFFER_TOO_SMALL), size as CK_ULONG), "{kind:#x}");
                assert_eq!(parts.tag, [0; 16], "nothing was made");
            }
            let sealed = whole(true, session, &mut parts, &plain, Some(size)).0.expect("encrypt");
            assert_eq!(
                [&sealed[..], &parts.tag].concat(),
                plainly(session, key, &parts, &plain),
                "{kind:#x}"
            );
            assert_eq!(
                whole(false, session, &mut parts, &sealed, Some(size)).0,
                Ok(plain.clone()),
                "{kind:#x}"
            );

            // The same in parts.
            let mut again = Parts::new(kind, size);
            begin(true, session, &mut again).expect("begin");
            assert_eq!(whole(true, session, &mut again, &plain, Some(size)).0, Err(CKR_OPERATION_ACTIVE));
            assert_eq!(end(true, session), Err(CKR_OPERATION_ACTIVE));
            let (first, rest) = plain.split_at(size / 3);
            let mut made = next(true, session, &mut again, first, 0, size).0.expect("next");
            if size > 0 {
                let short = next(true, session, &mut again, rest, CKF_END_OF_MESSAGE, 0);
                assert_eq!(short.0, Err(CKR_BUFFER_TOO_SMALL), "{kind:#x}");
            }
            made.extend(next(true, session, &mut again, rest, CKF_END_OF_MESSAGE, size).0.expect("last"));
            assert_eq!((&made, again.tag), (&sealed, parts.tag), "{kind:#x} {size}");
            let late = next(true, session, &mut again, b"", CKF_END_OF_MESSAGE, size).0;
            assert_eq!(late, Err(CKR_OPERATION_NOT_INITIALIZED));
            begin(false, session, &mut again).expect("begin");
            let (first, rest) = sealed.split_at(size / 2);
            assert_eq!(next(false, session, &mut again, first, 0, size).0, Ok(vec![]), "nothing unverified");
            let opened = next(false, session, &mut again, rest, CKF_END_OF_MESSAGE, size).0;
            assert_eq!(opened, Ok(plain), "{kind:#x} {size}");
        }
        end(true, session).expect("final");
        end(false, session).expect("final");
        assert_eq!(end(true, session), Err(CKR_OPERATION_NOT_INITIALIZED));
    }
    check(call!(module, C_CloseSession, session)).expect("close");
}

/// Altered text, tag or nonce is refused, gives nothing, and ends the message but not the process; also a
/// message of additional data alone, to which a NULL buffer is no length query.
#[test]
fn forgeries() {
    let (module, session) = (&fixture().module, fixture().open());
    for kind in KINDS {
        let key = key(module, session, kind);
        init(true, session, kind, key).expect("init");
        init(false, session, kind, key).expect("init");
        for size in [0, 40] {
            let mut good = Parts::new(kind, size);
            let sealed = whole(true, session, &mut good, &vec![8; size], Some(size)).0.expect("encrypt");
            let copy = |change: fn(&mut Parts)| {
                let mut parts = Parts { tag: good.tag, ..Parts::new(kind, size) };
                change(&mut parts);
                parts
            };
            let refused = Err(CKR_AEAD_DECRYPT_FAILED);
            let mut wrong_tag = copy(|parts| parts.tag[15] ^= 1);
            assert_eq!(whole(false, session, &mut wrong_tag, &sealed, Some(size)).0, refused, "{kind:#x}");
            let mut wrong_nonce = copy(|parts| parts.nonce[0] ^= 1);
            assert_eq!(whole(false, session, &mut wrong_nonce, &sealed, Some(size)).0, refused, "{kind:#x}");
            if size == 0 {
                assert_eq!(whole(false, session, &mut wrong_tag, &[], None).0, refused, "{kind:#x} NULL");
            } else {
                let mut wrong = sealed.clone();
                wrong[7] ^= 1;
                let mut parts = copy(|_| ());
                assert_eq!(whole(false, session, &mut parts, &wrong, Some(size)).0, refused, "{kind:#x}");
                begin(false, session, &mut parts).expect("begin");
                next(false, session, &mut parts, &wrong[..20], 0, size).0.expect("next");
                let last = next(false, session, &mut parts, &wrong[20..], CKF_END_OF_MESSAGE, size).0;
                assert_eq!(last, refused, "{kind:#x}");
            }
            // The process goes on.
            let opened = whole(false, session, &mut copy(|_| ()), &sealed, Some(size)).0;
            assert_eq!(opened, Ok(vec![8; size]), "{kind:#x}");
        }
        end(true, session).expect("final");
        end(false, session).expect("final");
    }
    check(call!(module, C_CloseSession, session)).expect("close");
}

/// Nonces that the token makes: never the same, written back, the fixed part kept; what would repeat or
/// leaves too little to chance is refused.
#[test]
fn nonces() {
    let (module, session) = (&fixture().module, fixture().open());
    for (kind, longest) in [(CKM_AES_GCM, 16), (CKM_AES_CCM, 13)] {
        let key = key(module, session, kind);
        let mut seen = BTreeSet::new();
        for process in 0..3 {
            init(true, session, kind, key).expect("init");
            for turn in 0..100 {
                let mut parts = Parts::made(kind, 9);
                parts.generator = if turn % 2 == 0 { CKG_GENERATE } else { CKG_GENERATE_RANDOM };
                if turn % 3 == 0 {
                    begin(true, session, &mut parts).expect("begin");
                    let made = parts.nonce.clone();
                    next(true, session, &mut parts, &[1; 9], CKF_END_OF_MESSAGE, 9).0.expect("last");
                    assert_eq!(parts.nonce, made, "made once");
                } else {
                    whole(true, session, &mut parts, &[1; 9], Some(9)).0.expect("encrypt");
                }
                assert!(seen.insert(parts.nonce.clone()), "{kind:#x}: repeated in process {process}");
            }
            end(true, session).expect("final");
        }
        init(true, session, kind, key).expect("init");
        let mut fixed = Parts { nonce: vec![0xee; longest], fixed_bits: 8, ..Parts::made(kind, 9) };
        whole(true, session, &mut fixed, &[1; 9], Some(9)).0.expect("a fixed part");
        assert!(fixed.nonce[0] == 0xee && fixed.nonce[1..] != vec![0xee; longest - 1][..]);
        let refused = |mut parts: Parts, why: &str| {
            let made = whole(true, session, &mut parts, &[1; 9], Some(9)).0;
            assert_eq!(made, Err(CKR_MECHANISM_PARAM_INVALID), "{kind:#x}: {why}");
            assert_eq!(
                begin(true, session, &mut parts),
                Err(CKR_MECHANISM_PARAM_INVALID),
                "{kind:#x}: {why}"
            );
        };
        refused(Parts { generator: CKG_GENERATE_COUNTER, ..Parts::made(kind, 9) }, "a counter from zero");
        refused(Parts { generator: CKG_GENERATE_COUNTER_XOR, ..Parts::made(kind, 9) }, "the same, masked");
        refused(Parts { generator: 77, ..Parts::made(kind, 9) }, "an unknown generator");
        refused(Parts { fixed_bits: 8, ..Parts::made(kind, 9) }, "88 random bits");
        refused(Parts { nonce: vec![0; 11], ..Parts::made(kind, 9) }, "88 bits in all");
        refused(Parts { fixed_bits: CK_ULONG::MAX, ..Parts::made(kind, 9) }, "an absurd fixed part");
        end(true, session).expect("final");
    }
    // CCM must get as much as it was told.
    init(true, session, CKM_AES_CCM, module.aes(session)).expect("init");
    let mut parts = Parts::made(CKM_AES_CCM, 10);
    assert_eq!(whole(true, session, &mut parts, &[1; 9], Some(9)).0, Err(CKR_DATA_LEN_RANGE));
    check(call!(module, C_CloseSession, session)).expect("close");
}

#[test]
fn wrong_parameters_and_states() {
    let (module, session) = (&fixture().module, fixture().open());
    let key = module.aes(session);
    let mut parts = Parts::made(CKM_AES_GCM, 0);
    let early = whole(true, session, &mut parts, b"data", Some(4)).0;
    assert_eq!(early, Err(CKR_OPERATION_NOT_INITIALIZED));
    assert_eq!(init(true, session, CKM_AES_CBC, key), Err(CKR_MECHANISM_INVALID));
    assert_eq!(init(true, session, CKM_CHACHA20_POLY1305, key), Err(CKR_KEY_TYPE_INCONSISTENT));
    assert_eq!(init(true, session, CKM_AES_GCM, 0xffff), Err(CKR_KEY_HANDLE_INVALID));
    let closed = module.generate(session, CKM_AES_KEY_GEN, &[number(CKA_VALUE_LEN, 16), no(CKA_ENCRYPT)]);
    assert_eq!(init(true, session, CKM_AES_GCM, closed.expect("key")), Err(CKR_KEY_FUNCTION_NOT_PERMITTED));
    init(true, session, CKM_AES_GCM, key).expect("init");
    assert_eq!(init(true, session, CKM_AES_GCM, key), Err(CKR_OPERATION_ACTIVE));
    let mut none = Parts { kind: CKM_CHACHA20_POLY1305, ..Parts::new(CKM_AES_GCM, 0) };
    assert_eq!(
        whole(true, session, &mut none, b"data", Some(4)).0,
        Err(CKR_MECHANISM_PARAM_INVALID),
        "another's structure"
    );
    let mut length = 4;
    let null = call!(
        module,
        C_EncryptMessage,
        session,
        null_mut(),
        0,
        null_mut(),
        0,
        b"data".as_ptr().cast_mut(),
        4,
        [0u8; 4].as_mut_ptr(),
        &mut length
    );
    assert_eq!(null, CKR_MECHANISM_PARAM_INVALID);
    // NULL ends the process, a message in parts and all; so does C_SessionCancel.
    begin(true, session, &mut parts).expect("begin");
    check(call!(module, C_MessageEncryptInit, session, null_mut(), 0)).expect("NULL ends it");
    assert_eq!(end(true, session), Err(CKR_OPERATION_NOT_INITIALIZED));
    init(true, session, CKM_AES_GCM, key).expect("init");
    check(call!(module, C_SessionCancel, session, CKF_MESSAGE_ENCRYPT)).expect("cancel");
    assert_eq!(end(true, session), Err(CKR_OPERATION_NOT_INITIALIZED));
    // The key goes, and the process has nothing to work with.
    init(true, session, CKM_AES_GCM, key).expect("init");
    whole(true, session, &mut parts, b"data", Some(4)).0.expect("encrypt");
    module.destroy(session, key).expect("destroy");
    let gone = whole(true, session, &mut parts, b"data", Some(4)).0;
    assert_eq!(gone, Err(CKR_KEY_HANDLE_INVALID));
    check(call!(module, C_CloseSession, session)).expect("close");
}
