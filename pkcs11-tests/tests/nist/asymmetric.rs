//! RSA signatures, ECDSA, public key validation, ECDH.

use super::file::Vector;
use cryptoki_sys::*;
use pkcs11_tests::keys::{Attribute, bytes, no, number, template, yes};
use pkcs11_tests::{Result, call, check, loosened as fixture};
use std::ptr::{from_mut, null_mut};

/// Hash names of the files, with the mechanisms that use them: PKCS#1, PSS, ECDSA.
type Hash = (&'static str, CK_MECHANISM_TYPE, CK_MECHANISM_TYPE, CK_MECHANISM_TYPE, (CK_ULONG, CK_ULONG));

const HASHES: [Hash; 5] = [
    ("SHA1", CKM_SHA1_RSA_PKCS, CKM_SHA1_RSA_PKCS_PSS, CKM_ECDSA_SHA1, (CKM_SHA_1, CKG_MGF1_SHA1)),
    ("SHA224", CKM_SHA224_RSA_PKCS, CKM_SHA224_RSA_PKCS_PSS, CKM_ECDSA_SHA224, (CKM_SHA224, CKG_MGF1_SHA224)),
    ("SHA256", CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS, CKM_ECDSA_SHA256, (CKM_SHA256, CKG_MGF1_SHA256)),
    ("SHA384", CKM_SHA384_RSA_PKCS, CKM_SHA384_RSA_PKCS_PSS, CKM_ECDSA_SHA384, (CKM_SHA384, CKG_MGF1_SHA384)),
    ("SHA512", CKM_SHA512_RSA_PKCS, CKM_SHA512_RSA_PKCS_PSS, CKM_ECDSA_SHA512, (CKM_SHA512, CKG_MGF1_SHA512)),
];

fn hash(name: &str) -> &'static Hash {
    let plain = name.trim().replace('-', "");
    HASHES.iter().find(|hash| hash.0 == plain).unwrap_or_else(|| panic!("no hash {name}"))
}

/// Verifies with a session of its own and an imported public key.
fn verify(public: &[Attribute], with: &mut CK_MECHANISM, data: &[u8], sig: &[u8]) -> Result<()> {
    let (module, session) = (&fixture().module, fixture().open());
    let done = module.create(session, public).and_then(|key| {
        check(call!(module, C_VerifyInit, session, with, key))?;
        let (data, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        check(call!(module, C_Verify, session, data, size, sig.as_ptr().cast_mut(), sig.len() as CK_ULONG))
    });
    check(call!(module, C_CloseSession, session)).expect("close");
    done
}

fn plain(kind: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 }
}

/// Asserts what the vector says of a signature.
fn judge(vector: &Vector, outcome: Result<()>) -> bool {
    if vector.refused {
        let code = outcome.expect_err(&vector.what);
        assert!(
            matches!(code, CKR_SIGNATURE_INVALID | CKR_ATTRIBUTE_VALUE_INVALID),
            "{}: {code:#x}",
            vector.what
        );
    } else {
        assert_eq!(outcome, Ok(()), "{}", vector.what);
    }
    true
}

/// The public key and the signature of a vector.
fn signed(vector: &Vector) -> ([Attribute; 5], Vec<u8>) {
    let modulus = vector.unsigned("n");
    let public = [
        number(CKA_CLASS, CKO_PUBLIC_KEY),
        number(CKA_KEY_TYPE, CKK_RSA),
        bytes(CKA_MODULUS, &modulus),
        bytes(CKA_PUBLIC_EXPONENT, &vector.unsigned("e")),
        yes(CKA_VERIFY),
    ];
    (public, vector.fixed("S", modulus.len()).expect("a signature"))
}

fn rsa(vector: &Vector, mut with: CK_MECHANISM) -> bool {
    let (public, signature) = signed(vector);
    judge(vector, verify(&public, &mut with, &vector.bytes("Msg"), &signature))
}

pub fn rsa_pkcs1(vector: &Vector) -> bool {
    let (_, mechanism, _, _, (digest, _)) = *hash(vector.text("SHAAlg"));
    recovers(vector, digest);
    rsa(vector, plain(mechanism))
}

