//! Every advertised mechanism through the same matrix: one-shot equals parts, length query, too-small
//! retry, in-place buffer, wrong key, wrong parameter, wrong state; the session usable after.

mod matrix {
    pub mod derivation;
    pub mod generation;
}

use cryptoki_sys::*;
use pkcs11_tests::keys::{P256, Pair, bytes, number, template};
use pkcs11_tests::params::{
    CLOUDHSM_AES_GCM, CLOUDHSM_WRAP_NO_PAD, CLOUDHSM_WRAP_ZERO_PAD, mechanism, wrong,
};
use pkcs11_tests::{Fixture, Result, call, check, loosened as fixture};
use std::ptr::null_mut;

type Test = fn(&Bench, CK_MECHANISM_TYPE);

struct Bench {
    at: &'static Fixture,
    session: CK_SESSION_HANDLE,
    rsa: Pair,
    ec: Pair,
    ed: Pair,
    ml_dsa: Pair,
    slh_dsa: Pair,
    aes: CK_OBJECT_HANDLE,
    chacha: CK_OBJECT_HANDLE,
    des3: CK_OBJECT_HANDLE,
    secret: CK_OBJECT_HANDLE,
}

impl Bench {
    fn new() -> Bench {
        let at = fixture();
        let (session, module) = (at.open(), &at.module);
        let (rsa, ec, ed) = (module.rsa_of_all_uses(session), module.ec(session, P256), module.ed(session));
        let chacha = module.generate(session, CKM_CHACHA20_KEY_GEN, &[]).expect("ChaCha20 key");
        let ml_dsa = module.of_set(session, CKM_ML_DSA_KEY_PAIR_GEN, CKP_ML_DSA_65);
        let slh_dsa = module.of_set(session, CKM_SLH_DSA_KEY_PAIR_GEN, CKP_SLH_DSA_SHA2_128F);
        let (aes, secret) = (module.aes_of_all_uses(session), module.secret(session));
        let des3 = module.generate(session, CKM_DES3_KEY_GEN, &[]).expect("triple DES key");
        Bench { at, session, rsa, ec, ed, ml_dsa, slh_dsa, aes, chacha, des3, secret }
    }

    /// The keys that fit a mechanism, and one that does not.
    fn keys(&self, kind: CK_MECHANISM_TYPE) -> (Pair, CK_OBJECT_HANDLE) {
        let same = |key| Pair { public: key, private: key };
        match kind {
            CKM_EDDSA => (self.ed, self.aes),
            CKM_ML_DSA | CKM_HASH_ML_DSA | CKM_HASH_ML_DSA_SHA224..=CKM_HASH_ML_DSA_SHAKE256 => {
                (self.ml_dsa, self.aes)
            }
            CKM_SLH_DSA | CKM_HASH_SLH_DSA | CKM_HASH_SLH_DSA_SHA224..=CKM_HASH_SLH_DSA_SHAKE256 => {
                (self.slh_dsa, self.aes)
            }
            CKM_RSA_AES_KEY_WRAP => (self.rsa, self.aes),
            CKM_DES3_ECB | CKM_DES3_CBC | CKM_DES3_CBC_PAD | CKM_DES3_CMAC | CKM_DES3_CMAC_GENERAL => {
                (same(self.des3), self.aes)
            }
            CKM_ECDSA..=CKM_ECDSA_SHA3_512 => (self.ec, self.aes),
            CLOUDHSM_AES_GCM | CLOUDHSM_WRAP_NO_PAD | CLOUDHSM_WRAP_ZERO_PAD => (same(self.aes), self.secret),
            CKM_CHACHA20_POLY1305 => (same(self.chacha), self.aes),
            CKM_AES_GMAC | CKM_AES_OFB | CKM_AES_CFB8 | CKM_AES_CFB128 => (same(self.aes), self.secret),
            CKM_AES_KEY_WRAP | CKM_AES_KEY_WRAP_PAD | CKM_AES_KEY_WRAP_KWP => (same(self.aes), self.secret),
            CKM_AES_KEY_GEN..=CKM_AES_CMAC_GENERAL => (same(self.aes), self.secret),
            kind if kind < 0x80 && !(CKM_SHA512_224..CKM_SHA3_256_RSA_PKCS).contains(&kind) => {
                (self.rsa, self.aes)
            }
            _ => (same(self.secret), self.aes),
        }
    }

