//! The caller's memory: results that overlap their input, buffers too small in the middle of an
//! operation, lengths that hold rubbish, nested templates, parameters in all their forms.

use cryptoki_sys::*;
use pkcs11_tests::keys::{Attribute, P256, bytes, number, template, yes};
use pkcs11_tests::params::{CLOUDHSM_AES_GCM, ccm, mechanism};
use pkcs11_tests::{Fixture, Result, call, check, loosened as fixture};
use std::os::raw::c_void;
use std::ptr::{from_mut, null_mut};

/// What an uninitialised length may hold.
const RUBBISH: CK_ULONG = CK_ULONG::MAX - 5;

struct Run {
    at: &'static Fixture,
    session: CK_SESSION_HANDLE,
    key: CK_OBJECT_HANDLE,
}

/// Bytes of data that are encrypted here.
const LENGTH: usize = 160;

type Step =
    unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG) -> CK_RV;

impl Run {
    fn new() -> Run {
        let at = fixture();
        let session = at.open();
        Run { at, session, key: at.module.aes(session) }
    }

    fn start(&self, encrypt: bool, kind: CK_MECHANISM_TYPE) -> Result<()> {
        let module = &self.at.module;
        let mut mechanism = if kind == CKM_AES_CCM { ccm(LENGTH) } else { mechanism(kind) };
        check(if encrypt {
            call!(module, C_EncryptInit, self.session, &mut mechanism, self.key)
        } else {
            call!(module, C_DecryptInit, self.session, &mut mechanism, self.key)
        })
    }

    /// (one-shot, update) of a direction.
    fn steps(&self, encrypt: bool) -> (Step, Step) {
        // SAFETY: the module's table, which is full.
        unsafe {
            let list = &*self.at.module.list;
            let pair = if encrypt {
                (list.C_Encrypt, list.C_EncryptUpdate)
            } else {
                (list.C_Decrypt, list.C_DecryptUpdate)
            };
            (pair.0.expect("entry"), pair.1.expect("entry"))
        }
    }

    fn finish(&self, encrypt: bool, out: *mut CK_BYTE, length: &mut CK_ULONG) -> Result<()> {
        let module = &self.at.module;
        check(if encrypt {
            call!(module, C_EncryptFinal, self.session, out, length)
        } else {
            call!(module, C_DecryptFinal, self.session, out, length)
        })
    }

    /// The result in a buffer of its own.
    fn apart(&self, encrypt: bool, kind: CK_MECHANISM_TYPE, input: &[u8]) -> Vec<u8> {
        self.start(encrypt, kind).expect("init");
        let (mut out, mut length) = (vec![0; input.len() + 64], input.len() as CK_ULONG + 64);
        let (data, size) = (input.as_ptr().cast_mut(), input.len() as CK_ULONG);
        // SAFETY: the lengths are true.
        check(unsafe { self.steps(encrypt).0(self.session, data, size, out.as_mut_ptr(), &mut length) })
            .unwrap_or_else(|e| panic!("{kind:#x}: {e:#x}"));
        out.truncate(length as usize);
        out
    }

    /// The result over its own input: the input begins at `from`, the result at `to`.
    fn over(&self, encrypt: bool, kind: CK_MECHANISM_TYPE, input: &[u8], from: usize, to: usize) -> Vec<u8> {
        self.start(encrypt, kind).expect("init");
        let mut memory = vec![0; input.len() + 128];
        memory[from..from + input.len()].copy_from_slice(input);
        let (base, mut length) = (memory.as_mut_ptr(), input.len() as CK_ULONG + 64);
        let (data, out) = (base.wrapping_add(from), base.wrapping_add(to));
        let size = input.len() as CK_ULONG;
        // SAFETY: both lie in `memory`.
        check(unsafe { self.steps(encrypt).0(self.session, data, size, out, &mut length) })
            .unwrap_or_else(|e| panic!("{kind:#x} {from} {to}: {e:#x}"));
        memory[to..to + length as usize].to_vec()
    }

