//! AWS CloudHSM's numbers: its AES-GCM is the standard's with the IV in front, its key wraps are the
//! standard's.

use cryptoki_sys::*;
use pkcs11_tests::params::{CLOUDHSM_AES_GCM, CLOUDHSM_WRAP_NO_PAD, CLOUDHSM_WRAP_ZERO_PAD, mechanism, with};
use pkcs11_tests::{Module, Result, call, check, fixture};
use std::ptr::null_mut;

fn run(
    module: &Module,
    session: CK_SESSION_HANDLE,
    encrypt: bool,
    mut with: CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
    input: &[u8],
) -> Result<Vec<u8>> {
    let (data, size) = (input.as_ptr().cast_mut(), input.len() as CK_ULONG);
    let (mut out, mut length) = (vec![0; input.len() + 64], input.len() as CK_ULONG + 64);
    check(if encrypt {
        call!(module, C_EncryptInit, session, &mut with, key)
    } else {
        call!(module, C_DecryptInit, session, &mut with, key)
    })?;
    check(if encrypt {
        call!(module, C_Encrypt, session, data, size, out.as_mut_ptr(), &mut length)
    } else {
        call!(module, C_Decrypt, session, data, size, out.as_mut_ptr(), &mut length)
    })?;
    out.truncate(length as usize);
    Ok(out)
}

/// The parameter with an IV, for the standard's mechanism or as a mistake.
fn gcm(kind: CK_MECHANISM_TYPE, iv: &[u8]) -> CK_MECHANISM {
    let iv = Box::leak(iv.to_vec().into_boxed_slice());
    with(
        kind,
        CK_GCM_PARAMS {
            pIv: iv.as_mut_ptr(),
            ulIvLen: iv.len() as CK_ULONG,
            ulIvBits: 8 * iv.len() as CK_ULONG,
            pAAD: b"additional".as_ptr().cast_mut(),
            ulAADLen: 10,
            ulTagBits: 128,
        },
    )
}

#[test]
fn gcm_with_the_iv_in_front() {
    let (module, session) = (&fixture().module, fixture().open());
    let key = module.aes(session);
    let plain = vec![5; 20_000];
    let sealed = run(module, session, true, mechanism(CLOUDHSM_AES_GCM), key, &plain).expect("encrypt");
    let again = run(module, session, true, mechanism(CLOUDHSM_AES_GCM), key, &plain).expect("encrypt");
    assert_eq!(sealed.len(), 12 + 20_000 + 16);
    assert_ne!(sealed[..12], again[..12], "each has an IV of its own");
    let standard = gcm(CKM_AES_GCM, &sealed[..12]);
    assert_eq!(run(module, session, false, standard, key, &sealed[12..]), Ok(plain.clone()));
    let opened = run(module, session, false, mechanism(CLOUDHSM_AES_GCM), key, &sealed);
    assert_eq!(opened, Ok(plain));
    for place in [0, 12, sealed.len() - 1] {
        let mut wrong = sealed.clone();
        wrong[place] ^= 1;
        let opened = run(module, session, false, mechanism(CLOUDHSM_AES_GCM), key, &wrong);
        assert_eq!(opened, Err(CKR_ENCRYPTED_DATA_INVALID), "{place}");
    }
    let short = run(module, session, false, mechanism(CLOUDHSM_AES_GCM), key, &sealed[..27]);
    assert_eq!(short, Err(CKR_ENCRYPTED_DATA_LEN_RANGE));
    let own = run(module, session, true, gcm(CLOUDHSM_AES_GCM, &[1; 12]), key, b"data");
    assert_eq!(own, Err(CKR_MECHANISM_PARAM_INVALID), "the token makes the IV");
    check(call!(module, C_CloseSession, session)).expect("close");
}

#[test]
fn key_wraps_are_the_standards() {
    let (module, session) = (&fixture().module, fixture().open());
    let wrapping = module.aes_for(session, &[CKA_WRAP, CKA_UNWRAP]);
    let key = module.aes(session);
    let wrap = |kind| {
        let (mut out, mut length) = (vec![0; 64], 64);
        let mut with = CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 };
        let out_pointer = out.as_mut_ptr();
        check(call!(module, C_WrapKey, session, &mut with, wrapping, key, out_pointer, &mut length))
            .map(|()| out[..length as usize].to_vec())
    };
    assert_eq!(wrap(CLOUDHSM_WRAP_NO_PAD), wrap(CKM_AES_KEY_WRAP));
    assert_eq!(wrap(CLOUDHSM_WRAP_ZERO_PAD), wrap(CKM_AES_KEY_WRAP_KWP));
    assert_ne!(wrap(CLOUDHSM_WRAP_NO_PAD), wrap(CLOUDHSM_WRAP_ZERO_PAD));
    // Its padding of its own is not here.
    assert_eq!(wrap(CKM_VENDOR_DEFINED | 0x210a), Err(CKR_MECHANISM_INVALID));
    check(call!(module, C_CloseSession, session)).expect("close");
}
