//! DER of private and public keys: PKCS#8 PrivateKeyInfo (RFC 5958) for wrapping, SubjectPublicKeyInfo
//! (RFC 5280) for CKA_PUBLIC_KEY_INFO, and the older forms in which keys come in files (RFC 8017, RFC 5915).

use super::der::{self, BIT_STRING, NULL, OCTET_STRING, OID, Reader, SEQUENCE};
use super::{Curve, RsaParts, RsaPublic, Secret, ed25519, ml_dsa, ml_kem, slh_dsa, x25519};
use crate::error::{Error, Result};
use zeroize::Zeroize;

/// A private key inside a PrivateKeyInfo.
#[derive(Debug)]
pub enum PrivateKey {
    Rsa(RsaParts),
    /// Curve, private scalar, uncompressed point if it was present.
    Ec(Curve, Secret, Option<Vec<u8>>),
    Ed25519(Secret),
    X25519(Secret),
    MlDsa(ml_dsa::Set, SeedAndValue),
    /// The key as it stands (RFC 9909 §6), unchecked.
    SlhDsa(slh_dsa::Set, Secret),
    MlKem(ml_kem::Set, SeedAndValue),
}

/// A private key by the seed that makes it, by what it makes, or by both (RFC 9881, RFC 9935).
#[derive(Debug, Default)]
pub struct SeedAndValue {
    pub seed: Option<Secret>,
    pub value: Option<Secret>,
    /// The public half that stood beside them.
    pub public: Option<Vec<u8>>,
}

impl SeedAndValue {
    /// Those that are not empty.
    pub fn of(seed: &[u8], value: &[u8]) -> Self {
        let there = |bytes: &[u8]| (!bytes.is_empty()).then(|| Secret::from(bytes));
        Self { seed: there(seed), value: there(value), public: None }
    }
}

const RSA_OID: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC_OID: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// Of Ed25519, also its CKA_EC_PARAMS.
pub const ED25519_OID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
/// Of X25519, also its CKA_EC_PARAMS.
pub const X25519_OID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x6e];
const POINT_TAG: u8 = 0xa1;
const PUBLIC_TAG: u8 = 0x81;
const PARAMETERS_TAG: u8 = 0xa0;
const SEED_TAG: u8 = 0x80;

/// PrivateKeyInfo, DER.
pub fn encode(key: &PrivateKey) -> Result<Secret> {
    let (algorithm, mut inner) = match key {
        PrivateKey::Rsa(parts) => (der::element(SEQUENCE, &[RSA_OID, &[NULL, 0]]), rsa_private(parts)),
        PrivateKey::Ec(curve, scalar, point) => {
            let point = point.as_ref().map(|p| {
                let bits = der::element(BIT_STRING, &[&[0], p]);
                der::element(POINT_TAG, &[&bits])
            });
            let (version, mut scalar) = (der::integer(&[1]), der::element(OCTET_STRING, &[scalar]));
            let inner = der::element(SEQUENCE, &[&version, &scalar, point.as_deref().unwrap_or_default()]);
            scalar.zeroize();
            (der::element(SEQUENCE, &[EC_OID, curve.oid_der()]), inner)
        }
        PrivateKey::Ed25519(seed) => {
            (der::element(SEQUENCE, &[ED25519_OID]), der::element(OCTET_STRING, &[seed]))
        }
        PrivateKey::X25519(scalar) => {
            (der::element(SEQUENCE, &[X25519_OID]), der::element(OCTET_STRING, &[scalar]))
        }
        PrivateKey::MlDsa(set, parts) => (der::element(SEQUENCE, &[set.oid_der()]), seed_and_value(parts)),
        PrivateKey::SlhDsa(set, bytes) => (der::element(SEQUENCE, &[&set.oid_der()]), bytes.to_vec()),
        PrivateKey::MlKem(set, parts) => (der::element(SEQUENCE, &[set.oid_der()]), seed_and_value(parts)),
    };
    let mut wrapped = der::element(OCTET_STRING, &[&inner]);
    let whole = der::element(SEQUENCE, &[&der::integer(&[0]), &algorithm, &wrapped]);
    inner.zeroize();
    wrapped.zeroize();
    Ok(Secret::from(whole))
}

