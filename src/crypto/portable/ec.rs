//! P-224, P-256, P-384, P-521 and secp256k1 by RustCrypto.

use crate::crypto::{Curve, Secret};
use crate::error::{Error, Result};
use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p256::elliptic_curve::sec1::ToSec1Point;

macro_rules! curves {
    ($($name:ident => $curve:ident,)*) => {
        /// A parsed private key, ready to use.
        pub enum PrivateKey { $($name($curve::ecdsa::SigningKey, $curve::SecretKey),)* }

        /// A parsed and validated public key, ready to use.
        pub enum PublicKey { $($name($curve::ecdsa::VerifyingKey, $curve::PublicKey),)* }

        impl PrivateKey {
            /// `scalar` may be shorter or have leading zeros; out of 1..n is `AttributeValueInvalid`.
            pub fn new(curve: Curve, scalar: &[u8]) -> Result<Self> {
                let scalar = fixed(curve, scalar)?;
                match curve {
                    $(Curve::$name => {
                        let key = $curve::SecretKey::from_slice(&scalar).map_err(|_| Error::AttributeValueInvalid)?;
                        Ok(Self::$name($curve::ecdsa::SigningKey::from(&key), key))
                    })*
                }
            }

            /// The public point, uncompressed (0x04 || x || y).
            pub fn public_point(&self) -> Result<Vec<u8>> {
                Ok(match self {
                    $(Self::$name(_, key) => key.public_key().to_sec1_point(false).as_bytes().to_vec(),)*
                })
            }

            /// ECDSA over a prehash of any length; `signature` is r || s, 2 * field_length bytes.
            pub fn sign(&self, prehash: &[u8], signature: &mut [u8]) -> Result<()> {
                match self {
                    $(Self::$name(key, _) => {
                        let prehash = long_enough(prehash, Curve::$name);
                        let made: $curve::ecdsa::Signature =
                            key.sign_prehash(&prehash).map_err(|e| Error::FunctionFailed.because(e))?;
                        write(signature, &made.to_bytes())
                    })*
                }
            }

            /// ECDH: the x coordinate of the shared point, field_length bytes.
            pub fn agree(&self, peer: &[u8]) -> Result<Secret> {
                match self {
                    $(Self::$name(_, key) => {
                        let peer = $curve::PublicKey::from_sec1_bytes(peer).map_err(|_| Error::PublicKeyInvalid)?;
                        let shared = $curve::ecdh::diffie_hellman(key.to_nonzero_scalar(), peer.as_affine());
                        Ok(Secret::from(&shared.raw_secret_bytes()[..]))
                    })*
                }
            }
        }

        impl PublicKey {
            /// `point` uncompressed or compressed; not on the curve or infinity is `AttributeValueInvalid`.
            pub fn new(curve: Curve, point: &[u8]) -> Result<Self> {
                match curve {
                    $(Curve::$name => {
                        let key =
                            $curve::PublicKey::from_sec1_bytes(point).map_err(|_| Error::AttributeValueInvalid)?;
                        Ok(Self::$name($curve::ecdsa::VerifyingKey::from(&key), key))
                    })*
                }
            }

            /// Uncompressed (0x04 || x || y).
            pub fn point(&self) -> Vec<u8> {
                match self { $(Self::$name(_, key) => key.to_sec1_point(false).as_bytes().to_vec(),)* }
            }

            /// `SignatureInvalid`, or `SignatureLenRange` when not 2 * field_length bytes.
            pub fn verify(&self, prehash: &[u8], signature: &[u8]) -> Result<()> {
                match self {
                    $(Self::$name(key, _) => {
                        if signature.len() != 2 * Curve::$name.field_length() {
                            return Err(Error::SignatureLenRange);
                        }
                        let signature = $curve::ecdsa::Signature::from_slice(signature)
                            .map_err(|_| Error::SignatureInvalid)?;
                        // k256 takes the lower s only, as Bitcoin does; everyone else takes both.
                        let signature = signature.normalize_s();
                        key.verify_prehash(&long_enough(prehash, Curve::$name), &signature)
                            .map_err(|_| Error::SignatureInvalid)
                    })*
                }
            }
        }
    };
}

curves! { P224 => p224, P256 => p256, P384 => p384, P521 => p521, Secp256k1 => k256, }

impl PrivateKey {
    /// A new random key: its scalar, field_length bytes, by rejection.
    pub fn generate(curve: Curve) -> Result<Secret> {
        loop {
            let mut scalar = Secret::zeroed(curve.field_length());
            crate::crypto::portable::random::fill(&mut scalar)?;
            if curve == Curve::P521 {
                scalar[0] &= 1;
            }
            if Self::new(curve, &scalar).is_ok() {
                return Ok(scalar);
            }
        }
    }
}

/// The scalar as field_length bytes: leading zeros cut or added.
fn fixed(curve: Curve, scalar: &[u8]) -> Result<Secret> {
    let length = curve.field_length();
    let cut = scalar.len().saturating_sub(length);
    if scalar[..cut].iter().any(|b| *b != 0) {
        return Err(Error::AttributeValueInvalid);
    }
    let mut out = Secret::zeroed(length);
    let scalar = &scalar[cut..];
    out[length - scalar.len()..].copy_from_slice(scalar);
    Ok(out)
}

/// The crates refuse a prehash shorter than half the field; zeros on the left change nothing of
/// its value as a number.
fn long_enough(prehash: &[u8], curve: Curve) -> std::borrow::Cow<'_, [u8]> {
    let length = curve.field_length();
    if prehash.len() >= length {
        return leftmost_bits(&prehash[..length], curve).into();
    }
    let mut padded = vec![0; length - prehash.len()];
    padded.extend_from_slice(prehash);
    padded.into()
}

/// The leftmost bits of the order's length as a number: P-521's 66 bytes are seven bits too many.
fn leftmost_bits(prehash: &[u8], curve: Curve) -> Vec<u8> {
    let shift = 8 * prehash.len() as u32 - curve.bits();
    let mut carry = 0u16;
    let shifted = prehash.iter().map(|byte| {
        let wide = carry << 8 | u16::from(*byte);
        carry = wide & ((1 << shift) - 1);
        (wide >> shift) as u8
    });
    shifted.collect()
}

fn write(out: &mut [u8], bytes: &[u8]) -> Result<()> {
    if out.len() != bytes.len() {
        return Err(Error::GeneralError);
    }
    out.copy_from_slice(bytes);
    Ok(())
}
