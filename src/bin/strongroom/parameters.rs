//! Mechanism parameters from options, by the shape that the mechanism's row says.

use crate::output::Failure;
use strongroom::crypto::{Hash, random};
use strongroom::error::Error;
use strongroom::mechanism::{Mechanism, Params, Shape};

#[derive(clap::Args)]
pub struct Parameters {
    /// IV or counter block in hex; without it a random one is made and stands before the ciphertext.
    #[arg(long, value_name = "HEX", value_parser = hex)]
    iv: Option<Bytes>,
    /// AES-GCM: additional data that is authenticated, as text.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    aad: String,
    /// RSA-PSS and OAEP: the hash, where the mechanism's name has none.
    #[arg(long, value_name = "NAME", default_value = "sha256", value_parser = hash)]
    hash: Hash,
    /// RSA-PSS: bytes of salt [default: as many as the hash has].
    #[arg(long, value_name = "BYTES")]
    salt_length: Option<usize>,
    /// Mechanisms called GENERAL: bytes of the MAC.
    #[arg(long, value_name = "BYTES")]
    mac_length: Option<usize>,
    /// ML-DSA, SLH-DSA: the context, as text.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    context: String,
    /// ML-DSA, SLH-DSA: the same signature each time.
    #[arg(long)]
    deterministic: bool,
}

/// Bytes that were given in hex.
#[derive(Clone)]
pub struct Bytes(pub Vec<u8>);

/// Hex with or without colons.
pub fn hex(text: &str) -> Result<Bytes, String> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()
        .ok_or("this is not hex")?;
    match digits.len() % 2 {
        0 => Ok(Bytes(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())),
        _ => Err("hex has an even number of digits".into()),
    }
}

fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(['-', '_'], "")
}

pub fn hash(name: &str) -> Result<Hash, String> {
    let found = Hash::ALL.into_iter().find(|hash| plain(&format!("{hash:?}")) == plain(name));
    found.ok_or_else(|| {
        format!("hashes: {}", Hash::ALL.map(|hash| format!("{hash:?}").to_lowercase()).join(", "))
    })
}

/// The hash in a name such as CKM_SHA3_256_RSA_PKCS_PSS.
fn hash_of(mechanism: &Mechanism) -> Option<Hash> {
    let name = plain(mechanism.name.trim_start_matches("CKM_"));
    // The longest first: SHA512 is the beginning of SHA512_256.
    let fits = |hash: &Hash| name.starts_with(&plain(&format!("{hash:?}")));
    Hash::ALL.into_iter().filter(fits).max_by_key(|hash| format!("{hash:?}").len())
}

/// How many bytes stand before the ciphertext when nobody gives an IV.
fn iv_length(shape: Shape) -> usize {
    match shape {
        Shape::Iv(length) => length,
        Shape::Ctr => 16,
        Shape::Gcm => 12,
        _ => 0,
    }
}

/// What a mechanism is started with, and what of the text before or after is its IV.
pub struct Started {
    pub params: Params,
    /// Made here, to stand before the ciphertext.
    pub fresh_iv: Vec<u8>,
    /// Taken from before the ciphertext.
    pub taken: usize,
}

impl Parameters {
    /// `ciphertext`: what is to be decrypted; `None` for everything else.
    pub fn of(&self, mechanism: &Mechanism, ciphertext: Option<&[u8]>) -> Result<Started, Failure> {
        let needed = iv_length(mechanism.params);
        let (mut fresh_iv, mut taken) = (Vec::new(), 0);
        let iv = match (&self.iv, ciphertext) {
            (Some(Bytes(iv)), _) => iv.clone(),
            (None, Some(ciphertext)) => {
                taken = needed;
                let short = || {
                    Failure::new("The ciphertext is shorter than its IV.").next("give all of it, or --iv.")
                };
                ciphertext.get(..needed).ok_or_else(short)?.to_vec()
            }
            (None, None) => {
                fresh_iv = vec![0; needed];
                random::fill(&mut fresh_iv)?;
                fresh_iv.clone()
            }
        };
        let hash = hash_of(mechanism).unwrap_or(self.hash);
        let params = match mechanism.params {
            Shape::None | Shape::Eddsa | Shape::Ecdh => Params::None,
            Shape::OptionalIv(_) if iv.is_empty() => Params::None,
            Shape::Iv(length) | Shape::OptionalIv(length) if iv.len() == length => Params::Iv(iv),
            Shape::Ctr => match iv.try_into() {
                Ok(block) => Params::Ctr { counter_bits: 128, block },
                Err(_) => return Err(Error::MechanismParamInvalid.into()),
            },
            Shape::Gcm => {
                Params::Gcm { iv: (&iv[..]).into(), aad: self.aad.clone().into_bytes(), tag_bits: 128 }
            }
            Shape::MacLength => Params::MacLength(
                self.mac_length
                    .ok_or_else(|| Failure::usage(format!("{} needs --mac-length.", mechanism.name)))?,
            ),
            Shape::Pss => {
                let salt_length = self.salt_length.unwrap_or(hash.length());
                Params::Pss { hash, mgf: hash, salt_length }
            }
            Shape::Oaep => Params::Oaep { hash, mgf: hash, label: Vec::new() },
            Shape::SignContext | Shape::HashSignContext => Params::SignContext {
                deterministic: self.deterministic,
                context: self.context.clone().into_bytes(),
                hash: (mechanism.params == Shape::HashSignContext).then_some(hash),
            },
            _ => return Err(Error::MechanismParamInvalid.into()),
        };
        Ok(Started { params, fresh_iv, taken })
    }
}