/// Whatever is there: other tokens may want the one or the other.
fn seed_and_value(parts: &SeedAndValue) -> Vec<u8> {
    let octets = |part: &Option<Secret>| part.as_ref().map(|part| der::element(OCTET_STRING, &[part]));
    match (octets(&parts.seed), octets(&parts.value)) {
        (Some(mut seed), Some(mut value)) => {
            let both = der::element(SEQUENCE, &[&seed, &value]);
            seed.zeroize();
            value.zeroize();
            both
        }
        (Some(mut seed), None) => {
            seed[0] = SEED_TAG;
            seed
        }
        (None, value) => value.unwrap_or_default(),
    }
}

fn rsa_private(parts: &RsaParts) -> Vec<u8> {
    let numbers: [&[u8]; 9] = [
        &[0],
        &parts.public.modulus,
        &parts.public.public_exponent,
        &parts.private_exponent,
        &parts.prime_1,
        &parts.prime_2,
        &parts.exponent_1,
        &parts.exponent_2,
        &parts.coefficient,
    ];
    let mut integers = numbers.map(der::integer);
    let whole = der::element(SEQUENCE, &integers.each_ref().map(Vec::as_slice));
    integers.iter_mut().for_each(Zeroize::zeroize);
    whole
}

/// Errors: `WrappedKeyInvalid` when it is not a key known here. Trailing bytes are refused.
pub fn decode(der: &[u8]) -> Result<PrivateKey> {
    parse(der).ok_or(Error::WrappedKeyInvalid)
}

fn parse(der: &[u8]) -> Option<PrivateKey> {
    let mut outer = Reader::new(der);
    let mut info = outer.sequence()?;
    let version = info.unsigned()?;
    if !outer.is_empty() || !(version.is_empty() || version[..] == [1]) {
        return None;
    }
    let mut algorithm = info.sequence()?;
    let kind = algorithm.take_whole(OID)?;
    let inner = info.take(OCTET_STRING)?;
    // Attributes [0] and the public key [1] may follow; the attributes are not needed.
    let mut public = None;
    while !info.is_empty() {
        let tag = info.peek().filter(|tag| [0xa0, PUBLIC_TAG, POINT_TAG].contains(tag))?;
        let contents = info.take(tag)?;
        if tag == PUBLIC_TAG {
            public = Some(contents.strip_prefix(&[0])?);
        }
    }
    match kind {
        RSA_OID => parse_rsa(inner).map(PrivateKey::Rsa),
        EC_OID => match parse_ec(Some(Curve::from_params(algorithm.take_whole(OID)?)?), inner)? {
            PrivateKey::Ec(curve, scalar, None) => {
                Some(PrivateKey::Ec(curve, scalar, public.map(<[u8]>::to_vec)))
            }
            whole => Some(whole),
        },
        ED25519_OID => {
            let own = |seed: &[u8]| ed25519::PrivateKey::new(seed).ok().map(|key| key.public());
            parse_32(inner, public, own).map(PrivateKey::Ed25519)
        }
        X25519_OID => {
            let own = |scalar: &[u8]| scalar.try_into().ok().map(x25519::public);
            parse_32(inner, public, own).map(PrivateKey::X25519)
        }
        _ if slh_dsa_set(kind).is_some() => {
            let set = slh_dsa_set(kind)?;
            let half = inner.get(inner.len().checked_sub(set.public_length())?..);
            (inner.len() == set.private_length() && public.is_none_or(|public| half == Some(public)))
                .then(|| PrivateKey::SlhDsa(set, Secret::from(inner)))
        }
        _ => {
            let parts =
                || Some(SeedAndValue { public: public.map(<[u8]>::to_vec), ..parse_seed_and_value(inner)? });
            match (ml_dsa_set(kind), ml_kem_set(kind)) {
                (Some(set), _) => Some(PrivateKey::MlDsa(set, parts()?)),
                (None, Some(set)) => Some(PrivateKey::MlKem(set, parts()?)),
                (None, None) => None,
            }
        }
    }
}

