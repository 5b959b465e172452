//! The initialised library: slots, sessions, login state, and the operation life cycle, which is
//! written once in `operation.rs` for every mechanism.
//!
//! Everything here takes owned values or byte slices; C pointers end in `ffi`. Each entry finds its
//! session, releases the map lock, and locks that session only.

use crate::error::Result;
use crate::mechanism::{Mechanism, Params};
use crate::object::{AttributeType, Template, Value};
use crate::token::{Handle, Info};

/// The kinds of running operation a session can have, one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Encrypt,
    Decrypt,
    Digest,
    Sign,
    Verify,
}

/// Where a result goes: the caller's buffer, or nowhere (a length query). `length` is set on Ok and
/// on `BufferTooSmall`: bytes written, or needed.
pub struct Output<'a> {
    pub buffer: Option<&'a mut [u8]>,
    pub length: usize,
}

/// What C_GetSessionInfo tells.
#[derive(Clone, Copy, Debug)]
pub struct SessionInfo {
    pub slot: u64,
    /// CKS_.
    pub state: u64,
    /// CKF_SERIAL_SESSION and CKF_RW_SESSION.
    pub flags: u64,
}

/// Counts of open sessions of a slot.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionCounts {
    pub all: u64,
    pub read_write: u64,
}

/// The library between C_Initialize and C_Finalize. A `&'static` shell: a late call on another
/// thread finds it closed, never freed.
pub struct Library {}

