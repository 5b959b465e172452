//! `c/steps.c`: counts what a process does to the files of a folder, and strikes at a chosen step.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the library that is preloaded, into a folder.
pub fn build(folder: &Path) -> PathBuf {
    let preloaded = folder.join("steps.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c/steps.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([&preloaded, &source])
        .arg("-ldl")
        .status()
        .expect("a C compiler");
    assert!(built.success());
    preloaded
}

/// An entry of the preloaded library.
fn entry<T: Copy>(name: &str) -> T {
    let name = CString::new(name).expect("name");
    // SAFETY: asks the loader for a name.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    assert!(!found.is_null(), "c/steps.c is not preloaded");
    // SAFETY: the caller names the function's type.
    unsafe { std::mem::transmute_copy(&found) }
}

/// From here on this process's steps count; `mode` strikes at this one.
pub fn arm(mode: &str, step: i64) {
    let mode = CString::new(mode).expect("mode");
    let arm: unsafe extern "C" fn(*const libc::c_char, libc::c_long) = entry("steps_arm");
    // SAFETY: as `c/steps.c` declares it.
    unsafe { arm(mode.as_ptr(), step) };
}

/// How many steps there were.
pub fn disarm() -> i64 {
    let disarm: unsafe extern "C" fn() -> libc::c_long = entry("steps_disarm");
    // SAFETY: as `c/steps.c` declares it.
    unsafe { disarm() }
}
