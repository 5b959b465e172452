//! A key ready to use: the object, and its material parsed once at first use.

use crate::crypto::hash::Hmac;
use crate::crypto::pkcs8::PrivateKey;
use crate::crypto::{
    Curve, Hash, RsaParts, RsaPublic, Secret, aes, ec, ed25519, ml_dsa, ml_kem, pkcs8, rsa, slh_dsa,
};
use crate::error::{Error, Result};
use crate::mechanism::import::{edwards_point, point_octets, unknown_curve};
use crate::mechanism::{ml_dsa as dsa, ml_kem as kem, seeded, slh_dsa as slh};
use crate::object::attribute::{CKA_STRONGROOM_AUDIT_USE, CKA_STRONGROOM_SUSPENDED};
use crate::object::validity::Validity;
use crate::object::{Object, Value};
use cryptoki_sys::*;
use once_cell::sync::OnceCell;
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

/// An unsealed object and, when it is a key, its parsed form. Shared by `Arc`, never changed: a
/// changed object is a new `Key`.
pub struct Key {
    object: Object,
    facts: Facts,
    ready: OnceCell<Ready>,
    gcm: OnceCell<aes::GcmKey>,
    hmac: OnceCell<(Hash, Hmac)>,
    /// Nonces that were made for it in this process.
    nonces: AtomicU64,
}

/// What is asked of a key at every use, looked up once: searching the attributes each time cost more
/// than encrypting a kilobyte.
struct Facts {
    class: u64,
    key_type: Option<u64>,
    size: u64,
    private: bool,
    token: bool,
    always_authenticate: bool,
    restricted: bool,
    audits_use: bool,
    suspended: bool,
    validity: Option<Validity>,
    /// One bit for each of [`USAGES`].
    usages: u32,
}

const MOST_NONCES: u64 = 1 << 32;

const USAGES: [u64; 11] = [
    CKA_ENCRYPT,
    CKA_DECRYPT,
    CKA_SIGN,
    CKA_SIGN_RECOVER,
    CKA_VERIFY,
    CKA_VERIFY_RECOVER,
    CKA_WRAP,
    CKA_UNWRAP,
    CKA_DERIVE,
    CKA_ENCAPSULATE,
    CKA_DECAPSULATE,
];

impl Facts {
    fn new(object: &Object) -> Facts {
        let usages = USAGES.iter().enumerate();
        Facts {
            class: object.class(),
            key_type: object.key_type(),
            size: size(object),
            private: object.is_private(),
            token: object.is_token(),
            always_authenticate: object.flag(CKA_ALWAYS_AUTHENTICATE),
            restricted: matches!(object.get(CKA_ALLOWED_MECHANISMS), Some(Value::Mechanisms(list)) if !list.is_empty()),
            audits_use: object.flag(CKA_STRONGROOM_AUDIT_USE),
            suspended: object.flag(CKA_STRONGROOM_SUSPENDED),
            validity: Validity::of(object),
            usages: usages.fold(0, |bits, (place, usage)| bits | u32::from(object.flag(*usage)) << place),
        }
    }
}

/// Asymmetric material in the form that its implementation works with.
enum Ready {
    RsaPrivate(rsa::PrivateKey),
    RsaPublic(rsa::PublicKey),
    EcPrivate(ec::PrivateKey),
    EcPublic(ec::PublicKey),
    EdPrivate(ed25519::PrivateKey),
    EdPublic(ed25519::PublicKey),
    MlDsaPrivate(Box<ml_dsa::PrivateKey>),
    MlDsaPublic(Box<ml_dsa::PublicKey>),
    SlhDsaPrivate(slh_dsa::PrivateKey),
    SlhDsaPublic(slh_dsa::PublicKey),
    MlKemPrivate(ml_kem::PrivateKey),
    MlKemPublic(ml_kem::PublicKey),
}

/// A big-endian number without its leading zeros.
pub(super) fn digits(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|b| **b == 0).count()..]
}

/// How many bits a big-endian number has.
pub(super) fn bits(number: &[u8]) -> u64 {
    let number = digits(number);
    8 * number.len() as u64 - number.first().map_or(0, |b| u64::from(b.leading_zeros()))
}

/// The RSA public half of an object.
pub(super) fn rsa_public(object: &Object) -> RsaPublic {
    let plain = |kind| digits(object.bytes(kind)).to_vec();
    RsaPublic { modulus: plain(CKA_MODULUS), public_exponent: plain(CKA_PUBLIC_EXPONENT) }
}

