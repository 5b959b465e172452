//! `strongroom doctor`: looks at the installation, its files and its clients, and says what is wrong and
//! what to do. To add a check: a function that gives [`Finding`]s, and its name in `run`.

mod clients;
mod files;
mod log;
mod records;

use crate::Run;
use crate::context::Context;
use crate::output::{Answer, Failure, Outcome};
use serde::Serialize;

#[derive(clap::Args)]
pub struct Doctor {
    /// Do not read every record of the tokens' files, which takes as long as `verify`.
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// Not there, and not needed.
    None,
    Look,
    Wrong,
}

/// What one check found.
#[derive(Clone, Serialize)]
pub struct Finding {
    check: String,
    state: State,
    found: String,
    what_to_do: String,
}

impl Finding {
    fn new(check: impl Into<String>, state: State, found: impl Into<String>) -> Finding {
        Finding { check: check.into(), state, found: found.into(), what_to_do: String::new() }
    }

    pub fn ok(check: impl Into<String>, found: impl Into<String>) -> Finding {
        Finding::new(check, State::Ok, found)
    }

    pub fn none(check: impl Into<String>, found: impl Into<String>) -> Finding {
        Finding::new(check, State::None, found)
    }

    /// Works, and is worth a look.
    pub fn look(
        check: impl Into<String>,
        found: impl Into<String>,
        what_to_do: impl Into<String>,
    ) -> Finding {
        Finding { what_to_do: what_to_do.into(), ..Finding::new(check, State::Look, found) }
    }

    pub fn wrong(
        check: impl Into<String>,
        found: impl Into<String>,
        what_to_do: impl Into<String>,
    ) -> Finding {
        Finding { what_to_do: what_to_do.into(), ..Finding::new(check, State::Wrong, found) }
    }

    fn is_wrong(&self) -> bool {
        self.state == State::Wrong
    }
}

impl Run for Doctor {
    fn run(&self, context: &mut Context) -> Outcome {
        let mut findings = vec![files::module(), files::configuration(context)];
        if context.config().is_ok() {
            files::slots(context, self.quick, &mut findings)?;
            findings.extend(log::recent_errors(context)?);
        }
        findings.extend(clients::all());
        let wrong: Vec<Finding> = findings.iter().filter(|f| f.state == State::Wrong).cloned().collect();
        let all = findings.len();
        let people = findings.iter().flat_map(lines).collect();
        let answer = Answer::rows_for_people("findings", findings, people);
        if wrong.is_empty() {
            return Ok(answer);
        }
        let failure = Failure::new(format!("{} of {all} checks found something wrong.", wrong.len()));
        let reasons = wrong.iter().map(|f| format!("{}: {}. {}", f.check, f.found, f.what_to_do));
        Err(reasons.fold(failure, Failure::because).showing(answer))
    }
}

/// For people: what to do stands below what was found; what is wrong comes at the end once more.
#[derive(Serialize)]
struct Line {
    check: String,
    state: Option<State>,
    found: String,
}

fn lines(finding: &Finding) -> Vec<Line> {
    let Finding { check, state, found, what_to_do } = finding.clone();
    let mut lines = vec![Line { check, state: Some(state), found }];
    if state == State::Look {
        lines.push(Line { check: String::new(), state: None, found: format!("-> {what_to_do}") });
    }
    lines
}
