//! Hashes for signatures over a digest that names its hash (FIPS 204 §5.4.1, FIPS 205 §10.2.2): SHA-2,
//! SHA-3, and SHAKE of fixed length.

use super::Hash;
use super::hash::Context;
use shake::{ExtendableOutput, Shake128, Shake256, Update};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreHash {
    Plain(Hash),
    /// 32 bytes of it.
    Shake128,
    /// 64 bytes of it.
    Shake256,
}

impl PreHash {
    /// Length of the digest in bytes.
    pub const fn length(self) -> usize {
        match self {
            PreHash::Plain(hash) => hash.length(),
            PreHash::Shake128 => 32,
            PreHash::Shake256 => 64,
        }
    }

    /// DER OBJECT IDENTIFIER, tag and length included.
    pub fn oid_der(self) -> [u8; 11] {
        let shake = |arc| [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, arc];
        match self {
            PreHash::Plain(hash) => hash.oid_der(),
            PreHash::Shake128 => shake(11),
            PreHash::Shake256 => shake(12),
        }
    }

    pub fn start(self) -> PreHasher {
        match self {
            PreHash::Plain(hash) => PreHasher::Plain(Context::new(hash)),
            PreHash::Shake128 => PreHasher::Shake128(Shake128::default()),
            PreHash::Shake256 => PreHasher::Shake256(Shake256::default()),
        }
    }
}

/// A running one.
pub enum PreHasher {
    Plain(Context),
    Shake128(Shake128),
    Shake256(Shake256),
}

impl PreHasher {
    pub fn update(&mut self, data: &[u8]) {
        match self {
            PreHasher::Plain(context) => context.update(data),
            PreHasher::Shake128(state) => state.update(data),
            PreHasher::Shake256(state) => state.update(data),
        }
    }

    /// The digest, [`PreHash::length`] bytes.
    pub fn finish(self) -> Vec<u8> {
        match self {
            PreHasher::Plain(mut context) => {
                let mut digest = vec![0; context.length()];
                context.finish(&mut digest);
                digest
            }
            PreHasher::Shake128(state) => squeezed(state, PreHash::Shake128.length()),
            PreHasher::Shake256(state) => squeezed(state, PreHash::Shake256.length()),
        }
    }
}

fn squeezed(state: impl ExtendableOutput, length: usize) -> Vec<u8> {
    let mut digest = vec![0; length];
    state.finalize_xof_into(&mut digest);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn shake_of_nothing() {
        // FIPS 202 examples.
        let digest = |hash: PreHash| hex(&hash.start().finish());
        assert!(digest(PreHash::Shake128).starts_with("7f9c2ba4e88f827d616045507605853e"));
        assert!(digest(PreHash::Shake256).starts_with("46b9dd2b0ba88d13233b3feb743eeb24"));
        let lengths = [PreHash::Shake128, PreHash::Shake256, PreHash::Plain(Hash::Sha384)]
            .map(|hash| (hash.start().finish().len(), hash.length()));
        assert_eq!(lengths, [(32, 32), (64, 64), (48, 48)]);
    }

    #[test]
    fn oids_are_those_of_the_hashes() {
        // 2.16.840.1.101.3.4.2.1 is SHA-256, .12 SHAKE256.
        assert_eq!(hex(&PreHash::Plain(Hash::Sha256).oid_der()), "0609608648016503040201");
        assert_eq!(hex(&PreHash::Shake256.oid_der()), "060960864801650304020c");
    }
}
