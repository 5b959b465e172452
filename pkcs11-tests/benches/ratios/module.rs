//! A PKCS#11 module under measurement: loaded, initialised, logged in, driven through its table.

use crate::{Operation, Task};
use cryptoki_sys::*;
use std::ptr::{addr_of_mut, null_mut};

pub struct Module {
    pub name: String,
    table: *mut CK_FUNCTION_LIST,
    pub slot: CK_SLOT_ID,
    pub session: CK_SESSION_HANDLE,
    _library: libloading::Library,
}

/// A key of a task: its handle, 0 for tasks without one.
pub type Key = CK_OBJECT_HANDLE;

pub const SO_PIN: &[u8] = b"12345678";
pub const PIN: &[u8] = b"87654321";
/// Another user's name.
pub const OTHER: &str = "other";
/// CKA_STRONGROOM_SHARED_WITH.
const SHARED_WITH: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x5352_0003;

/// Calls an entry of the table; the answer is the CK_RV.
macro_rules! call {
    ($module:expr, $name:ident $(, $argument:expr)*) => {
        // SAFETY: the table came from the module; arguments are valid for the call.
        unsafe { ((*$module.table).$name.expect(stringify!($name)))($($argument),*) }
    };
}

/// The next nonce of a 12-byte counter.
pub fn count_up(iv: &mut [u8; 12]) {
    let low = u64::from_le_bytes([iv[0], iv[1], iv[2], iv[3], iv[4], iv[5], iv[6], iv[7]]).wrapping_add(1);
    iv[..8].copy_from_slice(&low.to_le_bytes());
}

fn attribute<T: ?Sized>(kind: CK_ATTRIBUTE_TYPE, value: &T) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_: kind,
        pValue: std::ptr::from_ref(value).cast_mut().cast(),
        ulValueLen: std::mem::size_of_val(value) as CK_ULONG,
    }
}

fn mechanism(kind: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 }
}

impl Module {
    /// Loads, initialises a fresh token in the first slot, opens a session and logs in. The
    /// module's own configuration comes from the environment that `ci/bench` prepared.
    pub fn load(name: &str, path: &str) -> Module {
        // SAFETY: loading a PKCS#11 module runs its initialisers; that is what we measure.
        let library = unsafe { libloading::Library::new(path) }.unwrap_or_else(|e| panic!("{path}: {e}"));
        let mut table = null_mut();
        // SAFETY: the symbol has this type in every PKCS#11 module.
        let code = unsafe {
            let list: libloading::Symbol<'_, unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV> =
                library.get(b"C_GetFunctionList").expect("C_GetFunctionList");
            list(addr_of_mut!(table))
        };
        assert_eq!(code, CKR_OK);
        let mut module = Module { name: name.into(), table, slot: 0, session: 0, _library: library };
        module.initialize();
        module.slot = module.first_slot();
        let mut label = [b' '; 32];
        label[..5].copy_from_slice(b"bench");
        let pin = SO_PIN.as_ptr().cast_mut();
        let code = call!(module, C_InitToken, module.slot, pin, SO_PIN.len() as CK_ULONG, label.as_mut_ptr());
        assert_eq!(code, CKR_OK, "{name}: C_InitToken");
        module.slot = module.first_slot();
        module.open();
        module.login(CKU_SO, SO_PIN);
        let code = call!(module, C_InitPIN, module.session, PIN.as_ptr().cast_mut(), PIN.len() as CK_ULONG);
        assert_eq!(code, CKR_OK, "{name}: C_InitPIN");
        assert_eq!(call!(module, C_Logout, module.session), CKR_OK);
        module.login(CKU_USER, PIN);
        module
    }

    fn first_slot(&self) -> CK_SLOT_ID {
        let (mut slots, mut count) = ([0; 16], 16);
        assert_eq!(call!(self, C_GetSlotList, CK_TRUE, slots.as_mut_ptr(), &mut count), CKR_OK);
        slots[0]
    }

