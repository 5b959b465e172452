//! The life of a key: its versions, its validity, suspended and resumed, deleted.

use super::{attributes, find_one, refused, the_one};
use crate::context::Person;
use crate::output::{Answer, Failure, Outcome};
use cryptoki_sys::*;
use serde::Serialize;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::time::{Duration, SystemTime};
use strongroom::audit::hex;
use strongroom::error::Error;
use strongroom::object::attribute::{
    AttributeType, CKA_STRONGROOM_MADE_AT, CKA_STRONGROOM_RETIRED, CKA_STRONGROOM_SUSPENDED,
    CKA_STRONGROOM_VERSION,
};
use strongroom::object::{Value, validity};
use strongroom::token::{Handle, Token};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Put a new version of a key of yours in its place.
    ///
    /// The new one keeps the label and whom the key is shared with, and gets a CKA_ID of its own. The old one,
    /// LABEL.v1 from then on, only verifies, decrypts, unwraps and derives; that is for good.
    Rotate { key: String },
    /// The versions of a key.
    Versions { key: String },
    /// Let nobody use a key of yours for now, not even you.
    Suspend { key: String },
    /// End that.
    Resume { key: String },
    /// From which day and until which day (of UTC, both included) a key of yours may be used.
    ///
    /// Before the first day nothing is done with it. After the last one it verifies, decrypts and unwraps.
    SetValidity {
        key: String,
        /// YYYY-MM-DD, or none.
        #[arg(long, value_name = "DATE", value_parser = date)]
        from: Option<Date>,
        /// YYYY-MM-DD, or none.
        #[arg(long, value_name = "DATE", value_parser = date, required_unless_present = "from")]
        until: Option<Date>,
        /// The public keys of yours that belong to it, too.
        #[arg(long)]
        with_public: bool,
    },
    /// Delete a key of yours for good, out of the file and out of every process.
    Delete {
        key: String,
        /// The public keys of yours that belong to it, too; they could still verify.
        #[arg(long)]
        with_public: bool,
        /// Which of the keys of that name [default: private or secret]; public for one without its other half.
        #[arg(long, value_parser = attributes::class, conflicts_with = "with_public")]
        class: Option<u64>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// A date of a key, or none.
#[derive(Clone, Copy)]
pub struct Date(Option<[u8; 8]>);

fn date(text: &str) -> Result<Date, String> {
    if text == "none" {
        return Ok(Date(None));
    }
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let date = digits.try_into().ok().filter(|date| validity::day(date).is_some());
    date.map(|date| Date(Some(date))).ok_or_else(|| "a day is YYYY-MM-DD, or none".to_owned())
}

impl Command {
    pub fn run(&self, token: &Token, person: &Person) -> Outcome {
        match self {
            Command::Rotate { key } => rotate(token, person, key),
            Command::Versions { key } => versions(token, person, key),
            Command::Suspend { key } => suspend(token, person, key, true),
            Command::Resume { key } => suspend(token, person, key, false),
            Command::SetValidity { key, from, until, with_public } => {
                let dates = [(CKA_START_DATE, from), (CKA_END_DATE, until)];
                let dates = dates.into_iter().filter_map(|(kind, date)| Some((kind, (*date)?)));
                set_validity(token, person, key, &dates.collect::<Vec<_>>(), *with_public)
            }
            Command::Delete { key, class: Some(class), yes, .. } => {
                delete(token, person, key, &[find_one(token, person, key, &[*class])?], *yes)
            }
            Command::Delete { key, with_public, yes, .. } => {
                delete(token, person, key, &halves(token, person, key, *with_public)?, *yes)
            }
        }
    }
}

fn read(token: &Token, person: &Person, key: Handle, kind: AttributeType) -> Result<Value, Failure> {
    let value = token.attributes(person.access(), key, &[kind])?.pop();
    Ok(value.unwrap_or(Err(Error::GeneralError))?)
}

fn text(token: &Token, person: &Person, key: Handle, kind: AttributeType) -> Result<String, Failure> {
    Ok(String::from_utf8_lossy(&text_bytes(token, person, key, kind)?).into_owned())
}

/// The UTC day so many days from now, as CK_DATE has it.
pub fn day(days: u32) -> [u8; 8] {
    let at = SystemTime::now() + Duration::from_secs(u64::from(days) * 86_400);
    let text = humantime::format_rfc3339_seconds(at).to_string().replace('-', "");
    let mut day = *b"00000000";
    day.copy_from_slice(&text.as_bytes()[..8]);
    day
}

/// What can be done with a key today, in a word: what takes the most away comes first.
pub fn state(token: &Token, person: &Person, key: Handle) -> Result<&'static str, Failure> {
    let kinds = [CKA_STRONGROOM_SUSPENDED, CKA_STRONGROOM_RETIRED, CKA_START_DATE, CKA_END_DATE];
    let values = token.attributes(person.access(), key, &kinds)?;
    let is = |at: usize| values.get(at) == Some(&Ok(Value::Bool(true)));
    let date = |at: usize| match values.get(at) {
        Some(Ok(Value::Date(date))) => *date,
        _ => None,
    };
    let today = day(0);
    Ok(match (date(2), date(3)) {
        _ if is(0) => "suspended",
        (Some(first), _) if first > today => "not yet valid",
        _ if is(1) => "replaced",
        (_, Some(last)) if last < today => "expired",
        _ => "in use",
    })
}

