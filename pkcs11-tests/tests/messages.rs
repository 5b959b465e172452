//! Message-based functions: what they make is what the functions without messages take, tags beside the
//! ciphertext, nonces that the token makes, each message whole and in parts, and what ends what.

use cryptoki_sys::*;
use pkcs11_tests::keys::{ED25519, Pair, bytes, no, number, yes};
use pkcs11_tests::params::{mechanism, with};
use pkcs11_tests::{Module, PIN, Result, call, check, fixture};
use std::collections::BTreeSet;
use std::ptr::{from_mut, null_mut};

const AAD: &[u8] = b"seen by all";

/// The three parameters with their buffers: 12 bytes of nonce, 16 of tag.
struct Parts {
    kind: CK_MECHANISM_TYPE,
    nonce: Vec<u8>,
    tag: [u8; 16],
    fixed_bits: CK_ULONG,
    generator: CK_GENERATOR_FUNCTION,
    /// CCM's.
    data: CK_ULONG,
}

impl Parts {
    fn new(kind: CK_MECHANISM_TYPE, data: usize) -> Parts {
        let data = data as CK_ULONG;
        Parts { kind, nonce: vec![5; 12], tag: [0; 16], fixed_bits: 0, generator: CKG_NO_GENERATE, data }
    }

    fn made(kind: CK_MECHANISM_TYPE, data: usize) -> Parts {
        Parts { generator: CKG_GENERATE, ..Parts::new(kind, data) }
    }

    /// Runs a call with the structure, which is on the stack for as long.
    fn run<T>(&mut self, call: impl FnOnce(*mut std::os::raw::c_void, CK_ULONG) -> T) -> T {
        let (nonce, length) = (self.nonce.as_mut_ptr(), self.nonce.len() as CK_ULONG);
        let tag = self.tag.as_mut_ptr();
        match self.kind {
            CKM_AES_GCM => {
                let mut params = CK_GCM_MESSAGE_PARAMS {
                    pIv: nonce,
                    ulIvLen: length,
                    ulIvFixedBits: self.fixed_bits,
                    ivGenerator: self.generator,
                    pTag: tag,
                    ulTagBits: 128,
                };
                call(from_mut(&mut params).cast(), size_of_val(&params) as CK_ULONG)
            }
            CKM_AES_CCM => {
                let mut params = CK_CCM_MESSAGE_PARAMS {
                    ulDataLen: self.data,
                    pNonce: nonce,
                    ulNonceLen: length,
                    ulNonceFixedBits: self.fixed_bits,
                    nonceGenerator: self.generator,
                    pMAC: tag,
                    ulMACLen: 16,
                };
                call(from_mut(&mut params).cast(), size_of_val(&params) as CK_ULONG)
            }
            _ => {
                let mut params =
                    CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS { pNonce: nonce, ulNonceLen: 96, pTag: tag };
                call(from_mut(&mut params).cast(), size_of_val(&params) as CK_ULONG)
            }
        }
    }
}

const KINDS: [CK_MECHANISM_TYPE; 3] = [CKM_AES_GCM, CKM_AES_CCM, CKM_CHACHA20_POLY1305];

fn key(module: &Module, session: CK_SESSION_HANDLE, kind: CK_MECHANISM_TYPE) -> CK_OBJECT_HANDLE {
    match kind {
        CKM_CHACHA20_POLY1305 => module.generate(session, CKM_CHACHA20_KEY_GEN, &[]).expect("key"),
        _ => module.aes(session),
    }
}

fn init(
    encrypt: bool,
    session: CK_SESSION_HANDLE,
    kind: CK_MECHANISM_TYPE,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    let module = &fixture().module;
    let mut with = CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 };
    check(if encrypt {
        call!(module, C_MessageEncryptInit, session, &mut with, key)
    } else {
        call!(module, C_MessageDecryptInit, session, &mut with, key)
    })
}

fn end(encrypt: bool, session: CK_SESSION_HANDLE) -> Result<()> {
    let module = &fixture().module;
    check(if encrypt {
        call!(module, C_MessageEncryptFinal, session)
    } else {
        call!(module, C_MessageDecryptFinal, session)
    })
}