/// All parts of an RSA private key object, as they stand.
pub(super) fn rsa_parts(object: &Object) -> RsaParts {
    let part = |kind| Secret::from(digits(object.bytes(kind)));
    RsaParts {
        public: rsa_public(object),
        private_exponent: part(CKA_PRIVATE_EXPONENT),
        prime_1: part(CKA_PRIME_1),
        prime_2: part(CKA_PRIME_2),
        exponent_1: part(CKA_EXPONENT_1),
        exponent_2: part(CKA_EXPONENT_2),
        coefficient: part(CKA_COEFFICIENT),
    }
}

/// The curve of an EC object: `CurveNotSupported` for one that is not here, `DomainParamsInvalid`
/// for what names no curve.
pub(super) fn curve(object: &Object) -> Result<Curve> {
    let params = object.bytes(CKA_EC_PARAMS);
    Curve::from_params(params).ok_or_else(|| unknown_curve(params))
}

/// Size in the unit of `Mechanism::sizes`: bits for RSA and EC, bytes for most others (ML-DSA, SLH-DSA and
/// ML-KEM: of the public key).
fn size(object: &Object) -> u64 {
    match object.key_type() {
        Some(CKK_RSA) => bits(object.bytes(CKA_MODULUS)),
        Some(CKK_EC) => curve(object).map_or(0, |curve| u64::from(curve.bits())),
        Some(CKK_EC_EDWARDS | CKK_EC_MONTGOMERY) => 255,
        Some(CKK_ML_DSA) => dsa::parameter_set(object).map_or(0, |set| set.public_length() as u64),
        Some(CKK_SLH_DSA) => slh::parameter_set(object).map_or(0, |set| set.public_length() as u64),
        Some(CKK_ML_KEM) => kem::parameter_set(object).map_or(0, |set| set.public_length() as u64),
        _ => object.bytes(CKA_VALUE).len() as u64,
    }
}

impl Key {
    pub fn new(object: Object) -> Key {
        Key {
            facts: Facts::new(&object),
            object,
            ready: OnceCell::new(),
            gcm: OnceCell::new(),
            hmac: OnceCell::new(),
            nonces: AtomicU64::new(0),
        }
    }

    /// Counts a random nonce for this key. After 2^32 of them two alike are no longer unlikely enough (SP 800-38D
    /// §8.3): `KeyFunctionNotPermitted`.
    pub fn count_nonce(&self) -> Result<()> {
        if self.nonces.fetch_add(1, Ordering::Relaxed) < MOST_NONCES {
            return Ok(());
        }
        // It stays above the limit, however long one tries.
        self.nonces.store(MOST_NONCES, Ordering::Relaxed);
        Err(Error::KeyFunctionNotPermitted
            .because(format_args!("key {} had its 2^32 nonces: rotate it", self.id())))
    }

    pub fn object(&self) -> &Object {
        &self.object
    }

