//! `strongroom cluster`: the token as a whole.

use crate::Run;
use crate::clone;
use crate::context::Context;
use crate::output::{Answer, Failure, Outcome};
use crate::peers;
use crate::reset::said;
use crate::token::described;
use serde_json::json;
use strongroom::config::ResetPolicy;
use strongroom::error::Error;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make the token and give its first officer a password. Needs nobody; works once.
    Activate {
        /// The token's label, which programs show; at most 32 bytes.
        #[arg(long, default_value = "strongroom", value_parser = label)]
        label: String,
        /// What an officer's new password for a user does to the user's keys; for good [default: the
        /// configuration's, which is keeps unless it says otherwise].
        #[arg(long, value_enum, value_name = "POLICY")]
        reset_policy: Option<PolicyName>,
        /// How many officers a quorum is [default: 2].
        #[arg(long, value_name = "NUMBER", requires = "reset_policy", value_parser = threshold())]
        reset_threshold: Option<u32>,
    },
    /// What the token is. Needs no login.
    Info,
    Clone(clone::Clone),
    #[command(flatten)]
    Peers(peers::Command),
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum PolicyName {
    /// Any officer gives it; the keys stay.
    Keeps,
    /// So many officers give it together; the keys stay.
    Quorum,
    /// Any officer gives it; the user's private keys are destroyed.
    Destroys,
}

fn threshold() -> clap::builder::RangedI64ValueParser<u32> {
    let (least, most) = ResetPolicy::THRESHOLDS.into_inner();
    clap::value_parser!(u32).range(i64::from(least)..=i64::from(most))
}

/// The policy that the options name; `None`: they name none.
fn policy(name: Option<PolicyName>, threshold: Option<u32>) -> Result<Option<ResetPolicy>, Failure> {
    match (name, threshold) {
        (Some(PolicyName::Quorum), number) => {
            let threshold = number.unwrap_or(*ResetPolicy::THRESHOLDS.start());
            Ok(Some(ResetPolicy::Quorum { threshold }))
        }
        (_, Some(_)) => Err(Failure::usage("--reset-threshold is for --reset-policy quorum.")
            .next("leave it out, or choose quorum.")),
        (Some(PolicyName::Keeps), None) => Ok(Some(ResetPolicy::Keeps)),
        (Some(PolicyName::Destroys), None) => Ok(Some(ResetPolicy::Destroys)),
        (None, None) => Ok(None),
    }
}

/// As long as C_GetTokenInfo can tell.
fn label(text: &str) -> Result<String, String> {
    if text.len() <= 32 { Ok(text.to_owned()) } else { Err("a label has at most 32 bytes".into()) }
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Command::Activate { label, reset_policy, reset_threshold } => {
                activate(context, label, policy(*reset_policy, *reset_threshold)?)
            }
            Command::Info => described(context),
            Command::Clone(command) => command.run(context),
            Command::Peers(command) => command.run(context),
        }
    }
}

fn activate(context: &mut Context, label: &str, policy: Option<ResetPolicy>) -> Outcome {
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
    let policy = policy.unwrap_or(slot.reset_policy);
    token.initialize_with(&password, label, policy).map_err(|error| match error {
        Error::PinLenRange => bad_length(slot.min_pin_length),
        other => other.into(),
    })?;
    let officer = slot.default_officer;
    let first = match policy {
        ResetPolicy::Quorum { threshold } => format!(
            "officers until there are {threshold}, better {}, so that one may be lost, then the first crypto user",
            threshold + 1
        ),
        _ => "a second officer and the first crypto user".to_owned(),
    };
    let sentence = format!(
        "The token {label} is active; its first officer is {officer}.\nNext: {first} \
         (`strongroom user create NAME --role CO|CU`), and a copy of the seal key in a safe place."
    );
    let data = json!({
        "label": label, "officer": officer, "serial": token.info()?.serial, "reset_policy": said(policy)
    });
    Ok(Answer::done(sentence, data))
}

/// A password that is too short or too long.
pub fn bad_length(least: usize) -> Failure {
    Failure::new(format!(
        "A password has {least} to {} bytes; nothing was changed.",
        strongroom::token::MAX_PIN_LENGTH
    ))
    .next("choose another one.")
}