/// RFC 8410 §7: an OCTET STRING of 32 bytes, and a public key beside it that is its own, if there is one.
fn parse_32(der: &[u8], public: Option<&[u8]>, own: impl Fn(&[u8]) -> Option<[u8; 32]>) -> Option<Secret> {
    let mut reader = Reader::new(der);
    let bytes = reader.take(OCTET_STRING).filter(|bytes| bytes.len() == 32)?;
    let fits = public.is_none_or(|public| own(bytes).is_some_and(|own| own == public));
    (reader.is_empty() && fits).then(|| Secret::from(bytes))
}

/// RSAPrivateKey (RFC 8017 §A.1.2), as in `BEGIN RSA PRIVATE KEY`; errors as [`decode`].
pub fn decode_pkcs1(der: &[u8]) -> Result<PrivateKey> {
    parse_rsa(der).map(PrivateKey::Rsa).ok_or(Error::WrappedKeyInvalid)
}

/// ECPrivateKey (RFC 5915) that names its curve, as in `BEGIN EC PRIVATE KEY`; errors as [`decode`].
pub fn decode_sec1(der: &[u8]) -> Result<PrivateKey> {
    parse_ec(None, der).ok_or(Error::WrappedKeyInvalid)
}

/// A public key inside a SubjectPublicKeyInfo; a point or number as it stands there, unchecked.
#[derive(Debug, PartialEq, Eq)]
pub enum PublicKey {
    Rsa(RsaPublic),
    Ec(Curve, Vec<u8>),
    Ed25519([u8; 32]),
    X25519([u8; 32]),
    MlDsa(ml_dsa::Set, Vec<u8>),
    SlhDsa(slh_dsa::Set, Vec<u8>),
    MlKem(ml_kem::Set, Vec<u8>),
}

/// A SubjectPublicKeyInfo; `None`: not a key known here, or trailing bytes.
pub fn decode_public(der: &[u8]) -> Option<PublicKey> {
    let mut outer = Reader::new(der);
    let mut info = outer.sequence()?;
    let mut algorithm = info.sequence()?;
    let kind = algorithm.take_whole(OID)?;
    let key = info.take(BIT_STRING)?.strip_prefix(&[0])?;
    if !info.is_empty() || !outer.is_empty() {
        return None;
    }
    match kind {
        RSA_OID => decode_pkcs1_public(key).map(PublicKey::Rsa),
        EC_OID => Some(PublicKey::Ec(Curve::from_params(algorithm.take_whole(OID)?)?, key.to_vec())),
        ED25519_OID => Some(PublicKey::Ed25519(key.try_into().ok()?)),
        X25519_OID => Some(PublicKey::X25519(key.try_into().ok()?)),
        _ => {
            let ml_dsa = || ml_dsa_set(kind).map(|set| PublicKey::MlDsa(set, key.to_vec()));
            let slh_dsa = || slh_dsa_set(kind).map(|set| PublicKey::SlhDsa(set, key.to_vec()));
            let ml_kem = || ml_kem_set(kind).map(|set| PublicKey::MlKem(set, key.to_vec()));
            ml_dsa().or_else(slh_dsa).or_else(ml_kem)
        }
    }
}

/// The key's own bytes in a SubjectPublicKeyInfo of any kind: what key identifiers are made of
/// (RFC 5280 §4.2.1.2).
pub fn public_bits(der: &[u8]) -> Option<&[u8]> {
    let mut info = Reader::new(der).sequence()?;
    info.take(SEQUENCE)?;
    info.take(BIT_STRING)?.strip_prefix(&[0])
}

/// RSAPublicKey (RFC 8017 §A.1.1), as in `BEGIN RSA PUBLIC KEY`.
pub fn decode_pkcs1_public(der: &[u8]) -> Option<RsaPublic> {
    let mut outer = Reader::new(der);
    let mut key = outer.sequence()?;
    let public = RsaPublic { modulus: key.unsigned()?.to_vec(), public_exponent: key.unsigned()?.to_vec() };
    (key.is_empty() && outer.is_empty()).then_some(public)
}

fn parse_rsa(der: &[u8]) -> Option<RsaParts> {
    let mut outer = Reader::new(der);
    let mut key = outer.sequence()?;
    if !key.unsigned()?.is_empty() {
        return None;
    }
    let parts = RsaParts {
        public: RsaPublic { modulus: key.unsigned()?.to_vec(), public_exponent: key.unsigned()?.to_vec() },
        private_exponent: key.unsigned()?,
        prime_1: key.unsigned()?,
        prime_2: key.unsigned()?,
        exponent_1: key.unsigned()?,
        exponent_2: key.unsigned()?,
        coefficient: key.unsigned()?,
    };
    (key.is_empty() && outer.is_empty()).then_some(parts)
}