    fn start(&self, what: &str, mut mechanism: CK_MECHANISM, key: CK_OBJECT_HANDLE) -> Result<()> {
        let (module, session, mechanism) = (&self.at.module, self.session, &raw mut mechanism);
        check(match what {
            "sign" => call!(module, C_SignInit, session, mechanism, key),
            "verify" => call!(module, C_VerifyInit, session, mechanism, key),
            "encrypt" => call!(module, C_EncryptInit, session, mechanism, key),
            "decrypt" => call!(module, C_DecryptInit, session, mechanism, key),
            _ => call!(module, C_DigestInit, session, mechanism),
        })
    }

    fn one_shot(&self, what: &str, input: &[u8], out: *mut u8, length: &mut CK_ULONG) -> Result<()> {
        let (module, session) = (&self.at.module, self.session);
        let (data, size) = (input.as_ptr().cast_mut(), input.len() as CK_ULONG);
        check(match what {
            "sign" => call!(module, C_Sign, session, data, size, out, length),
            "encrypt" => call!(module, C_Encrypt, session, data, size, out, length),
            "decrypt" => call!(module, C_Decrypt, session, data, size, out, length),
            _ => call!(module, C_Digest, session, data, size, out, length),
        })
    }

    /// The whole result, by length query, a buffer one byte too small, and the call itself.
    fn whole(&self, what: &str, mechanism: CK_MECHANISM, key: CK_OBJECT_HANDLE, input: &[u8]) -> Vec<u8> {
        let kind = mechanism.mechanism;
        self.start(what, mechanism, key).unwrap_or_else(|e| panic!("{what} {kind:#x}: {e:#x}"));
        let mut length = 0;
        self.one_shot(what, input, null_mut(), &mut length).expect("length query");
        let mut out = vec![0; length as usize];
        if length > 0 {
            let mut short = length - 1;
            assert_eq!(self.one_shot(what, input, out.as_mut_ptr(), &mut short), Err(CKR_BUFFER_TOO_SMALL));
            assert_eq!(short, length, "the needed length");
        }
        self.one_shot(what, input, out.as_mut_ptr(), &mut length)
            .unwrap_or_else(|e| panic!("{what} {kind:#x}: {e:#x}"));
        out.truncate(length as usize);
        let again = self.one_shot(what, input, out.as_mut_ptr(), &mut length);
        assert_eq!(again, Err(CKR_OPERATION_NOT_INITIALIZED), "the operation has ended");
        out
    }

    /// The same in parts of uneven size.
    fn parts(&self, what: &str, mechanism: CK_MECHANISM, key: CK_OBJECT_HANDLE, input: &[u8]) -> Vec<u8> {
        let (module, session) = (&self.at.module, self.session);
        self.start(what, mechanism, key).expect("init");
        let mut all = Vec::new();
        for part in
            [&input[..input.len() / 3], &input[input.len() / 3..input.len() / 2], &input[input.len() / 2..]]
        {
            let (data, size) = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
            let (mut out, mut length) = (vec![0; part.len() + 64], part.len() as CK_ULONG + 64);
            check(match what {
                "sign" => call!(module, C_SignUpdate, session, data, size),
                "digest" => call!(module, C_DigestUpdate, session, data, size),
                "encrypt" => {
                    call!(module, C_EncryptUpdate, session, data, size, out.as_mut_ptr(), &mut length)
                }
                _ => call!(module, C_DecryptUpdate, session, data, size, out.as_mut_ptr(), &mut length),
            })
            .expect("update");
            if matches!(what, "encrypt" | "decrypt") {
                all.extend_from_slice(&out[..length as usize]);
            }
        }
        let finish = |out: *mut u8, length: &mut CK_ULONG| {
            check(match what {
                "sign" => call!(module, C_SignFinal, session, out, length),
                "digest" => call!(module, C_DigestFinal, session, out, length),
                "encrypt" => call!(module, C_EncryptFinal, session, out, length),
                _ => call!(module, C_DecryptFinal, session, out, length),
            })
        };
        let mut length = 0;
        finish(null_mut(), &mut length).expect("length query of final");
        let mut out = vec![0; length as usize + 1];
        finish(out.as_mut_ptr(), &mut length).expect("final");
        all.extend_from_slice(&out[..length as usize]);
        all
    }