    /// The result in parts, each written over the part that it comes from, each asked for first with
    /// rubbish as length, then with too small a buffer.
    fn parts_over(&self, encrypt: bool, kind: CK_MECHANISM_TYPE, input: &[u8]) -> Vec<u8> {
        self.start(encrypt, kind).expect("init");
        let (update, mut all) = (self.steps(encrypt).1, Vec::new());
        for part in input.chunks(37) {
            let mut memory = part.to_vec();
            memory.resize(part.len() + 64, 0);
            let (base, size) = (memory.as_mut_ptr(), part.len() as CK_ULONG);
            let mut needed = RUBBISH;
            // SAFETY: the lengths are true, and a NULL buffer has none.
            let step =
                |out, length: &mut CK_ULONG| check(unsafe { update(self.session, base, size, out, length) });
            step(null_mut(), &mut needed).expect("length query");
            if needed > 0 {
                let mut short = needed - 1;
                assert_eq!(step(base, &mut short), Err(CKR_BUFFER_TOO_SMALL), "{kind:#x}");
                assert_eq!(short, needed, "{kind:#x}");
            }
            let mut length = size + 64;
            step(base, &mut length).expect("update");
            assert!(length <= needed, "{kind:#x}: the query promised enough");
            all.extend_from_slice(&memory[..length as usize]);
        }
        let mut needed = RUBBISH;
        self.finish(encrypt, null_mut(), &mut needed).expect("length query of final");
        let mut out = vec![0; needed as usize + 1];
        if needed > 0 {
            let mut short = needed - 1;
            assert_eq!(self.finish(encrypt, out.as_mut_ptr(), &mut short), Err(CKR_BUFFER_TOO_SMALL));
            assert_eq!(short, needed, "{kind:#x}");
        }
        let mut length = needed + 1;
        self.finish(encrypt, out.as_mut_ptr(), &mut length).expect("final");
        all.extend_from_slice(&out[..length as usize]);
        all
    }
}

fn advertised(at: &Fixture, flag: CK_FLAGS) -> Vec<CK_MECHANISM_TYPE> {
    let (mut count, mut info) = (RUBBISH, CK_MECHANISM_INFO::default());
    assert_eq!(call!(at.module, C_GetMechanismList, 0, null_mut(), &mut count), CKR_OK);
    let mut kinds = vec![0; count as usize];
    assert_eq!(call!(at.module, C_GetMechanismList, 0, kinds.as_mut_ptr(), &mut count), CKR_OK);
    kinds.retain(|kind| {
        call!(at.module, C_GetMechanismInfo, 0, *kind, &mut info) == CKR_OK && info.flags & flag != 0
    });
    kinds
}

#[test]
fn results_may_overlap_their_input() {
    let run = Run::new();
    let plain: Vec<u8> = (0..LENGTH as u8).collect();
    let mut walked = 0;
    for kind in advertised(run.at, CKF_ENCRYPT) {
        match run.start(true, kind) {
            Err(code) => {
                assert_eq!(code, CKR_KEY_TYPE_INCONSISTENT, "{kind:#x}");
                continue;
            }
            Ok(()) => check(call!(run.at.module, C_SessionCancel, run.session, CKF_ENCRYPT)).expect("cancel"),
        }
        let sealed = run.apart(true, kind, &plain);
        for (encrypt, input, output) in [(true, &plain, &sealed), (false, &sealed, &plain)] {
            // Each of its encryptions has an IV of its own.
            if encrypt && kind == CLOUDHSM_AES_GCM {
                continue;
            }
            for (from, to) in [(0, 0), (0, 1), (1, 0), (0, 16), (16, 0), (7, 3), (50, 49)] {
                assert_eq!(&run.over(encrypt, kind, input, from, to), output, "{kind:#x} {from} {to}");
            }
            assert_eq!(&run.parts_over(encrypt, kind, input), output, "{kind:#x} in parts");
        }
        walked += 1;
    }
    assert!(walked >= 5, "only {walked} ciphers");
}

