//! `strongroom mechanism`.

use crate::Outcome;
use strongroom::mechanism::{all, table};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Every mechanism and what it can do.
    List {
        /// As the table of the README.
        #[arg(long)]
        markdown: bool,
    },
}

impl Command {
    pub fn run(&self) -> Outcome {
        let Command::List { markdown } = self;
        if *markdown {
            print!("{}", table::markdown());
            return Ok(());
        }
        for row in all() {
            println!("{:<28} {:<12} {}", row.name, table::sizes(row), table::abilities(row));
        }
        Ok(())
    }
}
