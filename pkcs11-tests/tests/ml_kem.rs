//! ML-KEM through the C interface: sizes, shared secrets, refusals, imposed templates, new versions.

use cryptoki_sys::*;
use pkcs11_tests::keys::{Attribute, Pair, bytes, no, number, template, yes};
use pkcs11_tests::{call, fixture};
use std::ptr::null_mut;

fn bare(kind: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 }
}

/// A pair whose private half can be read.
fn open_pair(session: CK_SESSION_HANDLE, kind: CK_MECHANISM_TYPE, set: CK_ULONG) -> Pair {
    let open = [no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE)];
    fixture().module.generate_pair(session, kind, &[number(CKA_PARAMETER_SET, set)], &open).expect("pair")
}

fn read(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, kind: CK_ATTRIBUTE_TYPE) -> Vec<u8> {
    fixture().module.attribute(session, object, kind).unwrap_or_else(|e| panic!("{kind:#x}: {e:#x}"))
}

/// Parameter set, length of its public key, private key and ciphertext.
const ML_KEM: [(CK_ULONG, usize, usize, usize); 3] = [
    (CKP_ML_KEM_512, 800, 1632, 768),
    (CKP_ML_KEM_768, 1184, 2400, 1088),
    (CKP_ML_KEM_1024, 1568, 3168, 1568),
];

fn open() -> Vec<Attribute> {
    vec![no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE)]
}

