//! What commands answer, and how it is shown: a table or a sentence for people, and for programs
//! `{"error_code":0,"data":…}`, or `{"error_code":1,"data":"a sentence"}`. The exit code is 0, 1 for
//! what failed, 2 for what was asked wrongly.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use strongroom::error::{Error, printable};

pub type Outcome = Result<Answer, Failure>;

/// A result: data for programs, and how people see it.
pub struct Answer {
    data: Value,
    shape: Shape,
}

enum Shape {
    /// A line for each field.
    Record,
    /// The rows below this field, headed by their own fields.
    Rows(String),
    Text(String),
    Bytes(Vec<u8>),
    /// Nothing at all, in either form.
    Silence,
}

/// Seconds since 1970 as RFC 3339, UTC.
pub fn moment(seconds: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH);
    humantime::format_rfc3339_seconds(at).to_string()
}

fn data(value: impl Serialize) -> Value {
    // Fails for maps whose keys are not strings; no command has one.
    serde_json::to_value(value).unwrap_or_default()
}

impl Answer {
    /// One thing: its fields, one a line.
    pub fn record(value: impl Serialize) -> Answer {
        Answer { data: data(value), shape: Shape::Record }
    }

    /// Many of a kind: a table headed by their fields; for programs an array called `name`.
    pub fn rows<T: Serialize>(name: &str, rows: Vec<T>) -> Answer {
        Answer { data: json!({ name: data(rows) }), shape: Shape::Rows(name.into()) }
    }

    /// The same; people see other rows.
    pub fn rows_for_people<T: Serialize, P: Serialize>(name: &str, rows: Vec<T>, people: Vec<P>) -> Answer {
        let shown = Answer::rows(name, people).for_people();
        Answer { shape: Shape::Bytes(shown), ..Answer::rows(name, rows) }
    }

    /// A sentence for people, data for programs.
    pub fn done(sentence: impl Into<String>, value: impl Serialize) -> Answer {
        Answer { data: data(value), shape: Shape::Text(sentence.into()) }
    }

    /// Words as they are.
    pub fn text(text: impl Into<String>) -> Answer {
        let text = text.into();
        Answer { data: Value::from(text.as_str()), shape: Shape::Text(text) }
    }

    /// Bytes as they are for people's pipes, data for programs.
    pub fn bytes(bytes: Vec<u8>, value: impl Serialize) -> Answer {
        Answer { data: data(value), shape: Shape::Bytes(bytes) }
    }

    /// Everything was shown already.
    pub fn silence() -> Answer {
        Answer { data: Value::Null, shape: Shape::Silence }
    }

    /// As people see it.
    pub fn for_people(&self) -> Vec<u8> {
        let text = match &self.shape {
            Shape::Record => record(&self.data),
            Shape::Rows(name) => match self.data[name].as_array() {
                Some(rows) if !rows.is_empty() => table(rows),
                _ => format!("No {}.", name.replace('_', " ")),
            },
            Shape::Text(text) => text.trim_end().into(),
            Shape::Bytes(bytes) => return bytes.clone(),
            Shape::Silence => return Vec::new(),
        };
        format!("{text}\n").into_bytes()
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(yes) => (if *yes { "yes" } else { "no" }).into(),
        // A label is whatever somebody gave.
        Value::String(text) => printable(text),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn heading(field: &str) -> String {
    field.replace('_', " ")
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// Without the margin that the table crate puts before the first column.
fn lines(table: &Table) -> String {
    let lines = table.lines().map(|line| line.trim_end().strip_prefix(' ').unwrap_or_default().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

fn record(value: &Value) -> String {
    let mut table = plain_table();
    for (field, value) in value.as_object().into_iter().flatten() {
        table.add_row([heading(field), cell(value)]);
    }
    lines(&table)
}

fn table(rows: &[Value]) -> String {
    let mut table = plain_table();
    if let Some(first) = rows.first().and_then(Value::as_object) {
        table.set_header(first.keys().map(|field| heading(field).to_uppercase()));
    }
    for row in rows {
        table.add_row(row.as_object().into_iter().flatten().map(|(_, value)| cell(value)));
    }
    lines(&table)
}

/// Why a command did not work: what happened, and what to do next.
pub struct Failure {
    what: String,
    because: Vec<String>,
    next: Option<String>,
    code: u8,
    /// What was found out all the same.
    shown: Option<Box<Answer>>,
}

impl Failure {
    pub fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), because: Vec::new(), next: None, code: 1, shown: None }
    }

    /// What was asked makes no sense.
    pub fn usage(what: impl Into<String>) -> Failure {
        Failure { code: 2, ..Failure::new(what) }
    }

    /// Another exit code, such as a monitor's.
    pub fn code(self, code: u8) -> Failure {
        Failure { code, ..self }
    }

    /// A reason, on a line of its own.
    pub fn because(mut self, reason: impl ToString) -> Failure {
        self.because.push(reason.to_string());
        self
    }

    /// What to do: a sentence.
    pub fn next(mut self, next: impl Into<String>) -> Failure {
        self.next = Some(next.into());
        self
    }

    /// What was found out all the same; people see it first.
    pub fn showing(mut self, answer: Answer) -> Failure {
        self.shown = Some(Box::new(answer));
        self
    }

    /// The same, said of a file.
    pub fn about(mut self, file: &str) -> Failure {
        if !self.what.starts_with(file) {
            self.what = format!("{file}: {}", self.what);
        }
        self
    }

    /// All of it in one line, as a reason why one of many was not done: what the library logged since the
    /// last one belongs to this one.
    pub fn in_a_line(&self) -> String {
        let mut text = self.what.clone();
        for reason in self.because.iter().cloned().chain(reasons()) {
            text += &format!(" {}.", reason.trim_end_matches('.'));
        }
        if let Some(next) = &self.next {
            text += &format!(" What to do: {next}");
        }
        text
    }

    fn for_people(&self, reasons: &[String]) -> String {
        let mut text = format!("strongroom: {}\n", self.what);
        for reason in self.because.iter().chain(reasons) {
            text += &format!("  {}\n", reason.trim_end().replace('\n', "\n  "));
        }
        if let Some(next) = &self.next {
            text += &format!("What to do: {next}\n");
        }
        // What somebody typed, in it, must not steer the terminal.
        text.lines().map(|line| printable(line) + "\n").collect()
    }

    fn for_programs(&self, reasons: &[String]) -> Value {
        let mut text = self.what.clone();
        for reason in self.because.iter().chain(reasons) {
            text += &format!(" {}.", reason.trim_end_matches('.'));
        }
        if let Some(next) = &self.next {
            text += &format!(" What to do: {next}");
        }
        match &self.shown {
            Some(shown) => json!({ "error_code": 1, "data": text, "shown": shown.data }),
            None => json!({ "error_code": 1, "data": text }),
        }
    }
}

/// The token's own codes, in the words of the one table of codes.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::new(format!("{} ({})", error.cause(), error.name())).next(error.remedy())
    }
}

