//! Templates, keys and attributes in few words.

use crate::{Module, Result, call, check};
use cryptoki_sys::*;
use std::ptr::null_mut;

/// An attribute that owns its bytes.
#[derive(Clone)]
pub struct Attribute {
    pub kind: CK_ATTRIBUTE_TYPE,
    pub bytes: Vec<u8>,
}

pub fn yes(kind: CK_ATTRIBUTE_TYPE) -> Attribute {
    Attribute { kind, bytes: vec![CK_TRUE] }
}

pub fn no(kind: CK_ATTRIBUTE_TYPE) -> Attribute {
    Attribute { kind, bytes: vec![CK_FALSE] }
}

pub fn number(kind: CK_ATTRIBUTE_TYPE, value: CK_ULONG) -> Attribute {
    Attribute { kind, bytes: value.to_ne_bytes().to_vec() }
}

pub fn bytes(kind: CK_ATTRIBUTE_TYPE, value: &[u8]) -> Attribute {
    Attribute { kind, bytes: value.to_vec() }
}

/// The C form, borrowing.
pub fn template(attributes: &[Attribute]) -> Vec<CK_ATTRIBUTE> {
    let one = |a: &Attribute| CK_ATTRIBUTE {
        type_: a.kind,
        pValue: a.bytes.as_ptr().cast_mut().cast(),
        ulValueLen: a.bytes.len() as CK_ULONG,
    };
    attributes.iter().map(one).collect()
}

pub const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
pub const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";
pub const X25519: &[u8] = b"\x06\x03\x2b\x65\x6e";

/// (public or secret, private or secret): the handle to verify or encrypt with, and the other.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub public: CK_OBJECT_HANDLE,
    pub private: CK_OBJECT_HANDLE,
}

impl Module {
    pub fn create(&self, session: CK_SESSION_HANDLE, attributes: &[Attribute]) -> Result<CK_OBJECT_HANDLE> {
        let (mut list, mut object) = (template(attributes), 0);
        check(call!(self, C_CreateObject, session, list.as_mut_ptr(), list.len() as CK_ULONG, &mut object))?;
        Ok(object)
    }

