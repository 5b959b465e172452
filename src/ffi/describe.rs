//! Values as words for the call trace: names, numbers and lengths, never what is secret.
//!
//! Of bytes only those listed in [`OPEN`] are shown; everything else, and everything new, is a length.

use crate::error::Result;
use crate::mechanism::params::Input;
use crate::mechanism::{self, Params};
use crate::object::attribute;
use crate::object::{Template, Value};
use cryptoki_sys::*;

/// Bytes that name things: shown as text or in hexadecimal.
const OPEN: &[CK_ATTRIBUTE_TYPE] = &[
    CKA_LABEL,
    CKA_APPLICATION,
    CKA_ID,
    CKA_OBJECT_ID,
    CKA_EC_PARAMS,
    CKA_PUBLIC_EXPONENT,
    attribute::CKA_STRONGROOM_OWNER as CK_ATTRIBUTE_TYPE,
    attribute::CKA_STRONGROOM_SHARED_WITH as CK_ATTRIBUTE_TYPE,
    attribute::CKA_STRONGROOM_SERIES as CK_ATTRIBUTE_TYPE,
    attribute::CKA_STRONGROOM_MADE_AT as CK_ATTRIBUTE_TYPE,
];
/// Longer ones are cut.
const MOST: usize = 64;

macro_rules! names {
    ($number:expr; $($name:ident)*) => {
        match $number {
            $($name => stringify!($name).to_owned(),)*
            other => format!("{other:#x}"),
        }
    };
}

pub fn user(kind: CK_USER_TYPE) -> String {
    names!(kind; CKU_SO CKU_USER CKU_CONTEXT_SPECIFIC)
}

fn class(number: CK_OBJECT_CLASS) -> String {
    names!(number; CKO_DATA CKO_CERTIFICATE CKO_PUBLIC_KEY CKO_PRIVATE_KEY CKO_SECRET_KEY CKO_HW_FEATURE
        CKO_DOMAIN_PARAMETERS CKO_MECHANISM CKO_OTP_KEY CKO_PROFILE CKO_VALIDATION CKO_TRUST)
}

fn key_type(number: CK_KEY_TYPE) -> String {
    names!(number; CKK_RSA CKK_DSA CKK_DH CKK_EC CKK_EC_EDWARDS CKK_EC_MONTGOMERY CKK_GENERIC_SECRET CKK_AES
        CKK_DES3 CKK_CHACHA20 CKK_HKDF CKK_SHA_1_HMAC CKK_SHA224_HMAC CKK_SHA256_HMAC CKK_SHA384_HMAC
        CKK_SHA512_HMAC CKK_ML_KEM CKK_ML_DSA CKK_SLH_DSA)
}

pub fn mechanism_name(kind: CK_MECHANISM_TYPE) -> String {
    mechanism::find(kind).map_or_else(|_| format!("{kind:#x}"), |row| row.name.to_owned())
}

/// A mechanism, and what its parameter says and holds.
pub fn mechanism(given: &CK_MECHANISM, params: Result<&Params>) -> String {
    let name = mechanism_name(given.mechanism);
    match params {
        Ok(Params::None) => name,
        Ok(params) => format!("{name} ({})", parameter(params)),
        Err(error) => format!("{name} ({} bytes: {})", given.ulParameterLen, error.name()),
    }
}

fn parameter(params: &Params) -> String {
    match params {
        Params::None => String::new(),
        Params::Iv(iv) => format!("IV {} bytes", iv.len()),
        Params::MacLength(length) => format!("MAC {length} bytes"),
        Params::Pss { hash, mgf, salt_length } => format!("{hash:?}, MGF1 {mgf:?}, salt {salt_length}"),
        Params::Oaep { hash, mgf, label } => format!("{hash:?}, MGF1 {mgf:?}, label {} bytes", label.len()),
        Params::RsaAes { key_bits, hash, mgf, label } => {
            format!("AES {key_bits} bits, {hash:?}, MGF1 {mgf:?}, label {} bytes", label.len())
        }
        Params::Ctr { counter_bits, .. } => format!("counter {counter_bits} bits"),
        Params::Gcm { iv, aad, tag_bits } => {
            format!("IV {} bytes, AAD {} bytes, tag {tag_bits} bits", iv.len(), aad.len())
        }
        Params::Ccm { data_length, nonce, aad, tag_length } => format!(
            "{data_length} bytes of data, nonce {} bytes, AAD {} bytes, tag {tag_length} bytes",
            nonce.len(),
            aad.len()
        ),
        Params::ChaCha20Poly1305 { aad, .. } => format!("AAD {} bytes", aad.len()),
        Params::Ecdh { kdf, shared, public } => {
            let kdf = kdf.map_or_else(|| "no KDF".into(), |hash| format!("KDF {hash:?}"));
            format!("{kdf}, shared {} bytes, public {} bytes", shared.len(), public.len())
        }
        Params::Hkdf { extract, expand, hash, info, .. } => {
            format!("{hash:?}, extract {extract}, expand {expand}, info {} bytes", info.len())
        }
        Params::Kdf(kdf) => {
            format!("{:?}, {} fields, {} more keys", kdf.prf, kdf.fields.len(), kdf.more.len())
        }
        Params::Other(Input::Bytes(data)) => format!("{} bytes", data.len()),
        Params::Other(_) => "a key".into(),
        Params::BitPosition(first) => format!("from bit {first}"),
        Params::Pbkdf2 { hash, salt, iterations, .. } => {
            format!("{hash:?}, salt {} bytes, {iterations} iterations", salt.len())
        }
        Params::SignContext { deterministic, context, hash } => {
            let hedge = if *deterministic { "deterministic" } else { "hedged" };
            let hash = hash.map_or_else(String::new, |hash| format!(", {hash:?}"));
            format!("{hedge}, context {} bytes{hash}", context.len())
        }
        Params::Eddsa { prehash, context } => format!("prehash {prehash}, context {} bytes", context.len()),
    }
}

