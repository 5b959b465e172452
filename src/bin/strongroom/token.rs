//! `strongroom status` and `strongroom verify`.

use crate::Outcome;
use strongroom::token::{Role, Token};

/// What can be said when a token does not answer.
pub fn unusable(token: &Token) -> String {
    format!("The token {} cannot be used; the line above says why.", token.path().display())
}

pub fn status(token: &Token, json: bool) -> Outcome {
    let info = token.info().map_err(|_| unusable(token))?;
    let initialized = !info.serial.is_empty();
    let users = if initialized { token.users().map_err(|_| unusable(token))? } else { Vec::new() };
    let count = |role| users.iter().filter(|user| user.role == role).count();
    let locked = users.iter().filter(|user| user.locked).count();
    let (officers, people) = (count(Role::Officer), count(Role::User));
    if json {
        let text = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        println!(
            "{{\"file\":\"{}\",\"initialized\":{initialized},\"label\":\"{}\",\"serial\":\"{}\",\"officers\":{officers},\
             \"users\":{people},\"locked\":{locked},\"reset_policy\":\"keeps\"}}",
            text(&token.path().display().to_string()),
            text(&info.label),
            info.serial
        );
        return Ok(());
    }
    println!("file          {}", token.path().display());
    if !initialized {
        println!(
            "state         not initialised: pkcs11-tool --module … --init-token, or any client's C_InitToken"
        );
        return Ok(());
    }
    println!("state         initialised");
    println!("label         {}", info.label);
    println!("serial        {}", info.serial);
    println!("people        {officers} officers (CO), {people} users (CU), {locked} locked");
    println!("reset policy  keeps: an officer's new PIN for a user keeps the user's objects");
    Ok(())
}

pub fn verify(token: &Token) -> Outcome {
    let report = token.verify().map_err(|_| unusable(token))?;
    for fault in &report.faults {
        println!("FAULT  {fault}");
    }
    println!(
        "{} records, {} entries in the audit log, {} faults",
        report.records,
        report.entries,
        report.faults.len()
    );
    if report.faults.is_empty() {
        return Ok(());
    }
    Err("The token's file was altered or damaged: restore it from a backup; what is named above is not served.".into())
}
