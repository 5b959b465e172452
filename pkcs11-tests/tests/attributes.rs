//! Every attribute that the standard gives a class answers a read of that attribute alone, for every
//! class and key type; defaults are the standard's; what is secret is refused.

use cryptoki_sys::*;
use pkcs11_tests::keys::{Attribute, P256, bytes, no, number, yes};
use pkcs11_tests::{call, fixture};

const STORAGE: &[CK_ATTRIBUTE_TYPE] = &[
    CKA_CLASS,
    CKA_TOKEN,
    CKA_PRIVATE,
    CKA_MODIFIABLE,
    CKA_LABEL,
    CKA_COPYABLE,
    CKA_DESTROYABLE,
    CKA_UNIQUE_ID,
];
const KEY: &[CK_ATTRIBUTE_TYPE] = &[
    CKA_KEY_TYPE,
    CKA_ID,
    CKA_START_DATE,
    CKA_END_DATE,
    CKA_DERIVE,
    CKA_LOCAL,
    CKA_KEY_GEN_MECHANISM,
    CKA_ALLOWED_MECHANISMS,
];
const PUBLIC: &[CK_ATTRIBUTE_TYPE] = &[
    CKA_SUBJECT,
    CKA_ENCRYPT,
    CKA_VERIFY,
    CKA_VERIFY_RECOVER,
    CKA_WRAP,
    CKA_TRUSTED,
    CKA_WRAP_TEMPLATE,
    CKA_PUBLIC_KEY_INFO,
];
const PRIVATE: &[CK_ATTRIBUTE_TYPE] = &[
    CKA_SUBJECT,
    CKA_SENSITIVE,
    CKA_DECRYPT,
    CKA_SIGN,
    CKA_SIGN_RECOVER,
    CKA_UNWRAP,
    CKA_EXTRACTABLE,
    CKA_ALWAYS_SENSITIVE,
    CKA_NEVER_EXTRACTABLE,
    CKA_WRAP_WITH_TRUSTED,
    CKA_UNWRAP_TEMPLATE,
    CKA_DERIVE_TEMPLATE,
    CKA_ALWAYS_AUTHENTICATE,
    CKA_PUBLIC_KEY_INFO,
];
const SECRET: &[CK_ATTRIBUTE_TYPE] = &[
    CKA_SENSITIVE,
    CKA_ENCRYPT,
    CKA_DECRYPT,
    CKA_SIGN,
    CKA_VERIFY,
    CKA_WRAP,
    CKA_UNWRAP,
    CKA_EXTRACTABLE,
    CKA_ALWAYS_SENSITIVE,
    CKA_NEVER_EXTRACTABLE,
    CKA_CHECK_VALUE,
    CKA_WRAP_WITH_TRUSTED,
    CKA_TRUSTED,
    CKA_WRAP_TEMPLATE,
    CKA_UNWRAP_TEMPLATE,
    CKA_DERIVE_TEMPLATE,
    CKA_VALUE_LEN,
];
const CERTIFICATE: &[CK_ATTRIBUTE_TYPE] = &[
    CKA_CERTIFICATE_TYPE,
    CKA_TRUSTED,
    CKA_CERTIFICATE_CATEGORY,
    CKA_CHECK_VALUE,
    CKA_START_DATE,
    CKA_END_DATE,
    CKA_PUBLIC_KEY_INFO,
    CKA_SUBJECT,
    CKA_ID,
    CKA_ISSUER,
    CKA_SERIAL_NUMBER,
    CKA_VALUE,
    CKA_URL,
    CKA_HASH_OF_SUBJECT_PUBLIC_KEY,
    CKA_HASH_OF_ISSUER_PUBLIC_KEY,
    CKA_JAVA_MIDP_SECURITY_DOMAIN,
    CKA_NAME_HASH_ALGORITHM,
];

