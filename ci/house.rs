//! The guards of the house: arrows point down only, `unsafe` stays in its rooms, crypto libraries
//! and C structs keep to theirs, mechanisms are listed once, files stay readable.
#![allow(clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the top down; a room may name itself and those of a greater floor.
const FLOORS: &[(&str, u32)] = &[
    ("ffi", 0),
    ("session", 1),
    ("token", 2),
    ("mechanism", 3),
    ("store", 3),
    ("audit", 3),
    ("object", 4),
    ("crypto", 5),
    ("error", 6),
    ("lock", 6),
    ("config", 6),
];

/// Rooms on one floor that may still look at each other, in this direction only.
const SIDEWAYS: &[(&str, &str)] = &[("config", "error"), ("store", "audit")];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("source folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("source file");
                found.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    assert!(found.len() > 30, "the walk found only {} files", found.len());
    found.into_iter().map(|(p, t)| (p.strip_prefix(&root).expect("below src").to_owned(), t)).collect()
}

/// The room a file belongs to; `None` for lib.rs and the CLI, which may name every room.
fn room(path: &Path) -> Option<String> {
    let first = path.iter().next()?.to_str()?.trim_end_matches(".rs").to_owned();
    (first != "lib" && first != "bin").then_some(first)
}

/// Code without comments and strings' worth of noise: full-line comments go.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//"))
}

fn floor(room: &str) -> u32 {
    FLOORS.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("no floor for room {room}")).1
}

/// The rooms that a line names as `crate::room` or inside `use crate::{…}`.
fn named(line: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for piece in line.split("crate::").skip(1) {
        let list = piece.strip_prefix('{').unwrap_or(piece);
        let many = piece.starts_with('{');
        for item in list.split(if many { ',' } else { ';' }) {
            let name: String = item.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if FLOORS.iter().any(|(room, _)| *room == name) {
                rooms.push(name);
            }
            if !many {
                break;
            }
        }
    }
    rooms
}

#[test]
fn arrows_point_down_only() {
    let mut arrows = 0;
    for (path, text) in sources() {
        let Some(from) = room(&path) else { continue };
        for (number, line) in code(&text) {
            for to in named(line) {
                arrows += 1;
                let down = floor(&from) < floor(&to) || from == to || SIDEWAYS.contains(&(&from, &to));
                assert!(down, "{}:{}: {from} must not name {to}", path.display(), number + 1);
            }
        }
    }
    assert!(arrows > 100, "only {arrows} arrows seen: the guard has gone blind");
}

#[test]
fn unsafe_stays_in_its_rooms() {
    let mut blocks = 0;
    for (path, text) in sources() {
        let allowed = path.starts_with("ffi")
            || path.starts_with("crypto/aws_lc")
            || path.starts_with("crypto/guarded")
            || path == Path::new("crypto/guarded.rs")
            || path == Path::new("store/vfs.rs");
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in code(&text) {
            if !line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe") {
                continue;
            }
            assert!(allowed, "{}:{}: unsafe outside its rooms", path.display(), number + 1);
            if line.contains("unsafe {") {
                blocks += 1;
                let reason = lines[number.saturating_sub(6)..=number].iter().any(|l| l.contains("SAFETY:"));
                assert!(reason, "{}:{}: an unsafe block without SAFETY", path.display(), number + 1);
            }
        }
    }
    assert!(blocks > 10, "only {blocks} unsafe blocks seen: the guard has gone blind");
}

#[test]
fn crypto_libraries_are_named_in_crypto_only() {
    let libraries = [
        "aes::",
        "aes_gcm",
        "aes_kw",
        "argon2::",
        "aws_lc_sys",
        "cbc::",
        "cmac::",
        "ctr::",
        "ed25519_dalek",
        "ghash::",
        "hkdf::",
        "hmac::",
        "hpke::",
        "vsss_rs::",
        "k256::",
        "ml_dsa::",
        "ml_kem::",
        "p256::",
        "p384::",
        "p521::",
        "rsa::",
        "sha1::",
        "sha2::",
        "sha3::",
        "shake::",
    ];
    for (path, text) in sources() {
        if path.starts_with("crypto") {
            continue;
        }
        for (number, line) in code(&text) {
            for library in libraries {
                // `crypto::rsa::…` is the seam, `use rsa::…` or `::rsa::…` is the library.
                let named =
                    line.contains(&format!("use {library}")) || line.contains(&format!(" ::{library}"));
                assert!(!named, "{}:{}: {library} outside crypto", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn c_structs_stay_in_ffi() {
    let structs = [
        "_PTR",
        "CK_ATTRIBUTE,",
        "CK_ATTRIBUTE}",
        "CK_MECHANISM,",
        "CK_FUNCTION_LIST",
        "CK_C_INITIALIZE_ARGS",
        "*const ",
        "*mut ",
    ];
    for (path, text) in sources() {
        let c_side = path.starts_with("ffi")
            || path.starts_with("crypto/aws_lc")
            || path.starts_with("crypto/guarded")
            || path == Path::new("crypto/guarded.rs")
            || path == Path::new("store/vfs.rs");
        if c_side {
            continue;
        }
        for (number, line) in code(&text) {
            for name in structs {
                assert!(!line.contains(name), "{}:{}: {name} above ffi", path.display(), number + 1);
            }
        }
    }
}

/// Outside `mechanism/` no file may hold a list of mechanisms: a few single numbers with a reason
/// are fine (parameters of PSS and OAEP name hashes by CKM_ numbers), a table is not.
#[test]
fn mechanisms_are_listed_once() {
    for (path, text) in sources() {
        let allowed = path.starts_with("mechanism") || path == Path::new("ffi/params.rs");
        if allowed {
            continue;
        }
        let program = text.split("#[cfg(test)]").next().unwrap_or_default();
        let named: usize = code(program).map(|(_, l)| l.matches("CKM_").count()).sum();
        assert!(named <= 3, "{}: {named} mechanisms named outside mechanism/", path.display());
    }
}

#[test]
fn files_stay_readable() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 600, "{}: {lines} lines; split it", path.display());
        assert!(text.starts_with("//!"), "{}: no //! opening", path.display());
    }
}
