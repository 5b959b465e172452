//! `strongroom agent`: the service that keeps this host's token in step with its peers.

mod metrics;

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
    #[command(flatten)]
    metrics: metrics::Options,
}

impl Run for Agent {
    fn run(&self, context: &mut Context) -> Outcome {
        if self.print_unit {
            return Ok(Answer::text(unit(context)));
        }
        let engine = engine(context)?;
        let token = context.ready_token()?;
        let service = Service::default();
        self.metrics.serve(token, &engine, &service.numbers)?;
        output::log_at_once();
        sync::run(token, &engine, &service, self.standby).map_err(|error| match error {
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
const READING: u8 = 3;

/// Tells the service manager what changes; the log has its lines from the library.
#[derive(Default)]
struct Service {
    told: AtomicU8,
    numbers: metrics::Latest,
}

impl Service {
    /// The service manager's line about it. Whatever it says first means that the service is there: cut off it
    /// serves, too, and so it does while it reads.
    fn tell(&self, now: u8, words: &str) {
        let mut states = vec![sd_notify::NotifyState::Status(words)];
        if self.told.swap(now, Ordering::Relaxed) == UNKNOWN {
            states.push(sd_notify::NotifyState::Ready);
        }
        let _ = sd_notify::notify(&states);
    }
}

impl sync::Agent for Service {
    fn changed(&self, connected: bool, why: &str) {
        match connected {
            true => self.tell(CONNECTED, "in step with the cluster"),
            false => self.tell(CUT_OFF, &format!("cut off: {why}")),
        }
    }

    fn reading(&self, done: u64, all: u64) {
        self.tell(READING, &format!("reading what this host missed: {done} of {all} records"));
    }

    fn numbers(&self, now: &sync::Numbers) {
        self.numbers.set(*now);
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