#[test]
fn shared_secrets() {
    let (module, session) = (&fixture().module, fixture().open());
    let mut info = CK_MECHANISM_INFO::default();
    assert_eq!(call!(module, C_GetMechanismInfo, 0, CKM_ML_KEM, &mut info), CKR_OK);
    assert_eq!((info.ulMinKeySize, info.ulMaxKeySize), (800, 1568));
    assert_eq!(info.flags, CKF_ENCAPSULATE | CKF_DECAPSULATE);
    for (set, public, private, ciphertext_length) in ML_KEM {
        let pair = open_pair(session, CKM_ML_KEM_KEY_PAIR_GEN, set);
        assert_eq!(read(session, pair.public, CKA_VALUE).len(), public);
        assert_eq!(read(session, pair.private, CKA_VALUE).len(), private);
        assert_eq!(read(session, pair.private, CKA_SEED).len(), 64);
        let (ciphertext, key) = module.encapsulate(session, pair.public, &open()).expect("encapsulate");
        assert_eq!(ciphertext.len(), ciphertext_length);
        let aes = [&open()[..], &[number(CKA_KEY_TYPE, CKK_AES), number(CKA_VALUE_LEN, 32)]].concat();
        let back = module.decapsulate(session, pair.private, &aes, &ciphertext).expect("decapsulate");
        assert_eq!(read(session, back, CKA_VALUE), read(session, key, CKA_VALUE));
        assert_eq!(read(session, back, CKA_KEY_TYPE), CKK_AES.to_ne_bytes());
        assert_eq!(read(session, key, CKA_KEY_TYPE), CKK_GENERIC_SECRET.to_ne_bytes());
        for key in [key, back] {
            for never in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
                assert_eq!(read(session, key, never), [0], "{never:#x}");
            }
        }
        // Nothing said: a key that stays.
        let kept = module.decapsulate(session, pair.private, &[], &ciphertext).expect("decapsulate");
        assert_eq!(module.attribute(session, kept, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
        // An altered ciphertext gives another key, and says nothing.
        let mut altered = ciphertext.clone();
        altered[7] ^= 1;
        let other = module.decapsulate(session, pair.private, &open(), &altered).expect("implicit rejection");
        assert_ne!(read(session, other, CKA_VALUE), read(session, key, CKA_VALUE));
        let short = module.decapsulate(session, pair.private, &open(), &ciphertext[1..]);
        assert_eq!(short, Err(CKR_WRAPPED_KEY_LEN_RANGE));
    }
}

#[test]
fn encapsulation_refuses_and_makes_nothing() {
    let (module, session) = (&fixture().module, fixture().open());
    let pair = module.of_set(session, CKM_ML_KEM_KEY_PAIR_GEN, CKP_ML_KEM_768);
    let secrets = || module.find(session, &[number(CKA_CLASS, CKO_SECRET_KEY), bytes(CKA_LABEL, b"made")]);
    let label = [bytes(CKA_LABEL, b"made")];
    let mut list = template(&label);
    let mut encapsulate = |kind, public, out: *mut u8, length: &mut CK_ULONG, key: *mut CK_OBJECT_HANDLE| {
        let (mechanism, start) = (&mut bare(kind), list.as_mut_ptr());
        call!(module, C_EncapsulateKey, session, mechanism, public, start, 1, out, length, key)
    };
    let (mut out, mut length, mut key) = ([0; 2000], 0, 0);
    // A length query, a short buffer and nowhere to write the handle: no key is made.
    assert_eq!(encapsulate(CKM_ML_KEM, pair.public, null_mut(), &mut length, null_mut()), CKR_OK);
    assert_eq!(length, 1088);
    let (start, mut short) = (out.as_mut_ptr(), 1087);
    let code = encapsulate(CKM_ML_KEM, pair.public, start, &mut short, &mut key);
    assert_eq!((code, short), (CKR_BUFFER_TOO_SMALL, 1088));
    assert_eq!(encapsulate(CKM_ML_KEM, pair.public, start, &mut length, null_mut()), CKR_ARGUMENTS_BAD);
    assert_eq!(encapsulate(CKM_ML_DSA, pair.public, start, &mut length, &mut key), CKR_MECHANISM_INVALID);
    assert_eq!(encapsulate(CKM_ML_KEM, 0xffff_0000, start, &mut length, &mut key), CKR_KEY_HANDLE_INVALID);
    assert_eq!(
        encapsulate(CKM_ML_KEM, pair.private, start, &mut length, &mut key),
        CKR_KEY_FUNCTION_NOT_PERMITTED
    );
    assert_eq!(secrets(), Ok(vec![]));
    assert_eq!(encapsulate(CKM_ML_KEM, pair.public, start, &mut length, &mut key), CKR_OK);
    assert_eq!(secrets(), Ok(vec![key]));
    let ciphertext = &out[..1088];
    let from = |attributes: &[Attribute]| module.decapsulate(session, pair.private, attributes, ciphertext);
    assert!(from(&[]).is_ok());
    assert_eq!(from(&[number(CKA_VALUE_LEN, 16)]), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    assert_eq!(from(&[bytes(CKA_VALUE, &[1; 32])]), Err(CKR_TEMPLATE_INCONSISTENT));
    assert_eq!(from(&[number(CKA_CLASS, CKO_PRIVATE_KEY)]), Err(CKR_TEMPLATE_INCONSISTENT));
    let wrong = module.decapsulate(session, 0xffff_0000, &[], ciphertext);
    assert_eq!(wrong, Err(CKR_UNWRAPPING_KEY_HANDLE_INVALID));
    let not_for = module.generate_pair(
        session,
        CKM_ML_KEM_KEY_PAIR_GEN,
        &[number(CKA_PARAMETER_SET, CKP_ML_KEM_768), no(CKA_ENCAPSULATE)],
        &[no(CKA_DECAPSULATE)],
    );
    let not_for = not_for.expect("a pair for nothing");
    assert_eq!(module.encapsulate(session, not_for.public, &[]).err(), Some(CKR_KEY_FUNCTION_NOT_PERMITTED));
    let refused = module.decapsulate(session, not_for.private, &[], ciphertext);
    assert_eq!(refused, Err(CKR_KEY_FUNCTION_NOT_PERMITTED));
}

#[test]
fn templates_are_imposed() {
    let (module, session) = (&fixture().module, fixture().open());
    let inner = [bytes(CKA_LABEL, b"imposed"), no(CKA_DERIVE)];
    let nested = |kind| {
        let list: &'static mut [CK_ATTRIBUTE] = template(&inner).leak();
        CK_ATTRIBUTE {
            type_: kind,
            pValue: list.as_mut_ptr().cast(),
            ulValueLen: size_of_val(list) as CK_ULONG,
        }
    };
    let set = [number(CKA_PARAMETER_SET, CKP_ML_KEM_512)];
    let mut public = template(&set);
    public.push(nested(CKA_ENCAPSULATE_TEMPLATE));
    let mut private = vec![nested(CKA_DECAPSULATE_TEMPLATE)];
    let mut pair = Pair { public: 0, private: 0 };
    let code = call!(
        module,
        C_GenerateKeyPair,
        session,
        &mut bare(CKM_ML_KEM_KEY_PAIR_GEN),
        public.as_mut_ptr(),
        2,
        private.as_mut_ptr(),
        1,
        &mut pair.public,
        &mut pair.private
    );
    assert_eq!(code, CKR_OK);
    let (ciphertext, key) = module.encapsulate(session, pair.public, &[]).expect("encapsulate");
    let back =
        module.decapsulate(session, pair.private, &[no(CKA_DERIVE)], &ciphertext).expect("decapsulate");
    for key in [key, back] {
        assert_eq!(read(session, key, CKA_LABEL), b"imposed");
    }
    let against = [yes(CKA_DERIVE)];
    assert_eq!(module.encapsulate(session, pair.public, &against).err(), Some(CKR_KEY_HANDLE_INVALID));
    let refused = module.decapsulate(session, pair.private, &against, &ciphertext);
    assert_eq!(refused, Err(CKR_TEMPLATE_INCONSISTENT));
}

/// `strongroom` makes a new version of a pair; the replaced one still opens, and makes nothing new.
#[test]
fn a_pair_gets_a_new_version() {
    let at = fixture();
    let (module, session) = (&at.module, at.open());
    let label = bytes(CKA_LABEL, b"rotating");
    let public = [number(CKA_PARAMETER_SET, CKP_ML_KEM_768), yes(CKA_TOKEN), label.clone()];
    let private = [yes(CKA_TOKEN), label.clone()];
    let old = module.generate_pair(session, CKM_ML_KEM_KEY_PAIR_GEN, &public, &private).expect("pair");
    let (ciphertext, key) = module.encapsulate(session, old.public, &open()).expect("encapsulate");
    let done = std::process::Command::new(pkcs11_tests::tool_path())
        .args(["key", "rotate", "rotating", "--config"])
        .arg(&at.config)
        .env("STRONGROOM_PASSWORD", std::str::from_utf8(pkcs11_tests::PIN).expect("text"))
        .output()
        .expect("strongroom");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let back = module.decapsulate(session, old.private, &open(), &ciphertext).expect("decapsulate");
    assert_eq!(read(session, back, CKA_VALUE), read(session, key, CKA_VALUE));
    assert_eq!(module.encapsulate(session, old.public, &[]).err(), Some(CKR_KEY_FUNCTION_NOT_PERMITTED));
    let new = |class| module.find(session, &[number(CKA_CLASS, class), label.clone()]).expect("find")[0];
    let (ciphertext, key) =
        module.encapsulate(session, new(CKO_PUBLIC_KEY), &open()).expect("encapsulate with the new one");
    let back = module.decapsulate(session, new(CKO_PRIVATE_KEY), &open(), &ciphertext).expect("decapsulate");
    assert_eq!(read(session, back, CKA_VALUE), read(session, key, CKA_VALUE));
    assert_ne!(read(session, new(CKO_PRIVATE_KEY), CKA_ID), b"");
}