/// Reads each alone: the open ones answer, the hidden ones say that they are secret.
fn answers(
    what: &str,
    object: CK_OBJECT_HANDLE,
    open: &[&[CK_ATTRIBUTE_TYPE]],
    hidden: &[CK_ATTRIBUTE_TYPE],
) {
    let (module, session) = (&fixture().module, fixture().session);
    for kind in open.iter().copied().flatten() {
        let read = module.attribute(session, object, *kind);
        assert!(read.is_ok(), "{what}: {kind:#x}: {read:x?}");
    }
    for kind in hidden {
        assert_eq!(
            module.attribute(session, object, *kind),
            Err(CKR_ATTRIBUTE_SENSITIVE),
            "{what}: {kind:#x}"
        );
    }
    assert_eq!(module.attribute(session, object, 0x7fff_fff0), Err(CKR_ATTRIBUTE_TYPE_INVALID), "{what}");
    assert_eq!(
        module.attribute(session, object, CKA_ID).unwrap_or_default(),
        b"",
        "{what}: nobody gave an ID"
    );
    let unique = module.attribute(session, object, CKA_UNIQUE_ID).expect("CKA_UNIQUE_ID");
    assert!(!unique.is_empty(), "{what}");
    let found = module.find(session, &[bytes(CKA_UNIQUE_ID, &unique)]);
    assert_eq!(found, Ok(vec![object]), "{what} by CKA_UNIQUE_ID");
}

/// A key pair: name, how it is made and from what, attributes of its own, and those that are secret.
type Kind<'a> = (&'a str, CK_MECHANISM_TYPE, Attribute, &'a [CK_ATTRIBUTE_TYPE], &'a [CK_ATTRIBUTE_TYPE]);

#[test]
fn pairs() {
    let (module, session) = (&fixture().module, fixture().session);
    let private_parts =
        [CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2, CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_COEFFICIENT];
    let rsa: &[CK_ATTRIBUTE_TYPE] = &[CKA_MODULUS, CKA_PUBLIC_EXPONENT];
    let ec: &[CK_ATTRIBUTE_TYPE] = &[CKA_EC_PARAMS];
    let of_set: &[CK_ATTRIBUTE_TYPE] = &[CKA_PARAMETER_SET];
    let kinds: [Kind<'_>; 7] = [
        ("RSA", CKM_RSA_PKCS_KEY_PAIR_GEN, number(CKA_MODULUS_BITS, 2048), rsa, &private_parts),
        ("P-256", CKM_EC_KEY_PAIR_GEN, bytes(CKA_EC_PARAMS, P256), ec, &[CKA_VALUE]),
        (
            "secp256k1",
            CKM_EC_KEY_PAIR_GEN,
            bytes(CKA_EC_PARAMS, b"\x06\x05\x2b\x81\x04\x00\x0a"),
            ec,
            &[CKA_VALUE],
        ),
        (
            "Ed25519",
            CKM_EC_EDWARDS_KEY_PAIR_GEN,
            bytes(CKA_EC_PARAMS, b"\x06\x03\x2b\x65\x70"),
            ec,
            &[CKA_VALUE],
        ),
        (
            "ML-DSA",
            CKM_ML_DSA_KEY_PAIR_GEN,
            number(CKA_PARAMETER_SET, CKP_ML_DSA_65),
            of_set,
            &[CKA_VALUE, CKA_SEED],
        ),
        (
            "SLH-DSA",
            CKM_SLH_DSA_KEY_PAIR_GEN,
            number(CKA_PARAMETER_SET, CKP_SLH_DSA_SHA2_128F),
            of_set,
            &[CKA_VALUE],
        ),
        (
            "ML-KEM",
            CKM_ML_KEM_KEY_PAIR_GEN,
            number(CKA_PARAMETER_SET, CKP_ML_KEM_1024),
            of_set,
            &[CKA_VALUE, CKA_SEED],
        ),
    ];
    for (what, kind, public, own, hidden) in kinds {
        let pair = module.generate_pair(session, kind, &[public], &[]).expect(what);
        let extra: &[CK_ATTRIBUTE_TYPE] = match what {
            "RSA" => &[CKA_MODULUS_BITS],
            "ML-DSA" | "SLH-DSA" | "ML-KEM" => &[CKA_VALUE],
            _ => &[CKA_EC_POINT],
        };
        answers(what, pair.public, &[STORAGE, KEY, PUBLIC, own, extra], &[]);
        answers(what, pair.private, &[STORAGE, KEY, PRIVATE, own], hidden);
        let info = |key| module.attribute(session, key, CKA_PUBLIC_KEY_INFO).expect("CKA_PUBLIC_KEY_INFO");
        assert!(info(pair.private).len() > 40 && info(pair.private) == info(pair.public), "{what}");
        let read = |kind| module.attribute(session, pair.private, kind).expect("flag");
        for (kind, expected) in [
            (CKA_LOCAL, 1),
            (CKA_SENSITIVE, 1),
            (CKA_ALWAYS_SENSITIVE, 1),
            (CKA_EXTRACTABLE, 0),
            (CKA_NEVER_EXTRACTABLE, 1),
            (CKA_PRIVATE, 1),
            (CKA_TOKEN, 0),
            (CKA_MODIFIABLE, 1),
            (CKA_COPYABLE, 1),
            (CKA_DESTROYABLE, 1),
            (CKA_ALWAYS_AUTHENTICATE, 0),
            (CKA_WRAP_WITH_TRUSTED, 0),
        ] {
            assert_eq!(read(kind), [expected], "{what}: {kind:#x}");
        }
        assert_eq!(read(CKA_KEY_GEN_MECHANISM), kind.to_ne_bytes(), "{what}");
    }
}

