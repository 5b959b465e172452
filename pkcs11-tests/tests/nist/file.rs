//! NIST's response files: `[section]` lines, then vectors of `NAME = value` lines between blank lines.

use std::collections::BTreeMap;
use std::path::Path;

/// One vector with the section and the key that stand above it.
pub struct Vector {
    /// File and place, for messages.
    pub what: String,
    pub sections: String,
    /// The vector must be refused.
    pub refused: bool,
    fields: BTreeMap<String, String>,
}

impl Vector {
    pub fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_else(|| panic!("{}: no {name}", self.what))
    }

    pub fn number(&self, name: &str) -> usize {
        self.text(name).parse().unwrap_or_else(|e| panic!("{}: {name}: {e}", self.what))
    }

    /// Hex; an odd number of digits lacks a leading zero.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let text = self.text(name);
        let digits = if text.len() % 2 == 1 { format!("0{text}") } else { text.to_owned() };
        let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16);
        let bytes: Result<Vec<u8>, _> = (0..digits.len()).step_by(2).map(pair).collect();
        bytes.unwrap_or_else(|e| panic!("{}: {name}: {e}", self.what))
    }

    /// A number without leading zeros.
    pub fn unsigned(&self, name: &str) -> Vec<u8> {
        let bytes = self.bytes(name);
        bytes[bytes.iter().take_while(|byte| **byte == 0).count()..].to_vec()
    }

    /// A number in so many bytes; `None` when it is greater.
    pub fn fixed(&self, name: &str, length: usize) -> Option<Vec<u8>> {
        let number = self.unsigned(name);
        let zeros = length.checked_sub(number.len())?;
        Some([vec![0; zeros], number].concat())
    }

    /// The number in the section line `[NAME = number]`.
    pub fn section_number(&self, name: &str) -> usize {
        let found = self.sections.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix('='));
        found.and_then(|n| n.trim().parse().ok()).unwrap_or_else(|| panic!("{}: no {name}", self.what))
    }
}

/// The vectors of a file.
pub fn read(path: &Path) -> Vec<Vector> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (mut vectors, mut sections, mut above) = (Vec::new(), String::new(), BTreeMap::new());
    let mut section_open = false;
    for (number, block) in text.split("\n\n").enumerate() {
        let (mut fields, mut refused) = (BTreeMap::new(), false);
        for line in block.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(section) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                if !std::mem::replace(&mut section_open, true) {
                    sections.clear();
                }
                sections = sections + section + "\n";
                continue;
            }
            let (name, value) = line.split_once('=').map_or((line, ""), |(n, v)| (n.trim(), v.trim()));
            refused |= name == "FAIL" || (name == "Result" && value.starts_with('F'));
            fields.insert(name.to_owned(), value.to_owned());
        }
        if fields.is_empty() {
            continue;
        }
        section_open = false;
        // Blocks of a key alone hold for the vectors after them.
        if fields.keys().all(|name| matches!(name.as_str(), "n" | "e" | "N")) {
            above = fields;
            continue;
        }
        for (name, value) in &above {
            fields.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let what = format!("{} [{}] block {number}", path.display(), sections.trim().replace('\n', "] ["));
        vectors.push(Vector { what, sections: sections.clone(), refused, fields });
    }
    vectors
}
