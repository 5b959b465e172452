//! SLH-DSA (FIPS 205), by RustCrypto in every build: AWS-LC has none. A message is read twice when it is
//! signed, so whoever signs one has it whole.

use super::prehash::PreHash;
use super::{Secret, random};
use crate::error::{Error, Result};
use slh_dsa::{ParameterSet, Signature, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// A parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Set {
    Sha2_128s,
    Sha2_128f,
    Sha2_192s,
    Sha2_192f,
    Sha2_256s,
    Sha2_256f,
    Shake128s,
    Shake128f,
    Shake192s,
    Shake192f,
    Shake256s,
    Shake256f,
}

impl Set {
    /// In the order of their object identifiers.
    pub const ALL: [Set; 12] = [
        Set::Sha2_128s,
        Set::Sha2_128f,
        Set::Sha2_192s,
        Set::Sha2_192f,
        Set::Sha2_256s,
        Set::Sha2_256f,
        Set::Shake128s,
        Set::Shake128f,
        Set::Shake192s,
        Set::Shake192f,
        Set::Shake256s,
        Set::Shake256f,
    ];

    /// n of the standard, in bytes, and the length of a signature.
    const fn lengths(self) -> (usize, usize) {
        match self {
            Set::Sha2_128s | Set::Shake128s => (16, 7856),
            Set::Sha2_128f | Set::Shake128f => (16, 17088),
            Set::Sha2_192s | Set::Shake192s => (24, 16224),
            Set::Sha2_192f | Set::Shake192f => (24, 35664),
            Set::Sha2_256s | Set::Shake256s => (32, 29792),
            Set::Sha2_256f | Set::Shake256f => (32, 49856),
        }
    }

    pub const fn public_length(self) -> usize {
        2 * self.lengths().0
    }

    pub const fn private_length(self) -> usize {
        4 * self.lengths().0
    }

    pub const fn signature_length(self) -> usize {
        self.lengths().1
    }

    /// DER OBJECT IDENTIFIER, tag and length included (RFC 9909).
    pub const fn oid_der(self) -> [u8; 11] {
        [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 20 + self as u8]
    }
}

/// Runs an expression with `$P` as the type of a set.
macro_rules! with_set {
    ($set:expr, $P:ident => $work:expr) => {
        with_set!($set, $P => $work, Sha2_128s Sha2_128f Sha2_192s Sha2_192f Sha2_256s Sha2_256f
            Shake128s Shake128f Shake192s Shake192f Shake256s Shake256f)
    };
    ($set:expr, $P:ident => $work:expr, $($name:ident)+) => {
        match $set {
            $(Set::$name => {
                type $P = slh_dsa::$name;
                $work
            })+
        }
    };
}

/// A private key of any set.
trait Signs: Send + Sync {
    fn sign(&self, message: &[&[u8]], random: Option<&[u8]>) -> Vec<u8>;
}

impl<P: ParameterSet + Send + Sync> Signs for SigningKey<P> {
    fn sign(&self, message: &[&[u8]], random: Option<&[u8]>) -> Vec<u8> {
        self.slh_sign_internal(message, random).to_vec()
    }
}

/// A public key of any set.
trait Verifies: Send + Sync {
    fn verify(&self, message: &[&[u8]], signature: &[u8]) -> bool;
}

impl<P: ParameterSet + Send + Sync> Verifies for VerifyingKey<P> {
    fn verify(&self, message: &[&[u8]], signature: &[u8]) -> bool {
        Signature::<P>::try_from(signature)
            .is_ok_and(|signature| self.slh_verify_internal(message, &signature).is_ok())
    }
}

/// What stands before a message that is signed as it is. `MechanismParamInvalid` for a context over 255 bytes.
pub fn pure(context: &[u8]) -> Result<Vec<u8>> {
    before(0, context, &[])
}

/// What stands before the digest of a message that was hashed before.
pub fn hashed(context: &[u8], hash: PreHash) -> Result<Vec<u8>> {
    before(1, context, &hash.oid_der())
}

fn before(domain: u8, context: &[u8], oid: &[u8]) -> Result<Vec<u8>> {
    let length = u8::try_from(context.len()).map_err(|_| Error::MechanismParamInvalid)?;
    Ok([&[domain, length], context, oid].concat())
}

