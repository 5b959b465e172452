//! `strongroom completions` and `strongroom man`, made from the command line's own description.

use crate::context::Context;
use crate::output::{Answer, Failure, Outcome};
use crate::{Arguments, Run};
use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Completions {
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(clap::Args)]
pub struct Man {
    /// Write a page for each command into this folder.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl Run for Completions {
    fn run(&self, _: &mut Context) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "strongroom", &mut script);
        Ok(Answer::text(String::from_utf8_lossy(&script)))
    }
}

impl Run for Man {
    fn run(&self, _: &mut Context) -> Outcome {
        let Some(folder) = &self.out else {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(Arguments::command()).render(&mut page);
            rendered.map_err(|e| Failure::new(format!("The page cannot be made: {e}.")))?;
            return Ok(Answer::text(String::from_utf8_lossy(&page)));
        };
        let made = std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(Arguments::command(), folder));
        made.map_err(|e| {
            Failure::new(format!("{}: {e}.", folder.display())).next("name a folder you can write to.")
        })?;
        let folder = folder.display().to_string();
        Ok(Answer::done(format!("The manual pages are in {folder}."), json!({ "folder": folder })))
    }
}
