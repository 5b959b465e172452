//! The message-based calls of encryption and decryption, with the structures that carry nonce and tag.

use cryptoki_sys::*;
use pkcs11_tests::params::with;
use pkcs11_tests::{Module, Result, call, check, fixture};
use std::ptr::{from_mut, null_mut};

pub const AAD: &[u8] = b"seen by all";

/// The three parameters with their buffers: 12 bytes of nonce, 16 of tag.
pub struct Parts {
    pub kind: CK_MECHANISM_TYPE,
    pub nonce: Vec<u8>,
    pub tag: [u8; 16],
    pub fixed_bits: CK_ULONG,
    pub generator: CK_GENERATOR_FUNCTION,
    /// CCM's.
    pub data: CK_ULONG,
}

impl Parts {
    pub fn new(kind: CK_MECHANISM_TYPE, data: usize) -> Parts {
        let data = data as CK_ULONG;
        Parts { kind, nonce: vec![5; 12], tag: [0; 16], fixed_bits: 0, generator: CKG_NO_GENERATE, data }
    }

    pub fn made(kind: CK_MECHANISM_TYPE, data: usize) -> Parts {
        Parts { generator: CKG_GENERATE, ..Parts::new(kind, data) }
    }

    /// Runs a call with the structure, which is on the stack for as long.
    pub fn run<T>(&mut self, call: impl FnOnce(*mut std::os::raw::c_void, CK_ULONG) -> T) -> T {
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

pub const KINDS: [CK_MECHANISM_TYPE; 3] = [CKM_AES_GCM, CKM_AES_CCM, CKM_CHACHA20_POLY1305];

pub fn key(module: &Module, session: CK_SESSION_HANDLE, kind: CK_MECHANISM_TYPE) -> CK_OBJECT_HANDLE {
    match kind {
        CKM_CHACHA20_POLY1305 => module.generate(session, CKM_CHACHA20_KEY_GEN, &[]).expect("key"),
        _ => module.aes(session),
    }
}

pub fn init(
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

pub fn end(encrypt: bool, session: CK_SESSION_HANDLE) -> Result<()> {
    let module = &fixture().module;
    check(if encrypt {
        call!(module, C_MessageEncryptFinal, session)
    } else {
        call!(module, C_MessageDecryptFinal, session)
    })
}

/// A message at once, into exactly `room` bytes (`None`: a NULL buffer); the length answered, too.
pub fn whole(
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

pub fn begin(encrypt: bool, session: CK_SESSION_HANDLE, parts: &mut Parts) -> Result<()> {
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

pub fn next(
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
pub fn plainly(session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE, parts: &Parts, input: &[u8]) -> Vec<u8> {
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
