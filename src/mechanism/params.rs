//! Mechanism parameters as owned values; `ffi` fills them by the row's [`Shape`].

use crate::crypto::Hash;

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
    /// CK_ECDH1_DERIVE_PARAMS.
    Ecdh,
    /// None, or CK_EDDSA_PARAMS.
    Eddsa,
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