fn attribute_name(kind: CK_ATTRIBUTE_TYPE) -> String {
    attribute::name(kind).map_or_else(|| format!("{kind:#x}"), str::to_owned)
}

/// An attribute that is asked for: how much room there is, or that only its length is wanted.
pub fn wish(given: &CK_ATTRIBUTE) -> String {
    let name = attribute_name(given.type_);
    if given.pValue.is_null() { format!("{name} NULL") } else { format!("{name} {}", given.ulValueLen) }
}

/// An attribute and its value, or why it has none.
pub fn attribute(kind: CK_ATTRIBUTE_TYPE, value: &Result<Value>) -> String {
    let name = attribute_name(kind);
    match value {
        Ok(value) => format!("{name}={}", worth(kind, value)),
        Err(error) => format!("{name}: {}", error.name()),
    }
}

fn worth(kind: CK_ATTRIBUTE_TYPE, value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Ulong(number) => match kind {
            CKA_CLASS => class(*number),
            CKA_KEY_TYPE => key_type(*number),
            CKA_KEY_GEN_MECHANISM => mechanism_name(*number),
            _ if *number == CK_UNAVAILABLE_INFORMATION => "-1".into(),
            _ => number.to_string(),
        },
        Value::Bytes(bytes) if OPEN.contains(&kind) => open(bytes),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::Secret(secret) => format!("{} bytes", secret.len()),
        Value::Date(date) => date.map_or_else(|| "none".into(), |date| open(&date)),
        Value::Mechanisms(list) => list_of(list.iter().map(|kind| mechanism_name(*kind))),
        Value::Template(inner) => template(inner),
    }
}

fn template(inner: &Template) -> String {
    list_of(inner.iter().map(|(kind, value)| format!("{}={}", attribute_name(*kind), worth(*kind, value))))
}

fn list_of(texts: impl Iterator<Item = String>) -> String {
    format!("[{}]", texts.collect::<Vec<_>>().join(", "))
}

/// Text in quotes when it is text, else hexadecimal.
fn open(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(MOST)];
    let rest = if bytes.len() > MOST { format!("… ({} bytes)", bytes.len()) } else { String::new() };
    match std::str::from_utf8(shown) {
        Ok(text) if !text.chars().any(char::is_control) => format!("{text:?}{rest}"),
        _ => format!("{}{rest}", shown.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;
    use crate::error::Error;

    #[test]
    fn names_are_shown_and_values_are_not() {
        let shown = |kind, value| attribute(kind, &Ok(value));
        assert_eq!(shown(CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)), "CKA_CLASS=CKO_SECRET_KEY");
        assert_eq!(shown(CKA_LABEL, Value::Bytes(b"a \"b\"".to_vec())), "CKA_LABEL=\"a \\\"b\\\"\"");
        assert_eq!(shown(CKA_LABEL, Value::Bytes(b"a\n1 fake".to_vec())), "CKA_LABEL=610a312066616b65");
        assert_eq!(shown(CKA_ID, Value::Bytes(vec![0, 255])), "CKA_ID=00ff");
        assert_eq!(shown(CKA_VALUE, Value::Secret(Secret::from(&b"key"[..]))), "CKA_VALUE=3 bytes");
        assert_eq!(shown(CKA_SUBJECT, Value::Bytes(b"CN=x".to_vec())), "CKA_SUBJECT=4 bytes");
        let nested = Value::Template(vec![(CKA_VALUE, Value::Secret(Secret::from(&b"key"[..])))]);
        assert_eq!(shown(CKA_UNWRAP_TEMPLATE, nested), "CKA_UNWRAP_TEMPLATE=[CKA_VALUE=3 bytes]");
        assert_eq!(
            attribute(0x8000_0001, &Err(Error::AttributeTypeInvalid)),
            "0x80000001: CKR_ATTRIBUTE_TYPE_INVALID"
        );
        let long = shown(CKA_LABEL, Value::Bytes(vec![b'x'; 1000]));
        assert!(long.len() < 120 && long.ends_with("… (1000 bytes)"), "{long}");
    }
}
