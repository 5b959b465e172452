//! What may happen while a password is stretched, at exactly that moment.

use super::*;
use crate::config::{Config, SlotConfig};
use crate::token::{Access, Filter, Token};

const OFFICER: &[u8] = b"officer-1";
const PIN: &[u8] = b"pw-user";

/// Logins and logouts that the log tells of, together.
fn told(token: &Token) -> (u64, u64) {
    // Written by whoever writes next.
    let officer = token.log_in(Role::Officer, None, OFFICER).expect("officer");
    let access = Access { login: Some(&officer), write: true, session: 0 };
    token.audit_checkpoint(access).expect("checkpoint");
    let wanted = Filter { user: Some("user".into()), ..Filter::default() };
    let (mut logins, mut logouts) = (0, 0);
    let take = |entry: crate::audit::Entry, _: &[u8]| {
        let counted = |name: &str| entry.details.get(name).map_or(0, |count| count.parse().expect("count"));
        if wanted.wants(&entry) {
            logins += u64::from(entry.event == "login") + counted("logins");
            logouts += u64::from(entry.event == "logout") + counted("logouts");
        }
        true
    };
    token.audit_lines(access, 1, take).expect("log");
    (logins, logouts)
}

/// One test: the library is one for the process.
#[test]
fn a_login_that_comes_too_late_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let slots = vec![SlotConfig::for_test(folder.path())];
    let config = Config { log: None, trace: None, log_level: log::LevelFilter::Off, slots };
    Library::initialize_with(config).unwrap();
    let library = Library::current().unwrap();
    let token = library.token(0).unwrap();
    token.initialize(OFFICER, "test").unwrap();
    let session = library.open_session(0, true).unwrap();
    library.login(session, CKU_SO, None, OFFICER).unwrap();
    library.init_pin(session, PIN).unwrap();
    library.logout(session).unwrap();
    let now = |handle| library.session(handle).unwrap();
    let logged_in = || library.logged_in(0).unwrap();

    // Somebody logs in meanwhile: the same role, another one.
    let prove = || token.log_in(Role::User, None, PIN);
    let late = library.log_in(now(session), Role::User, || {
        library.login(session, CKU_USER, None, PIN).unwrap();
        prove()
    });
    assert_eq!(late.err(), Some(Error::UserAlreadyLoggedIn));
    assert!(logged_in().is_some());
    library.logout(session).unwrap();
    let late = library.log_in(now(session), Role::User, || {
        let login = prove();
        library.login(session, CKU_SO, None, OFFICER).unwrap();
        login
    });
    assert_eq!(late.err(), Some(Error::UserAnotherAlreadyLoggedIn));
    library.logout(session).unwrap();

    // The session closes, and it was the last one; or it is one of many.
    library.close_session(session).unwrap();
    for others in 0..2 {
        let closing = library.open_session(0, true).unwrap();
        (0..others).for_each(|_| assert!(library.open_session(0, true).is_ok()));
        let late = library.log_in(now(closing), Role::User, || {
            let login = prove();
            library.close_session(closing).unwrap();
            login
        });
        assert_eq!(late.err(), Some(Error::SessionHandleInvalid));
        assert!(logged_in().is_none(), "nobody is logged in");
    }
    library.close_all_sessions(0).unwrap();

    // A read-only session opens while an officer's password is tried.
    let session = library.open_session(0, true).unwrap();
    let mut reader = None;
    let late = library.log_in(now(session), Role::Officer, || {
        reader = Some(library.open_session(0, false).unwrap());
        token.log_in(Role::Officer, None, OFFICER)
    });
    assert_eq!(late.err(), Some(Error::SessionReadOnlyExists));
    assert!(logged_in().is_none());
    library.close_session(reader.unwrap()).unwrap();

    // Who was deleted makes room for the next one, and takes nobody else's login along.
    library.login(session, CKU_USER, None, PIN).unwrap();
    assert!(!library.log_out_where(now(session), Login::ended), "he is still there");
    assert!(logged_in().is_some());
    let officer = token.log_in(Role::Officer, None, OFFICER).unwrap();
    let access = Access { login: Some(&officer), write: true, session: 0 };
    token.delete_user(access, "user", true).unwrap();
    assert!(logged_in().is_none());
    library.login(session, CKU_SO, None, OFFICER).unwrap();
    assert_eq!(logged_in().unwrap().role, Role::Officer);
    library.logout(session).unwrap();
    assert_eq!(library.logout(session).err(), Some(Error::UserNotLoggedIn));

    let (logins, logouts) = told(token);
    assert_eq!((logins, logouts), (6, 6), "each one that the log tells of ends in it");
    Library::finalize().unwrap();
}
