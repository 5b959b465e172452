//! A PKCS#11 client for tests: loads the built `.so` like any program and says what it answered.
//!
//! The module is one for a process, so each test file is a process with a token of its own: see
//! [`fixture`].

// `call!` is a test client's own shorthand.
#![allow(clippy::macro_metavars_in_unsafe)]

pub mod alone;
pub mod derivation;
pub mod etcd;
pub mod keys;
pub mod params;
pub mod role;
pub mod steps;
pub mod wires;

use cryptoki_sys::*;
use std::path::PathBuf;
use std::ptr::{addr_of_mut, null_mut};
use std::sync::OnceLock;

pub const SO_PIN: &[u8] = b"officer-1";
pub const PIN: &[u8] = b"user-1234";
/// AES-128 test keys and the like need no secrets.
pub const RW: CK_FLAGS = CKF_SERIAL_SESSION | CKF_RW_SESSION;

/// What a call answers when it is not CKR_OK.
pub type Result<T> = std::result::Result<T, CK_RV>;

pub fn check(code: CK_RV) -> Result<()> {
    if code == CKR_OK { Ok(()) } else { Err(code) }
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from)
}

/// The built module: `STRONGROOM_MODULE`, or the debug build beside this crate.
pub fn module_path() -> PathBuf {
    if let Some(path) = std::env::var_os("STRONGROOM_MODULE") {
        return path.into();
    }
    target().join("debug/libstrongroom.so")
}

/// The `strongroom` command beside the module, or of the debug build where there is none.
pub fn tool_path() -> PathBuf {
    let beside = module_path().with_file_name("strongroom");
    if beside.is_file() { beside } else { target().join("debug/strongroom") }
}

/// The loaded module.
pub struct Module {
    pub list: *mut CK_FUNCTION_LIST_3_2,
    pub library: libloading::Library,
}

// SAFETY: the module may be called from any thread.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

/// Calls an entry of the module's 3.2 table; the answer is the CK_RV.
#[macro_export]
macro_rules! call {
    ($module:expr, $name:ident $(, $argument:expr)* $(,)?) => {
        // SAFETY: the table is the module's; arguments are valid for the call, or wrong on purpose
        // in ways that the standard lets a module check.
        unsafe { ((*$module.list).$name.expect(stringify!($name)))($($argument),*) }
    };
}

impl Module {
    pub fn load() -> Module {
        let path = module_path();
        // SAFETY: loading our own module runs no initialiser with side effects.
        let library = unsafe { libloading::Library::new(&path) }
            .unwrap_or_else(|e| panic!("{}: {e}; build it first, or set STRONGROOM_MODULE", path.display()));
        let mut interface: *mut CK_INTERFACE = null_mut();
        let mut version = CK_VERSION { major: 3, minor: 2 };
        // SAFETY: the symbol has this type in every PKCS#11 3.x module.
        let list = unsafe {
            type GetInterface = unsafe extern "C" fn(
                *mut CK_UTF8CHAR,
                *mut CK_VERSION,
                *mut *mut CK_INTERFACE,
                CK_FLAGS,
            ) -> CK_RV;
            let get: libloading::Symbol<'_, GetInterface> =
                library.get(b"C_GetInterface").expect("C_GetInterface");
            let name = c"PKCS 11".as_ptr().cast_mut().cast();
            assert_eq!(get(name, &mut version, &mut interface, 0), CKR_OK);
            (*interface).pFunctionList.cast()
        };
        Module { list, library }
    }

    /// C_Initialize with a configuration file.
    pub fn initialize(&self, config: &std::path::Path) -> Result<()> {
        let mut text = config.to_str().expect("path").as_bytes().to_vec();
        text.push(0);
        let mut arguments = CK_C_INITIALIZE_ARGS { flags: CKF_OS_LOCKING_OK, ..Default::default() };
        arguments.pReserved = text.as_mut_ptr().cast();
        check(call!(self, C_Initialize, addr_of_mut!(arguments).cast()))
    }

    pub fn session(&self, flags: CK_FLAGS) -> Result<CK_SESSION_HANDLE> {
        let mut session = 0;
        check(call!(self, C_OpenSession, 0, flags, null_mut(), None, &mut session))?;
        Ok(session)
    }

    pub fn login(&self, session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: &[u8]) -> Result<()> {
        check(call!(self, C_Login, session, user, pin.as_ptr().cast_mut(), pin.len() as CK_ULONG))
    }

    pub fn init_token(&self, pin: &[u8]) -> Result<()> {
        let mut label = [b' '; 32];
        label[..4].copy_from_slice(b"test");
        check(call!(self, C_InitToken, 0, pin.as_ptr().cast_mut(), pin.len() as CK_ULONG, label.as_mut_ptr()))
    }

    /// A new token with an officer and a user, who have [`SO_PIN`] and [`PIN`]; no session.
    pub fn make_token(&self) {
        self.init_token(SO_PIN).expect("C_InitToken");
        let session = self.session(RW).expect("C_OpenSession");
        self.login(session, CKU_SO, SO_PIN).expect("SO login");
        self.init_pin(session, PIN).expect("C_InitPIN");
        check(call!(self, C_CloseSession, session)).expect("C_CloseSession");
    }

