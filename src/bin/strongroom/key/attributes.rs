//! Attributes as words: `NAME=VALUE` as CloudHSM's command has them, `key set-attribute`, and filters.

use super::{CLASSES, find_one, tell_namesakes};
use crate::Run;
use crate::context::Context;
use crate::mechanism::named as mechanism;
use crate::output::{Answer, Failure, Outcome};
use crate::parameters::hex;
use cryptoki_sys::*;
use serde_json::json;
use strongroom::audit;
use strongroom::error::Error;
use strongroom::mechanism::all;
use strongroom::object::attribute::{AttributeType, KNOWN};
use strongroom::object::{Shape, Value};
use strongroom::token::Role;

/// An attribute and what it is to be.
pub type Assignment = (AttributeType, Value);

/// Key types by the words of `key list --filter` and `key info`.
pub const KEY_TYPES: [(&str, u64); 8] = [
    ("rsa", CKK_RSA),
    ("ec", CKK_EC),
    ("ed25519", CKK_EC_EDWARDS),
    ("ml-dsa", CKK_ML_DSA),
    ("slh-dsa", CKK_SLH_DSA),
    ("ml-kem", CKK_ML_KEM),
    ("aes", CKK_AES),
    ("generic-secret", CKK_GENERIC_SECRET),
];

#[derive(clap::Args)]
pub struct SetAttribute {
    /// The key's label or its id.
    key: String,
    /// Such as label, extractable or trusted; with or without CKA_.
    #[arg(long)]
    name: String,
    /// true or false, a text, hex after 0x, a date (2030-12-31).
    #[arg(long, allow_hyphen_values = true)]
    value: String,
    /// Which of the keys of that name [default: private or secret; an officer: public].
    #[arg(long, value_parser = class)]
    class: Option<u64>,
}

/// `private`, `secret-key` and so on.
pub fn class(text: &str) -> Result<u64, String> {
    let plain = text.trim_end_matches("-key");
    let found = CLASSES.iter().find(|(name, _)| *name == plain);
    found.map(|(_, class)| *class).ok_or_else(|| "a class is private, secret or public".into())
}

/// The attribute of a name: `label`, `wrap-with-trusted`, `CKA_END_DATE`.
fn named(name: &str) -> Result<(AttributeType, Shape), String> {
    let plain = name.to_ascii_uppercase().replace('-', "_");
    let plain = plain.trim_start_matches("CKA_");
    let found = KNOWN.iter().find(|(_, known, _)| known.trim_start_matches("CKA_") == plain);
    found.map(|(kind, _, shape)| (*kind, *shape)).ok_or_else(|| format!("there is no attribute {name}"))
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// YYYY-MM-DD or YYYYMMDD, of a calendar's day; empty for none.
fn date(text: &str) -> Option<Value> {
    let digits = text.replace('-', "");
    let whole: [u8; 8] = match digits.is_empty() {
        true => return Some(Value::Date(None)),
        false => digits.into_bytes().try_into().ok()?,
    };
    let day = std::str::from_utf8(&whole).ok()?;
    let day = format!("{}-{}-{}T00:00:00Z", day.get(..4)?, day.get(4..6)?, day.get(6..)?);
    humantime::parse_rfc3339(&day).ok()?;
    Some(Value::Date(Some(whole)))
}

fn number(kind: AttributeType, text: &str) -> Option<u64> {
    let word = || KEY_TYPES.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    match kind {
        CKA_CLASS => class(text).ok(),
        CKA_KEY_TYPE => word(),
        _ => text.parse().ok(),
    }
}

/// A value in the words of a person.
pub fn parse(name: &str, text: &str) -> Result<Assignment, String> {
    let (kind, shape) = named(name)?;
    let wrong = |wanted: &str| format!("{name} is {wanted}, and not {text:?}");
    let value = match shape {
        Shape::Bool => flag(text).map(Value::Bool).ok_or_else(|| wrong("true or false"))?,
        Shape::Ulong => number(kind, text).map(Value::Ulong).ok_or_else(|| wrong("a number or its name"))?,
        Shape::Date => date(text).ok_or_else(|| wrong("a day such as 2030-12-31"))?,
        Shape::Bytes => match text.strip_prefix("0x") {
            Some(digits) => Value::Bytes(hex(digits).map_err(|_| wrong("a text, or hex after 0x"))?.0),
            None => Value::Bytes(text.as_bytes().to_vec()),
        },
        Shape::Mechanisms => {
            let found =
                text.split(',').filter(|word| !word.is_empty()).map(|word| Some(mechanism(word).ok()?.id));
            Value::Mechanisms(found.collect::<Option<_>>().ok_or_else(|| wrong("mechanisms, with commas"))?)
        }
        Shape::Secret => return Err(format!("{name} is key material: `strongroom key import` brings it")),
        Shape::Template => return Err(format!("{name} is a template, which programs set")),
    };
    Ok((kind, value))
}

fn pair(text: &str) -> Result<Assignment, String> {
    let (name, value) = text.split_once('=').ok_or("this is no NAME=VALUE")?;
    parse(name, value)
}

/// `NAME=VALUE` of a new key, which stays in the token's file.
pub fn assignment(text: &str) -> Result<Assignment, String> {
    match pair(text)? {
        (CKA_TOKEN, Value::Bool(false)) => Err("a key of a session would be gone with the command".into()),
        assignment => Ok(assignment),
    }
}

/// `attr.NAME=VALUE` or `key-reference=ID`, as CloudHSM's command filters.
pub fn filter(text: &str) -> Result<Assignment, String> {
    match text.strip_prefix("key-reference=") {
        Some(id) => Ok((CKA_UNIQUE_ID, Value::Bytes(id.as_bytes().to_vec()))),
        None => pair(text.strip_prefix("attr.").ok_or("a filter is attr.NAME=VALUE or key-reference=ID")?),
    }
}

/// A value for people.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Bool(flag) => flag.to_string(),
        Value::Ulong(number) => number.to_string(),
        Value::Bytes(bytes) => audit::hex(bytes),
        Value::Date(Some(day)) => {
            let day = String::from_utf8_lossy(day);
            format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..])
        }
        Value::Mechanisms(list) => {
            let name =
                |id: &u64| all().find(|row| row.id == *id).map_or(format!("{id:#x}"), |row| row.name.into());
            list.iter().map(name).collect::<Vec<_>>().join(", ")
        }
        Value::Date(None) | Value::Secret(_) | Value::Template(_) => String::new(),
    }
}

