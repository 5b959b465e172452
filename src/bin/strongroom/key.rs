//! `strongroom key`: keys made, brought and wrapped; whose they are, and who may use them.

mod attributes;
mod describe;
mod generate;
pub mod import;
mod transport;
mod wrap;

pub use wrap::written;

mod lifecycle;

use crate::Run;
use crate::context::{Context, Person};
use crate::output::{self, Answer, Failure, Outcome};
use crate::replicate;
use cryptoki_sys::*;
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;
use strongroom::error::Error;
use strongroom::object::Value;
use strongroom::object::attribute::{AttributeType, CKA_STRONGROOM_OWNER, CKA_STRONGROOM_SHARED_WITH};
use strongroom::token::{Handle, Token};

#[derive(clap::Subcommand)]
pub enum Command {
    /// The keys you own, those shared with you, and public keys.
    List {
        /// Only those that are so: attr.NAME=VALUE or key-reference=ID.
        #[arg(long, num_args = 1.., value_name = "FILTER", value_parser = attributes::filter)]
        filter: Vec<attributes::Assignment>,
    },
    /// Make a secret key.
    #[command(subcommand)]
    GenerateSymmetric(generate::Symmetric),
    /// Make a key pair.
    #[command(subcommand)]
    GenerateAsymmetricPair(generate::Pair),
    /// Bring in keys that were made elsewhere.
    #[command(subcommand)]
    Import(import::Command),
    /// Keys that keys are wrapped with on their way here.
    #[command(subcommand)]
    Transport(transport::Command),
    /// Wrap a key file for someone's transport key; needs no token.
    WrapFor(transport::WrapFor),
    /// Take a key of yours out of the token, wrapped by another key.
    Wrap(wrap::Wrap),
    /// Bring in a key that a key of the token unwraps.
    Unwrap(wrap::Unwrap),
    /// Change an attribute of a key of yours; an officer says which keys are trusted.
    SetAttribute(attributes::SetAttribute),
    /// The public half of a key pair as PEM.
    GenerateFile {
        /// The key's label or its id.
        key: String,
        #[arg(long, value_enum, default_value = "pem")]
        encoding: FileEncoding,
        /// [default: standard output]
        #[arg(long = "out", alias = "path", value_name = "FILE")]
        path: Option<PathBuf>,
    },
    /// What a key is, whose, and who may use it.
    Info {
        /// The key's label or its id (CKA_UNIQUE_ID).
        key: String,
        /// Which of the keys of that name [default: private or secret].
        #[arg(long, value_parser = attributes::class)]
        class: Option<u64>,
    },
    /// Let others use a key of yours; they can do nothing else with it.
    #[command(override_usage = "strongroom key share [OPTIONS] <KEY> <NAME>...")]
    Share(Sharing),
    /// Take a key of yours away from others.
    #[command(override_usage = "strongroom key unshare [OPTIONS] <KEY> <NAME>...")]
    Unshare(Sharing),
    /// Give a key of yours to another owner: it is yours no more.
    Transfer {
        key: String,
        #[arg(long, value_name = "NAME")]
        to: String,
    },
    /// Take a key, and the other half if it has the same label, to a clone of this token: another cluster with the
    /// same seal key.
    ///
    /// Its owner does, or an officer, who names it by its id. The owner and those it is shared with must be there.
    Replicate {
        /// The key's label or its id.
        key: String,
        #[command(flatten)]
        to: replicate::To,
    },
    #[command(flatten)]
    Lifecycle(lifecycle::Command),
}

/// A key and users.
#[derive(clap::Args)]
pub struct Sharing {
    /// The key's label or its id.
    key: String,
    /// Users (CU).
    #[arg(value_name = "NAME", required_unless_present = "with")]
    names: Vec<String>,
    /// As the names above.
    #[arg(long, hide = true, num_args = 1.., value_name = "NAME")]
    with: Vec<String>,
}

impl Sharing {
    fn names(&self) -> Vec<String> {
        [&self.names[..], &self.with].concat()
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum FileEncoding {
    Pem,
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Command::GenerateSymmetric(command) => command.run(context),
            Command::GenerateAsymmetricPair(command) => command.run(context),
            Command::Import(command) => command.run(context),
            Command::Transport(command) => command.run(context),
            Command::WrapFor(command) => command.run(context),
            Command::Wrap(command) => command.run(context),
            Command::Unwrap(command) => command.run(context),
            Command::SetAttribute(command) => command.run(context),
            Command::Replicate { key, to } => replicate::key(context, key, to),
            custody => custody.of_person(context),
        }
    }
}

