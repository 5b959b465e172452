//! `strongroom cluster status`: who has what and who lags behind, once or again and again; and for monitors
//! one line with an exit code.

use super::report::report;
use super::{engine, no_member};
use crate::Run;
use crate::context::Context;
use crate::output::{self, Answer, Failure, Outcome};
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};
use strongroom::error::Error;
use strongroom::store::keeper::Standing;
use strongroom::sync::status::{Observer, Overview};

/// How long one look waits for hosts that are just catching up: each says how it does once a second.
const SETTLES: Duration = Duration::from_millis(1_500);

#[derive(clap::Args)]
pub struct Status {
    /// Again and again, until it is interrupted [default: every 2 seconds]. With --json: a line whenever
    /// something changed.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
        value_parser = clap::value_parser!(u32).range(1..=86_400))]
    watch: Option<u32>,
    /// For a monitor: one line, and the exit code of Nagios: 0 all is well, 1 a member is silent or behind for
    /// a minute, 2 this host is cut off, nobody keeps it in step, or digests differ, 3 not known.
    #[arg(long, conflicts_with = "watch")]
    check: bool,
}

impl Run for Status {
    fn run(&self, context: &mut Context) -> Outcome {
        if self.check {
            return check(context);
        }
        let engine = engine(context)?;
        let token = context.ready_token()?;
        let mut observer = Observer::new(token, &engine)?;
        let Some(seconds) = self.watch else {
            return Ok(report(&settled(&mut observer).map_err(no_member)?).answer());
        };
        let (mut last, pause) = (Value::Null, Duration::from_secs(seconds.into()));
        loop {
            let report = report(&observer.look().map_err(no_member)?);
            if context.options.json {
                let now = report.without_time();
                if now != last {
                    output::show_line(&report.data);
                    last = now;
                }
            } else {
                draw(&report.answer().for_people());
            }
            std::thread::sleep(pause);
        }
    }
}

fn settled(observer: &mut Observer<'_>) -> Result<Overview, Error> {
    let begun = Instant::now();
    loop {
        let overview = observer.look()?;
        let behind = overview.members.iter().any(|row| row.standing == Some(Standing::Behind));
        if !behind || begun.elapsed() >= SETTLES {
            return Ok(overview);
        }
        std::thread::sleep(SETTLES / 8);
    }
}

/// In the place of what was there before, on a terminal.
fn draw(text: &[u8]) {
    let mut out = std::io::stdout().lock();
    let before: &[u8] = if out.is_terminal() { b"\x1b[H\x1b[2J" } else { b"" };
    let after: &[u8] = if out.is_terminal() { b"" } else { b"\n" };
    // A reader that left is no failure; the next sleep ends with it.
    if out.write_all(&[before, text, after].concat()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

fn check(context: &mut Context) -> Outcome {
    let unknown = |failure: Failure| failure.code(3);
    let engine = engine(context).map_err(unknown)?;
    let token = context.ready_token().map_err(unknown)?;
    let looked = Observer::new(token, &engine).and_then(|mut observer| settled(&mut observer));
    let report = report(&looked.map_err(|error| unknown(no_member(error)))?);
    let (line, level) = (report.line(), report.level());
    let answer = Answer::done(line.clone(), report.data);
    match level {
        None => Ok(answer),
        Some(level) => {
            let failure = Failure::new(line).next("`strongroom cluster status` shows all members.");
            Err(failure.code(level as u8).showing(answer))
        }
    }
}
