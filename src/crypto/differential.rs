//! Both implementations against each other: what one makes the other takes, bad input fails alike.

use super::portable::random::fill;
use super::*;
use crate::error::Error;

#[allow(clippy::unwrap_used)]
fn bytes(length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    fill(&mut out).unwrap();
    out
}

#[test]
fn ecdsa_and_ecdh() {
    for curve in [Curve::P224, Curve::P256, Curve::P384, Curve::P521] {
        let length = 2 * curve.field_length();
        for (from_aws, size) in
            [(true, 0), (false, 1), (true, 20), (false, 32), (true, 48), (false, 64), (true, 100)]
        {
            let scalar = if from_aws {
                aws_lc::ec::PrivateKey::generate(curve)
            } else {
                portable::ec::PrivateKey::generate(curve)
            }
            .unwrap();
            let ours = aws_lc::ec::PrivateKey::new(curve, &scalar).unwrap();
            let theirs = portable::ec::PrivateKey::new(curve, &scalar).unwrap();
            let point = ours.public_point().unwrap();
            assert_eq!(point, theirs.public_point().unwrap());
            let (prehash, mut first, mut second) = (bytes(size), vec![0; length], vec![0; length]);
            ours.sign(&prehash, &mut first).unwrap();
            theirs.sign(&prehash, &mut second).unwrap();
            let our_public = aws_lc::ec::PublicKey::new(curve, &point).unwrap();
            let their_public = portable::ec::PublicKey::new(curve, &point).unwrap();
            assert_eq!(our_public.verify(&prehash, &second), Ok(()), "{curve:?} {size}");
            assert_eq!(their_public.verify(&prehash, &first), Ok(()), "{curve:?} {size}");
            first[length / 2] ^= 1;
            assert_eq!(our_public.verify(&prehash, &first), Err(Error::SignatureInvalid));
            assert_eq!(their_public.verify(&prehash, &first), Err(Error::SignatureInvalid));
            assert_eq!(our_public.verify(&prehash, &first[1..]), Err(Error::SignatureLenRange));
            let other = portable::ec::PrivateKey::generate(curve).unwrap();
            let other = portable::ec::PrivateKey::new(curve, &other).unwrap();
            let other_point = other.public_point().unwrap();
            assert_eq!(ours.agree(&other_point).unwrap(), other.agree(&point).unwrap());
            let mut off_curve = other_point.clone();
            off_curve[length] ^= 1;
            assert_eq!(ours.agree(&off_curve).err(), Some(Error::PublicKeyInvalid));
            assert_eq!(theirs.agree(&off_curve).err(), Some(Error::PublicKeyInvalid));
            assert!(aws_lc::ec::PublicKey::new(curve, &off_curve).is_err());
            assert!(aws_lc::ec::PublicKey::new(curve, &[0]).is_err());
            assert!(portable::ec::PublicKey::new(curve, &[0]).is_err());
        }
        for bad in [vec![0; curve.field_length()], vec![0xff; curve.field_length()], vec![]] {
            assert_eq!(aws_lc::ec::PrivateKey::new(curve, &bad).err(), Some(Error::AttributeValueInvalid));
            assert_eq!(portable::ec::PrivateKey::new(curve, &bad).err(), Some(Error::AttributeValueInvalid));
        }
    }
}

