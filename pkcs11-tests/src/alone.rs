//! The module and a token of its own for one test at a time: a process has one module.

use crate::{Module, call, cheap_config, check};
use cryptoki_sys::*;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The module is finalized when this goes.
pub struct Alone {
    pub module: Module,
    pub config: PathBuf,
    folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Alone {
    /// Not initialised, no token.
    pub fn new() -> Alone {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (folder, config) = cheap_config();
        Alone { module: Module::load(), config, folder, _turn: turn }
    }

    /// A token with an officer and a user; nobody logged in, no session.
    pub fn with_token() -> Alone {
        let alone = Alone::new();
        alone.module.initialize(&alone.config).expect("C_Initialize");
        alone.module.make_token();
        alone
    }

    /// C_Finalize and C_Initialize: what was proved of passwords is forgotten.
    pub fn again(&self) {
        check(call!(self.module, C_Finalize, null_mut())).expect("C_Finalize");
        self.module.initialize(&self.config).expect("C_Initialize");
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// CKF_ flags of the token.
    pub fn flags(&self) -> CK_FLAGS {
        let mut info = CK_TOKEN_INFO::default();
        check(call!(self.module, C_GetTokenInfo, 0, &mut info)).expect("C_GetTokenInfo");
        info.flags
    }
}

impl Default for Alone {
    fn default() -> Alone {
        Alone::new()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        call!(self.module, C_Finalize, null_mut());
    }
}
