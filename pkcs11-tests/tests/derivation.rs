//! Derivation's own rules: what the new keys inherit, several keys from one call, keys as inputs,
//! parameters that are wrong, and what a base key's owner can forbid. On a loosened token, which lets values be read
//! that others would hide.

use cryptoki_sys::*;
use pkcs11_tests::derivation::{HKDF, chain, counter, data, field, kdf, sp800_108};
use pkcs11_tests::keys::{Attribute, bytes, no, number, template, yes};
use pkcs11_tests::params::{mechanism, with};
use pkcs11_tests::{Fixture, Module, Result, call, check, loosened as fixture};
use std::ptr::null_mut;

const SP800_108: [CK_MECHANISM_TYPE; 3] =
    [CKM_SP800_108_COUNTER_KDF, CKM_SP800_108_FEEDBACK_KDF, CKM_SP800_108_DOUBLE_PIPELINE_KDF];

fn at() -> (&'static Fixture, &'static Module, CK_SESSION_HANDLE) {
    let fixture = fixture();
    (fixture, &fixture.module, fixture.open())
}

/// A key of known value to derive from.
fn base(session: CK_SESSION_HANDLE, more: &[Attribute]) -> CK_OBJECT_HANDLE {
    let known = [
        number(CKA_CLASS, CKO_SECRET_KEY),
        number(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        bytes(CKA_VALUE, &[7; 32]),
        yes(CKA_DERIVE),
    ];
    fixture().module.create(session, &[&known[..], more].concat()).expect("base key")
}

const LENGTH: CK_ULONG = 32;

fn flags(module: &Module, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> [bool; 4] {
    [CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE]
        .map(|kind| module.attribute(session, key, kind) == Ok(vec![CK_TRUE]))
}

/// §6.42 and §6.62: flags may be chosen; left out, SP 800-108's keys are as their base key and HKDF's as
/// new keys are; what was always and never so can only be handed on.
#[test]
fn what_keys_inherit() {
    let (_, module, session) = at();
    let length = number(CKA_VALUE_LEN, LENGTH);
    let made = |attributes: &[Attribute]| {
        let all = [attributes, &[length.clone(), yes(CKA_DERIVE)]].concat();
        module.generate(session, CKM_GENERIC_SECRET_KEY_GEN, &all).expect("base key")
    };
    let closed = made(&[yes(CKA_SENSITIVE), no(CKA_EXTRACTABLE)]);
    let open = made(&[no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE)]);
    let loose = [no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE)];
    for kind in SP800_108.into_iter().chain([CKM_HKDF_DERIVE]) {
        let derive = |base, more: &[Attribute]| {
            let key = module.derive(
                session,
                mechanism(kind),
                base,
                &[more, std::slice::from_ref(&length)].concat(),
            );
            flags(module, session, key.expect("derive"))
        };
        assert_eq!(derive(closed, &[]), [true, false, true, true], "{kind:#x}");
        assert_eq!(derive(closed, &loose), [false, true, false, false], "{kind:#x}");
        let from_open = if kind == CKM_HKDF_DERIVE { [true, false] } else { [false, true] };
        assert_eq!(derive(open, &[])[..2], from_open, "{kind:#x}");
        assert_eq!(derive(open, &[])[2..], [false, false], "{kind:#x}");
        assert_eq!(derive(open, &[yes(CKA_SENSITIVE), no(CKA_EXTRACTABLE)]), [true, false, false, false]);
    }
}

