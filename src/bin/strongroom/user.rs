//! `strongroom user`: the people of the token.

use crate::Run;
use crate::cluster::bad_length;
use crate::context::{Context, Person};
use crate::identity::{RoleName, noun};
use crate::output::{Answer, Failure, Outcome};
use crate::replicate;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use strongroom::config::ResetPolicy;
use strongroom::crypto::Secret;
use strongroom::error::Error;
use strongroom::token::{Part, Role, appliance};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Everyone who can log in, and this host (AU). Needs no login.
    List,
    /// Make a user. Needs an officer.
    ///
    /// The officer's password comes from STRONGROOM_OFFICER_PASSWORD or --officer-password-file, the new
    /// user's from STRONGROOM_PASSWORD or --password-file; what is not there is asked for.
    Create {
        /// 1 to 64 of letters, digits and . _ - @
        name: String,
        #[arg(long, value_enum, ignore_case = true, default_value = "CU")]
        role: RoleName,
        /// A file with the new user's password.
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
    },
    /// Delete a user. Needs an officer; who is logged in as the user is logged out everywhere.
    Delete {
        name: String,
        /// Destroy the user's private objects too: without the user nobody can open them.
        #[arg(long)]
        destroy_objects: bool,
    },
    /// End a user's lock and keep his password. Needs an officer.
    Unlock { name: String },
    /// Take a user with the password to a clone of this token: another cluster with the same seal key. Needs an
    /// officer here and there.
    Replicate {
        name: String,
        #[command(flatten)]
        to: replicate::To,
    },
    /// A new password: of one's own, or, by an officer, for somebody whose lock it ends.
    #[command(visible_alias = "set-password")]
    ChangePassword {
        /// Whose; without it one's own.
        name: Option<String>,
        /// A file with the new password.
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
        /// With reset policy `destroys`: destroy the user's private objects, as an officer's new password does.
        #[arg(long)]
        destroy_objects: bool,
    },
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Command::List => list(context),
            Command::Create { name, role, new_password_file } => {
                create(context, name, (*role).into(), new_password_file.as_deref())
            }
            Command::Delete { name, destroy_objects } => delete(context, name, *destroy_objects),
            Command::Unlock { name } => unlock(context, name),
            Command::Replicate { name, to } => replicate::user(context, name, to),
            Command::ChangePassword { name, new_password_file, destroy_objects } => {
                change_password(context, name.as_deref(), new_password_file.as_deref(), *destroy_objects)
            }
        }
    }
}

#[derive(Serialize)]
struct Row {
    username: String,
    role: &'static str,
    locked: bool,
    failures: u32,
    /// `given` by somebody else, or the user's `own`; empty for the host.
    password: &'static str,
    id: String,
    /// Of a token with reset policy `quorum`: what an officer's part in resets is.
    #[serde(skip_serializing_if = "Option::is_none")]
    resets: Option<&'static str>,
}

fn list(context: &mut Context) -> Outcome {
    let token = context.ready_token()?;
    let quorum = matches!(token.reset_policy()?, ResetPolicy::Quorum { .. });
    let users = token.users()?.into_iter().map(|user| Row {
        username: user.name,
        role: user.role.short(),
        locked: user.locked,
        failures: user.failures,
        password: if user.given { "given" } else { "own" },
        id: user.id.to_string(),
        resets: quorum.then(|| user.part.map_or("", part)),
    });
    let host = token.appliance()?.map(|host| Row {
        username: appliance::NAME.into(),
        role: Role::Appliance.short(),
        locked: false,
        failures: 0,
        password: "",
        id: host.id.to_string(),
        resets: quorum.then_some(""),
    });
    let mut rows: Vec<_> = users.chain(host).collect();
    rows.sort_by(|a, b| a.username.cmp(&b.username));
    Ok(Answer::rows("users", rows))
}

/// An officer's part in resets.
fn part(part: Part) -> &'static str {
    match part {
        Part::Holds => "takes part",
        Part::Given => "needs a password of his own",
        Part::Waits => "needs the others' approval",
    }
}

/// What the token says of a change, in this command's words.
pub fn words(context: &mut Context, error: Error, unchanged: &str) -> Failure {
    match error {
        Error::PinLenRange => bad_length(context.slot().map_or(4, |slot| slot.min_pin_length)),
        Error::ArgumentsBad | Error::ActionProhibited => {
            Failure::new(format!("{unchanged}; nothing was changed."))
        }
        other => other.into(),
    }
}

