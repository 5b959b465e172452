//! `strongroom agent`: the service that keeps this host's token in step with its peers.

use crate::Run;
use crate::context::Context;
use crate::output::{self, Answer, Failure, Outcome};
use crate::peers::engine;
use crate::service::{command_line, exec_start};
use std::sync::atomic::{AtomicU8, Ordering};
use strongroom::error::Error;
use strongroom::sync;
use tokio::signal::unix::{SignalKind, signal};

/// Keep this host's token in step with its peers, until SIGTERM.
///
/// Runs in the foreground, as a service manager wants it, and says when it is ready (sd_notify).
#[derive(clap::Args)]
pub struct Agent {
    /// Print a unit file for systemd instead.
    #[arg(long)]
    print_unit: bool,
    /// While another agent does so already, wait until it ends.
    #[arg(long)]
    standby: bool,
}

impl Run for Agent {
    fn run(&self, context: &mut Context) -> Outcome {
        if self.print_unit {
            return Ok(Answer::text(unit(context)));
        }
        let engine = engine(context)?;
        let token = context.ready_token()?;
        output::log_at_once();
        sync::run(token, &engine, &Service::default(), self.standby).map_err(|error| match error {
            Error::ActionProhibited if token.was_removed().unwrap_or(false) => {
                Failure::new("This host was removed from its cluster: it serves on by itself.").next(
                    "nothing, and take its agent out of service. To be a member again: `strongroom cluster join` into a \
                     slot without a token.",
                )
            }
            Error::ActionProhibited => Failure::new("This token is no member of a cluster.")
                .next("`strongroom cluster init` makes it the first one, `cluster join` one of several."),
            Error::CantLock => Failure::new("Another agent keeps this token in step already.")
                .next("nothing; or stop that one first; or --standby, to take over when it ends."),
            other => other.into(),
        })?;
        Ok(Answer::silence())
    }
}

const UNKNOWN: u8 = 0;
const CONNECTED: u8 = 1;
const CUT_OFF: u8 = 2;

/// Tells the service manager and the log what changes.
#[derive(Default)]
struct Service {
    told: AtomicU8,
}

impl sync::Agent for Service {
    fn changed(&self, connected: bool, why: &str) {
        let now = if connected { CONNECTED } else { CUT_OFF };
        let before = self.told.swap(now, Ordering::Relaxed);
        let words = match connected {
            true => "in step with the cluster".to_owned(),
            false => format!("cut off: {why}"),
        };
        if before != now {
            eprintln!("strongroom agent: {words}");
        }
        let mut states = vec![sd_notify::NotifyState::Status(&words)];
        if before == UNKNOWN {
            // Cut off it serves, too: what happens here goes to the others later.
            states.push(sd_notify::NotifyState::Ready);
        }
        let _ = sd_notify::notify(&states);
    }

    fn waits(&self, why: &str) {
        eprintln!("strongroom agent: {why}");
        // It runs as it should: whoever starts it need not wait.
        let states = [sd_notify::NotifyState::Status(why), sd_notify::NotifyState::Ready];
        let _ = sd_notify::notify(&states);
    }

    async fn stopped(&self) {
        let (Ok(mut terminated), Ok(mut interrupted)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            // Without handlers the signals end the process by themselves.
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    }
}

/// For this host's configuration and slot, which a service finds as little as other programs do.
fn unit(context: &Context) -> String {
    format!(
        "[Unit]\nDescription=Strongroom: keeps this host's token in step with its peers\n\
         After=network-online.target\nWants=network-online.target\n\n[Service]\nType=notify\n\
         ExecStart={}\nRestart=always\nRestartSec=1\nNoNewPrivileges=yes\nProtectSystem=full\n\
         PrivateTmp=yes\n\n[Install]\nWantedBy=multi-user.target\n",
        exec_start(&command_line(context, &["agent"]))
    )
}
