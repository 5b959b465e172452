//! AES-128/192/256: unpadded block modes, GCM, CMAC, key wrap; `ccm` beside it.

pub mod ccm;

use super::{check, not_null, owned};
use crate::crypto::{Direction, Mode, Secret};
use crate::error::{Error, Result};
use aws_lc_sys as aws;
use std::ptr::{null, null_mut};

owned!(
    /// An EVP_CIPHER_CTX.
    CipherContext,
    aws::EVP_CIPHER_CTX,
    aws::EVP_CIPHER_CTX_free
);
owned!(
    /// An EVP_AEAD_CTX.
    AeadContext,
    aws::EVP_AEAD_CTX,
    aws::EVP_AEAD_CTX_free
);
owned!(
    /// A CMAC_CTX.
    CmacContext,
    aws::CMAC_CTX,
    aws::CMAC_CTX_free
);

// SAFETY: a context is used by one thread at a time through `&mut`.
unsafe impl Send for CipherContext {}
// SAFETY: as above.
unsafe impl Send for CmacContext {}
// SAFETY: sealing and opening read an EVP_AEAD_CTX and change nothing in it.
unsafe impl Send for AeadContext {}
// SAFETY: as above.
unsafe impl Sync for AeadContext {}

/// The one of three for the key's length, or `KeySizeRange`.
fn by_length<T>(key: &[u8], choices: [T; 3]) -> Result<T> {
    let [short, middle, long] = choices;
    match key.len() {
        16 => Ok(short),
        24 => Ok(middle),
        32 => Ok(long),
        _ => Err(Error::KeySizeRange),
    }
}

impl CipherContext {
    fn new() -> Result<Self> {
        // SAFETY: allocates; NULL is checked.
        not_null(unsafe { aws::EVP_CIPHER_CTX_new() }, Error::HostMemory).map(Self)
    }

    /// Runs `input` into `out` of the same length, in pieces that fit a C int.
    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<()> {
        if input.len() != out.len() {
            return Err(Error::GeneralError);
        }
        const PIECE: usize = 1 << 30;
        for (input, out) in input.chunks(PIECE).zip(out.chunks_mut(PIECE)) {
            let mut written = 0;
            // SAFETY: unpadded modes write exactly as many bytes as they read.
            let code = unsafe {
                let (data, length) = (input.as_ptr(), input.len() as i32);
                aws::EVP_CipherUpdate(self.get(), out.as_mut_ptr(), &mut written, data, length)
            };
            check(code, Error::FunctionFailed)?;
        }
        Ok(())
    }
}

/// A running unpadded cipher. Padding and part-blocks are the caller's business.
pub struct BlockCipher {
    context: CipherContext,
    /// Bytes a CTR may still process before its counter would wrap.
    left: u128,
}

impl BlockCipher {
    /// `key` 16, 24 or 32 bytes (`KeySizeRange`); `iv` 16 bytes, none for ECB.
    pub fn new(mode: Mode, direction: Direction, key: &[u8], iv: &[u8]) -> Result<Self> {
        if iv.len() != if mode == Mode::Ecb { 0 } else { 16 } {
            return Err(Error::MechanismParamInvalid);
        }
        // SAFETY: constant tables of AWS-LC.
        let cipher = unsafe {
            match mode {
                Mode::Ecb => {
                    by_length(key, [aws::EVP_aes_128_ecb(), aws::EVP_aes_192_ecb(), aws::EVP_aes_256_ecb()])?
                }
                Mode::Cbc => {
                    by_length(key, [aws::EVP_aes_128_cbc(), aws::EVP_aes_192_cbc(), aws::EVP_aes_256_cbc()])?
                }
                Mode::Ctr { .. } => {
                    by_length(key, [aws::EVP_aes_128_ctr(), aws::EVP_aes_192_ctr(), aws::EVP_aes_256_ctr()])?
                }
                Mode::Cfb128 => by_length(
                    key,
                    [aws::EVP_aes_128_cfb128(), aws::EVP_aes_192_cfb128(), aws::EVP_aes_256_cfb128()],
                )?,
                Mode::Cfb8 => by_length(
                    key,
                    [aws::EVP_aes_128_cfb8(), aws::EVP_aes_192_cfb8(), aws::EVP_aes_256_cfb8()],
                )?,
                Mode::Ofb => {
                    by_length(key, [aws::EVP_aes_128_ofb(), aws::EVP_aes_192_ofb(), aws::EVP_aes_256_ofb()])?
                }
            }
        };
        let context = CipherContext::new()?;
        let encrypt = i32::from(direction == Direction::Encrypt);
        // SAFETY: key and IV have the lengths that the cipher expects (checked above).
        unsafe {
            let iv = if iv.is_empty() { null() } else { iv.as_ptr() };
            let code = aws::EVP_CipherInit_ex(context.get(), cipher, null_mut(), key.as_ptr(), iv, encrypt);
            check(code, Error::FunctionFailed)?;
            check(aws::EVP_CIPHER_CTX_set_padding(context.get(), 0), Error::FunctionFailed)?;
        }
        Ok(Self { context, left: crate::crypto::parts::counter_room(mode, iv) })
    }