/// CKA_DERIVE_TEMPLATE is the owner's word on what may come of his key: whoever may derive cannot ask
/// for less, cannot ask for a shorter key to guess it byte by byte, and cannot have data instead.
#[test]
fn an_owner_can_keep_derived_keys_closed() {
    let (_, module, session) = at();
    let imposed = [yes(CKA_SENSITIVE), no(CKA_EXTRACTABLE), number(CKA_VALUE_LEN, LENGTH)];
    let inner = template(&imposed);
    // SAFETY: an attribute is plain data.
    let raw = unsafe { std::slice::from_raw_parts(inner.as_ptr().cast(), size_of_val(&inner[..])) };
    let key = base(session, &[bytes(CKA_DERIVE_TEMPLATE, raw)]);
    for kind in SP800_108.into_iter().chain([CKM_HKDF_DERIVE]) {
        let derive = |more: &[Attribute]| module.derive(session, mechanism(kind), key, more);
        let derived = derive(&[]).expect("as the template says");
        assert_eq!(flags(module, session, derived)[..2], [true, false], "{kind:#x}");
        for loose in [no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE), number(CKA_VALUE_LEN, 1)] {
            assert_eq!(derive(&[loose]), Err(CKR_TEMPLATE_INCONSISTENT), "{kind:#x}");
        }
    }
    let data = module.derive(session, mechanism(CKM_HKDF_DATA), key, &[]);
    assert_eq!(data, Err(CKR_TEMPLATE_INCONSISTENT));
    let listed = [CKM_HKDF_DERIVE].map(CK_ULONG::to_ne_bytes).concat();
    let only = base(session, &[bytes(CKA_ALLOWED_MECHANISMS, &listed)]);
    let length = [number(CKA_VALUE_LEN, LENGTH)];
    assert_eq!(module.derive(session, mechanism(CKM_HKDF_DATA), only, &length), Err(CKR_MECHANISM_INVALID));
}

#[test]
fn derived_data_is_as_private_as_its_key() {
    let (_, module, session) = at();
    let length = number(CKA_VALUE_LEN, LENGTH);
    for private in [CK_TRUE, CK_FALSE] {
        let key = base(session, &[bytes(CKA_PRIVATE, &[private])]);
        let data = module
            .derive(session, mechanism(CKM_HKDF_DATA), key, std::slice::from_ref(&length))
            .expect("data");
        assert_eq!(module.attribute(session, data, CKA_PRIVATE), Ok(vec![private]));
        let label = bytes(CKA_LABEL, b"nonce");
        let named = module.derive(session, mechanism(CKM_HKDF_DATA), key, &[label, length.clone()]);
        assert_eq!(module.attribute(session, named.expect("data"), CKA_LABEL), Ok(b"nonce".to_vec()));
    }
}

/// HKDF's salt as bytes and as a key are one; a key must be one that may derive.
#[test]
fn keys_as_inputs() {
    let (_, module, session) = at();
    let (key, salt) = (base(session, &[]), [9u8; 20]);
    let hkdf =
        |params: CK_HKDF_PARAMS| module.derived_value(session, with(CKM_HKDF_DERIVE, params), key, LENGTH);
    let by_bytes = CK_HKDF_PARAMS {
        ulSaltType: CKF_HKDF_SALT_DATA,
        pSalt: Box::leak(Box::new(salt)).as_mut_ptr(),
        ulSaltLen: salt.len() as CK_ULONG,
        ..HKDF
    };
    let salt_key = |usable: Attribute| {
        let attributes = [
            number(CKA_CLASS, CKO_SECRET_KEY),
            number(CKA_KEY_TYPE, CKK_HKDF),
            bytes(CKA_VALUE, &salt),
            usable,
        ];
        module.create(session, &attributes).expect("salt key")
    };
    let by_key = |key| CK_HKDF_PARAMS { ulSaltType: CKF_HKDF_SALT_KEY, hSaltKey: key, ..HKDF };
    let derived = hkdf(by_bytes).expect("derive");
    assert_eq!(hkdf(by_key(salt_key(yes(CKA_DERIVE)))), Ok(derived.clone()));
    assert_ne!(hkdf(HKDF), Ok(derived));
    assert_eq!(hkdf(by_key(salt_key(no(CKA_DERIVE)))), Err(CKR_KEY_FUNCTION_NOT_PERMITTED));
    assert_eq!(hkdf(by_key(0xffff)), Err(CKR_KEY_HANDLE_INVALID));
    assert_eq!(hkdf(by_key(module.aes(session))), Err(CKR_KEY_TYPE_INCONSISTENT));

    let input = |handle: CK_OBJECT_HANDLE| {
        let fields = [chain(), field(CK_SP800_108_KEY_HANDLE, handle)];
        let with = sp800_108(CKM_SP800_108_FEEDBACK_KDF, CKM_SHA256_HMAC, &fields, b"");
        module.derived_value(session, with, key, LENGTH)
    };
    let plain = [chain(), data(&salt)];
    let with = sp800_108(CKM_SP800_108_FEEDBACK_KDF, CKM_SHA256_HMAC, &plain, b"");
    assert_eq!(input(salt_key(yes(CKA_DERIVE))), module.derived_value(session, with, key, LENGTH));
    assert_eq!(input(0xffff), Err(CKR_KEY_HANDLE_INVALID));
}