impl Run for SetAttribute {
    fn run(&self, context: &mut Context) -> Outcome {
        let wanted = parse(&self.name, &self.value).map_err(|text| Failure::usage(format!("{text}.")))?;
        // Trust is an officer's to give; everything else is the owner's.
        let officers = wanted.0 == CKA_TRUSTED && wanted.1 == Value::Bool(true);
        let person = if officers { context.officer(false)? } else { context.anyone()? };
        let token = context.ready_token()?;
        let classes = match (self.class, person.login.role) {
            (Some(class), _) => vec![class],
            (None, Role::Officer) => vec![CKO_PUBLIC_KEY],
            (None, Role::User | Role::Appliance) => vec![CKO_PRIVATE_KEY, CKO_SECRET_KEY],
        };
        let key = find_one(token, &person, &self.key, &classes)?;
        token.modify(person.access(), key, vec![wanted]).map_err(|error| match error {
            Error::ActionProhibited => {
                Failure::new(format!("{} may not be changed by {}.", self.key, person.login.name))
                    .next("`strongroom key info` shows its owner, and whether it is modifiable.")
            }
            Error::AttributeReadOnly => {
                Failure::new(format!("{} of {} stays as it is.", self.name, self.key))
                    .because("it never changes, changes one way only, or is an officer's to set")
                    .next("`strongroom key info` shows what it is; a new key may have it otherwise.")
            }
            other => other.into(),
        })?;
        let (name, value) = (&self.name, &self.value);
        if named(name).is_ok_and(|(kind, _)| kind == CKA_LABEL) {
            tell_namesakes(token, &person, value)?;
        }
        Ok(Answer::done(
            format!("{name} of {} is {value} now.", self.key),
            json!({ "key": self.key, "name": name, "value": value }),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_attributes() {
        assert_eq!(assignment("extractable=false"), Ok((CKA_EXTRACTABLE, Value::Bool(false))));
        assert_eq!(assignment("CKA_LABEL=a=b"), Ok((CKA_LABEL, Value::Bytes(b"a=b".to_vec()))));
        assert_eq!(assignment("id=0x0aff"), Ok((CKA_ID, Value::Bytes(vec![10, 255]))));
        assert_eq!(assignment("end-date=2030-12-31"), Ok((CKA_END_DATE, Value::Date(Some(*b"20301231")))));
        assert_eq!(assignment("end-date="), Ok((CKA_END_DATE, Value::Date(None))));
        assert_eq!(filter("attr.key-type=ec"), Ok((CKA_KEY_TYPE, Value::Ulong(CKK_EC))));
        assert_eq!(filter("attr.class=private-key"), Ok((CKA_CLASS, Value::Ulong(CKO_PRIVATE_KEY))));
        assert!(
            matches!(assignment("allowed-mechanisms=aes-gcm,aes-cbc"), Ok((_, Value::Mechanisms(list))) if list.len() == 2)
        );
        for wrong in [
            "extractable",
            "extractable=maybe",
            "id=0x0",
            "end-date=2030-02-31",
            "end-date=x",
            "value=k",
            "token=false",
            "no=1",
        ] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
        assert!(filter("label=x").is_err());
    }
}
