//! AES, CMAC, key wrap and digests.

use super::file::Vector;
use cryptoki_sys::*;
use pkcs11_tests::keys::{bytes, number, yes};
use pkcs11_tests::{Result, call, check, loosened as fixture};
use std::ptr::{from_mut, null_mut};

/// A session key from its bytes; destroyed with the session, which is closed after each vector.
fn key(session: CK_SESSION_HANDLE, value: &[u8]) -> CK_OBJECT_HANDLE {
    let usage = [CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP, CKA_SIGN, CKA_VERIFY].map(yes);
    let own = [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_AES), bytes(CKA_VALUE, value)];
    fixture().module.create(session, &[&own[..], &usage].concat()).expect("AES key")
}

fn mechanism<T>(kind: CK_MECHANISM_TYPE, parameter: &mut T) -> CK_MECHANISM {
    let size = size_of::<T>();
    let parameter = if size == 0 { null_mut() } else { from_mut(parameter).cast() };
    CK_MECHANISM { mechanism: kind, pParameter: parameter, ulParameterLen: size as CK_ULONG }
}

/// One-shot encryption or decryption with a session and a key of its own.
fn crypt(encrypt: bool, mut mechanism: CK_MECHANISM, value: &[u8], input: &[u8]) -> Result<Vec<u8>> {
    let (module, session) = (&fixture().module, fixture().open());
    let key = key(session, value);
    let (data, size) = (input.as_ptr().cast_mut(), input.len() as CK_ULONG);
    let (mut out, mut length) = (vec![0; input.len() + 64], input.len() as CK_ULONG + 64);
    let done = if encrypt {
        check(call!(module, C_EncryptInit, session, &mut mechanism, key)).and_then(|()| {
            check(call!(module, C_Encrypt, session, data, size, out.as_mut_ptr(), &mut length))
        })
    } else {
        check(call!(module, C_DecryptInit, session, &mut mechanism, key)).and_then(|()| {
            check(call!(module, C_Decrypt, session, data, size, out.as_mut_ptr(), &mut length))
        })
    };
    check(call!(module, C_CloseSession, session)).expect("close");
    out.truncate(length as usize);
    done.map(|()| out)
}

pub fn block(vector: &Vector) -> bool {
    run_block(vector, if vector.has("IV") { CKM_AES_CBC } else { CKM_AES_ECB })
}

pub fn cfb128(vector: &Vector) -> bool {
    run_block(vector, CKM_AES_CFB128)
}

pub fn cfb8(vector: &Vector) -> bool {
    run_block(vector, CKM_AES_CFB8)
}

pub fn ofb(vector: &Vector) -> bool {
    run_block(vector, CKM_AES_OFB)
}

fn run_block(vector: &Vector, kind: CK_MECHANISM_TYPE) -> bool {
    let (value, plain, sealed) = (vector.bytes("KEY"), vector.bytes("PLAINTEXT"), vector.bytes("CIPHERTEXT"));
    let mut iv: [u8; 16] =
        if vector.has("IV") { vector.bytes("IV").try_into().expect("an IV") } else { [0; 16] };
    let mut run = |encrypt, input: &[u8]| {
        let with = if vector.has("IV") { mechanism(kind, &mut iv) } else { mechanism(kind, &mut ()) };
        crypt(encrypt, with, &value, input)
    };
    assert_eq!(run(true, &plain), Ok(sealed.clone()), "{}", vector.what);
    assert_eq!(run(false, &sealed), Ok(plain), "{}", vector.what);
    true
}

pub fn gcm(vector: &Vector) -> bool {
    let (value, mut iv, mut aad) = (vector.bytes("Key"), vector.bytes("IV"), vector.bytes("AAD"));
    let sealed = [vector.bytes("CT"), vector.bytes("Tag")].concat();
    let mut parameter = CK_GCM_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: iv.len() as CK_ULONG,
        ulIvBits: 8 * iv.len() as CK_ULONG,
        pAAD: aad.as_mut_ptr(),
        ulAADLen: aad.len() as CK_ULONG,
        ulTagBits: vector.section_number("Taglen") as CK_ULONG,
    };
    let opened = crypt(false, mechanism(CKM_AES_GCM, &mut parameter), &value, &sealed);
    if vector.refused {
        assert_eq!(opened, Err(CKR_ENCRYPTED_DATA_INVALID), "{}", vector.what);
        return true;
    }
    let plain = vector.bytes("PT");
    assert_eq!(opened.as_ref(), Ok(&plain), "{}", vector.what);
    let made = crypt(true, mechanism(CKM_AES_GCM, &mut parameter), &value, &plain);
    assert_eq!(made, Ok(sealed), "{}", vector.what);
    true
}

