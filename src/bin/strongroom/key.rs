//! `strongroom key`: whose keys are whose, and who may use them.

use crate::token::unusable;
use crate::{Outcome, passwords};
use cryptoki_sys::{CKA_CLASS, CKA_LABEL, CKA_UNIQUE_ID, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY};
use std::sync::Arc;
use strongroom::config::SlotConfig;
use strongroom::error::Error;
use strongroom::object::Value;
use strongroom::object::attribute::{AttributeType, CKA_STRONGROOM_OWNER, CKA_STRONGROOM_SHARED_WITH};
use strongroom::token::{Access, Handle, Login, Role, Token};

#[derive(clap::Subcommand)]
pub enum Command {
    /// The keys you own, those shared with you, and public keys.
    List(Person),
    /// All that is to be told of a key.
    Info {
        /// The key's label or its id (CKA_UNIQUE_ID).
        key: String,
        #[command(flatten)]
        person: Person,
    },
    /// Let others use a key of yours; they can do nothing else with it.
    Share {
        key: String,
        /// Users (CU).
        #[arg(long, required = true, num_args = 1..)]
        with: Vec<String>,
        #[command(flatten)]
        person: Person,
    },
    /// Take a key of yours away from others.
    Unshare {
        key: String,
        #[arg(long, required = true, num_args = 1..)]
        with: Vec<String>,
        #[command(flatten)]
        person: Person,
    },
    /// Give a key of yours to another owner: it is yours no more.
    Transfer {
        key: String,
        #[arg(long)]
        to: String,
        #[command(flatten)]
        person: Person,
    },
}

/// Who asks. The password: STRONGROOM_PASSWORD, or asked for.
#[derive(clap::Args)]
pub struct Person {
    /// Your name, if you are not the slot's default user.
    #[arg(long)]
    user: Option<String>,
}

impl Command {
    pub fn run(&self, token: &Token, slot: &SlotConfig) -> Outcome {
        let (Command::List(person)
        | Command::Info { person, .. }
        | Command::Share { person, .. }
        | Command::Unshare { person, .. }
        | Command::Transfer { person, .. }) = self;
        let login = person.log_in(token, slot)?;
        let access = Access { login: Some(&login), write: true, session: 0 };
        match self {
            Command::List(_) => list(token, access),
            Command::Info { key, .. } => info(token, access, key),
            Command::Share { key, with, .. } => {
                each(token, access, key, |key| token.share(access, key, with))
            }
            Command::Unshare { key, with, .. } => {
                each(token, access, key, |key| token.unshare(access, key, with))
            }
            Command::Transfer { key, to, .. } => {
                each(token, access, key, |key| token.transfer(access, key, to))
            }
        }
    }
}

impl Person {
    fn log_in(&self, token: &Token, slot: &SlotConfig) -> Result<Arc<Login>, String> {
        token.ready().map_err(|_| unusable(token))?;
        let name = self.user.as_deref().unwrap_or(&slot.default_user);
        let password = passwords::read(None, "STRONGROOM_PASSWORD", &format!("Password of {name}"))?;
        token.log_in(Role::User, Some(name), &password).map_err(words)
    }
}

fn words(error: Error) -> String {
    match error {
        Error::PinIncorrect => "The user's name or password is wrong; the attempt was counted.".into(),
        Error::PinLocked => {
            "That user is locked after too many wrong passwords; an officer can set a new one.".into()
        }
        Error::ActionProhibited => "Only the owner of a key may do that; nothing was changed.".into(),
        Error::ArgumentsBad => "Nothing was changed; the line above says why.".into(),
        other => format!("It did not work ({other}); nothing was changed."),
    }
}

/// Private and secret keys of a label or id.
fn find(token: &Token, access: Access<'_>, key: &str) -> Result<Vec<Handle>, String> {
    let mut found = Vec::new();
    for name in [CKA_UNIQUE_ID, CKA_LABEL] {
        for class in [CKO_PRIVATE_KEY, CKO_SECRET_KEY] {
            let template =
                vec![(name, Value::Bytes(key.as_bytes().to_vec())), (CKA_CLASS, Value::Ulong(class))];
            found.extend(token.find(access, &template).map_err(words)?);
        }
    }
    if found.is_empty() {
        return Err(format!("There is no private or secret key {key} that you can see."));
    }
    Ok(found)
}

fn each(token: &Token, access: Access<'_>, key: &str, work: impl Fn(Handle) -> Result<(), Error>) -> Outcome {
    match find(token, access, key)?[..] {
        [one] => work(one).map_err(words),
        ref many => {
            Err(format!("{} keys are called {key}; name one by its id: strongroom key list.", many.len()))
        }
    }
}

/// An attribute as text; what cannot be read as `-`.
fn text(token: &Token, access: Access<'_>, key: Handle, kind: AttributeType) -> Result<String, String> {
    let value = token.attributes(access, key, &[kind]).map_err(words)?.into_iter().next();
    Ok(match value {
        Some(Ok(Value::Ulong(CKO_PRIVATE_KEY))) if kind == CKA_CLASS => "private".into(),
        Some(Ok(Value::Ulong(CKO_SECRET_KEY))) if kind == CKA_CLASS => "secret".into(),
        Some(Ok(Value::Ulong(CKO_PUBLIC_KEY))) if kind == CKA_CLASS => "public".into(),
        Some(Ok(Value::Bytes(bytes))) => String::from_utf8_lossy(&bytes).replace('\n', ","),
        _ => "-".into(),
    })
}

/// What a row of the list shows.
const COLUMNS: [(&str, AttributeType); 5] = [
    ("id", CKA_UNIQUE_ID),
    ("class", CKA_CLASS),
    ("label", CKA_LABEL),
    ("owner", CKA_STRONGROOM_OWNER),
    ("shared with", CKA_STRONGROOM_SHARED_WITH),
];

fn list(token: &Token, access: Access<'_>) -> Outcome {
    let line = |cells: &[String]| {
        let [id, class, label, owner, shared] = cells else { return };
        println!("{id:<36} {class:<8} {label:<24} {owner:<16} {shared}");
    };
    line(&COLUMNS.map(|(name, _)| name.to_owned()));
    for class in [CKO_PRIVATE_KEY, CKO_SECRET_KEY, CKO_PUBLIC_KEY] {
        for key in token.find(access, &vec![(CKA_CLASS, Value::Ulong(class))]).map_err(words)? {
            line(
                &COLUMNS
                    .iter()
                    .map(|(_, kind)| text(token, access, key, *kind))
                    .collect::<Result<Vec<_>, _>>()?,
            );
        }
    }
    Ok(())
}

fn info(token: &Token, access: Access<'_>, key: &str) -> Outcome {
    for found in find(token, access, key)? {
        for (name, kind) in COLUMNS {
            println!("{name:<12} {}", text(token, access, found, kind)?);
        }
    }
    Ok(())
}
