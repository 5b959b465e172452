//! C_SignRecover and C_VerifyRecover: the data come back out of the signature, and out of nothing else.

use cryptoki_sys::*;
use pkcs11_tests::keys::{Attribute, P256, Pair, bytes, no, number, template, yes};
use pkcs11_tests::params::{mechanism, wrong};
use pkcs11_tests::{Fixture, PIN, Result, call, check, fixture};
use std::process::Command;
use std::ptr::null_mut;

/// A function that takes bytes in and gives bytes out.
type Transform =
    unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG) -> CK_RV;

/// A session of its own for each test, and a pair that may do everything.
struct Run {
    at: &'static Fixture,
    session: CK_SESSION_HANDLE,
    pair: Pair,
}

impl Run {
    fn new() -> Run {
        let at = fixture();
        let session = at.open();
        Run { at, session, pair: at.module.rsa(session) }
    }

    fn sign_init(&self, mut mechanism: CK_MECHANISM, key: CK_OBJECT_HANDLE) -> Result<()> {
        check(call!(self.at.module, C_SignRecoverInit, self.session, &mut mechanism, key))
    }

    fn verify_init(&self, mut mechanism: CK_MECHANISM, key: CK_OBJECT_HANDLE) -> Result<()> {
        check(call!(self.at.module, C_VerifyRecoverInit, self.session, &mut mechanism, key))
    }

    fn sign_function(&self) -> Transform {
        // SAFETY: the table is the module's.
        unsafe { (*self.at.module.list).C_SignRecover }.expect("C_SignRecover")
    }

    fn verify_function(&self) -> Transform {
        // SAFETY: as above.
        unsafe { (*self.at.module.list).C_VerifyRecover }.expect("C_VerifyRecover")
    }

    /// The result in `room` bytes, or the error and the length that was asked for.
    fn give(
        &self,
        function: Transform,
        input: &[u8],
        room: usize,
    ) -> std::result::Result<Vec<u8>, (CK_RV, usize)> {
        let (mut out, mut length) = (vec![0; room + 1], room as CK_ULONG);
        let (data, size) = (input.as_ptr().cast_mut(), input.len() as CK_ULONG);
        // SAFETY: lengths are the vectors' own, but for the byte that must stay as it is.
        let code = unsafe { function(self.session, data, size, out.as_mut_ptr(), &mut length) };
        assert_eq!(out[room], 0, "nothing is written beyond the buffer");
        if code != CKR_OK {
            return Err((code, length as usize));
        }
        out.truncate(length as usize);
        Ok(out)
    }

    fn query(&self, function: Transform, input: &[u8]) -> Result<usize> {
        let (data, size) = (input.as_ptr().cast_mut(), input.len() as CK_ULONG);
        let mut length = 0xdead_beef;
        // SAFETY: NULL asks for the length.
        check(unsafe { function(self.session, data, size, null_mut(), &mut length) })?;
        Ok(length as usize)
    }

    fn sign(&self, kind: CK_MECHANISM_TYPE, key: CK_OBJECT_HANDLE, data: &[u8]) -> Result<Vec<u8>> {
        self.sign_init(mechanism(kind), key)?;
        self.give(self.sign_function(), data, 256).map_err(|(code, _)| code)
    }

    fn recover(&self, kind: CK_MECHANISM_TYPE, key: CK_OBJECT_HANDLE, signature: &[u8]) -> Result<Vec<u8>> {
        self.verify_init(mechanism(kind), key)?;
        self.give(self.verify_function(), signature, 256).map_err(|(code, _)| code)
    }

    /// C_Sign, in one piece.
    fn plain_sign(&self, kind: CK_MECHANISM_TYPE, data: &[u8]) -> Vec<u8> {
        let code = call!(self.at.module, C_SignInit, self.session, &mut mechanism(kind), self.pair.private);
        assert_eq!(code, CKR_OK);
        // SAFETY: the table is the module's.
        let function = unsafe { (*self.at.module.list).C_Sign }.expect("C_Sign");
        self.give(function, data, 256).expect("C_Sign")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        call!(self.at.module, C_CloseSession, self.session);
    }
}

