//! Triple DES (PKCS#11 3.2 §6.16), where the switch `triple_des` is on. It wraps no keys.

use super::blocks::{BlockMode, Blocks};
use super::operation::MacVerify;
use super::{Key, Mechanism, Params, Shape, Transform, import, row};
use crate::config::Switch;
use crate::crypto::triple_des::{self, BLOCK, BlockCipher, Cmac};
use crate::crypto::{Direction, Mode};
use crate::error::{Error, Result};
use cryptoki_sys::*;

const KEYS: &[u64] = &[CKK_DES3];
const SIZES: (u64, u64) = (24, 24);

impl BlockMode<BLOCK> for BlockCipher {
    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<()> {
        BlockCipher::update(self, input, out)
    }
}

fn blocks(
    key: &Key,
    params: Params,
    mode: Mode,
    direction: Direction,
    padding: bool,
) -> Result<Box<dyn Transform>> {
    let iv = match params {
        Params::Iv(iv) => iv,
        Params::None => Vec::new(),
        _ => return Err(Error::MechanismParamInvalid),
    };
    Ok(Blocks::start(BlockCipher::new(mode, direction, key.value(), &iv)?, direction, padding))
}

struct Mac {
    state: Cmac,
    length: usize,
}

impl Transform for Mac {
    fn update(&mut self, input: &[u8], _: &mut [u8]) -> Result<usize> {
        self.state.update(input);
        Ok(0)
    }
    fn finish_length(&self) -> usize {
        self.length
    }
    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        out[..self.length].copy_from_slice(&self.state.finish()[..self.length]);
        Ok(self.length)
    }
}

/// `cut`: the length comes as a parameter.
fn cmac(key: &Key, params: &Params, cut: bool) -> Result<Box<dyn Transform>> {
    let length = match params {
        Params::None if !cut => BLOCK,
        Params::MacLength(length) if cut && (1..=BLOCK).contains(length) => *length,
        _ => return Err(Error::MechanismParamInvalid),
    };
    Ok(Box::new(Mac { state: Cmac::new(key.value())?, length }))
}

macro_rules! of_switch {
    ($id:ident, $shape:expr $(, $field:ident: $function:expr)+) => {
        row!($id, $shape, KEYS, SIZES, false, needs: Switch::TripleDes $(, $field: $function)+)
    };
}

pub const ROWS: &[Mechanism] = &[
    of_switch!(CKM_DES3_KEY_GEN, Shape::None, generate: |_, _| import::secret(CKK_DES3, triple_des::generate()?)),
    of_switch!(CKM_DES3_ECB, Shape::None,
        cipher: |key, params, direction| blocks(&key, params, Mode::Ecb, direction, false)),
    of_switch!(CKM_DES3_CBC, Shape::Iv(BLOCK),
        cipher: |key, params, direction| blocks(&key, params, Mode::Cbc, direction, false)),
    of_switch!(CKM_DES3_CBC_PAD, Shape::Iv(BLOCK),
        cipher: |key, params, direction| blocks(&key, params, Mode::Cbc, direction, true)),
    of_switch!(CKM_DES3_CMAC, Shape::None,
        sign: |key, params| cmac(&key, &params, false),
        verify: |key, params| Ok(Box::new(MacVerify(cmac(&key, &params, false)?)))),
    of_switch!(CKM_DES3_CMAC_GENERAL, Shape::MacLength,
        sign: |key, params| cmac(&key, &params, true),
        verify: |key, params| Ok(Box::new(MacVerify(cmac(&key, &params, true)?)))),
];