/// That out of a good signature comes what ends with the hash of the text, and out of a bad one something
/// else, or nothing.
fn recovers(vector: &Vector, digest: CK_MECHANISM_TYPE) {
    let (module, session) = (&fixture().module, fixture().open());
    let (public, signature) = signed(vector);
    let (mut text, mut hash, mut length) = (vector.bytes("Msg"), [0; 64], 64);
    let size = text.len() as CK_ULONG;
    assert_eq!(call!(module, C_DigestInit, session, &mut plain(digest)), CKR_OK);
    assert_eq!(
        call!(module, C_Digest, session, text.as_mut_ptr(), size, hash.as_mut_ptr(), &mut length),
        CKR_OK
    );
    let hash = &hash[..length as usize];
    let key = module.create(session, &public).unwrap_or_else(|code| panic!("{}: {code:#x}", vector.what));
    assert_eq!(call!(module, C_VerifyRecoverInit, session, &mut plain(CKM_RSA_PKCS), key), CKR_OK);
    let (mut data, mut length) = (vec![0; signature.len()], signature.len() as CK_ULONG);
    let (sig, size) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
    let code = call!(module, C_VerifyRecover, session, sig, size, data.as_mut_ptr(), &mut length);
    let good = code == CKR_OK && data[..length as usize].ends_with(hash);
    assert!(matches!(code, CKR_OK | CKR_SIGNATURE_INVALID), "{}: {code:#x}", vector.what);
    assert_eq!(good, !vector.refused, "{}", vector.what);
    check(call!(module, C_CloseSession, session)).expect("close");
}

pub fn rsa_pss(vector: &Vector) -> bool {
    let (_, _, kind, _, (digest, mgf)) = *hash(vector.text("SHAAlg"));
    let salt = vector.bytes("SaltVal").len();
    let mut parameter = CK_RSA_PKCS_PSS_PARAMS { hashAlg: digest, mgf, sLen: salt as CK_ULONG };
    let with = CK_MECHANISM {
        mechanism: kind,
        pParameter: from_mut(&mut parameter).cast(),
        ulParameterLen: size_of::<CK_RSA_PKCS_PSS_PARAMS>() as CK_ULONG,
    };
    rsa(vector, with)
}

/// (CKA_EC_PARAMS, bytes of a coordinate) by the section's name.
fn curve(sections: &str) -> (&'static [u8], usize) {
    let first = sections.lines().next().unwrap_or_default();
    if first.starts_with("P-224") || first.starts_with("EB ") {
        (b"\x06\x05\x2b\x81\x04\x00\x21", 28)
    } else if first.starts_with("P-256") || first.starts_with("EC ") {
        (b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 32)
    } else if first.starts_with("P-384") || first.starts_with("ED ") {
        (b"\x06\x05\x2b\x81\x04\x00\x22", 48)
    } else if first.starts_with("P-521") || first.starts_with("EE ") {
        (b"\x06\x05\x2b\x81\x04\x00\x23", 66)
    } else {
        panic!("no curve {first}")
    }
}

/// An uncompressed point; `None` when a coordinate has too many bytes.
fn point(vector: &Vector, x: &str, y: &str, length: usize) -> Option<Vec<u8>> {
    Some([vec![4], vector.fixed(x, length)?, vector.fixed(y, length)?].concat())
}

/// The DER octet string that CKA_EC_POINT is.
fn octets(content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = if length < 128 { vec![4, length as u8] } else { vec![4, 0x81, length as u8] };
    [head, content.to_vec()].concat()
}

fn ec_public(params: &[u8], point: &[u8]) -> [pkcs11_tests::keys::Attribute; 5] {
    [
        number(CKA_CLASS, CKO_PUBLIC_KEY),
        number(CKA_KEY_TYPE, CKK_EC),
        bytes(CKA_EC_PARAMS, params),
        bytes(CKA_EC_POINT, &octets(point)),
        yes(CKA_VERIFY),
    ]
}

pub fn ecdsa(vector: &Vector) -> bool {
    let (params, length) = curve(&vector.sections);
    let digest = vector.sections.trim().split(',').nth(1).expect("a hash");
    let point = point(vector, "Qx", "Qy", length).expect("a point");
    let (r, s) = (vector.fixed("R", length).expect("r"), vector.fixed("S", length).expect("s"));
    let mut with = plain(hash(digest).3);
    judge(vector, verify(&ec_public(params, &point), &mut with, &vector.bytes("Msg"), &[r, s].concat()))
}

/// A public key off the curve or out of range is not taken.
pub fn public_key(vector: &Vector) -> bool {
    let (params, length) = curve(&vector.sections);
    let (module, session) = (&fixture().module, fixture().open());
    // A coordinate may be too great for its bytes: it is then sent in more.
    let point = point(vector, "Qx", "Qy", length)
        .unwrap_or_else(|| [vec![4], vector.unsigned("Qx"), vector.unsigned("Qy")].concat());
    let made = module.create(session, &ec_public(params, &point)).map(drop);
    let expected = if vector.refused { Err(CKR_ATTRIBUTE_VALUE_INVALID) } else { Ok(()) };
    assert_eq!(made, expected, "{}", vector.what);
    check(call!(module, C_CloseSession, session)).expect("close");
    true
}

