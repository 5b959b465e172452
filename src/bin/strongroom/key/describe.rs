//! `key info` and `key generate-file`: what a key says of itself.

use super::{Row, attributes, called, described};
use crate::context::Person;
use crate::output::{Answer, Failure, Outcome};
use crate::pem;
use cryptoki_sys::*;
use serde::Serialize;
use serde_json::json;
use std::path::Path;
use strongroom::crypto::{Curve, ml_dsa, ml_kem, slh_dsa};
use strongroom::object::Value;
use strongroom::object::attribute::AttributeType;
use strongroom::token::{Handle, Token};

/// What a key may be used for, as its flags say.
const USES: [(&str, AttributeType); 9] = [
    ("sign", CKA_SIGN),
    ("verify", CKA_VERIFY),
    ("encrypt", CKA_ENCRYPT),
    ("decrypt", CKA_DECRYPT),
    ("wrap", CKA_WRAP),
    ("unwrap", CKA_UNWRAP),
    ("derive", CKA_DERIVE),
    ("sign-recover", CKA_SIGN_RECOVER),
    ("verify-recover", CKA_VERIFY_RECOVER),
];

#[derive(Serialize)]
pub struct Info {
    #[serde(flatten)]
    row: Row,
    key_type: String,
    /// Bits; of EC keys of the field.
    size: Option<u64>,
    curve: Option<&'static str>,
    /// CKA_ID.
    key_id: String,
    uses: Vec<&'static str>,
    sensitive: Option<bool>,
    always_sensitive: Option<bool>,
    extractable: Option<bool>,
    never_extractable: Option<bool>,
    wrap_with_trusted: Option<bool>,
    trusted: Option<bool>,
    local: Option<bool>,
    modifiable: Option<bool>,
    destroyable: Option<bool>,
    start_date: String,
    end_date: String,
    allowed_mechanisms: String,
    check_value: String,
}

/// The attributes of one key, by their names.
pub struct Seen<'a> {
    pub token: &'a Token,
    pub person: &'a Person,
    pub key: Handle,
}

impl Seen<'_> {
    fn value(&self, kind: AttributeType) -> Option<Value> {
        self.token.attributes(self.person.access(), self.key, &[kind]).ok()?.into_iter().next()?.ok()
    }

    fn flag(&self, kind: AttributeType) -> Option<bool> {
        match self.value(kind) {
            Some(Value::Bool(flag)) => Some(flag),
            _ => None,
        }
    }

    fn number(&self, kind: AttributeType) -> Option<u64> {
        match self.value(kind) {
            Some(Value::Ulong(number)) => Some(number),
            _ => None,
        }
    }

    pub fn bytes(&self, kind: AttributeType) -> Vec<u8> {
        self.value(kind).and_then(|value| Some(value.bytes()?.to_vec())).unwrap_or_default()
    }

    fn shown(&self, kind: AttributeType) -> String {
        self.value(kind).map_or_else(String::new, |value| attributes::shown(&value))
    }

    fn curve(&self) -> Option<Curve> {
        Curve::from_params(&self.bytes(CKA_EC_PARAMS))
    }

    fn size(&self) -> Option<u64> {
        let modulus = self.bytes(CKA_MODULUS);
        match modulus.first() {
            Some(first) => Some(modulus.len() as u64 * 8 - u64::from(first.leading_zeros())),
            None => match self.number(CKA_VALUE_LEN) {
                Some(length) => Some(length * 8),
                None => self.curve().map(|curve| u64::from(curve.bits())),
            },
        }
    }
}

pub fn curve_name(curve: Curve) -> &'static str {
    match curve {
        Curve::P224 => "P-224",
        Curve::P256 => "P-256",
        Curve::P384 => "P-384",
        Curve::P521 => "P-521",
        Curve::Secp256k1 => "secp256k1",
    }
}

pub fn ml_dsa_name(set: ml_dsa::Set) -> &'static str {
    match set {
        ml_dsa::Set::MlDsa44 => "ML-DSA-44",
        ml_dsa::Set::MlDsa65 => "ML-DSA-65",
        ml_dsa::Set::MlDsa87 => "ML-DSA-87",
    }
}

