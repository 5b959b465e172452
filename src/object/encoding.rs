//! The stored form of an object: count (u32), then for each attribute its type (u64), the shape
//! (u8), a length (u32) and the bytes; all little-endian, independent of the size of CK_ULONG.

use super::{Object, Template, Value};
use crate::crypto::Secret;
use crate::error::{Error, Result};

/// Templates inside templates: deeper is damage or mischief.
const DEEPEST: usize = 4;

impl Object {
    pub fn encode(&self) -> Secret {
        Secret::from(encode(&self.attributes))
    }

    /// `DeviceError` when the bytes are not exactly one encoded object.
    pub fn decode(bytes: &[u8]) -> Result<Object> {
        let attributes =
            decode(bytes, 0).ok_or_else(|| Error::DeviceError.because("an object does not decode"))?;
        Ok(Object::new(attributes))
    }
}

fn encode(attributes: &Template) -> Vec<u8> {
    let size = attributes.iter().map(|(_, value)| 13 + value.bytes().map_or(16, <[u8]>::len)).sum::<usize>();
    // Room for everything at once: a vector that grows leaves copies of secrets behind.
    let mut out = Vec::with_capacity(size + 4 + nested_size(attributes));
    out.extend_from_slice(&(attributes.len() as u32).to_le_bytes());
    for (kind, value) in attributes {
        let (tag, body) = parts(value);
        out.extend_from_slice(&kind.to_le_bytes());
        out.push(tag);
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&body);
    }
    out
}

fn nested_size(attributes: &Template) -> usize {
    let nested = |value: &Value| match value {
        Value::Mechanisms(numbers) => 8 * numbers.len(),
        Value::Template(template) => encode(template).len(),
        _ => 0,
    };
    attributes.iter().map(|(_, value)| nested(value)).sum()
}

fn parts(value: &Value) -> (u8, Secret) {
    match value {
        Value::Bool(flag) => (1, Secret::from(&[u8::from(*flag)][..])),
        Value::Ulong(number) => (2, Secret::from(&number.to_le_bytes()[..])),
        Value::Bytes(bytes) => (3, Secret::from(&bytes[..])),
        Value::Secret(bytes) => (4, bytes.clone()),
        Value::Date(date) => (5, Secret::from(date.as_ref().map_or(&[][..], |d| &d[..]))),
        Value::Mechanisms(numbers) => {
            (6, Secret::from(numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>()))
        }
        Value::Template(template) => (7, Secret::from(encode(template))),
    }
}

fn decode(bytes: &[u8], depth: usize) -> Option<Template> {
    let (count, mut rest) = bytes.split_first_chunk::<4>()?;
    let mut attributes = Vec::new();
    for _ in 0..u32::from_le_bytes(*count) {
        let (kind, after) = rest.split_first_chunk::<8>()?;
        let (tag, after) = after.split_first()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let (body, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        attributes.push((u64::from_le_bytes(*kind), value(*tag, body, depth)?));
        rest = after;
    }
    rest.is_empty().then_some(attributes)
}

fn value(tag: u8, body: &[u8], depth: usize) -> Option<Value> {
    Some(match (tag, body) {
        (1, [flag @ (0 | 1)]) => Value::Bool(*flag == 1),
        (2, _) => Value::Ulong(u64::from_le_bytes(body.try_into().ok()?)),
        (3, _) => Value::Bytes(body.to_vec()),
        (4, _) => Value::Secret(Secret::from(body)),
        (5, []) => Value::Date(None),
        (5, _) => Value::Date(Some(body.try_into().ok()?)),
        (6, _) => {
            let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
            Value::Mechanisms(body.chunks(8).map(number).collect::<Option<_>>()?)
        }
        (7, _) if depth < DEEPEST => Value::Template(decode(body, depth + 1)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<u64>().prop_map(Value::Ulong),
            any::<Vec<u8>>().prop_map(Value::Bytes),
            any::<Vec<u8>>().prop_map(|b| Value::Secret(Secret::from(b))),
            any::<Option<[u8; 8]>>().prop_map(Value::Date),
            any::<Vec<u64>>().prop_map(Value::Mechanisms),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop::collection::vec((any::<u64>(), inner), 0..4).prop_map(Value::Template)
        })
    }

    proptest! {
        #[test]
        fn objects_come_back(attributes in prop::collection::vec((any::<u64>(), any_value()), 0..12)) {
            let object = Object::new(attributes);
            let bytes = object.encode();
            prop_assert_eq!(Object::decode(&bytes).unwrap(), object);
            for end in 0..bytes.len() {
                prop_assert!(Object::decode(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn noise_is_no_object_and_no_panic(bytes in any::<Vec<u8>>()) {
            let _ = Object::decode(&bytes);
        }
    }
}
