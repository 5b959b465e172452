//! Mechanism parameters as owned values; `ffi` fills them by the row's [`Shape`].

use crate::crypto::sp800_108::Number;
use crate::crypto::{Hash, Secret};
use crate::error::{Error, Result};
use crate::object::Template;

/// What the parameter of a mechanism looks like in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// None; `NULL`, 0. (A non-NULL one is `MechanismParamInvalid`.)
    None,
    /// Exactly this many bytes: an IV.
    Iv(usize),
    /// None, or exactly this many bytes: the IV of a key wrap.
    OptionalIv(usize),
    /// CK_MAC_GENERAL_PARAMS: a CK_ULONG.
    MacLength,
    /// CK_RSA_PKCS_PSS_PARAMS.
    Pss,
    /// CK_RSA_PKCS_OAEP_PARAMS.
    Oaep,
    /// CK_RSA_AES_KEY_WRAP_PARAMS.
    RsaAes,
    /// CK_AES_CTR_PARAMS.
    Ctr,
    /// CK_GCM_PARAMS, with or without ulIvBits (48 or 40 bytes).
    Gcm,
    /// CK_CCM_PARAMS.
    Ccm,
    /// CK_SALSA20_CHACHA20_POLY1305_PARAMS.
    ChaCha20Poly1305,
    /// CK_ECDH1_DERIVE_PARAMS.
    Ecdh,
    /// None, or CK_EDDSA_PARAMS.
    Eddsa,
    /// CK_HKDF_PARAMS.
    Hkdf,
    /// CK_SP800_108_KDF_PARAMS.
    Kdf,
    /// CK_SP800_108_FEEDBACK_KDF_PARAMS.
    FeedbackKdf,
    /// CK_PKCS5_PBKD2_PARAMS2, or CK_PKCS5_PBKD2_PARAMS, which has a pointer to the password's length.
    Pbkdf2,
    /// CK_OBJECT_HANDLE of another key.
    KeyHandle,
    /// CK_KEY_DERIVATION_STRING_DATA.
    StringData,
    /// CK_EXTRACT_PARAMS: a CK_ULONG.
    BitPosition,
    /// None, or CK_SIGN_ADDITIONAL_CONTEXT.
    SignContext,
    /// CK_HASH_SIGN_ADDITIONAL_CONTEXT.
    HashSignContext,
}

/// A parameter that owns its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Params {
    #[default]
    None,
    Iv(Vec<u8>),
    MacLength(usize),
    /// Hash of the message, hash of MGF1, salt length in bytes.
    Pss {
        hash: Hash,
        mgf: Hash,
        salt_length: usize,
    },
    /// Hash, hash of MGF1, label (encoding parameter).
    Oaep {
        hash: Hash,
        mgf: Hash,
        label: Vec<u8>,
    },
    /// Bits of the AES key between; then as for OAEP.
    RsaAes {
        key_bits: usize,
        hash: Hash,
        mgf: Hash,
        label: Vec<u8>,
    },
    /// ulCounterBits and the first block.
    Ctr {
        counter_bits: u32,
        block: [u8; 16],
    },
    /// IV, additional data, tag length in bits.
    Gcm {
        iv: Iv,
        aad: Vec<u8>,
        tag_bits: usize,
    },
    /// How many bytes will come, nonce, additional data, tag length in bytes.
    Ccm {
        data_length: usize,
        nonce: Vec<u8>,
        aad: Vec<u8>,
        tag_length: usize,
    },
    ChaCha20Poly1305 {
        nonce: [u8; 12],
        aad: Vec<u8>,
    },
    /// KDF (`None`: CKD_NULL), shared data, the peer's point (raw or in an OCTET STRING).
    Ecdh {
        kdf: Option<Hash>,
        shared: Vec<u8>,
        public: Vec<u8>,
    },
    Eddsa {
        prehash: bool,
        context: Vec<u8>,
    },
    /// Hedged unless `deterministic`; the hash that made the digest, where one is named.
    SignContext {
        deterministic: bool,
        context: Vec<u8>,
        hash: Option<Hash>,
    },
    /// Which halves are done; the salt (`None`: zeros).
    Hkdf {
        extract: bool,
        expand: bool,
        hash: Hash,
        salt: Option<Input>,
        info: Vec<u8>,
    },
    Kdf(Kdf),
    /// What is joined to a base key.
    Other(Input),
    BitPosition(usize),
    Pbkdf2 {
        hash: Hash,
        password: Secret,
        salt: Vec<u8>,
        iterations: u32,
    },
}

impl Params {
    /// The inputs that may be keys, for the session to look up.
    pub fn inputs<'a>(&'a mut self) -> Vec<&'a mut Input> {
        match self {
            Params::Hkdf { extract: true, salt, .. } => salt.iter_mut().collect(),
            Params::Other(input) => vec![input],
            Params::Kdf(kdf) => {
                let data = |field: &'a mut KdfField| match field {
                    KdfField::Data(input) => Some(input),
                    _ => None,
                };
                kdf.fields.iter_mut().filter_map(data).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Bytes that the caller gave, or the value of a key of his.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Bytes(Vec<u8>),
    /// By its handle: nobody looked yet.
    Key(u64),
    Value(Secret),
}

impl Input {
    pub fn bytes(&self) -> Result<&[u8]> {
        match self {
            Input::Bytes(bytes) => Ok(bytes),
            Input::Value(value) => Ok(value),
            Input::Key(_) => Err(Error::GeneralError),
        }
    }
}

/// The parameter of the SP 800-108 mechanisms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kdf {
    pub prf: Prf,
    pub fields: Vec<KdfField>,
    /// Of feedback mode.
    pub initial: Vec<u8>,
    /// Templates of the keys that are derived after the first.
    pub more: Vec<Template>,
    /// How long those are, in bytes: for the session to say.
    pub lengths: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prf {
    Hmac(Hash),
    AesCmac,
}

/// A CK_PRF_DATA_PARAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KdfField {
    /// The iteration variable: a counter in counter mode, `None` in the others.
    Iteration(Option<Number>),
    Counter(Number),
    Length {
        format: Number,
        segments: bool,
    },
    Data(Input),
}

/// An IV without an allocation when it is as short as all but a few are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Iv {
    /// All of it, when it is longer than `short`.
    long: Vec<u8>,
    short: [u8; 16],
    length: u8,
}

impl Iv {
    /// Takes the bytes where it stands: what was just written byte by byte is slow to move as a whole.
    pub fn set(&mut self, bytes: &[u8]) {
        match self.short.get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                (self.length, self.long) = (bytes.len() as u8, Vec::new());
            }
            None => self.long = bytes.to_vec(),
        }
    }
}

impl From<&[u8]> for Iv {
    fn from(bytes: &[u8]) -> Self {
        let mut iv = Iv::default();
        iv.set(bytes);
        iv
    }
}

impl std::ops::Deref for Iv {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        if self.long.is_empty() { &self.short[..usize::from(self.length)] } else { &self.long }
    }
}
