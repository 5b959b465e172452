//! The reset policies `quorum` and `destroys`, as officers meet them: through the module and by the
//! `strongroom` command, each step a process of its own. (`keeps` is the default of all other tests.)

use cryptoki_sys::*;
use pkcs11_tests::keys::{bytes, number, yes};
use pkcs11_tests::{Module, PIN, RW, SO_PIN, call, check, tool_path};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::ptr::null_mut;
use std::sync::Mutex;

/// The module is one for the process.
static ONE: Mutex<()> = Mutex::new(());

fn configured(policy: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let config = folder.path().join("config.toml");
    let text =
        format!("[[slot]]\npath = \"token.db\"\n{policy}\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n");
    std::fs::write(&config, text).expect("configuration");
    (folder, config)
}

/// The command of an officer; his password is `pw-` and his name.
fn officer(config: &Path, name: &str, arguments: &[&str]) -> Output {
    let so = std::str::from_utf8(SO_PIN).expect("text");
    let password = if name == "so" { so.to_owned() } else { format!("pw-{name}") };
    let mut command = Command::new(tool_path());
    command.args(arguments).arg("--config").arg(config);
    command.args(["--officer", name]).env("STRONGROOM_OFFICER_PASSWORD", password);
    command.env("STRONGROOM_PASSWORD", std::str::from_utf8(PIN).expect("text")).output().expect("strongroom")
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A new officer's own password; it is the same, so that tests know it.
fn own_password(config: &Path, name: &str) {
    let file = config.with_file_name("own");
    std::fs::write(&file, format!("pw-{name}")).expect("password");
    let file = file.to_str().expect("path");
    done(&officer(config, name, &["user", "change-password", "--new-password-file", file]));
}

/// The officer `so` makes another one, who gives himself a password.
fn make_officer(config: &Path, name: &str) {
    let file = config.with_file_name("given");
    std::fs::write(&file, format!("pw-{name}")).expect("password");
    let file = file.to_str().expect("path");
    done(&officer(config, "so", &["user", "create", name, "--role", "co", "--password-file", file]));
    own_password(config, name);
}

fn status(config: &Path) -> String {
    let mut command = Command::new(tool_path());
    done(&command.args(["status", "--json", "--config"]).arg(config).output().expect("strongroom"))
}

fn private_key(module: &Module, session: CK_SESSION_HANDLE) {
    let made = [yes(CKA_TOKEN), bytes(CKA_LABEL, b"mine"), number(CKA_VALUE_LEN, 32)];
    module.generate(session, CKM_AES_KEY_GEN, &made).expect("key");
}

fn mine(module: &Module, session: CK_SESSION_HANDLE) -> usize {
    module.find(session, &[bytes(CKA_LABEL, b"mine")]).expect("find").len()
}

#[test]
fn destroys() {
    let _one = ONE.lock();
    let (_folder, config) = configured("reset_policy = \"destroys\"");
    let module = Module::load();
    module.initialize(&config).expect("C_Initialize");
    module.make_token();
    assert!(status(&config).contains("\"reset_policy\":\"destroys\""), "{}", status(&config));
    let session = module.user();
    private_key(&module, session);
    check(call!(module, C_Logout, session)).expect("logout");
    module.login(session, CKU_USER, PIN).expect("again");
    assert_eq!(mine(&module, session), 1);
    check(call!(module, C_Logout, session)).expect("logout");
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    module.init_pin(session, b"another-pin").expect("C_InitPIN");
    check(call!(module, C_Logout, session)).expect("logout");
    assert_eq!(module.login(session, CKU_USER, PIN), Err(CKR_PIN_INCORRECT));
    module.login(session, CKU_USER, b"another-pin").expect("login");
    assert_eq!(mine(&module, session), 0);
    private_key(&module, session);
    assert_eq!(mine(&module, session), 1, "a new key chain");
    // What the configuration says later is no matter.
    check(call!(module, C_Finalize, null_mut())).expect("C_Finalize");
    let text = std::fs::read_to_string(&config).expect("configuration");
    std::fs::write(&config, text.replace("destroys", "keeps")).expect("configuration");
    assert!(status(&config).contains("\"reset_policy\":\"destroys\""));
}

/// The first C_SetPIN after C_InitPIN brings new keys: whoever is logged in goes on with them, and with the same
/// handles. (Who is logged in in another process does not: `src/token/tests/renewal.rs`.)
#[test]
fn the_first_own_pin_brings_new_keys() {
    let _one = ONE.lock();
    let (_folder, config) = configured("");
    let module = Module::load();
    module.initialize(&config).expect("C_Initialize");
    module.make_token();
    let session = module.user();
    private_key(&module, session);
    let key = module.find(session, &[bytes(CKA_LABEL, b"mine")]).expect("find")[0];
    let passwords = |json: &str| (json.matches("\"given\"").count(), json.matches("\"own\"").count());
    let users = || done(&officer(&config, "so", &["user", "list", "--json"]));
    assert_eq!(passwords(&users()), (1, 1), "the user's and the officer's");
    let (old, new) = (PIN, &b"her-own-pin"[..]);
    module.set_pin(session, old, new).expect("C_SetPIN");
    assert_eq!(passwords(&users()), (0, 2));
    assert_eq!(mine(&module, session), 1, "still logged in, and the objects are there");
    assert_eq!(module.find(session, &[bytes(CKA_LABEL, b"mine")]).expect("find"), [key], "the handle stays");
    private_key(&module, session);
    assert_eq!(mine(&module, session), 2, "new ones, too");
    module.set_pin(session, new, PIN).expect("the second C_SetPIN");
    assert_eq!(mine(&module, session), 2);
    check(call!(module, C_Logout, session)).expect("logout");
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    module.init_pin(session, b"another-pin").expect("C_InitPIN");
    assert_eq!(passwords(&users()), (1, 1));
    check(call!(module, C_Logout, session)).expect("logout");
    module.login(session, CKU_USER, b"another-pin").expect("login");
    assert_eq!(mine(&module, session), 2, "a reset keeps them, with the new keys as with the old ones");
    check(call!(module, C_Finalize, null_mut())).expect("C_Finalize");
}

#[test]
fn quorum() {
    let _one = ONE.lock();
    let (_folder, config) = configured("reset_policy = \"quorum\"\nreset_threshold = 2");
    let module = Module::load();
    module.initialize(&config).expect("C_Initialize");
    module.init_token(SO_PIN).expect("C_InitToken");
    let session = module.session(RW).expect("session");
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    assert_eq!(module.init_pin(session, PIN), Err(CKR_ACTION_PROHIBITED), "one officer is no quorum");
    let password = config.with_file_name("pw-eve");
    std::fs::write(&password, "pw-eve").expect("password");
    let file = password.to_str().expect("path");
    done(&officer(&config, "so", &["user", "create", "eve", "--role", "co", "--password-file", file]));
    assert_eq!(module.init_pin(session, PIN), Err(CKR_ACTION_PROHIBITED), "so knows eve's password");
    own_password(&config, "eve");
    module.init_pin(session, PIN).expect("C_InitPIN");
    assert!(status(&config).contains("\"reset_policy\":\"quorum of 2\""));
    check(call!(module, C_Logout, session)).expect("logout");
    module.login(session, CKU_USER, PIN).expect("login");
    private_key(&module, session);
    check(call!(module, C_Logout, session)).expect("logout");
    // So asks, eve approves, so finishes: with the module as with the command.
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    assert_eq!(module.init_pin(session, b"another-pin"), Err(CKR_ACTION_PROHIBITED));
    let set = ["user", "set-password", "user"];
    let alone = officer(&config, "so", &set);
    assert!(!alone.status.success());
    assert!(String::from_utf8_lossy(&alone.stderr).contains("nobody asked for it"), "{alone:?}");
    done(&officer(&config, "so", &["reset", "request", "user"]));
    assert!(!officer(&config, "so", &["reset", "approve", "user"]).status.success(), "his own");
    assert_eq!(module.init_pin(session, b"another-pin"), Err(CKR_ACTION_PROHIBITED));
    done(&officer(&config, "eve", &["reset", "approve", "user"]));
    let list = done(&officer(&config, "eve", &["reset", "list"]));
    assert!(list.contains("so, eve"), "{list}");
    assert!(!officer(&config, "eve", &set).status.success(), "not hers to finish");
    module.init_pin(session, b"another-pin").expect("C_InitPIN");
    check(call!(module, C_Logout, session)).expect("logout");
    module.login(session, CKU_USER, b"another-pin").expect("login");
    assert_eq!(mine(&module, session), 1, "the objects are kept");
    check(call!(module, C_Logout, session)).expect("logout");
    // The same by the command alone, eve asking.
    done(&officer(&config, "eve", &["reset", "request", "user"]));
    done(&officer(&config, "so", &["reset", "approve", "user"]));
    done(&officer(&config, "eve", &set));
    module.login(session, CKU_USER, PIN).expect("login");
    assert_eq!(mine(&module, session), 1);
    check(call!(module, C_Finalize, null_mut())).expect("C_Finalize");
    let verified =
        Command::new(tool_path()).args(["verify", "--config"]).arg(&config).output().expect("verify");
    done(&verified);
}

/// The officer `so`, with his own password and whatever officers he makes, against a user's key: a quorum of
/// three, `second` and `third` are honest.
#[test]
fn officers_below_the_quorum_get_nothing() {
    let _one = ONE.lock();
    let (_folder, config) = configured("reset_policy = \"quorum\"\nreset_threshold = 3");
    let module = Module::load();
    module.initialize(&config).expect("C_Initialize");
    module.init_token(SO_PIN).expect("C_InitToken");
    ["second", "third"].into_iter().for_each(|name| make_officer(&config, name));
    let session = module.session(RW).expect("session");
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    module.init_pin(session, PIN).expect("C_InitPIN");
    check(call!(module, C_Logout, session)).expect("logout");
    module.login(session, CKU_USER, PIN).expect("login");
    private_key(&module, session);
    // What the user does by herself, again and again: the moment that the attacker waits for.
    let user_changes = || module.set_pin(session, PIN, PIN).expect("C_SetPIN");
    check(call!(module, C_Logout, session)).expect("logout");
    let no = |name: &str, arguments: &[&str]| {
        let output = officer(&config, name, arguments);
        assert!(!output.status.success(), "{name}: {arguments:?}: {output:?}");
    };
    // Puppets: they manage, ask, approve for each other, and hold nothing.
    let puppets = ["eve", "mallory", "trudy"];
    puppets.iter().for_each(|name| make_officer(&config, name));
    for name in puppets {
        done(&officer(&config, "so", &["reset", "request", name]));
        puppets.iter().chain(&["so"]).for_each(|by| no(by, &["reset", "approve", name]));
    }
    user_changes();
    let attack = |asks: &str, with: &[&str]| {
        done(&officer(&config, asks, &["reset", "request", "user"]));
        with.iter().for_each(|by| no(by, &["reset", "approve", "user"]));
        no(asks, &["user", "set-password", "user"]);
    };
    attack("so", &puppets);
    attack("eve", &["mallory", "trudy"]);
    // Passwords of the honest, and their places: as many as a quorum stay what they are.
    no("so", &["user", "set-password", "second"]);
    no("so", &["user", "delete", "third"]);
    // A puppet under an honest one's eyes: three are needed, and two are not.
    done(&officer(&config, "so", &["reset", "request", "eve"]));
    done(&officer(&config, "second", &["reset", "approve", "eve"]));
    no("second", &["reset", "approve", "eve"]);
    user_changes();
    attack("eve", &["mallory", "trudy"]);
    // The module: an officer's PIN for the user, a user's rights for an officer.
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    for pin in [&b"another-pin"[..], b"user:another-pin"] {
        assert_eq!(module.init_pin(session, pin), Err(CKR_ACTION_PROHIBITED));
    }
    assert_eq!(mine(&module, session), 0);
    assert_eq!(module.set_pin(session, b"user:user-1234", b"another-pin"), Err(CKR_PIN_INCORRECT));
    check(call!(module, C_Logout, session)).expect("logout");
    for pin in [SO_PIN, b"another-pin", b"pw-eve", b"user:pw-eve"] {
        assert_eq!(module.login(session, CKU_USER, pin), Err(CKR_PIN_INCORRECT));
    }
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    check(call!(module, C_Logout, session)).expect("logout");
    done(&officer(&config, "so", &["user", "unlock", "user"]));
    // A new user of the name has nothing of the old one; the quorum has.
    done(&officer(&config, "so", &["reset", "request", "user"]));
    ["second", "third"]
        .iter()
        .for_each(|by| drop(done(&officer(&config, by, &["reset", "approve", "user"]))));
    done(&officer(&config, "so", &["user", "set-password", "user"]));
    module.login(session, CKU_USER, PIN).expect("login");
    assert_eq!(mine(&module, session), 1);
    check(call!(module, C_Logout, session)).expect("logout");
    done(&officer(&config, "so", &["user", "delete", "user", "--destroy-objects"]));
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    module.init_pin(session, PIN).expect("C_InitPIN");
    check(call!(module, C_Logout, session)).expect("logout");
    module.login(session, CKU_USER, PIN).expect("login");
    assert_eq!(mine(&module, session), 0);
    check(call!(module, C_Finalize, null_mut())).expect("C_Finalize");
}
