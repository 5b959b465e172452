//! The rows themselves, and the table of each class and key type put together from them.
//!
//! Where the standard says "token specific", the choice and its reason stand at the row. To add a
//! key type: its rows, a line in `tables!`, a line in [`of_key`].

use super::{
    CHANGE, COMPUTED, COPY, CREATE, ERASE, GENERATE, HIDDEN, MADE, OFFICER, Rule, STAYS_FALSE, STAYS_TRUE,
    bytes, flag, follows, number, unless,
};
use crate::object::AttributeType;
use crate::object::attribute::{
    CKA_NSS_DB, CKA_NSS_EMAIL, CKA_STRONGROOM_AUDIT_USE, CKA_STRONGROOM_MADE_AT, CKA_STRONGROOM_OWNER,
    CKA_STRONGROOM_RETIRED, CKA_STRONGROOM_SERIES, CKA_STRONGROOM_SHARED_WITH, CKA_STRONGROOM_SUSPENDED,
    CKA_STRONGROOM_VERSION,
};
use cryptoki_sys::*;

/// What a key may be used for.
const USAGE: u32 = CHANGE | COPY | super::USE;

/// A key that is made to wrap or unwrap keys works on data only if that is asked for, too.
const KEYS: &[AttributeType] = &[CKA_WRAP, CKA_UNWRAP];

/// All objects (§4.3, §4.4).
const STORAGE: &[Rule] = &[
    bytes(CKA_CLASS, CREATE),
    flag(CKA_TOKEN, false, COPY),
    flag(CKA_PRIVATE, false, COPY | STAYS_TRUE),
    flag(CKA_MODIFIABLE, true, COPY | STAYS_FALSE),
    bytes(CKA_LABEL, CHANGE | COPY),
    flag(CKA_COPYABLE, true, CHANGE | COPY | STAYS_FALSE),
    flag(CKA_DESTROYABLE, true, CHANGE | COPY | STAYS_FALSE),
    bytes(CKA_UNIQUE_ID, COMPUTED),
    // Custody is no matter of the object: `token` takes these two out of templates and answers them.
    bytes(CKA_STRONGROOM_OWNER, COMPUTED),
];

/// §4.5.
const DATA: &[Rule] = &[
    bytes(CKA_APPLICATION, CHANGE | COPY),
    bytes(CKA_OBJECT_ID, CHANGE | COPY),
    bytes(CKA_VALUE, CHANGE | COPY),
];

/// §4.6. Subject, issuer and serial number are read out of the certificate when they are not given.
const CERTIFICATE: &[Rule] = &[
    bytes(CKA_CERTIFICATE_TYPE, CREATE),
    flag(CKA_TRUSTED, false, CHANGE | COPY | OFFICER),
    number(CKA_CERTIFICATE_CATEGORY, CK_CERTIFICATE_CATEGORY_UNSPECIFIED, 0),
    bytes(CKA_CHECK_VALUE, 0),
    bytes(CKA_START_DATE, CHANGE | COPY),
    bytes(CKA_END_DATE, CHANGE | COPY),
    bytes(CKA_PUBLIC_KEY_INFO, 0),
    bytes(CKA_SUBJECT, 0),
    bytes(CKA_ID, CHANGE | COPY),
    bytes(CKA_ISSUER, CHANGE | COPY),
    bytes(CKA_SERIAL_NUMBER, CHANGE | COPY),
    bytes(CKA_VALUE, 0),
    bytes(CKA_URL, 0),
    bytes(CKA_HASH_OF_SUBJECT_PUBLIC_KEY, 0),
    bytes(CKA_HASH_OF_ISSUER_PUBLIC_KEY, 0),
    number(CKA_JAVA_MIDP_SECURITY_DOMAIN, CK_SECURITY_DOMAIN_UNSPECIFIED, 0),
    number(CKA_NAME_HASH_ALGORITHM, CKM_SHA_1, 0),
    // NSS writes the address of a mail certificate beside it.
    bytes(CKA_NSS_EMAIL, CHANGE | COPY),
];

/// §4.14.
const PROFILE: &[Rule] = &[bytes(CKA_PROFILE_ID, 0)];