    fn verify(
        &self,
        kind: CK_MECHANISM_TYPE,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
        signature: &[u8],
        parts: bool,
    ) -> Result<()> {
        let (module, session) = (&self.at.module, self.session);
        self.start("verify", mechanism(kind), key)?;
        let (signature, length) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
        if !parts {
            let (data, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
            return check(call!(module, C_Verify, session, data, size, signature, length));
        }
        for part in data.chunks(data.len() / 2 + 1) {
            check(call!(module, C_VerifyUpdate, session, part.as_ptr().cast_mut(), part.len() as CK_ULONG))?;
        }
        check(call!(module, C_VerifyFinal, session, signature, length))
    }

    /// The same with the signature given first (3.2).
    fn verify_signature(
        &self,
        kind: CK_MECHANISM_TYPE,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
        signature: &[u8],
        parts: bool,
    ) -> Result<()> {
        let (module, session) = (&self.at.module, self.session);
        let (signature, length) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
        let init = || {
            check(call!(module, C_VerifySignatureInit, session, &mut mechanism(kind), key, signature, length))
        };
        init()?;
        assert_eq!(init(), Err(CKR_OPERATION_ACTIVE), "{kind:#x}");
        if !parts {
            let (data, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
            return check(call!(module, C_VerifySignature, session, data, size));
        }
        for part in data.chunks(data.len() / 2 + 1) {
            let (part, size) = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
            check(call!(module, C_VerifySignatureUpdate, session, part, size))?;
        }
        check(call!(module, C_VerifySignatureFinal, session))
    }

    /// Wrong key, wrong parameter, wrong state: each its own code, and the session goes on.
    fn refusals(&self, what: &str, kind: CK_MECHANISM_TYPE, key: CK_OBJECT_HANDLE, other: CK_OBJECT_HANDLE) {
        let (mut length, module, session) = (0, &self.at.module, self.session);
        if what != "verify" {
            let early = self.one_shot(what, b"data", null_mut(), &mut length);
            assert_eq!(early, Err(CKR_OPERATION_NOT_INITIALIZED), "{what} {kind:#x}");
        }
        assert_eq!(self.start(what, wrong(kind), key), Err(CKR_MECHANISM_PARAM_INVALID), "{what} {kind:#x}");
        if what != "digest" {
            assert_eq!(
                self.start(what, mechanism(kind), other),
                Err(CKR_KEY_TYPE_INCONSISTENT),
                "{what} {kind:#x}"
            );
            assert_eq!(
                self.start(what, mechanism(kind), 0xffff_0000),
                Err(CKR_KEY_HANDLE_INVALID),
                "{what} {kind:#x}"
            );
        }
        self.start(what, mechanism(kind), key).expect("init");
        assert_eq!(self.start(what, mechanism(kind), key), Err(CKR_OPERATION_ACTIVE), "{what} {kind:#x}");
        let stop = match what {
            "sign" => call!(module, C_SignInit, session, null_mut(), 0),
            "verify" => call!(module, C_VerifyInit, session, null_mut(), 0),
            "encrypt" => call!(module, C_EncryptInit, session, null_mut(), 0),
            "decrypt" => call!(module, C_DecryptInit, session, null_mut(), 0),
            _ => call!(module, C_DigestInit, session, null_mut()),
        };
        assert_eq!(stop, CKR_OK, "NULL ends {what}");
    }

    fn signs(&self, kind: CK_MECHANISM_TYPE) {
        let (pair, other) = self.keys(kind);
        let data = signable(kind);
        let signature = self.whole("sign", mechanism(kind), pair.private, &data);
        let second = self.parts("sign", mechanism(kind), pair.private, &data);
        for signature in [&signature, &second] {
            for parts in [false, true] {
                assert_eq!(self.verify(kind, pair.public, &data, signature, parts), Ok(()), "{kind:#x}");
                let first = self.verify_signature(kind, pair.public, &data, signature, parts);
                assert_eq!(first, Ok(()), "{kind:#x}");
            }
        }
        let mut forged = signature.clone();
        forged[signature.len() / 2] ^= 1;
        assert_eq!(
            self.verify(kind, pair.public, &data, &forged, false),
            Err(CKR_SIGNATURE_INVALID),
            "{kind:#x}"
        );
        assert_eq!(
            self.verify(kind, pair.public, &data, &signature[1..], true),
            Err(CKR_SIGNATURE_LEN_RANGE),
            "{kind:#x}"
        );
        for parts in [false, true] {
            let first = self.verify_signature(kind, pair.public, &data, &forged, parts);
            assert_eq!(first, Err(CKR_SIGNATURE_INVALID), "{kind:#x}");
        }
        let (module, session) = (&self.at.module, self.session);
        let ended = call!(module, C_VerifySignatureFinal, session);
        assert_eq!(ended, CKR_OPERATION_NOT_INITIALIZED, "{kind:#x}");
        assert_eq!(
            self.verify_signature(kind, other, &data, &signature, false),
            Err(CKR_KEY_TYPE_INCONSISTENT),
            "{kind:#x}"
        );
        self.refusals("sign", kind, pair.private, other);
        self.refusals("verify", kind, pair.public, other);
    }

    fn encrypts(&self, kind: CK_MECHANISM_TYPE) {
        let (pair, other) = self.keys(kind);
        let plain = encryptable(kind);
        let sealed = self.whole("encrypt", mechanism(kind), pair.public, &plain);
        let in_parts = self.parts("encrypt", mechanism(kind), pair.public, &plain);
        let deterministic = !matches!(kind, CKM_RSA_PKCS | CKM_RSA_PKCS_OAEP | CLOUDHSM_AES_GCM);
        assert_ne!(sealed, plain);
        assert!(!deterministic || sealed == in_parts, "{kind:#x}: one-shot and parts differ");
        for sealed in [&sealed, &in_parts] {
            assert_eq!(self.whole("decrypt", mechanism(kind), pair.private, sealed), plain, "{kind:#x}");
            assert_eq!(
                self.parts("decrypt", mechanism(kind), pair.private, sealed),
                plain,
                "{kind:#x} in parts"
            );
        }
        // In place: the output buffer is the input buffer.
        if deterministic {
            let mut buffer = plain.clone();
            buffer.resize(plain.len() + 512, 0);
            let (mut length, start) = (buffer.len() as CK_ULONG, buffer.as_mut_ptr());
            self.start("encrypt", mechanism(kind), pair.public).expect("init");
            let code = call!(
                self.at.module,
                C_Encrypt,
                self.session,
                start,
                plain.len() as CK_ULONG,
                start,
                &mut length
            );
            assert_eq!((code, &buffer[..length as usize]), (CKR_OK, &sealed[..]), "{kind:#x} in place");
        }
        self.refusals("encrypt", kind, pair.public, other);
        self.refusals("decrypt", kind, pair.private, other);
    }

    fn digests(&self, kind: CK_MECHANISM_TYPE) {
        let data: Vec<u8> = (0..1000u32).map(|n| n as u8).collect();
        let digest = self.whole("digest", mechanism(kind), 0, &data);
        assert_eq!(digest, self.parts("digest", mechanism(kind), 0, &data), "{kind:#x}");
        self.refusals("digest", kind, 0, 0);
    }

    fn wraps(&self, kind: CK_MECHANISM_TYPE) {
        let (pair, other) = self.keys(kind);
        let (module, session, key) = (&self.at.module, self.session, self.aes);
        let wrap = |wrapping, key, out: *mut u8, length: &mut CK_ULONG| {
            check(call!(module, C_WrapKey, session, &mut mechanism(kind), wrapping, key, out, length))
        };
        let mut length = 0;
        wrap(pair.public, key, null_mut(), &mut length).unwrap_or_else(|e| panic!("wrap {kind:#x}: {e:#x}"));
        let (mut wrapped, mut short) = (vec![0; length as usize], length - 1);
        assert_eq!(wrap(pair.public, key, wrapped.as_mut_ptr(), &mut short), Err(CKR_BUFFER_TOO_SMALL));
        wrap(pair.public, key, wrapped.as_mut_ptr(), &mut length).expect("wrap");
        assert_eq!(
            wrap(other, key, null_mut(), &mut 0),
            Err(CKR_WRAPPING_KEY_TYPE_INCONSISTENT),
            "{kind:#x}"
        );
        assert_eq!(wrap(0xffff, key, null_mut(), &mut 0), Err(CKR_WRAPPING_KEY_HANDLE_INVALID), "{kind:#x}");
        let unwrap = |wrapped: &[u8]| {
            let attributes = [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_AES)];
            let (mut list, mut back) = (template(&attributes), 0);
            let (data, size, count) =
                (wrapped.as_ptr().cast_mut(), wrapped.len() as CK_ULONG, list.len() as CK_ULONG);
            let mechanism = &mut mechanism(kind);
            let list = list.as_mut_ptr();
            check(call!(
                module,
                C_UnwrapKey,
                session,
                mechanism,
                pair.private,
                data,
                size,
                list,
                count,
                &mut back
            ))
            .map(|()| back)
        };
        let back = unwrap(&wrapped).unwrap_or_else(|e| panic!("unwrap {kind:#x}: {e:#x}"));
        let check_value = |key| module.attribute(session, key, CKA_CHECK_VALUE).expect("check value");
        assert_eq!(check_value(back), check_value(key), "{kind:#x}");
        for never in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
            assert_eq!(module.attribute(session, back, never), Ok(vec![CK_FALSE]), "{kind:#x} {never:#x}");
        }
        let cut = unwrap(&wrapped[..wrapped.len() - 9]).expect_err("a cut key");
        assert!(matches!(cut, CKR_WRAPPED_KEY_INVALID | CKR_WRAPPED_KEY_LEN_RANGE), "{kind:#x}: {cut:#x}");
        let sealed =
            module.generate(session, CKM_AES_KEY_GEN, &[number(CKA_VALUE_LEN, 32)]).expect("sealed key");
        assert_eq!(wrap(pair.public, sealed, null_mut(), &mut 0), Err(CKR_KEY_UNEXTRACTABLE), "{kind:#x}");
    }
}