/// A parsed private key, ready to use.
pub struct PrivateKey {
    set: Set,
    bytes: Secret,
    key: Box<dyn Signs>,
}

impl PrivateKey {
    pub fn generate(set: Set) -> Result<Self> {
        let n = set.lengths().0;
        let seeds = Secret::random(3 * n)?;
        Self::from_seeds(set, &seeds)
    }

    /// SK.seed, SK.prf and PK.seed make the whole key.
    fn from_seeds(set: Set, seeds: &[u8]) -> Result<Self> {
        let parts: Vec<&[u8]> = seeds.chunks(set.lengths().0).collect();
        let [seed, prf, public] = parts[..] else { return Err(Error::GeneralError) };
        let whole = with_set!(set, P => {
            let key = SigningKey::<P>::slh_keygen_internal(seed, prf, public);
            let bytes = Zeroizing::new(key.to_bytes());
            Secret::from(&bytes[..])
        });
        Self::from_checked(set, &whole)
    }

    /// [`Set::private_length`] bytes whose root is the one that follows from the rest, else
    /// `AttributeValueInvalid`.
    pub fn new(set: Set, bytes: &[u8]) -> Result<Self> {
        if bytes.len() != set.private_length() {
            return Err(Error::AttributeValueInvalid);
        }
        let key = Self::from_seeds(set, &bytes[..3 * set.lengths().0])?;
        if *key.bytes == *bytes { Ok(key) } else { Err(Error::AttributeValueInvalid) }
    }

    /// From bytes that are known to be good; wrong lengths are `AttributeValueInvalid`.
    pub fn from_checked(set: Set, bytes: &[u8]) -> Result<Self> {
        let key = with_set!(set, P => SigningKey::<P>::try_from(bytes).map(boxed_private));
        let key = key.map_err(|_| Error::AttributeValueInvalid)?;
        Ok(Self { set, bytes: Secret::from(bytes), key })
    }

    pub fn set(&self) -> Set {
        self.set
    }

    /// The key as the standard writes it.
    pub fn bytes(&self) -> &Secret {
        &self.bytes
    }

    pub fn public(&self) -> &[u8] {
        &self.bytes[self.set.private_length() - self.set.public_length()..]
    }

    /// `signature` has [`Set::signature_length`] bytes; `before` is from [`pure`] or [`hashed`]. Hedged unless
    /// `deterministic`.
    pub fn sign(
        &self,
        (before, message): (&[u8], &[u8]),
        deterministic: bool,
        signature: &mut [u8],
    ) -> Result<()> {
        let mut fresh = [0; 32];
        let fresh = &mut fresh[..self.set.lengths().0];
        if !deterministic {
            random::fill(fresh)?;
        }
        let made = self.key.sign(&[before, message], (!deterministic).then_some(&*fresh));
        if made.len() != signature.len() {
            return Err(Error::GeneralError);
        }
        signature.copy_from_slice(&made);
        Ok(())
    }
}

fn boxed_private<P: ParameterSet + Send + Sync + 'static>(key: SigningKey<P>) -> Box<dyn Signs> {
    Box::new(key)
}

fn boxed_public<P: ParameterSet + Send + Sync + 'static>(key: VerifyingKey<P>) -> Box<dyn Verifies> {
    Box::new(key)
}

/// A parsed public key, ready to use.
pub struct PublicKey {
    set: Set,
    key: Box<dyn Verifies>,
}

impl PublicKey {
    /// [`Set::public_length`] bytes (each such string is a key), else `AttributeValueInvalid`.
    pub fn new(set: Set, public: &[u8]) -> Result<Self> {
        let key = with_set!(set, P => VerifyingKey::<P>::try_from(public).map(boxed_public));
        Ok(Self { set, key: key.map_err(|_| Error::AttributeValueInvalid)? })
    }

    /// `SignatureInvalid`, or `SignatureLenRange`.
    pub fn verify(&self, (before, message): (&[u8], &[u8]), signature: &[u8]) -> Result<()> {
        if signature.len() != self.set.signature_length() {
            return Err(Error::SignatureLenRange);
        }
        if self.key.verify(&[before, message], signature) { Ok(()) } else { Err(Error::SignatureInvalid) }
    }
}

#[cfg(test)]
mod tests;