/// All keys (§4.7).
const KEY: &[Rule] = &[
    bytes(CKA_KEY_TYPE, CREATE),
    bytes(CKA_ID, CHANGE | COPY),
    bytes(CKA_START_DATE, CHANGE | COPY),
    bytes(CKA_END_DATE, CHANGE | COPY),
    flag(CKA_LOCAL, false, COMPUTED),
    bytes(CKA_KEY_GEN_MECHANISM, COMPUTED),
    bytes(CKA_ALLOWED_MECHANISMS, 0),
    // Stored only when it is given: keys of before are not audited either.
    bytes(CKA_STRONGROOM_AUDIT_USE, CHANGE | COPY),
    number(CKA_OBJECT_VALIDATION_FLAGS, 0, COMPUTED),
    // Whether a key is CKA_MODIFIABLE or not: `token` takes it out of changes.
    bytes(CKA_STRONGROOM_SUSPENDED, CHANGE),
    number(CKA_STRONGROOM_VERSION, 1, COMPUTED),
    bytes(CKA_STRONGROOM_SERIES, COMPUTED),
    bytes(CKA_STRONGROOM_RETIRED, COMPUTED),
    bytes(CKA_STRONGROOM_MADE_AT, COMPUTED),
];

/// §4.8. Verifying and encrypting are what a public key is for; wrapping must be asked for.
const PUBLIC_KEY: &[Rule] = &[
    bytes(CKA_SUBJECT, CHANGE | COPY),
    flag(CKA_ENCRYPT, true, USAGE),
    flag(CKA_VERIFY, true, USAGE),
    flag(CKA_VERIFY_RECOVER, false, USAGE),
    flag(CKA_WRAP, false, USAGE),
    flag(CKA_DERIVE, false, USAGE),
    flag(CKA_ENCAPSULATE, false, USAGE),
    flag(CKA_TRUSTED, false, CHANGE | COPY | OFFICER),
    bytes(CKA_WRAP_TEMPLATE, 0),
    bytes(CKA_ENCAPSULATE_TEMPLATE, 0),
    bytes(CKA_PUBLIC_KEY_INFO, 0),
    bytes(CKA_CHECK_VALUE, ERASE),
    bytes(CKA_NSS_DB, CHANGE | COPY),
];

/// §4.9. Private and sensitive unless the caller says otherwise, not extractable unless asked for. Signing
/// with recovery must be asked for: to take CKA_SIGN from a key is to stop its signing.
const PRIVATE_KEY: &[Rule] = &[
    flag(CKA_PRIVATE, true, COPY | STAYS_TRUE),
    bytes(CKA_SUBJECT, CHANGE | COPY),
    flag(CKA_SENSITIVE, true, CHANGE | COPY | STAYS_TRUE),
    unless(CKA_DECRYPT, KEYS, USAGE),
    flag(CKA_SIGN, true, USAGE),
    flag(CKA_SIGN_RECOVER, false, USAGE),
    flag(CKA_UNWRAP, false, USAGE),
    flag(CKA_DERIVE, false, USAGE),
    flag(CKA_DECAPSULATE, false, USAGE),
    flag(CKA_EXTRACTABLE, false, CHANGE | COPY | STAYS_FALSE),
    flag(CKA_ALWAYS_SENSITIVE, false, COMPUTED),
    flag(CKA_NEVER_EXTRACTABLE, false, COMPUTED),
    flag(CKA_WRAP_WITH_TRUSTED, false, CHANGE | COPY | STAYS_TRUE),
    bytes(CKA_UNWRAP_TEMPLATE, 0),
    bytes(CKA_DERIVE_TEMPLATE, 0),
    bytes(CKA_DECAPSULATE_TEMPLATE, 0),
    flag(CKA_ALWAYS_AUTHENTICATE, false, 0),
    bytes(CKA_PUBLIC_KEY_INFO, 0),
    bytes(CKA_CHECK_VALUE, ERASE),
    bytes(CKA_NSS_DB, CHANGE | COPY),
    bytes(CKA_STRONGROOM_SHARED_WITH, COPY),
];