/// Every mechanism, with whether it says that it recovers.
fn mechanisms() -> Vec<(CK_MECHANISM_TYPE, bool)> {
    let module = &fixture().module;
    let mut count = 0;
    check(call!(module, C_GetMechanismList, 0, null_mut(), &mut count)).expect("count");
    let mut list = vec![0; count as usize];
    check(call!(module, C_GetMechanismList, 0, list.as_mut_ptr(), &mut count)).expect("list");
    let flags = |kind| {
        let mut info = CK_MECHANISM_INFO::default();
        check(call!(module, C_GetMechanismInfo, 0, kind, &mut info)).expect("info");
        let [sign, verify] = [CKF_SIGN_RECOVER, CKF_VERIFY_RECOVER].map(|flag| info.flags & flag != 0);
        assert_eq!(sign, verify, "{kind:#x}: what is signed so is read back");
        sign
    };
    list.into_iter().map(|kind| (kind, flags(kind))).collect()
}

/// What a mechanism signs here: all that comes back.
fn data(kind: CK_MECHANISM_TYPE) -> Vec<u8> {
    match kind {
        CKM_RSA_PKCS => vec![5; 51],
        CKM_RSA_X_509 => [vec![0], vec![7; 255]].concat(),
        other => panic!("no data for {other:#x}"),
    }
}

#[test]
fn data_come_back_out_of_their_signature() {
    let run = Run::new();
    let mut walked = 0;
    for (kind, _) in mechanisms().into_iter().filter(|(_, recovers)| *recovers) {
        let (data, sign, verify) = (data(kind), run.sign_function(), run.verify_function());
        run.sign_init(mechanism(kind), run.pair.private).expect("C_SignRecoverInit");
        assert_eq!(run.query(sign, &data), Ok(256));
        assert_eq!(run.give(sign, &data, 255), Err((CKR_BUFFER_TOO_SMALL, 256)));
        let signature = run.give(sign, &data, 256).expect("C_SignRecover");
        let ended = Err((CKR_OPERATION_NOT_INITIALIZED, 256));
        assert_eq!(run.give(sign, &data, 256), ended);
        assert_eq!(signature, run.plain_sign(kind, &data), "{kind:#x}: the same as C_Sign's");

        run.verify_init(mechanism(kind), run.pair.public).expect("C_VerifyRecoverInit");
        assert!((data.len()..=256).contains(&run.query(verify, &signature).expect("length query")));
        // No more room than the data are long, and one byte less.
        let short = run.give(verify, &signature, data.len() - 1);
        assert_eq!(short, Err((CKR_BUFFER_TOO_SMALL, data.len())), "{kind:#x}");
        assert_eq!(run.give(verify, &signature, data.len()).as_ref(), Ok(&data), "{kind:#x}");
        assert_eq!(run.give(verify, &signature, 256), ended);

        // Into the signature's own memory, as Java does it.
        let (mut memory, mut length) = (signature.clone(), 256);
        run.verify_init(mechanism(kind), run.pair.public).expect("C_VerifyRecoverInit");
        let start = memory.as_mut_ptr();
        let code = call!(run.at.module, C_VerifyRecover, run.session, start, 256, start, &mut length);
        assert_eq!((code, &memory[..length as usize]), (CKR_OK, &data[..]), "{kind:#x} in place");
        walked += 1;
    }
    assert!(walked >= 2, "only {walked} mechanisms");
    for length in [0, 1, 245] {
        let data = vec![0xff; length];
        let signature = run.sign(CKM_RSA_PKCS, run.pair.private, &data).expect("sign");
        assert_eq!(run.recover(CKM_RSA_PKCS, run.pair.public, &signature), Ok(data), "{length} bytes");
    }
}

