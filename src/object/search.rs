//! Search terms: which attributes are indexed, and whether an object matches a template.

use super::{AttributeType, Object, Template, Value, rules};
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
    CKA_ISSUER,
    CKA_APPLICATION,
    CKA_KEY_TYPE,
    CKA_CLASS,
];

fn term(kind: AttributeType, value: &Value) -> Option<Term> {
    match value {
        Value::Ulong(number) => Some((kind, number.to_le_bytes().to_vec())),
        Value::Bytes(bytes) if !bytes.is_empty() => Some((kind, bytes.clone())),
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
    template.iter().all(|(kind, wanted)| rules::read(object, *kind).is_ok_and(|value| value.same(wanted)))
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
}