#[test]
fn ed25519_agrees() {
    let seed = bytes(32);
    let ours = aws_lc::ed25519::PrivateKey::new(&seed).unwrap();
    let theirs = portable::ed25519::PrivateKey::new(&seed).unwrap();
    assert_eq!(ours.public(), theirs.public());
    let our_public = aws_lc::ed25519::PublicKey::new(&ours.public()).unwrap();
    let their_public = portable::ed25519::PublicKey::new(&ours.public()).unwrap();
    let schemes = [EdScheme::Pure, EdScheme::Prehash(vec![]), EdScheme::Prehash(bytes(255))];
    for (scheme, size) in schemes.iter().flat_map(|scheme| [0, 1, 64, 5000].map(|size| (scheme, size))) {
        let (message, mut first, mut second) = (bytes(size), [0; 64], [0; 64]);
        ours.sign_as(scheme, &message, &mut first).unwrap();
        theirs.sign_as(scheme, &message, &mut second).unwrap();
        assert_eq!(first, second);
        assert_eq!(our_public.verify_as(scheme, &message, &first), Ok(()));
        assert_eq!(their_public.verify_as(scheme, &message, &first), Ok(()));
        for other in schemes.iter().filter(|other| *other != scheme) {
            assert_eq!(our_public.verify_as(other, &message, &first), Err(Error::SignatureInvalid));
            assert_eq!(their_public.verify_as(other, &message, &first), Err(Error::SignatureInvalid));
        }
        first[3] ^= 1;
        assert_eq!(our_public.verify_as(scheme, &message, &first), Err(Error::SignatureInvalid));
        assert_eq!(their_public.verify_as(scheme, &message, &first), Err(Error::SignatureInvalid));
    }
}

#[test]
fn x25519_agrees() {
    let key = || -> [u8; 32] { bytes(32)[..].try_into().unwrap() };
    for _ in 0..10_000 {
        let (private, peer) = (key(), key());
        assert_eq!(aws_lc::x25519::public(&private), portable::x25519::public(&private));
        assert_eq!(aws_lc::x25519::agree(&private, &peer), portable::x25519::agree(&private, &peer));
    }
    for zero in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        assert_eq!(aws_lc::x25519::agree(&key(), &zero).err(), Some(Error::PublicKeyInvalid));
        assert_eq!(portable::x25519::agree(&key(), &zero).err(), Some(Error::PublicKeyInvalid));
    }
}

/// Random keys of each set that both implementations sign with: more cost minutes in a debug build.
const ML_DSA_KEYS: usize = 30;

#[test]
fn ml_dsa_agrees() {
    for set in ml_dsa::Set::ALL {
        for number in 0..ML_DSA_KEYS {
            let seed = bytes(ml_dsa::SEED);
            let ours = aws_lc::ml_dsa::PrivateKey::from_seed(set, &seed).unwrap();
            let theirs = portable::ml_dsa::PrivateKey::from_seed(set, &seed).unwrap();
            let (expanded, public) = (ours.expanded().unwrap(), ours.public().unwrap());
            assert_eq!((&expanded, &public), (&theirs.expanded().unwrap(), &theirs.public().unwrap()));
            let our_public = aws_lc::ml_dsa::PublicKey::new(set, &public).unwrap();
            let their_public = portable::ml_dsa::PublicKey::new(set, &public).unwrap();
            let (mut first, mut second) = (vec![0; set.signature_length()], vec![0; set.signature_length()]);
            let what = bytes(64).try_into().unwrap();
            ours.sign(&what, false, &mut first).unwrap();
            theirs.sign(&what, number % 2 == 0, &mut second).unwrap();
            for signature in [&mut first, &mut second] {
                assert_eq!(our_public.verify(&what, signature), Ok(()), "{set:?}");
                assert_eq!(their_public.verify(&what, signature), Ok(()), "{set:?}");
                signature[number * 31 % set.signature_length()] ^= 1 << (number % 8);
                assert_eq!(our_public.verify(&what, signature), Err(Error::SignatureInvalid));
                assert_eq!(their_public.verify(&what, signature), Err(Error::SignatureInvalid));
            }
            // Any byte of an expanded key but those of K, which is random.
            let at = [0, 64, 128][number % 3] + number * 977 % (expanded.len() - 128);
            let mut wrong = expanded.clone();
            wrong[at] ^= 1 << (number % 8);
            if !(32..64).contains(&at) {
                let refused = Some(Error::AttributeValueInvalid);
                assert_eq!(aws_lc::ml_dsa::PrivateKey::from_expanded(set, &wrong).err(), refused);
                // Changed bits of s2 and t0 show to RustCrypto in signatures only, and not in each.
                if at < 128 + SHORT_VECTOR[set as usize] {
                    assert_eq!(portable::ml_dsa::PrivateKey::from_expanded(set, &wrong).err(), refused);
                }
            }
        }
        for length in [0, 31, 33] {
            assert!(aws_lc::ml_dsa::PrivateKey::from_seed(set, &bytes(length)).is_err());
            assert!(portable::ml_dsa::PrivateKey::from_seed(set, &bytes(length)).is_err());
        }
    }
}