/// A fault ends the operation and nothing else.
#[test]
fn what_is_no_signature_gives_nothing() {
    let run = Run::new();
    for kind in [CKM_RSA_PKCS, CKM_RSA_X_509] {
        let (private, public) = (run.pair.private, run.pair.public);
        let signature = run.sign(kind, private, &data(kind)).expect("sign");
        for cut in [&signature[1..], &[&signature[..], &[0]].concat(), &[]] {
            assert_eq!(run.recover(kind, public, cut), Err(CKR_SIGNATURE_LEN_RANGE), "{kind:#x}");
        }
        let above = [0xff; 256];
        assert_eq!(
            run.recover(kind, public, &above),
            Err(CKR_SIGNATURE_INVALID),
            "{kind:#x}: no number below n"
        );
        let again = run.give(run.verify_function(), &signature, 256);
        assert_eq!(again, Err((CKR_OPERATION_NOT_INITIALIZED, 256)), "a fault ends it");
        let long = vec![1; 257];
        assert_eq!(run.sign(kind, private, &long), Err(CKR_DATA_LEN_RANGE), "{kind:#x}");
        assert_eq!(run.recover(kind, public, &signature), Ok(data(kind)), "the session goes on");
    }
    let signature = run.sign(CKM_RSA_PKCS, run.pair.private, b"data").expect("sign");
    for place in [0, 100, 255] {
        let mut forged = signature.clone();
        forged[place] ^= 1;
        assert_eq!(
            run.recover(CKM_RSA_PKCS, run.pair.public, &forged),
            Err(CKR_SIGNATURE_INVALID),
            "{place}"
        );
    }
    assert_eq!(run.sign(CKM_RSA_PKCS, run.pair.private, &[1; 246]), Err(CKR_DATA_LEN_RANGE));
    // Any block can be signed raw; only one padded as a signature gives data.
    let block =
        |start: &[u8], padding: usize| [start, &vec![0xff; padding], &[0], &vec![9; 253 - padding]].concat();
    for (start, padding, good) in
        [(&[0, 1], 8, true), (&[0, 1], 7, false), (&[0, 2], 8, false), (&[0, 0], 8, false)]
    {
        let signature =
            run.sign(CKM_RSA_X_509, run.pair.private, &block(start, padding)).expect("a raw signature");
        let answer = run.recover(CKM_RSA_PKCS, run.pair.public, &signature);
        let expected = if good { Ok(vec![9; 245]) } else { Err(CKR_SIGNATURE_INVALID) };
        assert_eq!(answer, expected, "{start:?} and {padding} bytes");
    }
}

#[test]
fn wrong_keys_parameters_and_states() {
    let run = Run::new();
    let (module, session, pair) = (&run.at.module, run.session, run.pair);
    let (aes, ec) = (module.aes(session), module.ec(session, P256));
    for kind in [CKM_RSA_PKCS, CKM_RSA_X_509] {
        for (key, code) in [
            (aes, CKR_KEY_TYPE_INCONSISTENT),
            (ec.private, CKR_KEY_TYPE_INCONSISTENT),
            (0xffff_0000, CKR_KEY_HANDLE_INVALID),
            (pair.public, CKR_KEY_FUNCTION_NOT_PERMITTED),
        ] {
            assert_eq!(run.sign_init(mechanism(kind), key), Err(code), "{kind:#x}");
        }
        for (key, code) in [
            (aes, CKR_KEY_TYPE_INCONSISTENT),
            (ec.public, CKR_KEY_TYPE_INCONSISTENT),
            (0xffff_0000, CKR_KEY_HANDLE_INVALID),
            (pair.private, CKR_KEY_FUNCTION_NOT_PERMITTED),
        ] {
            assert_eq!(run.verify_init(mechanism(kind), key), Err(code), "{kind:#x}");
        }
        assert_eq!(run.sign_init(wrong(kind), pair.private), Err(CKR_MECHANISM_PARAM_INVALID));
        assert_eq!(run.verify_init(wrong(kind), pair.public), Err(CKR_MECHANISM_PARAM_INVALID));
        run.sign_init(mechanism(kind), pair.private).expect("C_SignRecoverInit");
        run.verify_init(mechanism(kind), pair.public).expect("one of each kind runs");
        assert_eq!(run.sign_init(mechanism(kind), pair.private), Err(CKR_OPERATION_ACTIVE));
        assert_eq!(run.verify_init(mechanism(kind), pair.public), Err(CKR_OPERATION_ACTIVE));
        // They are no signing and verifying in parts, and nobody can save them.
        let (byte, length) = (&mut [0u8; 256], &mut 256);
        let codes = [
            call!(module, C_SignUpdate, session, byte.as_mut_ptr(), 1),
            call!(module, C_Sign, session, byte.as_mut_ptr(), 1, byte.as_mut_ptr(), length),
            call!(module, C_VerifyUpdate, session, byte.as_mut_ptr(), 1),
            call!(module, C_Verify, session, byte.as_mut_ptr(), 1, byte.as_mut_ptr(), 256),
        ];
        assert_eq!(codes, [CKR_OPERATION_NOT_INITIALIZED; 4]);
        assert_eq!(call!(module, C_GetOperationState, session, null_mut(), length), CKR_STATE_UNSAVEABLE);
        // NULL ends one, C_SessionCancel the other.
        assert_eq!(call!(module, C_SignRecoverInit, session, null_mut(), 0), CKR_OK);
        assert_eq!(call!(module, C_SignRecoverInit, session, null_mut(), 0), CKR_OPERATION_NOT_INITIALIZED);
        assert_eq!(call!(module, C_SessionCancel, session, CKF_SIGN_RECOVER | CKF_VERIFY), CKR_OK);
        assert_eq!(run.verify_init(mechanism(kind), pair.public), Err(CKR_OPERATION_ACTIVE));
        assert_eq!(call!(module, C_SessionCancel, session, CKF_VERIFY_RECOVER), CKR_OK);
        run.verify_init(mechanism(kind), pair.public).expect("it was ended");
        assert_eq!(call!(module, C_VerifyRecoverInit, session, null_mut(), 0), CKR_OK);
        run.sign_init(mechanism(kind), pair.private).expect("C_SignRecoverInit");
        assert_eq!(call!(module, C_SessionCancel, session, CKF_SIGN_RECOVER), CKR_OK);
        let early = Err((CKR_OPERATION_NOT_INITIALIZED, 256));
        assert_eq!(run.give(run.sign_function(), b"data", 256), early);
        assert_eq!(run.give(run.verify_function(), &[1; 256], 256), early);
    }
    for (kind, _) in mechanisms().into_iter().filter(|(_, recovers)| !*recovers) {
        let refusals = [CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID];
        for answer in [
            run.sign_init(mechanism_of(kind), pair.private),
            run.verify_init(mechanism_of(kind), pair.public),
        ] {
            assert!(answer.is_err_and(|code| refusals.contains(&code)), "{kind:#x}: {answer:x?}");
        }
    }
}

