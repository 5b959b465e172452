//! RSA (RFC 8017), 1024 to 8192 bits (generation from 2048), odd public exponents from 3.

use crate::crypto::{Hash, RsaParts, RsaPublic, Secret};
use crate::error::Result;

pub struct PrivateKey {}
pub struct PublicKey {}

impl PrivateKey {
    /// A new key of `bits` (a multiple of 8; the caller checked the range) and exponent.
    pub fn generate(bits: usize, public_exponent: &[u8]) -> Result<RsaParts> {
        let _ = (bits, public_exponent);
        todo!()
    }
    /// Checks that the parts belong together: `AttributeValueInvalid` otherwise.
    pub fn new(parts: &RsaParts) -> Result<Self> {
        let _ = parts;
        todo!()
    }
    /// Fills in primes and CRT values from n, e, d when they are absent (`complete` is then called
    /// before `new`). `AttributeValueInvalid` when n, e, d do not belong together.
    pub fn complete(public: &RsaPublic, private_exponent: &Secret) -> Result<RsaParts> {
        let _ = (public, private_exponent);
        todo!()
    }
    /// Modulus length in bytes: the length of every block and signature below.
    pub fn length(&self) -> usize {
        todo!()
    }
    /// RSASP1/RSADP with blinding; `input` has `length` bytes and is below n (`DataInvalid`).
    pub fn raw(&self, input: &[u8], out: &mut [u8]) -> Result<()> {
        let _ = (input, out);
        todo!()
    }
    /// Type 1 padding over `data` as it is (a DigestInfo, or anything up to length - 11:
    /// `DataLenRange`), then the private operation.
    pub fn sign_pkcs1(&self, data: &[u8], signature: &mut [u8]) -> Result<()> {
        let _ = (data, signature);
        todo!()
    }
    /// EMSA-PSS; `digest` has hash.length() bytes (`DataLenRange`).
    pub fn sign_pss(
        &self,
        hash: Hash,
        mgf: Hash,
        salt_length: usize,
        digest: &[u8],
        signature: &mut [u8],
    ) -> Result<()> {
        let _ = (hash, mgf, salt_length, digest, signature);
        todo!()
    }
    /// With implicit rejection (`crypto::pkcs1`): never fails for a wrong padding.
    pub fn decrypt_pkcs1(&self, input: &[u8]) -> Result<Secret> {
        let _ = input;
        todo!()
    }
    /// `EncryptedDataInvalid` for every kind of wrong padding alike.
    pub fn decrypt_oaep(&self, hash: Hash, mgf: Hash, label: &[u8], input: &[u8]) -> Result<Secret> {
        let _ = (hash, mgf, label, input);
        todo!()
    }
}

impl PublicKey {
    /// Odd modulus of 1024 to 8192 bits, odd exponent from 3, else `AttributeValueInvalid`.
    pub fn new(public: &RsaPublic) -> Result<Self> {
        let _ = public;
        todo!()
    }
    pub fn length(&self) -> usize {
        todo!()
    }
    /// RSAVP1/RSAEP; `input` has `length` bytes and is below n (`DataInvalid`).
    pub fn raw(&self, input: &[u8], out: &mut [u8]) -> Result<()> {
        let _ = (input, out);
        todo!()
    }
    /// `SignatureLenRange` for a wrong length, `SignatureInvalid` otherwise.
    pub fn verify_pkcs1(&self, data: &[u8], signature: &[u8]) -> Result<()> {
        let _ = (data, signature);
        todo!()
    }
    pub fn verify_pss(
        &self,
        hash: Hash,
        mgf: Hash,
        salt_length: usize,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        let _ = (hash, mgf, salt_length, digest, signature);
        todo!()
    }
    /// `out` has `length` bytes; `data` over length - 11 is `DataLenRange`.
    pub fn encrypt_pkcs1(&self, data: &[u8], out: &mut [u8]) -> Result<()> {
        let _ = (data, out);
        todo!()
    }
    pub fn encrypt_oaep(
        &self,
        hash: Hash,
        mgf: Hash,
        label: &[u8],
        data: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        let _ = (hash, mgf, label, data, out);
        todo!()
    }
}
