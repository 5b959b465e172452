//! Versions of a key: what the one that is replaced can still do, and what the next one is like.
//!
//! All versions of a key carry CKA_STRONGROOM_SERIES, the CKA_UNIQUE_ID of the first, and count in
//! CKA_STRONGROOM_VERSION. Programs find keys by label, by CKA_ID or by both: the newest alone has the
//! label, so that those who search by label go on with it, and its CKA_ID is new, so that a certificate
//! stays with the key it was made for. `token/lifecycle.rs` makes and stores them.

use super::attribute::{
    AttributeType, CKA_NSS_DB, CKA_STRONGROOM_RETIRED, CKA_STRONGROOM_SERIES, CKA_STRONGROOM_SUSPENDED,
    CKA_STRONGROOM_VERSION,
};
use super::rules::{COMPUTED, HIDDEN, MADE, OFFICER, Rules};
use super::{Object, Template, Value};
use crate::error::Result;
use cryptoki_sys::*;

/// What a replaced version loses: everything that protects something new. CKA_DERIVE stays, in both
/// kinds of keys: it is how ECDH opens what was encrypted before, and how data keys come out of a master
/// key; nothing tells the two directions apart, and what is taken here never comes back.
const NEW_WORK: [AttributeType; 5] = [CKA_SIGN, CKA_SIGN_RECOVER, CKA_ENCRYPT, CKA_WRAP, CKA_ENCAPSULATE];

/// What each version has of its own. Validity too: a key that is replaced because its time is over
/// would otherwise be followed by one whose time is over.
const OWN: [AttributeType; 6] =
    [CKA_ID, CKA_START_DATE, CKA_END_DATE, CKA_PUBLIC_KEY_INFO, CKA_NSS_DB, CKA_STRONGROOM_SUSPENDED];

/// A key's version, 1 for one that was never replaced.
pub fn number(object: &Object) -> u64 {
    object.number(CKA_STRONGROOM_VERSION).unwrap_or(1)
}

/// Whether a newer version took its place.
pub fn is_retired(object: &Object) -> bool {
    object.flag(CKA_STRONGROOM_RETIRED)
}

/// The CKA_UNIQUE_ID of its first version.
fn series(object: &Object) -> Vec<u8> {
    let own = object.bytes(CKA_UNIQUE_ID);
    let series = object.bytes(CKA_STRONGROOM_SERIES);
    if series.is_empty() { own } else { series }.to_vec()
}

/// The key when a newer version has taken its place: it verifies, decrypts, unwraps and derives, and its
/// label says which version it was.
pub fn retired(object: &Object) -> Object {
    let mut old = object.clone();
    for usage in NEW_WORK {
        if old.flag(usage) {
            old.set(usage, Value::Bool(false));
        }
    }
    old.set(CKA_STRONGROOM_RETIRED, Value::Bool(true));
    old.set(CKA_STRONGROOM_SERIES, Value::Bytes(series(object)));
    let label = object.bytes(CKA_LABEL);
    if !label.is_empty() {
        let named = [label, format!(".v{}", number(object)).as_bytes()].concat();
        old.set(CKA_LABEL, Value::Bytes(named));
    }
    old
}

/// What the template of the next version says: all that the caller of the first one chose.
pub fn next_template(object: &Object) -> Result<Template> {
    let rules = Rules::of(object)?;
    let chosen = |(kind, value): &&(AttributeType, Value)| {
        let declined = *kind != CKA_CHECK_VALUE || value.bytes().is_some_and(<[u8]>::is_empty);
        let own = |rule: &super::rules::Rule| rule.has(COMPUTED | MADE | HIDDEN | OFFICER);
        declined && !OWN.contains(kind) && rules.find(*kind).is_some_and(|rule| !own(rule))
    };
    Ok(object.iter().filter(chosen).cloned().collect())
}

/// What both halves of a pair have, and no other pair has.
pub fn shared_value(key_type: Option<u64>) -> AttributeType {
    match key_type {
        Some(CKK_RSA) => CKA_MODULUS,
        Some(CKK_ML_DSA | CKK_SLH_DSA | CKK_ML_KEM) => CKA_PUBLIC_KEY_INFO,
        _ => CKA_EC_POINT,
    }
}

/// The template of a public key for a private one that has none in the token: what the private one does,
/// the other way round.
pub fn public_template(private: &Object) -> Template {
    let mut template = vec![
        (CKA_TOKEN, Value::Bool(true)),
        (CKA_LABEL, Value::Bytes(private.bytes(CKA_LABEL).to_vec())),
        (CKA_SUBJECT, Value::Bytes(private.bytes(CKA_SUBJECT).to_vec())),
    ];
    let mirrored = [
        (CKA_SIGN, CKA_VERIFY),
        (CKA_DECRYPT, CKA_ENCRYPT),
        (CKA_UNWRAP, CKA_WRAP),
        (CKA_DECAPSULATE, CKA_ENCAPSULATE),
    ];
    template.extend(mirrored.map(|(does, undoes)| (undoes, Value::Bool(private.flag(does)))));
    match private.key_type() {
        Some(CKK_RSA) => {
            let bits = 8 * private.bytes(CKA_MODULUS).len() as u64;
            let exponent = private.bytes(CKA_PUBLIC_EXPONENT).to_vec();
            template.push((CKA_MODULUS_BITS, Value::Ulong(bits)));
            template.push((CKA_PUBLIC_EXPONENT, Value::Bytes(exponent)));
        }
        Some(CKK_ML_DSA | CKK_SLH_DSA | CKK_ML_KEM) => {
            template.extend(private.get(CKA_PARAMETER_SET).map(|set| (CKA_PARAMETER_SET, set.clone())))
        }
        _ => template.push((CKA_EC_PARAMS, Value::Bytes(private.bytes(CKA_EC_PARAMS).to_vec()))),
    }
    template
}

/// Makes a new key the version after `old`.
pub fn follow(old: &Object, new: &mut Object, id: &[u8]) {
    new.set(CKA_STRONGROOM_VERSION, Value::Ulong(number(old) + 1));
    new.set(CKA_STRONGROOM_SERIES, Value::Bytes(series(old)));
    new.set(CKA_ID, Value::Bytes(id.to_vec()));
}
