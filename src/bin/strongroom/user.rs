//! `strongroom user`.

use crate::token::unusable;
use crate::{Outcome, passwords};
use std::path::PathBuf;
use std::sync::Arc;
use strongroom::config::SlotConfig;
use strongroom::error::Error;
use strongroom::token::{Access, Login, Role, Token};

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum RoleName {
    /// Crypto user: owns and uses keys.
    Cu,
    /// Crypto officer: manages users, uses no key.
    Co,
}

#[derive(clap::Subcommand)]
pub enum Command {
    /// Everyone who can log in.
    List,
    /// Make a user. Needs an officer: STRONGROOM_OFFICER_PASSWORD, or asked for.
    Create {
        name: String,
        #[arg(long, value_enum, default_value = "cu")]
        role: RoleName,
        /// File with the new user's password (else STRONGROOM_PASSWORD, or asked for).
        #[arg(long)]
        password_file: Option<PathBuf>,
        /// The officer's name, if not the slot's default officer.
        #[arg(long)]
        officer: Option<String>,
    },
    /// Give a user a new password and end his lock. Needs an officer.
    SetPassword {
        name: String,
        #[arg(long)]
        password_file: Option<PathBuf>,
        #[arg(long)]
        officer: Option<String>,
    },
}

impl Command {
    pub fn run(&self, token: &Token, slot: &SlotConfig) -> Outcome {
        match self {
            Command::List => list(token),
            Command::Create { name, role, password_file, officer } => {
                let login = officer_login(token, slot, officer.as_deref())?;
                let password = passwords::read(
                    password_file.as_deref(),
                    "STRONGROOM_PASSWORD",
                    &format!("Password for {name}"),
                )?;
                let role = match role {
                    RoleName::Cu => Role::User,
                    RoleName::Co => Role::Officer,
                };
                token.create_user(access(&login), name, role, &password).map(drop).map_err(|e| words(e, slot))
            }
            Command::SetPassword { name, password_file, officer } => {
                let login = officer_login(token, slot, officer.as_deref())?;
                let password = passwords::read(
                    password_file.as_deref(),
                    "STRONGROOM_PASSWORD",
                    &format!("New password for {name}"),
                )?;
                token.reset_password(access(&login), name, &password).map_err(|e| words(e, slot))
            }
        }
    }
}

pub fn access(login: &Arc<Login>) -> Access<'_> {
    Access { login: Some(login), write: true, session: 0 }
}

pub fn officer_login(token: &Token, slot: &SlotConfig, officer: Option<&str>) -> Result<Arc<Login>, String> {
    token.ready().map_err(|_| unusable(token))?;
    let officer = officer.unwrap_or(&slot.default_officer);
    let password =
        passwords::read(None, "STRONGROOM_OFFICER_PASSWORD", &format!("Password of officer {officer}"))?;
    token.log_in(Role::Officer, Some(officer), &password).map_err(|e| words(e, slot))
}

fn words(error: Error, slot: &SlotConfig) -> String {
    match error {
        Error::PinIncorrect => "The officer's name or password is wrong; the attempt was counted.".into(),
        Error::PinLocked => {
            "That officer is locked after too many wrong passwords; another officer can set a new one.".into()
        }
        Error::PinLenRange => format!("A password has {} to 255 bytes.", slot.min_pin_length),
        Error::ArgumentsBad => "Nothing was changed; the line above says why.".into(),
        Error::TokenWriteProtected => "The token's file cannot be written.".into(),
        other => format!("It did not work ({other}); nothing was changed."),
    }
}

fn list(token: &Token) -> Outcome {
    println!("{:<24} {:<6} {:<10} id", "name", "role", "state");
    for user in token.users().map_err(|_| unusable(token))? {
        let role = if user.role == Role::Officer { "CO" } else { "CU" };
        let state = if user.locked { "locked" } else { "active" };
        println!("{:<24} {role:<6} {state:<10} {}", user.name, user.id);
    }
    Ok(())
}
