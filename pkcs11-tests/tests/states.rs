//! C_GetOperationState and C_SetOperationState: what was saved goes on as if nothing had been in
//! between, and nothing else is ever taken for it.

use cryptoki_sys::*;
use pkcs11_tests::keys::P256;
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Fixture, Result, call, check, fixture};
use std::ptr::null_mut;

const DATA: &[u8] = &[0x5a; 300];

/// A session of its own for each test.
struct Run {
    at: &'static Fixture,
    session: CK_SESSION_HANDLE,
}

/// The bytes of a call that gives some.
fn output(mut run: impl FnMut(*mut CK_BYTE, &mut CK_ULONG) -> CK_RV) -> Result<Vec<u8>> {
    let (mut out, mut length) = (vec![0; 1024], 1024);
    check(run(out.as_mut_ptr(), &mut length))?;
    out.truncate(length as usize);
    Ok(out)
}

impl Run {
    fn new() -> Run {
        let at = fixture();
        Run { at, session: at.open() }
    }

    fn digest_init(&self, kind: CK_MECHANISM_TYPE) {
        let mut mechanism = mechanism(kind);
        check(call!(self.at.module, C_DigestInit, self.session, &mut mechanism)).expect("C_DigestInit");
    }

    fn digest_update(&self, data: &[u8]) -> Result<()> {
        let (pointer, length) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        check(call!(self.at.module, C_DigestUpdate, self.session, pointer, length))
    }

    fn digest_final(&self) -> Result<Vec<u8>> {
        output(|out, length| call!(self.at.module, C_DigestFinal, self.session, out, length))
    }

    /// A digest in one piece.
    fn digest(&self, kind: CK_MECHANISM_TYPE, data: &[u8]) -> Vec<u8> {
        self.digest_init(kind);
        self.digest_update(data).expect("update");
        self.digest_final().expect("final")
    }

    fn save(&self) -> Result<Vec<u8>> {
        output(|out, length| call!(self.at.module, C_GetOperationState, self.session, out, length))
    }

    fn restore_with(&self, state: &[u8], encryption: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE) -> Result<()> {
        let (pointer, length) = (state.as_ptr().cast_mut(), state.len() as CK_ULONG);
        check(call!(self.at.module, C_SetOperationState, self.session, pointer, length, encryption, key))
    }

    fn restore(&self, state: &[u8]) -> Result<()> {
        self.restore_with(state, 0, 0)
    }

    fn sign_init(&self, kind: CK_MECHANISM_TYPE, key: CK_OBJECT_HANDLE) {
        let mut mechanism = mechanism(kind);
        check(call!(self.at.module, C_SignInit, self.session, &mut mechanism, key)).expect("C_SignInit");
    }

    fn sign_update(&self, data: &[u8]) {
        let (pointer, length) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        check(call!(self.at.module, C_SignUpdate, self.session, pointer, length)).expect("C_SignUpdate");
    }

    fn sign_final(&self) -> Result<Vec<u8>> {
        output(|out, length| call!(self.at.module, C_SignFinal, self.session, out, length))
    }

    fn verify_init(&self, kind: CK_MECHANISM_TYPE, key: CK_OBJECT_HANDLE) {
        let mut mechanism = mechanism(kind);
        check(call!(self.at.module, C_VerifyInit, self.session, &mut mechanism, key)).expect("C_VerifyInit");
    }

    fn verify_update(&self, data: &[u8]) {
        let (pointer, length) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        check(call!(self.at.module, C_VerifyUpdate, self.session, pointer, length)).expect("C_VerifyUpdate");
    }

    fn verify_final(&self, signature: &[u8]) -> Result<()> {
        let (pointer, length) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
        check(call!(self.at.module, C_VerifyFinal, self.session, pointer, length))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        call!(self.at.module, C_CloseSession, self.session);
    }
}