impl Bench {
    /// What is not advertised is not done.
    fn refuses_the_rest(&self, kind: CK_MECHANISM_TYPE, flags: CK_FLAGS) {
        let (module, session, key) = (&self.at.module, self.session, self.aes);
        let with = || {
            let given = CKF_SIGN | CKF_ENCRYPT | CKF_DIGEST | CKF_WRAP;
            let known = flags & given != 0 || kind == CKM_PKCS5_PBKD2;
            let bare = CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 };
            if known { mechanism(kind) } else { bare }
        };
        // A parameter that is missing may be found before.
        let refused = |code| {
            code == CKR_MECHANISM_INVALID || (flags & CKF_DERIVE != 0 && code == CKR_MECHANISM_PARAM_INVALID)
        };
        for (flag, what) in [
            (CKF_SIGN, "sign"),
            (CKF_VERIFY, "verify"),
            (CKF_ENCRYPT, "encrypt"),
            (CKF_DECRYPT, "decrypt"),
            (CKF_DIGEST, "digest"),
        ] {
            if flags & flag == 0 {
                let code = self.start(what, with(), key).expect_err("not advertised");
                assert!(refused(code), "{what} {kind:#x}: {code:#x}");
            }
        }
        let length = [number(CKA_VALUE_LEN, 32)];
        if flags & CKF_GENERATE == 0 {
            let code = module.generate(session, kind, &length).expect_err("not advertised");
            assert!(
                code == CKR_MECHANISM_INVALID || code == CKR_MECHANISM_PARAM_INVALID,
                "{kind:#x}: {code:#x}"
            );
        }
        if flags & CKF_GENERATE_KEY_PAIR == 0 {
            let made = module.generate_pair(session, kind, &[bytes(CKA_EC_PARAMS, P256)], &[]);
            let code = made.expect_err("not advertised");
            assert!(
                code == CKR_MECHANISM_INVALID || code == CKR_MECHANISM_PARAM_INVALID,
                "{kind:#x}: {code:#x}"
            );
        }
        if flags & CKF_WRAP == 0 {
            let code = call!(module, C_WrapKey, session, &mut with(), key, key, null_mut(), &mut 0);
            assert!(refused(code), "wrap {kind:#x}: {code:#x}");
        }
        if flags & CKF_ENCAPSULATE == 0 {
            let (mechanism, none) = (&mut with(), null_mut());
            let code =
                call!(module, C_EncapsulateKey, session, mechanism, key, none, 0, null_mut(), &mut 0, &mut 0);
            assert!(refused(code), "encapsulate {kind:#x}: {code:#x}");
            let mechanism = &mut with();
            let code =
                call!(module, C_DecapsulateKey, session, mechanism, key, none, 0, null_mut(), 0, &mut 0);
            assert!(refused(code), "decapsulate {kind:#x}: {code:#x}");
        }
        if flags & CKF_DERIVE == 0 {
            let code = call!(module, C_DeriveKey, session, &mut with(), key, null_mut(), 0, &mut 0);
            assert!(refused(code), "derive {kind:#x}: {code:#x}");
        }
    }
}

