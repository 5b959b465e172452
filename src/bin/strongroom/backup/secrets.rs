//! What opens a backup, and for whom one is made: passphrases and recovery keys, from files, the environment
//! or the terminal.

use crate::Run;
use crate::context::Context;
use crate::identity::{ask, ask_new, of_file, variable};
use crate::output::{Answer, Failure, Outcome};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use strongroom::crypto::Secret;
use strongroom::token::backup::{Recipient, RecoveryKey, SHORTEST_PASSPHRASE, Secrets, new_recovery_key};

const VARIABLE: &str = "STRONGROOM_BACKUP_PASSPHRASE";
const PROMPT: &str = "Passphrase of the backup";

/// For whom a backup is made.
#[derive(clap::Args)]
pub struct For {
    /// A recovery public key; may be given again.
    #[arg(long, value_name = "PUBLIC KEY")]
    recipient: Vec<String>,
    /// A file with a passphrase [default: STRONGROOM_BACKUP_PASSPHRASE; without a recipient it is asked for].
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl For {
    pub fn read(&self) -> Result<Vec<Recipient>, Failure> {
        let mut recipients =
            recovery_keys(&self.recipient)?.into_iter().map(Recipient::Recovery).collect::<Vec<_>>();
        let passphrase = match &self.passphrase_file {
            Some(path) => Some(of_file(path)?),
            None if !recipients.is_empty() => None,
            None => match variable(VARIABLE) {
                Some(words) => Some(words),
                None => Some(ask_new(PROMPT, &instead("--recipient"))?),
            },
        };
        if let Some(words) = passphrase {
            if words.len() < SHORTEST_PASSPHRASE {
                return Err(Failure::new(format!(
                    "A backup's passphrase has at least {SHORTEST_PASSPHRASE} bytes; no backup was made."
                ))
                .next("choose a longer one: whoever has the file can try at leisure."));
            }
            recipients.push(Recipient::Passphrase(words));
        }
        Ok(recipients)
    }
}

fn instead(option: &str) -> String {
    format!("{VARIABLE}, or give --passphrase-file or {option}")
}

/// Recovery public keys as they are written.
pub fn recovery_keys(texts: &[String]) -> Result<Vec<RecoveryKey>, Failure> {
    let parsed = |text: &String| {
        text.parse().map_err(|_| {
            Failure::usage(format!("{text} is no recovery public key, or mistyped."))
                .next("`strongroom backup recovery-key generate` prints one.")
        })
    };
    texts.iter().map(parsed).collect()
}

/// What opens a backup.
#[derive(clap::Args)]
pub struct With {
    /// A file with the passphrase [default: STRONGROOM_BACKUP_PASSPHRASE, or it is asked for].
    #[arg(long, value_name = "FILE", conflicts_with = "recovery_key")]
    passphrase_file: Option<PathBuf>,
    /// The file of a recovery key.
    #[arg(long, value_name = "FILE")]
    recovery_key: Option<PathBuf>,
}

impl With {
    pub fn read(&self) -> Result<Secrets, Failure> {
        match (&self.recovery_key, &self.passphrase_file) {
            (Some(path), _) => {
                let next = "give the file that `strongroom backup recovery-key generate` made.";
                let text = fs::read(path).map(Secret::from);
                let text = text.map_err(|e| Failure::new(format!("{}: {e}.", path.display())).next(next))?;
                Secrets::from_key_file(&text)
                    .map_err(|_| Failure::new(format!("{} is no recovery key.", path.display())).next(next))
            }
            (None, Some(path)) => Ok(Secrets::Passphrase(of_file(path)?)),
            (None, None) => match variable(VARIABLE) {
                Some(words) => Ok(Secrets::Passphrase(words)),
                None => ask(PROMPT, &instead("--recovery-key")).map(Secrets::Passphrase),
            },
        }
    }
}

#[derive(clap::Subcommand)]
pub enum RecoveryKeys {
    /// Make one: the private key into a file for a safe, the public key is shown. Needs nobody.
    Generate {
        /// A new file.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

impl Run for RecoveryKeys {
    fn run(&self, _: &mut Context) -> Outcome {
        let RecoveryKeys::Generate { out } = self;
        let (public, private) = new_recovery_key()?;
        write(out, public, &private)
            .map_err(|e| Failure::new(format!("{}: {e}; no key was made.", out.display())))?;
        let data = json!({ "file": out, "public_key": public.to_string() });
        Ok(Answer::done(
            format!(
                "{public}\nThe private key is in {}: keep it off this machine, in two places. Backups for the public \
                 key above open with it alone.",
                out.display()
            ),
            data,
        ))
    }
}

fn write(path: &Path, public: RecoveryKey, private: &Secret) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "# Strongroom recovery key. It opens the backups made for\n# {public}")?;
    file.write_all(private)?;
    file.write_all(b"\n")?;
    file.sync_all()
}