/// Every mechanism of the module with a flag.
fn mechanisms(flag: CK_FLAGS) -> Vec<CK_MECHANISM_TYPE> {
    let module = &fixture().module;
    let mut count = 0;
    check(call!(module, C_GetMechanismList, 0, null_mut(), &mut count)).expect("count");
    let mut list = vec![0; count as usize];
    check(call!(module, C_GetMechanismList, 0, list.as_mut_ptr(), &mut count)).expect("list");
    list.retain(|kind| {
        let mut info = CK_MECHANISM_INFO::default();
        check(call!(module, C_GetMechanismInfo, 0, *kind, &mut info)).expect("info");
        info.flags & flag != 0
    });
    list
}

#[test]
fn java_message_digest_clone() {
    let digests = mechanisms(CKF_DIGEST);
    assert!(digests.len() >= 11);
    for kind in digests {
        let (one, two) = (Run::new(), Run::new());
        // 0: nothing taken in yet; 64, 128, 136: whole blocks.
        for cut in [0, 1, 63, 64, 65, 128, 136, 200, 300] {
            one.digest_init(kind);
            one.digest_update(&DATA[..cut]).expect("update");
            let state = one.save().expect("save");
            two.restore(&state).expect("restore");
            one.digest_update(b"this way").expect("the first goes on");
            two.digest_update(b"that way").expect("so does the second");
            let (this, that) = (one.digest_final().expect("final"), two.digest_final().expect("final"));
            assert_eq!(this, one.digest(kind, &[&DATA[..cut], b"this way"].concat()), "{kind:#x} at {cut}");
            assert_eq!(that, one.digest(kind, &[&DATA[..cut], b"that way"].concat()), "{kind:#x} at {cut}");
        }
    }
}

#[test]
fn a_state_can_be_used_again_and_takes_the_place_of_what_runs() {
    let run = Run::new();
    run.digest_init(CKM_SHA256);
    run.digest_update(b"pre").expect("update");
    let state = run.save().expect("save");
    run.digest_final().expect("final");
    for _ in 0..3 {
        run.digest_init(CKM_SHA512);
        run.digest_update(b"to be forgotten").expect("update");
        run.restore(&state).expect("over a running digest");
        run.digest_update(b"fix").expect("update");
        let digest = run.digest_final().expect("final");
        assert_eq!(digest, run.digest(CKM_SHA256, b"prefix"));
    }
}

#[test]
fn parts_stay_parts() {
    let run = Run::new();
    let one_shot = || {
        output(|out, length| {
            call!(run.at.module, C_Digest, run.session, DATA.as_ptr().cast_mut(), 5, out, length)
        })
    };
    run.digest_init(CKM_SHA256);
    let fresh = run.save().expect("save");
    run.digest_update(b"x").expect("update");
    let begun = run.save().expect("save");
    run.restore(&begun).expect("restore");
    assert_eq!(one_shot(), Err(CKR_OPERATION_ACTIVE));
    run.restore(&fresh).expect("restore");
    assert_eq!(one_shot().expect("one shot"), run.digest(CKM_SHA256, &DATA[..5]));
}

#[test]
fn length_query_and_small_buffer() {
    let run = Run::new();
    run.digest_init(CKM_SHA384);
    run.digest_update(DATA).expect("update");
    let module = &run.at.module;
    let (mut length, mut small) = (CK_ULONG::MAX, [0xee; 20]);
    check(call!(module, C_GetOperationState, run.session, null_mut(), &mut length)).expect("query");
    let needed = length;
    length = small.len() as CK_ULONG;
    let answer = call!(module, C_GetOperationState, run.session, small.as_mut_ptr(), &mut length);
    assert_eq!((answer, length, small), (CKR_BUFFER_TOO_SMALL, needed, [0xee; 20]));
    assert_eq!(run.save().expect("save").len() as CK_ULONG, needed);
    assert_eq!(call!(module, C_GetOperationState, run.session, null_mut(), null_mut()), CKR_ARGUMENTS_BAD);
    assert_eq!(run.digest_final().expect("it went on"), run.digest(CKM_SHA384, DATA));
}