impl Library {
    /// C_Initialize. `config`: the reserved string. `CryptokiAlreadyInitialized`, except once in a
    /// forked child, where it starts afresh.
    pub fn initialize(config: Option<&str>) -> Result<()> {
        let _ = config;
        todo!()
    }
    /// C_Finalize: wakes C_WaitForSlotEvent, wipes sessions and keys.
    pub fn finalize() -> Result<()> {
        todo!()
    }
    /// The initialised library, or `CryptokiNotInitialized`. A load and a compare.
    pub fn current() -> Result<&'static Library> {
        todo!()
    }
    /// Before, and after, a fork in the parent and in the child (called by `ffi::fork`).
    pub fn before_fork() {
        todo!()
    }
    pub fn after_fork_in_parent() {
        todo!()
    }
    pub fn after_fork_in_child() {
        todo!()
    }

    // Slots and tokens.

    /// Slot numbers, sorted. Every slot has a token present.
    pub fn slots(&self) -> Vec<u64> {
        todo!()
    }
    pub fn token_info(&self, slot: u64) -> Result<(Info, SessionCounts)> {
        let _ = slot;
        todo!()
    }
    /// `NoEvent` at once without `block`; with it, waits until C_Finalize and then answers
    /// `CryptokiNotInitialized`. Holds no lock of ours while it waits.
    pub fn wait_for_slot_event(&self, block: bool) -> Result<u64> {
        let _ = block;
        todo!()
    }
    pub fn init_token(&self, slot: u64, pin: &[u8], label: &str) -> Result<()> {
        let _ = (slot, pin, label);
        todo!()
    }

    // Sessions and login.

    pub fn open_session(&self, slot: u64, read_write: bool) -> Result<u64> {
        let _ = (slot, read_write);
        todo!()
    }
    pub fn close_session(&self, session: u64) -> Result<()> {
        let _ = session;
        todo!()
    }
    pub fn close_all_sessions(&self, slot: u64) -> Result<()> {
        let _ = slot;
        todo!()
    }
    pub fn session_info(&self, session: u64) -> Result<SessionInfo> {
        let _ = session;
        todo!()
    }
    /// `user_type` is CKU_; `name` from C_LoginUser.
    pub fn login(&self, session: u64, user_type: u64, name: Option<&str>, pin: &[u8]) -> Result<()> {
        let _ = (session, user_type, name, pin);
        todo!()
    }
    pub fn logout(&self, session: u64) -> Result<()> {
        let _ = session;
        todo!()
    }
    pub fn init_pin(&self, session: u64, pin: &[u8]) -> Result<()> {
        let _ = (session, pin);
        todo!()
    }
    pub fn set_pin(&self, session: u64, old: &[u8], new: &[u8]) -> Result<()> {
        let _ = (session, old, new);
        todo!()
    }
    /// C_SessionCancel: ends the operations named by CKF_ flags.
    pub fn cancel(&self, session: u64, flags: u64) -> Result<()> {
        let _ = (session, flags);
        todo!()
    }

    // Objects.

    pub fn create_object(&self, session: u64, template: Template) -> Result<Handle> {
        let _ = (session, template);
        todo!()
    }
    pub fn copy_object(&self, session: u64, object: Handle, template: Template) -> Result<Handle> {
        let _ = (session, object, template);
        todo!()
    }
    pub fn destroy_object(&self, session: u64, object: Handle) -> Result<()> {
        let _ = (session, object);
        todo!()
    }
    /// Bytes of its encoded form.
    pub fn object_size(&self, session: u64, object: Handle) -> Result<usize> {
        let _ = (session, object);
        todo!()
    }
    /// One answer per asked type, in order.
    pub fn attributes(
        &self,
        session: u64,
        object: Handle,
        kinds: &[AttributeType],
    ) -> Result<Vec<Result<Value>>> {
        let _ = (session, object, kinds);
        todo!()
    }
    pub fn set_attributes(&self, session: u64, object: Handle, template: Template) -> Result<()> {
        let _ = (session, object, template);
        todo!()
    }
    pub fn find_init(&self, session: u64, template: Template) -> Result<()> {
        let _ = (session, template);
        todo!()
    }
    /// At most `most` further handles.
    pub fn find(&self, session: u64, most: usize) -> Result<Vec<Handle>> {
        let _ = (session, most);
        todo!()
    }
    pub fn find_final(&self, session: u64) -> Result<()> {
        let _ = session;
        todo!()
    }

    // Operations.

    /// C_EncryptInit and its like; `key` is `None` for digests.
    pub fn start(
        &self,
        session: u64,
        purpose: Purpose,
        mechanism: &'static Mechanism,
        params: Params,
        key: Option<Handle>,
    ) -> Result<()> {
        let _ = (session, purpose, mechanism, params, key);
        todo!()
    }
    /// C_EncryptInit with a NULL mechanism: ends a running operation; `OperationNotInitialized`
    /// when there is none.
    pub fn stop(&self, session: u64, purpose: Purpose) -> Result<()> {
        let _ = (session, purpose);
        todo!()
    }
    /// C_Encrypt, C_Decrypt, C_Digest, C_Sign. `input` does not overlap the output buffer.
    pub fn one_shot(
        &self,
        session: u64,
        purpose: Purpose,
        input: &[u8],
        output: &mut Output<'_>,
    ) -> Result<()> {
        let _ = (session, purpose, input, output);
        todo!()
    }
    /// C_EncryptUpdate and its like (C_DigestUpdate and C_SignUpdate give no bytes).
    pub fn update(
        &self,
        session: u64,
        purpose: Purpose,
        input: &[u8],
        output: &mut Output<'_>,
    ) -> Result<()> {
        let _ = (session, purpose, input, output);
        todo!()
    }
    /// C_EncryptFinal and its like.
    pub fn finish(&self, session: u64, purpose: Purpose, output: &mut Output<'_>) -> Result<()> {
        let _ = (session, purpose, output);
        todo!()
    }
    /// C_DigestKey.
    pub fn digest_key(&self, session: u64, key: Handle) -> Result<()> {
        let _ = (session, key);
        todo!()
    }
    pub fn verify(&self, session: u64, data: &[u8], signature: &[u8]) -> Result<()> {
        let _ = (session, data, signature);
        todo!()
    }
    pub fn verify_update(&self, session: u64, data: &[u8]) -> Result<()> {
        let _ = (session, data);
        todo!()
    }
    pub fn verify_final(&self, session: u64, signature: &[u8]) -> Result<()> {
        let _ = (session, signature);
        todo!()
    }

    // Key management.

    pub fn generate_key(
        &self,
        session: u64,
        mechanism: &'static Mechanism,
        params: Params,
        template: Template,
    ) -> Result<Handle> {
        let _ = (session, mechanism, params, template);
        todo!()
    }
    /// (public, private).
    pub fn generate_key_pair(
        &self,
        session: u64,
        mechanism: &'static Mechanism,
        params: Params,
        public: Template,
        private: Template,
    ) -> Result<(Handle, Handle)> {
        let _ = (session, mechanism, params, public, private);
        todo!()
    }
    pub fn wrap_key(
        &self,
        session: u64,
        mechanism: &'static Mechanism,
        params: Params,
        wrapping: Handle,
        key: Handle,
        output: &mut Output<'_>,
    ) -> Result<()> {
        let _ = (session, mechanism, params, wrapping, key, output);
        todo!()
    }
    pub fn unwrap_key(
        &self,
        session: u64,
        mechanism: &'static Mechanism,
        params: Params,
        unwrapping: Handle,
        wrapped: &[u8],
        template: Template,
    ) -> Result<Handle> {
        let _ = (session, mechanism, params, unwrapping, wrapped, template);
        todo!()
    }
    pub fn derive_key(
        &self,
        session: u64,
        mechanism: &'static Mechanism,
        params: Params,
        base: Handle,
        template: Template,
    ) -> Result<Handle> {
        let _ = (session, mechanism, params, base, template);
        todo!()
    }

    // Random.

    pub fn seed_random(&self, session: u64, seed: &[u8]) -> Result<()> {
        let _ = (session, seed);
        todo!()
    }
    pub fn generate_random(&self, session: u64, out: &mut [u8]) -> Result<()> {
        let _ = (session, out);
        todo!()
    }
}
