//! When a key may be used at all: suspended by its owner, before its first day, after its last one. Every
//! use is tried, and a running process notices.

use cryptoki_sys::*;
use pkcs11_tests::keys::{Attribute, P256, bytes, no, number, template, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::role::{self, Role};
use pkcs11_tests::{Fixture, Module, PIN, RW, call, check, loosened as fixture, make_user, tool_path};
use std::process::Command;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

const SHARED_WITH: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x5352_0003;
const SUSPENDED: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x5352_0010;
const AUDIT_USE: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x5352_0001;
const BOB: &[u8] = b"bob:bob-9876";
const NO: CK_RV = CKR_KEY_FUNCTION_NOT_PERMITTED;

/// The keys of a test, and a key that is not theirs to be wrapped and to wrap.
struct Keys {
    at: &'static Fixture,
    session: CK_SESSION_HANDLE,
    secret: CK_OBJECT_HANDLE,
    private: CK_OBJECT_HANDLE,
    public: CK_OBJECT_HANDLE,
    other: CK_OBJECT_HANDLE,
    wrapped: Vec<u8>,
}

type Begin = unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE) -> CK_RV;

impl Keys {
    /// All may do everything; the attributes are set on all of them afterwards.
    fn new() -> Keys {
        let (at, session) = (fixture(), fixture().open());
        let all =
            [CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY, CKA_WRAP, CKA_UNWRAP, CKA_EXTRACTABLE].map(yes);
        let secret = [&all[..], &[yes(CKA_TOKEN), no(CKA_SENSITIVE), number(CKA_VALUE_LEN, 32)]].concat();
        let public = [yes(CKA_TOKEN), bytes(CKA_EC_PARAMS, P256)];
        let pair =
            at.module.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &[yes(CKA_TOKEN)]).expect("pair");
        let secret = at.module.generate(session, CKM_AES_KEY_GEN, &secret).expect("AES");
        let other = at.module.aes_of_all_uses(session);
        let mut keys = Keys {
            at,
            session,
            secret,
            private: pair.private,
            public: pair.public,
            other,
            wrapped: Vec::new(),
        };
        keys.wrapped = keys.wrap(secret, other).expect("wrap");
        keys
    }

    fn set(&self, attributes: &[Attribute]) {
        for key in [self.secret, self.private, self.public] {
            let mut list = template(attributes);
            let count = list.len() as CK_ULONG;
            let code =
                call!(self.at.module, C_SetAttributeValue, self.session, key, list.as_mut_ptr(), count);
            assert_eq!(code, CKR_OK);
        }
    }

    fn wrap(&self, with: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE) -> Result<Vec<u8>, CK_RV> {
        let (mut out, mut length) = (vec![0; 100], 100);
        let mut kwp = mechanism(CKM_AES_KEY_WRAP_KWP);
        let (module, session) = (&self.at.module, self.session);
        check(call!(module, C_WrapKey, session, &mut kwp, with, key, out.as_mut_ptr(), &mut length))?;
        out.truncate(length as usize);
        Ok(out)
    }

    fn unwrap(&self) -> CK_RV {
        let made = [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_AES)];
        let (mut list, mut key, mut kwp) = (template(&made), 0, mechanism(CKM_AES_KEY_WRAP_KWP));
        let (at, length) = (self.wrapped.as_ptr().cast_mut(), self.wrapped.len() as CK_ULONG);
        let (module, session) = (&self.at.module, self.session);
        call!(module, C_UnwrapKey, session, &mut kwp, self.secret, at, length, list.as_mut_ptr(), 2, &mut key)
    }

    fn derive(&self) -> CK_RV {
        let mut point = self.at.module.attribute(self.session, self.public, CKA_EC_POINT).expect("point");
        let mut params = CK_ECDH1_DERIVE_PARAMS {
            kdf: CKD_NULL,
            ulSharedDataLen: 0,
            pSharedData: null_mut(),
            ulPublicDataLen: point.len() as CK_ULONG,
            pPublicData: point.as_mut_ptr(),
        };
        let mut ecdh = CK_MECHANISM {
            mechanism: CKM_ECDH1_DERIVE,
            pParameter: (&raw mut params).cast(),
            ulParameterLen: size_of::<CK_ECDH1_DERIVE_PARAMS>() as CK_ULONG,
        };
        let made = [number(CKA_VALUE_LEN, 32)];
        let (mut list, mut key) = (template(&made), 0);
        let (module, session) = (&self.at.module, self.session);
        call!(module, C_DeriveKey, session, &mut ecdh, self.private, list.as_mut_ptr(), 1, &mut key)
    }

    /// What C_…Init says; what was begun is ended again.
    fn begin(&self, begin: Option<Begin>, kind: CK_MECHANISM_TYPE, key: CK_OBJECT_HANDLE) -> CK_RV {
        let begin = begin.expect("function");
        // SAFETY: the function is the module's.
        let code = unsafe { begin(self.session, &mut mechanism(kind), key) };
        if code == CKR_OK {
            // SAFETY: as above; NULL ends the operation.
            assert_eq!(unsafe { begin(self.session, null_mut(), 0) }, CKR_OK);
        }
        code
    }

    fn digest_key(&self) -> CK_RV {
        let (module, session) = (&self.at.module, self.session);
        assert_eq!(call!(module, C_DigestInit, session, &mut mechanism(CKM_SHA256)), CKR_OK);
        let code = call!(module, C_DigestKey, session, self.secret);
        let _ = call!(module, C_DigestInit, session, null_mut());
        code
    }

    /// Every use: its name, whether it only reads what was protected before, what it says.
    fn uses(&self) -> Vec<(&'static str, bool, CK_RV)> {
        // SAFETY: the table is the module's.
        let list = unsafe { &*self.at.module.list };
        let code = |wrapped: Result<Vec<u8>, CK_RV>| wrapped.err().unwrap_or(CKR_OK);
        vec![
            ("sign", false, self.begin(list.C_SignInit, CKM_ECDSA, self.private)),
            ("sign by secret", false, self.begin(list.C_SignInit, CKM_AES_CMAC, self.secret)),
            ("encrypt", false, self.begin(list.C_EncryptInit, CKM_AES_ECB, self.secret)),
            ("wrap", false, code(self.wrap(self.secret, self.other))),
            ("derive", false, self.derive()),
            ("digest", false, self.digest_key()),
            ("verify", true, self.begin(list.C_VerifyInit, CKM_ECDSA, self.public)),
            ("verify by secret", true, self.begin(list.C_VerifyInit, CKM_AES_CMAC, self.secret)),
            ("decrypt", true, self.begin(list.C_DecryptInit, CKM_AES_ECB, self.secret)),
            ("unwrap", true, self.unwrap()),
        ]
    }

    /// Asserts what new work and what reading says, twice: the second time a key is known.
    fn assert_uses(&self, when: &str, new_work: CK_RV, reading: CK_RV) {
        for _ in 0..2 {
            for (name, reads, code) in self.uses() {
                assert_eq!(code, if reads { reading } else { new_work }, "{when}: {name}");
            }
        }
    }
}