/// Length of s1 in an expanded ML-DSA key.
const SHORT_VECTOR: [usize; 3] = [4 * 96, 5 * 128, 7 * 96];

/// The same for secrets.
const ML_KEM_KEYS: usize = 100;

#[test]
fn ml_kem_agrees() {
    for set in ml_kem::Set::ALL {
        for number in 0..ML_KEM_KEYS {
            let seed = bytes(ml_kem::SEED);
            let ours = aws_lc::ml_kem::PrivateKey::from_seed(set, &seed).unwrap();
            let theirs = portable::ml_kem::PrivateKey::from_seed(set, &seed).unwrap();
            let public = theirs.public().unwrap();
            assert_eq!((ours.expanded(), ours.public()), (theirs.expanded(), Ok(public.clone())));
            let our_public = aws_lc::ml_kem::PublicKey::new(set, &public).unwrap();
            let their_public = portable::ml_kem::PublicKey::new(set, &public).unwrap();
            for (mut ciphertext, secret) in
                [our_public.encapsulate().unwrap(), their_public.encapsulate().unwrap()]
            {
                assert_eq!(ours.decapsulate(&ciphertext).unwrap(), secret);
                assert_eq!(theirs.decapsulate(&ciphertext).unwrap(), secret);
                ciphertext[number * 31 % set.ciphertext_length()] ^= 1 << (number % 8);
                let other = ours.decapsulate(&ciphertext).unwrap();
                assert_ne!(other, secret);
                assert_eq!(theirs.decapsulate(&ciphertext).unwrap(), other);
            }
            // A changed bit of either key: both refuse it, or both take it.
            let (mut wrong, mut wrong_public) = (ours.expanded().unwrap(), public);
            let length = wrong.len();
            wrong[number * 977 % length] ^= 1 << (number % 8);
            let taken = aws_lc::ml_kem::PrivateKey::from_expanded(set, &wrong).is_ok();
            assert_eq!(portable::ml_kem::PrivateKey::from_expanded(set, &wrong).is_ok(), taken);
            let length = wrong_public.len();
            wrong_public[number * 577 % length] ^= 1 << (number % 8);
            let taken = aws_lc::ml_kem::PublicKey::new(set, &wrong_public).is_ok();
            assert_eq!(portable::ml_kem::PublicKey::new(set, &wrong_public).is_ok(), taken);
        }
    }
}