/// A message at once, into exactly `room` bytes (`None`: a NULL buffer); the length answered, too.
fn whole(
    encrypt: bool,
    session: CK_SESSION_HANDLE,
    parts: &mut Parts,
    input: &[u8],
    room: Option<usize>,
) -> (Result<Vec<u8>>, CK_ULONG) {
    let module = &fixture().module;
    let mut out = vec![0; room.unwrap_or(0).max(1)];
    let (target, mut length) = match room {
        Some(room) => (out.as_mut_ptr(), room as CK_ULONG),
        None => (null_mut(), 0),
    };
    let (data, size) = (input.as_ptr().cast_mut(), input.len() as CK_ULONG);
    let (aad, aad_size) = (AAD.as_ptr().cast_mut(), AAD.len() as CK_ULONG);
    let code = parts.run(|params, params_size| {
        if encrypt {
            call!(
                module,
                C_EncryptMessage,
                session,
                params,
                params_size,
                aad,
                aad_size,
                data,
                size,
                target,
                &mut length
            )
        } else {
            call!(
                module,
                C_DecryptMessage,
                session,
                params,
                params_size,
                aad,
                aad_size,
                data,
                size,
                target,
                &mut length
            )
        }
    });
    out.truncate(length as usize);
    (check(code).map(|()| out), length)
}

fn begin(encrypt: bool, session: CK_SESSION_HANDLE, parts: &mut Parts) -> Result<()> {
    let module = &fixture().module;
    let (aad, size) = (AAD.as_ptr().cast_mut(), AAD.len() as CK_ULONG);
    check(parts.run(|params, params_size| {
        if encrypt {
            call!(module, C_EncryptMessageBegin, session, params, params_size, aad, size)
        } else {
            call!(module, C_DecryptMessageBegin, session, params, params_size, aad, size)
        }
    }))
}

fn next(
    encrypt: bool,
    session: CK_SESSION_HANDLE,
    parts: &mut Parts,
    input: &[u8],
    flags: CK_FLAGS,
    room: usize,
) -> (Result<Vec<u8>>, CK_ULONG) {
    let module = &fixture().module;
    let (mut out, mut length) = (vec![0; room.max(1)], room as CK_ULONG);
    let (data, size, target) = (input.as_ptr().cast_mut(), input.len() as CK_ULONG, out.as_mut_ptr());
    let code = parts.run(|params, params_size| {
        if encrypt {
            call!(
                module,
                C_EncryptMessageNext,
                session,
                params,
                params_size,
                data,
                size,
                target,
                &mut length,
                flags
            )
        } else {
            call!(
                module,
                C_DecryptMessageNext,
                session,
                params,
                params_size,
                data,
                size,
                target,
                &mut length,
                flags
            )
        }
    });
    out.truncate(length as usize);
    (check(code).map(|()| out), length)
}

/// What C_Encrypt makes with the same nonce: ciphertext and tag in one.
fn plainly(session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE, parts: &Parts, input: &[u8]) -> Vec<u8> {
    let module = &fixture().module;
    let nonce = Box::leak(parts.nonce.clone().into_boxed_slice());
    let (nonce, length) = (nonce.as_mut_ptr(), nonce.len() as CK_ULONG);
    let (aad, aad_length) = (AAD.as_ptr().cast_mut(), AAD.len() as CK_ULONG);
    let mut mechanism = match parts.kind {
        CKM_AES_GCM => with(
            parts.kind,
            CK_GCM_PARAMS {
                pIv: nonce,
                ulIvLen: length,
                ulIvBits: 8 * length,
                pAAD: aad,
                ulAADLen: aad_length,
                ulTagBits: 128,
            },
        ),
        CKM_AES_CCM => with(
            parts.kind,
            CK_CCM_PARAMS {
                ulDataLen: input.len() as CK_ULONG,
                pNonce: nonce,
                ulNonceLen: length,
                pAAD: aad,
                ulAADLen: aad_length,
                ulMACLen: 16,
            },
        ),
        _ => with(
            parts.kind,
            CK_SALSA20_CHACHA20_POLY1305_PARAMS {
                pNonce: nonce,
                ulNonceLen: 96,
                pAAD: aad,
                ulAADLen: aad_length,
            },
        ),
    };
    assert_eq!(call!(module, C_EncryptInit, session, &mut mechanism, key), CKR_OK);
    let (mut out, mut length) = (vec![0; input.len() + 16], input.len() as CK_ULONG + 16);
    let (data, size) = (input.as_ptr().cast_mut(), input.len() as CK_ULONG);
    assert_eq!(call!(module, C_Encrypt, session, data, size, out.as_mut_ptr(), &mut length), CKR_OK);
    out
}

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

fn sign_init(session: CK_SESSION_HANDLE, kind: CK_MECHANISM_TYPE, pair: Pair) {
    let module = &fixture().module;
    let mut with = mechanism(kind);
    assert_eq!(call!(module, C_MessageSignInit, session, &mut with, pair.private), CKR_OK, "{kind:#x}");
    assert_eq!(call!(module, C_MessageVerifyInit, session, &mut with, pair.public), CKR_OK, "{kind:#x}");
}