/// A counter-mode derivation of a first key and more of these templates; the handles.
fn several(
    session: CK_SESSION_HANDLE,
    first: &[Attribute],
    more: &[Vec<Attribute>],
    handles: &mut [CK_OBJECT_HANDLE],
) -> Result<CK_OBJECT_HANDLE> {
    let mut lists: Vec<_> = more.iter().map(|one| template(one)).collect();
    let places = lists.iter_mut().zip(handles.iter_mut());
    let one = |(list, handle): (&mut Vec<CK_ATTRIBUTE>, &mut CK_OBJECT_HANDLE)| CK_DERIVED_KEY {
        pTemplate: list.as_mut_ptr(),
        ulAttributeCount: list.len() as CK_ULONG,
        phKey: handle,
    };
    let mut keys: Vec<_> = places.map(one).collect();
    let mut fields = [counter(CK_SP800_108_ITERATION_VARIABLE, 8), data(b"label")];
    let params = CK_SP800_108_KDF_PARAMS {
        prfType: CKM_SHA256_HMAC,
        ulNumberOfDataParams: 2,
        pDataParams: fields.as_mut_ptr(),
        ulAdditionalDerivedKeys: keys.len() as CK_ULONG,
        pAdditionalDerivedKeys: keys.as_mut_ptr(),
    };
    // The parameter lives on, its lists for the call.
    let with = with(CKM_SP800_108_COUNTER_KDF, params);
    fixture().module.derive(session, with, base(session, &[]), first)
}

fn readable(length: CK_ULONG) -> Vec<Attribute> {
    vec![number(CKA_VALUE_LEN, length), no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE)]
}

/// One call, several keys, each from segments of its own; all or none, and the one at fault is named.
#[test]
fn several_keys_from_one_call() {
    let (_, module, session) = at();
    let mut handles = [0; 2];
    let more = [readable(16), readable(48)];
    let first = several(session, &readable(48), &more, &mut handles).expect("three keys");
    let value = |key| module.attribute(session, key, CKA_VALUE).expect("value");
    // The same in one piece: segments of 32 bytes.
    let fields = [counter(CK_SP800_108_ITERATION_VARIABLE, 8), data(b"label")];
    let with = sp800_108(CKM_SP800_108_COUNTER_KDF, CKM_SHA256_HMAC, &fields, b"");
    let stream = module.derived_value(session, with, base(session, &[]), 160).expect("derive");
    assert_eq!(value(first), stream[..48]);
    assert_eq!(value(handles[0]), stream[64..80]);
    assert_eq!(value(handles[1]), stream[96..144]);

    let named = bytes(CKA_LABEL, b"all or none");
    let label = |wrong: Attribute| [readable(16), vec![wrong]].concat();
    for (wrong, code) in [
        (label(yes(CKA_LOCAL)), CKR_ATTRIBUTE_READ_ONLY),
        (label(number(CKA_KEY_TYPE, CKK_RSA)), CKR_ATTRIBUTE_VALUE_INVALID),
        (vec![no(CKA_SENSITIVE)], CKR_TEMPLATE_INCOMPLETE),
        ([readable(17), vec![number(CKA_KEY_TYPE, CKK_AES)]].concat(), CKR_ATTRIBUTE_VALUE_INVALID),
    ] {
        let first = [readable(48), vec![named.clone()]].concat();
        let mut handles = [77, 77];
        let made = several(session, &first, &[readable(16), wrong], &mut handles);
        assert_eq!((made, handles), (Err(code), [77, 0]), "{code:#x}");
    }
    assert_eq!(module.find(session, &[named]), Ok(vec![]));
}