/// What a mechanism signs: a digest for those that want one, else a text.
fn signable(kind: CK_MECHANISM_TYPE) -> Vec<u8> {
    match kind {
        CKM_RSA_PKCS_PSS | CKM_ECDSA | CKM_HASH_ML_DSA | CKM_HASH_SLH_DSA => vec![3; 32],
        CKM_RSA_X_509 => [vec![0], vec![7; 255]].concat(),
        CKM_RSA_PKCS => vec![5; 51],
        _ => (0..777u32).map(|n| n as u8).collect(),
    }
}

/// What a mechanism encrypts.
fn encryptable(kind: CK_MECHANISM_TYPE) -> Vec<u8> {
    match kind {
        CKM_RSA_PKCS | CKM_RSA_PKCS_OAEP => vec![6; 60],
        CKM_RSA_X_509 => [vec![0], vec![6; 255]].concat(),
        CKM_AES_CFB128 | CKM_AES_CFB8 | CKM_AES_OFB | CKM_AES_CCM | CKM_CHACHA20_POLY1305 => vec![6; 1003],
        CKM_AES_CTR | CKM_AES_GCM | CKM_AES_CBC_PAD | CKM_AES_KEY_WRAP_KWP | CKM_AES_KEY_WRAP_PAD => {
            vec![6; 1003]
        }
        _ => vec![6; 1024],
    }
}

