//! Who acts, and where passwords come from: an option, the environment, or the terminal.
//!
//! | whose | option | variable |
//! |---|---|---|
//! | anyone's, name and all | | `STRONGROOM_PIN` (`name:password`), `STRONGROOM_ROLE` (`CU`, `CO`) |
//! | an officer's | `--officer-password-file`, `--officer-password-fd` | `STRONGROOM_OFFICER_PASSWORD` |
//! | a crypto user's | `--password-file`, `--password-fd` | `STRONGROOM_PASSWORD` |
//! | the new one that an officer gives | `--password-file`, `--password-fd` | `STRONGROOM_PASSWORD` |
//! | the new one of one's own | `--new-password-file` | `STRONGROOM_NEW_PASSWORD` |
//! | at the other token of `replicate` | `--to-password-file` | `STRONGROOM_DESTINATION_PIN` |
//! | of a file of keys | `--key-password-file`, `--key-password-fd` | `STRONGROOM_KEY_PASSWORD` |
//!
//! What is not there is asked for. The role of who acts follows from the name.

use crate::context::{Context, Person};
use crate::output::Failure;
use cryptoki_sys::{CKU_SO, CKU_USER};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use strongroom::config::SlotConfig;
use strongroom::crypto::Secret;
use strongroom::error::Error;
use strongroom::token::{Role, Token, appliance};

#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Who acts")]
pub struct Identity {
    /// Who acts [default: the slot's default officer or user, as the command needs].
    #[arg(long, alias = "officer", global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// What the one who acts is (before the command; the name tells it, too).
    #[arg(long, value_enum, value_name = "CU|CO")]
    pub role: Option<RoleName>,
    /// A file with the password: of who acts, or the new one an officer gives.
    #[arg(long, global = true, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The same from an open file descriptor.
    #[arg(long, global = true, value_name = "NUMBER", conflicts_with = "password_file")]
    pub password_fd: Option<u32>,
    /// A file with the officer's password.
    #[arg(long, global = true, value_name = "FILE")]
    pub officer_password_file: Option<PathBuf>,
    /// The same from an open file descriptor.
    #[arg(long, global = true, value_name = "NUMBER", conflicts_with = "officer_password_file")]
    pub officer_password_fd: Option<u32>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum RoleName {
    /// Crypto user: owns and uses keys.
    #[value(name = "CU", aliases = ["cu", "user", "crypto-user"])]
    Cu,
    /// Crypto officer: manages users, uses no key.
    #[value(name = "CO", aliases = ["co", "so", "officer", "admin"])]
    Co,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Role {
        match name {
            RoleName::Cu => Role::User,
            RoleName::Co => Role::Officer,
        }
    }
}

/// For sentences.
pub fn noun(role: Role) -> &'static str {
    match role {
        Role::User => "a crypto user (CU)",
        Role::Officer => "an officer (CO)",
        Role::Appliance => "this host (AU)",
    }
}

pub fn variable(name: &str) -> Option<Secret> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(|value| Secret::from(value.into_vec()))
}

/// `STRONGROOM_PIN`: a name, if there is one, and a password.
fn pin() -> Option<(Option<String>, Secret)> {
    pin_of("STRONGROOM_PIN")
}

/// `name:password`, or a password alone, of a variable.
pub fn pin_of(variable_name: &str) -> Option<(Option<String>, Secret)> {
    let pin = variable(variable_name)?;
    match pin.iter().position(|byte| *byte == b':') {
        Some(colon) => {
            let name = String::from_utf8_lossy(&pin[..colon]).into_owned();
            Some((Some(name), Secret::from(&pin[colon + 1..])))
        }
        None => Some((None, pin)),
    }
}

fn role_of_environment() -> Result<Option<Role>, Failure> {
    let Some(value) = std::env::var_os("STRONGROOM_ROLE") else { return Ok(None) };
    let role = value.to_str().and_then(|value| <RoleName as clap::ValueEnum>::from_str(value, true).ok());
    role.map(|role| Some(role.into())).ok_or_else(|| {
        Failure::usage(format!("STRONGROOM_ROLE is {value:?}, and no role.")).next("set it to CU or CO.")
    })
}

/// A file, which may be a pipe, without the newlines at its end.
pub fn of_file(path: &Path) -> Result<Secret, Failure> {
    let read = std::fs::read(path).map(Secret::from);
    let mut text = read.map_err(|e| {
        Failure::new(format!("No password: {}: {e}.", path.display())).next("name a file you can read.")
    })?;
    let length = text.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    text.truncate(length);
    Ok(text)
}