    /// CKA_UNIQUE_ID: what the audit log calls it.
    pub fn id(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.object.bytes(CKA_UNIQUE_ID))
    }

    /// CKA_STRONGROOM_AUDIT_USE: each operation with it is recorded before it begins.
    pub fn audits_use(&self) -> bool {
        self.facts.audits_use
    }

    /// CKA_STRONGROOM_SUSPENDED.
    pub fn is_suspended(&self) -> bool {
        self.facts.suspended
    }

    /// Its dates, if it has any.
    pub fn validity(&self) -> Option<Validity> {
        self.facts.validity
    }

    /// CKA_VALUE: the bytes of a secret key.
    pub fn value(&self) -> &[u8] {
        self.object.bytes(CKA_VALUE)
    }

    pub fn class(&self) -> u64 {
        self.facts.class
    }

    pub fn key_type(&self) -> Option<u64> {
        self.facts.key_type
    }

    /// Size in the unit of `Mechanism::sizes`.
    pub fn size(&self) -> u64 {
        self.facts.size
    }

    /// CKA_PRIVATE.
    pub fn is_private(&self) -> bool {
        self.facts.private
    }

    /// CKA_TOKEN.
    pub fn is_token(&self) -> bool {
        self.facts.token
    }

    /// CKA_ALWAYS_AUTHENTICATE.
    pub fn always_authenticate(&self) -> bool {
        self.facts.always_authenticate
    }

    /// Whether one of the CKA_ usage flags is set.
    pub fn may(&self, usage: u64) -> bool {
        USAGES
            .iter()
            .position(|known| *known == usage)
            .is_some_and(|place| self.facts.usages >> place & 1 == 1)
    }

    /// Whether CKA_ALLOWED_MECHANISMS lets a mechanism use this key.
    pub fn allows(&self, mechanism: u64) -> bool {
        !self.facts.restricted
            || matches!(self.object.get(CKA_ALLOWED_MECHANISMS), Some(Value::Mechanisms(list)) if list.contains(&mechanism))
    }

    fn ready(&self) -> Result<&Ready> {
        self.ready.get_or_try_init(|| parse(&self.object))
    }

    pub fn rsa_private(&self) -> Result<&rsa::PrivateKey> {
        match self.ready()? {
            Ready::RsaPrivate(key) => Ok(key),
            _ => Err(Error::KeyTypeInconsistent),
        }
    }

    pub fn rsa_public(&self) -> Result<&rsa::PublicKey> {
        match self.ready()? {
            Ready::RsaPublic(key) => Ok(key),
            _ => Err(Error::KeyTypeInconsistent),
        }
    }

    pub fn ec_private(&self) -> Result<&ec::PrivateKey> {
        match self.ready()? {
            Ready::EcPrivate(key) => Ok(key),
            _ => Err(Error::KeyTypeInconsistent),
        }
    }

    pub fn ec_public(&self) -> Result<&ec::PublicKey> {
        match self.ready()? {
            Ready::EcPublic(key) => Ok(key),
            _ => Err(Error::KeyTypeInconsistent),
        }
    }

    pub fn ed_private(&self) -> Result<&ed25519::PrivateKey> {
        match self.ready()? {
            Ready::EdPrivate(key) => Ok(key),
            _ => Err(Error::KeyTypeInconsistent),
        }
    }

    pub fn ed_public(&self) -> Result<&ed25519::PublicKey> {
        match self.ready()? {
            Ready::EdPublic(key) => Ok(key),
            _ => Err(Error::KeyTypeInconsistent),
        }
    }

    pub fn ml_dsa_private(&self) -> Result<&ml_dsa::PrivateKey> {
        match self.ready()? {
            Ready::MlDsaPrivate(key) => Ok(key),
            _ => Err(Error::KeyTypeInconsistent),
        }
    }

    pub fn ml_dsa_public(&self) -> Result<&ml_dsa::PublicKey> {
        match self.ready()? {
            Ready::MlDsaPublic(key) => Ok(key),
            _ => Err(Error::KeyTypeInconsistent),
        }
    }

    pub fn slh_dsa_private(&self) -> Result<&slh_dsa::PrivateKey> {
        match self.ready()? {
            Ready::SlhDsaPrivate(key) => Ok(key),
            _ => Err(Error::KeyTypeInconsistent),
        }
    }

    pub fn slh_dsa_public(&self) -> Result<&slh_dsa::PublicKey> {
        match self.ready()? {
            Ready::SlhDsaPublic(key) => Ok(key),
            _ => Err(Error::KeyTypeInconsistent),
        }
    }

    pub fn ml_kem_private(&self) -> Result<&ml_kem::PrivateKey> {
        match self.ready()? {
            Ready::MlKemPrivate(key) => Ok(key),
            _ => Err(Error::KeyTypeInconsistent),
        }
    }

    pub fn ml_kem_public(&self) -> Result<&ml_kem::PublicKey> {
        match self.ready()? {
            Ready::MlKemPublic(key) => Ok(key),
            _ => Err(Error::KeyTypeInconsistent),
        }
    }

    pub fn curve(&self) -> Result<Curve> {
        curve(&self.object)
    }

    /// The AES-GCM key schedule, made once.
    pub fn gcm(&self) -> Result<&aes::GcmKey> {
        self.gcm.get_or_try_init(|| aes::GcmKey::new(self.value()))
    }

    /// A keyed HMAC; the first hash a key is used with is remembered.
    pub fn hmac(&self, hash: Hash) -> Hmac {
        let (kept, state) = self.hmac.get_or_init(|| (hash, Hmac::new(hash, self.value())));
        if *kept == hash { state.clone() } else { Hmac::new(hash, self.value()) }
    }
}