/// Without a parameter: for what is refused before one is looked at, or for lack of one.
fn mechanism_of(kind: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 }
}

/// A public key as SunPKCS11 makes one, with what is said about its use.
fn import(run: &Run, modulus: &[u8], exponent: &[u8], usage: &[Attribute]) -> CK_OBJECT_HANDLE {
    let own = [
        number(CKA_CLASS, CKO_PUBLIC_KEY),
        number(CKA_KEY_TYPE, CKK_RSA),
        bytes(CKA_MODULUS, modulus),
        bytes(CKA_PUBLIC_EXPONENT, exponent),
    ];
    run.at.module.create(run.session, &[&own[..], usage].concat()).expect("a public key")
}

#[test]
fn a_key_recovers_what_it_verifies_unless_it_says_otherwise() {
    let run = Run::new();
    let (module, session) = (&run.at.module, run.session);
    let read = |key, kind| module.attribute(session, key, kind).expect("attribute");
    let (modulus, exponent) =
        (read(run.pair.public, CKA_MODULUS), read(run.pair.public, CKA_PUBLIC_EXPONENT));
    let signature = run.sign(CKM_RSA_PKCS, run.pair.private, b"data").expect("sign");
    for (usage, may) in [
        (&[][..], true),
        (&[yes(CKA_VERIFY)], true),
        (&[no(CKA_VERIFY)], false),
        (&[no(CKA_VERIFY), yes(CKA_VERIFY_RECOVER)], true),
        (&[yes(CKA_VERIFY), no(CKA_VERIFY_RECOVER)], false),
    ] {
        let key = import(&run, &modulus, &exponent, usage);
        assert_eq!(read(key, CKA_VERIFY_RECOVER), [u8::from(may)], "{}", usage.len());
        let answer = run.recover(CKM_RSA_PKCS, key, &signature);
        let expected = if may { Ok(b"data".to_vec()) } else { Err(CKR_KEY_FUNCTION_NOT_PERMITTED) };
        assert_eq!(answer, expected, "{} words", usage.len());
    }
    let ec = module.ec(session, P256);
    assert_eq!(read(ec.public, CKA_VERIFY_RECOVER), [0], "no mechanism could");

    // Signing so must be asked for, and can be given later.
    let public = [number(CKA_MODULUS_BITS, 2048)];
    let plain = module.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &[]).expect("pair");
    assert_eq!((read(plain.private, CKA_SIGN), read(plain.private, CKA_SIGN_RECOVER)), (vec![1], vec![0]));
    assert_eq!(run.sign(CKM_RSA_PKCS, plain.private, b"data"), Err(CKR_KEY_FUNCTION_NOT_PERMITTED));
    let change = [yes(CKA_SIGN_RECOVER), no(CKA_SIGN)];
    let mut list = template(&change);
    let list = list.as_mut_ptr();
    assert_eq!(call!(module, C_SetAttributeValue, session, plain.private, list, 2), CKR_OK);
    let signature = run.sign(CKM_RSA_PKCS, plain.private, b"data").expect("now it may");
    assert_eq!(run.recover(CKM_RSA_PKCS, plain.public, &signature), Ok(b"data".to_vec()));
}

