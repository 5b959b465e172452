//! The last errors of the library's log, explained.

use super::Finding;
use crate::context::Context;
use crate::explain;
use crate::output::Failure;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How much of the log's end is read.
const TAIL: u64 = 256 * 1024;

fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A finding for each code in the log: how often, and its last reason.
fn explained(text: &str) -> Vec<Finding> {
    let mut seen: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for line in text.lines() {
        // `time level CKR_CODE: reason`
        let Some(at) = line.find("CKR_") else { continue };
        let (code, reason) = line[at..].split_once(':').unwrap_or((&line[at..], ""));
        let entry = seen.entry(code).or_default();
        *entry = (entry.0 + 1, reason.trim());
    }
    let known = seen.into_iter().filter_map(|(code, found)| Some((explain::find(code)?, found)));
    let finding = |(error, (times, reason)): (strongroom::error::Error, (usize, &str))| {
        Finding::look(
            format!("log: {}", error.name()),
            format!("{times} times, last: {reason}"),
            error.remedy(),
        )
    };
    known.map(finding).collect()
}

pub fn recent_errors(context: &mut Context) -> Result<Vec<Finding>, Failure> {
    let Some(path) = context.config()?.log.clone().filter(|path| path != "stderr") else {
        return Ok(vec![Finding::none(
            "log",
            "none is kept; `log = \"FILE\"` in the configuration starts one",
        )]);
    };
    let mut findings = match tail(Path::new(&path)) {
        Ok(text) => explained(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Ok(vec![Finding::look(
                "log",
                format!("{path}: {error}"),
                "Run this as a user who may read it.",
            )]);
        }
    };
    if findings.is_empty() {
        findings.push(Finding::ok("log", format!("{path}, no errors")));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_and_explained() {
        let findings = explained(
            "1.000 WARN CKR_PIN_INCORRECT: user bob\n2.000 INFO hello\n3.000 WARN CKR_PIN_INCORRECT: user eve\n\
             4.0 WARN CKR_NONSENSE: x",
        );
        assert_eq!(findings.len(), 1);
        assert_eq!(
            (&*findings[0].check, &*findings[0].found),
            ("log: CKR_PIN_INCORRECT", "2 times, last: user eve")
        );
        assert!(!findings[0].what_to_do.is_empty());
    }
}