    /// For many threads: SoftHSM2 takes no lock at all when it is given no arguments.
    fn initialize(&self) {
        let mut arguments = CK_C_INITIALIZE_ARGS {
            CreateMutex: None,
            DestroyMutex: None,
            LockMutex: None,
            UnlockMutex: None,
            flags: CKF_OS_LOCKING_OK,
            pReserved: null_mut(),
        };
        let code = call!(self, C_Initialize, addr_of_mut!(arguments).cast());
        assert_eq!(code, CKR_OK, "{}: C_Initialize", self.name);
    }

    fn open(&mut self) {
        self.session = self.new_session();
    }

    /// Another session of the same slot.
    pub fn new_session(&self) -> CK_SESSION_HANDLE {
        let mut session = 0;
        let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
        let code = call!(self, C_OpenSession, self.slot, flags, null_mut(), None, &mut session);
        assert_eq!(code, CKR_OK, "{}: C_OpenSession", self.name);
        session
    }

    fn login(&self, user: CK_USER_TYPE, pin: &[u8]) {
        let code = call!(self, C_Login, self.session, user, pin.as_ptr().cast_mut(), pin.len() as CK_ULONG);
        assert_eq!(code, CKR_OK, "{}: C_Login", self.name);
    }

    pub fn log_in(&self, pin: &[u8]) {
        self.login(CKU_USER, pin);
    }

    pub fn log_out(&self) {
        assert_eq!(call!(self, C_Logout, self.session), CKR_OK, "{}: C_Logout", self.name);
    }

    /// C_Finalize, C_Initialize, C_OpenSession, C_Login: the module as a new process finds it.
    pub fn restart(&mut self, log_in: bool) {
        self.finalize();
        self.initialize_and_open();
        if log_in {
            self.login(CKU_USER, PIN);
        }
    }

    pub fn finalize(&self) {
        assert_eq!(call!(self, C_Finalize, null_mut()), CKR_OK, "{}: C_Finalize", self.name);
    }

    pub fn initialize_and_open(&mut self) {
        self.initialize();
        // SoftHSM2's slot numbers move.
        self.slot = self.first_slot();
        self.open();
    }

    /// A session key for the task (token keys are `scale`'s business); `None`: it cannot.
    pub fn key(&self, task: Task) -> Option<Key> {
        match task {
            Task::RsaSign(bits) => {
                self.pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &[attribute(CKA_MODULUS_BITS, &bits)])
            }
            Task::EcSign("P-256") => {
                self.curve(CKM_EC_KEY_PAIR_GEN, b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07")
            }
            Task::EcSign(_) => self.curve(CKM_EC_KEY_PAIR_GEN, b"\x06\x05\x2b\x81\x04\x00\x22"),
            // SoftHSM and Kryoptic want the name, others take the OID.
            Task::EdSign => self
                .curve(CKM_EC_EDWARDS_KEY_PAIR_GEN, b"\x06\x03\x2b\x65\x70")
                .or_else(|| self.curve(CKM_EC_EDWARDS_KEY_PAIR_GEN, b"\x13\x0cedwards25519")),
            Task::MlDsaSign => {
                self.pair(CKM_ML_DSA_KEY_PAIR_GEN, &[attribute(CKA_PARAMETER_SET, &CKP_ML_DSA_65)])
            }
            Task::Gcm(_) => self.secret(CKM_AES_KEY_GEN, CKA_ENCRYPT, None),
            Task::Hmac(_) => self.secret(CKM_GENERIC_SECRET_KEY_GEN, CKA_SIGN, None),
            Task::Digest(_) | Task::Random(_) => Some(0),
        }
    }

    fn curve(&self, kind: CK_MECHANISM_TYPE, params: &[u8]) -> Option<Key> {
        self.pair(kind, &[attribute(CKA_EC_PARAMS, params)])
    }

