//! Keys from keys and from passwords: HKDF (PKCS#11 3.2 §6.62, RFC 5869), SP 800-108 (§6.42), PBKDF2
//! (§6.37, RFC 8018). None of them gives away its base key.

use super::params::{Kdf, KdfField, Prf};
use super::secret::{self, LONGEST};
use super::{Key, Material, Mechanism, Params, Shape, import, row};
use crate::crypto::hash::Hmac;
use crate::crypto::sp800_108::{self, Field, Mode};
use crate::crypto::{Secret, derive};
use crate::error::{Error, Result};
use crate::object::Object;
use cryptoki_sys::*;
use std::sync::Arc;

const SIZES: (u64, u64) = (1, LONGEST);

/// Keys for HMAC: what HKDF and SP 800-108 derive from; AES keys are for the PRF AES-CMAC.
pub(super) const BASES: &[u64] = &[
    CKK_GENERIC_SECRET,
    CKK_HKDF,
    CKK_SHA_1_HMAC,
    CKK_SHA224_HMAC,
    CKK_SHA256_HMAC,
    CKK_SHA384_HMAC,
    CKK_SHA512_HMAC,
    CKK_SHA512_224_HMAC,
    CKK_SHA512_256_HMAC,
    CKK_SHA3_224_HMAC,
    CKK_SHA3_256_HMAC,
    CKK_SHA3_384_HMAC,
    CKK_SHA3_512_HMAC,
    CKK_AES,
];

const HMAC_KEYS: &[u64] = BASES.split_at(BASES.len() - 1).0;

/// Extract alone gives exactly a hash's length; with expand, the length must be said.
fn hkdf(key: &Arc<Key>, params: Params, length: Option<usize>) -> Result<Secret> {
    let Params::Hkdf { extract, expand, hash, salt, info } = params else {
        return Err(Error::MechanismParamInvalid);
    };
    if !extract && !expand {
        return Err(Error::MechanismParamInvalid);
    }
    let keyed = if extract {
        let salt = salt.as_ref().map(|salt| salt.bytes()).transpose()?;
        let extracted = derive::hkdf_extract(hash, salt, key.value());
        if !expand {
            let fits = length.is_none_or(|length| length == extracted.len());
            return if fits { Ok(extracted) } else { Err(Error::KeySizeRange) };
        }
        Hmac::new(hash, &extracted)
    } else {
        key.hmac(hash)
    };
    derive::hkdf_expand(&keyed, &info, length.ok_or(Error::TemplateIncomplete)?)
}

/// The fields of a parameter, as the mode understands them. What the standard makes mandatory must be
/// there, and each number at most once.
fn fields<'a>(kdf: &'a Kdf, counter_mode: bool) -> Result<Vec<Field<'a>>> {
    let one = |field: &'a KdfField| {
        Ok(match field {
            KdfField::Iteration(Some(format)) if counter_mode => Field::Counter(*format),
            KdfField::Iteration(None) if !counter_mode => Field::Chain,
            KdfField::Counter(format) if !counter_mode => Field::Counter(*format),
            KdfField::Length { format, segments } => Field::Length { format: *format, segments: *segments },
            KdfField::Data(input) => Field::Data(input.bytes()?),
            _ => return Err(Error::MechanismParamInvalid),
        })
    };
    let fields = kdf.fields.iter().map(one).collect::<Result<Vec<_>>>()?;
    let count = |is: fn(&KdfField) -> bool| kdf.fields.iter().filter(|field| is(field)).count();
    let iterations = count(|field| matches!(field, KdfField::Iteration(_)));
    let counters = count(|field| matches!(field, KdfField::Counter(_)));
    let lengths = count(|field| matches!(field, KdfField::Length { .. }));
    if iterations == 1 && counters <= 1 && lengths <= 1 {
        Ok(fields)
    } else {
        Err(Error::MechanismParamInvalid)
    }
}

fn sp800_108(
    key: &Arc<Key>,
    params: Params,
    length: Option<usize>,
    mode: fn(&Kdf) -> Mode<'_>,
) -> Result<Secret> {
    let Params::Kdf(kdf) = params else { return Err(Error::MechanismParamInvalid) };
    let aes = key.key_type() == Some(CKK_AES);
    let prf = match kdf.prf {
        Prf::Hmac(hash) if !aes => sp800_108::Prf::Hmac(key.hmac(hash)),
        Prf::AesCmac if aes => sp800_108::Prf::Cmac(key.value()),
        _ => return Err(Error::KeyTypeInconsistent),
    };
    let mode = mode(&kdf);
    let fields = fields(&kdf, matches!(mode, Mode::Counter))?;
    let first = length.ok_or(Error::TemplateIncomplete)?;
    let lengths: Vec<usize> = std::iter::once(first).chain(kdf.lengths.iter().copied()).collect();
    sp800_108::derive(&prf, &mode, &fields, &lengths)
}

fn pbkdf2(params: Params, template: &Object) -> Result<Material> {
    let Params::Pbkdf2 { hash, password, salt, iterations } = params else {
        return Err(Error::MechanismParamInvalid);
    };
    let key_type = template.key_type().ok_or(Error::TemplateIncomplete)?;
    let length = template.number(CKA_VALUE_LEN).ok_or(Error::TemplateIncomplete)?;
    let longest = if key_type == CKK_AES { 32 } else { LONGEST };
    if !(1..=longest).contains(&length) {
        return Err(Error::KeySizeRange);
    }
    let derived = derive::pbkdf2(hash, &password, &salt, iterations, length as usize)?;
    import::secret(key_type, derived).map_err(|_| Error::KeySizeRange)
}

pub const ROWS: &[Mechanism] = &[
    row!(CKM_HKDF_KEY_GEN, Shape::None, &[CKK_HKDF], SIZES, true, generate: |_, template| {
        secret::generate(template, CKK_HKDF, |length| (1..=LONGEST).contains(&length))
    }),
    row!(CKM_HKDF_DERIVE, Shape::Hkdf, HMAC_KEYS, SIZES, true, derive: hkdf),
    row!(CKM_HKDF_DATA, Shape::Hkdf, HMAC_KEYS, SIZES, true, derive_data: hkdf),
    row!(CKM_SP800_108_COUNTER_KDF, Shape::Kdf, BASES, SIZES, true,
        derive: |key, params, length| sp800_108(key, params, length, |_| Mode::Counter)),
    row!(CKM_SP800_108_FEEDBACK_KDF, Shape::FeedbackKdf, BASES, SIZES, true,
        derive: |key, params, length| sp800_108(key, params, length, |kdf| Mode::Feedback(&kdf.initial))),
    row!(CKM_SP800_108_DOUBLE_PIPELINE_KDF, Shape::Kdf, BASES, SIZES, true,
        derive: |key, params, length| sp800_108(key, params, length, |_| Mode::DoublePipeline)),
    row!(CKM_PKCS5_PBKD2, Shape::Pbkdf2, BASES, SIZES, true, generate: pbkdf2),
];
