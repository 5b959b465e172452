//! `strongroom reset`: officers who reset a user's password together, and let a new one among them (reset
//! policy `quorum`).

use crate::Run;
use crate::context::Context;
use crate::output::{Answer, Outcome, moment};
use crate::user::words;
use serde::Serialize;
use serde_json::json;
use strongroom::config::ResetPolicy;
use strongroom::error::Error;
use strongroom::token::{Access, Part, Token, UserInfo};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Ask the other officers for a reset of a user's password, which `user set-password` finishes, or
    /// that a new officer may take part in resets.
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
                change(context, name, Token::request_reset, |user| match user.part {
                    None => {
                        "A reset is asked for; when enough officers approved it, finish it with \
                             `strongroom user set-password`."
                    }
                    Some(_) => "The other officers are asked.",
                })
            }
            Command::Approve { name } => {
                change(context, name, Token::approve_reset, |user| match user.part {
                    Some(Part::Holds) => {
                        "Approved: the officer takes part in resets of passwords set from now on."
                    }
                    _ => "Approved.",
                })
            }
            Command::Cancel { name } => {
                change(context, name, Token::cancel_reset, |_| "The request is taken back.")
            }
            Command::List => list(context),
        }
    }
}

fn change(
    context: &mut Context,
    name: &str,
    work: impl FnOnce(&Token, Access<'_>, &str) -> Result<(), Error>,
    done: impl FnOnce(&UserInfo) -> &'static str,
) -> Outcome {
    let officer = context.officer(false)?;
    let token = context.ready_token()?;
    work(token, officer.access(), name)
        .map_err(|error| words(context, error, &format!("Nothing was done about {name}")))?;
    let sentence = token.user(name)?.map_or("", |user| done(&user));
    Ok(Answer::done(sentence, json!({ "username": name })))
}

#[derive(Serialize)]
struct Row {
    username: String,
    /// What is asked for.
    asked_for: &'static str,
    asked_by: String,
    approved_by: Vec<String>,
    needed: u32,
    /// RFC 3339, UTC.
    expires: String,
}

fn list(context: &mut Context) -> Outcome {
    let officer = context.officer(false)?;
    let resets = context.ready_token()?.pending_resets(officer.access())?.into_iter().map(|reset| Row {
        username: reset.user,
        asked_for: if reset.shareholder { "part in resets" } else { "new password" },
        asked_by: reset.officer,
        approved_by: reset.approved,
        needed: reset.needed,
        expires: moment(reset.expires),
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
