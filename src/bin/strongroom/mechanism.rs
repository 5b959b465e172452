//! `strongroom mechanism`.

use crate::Run;
use crate::context::Context;
use crate::output::{Answer, Failure, Outcome};
use serde::Serialize;
use strongroom::mechanism::{Mechanism, all, table};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Every mechanism and what it can do.
    List {
        /// As the table of pkcs11-tests/reference/mechanisms.md.
        #[arg(long)]
        markdown: bool,
    },
    /// One mechanism.
    Info {
        /// Its name, with or without CKM_.
        name: String,
    },
}

#[derive(Serialize)]
struct Row {
    mechanism: &'static str,
    number: String,
    can: String,
    key_sizes: String,
    fips_approved: bool,
    /// The switch without which it is not there, or does not wrap.
    needs: String,
}

impl From<&'static Mechanism> for Row {
    fn from(row: &'static Mechanism) -> Row {
        Row {
            mechanism: row.name,
            number: format!("{:#x}", row.id),
            can: table::abilities(row),
            key_sizes: table::sizes(row),
            fips_approved: row.approved,
            needs: table::needs(row),
        }
    }
}

/// The mechanism of a name: `CKM_SHA256`, `sha256`, `rsa-pkcs-pss`.
pub fn named(name: &str) -> Result<&'static Mechanism, Failure> {
    let plain =
        |name: &str| name.to_ascii_lowercase().replace('-', "_").trim_start_matches("ckm_").to_owned();
    let found = all().find(|row| plain(row.name) == plain(name));
    found.ok_or_else(|| {
        Failure::new(format!("There is no mechanism {name}.")).next("`strongroom mechanism list` shows them.")
    })
}

impl Run for Command {
    fn run(&self, _: &mut Context) -> Outcome {
        match self {
            Command::List { markdown: true } => Ok(Answer::text(table::markdown())),
            Command::List { markdown: false } => {
                Ok(Answer::rows("mechanisms", all().map(Row::from).collect()))
            }
            Command::Info { name } => Ok(Answer::record(Row::from(named(name)?))),
        }
    }
}