fn sign(session: CK_SESSION_HANDLE, data: &[u8]) -> Result<Vec<u8>> {
    let module = &fixture().module;
    let (data, size, mut length) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG, 0);
    let run = |out, length: &mut CK_ULONG| {
        check(call!(module, C_SignMessage, session, null_mut(), 0, data, size, out, length))
    };
    run(null_mut(), &mut length)?;
    let mut out = vec![0; length as usize];
    length -= 1;
    assert_eq!(run(out.as_mut_ptr(), &mut length), Err(CKR_BUFFER_TOO_SMALL));
    run(out.as_mut_ptr(), &mut length)?;
    out.truncate(length as usize);
    Ok(out)
}

fn verify(session: CK_SESSION_HANDLE, data: &[u8], signature: &[u8]) -> Result<()> {
    let module = &fixture().module;
    let (data, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
    let (signature, length) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
    check(call!(module, C_VerifyMessage, session, null_mut(), 0, data, size, signature, length))
}

#[test]
fn signatures() {
    let (module, session) = (&fixture().module, fixture().open());
    let same = |key| Pair { public: key, private: key };
    for (kind, pair) in [
        (CKM_SHA256_RSA_PKCS_PSS, module.rsa(session)),
        (CKM_EDDSA, module.ed(session)),
        (CKM_SHA256_HMAC, same(module.secret(session))),
        (CKM_AES_GMAC, same(module.aes(session))),
    ] {
        sign_init(session, kind, pair);
        for message in [&b"one"[..], b"another", b""] {
            let signature = sign(session, message).expect("sign");
            assert_eq!(verify(session, message, &signature), Ok(()), "{kind:#x}");
            assert_eq!(verify(session, b"other", &signature), Err(CKR_SIGNATURE_INVALID), "{kind:#x}");
            assert_eq!(verify(session, message, &signature), Ok(()), "{kind:#x}: the process goes on");
            // In parts.
            let begin = |what: &str| {
                check(match what {
                    "sign" => call!(module, C_SignMessageBegin, session, null_mut(), 0),
                    _ => call!(module, C_VerifyMessageBegin, session, null_mut(), 0),
                })
            };
            begin("sign").expect("begin");
            assert_eq!(begin("sign"), Err(CKR_OPERATION_ACTIVE));
            let (first, rest) = message.split_at(message.len() / 2);
            let part = |data: &[u8], out: *mut u8, length: *mut CK_ULONG| {
                let (data, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
                check(call!(module, C_SignMessageNext, session, null_mut(), 0, data, size, out, length))
            };
            part(first, null_mut(), null_mut()).expect("a part");
            let mut length = 0;
            part(rest, null_mut(), &mut length).expect("length query");
            let mut made = vec![0; length as usize];
            part(rest, made.as_mut_ptr(), &mut length).expect("the last part");
            let check_part = |data: &[u8], signature: *mut u8, length| {
                let (data, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
                check(call!(
                    module,
                    C_VerifyMessageNext,
                    session,
                    null_mut(),
                    0,
                    data,
                    size,
                    signature,
                    length
                ))
            };
            begin("verify").expect("begin");
            check_part(first, null_mut(), 0).expect("a part");
            check_part(rest, made.as_mut_ptr(), length).expect("the signature");
        }
        let strange = call!(module, C_SignMessage, session, null_mut(), 3, null_mut(), 0, null_mut(), &mut 0);
        assert_eq!(strange, CKR_MECHANISM_PARAM_INVALID);
        check(call!(module, C_MessageSignFinal, session)).expect("final");
        check(call!(module, C_MessageVerifyFinal, session)).expect("final");
        assert_eq!(sign(session, b"late"), Err(CKR_OPERATION_NOT_INITIALIZED));
    }
    check(call!(module, C_CloseSession, session)).expect("close");
}

/// CKA_ALWAYS_AUTHENTICATE means each message, not each process.
#[test]
fn a_password_for_each_message() {
    let (module, session) = (&fixture().module, fixture().open());
    let private = [yes(CKA_ALWAYS_AUTHENTICATE)];
    let public = [bytes(CKA_EC_PARAMS, ED25519)];
    let pair = module.generate_pair(session, CKM_EC_EDWARDS_KEY_PAIR_GEN, &public, &private).expect("pair");
    sign_init(session, CKM_EDDSA, pair);
    for _ in 0..2 {
        assert_eq!(sign(session, b"message"), Err(CKR_USER_NOT_LOGGED_IN));
        module.login(session, CKU_CONTEXT_SPECIFIC, PIN).expect("login");
        let signature = sign(session, b"message").expect("sign");
        assert_eq!(verify(session, b"message", &signature), Ok(()));
    }
    check(call!(module, C_CloseSession, session)).expect("close");
}
