//! RSA (RFC 8017), 1024 to 8192 bits (generation from 2048), odd public exponents from 3.

use super::big::{self, Big};
use super::{check, not_null, owned};
use crate::crypto::{Hash, RsaParts, RsaPublic, Secret, pkcs1, portable};
use crate::error::{Error, Result};
use aws_lc_sys as aws;
use std::ptr::null_mut;

owned!(
    /// An RSA key.
    Handle,
    aws::RSA,
    aws::RSA_free
);

// SAFETY: AWS-LC guards what an RSA changes while it is used (the blinding cache) with its own lock.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

type RawOperation =
    unsafe extern "C" fn(*mut aws::RSA, *mut usize, *mut u8, usize, *const u8, usize, i32) -> i32;

impl Handle {
    /// One RSA operation with AWS-LC's padding. Answers how many bytes it wrote.
    fn run(
        &self,
        operation: RawOperation,
        padding: i32,
        input: &[u8],
        out: &mut [u8],
        error: Error,
    ) -> Result<usize> {
        let mut written = 0;
        // SAFETY: a live key; lengths are the slices' own.
        let code = unsafe {
            let (data, length) = (input.as_ptr(), input.len());
            operation(self.get(), &mut written, out.as_mut_ptr(), out.len(), data, length, padding)
        };
        check(code, error)?;
        Ok(written)
    }
}

pub struct PrivateKey {
    key: Handle,
    length: usize,
    bits: usize,
    rejection: [u8; 32],
}

pub struct PublicKey {
    key: Handle,
    length: usize,
    bits: usize,
}

impl PrivateKey {
    /// A new key of `bits` (a multiple of 8; the caller checked the range) and exponent.
    pub fn generate(bits: usize, public_exponent: &[u8]) -> Result<RsaParts> {
        let exponent = Big::from_bytes(public_exponent)?;
        // SAFETY: live handles; the numbers read belong to the key and are copied.
        unsafe {
            let key = Handle(not_null(aws::RSA_new(), Error::HostMemory)?);
            let made = aws::RSA_generate_key_ex(key.get(), bits as i32, exponent.get(), null_mut());
            check(made, Error::FunctionFailed)?;
            let raw = key.get();
            Ok(RsaParts {
                public: RsaPublic {
                    modulus: big::bytes(aws::RSA_get0_n(raw)).to_vec(),
                    public_exponent: big::bytes(aws::RSA_get0_e(raw)).to_vec(),
                },
                private_exponent: big::bytes(aws::RSA_get0_d(raw)),
                prime_1: big::bytes(aws::RSA_get0_p(raw)),
                prime_2: big::bytes(aws::RSA_get0_q(raw)),
                exponent_1: big::bytes(aws::RSA_get0_dmp1(raw)),
                exponent_2: big::bytes(aws::RSA_get0_dmq1(raw)),
                coefficient: big::bytes(aws::RSA_get0_iqmp(raw)),
            })
        }
    }

    /// Checks that the parts belong together: `AttributeValueInvalid` otherwise.
    pub fn new(parts: &RsaParts) -> Result<Self> {
        let public = PublicKey::new(&parts.public)?;
        let numbers = [
            Big::from_bytes(&parts.public.modulus)?,
            Big::from_bytes(&parts.public.public_exponent)?,
            Big::from_bytes(&parts.private_exponent)?,
            Big::from_bytes(&parts.prime_1)?,
            Big::from_bytes(&parts.prime_2)?,
            Big::from_bytes(&parts.exponent_1)?,
            Big::from_bytes(&parts.exponent_2)?,
            Big::from_bytes(&parts.coefficient)?,
        ];
        let [n, e, d, p, q, dp, dq, qinv] = numbers.each_ref().map(Big::get);
        // SAFETY: live numbers, which are copied.
        unsafe {
            let made = aws::RSA_new_private_key(n, e, d, p, q, dp, dq, qinv);
            let key = Handle(not_null(made, Error::AttributeValueInvalid)?);
            check(aws::RSA_check_key(key.get()), Error::AttributeValueInvalid)?;
            Ok(Self { key, length: public.length, bits: public.bits, rejection: parts.rejection_key() })
        }
    }

    /// Fills in primes and CRT values from n, e, d when they are absent (`complete` is then called
    /// before `new`). `AttributeValueInvalid` when n, e, d do not belong together, and for exponents
    /// up to 2^16, whose primes SP 800-56B's method does not recover.
    pub fn complete(public: &RsaPublic, private_exponent: &Secret) -> Result<RsaParts> {
        portable::rsa::PrivateKey::complete(public, private_exponent)
    }

