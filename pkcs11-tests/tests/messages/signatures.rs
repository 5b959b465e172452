//! Message-based signing and verifying.

use cryptoki_sys::*;
use pkcs11_tests::keys::{ED25519, Pair, bytes, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{PIN, Result, call, check, fixture};
use std::ptr::null_mut;

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