#[test]
fn rsa_agrees() {
    for (bits, exponent, from_aws) in [(2048, &[1u8, 0, 1][..], true), (3072, &[3], false)] {
        let parts = if from_aws {
            aws_lc::rsa::PrivateKey::generate(bits, exponent)
        } else {
            portable::rsa::PrivateKey::generate(bits, exponent)
        }
        .unwrap();
        let ours = aws_lc::rsa::PrivateKey::new(&parts).unwrap();
        let theirs = portable::rsa::PrivateKey::new(&parts).unwrap();
        let our_public = aws_lc::rsa::PublicKey::new(&parts.public).unwrap();
        let their_public = portable::rsa::PublicKey::new(&parts.public).unwrap();
        let (mut first, mut second) = (vec![0; bits / 8], vec![0; bits / 8]);
        let data = bytes(51);
        ours.sign_pkcs1(&data, &mut first).unwrap();
        theirs.sign_pkcs1(&data, &mut second).unwrap();
        assert_eq!(first, second);
        assert_eq!(our_public.verify_pkcs1(&data, &first), Ok(()));
        assert_eq!(their_public.verify_pkcs1(&data, &first), Ok(()));
        assert_eq!(our_public.recover_pkcs1(&first), Ok(data.clone()));
        assert_eq!(their_public.recover_pkcs1(&first), Ok(data));
        assert_eq!(ours.sign_pkcs1(&bytes(bits / 8 - 10), &mut first), Err(Error::DataLenRange));
        let digest = bytes(32);
        ours.sign_pss(Hash::Sha256, Hash::Sha1, 20, &digest, &mut first).unwrap();
        theirs.sign_pss(Hash::Sha256, Hash::Sha1, 20, &digest, &mut second).unwrap();
        assert_eq!(our_public.verify_pss(Hash::Sha256, Hash::Sha1, 20, &digest, &second), Ok(()));
        assert_eq!(their_public.verify_pss(Hash::Sha256, Hash::Sha1, 20, &digest, &first), Ok(()));
        our_public.encrypt_oaep(Hash::Sha384, Hash::Sha256, b"l", b"secret", &mut first).unwrap();
        assert_eq!(theirs.decrypt_oaep(Hash::Sha384, Hash::Sha256, b"l", &first).unwrap()[..], *b"secret");
        their_public.encrypt_pkcs1(b"secret", &mut second).unwrap();
        assert_eq!(ours.decrypt_pkcs1(&second, &[]).unwrap()[..], *b"secret");
        second[9] ^= 1;
        assert_eq!(ours.decrypt_pkcs1(&second, &[]), theirs.decrypt_pkcs1(&second, &[]));
        let too_big = vec![0xff; bits / 8];
        assert_eq!(ours.raw(&too_big, &mut first), Err(Error::DataInvalid));
        assert_eq!(theirs.raw(&too_big, &mut first), Err(Error::DataInvalid));
        if exponent.len() < 3 {
            assert!(portable::rsa::PrivateKey::complete(&parts.public, &parts.private_exponent).is_err());
            continue;
        }
        let again = portable::rsa::PrivateKey::complete(&parts.public, &parts.private_exponent).unwrap();
        aws_lc::rsa::PrivateKey::new(&again).unwrap();
        let mut wrong = parts.clone();
        wrong.exponent_1 = Secret::from(&[1u8, 2, 3][..]);
        assert_eq!(aws_lc::rsa::PrivateKey::new(&wrong).err(), Some(Error::AttributeValueInvalid));
        assert_eq!(portable::rsa::PrivateKey::new(&wrong).err(), Some(Error::AttributeValueInvalid));
    }
}

#[test]
fn aes_modes_agree() {
    for key_length in [16, 24, 32] {
        let (key, iv, data) = (bytes(key_length), bytes(16), bytes(16 * 21));
        for mode in
            [Mode::Ecb, Mode::Cbc, Mode::Ctr { counter_bits: 128 }, Mode::Cfb128, Mode::Cfb8, Mode::Ofb]
        {
            for direction in [Direction::Encrypt, Direction::Decrypt] {
                let iv = if mode == Mode::Ecb { &[][..] } else { &iv };
                let mut ours = aws_lc::aes::BlockCipher::new(mode, direction, &key, iv).unwrap();
                let mut theirs = portable::aes::BlockCipher::new(mode, direction, &key, iv).unwrap();
                let (mut first, mut second) = (vec![0; data.len()], vec![0; data.len()]);
                let blocks = matches!(mode, Mode::Ecb | Mode::Cbc);
                let [first_cut, second_cut] = if blocks { [16, 176] } else { [7, 177] };
                for (start, end) in [(0, first_cut), (first_cut, second_cut), (second_cut, data.len())] {
                    ours.update(&data[start..end], &mut first[start..end]).unwrap();
                    theirs.update(&data[start..end], &mut second[start..end]).unwrap();
                }
                assert_eq!(first, second, "{mode:?} {direction:?}");
            }
        }
        for (padded, size) in [(false, 16), (false, 40), (true, 1), (true, 16), (true, 33)] {
            let plain = bytes(size);
            let wrapped = aws_lc::aes::wrap(&key, padded, &plain).unwrap();
            assert_eq!(wrapped, portable::aes::wrap(&key, padded, &plain).unwrap());
            assert_eq!(portable::aes::unwrap(&key, padded, &wrapped).unwrap()[..], plain);
            assert_eq!(aws_lc::aes::unwrap(&key, padded, &wrapped).unwrap()[..], plain);
            for position in 0..wrapped.len() {
                let mut wrong = wrapped.clone();
                wrong[position] ^= 1;
                assert_eq!(
                    aws_lc::aes::unwrap(&key, padded, &wrong).err(),
                    Some(Error::EncryptedDataInvalid)
                );
                assert_eq!(
                    portable::aes::unwrap(&key, padded, &wrong).err(),
                    Some(Error::EncryptedDataInvalid)
                );
            }
        }
        let mut ours = aws_lc::aes::Cmac::new(&key).unwrap();
        let mut theirs = portable::aes::Cmac::new(&key).unwrap();
        for part in [&data[..3], &data[3..40], &data[40..]] {
            ours.update(part).unwrap();
            theirs.update(part).unwrap();
        }
        assert_eq!(ours.finish(), theirs.finish());
    }
}

