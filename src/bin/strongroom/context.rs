//! What a command works with: the options, the configuration, the library, and who is acting.

use crate::identity::{self, Identity};
use crate::output::Failure;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom::config::{Config, SlotConfig};
use strongroom::crypto::Secret;
use strongroom::error::Error;
use strongroom::session::Library;
use strongroom::token::{Access, Login, Role, Token};

/// Options of every command.
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Every command")]
pub struct Options {
    /// The configuration file (default: as the library finds it).
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The slot's number [default: 0].
    #[arg(long, global = true, value_name = "NUMBER")]
    pub slot: Option<u64>,
    /// Answer in JSON: {"error_code":0,"data":…}.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(flatten)]
    pub identity: Identity,
}

/// Lives as long as the process; in the interactive mode a login stays from one command to the next.
pub struct Context {
    pub options: Options,
    pub interactive: bool,
    config: Option<Config>,
    library: Option<&'static Library>,
    session: Option<(u64, u64)>,
}

/// Someone who is logged in.
pub struct Person {
    pub login: Arc<Login>,
    pub session: u64,
    /// As it was given now; not kept in the interactive mode.
    pub password: Option<Secret>,
}

impl Person {
    /// For the token's own functions.
    pub fn access(&self) -> Access<'_> {
        Access { login: Some(&self.login), write: true, session: self.session }
    }
}

impl Context {
    pub fn new(options: Options) -> Context {
        Context { options, interactive: false, config: None, library: None, session: None }
    }

    pub fn config(&mut self) -> Result<&Config, Failure> {
        if self.config.is_none() {
            let config = match &self.options.config {
                Some(path) => Config::read(path),
                None => Config::load(None),
            };
            self.config = Some(config.map_err(|_| {
                Failure::new("The configuration cannot be used.")
                    .next("mend it, or name another with --config; `strongroom doctor` says which is read.")
            })?);
        }
        self.config.as_ref().ok_or_else(|| Error::GeneralError.into())
    }

    /// The number of the slot that is meant.
    pub fn slot_id(&self) -> u64 {
        self.options.slot.unwrap_or(0)
    }

    pub fn slot(&mut self) -> Result<SlotConfig, Failure> {
        let id = self.slot_id();
        let found = self.config()?.slots.iter().find(|slot| slot.id == id).cloned();
        found.ok_or_else(|| {
            Failure::new(format!("There is no slot {id} in the configuration."))
                .next("`strongroom slot list` shows them.")
        })
    }

    /// The initialised library.
    pub fn library(&mut self) -> Result<&'static Library, Failure> {
        if self.library.is_none() {
            Library::initialize_with(self.config()?.clone())?;
            self.library = Some(Library::current()?);
        }
        self.library.ok_or_else(|| Error::GeneralError.into())
    }

    /// The library's end, which writes down what is to be recorded of the logins.
    pub fn close(&mut self) {
        if self.library.take().is_some() {
            let _ = Library::finalize();
        }
    }

    /// The slot's token, initialised or not.
    pub fn token(&mut self) -> Result<&'static Token, Failure> {
        let id = self.slot()?.id;
        Ok(self.library()?.token(id)?)
    }

    /// The slot's token, which is initialised; damaged, perhaps.
    pub fn present_token(&mut self) -> Result<&'static Token, Failure> {
        let token = self.token()?;
        if token.path().exists() {
            return Ok(token);
        }
        Err(Failure::new(format!("There is no token yet at {}.", token.path().display()))
            .next("`strongroom cluster activate` makes it and gives its first officer a password."))
    }

    /// The slot's token, which is initialised and can be used.
    pub fn ready_token(&mut self) -> Result<&'static Token, Failure> {
        let token = self.present_token()?;
        token.ready().map_err(|error| unusable(token, error))?;
        Ok(token)
    }

    /// A read-write session on the slot.
    pub fn session(&mut self) -> Result<u64, Failure> {
        self.ready_token()?;
        let slot = self.slot_id();
        match self.session {
            Some((on, session)) if on == slot => Ok(session),
            _ => {
                let session = self.library()?.open_session(slot, true)?;
                self.session = Some((slot, session));
                Ok(session)
            }
        }
    }

    /// Who is logged in, in the interactive mode.
    pub fn logged_in(&mut self) -> Result<Option<Arc<Login>>, Failure> {
        let slot = self.slot()?.id;
        Ok(self.library()?.logged_in(slot)?)
    }

    /// An officer. `new_password`: --password-file and --password-fd are for the password that the
    /// command gives to someone else.
    pub fn officer(&mut self, new_password: bool) -> Result<Person, Failure> {
        identity::log_in(self, Some(Role::Officer), new_password)
    }

    /// A crypto user.
    pub fn crypto_user(&mut self) -> Result<Person, Failure> {
        identity::log_in(self, Some(Role::User), false)
    }

    /// Whoever the options name.
    pub fn anyone(&mut self) -> Result<Person, Failure> {
        identity::log_in(self, None, false)
    }
}

/// A token that cannot be opened or read; the reasons are in the library's log.
pub fn unusable(token: &Token, error: Error) -> Failure {
    let next = match error {
        Error::DeviceError => error.remedy(),
        _ => "`strongroom doctor` looks at its file and its seal key.",
    };
    Failure::new(format!("The token {} cannot be used.", token.path().display())).next(next)
}
