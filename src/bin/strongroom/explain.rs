//! `strongroom explain`: the codes of `error.rs`, for people.

use crate::Run;
use crate::context::Context;
use crate::output::{Answer, Failure, Outcome};
use serde::Serialize;
use strongroom::error::Error;

#[derive(clap::Args)]
pub struct Explain {
    /// CKR_PIN_INCORRECT, pin-incorrect, 0xa0 or 160; without it all codes.
    code: Option<String>,
}

#[derive(Serialize)]
pub struct Row {
    name: &'static str,
    number: String,
    meaning: &'static str,
    what_to_do: &'static str,
}

impl From<Error> for Row {
    fn from(error: Error) -> Row {
        let number = format!("{:#x}", error.code());
        Row { name: error.name(), number, meaning: error.cause(), what_to_do: error.remedy() }
    }
}

/// The code that a person or a log names.
pub fn find(text: &str) -> Option<Error> {
    let number = match text.to_ascii_lowercase().strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let name = text.to_ascii_uppercase().replace('-', "_");
    let name = name.strip_prefix("CKR_").unwrap_or(&name);
    Error::ALL
        .iter()
        .find(|error| Some(error.code()) == number || error.name().trim_start_matches("CKR_") == name)
        .copied()
}

impl Run for Explain {
    fn run(&self, _: &mut Context) -> Outcome {
        let Some(code) = &self.code else {
            return Ok(Answer::rows("codes", Error::ALL.iter().copied().map(Row::from).collect()));
        };
        match find(code) {
            Some(error) => Ok(Answer::record(Row::from(error))),
            None => Err(Failure::new(format!("Strongroom never answers {code}."))
                .next("`strongroom explain` shows all it answers; the code may be of another module.")),
        }
    }
}