/// YYYYMMDD, so many days from today.
fn day(days: i32) -> Vec<u8> {
    let wanted = format!("{days} days");
    let output = Command::new("date").args(["-u", "+%Y%m%d", "-d", &wanted]).output().expect("date");
    assert!(output.status.success());
    output.stdout.trim_ascii().to_vec()
}

#[test]
fn dates_are_kept() {
    for audited in [false, true] {
        let keys = Keys::new();
        if audited {
            keys.set(&[yes(AUDIT_USE)]);
        }
        let dates =
            |start: &[u8], end: &[u8]| keys.set(&[bytes(CKA_START_DATE, start), bytes(CKA_END_DATE, end)]);
        keys.assert_uses("no dates", CKR_OK, CKR_OK);
        dates(&day(-2), &day(2));
        keys.assert_uses("between", CKR_OK, CKR_OK);
        dates(&day(2), &day(3));
        keys.assert_uses("before", NO, NO);
        dates(&day(-3), &day(-2));
        keys.assert_uses("after", NO, CKR_OK);
        // It may leave the token: that is no use of it.
        assert!(keys.wrap(keys.other, keys.secret).is_ok());
        dates(b"", &day(-2));
        keys.assert_uses("after, without a start", NO, CKR_OK);
        dates(b"", b"");
        keys.assert_uses("no dates again", CKR_OK, CKR_OK);
    }
}

