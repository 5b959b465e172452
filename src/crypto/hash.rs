//! Digests and HMAC: RustCrypto in every build, because its states can be cloned
//! (C_GetOperationState) and it is as fast as AWS-LC here.

use crate::error::{Error, Result};
use hmac::digest::Digest;
use hmac::digest::common::hazmat::SerializableState;
use hmac::{KeyInit, Mac};
use zeroize::Zeroizing;

/// A hash function by its name in FIPS 180-4 and FIPS 202.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512_224,
    Sha512_256,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

/// One arm per hash: the variant, the type that computes it, the HMAC that fits the type.
macro_rules! for_each_hash {
    ($work:ident) => {
        $work! {
            Sha1 => sha1::Sha1, hmac::Hmac;
            Sha224 => sha2::Sha224, hmac::Hmac;
            Sha256 => sha2::Sha256, hmac::Hmac;
            Sha384 => sha2::Sha384, hmac::Hmac;
            Sha512 => sha2::Sha512, hmac::Hmac;
            Sha512_224 => sha2::Sha512_224, hmac::Hmac;
            Sha512_256 => sha2::Sha512_256, hmac::Hmac;
            Sha3_224 => sha3::Sha3_224, hmac::SimpleHmac;
            Sha3_256 => sha3::Sha3_256, hmac::SimpleHmac;
            Sha3_384 => sha3::Sha3_384, hmac::SimpleHmac;
            Sha3_512 => sha3::Sha3_512, hmac::SimpleHmac;
        }
    };
}

impl Hash {
    pub const ALL: [Hash; 11] = [
        Hash::Sha1,
        Hash::Sha224,
        Hash::Sha256,
        Hash::Sha384,
        Hash::Sha512,
        Hash::Sha512_224,
        Hash::Sha512_256,
        Hash::Sha3_224,
        Hash::Sha3_256,
        Hash::Sha3_384,
        Hash::Sha3_512,
    ];

    /// Length of the digest in bytes.
    pub const fn length(self) -> usize {
        match self {
            Hash::Sha1 => 20,
            Hash::Sha224 | Hash::Sha512_224 | Hash::Sha3_224 => 28,
            Hash::Sha256 | Hash::Sha512_256 | Hash::Sha3_256 => 32,
            Hash::Sha384 | Hash::Sha3_384 => 48,
            Hash::Sha512 | Hash::Sha3_512 => 64,
        }
    }

    /// The digest of `data`.
    pub fn digest(self, data: &[u8]) -> Vec<u8> {
        let mut context = Context::new(self);
        context.update(data);
        let mut out = vec![0; self.length()];
        context.finish(&mut out);
        out
    }

    /// DER OBJECT IDENTIFIER of one of NIST's (all but SHA-1), tag and length included.
    pub fn oid_der(self) -> [u8; 11] {
        let mut oid = [0; 11];
        oid.copy_from_slice(&self.digest_info_prefix()[4..15]);
        oid
    }

    /// The DER prefix of a PKCS#1 DigestInfo for this hash (RFC 8017 §9.2), digest excluded.
    pub const fn digest_info_prefix(self) -> &'static [u8] {
        /// SEQUENCE { SEQUENCE { OID 2.16.840.1.101.3.4.2.N, NULL }, OCTET STRING of `length` }.
        const fn nist(arc: u8, length: u8) -> [u8; 19] {
            let total = 17 + length;
            [
                0x30, total, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, arc,
                0x05, 0x00, 0x04, length,
            ]
        }
        match self {
            Hash::Sha1 => {
                &[0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14]
            }
            Hash::Sha256 => const { &nist(1, 32) },
            Hash::Sha384 => const { &nist(2, 48) },
            Hash::Sha512 => const { &nist(3, 64) },
            Hash::Sha224 => const { &nist(4, 28) },
            Hash::Sha512_224 => const { &nist(5, 28) },
            Hash::Sha512_256 => const { &nist(6, 32) },
            Hash::Sha3_224 => const { &nist(7, 28) },
            Hash::Sha3_256 => const { &nist(8, 32) },
            Hash::Sha3_384 => const { &nist(9, 48) },
            Hash::Sha3_512 => const { &nist(10, 64) },
        }
    }
}