#[test]
fn a_pin_for_each_use() {
    let run = Run::new();
    let (module, session) = (&run.at.module, run.session);
    let public = [number(CKA_MODULUS_BITS, 2048)];
    let private = [yes(CKA_ALWAYS_AUTHENTICATE), yes(CKA_SIGN_RECOVER)];
    let pair = module.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private).expect("pair");
    for _ in 0..2 {
        run.sign_init(mechanism(CKM_RSA_PKCS), pair.private).expect("C_SignRecoverInit");
        let early = run.give(run.sign_function(), b"data", 256);
        assert_eq!(early, Err((CKR_USER_NOT_LOGGED_IN, 256)));
        module.login(session, CKU_CONTEXT_SPECIFIC, PIN).expect("a login for this use");
        assert!(run.give(run.sign_function(), b"data", 256).is_ok());
    }
}

/// The command with these words.
fn openssl(run: &Run, words: &str) -> Vec<u8> {
    let ran = Command::new("openssl")
        .args(words.split(' '))
        .current_dir(run.at.folder())
        .env_remove("OPENSSL_CONF")
        .output()
        .expect("openssl");
    assert!(ran.status.success(), "{words}: {}", String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

/// What the token signs OpenSSL reads, and the other way round, with both paddings.
#[test]
fn openssl_verifyrecover() {
    let run = Run::new();
    let write = |name: &str, bytes: &[u8]| std::fs::write(run.at.folder().join(name), bytes).expect(name);
    let ours = run.at.module.attribute(run.session, run.pair.public, CKA_PUBLIC_KEY_INFO);
    write("ours.der", &ours.expect("public key"));
    openssl(&run, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out theirs.pem");
    let modulus = String::from_utf8(openssl(&run, "rsa -in theirs.pem -noout -modulus")).expect("text");
    let digits = modulus.trim().strip_prefix("Modulus=").expect("a modulus");
    let byte = |place: usize| u8::from_str_radix(&digits[place..place + 2], 16).expect("a byte");
    let modulus: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    let theirs = import(&run, &modulus, &[1, 0, 1], &[]);
    // `pkeyutl -sign` takes no more than a hash is long; without padding, decrypting is the same.
    for (kind, padding, sign) in [(CKM_RSA_PKCS, "pkcs1", "-sign"), (CKM_RSA_X_509, "none", "-decrypt")] {
        let (data, padding) = (data(kind), format!("-pkeyopt rsa_padding_mode:{padding}"));
        write("signature", &run.sign(kind, run.pair.private, &data).expect("sign"));
        let words =
            format!("pkeyutl -verifyrecover -pubin -keyform DER -inkey ours.der {padding} -in signature");
        assert_eq!(openssl(&run, &words), data, "{padding}: OpenSSL reads it");
        write("data", &data);
        let signature = openssl(&run, &format!("pkeyutl {sign} -inkey theirs.pem {padding} -in data"));
        assert_eq!(run.recover(kind, theirs, &signature), Ok(data), "{padding}: OpenSSL signed it");
        let other = run.recover(CKM_RSA_PKCS, run.pair.public, &signature);
        assert_eq!(other, Err(CKR_SIGNATURE_INVALID), "{padding}: not by this key");
    }
}