#[test]
fn digests_and_signatures_may_lie_over_the_data() {
    let run = Run::new();
    let (module, session) = (&run.at.module, run.session);
    let secret = module.secret(session);
    for kind in [CKM_SHA256, CKM_SHA3_512, CKM_SHA256_HMAC, CKM_SHA512_HMAC] {
        let signs = matches!(kind, CKM_SHA256_HMAC | CKM_SHA512_HMAC);
        let mut results = Vec::new();
        for (from, to) in [(0, 200), (0, 0), (3, 1), (1, 3)] {
            let mut memory = vec![0u8; 300];
            memory[from..from + 100].fill(7);
            let (data, out) = (memory.as_mut_ptr().wrapping_add(from), memory.as_mut_ptr().wrapping_add(to));
            let (mut length, mut asked) = (64, RUBBISH);
            let codes = if signs {
                [
                    call!(module, C_SignInit, session, &mut mechanism(kind), secret),
                    call!(module, C_Sign, session, data, 100, null_mut(), &mut asked),
                    call!(module, C_Sign, session, data, 100, out, &mut length),
                ]
            } else {
                [
                    call!(module, C_DigestInit, session, &mut mechanism(kind)),
                    call!(module, C_Digest, session, data, 100, null_mut(), &mut asked),
                    call!(module, C_Digest, session, data, 100, out, &mut length),
                ]
            };
            assert_eq!((codes, asked), ([CKR_OK; 3], length), "{kind:#x}");
            results.push(memory[to..to + length as usize].to_vec());
        }
        assert!(results.iter().all(|result| *result == results[0]), "{kind:#x}");
    }
}

fn nest(inner: &mut [CK_ATTRIBUTE], kind: CK_ATTRIBUTE_TYPE) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_: kind,
        pValue: inner.as_mut_ptr().cast(),
        ulValueLen: size_of_val(inner) as CK_ULONG,
    }
}

