//! `strongroom cluster remove|rotate`: a host leaves, and what is written from then on is closed to it.

use super::{engine, no_member, stopped};
use crate::context::Context;
use crate::output::{Answer, Failure, Outcome};
use serde_json::json;
use strongroom::error::Error;
use strongroom::sync::{Stop, epochs};
use strongroom::token::{Member, Token};

/// The member of this name, or of this id.
fn named(token: &Token, wanted: &str) -> Result<Member, Failure> {
    let members = token.members()?;
    let found: Vec<Member> = members
        .into_iter()
        .filter(|member| member.name == wanted || member.id.to_string() == wanted)
        .collect();
    let list = "`strongroom cluster list` shows who is.";
    match <[Member; 1]>::try_from(found) {
        Ok([member]) => Ok(member),
        Err(none) if none.is_empty() => {
            Err(Failure::new(format!("No member is called {wanted}.")).next(list))
        }
        Err(_) => Err(Failure::new(format!("Several members are called {wanted}."))
            .next("name the one that is meant by its id; `strongroom cluster list` shows it.")),
    }
}

/// Every member that stays must be able to get the new epoch's key.
fn all_can_follow(token: &Token, leaves: Option<&Member>) -> Result<(), Failure> {
    let lacks = |member: &Member| member.receives.is_none() && leaves.is_none_or(|gone| gone.id != member.id);
    let lacking: Vec<String> = token.members()?.into_iter().filter(lacks).map(|member| member.name).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} cannot follow to a new epoch yet; nothing was changed.",
        lacking.join(", ")
    ))
    .next("bring Strongroom up to date there and start its agent once; or remove that host, too."))
}

fn begun(result: Result<u32, Stop>, what: &str) -> Result<u32, Failure> {
    result.map_err(|stop| match stop {
        Stop::Host(error @ Error::ActionProhibited) => no_member(error),
        other => stopped(what, other),
    })
}

pub fn remove(context: &mut Context, name: &str) -> Outcome {
    let engine = engine(context)?;
    let officer = context.officer(false)?;
    let token = context.ready_token()?;
    let peer = token.peer()?.ok_or_else(|| no_member(Error::ActionProhibited))?;
    let member = named(token, name)?;
    if member.id == peer {
        return Err(Failure::new("This is the host that would leave; nothing was changed.")
            .next("let an officer on another member remove it."));
    }
    all_can_follow(token, Some(&member))?;
    let begun_now = epochs::rotate(token, &engine, officer.access(), Some(member.id));
    let what = format!(
        "{} may be out already, and the new epoch did not begin: `strongroom cluster rotate` begins it.",
        member.name
    );
    let epoch = begun(begun_now, &what)?;
    let sentence = format!(
        "{} is no member any more; epoch {epoch} begins, and nothing written from now on opens with what that host \
         has.\nNext: take away its certificate and its user of etcd. The agents seal everything anew; `strongroom \
         cluster status` shows how far they are.",
        member.name
    );
    Ok(Answer::done(sentence, json!({ "name": member.name, "peer": member.id.to_string(), "epoch": epoch })))
}

pub fn rotate(context: &mut Context) -> Outcome {
    let engine = engine(context)?;
    let officer = context.officer(false)?;
    let token = context.ready_token()?;
    all_can_follow(token, None)?;
    let epoch =
        begun(epochs::rotate(token, &engine, officer.access(), None), "The new epoch did not begin.")?;
    let sentence = format!(
        "Epoch {epoch} begins. The agents seal everything anew; `strongroom cluster status` shows how far they are."
    );
    Ok(Answer::done(sentence, json!({ "epoch": epoch })))
}
