//! `strongroom reset`: officers who reset a user's password together (reset policy `quorum`).

use crate::Run;
use crate::context::Context;
use crate::output::{Answer, Outcome};
use crate::user::words;
use serde::Serialize;
use serde_json::json;
use strongroom::config::ResetPolicy;
use strongroom::error::Error;
use strongroom::token::{Access, Token};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Ask the other officers for a reset of a user's password; `user set-password` finishes it.
    Request { name: String },
    /// Say yes to what another officer asks for.
    Approve { name: String },
    /// Take a request back.
    Cancel { name: String },
    /// What is asked for.
    List,
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Command::Request { name } => {
                let done = "A reset is asked for; when enough officers approved it, finish it with \
                            `strongroom user set-password`.";
                change(context, name, Token::request_reset, done)
            }
            Command::Approve { name } => change(context, name, Token::approve_reset, "Approved."),
            Command::Cancel { name } => {
                change(context, name, Token::cancel_reset, "The request is taken back.")
            }
            Command::List => list(context),
        }
    }
}

fn change(
    context: &mut Context,
    name: &str,
    work: impl FnOnce(&Token, Access<'_>, &str) -> Result<(), Error>,
    done: &str,
) -> Outcome {
    let officer = context.officer(false)?;
    let token = context.ready_token()?;
    work(token, officer.access(), name)
        .map_err(|error| words(context, error, &format!("Nothing was done about a reset of {name}")))?;
    Ok(Answer::done(done, json!({ "username": name })))
}

#[derive(Serialize)]
struct Row {
    username: String,
    asked_by: String,
    approved_by: Vec<String>,
    needed: u32,
    /// Seconds since 1970.
    expires: u64,
}

fn list(context: &mut Context) -> Outcome {
    let officer = context.officer(false)?;
    let resets = context.ready_token()?.pending_resets(officer.access())?.into_iter().map(|reset| Row {
        username: reset.user,
        asked_by: reset.officer,
        approved_by: reset.approved,
        needed: reset.needed,
        expires: reset.expires,
    });
    Ok(Answer::rows("resets", resets.collect()))
}

/// A reset policy in a word.
pub fn said(policy: ResetPolicy) -> String {
    match policy {
        ResetPolicy::Keeps => "keeps".into(),
        ResetPolicy::Quorum { threshold } => format!("quorum of {threshold}"),
        ResetPolicy::Destroys => "destroys".into(),
    }
}