pub fn key_wrap(vector: &Vector) -> bool {
    let kind = if vector.what.contains("KWP_") { CKM_AES_KEY_WRAP_KWP } else { CKM_AES_KEY_WRAP };
    let (value, sealed) = (vector.bytes("K"), vector.bytes("C"));
    let opened = crypt(false, mechanism(kind, &mut ()), &value, &sealed);
    if vector.refused {
        assert!(opened.is_err(), "{}", vector.what);
        return true;
    }
    let plain = vector.bytes("P");
    assert_eq!(opened.as_ref(), Ok(&plain), "{}", vector.what);
    assert_eq!(crypt(true, mechanism(kind, &mut ()), &value, &plain), Ok(sealed), "{}", vector.what);
    true
}

pub fn cmac(vector: &Vector) -> bool {
    let (module, session) = (&fixture().module, fixture().open());
    let (message, mut tag) = (vector.bytes("MESSAGE"), vector.bytes("OUTPUT"));
    let key = key(session, &vector.bytes("KEY"));
    let mut with = mechanism(CKM_AES_CMAC, &mut ());
    let (data, size) = (message.as_ptr().cast_mut(), message.len() as CK_ULONG);
    assert_eq!(call!(module, C_SignInit, session, &mut with, key), CKR_OK);
    let (mut made, mut length) = ([0; 16], 16);
    assert_eq!(call!(module, C_Sign, session, data, size, made.as_mut_ptr(), &mut length), CKR_OK);
    assert_eq!(made[..], tag[..], "{}", vector.what);
    for (flip, expected) in [(0, CKR_OK), (1, CKR_SIGNATURE_INVALID)] {
        tag[7] ^= flip;
        assert_eq!(call!(module, C_VerifyInit, session, &mut with, key), CKR_OK);
        let code = call!(module, C_Verify, session, data, size, tag.as_mut_ptr(), 16);
        assert_eq!(code, expected, "{}", vector.what);
    }
    check(call!(module, C_CloseSession, session)).expect("close");
    true
}

/// The digest that a file of vectors is about, by its name.
fn digest_of(what: &str) -> CK_MECHANISM_TYPE {
    let names = [
        ("SHA512_224", CKM_SHA512_224),
        ("SHA512_256", CKM_SHA512_256),
        ("SHA3_224", CKM_SHA3_224),
        ("SHA3_256", CKM_SHA3_256),
        ("SHA3_384", CKM_SHA3_384),
        ("SHA3_512", CKM_SHA3_512),
        ("SHA1", CKM_SHA_1),
        ("SHA224", CKM_SHA224),
        ("SHA256", CKM_SHA256),
        ("SHA384", CKM_SHA384),
        ("SHA512", CKM_SHA512),
    ];
    let file = what.rsplit('/').next().unwrap_or_default();
    names.iter().find(|(name, _)| file.starts_with(name)).unwrap_or_else(|| panic!("{file}")).1
}

pub fn digest(vector: &Vector) -> bool {
    let (module, session) = (&fixture().module, fixture().open());
    let mut message = vector.bytes("Msg");
    message.truncate(vector.number("Len") / 8);
    let expected = vector.bytes("MD");
    let mut with = mechanism(digest_of(&vector.what), &mut ());
    assert_eq!(call!(module, C_DigestInit, session, &mut with), CKR_OK);
    let (mut made, mut length) = ([0; 64], 64);
    let (data, size) = (message.as_ptr().cast_mut(), message.len() as CK_ULONG);
    assert_eq!(call!(module, C_Digest, session, data, size, made.as_mut_ptr(), &mut length), CKR_OK);
    assert_eq!(made[..length as usize], expected[..], "{}", vector.what);
    check(call!(module, C_CloseSession, session)).expect("close");
    true
}
