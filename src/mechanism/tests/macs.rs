//! Digests, HMAC and CMAC: each row against the example of its standard, so that a row that names
//! the wrong hash shows.

use super::*;

/// Digest and HMAC numbers of one hash; the digest of "abc" (FIPS 180-4, FIPS 202 examples) and the
/// HMAC of RFC 4231's second test case, whose key is "Jefe".
const KNOWN: &[(u64, u64, u64, &str, &str)] = &[
    (
        CKM_SHA_1,
        CKM_SHA_1_HMAC,
        CKM_SHA_1_HMAC_GENERAL,
        "a9993e364706816aba3e25717850c26c9cd0d89d",
        "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
    ),
    (
        CKM_SHA224,
        CKM_SHA224_HMAC,
        CKM_SHA224_HMAC_GENERAL,
        "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
        "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
    ),
    (
        CKM_SHA256,
        CKM_SHA256_HMAC,
        CKM_SHA256_HMAC_GENERAL,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        CKM_SHA384,
        CKM_SHA384_HMAC,
        CKM_SHA384_HMAC_GENERAL,
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed
         8086072ba1e7cc2358baeca134c825a7",
        "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e
         8e2240ca5e69e2c78b3239ecfab21649",
    ),
    (
        CKM_SHA512,
        CKM_SHA512_HMAC,
        CKM_SHA512_HMAC_GENERAL,
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
         2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554
         9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
    ),
    (
        CKM_SHA512_224,
        CKM_SHA512_224_HMAC,
        CKM_SHA512_224_HMAC_GENERAL,
        "4634270f707b6a54daae7530460842e20e37ed265ceee9a43e8924aa",
        "4a530b31a79ebcce36916546317c45f247d83241dfb818fd37254bde",
    ),
    (
        CKM_SHA512_256,
        CKM_SHA512_256_HMAC,
        CKM_SHA512_256_HMAC_GENERAL,
        "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23",
        "6df7b24630d5ccb2ee335407081a87188c221489768fa2020513b2d593359456",
    ),
    (
        CKM_SHA3_224,
        CKM_SHA3_224_HMAC,
        CKM_SHA3_224_HMAC_GENERAL,
        "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf",
        "7fdb8dd88bd2f60d1b798634ad386811c2cfc85bfaf5d52bbace5e66",
    ),
    (
        CKM_SHA3_256,
        CKM_SHA3_256_HMAC,
        CKM_SHA3_256_HMAC_GENERAL,
        "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
        "c7d4072e788877ae3596bbb0da73b887c9171f93095b294ae857fbe2645e1ba5",
    ),
    (
        CKM_SHA3_384,
        CKM_SHA3_384_HMAC,
        CKM_SHA3_384_HMAC_GENERAL,
        "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b2
         98d88cea927ac7f539f1edf228376d25",
        "f1101f8cbf9766fd6764d2ed61903f21ca9b18f57cf3e1a23ca13508a93243ce
         48c045dc007f26a21b3f5e0e9df4c20a",
    ),
    (
        CKM_SHA3_512,
        CKM_SHA3_512_HMAC,
        CKM_SHA3_512_HMAC_GENERAL,
        "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e
         10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
        "5a4bfeab6166427c7a3647b747292b8384537cdb89afb3bf5665e4c5e709350b
         287baec921fd7ca0ee7a0c31d022a95e1fc92ba9d77df883960275beb4e62024",
    ),
];

#[test]
fn digests_of_abc() {
    for (id, _, _, expected, _) in KNOWN {
        assert_eq!(digest(*id, b"abc"), hex(expected), "{}", find(*id).unwrap().name);
    }
    assert_eq!(KNOWN.len(), all().filter(|row| row.digest.is_some()).count());
}

#[test]
fn hmacs_of_rfc4231_case_2() {
    let data = b"what do ya want for nothing?";
    for (_, whole, cut, _, expected) in KNOWN {
        let name = find(*whole).unwrap().name;
        for key_type in find(*whole).unwrap().keys {
            let (key, expected) = (secret_key(*key_type, b"Jefe"), hex(expected));
            assert_eq!(sign(*whole, &key, Params::None, data).unwrap(), expected, "{name}");
            for length in [1, 10, expected.len()] {
                let mac = sign(*cut, &key, Params::MacLength(length), data).unwrap();
                assert_eq!(mac, expected[..length], "{name}");
                assert_eq!(verify(*cut, &key, Params::MacLength(length), data, &mac), Ok(()));
            }
            for wrong in [0, expected.len() + 1, usize::MAX] {
                let refused = sign(*cut, &key, Params::MacLength(wrong), data);
                assert_eq!(refused.err(), Some(Error::MechanismParamInvalid), "{name}");
            }
        }
    }
}

#[test]
fn one_key_serves_many_hashes() {
    let key = secret_key(CKK_GENERIC_SECRET, b"Jefe");
    for round in [KNOWN.iter().collect::<Vec<_>>(), KNOWN.iter().rev().collect()] {
        for (_, id, _, _, expected) in round {
            let mac = sign(*id, &key, Params::None, b"what do ya want for nothing?").unwrap();
            assert_eq!(mac, hex(expected));
        }
    }
}

#[test]
fn cmacs_of_rfc4493() {
    let key = aes_key(&hex("2b7e151628aed2a6abf7158809cf4f3c"));
    let block = hex("6bc1bee22e409f96e93d7e117393172a");
    for (data, expected) in
        [(&[][..], "bb1d6929e95937287fa37d129b756746"), (&block, "070a16b46b4d4144f79bdd9dd04a287c")]
    {
        assert_eq!(sign(CKM_AES_CMAC, &key, Params::None, data).unwrap(), hex(expected));
        let cut = sign(CKM_AES_CMAC_GENERAL, &key, Params::MacLength(5), data).unwrap();
        assert_eq!(cut, hex(expected)[..5]);
    }
    for wrong in [0, 17] {
        let refused = sign(CKM_AES_CMAC_GENERAL, &key, Params::MacLength(wrong), &block);
        assert_eq!(refused.err(), Some(Error::MechanismParamInvalid));
    }
}