macro_rules! states {
    ($($name:ident => $type:ty, $hmac:ident :: $mac:ident;)*) => {
        #[derive(Clone)]
        enum DigestState { $($name($type),)* }

        #[derive(Clone)]
        enum HmacState { $($name(Box<$hmac::$mac<$type>>),)* }

        impl Context {
            pub fn new(hash: Hash) -> Self {
                Context { hash, state: match hash { $(Hash::$name => DigestState::$name(<$type>::new()),)* } }
            }

            pub fn update(&mut self, data: &[u8]) {
                match &mut self.state { $(DigestState::$name(state) => Digest::update(state, data),)* }
            }

            /// Writes the digest into `out`, exactly [`Context::length`] bytes, and starts anew.
            pub fn finish(&mut self, out: &mut [u8]) {
                match &mut self.state {
                    $(DigestState::$name(state) => out.copy_from_slice(&state.finalize_reset()),)*
                }
            }

            /// The running state as bytes, for [`Context::load`] of the same hash and build. They hold
            /// up to a block of the input as it is.
            pub fn save(&self) -> Zeroizing<Vec<u8>> {
                match &self.state {
                    $(DigestState::$name(state) => Zeroizing::new(state.serialize().to_vec()),)*
                }
            }

            /// Goes on from bytes that [`Context::save`] gave; `SavedStateInvalid` for what can be no
            /// state of this hash. That nobody made them up is for the caller to know.
            pub fn load(&mut self, saved: &[u8]) -> Result<()> {
                match &mut self.state {
                    $(DigestState::$name(state) => {
                        let saved = saved.try_into().map_err(|_| Error::SavedStateInvalid)?;
                        *state = <$type>::deserialize(saved).map_err(|_| Error::SavedStateInvalid)?;
                    })*
                }
                Ok(())
            }
        }

        impl Hmac {
            pub fn new(hash: Hash, key: &[u8]) -> Self {
                let state = match hash { $(Hash::$name => HmacState::$name(Box::new(keyed(key))),)* };
                Hmac { hash, state }
            }

            pub fn update(&mut self, data: &[u8]) {
                match &mut self.state { $(HmacState::$name(state) => Mac::update(&mut **state, data),)* }
            }

            /// Writes the whole MAC into `out`, exactly [`Hmac::length`] bytes.
            pub fn finish(self, out: &mut [u8]) {
                match self.state {
                    $(HmacState::$name(state) => out.copy_from_slice(&state.finalize().into_bytes()),)*
                }
            }
        }
    };
}

for_each_hash!(states);

/// A running digest.
#[derive(Clone)]
pub struct Context {
    hash: Hash,
    state: DigestState,
}

impl Context {
    pub fn length(&self) -> usize {
        self.hash.length()
    }
}

/// A running HMAC (FIPS 198-1). Clone a keyed one to skip the key set-up.
#[derive(Clone)]
pub struct Hmac {
    hash: Hash,
    state: HmacState,
}

impl Hmac {
    pub fn length(&self) -> usize {
        self.hash.length()
    }

    /// One call for short inputs: HMAC-SHA-256 over the concatenation of `parts`.
    pub fn sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut state: hmac::Hmac<sha2::Sha256> = keyed(key);
        for part in parts {
            Mac::update(&mut state, part);
        }
        state.finalize().into_bytes().into()
    }
}

fn keyed<M: Mac + KeyInit>(key: &[u8]) -> M {
    // HMAC takes keys of any length; the error type belongs to the trait, not to HMAC.
    <M as KeyInit>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC refuses no key"))
}

/// MGF1 (RFC 8017 §B.2.1), XORed over `target`.
pub fn mgf1_xor(hash: Hash, seed: &[u8], target: &mut [u8]) {
    let mut block = Zeroizing::new(vec![0; hash.length()]);
    let mut context = Context::new(hash);
    for (counter, part) in target.chunks_mut(hash.length()).enumerate() {
        context.update(seed);
        context.update(&(counter as u32).to_be_bytes());
        context.finish(&mut block);
        part.iter_mut().zip(block.iter()).for_each(|(t, b)| *t ^= b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn digests_of_abc() {
        // FIPS 180-4 and FIPS 202 examples.
        let expected = [
            (Hash::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (Hash::Sha224, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
            (Hash::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (Hash::Sha512_256, "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"),
            (Hash::Sha3_256, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        ];
        for (hash, digest) in expected {
            assert_eq!(hex(&hash.digest(b"abc")), digest, "{hash:?}");
        }
        for hash in Hash::ALL {
            assert_eq!(hash.digest(b"").len(), hash.length());
            assert_eq!(hash.digest_info_prefix().last().map(|l| *l as usize), Some(hash.length()));
            assert_eq!(
                hash.digest_info_prefix()[1] as usize + 2,
                hash.digest_info_prefix().len() + hash.length()
            );
        }
    }

    #[test]
    fn hmac_rfc4231_case_2() {
        let mac = Hmac::sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(hex(&mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let mut running = Hmac::new(Hash::Sha512, b"Jefe");
        running.update(b"what do ya want for nothing?");
        let mut out = [0; 64];
        running.finish(&mut out);
        assert!(hex(&out).starts_with("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"));
    }

    #[test]
    fn a_clone_goes_on_alone() {
        let mut first = Context::new(Hash::Sha256);
        first.update(b"a");
        let mut second = first.clone();
        first.update(b"bc");
        second.update(b"bc");
        let (mut one, mut two) = ([0; 32], [0; 32]);
        first.finish(&mut one);
        second.finish(&mut two);
        assert_eq!(one, two);
    }

    #[test]
    fn a_saved_state_goes_on_at_every_length() {
        let data: Vec<u8> = (0..300u16).map(|n| n as u8).collect();
        for hash in Hash::ALL {
            for cut in 0..data.len() {
                let mut context = Context::new(hash);
                context.update(&data[..cut]);
                let saved = context.save();
                let mut other = Context::new(hash);
                other.update(b"something else");
                assert_eq!(other.load(&saved), Ok(()), "{hash:?}");
                other.update(&data[cut..]);
                let mut out = vec![0; hash.length()];
                other.finish(&mut out);
                assert_eq!(out, hash.digest(&data), "{hash:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for hash in Hash::ALL {
            let saved = Context::new(hash).save();
            for wrong in [&saved[1..], &[&saved[..], &[0]].concat(), &vec![0xff; saved.len()], &[]] {
                assert_eq!(Context::new(hash).load(wrong), Err(Error::SavedStateInvalid), "{hash:?}");
            }
        }
    }
}
