//! The `strongroom` command: one file per command group, over `token`; never through `ffi`.

mod audit;
mod mechanism;
mod passwords;
mod pem;
mod token;
mod user;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use strongroom::config::{Config, SlotConfig};
use strongroom::token::Token;

/// Care for a Strongroom token.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The configuration file (default: as the library finds it).
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// The slot's number.
    #[arg(long, global = true, default_value_t = 0)]
    slot: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What the token is and how it does.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check every record of the token's file.
    Verify,
    /// The people of the token.
    #[command(subcommand)]
    User(user::Command),
    /// The log of what was done.
    #[command(subcommand)]
    Audit(audit::Command),
    /// The mechanisms.
    #[command(subcommand)]
    Mechanism(mechanism::Command),
}

/// A failure in words that tell what to do.
pub type Outcome = Result<(), String>;

impl Arguments {
    fn slot(&self) -> Result<SlotConfig, String> {
        let config = match &self.config {
            Some(path) => Config::read(path),
            None => Config::load(None),
        };
        let config =
            config.map_err(|_| "The configuration cannot be used; the line above says why.".to_string())?;
        let found = config.slots.into_iter().find(|slot| slot.id == self.slot);
        found.ok_or_else(|| format!("There is no slot {} in the configuration.", self.slot))
    }

    fn run(&self) -> Outcome {
        if let Command::Mechanism(command) = &self.command {
            return command.run();
        }
        let slot = self.slot()?;
        let token = Token::new(slot.clone());
        let outcome = match &self.command {
            Command::Status { json } => token::status(&token, *json),
            Command::Verify => token::verify(&token),
            Command::User(command) => command.run(&token, &slot),
            Command::Audit(command) => command.run(&token, &slot),
            Command::Mechanism(_) => Ok(()),
        };
        token.close();
        outcome
    }
}

/// Reasons go to standard error: the library logs them, and this is where its log goes.
struct Reasons;

impl log::Log for Reasons {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        eprintln!("strongroom: {}", record.args());
    }
    fn flush(&self) {}
}

fn main() -> ExitCode {
    let _ = log::set_logger(&Reasons);
    log::set_max_level(log::LevelFilter::Warn);
    match Arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("strongroom: {words}");
            ExitCode::FAILURE
        }
    }
}