#[test]
fn dates_that_are_none_are_refused() {
    let keys = Keys::new();
    let module = &keys.at.module;
    let aes = |more: &[Attribute]| {
        module.generate(keys.session, CKM_AES_KEY_GEN, &[&[number(CKA_VALUE_LEN, 16)], more].concat()).err()
    };
    for no_day in [&b"20301301"[..], b"20300230", b"00000000", b"2030010", b"2030010x"] {
        assert_eq!(aes(&[bytes(CKA_END_DATE, no_day)]), Some(CKR_ATTRIBUTE_VALUE_INVALID), "{no_day:?}");
    }
    let turned = [bytes(CKA_START_DATE, b"20300102"), bytes(CKA_END_DATE, b"20300101")];
    assert_eq!(aes(&turned), Some(CKR_TEMPLATE_INCONSISTENT));
    let mut list = template(&turned);
    let code = call!(module, C_SetAttributeValue, keys.session, keys.secret, list.as_mut_ptr(), 2);
    assert_eq!(code, CKR_TEMPLATE_INCONSISTENT);
    assert_eq!(module.attribute(keys.session, keys.secret, CKA_START_DATE), Ok(Vec::new()));
    assert_eq!(aes(&[bytes(CKA_START_DATE, b"20240229"), bytes(CKA_END_DATE, b"99991231")]), None);
}

#[test]
fn a_suspended_key_has_no_use() {
    let keys = Keys::new();
    let module = &keys.at.module;
    keys.assert_uses("at first", CKR_OK, CKR_OK);
    keys.set(&[yes(SUSPENDED)]);
    keys.assert_uses("suspended", NO, NO);
    assert_eq!(keys.wrap(keys.other, keys.secret), Err(NO), "it does not leave the token");
    assert_eq!(module.attribute(keys.session, keys.secret, SUSPENDED), Ok(vec![1]));
    assert!(module.find(keys.session, &[yes(SUSPENDED)]).expect("find").contains(&keys.secret));
    keys.set(&[no(SUSPENDED)]);
    keys.assert_uses("resumed", CKR_OK, CKR_OK);
}

/// A role: bob, who signs with the key of a label until it fails; answers with what it failed.
#[test]
#[ignore = "a role of the tests below"]
fn role_bob() {
    let module = Module::load();
    assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
    let session = module.session(RW).expect("session");
    module.login(session, CKU_USER, BOB).expect("bob");
    role::play(|label, milliseconds| {
        let wanted = [bytes(CKA_LABEL, label.as_bytes()), number(CKA_CLASS, CKO_PRIVATE_KEY)];
        let key = module.find(session, &wanted).expect("find")[0];
        let (begun, most) = (Instant::now(), Duration::from_millis(milliseconds.parse().expect("number")));
        loop {
            let code = call!(module, C_SignInit, session, &mut mechanism(CKM_ECDSA), key);
            if code != CKR_OK {
                return code.to_string();
            }
            let (mut data, mut out, mut length) = ([1; 32], [0; 64], 64);
            let at = (data.as_mut_ptr(), out.as_mut_ptr());
            assert_eq!(call!(module, C_Sign, session, at.0, 32, at.1, &mut length), CKR_OK);
            if begun.elapsed() > most {
                return CKR_OK.to_string();
            }
        }
    });
}

/// By the command, while a sharer's process signs: it ends there, and begins again.
#[test]
fn suspended_by_the_command_everywhere() {
    let at = fixture();
    make_user(&at.config, "bob", b"bob-9876");
    let session = at.open();
    let own = [yes(CKA_TOKEN), bytes(CKA_LABEL, b"shared"), bytes(SHARED_WITH, b"bob")];
    let public = [yes(CKA_TOKEN), bytes(CKA_EC_PARAMS, P256)];
    at.module.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &own).expect("pair");
    let strongroom = |arguments: &[&str], pin: &[u8]| {
        let mut command = Command::new(tool_path());
        command.args(arguments).arg("--config").arg(&at.config);
        command.env("STRONGROOM_PIN", std::str::from_utf8(pin).expect("text"));
        command.output().expect("strongroom")
    };
    let mut bob = Role::start(&at.config, "role_bob");
    assert_eq!(bob.number("shared 0"), CKR_OK);
    bob.begin("shared 60000");
    std::thread::sleep(Duration::from_millis(200));
    assert!(!strongroom(&["key", "suspend", "shared"], BOB).status.success(), "a sharer does not");
    let suspended = strongroom(&["key", "suspend", "shared"], PIN);
    assert!(suspended.status.success(), "{}", String::from_utf8_lossy(&suspended.stderr));
    let begun = Instant::now();
    assert_eq!(bob.number("shared 0"), NO);
    assert!(begun.elapsed() < Duration::from_millis(1000), "{:?}", begun.elapsed());
    assert_eq!(bob.answer(), NO.to_string());
    assert!(strongroom(&["key", "resume", "shared"], PIN).status.success());
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(bob.number("shared 0"), CKR_OK);
    bob.end();
}