    /// `input` and `out` have the same length; whole blocks in ECB and CBC. A CTR whose counter
    /// would wrap within counter_bits is `DataLenRange`.
    pub fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<()> {
        self.left = self.left.checked_sub(input.len() as u128).ok_or(Error::DataLenRange)?;
        self.context.update(input, out)
    }
}

/// A prepared AES-GCM key: one-shot calls take `&self` and any number of threads.
pub struct GcmKey {
    /// For the full tag of 16 bytes.
    context: AeadContext,
    key: Secret,
}

impl GcmKey {
    pub fn new(key: &[u8]) -> Result<Self> {
        Ok(Self { context: Self::context(key, 16)?, key: Secret::from(key) })
    }

    fn context(key: &[u8], tag_length: usize) -> Result<AeadContext> {
        // SAFETY: constant tables; the key has the length that the AEAD expects.
        unsafe {
            let aeads =
                [aws::EVP_aead_aes_128_gcm(), aws::EVP_aead_aes_192_gcm(), aws::EVP_aead_aes_256_gcm()];
            let context = aws::EVP_AEAD_CTX_new(by_length(key, aeads)?, key.as_ptr(), key.len(), tag_length);
            not_null(context, Error::MechanismParamInvalid).map(AeadContext)
        }
    }

    /// `iv` at least one byte, `tag_length` 4..=16. `out` has plain.len() + tag_length bytes:
    /// ciphertext, then tag.
    pub fn seal(&self, iv: &[u8], aad: &[u8], tag_length: usize, plain: &[u8], out: &mut [u8]) -> Result<()> {
        if tag_length != 16 {
            let out = out.get_mut(..plain.len() + tag_length).ok_or(Error::GeneralError)?;
            return self.start_seal(iv, aad)?.seal(plain, out);
        }
        let mut written = 0;
        // SAFETY: all lengths are the slices' own; the output's room is checked by AWS-LC.
        let code = unsafe {
            let (nonce, data, extra) = (iv.as_ptr(), plain.as_ptr(), aad.as_ptr());
            let (context, room) = (self.context.get(), out.len());
            let target = out.as_mut_ptr();
            aws::EVP_AEAD_CTX_seal(
                context,
                target,
                &mut written,
                room,
                nonce,
                iv.len(),
                data,
                plain.len(),
                extra,
                aad.len(),
            )
        };
        check(code, Error::FunctionFailed)
    }

    /// `input` is ciphertext then tag; `out` has input.len() - tag_length bytes. On
    /// `EncryptedDataInvalid` `out` holds zeros only.
    pub fn open(&self, iv: &[u8], aad: &[u8], tag_length: usize, input: &[u8], out: &mut [u8]) -> Result<()> {
        let special = if tag_length == 16 { None } else { Some(Self::context(&self.key, tag_length)?) };
        let context = special.as_ref().unwrap_or(&self.context);
        let mut written = 0;
        // SAFETY: as in `seal`.
        let code = unsafe {
            let (nonce, data, extra) = (iv.as_ptr(), input.as_ptr(), aad.as_ptr());
            let (context, room) = (context.get(), out.len());
            let target = out.as_mut_ptr();
            aws::EVP_AEAD_CTX_open(
                context,
                target,
                &mut written,
                room,
                nonce,
                iv.len(),
                data,
                input.len(),
                extra,
                aad.len(),
            )
        };
        check(code, Error::EncryptedDataInvalid).inspect_err(|_| out.fill(0))
    }