    fn pair(&self, kind: CK_MECHANISM_TYPE, public: &[CK_ATTRIBUTE]) -> Option<Key> {
        let (mut mechanism, mut public) = (mechanism(kind), public.to_vec());
        public.push(attribute(CKA_VERIFY, &CK_TRUE));
        let mut private = [attribute(CKA_SIGN, &CK_TRUE)];
        let (mut public_key, mut private_key) = (0, 0);
        let (public_count, private_count) = (public.len() as CK_ULONG, private.len() as CK_ULONG);
        let code = call!(
            self,
            C_GenerateKeyPair,
            self.session,
            &mut mechanism,
            public.as_mut_ptr(),
            public_count,
            private.as_mut_ptr(),
            private_count,
            &mut public_key,
            &mut private_key
        );
        (code == CKR_OK).then_some(private_key)
    }

    /// A 32-byte secret key, a token object when it has a label.
    pub fn secret(
        &self,
        kind: CK_MECHANISM_TYPE,
        usage: CK_ATTRIBUTE_TYPE,
        label: Option<&str>,
    ) -> Option<Key> {
        let (mut mechanism, length): (_, CK_ULONG) = (mechanism(kind), 32);
        let token = if label.is_some() { CK_TRUE } else { CK_FALSE };
        let mut template =
            vec![attribute(CKA_VALUE_LEN, &length), attribute(usage, &CK_TRUE), attribute(CKA_TOKEN, &token)];
        if let Some(label) = label {
            template.push(attribute(CKA_LABEL, label.as_bytes()));
        }
        let (mut key, count) = (0, template.len() as CK_ULONG);
        let code =
            call!(self, C_GenerateKey, self.session, &mut mechanism, template.as_mut_ptr(), count, &mut key);
        (code == CKR_OK).then_some(key)
    }

    /// A P-256 key pair on the token, its private half shared with somebody (ours only).
    pub fn shared_key(&self, with: Option<&str>, label: &str) {
        let mut mechanism = mechanism(CKM_EC_KEY_PAIR_GEN);
        let p256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
        let mut public = [attribute(CKA_EC_PARAMS, p256)];
        let sharers = with.unwrap_or_default().as_bytes();
        let mut private = [
            attribute(CKA_TOKEN, &CK_TRUE),
            attribute(CKA_SIGN, &CK_TRUE),
            attribute(CKA_LABEL, label.as_bytes()),
            attribute(SHARED_WITH, sharers),
        ];
        let count = private.len() as CK_ULONG - CK_ULONG::from(with.is_none());
        let (public_list, private_list) = (public.as_mut_ptr(), private.as_mut_ptr());
        let (mut a, mut b) = (0, 0);
        let code = call!(
            self,
            C_GenerateKeyPair,
            self.session,
            &mut mechanism,
            public_list,
            1,
            private_list,
            count,
            &mut a,
            &mut b
        );
        assert_eq!(code, CKR_OK, "{label}");
    }

    /// The private key of a label.
    pub fn private_key(&self, label: &str) -> Key {
        let mut template = [attribute(CKA_LABEL, label.as_bytes()), attribute(CKA_CLASS, &CKO_PRIVATE_KEY)];
        let (mut key, mut count) = (0, 0);
        assert_eq!(call!(self, C_FindObjectsInit, self.session, template.as_mut_ptr(), 2), CKR_OK);
        assert_eq!(call!(self, C_FindObjects, self.session, &mut key, 1, &mut count), CKR_OK);
        assert_eq!(call!(self, C_FindObjectsFinal, self.session), CKR_OK);
        assert_eq!(count, 1, "{label}");
        key
    }

    /// How many objects carry the label.
    pub fn find(&self, label: &str) -> usize {
        let mut template = [attribute(CKA_LABEL, label.as_bytes())];
        let (mut found, mut count) = ([0; 8], 0);
        assert_eq!(call!(self, C_FindObjectsInit, self.session, template.as_mut_ptr(), 1), CKR_OK);
        assert_eq!(call!(self, C_FindObjects, self.session, found.as_mut_ptr(), 8, &mut count), CKR_OK);
        assert_eq!(call!(self, C_FindObjectsFinal, self.session), CKR_OK);
        count as usize
    }

