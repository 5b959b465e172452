//! Search terms: which attributes are indexed, and whether an object matches a template.

use super::attribute::CKA_STRONGROOM_SERIES;
use super::rules::Rules;
use super::{AttributeType, Object, Template, Value};
use cryptoki_sys::*;

/// One indexed attribute value: what the store's blind index is asked by.
pub type Term = (AttributeType, Vec<u8>);

/// The indexed attributes, the most selective first.
const INDEXED: &[AttributeType] = &[
    CKA_UNIQUE_ID,
    CKA_ID,
    CKA_LABEL,
    CKA_SUBJECT,
    CKA_SERIAL_NUMBER,
    CKA_OBJECT_ID,
    CKA_MODULUS,
    CKA_EC_POINT,
    CKA_STRONGROOM_SERIES,
    CKA_ISSUER,
    CKA_APPLICATION,
    CKA_KEY_TYPE,
    CKA_CLASS,
];

/// A big integer without leading zeros, the form in which keys hold it: a caller who took the number
/// out of a certificate has a zero before it. Other bytes as they are.
fn plain(kind: AttributeType, bytes: &[u8]) -> &[u8] {
    let zeros = match kind {
        CKA_MODULUS | CKA_PUBLIC_EXPONENT => bytes.iter().take_while(|byte| **byte == 0).count(),
        _ => 0,
    };
    &bytes[zeros..]
}

fn term(kind: AttributeType, value: &Value) -> Option<Term> {
    match value {
        Value::Ulong(number) => Some((kind, number.to_le_bytes().to_vec())),
        Value::Bytes(bytes) if !bytes.is_empty() => Some((kind, plain(kind, bytes).to_vec())),
        _ => None,
    }
}

/// The terms under which an object is found.
pub fn terms(object: &Object) -> Vec<Term> {
    INDEXED.iter().filter_map(|kind| term(*kind, object.get(*kind)?)).collect()
}

/// The indexed part of a search template, the most selective first; `matches` still decides.
pub fn query(template: &Template) -> Vec<Term> {
    let given = |wanted: &AttributeType| template.iter().find(|(kind, _)| kind == wanted);
    INDEXED.iter().filter_map(|kind| given(kind).and_then(|(kind, value)| term(*kind, value))).collect()
}

/// Whether every attribute of the template is in the object with the same value. An attribute that
/// may not be revealed (sensitive) never matches.
pub fn matches(object: &Object, template: &Template) -> bool {
    let Ok(rows) = Rules::of(object) else { return template.is_empty() };
    template.iter().all(|(kind, wanted)| {
        let Ok(value) = rows.look(object, *kind) else { return false };
        match (value.bytes(), wanted.bytes()) {
            (Some(value), Some(wanted)) => plain(*kind, value) == plain(*kind, wanted),
            _ => *value == *wanted,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_it_says() {
        let object = Object::new(vec![
            (CKA_CLASS, Value::Ulong(CKO_DATA)),
            (CKA_LABEL, Value::Bytes(b"name".to_vec())),
            (CKA_VALUE, Value::Bytes(b"text".to_vec())),
        ]);
        let matching = |kind, value| matches(&object, &vec![(kind, value)]);
        assert!(matches(&object, &vec![]));
        assert!(matching(CKA_LABEL, Value::Bytes(b"name".to_vec())));
        assert!(matching(CKA_VALUE, Value::Secret(b"text"[..].into())));
        assert!(matching(CKA_TOKEN, Value::Bool(false)));
        assert!(matching(CKA_APPLICATION, Value::Bytes(vec![])));
        assert!(!matching(CKA_LABEL, Value::Bytes(b"nam".to_vec())));
        assert!(!matching(CKA_MODULUS, Value::Bytes(vec![])));
        assert_eq!(terms(&object).len(), 2);
        let search = vec![(CKA_CLASS, Value::Ulong(CKO_DATA)), (CKA_LABEL, Value::Bytes(b"name".to_vec()))];
        assert_eq!(query(&search)[0].0, CKA_LABEL);
        assert!(query(&vec![(CKA_LABEL, Value::Bytes(vec![]))]).is_empty());
    }

    #[test]
    fn a_modulus_is_a_number() {
        let key = Object::new(vec![
            (CKA_CLASS, Value::Ulong(CKO_PUBLIC_KEY)),
            (CKA_KEY_TYPE, Value::Ulong(CKK_RSA)),
            (CKA_MODULUS, Value::Bytes(vec![0xc3, 1])),
            (CKA_ID, Value::Bytes(vec![0, 1])),
        ]);
        let search = |kind, bytes: &[u8]| vec![(kind, Value::Bytes(bytes.to_vec()))];
        assert!(matches(&key, &search(CKA_MODULUS, &[0, 0xc3, 1])));
        assert!(terms(&key).contains(&query(&search(CKA_MODULUS, &[0, 0xc3, 1]))[0]));
        assert!(!matches(&key, &search(CKA_MODULUS, &[1, 0xc3, 1])));
        assert!(!matches(&key, &search(CKA_ID, &[1])), "an ID is not");
    }

    #[test]
    fn nothing_is_learnt_of_a_sensitive_value() {
        let key = |sensitive| {
            Object::new(vec![
                (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)),
                (CKA_KEY_TYPE, Value::Ulong(CKK_AES)),
                (CKA_VALUE, Value::Secret([7; 16][..].into())),
                (CKA_EXTRACTABLE, Value::Bool(true)),
                (CKA_SENSITIVE, Value::Bool(sensitive)),
            ])
        };
        let guess = vec![(CKA_VALUE, Value::Secret([7; 16][..].into()))];
        assert!(matches(&key(false), &guess));
        assert!(!matches(&key(true), &guess));
        assert!(query(&guess).is_empty(), "key material is in no index");
        assert!(terms(&key(false)).iter().all(|(kind, _)| *kind != CKA_VALUE));
    }
}
