//! SLH-DSA through the C interface: every parameter set, verified by another implementation (`fips205`),
//! NIST's vectors of keys, import, wrapping, the command. Slow without optimisation (ci/suites).

use cryptoki_sys::*;
use fips205::traits::{SerDes, Verifier};
use pkcs11_tests::keys::{Attribute, bytes, no, number, template, yes};
use pkcs11_tests::{Module, Result, call, check, loosened as fixture};
use std::ptr::null_mut;

/// Whether a signature with a context is good under a public key.
type Check = fn(&[u8], &[u8], &[u8], &[u8]) -> bool;

macro_rules! sets {
    ($($set:ident $name:literal $theirs:ident;)+) => {
        /// Parameter set, FIPS 205's name, length of a public key and a signature, the other implementation.
        const SETS: &[(CK_ULONG, &str, usize, usize, Check)] = &[$((
            $set,
            $name,
            fips205::$theirs::PK_LEN,
            fips205::$theirs::SIG_LEN,
            |public, message, signature, context| {
                let public = public.try_into().ok().and_then(|bytes| fips205::$theirs::PublicKey::try_from_bytes(bytes).ok());
                let signature = signature.try_into().ok();
                public.zip(signature).is_some_and(|(public, signature)| public.verify(message, &signature, context))
            },
        )),+];
    };
}

sets! {
    CKP_SLH_DSA_SHA2_128S "SLH-DSA-SHA2-128s" slh_dsa_sha2_128s;
    CKP_SLH_DSA_SHA2_128F "SLH-DSA-SHA2-128f" slh_dsa_sha2_128f;
    CKP_SLH_DSA_SHA2_192S "SLH-DSA-SHA2-192s" slh_dsa_sha2_192s;
    CKP_SLH_DSA_SHA2_192F "SLH-DSA-SHA2-192f" slh_dsa_sha2_192f;
    CKP_SLH_DSA_SHA2_256S "SLH-DSA-SHA2-256s" slh_dsa_sha2_256s;
    CKP_SLH_DSA_SHA2_256F "SLH-DSA-SHA2-256f" slh_dsa_sha2_256f;
    CKP_SLH_DSA_SHAKE_128S "SLH-DSA-SHAKE-128s" slh_dsa_shake_128s;
    CKP_SLH_DSA_SHAKE_128F "SLH-DSA-SHAKE-128f" slh_dsa_shake_128f;
    CKP_SLH_DSA_SHAKE_192S "SLH-DSA-SHAKE-192s" slh_dsa_shake_192s;
    CKP_SLH_DSA_SHAKE_192F "SLH-DSA-SHAKE-192f" slh_dsa_shake_192f;
    CKP_SLH_DSA_SHAKE_256S "SLH-DSA-SHAKE-256s" slh_dsa_shake_256s;
    CKP_SLH_DSA_SHAKE_256F "SLH-DSA-SHAKE-256f" slh_dsa_shake_256f;
}

/// CKM_SLH_DSA with a context, which the caller keeps.
fn mechanism(parameter: &mut CK_SIGN_ADDITIONAL_CONTEXT) -> CK_MECHANISM {
    CK_MECHANISM {
        mechanism: CKM_SLH_DSA,
        pParameter: std::ptr::from_mut(parameter).cast(),
        ulParameterLen: size_of::<CK_SIGN_ADDITIONAL_CONTEXT>() as CK_ULONG,
    }
}

fn context(context: &'static [u8]) -> CK_SIGN_ADDITIONAL_CONTEXT {
    CK_SIGN_ADDITIONAL_CONTEXT {
        hedgeVariant: CKH_HEDGE_PREFERRED,
        pContext: context.as_ptr().cast_mut(),
        ulContextLen: context.len() as CK_ULONG,
    }
}

/// In two parts, after a question for the length.
fn sign(module: &Module, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Result<Vec<u8>> {
    check(call!(module, C_SignInit, session, &mut mechanism(&mut context(b"context")), key))?;
    for part in [&b"a mes"[..], b"sage"] {
        let (data, size) = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
        check(call!(module, C_SignUpdate, session, data, size))?;
    }
    let mut length = 0;
    check(call!(module, C_SignFinal, session, null_mut(), &mut length))?;
    let mut signature = vec![0; length as usize];
    check(call!(module, C_SignFinal, session, signature.as_mut_ptr(), &mut length))?;
    Ok(signature)
}

fn verify(
    module: &Module,
    session: CK_SESSION_HANDLE,
    key: CK_OBJECT_HANDLE,
    text: &'static [u8],
    signature: &[u8],
) -> Result<()> {
    check(call!(module, C_VerifyInit, session, &mut mechanism(&mut context(text)), key))?;
    let (signature, length) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
    let data = b"a message".as_ptr().cast_mut();
    check(call!(module, C_Verify, session, data, 9, signature, length))
}

fn read(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, kind: CK_ATTRIBUTE_TYPE) -> Vec<u8> {
    fixture().module.attribute(session, object, kind).unwrap_or_else(|e| panic!("{kind:#x}: {e:#x}"))
}

const OPEN: fn() -> [Attribute; 2] = || [no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE)];

