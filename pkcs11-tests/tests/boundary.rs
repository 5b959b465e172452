//! Every function of the table with NULL, garbage and odd pointers, in every state: no crash, no
//! CKR_GENERAL_ERROR (which is a stopped panic), the session usable after.

use cryptoki_sys::*;
use pkcs11_tests::keys::{Pair, number, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Module, PIN, RW, call, cheap_config};
use std::os::raw::c_void;
use std::ptr::null_mut;

/// What a sweep passes for each kind of argument; the first number is always the session.
struct Filler {
    session: CK_ULONG,
    first: bool,
    number: CK_ULONG,
    /// What the memory behind pointers holds; `None` passes NULL.
    byte: Option<u8>,
    /// How far pointers are from being aligned.
    offset: usize,
    regions: Vec<Vec<u64>>,
}

impl Filler {
    fn new(number: CK_ULONG, byte: Option<u8>, offset: usize) -> Filler {
        Filler { session: 0, first: true, number, byte, offset, regions: Vec::new() }
    }

    fn start(&mut self, session: CK_ULONG) {
        (self.session, self.first) = (session, true);
        self.regions.clear();
    }

    fn number(&mut self) -> CK_ULONG {
        if std::mem::replace(&mut self.first, false) { self.session } else { self.number }
    }

    fn pointer(&mut self) -> *mut c_void {
        let Some(byte) = self.byte else { return null_mut() };
        self.regions.push(vec![u64::from_ne_bytes([byte; 8]); 1024]);
        let region = self.regions.last_mut().expect("just pushed");
        region.as_mut_ptr().cast::<u8>().wrapping_add(self.offset).cast()
    }
}

trait Argument {
    fn made(filler: &mut Filler) -> Self;
}

impl Argument for CK_ULONG {
    fn made(filler: &mut Filler) -> Self {
        filler.number()
    }
}

impl Argument for CK_BYTE {
    fn made(_: &mut Filler) -> Self {
        CK_TRUE
    }
}

impl<T> Argument for *mut T {
    fn made(filler: &mut Filler) -> Self {
        filler.pointer().cast()
    }
}

impl Argument for CK_NOTIFY {
    fn made(_: &mut Filler) -> Self {
        None
    }
}

trait Function {
    fn run(self, filler: &mut Filler) -> CK_RV;
}

macro_rules! arity {
    ($($type:ident)*) => {
        impl<$($type: Argument),*> Function for unsafe extern "C" fn($($type),*) -> CK_RV {
            fn run(self, filler: &mut Filler) -> CK_RV {
                // SAFETY: pointers are NULL or point to 8 KiB that are the call's own; the numbers
                // promise no more than that, or so much that a module must refuse them.
                unsafe { self($($type::made(filler)),*) }
            }
        }
    };
}

arity!(A);
arity!(A B);
arity!(A B C);
arity!(A B C D);
arity!(A B C D E);
arity!(A B C D E F);
arity!(A B C D E F G);
arity!(A B C D E F G H);
arity!(A B C D E F G H I);
arity!(A B C D E F G H I J);