#[test]
fn every_advertised_mechanism() {
    let bench = Bench::new();
    let module = &bench.at.module;
    let mut count = 0;
    assert_eq!(call!(module, C_GetMechanismList, 0, null_mut(), &mut count), CKR_OK);
    let mut kinds = vec![0; count as usize];
    assert_eq!(call!(module, C_GetMechanismList, 0, kinds.as_mut_ptr(), &mut count), CKR_OK);
    let mut walked = 0;
    for kind in kinds {
        let mut info = CK_MECHANISM_INFO::default();
        assert_eq!(call!(module, C_GetMechanismInfo, 0, kind, &mut info), CKR_OK);
        let work: [(CK_FLAGS, Test); 8] = [
            (CKF_SIGN, Bench::signs),
            (CKF_ENCRYPT, Bench::encrypts),
            (CKF_DIGEST, Bench::digests),
            (CKF_WRAP, Bench::wraps),
            (CKF_DERIVE, Bench::derives),
            (CKF_ENCAPSULATE, Bench::encapsulates),
            (CKF_GENERATE, Bench::generates),
            (CKF_GENERATE_KEY_PAIR, Bench::generates_pairs),
        ];
        let before = walked;
        for (flag, test) in work {
            if info.flags & flag != 0 {
                test(&bench, kind);
                walked += 1;
            }
        }
        assert!(walked > before, "{kind:#x} is advertised and can do nothing");
        bench.refuses_the_rest(kind, info.flags);
        for (one, other) in [
            (CKF_SIGN, CKF_VERIFY),
            (CKF_ENCRYPT, CKF_DECRYPT),
            (CKF_WRAP, CKF_UNWRAP),
            (CKF_ENCAPSULATE, CKF_DECAPSULATE),
        ] {
            assert_eq!(info.flags & one != 0, info.flags & other != 0, "{kind:#x}");
        }
    }
    assert!(walked > 80, "only {walked} cells of the matrix");
    let unknown = call!(module, C_GetMechanismInfo, 0, 0xdead, &mut CK_MECHANISM_INFO::default());
    assert_eq!(unknown, CKR_MECHANISM_INVALID);
}
