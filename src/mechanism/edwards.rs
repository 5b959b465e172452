//! Ed25519 (PKCS#11 3.2 §6.3, RFC 8032), pure: CKM_EDDSA without a parameter, or with phFlag false
//! and no context.

use super::import::{ed_private_material, edwards_params, public_half};
use super::operation::{Whole, WholeVerify};
use super::{Material, Mechanism, Params, Shape, row};
use crate::crypto::ed25519;
use crate::error::{Error, Result};
use crate::object::{Object, Value};
use cryptoki_sys::*;

const KEYS: &[u64] = &[CKK_EC_EDWARDS];
const SIZES: (u64, u64) = (255, 255);
const SIGNATURE: usize = 64;

fn pure(params: Params) -> Result<()> {
    match params {
        Params::None => Ok(()),
        Params::Eddsa { prehash: false, context } if context.is_empty() => Ok(()),
        _ => Err(Error::MechanismParamInvalid),
    }
}

fn generate_pair(params: Params, public: &Object, _: &Object) -> Result<(Material, Material)> {
    pure(params)?;
    edwards_params(public)?;
    let mut private = ed_private_material(ed25519::PrivateKey::generate()?)?;
    let public_material = public_half(&private);
    private.push((CKA_EC_PARAMS, Value::Bytes(public.bytes(CKA_EC_PARAMS).to_vec())));
    Ok((public_material, private))
}

pub const ROWS: &[Mechanism] = &[
    row!(CKM_EC_EDWARDS_KEY_PAIR_GEN, Shape::None, KEYS, SIZES, true, generate_pair: generate_pair),
    // It generates too: GnuTLS before 3.8 asks for Ed25519 keys by the mechanism that signs.
    row!(CKM_EDDSA, Shape::Eddsa, KEYS, SIZES, true, generate_pair: generate_pair,
    sign: |key, params| {
        pure(params)?;
        key.ed_private()?;
        Ok(Box::new(Whole::new(|_| SIGNATURE, move |data, out| {
            let signature = out.first_chunk_mut().ok_or(Error::GeneralError)?;
            key.ed_private()?.sign(data, signature)?;
            Ok(SIGNATURE)
        })))
    },
    verify: |key, params| {
        pure(params)?;
        key.ed_public()?;
        Ok(Box::new(WholeVerify::new(move |data, signature| key.ed_public()?.verify(data, signature))))
    }),
];