/// What a parameter must have and may not have.
#[test]
fn wrong_parameters() {
    let (_, module, session) = at();
    let key = base(session, &[]);
    let refused = |with: CK_MECHANISM, why: &str| {
        let made = module.derived_value(session, with, key, LENGTH);
        assert_eq!(made, Err(CKR_MECHANISM_PARAM_INVALID), "{why}");
    };
    let iteration = || counter(CK_SP800_108_ITERATION_VARIABLE, 32);
    let length = |method, bits| {
        let format =
            CK_SP800_108_DKM_LENGTH_FORMAT { dkmLengthMethod: method, bLittleEndian: 0, ulWidthInBits: bits };
        field(CK_SP800_108_DKM_LENGTH, format)
    };
    let keys = CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS;
    let counted = |prf, fields: &[CK_PRF_DATA_PARAM]| sp800_108(CKM_SP800_108_COUNTER_KDF, prf, fields, b"");
    let sha = CKM_SHA256_HMAC;
    refused(counted(sha, &[data(b"x")]), "no iteration variable");
    refused(counted(sha, &[iteration(), iteration()]), "two of them");
    refused(counted(sha, &[chain()]), "one without a format");
    refused(counted(sha, &[iteration(), counter(CK_SP800_108_COUNTER, 8)]), "a second counter");
    refused(counted(sha, &[counter(CK_SP800_108_ITERATION_VARIABLE, 12)]), "half a byte");
    refused(counted(sha, &[counter(CK_SP800_108_ITERATION_VARIABLE, 0)]), "no byte");
    refused(counted(sha, &[counter(CK_SP800_108_ITERATION_VARIABLE, CK_ULONG::MAX)]), "an absurd width");
    refused(counted(sha, &[iteration(), length(3, 32)]), "an unknown way to count");
    refused(counted(sha, &[iteration(), length(keys, 72)]), "a length too wide");
    refused(counted(sha, &[iteration(), length(keys, 32), length(keys, 32)]), "two lengths");
    refused(counted(CKM_SHA256, &[iteration()]), "a hash for a PRF");
    refused(counted(sha, &[iteration(), field(99, 0u8)]), "an unknown field");
    let null = CK_PRF_DATA_PARAM { type_: CK_SP800_108_BYTE_ARRAY, pValue: null_mut(), ulValueLen: 5 };
    refused(counted(sha, &[iteration(), null]), "bytes at NULL");
    let bare = CK_SP800_108_KDF_PARAMS { prfType: sha, ..Default::default() };
    let many = CK_SP800_108_KDF_PARAMS { ulNumberOfDataParams: 5, ..bare };
    refused(with(CKM_SP800_108_COUNTER_KDF, many), "fields at NULL");
    let keys_at_null = CK_SP800_108_KDF_PARAMS { ulAdditionalDerivedKeys: CK_ULONG::MAX, ..bare };
    refused(with(CKM_SP800_108_COUNTER_KDF, keys_at_null), "keys at NULL");
    for kind in [CKM_SP800_108_FEEDBACK_KDF, CKM_SP800_108_DOUBLE_PIPELINE_KDF] {
        refused(sp800_108(kind, sha, &[iteration()], b""), "a counter for a chain");
        let two = counter(CK_SP800_108_COUNTER, 8);
        refused(sp800_108(kind, sha, &[chain(), two, two], b""), "two counters");
    }
    // A counter or a length that does not fit its field, and the PRF of another kind of key.
    let derive = |with, length| module.derived_value(session, with, key, length);
    let narrow = counted(sha, &[counter(CK_SP800_108_ITERATION_VARIABLE, 8)]);
    assert!(derive(narrow, 255 * 32).is_ok());
    assert_eq!(derive(narrow, 255 * 32 + 1), Err(CKR_KEY_SIZE_RANGE));
    assert_eq!(derive(counted(sha, &[iteration(), length(keys, 8)]), 32), Err(CKR_KEY_SIZE_RANGE));
    assert_eq!(derive(counted(CKM_AES_CMAC, &[iteration()]), 32), Err(CKR_KEY_TYPE_INCONSISTENT));

    let hkdf = |params| with(CKM_HKDF_DERIVE, params);
    refused(hkdf(CK_HKDF_PARAMS { bExtract: 0, bExpand: 0, ..HKDF }), "neither half");
    refused(hkdf(CK_HKDF_PARAMS { prfHashMechanism: CKM_SHA256_HMAC, ..HKDF }), "no hash");
    refused(hkdf(CK_HKDF_PARAMS { ulSaltType: 3, ..HKDF }), "an unknown salt");
    refused(hkdf(CK_HKDF_PARAMS { ulInfoLen: 5, ..HKDF }), "info at NULL");
    refused(hkdf(CK_HKDF_PARAMS { ulInfoLen: CK_ULONG::MAX, ..HKDF }), "absurd info");
    assert_eq!(derive(hkdf(HKDF), 255 * 32 + 1), Err(CKR_KEY_SIZE_RANGE));
    let extract = CK_HKDF_PARAMS { bExpand: 0, ..HKDF };
    assert_eq!(derive(hkdf(extract), 16), Err(CKR_KEY_SIZE_RANGE));
    assert!(derive(hkdf(extract), 32).is_ok());
}