    /// A running encryption; the parts' concatenation equals `seal`'s ciphertext.
    pub fn start_seal(&self, iv: &[u8], aad: &[u8]) -> Result<GcmStream> {
        let mut stream = GcmStream { context: CipherContext::new()?, iv_length: 12 };
        // SAFETY: constant tables; the key has the length that the cipher expects.
        unsafe {
            let ciphers = [aws::EVP_aes_128_gcm(), aws::EVP_aes_192_gcm(), aws::EVP_aes_256_gcm()];
            let (raw, cipher) = (stream.context.get(), by_length(&self.key, ciphers)?);
            let code = aws::EVP_EncryptInit_ex(raw, cipher, null_mut(), self.key.as_ptr(), null());
            check(code, Error::MechanismParamInvalid)?;
        }
        self.restart_seal(&mut stream, iv, aad)?;
        Ok(stream)
    }

    /// As [`GcmKey::start_seal`], in a stream that this key started before: where
    /// messages are short, that and [`GcmStream::seal`] are faster than `seal`.
    pub fn restart_seal(&self, stream: &mut GcmStream, iv: &[u8], aad: &[u8]) -> Result<()> {
        let (raw, failed) = (stream.context.get(), Error::MechanismParamInvalid);
        // SAFETY: lengths are the slices' own; a NULL output means additional data.
        unsafe {
            if iv.len() != stream.iv_length {
                let length = i32::try_from(iv.len()).map_err(|_| failed)?;
                let code = aws::EVP_CIPHER_CTX_ctrl(raw, aws::EVP_CTRL_AEAD_SET_IVLEN, length, null_mut());
                check(code, failed)?;
                stream.iv_length = iv.len();
            }
            check(aws::EVP_EncryptInit_ex(raw, null(), null_mut(), null(), iv.as_ptr()), failed)?;
            for piece in aad.chunks(1 << 30) {
                let mut written = 0;
                let (data, length) = (piece.as_ptr(), piece.len() as i32);
                check(aws::EVP_EncryptUpdate(raw, null_mut(), &mut written, data, length), failed)?;
            }
        }
        Ok(())
    }
}

/// A running GCM encryption (decryption in parts is buffered above and opened in one go).
pub struct GcmStream {
    context: CipherContext,
    iv_length: usize,
}

impl GcmStream {
    /// All of a message: `out` gets the ciphertext, then as much of the tag as it has room for.
    pub fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Result<()> {
        let (body, tag) = out.split_at_mut_checked(plain.len()).ok_or(Error::GeneralError)?;
        self.update(plain, body)?;
        self.write_tag(tag)
    }

    /// `out` has input.len() bytes.
    pub fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<()> {
        self.context.update(input, out)
    }

    pub fn tag(&mut self) -> Result<[u8; 16]> {
        let mut tag = [0u8; 16];
        self.write_tag(&mut tag)?;
        Ok(tag)
    }

    /// The first bytes of the tag: 1 to 16.
    fn write_tag(&mut self, tag: &mut [u8]) -> Result<()> {
        let (mut nothing, mut written) = ([0u8; 16], 0);
        // SAFETY: GCM gives no bytes at the end; as many are written as the tag has room for, or none.
        unsafe {
            let raw = self.context.get();
            check(aws::EVP_EncryptFinal_ex(raw, nothing.as_mut_ptr(), &mut written), Error::FunctionFailed)?;
            let (get, length) = (aws::EVP_CTRL_AEAD_GET_TAG, tag.len().min(17) as i32);
            check(aws::EVP_CIPHER_CTX_ctrl(raw, get, length, tag.as_mut_ptr().cast()), Error::FunctionFailed)
        }
    }
}

/// A running CMAC (SP 800-38B).
pub struct Cmac {
    context: CmacContext,
}

