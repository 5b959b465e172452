//! RSA: paddings against each other and against raw RSA, generation, what must be refused.

use super::*;
use crate::crypto::Hash;

fn oaep(hash: Hash, label: &[u8]) -> Params {
    Params::Oaep { hash, mgf: Hash::Sha256, label: label.to_vec() }
}

#[test]
fn a_hashed_signature_is_a_plain_one_of_the_digest_info_and_a_raw_one_of_the_block() {
    let (public, private) = &*RSA;
    let data = b"to be signed";
    let info = [Hash::Sha384.digest_info_prefix(), &digest(CKM_SHA384, data)].concat();
    let mut block = vec![0xff; 256];
    block[..2].copy_from_slice(&[0, 1]);
    block[255 - info.len()] = 0;
    block[256 - info.len()..].copy_from_slice(&info);
    let signature = sign(CKM_SHA384_RSA_PKCS, private, Params::None, data).unwrap();
    assert_eq!(sign(CKM_RSA_PKCS, private, Params::None, &info).unwrap(), signature);
    assert_eq!(sign(CKM_RSA_X_509, private, Params::None, &block).unwrap(), signature);
    assert_eq!(encrypt(CKM_RSA_X_509, public, Params::None, &signature).unwrap(), block);
    assert_eq!(verify(CKM_RSA_X_509, public, Params::None, &block[1..], &signature), Ok(()));
    assert_eq!(
        verify(CKM_SHA256_RSA_PKCS, public, Params::None, data, &signature),
        Err(Error::SignatureInvalid)
    );
}

#[test]
fn a_hashed_pss_is_a_plain_one_of_the_digest() {
    let (public, private) = &*RSA;
    let params = |salt_length| Params::Pss { hash: Hash::Sha256, mgf: Hash::Sha256, salt_length };
    for salt in [0, 20, 32, 256 - 34] {
        let signature = sign(CKM_SHA256_RSA_PKCS_PSS, private, params(salt), b"data").unwrap();
        let digest = digest(CKM_SHA256, b"data");
        assert_eq!(verify(CKM_RSA_PKCS_PSS, public, params(salt), &digest, &signature), Ok(()));
        let other = verify(CKM_RSA_PKCS_PSS, public, params(salt ^ 1), &digest, &signature);
        assert!(other.is_err(), "salt of {salt}");
    }
    for (id, salt) in [(CKM_SHA256_RSA_PKCS_PSS, 256 - 33), (CKM_RSA_PKCS_PSS, usize::MAX)] {
        let refused = Some(Error::MechanismParamInvalid);
        assert_eq!(sign(id, private, params(salt), b"data").err(), refused);
        assert_eq!(verify(id, public, params(salt), b"data", b"").err(), refused);
    }
    let wrong_hash = sign(CKM_SHA384_RSA_PKCS_PSS, private, params(32), b"data");
    assert_eq!(wrong_hash.err(), Some(Error::MechanismParamInvalid));
    let wrong_digest = sign(CKM_RSA_PKCS_PSS, private, params(32), &[0; 31]);
    assert_eq!(wrong_digest.err(), Some(Error::DataLenRange));
}

#[test]
fn lengths_are_held() {
    let (public, private) = &*RSA;
    for (id, longest) in [(CKM_RSA_PKCS, 245), (CKM_RSA_X_509, 256)] {
        let long = vec![0; longest + 1];
        assert_eq!(sign(id, private, Params::None, &long).err(), Some(Error::DataLenRange));
        assert_eq!(encrypt(id, public, Params::None, &long).err(), Some(Error::DataLenRange));
        assert_eq!(verify(id, public, Params::None, &long, &[1; 256]).err(), Some(Error::DataLenRange));
        assert!(encrypt(id, public, Params::None, &long[1..]).is_ok());
        for wrong in [0, 255, 257] {
            let opened = decrypt(id, private, Params::None, &vec![1; wrong]);
            assert_eq!(opened.err(), Some(Error::EncryptedDataLenRange));
        }
    }
    let long = vec![0; 256 - 2 * 64 - 1];
    let refused = encrypt(CKM_RSA_PKCS_OAEP, public, oaep(Hash::Sha512, b""), &long);
    assert_eq!(refused.err(), Some(Error::DataLenRange));
    assert!(encrypt(CKM_RSA_PKCS_OAEP, public, oaep(Hash::Sha512, b""), &long[1..]).is_ok());
}

