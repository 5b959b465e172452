//! `login` and `logout`: of the interactive mode.

use crate::Run;
use crate::context::Context;
use crate::identity::RoleName;
use crate::output::{Answer, Failure, Outcome};
use serde_json::json;

#[derive(clap::Args)]
pub struct LogIn {
    /// Who; without it --user, or the slot's default user or officer.
    name: Option<String>,
    #[arg(long, value_enum, ignore_case = true)]
    role: Option<RoleName>,
}

#[derive(clap::Args)]
pub struct LogOut {}

fn only_interactive(context: &Context) -> Result<(), Failure> {
    if context.interactive {
        return Ok(());
    }
    Err(Failure::usage("A login lasts in the interactive mode only.").next(
        "`strongroom interactive`; elsewhere each command logs in by itself: --user NAME, and STRONGROOM_PASSWORD or STRONGROOM_PIN.",
    ))
}

impl Run for LogIn {
    fn run(&self, context: &mut Context) -> Outcome {
        only_interactive(context)?;
        if let Some(login) = context.logged_in()? {
            return Err(Failure::new(format!("{} is logged in.", login.name)).next("`logout` first."));
        }
        context.options.identity.user = self.name.clone().or(context.options.identity.user.take());
        context.options.identity.role = self.role.or(context.options.identity.role);
        let login = context.anyone()?.login;
        let (name, role) = (login.name.clone(), login.role.short());
        Ok(Answer::done(format!("Logged in as {name} ({role})."), json!({ "username": name, "role": role })))
    }
}

impl Run for LogOut {
    fn run(&self, context: &mut Context) -> Outcome {
        only_interactive(context)?;
        let Some(login) = context.logged_in()? else { return Err(Failure::new("Nobody is logged in.")) };
        let session = context.session()?;
        context.library()?.logout(session)?;
        Ok(Answer::done(format!("{} is logged out.", login.name), json!({ "username": login.name })))
    }
}
