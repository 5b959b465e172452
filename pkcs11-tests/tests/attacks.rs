//! The published attacks on PKCS#11 (ARCHITECTURE.md lists them), played by a program with a good user's password.
//! Each is tried on a token with all rules and fails there, and on a token with just the one rule loosened that
//! stands against it: there the same steps succeed, so that these tests can fail.
//!
//! One module, one slot for each switch: slot 0 is strict, slot n has the n-th switch on.

#[path = "attacks/oracles.rs"]
mod oracles;
#[path = "attacks/points.rs"]
mod points;
#[path = "attacks/templates.rs"]
mod templates;
#[path = "attacks/wrapping.rs"]
mod wrapping;

use cryptoki_sys::*;
use pkcs11_tests::keys::{Attribute, Pair, bytes, number, set, template, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Module, PIN, RW, Result, SO_PIN, SWITCHES, call, check};
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::{Mutex, OnceLock, PoisonError};

/// One that no other test uses: its officer logs in.
const OFFICERS: usize = SWITCHES.len() + 1;

struct Place {
    module: Module,
    made: Mutex<[bool; SWITCHES.len() + 2]>,
    _folder: tempfile::TempDir,
}

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("temporary folder");
        let config: PathBuf = folder.path().join("config.toml");
        let mut text = String::new();
        for slot in 0..=OFFICERS {
            text += &format!("[[slot]]\nid = {slot}\npath = \"{slot}.db\"\n");
            text += "[slot.kdf]\nmemory_kib = 8192\npasses = 1\n";
            if let Some(switch) = slot.checked_sub(1).and_then(|place| SWITCHES.get(place)) {
                text += &format!("[slot.allow]\n{switch} = true\n");
            }
        }
        std::fs::write(&config, text).expect("configuration");
        let module = Module::load();
        module.initialize(&config).expect("C_Initialize");
        Place { module, made: Mutex::default(), _folder: folder }
    })
}

/// A session of the user on a token.
struct At {
    module: &'static Module,
    session: CK_SESSION_HANDLE,
}

impl At {
    fn slot(slot: usize) -> At {
        let Place { module, made, .. } = place();
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        let slot_id = slot as CK_SLOT_ID;
        let open = || {
            let mut session = 0;
            check(call!(module, C_OpenSession, slot_id, RW, null_mut(), None, &mut session))
                .expect("session");
            session
        };
        if !std::mem::replace(&mut made[slot], true) {
            let (pin, mut label) = (SO_PIN.as_ptr().cast_mut(), [b' '; 32]);
            check(call!(module, C_InitToken, slot_id, pin, SO_PIN.len() as CK_ULONG, label.as_mut_ptr()))
                .expect("C_InitToken");
            let session = open();
            module.login(session, CKU_SO, SO_PIN).expect("officer");
            module.init_pin(session, PIN).expect("C_InitPIN");
            check(call!(module, C_Logout, session)).expect("logout");
            module.login(session, CKU_USER, PIN).expect("user");
        }
        At { module, session: open() }
    }

    fn strict() -> At {
        At::slot(0)
    }

    fn with(switch: &str) -> At {
        let place = SWITCHES.iter().position(|known| *known == switch);
        At::slot(1 + place.unwrap_or_else(|| panic!("there is no switch {switch}")))
    }

    /// A new AES key for these uses.
    fn aes(&self, length: CK_ULONG, uses: &[Attribute]) -> Result<CK_OBJECT_HANDLE> {
        self.module.generate(
            self.session,
            CKM_AES_KEY_GEN,
            &[&[number(CKA_VALUE_LEN, length)], uses].concat(),
        )
    }

    /// What the attacker wants to know: sensitive, and allowed to leave wrapped.
    fn target(&self, length: CK_ULONG) -> CK_OBJECT_HANDLE {
        self.aes(length, &[yes(CKA_ENCRYPT), yes(CKA_EXTRACTABLE)]).expect("a target")
    }

