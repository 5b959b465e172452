//! AES: the standards' examples, and what each mode must refuse.

use super::*;

const KEY: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";

fn iv() -> Params {
    Params::Iv((0..16).collect())
}

#[test]
fn sp800_38a_examples() {
    let key = aes_key(&hex(KEY));
    let block: [u8; 16] = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").try_into().unwrap();
    for (id, params, expected) in [
        (CKM_AES_ECB, Params::None, "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"),
        (CKM_AES_CBC, iv(), "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"),
        (
            CKM_AES_CTR,
            Params::Ctr { counter_bits: 128, block },
            "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff",
        ),
    ] {
        assert_eq!(encrypt(id, &key, params, &hex(PLAIN)), Ok(hex(expected)), "{}", find(id).unwrap().name);
    }
}

#[test]
fn gcm_test_case_4() {
    let key = aes_key(&hex("feffe9928665731c6d6a8f9467308308"));
    let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let params = |bits| gcm(&hex("cafebabefacedbaddecaf888"), &aad, bits);
    let plain = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    let sealed = hex("42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
                      21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091
                      5bc94fbc3221a5db94fae95ae7121a47");
    for bits in [128, 120, 112, 104, 96, 64, 32] {
        let expected = &sealed[..plain.len() + bits / 8];
        assert_eq!(encrypt(CKM_AES_GCM, &key, params(bits), &plain).unwrap(), expected);
        let started =
            find(CKM_AES_GCM).unwrap().cipher.unwrap()(Arc::clone(&key), params(bits), Direction::Encrypt);
        assert_eq!(in_parts(started, &plain, 4).unwrap(), expected);
        assert_eq!(decrypt(CKM_AES_GCM, &key, params(bits), expected).unwrap(), plain);
    }
}

#[test]
fn gcm_refuses_strange_parameters_and_takes_long_ivs() {
    let key = aes_key(&[1; 32]);
    for bad in [gcm(&[], b"", 128), gcm(&[1; 12], b"", 0), gcm(&[1; 12], b"", 100)] {
        assert_eq!(encrypt(CKM_AES_GCM, &key, bad, b"").err(), Some(Error::MechanismParamInvalid));
    }
    let start = find(CKM_AES_GCM).unwrap().cipher.unwrap();
    for length in [1, 8, 16, 60, 128, 129, 256, 1000] {
        let params = || gcm(&noise(length, 2), b"aad", 128);
        let sealed = encrypt(CKM_AES_GCM, &key, params(), b"data").unwrap();
        assert_eq!(
            in_parts(start(Arc::clone(&key), params(), Direction::Encrypt), b"data", 1).unwrap(),
            sealed
        );
        assert_eq!(decrypt(CKM_AES_GCM, &key, params(), &sealed).unwrap(), b"data", "IV of {length}");
    }
}

#[test]
fn a_changed_gcm_ciphertext_gives_nothing() {
    let key = aes_key(&[1; 16]);
    let start =
        |params| find(CKM_AES_GCM).unwrap().cipher.unwrap()(Arc::clone(&key), params, Direction::Decrypt);
    let params = || gcm(&[2; 12], b"aad", 96);
    let sealed = encrypt(CKM_AES_GCM, &key, params(), &[9; 100]).unwrap();
    for at in [0, 50, 99, 100, 111] {
        let mut changed = sealed.clone();
        changed[at] ^= 0x10;
        let mut out = [7; 100];
        assert_eq!(start(params()).unwrap().one_shot(&changed, &mut out), Err(Error::EncryptedDataInvalid));
        assert_eq!(out, [0; 100]);
        let mut parts = start(params()).unwrap();
        for piece in pieces(&changed, 5) {
            assert_eq!((parts.update_length(piece.len()), parts.update(piece, &mut [])), (0, Ok(0)));
        }
        let mut out = [7; 100];
        assert_eq!(parts.finish(&mut out), Err(Error::EncryptedDataInvalid));
        assert_eq!(out, [0; 100]);
    }
    let other = decrypt(CKM_AES_GCM, &key, gcm(&[2; 12], b"", 96), &sealed);
    assert_eq!(other.err(), Some(Error::EncryptedDataInvalid));
    let short = decrypt(CKM_AES_GCM, &key, params(), &sealed[..11]);
    assert_eq!(short.err(), Some(Error::EncryptedDataLenRange));
}

#[test]
fn blocks_must_be_whole() {
    let key = aes_key(&[1; 16]);
    for (id, params) in [(CKM_AES_ECB, Params::None), (CKM_AES_CBC, iv())] {
        for length in [1, 15, 17, 40] {
            let data = noise(length, 1);
            assert_eq!(encrypt(id, &key, params.clone(), &data).err(), Some(Error::DataLenRange));
            assert_eq!(decrypt(id, &key, params.clone(), &data).err(), Some(Error::EncryptedDataLenRange));
        }
    }
    for length in [0, 1, 15, 17, 40] {
        let opened = decrypt(CKM_AES_CBC_PAD, &key, iv(), &noise(length, 1));
        assert_eq!(opened.err(), Some(Error::EncryptedDataLenRange));
    }
}

#[test]
fn cbc_padding_is_checked() {
    let key = aes_key(&[1; 16]);
    let block = |end: &[u8]| [vec![0xee; 32 - end.len()], end.to_vec()].concat();
    for (end, kept) in [(&[1][..], 31), (&[2, 2], 30), (&[16; 16], 16)] {
        let sealed = encrypt(CKM_AES_CBC, &key, iv(), &block(end)).unwrap();
        assert_eq!(decrypt(CKM_AES_CBC_PAD, &key, iv(), &sealed).unwrap(), block(end)[..kept]);
    }
    for end in [&[0][..], &[17], &[3, 2, 3], &[255], &[15; 14]] {
        let sealed = encrypt(CKM_AES_CBC, &key, iv(), &block(end)).unwrap();
        let opened = decrypt(CKM_AES_CBC_PAD, &key, iv(), &sealed);
        assert_eq!(opened.err(), Some(Error::EncryptedDataInvalid), "{end:?}");
    }
}

#[test]
fn a_counter_must_not_wrap() {
    let key = aes_key(&[1; 16]);
    let params = || Params::Ctr { counter_bits: 8, block: [0xfe; 16] };
    assert!(encrypt(CKM_AES_CTR, &key, params(), &[0; 32]).is_ok());
    assert_eq!(encrypt(CKM_AES_CTR, &key, params(), &[0; 33]).err(), Some(Error::DataLenRange));
    let whole = Params::Ctr { counter_bits: 128, block: [0xff; 16] };
    assert!(encrypt(CKM_AES_CTR, &key, whole, &[0; 16]).is_ok());
}

#[test]
fn rfc3394_and_rfc5649_examples() {
    let kek = aes_key(&(0..16).collect::<Vec<u8>>());
    let plain = hex("00112233445566778899aabbccddeeff");
    let wrapped = hex("1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5");
    let row = find(CKM_AES_KEY_WRAP).unwrap();
    let standard = || Params::Iv(vec![0xa6; 8]);
    for params in [Params::None, standard()] {
        assert_eq!(row.wrap.unwrap()(&kek, params.clone(), &plain).unwrap()[..], wrapped);
        assert_eq!(row.unwrap.unwrap()(&kek, params, &wrapped).unwrap()[..], plain);
    }
    assert_eq!(encrypt(CKM_AES_KEY_WRAP, &kek, standard(), &plain).unwrap(), wrapped);
    let kek = aes_key(&hex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"));
    for (plain, wrapped) in [
        (
            "c37b7e6492584340bed12207808941155068f738",
            "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
        ),
        ("466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"),
    ] {
        for id in [CKM_AES_KEY_WRAP_KWP, CKM_AES_KEY_WRAP_PAD] {
            let row = find(id).unwrap();
            assert_eq!(row.wrap.unwrap()(&kek, Params::None, &hex(plain)).unwrap()[..], hex(wrapped));
            assert_eq!(row.unwrap.unwrap()(&kek, Params::None, &hex(wrapped)).unwrap()[..], hex(plain));
        }
    }
}

#[test]
fn wrapped_keys_that_are_wrong() {
    let kek = aes_key(&[1; 32]);
    let row = find(CKM_AES_KEY_WRAP).unwrap();
    let mut wrapped = row.wrap.unwrap()(&kek, Params::None, &[5; 24]).unwrap();
    wrapped[3] ^= 1;
    assert_eq!(row.unwrap.unwrap()(&kek, Params::None, &wrapped).err(), Some(Error::EncryptedDataInvalid));
    for length in [0, 8, 16, 23, 25] {
        assert_eq!(
            row.unwrap.unwrap()(&kek, Params::None, &noise(length, 1)).err(),
            Some(Error::EncryptedDataLenRange),
        );
    }
    for length in [0, 8, 17] {
        let refused = row.wrap.unwrap()(&kek, Params::None, &noise(length, 1));
        assert_eq!(refused.err(), Some(Error::DataLenRange));
    }
    let other = row.wrap.unwrap()(&kek, Params::Iv(vec![1; 8]), &[5; 24]);
    assert_eq!(other.err(), Some(Error::MechanismParamInvalid));
}

#[test]
fn aes_keys_are_16_24_or_32_bytes() {
    let mut template = object(CKO_SECRET_KEY, CKK_AES, &[]);
    for wrong in [1, 15, 17, 64] {
        template.set(CKA_VALUE_LEN, Value::Ulong(wrong));
        let made = find(CKM_AES_KEY_GEN).unwrap().generate.unwrap()(Params::None, &template);
        assert_eq!(made.err(), Some(Error::KeySizeRange));
        let value = noise(wrong as usize, 1);
        let imported = import_key(CKO_SECRET_KEY, CKK_AES, &[(CKA_VALUE, &value)]);
        assert_eq!(imported.err(), Some(Error::AttributeValueInvalid));
    }
}