fn of_option(file: Option<&Path>, descriptor: Option<u32>) -> Option<Result<Secret, Failure>> {
    match (file, descriptor) {
        (Some(path), _) => Some(of_file(path)),
        (None, Some(number)) => Some(of_file(Path::new(&format!("/dev/fd/{number}")))),
        (None, None) => None,
    }
}

pub fn ask(prompt: &str, instead: &str) -> Result<Secret, Failure> {
    let typed = rpassword::prompt_password(format!("{prompt}: "));
    typed.map(|typed| Secret::from(typed.into_bytes())).map_err(|e| {
        Failure::new(format!("There is no terminal to ask for: {prompt} ({e})."))
            .next(format!("set {instead}."))
    })
}

/// A new password, asked for twice.
pub fn ask_new(prompt: &str, instead: &str) -> Result<Secret, Failure> {
    let first = ask(prompt, instead)?;
    if ask(&format!("{prompt}, again"), instead)? != first {
        return Err(Failure::new("The two were not the same; nothing was changed."));
    }
    Ok(first)
}

/// The password of a file of keys, and whether it was asked for.
pub fn password_of_keys(
    file: Option<&Path>,
    descriptor: Option<u32>,
    keys: &Path,
) -> Result<(Secret, bool), Failure> {
    if let Some(given) = of_option(file, descriptor) {
        return Ok((given?, false));
    }
    let name = "STRONGROOM_KEY_PASSWORD";
    // An empty one is a password, too.
    match std::env::var_os(name) {
        Some(value) => Ok((Secret::from(value.into_vec()), false)),
        None => {
            let instead = format!("{name}, or give --key-password-file");
            Ok((ask(&format!("Password of {}", keys.display()), &instead)?, true))
        }
    }
}

impl Identity {
    fn own(&self) -> Option<Result<Secret, Failure>> {
        of_option(self.password_file.as_deref(), self.password_fd)
    }

    fn officers(&self) -> Option<Result<Secret, Failure>> {
        of_option(self.officer_password_file.as_deref(), self.officer_password_fd)
    }

    /// The password of the one who acts, from everything but `STRONGROOM_PIN`.
    fn password(&self, role: Role, name: &str, new_password: bool) -> Result<Secret, Failure> {
        let own = || if new_password { None } else { self.own() };
        let (given, variable_name, option) = match role {
            Role::Officer => {
                (self.officers().or_else(own), "STRONGROOM_OFFICER_PASSWORD", "--officer-password-file")
            }
            _ => (own(), "STRONGROOM_PASSWORD", "--password-file"),
        };
        if let Some(given) = given {
            return given;
        }
        match variable(variable_name) {
            Some(password) => Ok(password),
            None => ask(&format!("Password of {name}"), &format!("{variable_name}, or give {option}")),
        }
    }

    /// Who is named by option or by `STRONGROOM_PIN`.
    pub fn said(&self) -> Option<String> {
        self.user.clone().or_else(|| pin()?.0)
    }

    /// The present password of someone who is logged in.
    pub fn present_password(&self, person: &Person) -> Result<Secret, Failure> {
        match &person.password {
            Some(password) => Ok(password.clone()),
            None => self.password(person.login.role, &person.login.name, false),
        }
    }

    /// The first password of a token's first officer.
    pub fn first_password(&self, name: &str) -> Result<Secret, Failure> {
        if let Some(given) = self.officers().or_else(|| self.own()) {
            return given;
        }
        let of_variable = variable("STRONGROOM_OFFICER_PASSWORD");
        let instead = "STRONGROOM_OFFICER_PASSWORD, or give --officer-password-file";
        of_variable.map_or_else(|| ask_new(&format!("Password for the officer {name}"), instead), Ok)
    }

    /// The new password of somebody: `own` when it is of the one who acts, whose present one the
    /// options and variables without `new` hold.
    pub fn new_password(&self, file: Option<&Path>, name: &str, own: bool) -> Result<Secret, Failure> {
        if let Some(path) = file {
            return of_file(path);
        }
        if let Some(given) = self.own().filter(|_| !own) {
            return given;
        }
        let present = || variable("STRONGROOM_PASSWORD").filter(|_| !own);
        let of_variable = variable("STRONGROOM_NEW_PASSWORD").or_else(present);
        let instead = "STRONGROOM_NEW_PASSWORD, or give --new-password-file";
        of_variable.map_or_else(|| ask_new(&format!("New password for {name}"), instead), Ok)
    }
}