#[test]
fn nested_templates_go_in_and_come_out() {
    let (at, session) = (fixture(), fixture().open());
    let module = &at.module;
    let outer = [
        number(CKA_CLASS, CKO_SECRET_KEY),
        number(CKA_KEY_TYPE, CKK_AES),
        bytes(CKA_VALUE, &[1; 16]),
        yes(CKA_WRAP),
    ];
    let create = |inner: &[Attribute], cut: CK_ULONG| {
        let mut inner = template(inner);
        let mut all = template(&outer);
        all.push(nest(&mut inner, CKA_WRAP_TEMPLATE));
        all[4].ulValueLen -= cut;
        let mut key = 0;
        check(call!(module, C_CreateObject, session, all.as_mut_ptr(), 5, &mut key)).map(|()| key)
    };
    let key = create(&[yes(CKA_EXTRACTABLE), bytes(CKA_LABEL, b"wrap me")], 0).expect("a wrapping key");
    assert_eq!(create(&[yes(CKA_EXTRACTABLE)], 1), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    assert_eq!(create(&[bytes(CKA_SIGN, b"xx")], 0), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    assert_eq!(create(&[yes(CKA_SIGN), yes(CKA_SIGN)], 0), Err(CKR_TEMPLATE_INCONSISTENT));

    let read =
        |entry: &mut CK_ATTRIBUTE| call!(module, C_GetAttributeValue, session, key, from_mut(entry), 1);
    let mut asked = CK_ATTRIBUTE { type_: CKA_WRAP_TEMPLATE, pValue: null_mut(), ulValueLen: RUBBISH };
    assert_eq!((read(&mut asked), asked.ulValueLen as usize), (CKR_OK, 2 * size_of::<CK_ATTRIBUTE>()));
    let mut inner = [CK_ATTRIBUTE { type_: 0x99, pValue: null_mut(), ulValueLen: RUBBISH }; 2];
    assert_eq!(read(&mut nest(&mut inner, CKA_WRAP_TEMPLATE)), CKR_OK, "lengths of the inner ones");
    let mut lengths: Vec<_> = inner.iter().map(|a| (a.type_, a.ulValueLen)).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [(CKA_LABEL, 7), (CKA_EXTRACTABLE, 1)]);
    let (mut first, mut second) = ([0u8; 7], [0u8; 7]);
    for (entry, room) in inner.iter_mut().zip([&mut first, &mut second]) {
        (entry.pValue, entry.ulValueLen) = (room.as_mut_ptr().cast(), 7);
    }
    assert_eq!(read(&mut nest(&mut inner, CKA_WRAP_TEMPLATE)), CKR_OK);
    assert!([first, second].contains(b"wrap me"));
    inner.iter_mut().for_each(|entry| entry.ulValueLen = 3);
    assert_eq!(read(&mut nest(&mut inner, CKA_WRAP_TEMPLATE)), CKR_BUFFER_TOO_SMALL);
    assert!(
        inner.iter().any(|entry| (entry.type_, entry.ulValueLen) == (CKA_LABEL, CK_UNAVAILABLE_INFORMATION))
    );
    let mut one = nest(&mut inner[..1], CKA_WRAP_TEMPLATE);
    assert_eq!((read(&mut one), one.ulValueLen), (CKR_BUFFER_TOO_SMALL, CK_UNAVAILABLE_INFORMATION));

    // A template inside itself, without end.
    let mut endless = [CK_ATTRIBUTE { type_: CKA_WRAP_TEMPLATE, pValue: null_mut(), ulValueLen: 24 }];
    endless[0].pValue = endless.as_mut_ptr().cast();
    let code = call!(module, C_CreateObject, session, endless.as_mut_ptr(), 1, &mut 0);
    assert!(
        matches!(code, CKR_ARGUMENTS_BAD | CKR_ATTRIBUTE_VALUE_INVALID | CKR_TEMPLATE_INCONSISTENT),
        "{code:#x}"
    );
}

/// A mechanism with a parameter of any type.
fn with<T>(kind: CK_MECHANISM_TYPE, parameter: &mut T) -> CK_MECHANISM {
    let pointer: *mut c_void = from_mut(parameter).cast();
    CK_MECHANISM { mechanism: kind, pParameter: pointer, ulParameterLen: size_of::<T>() as CK_ULONG }
}

#[test]
fn jdk_gcm_40_byte_params() {
    let run = Run::new();
    let (module, session) = (&run.at.module, run.session);
    let (mut iv, mut aad) = ([5u8; 12], *b"header");
    let long = CK_GCM_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: 12,
        ulIvBits: 96,
        pAAD: aad.as_mut_ptr(),
        ulAADLen: 6,
        ulTagBits: 128,
    };
    let short = (long.pIv, 12 as CK_ULONG, long.pAAD, 6 as CK_ULONG, 128 as CK_ULONG);
    #[repr(C)]
    struct Short(*mut CK_BYTE, CK_ULONG, *mut CK_BYTE, CK_ULONG, CK_ULONG);
    let seal = |mut mechanism: CK_MECHANISM| {
        check(call!(module, C_EncryptInit, session, &mut mechanism, run.key))?;
        let (mut text, mut out, mut length) = (*b"text", [0u8; 32], 32);
        check(call!(module, C_Encrypt, session, text.as_mut_ptr(), 4, out.as_mut_ptr(), &mut length))?;
        Ok(out[..length as usize].to_vec())
    };
    let sealed = seal(with(CKM_AES_GCM, &mut long.clone())).expect("48 bytes");
    assert_eq!(sealed.len(), 20);
    let mut old = Short(short.0, short.1, short.2, short.3, short.4);
    assert_eq!(seal(with(CKM_AES_GCM, &mut old)), Ok(sealed.clone()), "40 bytes");
    // ulIvBits is often left as it was.
    assert_eq!(seal(with(CKM_AES_GCM, &mut CK_GCM_PARAMS { ulIvBits: RUBBISH, ..long })), Ok(sealed));
    let bad: [CK_GCM_PARAMS; 6] = [
        CK_GCM_PARAMS { ulTagBits: 136, ..long },
        CK_GCM_PARAMS { ulTagBits: 33, ..long },
        CK_GCM_PARAMS { ulTagBits: CK_ULONG::MAX, ..long },
        CK_GCM_PARAMS { ulIvLen: 0, ..long },
        CK_GCM_PARAMS { pIv: null_mut(), ..long },
        CK_GCM_PARAMS { pAAD: null_mut(), ..long },
    ];
    for mut parameter in bad {
        let code = seal(with(CKM_AES_GCM, &mut parameter));
        assert_eq!(code, Err(CKR_MECHANISM_PARAM_INVALID), "{parameter:?}");
    }
    let mut cut = with(CKM_AES_GCM, &mut long.clone());
    cut.ulParameterLen = 41;
    assert_eq!(seal(cut), Err(CKR_MECHANISM_PARAM_INVALID));
}

