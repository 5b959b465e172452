//! The matrix's part on derivation: the same from the same, another from another, and the refusals.

use crate::Bench;
use cryptoki_sys::*;
use pkcs11_tests::derivation::{ecdh, joined, kdf};
use pkcs11_tests::keys::{P256, Pair, bytes, no, number, yes};
use pkcs11_tests::params::{self, mechanism, with, wrong};

/// What CKM_ECDH1_DERIVE takes.
const KDFS: [CK_EC_KDF_TYPE; 10] = [
    CKD_NULL,
    CKD_SHA1_KDF,
    CKD_SHA224_KDF,
    CKD_SHA256_KDF,
    CKD_SHA384_KDF,
    CKD_SHA512_KDF,
    CKD_SHA3_224_KDF,
    CKD_SHA3_256_KDF,
    CKD_SHA3_384_KDF,
    CKD_SHA3_512_KDF,
];

impl Bench {
    pub fn derives(&self, kind: CK_MECHANISM_TYPE) {
        match kind {
            CKM_ECDH1_DERIVE | CKM_ECDH1_COFACTOR_DERIVE => self.agrees(kind),
            CKM_HKDF_DERIVE => self.derives_keys(kind),
            CKM_HKDF_DATA => self.derives_data(kind),
            CKM_SP800_108_COUNTER_KDF | CKM_SP800_108_FEEDBACK_KDF | CKM_SP800_108_DOUBLE_PIPELINE_KDF => {
                self.derives_keys(kind)
            }
            CKM_CONCATENATE_BASE_AND_DATA | CKM_CONCATENATE_DATA_AND_BASE | CKM_XOR_BASE_AND_DATA => {
                self.joins(kind, joined(kind, b"some data"));
            }
            CKM_CONCATENATE_BASE_AND_KEY => self.joins(kind, with(kind, self.secret)),
            CKM_EXTRACT_KEY_FROM_KEY => self.joins(kind, with(kind, 9 as CK_ULONG)),
            other => panic!("the matrix knows no derivation for mechanism {other:#x}"),
        }
    }

    fn agrees(&self, kind: CK_MECHANISM_TYPE) {
        let (module, session) = (&self.at.module, self.session);
        self.agrees_with(kind, self.ec, module.ec(session, P256));
        self.agrees_with(kind, module.x25519(session), module.x25519(session));
        // RFC 7748 §6.1: a point of small order makes everybody's secret zero.
        for small in [[0; 32], std::array::from_fn(|place| u8::from(place == 0))] {
            let with = ecdh(kind, CKD_NULL, b"", &small);
            let made = module.derived_value(session, with, module.x25519(session).private, 32);
            assert_eq!(made, Err(CKR_MECHANISM_PARAM_INVALID), "{kind:#x}");
        }
    }

    fn agrees_with(&self, kind: CK_MECHANISM_TYPE, own: Pair, peer: Pair) {
        let (module, session) = (&self.at.module, self.session);
        for kdf in KDFS {
            let derive = |private, public, length| {
                let point = module.attribute(session, public, CKA_EC_POINT).expect("point");
                let shared: &[u8] = if kdf == CKD_NULL { b"" } else { b"info" };
                module.derived_value(session, ecdh(kind, kdf, shared, &point), private, length)
            };
            let one = derive(own.private, peer.public, 32).expect("derive");
            assert_eq!(derive(peer.private, own.public, 32), Ok(one.clone()), "{kind:#x} {kdf}");
            let short = derive(own.private, peer.public, 16).expect("derive");
            assert!(if kdf == CKD_NULL { one.ends_with(&short) } else { one.starts_with(&short) });
            assert_eq!(derive(self.aes, peer.public, 32), Err(CKR_KEY_TYPE_INCONSISTENT));
        }
    }

    fn derives_keys(&self, kind: CK_MECHANISM_TYPE) {
        let (module, session, base) = (&self.at.module, self.session, self.secret);
        let derive = |with, base, length| module.derived_value(session, with, base, length);
        let one = derive(mechanism(kind), base, 40).unwrap_or_else(|e| panic!("{kind:#x}: {e:#x}"));
        assert_eq!(derive(mechanism(kind), base, 40), Ok(one.clone()), "{kind:#x}");
        assert_ne!(derive(kdf(kind, b"other"), base, 40), Ok(one.clone()), "{kind:#x}");
        let another = module.secret(session);
        assert_ne!(derive(mechanism(kind), another, 40), Ok(one), "{kind:#x}");
        let aes = [number(CKA_KEY_TYPE, CKK_AES), number(CKA_VALUE_LEN, 32), yes(CKA_ENCRYPT)];
        let key = module.derive(session, mechanism(kind), base, &aes).expect("an AES key");
        assert_eq!(module.attribute(session, key, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE), "{kind:#x}");
        assert_eq!(module.attribute(session, key, CKA_LOCAL), Ok(vec![CK_FALSE]), "{kind:#x}");
        let no_length = module.derive(session, mechanism(kind), base, &[]);
        assert_eq!(no_length, Err(CKR_TEMPLATE_INCOMPLETE), "{kind:#x}");
        let sixteen = [number(CKA_KEY_TYPE, CKK_AES), number(CKA_VALUE_LEN, 17)];
        let odd = module.derive(session, mechanism(kind), base, &sixteen);
        assert_eq!(odd, Err(CKR_ATTRIBUTE_VALUE_INVALID), "{kind:#x}");
        self.refuses_to_derive(kind);
    }

