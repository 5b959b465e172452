//! P-224, P-256, P-384 and P-521 by AWS-LC; secp256k1 is `CurveNotSupported` here (it is portable).

use super::big::{Big, write_padded};
use super::{check, not_null, owned};
use crate::crypto::{Curve, Secret};
use crate::error::{Error, Result};
use aws_lc_sys as aws;
use std::ptr::{null, null_mut};

owned!(
    /// An EC_KEY; immutable after it is made, so any thread may use it.
    Handle,
    aws::EC_KEY,
    aws::EC_KEY_free
);
owned!(
    /// An EC_POINT.
    Point,
    aws::EC_POINT,
    aws::EC_POINT_free
);
owned!(
    /// An ECDSA_SIG.
    Pair,
    aws::ECDSA_SIG,
    aws::ECDSA_SIG_free
);

// SAFETY: AWS-LC reads an EC_KEY without changing it when signing, verifying and agreeing.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    fn new(curve: Curve) -> Result<Self> {
        let nid = match curve {
            Curve::P224 => aws::NID_secp224r1,
            Curve::P256 => aws::NID_X9_62_prime256v1,
            Curve::P384 => aws::NID_secp384r1,
            Curve::P521 => aws::NID_secp521r1,
            Curve::Secp256k1 => return Err(Error::CurveNotSupported),
        };
        // SAFETY: allocates; NULL is checked.
        not_null(unsafe { aws::EC_KEY_new_by_curve_name(nid) }, Error::HostMemory).map(Self)
    }

    fn group(&self) -> *const aws::EC_GROUP {
        // SAFETY: a live key; the group belongs to it.
        unsafe { aws::EC_KEY_get0_group(self.get()) }
    }

    /// A point on this key's curve, or `error`.
    fn point(&self, encoded: &[u8], error: Error) -> Result<Point> {
        // SAFETY: live handles; lengths are the slices' own. oct2point refuses what is not on the curve.
        unsafe {
            let point = Point(not_null(aws::EC_POINT_new(self.group()), Error::HostMemory)?);
            let (bytes, length) = (encoded.as_ptr(), encoded.len());
            check(aws::EC_POINT_oct2point(self.group(), point.get(), bytes, length, null_mut()), error)?;
            check(1 - aws::EC_POINT_is_at_infinity(self.group(), point.get()), error)?;
            Ok(point)
        }
    }

    /// The public point, uncompressed.
    fn public_point(&self, curve: Curve) -> Vec<u8> {
        let mut out = vec![0; 1 + 2 * curve.field_length()];
        // SAFETY: a live key with a public point; the buffer has the length of an uncompressed one.
        unsafe {
            let point = aws::EC_KEY_get0_public_key(self.get());
            let form = aws::point_conversion_form_t::POINT_CONVERSION_UNCOMPRESSED;
            aws::EC_POINT_point2oct(self.group(), point, form, out.as_mut_ptr(), out.len(), null_mut());
        }
        out
    }
}

/// A parsed private key, ready to use.
pub struct PrivateKey {
    key: Handle,
    curve: Curve,
}

/// A parsed and validated public key, ready to use.
pub struct PublicKey {
    key: Handle,
    curve: Curve,
}

impl PrivateKey {
    /// A new random key: its scalar, field_length bytes.
    pub fn generate(curve: Curve) -> Result<Secret> {
        let key = Handle::new(curve)?;
        let mut scalar = Secret::zeroed(curve.field_length());
        // SAFETY: a live key, that has a private number once generated.
        unsafe {
            check(aws::EC_KEY_generate_key(key.get()), Error::FunctionFailed)?;
            write_padded(aws::EC_KEY_get0_private_key(key.get()), &mut scalar)?;
        }
        Ok(scalar)
    }