/// Both structures of PBKDF2 say the same; RFC 8018's PRFs only.
#[test]
fn passwords() {
    let (_, module, session) = at();
    let make = |with| {
        let attributes = [number(CKA_KEY_TYPE, CKK_GENERIC_SECRET), number(CKA_VALUE_LEN, 20)];
        let key = module.generate_with(session, with, &[&attributes[..], &readable(20)[1..]].concat())?;
        module.attribute(session, key, CKA_VALUE)
    };
    let newer = kdf(CKM_PKCS5_PBKD2, b"password");
    // SAFETY: the parameter that `kdf` made.
    let params = unsafe { *newer.pParameter.cast::<CK_PKCS5_PBKD2_PARAMS2>() };
    let length: &'static mut CK_ULONG = Box::leak(Box::new(8));
    let older = CK_PKCS5_PBKD2_PARAMS2 { ulPasswordLen: std::ptr::from_mut(length) as CK_ULONG, ..params };
    let derived = make(newer).expect("a key");
    assert_eq!(make(with(CKM_PKCS5_PBKD2, older)), Ok(derived));
    // RFC 6070, the second vector.
    let sha1 = CK_PKCS5_PBKD2_PARAMS2 { prf: CKP_PKCS5_PBKD2_HMAC_SHA1, iterations: 2, ..params };
    let expected = b"\xea\x6c\x01\x4d\xc7\x2d\x6f\x8c\xcd\x1e\xd9\x2a\xce\x1d\x41\xf0\xd8\xde\x89\x57";
    assert_eq!(make(with(CKM_PKCS5_PBKD2, sha1)), Ok(expected.to_vec()));
    for wrong in [
        CK_PKCS5_PBKD2_PARAMS2 { iterations: 0, ..params },
        CK_PKCS5_PBKD2_PARAMS2 { iterations: 1 << 32, ..params },
        CK_PKCS5_PBKD2_PARAMS2 { saltSource: 2, ..params },
        CK_PKCS5_PBKD2_PARAMS2 { prf: CKP_PKCS5_PBKD2_HMAC_GOSTR3411, ..params },
        CK_PKCS5_PBKD2_PARAMS2 { ulPrfDataLen: 1, ..params },
        CK_PKCS5_PBKD2_PARAMS2 { pPassword: null_mut(), ..params },
        CK_PKCS5_PBKD2_PARAMS2 { ulSaltSourceDataLen: CK_ULONG::MAX, ..params },
    ] {
        assert_eq!(make(with(CKM_PKCS5_PBKD2, wrong)), Err(CKR_MECHANISM_PARAM_INVALID));
    }
    check(call!(module, C_CloseSession, session)).expect("close");
}
