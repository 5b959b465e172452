//! RSA (RFC 8017), 1024 to 8192 bits (generation from 2048), odd public exponents from 3.

use crate::crypto::{Hash, RsaParts, RsaPublic, Secret, pkcs1};
use crate::error::{Error, Result};
use rsa::hazmat::{rsa_decrypt_and_check, rsa_encrypt};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BoxedUint, PrivateKey as LibraryPrivateKey, PublicKey as LibraryPublicKey};

pub struct PrivateKey {
    key: LibraryPrivateKey,
    length: usize,
    rejection: [u8; 32],
}

pub struct PublicKey {
    key: LibraryPublicKey,
    length: usize,
}

fn number(bytes: &[u8]) -> BoxedUint {
    BoxedUint::from_be_slice_vartime(bytes)
}

fn bytes(number: &BoxedUint) -> Secret {
    Secret::from(number.to_be_bytes_trimmed_vartime().into_vec())
}

/// The number into exactly `out`.
fn write(number: &BoxedUint, out: &mut [u8]) -> Result<()> {
    let all = Secret::from(number.to_be_bytes().into_vec());
    let kept = all.len().min(out.len());
    let start = out.len() - kept;
    out[..start].fill(0);
    out[start..].copy_from_slice(&all[all.len() - kept..]);
    Ok(())
}

/// An input block as a number below n.
fn below(block: &[u8], key: &impl PublicKeyParts, length: usize) -> Result<BoxedUint> {
    if block.len() != length {
        return Err(Error::DataLenRange);
    }
    let number = BoxedUint::from_be_slice(block, key.n_bits_precision()).map_err(|_| Error::DataInvalid)?;
    if number >= *key.n().as_ref() { Err(Error::DataInvalid) } else { Ok(number) }
}

fn parts_of(key: &LibraryPrivateKey) -> Result<RsaParts> {
    let missing = || Error::AttributeValueInvalid;
    let primes = key.primes();
    let (p, q) = (primes.first().ok_or_else(missing)?, primes.get(1).ok_or_else(missing)?);
    Ok(RsaParts {
        public: RsaPublic {
            modulus: key.n().as_ref().to_be_bytes_trimmed_vartime().into_vec(),
            public_exponent: key.e().to_be_bytes_trimmed_vartime().into_vec(),
        },
        private_exponent: bytes(key.d()),
        prime_1: bytes(p.as_ref()),
        prime_2: bytes(q.as_ref()),
        exponent_1: bytes(key.dp().ok_or_else(missing)?),
        exponent_2: bytes(key.dq().ok_or_else(missing)?),
        coefficient: bytes(&key.crt_coefficient().ok_or_else(missing)?),
    })
}

impl PrivateKey {
    /// A new key of `bits` (a multiple of 8; the caller checked the range) and exponent.
    pub fn generate(bits: usize, public_exponent: &[u8]) -> Result<RsaParts> {
        let key = LibraryPrivateKey::new_with_exp(&mut getrandom::SysRng, bits, number(public_exponent))
            .map_err(|e| Error::FunctionFailed.because(e))?;
        parts_of(&key)
    }

    /// Checks that the parts belong together: `AttributeValueInvalid` otherwise.
    pub fn new(parts: &RsaParts) -> Result<Self> {
        PublicKey::new(&parts.public)?;
        let primes = vec![number(&parts.prime_1), number(&parts.prime_2)];
        let (n, e) = (number(&parts.public.modulus), number(&parts.public.public_exponent));
        let key = LibraryPrivateKey::from_components(n, e, number(&parts.private_exponent), primes)
            .map_err(|e| Error::AttributeValueInvalid.because(e))?;
        let same = parts_of(&key)?;
        if same.exponent_1 != parts.exponent_1
            || same.exponent_2 != parts.exponent_2
            || same.coefficient != parts.coefficient
        {
            return Err(Error::AttributeValueInvalid);
        }
        Ok(Self { length: parts.public.modulus.len(), rejection: parts.rejection_key(), key })
    }

    /// Fills in primes and CRT values from n, e, d when they are absent (`complete` is then called
    /// before `new`). `AttributeValueInvalid` when n, e, d do not belong together, and for exponents
    /// up to 2^16, whose primes SP 800-56B's method does not recover.
    pub fn complete(public: &RsaPublic, private_exponent: &Secret) -> Result<RsaParts> {
        PublicKey::new(public)?;
        let (n, e, d) = (number(&public.modulus), number(&public.public_exponent), number(private_exponent));
        let key = LibraryPrivateKey::from_components(n, e, d, Vec::new())
            .map_err(|e| Error::AttributeValueInvalid.because(e))?;
        parts_of(&key)
    }

    /// Modulus length in bytes: the length of every block and signature below.
    pub fn length(&self) -> usize {
        self.length
    }

