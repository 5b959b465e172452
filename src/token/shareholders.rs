//! Reset policy `quorum`: which officers hold shares of users' reset keys.
//!
//! Whoever could make shareholders alone would be a quorum alone. So an officer who is new, or whose
//! password another officer set, manages like every officer and holds no shares. He first gives himself a
//! password, which comes with new keys that nobody else ever had. Then, while there are fewer
//! shareholders than a quorum, he is one at once: there is nobody to ask, and no user whose keys he could
//! reach. Later a quorum of the present ones must say yes. The number of shareholders never falls below a
//! quorum again, or the same would begin from the start.

use super::Login;
use super::reset::{Request, refused};
use super::users::{User, request_term};
use crate::audit::{Event, Note};
use crate::error::{Error, Result};
use crate::store::{Change, Id, Kind};
use std::sync::Arc;

/// An officer's part in resets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// He holds shares of users who get a password from now on. Also of all officers under other policies.
    #[default]
    Holds,
    /// Another officer knows his password.
    Given,
    /// He has a password of his own and waits for the others' approval.
    Waits,
}

impl Part {
    /// As a field of the record; `None`: absent.
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Part::Holds => None,
            Part::Given => Some(1),
            Part::Waits => Some(2),
        }
    }

    pub(super) fn of(number: Option<u64>) -> Option<Part> {
        match number {
            None => Some(Part::Holds),
            Some(1) => Some(Part::Given),
            Some(2) => Some(Part::Waits),
            Some(_) => None,
        }
    }
}

impl Change<'_> {
    /// The officers who hold shares, as this transaction sees them.
    pub(super) fn shareholders(&mut self) -> Result<Vec<User>> {
        let mut officers = self.officers()?;
        officers.retain(|officer| officer.part == Part::Holds);
        Ok(officers)
    }
}

/// Before an officer is deleted or gets a password from another: what he approved and asked for is void.
/// `ActionProhibited` when too few shareholders would remain.
pub fn leave(change: &mut Change<'_>, officer: &User, threshold: u32) -> Result<()> {
    let holders = change.shareholders()?;
    if officer.part == Part::Holds && holders.len() == threshold as usize {
        return Err(Error::ActionProhibited.because(format_args!(
            "reset policy quorum: {threshold} officers must hold shares, and without {} it would be {}; \
             another one must take part first (`strongroom reset request OFFICER`)",
            officer.name,
            holders.len() - 1
        )));
    }
    let gone = officer.header.id;
    for header in change.find(Kind::User, &[Id::NONE], &[request_term()])? {
        let Some(mut user) = change.user(header.id)? else { continue };
        let Some(request) = &mut user.request else { continue };
        let before = request.approvals.len();
        request.approvals.retain(|(from, _)| *from != gone);
        let fewer = request.approvals.len() < before;
        let his = request.officer == gone || user.header.id == gone;
        if his {
            user.request = None;
        }
        if his || fewer {
            user.save(change)?;
        }
    }
    Ok(())
}

/// His part after he gave himself a password, when another had given him the last one.
pub fn part_of_own_password(change: &mut Change<'_>, threshold: u32) -> Result<Part> {
    let enough = change.shareholders()?.len() >= threshold as usize;
    Ok(if enough { Part::Waits } else { Part::Holds })
}

/// The request that an officer may hold shares. `ActionProhibited` when he does, or when another knows his
/// password.
pub fn ask(change: &mut Change<'_>, asking: &Login, officer: &User, request: Request) -> Result<Request> {
    match officer.part {
        Part::Holds => Err(refused(&officer.name, "takes part in resets already")),
        Part::Given => Err(refused(
            &officer.name,
            "another officer knows the password; the officer changes it first (`strongroom user change-password`)",
        )),
        Part::Waits => {
            let yes = change.user(asking.user)?.is_some_and(|asking| asking.part == Part::Holds);
            let approvals = if yes { vec![(asking.user, Vec::new())] } else { Vec::new() };
            Ok(Request { approvals, ..request })
        }
    }
}

/// One more yes; the last one that is needed makes him a shareholder.
pub fn approve(
    change: &mut Change<'_>,
    approving: &Arc<Login>,
    officer: &mut User,
    threshold: u32,
) -> Result<()> {
    let name = officer.name.clone();
    let holders: Vec<Id> = change.shareholders()?.iter().map(|holder| holder.header.id).collect();
    let request = officer.request.as_mut().filter(|request| !request.is_void());
    let request = request.ok_or_else(|| refused(&name, "nobody asks for it"))?;
    if !holders.contains(&approving.user) {
        return Err(refused(&name, "this officer holds no shares himself"));
    }
    if request.approvals.iter().any(|(from, _)| *from == approving.user) {
        return Err(refused(&name, "this officer has approved it"));
    }
    request.approvals.push((approving.user, Vec::new()));
    let yes = request.approvals.iter().filter(|(from, _)| holders.contains(from)).count();
    if yes >= threshold as usize {
        officer.part = Part::Holds;
        officer.request = None;
        change.audit(Some(approving), Note::of(Event::ShareholderAdded).user(officer.person()))?;
    }
    Ok(())
}
