//! What programs on the hosts do with keys, by the module, which is one for the process.

use cryptoki_sys::*;
use pkcs11_tests::keys::{Attribute, P256, bytes, number, template, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Module, Result, call};

pub struct Programs {
    pub module: Module,
}

impl Programs {
    pub fn load() -> Programs {
        Programs { module: Module::load() }
    }

    pub fn try_pair(&self, session: CK_SESSION_HANDLE, label: &str) -> Result<()> {
        let own = [yes(CKA_TOKEN), bytes(CKA_LABEL, label.as_bytes())];
        let public = [&own[..], &[bytes(CKA_EC_PARAMS, P256)]].concat();
        self.module.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &own).map(drop)
    }

    pub fn pair(&self, session: CK_SESSION_HANDLE, label: &str) {
        self.try_pair(session, label).expect("a pair");
    }

    pub fn create(&self, session: CK_SESSION_HANDLE, object: &[Attribute]) -> CK_OBJECT_HANDLE {
        self.module.create(session, object).expect("an object")
    }

    /// Private keys of a label.
    pub fn find(&self, session: CK_SESSION_HANDLE, label: &str) -> Vec<CK_OBJECT_HANDLE> {
        let wanted = [bytes(CKA_LABEL, label.as_bytes()), number(CKA_CLASS, CKO_PRIVATE_KEY)];
        self.module.find(session, &wanted).expect("find")
    }

    pub fn sign(&self, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> CK_RV {
        let begun = call!(self.module, C_SignInit, session, &mut mechanism(CKM_ECDSA), key);
        if begun != CKR_OK {
            return begun;
        }
        let (mut hash, mut signature, mut length) = ([1; 32], [0; 64], 64);
        call!(self.module, C_Sign, session, hash.as_mut_ptr(), 32, signature.as_mut_ptr(), &mut length)
    }

    pub fn set(&self, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE, values: &[Attribute]) -> CK_RV {
        let mut list = template(values);
        call!(self.module, C_SetAttributeValue, session, key, list.as_mut_ptr(), list.len() as CK_ULONG)
    }

    pub fn destroy(&self, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> CK_RV {
        call!(self.module, C_DestroyObject, session, key)
    }

    pub fn id_of(&self, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Vec<u8> {
        self.module.attribute(session, key, CKA_ID).expect("an id")
    }
}