    /// RSASP1/RSADP with blinding; `input` has `length` bytes and is below n (`DataInvalid`).
    pub fn raw(&self, input: &[u8], out: &mut [u8]) -> Result<()> {
        let input = below(input, &self.key, self.length)?;
        let output = rsa_decrypt_and_check(&self.key, Some(&mut getrandom::SysRng), &input)
            .map_err(|e| Error::FunctionFailed.because(e))?;
        write(&output, out)
    }

    /// Type 1 padding over `data` as it is (a DigestInfo, or anything up to length - 11:
    /// `DataLenRange`), then the private operation.
    pub fn sign_pkcs1(&self, data: &[u8], signature: &mut [u8]) -> Result<()> {
        let block = pkcs1::pad_type_1(data, self.length)?;
        self.raw(&block, signature)
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
        let mut block = vec![0; self.length];
        pkcs1::pad_pss(hash, mgf, salt_length, digest, self.key.n().bit_width() as usize, &mut block)?;
        self.raw(&block, signature)
    }

    /// With implicit rejection (`crypto::pkcs1`, which says what `lengths` are): never fails for a wrong padding.
    pub fn decrypt_pkcs1(&self, input: &[u8], lengths: &[usize]) -> Result<Secret> {
        let mut block = Secret::zeroed(self.length);
        self.raw(input, &mut block)?;
        Ok(pkcs1::unpad_implicit(&block, &self.rejection, input, lengths))
    }

    /// `EncryptedDataInvalid` for every kind of wrong padding alike.
    pub fn decrypt_oaep(&self, hash: Hash, mgf: Hash, label: &[u8], input: &[u8]) -> Result<Secret> {
        let mut block = Secret::zeroed(self.length);
        self.raw(input, &mut block)?;
        pkcs1::unpad_oaep(hash, mgf, label, block)
    }
}

impl PublicKey {
    /// Odd modulus of 1024 to 8192 bits, odd exponent from 3, else `AttributeValueInvalid`.
    pub fn new(public: &RsaPublic) -> Result<Self> {
        let key = LibraryPublicKey::new(number(&public.modulus), number(&public.public_exponent))
            .map_err(|e| Error::AttributeValueInvalid.because(e))?;
        let odd = public.modulus.last().is_some_and(|b| b & 1 == 1)
            && public.public_exponent.last().is_some_and(|b| b & 1 == 1);
        if odd { Ok(Self { key, length: public.modulus.len() }) } else { Err(Error::AttributeValueInvalid) }
    }

    pub fn length(&self) -> usize {
        self.length
    }

    /// RSAVP1/RSAEP; `input` has `length` bytes and is below n (`DataInvalid`).
    pub fn raw(&self, input: &[u8], out: &mut [u8]) -> Result<()> {
        let input = below(input, &self.key, self.length)?;
        write(&rsa_encrypt(&self.key, &input).map_err(|e| Error::FunctionFailed.because(e))?, out)
    }

    /// The block inside a signature: `SignatureLenRange` or `SignatureInvalid`.
    fn opened(&self, signature: &[u8]) -> Result<Vec<u8>> {
        if signature.len() != self.length {
            return Err(Error::SignatureLenRange);
        }
        let mut block = vec![0; self.length];
        self.raw(signature, &mut block).map_err(|_| Error::SignatureInvalid)?;
        Ok(block)
    }

    /// What was signed with type 1 padding, at most length - 11 bytes; errors as for `verify_pkcs1`.
    pub fn recover_pkcs1(&self, signature: &[u8]) -> Result<Vec<u8>> {
        let block = self.opened(signature)?;
        pkcs1::unpad_type_1(&block).map(<[u8]>::to_vec).ok_or(Error::SignatureInvalid)
    }

    /// `SignatureLenRange` for a wrong length, `SignatureInvalid` otherwise.
    pub fn verify_pkcs1(&self, data: &[u8], signature: &[u8]) -> Result<()> {
        let block = self.opened(signature)?;
        if pkcs1::pad_type_1(data, self.length)? == block { Ok(()) } else { Err(Error::SignatureInvalid) }
    }

    pub fn verify_pss(
        &self,
        hash: Hash,
        mgf: Hash,
        salt_length: usize,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        let mut block = self.opened(signature)?;
        pkcs1::verify_pss(hash, mgf, salt_length, digest, self.key.n().bit_width() as usize, &mut block)
    }

    /// `out` has `length` bytes; `data` over length - 11 is `DataLenRange`.
    pub fn encrypt_pkcs1(&self, data: &[u8], out: &mut [u8]) -> Result<()> {
        self.raw(&pkcs1::pad_type_2(data, self.length)?, out)
    }

    pub fn encrypt_oaep(
        &self,
        hash: Hash,
        mgf: Hash,
        label: &[u8],
        data: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        let mut block = vec![0; self.length];
        pkcs1::pad_oaep(hash, mgf, label, data, &mut block)?;
        self.raw(&block, out)
    }
}
