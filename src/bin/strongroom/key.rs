//! `strongroom key`: whose keys are whose, and who may use them.

mod lifecycle;

use crate::Run;
use crate::context::{Context, Person};
use crate::output::{Answer, Failure, Outcome};
use cryptoki_sys::*;
use serde::Serialize;
use serde_json::json;
use strongroom::error::Error;
use strongroom::object::Value;
use strongroom::object::attribute::{AttributeType, CKA_STRONGROOM_OWNER, CKA_STRONGROOM_SHARED_WITH};
use strongroom::token::{Handle, Token};

#[derive(clap::Subcommand)]
pub enum Command {
    /// The keys you own, those shared with you, and public keys.
    List,
    /// What a key is, whose, and who may use it.
    Info {
        /// The key's label or its id (CKA_UNIQUE_ID).
        key: String,
    },
    /// Let others use a key of yours; they can do nothing else with it.
    Share {
        key: String,
        /// Users (CU).
        #[arg(long, required = true, num_args = 1.., value_name = "NAME")]
        with: Vec<String>,
    },
    /// Take a key of yours away from others.
    Unshare {
        key: String,
        #[arg(long, required = true, num_args = 1.., value_name = "NAME")]
        with: Vec<String>,
    },
    /// Give a key of yours to another owner: it is yours no more.
    Transfer {
        key: String,
        #[arg(long, value_name = "NAME")]
        to: String,
    },
    #[command(flatten)]
    Lifecycle(lifecycle::Command),
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        let person = context.crypto_user()?;
        let token = context.ready_token()?;
        match self {
            Command::Lifecycle(command) => command.run(token, &person),
            Command::List => list(token, &person),
            Command::Info { key } => {
                Ok(Answer::record(described(token, &person, the_one(token, &person, key)?)?))
            }
            Command::Share { key, with } => {
                let found = the_one(token, &person, key)?;
                token.share(person.access(), found, with).map_err(|error| refused(error, key))?;
                Ok(said(format!("{key} may be used by {}.", with.join(", ")), key, with))
            }
            Command::Unshare { key, with } => {
                let found = the_one(token, &person, key)?;
                token.unshare(person.access(), found, with).map_err(|error| refused(error, key))?;
                Ok(said(format!("{key} can be used no more by {}.", with.join(", ")), key, with))
            }
            Command::Transfer { key, to } => {
                let found = the_one(token, &person, key)?;
                token.transfer(person.access(), found, to).map_err(|error| refused(error, key))?;
                Ok(said(format!("{key} is {to}'s now."), key, std::slice::from_ref(to)))
            }
        }
    }
}

fn said(sentence: String, key: &str, names: &[String]) -> Answer {
    Answer::done(sentence, json!({ "key": key, "usernames": names }))
}

fn refused(error: Error, key: &str) -> Failure {
    match error {
        Error::ActionProhibited => {
            Failure::new(format!("Only the owner of {key} may do that; nothing was changed."))
                .next("`strongroom key list` shows whose it is.")
        }
        Error::ArgumentsBad => Failure::new("Nothing was changed."),
        other => other.into(),
    }
}

const CLASSES: [(&str, u64); 3] =
    [("private", CKO_PRIVATE_KEY), ("secret", CKO_SECRET_KEY), ("public", CKO_PUBLIC_KEY)];

/// The one private or secret key of a label or id.
fn the_one(token: &Token, person: &Person, key: &str) -> Result<Handle, Failure> {
    let mut found = Vec::new();
    for name in [CKA_UNIQUE_ID, CKA_LABEL] {
        for (_, class) in &CLASSES[..2] {
            let called = (name, Value::Bytes(key.as_bytes().to_vec()));
            found.extend(token.find(person.access(), &vec![called, (CKA_CLASS, Value::Ulong(*class))])?);
        }
    }
    match found[..] {
        [one] => Ok(one),
        [] => Err(Failure::new(format!("There is no private or secret key {key} that you can see."))
            .next("`strongroom key list` shows what is yours and what is shared with you.")),
        _ => Err(Failure::new(format!("{} keys are called {key}.", found.len()))
            .next("name one by its id: `strongroom key list`.")),
    }
}

#[derive(Serialize)]
struct Row {
    label: String,
    class: &'static str,
    owner: String,
    /// For the owner alone; empty for others.
    shared_with: Vec<String>,
    id: String,
    state: &'static str,
}

fn described(token: &Token, person: &Person, key: Handle) -> Result<Row, Failure> {
    let kinds: [AttributeType; 5] =
        [CKA_LABEL, CKA_CLASS, CKA_STRONGROOM_OWNER, CKA_STRONGROOM_SHARED_WITH, CKA_UNIQUE_ID];
    let values = token.attributes(person.access(), key, &kinds)?;
    let text = |at: usize| match values.get(at) {
        Some(Ok(Value::Bytes(bytes))) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    };
    let class = CLASSES.iter().find(|(_, class)| values.get(1) == Some(&Ok(Value::Ulong(*class))));
    Ok(Row {
        label: text(0),
        class: class.map_or("", |(name, _)| name),
        owner: text(2),
        shared_with: text(3).lines().map(str::to_owned).collect(),
        id: text(4),
        state: lifecycle::state(token, person, key)?,
    })
}

fn list(token: &Token, person: &Person) -> Outcome {
    let mut rows = Vec::new();
    for (_, class) in CLASSES {
        for key in token.find(person.access(), &vec![(CKA_CLASS, Value::Ulong(class))])? {
            rows.push(described(token, person, key)?);
        }
    }
    Ok(Answer::rows("keys", rows))
}