#[test]
fn parameters_are_read_and_checked() {
    let run = Run::new();
    let (module, session) = (&run.at.module, run.session);
    let encrypt = |mut mechanism: CK_MECHANISM, key| {
        let code = call!(module, C_EncryptInit, session, &mut mechanism, key);
        call!(module, C_SessionCancel, session, CKF_ENCRYPT | CKF_SIGN);
        code
    };
    let ctr = |bits| CK_AES_CTR_PARAMS { ulCounterBits: bits, cb: [0; 16] };
    for (bits, code) in
        [(1, CKR_OK), (128, CKR_OK), (0, CKR_MECHANISM_PARAM_INVALID), (129, CKR_MECHANISM_PARAM_INVALID)]
    {
        assert_eq!(encrypt(with(CKM_AES_CTR, &mut ctr(bits)), run.key), code, "{bits} counter bits");
    }
    // NULL with a length, and a parameter where none belongs.
    let null = CK_MECHANISM { mechanism: CKM_AES_CBC, pParameter: null_mut(), ulParameterLen: 16 };
    assert!(matches!(encrypt(null, run.key), CKR_MECHANISM_PARAM_INVALID | CKR_ARGUMENTS_BAD));
    assert_eq!(encrypt(with(CKM_AES_ECB, &mut [0u8; 16]), run.key), CKR_MECHANISM_PARAM_INVALID);
    let mut nothing = with(CKM_AES_ECB, &mut [0u8; 16]);
    nothing.ulParameterLen = 0;
    assert_eq!(encrypt(nothing, run.key), CKR_OK, "a pointer to nothing is nothing");

    let rsa = module.rsa(session);
    let oaep = |hash, mgf, source, label: &'static [u8]| CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: hash,
        mgf,
        source,
        pSourceData: if label.is_empty() { null_mut() } else { label.as_ptr().cast_mut().cast() },
        ulSourceDataLen: label.len() as CK_ULONG,
    };
    for (mut params, code) in [
        (oaep(CKM_SHA512_256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, b""), CKR_OK),
        (oaep(CKM_SHA3_256, CKG_MGF1_SHA3_512, CKZ_DATA_SPECIFIED, b"label"), CKR_OK),
        (oaep(CKM_SHA_1, CKG_MGF1_SHA1, 0, b""), CKR_OK),
        (oaep(CKM_SHA_1, CKG_MGF1_SHA1, 0, b"label"), CKR_MECHANISM_PARAM_INVALID),
        (oaep(CKM_SHA_1, CKG_MGF1_SHA1, 9, b""), CKR_MECHANISM_PARAM_INVALID),
        (oaep(CKM_SHA_1, 99, CKZ_DATA_SPECIFIED, b""), CKR_MECHANISM_PARAM_INVALID),
        (oaep(CKM_AES_CBC, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, b""), CKR_MECHANISM_PARAM_INVALID),
    ] {
        assert_eq!(encrypt(with(CKM_RSA_PKCS_OAEP, &mut params), rsa.public), code, "{params:?}");
    }
    let sign = |mut mechanism: CK_MECHANISM| {
        let code = call!(module, C_SignInit, session, &mut mechanism, rsa.private);
        call!(module, C_SessionCancel, session, CKF_SIGN);
        code
    };
    let pss = |hash, mgf, length| CK_RSA_PKCS_PSS_PARAMS { hashAlg: hash, mgf, sLen: length };
    for (mut params, code) in [
        (pss(CKM_SHA256, CKG_MGF1_SHA1, 0), CKR_OK),
        (pss(CKM_SHA256, CKG_MGF1_SHA256, 222), CKR_OK),
        (pss(CKM_SHA256, CKG_MGF1_SHA256, CK_ULONG::MAX), CKR_MECHANISM_PARAM_INVALID),
        (pss(CKM_SHA384, CKG_MGF1_SHA384, 48), CKR_MECHANISM_PARAM_INVALID),
    ] {
        assert_eq!(sign(with(CKM_SHA256_RSA_PKCS_PSS, &mut params)), code, "{params:?}");
    }

    let ec = module.ec(session, P256);
    let mut point = module.attribute(session, ec.public, CKA_EC_POINT).expect("point");
    let raw = point[2..].to_vec();
    let derive = |kdf, shared: &mut [u8], public: &mut [u8]| {
        let mut params = CK_ECDH1_DERIVE_PARAMS {
            kdf,
            ulSharedDataLen: shared.len() as CK_ULONG,
            pSharedData: if shared.is_empty() { null_mut() } else { shared.as_mut_ptr() },
            ulPublicDataLen: public.len() as CK_ULONG,
            pPublicData: public.as_mut_ptr(),
        };
        let length = [number(CKA_VALUE_LEN, 32)];
        let (mut list, mut key) = (template(&length), 0);
        let mut mechanism = with(CKM_ECDH1_DERIVE, &mut params);
        call!(module, C_DeriveKey, session, &mut mechanism, ec.private, list.as_mut_ptr(), 1, &mut key)
    };
    assert_eq!(derive(CKD_NULL, &mut [], &mut point.clone()), CKR_OK, "in an OCTET STRING");
    assert_eq!(derive(CKD_NULL, &mut [], &mut raw.clone()), CKR_OK, "raw");
    assert_eq!(derive(CKD_NULL, &mut [1], &mut raw.clone()), CKR_MECHANISM_PARAM_INVALID);
    assert_eq!(derive(CKD_SHA256_KDF, &mut [1], &mut raw.clone()), CKR_OK);
    assert_eq!(derive(CKD_CPDIVERSIFY_KDF, &mut [], &mut raw.clone()), CKR_MECHANISM_PARAM_INVALID);
    point[10] ^= 1;
    for mut bad in [point, raw[..30].to_vec(), vec![0], vec![]] {
        let code = derive(CKD_NULL, &mut [], &mut bad);
        assert!(matches!(code, CKR_MECHANISM_PARAM_INVALID | CKR_PUBLIC_KEY_INVALID), "{code:#x}");
    }
}