type Entry = (&'static str, fn(&Module, &mut Filler) -> CK_RV);

macro_rules! entries {
    ($($name:ident)*) => { [$((stringify!($name), |module, filler| {
        // SAFETY: the table is the module's.
        let function = unsafe { (*module.list).$name }.expect(stringify!($name));
        function.run(filler)
    })),*] };
}

const ENTRIES: [Entry; 104] = entries! {
    C_Initialize C_Finalize C_GetInfo C_GetFunctionList C_GetSlotList C_GetSlotInfo C_GetTokenInfo
    C_GetMechanismList C_GetMechanismInfo C_InitToken C_InitPIN C_SetPIN C_OpenSession C_CloseSession
    C_CloseAllSessions C_GetSessionInfo C_GetOperationState C_SetOperationState C_Login C_Logout
    C_CreateObject C_CopyObject C_DestroyObject C_GetObjectSize C_GetAttributeValue C_SetAttributeValue
    C_FindObjectsInit C_FindObjects C_FindObjectsFinal C_EncryptInit C_Encrypt C_EncryptUpdate
    C_EncryptFinal C_DecryptInit C_Decrypt C_DecryptUpdate C_DecryptFinal C_DigestInit C_Digest
    C_DigestUpdate C_DigestKey C_DigestFinal C_SignInit C_Sign C_SignUpdate C_SignFinal C_SignRecoverInit
    C_SignRecover C_VerifyInit C_Verify C_VerifyUpdate C_VerifyFinal C_VerifyRecoverInit C_VerifyRecover
    C_DigestEncryptUpdate C_DecryptDigestUpdate C_SignEncryptUpdate C_DecryptVerifyUpdate C_GenerateKey
    C_GenerateKeyPair C_WrapKey C_UnwrapKey C_DeriveKey C_SeedRandom C_GenerateRandom C_GetFunctionStatus
    C_CancelFunction C_WaitForSlotEvent C_GetInterfaceList C_GetInterface C_LoginUser C_SessionCancel
    C_MessageEncryptInit C_EncryptMessage C_EncryptMessageBegin C_EncryptMessageNext C_MessageEncryptFinal
    C_MessageDecryptInit C_DecryptMessage C_DecryptMessageBegin C_DecryptMessageNext C_MessageDecryptFinal
    C_MessageSignInit C_SignMessage C_SignMessageBegin C_SignMessageNext C_MessageSignFinal
    C_MessageVerifyInit C_VerifyMessage C_VerifyMessageBegin C_VerifyMessageNext C_MessageVerifyFinal
    C_EncapsulateKey C_DecapsulateKey C_VerifySignatureInit C_VerifySignature C_VerifySignatureUpdate
    C_VerifySignatureFinal C_GetSessionValidationFlags C_AsyncComplete C_AsyncGetID C_AsyncJoin
    C_WrapKeyAuthenticated C_UnwrapKeyAuthenticated
};

/// Those that need no initialised library.
const ALWAYS: [&str; 4] = ["C_Initialize", "C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface"];

fn not_before_initialize(module: &Module) {
    for (name, run) in ENTRIES.iter().filter(|(name, _)| !ALWAYS.contains(name)) {
        let mut filler = Filler::new(0, None, 0);
        filler.start(1);
        assert_eq!(run(module, &mut filler), CKR_CRYPTOKI_NOT_INITIALIZED, "{name}");
    }
}

/// A session of the logged-in user, with an operation of each kind and a search running in it.
struct Busy<'a> {
    module: &'a Module,
    /// Holds the keys and, while others come and go, the login.
    keeper: CK_SESSION_HANDLE,
    key: CK_OBJECT_HANDLE,
    rsa: Pair,
    session: CK_SESSION_HANDLE,
}

