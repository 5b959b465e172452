//! ML-KEM (FIPS 203).

use crate::crypto::Secret;
use crate::crypto::ml_kem::{SEED, Set};
use crate::error::{Error, Result};
#[allow(deprecated)] // The form that PKCS#11 stores.
use ml_kem::ExpandedKeyEncoding;
use ml_kem::{B32, Decapsulate, DecapsulationKey, EncapsulationKey, KeyExport};
use ml_kem::{MlKem512, MlKem768, MlKem1024};
use zeroize::{Zeroize, Zeroizing};

/// A private key of any set.
trait Decapsulates: Send + Sync {
    fn expanded(&self) -> Secret;
    fn public(&self) -> Vec<u8>;
    /// `None`: a wrong length.
    fn decapsulate(&self, ciphertext: &[u8]) -> Option<Secret>;
}

/// A public key of any set.
trait Encapsulates: Send + Sync {
    fn encapsulate(&self, randomness: &B32) -> (Vec<u8>, Secret);
}

macro_rules! sets {
    ($($set:ident)*) => {
        $(
            impl Decapsulates for DecapsulationKey<$set> {
                fn expanded(&self) -> Secret {
                    #[allow(deprecated)] // As above.
                    Secret::from(&Zeroizing::new(self.to_expanded_bytes())[..])
                }

                fn public(&self) -> Vec<u8> {
                    self.encapsulation_key().to_bytes().to_vec()
                }

                fn decapsulate(&self, ciphertext: &[u8]) -> Option<Secret> {
                    let mut secret = self.decapsulate_slice(ciphertext).ok()?;
                    let kept = Secret::from(&secret[..]);
                    secret.zeroize();
                    Some(kept)
                }
            }

            impl Encapsulates for EncapsulationKey<$set> {
                fn encapsulate(&self, randomness: &B32) -> (Vec<u8>, Secret) {
                    let (ciphertext, mut secret) = self.encapsulate_deterministic(randomness);
                    let kept = Secret::from(&secret[..]);
                    secret.zeroize();
                    (ciphertext.to_vec(), kept)
                }
            }
        )*

        fn from_seed(set: Set, seed: &[u8; SEED]) -> Box<dyn Decapsulates> {
            match set { $(Set::$set => Box::new(DecapsulationKey::<$set>::from_seed((*seed).into())),)* }
        }

        /// `None`: a wrong length, numbers that are not reduced, or another public key's hash.
        #[allow(deprecated)] // As above.
        fn from_expanded(set: Set, expanded: &[u8]) -> Option<Box<dyn Decapsulates>> {
            Some(match set {
                $(Set::$set => Box::new(
                    DecapsulationKey::<$set>::from_expanded_bytes(expanded.try_into().ok()?).ok()?,
                ),)*
            })
        }

        fn public(set: Set, public: &[u8]) -> Option<Box<dyn Encapsulates>> {
            Some(match set {
                $(Set::$set => Box::new(EncapsulationKey::<$set>::new(public.try_into().ok()?).ok()?),)*
            })
        }
    };
}

sets! { MlKem512 MlKem768 MlKem1024 }

pub struct PrivateKey {
    set: Set,
    key: Box<dyn Decapsulates>,
}

impl PrivateKey {
    /// 64 bytes, else `AttributeValueInvalid`.
    pub fn from_seed(set: Set, seed: &[u8]) -> Result<Self> {
        let seed = seed.try_into().map_err(|_| Error::AttributeValueInvalid)?;
        Ok(Self { set, key: from_seed(set, seed) })
    }

    /// Parts that do not belong together are `AttributeValueInvalid`: what the public half encapsulates
    /// must come back.
    pub fn from_expanded(set: Set, expanded: &[u8]) -> Result<Self> {
        let key = from_expanded(set, expanded).ok_or(Error::AttributeValueInvalid)?;
        let key = Self { set, key };
        let (ciphertext, secret) = PublicKey::new(set, &key.public()?)?.encapsulate()?;
        if key.decapsulate(&ciphertext)? == secret { Ok(key) } else { Err(Error::AttributeValueInvalid) }
    }

    pub fn set(&self) -> Set {
        self.set
    }

    pub fn expanded(&self) -> Result<Secret> {
        Ok(self.key.expanded())
    }

    pub fn public(&self) -> Result<Vec<u8>> {
        Ok(self.key.public())
    }

    /// The shared secret; another one for a ciphertext that was altered, `EncryptedDataLenRange` for one
    /// of another length.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret> {
        self.key.decapsulate(ciphertext).ok_or(Error::EncryptedDataLenRange)
    }
}

pub struct PublicKey {
    set: Set,
    key: Box<dyn Encapsulates>,
}

impl PublicKey {
    /// Another length than the set's, or numbers that are not reduced, are `AttributeValueInvalid`.
    pub fn new(set: Set, bytes: &[u8]) -> Result<Self> {
        public(set, bytes).map(|key| Self { set, key }).ok_or(Error::AttributeValueInvalid)
    }

    pub fn set(&self) -> Set {
        self.set
    }

    /// A new shared secret, and the ciphertext it comes out of.
    pub fn encapsulate(&self) -> Result<(Vec<u8>, Secret)> {
        let mut randomness = Zeroizing::new(B32::default());
        super::random::fill(&mut randomness)?;
        Ok(self.encapsulate_with(&randomness))
    }

    /// The same with randomness of the caller's choice: for published vectors.
    pub(in crate::crypto) fn encapsulate_with(&self, randomness: &B32) -> (Vec<u8>, Secret) {
        self.key.encapsulate(randomness)
    }
}
