//! Another process of a test: the test program itself, started for one of its ignored tests, which reads
//! lines and answers each with one word.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A process that plays a role.
pub struct Role {
    child: Child,
    words: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What the role itself runs: says that it is ready, and answers until nobody asks any more.
pub fn play(mut answer: impl FnMut(&str, &str) -> String) {
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line.expect("line");
        let (word, rest) = line.split_once(' ').expect("two words");
        println!("{}", answer(word, rest));
    }
}

impl Role {
    /// Starts the ignored test `name`, which calls [`play`].
    pub fn start(config: &Path, name: &str) -> Role {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"])
            .env("STRONGROOM_CONFIG", config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let words = child.stdin.take().expect("stdin");
        let answers = BufReader::new(child.stdout.take().expect("stdout"));
        let mut role = Role { child, words, answers };
        while role.answer() != "ready" {}
        role
    }

    /// Asks without waiting for the answer.
    pub fn begin(&mut self, words: &str) {
        writeln!(self.words, "{words}").expect("ask");
    }

    /// The next answer.
    pub fn answer(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.answers.read_line(&mut line).expect("answer"), 0, "the process ended");
        line.trim().rsplit(' ').next().unwrap_or_default().to_owned()
    }

    pub fn ask(&mut self, words: &str) -> String {
        self.begin(words);
        self.answer()
    }

    /// Asks for a number.
    pub fn number(&mut self, words: &str) -> u64 {
        self.ask(words).parse().expect("a number")
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// As `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("its end");
    }

    /// Lets it end by itself.
    pub fn end(self) {
        let Role { mut child, words, mut answers } = self;
        drop(words);
        std::io::copy(&mut answers, &mut std::io::sink()).expect("the rest");
        assert!(child.wait().expect("its end").success());
    }
}
