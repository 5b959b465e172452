//! What a service manager or a timer is to run: this program, with the configuration of this moment.

use crate::context::Context;

/// A command line for a unit file or a crontab, quoted as a shell wants it.
pub fn command_line(context: &Context, command: &[&str]) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "strongroom".into());
    let mut words = vec![program.display().to_string()];
    // Without a configuration the place depends on variables that a service and cron do not have.
    let data = std::env::var("XDG_DATA_HOME").ok().filter(|folder| !folder.is_empty());
    let data = data.or_else(|| Some(format!("{}/.local/share", std::env::var("HOME").ok()?)));
    let config = context.options.config.clone().or_else(strongroom::config::Config::place);
    if let Some(config) = config.and_then(|config| std::path::absolute(config).ok()) {
        words.extend(["--config".into(), config.display().to_string()]);
    } else if let Some(data) = data {
        words.splice(0..0, ["/usr/bin/env".to_owned(), format!("XDG_DATA_HOME={data}")]);
    }
    if let Some(slot) = context.options.slot {
        words.extend(["--slot".into(), slot.to_string()]);
    }
    words.extend(command.iter().map(|word| (*word).to_owned()));
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

/// The same for `ExecStart=`, where a percent sign has a meaning.
pub fn exec_start(command_line: &str) -> String {
    command_line.replace('%', "%%")
}