/// §4.10. As private keys; both directions of use, wrapping must be asked for.
const SECRET_KEY: &[Rule] = &[
    flag(CKA_PRIVATE, true, COPY | STAYS_TRUE),
    flag(CKA_SENSITIVE, true, CHANGE | COPY | STAYS_TRUE),
    unless(CKA_ENCRYPT, KEYS, USAGE),
    unless(CKA_DECRYPT, KEYS, USAGE),
    flag(CKA_SIGN, true, USAGE),
    flag(CKA_VERIFY, true, USAGE),
    flag(CKA_WRAP, false, USAGE),
    flag(CKA_UNWRAP, false, USAGE),
    flag(CKA_DERIVE, false, USAGE),
    flag(CKA_EXTRACTABLE, false, CHANGE | COPY | STAYS_FALSE),
    flag(CKA_ALWAYS_SENSITIVE, false, COMPUTED),
    flag(CKA_NEVER_EXTRACTABLE, false, COMPUTED),
    bytes(CKA_CHECK_VALUE, ERASE),
    flag(CKA_WRAP_WITH_TRUSTED, false, CHANGE | COPY | STAYS_TRUE),
    flag(CKA_TRUSTED, false, CHANGE | COPY | OFFICER),
    bytes(CKA_WRAP_TEMPLATE, 0),
    bytes(CKA_UNWRAP_TEMPLATE, 0),
    bytes(CKA_DERIVE_TEMPLATE, 0),
    bytes(CKA_VALUE, CREATE | MADE | HIDDEN),
    // The length of an imported key follows from its value; given, it must agree.
    bytes(CKA_VALUE_LEN, 0),
    bytes(CKA_STRONGROOM_SHARED_WITH, COPY),
];

/// §6.1.2. SunPKCS11 makes public keys without a word on their use, and reads signatures back with them
/// (Cipher with a public key, NONEwithRSA): what verifies, recovers.
const RSA_PUBLIC: &[Rule] = &[
    bytes(CKA_MODULUS, CREATE | MADE),
    bytes(CKA_MODULUS_BITS, GENERATE),
    bytes(CKA_PUBLIC_EXPONENT, CREATE),
    follows(CKA_VERIFY_RECOVER, CKA_VERIFY, USAGE),
];

/// §6.1.3. The primes may be left out on import when n, e and d are there.
const RSA_PRIVATE: &[Rule] = &[
    bytes(CKA_MODULUS, CREATE | MADE),
    bytes(CKA_PUBLIC_EXPONENT, MADE),
    bytes(CKA_PRIVATE_EXPONENT, CREATE | MADE | HIDDEN),
    bytes(CKA_PRIME_1, MADE | HIDDEN),
    bytes(CKA_PRIME_2, MADE | HIDDEN),
    bytes(CKA_EXPONENT_1, MADE | HIDDEN),
    bytes(CKA_EXPONENT_2, MADE | HIDDEN),
    bytes(CKA_COEFFICIENT, MADE | HIDDEN),
];

/// §6.3.3: keys that sign and agree, and encrypt nothing.
const EC_PUBLIC: &[Rule] = &[
    bytes(CKA_EC_PARAMS, CREATE | GENERATE),
    bytes(CKA_EC_POINT, CREATE | MADE),
    flag(CKA_ENCRYPT, false, USAGE),
];

/// §6.3.5, besides what all curves have: keys that sign and nothing else.
const EDWARDS_PRIVATE: &[Rule] = &[flag(CKA_DERIVE, false, USAGE)];

/// §6.3.7, besides what all curves have: keys that agree and nothing else.
const MONTGOMERY_PUBLIC: &[Rule] = &[flag(CKA_VERIFY, false, USAGE)];

const MONTGOMERY_PRIVATE: &[Rule] = &[flag(CKA_SIGN, false, USAGE)];

/// §6.3.4. SunPKCS11 and NSS generate ECDH keys without CKA_DERIVE: absent means true.
const EC_PRIVATE: &[Rule] = &[
    bytes(CKA_EC_PARAMS, CREATE | MADE),
    bytes(CKA_VALUE, CREATE | MADE | HIDDEN),
    // Not the standard's, but some clients send and read it on private keys too.
    bytes(CKA_EC_POINT, MADE),
    flag(CKA_DECRYPT, false, USAGE),
    flag(CKA_DERIVE, true, USAGE),
];

/// Public keys of a parameter set: ML-DSA (§6.67.3), ML-KEM (§6.68.3), SLH-DSA (§6.69.3).
const PARAMETER_SET_PUBLIC: &[Rule] = &[
    bytes(CKA_PARAMETER_SET, CREATE | GENERATE),
    bytes(CKA_VALUE, CREATE | MADE),
    flag(CKA_ENCRYPT, false, USAGE),
];