    /// `scalar` may be shorter or have leading zeros; out of 1..n is `AttributeValueInvalid`.
    pub fn new(curve: Curve, scalar: &[u8]) -> Result<Self> {
        let key = Handle::new(curve)?;
        let number = Big::from_bytes(scalar)?;
        // SAFETY: live handles; the setters copy.
        unsafe {
            check(1 - aws::BN_is_zero(number.get()), Error::AttributeValueInvalid)?;
            check(aws::EC_KEY_set_private_key(key.get(), number.get()), Error::AttributeValueInvalid)?;
            let point = Point(not_null(aws::EC_POINT_new(key.group()), Error::HostMemory)?);
            let made = aws::EC_POINT_mul(key.group(), point.get(), number.get(), null(), null(), null_mut());
            check(made, Error::AttributeValueInvalid)?;
            check(aws::EC_KEY_set_public_key(key.get(), point.get()), Error::AttributeValueInvalid)?;
        }
        Ok(Self { key, curve })
    }

    /// The public point, uncompressed (0x04 || x || y).
    pub fn public_point(&self) -> Result<Vec<u8>> {
        Ok(self.key.public_point(self.curve))
    }

    /// ECDSA over a prehash of any length; `signature` is r || s, 2 * field_length bytes.
    pub fn sign(&self, prehash: &[u8], signature: &mut [u8]) -> Result<()> {
        let length = self.curve.field_length();
        if signature.len() != 2 * length {
            return Err(Error::GeneralError);
        }
        // SAFETY: live key; the pair's numbers live as long as the pair.
        unsafe {
            let made = aws::ECDSA_do_sign(prehash.as_ptr(), prehash.len(), self.key.get());
            let pair = Pair(not_null(made, Error::FunctionFailed)?);
            let (r, s) = signature.split_at_mut(length);
            write_padded(aws::ECDSA_SIG_get0_r(pair.get()), r)?;
            write_padded(aws::ECDSA_SIG_get0_s(pair.get()), s)
        }
    }

    /// ECDH: the x coordinate of the shared point, field_length bytes.
    pub fn agree(&self, peer: &[u8]) -> Result<Secret> {
        let point = self.key.point(peer, Error::PublicKeyInvalid)?;
        let mut shared = Secret::zeroed(self.curve.field_length());
        // SAFETY: live handles; the output has the length of a field element.
        let written = unsafe {
            aws::ECDH_compute_key(shared.as_mut_ptr().cast(), shared.len(), point.get(), self.key.get(), None)
        };
        check(i32::from(written == shared.len() as i32), Error::FunctionFailed)?;
        Ok(shared)
    }
}

impl PublicKey {
    /// `point` uncompressed or compressed; not on the curve or infinity is `AttributeValueInvalid`.
    pub fn new(curve: Curve, point: &[u8]) -> Result<Self> {
        let key = Handle::new(curve)?;
        let point = key.point(point, Error::AttributeValueInvalid)?;
        // SAFETY: live handles; the setter copies.
        check(unsafe { aws::EC_KEY_set_public_key(key.get(), point.get()) }, Error::AttributeValueInvalid)?;
        Ok(Self { key, curve })
    }

    /// Uncompressed (0x04 || x || y).
    pub fn point(&self) -> Vec<u8> {
        self.key.public_point(self.curve)
    }

    /// `SignatureInvalid`, or `SignatureLenRange` when not 2 * field_length bytes.
    pub fn verify(&self, prehash: &[u8], signature: &[u8]) -> Result<()> {
        let length = self.curve.field_length();
        if signature.len() != 2 * length {
            return Err(Error::SignatureLenRange);
        }
        let (r, s) = signature.split_at(length);
        let (r, s) = (Big::from_bytes(r)?, Big::from_bytes(s)?);
        // SAFETY: live handles; set0 takes both numbers over when it answers 1, and it always does
        // for numbers that are not NULL.
        unsafe {
            let pair = Pair(not_null(aws::ECDSA_SIG_new(), Error::HostMemory)?);
            check(aws::ECDSA_SIG_set0(pair.get(), r.release(), s.release()), Error::GeneralError)?;
            let verified = aws::ECDSA_do_verify(prehash.as_ptr(), prehash.len(), pair.get(), self.key.get());
            check(verified, Error::SignatureInvalid)
        }
    }
}