impl Command {
    /// What is asked of keys that are there.
    fn of_person(&self, context: &mut Context) -> Outcome {
        let person = context.crypto_user()?;
        let token = context.ready_token()?;
        match self {
            Command::Lifecycle(command) => command.run(token, &person),
            Command::List { filter } => list(token, &person, filter),
            Command::Info { key, class } => {
                let found = match class {
                    Some(class) => find_one(token, &person, key, &[*class])?,
                    None => the_one(token, &person, key)?,
                };
                describe::info(token, &person, found)
            }
            Command::GenerateFile { key, path, encoding: FileEncoding::Pem } => {
                describe::export(token, &person, key, path.as_deref())
            }
            Command::Share(sharing) => {
                let (key, names) = (&sharing.key, sharing.names());
                let found = the_one(token, &person, key)?;
                token.share(person.access(), found, &names).map_err(|error| refused(error, key))?;
                Ok(said(format!("{key} may be used by {}.", names.join(", ")), key, &names))
            }
            Command::Unshare(sharing) => {
                let (key, names) = (&sharing.key, sharing.names());
                let found = the_one(token, &person, key)?;
                token.unshare(person.access(), found, &names).map_err(|error| refused(error, key))?;
                Ok(said(format!("{key} can be used no more by {}.", names.join(", ")), key, &names))
            }
            Command::Transfer { key, to } => {
                let found = the_one(token, &person, key)?;
                token.transfer(person.access(), found, to).map_err(|error| refused(error, key))?;
                Ok(said(format!("{key} is {to}'s now."), key, std::slice::from_ref(to)))
            }
            _ => Err(Error::GeneralError.into()),
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
        Error::ArgumentsBad | Error::AttributeValueInvalid => Failure::new("Nothing was changed.")
            .next("`strongroom user list` shows everyone; keys are for crypto users (CU)."),
        other => other.into(),
    }
}

pub const CLASSES: [(&str, u64); 3] =
    [("private", CKO_PRIVATE_KEY), ("secret", CKO_SECRET_KEY), ("public", CKO_PUBLIC_KEY)];

/// The one private or secret key of a label or id.
fn the_one(token: &Token, person: &Person, key: &str) -> Result<Handle, Failure> {
    find_one(token, person, key, &[CKO_PRIVATE_KEY, CKO_SECRET_KEY])
}

/// The objects of these classes with a label or id.
pub fn called(token: &Token, person: &Person, name: &str, classes: &[u64]) -> Result<Vec<Handle>, Failure> {
    let mut found = Vec::new();
    for kind in [CKA_UNIQUE_ID, CKA_LABEL] {
        for class in classes {
            let terms = vec![generate::text(kind, name), (CKA_CLASS, Value::Ulong(*class))];
            found.extend(token.find(person.access(), &terms)?);
        }
    }
    Ok(found)
}

/// The one key of these classes with a label or id.
fn find_one(token: &Token, person: &Person, key: &str, classes: &[u64]) -> Result<Handle, Failure> {
    let found = called(token, person, key, classes)?;
    let words: Vec<_> =
        CLASSES.iter().filter(|(_, class)| classes.contains(class)).map(|(word, _)| *word).collect();
    match found[..] {
        [one] => Ok(one),
        [] => {
            let half = !classes.contains(&CKO_PUBLIC_KEY)
                && !called(token, person, key, &[CKO_PUBLIC_KEY])?.is_empty();
            let next = match half {
                true => "a public key is called so: `key info` and `key delete` take --class public.",
                false => "`strongroom key list` shows what is yours and what is shared with you.",
            };
            Err(Failure::new(format!("There is no {} key {key} that you can see.", words.join(" or ")))
                .next(next))
        }
        _ => Err(Failure::new(format!("{} keys are called {key}.", found.len()))
            .next("name one by its id: `strongroom key list`.")),
    }
}

/// Says so when a label is not one key's alone. That is no mistake in PKCS#11, so nothing is refused; but a
/// program that searches by the label takes either key.
pub fn tell_namesakes(token: &Token, person: &Person, label: &str) -> Result<(), Failure> {
    for (classes, word) in [(&[CKO_PRIVATE_KEY, CKO_SECRET_KEY][..], ""), (&[CKO_PUBLIC_KEY], "public ")] {
        let mut many = 0;
        for class in classes {
            let terms = vec![generate::text(CKA_LABEL, label), (CKA_CLASS, Value::Ulong(*class))];
            many += token.find(person.access(), &terms)?.len();
        }
        if many > 1 {
            output::notice(format!(
                "{many} {word}keys are called {label} now; programs that search by label take any of them. \
                 `strongroom key list` shows their ids."
            ));
        }
    }
    Ok(())
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

fn list(token: &Token, person: &Person, filter: &[attributes::Assignment]) -> Outcome {
    let mut rows: Vec<Row> = Vec::new();
    for (_, class) in CLASSES {
        let first = rows.len();
        let search = [filter, &[(CKA_CLASS, Value::Ulong(class))]].concat();
        for key in token.find(person.access(), &search)? {
            rows.push(described(token, person, key)?);
        }
        rows[first..].sort_by(|one, other| (&one.label, &one.id).cmp(&(&other.label, &other.id)));
    }
    Ok(Answer::rows("keys", rows))
}