/// §6.67.4, §6.68.4. Seed or value may be left out on import, not both: the one makes the other.
const PARAMETER_SET_PRIVATE: &[Rule] = &[
    bytes(CKA_PARAMETER_SET, CREATE | MADE),
    bytes(CKA_SEED, MADE | HIDDEN),
    bytes(CKA_VALUE, MADE | HIDDEN),
    flag(CKA_DECRYPT, false, USAGE),
];

/// §6.69.4: the value, and no seed beside it.
const WHOLE_PRIVATE: &[Rule] = &[
    bytes(CKA_PARAMETER_SET, CREATE | MADE),
    bytes(CKA_VALUE, CREATE | MADE | HIDDEN),
    flag(CKA_DECRYPT, false, USAGE),
];

/// ML-KEM keys are for encapsulation and nothing else: absent means so.
const ENCAPSULATING: &[Rule] = &[flag(CKA_ENCAPSULATE, true, USAGE), flag(CKA_VERIFY, false, USAGE)];

const DECAPSULATING: &[Rule] = &[flag(CKA_DECAPSULATE, true, USAGE), flag(CKA_SIGN, false, USAGE)];

/// Keys for MACs and derivation.
const GENERIC_SECRET: &[Rule] = &[flag(CKA_ENCRYPT, false, USAGE), flag(CKA_DECRYPT, false, USAGE)];

/// HMAC key types of their own, the same rules as a generic secret.
pub const HMAC_KEY_TYPES: &[u64] = &[
    CKK_SHA_1_HMAC,
    CKK_SHA224_HMAC,
    CKK_SHA256_HMAC,
    CKK_SHA384_HMAC,
    CKK_SHA512_HMAC,
    CKK_SHA512_224_HMAC,
    CKK_SHA512_256_HMAC,
    CKK_SHA3_224_HMAC,
    CKK_SHA3_256_HMAC,
    CKK_SHA3_384_HMAC,
    CKK_SHA3_512_HMAC,
];

/// How many attributes the parts have together.
const fn count(parts: &[&[Rule]]) -> usize {
    let (mut part, mut count) = (0, 0);
    while part < parts.len() {
        let mut row = 0;
        while row < parts[part].len() {
            if !known_before(parts, part, parts[part][row].kind) {
                count += 1;
            }
            row += 1;
        }
        part += 1;
    }
    count
}

const fn known_before(parts: &[&[Rule]], end: usize, kind: AttributeType) -> bool {
    let mut part = 0;
    while part < end {
        let mut row = 0;
        while row < parts[part].len() {
            if parts[part][row].kind == kind {
                return true;
            }
            row += 1;
        }
        part += 1;
    }
    false
}

/// The parts, the most special first, as one table sorted by attribute: an earlier row replaces a
/// later one. Done by the compiler: no lock to be caught in by a fork, nothing to do at start-up.
const fn merge<const COUNT: usize>(parts: &[&[Rule]]) -> [Rule; COUNT] {
    let mut table = [bytes(0, 0); COUNT];
    let (mut part, mut count) = (0, 0);
    while part < parts.len() {
        let mut row = 0;
        while row < parts[part].len() {
            let rule = parts[part][row];
            if !known_before(parts, part, rule.kind) {
                let mut place = count;
                while place > 0 && table[place - 1].kind > rule.kind {
                    table[place] = table[place - 1];
                    place -= 1;
                }
                table[place] = rule;
                count += 1;
            }
            row += 1;
        }
        part += 1;
    }
    table
}

macro_rules! tables {
    ($($name:ident: $($part:ident),+;)*) => {
        $(static $name: [Rule; count(&[$($part),+])] = merge(&[$($part),+]);)*
    };
}

