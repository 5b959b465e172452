//! `strongroom slot`.

use crate::Run;
use crate::context::Context;
use crate::output::{Answer, Outcome};
use crate::token::{described, seal};
use serde::Serialize;
use strongroom::config::SlotConfig;
use strongroom::token::Token;

#[derive(clap::Subcommand)]
pub enum Command {
    /// The slots of the configuration, and what is in them.
    List,
    /// One slot's token.
    Info {
        /// The slot's number; without it --slot.
        number: Option<u64>,
    },
}

#[derive(Serialize)]
struct Row {
    slot: u64,
    state: &'static str,
    label: String,
    serial: String,
    file: String,
    seal: String,
    /// The switches of [slot.allow] that are on.
    loosened: String,
}

fn row(slot: &SlotConfig, token: &Token) -> Row {
    let (state, info) = match token.info() {
        Ok(info) if info.serial.is_empty() => ("not initialised", info),
        Ok(info) => ("active", info),
        Err(_) => ("unusable", Default::default()),
    };
    let (file, seal) = (slot.path.display().to_string(), seal(&slot.seal));
    let loosened = slot.allow.names();
    Row { slot: slot.id, state, label: info.label, serial: info.serial, file, seal, loosened }
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Command::List => {
                let library = context.library()?;
                let slots = context.config()?.slots.iter();
                let rows = slots.map(|slot| Ok(row(slot, library.token(slot.id)?)));
                Ok(Answer::rows("slots", rows.collect::<Result<_, strongroom::error::Error>>()?))
            }
            Command::Info { number } => {
                context.options.slot = number.or(context.options.slot);
                described(context)
            }
        }
    }
}