#[test]
fn numbers_above_the_modulus_are_refused() {
    let (public, private) = &*RSA;
    let above = [0xff; 256];
    assert_eq!(sign(CKM_RSA_X_509, private, Params::None, &above).err(), Some(Error::DataInvalid));
    assert_eq!(encrypt(CKM_RSA_X_509, public, Params::None, &above).err(), Some(Error::DataInvalid));
    for (id, params) in [
        (CKM_RSA_X_509, Params::None),
        (CKM_RSA_PKCS, Params::None),
        (CKM_RSA_PKCS_OAEP, oaep(Hash::Sha1, b"")),
    ] {
        assert_eq!(decrypt(id, private, params, &above).err(), Some(Error::EncryptedDataInvalid));
    }
    let refused = verify(CKM_RSA_X_509, public, Params::None, &above, &above);
    assert_eq!(refused, Err(Error::SignatureInvalid));
}

#[test]
fn a_wrong_pkcs1_padding_does_not_show() {
    let (public, private) = &*RSA;
    let good = encrypt(CKM_RSA_PKCS, public, Params::None, b"message").unwrap();
    assert_eq!(decrypt(CKM_RSA_PKCS, private, Params::None, &good).unwrap(), b"message");
    for seed in 0..8 {
        let mut block = noise(256, seed);
        block[0] = 0;
        block[1] = 3;
        let bad = encrypt(CKM_RSA_X_509, public, Params::None, &block).unwrap();
        let noise = decrypt(CKM_RSA_PKCS, private, Params::None, &bad).unwrap();
        assert_eq!(decrypt(CKM_RSA_PKCS, private, Params::None, &bad).unwrap(), noise);
        assert!(noise.len() <= 245 && !block.ends_with(&noise) || noise.is_empty());
    }
}

#[test]
fn a_recovered_padding_is_taken_to_the_letter() {
    let (public, private) = &*RSA;
    let recover = find(CKM_RSA_PKCS).unwrap().recover.unwrap();
    let recovered = |start: &[u8], padding: usize, rest: &[u8]| {
        let block = [start, &vec![0xff; padding], rest].concat();
        let filled = [&block[..], &vec![7; 256 - block.len()]].concat();
        let signature = sign(CKM_RSA_X_509, private, Params::None, &filled).unwrap();
        at_once(recover(Arc::clone(public), Params::None), &signature)
    };
    assert_eq!(recovered(&[0, 1], 8, &[0]).unwrap(), [7; 245]);
    assert_eq!(recovered(&[0, 1], 253, &[0]).unwrap(), b"");
    for (start, padding, rest) in [
        (&[0, 1][..], 7, &[0][..]),
        (&[0, 1], 8, &[1, 0]),
        (&[0, 1], 20, &[]),
        (&[0, 1], 254, &[]),
        (&[0, 1, 0], 20, &[0]),
        (&[0, 2], 20, &[0]),
        (&[0, 0], 20, &[0]),
        (&[1], 20, &[0]),
        (&[], 0, &[]),
    ] {
        let answer = recovered(start, padding, rest);
        assert_eq!(answer.err(), Some(Error::SignatureInvalid), "{start:?} {padding} {rest:?}");
    }
}

#[test]
fn oaep_binds_its_label_and_hash() {
    let (public, private) = &*RSA;
    for hash in Hash::ALL {
        let sealed = encrypt(CKM_RSA_PKCS_OAEP, public, oaep(hash, b"label"), b"message").unwrap();
        let opened = decrypt(CKM_RSA_PKCS_OAEP, private, oaep(hash, b"label"), &sealed);
        assert_eq!(opened.unwrap(), b"message");
        let other = decrypt(CKM_RSA_PKCS_OAEP, private, oaep(hash, b"other"), &sealed);
        assert_eq!(other.err(), Some(Error::EncryptedDataInvalid));
    }
}