/// `curve`: what is known of it from outside.
fn parse_ec(curve: Option<Curve>, der: &[u8]) -> Option<PrivateKey> {
    let mut outer = Reader::new(der);
    let mut key = outer.sequence()?;
    if key.unsigned()?[..] != [1] {
        return None;
    }
    let scalar = Secret::from(key.take(OCTET_STRING)?);
    let mut said = None;
    if key.peek() == Some(PARAMETERS_TAG) {
        said = Some(Curve::from_params(key.take(PARAMETERS_TAG)?)?);
    }
    let curve = curve.or(said).filter(|curve| said.is_none_or(|said| said == *curve))?;
    let mut point = None;
    if key.peek() == Some(POINT_TAG) {
        let bits = Reader::new(key.take(POINT_TAG)?).take(BIT_STRING)?;
        point = Some(bits.strip_prefix(&[0])?.to_vec());
    }
    (key.is_empty() && outer.is_empty()).then_some(PrivateKey::Ec(curve, scalar, point))
}

fn ml_dsa_set(oid: &[u8]) -> Option<ml_dsa::Set> {
    ml_dsa::Set::ALL.into_iter().find(|set| set.oid_der() == oid)
}

fn slh_dsa_set(oid: &[u8]) -> Option<slh_dsa::Set> {
    slh_dsa::Set::ALL.into_iter().find(|set| set.oid_der() == oid)
}

fn ml_kem_set(oid: &[u8]) -> Option<ml_kem::Set> {
    ml_kem::Set::ALL.into_iter().find(|set| set.oid_der() == oid)
}

fn parse_seed_and_value(der: &[u8]) -> Option<SeedAndValue> {
    let mut outer = Reader::new(der);
    let parts = match outer.peek()? {
        SEED_TAG => SeedAndValue::of(outer.take(SEED_TAG)?, &[]),
        OCTET_STRING => SeedAndValue::of(&[], outer.take(OCTET_STRING)?),
        _ => {
            let mut both = outer.sequence()?;
            let parts = SeedAndValue::of(both.take(OCTET_STRING)?, both.take(OCTET_STRING)?);
            both.is_empty().then_some(parts)?
        }
    };
    outer.is_empty().then_some(parts)
}

/// SubjectPublicKeyInfo of an algorithm, its OID first, and a public key.
pub fn public_info(algorithm: &[&[u8]], key: &[u8]) -> Vec<u8> {
    let algorithm = der::element(SEQUENCE, algorithm);
    let bits = der::element(BIT_STRING, &[&[0], key]);
    der::element(SEQUENCE, &[&algorithm, &bits])
}

/// SubjectPublicKeyInfo of an RSA key.
pub fn rsa_public_info(key: &RsaPublic) -> Vec<u8> {
    let (n, e) = (der::integer(&key.modulus), der::integer(&key.public_exponent));
    public_info(&[RSA_OID, &[NULL, 0]], &der::element(SEQUENCE, &[&n, &e]))
}

/// SubjectPublicKeyInfo of an EC key; `point` is uncompressed, without an OCTET STRING.
pub fn ec_public_info(curve: Curve, point: &[u8]) -> Vec<u8> {
    public_info(&[EC_OID, curve.oid_der()], point)
}

/// SubjectPublicKeyInfo of an Ed25519 key.
pub fn ed25519_public_info(public: &[u8; 32]) -> Vec<u8> {
    public_info(&[ED25519_OID], public)
}