impl Cmac {
    pub fn new(key: &[u8]) -> Result<Self> {
        // SAFETY: constant tables; the key has the length that the cipher expects.
        unsafe {
            let ciphers = [aws::EVP_aes_128_cbc(), aws::EVP_aes_192_cbc(), aws::EVP_aes_256_cbc()];
            let cipher = by_length(key, ciphers)?;
            let context = CmacContext(not_null(aws::CMAC_CTX_new(), Error::HostMemory)?);
            let code = aws::CMAC_Init(context.get(), key.as_ptr().cast(), key.len(), cipher, null_mut());
            check(code, Error::FunctionFailed)?;
            Ok(Self { context })
        }
    }
    pub fn update(&mut self, data: &[u8]) -> Result<()> {
        // SAFETY: the length is the slice's own.
        check(
            unsafe { aws::CMAC_Update(self.context.get(), data.as_ptr(), data.len()) },
            Error::FunctionFailed,
        )
    }
    pub fn finish(&mut self) -> Result<[u8; 16]> {
        let (mut mac, mut length) = ([0; 16], 0);
        // SAFETY: an AES CMAC has 16 bytes.
        let code = unsafe { aws::CMAC_Final(self.context.get(), mac.as_mut_ptr(), &mut length) };
        check(code, Error::FunctionFailed)?;
        Ok(mac)
    }
}

/// An AES key schedule on the stack, wiped when it goes.
struct Schedule(aws::AES_KEY);

impl Schedule {
    fn new(key: &[u8], direction: Direction) -> Result<Self> {
        by_length(key, [(), (), ()])?;
        // SAFETY: AES_KEY is plain data; the key has as many bits as said.
        unsafe {
            let mut schedule: aws::AES_KEY = std::mem::zeroed();
            let (bytes, bits) = (key.as_ptr(), 8 * key.len() as u32);
            let code = match direction {
                Direction::Encrypt => aws::AES_set_encrypt_key(bytes, bits, &mut schedule),
                Direction::Decrypt => aws::AES_set_decrypt_key(bytes, bits, &mut schedule),
            };
            check(i32::from(code == 0), Error::FunctionFailed)?;
            Ok(Self(schedule))
        }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        // SAFETY: plain data of exactly this size.
        unsafe { aws::OPENSSL_cleanse(std::ptr::from_mut(&mut self.0).cast(), size_of::<aws::AES_KEY>()) }
    }
}

/// AES key wrap: RFC 3394 (`padded` false: `plain` a multiple of 8, at least 16: `DataLenRange`)
/// or RFC 5649 (`padded` true: 1 byte and more).
pub fn wrap(key: &[u8], padded: bool, plain: &[u8]) -> Result<Vec<u8>> {
    if plain.is_empty() || !padded && (plain.len() < 16 || !plain.len().is_multiple_of(8)) {
        return Err(Error::DataLenRange);
    }
    let schedule = Schedule::new(key, Direction::Encrypt)?;
    let mut out = vec![0; plain.len().next_multiple_of(8) + 8];
    let mut written = out.len();
    // SAFETY: the output has room for the padded plaintext and one block more.
    let code = unsafe {
        let (room, data, length) = (out.len(), plain.as_ptr(), plain.len());
        if padded {
            aws::AES_wrap_key_padded(&schedule.0, out.as_mut_ptr(), &mut written, room, data, length)
        } else {
            let done = aws::AES_wrap_key(&schedule.0, null(), out.as_mut_ptr(), data, length);
            i32::from(done == room as i32)
        }
    };
    check(code, Error::FunctionFailed)?;
    out.truncate(written);
    Ok(out)
}

/// `EncryptedDataInvalid` for a failed check, `EncryptedDataLenRange` for an impossible length.
pub fn unwrap(key: &[u8], padded: bool, wrapped: &[u8]) -> Result<Secret> {
    if !wrapped.len().is_multiple_of(8) || wrapped.len() < if padded { 16 } else { 24 } {
        return Err(Error::EncryptedDataLenRange);
    }
    let schedule = Schedule::new(key, Direction::Decrypt)?;
    let mut out = Secret::zeroed(wrapped.len());
    let mut written = wrapped.len() - 8;
    // SAFETY: the output is as long as the input.
    let code = unsafe {
        let (room, data, length) = (out.len(), wrapped.as_ptr(), wrapped.len());
        if padded {
            aws::AES_unwrap_key_padded(&schedule.0, out.as_mut_ptr(), &mut written, room, data, length)
        } else {
            let done = aws::AES_unwrap_key(&schedule.0, null(), out.as_mut_ptr(), data, length);
            i32::from(done == written as i32)
        }
    };
    check(code, Error::EncryptedDataInvalid)?;
    out.truncate(written);
    Ok(out)
}
