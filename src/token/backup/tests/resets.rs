//! Restores, and what officers may reset after them.

use super::*;
use crate::config::ResetPolicy;

fn quorum() -> Site {
    Site::of(House::of(ResetPolicy::Quorum { threshold: 2 }, &["carol"]))
}

fn second_officer(token: &Token) -> Arc<Login> {
    token.log_in(Role::Officer, Some("carol"), b"pw-carol").unwrap()
}

#[test]
fn with_a_quorum_a_present_user_is_replaced_and_can_be_reset() {
    let site = quorum();
    let token = site.house.process();
    insert(&token, access(&person(&token, "alice")), key("hers", true)).unwrap();
    let file = site.back_up(&token);
    site.restore(&token, &file, What::User("alice"), true).unwrap();
    person(&token, "alice");
    let (boss, carol) = (officer(&token), second_officer(&token));
    token.request_reset(access(&boss), "alice").unwrap();
    token.approve_reset(access(&carol), "alice").unwrap();
    token.reset_password(access(&boss), "alice", b"forgot-the-old").unwrap();
    let alice = token.log_in(Role::User, Some("alice"), b"forgot-the-old").unwrap();
    assert_eq!(sees(&token, &alice, "hers"), 1);
    whole(&token);
}