#[test]
fn every_set_signs_as_others_verify() {
    let (module, session) = (&fixture().module, fixture().open());
    for (set, name, public, signature, good) in SETS {
        let sets = [number(CKA_PARAMETER_SET, *set)];
        let pair = module.generate_pair(session, CKM_SLH_DSA_KEY_PAIR_GEN, &sets, &OPEN()).expect(name);
        let value = read(session, pair.public, CKA_VALUE);
        assert_eq!((value.len(), read(session, pair.private, CKA_VALUE).len()), (*public, 2 * public));
        let mut made = sign(module, session, pair.private).expect(name);
        assert_eq!(made.len(), *signature, "{name}");
        assert!(good(&value, b"a message", &made, b"context"), "{name}");
        assert!(!good(&value, b"a message", &made, b""), "{name}");
        assert_eq!(verify(module, session, pair.public, b"context", &made), Ok(()), "{name}");
        assert_eq!(verify(module, session, pair.public, b"other", &made), Err(CKR_SIGNATURE_INVALID));
        made[1000] ^= 1;
        assert_eq!(verify(module, session, pair.public, b"context", &made), Err(CKR_SIGNATURE_INVALID));
        let short = verify(module, session, pair.public, b"context", &made[1..]);
        assert_eq!(short, Err(CKR_SIGNATURE_LEN_RANGE));
    }
}

#[test]
fn keys_are_those_of_the_published_vectors() {
    let (module, session) = (&fixture().module, fixture().open());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/acvp/slh-dsa.json");
    let text = std::fs::read_to_string(path).expect("vectors");
    let vectors: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let keys = vectors["keyGen"].as_array().expect("keys");
    assert_eq!(keys.len(), 4);
    for vector in keys {
        let field = |name: &str| {
            let digits = vector[name].as_str().expect(name);
            let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex");
            (0..digits.len()).step_by(2).map(byte).collect::<Vec<u8>>()
        };
        let (set, ..) = *SETS.iter().find(|(_, name, ..)| vector["set"] == *name).expect("set");
        let create = |value: &[u8]| {
            let own = [
                number(CKA_CLASS, CKO_PRIVATE_KEY),
                number(CKA_KEY_TYPE, CKK_SLH_DSA),
                number(CKA_PARAMETER_SET, set),
                bytes(CKA_VALUE, value),
            ];
            module.create(session, &[&own[..], &OPEN()].concat())
        };
        let whole = field("sk");
        let seeds = ["skSeed", "skPrf", "pkSeed"].map(field).concat();
        assert_eq!(whole[..seeds.len()], seeds, "as FIPS 205 writes a key");
        // The root, which the token works out from the seeds, must be the vector's.
        let key = create(&whole).expect("private key");
        assert!(read(session, key, CKA_PUBLIC_KEY_INFO).ends_with(&field("pk")));
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut wrong = whole.clone();
            wrong[at] ^= 1;
            assert_eq!(create(&wrong), Err(CKR_ATTRIBUTE_VALUE_INVALID), "{at}");
        }
    }
}

#[test]
fn wrapped_keys_come_back() {
    let (module, session) = (&fixture().module, fixture().open());
    let sets = [number(CKA_PARAMETER_SET, CKP_SLH_DSA_SHAKE_256F)];
    let pair = module.generate_pair(session, CKM_SLH_DSA_KEY_PAIR_GEN, &sets, &OPEN()).expect("pair");
    let (wrapping, mut wrapped, mut length) =
        (module.aes_for(session, &[CKA_WRAP, CKA_UNWRAP]), vec![0; 1000], 1000);
    let mut kwp = CK_MECHANISM { mechanism: CKM_AES_KEY_WRAP_KWP, pParameter: null_mut(), ulParameterLen: 0 };
    let out = wrapped.as_mut_ptr();
    assert_eq!(call!(module, C_WrapKey, session, &mut kwp, wrapping, pair.private, out, &mut length), CKR_OK);
    let own = [number(CKA_CLASS, CKO_PRIVATE_KEY), number(CKA_KEY_TYPE, CKK_SLH_DSA)];
    let attributes = [&own[..], &OPEN()].concat();
    let (mut list, mut back) = (template(&attributes), 0);
    let (count, list, wrapped) = (list.len() as CK_ULONG, list.as_mut_ptr(), wrapped.as_mut_ptr());
    let code =
        call!(module, C_UnwrapKey, session, &mut kwp, wrapping, wrapped, length, list, count, &mut back);
    assert_eq!(code, CKR_OK);
    for kind in [CKA_VALUE, CKA_PARAMETER_SET, CKA_PUBLIC_KEY_INFO] {
        assert_eq!(read(session, back, kind), read(session, pair.private, kind), "{kind:#x}");
    }
}

/// The command makes a pair and signs; the module verifies.
#[test]
fn the_command_has_them() {
    let at = fixture();
    let (module, session) = (&at.module, at.open());
    let (data, signature) = (at.folder().join("slh-data"), at.folder().join("slh-signature"));
    std::fs::write(&data, b"a message").expect("data");
    let strongroom = |words: &[&str]| {
        let done = std::process::Command::new(pkcs11_tests::tool_path())
            .args(words)
            .arg("--config")
            .arg(&at.config)
            .env("STRONGROOM_PASSWORD", std::str::from_utf8(pkcs11_tests::PIN).expect("text"))
            .output()
            .expect("strongroom");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let set = ["--parameter-set", "sha2-128f", "--public-label", "hashes", "--private-label", "hashes"];
    strongroom(&[&["key", "generate-asymmetric-pair", "slh-dsa"][..], &set].concat());
    let (data, out) = (data.to_str().expect("path"), signature.to_str().expect("path"));
    let how = ["-m", "slh-dsa", "--key-label", "hashes", "--context", "context", "--data-path", data];
    strongroom(&[&["crypto", "sign"][..], &how, &["--out", out]].concat());
    let made = std::fs::read(&signature).expect("signature");
    let find = [number(CKA_CLASS, CKO_PUBLIC_KEY), bytes(CKA_LABEL, b"hashes")];
    let public = module.find(session, &find).expect("find")[0];
    assert_eq!(verify(module, session, public, b"context", &made), Ok(()));
}