    /// What is put together is what the standard's words say, and no less protected than its parts.
    fn joins(&self, kind: CK_MECHANISM_TYPE, with: CK_MECHANISM) {
        let (module, session) = (&self.at.module, self.session);
        let value: Vec<u8> = (0..32u8).map(|n| n.wrapping_mul(37) + 1).collect();
        let base = [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_GENERIC_SECRET)];
        let open = [no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE), yes(CKA_DERIVE), bytes(CKA_VALUE, &value)];
        let base = module.create(session, &[&base[..], &open].concat()).expect("a base key");
        let whole = match kind {
            CKM_CONCATENATE_BASE_AND_DATA => [&value[..], b"some data"].concat(),
            CKM_CONCATENATE_DATA_AND_BASE => [b"some data", &value[..]].concat(),
            CKM_XOR_BASE_AND_DATA => value.iter().zip(b"some data").map(|(key, data)| key ^ data).collect(),
            CKM_EXTRACT_KEY_FROM_KEY => {
                (0..32).map(|n| value[(n + 1) % 32] << 1 | value[(n + 2) % 32] >> 7).collect()
            }
            _ => value.clone(),
        };
        let with = if kind == CKM_CONCATENATE_BASE_AND_KEY { params::with(kind, base) } else { with };
        let whole = if kind == CKM_CONCATENATE_BASE_AND_KEY { whole.repeat(2) } else { whole };
        for length in [whole.len(), 7] {
            let made = module.derived_value(session, with, base, length as CK_ULONG);
            assert_eq!(made, Ok(whole[..length].to_vec()), "{kind:#x}");
        }
        let too_long = module.derived_value(session, with, base, whole.len() as CK_ULONG + 1);
        assert_eq!(too_long, Err(CKR_KEY_SIZE_RANGE), "{kind:#x}");
        let hidden = module.derived_value(session, with, self.secret, 7);
        assert_eq!(hidden, Err(CKR_TEMPLATE_INCONSISTENT), "{kind:#x}");
        let made = module.derive(session, with, self.secret, &[number(CKA_VALUE_LEN, 7)]).expect("a key");
        assert_eq!(module.attribute(session, made, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE), "{kind:#x}");
        assert_eq!(
            module.derive(session, wrong(kind), base, &[number(CKA_VALUE_LEN, 7)]),
            Err(CKR_MECHANISM_PARAM_INVALID),
            "{kind:#x}"
        );
    }

    fn derives_data(&self, kind: CK_MECHANISM_TYPE) {
        let (module, session, base) = (&self.at.module, self.session, self.secret);
        let length = [number(CKA_VALUE_LEN, 40)];
        let data = module.derive(session, mechanism(kind), base, &length).expect("data");
        let key = module.derived_value(session, mechanism(CKM_HKDF_DERIVE), base, 40);
        assert_eq!(module.attribute(session, data, CKA_VALUE), key);
        assert_eq!(module.attribute(session, data, CKA_CLASS), Ok(CKO_DATA.to_ne_bytes().to_vec()));
        self.refuses_to_derive(kind);
    }

    fn refuses_to_derive(&self, kind: CK_MECHANISM_TYPE) {
        let (module, session) = (&self.at.module, self.session);
        let length = [number(CKA_VALUE_LEN, 16)];
        let derive = |with, base| module.derive(session, with, base, &length);
        assert_eq!(derive(wrong(kind), self.secret), Err(CKR_MECHANISM_PARAM_INVALID), "{kind:#x}");
        assert_eq!(derive(mechanism(kind), 0xffff), Err(CKR_KEY_HANDLE_INVALID), "{kind:#x}");
        assert_eq!(derive(mechanism(kind), self.ec.private), Err(CKR_KEY_TYPE_INCONSISTENT), "{kind:#x}");
        let idle = module.generate(session, CKM_GENERIC_SECRET_KEY_GEN, &length).expect("a key");
        assert_eq!(derive(mechanism(kind), idle), Err(CKR_KEY_FUNCTION_NOT_PERMITTED), "{kind:#x}");
    }

    /// CKM_PKCS5_PBKD2: the same password, the same key; nobody claims that it never was outside.
    pub fn makes_of_passwords(&self) {
        let (module, session, kind) = (&self.at.module, self.session, CKM_PKCS5_PBKD2);
        let make = |with, key_type, length| {
            let attributes = [number(CKA_KEY_TYPE, key_type), number(CKA_VALUE_LEN, length)];
            module.generate_with(session, with, &attributes)
        };
        let check_value = |key| module.attribute(session, key, CKA_CHECK_VALUE).expect("check value");
        let key = make(mechanism(kind), CKK_AES, 32).expect("an AES key");
        let again = make(mechanism(kind), CKK_AES, 32).expect("the same");
        let other = make(kdf(kind, b"another password"), CKK_AES, 32).expect("another");
        assert_eq!(check_value(key), check_value(again));
        assert_ne!(check_value(key), check_value(other));
        for never in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
            assert_eq!(module.attribute(session, key, never), Ok(vec![CK_FALSE]), "{never:#x}");
        }
        assert_eq!(make(mechanism(kind), CKK_AES, 17), Err(CKR_KEY_SIZE_RANGE));
        assert_eq!(make(mechanism(kind), CKK_GENERIC_SECRET, 0), Err(CKR_KEY_SIZE_RANGE));
        assert_eq!(make(mechanism(kind), CKK_RSA, 32), Err(CKR_ATTRIBUTE_VALUE_INVALID));
        assert_eq!(make(wrong(kind), CKK_AES, 32), Err(CKR_MECHANISM_PARAM_INVALID));
        let bare = [number(CKA_VALUE_LEN, 32)];
        assert_eq!(module.generate_with(session, mechanism(kind), &bare), Err(CKR_TEMPLATE_INCOMPLETE));
    }
}
