//! The rules that keep the interface from being turned against the keys behind it, one function for each moment
//! at which a rule applies. ARCHITECTURE.md names the published attacks; the switches of `[slot.allow]` loosen
//! the rules one by one.
//!
//! Nothing here asks who the caller is: the attacker is a program with a good user's password. To add a rule: a
//! switch in `config/allow.rs`, and a line in the function of the moment.

use crate::config::{Allowed, Switch};
use crate::error::{Error, Result};
use crate::mechanism::{Key, strength, weakness};
use crate::object::template::merge;
use crate::object::{AttributeType, Object, Template, Value, rules};
use cryptoki_sys::*;

/// What manages keys.
const KEY_USES: [AttributeType; 2] = [CKA_WRAP, CKA_UNWRAP];
/// What works on data.
const DATA_USES: [AttributeType; 2] = [CKA_ENCRYPT, CKA_DECRYPT];

/// An error with the switch that would let it happen.
fn unless(allowed: Allowed, switch: Switch, error: Error, what: impl std::fmt::Display) -> Result<()> {
    if allowed.has(switch) {
        return Ok(());
    }
    Err(error.because(format_args!("{what} (`{} = true` in [slot.allow] lets it)", switch.name())))
}

fn has_any(object: &Object, uses: &[AttributeType]) -> bool {
    uses.iter().any(|usage| object.flag(*usage))
}

/// Whether there are mechanisms by which such a key encrypts or wraps: not for secrets that MACs and derivations
/// take, whatever uses a program asks of them (pkcs11-tool asks for all of what ECDH yields).
fn has_ciphers(object: &Object) -> bool {
    !object.key_type().is_some_and(|kind| {
        matches!(kind, CKK_GENERIC_SECRET | CKK_HKDF) || rules::HMAC_KEY_TYPES.contains(&kind)
    })
}

/// Of pairs this is not asked: a public half does what anybody does outside (and wraps nothing sensitive untrusted),
/// and OpenSSL's provider and NSS ask for all uses of a private one.
fn mixes_uses(object: &Object) -> bool {
    object.class() == CKO_SECRET_KEY
        && has_ciphers(object)
        && has_any(object, &KEY_USES)
        && has_any(object, &DATA_USES)
}

/// Whether a value may be read out, or is one that CKA_SENSITIVE and CKA_EXTRACTABLE hide.
fn is_hidden(object: &Object) -> bool {
    object.flag(CKA_SENSITIVE) || !object.flag(CKA_EXTRACTABLE)
}

/// Whether a new object may be, whatever call makes it.
pub fn may_exist(allowed: Allowed, object: &Object) -> Result<()> {
    if object.key_type() == Some(CKK_DES3) {
        let what = "triple DES keys are not taken";
        unless(allowed, Switch::TripleDes, Error::AttributeValueInvalid, what)?;
    }
    if mixes_uses(object) {
        let what = "a key either wraps and unwraps keys or encrypts and decrypts data";
        unless(allowed, Switch::WrapAndDecrypt, Error::TemplateInconsistent, what)?;
    }
    // Old signatures are verified with what their keys were.
    let verifies_only = object.class() == CKO_PUBLIC_KEY && !object.flag(CKA_WRAP);
    match weakness::of(object).filter(|_| !verifies_only) {
        Some(what) => unless(allowed, Switch::WeakRsaKeys, Error::AttributeValueInvalid, what),
        None => Ok(()),
    }
}

/// Whether an object may be changed, or copied, into this one: uses that do not go together must not come one after
/// the other either.
pub fn may_become(allowed: Allowed, before: &Object, after: &Object) -> Result<()> {
    let gets = |usage: &AttributeType| after.flag(*usage) && !before.flag(*usage);
    let new = match before.class() {
        CKO_PRIVATE_KEY | CKO_SECRET_KEY => KEY_USES.iter().chain(&DATA_USES).any(gets),
        CKO_PUBLIC_KEY => gets(&CKA_WRAP),
        _ => false,
    };
    if new {
        let what = "wrapping, unwrapping, encrypting and decrypting come with a key or never";
        unless(allowed, Switch::WrapAndDecrypt, Error::AttributeReadOnly, what)?;
    }
    Ok(())
}