    /// An AES key of a known value.
    fn known(&self, value: &[u8], uses: &[Attribute]) -> Result<CK_OBJECT_HANDLE> {
        let key = [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_AES), bytes(CKA_VALUE, value)];
        self.module.create(self.session, &[&key, uses].concat())
    }

    fn wrap(
        &self,
        mut by: CK_MECHANISM,
        wrapping: CK_OBJECT_HANDLE,
        key: CK_OBJECT_HANDLE,
    ) -> Result<Vec<u8>> {
        let (mut out, mut length) = (vec![0; 4096], 4096);
        let (module, session) = (self.module, self.session);
        check(call!(module, C_WrapKey, session, &mut by, wrapping, key, out.as_mut_ptr(), &mut length))?;
        out.truncate(length as usize);
        Ok(out)
    }

    fn unwrap(
        &self,
        mut by: CK_MECHANISM,
        unwrapping: CK_OBJECT_HANDLE,
        wrapped: &[u8],
        attributes: &[Attribute],
    ) -> Result<CK_OBJECT_HANDLE> {
        let (mut list, mut key) = (template(attributes), 0);
        let (data, size) = (wrapped.as_ptr().cast_mut(), wrapped.len() as CK_ULONG);
        let (start, count) = (list.as_mut_ptr(), list.len() as CK_ULONG);
        let (module, session, by) = (self.module, self.session, &mut by);
        check(call!(module, C_UnwrapKey, session, by, unwrapping, data, size, start, count, &mut key))?;
        Ok(key)
    }

    /// The template of an AES key to unwrap, and more.
    fn unwrap_aes(
        &self,
        by: CK_MECHANISM,
        unwrapping: CK_OBJECT_HANDLE,
        wrapped: &[u8],
        more: &[Attribute],
    ) -> Result<CK_OBJECT_HANDLE> {
        let aes = [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_AES)];
        self.unwrap(by, unwrapping, wrapped, &[&aes, more].concat())
    }

    fn encrypt(&self, mut by: CK_MECHANISM, key: CK_OBJECT_HANDLE, data: &[u8]) -> Result<Vec<u8>> {
        let (module, session, mut out, mut length) = (self.module, self.session, vec![0; 4096], 4096);
        check(call!(module, C_EncryptInit, session, &mut by, key))?;
        let (data, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        check(call!(module, C_Encrypt, session, data, size, out.as_mut_ptr(), &mut length))?;
        out.truncate(length as usize);
        Ok(out)
    }

    fn decrypt(&self, mut by: CK_MECHANISM, key: CK_OBJECT_HANDLE, data: &[u8]) -> Result<Vec<u8>> {
        let (module, session, mut out, mut length) = (self.module, self.session, vec![0; 4096], 4096);
        check(call!(module, C_DecryptInit, session, &mut by, key))?;
        let (data, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        check(call!(module, C_Decrypt, session, data, size, out.as_mut_ptr(), &mut length))?;
        out.truncate(length as usize);
        Ok(out)
    }

    fn set(&self, key: CK_OBJECT_HANDLE, kind: CK_ATTRIBUTE_TYPE, value: bool) -> Result<()> {
        check(set(self.module, self.session, key, kind, &[u8::from(value)]))
    }

    fn copy(&self, key: CK_OBJECT_HANDLE, attributes: &[Attribute]) -> Result<CK_OBJECT_HANDLE> {
        let (mut list, mut copy) = (template(attributes), 0);
        let count = list.len() as CK_ULONG;
        let (module, session) = (self.module, self.session);
        check(call!(module, C_CopyObject, session, key, list.as_mut_ptr(), count, &mut copy))?;
        Ok(copy)
    }

    fn attribute(&self, key: CK_OBJECT_HANDLE, kind: CK_ATTRIBUTE_TYPE) -> Result<Vec<u8>> {
        self.module.attribute(self.session, key, kind)
    }

    fn rsa(&self, bits: CK_ULONG, public: &[Attribute], private: &[Attribute]) -> Result<Pair> {
        let public = [&[number(CKA_MODULUS_BITS, bits)], public].concat();
        self.module.generate_pair(self.session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, private)
    }

    /// The attack succeeded: these bytes are the target's value.
    fn won(&self, target: CK_OBJECT_HANDLE, value: &[u8]) {
        let own = self.known(value, &[yes(CKA_ENCRYPT)]).expect("a key of these bytes");
        let of = |key| self.encrypt(mechanism(CKM_AES_ECB), key, &[0; 16]).expect("encryption");
        assert_eq!(of(own), of(target), "these bytes are not the target");
    }
}

/// The attack ends at this code on a strict token, and with the switch comes to its own end.
fn fails_unless(switch: &str, refused: CK_RV, attack: impl Fn(&At) -> Result<()>) {
    assert_eq!(attack(&At::strict()), Err(refused), "with all rules");
    assert_eq!(attack(&At::with(switch)), Ok(()), "with {switch}");
}

/// What is off is not advertised either.
#[test]
fn the_list_of_mechanisms_says_what_is_on() {
    let module = &place().module;
    let flags = |slot: usize, kind| {
        let mut info = CK_MECHANISM_INFO::default();
        match call!(module, C_GetMechanismInfo, slot as CK_SLOT_ID, kind, &mut info) {
            CKR_OK => info.flags,
            code => {
                assert_eq!(code, CKR_MECHANISM_INVALID);
                0
            }
        }
    };
    let listed = |slot: usize, kind| {
        let mut count = 0;
        assert_eq!(call!(module, C_GetMechanismList, slot as CK_SLOT_ID, null_mut(), &mut count), CKR_OK);
        let mut kinds = vec![0; count as usize];
        let start = kinds.as_mut_ptr();
        assert_eq!(call!(module, C_GetMechanismList, slot as CK_SLOT_ID, start, &mut count), CKR_OK);
        kinds.contains(&kind)
    };
    let slot = |switch: &str| 1 + SWITCHES.iter().position(|known| *known == switch).expect("a switch");
    for (switch, kind, flag) in [
        ("unauthenticated_wrap", CKM_AES_CBC, CKF_WRAP | CKF_UNWRAP),
        ("unauthenticated_wrap", CKM_AES_CBC_PAD, CKF_WRAP | CKF_UNWRAP),
        ("unauthenticated_wrap", CKM_RSA_PKCS, CKF_WRAP | CKF_UNWRAP),
        ("caller_nonce_wrap", CKM_AES_GCM, CKF_WRAP),
        ("caller_nonce_wrap", CKM_AES_CCM, CKF_WRAP),
        ("joined_keys", CKM_XOR_BASE_AND_DATA, CKF_DERIVE),
        ("triple_des", CKM_DES3_CBC, CKF_ENCRYPT),
    ] {
        assert_eq!(flags(0, kind) & flag, 0, "{kind:#x}");
        assert_eq!(flags(slot(switch), kind) & flag, flag, "{kind:#x}");
        assert_eq!(listed(0, kind), flags(0, kind) != 0, "{kind:#x}");
        assert!(listed(slot(switch), kind), "{kind:#x}");
    }
}