fn create(context: &mut Context, name: &str, role: Role, file: Option<&Path>) -> Outcome {
    let officer = context.officer(file.is_none())?;
    let password = context.options.identity.new_password(file, name, false)?;
    let token = context.ready_token()?;
    let id = token
        .create_user(officer.access(), name, role, &password)
        .map_err(|error| words(context, error, &format!("{name} was not made")))?;
    let data = json!({ "username": name, "role": role.short(), "id": id.to_string() });
    let mut sentence = format!("{name} can log in now: {}.", noun(role));
    if token.user(name)?.is_some_and(|user| user.part == Some(Part::Given)) {
        sentence += "\nFor a part in resets the officer changes the password first: \
                     `strongroom user change-password`.";
    }
    Ok(Answer::done(sentence, data))
}

fn delete(context: &mut Context, name: &str, destroy: bool) -> Outcome {
    let officer = context.officer(false)?;
    let token = context.ready_token()?;
    let owns = token.user(name)?.is_some_and(|user| user.role == Role::User);
    let destroyed = token.delete_user(officer.access(), name, destroy).map_err(|error| {
        let failure = words(context, error, &format!("{name} was not deleted"));
        match error {
            Error::ActionProhibited if owns => failure.next(
                "--destroy-objects destroys what the user owns, for good; or let the user move it elsewhere first.",
            ),
            _ => failure,
        }
    })?;
    let data = json!({ "username": name, "destroyed_objects": destroyed });
    Ok(Answer::done(format!("{name} is deleted, and {destroyed} private objects with the user."), data))
}

fn unlock(context: &mut Context, name: &str) -> Outcome {
    let officer = context.officer(false)?;
    let token = context.ready_token()?;
    token
        .unlock(officer.access(), name)
        .map_err(|error| words(context, error, &format!("{name} was not unlocked")))?;
    Ok(Answer::done(format!("{name} is not locked."), json!({ "username": name })))
}

fn change_password(
    context: &mut Context,
    name: Option<&str>,
    file: Option<&Path>,
    destroy_objects: bool,
) -> Outcome {
    let own = whose(context, name)?;
    let (name, token) = match own {
        Whose::Own(person) => return change_own(context, &person, file),
        Whose::Of(name) => (name, context.ready_token()?),
    };
    let owns = token.user(&name)?.is_some_and(|user| user.role == Role::User);
    if owns && !destroy_objects && token.reset_policy()? == ResetPolicy::Destroys {
        return Err(Failure::new(format!(
            "The reset policy is destroys: with a new password by an officer {name} loses all private objects; \
             nothing was changed."
        ))
        .next(format!("`strongroom user unlock {name}` ends a lock and keeps them; --destroy-objects goes on.")));
    }
    let officer = context.officer(file.is_none())?;
    let password = context.options.identity.new_password(file, &name, false)?;
    token
        .reset_password(officer.access(), &name, &password)
        .map_err(|error| words(context, error, &format!("{name} has no new password")))?;
    Ok(Answer::done(format!("{name} has a new password and is not locked."), json!({ "username": name })))
}

enum Whose {
    Own(Person),
    Of(String),
}

/// One's own, when the one who acts is named and is the same; else an officer gives it.
fn whose(context: &mut Context, name: Option<&str>) -> Result<Whose, Failure> {
    let Some(name) = name else { return context.anyone().map(Whose::Own) };
    let logged_in = context.logged_in()?.map(|login| login.name.clone());
    let acting = logged_in.or_else(|| context.options.identity.said());
    match acting.as_deref() == Some(name) {
        true => context.anyone().map(Whose::Own),
        false => Ok(Whose::Of(name.to_owned())),
    }
}

/// C_SetPIN's way: with the present password, and without an officer.
fn change_own(context: &mut Context, person: &Person, file: Option<&Path>) -> Outcome {
    let name = person.login.name.clone();
    let identity = context.options.identity.clone();
    let old = identity.present_password(person)?;
    let new = identity.new_password(file, &name, true)?;
    // With the name, so that a colon in a password is one.
    let named = |password: &Secret| Secret::from([name.as_bytes(), b":", password].concat());
    context
        .library()?
        .set_pin(person.session, &named(&old), &named(&new))
        .map_err(|error| words(context, error, &format!("{name} has no new password")))?;
    let mut sentence = format!("{name} has a new password.");
    if context.ready_token()?.user(&name)?.is_some_and(|user| user.part == Some(Part::Waits)) {
        sentence += "\nFor a part in resets the other officers say yes: \
                     `strongroom reset request` and `approve` with this officer's name.";
    }
    Ok(Answer::done(sentence, json!({ "username": name })))
}