/// SubjectPublicKeyInfo of an X25519 key.
pub fn x25519_public_info(public: &[u8; 32]) -> Vec<u8> {
    public_info(&[X25519_OID], public)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ed25519_is_rfc8410() {
        // RFC 8410 §10.3: the example private key.
        let seed = [
            0xd4, 0xee, 0x72, 0xdb, 0xf9, 0x13, 0x58, 0x4a, 0xd5, 0xb6, 0xd8, 0xf1, 0xf7, 0x69, 0xf8, 0xad,
            0x3a, 0xfe, 0x7c, 0x28, 0xcb, 0xf1, 0xd4, 0xfb, 0xe0, 0x97, 0xa8, 0x8f, 0x44, 0x75, 0x58, 0x42,
        ];
        let encoded = encode(&PrivateKey::Ed25519(Secret::from(&seed[..]))).unwrap();
        assert_eq!(encoded[..16], [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20]);
        let PrivateKey::Ed25519(back) = decode(&encoded).unwrap() else { panic!("another kind") };
        assert_eq!(back[..], seed);
    }

    #[test]
    fn keys_come_back_and_damage_does_not() {
        let scalar = crate::crypto::ec::PrivateKey::generate(Curve::P384).unwrap();
        let point = crate::crypto::ec::PrivateKey::new(Curve::P384, &scalar).unwrap().public_point().unwrap();
        let encoded = encode(&PrivateKey::Ec(Curve::P384, scalar.clone(), Some(point.clone()))).unwrap();
        let PrivateKey::Ec(Curve::P384, back, Some(back_point)) = decode(&encoded).unwrap() else { panic!() };
        assert_eq!((back, back_point), (scalar, point));
        let parts = crate::crypto::rsa::PrivateKey::generate(2048, &[1, 0, 1]).unwrap();
        let encoded = encode(&PrivateKey::Rsa(parts.clone())).unwrap();
        let PrivateKey::Rsa(back) = decode(&encoded).unwrap() else { panic!() };
        assert_eq!((back.public, back.coefficient), (parts.public, parts.coefficient));
        for end in 0..encoded.len() {
            assert!(decode(&encoded[..end]).is_err());
        }
        assert!(decode(&[&encoded[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_public_key_beside_a_private_one_must_be_its_own() {
        // RFC 8410 §10.3, the key with its public half; then the half of another.
        let seed = [7; 32];
        let public = crate::crypto::ed25519::PrivateKey::new(&seed).unwrap().public();
        let version_2 = |public: &[u8; 32]| {
            let (version, algorithm) = (der::integer(&[1]), der::element(SEQUENCE, &[ED25519_OID]));
            let inner = der::element(OCTET_STRING, &[&der::element(OCTET_STRING, &[&seed])]);
            let public = der::element(PUBLIC_TAG, &[&[0], public]);
            der::element(SEQUENCE, &[&version, &algorithm, &inner, &public])
        };
        assert!(matches!(decode(&version_2(&public)), Ok(PrivateKey::Ed25519(back)) if back[..] == seed));
        assert!(decode(&version_2(&[9; 32])).is_err());
    }

    #[test]
    fn older_forms_are_the_same_keys() {
        let curve = Curve::Secp256k1;
        let scalar = crate::crypto::ec::PrivateKey::generate(curve).unwrap();
        let number = der::element(OCTET_STRING, &[&scalar]);
        let named = der::element(PARAMETERS_TAG, &[curve.oid_der()]);
        let sec1 = der::element(SEQUENCE, &[&der::integer(&[1]), &number, &named]);
        let PrivateKey::Ec(said, back, None) = decode_sec1(&sec1).unwrap() else { panic!() };
        assert_eq!((said, back), (curve, scalar.clone()));
        assert!(decode_sec1(&der::element(SEQUENCE, &[&der::integer(&[1]), &number])).is_err(), "no curve");
        let point = crate::crypto::ec::PrivateKey::new(curve, &scalar).unwrap().public_point().unwrap();
        let info = ec_public_info(curve, &point);
        assert_eq!(decode_public(&info), Some(PublicKey::Ec(curve, point.clone())));
        assert_eq!(public_bits(&info), Some(&point[..]));
        let rsa = RsaPublic { modulus: vec![0xc1; 256], public_exponent: vec![1, 0, 1] };
        assert_eq!(decode_public(&rsa_public_info(&rsa)), Some(PublicKey::Rsa(rsa.clone())));
        let info = ed25519_public_info(&[4; 32]);
        assert_eq!(decode_public(&info), Some(PublicKey::Ed25519([4; 32])));
        for end in 0..info.len() {
            assert_eq!(decode_public(&info[..end]), None);
        }
        assert_eq!(decode_public(&[&info[..], &[0]].concat()), None);
    }
}