    pub fn generate(
        &self,
        session: CK_SESSION_HANDLE,
        kind: CK_MECHANISM_TYPE,
        attributes: &[Attribute],
    ) -> Result<CK_OBJECT_HANDLE> {
        let mechanism = CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 };
        self.generate_with(session, mechanism, attributes)
    }

    pub fn generate_with(
        &self,
        session: CK_SESSION_HANDLE,
        mut mechanism: CK_MECHANISM,
        attributes: &[Attribute],
    ) -> Result<CK_OBJECT_HANDLE> {
        let (mut list, mut key) = (template(attributes), 0);
        check(call!(
            self,
            C_GenerateKey,
            session,
            &mut mechanism,
            list.as_mut_ptr(),
            list.len() as CK_ULONG,
            &mut key
        ))?;
        Ok(key)
    }

    pub fn generate_pair(
        &self,
        session: CK_SESSION_HANDLE,
        kind: CK_MECHANISM_TYPE,
        public: &[Attribute],
        private: &[Attribute],
    ) -> Result<Pair> {
        let (mut public, mut private) = (template(public), template(private));
        let mut mechanism = CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 };
        let mut pair = Pair { public: 0, private: 0 };
        check(call!(
            self,
            C_GenerateKeyPair,
            session,
            &mut mechanism,
            public.as_mut_ptr(),
            public.len() as CK_ULONG,
            private.as_mut_ptr(),
            private.len() as CK_ULONG,
            &mut pair.public,
            &mut pair.private
        ))?;
        Ok(pair)
    }

    /// One attribute, by the two calls that clients make.
    pub fn attribute(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        kind: CK_ATTRIBUTE_TYPE,
    ) -> Result<Vec<u8>> {
        let mut entry = CK_ATTRIBUTE { type_: kind, pValue: null_mut(), ulValueLen: 0 };
        check(call!(self, C_GetAttributeValue, session, object, &mut entry, 1))?;
        let mut value = vec![0; entry.ulValueLen as usize];
        entry.pValue = value.as_mut_ptr().cast();
        check(call!(self, C_GetAttributeValue, session, object, &mut entry, 1))?;
        Ok(value)
    }

    /// A new shared secret by C_EncapsulateKey and the two calls that clients make: (ciphertext, key).
    pub fn encapsulate(
        &self,
        session: CK_SESSION_HANDLE,
        public: CK_OBJECT_HANDLE,
        attributes: &[Attribute],
    ) -> Result<(Vec<u8>, CK_OBJECT_HANDLE)> {
        let mut mechanism = CK_MECHANISM { mechanism: CKM_ML_KEM, pParameter: null_mut(), ulParameterLen: 0 };
        let (mut list, mut length, mut key) = (template(attributes), 0, 0);
        let (start, count) = (list.as_mut_ptr(), list.len() as CK_ULONG);
        let mut step = |out: *mut u8| {
            let mechanism = &mut mechanism;
            let (length, key) = (&mut length, &mut key);
            check(call!(self, C_EncapsulateKey, session, mechanism, public, start, count, out, length, key))
        };
        step(null_mut())?;
        let mut ciphertext = vec![0; 1568];
        step(ciphertext.as_mut_ptr())?;
        ciphertext.truncate(length as usize);
        Ok((ciphertext, key))
    }

    pub fn decapsulate(
        &self,
        session: CK_SESSION_HANDLE,
        private: CK_OBJECT_HANDLE,
        attributes: &[Attribute],
        ciphertext: &[u8],
    ) -> Result<CK_OBJECT_HANDLE> {
        let mut mechanism = CK_MECHANISM { mechanism: CKM_ML_KEM, pParameter: null_mut(), ulParameterLen: 0 };
        let (mut list, mut key) = (template(attributes), 0);
        let (data, size) = (ciphertext.as_ptr().cast_mut(), ciphertext.len() as CK_ULONG);
        let (start, count) = (list.as_mut_ptr(), list.len() as CK_ULONG);
        let (mechanism, made) = (&mut mechanism, &mut key);
        check(call!(self, C_DecapsulateKey, session, mechanism, private, start, count, data, size, made))?;
        Ok(key)
    }

    pub fn find(
        &self,
        session: CK_SESSION_HANDLE,
        attributes: &[Attribute],
    ) -> Result<Vec<CK_OBJECT_HANDLE>> {
        let mut list = template(attributes);
        check(call!(self, C_FindObjectsInit, session, list.as_mut_ptr(), list.len() as CK_ULONG))?;
        let mut found = Vec::new();
        loop {
            let (mut some, mut count) = ([0; 7], 0);
            check(call!(self, C_FindObjects, session, some.as_mut_ptr(), 7, &mut count))?;
            found.extend_from_slice(&some[..count as usize]);
            if count == 0 {
                break;
            }
        }
        check(call!(self, C_FindObjectsFinal, session))?;
        Ok(found)
    }

    pub fn destroy(&self, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Result<()> {
        check(call!(self, C_DestroyObject, session, object))
    }

    /// An AES key of 32 bytes that works on data.
    pub fn aes(&self, session: CK_SESSION_HANDLE) -> CK_OBJECT_HANDLE {
        self.aes_for(session, &[CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY])
    }

    /// One that may do everything, which only a loosened token makes.
    pub fn aes_of_all_uses(&self, session: CK_SESSION_HANDLE) -> CK_OBJECT_HANDLE {
        self.aes_for(session, &[CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP, CKA_SIGN, CKA_VERIFY])
    }

    /// One for these uses; it may be wrapped.
    pub fn aes_for(&self, session: CK_SESSION_HANDLE, usage: &[CK_ATTRIBUTE_TYPE]) -> CK_OBJECT_HANDLE {
        let mut attributes = vec![number(CKA_VALUE_LEN, 32), yes(CKA_EXTRACTABLE)];
        attributes.extend(usage.iter().copied().map(yes));
        self.generate(session, CKM_AES_KEY_GEN, &attributes).expect("AES key")
    }

    pub fn secret(&self, session: CK_SESSION_HANDLE) -> CK_OBJECT_HANDLE {
        let attributes = [number(CKA_VALUE_LEN, 48), yes(CKA_EXTRACTABLE), yes(CKA_DERIVE)];
        self.generate(session, CKM_GENERIC_SECRET_KEY_GEN, &attributes).expect("secret")
    }

    /// A pair that signs and decrypts.
    pub fn rsa(&self, session: CK_SESSION_HANDLE) -> Pair {
        let public = [number(CKA_MODULUS_BITS, 2048), yes(CKA_VERIFY), yes(CKA_ENCRYPT)];
        let private = [CKA_SIGN, CKA_SIGN_RECOVER, CKA_DECRYPT, CKA_EXTRACTABLE].map(yes);
        self.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private).expect("RSA pair")
    }

    /// One that wraps and unwraps too, which only a loosened token makes.
    pub fn rsa_of_all_uses(&self, session: CK_SESSION_HANDLE) -> Pair {
        let public = [number(CKA_MODULUS_BITS, 2048), yes(CKA_WRAP), yes(CKA_VERIFY), yes(CKA_ENCRYPT)];
        let private = [CKA_UNWRAP, CKA_SIGN, CKA_SIGN_RECOVER, CKA_DECRYPT, CKA_EXTRACTABLE].map(yes);
        self.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private).expect("RSA pair")
    }

    pub fn ec(&self, session: CK_SESSION_HANDLE, params: &[u8]) -> Pair {
        let public = [bytes(CKA_EC_PARAMS, params)];
        self.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &[yes(CKA_EXTRACTABLE)]).expect("EC pair")
    }

    pub fn x25519(&self, session: CK_SESSION_HANDLE) -> Pair {
        let public = [bytes(CKA_EC_PARAMS, X25519)];
        let private = [yes(CKA_EXTRACTABLE)];
        self.generate_pair(session, CKM_EC_MONTGOMERY_KEY_PAIR_GEN, &public, &private).expect("X25519 pair")
    }

    /// A pair of a parameter set; both halves may do what their type can.
    pub fn of_set(&self, session: CK_SESSION_HANDLE, kind: CK_MECHANISM_TYPE, set: CK_ULONG) -> Pair {
        let public = [number(CKA_PARAMETER_SET, set)];
        self.generate_pair(session, kind, &public, &[yes(CKA_EXTRACTABLE)]).expect("a pair of a set")
    }

    pub fn ed(&self, session: CK_SESSION_HANDLE) -> Pair {
        let public = [bytes(CKA_EC_PARAMS, ED25519)];
        self.generate_pair(session, CKM_EC_EDWARDS_KEY_PAIR_GEN, &public, &[]).expect("Ed25519 pair")
    }
}

/// CKA_STRONGROOM_OWNER and CKA_STRONGROOM_SHARED_WITH.
pub const OWNER: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x5352_0002;
pub const SHARED_WITH: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x5352_0003;

/// C_SetAttributeValue of one attribute; what it answers.
pub fn set(
    module: &Module,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    kind: CK_ATTRIBUTE_TYPE,
    value: &[u8],
) -> CK_RV {
    let given = [bytes(kind, value)];
    let mut list = template(&given);
    call!(module, C_SetAttributeValue, session, object, list.as_mut_ptr(), 1)
}

/// An ECDSA signature over P-256; what the first call that fails answers.
pub fn sign(module: &Module, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> CK_RV {
    let mut ecdsa = CK_MECHANISM { mechanism: CKM_ECDSA, pParameter: null_mut(), ulParameterLen: 0 };
    let begun = call!(module, C_SignInit, session, &mut ecdsa, key);
    if begun != CKR_OK {
        return begun;
    }
    let (mut hash, mut signature, mut length) = ([1; 32], [0; 64], 64);
    call!(module, C_Sign, session, hash.as_mut_ptr(), 32, signature.as_mut_ptr(), &mut length)
}