/// Who is to act.
pub struct Actor {
    pub name: String,
    pub role: Role,
    /// From `STRONGROOM_PIN`.
    password: Option<Secret>,
}

/// Who the options and the environment name, for a command that needs this role.
pub fn actor(
    identity: &Identity,
    token: &Token,
    slot: &SlotConfig,
    needed: Option<Role>,
) -> Result<Actor, Failure> {
    let said = match identity.role {
        Some(role) => Some(Role::from(role)),
        None => role_of_environment()?,
    };
    let default = |role| match role {
        Role::Officer => slot.default_officer.clone(),
        _ => slot.default_user.clone(),
    };
    // A variable that is set for other commands does not stand in the way of this one.
    let fits = |role: Role| needed.is_none_or(|needed| needed == role);
    let (mut name, mut password, mut misfit) = (identity.user.clone(), None, None);
    if let Some((pin_name, pin_password)) = pin() {
        let pin_name = pin_name.unwrap_or_else(|| default(said.or(needed).unwrap_or(Role::User)));
        let role = token.user(&pin_name)?.map(|user| user.role);
        if name.as_ref().is_none_or(|name| *name == pin_name) && role.is_none_or(fits) {
            (name, password) = (Some(pin_name), Some(pin_password));
        } else {
            misfit = role.map(|role| (pin_name, role));
        }
    }
    let name = name.unwrap_or_else(|| default(needed.or(said).unwrap_or(Role::User)));
    if name == appliance::NAME {
        return Err(Failure::new("appliance is this host itself (AU): nobody logs in as it.")
            .next("say who acts with --user NAME."));
    }
    let wrong_role = |name: &str, role, needed| {
        Failure::new(format!("{name} is {}, and this needs {}.", noun(role), noun(needed)))
            .next("say who acts with --user NAME.")
    };
    let user = token.user(&name)?.ok_or_else(|| match (misfit, needed) {
        (Some((pin_name, role)), Some(needed)) if role != needed => wrong_role(&pin_name, role, needed),
        _ => Failure::new(format!("There is no user {name}."))
            .next("`strongroom user list` shows them; say who acts with --user NAME."),
    })?;
    if let Some(needed) = needed.or(identity.role.map(Role::from)).filter(|needed| *needed != user.role) {
        return Err(wrong_role(&name, user.role, needed));
    }
    Ok(Actor { name, role: user.role, password })
}

/// Logs the one in who is to act; in the interactive mode whoever logged in stays it.
pub fn log_in(context: &mut Context, needed: Option<Role>, new_password: bool) -> Result<Person, Failure> {
    let (token, session) = (context.ready_token()?, context.session()?);
    if let Some(login) = context.logged_in()? {
        let named = &context.options.identity.user;
        let fits = needed.is_none_or(|needed| needed == login.role)
            && named.as_ref().is_none_or(|name| *name == login.name);
        return match fits {
            true => Ok(Person { login, session, password: None }),
            false => {
                Err(Failure::new(format!("You are logged in as {} ({}).", login.name, login.role.short()))
                    .next("`logout`, then `login NAME` as the one who may do this."))
            }
        };
    }
    let (slot, identity) = (context.slot()?, context.options.identity.clone());
    let actor = actor(&identity, token, &slot, needed)?;
    let password = match actor.password {
        Some(password) => password,
        None => identity.password(actor.role, &actor.name, new_password)?,
    };
    let kind = if actor.role == Role::Officer { CKU_SO } else { CKU_USER };
    let library = context.library()?;
    library.login(session, kind, Some(&actor.name), &password).map_err(|error| match error {
        Error::PinIncorrect => {
            Failure::new(format!("The password of {} is wrong; the attempt was counted.", actor.name))
                .next(format!("try again; after {} wrong ones the user is locked.", slot.max_failures))
        }
        Error::PinLocked => Failure::new(format!("{} is locked after too many wrong passwords.", actor.name))
            .next(format!("an officer ends the lock: `strongroom user unlock {0}`; or gives a new password: `strongroom user set-password {0}`.", actor.name)),
        other => other.into(),
    })?;
    let login = library.logged_in(slot.id)?.ok_or(Error::UserNotLoggedIn)?;
    Ok(Person { login, session, password: Some(password) })
}
