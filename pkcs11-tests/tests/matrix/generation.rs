//! The matrix's part on new keys: made alone, in pairs, and by encapsulation.

use crate::Bench;
use cryptoki_sys::*;
use pkcs11_tests::keys::{bytes, no, number, yes};

impl Bench {
    pub fn encapsulates(&self, kind: CK_MECHANISM_TYPE) {
        let (module, session) = (&self.at.module, self.session);
        let open = [no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE)];
        for set in [CKP_ML_KEM_512, CKP_ML_KEM_768, CKP_ML_KEM_1024] {
            let pair = module.of_set(session, CKM_ML_KEM_KEY_PAIR_GEN, set);
            let (ciphertext, key) = module.encapsulate(session, pair.public, &open).expect("encapsulate");
            let back = module.decapsulate(session, pair.private, &open, &ciphertext).expect("decapsulate");
            let value = |key| module.attribute(session, key, CKA_VALUE).expect("value");
            assert!(value(key).len() == 32 && value(key) == value(back), "{kind:#x}");
            let wrong = module.encapsulate(session, self.aes, &open);
            assert_eq!(wrong.err(), Some(CKR_KEY_TYPE_INCONSISTENT), "{kind:#x}");
            let wrong = module.decapsulate(session, self.aes, &open, &ciphertext);
            assert_eq!(wrong, Err(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT), "{kind:#x}");
        }
    }

    pub fn generates(&self, kind: CK_MECHANISM_TYPE) {
        let (module, session) = (&self.at.module, self.session);
        if kind == CKM_PKCS5_PBKD2 {
            return self.makes_of_passwords();
        }
        // Its length need not be said.
        let template = if kind == CKM_DES3_KEY_GEN { vec![] } else { vec![number(CKA_VALUE_LEN, 32)] };
        let key = module.generate(session, kind, &template).expect("generate");
        assert_eq!(module.attribute(session, key, CKA_KEY_GEN_MECHANISM), Ok(kind.to_ne_bytes().to_vec()));
        assert_eq!(module.attribute(session, key, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
        if kind == CKM_DES3_KEY_GEN {
            return;
        }
        // ChaCha20's length need not be said.
        if kind != CKM_CHACHA20_KEY_GEN {
            assert_eq!(module.generate(session, kind, &[]), Err(CKR_TEMPLATE_INCOMPLETE));
        }
        assert_eq!(module.generate(session, kind, &[number(CKA_VALUE_LEN, 0)]), Err(CKR_KEY_SIZE_RANGE));
    }

    pub fn generates_pairs(&self, kind: CK_MECHANISM_TYPE) {
        let (module, session) = (&self.at.module, self.session);
        let refused = module.generate_pair(session, kind, &[], &[]).expect_err("an empty template");
        assert_eq!(refused, CKR_TEMPLATE_INCOMPLETE, "{kind:#x}");
        let (bad, code) = match kind {
            CKM_RSA_PKCS_KEY_PAIR_GEN => (number(CKA_MODULUS_BITS, 512), CKR_KEY_SIZE_RANGE),
            CKM_ML_DSA_KEY_PAIR_GEN | CKM_ML_KEM_KEY_PAIR_GEN => {
                (number(CKA_PARAMETER_SET, 4), CKR_PARAMETER_SET_NOT_SUPPORTED)
            }
            CKM_SLH_DSA_KEY_PAIR_GEN => (number(CKA_PARAMETER_SET, 13), CKR_PARAMETER_SET_NOT_SUPPORTED),
            _ => (bytes(CKA_EC_PARAMS, b"\x06\x01\x2a"), CKR_CURVE_NOT_SUPPORTED),
        };
        assert_eq!(module.generate_pair(session, kind, &[bad], &[]).err(), Some(code), "{kind:#x}");
    }
}