    /// Modulus length in bytes: the length of every block and signature below.
    pub fn length(&self) -> usize {
        self.length
    }

    /// RSASP1/RSADP with blinding; `input` has `length` bytes and is below n (`DataInvalid`).
    pub fn raw(&self, input: &[u8], out: &mut [u8]) -> Result<()> {
        if input.len() != self.length {
            return Err(Error::DataLenRange);
        }
        self.key.run(aws::RSA_sign_raw, aws::RSA_NO_PADDING, input, out, Error::DataInvalid).map(drop)
    }

    /// Type 1 padding over `data` as it is (a DigestInfo, or anything up to length - 11:
    /// `DataLenRange`), then the private operation.
    pub fn sign_pkcs1(&self, data: &[u8], signature: &mut [u8]) -> Result<()> {
        if data.len() + 11 > self.length {
            return Err(Error::DataLenRange);
        }
        self.key
            .run(aws::RSA_sign_raw, aws::RSA_PKCS1_PADDING, data, signature, Error::FunctionFailed)
            .map(drop)
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
        pkcs1::pad_pss(hash, mgf, salt_length, digest, self.bits, &mut block)?;
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
        let (n, e) = (Big::from_bytes(&public.modulus)?, Big::from_bytes(&public.public_exponent)?);
        // SAFETY: live numbers, which are copied.
        unsafe {
            let bits = aws::BN_num_bits(n.get()) as usize;
            let odd =
                aws::BN_is_odd(n.get()) == 1 && aws::BN_is_odd(e.get()) == 1 && aws::BN_is_one(e.get()) == 0;
            let plain = bits.div_ceil(8) == public.modulus.len();
            if !odd || !plain || !(1024..=8192).contains(&bits) {
                return Err(Error::AttributeValueInvalid);
            }
            let key =
                Handle(not_null(aws::RSA_new_public_key(n.get(), e.get()), Error::AttributeValueInvalid)?);
            Ok(Self { key, length: public.modulus.len(), bits })
        }
    }

    pub fn length(&self) -> usize {
        self.length
    }

    /// RSAVP1/RSAEP; `input` has `length` bytes and is below n (`DataInvalid`).
    pub fn raw(&self, input: &[u8], out: &mut [u8]) -> Result<()> {
        if input.len() != self.length {
            return Err(Error::DataLenRange);
        }
        self.key.run(aws::RSA_encrypt, aws::RSA_NO_PADDING, input, out, Error::DataInvalid).map(drop)
    }

    /// What a signature opens to under a padding: `SignatureLenRange` or `SignatureInvalid`.
    fn opened(&self, padding: i32, signature: &[u8]) -> Result<Vec<u8>> {
        if signature.len() != self.length {
            return Err(Error::SignatureLenRange);
        }
        let mut block = vec![0; self.length];
        let length =
            self.key.run(aws::RSA_verify_raw, padding, signature, &mut block, Error::SignatureInvalid)?;
        block.truncate(length);
        Ok(block)
    }

    /// What was signed with type 1 padding, at most length - 11 bytes; errors as for `verify_pkcs1`.
    pub fn recover_pkcs1(&self, signature: &[u8]) -> Result<Vec<u8>> {
        self.opened(aws::RSA_PKCS1_PADDING, signature)
    }

    /// `SignatureLenRange` for a wrong length, `SignatureInvalid` otherwise.
    pub fn verify_pkcs1(&self, data: &[u8], signature: &[u8]) -> Result<()> {
        if self.recover_pkcs1(signature)? == data { Ok(()) } else { Err(Error::SignatureInvalid) }
    }

    pub fn verify_pss(
        &self,
        hash: Hash,
        mgf: Hash,
        salt_length: usize,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        let mut block = self.opened(aws::RSA_NO_PADDING, signature)?;
        pkcs1::verify_pss(hash, mgf, salt_length, digest, self.bits, &mut block)
    }

    /// `out` has `length` bytes; `data` over length - 11 is `DataLenRange`.
    pub fn encrypt_pkcs1(&self, data: &[u8], out: &mut [u8]) -> Result<()> {
        self.key.run(aws::RSA_encrypt, aws::RSA_PKCS1_PADDING, data, out, Error::DataLenRange).map(drop)
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
