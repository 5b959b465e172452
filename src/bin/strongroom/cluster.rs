//! `strongroom cluster`: the token as a whole.

use crate::Run;
use crate::context::Context;
use crate::peers;
use crate::output::{Answer, Failure, Outcome};
use crate::token::described;
use serde_json::json;
use strongroom::error::Error;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make the token and give its first officer a password. Needs nobody; works once.
    Activate {
        /// The token's label, which programs show; at most 32 bytes.
        #[arg(long, default_value = "strongroom", value_parser = label)]
        label: String,
    },
    /// What the token is. Needs no login.
    Info,
    #[command(flatten)]
    Peers(peers::Command),
}

/// As long as C_GetTokenInfo can tell.
fn label(text: &str) -> Result<String, String> {
    if text.len() <= 32 { Ok(text.to_owned()) } else { Err("a label has at most 32 bytes".into()) }
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Command::Activate { label } => activate(context, label),
            Command::Info => described(context),
            Command::Peers(command) => command.run(context),
        }
    }
}

fn activate(context: &mut Context, label: &str) -> Outcome {
    let (slot, token) = (context.slot()?, context.token()?);
    let unusable = |_| {
        Failure::new("There is a token already, and it cannot be used.").next("`strongroom doctor` says why.")
    };
    if !token.info().map_err(unusable)?.serial.is_empty() {
        return Err(Failure::new(format!("The token {} is active already.", token.path().display())).next(
            "nothing. To throw it away with all its keys, use C_InitToken (pkcs11-tool --init-token) and the officer's PIN.",
        ));
    }
    let password = context.options.identity.first_password(&slot.default_officer)?;
    token.initialize(&password, label).map_err(|error| match error {
        Error::PinLenRange => bad_length(slot.min_pin_length),
        other => other.into(),
    })?;
    let officer = slot.default_officer;
    let sentence = format!(
        "The token {label} is active; its first officer is {officer}.\nNext: a second officer and the first crypto user \
         (`strongroom user create NAME --role CO|CU`), and a copy of the seal key in a safe place."
    );
    Ok(Answer::done(sentence, json!({ "label": label, "officer": officer, "serial": token.info()?.serial })))
}

/// A password that is too short or too long.
pub fn bad_length(least: usize) -> Failure {
    Failure::new(format!(
        "A password has {least} to {} bytes; nothing was changed.",
        strongroom::token::MAX_PIN_LENGTH
    ))
    .next("choose another one.")
}
