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

#[test]
fn a_request_of_another_time_does_not_come_back() {
    let site = quorum();
    let token = site.house.process();
    let (boss, carol) = (officer(&token), second_officer(&token));
    token.request_reset(access(&boss), "alice").unwrap();
    token.approve_reset(access(&carol), "alice").unwrap();
    let file = site.back_up(&token);
    token.cancel_reset(access(&carol), "alice").unwrap();
    let refuses = |token: &Token| {
        let boss = officer(token);
        assert_eq!(token.pending_resets(access(&boss)).unwrap().len(), 0);
        let refused = token.reset_password(access(&boss), "alice", b"by one alone").err();
        assert_eq!(refused, Some(Error::ActionProhibited));
        whole(token);
    };
    for what in [What::Whole, What::User("alice")] {
        site.restore(&token, &file, what, true).unwrap();
        refuses(&token);
        let (_folder, config) = elsewhere();
        let there = Token::new(config);
        site.restore(&there, &file, what, false).unwrap();
        refuses(&there);
    }
}

#[test]
fn keys_under_a_reset_key_that_nobody_here_knows_stay_under_none() {
    let site = Site::new();
    let token = site.house.process();
    let boss = officer(&token);
    let file = site.back_up(&token);
    token.create_user(access(&boss), "carol", Role::Officer, b"pw-carol").unwrap();
    let carol = second_officer(&token);
    token.delete_user(access(&carol), "so", true).unwrap();
    token.delete_user(access(&carol), "alice", true).unwrap();
    let alice = What::User("alice");
    token
        .restore_backup(access(&carol), &file, &site.secrets, alice, Terms::default(), &mut quiet())
        .unwrap();
    let id = person(&token, "alice").user;
    let record = token.load_user(&token.store().unwrap(), id).unwrap().unwrap();
    assert_eq!(record.keys_for_reset, b"", "who left may have kept what opens them");
    let refused = token.reset_password(access(&carol), "alice", b"forgot-the-old").err();
    assert_eq!(refused, Some(Error::ActionProhibited));
    whole(&token);
}