/// Whether this key may leave under that one. One that everybody who may wrap it may also read gains nothing.
pub fn may_wrap(allowed: Allowed, wrapping: &Key, key: &Key) -> Result<()> {
    let (by, wrapped) = (wrapping.object(), key.object());
    if !wrapped.flag(CKA_SENSITIVE) {
        return Ok(());
    }
    let not_wrappable = Error::KeyNotWrappable;
    if mixes_uses(by) {
        let what = format_args!("{} wraps or unwraps, and encrypts or decrypts", wrapping.id()).to_string();
        unless(allowed, Switch::WrapAndDecrypt, Error::KeyFunctionNotPermitted, what)?;
    }
    let (under, bits) = (strength::bits(wrapping), strength::bits(key));
    if under < bits {
        let what = format!("a key of {bits} bits of security under one of {under}");
        unless(allowed, Switch::WrapStronger, Error::WrappingKeySizeRange, what)?;
    }
    if by.flag(CKA_TRUSTED) {
        return Ok(());
    }
    // Of a public key nobody here can say what its private half does.
    // Of one that was derived, whoever gave the other half may know it.
    if !(by.flag(CKA_LOCAL) && by.flag(CKA_ALWAYS_SENSITIVE)) {
        let what =
            "somebody outside may know what the wrapping key wraps, and no officer made it CKA_TRUSTED";
        unless(allowed, Switch::ForeignWrappingKeys, not_wrappable, what)?;
    }
    if has_ciphers(wrapped) && has_any(wrapped, &KEY_USES) {
        let what = "a key that wraps or unwraps leaves under a CKA_TRUSTED key only";
        unless(allowed, Switch::WrapWrappingKeys, not_wrappable, what)?;
    }
    Ok(())
}

/// The template of a key to unwrap, with what it must be: nobody knows what it was, so it is as protected as a key
/// that may be wrapped can be; what comes in under a trusted key leaves under one.
pub fn unwrapped(allowed: Allowed, unwrapping: &Key, template: Template) -> Result<Template> {
    if allowed.has(Switch::Loosening) {
        return Ok(template);
    }
    let mut imposed = vec![(CKA_SENSITIVE, Value::Bool(true))];
    if unwrapping.object().flag(CKA_TRUSTED) {
        imposed.push((CKA_WRAP_WITH_TRUSTED, Value::Bool(true)));
    }
    strict(template, &imposed)
}

/// The template of a key to derive: from a secret key whose value is hidden comes one whose value is, and from one
/// that never leaves, or under trusted keys only, one that leaves under these only. What two keys agree on is new.
pub fn derived(allowed: Allowed, base: &Key, template: Template) -> Result<Template> {
    let from = base.object();
    if allowed.has(Switch::Loosening) || from.class() != CKO_SECRET_KEY {
        return Ok(template);
    }
    let mut imposed = Vec::new();
    if is_hidden(from) {
        imposed.push((CKA_SENSITIVE, Value::Bool(true)));
    }
    let leaves = template.iter().any(|(kind, value)| *kind == CKA_EXTRACTABLE && *value == Value::Bool(true));
    if leaves && (!from.flag(CKA_EXTRACTABLE) || from.flag(CKA_WRAP_WITH_TRUSTED)) {
        imposed.push((CKA_WRAP_WITH_TRUSTED, Value::Bool(true)));
    }
    strict(template, &imposed)
}

/// Shorter keys than this (112 bits) are guessed, and CKA_CHECK_VALUE says when the guess is right.
const SHORTEST: usize = 14;

/// Whether a key of so many bytes may be derived from this one (`None`: as many as it yields): of a derivation whose
/// short outputs begin its long ones, short keys would tell long ones byte by byte.
pub fn may_be_as_short(allowed: Allowed, base: &Key, length: Option<usize>) -> Result<()> {
    let hidden = base.class() == CKO_SECRET_KEY && is_hidden(base.object());
    if !hidden || length.is_none_or(|length| length >= SHORTEST) {
        return Ok(());
    }
    let what = "what is derived from a hidden key has 112 bits at least";
    unless(allowed, Switch::Loosening, Error::KeySizeRange, what)
}

/// Whether data that is no secret may be derived from this key.
pub fn may_derive_data(allowed: Allowed, base: &Key) -> Result<()> {
    if !is_hidden(base.object()) {
        return Ok(());
    }
    let what = "what is derived from a hidden key is not shown";
    unless(allowed, Switch::Loosening, Error::KeyFunctionNotPermitted, what)
}

fn strict(template: Template, imposed: &Template) -> Result<Template> {
    merge(template, imposed).map_err(|error| {
        let switch = Switch::Loosening.name();
        error.because(format_args!(
            "the template makes the new key less protected than the old one (`{switch} = true` in [slot.allow] lets it)"
        ))
    })
}