#[test]
fn a_key_under_rsa_and_aes_is_oaep_and_a_padded_key_wrap() {
    let (public, private) = &*RSA;
    let row = find(CKM_RSA_AES_KEY_WRAP).unwrap();
    let (wrap, unwrap) = (row.wrap.unwrap(), row.unwrap.unwrap());
    let params = |key_bits, hash| Params::RsaAes { key_bits, hash, mgf: Hash::Sha256, label: Vec::new() };
    let open = |wrapped: &[u8], hash| unwrap(private, params(256, hash), wrapped);
    for bits in [128, 192, 256] {
        let wrapped = wrap(public, params(bits, Hash::Sha256), b"a key of 1 to many bytes").unwrap();
        let between = decrypt(CKM_RSA_PKCS_OAEP, private, oaep(Hash::Sha256, b""), &wrapped[..256]).unwrap();
        assert_eq!(between.len() * 8, bits);
        let inner = decrypt(CKM_AES_KEY_WRAP_KWP, &aes_key(&between), Params::None, &wrapped[256..]);
        assert_eq!(inner.unwrap(), b"a key of 1 to many bytes");
        assert_eq!(open(&wrapped, Hash::Sha256).unwrap()[..], *b"a key of 1 to many bytes");
        // Whatever is wrong inside has one answer.
        for place in [0, 255, 256, wrapped.len() - 1] {
            let mut changed = wrapped.to_vec();
            changed[place] ^= 1;
            assert_eq!(open(&changed, Hash::Sha256).err(), Some(Error::EncryptedDataInvalid), "{place}");
        }
        assert_eq!(open(&wrapped, Hash::Sha1).err(), Some(Error::EncryptedDataInvalid));
        for length in [0, 255, 256, 264, wrapped.len() - 1] {
            let cut = open(&wrapped[..length], Hash::Sha256).err();
            assert_eq!(cut, Some(Error::EncryptedDataLenRange), "{length}");
        }
    }
    assert_eq!(wrap(public, params(64, Hash::Sha1), b"key").err(), Some(Error::MechanismParamInvalid));
    // An OAEP block that holds no AES key.
    let odd = encrypt(CKM_RSA_PKCS_OAEP, public, oaep(Hash::Sha256, b""), b"short").unwrap();
    let blob = [&odd[..], &[0; 24]].concat();
    assert_eq!(open(&blob, Hash::Sha256).err(), Some(Error::EncryptedDataInvalid));
}

#[test]
fn generation_holds_its_template() {
    for bits in [0, 1024, 2040, 2049, 8200, 1 << 40] {
        let refused = generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, rsa_template(bits, &[]));
        assert_eq!(refused.err(), Some(Error::KeySizeRange), "{bits} bits");
    }
    for exponent in [&[1][..], &[2], &[0], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
        let refused = generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, rsa_template(2048, exponent));
        assert_eq!(refused.err(), Some(Error::AttributeValueInvalid), "{exponent:?}");
    }
    let nothing = object(CKO_PUBLIC_KEY, CKK_RSA, &[]);
    let refused = generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, nothing);
    assert_eq!(refused.err(), Some(Error::TemplateIncomplete));
    assert_eq!(RSA.0.object().bytes(CKA_PUBLIC_EXPONENT), [1, 0, 1]);
    for exponent in [&[3][..], &[0, 1, 0, 1]] {
        let (public, private) =
            generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, rsa_template(2048, exponent)).unwrap();
        assert_eq!(public.object().bytes(CKA_PUBLIC_EXPONENT), key::digits(exponent));
        assert_eq!((public.size(), private.size()), (2048, 2048));
        let signature = sign(CKM_SHA256_RSA_PKCS, &private, Params::None, b"data").unwrap();
        assert_eq!(verify(CKM_SHA256_RSA_PKCS, &public, Params::None, b"data", &signature), Ok(()));
    }
}