fn rotate(token: &Token, person: &Person, key: &str) -> Outcome {
    let found = the_one(token, person, key)?;
    if read(token, person, found, CKA_STRONGROOM_RETIRED)? == Value::Bool(true) {
        return Err(Failure::new(format!("A newer version took the place of {key}; nothing was changed."))
            .next(format!("rotate the newest one: `strongroom key versions {key}`.")));
    }
    let label = text(token, person, found, CKA_LABEL)?;
    let rotated = token.rotate(person.access(), found).map_err(|error| match error {
        Error::KeySizeRange => {
            Failure::new("Nothing was changed: keys of this size are used, but not made any more.")
                .next("make a longer key with another label, and let your programs move to it.")
        }
        other => refused(other, key),
    })?;
    let old = text(token, person, found, CKA_LABEL)?;
    let id = hex(&text_bytes(token, person, rotated.key, CKA_ID)?);
    let sentence = format!(
        "{label} is version {} now, with CKA_ID {id}; the one before is {old}, and makes nothing new.",
        rotated.version
    );
    let id = text(token, person, rotated.key, CKA_UNIQUE_ID)?;
    Ok(Answer::done(sentence, json!({ "key": label, "version": rotated.version, "id": id, "old": old })))
}

fn text_bytes(token: &Token, person: &Person, key: Handle, kind: AttributeType) -> Result<Vec<u8>, Failure> {
    Ok(read(token, person, key, kind)?.bytes().unwrap_or_default().to_vec())
}

#[derive(Serialize)]
struct Version {
    version: u64,
    label: String,
    state: &'static str,
    /// Empty for a key of before this was noted.
    made_at: String,
    id: String,
}

fn versions(token: &Token, person: &Person, key: &str) -> Outcome {
    let mut rows = Vec::new();
    for version in token.versions(person.access(), the_one(token, person, key)?)? {
        let number = read(token, person, version, CKA_STRONGROOM_VERSION)?;
        rows.push(Version {
            version: if let Value::Ulong(number) = number { number } else { 0 },
            label: text(token, person, version, CKA_LABEL)?,
            state: state(token, person, version)?,
            made_at: text(token, person, version, CKA_STRONGROOM_MADE_AT)?,
            id: text(token, person, version, CKA_UNIQUE_ID)?,
        });
    }
    Ok(Answer::rows("versions", rows))
}

fn suspend(token: &Token, person: &Person, key: &str, suspended: bool) -> Outcome {
    let found = the_one(token, person, key)?;
    let change = vec![(CKA_STRONGROOM_SUSPENDED, Value::Bool(suspended))];
    token.modify(person.access(), found, change).map_err(|error| refused(error, key))?;
    let sentence = match suspended {
        true => format!("{key} is suspended: nobody uses it until `strongroom key resume {key}`."),
        false => format!("{key} can be used again."),
    };
    Ok(Answer::done(sentence, json!({ "key": key, "suspended": suspended })))
}

fn shown(date: &Value) -> String {
    match date {
        Value::Date(Some(date)) => {
            let text = String::from_utf8_lossy(date);
            format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..])
        }
        _ => String::new(),
    }
}

/// A key, and the public ones that belong to it when they are wanted.
fn halves(token: &Token, person: &Person, key: &str, with_public: bool) -> Result<Vec<Handle>, Failure> {
    let mut keys = vec![the_one(token, person, key)?];
    if with_public {
        keys.extend(token.public_halves_of(person.access(), keys[0])?);
    }
    Ok(keys)
}

fn set_validity(
    token: &Token,
    person: &Person,
    key: &str,
    dates: &[(AttributeType, Date)],
    with_public: bool,
) -> Outcome {
    let keys = halves(token, person, key, with_public)?;
    let changes: Vec<_> = dates.iter().map(|(kind, date)| (*kind, Value::Date(date.0))).collect();
    for found in &keys {
        token.modify(person.access(), *found, changes.clone()).map_err(|error| match error {
            Error::TemplateInconsistent => {
                Failure::new("Nothing was changed: the first day comes after the last one.")
                    .next("give both --from and --until.")
            }
            other => refused(other, key),
        })?;
    }
    let from = shown(&read(token, person, keys[0], CKA_START_DATE)?);
    let until = shown(&read(token, person, keys[0], CKA_END_DATE)?);
    let sentence = match (&*from, &*until) {
        ("", "") => format!("{key} has no limits of time."),
        (from, "") => format!("{key} may be used from {from} on."),
        ("", until) => format!("{key} may be used until {until}."),
        (from, until) => format!("{key} may be used from {from} until {until}."),
    };
    Ok(Answer::done(sentence, json!({ "key": key, "from": from, "until": until })))
}

/// Asks a person at a terminal; a script says --yes.
fn confirm(what: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("Nothing was deleted: there is no terminal to ask.").next("give --yes."));
    }
    let mut answer = String::new();
    eprint!("Delete {what} for good? What it encrypted is lost with it. Type yes: ");
    let read = std::io::stderr().flush().and_then(|()| std::io::stdin().read_line(&mut answer));
    match read {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        _ => Err(Failure::new("Nothing was deleted.")),
    }
}

fn delete(token: &Token, person: &Person, key: &str, keys: &[Handle], yes: bool) -> Outcome {
    if !yes {
        confirm(key)?;
    }
    token.destroy_all(person.access(), keys).map_err(|error| refused(error, key))?;
    let public = match keys.len() - 1 {
        0 => String::new(),
        1 => ", and its public key".to_owned(),
        more => format!(", and its {more} public keys"),
    };
    Ok(Answer::done(format!("{key} is deleted{public}."), json!({ "key": key, "objects": keys.len() })))
}