#[test]
fn unaligned_result_pointers() {
    let (at, session) = (fixture(), fixture().open());
    let module = &at.module;
    let mut memory = vec![0u8; 1024];
    let base = memory.as_mut_ptr().wrapping_add(1);
    let put = |place: usize, attribute: CK_ATTRIBUTE| {
        // SAFETY: inside the vector.
        unsafe { base.wrapping_add(place).cast::<CK_ATTRIBUTE>().write_unaligned(attribute) };
    };
    let value = |place: usize, attribute: &Attribute| {
        let at = base.wrapping_add(place);
        // SAFETY: inside the vector.
        unsafe { at.copy_from_nonoverlapping(attribute.bytes.as_ptr(), attribute.bytes.len()) };
        CK_ATTRIBUTE {
            type_: attribute.kind,
            pValue: at.cast(),
            ulValueLen: attribute.bytes.len() as CK_ULONG,
        }
    };
    let attributes = [number(CKA_CLASS, CKO_DATA), bytes(CKA_LABEL, b"crooked"), bytes(CKA_VALUE, b"12345")];
    for (place, attribute) in attributes.iter().enumerate() {
        put(place * 24, value(200 + place * 20, attribute));
    }
    let (list, handle) = (base.cast::<CK_ATTRIBUTE>(), base.wrapping_add(300).cast::<CK_OBJECT_HANDLE>());
    assert_eq!(call!(module, C_CreateObject, session, list, 3, handle), CKR_OK);
    // SAFETY: inside the vector.
    let object = unsafe { handle.read_unaligned() };
    assert_eq!(module.attribute(session, object, CKA_VALUE), Ok(b"12345".to_vec()));
    for place in [400, 500, 600] {
        let kind = [CKA_CLASS, CKA_LABEL, CKA_VALUE][place / 100 - 4];
        put(
            (place / 100 - 4) * 24,
            CK_ATTRIBUTE { type_: kind, pValue: base.wrapping_add(place).cast(), ulValueLen: 50 },
        );
    }
    assert_eq!(call!(module, C_GetAttributeValue, session, object, list, 3), CKR_OK);
    assert_eq!((&memory[501..508], &memory[601..606]), (&b"crooked"[..], &b"12345"[..]));
    assert_eq!(call!(module, C_FindObjectsInit, session, null_mut(), 0), CKR_OK);
    let base = memory.as_mut_ptr().wrapping_add(3);
    let (found, count) = (base.cast::<CK_OBJECT_HANDLE>(), base.wrapping_add(800).cast::<CK_ULONG>());
    assert_eq!(call!(module, C_FindObjects, session, found, 50, count), CKR_OK);
    assert_eq!(call!(module, C_FindObjectsFinal, session), CKR_OK);
    // SAFETY: inside the vector.
    assert!(unsafe { count.read_unaligned() } > 0);
}