#[test]
fn nothing_runs_nothing_is_saved() {
    let run = Run::new();
    assert_eq!(run.save(), Err(CKR_OPERATION_NOT_INITIALIZED));
    let (module, mut length) = (&run.at.module, 0);
    let closed = run.at.open();
    check(call!(module, C_CloseSession, closed)).expect("close");
    assert_eq!(
        call!(module, C_GetOperationState, closed, null_mut(), &mut length),
        CKR_SESSION_HANDLE_INVALID
    );
    assert_eq!(
        call!(module, C_SetOperationState, closed, [0; 40].as_mut_ptr(), 40, 0, 0),
        CKR_SESSION_HANDLE_INVALID
    );
}

#[test]
fn altered_states_are_refused() {
    let run = Run::new();
    run.digest_init(CKM_SHA256);
    run.digest_update(b"data").expect("update");
    let state = run.save().expect("save");
    for place in 0..state.len() {
        for bit in [1, 0x80] {
            let mut altered = state.clone();
            altered[place] ^= bit;
            assert_eq!(run.restore(&altered), Err(CKR_SAVED_STATE_INVALID), "byte {place}");
        }
        assert_eq!(run.restore(&state[..place]), Err(CKR_SAVED_STATE_INVALID), "cut to {place}");
        assert_eq!(run.restore(&state[place + 1..]), Err(CKR_SAVED_STATE_INVALID), "from {place}");
    }
    for longer in [1, 1000, 100_000] {
        let longer = [&state[..], &vec![0; longer]].concat();
        assert_eq!(run.restore(&longer), Err(CKR_SAVED_STATE_INVALID));
    }
    let module = &run.at.module;
    assert_eq!(call!(module, C_SetOperationState, run.session, null_mut(), 40, 0, 0), CKR_ARGUMENTS_BAD);
    // Refusals leave what runs as it is.
    assert_eq!(run.digest_final().expect("final"), run.digest(CKM_SHA256, b"data"));
}

#[test]
fn two_states_cannot_be_spliced() {
    let run = Run::new();
    let state = |kind, data: &[u8]| {
        run.digest_init(kind);
        run.digest_update(data).expect("update");
        let state = run.save().expect("save");
        run.digest_final().expect("final");
        state
    };
    let (one, two) = (state(CKM_SHA256, b"one"), state(CKM_SHA256, b"two"));
    assert_eq!(one.len(), two.len());
    let cut = one.len() - 32;
    assert_eq!(run.restore(&[&one[..cut], &two[cut..]].concat()), Err(CKR_SAVED_STATE_INVALID));
    // SHA-512 and SHA-512/256 have states of one size.
    let (one, two) = (state(CKM_SHA512, b"x"), state(CKM_SHA512_256, b"x"));
    assert_eq!(run.restore(&[&one[..11], &two[11..]].concat()), Err(CKR_SAVED_STATE_INVALID));
}

#[test]
fn what_cannot_be_saved_says_so() {
    let run = Run::new();
    let module = &run.at.module;
    let (aes, secret, ec, ed, rsa) = (
        module.aes(run.session),
        module.secret(run.session),
        module.ec(run.session, P256),
        module.ed(run.session),
        module.rsa(run.session),
    );
    let cases = [
        (CKM_SHA256_HMAC, secret),
        (CKM_AES_CMAC, aes),
        (CKM_ECDSA, ec.private),
        (CKM_EDDSA, ed.private),
        (CKM_RSA_PKCS, rsa.private),
        (CKM_SHA256_RSA_PKCS_PSS, rsa.private),
    ];
    for (kind, key) in cases {
        run.sign_init(kind, key);
        assert_eq!(run.save(), Err(CKR_STATE_UNSAVEABLE), "{kind:#x}");
        check(call!(module, C_SignInit, run.session, null_mut(), 0)).expect("still running");
    }
    // A digest beside an encryption: half a state would be a lie.
    let mut gcm = mechanism(CKM_AES_GCM);
    check(call!(module, C_EncryptInit, run.session, &mut gcm, aes)).expect("C_EncryptInit");
    run.digest_init(CKM_SHA256);
    assert_eq!(run.save(), Err(CKR_STATE_UNSAVEABLE));
    check(call!(module, C_EncryptInit, run.session, null_mut(), 0)).expect("end it");
    assert!(run.save().is_ok());
    // A signature beside a verification: one authentication key is all that can be named again.
    run.sign_init(CKM_ECDSA_SHA256, ec.private);
    run.verify_init(CKM_ECDSA_SHA256, ec.public);
    assert_eq!(run.save(), Err(CKR_STATE_UNSAVEABLE));
}

