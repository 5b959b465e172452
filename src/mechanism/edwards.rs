//! Ed25519 (PKCS#11 3.2 §6.3, RFC 8032): CKM_EDDSA pure without a parameter, or with phFlag false and no
//! context; Ed25519ctx with a context, Ed25519ph with phFlag.

use super::import::{ed_private_material, edwards_params, pair};
use super::operation::{Whole, WholeVerify};
use super::{Material, Mechanism, Params, Shape, row};
use crate::crypto::{EdScheme, ed25519};
use crate::error::{Error, Result};
use crate::object::Object;
use cryptoki_sys::*;

const KEYS: &[u64] = &[CKK_EC_EDWARDS];
const SIZES: (u64, u64) = (255, 255);
const SIGNATURE: usize = 64;

fn scheme(params: Params) -> Result<EdScheme> {
    match params {
        Params::None => Ok(EdScheme::Pure),
        Params::Eddsa { prehash: false, context } if context.is_empty() => Ok(EdScheme::Pure),
        Params::Eddsa { context, .. } if context.len() > 255 => Err(Error::MechanismParamInvalid),
        Params::Eddsa { prehash: true, context } => Ok(EdScheme::Prehash(context)),
        // The portable implementation has none, and says so when it signs: too late.
        Params::Eddsa { context, .. } if cfg!(feature = "aws-lc") => Ok(EdScheme::Context(context)),
        _ => Err(Error::MechanismParamInvalid),
    }
}

fn generate_pair(params: Params, public: &Object, _: &Object) -> Result<(Material, Material)> {
    if scheme(params)? != EdScheme::Pure {
        return Err(Error::MechanismParamInvalid);
    }
    edwards_params(public)?;
    Ok(pair(public, ed_private_material(ed25519::PrivateKey::generate()?)?))
}

pub const ROWS: &[Mechanism] = &[
    row!(CKM_EC_EDWARDS_KEY_PAIR_GEN, Shape::None, KEYS, SIZES, true, generate_pair: generate_pair),
    // It generates too: GnuTLS before 3.8 asks for Ed25519 keys by the mechanism that signs.
    row!(CKM_EDDSA, Shape::Eddsa, KEYS, SIZES, true, generate_pair: generate_pair,
    sign: |key, params| {
        let scheme = scheme(params)?;
        key.ed_private()?;
        Ok(Box::new(Whole::new(|_| SIGNATURE, move |data, out| {
            let signature = out.first_chunk_mut().ok_or(Error::GeneralError)?;
            key.ed_private()?.sign_as(&scheme, data, signature)?;
            Ok(SIGNATURE)
        })))
    },
    verify: |key, params| {
        let scheme = scheme(params)?;
        key.ed_public()?;
        Ok(Box::new(WholeVerify::new(move |data, signature| {
            key.ed_public()?.verify_as(&scheme, data, signature)
        })))
    }),
];
