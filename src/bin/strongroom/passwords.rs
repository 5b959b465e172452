//! Where passwords come from: a file, the environment, or the terminal.

use std::path::Path;
use strongroom::crypto::Secret;

/// A password: from the file, else the variable, else asked for on the terminal.
pub fn read(file: Option<&Path>, variable: &str, prompt: &str) -> Result<Secret, String> {
    if let Some(path) = file {
        let text = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        return Ok(without_newline(Secret::from(text)));
    }
    if let Some(value) = std::env::var_os(variable) {
        return Ok(Secret::from(std::os::unix::ffi::OsStringExt::into_vec(value)));
    }
    let typed = rpassword::prompt_password(format!("{prompt}: "))
        .map_err(|e| format!("No terminal to ask for the {prompt} ({e}); set {variable} or name a file."))?;
    Ok(Secret::from(typed.into_bytes()))
}

fn without_newline(mut text: Secret) -> Secret {
    let length = text.iter().rposition(|b| !matches!(b, b'\n' | b'\r')).map_or(0, |last| last + 1);
    text.truncate(length);
    text
}
