//! `strongroom explain`: the codes of `error.rs`, for people.

use crate::Run;
use crate::context::Context;
use crate::output::{Answer, Failure, Outcome};
use serde::Serialize;
use strongroom::error::Error;

#[derive(clap::Args)]
pub struct Explain {
    /// CKR_PIN_INCORRECT, pin-incorrect, 0xa0, 160, or a part of a name; without it all codes.
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

/// A code in a line that fits a terminal better; what to do is said of one.
#[derive(Serialize)]
struct Line {
    name: &'static str,
    number: String,
    meaning: &'static str,
}

fn all(errors: &[Error]) -> Answer {
    let line = |error: &Error| {
        let Row { name, number, meaning, .. } = Row::from(*error);
        Line { name, number, meaning }
    };
    let rows = errors.iter().copied().map(Row::from).collect();
    Answer::rows_for_people("codes", rows, errors.iter().map(line).collect())
}

impl Run for Explain {
    fn run(&self, _: &mut Context) -> Outcome {
        let Some(code) = &self.code else { return Ok(all(Error::ALL)) };
        let part = code.to_ascii_uppercase().replace('-', "_");
        let named: Vec<Error> =
            Error::ALL.iter().filter(|error| error.name().contains(&part)).copied().collect();
        match find(code) {
            Some(error) => Ok(Answer::record(Row::from(error))),
            None if !named.is_empty() => Ok(all(&named)),
            None => Err(Failure::new(format!("Strongroom never answers {code}."))
                .next("`strongroom explain` shows all it answers; the code may be of another module.")),
        }
    }
}
