//! Only what an export holds leaves the log.

use super::*;

#[test]
fn old_entries_leave_when_an_export_has_them() {
    let house = House::new();
    let token = house.process();
    let officer = house.officer(&token);
    let alice = token.log_in(Role::User, Some("alice"), b"pw-alice").unwrap();
    let export = |from: u64| {
        token.audit_checkpoint(access(&officer)).unwrap();
        let mut lines = Vec::new();
        let take = |_: Entry, line: &[u8]| {
            lines.extend_from_slice(line);
            lines.push(b'\n');
            true
        };
        token.audit_lines(access(&officer), from, take).unwrap();
        lines
    };
    let prune =
        |who: &Arc<Login>, before: &str, export: &[u8]| token.audit_prune(access(who), before, export);
    let (late, early) = ("2999-01-01T00:00:00Z", "2000-01-01T00:00:00Z");
    let refused = Some(Error::ActionProhibited);
    records(&token, &officer, 20);
    let first = export(1);
    let tip = token.audit_verify(None).unwrap().found.tip.sequence;
    records(&token, &officer, 10);
    // Who may not, what is too young, and exports that do not hold it all or are not of this log.
    assert_eq!(prune(&alice, late, &first).err(), Some(Error::UserNotLoggedIn));
    assert_eq!(prune(&officer, early, &first).err(), refused);
    let lines: Vec<&[u8]> = first.split_inclusive(|byte| *byte == b'\n').collect();
    let other = House::new();
    let foreign = {
        let token = other.process();
        let officer = other.officer(&token);
        token.audit_checkpoint(access(&officer)).unwrap();
        let mut all = Vec::new();
        let take = |_: Entry, line: &[u8]| {
            all.extend_from_slice(&[line, b"\n"].concat());
            true
        };
        token.audit_lines(access(&officer), 1, take).unwrap();
        all
    };
    let mut altered = first.clone();
    altered[200] ^= 1;
    let holed = [&lines[..5], &lines[6..]].concat().concat();
    for wrong in [&b""[..], &lines[1..].concat(), &altered, &foreign, &holed] {
        assert_eq!(prune(&officer, late, wrong).err(), refused);
    }
    assert!(house.faults().is_empty());
    assert_eq!(house.entries()[0].sequence, 1, "nothing went");
    // It goes: up to the checkpoint, which stays, and the log says so.
    let done = prune(&officer, late, &first).unwrap();
    assert_eq!(done, Pruned { removed: tip - 1, first: tip });
    let entries = house.entries();
    assert_eq!((entries[0].sequence, entries[0].event.as_str()), (tip, "checkpoint"));
    assert!(entries.iter().any(|entry| entry.event == "audit-pruned"));
    let found = house.process().audit_verify(None).unwrap().found;
    assert_eq!((found.first, found.faults.len()), (tip, 0));
    assert!(house.faults().is_empty());
    // The export is accepted for the rest, also one that ends just before what is left.
    let key = token.audit_key().unwrap().unwrap();
    let holds = |export: &[u8]| {
        let end = crate::audit::chain::check_export(export, key).unwrap().tip;
        token.audit_verify(Some(end)).unwrap().holds
    };
    assert_eq!((holds(&first), holds(&foreign)), (Some(true), Some(false)));
    assert_eq!(holds(&lines[..lines.len() - 1].concat()), Some(true));
    // The second time, with an export from where the log begins now.
    records(&token, &officer, 10);
    assert_eq!(prune(&officer, late, &first).err(), refused, "nothing more is in it");
    let second = export(tip);
    let again = prune(&officer, late, &second).unwrap();
    assert!(again.first > done.first && house.faults().is_empty());
    // A thief who cuts more, at a checkpoint even, is noticed.
    token.audit_checkpoint(access(&officer)).unwrap();
    let end = token.audit_verify(None).unwrap().found.tip.sequence;
    house.sql(&format!("DELETE FROM audit WHERE sequence < {end}"));
    let faults = house.faults();
    assert!(faults.iter().any(|fault| fault.contains("are missing")), "{faults:?}");
}

/// A restore put another log there after the export was compared with the one before: nothing of it goes.
#[test]
fn entries_of_a_log_that_was_replaced_meanwhile_stay() {
    let house = House::new();
    let token = house.process();
    let (store, officer) = (token.store().unwrap(), house.officer(&token));
    let end = || house.process().store().unwrap().log().unwrap().tip;
    house.sql("CREATE TABLE kept AS SELECT value FROM meta WHERE name = 'state'");
    records(&token, &officer, 2);
    token.audit_checkpoint(access(&officer)).unwrap();
    let checkpoint = end();
    records(&token, &officer, 1);
    let exported = end();
    let remove = |first, exported| {
        token.remove_exported(access(&officer), &store, "2999-01-01T00:00:00Z", first, exported)
    };
    let elsewhere = Tip { hash: [7; 32], ..exported };
    assert_eq!(remove(checkpoint, elsewhere), Err(Error::FunctionFailed), "the export is of another log");
    // Another history from before the export on, with as many entries.
    house.sql(
        "UPDATE meta SET value = (SELECT value FROM kept) WHERE name = 'state';
         DELETE FROM audit WHERE sequence > (SELECT max(sequence) - 4 FROM audit); DROP TABLE kept",
    );
    records(&token, &officer, 2);
    token.audit_checkpoint(access(&officer)).unwrap();
    let other = end();
    records(&token, &officer, 1);
    assert_eq!((other.sequence, end().sequence), (checkpoint.sequence, exported.sequence));
    for first in [checkpoint, other] {
        assert_eq!(remove(first, exported), Err(Error::FunctionFailed));
    }
    assert_eq!(house.entries()[0].sequence, 1, "nothing went");
    assert_eq!(remove(other, end()).unwrap().removed, other.sequence - 1);
    assert!(house.faults().is_empty());
}