tables! {
    DATA_OBJECT: DATA, STORAGE;
    CERTIFICATE_OBJECT: CERTIFICATE, STORAGE;
    PROFILE_OBJECT: PROFILE, STORAGE;
    RSA_PUBLIC_KEY: RSA_PUBLIC, PUBLIC_KEY, KEY, STORAGE;
    RSA_PRIVATE_KEY: RSA_PRIVATE, PRIVATE_KEY, KEY, STORAGE;
    EC_PUBLIC_KEY: EC_PUBLIC, PUBLIC_KEY, KEY, STORAGE;
    EC_PRIVATE_KEY: EC_PRIVATE, PRIVATE_KEY, KEY, STORAGE;
    EDWARDS_PRIVATE_KEY: EDWARDS_PRIVATE, EC_PRIVATE, PRIVATE_KEY, KEY, STORAGE;
    MONTGOMERY_PUBLIC_KEY: MONTGOMERY_PUBLIC, EC_PUBLIC, PUBLIC_KEY, KEY, STORAGE;
    MONTGOMERY_PRIVATE_KEY: MONTGOMERY_PRIVATE, EC_PRIVATE, PRIVATE_KEY, KEY, STORAGE;
    PARAMETER_SET_PUBLIC_KEY: PARAMETER_SET_PUBLIC, PUBLIC_KEY, KEY, STORAGE;
    ML_DSA_PRIVATE_KEY: PARAMETER_SET_PRIVATE, PRIVATE_KEY, KEY, STORAGE;
    SLH_DSA_PRIVATE_KEY: WHOLE_PRIVATE, PRIVATE_KEY, KEY, STORAGE;
    ML_KEM_PUBLIC_KEY: ENCAPSULATING, PARAMETER_SET_PUBLIC, PUBLIC_KEY, KEY, STORAGE;
    ML_KEM_PRIVATE_KEY: DECAPSULATING, PARAMETER_SET_PRIVATE, PRIVATE_KEY, KEY, STORAGE;
    AES_KEY: SECRET_KEY, KEY, STORAGE;
    GENERIC_SECRET_KEY: GENERIC_SECRET, SECRET_KEY, KEY, STORAGE;
}

/// The table of a class that holds no keys.
pub(super) fn of_class(class: u64) -> Option<&'static [Rule]> {
    match class {
        CKO_DATA => Some(&DATA_OBJECT),
        CKO_CERTIFICATE => Some(&CERTIFICATE_OBJECT),
        CKO_PROFILE => Some(&PROFILE_OBJECT),
        _ => None,
    }
}

/// The table of a key; `None`: there is no such key here.
pub(super) fn of_key(class: u64, key_type: u64) -> Option<&'static [Rule]> {
    match (class, key_type) {
        (CKO_PUBLIC_KEY, CKK_RSA) => Some(&RSA_PUBLIC_KEY),
        (CKO_PRIVATE_KEY, CKK_RSA) => Some(&RSA_PRIVATE_KEY),
        (CKO_PUBLIC_KEY, CKK_EC | CKK_EC_EDWARDS) => Some(&EC_PUBLIC_KEY),
        (CKO_PRIVATE_KEY, CKK_EC) => Some(&EC_PRIVATE_KEY),
        (CKO_PRIVATE_KEY, CKK_EC_EDWARDS) => Some(&EDWARDS_PRIVATE_KEY),
        (CKO_PUBLIC_KEY, CKK_EC_MONTGOMERY) => Some(&MONTGOMERY_PUBLIC_KEY),
        (CKO_PRIVATE_KEY, CKK_EC_MONTGOMERY) => Some(&MONTGOMERY_PRIVATE_KEY),
        (CKO_PUBLIC_KEY, CKK_ML_DSA | CKK_SLH_DSA) => Some(&PARAMETER_SET_PUBLIC_KEY),
        (CKO_PRIVATE_KEY, CKK_ML_DSA) => Some(&ML_DSA_PRIVATE_KEY),
        (CKO_PRIVATE_KEY, CKK_SLH_DSA) => Some(&SLH_DSA_PRIVATE_KEY),
        (CKO_PUBLIC_KEY, CKK_ML_KEM) => Some(&ML_KEM_PUBLIC_KEY),
        (CKO_PRIVATE_KEY, CKK_ML_KEM) => Some(&ML_KEM_PRIVATE_KEY),
        (CKO_SECRET_KEY, CKK_AES | CKK_CHACHA20 | CKK_DES3) => Some(&AES_KEY),
        (CKO_SECRET_KEY, CKK_GENERIC_SECRET | CKK_HKDF) => Some(&GENERIC_SECRET_KEY),
        (CKO_SECRET_KEY, other) if HMAC_KEY_TYPES.contains(&other) => Some(&GENERIC_SECRET_KEY),
        _ => None,
    }
}