impl<'a> Busy<'a> {
    fn new(module: &'a Module) -> Busy<'a> {
        let (keeper, session) = (module.session(RW).expect("session"), module.session(RW).expect("session"));
        let rsa = Pair { public: 0, private: 0 };
        let mut busy = Busy { module, keeper, key: 0, rsa, session };
        busy.renew("nothing");
        busy
    }

    /// Whatever the last call did: the session is there, and takes all operations anew.
    fn renew(&mut self, after: &str) {
        let module = self.module;
        if call!(module, C_GetSessionInfo, self.session, &mut CK_SESSION_INFO::default()) != CKR_OK {
            assert_eq!(after, "C_CloseSession", "the session is gone");
            self.session = module.session(RW).expect("session");
        }
        match module.login(self.keeper, CKU_USER, PIN) {
            Err(code) => assert_eq!(code, CKR_USER_ALREADY_LOGGED_IN, "after {after}"),
            Ok(()) => {
                assert!(matches!(after, "nothing" | "C_Logout"), "{after} ended the login");
                let usage = [CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY].map(yes);
                let template = [&usage[..], &[number(CKA_VALUE_LEN, 32)]].concat();
                self.key = module.generate(self.keeper, CKM_AES_KEY_GEN, &template).expect("key");
                self.rsa = module.rsa(self.keeper);
            }
        }
        let recover = CKF_SIGN_RECOVER | CKF_VERIFY_RECOVER;
        let messages = CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT | CKF_MESSAGE_SIGN | CKF_MESSAGE_VERIFY;
        let everything = messages
            | CKF_ENCRYPT
            | CKF_DECRYPT
            | CKF_DIGEST
            | CKF_SIGN
            | CKF_VERIFY
            | recover
            | CKF_FIND_OBJECTS;
        assert_eq!(call!(module, C_SessionCancel, self.session, everything), CKR_OK, "after {after}");
        self.start_all(after);
    }

    fn start_all(&self, after: &str) {
        let (module, session, key) = (self.module, self.session, self.key);
        let mut signature = [7; 16];
        let codes = [
            call!(module, C_EncryptInit, session, &mut mechanism(CKM_AES_CTR), key),
            call!(module, C_DecryptInit, session, &mut mechanism(CKM_AES_GCM), key),
            call!(module, C_DigestInit, session, &mut mechanism(CKM_SHA256)),
            call!(module, C_SignInit, session, &mut mechanism(CKM_AES_CMAC), key),
            call!(module, C_VerifyInit, session, &mut mechanism(CKM_AES_CMAC), key),
            call!(
                module,
                C_VerifySignatureInit,
                session,
                &mut mechanism(CKM_AES_CMAC),
                key,
                signature.as_mut_ptr(),
                16
            ),
            call!(module, C_SignRecoverInit, session, &mut mechanism(CKM_RSA_PKCS), self.rsa.private),
            call!(module, C_VerifyRecoverInit, session, &mut mechanism(CKM_RSA_PKCS), self.rsa.public),
            call!(module, C_MessageEncryptInit, session, &mut mechanism(CKM_AES_CCM), key),
            call!(module, C_MessageDecryptInit, session, &mut mechanism(CKM_AES_GCM), key),
            call!(module, C_MessageSignInit, session, &mut mechanism(CKM_AES_CMAC), key),
            call!(module, C_MessageVerifyInit, session, &mut mechanism(CKM_AES_CMAC), key),
            call!(module, C_FindObjectsInit, session, null_mut(), 0),
        ];
        assert_eq!(codes, [CKR_OK; 13], "after {after}");
    }
}

/// Calls everything once with what the filler gives; answers the codes.
fn sweep(busy: &mut Busy<'_>, filler: &mut Filler, session: Option<CK_ULONG>) -> Vec<(&'static str, CK_RV)> {
    let mut codes = Vec::new();
    for (name, run) in &ENTRIES {
        // C_Finalize(NULL) is right and would end the sweep; C_Initialize reads a string that its
        // arguments point to, so garbage there is beyond what a module can check.
        let beyond = match *name {
            "C_Finalize" => filler.byte.is_none(),
            "C_Initialize" => filler.byte.is_some_and(|byte| byte != 0),
            _ => false,
        };
        if beyond {
            continue;
        }
        filler.start(session.unwrap_or(busy.session));
        let code = run(busy.module, filler);
        assert_ne!(code, CKR_GENERAL_ERROR, "{name} panicked with {:?} {}", filler.byte, filler.number);
        assert_ne!(code, CKR_CRYPTOKI_NOT_INITIALIZED, "{name}");
        busy.renew(name);
        codes.push((*name, code));
    }
    codes
}

/// That exactly the named functions answer CKR_OK, and the others a code of the list.
fn only(codes: &[(&str, CK_RV)], fine: &[&str], refusals: &[CK_RV]) {
    for (name, code) in codes {
        let expected = if fine.contains(name) { *code == CKR_OK } else { refusals.contains(code) };
        assert!(expected, "{name}: {code:#x}");
    }
}

#[test]
fn every_function_with_null_and_garbage() {
    let module = Module::load();
    not_before_initialize(&module);
    let (_folder, config) = cheap_config();
    module.initialize(&config).expect("C_Initialize");
    module.make_token();
    let mut busy = Busy::new(&module);
    // NULL everywhere. A NULL mechanism ends the running operation.
    let refusals = [
        CKR_ARGUMENTS_BAD,
        CKR_CRYPTOKI_ALREADY_INITIALIZED,
        CKR_FUNCTION_FAILED,
        CKR_FUNCTION_NOT_PARALLEL,
        CKR_FUNCTION_NOT_SUPPORTED,
        CKR_KEY_HANDLE_INVALID,
        CKR_MECHANISM_PARAM_INVALID,
        CKR_OBJECT_HANDLE_INVALID,
        CKR_SESSION_HANDLE_INVALID,
        // C_VerifySignatureFinal has no pointer to be NULL.
        CKR_SIGNATURE_INVALID,
        CKR_SLOT_ID_INVALID,
    ];
    let fine = [
        "C_CloseSession",
        "C_Logout",
        "C_SessionCancel",
        "C_FindObjectsFinal",
        "C_EncryptInit",
        "C_DecryptInit",
        "C_DigestInit",
        "C_SignInit",
        "C_VerifyInit",
        "C_SignRecoverInit",
        "C_VerifyRecoverInit",
        "C_MessageEncryptInit",
        "C_MessageEncryptFinal",
        "C_MessageDecryptInit",
        "C_MessageDecryptFinal",
        "C_MessageSignInit",
        "C_MessageSignFinal",
        "C_MessageVerifyInit",
        "C_MessageVerifyFinal",
        "C_VerifySignatureInit",
    ];
    only(&sweep(&mut busy, &mut Filler::new(7777, None, 0), None), &fine, &refusals);
    only(&sweep(&mut busy, &mut Filler::new(7777, None, 0), Some(0xdead)), &[], &refusals);
    // Memory that means nothing: structures of zeros and of ones, lengths true and absurd, odd pointers.
    let zeros = sweep(&mut busy, &mut Filler::new(3, Some(0), 0), None);
    assert_eq!(zeros, sweep(&mut busy, &mut Filler::new(3, Some(0), 1), None), "alignment changes nothing");
    for (number, byte, offset) in [(3, 0xff, 0), (3, 1, 5), (1, 1, 1), (300, 0x30, 2), (CK_ULONG::MAX, 0, 0)]
    {
        sweep(&mut busy, &mut Filler::new(number, Some(byte), offset), None);
    }
    let absurd = sweep(&mut busy, &mut Filler::new(CK_ULONG::MAX, Some(0xff), 3), None);
    assert!(absurd.iter().filter(|(_, code)| *code == CKR_ARGUMENTS_BAD).count() > 20);
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    not_before_initialize(&module);
}