fn ec_private(params: &[u8], d: &[u8]) -> [pkcs11_tests::keys::Attribute; 6] {
    [
        number(CKA_CLASS, CKO_PRIVATE_KEY),
        number(CKA_KEY_TYPE, CKK_EC),
        bytes(CKA_EC_PARAMS, params),
        bytes(CKA_VALUE, d),
        yes(CKA_SIGN),
        yes(CKA_DERIVE),
    ]
}

/// The private key signs what the public one of the vector verifies.
pub fn key_pair(vector: &Vector) -> bool {
    let (params, length) = curve(&vector.sections);
    let (module, session) = (&fixture().module, fixture().open());
    let point = point(vector, "Qx", "Qy", length).expect("a point");
    let d = vector.fixed("d", length).expect("d");
    let private =
        module.create(session, &ec_private(params, &d)).unwrap_or_else(|e| panic!("{}: {e:#x}", vector.what));
    let (mut digest, mut signature, mut size) = ([7; 32], [0; 132], 132);
    assert_eq!(call!(module, C_SignInit, session, &mut plain(CKM_ECDSA), private), CKR_OK);
    let code = call!(module, C_Sign, session, digest.as_mut_ptr(), 32, signature.as_mut_ptr(), &mut size);
    assert_eq!(code, CKR_OK, "{}", vector.what);
    let signature = &signature[..size as usize];
    assert_eq!(
        verify(&ec_public(params, &point), &mut plain(CKM_ECDSA), &digest, signature),
        Ok(()),
        "{}",
        vector.what
    );
    check(call!(module, C_CloseSession, session)).expect("close");
    true
}

/// Static unified model, the shared secret alone. The key pair of the IUT may not belong together in a
/// vector: then nothing is to be had here, because the module is given its private part only.
pub fn ecdh(vector: &Vector) -> bool {
    let (params, length) = curve(&vector.sections);
    let (module, session) = (&fixture().module, fixture().open());
    let reason = vector.text("Result");
    let peer = point(vector, "QsCAVSx", "QsCAVSy", length);
    let d = vector.fixed("dsIUT", length).expect("d");
    let outcome = derive(session, params, &d, peer.as_deref().unwrap_or_default());
    check(call!(module, C_CloseSession, session)).expect("close");
    let shared = vector.fixed("Z", length).expect("Z");
    match reason.split(|c: char| !c.is_ascii_digit()).find(|n| !n.is_empty()).expect("a reason") {
        // 13: Z begins with a zero nibble.
        "0" | "13" => assert_eq!(outcome, Ok(shared), "{}", vector.what),
        // The peer's public key is not valid.
        "1" | "2" => assert!(outcome.is_err(), "{}: {outcome:x?}", vector.what),
        // The Z of the vector was changed.
        "8" => assert!(outcome.is_ok_and(|z| z != shared), "{}", vector.what),
        // The IUT's own key is not valid: its public part is none of the module's input.
        "5" | "6" | "7" => return false,
        other => panic!("{}: reason {other}", vector.what),
    }
    true
}

fn derive(session: CK_SESSION_HANDLE, params: &[u8], d: &[u8], peer: &[u8]) -> Result<Vec<u8>> {
    let module = &fixture().module;
    let private = module.create(session, &ec_private(params, d))?;
    let mut peer = peer.to_vec();
    let mut parameter = CK_ECDH1_DERIVE_PARAMS {
        kdf: CKD_NULL,
        ulSharedDataLen: 0,
        pSharedData: null_mut(),
        ulPublicDataLen: peer.len() as CK_ULONG,
        pPublicData: peer.as_mut_ptr(),
    };
    let mut with = CK_MECHANISM {
        mechanism: CKM_ECDH1_DERIVE,
        pParameter: from_mut(&mut parameter).cast(),
        ulParameterLen: size_of::<CK_ECDH1_DERIVE_PARAMS>() as CK_ULONG,
    };
    let attributes = [number(CKA_KEY_TYPE, CKK_GENERIC_SECRET), no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE)];
    let (mut list, mut key) = (template(&attributes), 0);
    check(call!(module, C_DeriveKey, session, &mut with, private, list.as_mut_ptr(), 3, &mut key))?;
    module.attribute(session, key, CKA_VALUE)
}
