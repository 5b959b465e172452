//! ML-DSA (FIPS 204): keys of the build's implementation, and the message representative, which is
//! made in parts and is the same in every build.

use super::Secret;
use super::prehash::PreHash;
use crate::error::{Error, Result};
use shake::{ExtendableOutput, Shake256, Update};

#[cfg(feature = "aws-lc")]
use super::aws_lc::ml_dsa as lattice;
#[cfg(not(feature = "aws-lc"))]
use super::portable::ml_dsa as lattice;

/// A parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Set {
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

impl Set {
    pub const ALL: [Set; 3] = [Set::MlDsa44, Set::MlDsa65, Set::MlDsa87];

    /// Lengths in bytes: public key, expanded private key, signature.
    const fn lengths(self) -> (usize, usize, usize) {
        match self {
            Set::MlDsa44 => (1312, 2560, 2420),
            Set::MlDsa65 => (1952, 4032, 3309),
            Set::MlDsa87 => (2592, 4896, 4627),
        }
    }

    pub const fn public_length(self) -> usize {
        self.lengths().0
    }

    pub const fn private_length(self) -> usize {
        self.lengths().1
    }

    pub const fn signature_length(self) -> usize {
        self.lengths().2
    }

    /// DER OBJECT IDENTIFIER, tag and length included (RFC 9881).
    pub const fn oid_der(self) -> &'static [u8] {
        match self {
            Set::MlDsa44 => &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 17],
            Set::MlDsa65 => &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 18],
            Set::MlDsa87 => &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 19],
        }
    }
}

/// Length of a seed in bytes.
pub const SEED: usize = 32;

/// The longest context in bytes.
pub const LONGEST_CONTEXT: usize = 255;

/// What is signed: the message representative μ.
pub type Representative = [u8; 64];

/// Hash of a public key (tr).
pub(super) fn key_hash(public: &[u8]) -> [u8; 64] {
    let mut state = Shake256::default();
    state.update(public);
    Message(state).finish()
}

/// The message representative in the making (Algorithm 7, step 6).
#[derive(Clone)]
pub struct Message(Shake256);

impl Message {
    /// `MechanismParamInvalid` for a context that is too long.
    fn begin(key_hash: &[u8; 64], domain: u8, context: &[u8]) -> Result<Self> {
        let length = u8::try_from(context.len()).map_err(|_| Error::MechanismParamInvalid)?;
        let mut state = Shake256::default();
        for part in [&key_hash[..], &[domain, length], context] {
            state.update(part);
        }
        Ok(Self(state))
    }

    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    pub fn finish(self) -> Representative {
        let mut out = [0; 64];
        self.0.finalize_xof_into(&mut out);
        out
    }
}

/// What a key says of the messages that it signs.
struct Facts {
    set: Set,
    key_hash: [u8; 64],
}

impl Facts {
    fn new(set: Set, public: &[u8]) -> Self {
        Self { set, key_hash: key_hash(public) }
    }

    fn message(&self, context: &[u8]) -> Result<Message> {
        Message::begin(&self.key_hash, 0, context)
    }

    fn of_digest(&self, context: &[u8], hash: PreHash, digest: &[u8]) -> Result<Representative> {
        let mut message = Message::begin(&self.key_hash, 1, context)?;
        message.update(&hash.oid_der());
        message.update(digest);
        Ok(message.finish())
    }
}

/// The representatives of messages for a key, the same for both halves.
macro_rules! messages {
    () => {
        pub fn set(&self) -> Set {
            self.facts.set
        }

        /// A message to be signed as it is; `MechanismParamInvalid` for a context over
        /// [`LONGEST_CONTEXT`].
        pub fn message(&self, context: &[u8]) -> Result<Message> {
            self.facts.message(context)
        }

        /// The representative of a message that was hashed before (HashML-DSA).
        pub fn of_digest(&self, context: &[u8], hash: PreHash, digest: &[u8]) -> Result<Representative> {
            self.facts.of_digest(context, hash, digest)
        }
    };
}

/// A parsed private key, ready to use.
pub struct PrivateKey {
    facts: Facts,
    key: lattice::PrivateKey,
}

impl PrivateKey {
    messages!();

    /// From the seed ξ, [`SEED`] bytes; another length is `AttributeValueInvalid`.
    pub fn from_seed(set: Set, seed: &[u8]) -> Result<Self> {
        Self::new(set, lattice::PrivateKey::from_seed(set, seed)?)
    }

    /// From the expanded key, whose parts must belong together, else `AttributeValueInvalid`.
    pub fn from_expanded(set: Set, expanded: &[u8]) -> Result<Self> {
        Self::new(set, lattice::PrivateKey::from_expanded(set, expanded)?)
    }

    fn new(set: Set, key: lattice::PrivateKey) -> Result<Self> {
        Ok(Self { facts: Facts::new(set, &key.public()?), key })
    }

    /// The expanded key, [`Set::private_length`] bytes.
    pub fn expanded(&self) -> Result<Secret> {
        self.key.expanded()
    }

    pub fn public(&self) -> Result<Vec<u8>> {
        self.key.public()
    }

    /// `signature` has [`Set::signature_length`] bytes. Hedged unless `deterministic`.
    pub fn sign(&self, what: &Representative, deterministic: bool, signature: &mut [u8]) -> Result<()> {
        self.key.sign(what, deterministic, signature)
    }
}

/// A parsed public key, ready to use.
pub struct PublicKey {
    facts: Facts,
    key: lattice::PublicKey,
}

impl PublicKey {
    messages!();

    /// [`Set::public_length`] bytes (each such string is a key), else `AttributeValueInvalid`.
    pub fn new(set: Set, public: &[u8]) -> Result<Self> {
        Ok(Self { facts: Facts::new(set, public), key: lattice::PublicKey::new(set, public)? })
    }

    /// `SignatureInvalid`, or `SignatureLenRange`.
    pub fn verify(&self, what: &Representative, signature: &[u8]) -> Result<()> {
        if signature.len() != self.set().signature_length() {
            return Err(Error::SignatureLenRange);
        }
        self.key.verify(what, signature)
    }
}