fn parse(object: &Object) -> Result<Ready> {
    Ok(match (object.class(), object.key_type()) {
        (CKO_PRIVATE_KEY, Some(CKK_RSA)) => Ready::RsaPrivate(rsa::PrivateKey::new(&rsa_parts(object))?),
        (CKO_PUBLIC_KEY, Some(CKK_RSA)) => Ready::RsaPublic(rsa::PublicKey::new(&rsa_public(object))?),
        (CKO_PRIVATE_KEY, Some(CKK_EC)) => {
            Ready::EcPrivate(ec::PrivateKey::new(curve(object)?, object.bytes(CKA_VALUE))?)
        }
        (CKO_PUBLIC_KEY, Some(CKK_EC)) => {
            let curve = curve(object)?;
            Ready::EcPublic(ec::PublicKey::new(curve, point_octets(curve, object.bytes(CKA_EC_POINT))?)?)
        }
        (CKO_PRIVATE_KEY, Some(CKK_EC_EDWARDS)) => {
            Ready::EdPrivate(ed25519::PrivateKey::new(object.bytes(CKA_VALUE))?)
        }
        (CKO_PUBLIC_KEY, Some(CKK_EC_EDWARDS)) => {
            Ready::EdPublic(ed25519::PublicKey::new(edwards_point(object.bytes(CKA_EC_POINT))?)?)
        }
        (CKO_PRIVATE_KEY, Some(CKK_ML_DSA)) => {
            let key =
                ml_dsa::PrivateKey::from_expanded(dsa::parameter_set(object)?, object.bytes(CKA_VALUE))?;
            Ready::MlDsaPrivate(Box::new(key))
        }
        (CKO_PUBLIC_KEY, Some(CKK_ML_DSA)) => {
            let key = ml_dsa::PublicKey::new(dsa::parameter_set(object)?, object.bytes(CKA_VALUE))?;
            Ready::MlDsaPublic(Box::new(key))
        }
        (CKO_PRIVATE_KEY, Some(CKK_SLH_DSA)) => {
            let set = slh::parameter_set(object)?;
            Ready::SlhDsaPrivate(slh_dsa::PrivateKey::from_checked(set, object.bytes(CKA_VALUE))?)
        }
        (CKO_PUBLIC_KEY, Some(CKK_SLH_DSA)) => {
            let set = slh::parameter_set(object)?;
            Ready::SlhDsaPublic(slh_dsa::PublicKey::new(set, object.bytes(CKA_VALUE))?)
        }
        (CKO_PRIVATE_KEY, Some(CKK_ML_KEM)) => {
            let set = kem::parameter_set(object)?;
            Ready::MlKemPrivate(ml_kem::PrivateKey::from_expanded(set, object.bytes(CKA_VALUE))?)
        }
        (CKO_PUBLIC_KEY, Some(CKK_ML_KEM)) => {
            let set = kem::parameter_set(object)?;
            Ready::MlKemPublic(ml_kem::PublicKey::new(set, object.bytes(CKA_VALUE))?)
        }
        _ => return Err(Error::KeyTypeInconsistent),
    })
}

/// The bytes that C_WrapKey wraps: CKA_VALUE of a secret key, PKCS#8 of a private one.
/// `KeyNotWrappable` for anything else. (Permissions were checked above.)
pub fn to_wrap(key: &Key) -> Result<Secret> {
    let object = key.object();
    match (object.class(), object.key_type()) {
        (CKO_SECRET_KEY, _) => Ok(Secret::from(key.value())),
        (CKO_PRIVATE_KEY, Some(CKK_RSA)) => pkcs8::encode(&PrivateKey::Rsa(rsa_parts(object))),
        (CKO_PRIVATE_KEY, Some(CKK_EC)) => {
            let point = key.ec_private()?.public_point()?;
            pkcs8::encode(&PrivateKey::Ec(key.curve()?, Secret::from(key.value()), Some(point)))
        }
        (CKO_PRIVATE_KEY, Some(CKK_EC_EDWARDS)) => {
            pkcs8::encode(&PrivateKey::Ed25519(Secret::from(key.value())))
        }
        (CKO_PRIVATE_KEY, Some(CKK_EC_MONTGOMERY)) => {
            pkcs8::encode(&PrivateKey::X25519(Secret::from(key.value())))
        }
        (CKO_PRIVATE_KEY, Some(CKK_ML_DSA)) => {
            pkcs8::encode(&PrivateKey::MlDsa(dsa::parameter_set(object)?, seeded::parts(object)))
        }
        (CKO_PRIVATE_KEY, Some(CKK_SLH_DSA)) => {
            pkcs8::encode(&PrivateKey::SlhDsa(slh::parameter_set(object)?, Secret::from(key.value())))
        }
        (CKO_PRIVATE_KEY, Some(CKK_ML_KEM)) => {
            pkcs8::encode(&PrivateKey::MlKem(kem::parameter_set(object)?, seeded::parts(object)))
        }
        _ => Err(Error::KeyNotWrappable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_so_many_nonces_and_no_more() {
        let key = Key::new(Object::new(vec![(CKA_CLASS, Value::Ulong(CKO_SECRET_KEY))]));
        key.nonces.store(MOST_NONCES - 1, Ordering::Relaxed);
        assert_eq!(key.count_nonce(), Ok(()));
        for _ in 0..3 {
            assert_eq!(key.count_nonce(), Err(Error::KeyFunctionNotPermitted));
        }
    }
}
