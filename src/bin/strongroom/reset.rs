//! `strongroom reset`: officers who reset a user's password together (reset policy `quorum`).

use crate::token::unusable;
use crate::{Outcome, user};
use strongroom::config::{ResetPolicy, SlotConfig};
use strongroom::token::{Access, Token};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Ask the other officers for a reset of a user's password. Finish it with `user set-password`.
    Request {
        user: String,
        #[command(flatten)]
        officer: Officer,
    },
    /// Say yes to what another officer asks for.
    Approve {
        user: String,
        #[command(flatten)]
        officer: Officer,
    },
    /// Take a request back.
    Cancel {
        user: String,
        #[command(flatten)]
        officer: Officer,
    },
    /// What is asked for.
    List(Officer),
}

/// Who asks. The password: STRONGROOM_OFFICER_PASSWORD, or asked for.
#[derive(clap::Args)]
pub struct Officer {
    /// The officer's name, if not the slot's default officer.
    #[arg(long)]
    officer: Option<String>,
}

impl Command {
    pub fn run(&self, token: &Token, slot: &SlotConfig) -> Outcome {
        let (Command::Request { officer, .. }
        | Command::Approve { officer, .. }
        | Command::Cancel { officer, .. }
        | Command::List(officer)) = self;
        let login = user::officer_login(token, slot, officer.officer.as_deref())?;
        let access = Access { login: Some(&login), write: true, session: 0 };
        let done = match self {
            Command::Request { user, .. } => token.request_reset(access, user),
            Command::Approve { user, .. } => token.approve_reset(access, user),
            Command::Cancel { user, .. } => token.cancel_reset(access, user),
            Command::List(_) => return list(token, access),
        };
        done.map_err(|error| user::words(error, slot))
    }
}

fn list(token: &Token, access: Access<'_>) -> Outcome {
    println!("{:<24} {:<16} {:<10} approved by", "user", "asked by", "approved");
    for reset in token.pending_resets(access).map_err(|_| unusable(token))? {
        let count = format!("{} of {}", reset.approved.len(), reset.needed);
        println!("{:<24} {:<16} {count:<10} {}", reset.user, reset.officer, reset.approved.join(", "));
    }
    Ok(())
}

/// A reset policy in a word, and in words.
pub fn said(policy: ResetPolicy) -> (&'static str, String) {
    match policy {
        ResetPolicy::Keeps => {
            ("keeps", "an officer's new password for a user keeps the user's objects".into())
        }
        ResetPolicy::Quorum { threshold } => (
            "quorum",
            format!("{threshold} officers together set a new password and keep the user's objects"),
        ),
        ResetPolicy::Destroys => {
            ("destroys", "an officer's new password for a user destroys the user's private objects".into())
        }
    }
}