    /// A session with the user logged in.
    pub fn user(&self) -> CK_SESSION_HANDLE {
        let session = self.session(RW).expect("C_OpenSession");
        self.login(session, CKU_USER, PIN).expect("user login");
        session
    }

    /// C_LoginUser.
    pub fn login_user(
        &self,
        session: CK_SESSION_HANDLE,
        user: CK_USER_TYPE,
        name: &[u8],
        pin: &[u8],
    ) -> Result<()> {
        let (name, name_length) = (name.as_ptr().cast_mut(), name.len() as CK_ULONG);
        let (pin, length) = (pin.as_ptr().cast_mut(), pin.len() as CK_ULONG);
        check(call!(self, C_LoginUser, session, user, pin, length, name, name_length))
    }

    pub fn set_pin(&self, session: CK_SESSION_HANDLE, old: &[u8], new: &[u8]) -> Result<()> {
        let (from, to) = (old.as_ptr().cast_mut(), new.as_ptr().cast_mut());
        check(call!(self, C_SetPIN, session, from, old.len() as CK_ULONG, to, new.len() as CK_ULONG))
    }

    pub fn init_pin(&self, session: CK_SESSION_HANDLE, pin: &[u8]) -> Result<()> {
        check(call!(self, C_InitPIN, session, pin.as_ptr().cast_mut(), pin.len() as CK_ULONG))
    }
}

/// A folder with a configuration of one slot whose passwords cost little.
pub fn cheap_config() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let config = folder.path().join("config.toml");
    let text = "[[slot]]\nid = 0\npath = \"token.db\"\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n";
    std::fs::write(&config, text).expect("configuration");
    (folder, config)
}

/// Every switch of `[slot.allow]`.
pub const SWITCHES: [&str; 10] = [
    "wrap_and_decrypt",
    "wrap_stronger",
    "unauthenticated_wrap",
    "caller_nonce_wrap",
    "foreign_wrapping_keys",
    "wrap_wrapping_keys",
    "loosening",
    "weak_rsa_keys",
    "joined_keys",
    "triple_des",
];

/// [`cheap_config`] with switches on: the text stands in the slot's table, and must be the file's end.
pub fn allow(config: &std::path::Path, switches: &[&str]) {
    let mut text = std::fs::read_to_string(config).expect("configuration");
    text.push_str("[slot.allow]\n");
    switches.iter().for_each(|switch| text.push_str(&format!("{switch} = true\n")));
    std::fs::write(config, text).expect("configuration");
}

/// Makes a user (CU) with the `strongroom` command; the officer is the default one with [`SO_PIN`].
pub fn make_user(config: &std::path::Path, name: &str, pin: &[u8]) {
    let file = config.with_file_name(format!("{name}.pin"));
    std::fs::write(&file, pin).expect("password file");
    let made = std::process::Command::new(tool_path())
        .args(["user", "create", name, "--role", "CU", "--password-file"])
        .arg(&file)
        .arg("--config")
        .arg(config)
        .env("STRONGROOM_OFFICER_PASSWORD", std::str::from_utf8(SO_PIN).expect("text"))
        .output()
        .expect("strongroom");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// The module with a fresh token, an officer, a user, and the user logged in.
pub struct Fixture {
    pub module: Module,
    pub config: PathBuf,
    folder: tempfile::TempDir,
    /// Keeps the login while tests open and close theirs.
    pub session: CK_SESSION_HANDLE,
}

impl Fixture {
    fn new(switches: &[&str]) -> Fixture {
        let (folder, config) = cheap_config();
        allow(&config, switches);
        let module = Module::load();
        module.initialize(&config).expect("C_Initialize");
        module.make_token();
        let session = module.user();
        Fixture { module, config, folder, session }
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn open(&self) -> CK_SESSION_HANDLE {
        self.module.session(RW).expect("C_OpenSession")
    }
}

static FIXTURE: OnceLock<Fixture> = OnceLock::new();

/// The one fixture of this process.
pub fn fixture() -> &'static Fixture {
    FIXTURE.get_or_init(|| Fixture::new(&[]))
}

/// The same with every rule against attacks loosened: for tests of what mechanisms do, and of programs that need it.
pub fn loosened() -> &'static Fixture {
    FIXTURE.get_or_init(|| Fixture::new(&SWITCHES))
}

/// Builds a program of `pkcs11-tests/c` against `include/pkcs11.h` into a folder.
pub fn c_program(name: &str, folder: &std::path::Path) -> PathBuf {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let program = folder.join(name);
    let built = std::process::Command::new("cc")
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-pthread", "-rdynamic", "-I"])
        .arg(root.join("include"))
        .arg("-o")
        .arg(&program)
        .arg(root.join("pkcs11-tests/c").join(name).with_extension("c"))
        .arg("-ldl")
        .status()
        .expect("a C compiler");
    assert!(built.success(), "{name}.c does not compile against include/pkcs11.h");
    program
}
