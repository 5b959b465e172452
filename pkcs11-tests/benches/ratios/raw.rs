//! The limit: AWS-LC called in a loop, without PKCS#11.

use crate::{Operation, Task};
use aws_lc_sys as aws;
use std::ptr::{null, null_mut};

/// The raw loop for a task, or `None` where there is nothing to compare with.
pub fn operation(task: Task) -> Option<Operation<'static>> {
    match task {
        Task::RsaSign(bits) => Some(rsa(bits)),
        Task::EcSign(curve) => Some(ecdsa(curve)),
        Task::EdSign => Some(ed25519()),
        Task::MlDsaSign => Some(ml_dsa()),
        Task::Gcm(size) => Some(gcm(size)),
        Task::Digest(size) => Some(sha256(size)),
        Task::Hmac(size) => Some(hmac(size)),
        Task::Random(size) => Some(random(size)),
    }
}

fn rsa(bits: u64) -> Operation<'static> {
    let digest = [7u8; 32];
    let mut signature = [0u8; 1024];
    // SAFETY: fresh handles, kept for the life of the process; buffers outlive the calls.
    unsafe {
        let (key, exponent) = (aws::RSA_new(), aws::BN_new());
        assert_eq!(aws::BN_set_word(exponent, 65537), 1);
        assert_eq!(aws::RSA_generate_key_ex(key, bits as i32, exponent, null_mut()), 1);
        Box::new(move || {
            let mut length = 0;
            let ok =
                aws::RSA_sign(aws::NID_sha256, digest.as_ptr(), 32, signature.as_mut_ptr(), &mut length, key);
            assert_eq!(ok, 1);
        })
    }
}

fn ecdsa(curve: &str) -> Operation<'static> {
    let nid = if curve == "P-256" { aws::NID_X9_62_prime256v1 } else { aws::NID_secp384r1 };
    let length = if curve == "P-256" { 32 } else { 48 };
    let digest = [7u8; 48];
    let mut signature = [0u8; 160];
    // SAFETY: as in `rsa`.
    unsafe {
        let key = aws::EC_KEY_new_by_curve_name(nid);
        assert_eq!(aws::EC_KEY_generate_key(key), 1);
        Box::new(move || {
            let mut written = 0;
            let ok = aws::ECDSA_sign(0, digest.as_ptr(), length, signature.as_mut_ptr(), &mut written, key);
            assert_eq!(ok, 1);
        })
    }
}

fn ed25519() -> Operation<'static> {
    let (mut public, mut private, mut signature, message) = ([0u8; 32], [0u8; 64], [0u8; 64], [7u8; 32]);
    // SAFETY: the buffers have the documented sizes.
    unsafe {
        aws::ED25519_keypair(public.as_mut_ptr(), private.as_mut_ptr());
        Box::new(move || {
            let ok =
                aws::ED25519_sign(signature.as_mut_ptr(), message.as_ptr(), message.len(), private.as_ptr());
            assert_eq!(ok, 1);
        })
    }
}

/// Over a message representative that is there already.
fn ml_dsa() -> Operation<'static> {
    let (seed, representative, mut signature) = ([7u8; 32], [7u8; 64], [0u8; 3309]);
    // SAFETY: as in `rsa`.
    unsafe {
        let key = aws::EVP_PKEY_pqdsa_new_raw_private_key(aws::NID_MLDSA65, seed.as_ptr(), 32);
        let call = aws::EVP_PKEY_CTX_new(key, null_mut());
        assert_eq!(aws::EVP_PKEY_sign_init(call), 1);
        Box::new(move || {
            let mut length = signature.len();
            let ok =
                aws::EVP_PKEY_sign(call, signature.as_mut_ptr(), &mut length, representative.as_ptr(), 64);
            assert_eq!(ok, 1);
        })
    }
}

fn gcm(size: usize) -> Operation<'static> {
    let (key, mut iv, plain, mut sealed) = ([1u8; 32], [0u8; 12], vec![5u8; size], vec![0u8; size + 16]);
    // SAFETY: as in `rsa`.
    unsafe {
        let context = aws::EVP_AEAD_CTX_new(aws::EVP_aead_aes_256_gcm(), key.as_ptr(), 32, 16);
        assert!(!context.is_null());
        Box::new(move || {
            crate::module::count_up(&mut iv);
            let mut length = 0;
            let room = sealed.len();
            let (nonce, data) = (iv.as_ptr(), plain.as_ptr());
            let ok = aws::EVP_AEAD_CTX_seal(
                context,
                sealed.as_mut_ptr(),
                &mut length,
                room,
                nonce,
                12,
                data,
                size,
                null(),
                0,
            );
            assert_eq!(ok, 1);
        })
    }
}

fn sha256(size: usize) -> Operation<'static> {
    let (data, mut digest) = (vec![5u8; size], [0u8; 32]);
    // SAFETY: the output has 32 bytes.
    Box::new(move || unsafe {
        aws::SHA256(data.as_ptr(), data.len(), digest.as_mut_ptr());
    })
}

fn hmac(size: usize) -> Operation<'static> {
    let (key, data, mut mac) = ([1u8; 32], vec![5u8; size], [0u8; 64]);
    // SAFETY: the output has room for any digest.
    Box::new(move || unsafe {
        let mut length = 0;
        let (key, data, size) = (key.as_ptr().cast(), data.as_ptr(), data.len());
        let out = aws::HMAC(aws::EVP_sha256(), key, 32, data, size, mac.as_mut_ptr(), &mut length);
        assert!(!out.is_null());
    })
}

fn random(size: usize) -> Operation<'static> {
    let mut out = vec![0u8; size];
    // SAFETY: the length is the buffer's own.
    Box::new(move || unsafe {
        assert_eq!(aws::RAND_bytes(out.as_mut_ptr(), out.len()), 1);
    })
}
