//! What must hold for every row: one-shot and parts agree, what one direction makes the other takes,
//! changed signatures fail, a wrong parameter is refused.

use super::params::{Input, Kdf, KdfField, Prf};
use super::*;
use crate::crypto::{Curve, Hash};

/// A parameter of the row's shape.
fn params(row: &Mechanism) -> Params {
    params_for(row, 0)
}

/// The same for so many bytes of data.
fn params_for(row: &Mechanism, length: usize) -> Params {
    match row.params {
        // What it signs are the additional data.
        Shape::Gcm if row.id == CKM_AES_GMAC => gcm(&[3; 12], b"", 120),
        Shape::Gcm if row.name == "CKM_CLOUDHSM_AES_GCM" => gcm(&[], b"seen", 120),
        Shape::None | Shape::OptionalIv(_) | Shape::Eddsa => Params::None,
        Shape::Iv(length) => Params::Iv(noise(length, 1)),
        Shape::MacLength => Params::MacLength(7),
        Shape::KeyHandle | Shape::StringData => Params::Other(Input::Bytes(b"data".to_vec())),
        Shape::BitPosition => Params::BitPosition(9),
        Shape::Pss => {
            // CKM_SHA256_RSA_PKCS_PSS wants SHA-256, and so on; the plain one takes any.
            let fits = |hash: &Hash| {
                let named = format!("{hash:?}").to_uppercase();
                row.name.starts_with(&format!("CKM_{named}_RSA"))
            };
            let hash = Hash::ALL.into_iter().find(fits).unwrap_or(Hash::Sha256);
            Params::Pss { hash, mgf: Hash::Sha1, salt_length: 11 }
        }
        Shape::Oaep => Params::Oaep { hash: Hash::Sha256, mgf: Hash::Sha1, label: b"label".to_vec() },
        Shape::RsaAes => {
            let label = b"label".to_vec();
            Params::RsaAes { key_bits: 192, hash: Hash::Sha256, mgf: Hash::Sha1, label }
        }
        Shape::Ctr => Params::Ctr { counter_bits: 32, block: [7; 16] },
        Shape::Gcm => gcm(&[3; 12], b"seen", 120),
        Shape::Ccm => {
            let (nonce, aad) = (vec![3; 13], b"seen".to_vec());
            Params::Ccm { data_length: length, nonce, aad, tag_length: 10 }
        }
        Shape::ChaCha20Poly1305 => Params::ChaCha20Poly1305 { nonce: [3; 12], aad: b"seen".to_vec() },
        Shape::SignContext | Shape::HashSignContext => {
            let hash = (row.params == Shape::HashSignContext).then_some(Hash::Sha256);
            Params::SignContext { deterministic: true, context: b"context".to_vec(), hash }
        }
        Shape::Ecdh => Params::Ecdh { kdf: None, shared: vec![], public: vec![] },
        Shape::Hkdf => {
            let (hash, info) = (Hash::Sha256, b"info".to_vec());
            Params::Hkdf { extract: true, expand: true, hash, salt: None, info }
        }
        Shape::Kdf | Shape::FeedbackKdf => Params::Kdf(Kdf {
            prf: Prf::Hmac(Hash::Sha256),
            fields: vec![KdfField::Iteration(None)],
            initial: vec![],
            more: vec![],
            lengths: vec![],
        }),
        Shape::Pbkdf2 => Params::Pbkdf2 {
            hash: Hash::Sha256,
            password: Secret::from(&b"password"[..]),
            salt: b"salt".to_vec(),
            iterations: 2,
        },
    }
}