#[test]
fn ccm_agrees() {
    for key_length in [16, 24, 32] {
        let key = bytes(key_length);
        for (nonce, aad, size, tag) in [
            (7, 0, 0, 4),
            (13, 5, 17, 16),
            (12, 0, 100, 12),
            (11, 0xff00, 1000, 8),
            (13, 33, 65535, 16),
            (8, 1, 0, 6),
        ] {
            let (nonce, aad, plain) = (bytes(nonce), bytes(aad), bytes(size));
            let (mut first, mut second) = (vec![0; size + tag], vec![0; size + tag]);
            aws_lc::aes::ccm::seal(&key, &nonce, &aad, tag, &plain, &mut first).unwrap();
            portable::aes::ccm::seal(&key, &nonce, &aad, tag, &plain, &mut second).unwrap();
            assert_eq!(first, second, "{size} {tag}");
            assert_eq!(aws_lc::aes::ccm::open(&key, &nonce, &aad, tag, &first).unwrap()[..], plain);
            assert_eq!(portable::aes::ccm::open(&key, &nonce, &aad, tag, &first).unwrap()[..], plain);
            let refused = Some(Error::EncryptedDataInvalid);
            for place in [0, size, size + tag - 1] {
                let mut wrong = first.clone();
                wrong[place] ^= 1;
                assert_eq!(aws_lc::aes::ccm::open(&key, &nonce, &aad, tag, &wrong).err(), refused);
                assert_eq!(portable::aes::ccm::open(&key, &nonce, &aad, tag, &wrong).err(), refused);
            }
        }
        for (nonce, tag, size, error) in [
            (6, 16, 1, Error::MechanismParamInvalid),
            (14, 16, 1, Error::MechanismParamInvalid),
            (12, 5, 1, Error::MechanismParamInvalid),
            (12, 2, 1, Error::MechanismParamInvalid),
            (13, 16, 65536, Error::DataLenRange),
        ] {
            let (nonce, plain, mut out) = (bytes(nonce), bytes(size), vec![0; size + tag]);
            assert_eq!(aws_lc::aes::ccm::seal(&key, &nonce, &[], tag, &plain, &mut out), Err(error));
            assert_eq!(portable::aes::ccm::seal(&key, &nonce, &[], tag, &plain, &mut out), Err(error));
        }
    }
}

