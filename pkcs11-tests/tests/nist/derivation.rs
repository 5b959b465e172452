//! SP 800-108's vectors.

use super::file::Vector;
use cryptoki_sys::*;
use pkcs11_tests::derivation::{chain, counter, data, sp800_108};
use pkcs11_tests::keys::{bytes, number, yes};
use pkcs11_tests::{call, check, loosened as fixture};

fn prf(name: &str) -> CK_SP800_108_PRF_TYPE {
    match name {
        "HMAC_SHA1" => CKM_SHA_1_HMAC,
        "HMAC_SHA224" => CKM_SHA224_HMAC,
        "HMAC_SHA256" => CKM_SHA256_HMAC,
        "HMAC_SHA384" => CKM_SHA384_HMAC,
        "HMAC_SHA512" => CKM_SHA512_HMAC,
        name if name.starts_with("CMAC_AES") => CKM_AES_CMAC,
        other => panic!("no such PRF: {other}"),
    }
}

/// The fields as the vector puts them together: where the counter stands, if there is one, and the data.
fn fields(vector: &Vector, mode: CK_MECHANISM_TYPE) -> Vec<CK_PRF_DATA_PARAM> {
    let fixed = |name| data(&vector.bytes(name));
    let says = |name| vector.sections.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let bits = says("RLEN").map(|length| length.trim_end_matches("_BITS").parse().expect("a number"));
    let place = says("CTRLOCATION").unwrap_or("NONE");
    if mode == CKM_SP800_108_COUNTER_KDF {
        let counter = counter(CK_SP800_108_ITERATION_VARIABLE, bits.expect("a counter"));
        return match place {
            "BEFORE_FIXED" => vec![counter, fixed("FixedInputData")],
            "AFTER_FIXED" => vec![fixed("FixedInputData"), counter],
            "MIDDLE_FIXED" => vec![fixed("DataBeforeCtrData"), counter, fixed("DataAfterCtrData")],
            other => panic!("{}: counter {other}", vector.what),
        };
    }
    let (chain, fixed) = (chain(), fixed("FixedInputData"));
    let counter = || counter(CK_SP800_108_COUNTER, bits.expect("a counter"));
    match place {
        "NONE" => vec![chain, fixed],
        "BEFORE_ITER" => vec![counter(), chain, fixed],
        "AFTER_ITER" => vec![chain, counter(), fixed],
        "AFTER_FIXED" => vec![chain, fixed, counter()],
        other => panic!("{}: counter {other}", vector.what),
    }
}

fn derive(vector: &Vector, mode: CK_MECHANISM_TYPE) -> bool {
    let (module, session) = (&fixture().module, fixture().open());
    let name = vector.sections.lines().find_map(|line| line.strip_prefix("PRF=")).expect("a PRF");
    let prf = prf(name);
    let key_type = if prf == CKM_AES_CMAC { CKK_AES } else { CKK_GENERIC_SECRET };
    let base = module.create(
        session,
        &[
            number(CKA_CLASS, CKO_SECRET_KEY),
            number(CKA_KEY_TYPE, key_type),
            bytes(CKA_VALUE, &vector.bytes("KI")),
            yes(CKA_DERIVE),
        ],
    );
    let initial = if vector.has("IV") { vector.bytes("IV") } else { Vec::new() };
    let with = sp800_108(mode, prf, &fields(vector, mode), &initial);
    let length = vector.number("L") as CK_ULONG / 8;
    let derived = module.derived_value(session, with, base.expect("base key"), length);
    assert_eq!(derived, Ok(vector.bytes("KO")), "{}", vector.what);
    check(call!(module, C_CloseSession, session)).expect("close");
    true
}

pub fn counter_mode(vector: &Vector) -> bool {
    derive(vector, CKM_SP800_108_COUNTER_KDF)
}

pub fn feedback_mode(vector: &Vector) -> bool {
    derive(vector, CKM_SP800_108_FEEDBACK_KDF)
}

pub fn double_pipeline_mode(vector: &Vector) -> bool {
    derive(vector, CKM_SP800_108_DOUBLE_PIPELINE_KDF)
}