/// Keys for both directions: (encrypt or verify, decrypt or sign).
fn keys(row: &Mechanism) -> Vec<(Arc<Key>, Arc<Key>)> {
    match row.keys[0] {
        CKK_RSA => vec![RSA.clone()],
        CKK_EC => Curve::ALL.into_iter().map(ec_pair).collect(),
        CKK_EC_EDWARDS => {
            let params = crate::crypto::pkcs8::ED25519_OID;
            let template = object(CKO_PUBLIC_KEY, CKK_EC_EDWARDS, &[(CKA_EC_PARAMS, params)]);
            vec![generate_pair(CKM_EC_EDWARDS_KEY_PAIR_GEN, template).unwrap()]
        }
        CKK_EC_MONTGOMERY => {
            let params = crate::crypto::pkcs8::X25519_OID;
            let template = object(CKO_PUBLIC_KEY, CKK_EC_MONTGOMERY, &[(CKA_EC_PARAMS, params)]);
            vec![generate_pair(CKM_EC_MONTGOMERY_KEY_PAIR_GEN, template).unwrap()]
        }
        CKK_ML_DSA => [CKP_ML_DSA_44, CKP_ML_DSA_65, CKP_ML_DSA_87].map(super::ml_dsa::pair).into(),
        // The matrix is about the way through the rows; all sets: crypto/slh_dsa/tests.rs.
        CKK_SLH_DSA => vec![super::slh_dsa::pair(CKP_SLH_DSA_SHA2_128F)],
        CKK_AES => [16, 24, 32].map(|length| aes_key(&noise(length, 5))).map(|k| (k.clone(), k)).into(),
        _ => {
            let length = |kind| match kind {
                CKK_AES | CKK_CHACHA20 => 32,
                CKK_DES3 => 24,
                _ => 40,
            };
            let both = |kind: &u64| secret_key(*kind, &noise(length(*kind), *kind));
            row.keys.iter().map(both).map(|key| (key.clone(), key)).collect()
        }
    }
}

/// Lengths of input that the row can take.
fn lengths(row: &Mechanism) -> &'static [usize] {
    match row.id {
        CKM_AES_ECB | CKM_AES_CBC | CKM_DES3_ECB | CKM_DES3_CBC => &[0, 16, 32, 208],
        CKM_AES_KEY_WRAP => &[16, 24, 64],
        _ if row.name.ends_with("AES_KEY_WRAP_NO_PAD") => &[16, 24, 64],
        _ if row.name.ends_with("AES_KEY_WRAP_ZERO_PAD") => &[1, 8, 20, 64],
        CKM_AES_KEY_WRAP_KWP | CKM_AES_KEY_WRAP_PAD => &[1, 8, 20, 64],
        CKM_RSA_PKCS_PSS | CKM_HASH_ML_DSA | CKM_HASH_SLH_DSA => &[32],
        // Slow without optimisation.
        _ if row.keys == [CKK_SLH_DSA] => &[0, 300],
        CKM_RSA_AES_KEY_WRAP => &[1, 32, 1217],
        CKM_RSA_PKCS | CKM_RSA_PKCS_OAEP => &[0, 1, 100],
        CKM_RSA_X_509 => &[1, 200, 255],
        _ => &[0, 1, 15, 16, 17, 64, 300],
    }
}

/// Whether the same input gives the same output.
fn repeats(row: &Mechanism, direction: Direction) -> bool {
    let random_cipher = matches!(row.id, CKM_RSA_PKCS | CKM_RSA_PKCS_OAEP) && row.cipher.is_some();
    let random_signature = row.keys == [CKK_EC] || row.params == Shape::Pss;
    // Its IV is made by the token.
    let random_cipher = random_cipher || row.name == "CKM_CLOUDHSM_AES_GCM";
    !(random_signature || random_cipher && direction == Direction::Encrypt)
}

#[test]
fn ciphers_come_back_whole_and_in_parts() {
    for row in all() {
        let Some(cipher) = row.cipher else { continue };
        for (public, private) in keys(row) {
            for (seed, length) in (1..).zip(lengths(row)) {
                let with = || params_for(row, *length);
                let encryption = || cipher(Arc::clone(&public), with(), Direction::Encrypt);
                let decryption = || cipher(Arc::clone(&private), with(), Direction::Decrypt);
                let data = noise(*length, seed);
                let sealed = at_once(encryption(), &data).unwrap();
                let parts = in_parts(encryption(), &data, seed).unwrap();
                if repeats(row, Direction::Encrypt) {
                    assert_eq!(sealed, parts, "{} of {length} bytes", row.name);
                }
                for sealed in [sealed, parts] {
                    let opened = at_once(decryption(), &sealed).unwrap();
                    assert_eq!(opened, in_parts(decryption(), &sealed, seed).unwrap(), "{}", row.name);
                    // A raw RSA block comes back with its leading zeros.
                    let zeros = if row.id == CKM_RSA_X_509 { opened.len() - length } else { 0 };
                    assert_eq!(opened[zeros..], data, "{} of {length} bytes", row.name);
                    assert!(opened[..zeros].iter().all(|byte| *byte == 0));
                }
            }
        }
    }
}