#[test]
fn chacha20_poly1305_agrees() {
    for size in [0, 1, 63, 64, 65, 1000, 100_000] {
        let (key, nonce) = (bytes(32)[..].try_into().unwrap(), bytes(12)[..].try_into().unwrap());
        let (aad, plain) = (bytes(size % 100), bytes(size));
        let (mut first, mut second, mut back) = (vec![0; size + 16], vec![0; size + 16], vec![0; size]);
        aws_lc::chacha20_poly1305::seal(&key, &nonce, &aad, &plain, &mut first).unwrap();
        portable::chacha20_poly1305::seal(&key, &nonce, &aad, &plain, &mut second).unwrap();
        assert_eq!(first, second);
        aws_lc::chacha20_poly1305::open(&key, &nonce, &aad, &first, &mut back).unwrap();
        assert_eq!(back, plain);
        back.fill(0);
        portable::chacha20_poly1305::open(&key, &nonce, &aad, &first, &mut back).unwrap();
        assert_eq!(back, plain);
        first[size] ^= 1;
        let refused = Err(Error::EncryptedDataInvalid);
        assert_eq!(aws_lc::chacha20_poly1305::open(&key, &nonce, &aad, &first, &mut back), refused);
        assert_eq!(back, vec![0; size]);
        assert_eq!(portable::chacha20_poly1305::open(&key, &nonce, &aad, &first, &mut back), refused);
        assert_eq!(back, vec![0; size]);
    }
}

#[test]
fn counters_do_not_wrap() {
    let mut iv = [0; 16];
    iv[15] = 0xfe;
    let mode = Mode::Ctr { counter_bits: 8 };
    let mut ours = aws_lc::aes::BlockCipher::new(mode, Direction::Encrypt, &[1; 16], &iv).unwrap();
    let mut theirs = portable::aes::BlockCipher::new(mode, Direction::Encrypt, &[1; 16], &iv).unwrap();
    assert_eq!(ours.update(&[0; 33], &mut [0; 33]), Err(Error::DataLenRange));
    assert_eq!(theirs.update(&[0; 33], &mut [0; 33]), Err(Error::DataLenRange));
    let (mut first, mut second) = ([0; 32], [0; 32]);
    ours.update(&[0; 32], &mut first).unwrap();
    theirs.update(&[0; 32], &mut second).unwrap();
    assert_eq!(first, second);
}

#[test]
fn gcm_agrees() {
    for key_length in [16, 24, 32] {
        let key = bytes(key_length);
        let ours = aws_lc::aes::GcmKey::new(&key).unwrap();
        let theirs = portable::aes::GcmKey::new(&key).unwrap();
        for (iv, aad, size, tag) in
            [(12, 0, 0, 16), (12, 5, 17, 16), (1, 0, 100, 12), (16, 33, 1000, 4), (60, 16, 31, 15)]
        {
            let (iv, aad, plain) = (bytes(iv), bytes(aad), bytes(size));
            let (mut first, mut second, mut back) = (vec![0; size + tag], vec![0; size + tag], vec![0; size]);
            ours.seal(&iv, &aad, tag, &plain, &mut first).unwrap();
            theirs.seal(&iv, &aad, tag, &plain, &mut second).unwrap();
            assert_eq!(first, second);
            ours.open(&iv, &aad, tag, &first, &mut back).unwrap();
            assert_eq!(back, plain);
            theirs.open(&iv, &aad, tag, &first, &mut back).unwrap();
            assert_eq!(back, plain);
            first[size] ^= 1;
            assert_eq!(ours.open(&iv, &aad, tag, &first, &mut back), Err(Error::EncryptedDataInvalid));
            assert_eq!(back, vec![0; size]);
            assert_eq!(theirs.open(&iv, &aad, tag, &first, &mut back), Err(Error::EncryptedDataInvalid));
            let mut stream = ours.start_seal(&iv, &aad).unwrap();
            let mut parts = vec![0; size];
            let cut = size / 3;
            stream.update(&plain[..cut], &mut parts[..cut]).unwrap();
            stream.update(&plain[cut..], &mut parts[cut..]).unwrap();
            assert_eq!(parts, second[..size]);
            assert_eq!(stream.tag().unwrap()[..tag], second[size..]);
            let mut again = vec![0; size + tag];
            // The same stream for another message between two of this one.
            for (iv, aad) in [(&iv[..], &aad[..]), (&[7; 17], b"other"), (&[8; 12], b""), (&iv, &aad)] {
                ours.restart_seal(&mut stream, iv, aad).unwrap();
                stream.seal(&plain, &mut again).unwrap();
                theirs.seal(iv, aad, tag, &plain, &mut second).unwrap();
                assert_eq!(again, second);
            }
        }
    }
}