#[test]
fn a_signature_goes_on_with_its_key_named_again() {
    let (run, other) = (Run::new(), Run::new());
    let module = &run.at.module;
    let (ec, rsa) = (module.ec(run.session, P256), module.rsa(run.session));
    for (kind, pair) in [(CKM_ECDSA_SHA256, ec), (CKM_SHA512_RSA_PKCS, rsa)] {
        run.sign_init(kind, pair.private);
        run.sign_update(b"first, ");
        let state = run.save().expect("save");
        run.sign_update(b"this way");
        other.restore_with(&state, 0, pair.private).expect("restore");
        other.sign_update(b"that way");
        let (this, that) = (run.sign_final().expect("sign"), other.sign_final().expect("sign"));

        run.verify_init(kind, pair.public);
        run.verify_update(b"first, ");
        let state = run.save().expect("save");
        run.verify_update(b"this way");
        other.restore_with(&state, 0, pair.public).expect("restore");
        other.verify_update(b"that way");
        run.verify_final(&this).expect("verify");
        other.verify_final(&that).expect("verify");
        other.restore_with(&state, 0, pair.public).expect("restore");
        other.verify_update(b"that way");
        assert_eq!(other.verify_final(&this), Err(CKR_SIGNATURE_INVALID));
    }
}

#[test]
fn keys_are_asked_for_and_must_be_the_same() {
    let run = Run::new();
    let module = &run.at.module;
    let (ec, another) = (module.ec(run.session, P256), module.ec(run.session, P256));
    run.digest_init(CKM_SHA256);
    let digest = run.save().expect("save");
    assert_eq!(run.restore_with(&digest, 0, ec.private), Err(CKR_KEY_NOT_NEEDED));
    assert_eq!(run.restore_with(&digest, ec.private, 0), Err(CKR_KEY_NOT_NEEDED));
    // A digest and a signature of one session are saved together.
    run.digest_update(b"beside").expect("update");
    run.sign_init(CKM_ECDSA_SHA256, ec.private);
    run.sign_update(b"data");
    let both = run.save().expect("save");
    assert_eq!(run.restore(&both), Err(CKR_KEY_NEEDED));
    assert_eq!(run.restore_with(&both, ec.private, 0), Err(CKR_KEY_NOT_NEEDED));
    assert_eq!(run.restore_with(&both, 0, another.private), Err(CKR_KEY_CHANGED));
    assert_eq!(run.restore_with(&both, 0, ec.public), Err(CKR_KEY_CHANGED));
    let other = Run::new();
    other.restore_with(&both, 0, ec.private).expect("restore");
    assert_eq!(other.digest_final().expect("digest"), run.digest_final().expect("digest"));
    let signature = other.sign_final().expect("sign");
    run.verify_init(CKM_ECDSA_SHA256, ec.public);
    run.verify_update(b"data");
    run.verify_final(&signature).expect("verify");
    module.destroy(run.session, ec.private).expect("destroy");
    assert_eq!(other.restore_with(&both, 0, ec.private), Err(CKR_KEY_CHANGED));
}
