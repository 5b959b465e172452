//! `strongroom interactive`: the same commands at a prompt, with history and completion. A login lasts
//! until logout; no password is ever part of a line, so none gets into the history.

use crate::context::{Context, Options};
use crate::output::{self, Answer, Failure, Outcome};
use crate::{Arguments, Command, Run};
use clap::{CommandFactory, Parser};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Editor, Helper};
use std::path::PathBuf;
use strongroom::config;

#[derive(clap::Args)]
pub struct Interactive {
    /// Keep no history.
    #[arg(long)]
    no_history: bool,
}

struct Words {
    command: clap::Command,
}

impl Helper for Words {}
impl Highlighter for Words {}
impl Validator for Words {}

impl Hinter for Words {
    type Hint = String;
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..position];
        let start = before.rfind(char::is_whitespace).map_or(0, |space| space + 1);
        Ok((start, candidates(&self.command, &before[..start], &before[start..])))
    }
}

/// The commands, options and values that may come next.
fn candidates(root: &clap::Command, before: &str, begun: &str) -> Vec<Pair> {
    let mut command = root;
    let mut last = None;
    for word in before.split_whitespace() {
        command = command.find_subcommand(word).unwrap_or(command);
        last = word.strip_prefix("--");
    }
    let long = |argument: &&clap::Arg| argument.get_long().is_some() && !argument.is_hide_set();
    let options =
        || command.get_arguments().chain(root.get_arguments().filter(|a| a.is_global_set())).filter(long);
    let valued =
        options().find(|argument| argument.get_long() == last && argument.get_action().takes_values());
    let values = |argument: &clap::Arg| {
        let values = argument.get_possible_values();
        values.iter().map(|value| value.get_name().to_owned()).collect::<Vec<_>>()
    };
    let mut words: Vec<String> = match valued {
        Some(argument) => values(argument),
        None if begun.starts_with('-') => {
            options().filter_map(|argument| Some(format!("--{}", argument.get_long()?))).collect()
        }
        None => {
            let names = command.get_subcommands().map(|command| command.get_name().to_owned());
            names.chain(command.get_positionals().flat_map(values)).collect()
        }
    };
    words.retain(|word| word.starts_with(begun));
    words.sort();
    words.dedup();
    words.into_iter().map(|word| Pair { display: word.clone(), replacement: word + " " }).collect()
}

/// `$XDG_STATE_HOME/strongroom/history`.
fn history() -> Option<PathBuf> {
    let home = || config::variable("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let folder = config::variable("XDG_STATE_HOME").map(PathBuf::from).or_else(home)?.join("strongroom");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

/// Whether a line may be written down: data to sign or encrypt may be anything.
fn may_be_kept(words: &[String]) -> bool {
    !words.iter().any(|word| word == "--data" || word.starts_with("--data="))
}

fn prompt(context: &mut Context) -> String {
    match context.logged_in() {
        Ok(Some(login)) => format!("{} ({})> ", login.name, login.role.short()),
        _ => "strongroom> ".into(),
    }
}

impl Run for Interactive {
    fn run(&self, context: &mut Context) -> Outcome {
        if context.interactive {
            return Err(Failure::usage("This is the interactive mode already."));
        }
        context.interactive = true;
        let failed = |e: ReadlineError| Failure::new(format!("The terminal does not work: {e}."));
        let config = Config::builder().history_ignore_space(true).auto_add_history(false).build();
        let mut editor = Editor::<Words, FileHistory>::with_config(config).map_err(failed)?;
        editor.set_helper(Some(Words { command: built() }));
        let history = history().filter(|_| !self.no_history);
        if let Some(path) = &history {
            // The first time there is none.
            let _ = editor.load_history(path);
        }
        let base = context.options.clone();
        loop {
            match editor.readline(&prompt(context)) {
                Ok(line) => {
                    let words = shlex::split(&line);
                    if words.as_ref().is_some_and(|words| may_be_kept(words)) {
                        let _ = editor.add_history_entry(&line);
                    }
                    if !run_line(context, &base, words) {
                        break;
                    }
                }
                // Control-C takes the line back, control-D ends.
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(failed(error)),
            }
        }
        if let Some(path) = &history {
            // Who cannot write one does without.
            let _ = editor.save_history(path);
        }
        Ok(Answer::silence())
    }
}

/// The description that completion walks.
fn built() -> clap::Command {
    let mut command = Arguments::command();
    command.build();
    command
}

/// Runs one line; whether another one is wanted.
fn run_line(context: &mut Context, base: &Options, words: Option<Vec<String>>) -> bool {
    let Some(words) = words else {
        output::show(&Err(Failure::usage("A quotation mark is not closed.")), base.json);
        return true;
    };
    match words.first().map(String::as_str) {
        None => return true,
        Some("exit" | "quit") => return false,
        Some(_) => {}
    }
    let words = words.into_iter().skip_while(|word| word == "strongroom");
    match Arguments::try_parse_from(["strongroom".to_owned()].into_iter().chain(words)) {
        Ok(Arguments { options, command }) => {
            context.options = merged(base, options);
            output::show(&command_outcome(&command, context, base), context.options.json);
        }
        Err(error) => drop(output::show_usage(&error, base.json)),
    }
    true
}

fn command_outcome(command: &Command, context: &mut Context, base: &Options) -> Outcome {
    if context.options.config != base.config {
        return Err(Failure::usage("The configuration is chosen when the interactive mode starts."));
    }
    command.run(context)
}

/// The options of a line, and those that were given at the start.
fn merged(base: &Options, mut line: Options) -> Options {
    line.config = line.config.or_else(|| base.config.clone());
    line.slot = line.slot.or(base.slot);
    line.json |= base.json;
    let (own, given) = (&mut line.identity, base.identity.clone());
    own.user = own.user.take().or(given.user);
    own.role = own.role.or(given.role);
    if own.password_file.is_none() && own.password_fd.is_none() {
        (own.password_file, own.password_fd) = (given.password_file, given.password_fd);
    }
    if own.officer_password_file.is_none() && own.officer_password_fd.is_none() {
        own.officer_password_file = given.officer_password_file;
        own.officer_password_fd = given.officer_password_fd;
    }
    line
}