#[test]
fn secret_keys() {
    let (module, session) = (&fixture().module, fixture().session);
    let kinds = [
        (CKK_AES, 16),
        (CKK_AES, 32),
        (CKK_GENERIC_SECRET, 20),
        (CKK_SHA_1_HMAC, 20),
        (CKK_SHA256_HMAC, 32),
        (CKK_SHA384_HMAC, 48),
        (CKK_SHA512_HMAC, 64),
        (CKK_SHA3_256_HMAC, 32),
    ];
    for (kind, length) in kinds {
        let (what, value) = (format!("key type {kind:#x}"), vec![kind as u8 | 1; length]);
        let own = [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, kind), bytes(CKA_VALUE, &value)];
        let key = module.create(session, &own).unwrap_or_else(|e| panic!("{what}: {e:#x}"));
        answers(&what, key, &[STORAGE, KEY, SECRET], &[CKA_VALUE]);
        let read = |kind| module.attribute(session, key, kind).expect("attribute");
        assert_eq!(read(CKA_VALUE_LEN), (length as CK_ULONG).to_ne_bytes(), "{what}");
        for never in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
            assert_eq!(read(never), [0], "{what}: imported: {never:#x}");
        }
        assert_eq!(read(CKA_KEY_GEN_MECHANISM), CK_UNAVAILABLE_INFORMATION.to_ne_bytes(), "{what}");
        let open = [&own[..], &[no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE)]].concat();
        let open = module.create(session, &open).expect("an open key");
        assert_eq!(module.attribute(session, open, CKA_VALUE), Ok(value), "{what}");
    }
}

/// A certificate by OpenSSL, DER.
fn certificate() -> Vec<u8> {
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "/dev/null",
        ])
        .args(["-subj", "/CN=attributes.test", "-days", "9", "-outform", "DER"])
        .env_remove("OPENSSL_CONF")
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

/// Certificates, data objects and profiles; the certificate is read by one who is not logged in.
#[test]
fn certificates_data_and_profiles() {
    let (module, session) = (&fixture().module, fixture().session);
    let der = certificate();
    let own = [
        number(CKA_CLASS, CKO_CERTIFICATE),
        number(CKA_CERTIFICATE_TYPE, CKC_X_509),
        yes(CKA_TOKEN),
        bytes(CKA_VALUE, &der),
    ];
    let made = module.create(session, &own).expect("certificate");
    answers("certificate", made, &[STORAGE, CERTIFICATE], &[]);
    let read = |kind| module.attribute(session, made, kind).expect("attribute");
    assert_eq!((read(CKA_VALUE), read(CKA_PRIVATE)), (der.clone(), vec![0]));
    for part in [CKA_SUBJECT, CKA_ISSUER, CKA_SERIAL_NUMBER, CKA_PUBLIC_KEY_INFO] {
        let part = read(part);
        assert!(
            !part.is_empty() && der.windows(part.len()).any(|window| window == part),
            "read out of the certificate"
        );
    }
    assert_eq!(read(CKA_SUBJECT), read(CKA_ISSUER), "it signed itself");
    let data = [number(CKA_CLASS, CKO_DATA), bytes(CKA_VALUE, b"text")];
    let data = module.create(session, &data).expect("data");
    answers("data", data, &[STORAGE, &[CKA_APPLICATION, CKA_OBJECT_ID, CKA_VALUE]], &[]);
    let profiles = module.find(session, &[number(CKA_CLASS, CKO_PROFILE)]).expect("find");
    assert!(!profiles.is_empty());
    for profile in profiles {
        answers("profile", profile, &[STORAGE, &[CKA_PROFILE_ID]], &[]);
    }
    assert_eq!(call!(module, C_DestroyObject, session, made), CKR_OK);
}