/// Shows the outcome of a command; the exit code.
pub fn show(outcome: &Outcome, json: bool) -> ExitCode {
    let reasons = reasons();
    match outcome {
        Ok(answer) => {
            let silent = matches!(answer.shape, Shape::Silence);
            match json && !silent {
                true => print(format!("{}\n", json!({ "error_code": 0, "data": answer.data })).as_bytes()),
                false => print(&answer.for_people()),
            }
            for reason in reasons {
                eprintln!("strongroom: {reason}");
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            match json {
                true => print(format!("{}\n", failure.for_programs(&reasons)).as_bytes()),
                false => {
                    failure.shown.iter().for_each(|answer| print(&answer.for_people()));
                    eprint!("{}", failure.for_people(&reasons));
                }
            }
            ExitCode::from(failure.code)
        }
    }
}

/// Shows what clap says of a command line it cannot read, or its help.
pub fn show_usage(error: &clap::Error, json: bool) -> ExitCode {
    if json && error.use_stderr() {
        let text = error.to_string();
        let sentence = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        print(format!("{}\n", json!({ "error_code": 1, "data": sentence })).as_bytes());
    } else {
        // A reader that left is no failure.
        let _ = error.print();
    }
    ExitCode::from(error.exit_code() as u8)
}

/// Shows an answer's data as a line of JSON.
pub fn show_line(data: &Value) {
    print(format!("{data}\n").as_bytes());
}

/// To standard output; a reader that left early (`| head`) is no failure.
fn print(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// What the library logged while a command ran: the reasons of its failure.
static REASONS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// For a service: a log's lines are of use when they are written, and changes that are no warnings, too.
static AT_ONCE: AtomicBool = AtomicBool::new(false);

pub fn log_at_once() {
    log::set_max_level(log::LevelFilter::Info);
    AT_ONCE.store(true, Ordering::Relaxed);
    log::set_max_level(log::LevelFilter::Info);
}

/// For people, beside an answer that stands for itself: on standard error.
pub fn notice(text: String) {
    REASONS.lock().unwrap_or_else(|held| held.into_inner()).push(text);
}

/// What was logged since the last time.
pub fn reasons() -> Vec<String> {
    std::mem::take(&mut *REASONS.lock().unwrap_or_else(|held| held.into_inner()))
}

struct Reasons;

impl log::Log for Reasons {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        // Rustyline logs, too.
        if record.target().starts_with("strongroom") {
            if AT_ONCE.load(Ordering::Relaxed) {
                eprintln!("strongroom: {}", record.args());
                return;
            }
            REASONS.lock().unwrap_or_else(|held| held.into_inner()).push(record.args().to_string());
        }
    }
    fn flush(&self) {}
}

/// From now on the library's log goes into the answers.
pub fn collect_reasons() {
    let _ = log::set_logger(&Reasons);
    log::set_max_level(log::LevelFilter::Warn);
}
