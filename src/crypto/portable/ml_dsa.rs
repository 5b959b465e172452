//! ML-DSA (FIPS 204) over the message representative.

use crate::crypto::Secret;
use crate::crypto::ml_dsa::{Representative, SEED, Set, key_hash};
use crate::error::{Error, Result};
use ml_dsa::{ExpandedSigningKey, MlDsa44, MlDsa65, MlDsa87, MlDsaParams, Signature, VerifyingKey};

/// A private key of any set.
trait Signs: Send + Sync {
    fn expanded(&self) -> Secret;
    fn public(&self) -> Vec<u8>;
    /// `None`: no signature was found, or there is no randomness.
    fn sign(&self, what: &Representative, deterministic: bool) -> Option<Vec<u8>>;
}

/// A public key of any set.
trait Verifies: Send + Sync {
    fn verify(&self, what: &Representative, signature: &[u8]) -> bool;
}

impl<P: MlDsaParams + Send + Sync> Signs for ExpandedSigningKey<P> {
    fn expanded(&self) -> Secret {
        #[allow(deprecated)] // The form that PKCS#11 stores.
        let bytes = zeroize::Zeroizing::new(self.to_expanded());
        Secret::from(&bytes[..])
    }

    fn public(&self) -> Vec<u8> {
        self.verifying_key().encode().to_vec()
    }

    fn sign(&self, what: &Representative, deterministic: bool) -> Option<Vec<u8>> {
        let what = (*what).into();
        let signature = match deterministic {
            true => self.sign_mu_deterministic(&what),
            false => self.sign_mu_randomized(&what, &mut getrandom::SysRng).ok()?,
        };
        Some(signature.encode().to_vec())
    }
}

impl<P: MlDsaParams + Send + Sync> Verifies for VerifyingKey<P> {
    fn verify(&self, what: &Representative, signature: &[u8]) -> bool {
        let what = (*what).into();
        Signature::<P>::try_from(signature).is_ok_and(|signature| self.verify_mu(&what, &signature))
    }
}

fn from_seed<P: MlDsaParams + Send + Sync + 'static>(seed: &[u8; SEED]) -> Box<dyn Signs> {
    Box::new(ExpandedSigningKey::<P>::from_seed(&(*seed).into()))
}

/// `None` for a wrong length.
fn from_expanded<P: MlDsaParams + Send + Sync + 'static>(expanded: &[u8]) -> Option<Box<dyn Signs>> {
    let expanded = expanded.try_into().ok()?;
    #[allow(deprecated)] // The form that PKCS#11 stores. It panics on no key whose ranges are checked.
    Some(Box::new(ExpandedSigningKey::<P>::from_expanded(expanded)))
}

/// `None` for a wrong length.
fn verifying<P: MlDsaParams + Send + Sync + 'static>(public: &[u8]) -> Option<Box<dyn Verifies>> {
    Some(Box::new(VerifyingKey::<P>::decode(public.try_into().ok()?)))
}

/// Whether the short vectors of an expanded key, packed after rho, K and tr, are within the set's η: they
/// are stored as η minus the coefficient, in three bits or four.
fn in_range(set: Set, expanded: &[u8]) -> bool {
    let (bits, most, polynomials) = match set {
        Set::MlDsa44 => (3, 4, 4 + 4),
        Set::MlDsa65 => (4, 8, 5 + 6),
        Set::MlDsa87 => (3, 4, 7 + 8),
    };
    let packed = &expanded[128..][..polynomials * 32 * bits];
    let bit = |place: usize| packed[place / 8] >> (place % 8) & 1;
    let coefficient = |first: usize| (0..bits).fold(0, |sum, place| sum | bit(first + place) << place);
    (0..packed.len() * 8).step_by(bits).fold(true, |good, first| good & (coefficient(first) <= most))
}

pub struct PrivateKey(Box<dyn Signs>);

impl PrivateKey {
    /// 32 bytes, else `AttributeValueInvalid`.
    pub fn from_seed(set: Set, seed: &[u8]) -> Result<Self> {
        let seed = seed.try_into().map_err(|_| Error::AttributeValueInvalid)?;
        Ok(Self(match set {
            Set::MlDsa44 => from_seed::<MlDsa44>(seed),
            Set::MlDsa65 => from_seed::<MlDsa65>(seed),
            Set::MlDsa87 => from_seed::<MlDsa87>(seed),
        }))
    }

    /// Parts that do not belong together are `AttributeValueInvalid`; wrong coefficients of s2 or low bits
    /// of t are noticed only if the signature that is tried shows them.
    pub fn from_expanded(set: Set, expanded: &[u8]) -> Result<Self> {
        if expanded.len() != set.private_length() || !in_range(set, expanded) {
            return Err(Error::AttributeValueInvalid);
        }
        let key = Self::from_checked(set, expanded)?;
        let public = key.public()?;
        // The hash of the public key stands in the private one.
        let public_key = PublicKey::new(set, &public)?;
        let (mut signature, what) = (vec![0; set.signature_length()], [7; 64]);
        key.sign(&what, true, &mut signature)?;
        let whole = key_hash(&public) == expanded[64..128] && public_key.verify(&what, &signature).is_ok();
        if whole { Ok(key) } else { Err(Error::AttributeValueInvalid) }
    }

    /// From an expanded key that is known to be good; wrong lengths are `AttributeValueInvalid`.
    pub fn from_checked(set: Set, expanded: &[u8]) -> Result<Self> {
        let key = match set {
            Set::MlDsa44 => from_expanded::<MlDsa44>(expanded),
            Set::MlDsa65 => from_expanded::<MlDsa65>(expanded),
            Set::MlDsa87 => from_expanded::<MlDsa87>(expanded),
        };
        key.map(Self).ok_or(Error::AttributeValueInvalid)
    }

    pub fn expanded(&self) -> Result<Secret> {
        Ok(self.0.expanded())
    }

    pub fn public(&self) -> Result<Vec<u8>> {
        Ok(self.0.public())
    }

    /// `signature` has the length of the set's.
    pub fn sign(&self, what: &Representative, deterministic: bool, signature: &mut [u8]) -> Result<()> {
        let made = self.0.sign(what, deterministic).ok_or(Error::FunctionFailed)?;
        if made.len() != signature.len() {
            return Err(Error::GeneralError);
        }
        signature.copy_from_slice(&made);
        Ok(())
    }
}

pub struct PublicKey(Box<dyn Verifies>);

impl PublicKey {
    /// `AttributeValueInvalid` for another length than the set's.
    pub fn new(set: Set, public: &[u8]) -> Result<Self> {
        let key = match set {
            Set::MlDsa44 => verifying::<MlDsa44>(public),
            Set::MlDsa65 => verifying::<MlDsa65>(public),
            Set::MlDsa87 => verifying::<MlDsa87>(public),
        };
        key.map(Self).ok_or(Error::AttributeValueInvalid)
    }

    /// `SignatureInvalid`.
    pub fn verify(&self, what: &Representative, signature: &[u8]) -> Result<()> {
        if self.0.verify(what, signature) { Ok(()) } else { Err(Error::SignatureInvalid) }
    }
}