#[test]
fn wrapping_comes_back() {
    for row in all() {
        let Some(wrap) = row.wrap else { continue };
        let unwrap = |key: &Arc<Key>, params, wrapped: &[u8]| match row.unwrap_silently {
            Some(unwrap) => unwrap(key, wrapped, &[]),
            None => row.unwrap.expect("what wraps unwraps")(key, params, wrapped),
        };
        for (public, private) in keys(row) {
            for length in lengths(row) {
                let plain = noise(*length, 3);
                let wrapped = wrap(&public, params(row), &plain).unwrap();
                assert_eq!(unwrap(&private, params(row), &wrapped).unwrap()[..], plain, "{}", row.name);
            }
        }
    }
}

#[test]
fn signatures_verify_whole_and_in_parts() {
    for row in all() {
        let (Some(sign), Some(verify)) = (row.sign, row.verify) else { continue };
        for (public, private) in keys(row) {
            for (seed, length) in (1..).zip(lengths(row)) {
                let data = noise(*length, seed);
                let signature = at_once(sign(Arc::clone(&private), params(row)), &data).unwrap();
                let parts = in_parts(sign(Arc::clone(&private), params(row)), &data, seed).unwrap();
                if repeats(row, Direction::Decrypt) {
                    assert_eq!(signature, parts, "{} of {length} bytes", row.name);
                }
                for signature in [signature, parts] {
                    check_verification(row, verify, &public, &data, &signature, seed);
                }
            }
        }
    }
}

/// A good signature is taken, whole and in parts; a changed or cut one and other data are not.
fn check_verification(
    row: &Mechanism,
    verify: StartVerify,
    key: &Arc<Key>,
    data: &[u8],
    signature: &[u8],
    seed: u64,
) {
    let whole = |data: &[u8], signature: &[u8]| {
        verify(Arc::clone(key), params(row)).and_then(|mut verifier| verifier.one_shot(data, signature))
    };
    let context = format!("{} of {} bytes", row.name, data.len());
    assert_eq!(whole(data, signature), Ok(()), "{context}");
    let mut verifier = verify(Arc::clone(key), params(row)).unwrap();
    for piece in pieces(data, seed) {
        verifier.update(piece).unwrap();
    }
    assert_eq!(verifier.finish(signature), Ok(()), "{context}");
    for at in [0, signature.len() / 2, signature.len() - 1] {
        let mut changed = signature.to_vec();
        changed[at] ^= 1;
        assert_eq!(whole(data, &changed), Err(Error::SignatureInvalid), "{context}");
    }
    for wrong in [&signature[1..], &[signature, &[0]].concat(), &[]] {
        assert_eq!(whole(data, wrong), Err(Error::SignatureLenRange), "{context}");
    }
    let mut other = data.to_vec();
    if let Some(byte) = other.first_mut() {
        *byte ^= 1;
        assert_eq!(whole(&other, signature), Err(Error::SignatureInvalid), "{context}");
    }
}

#[test]
fn signatures_give_their_data_back() {
    let mut walked = 0;
    for row in all() {
        let Some(recover) = row.recover else { continue };
        let sign = row.sign.expect("what is recovered was signed");
        for (public, private) in keys(row) {
            let recovered = |signature: &[u8]| at_once(recover(Arc::clone(&public), params(row)), signature);
            for (seed, length) in (1..).zip(lengths(row)) {
                let data = noise(*length, seed);
                let signature = at_once(sign(Arc::clone(&private), params(row)), &data).unwrap();
                let opened = recovered(&signature).unwrap();
                // A raw RSA block comes back with its leading zeros.
                let zeros = if row.id == CKM_RSA_X_509 { opened.len() - length } else { 0 };
                assert_eq!(opened[zeros..], data, "{} of {length} bytes", row.name);
                assert!(opened[..zeros].iter().all(|byte| *byte == 0));
                for wrong in [&signature[1..], &[&signature[..], &[0]].concat(), &[]] {
                    assert_eq!(recovered(wrong).err(), Some(Error::SignatureLenRange), "{}", row.name);
                }
                assert_eq!(recovered(&[0xff; 256]).err(), Some(Error::SignatureInvalid), "{}", row.name);
            }
            let wrong = recover(Arc::clone(&private), params(row));
            assert_eq!(wrong.err(), Some(Error::KeyTypeInconsistent), "{}", row.name);
        }
        walked += 1;
    }
    assert!(walked >= 2, "only {walked} mechanisms");
}