    pub fn operation(&self, task: Task, key: Key) -> Operation<'_> {
        self.operation_in(self.session, task, key)
    }

    /// The task as Init plus one-shot, the way applications call it.
    pub fn operation_in(&self, session: CK_SESSION_HANDLE, task: Task, key: Key) -> Operation<'_> {
        match task {
            Task::RsaSign(_) => {
                let mut info =
                    b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20".to_vec();
                info.extend([7; 32]);
                self.sign(session, CKM_RSA_PKCS, key, info)
            }
            Task::EcSign(curve) => {
                self.sign(session, CKM_ECDSA, key, vec![7; if curve == "P-256" { 32 } else { 48 }])
            }
            Task::EdSign => self.sign(session, CKM_EDDSA, key, vec![7; 32]),
            Task::MlDsaSign => self.sign(session, CKM_ML_DSA, key, vec![7; 32]),
            Task::Hmac(size) => self.sign(session, CKM_SHA256_HMAC, key, vec![5; size]),
            Task::Gcm(size) => self.gcm(session, key, size),
            Task::Digest(size) => self.digest(session, size),
            Task::Random(size) => {
                let mut out = vec![0; size];
                Box::new(move || {
                    let (data, length) = (out.as_mut_ptr(), out.len() as CK_ULONG);
                    assert_eq!(call!(self, C_GenerateRandom, session, data, length), CKR_OK);
                })
            }
        }
    }

    fn sign(
        &self,
        session: CK_SESSION_HANDLE,
        kind: CK_MECHANISM_TYPE,
        key: Key,
        mut data: Vec<u8>,
    ) -> Operation<'_> {
        let (mut mechanism, mut signature) = (mechanism(kind), [0u8; 4096]);
        Box::new(move || {
            // NSS takes nothing but the exact length for Ed25519; others take any room.
            let mut length = if kind == CKM_EDDSA { 64 } else { signature.len() as CK_ULONG };
            assert_eq!(call!(self, C_SignInit, session, &mut mechanism, key), CKR_OK, "{}", self.name);
            let (input, size) = (data.as_mut_ptr(), data.len() as CK_ULONG);
            let code = call!(self, C_Sign, session, input, size, signature.as_mut_ptr(), &mut length);
            assert_eq!(code, CKR_OK, "{}: C_Sign", self.name);
        })
    }

    fn gcm(&self, session: CK_SESSION_HANDLE, key: Key, size: usize) -> Operation<'_> {
        let (mut iv, mut plain, mut sealed) = ([0u8; 12], vec![5u8; size], vec![0u8; size + 16]);
        Box::new(move || {
            count_up(&mut iv);
            let mut params = CK_GCM_PARAMS {
                pIv: iv.as_mut_ptr(),
                ulIvLen: 12,
                ulIvBits: 96,
                pAAD: null_mut(),
                ulAADLen: 0,
                ulTagBits: 128,
            };
            let mut mechanism = CK_MECHANISM {
                mechanism: CKM_AES_GCM,
                pParameter: addr_of_mut!(params).cast(),
                ulParameterLen: size_of::<CK_GCM_PARAMS>() as CK_ULONG,
            };
            let mut length = sealed.len() as CK_ULONG;
            assert_eq!(call!(self, C_EncryptInit, session, &mut mechanism, key), CKR_OK);
            let (data, size) = (plain.as_mut_ptr(), plain.len() as CK_ULONG);
            assert_eq!(call!(self, C_Encrypt, session, data, size, sealed.as_mut_ptr(), &mut length), CKR_OK);
        })
    }

    fn digest(&self, session: CK_SESSION_HANDLE, size: usize) -> Operation<'_> {
        let (mut mechanism, mut data, mut digest) = (mechanism(CKM_SHA256), vec![5u8; size], [0u8; 32]);
        Box::new(move || {
            let mut length = 32;
            assert_eq!(call!(self, C_DigestInit, session, &mut mechanism), CKR_OK);
            let (input, size) = (data.as_mut_ptr(), data.len() as CK_ULONG);
            assert_eq!(call!(self, C_Digest, session, input, size, digest.as_mut_ptr(), &mut length), CKR_OK);
        })
    }
}

// SAFETY: a PKCS#11 module initialised for threads may be called from any of them.
unsafe impl Sync for Module {}
