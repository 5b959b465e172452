//! `strongroom seal`: what opens the token's file.

use crate::Run;
use crate::context::Context;
use crate::output::{Answer, Failure, Outcome, moment};
use crate::token::seal as described;
use crate::user::words;
use serde::Serialize;
use serde_json::json;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use strongroom::config::{PassphraseSource, SealConfig};
use strongroom::crypto::Secret;
use strongroom::error::Error;
use strongroom::token::SealState;

#[derive(clap::Subcommand)]
pub enum Command {
    /// All seals, and which of them this configuration opens the token with. Needs no login.
    Status,
    /// One more key file, passphrase or credential that opens the token. Needs an officer.
    Add(Source),
    /// A seal less: what opened it opens this token no more. Needs an officer.
    Remove {
        /// Its number in `seal status`.
        number: u32,
        /// Also the one that this configuration opens the token with.
        #[arg(long)]
        force: bool,
    },
    /// Exchange what opens the token: a key file gets a fresh key. Needs an officer.
    ///
    /// Programs that have the token open go on, and others can open it at every moment. Whoever had the old
    /// key file and a copy of the token's file of its day knows the key inside, which stays the same.
    Rotate {
        /// A file with the new passphrase, for a token that a passphrase file opens; without it the passphrase
        /// stays and gets a fresh salt.
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct Source {
    /// A key file; made, with mode 0600, if it is not there.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A file with a passphrase.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// A credential that systemd handed to this process; it holds what a key file holds.
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
}

impl Source {
    fn config(&self) -> Result<SealConfig, Failure> {
        match (&self.key_file, &self.passphrase_file, &self.credential) {
            (Some(path), ..) => Ok(SealConfig::KeyFile(path.clone())),
            (_, Some(path), _) => Ok(SealConfig::Passphrase(PassphraseSource::File(path.clone()))),
            (.., Some(name)) => Ok(SealConfig::credential(name)?),
            // Clap wants one of them.
            (None, None, None) => Err(Error::ArgumentsBad.into()),
        }
    }
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Command::Status => status(context),
            Command::Add(source) => add(context, &source.config()?),
            Command::Remove { number, force } => remove(context, *number, *force),
            Command::Rotate { new_passphrase_file } => rotate(context, new_passphrase_file.as_deref()),
        }
    }
}

#[derive(Serialize)]
struct Row {
    number: u32,
    provider: &'static str,
    /// RFC 3339, UTC.
    made: String,
    state: &'static str,
    /// Where the key of the one in use lies.
    key: String,
}

fn said(state: SealState) -> &'static str {
    match state {
        SealState::InUse => "in use",
        SealState::Intact => "intact",
        SealState::Unchecked => "not checked",
        SealState::Altered => "altered",
        SealState::LeftOver => "left over",
    }
}

/// Where a configuration's key lies, and who may read it there.
fn place(config: &SealConfig) -> String {
    let path = match config {
        SealConfig::KeyFile(path) | SealConfig::Passphrase(PassphraseSource::File(path)) => path.clone(),
        SealConfig::Credential { name, folder } => folder.as_deref().unwrap_or(Path::new("")).join(name),
        SealConfig::Passphrase(PassphraseSource::Environment) => return "STRONGROOM_SEAL_PASSPHRASE".into(),
    };
    let mode =
        std::fs::metadata(&path).map_or(String::new(), |file| format!(" (mode {:o})", file.mode() & 0o777));
    format!("{}{mode}", path.display())
}

fn status(context: &mut Context) -> Outcome {
    let config = context.slot()?.seal;
    let rows = context.ready_token()?.seals()?.into_iter().map(|seal| Row {
        number: seal.number,
        provider: seal.provider.map_or("", |provider| provider.name()),
        made: seal.made.map_or(String::new(), moment),
        state: said(seal.state),
        key: if seal.state == SealState::InUse { place(&config) } else { String::new() },
    });
    Ok(Answer::rows("seals", rows.collect()))
}

fn add(context: &mut Context, config: &SealConfig) -> Outcome {
    let officer = context.officer(false)?;
    let number = context.ready_token()?.add_seal(officer.access(), config).map_err(|error| {
        let failure = words(context, error, "No seal was added");
        match error {
            Error::ActionProhibited | Error::ArgumentsBad => {
                failure.next("`strongroom seal status` shows those there are.")
            }
            // Not of the token, which is open, but of what the new seal was to be made from.
            Error::TokenNotRecognized => Failure::new("No seal was added; nothing was changed.")
                .next("name a file with a passphrase, a key file or a credential that you can read."),
            _ => failure,
        }
    })?;
    let sentence = format!(
        "Seal {number} opens the token, too: {}. Programs use it when their configuration names it.",
        described(config)
    );
    Ok(Answer::done(sentence, json!({ "number": number })))
}

fn remove(context: &mut Context, number: u32, force: bool) -> Outcome {
    let officer = context.officer(false)?;
    context.ready_token()?.remove_seal(officer.access(), number, force).map_err(|error| {
        let failure = words(context, error, &format!("Seal {number} was not removed"));
        match error {
            Error::ActionProhibited => failure
                .next("add another one first; --force removes the one in use, but never the last good one."),
            Error::ArgumentsBad => failure.next("`strongroom seal status` shows them."),
            _ => failure,
        }
    })?;
    let sentence = format!("Seal {number} is gone; what opened it opens only earlier copies of the file.");
    Ok(Answer::done(sentence, json!({ "number": number })))
}

fn new_passphrase(path: &Path) -> Result<Secret, Failure> {
    std::fs::read(path).map(Secret::from).map_err(|e| {
        Failure::new(format!("No new passphrase: {}: {e}; nothing was changed.", path.display()))
            .next("name a file you can read.")
    })
}

fn rotate(context: &mut Context, new: Option<&Path>) -> Outcome {
    let config = context.slot()?.seal;
    if new.is_some() && !matches!(config, SealConfig::Passphrase(_)) {
        return Err(Failure::usage(format!("No passphrase opens this token, but a {}.", described(&config)))
            .next("leave --new-passphrase-file out."));
    }
    let new = new.map(new_passphrase).transpose()?;
    let officer = context.officer(false)?;
    let rotated = context.ready_token()?.rotate_seal(officer.access(), new).map_err(|error| {
        let failure = words(context, error, "The seal was not exchanged");
        match error {
            Error::ActionProhibited => failure.next(
                "`strongroom seal add` another one, name it in the configuration of every program, and `strongroom \
                 seal remove` this one.",
            ),
            _ => failure,
        }
    })?;
    let gone = rotated.removed.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let what = match (&config, rotated.new_key) {
        (_, false) => {
            "the passphrase is the same, the salt is fresh (another one: --new-passphrase-file)".into()
        }
        (SealConfig::Passphrase(_), true) => format!("{} has the new passphrase", place(&config)),
        _ => format!("{} has a new key. Keep a copy of it", place(&config)),
    };
    let sentence = format!("Seal {} replaces {gone}: {what}.", rotated.number);
    let data = json!({ "number": rotated.number, "removed": rotated.removed, "new_key": rotated.new_key });
    Ok(Answer::done(sentence, data))
}
