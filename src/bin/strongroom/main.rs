//! The `strongroom` command: one file per command group, over `session` and `token`; never through
//! `ffi`.
//!
//! To add a group: a file with its commands and `impl Run`, a `mod` line, and a row in `commands!`
//! below. A command answers a value (`output::Answer`), which is shown as a table or as JSON, or a
//! sentence that says what to do next (`output::Failure`). It asks its `Context` for the token and for
//! who is acting, and prints nothing by itself.

mod agent;
mod audit;
mod backup;
mod certificate;
mod clone;
mod cluster;
mod context;
mod crypto;
mod doctor;
mod explain;
mod generate;
mod identity;
mod interactive;
mod key;
mod login;
mod mechanism;
mod output;
mod parameters;
mod peers;
mod pem;
mod progress;
mod replicate;
mod reset;
mod seal;
mod service;
mod slot;
mod token;
mod user;

use clap::Parser;
use context::{Context, Options};
use output::Outcome;
use std::process::ExitCode;

/// Care for a Strongroom token: its people, its keys, its files.
#[derive(Parser)]
#[command(version, name = "strongroom", arg_required_else_help = true)]
pub struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// What every command can do.
pub trait Run {
    fn run(&self, context: &mut Context) -> Outcome;
}

macro_rules! commands {
    ($($(#[$meta:meta])* $name:ident($group:ty),)*) => {
        // There is one of it.
        #[allow(clippy::large_enum_variant)]
        #[derive(clap::Subcommand)]
        pub enum Command { $($(#[$meta])* $name($group),)* }

        impl Run for Command {
            fn run(&self, context: &mut Context) -> Outcome {
                match self { $(Command::$name(group) => group.run(context),)* }
            }
        }
    };
}

commands! {
    /// What the token is and how it does.
    Status(token::Status),
    /// Check every record of the token's file.
    Verify(token::Verify),
    /// The token as a whole: its first password, what it is, and its peers on other hosts.
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Keep this host's token in step with its peers.
    Agent(agent::Agent),
    /// The people of the token.
    #[command(subcommand)]
    User(user::Command),
    /// Keys: made, brought, wrapped; whose they are, and who may use them.
    #[command(subcommand)]
    Key(key::Command),
    /// Certificates beside the keys.
    #[command(subcommand)]
    Certificate(certificate::Command),
    /// New passwords by several officers together (reset policy `quorum`).
    #[command(subcommand)]
    Reset(reset::Command),
    /// What opens the token's file: key files, credentials, passphrases.
    #[command(subcommand)]
    Seal(seal::Command),
    /// Log in for the rest of the interactive session.
    Login(login::LogIn),
    /// Log out.
    Logout(login::LogOut),
    /// Sign, verify, encrypt, decrypt and hash.
    #[command(subcommand)]
    Crypto(crypto::Command),
    /// The log of what was done.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Copies of all that the token holds, encrypted, and the way back.
    #[command(subcommand)]
    Backup(backup::Command),
    /// The slots of the configuration.
    #[command(subcommand)]
    Slot(slot::Command),
    /// The mechanisms.
    #[command(subcommand)]
    Mechanism(mechanism::Command),
    /// Look at the installation, its files and its clients, and say what is wrong.
    Doctor(doctor::Doctor),
    /// What a PKCS#11 error means and what to do about it.
    Explain(explain::Explain),
    /// A prompt with history and completion; a login lasts until logout.
    Interactive(interactive::Interactive),
    /// Completions for a shell, to standard output.
    Completions(generate::Completions),
    /// The manual page, or all of them into a folder.
    Man(generate::Man),
}

fn main() -> ExitCode {
    output::collect_reasons();
    // Also when the command line cannot be read.
    let json = std::env::args_os().any(|word| word == "--json");
    match Arguments::try_parse() {
        Ok(arguments) => {
            let mut context = Context::new(arguments.options);
            let outcome = arguments.command.run(&mut context);
            context.close();
            output::show(&outcome, context.options.json)
        }
        Err(error) => output::show_usage(&error, json),
    }
}