#[test]
fn digests_are_the_same_whole_and_in_parts() {
    for row in all() {
        let Some(start) = row.digest else { continue };
        for (seed, length) in (1..).zip(lengths(row)) {
            let data = noise(*length, seed);
            let whole = at_once(start(Params::None), &data).unwrap();
            assert_eq!(whole, in_parts(start(Params::None), &data, seed).unwrap(), "{}", row.name);
        }
    }
}

#[test]
fn a_missing_parameter_is_refused() {
    for row in all() {
        if matches!(row.params, Shape::None | Shape::OptionalIv(_) | Shape::Eddsa | Shape::SignContext) {
            continue;
        }
        let refused = Some(Error::MechanismParamInvalid);
        let (public, private) = keys(row).remove(0);
        if let Some(cipher) = row.cipher {
            assert_eq!(
                cipher(Arc::clone(&public), Params::None, Direction::Encrypt).err(),
                refused,
                "{}",
                row.name
            );
            assert_eq!(
                cipher(Arc::clone(&private), Params::None, Direction::Decrypt).err(),
                refused,
                "{}",
                row.name
            );
        }
        if let (Some(sign), Some(verify)) = (row.sign, row.verify) {
            assert_eq!(sign(Arc::clone(&private), Params::None).err(), refused, "{}", row.name);
            assert_eq!(verify(Arc::clone(&public), Params::None).err(), refused, "{}", row.name);
        }
        if let Some(derive) = row.derive {
            assert_eq!(derive(&private, Params::None, None).err(), refused, "{}", row.name);
        }
    }
}

#[test]
fn a_key_of_the_wrong_half_is_refused() {
    for row in all() {
        let (Some(sign), Some(verify)) = (row.sign, row.verify) else { continue };
        let (public, private) = keys(row).remove(0);
        if !Arc::ptr_eq(&public, &private) {
            let wrong = Some(Error::KeyTypeInconsistent);
            assert_eq!(sign(Arc::clone(&public), params(row)).err(), wrong, "{}", row.name);
            assert_eq!(verify(Arc::clone(&private), params(row)).err(), wrong, "{}", row.name);
        }
    }
}

#[test]
fn every_generated_secret_is_new_and_as_long_as_asked() {
    for row in all() {
        let Some(generate) = row.generate else { continue };
        // Its keys have one length, which nobody says.
        if row.id == CKM_DES3_KEY_GEN {
            continue;
        }
        let mut template = object(CKO_SECRET_KEY, row.keys[0], &[]);
        // ChaCha20's length need not be said.
        let incomplete = (row.id != CKM_CHACHA20_KEY_GEN).then_some(Error::TemplateIncomplete);
        assert_eq!(generate(params(row), &template).err(), incomplete, "{}", row.name);
        for wrong in [0, u64::MAX, (1 << 20) + 1] {
            template.set(CKA_VALUE_LEN, Value::Ulong(wrong));
            assert_eq!(generate(params(row), &template).err(), Some(Error::KeySizeRange), "{}", row.name);
        }
        template.set(CKA_VALUE_LEN, Value::Ulong(32));
        let made = || with(template.clone(), generate(params(row), &template).unwrap());
        assert_eq!((made().value().len(), made().size()), (32, 32), "{}", row.name);
        // The same password gives the same key.
        assert_eq!(made().value() == made().value(), row.id == CKM_PKCS5_PBKD2, "{}", row.name);
    }
}