/// As the command writes it; FIPS 205 has it in capitals.
pub fn slh_dsa_name(set: slh_dsa::Set) -> &'static str {
    match set {
        slh_dsa::Set::Sha2_128s => "sha2-128s",
        slh_dsa::Set::Sha2_128f => "sha2-128f",
        slh_dsa::Set::Sha2_192s => "sha2-192s",
        slh_dsa::Set::Sha2_192f => "sha2-192f",
        slh_dsa::Set::Sha2_256s => "sha2-256s",
        slh_dsa::Set::Sha2_256f => "sha2-256f",
        slh_dsa::Set::Shake128s => "shake-128s",
        slh_dsa::Set::Shake128f => "shake-128f",
        slh_dsa::Set::Shake192s => "shake-192s",
        slh_dsa::Set::Shake192f => "shake-192f",
        slh_dsa::Set::Shake256s => "shake-256s",
        slh_dsa::Set::Shake256f => "shake-256f",
    }
}

pub fn ml_kem_name(set: ml_kem::Set) -> &'static str {
    match set {
        ml_kem::Set::MlKem512 => "ML-KEM-512",
        ml_kem::Set::MlKem768 => "ML-KEM-768",
        ml_kem::Set::MlKem1024 => "ML-KEM-1024",
    }
}

pub fn info(token: &Token, person: &Person, key: Handle) -> Outcome {
    let seen = Seen { token, person, key };
    let kind = seen.number(CKA_KEY_TYPE);
    let word = attributes::KEY_TYPES.iter().find(|(_, number)| kind == Some(*number));
    Ok(Answer::record(Info {
        row: described(token, person, key)?,
        key_type: match (word, kind) {
            (Some((word, _)), _) => (*word).into(),
            (None, Some(number)) => format!("{number:#x}"),
            (None, None) => String::new(),
        },
        size: seen.size(),
        curve: seen.curve().map(curve_name),
        key_id: seen.shown(CKA_ID),
        uses: USES
            .into_iter()
            .filter(|(_, kind)| seen.flag(*kind) == Some(true))
            .map(|(word, _)| word)
            .collect(),
        sensitive: seen.flag(CKA_SENSITIVE),
        always_sensitive: seen.flag(CKA_ALWAYS_SENSITIVE),
        extractable: seen.flag(CKA_EXTRACTABLE),
        never_extractable: seen.flag(CKA_NEVER_EXTRACTABLE),
        wrap_with_trusted: seen.flag(CKA_WRAP_WITH_TRUSTED),
        trusted: seen.flag(CKA_TRUSTED),
        local: seen.flag(CKA_LOCAL),
        modifiable: seen.flag(CKA_MODIFIABLE),
        destroyable: seen.flag(CKA_DESTROYABLE),
        start_date: seen.shown(CKA_START_DATE),
        end_date: seen.shown(CKA_END_DATE),
        allowed_mechanisms: seen.shown(CKA_ALLOWED_MECHANISMS),
        check_value: seen.shown(CKA_CHECK_VALUE),
    }))
}

/// SubjectPublicKeyInfo of the one key pair of a name, whichever half is there.
pub fn public_info(token: &Token, person: &Person, name: &str) -> Result<Vec<u8>, Failure> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for key in called(token, person, name, &[CKO_PRIVATE_KEY, CKO_PUBLIC_KEY])? {
        let info = Seen { token, person, key }.bytes(CKA_PUBLIC_KEY_INFO);
        if !info.is_empty() && !found.contains(&info) {
            found.push(info);
        }
    }
    match &mut found[..] {
        [one] => Ok(std::mem::take(one)),
        [] => Err(Failure::new(format!("There is no key pair {name} that you can see."))
            .next("`strongroom key list` shows what there is.")),
        _ => Err(Failure::new(format!("{} key pairs are called {name}.", found.len()))
            .next("name one by its id: `strongroom key list`.")),
    }
}

/// The public half as PEM, to a file or to standard output.
pub fn export(token: &Token, person: &Person, name: &str, path: Option<&Path>) -> Outcome {
    let text = pem::encode("PUBLIC KEY", public_info(token, person, name)?);
    super::wrap::written(
        path,
        text.into_bytes(),
        |text| json!({ "key": name, "pem": String::from_utf8_lossy(text) }),
    )
}
