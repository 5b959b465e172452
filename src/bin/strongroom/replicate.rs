//! `strongroom key replicate` and `user replicate`: to a clone of the token, whose file is on this host, too.

use crate::context::{Context, Person};
use crate::identity::{ask, of_file, pin_of};
use crate::key::{CLASSES, called};
use crate::output::{Answer, Failure, Outcome};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom::config::Config;
use strongroom::error::Error;
use strongroom::token::backup::id_of;
use strongroom::token::{Access, Login, Replicated, Role, Token};

const VARIABLE: &str = "STRONGROOM_DESTINATION_PIN";

/// The other token, and who acts there.
#[derive(clap::Args)]
pub struct To {
    /// The number of its slot [default: 0, in another configuration].
    #[arg(long, value_name = "NUMBER", required_unless_present = "to_config")]
    to_slot: Option<u64>,
    /// The configuration that has its slot [default: the present one].
    #[arg(long, value_name = "CONFIG")]
    to_config: Option<PathBuf>,
    /// Who acts there [default: the same name as here].
    #[arg(long, value_name = "NAME")]
    to_user: Option<String>,
    /// A file with the password there [default: STRONGROOM_DESTINATION_PIN, `name:password`; or it is asked for].
    #[arg(long, value_name = "FILE")]
    to_password_file: Option<PathBuf>,
}

impl To {
    /// The token of the other slot, which can be used.
    fn token(&self, context: &mut Context) -> Result<Token, Failure> {
        let number = self.to_slot.unwrap_or(0);
        let slots = match &self.to_config {
            Some(path) => Config::read(path)?.slots,
            None => context.config()?.slots.clone(),
        };
        let slot = slots.into_iter().find(|slot| slot.id == number).ok_or_else(|| {
            Failure::new(format!("There is no slot {number} to replicate to."))
                .next("`strongroom slot list` shows those of a configuration; --to-config names another one.")
        })?;
        let token = Token::new(slot);
        token.ready().map_err(|_| {
            Failure::new(format!("The token {} cannot be used.", token.path().display()))
                .next("`strongroom cluster clone` makes it; `strongroom doctor` looks at one that is there.")
        })?;
        Ok(token)
    }

    /// Who acts there, logged in.
    fn log_in(&self, token: &Token, here: &Person) -> Result<Arc<Login>, Failure> {
        let (said, of_variable) = pin_of(VARIABLE).map_or((None, None), |(name, pin)| (name, Some(pin)));
        let name = self.to_user.clone().or(said).unwrap_or_else(|| here.login.name.clone());
        let user = token.user(&name)?.ok_or_else(|| {
            Failure::new(format!("There is no user {name} at the other token."))
                .next("say who acts there with --to-user; `strongroom user replicate` takes users there.")
        })?;
        let password = match (&self.to_password_file, of_variable) {
            (Some(file), _) => of_file(file)?,
            (None, Some(password)) => password,
            (None, None) => {
                ask(&format!("Password of {name} there"), &format!("{VARIABLE}, or give --to-password-file"))?
            }
        };
        token.log_in(user.role, Some(&name), &password).map_err(|error| match error {
            Error::PinIncorrect => Failure::new(format!("The password of {name} there is wrong.")),
            Error::PinLocked => Failure::new(format!("{name} is locked there.")),
            other => other.into(),
        })
    }
}

fn at(login: &Arc<Login>) -> Access<'_> {
    Access { login: Some(login), write: true, session: 0 }
}

fn refused(what: &str) -> impl Fn(Error) -> Failure {
    let unchanged = format!("{what} is not there; nothing was changed.");
    move |error| match error {
        Error::ActionProhibited | Error::ArgumentsBad | Error::FunctionFailed => Failure::new(&*unchanged),
        Error::UserNotLoggedIn | Error::ObjectHandleInvalid | Error::KeyHandleInvalid => {
            Failure::new(&*unchanged)
                .next("its owner may do that, or an officer, here and there: --user, --to-user.")
        }
        other => other.into(),
    }
}

pub fn key(context: &mut Context, key: &str, to: &To) -> Outcome {
    let other = to.token(context)?;
    let person = context.anyone()?;
    let token = context.ready_token()?;
    let there = to.log_in(&other, &person)?;
    let failed = refused(key);
    let (mut done, mut same) = (0, 0);
    let mut count = |replicated| match replicated {
        Replicated::Done => done += 1,
        Replicated::Same => same += 1,
    };
    let by_id = id_of(key).filter(|_| person.login.role == Role::Officer);
    if let Some(id) = by_id {
        count(token.replicate_record(person.access(), id, &other, at(&there)).map_err(&failed)?);
    } else {
        let mut found = Vec::new();
        for (word, class) in CLASSES {
            let of_class = called(token, &person, key, &[class])?;
            if of_class.len() > 1 {
                return Err(Failure::new(format!("{} {word} keys are called {key}.", of_class.len()))
                    .next("name one by its id: `strongroom key list`."));
            }
            found.extend(of_class);
        }
        if found.is_empty() {
            return Err(Failure::new(format!("There is no key {key} that you can see."))
                .next("`strongroom key list` shows yours; an officer names a key by its id."));
        }
        for handle in found {
            count(token.replicate(person.access(), handle, &other, at(&there)).map_err(&failed)?);
        }
    }
    other.close();
    let mut sentence = match (done, same) {
        (0, _) => format!("{key} was there already, just so."),
        (1, _) => format!("{key} is there now."),
        _ => format!("{key} is there now, in {done} halves."),
    };
    if done > 0 && same > 0 {
        sentence += " The other half was.";
    }
    Ok(Answer::done(sentence, json!({ "key": key, "replicated": done, "same": same })))
}

pub fn user(context: &mut Context, name: &str, to: &To) -> Outcome {
    let other = to.token(context)?;
    let officer = context.officer(false)?;
    let token = context.ready_token()?;
    let there = to.log_in(&other, &officer)?;
    let replicated =
        token.replicate_user(officer.access(), name, &other, at(&there)).map_err(refused(name))?;
    other.close();
    let (sentence, done) = match replicated {
        Replicated::Done => (format!("{name} is there now, with the password of here."), 1),
        Replicated::Same => (format!("{name} was there already, just so."), 0),
    };
    Ok(Answer::done(sentence, json!({ "username": name, "replicated": done })))
}
