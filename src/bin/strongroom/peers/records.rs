//! `strongroom cluster verify` and `cluster resync`: record by record.

use super::{engine, no_member, stopped};
use crate::Run;
use crate::context::Context;
use crate::output::{Answer, Failure, Outcome};
use crate::progress::Progress;
use serde::Serialize;
use serde_json::json;
use strongroom::error::Error;
use strongroom::store::keeper::Standing;
use strongroom::sync::Stop;
use strongroom::sync::compare::{Difference, Finding, Unread, compare, resync};
use strongroom::sync::status::{Observer, Overview};

/// Compare this host's records with etcd's, and the digests.
#[derive(clap::Args)]
pub struct Verify {}

/// Read everything again, and send what etcd lacks.
#[derive(clap::Args)]
pub struct Resync {}

#[derive(Serialize)]
struct Found {
    record: String,
    kind: String,
    difference: &'static str,
    version_here: Option<u64>,
    version_in_etcd: Option<u64>,
    pending: bool,
    why: String,
}

#[derive(Serialize)]
struct Digest {
    name: String,
    digest: String,
    same_digest: Option<bool>,
}

fn found(finding: Finding) -> Found {
    let (difference, why) = match finding.difference {
        Difference::MissingHere => ("missing here", String::new()),
        Difference::MissingInEtcd => ("missing in etcd", String::new()),
        Difference::NewerHere => ("newer here", String::new()),
        Difference::NewerInEtcd => ("newer in etcd", String::new()),
        Difference::NotTheSame => ("different", String::new()),
        Difference::Refused(why) => ("refused", why),
        Difference::Damaged(why) => ("damaged here", why),
    };
    Found {
        record: finding.record,
        kind: finding.kind.map(|kind| format!("{kind:?}").to_lowercase()).unwrap_or_default(),
        difference,
        version_here: finding.here,
        version_in_etcd: finding.in_etcd,
        pending: finding.pending,
        why,
    }
}

/// Digests mean something of hosts that have everything only.
fn digests(overview: &Overview) -> Vec<Digest> {
    let row = |row: &strongroom::sync::status::Row| {
        let here = &overview.here.digest;
        let digest = match row.this_host {
            true => here.clone(),
            false => row.said.as_ref().map(|said| said.digest.clone()).unwrap_or_default(),
        };
        let same_digest = match row.standing {
            _ if digest == *here => Some(true),
            Some(Standing::Differs) => Some(false),
            _ => None,
        };
        Digest { name: row.member.name.clone(), digest, same_digest }
    };
    overview.members.iter().map(row).collect()
}

impl Run for Verify {
    fn run(&self, context: &mut Context) -> Outcome {
        let engine = engine(context)?;
        let token = context.ready_token()?;
        let mut progress = Progress::new("records");
        let compared = compare(token, &engine, &mut |done, all| progress.at(done, all));
        progress.end();
        let compared = compared.map_err(no_member)?;
        let compared = compared.map_err(|stop| stopped("The records could not be compared.", stop))?;
        let overview = Observer::new(token, &engine)?.look().map_err(no_member)?;
        let digests = digests(&overview);
        let (records, revision) = (compared.compared, compared.revision);
        let findings: Vec<Found> = compared.findings.into_iter().map(found).collect();
        let named = |wanted: Option<bool>| -> Vec<String> {
            let those = digests.iter().filter(|row| row.same_digest == wanted);
            those.map(|row| row.name.clone()).collect()
        };
        let (other, unknown) = (named(Some(false)), named(None));
        let sentence = format!(
            "{records} records compared with etcd at revision {revision}: {} differ. Members with the same \
             digest: {}; with another: {}; behind or not heard of: {}.",
            findings.len(),
            list(&named(Some(true))),
            list(&other),
            list(&unknown),
        );
        let data = json!({
            "records": records, "revision": revision, "findings": findings, "members": digests
        });
        if findings.is_empty() && other.is_empty() {
            return Ok(Answer::done(sentence, data));
        }
        let next = match findings.iter().all(|one| one.difference == "refused") && !findings.is_empty() {
            true => {
                "find out who writes to etcd besides the members; a member that has the record writes over \
                 what was altered."
            }
            false => {
                "`strongroom cluster status` says whether this host is in step; `strongroom cluster resync` reads \
                 everything again and sends what etcd lacks. If this host is the one that is right, do the same on \
                 the others."
            }
        };
        let shown = Answer::rows_for_people("findings", Vec::<()>::new(), findings).for_people();
        let failure = Failure::new("This host, etcd and the members do not hold the same.").because(sentence);
        Err(failure.next(next).showing(Answer::bytes(shown, data)))
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

impl Run for Resync {
    fn run(&self, context: &mut Context) -> Outcome {
        let engine = engine(context)?;
        let token = context.ready_token()?;
        let mut progress = Progress::new("records");
        let done = resync(token, &engine, &mut |done, all| progress.at(done, all));
        progress.end();
        let done = done.map_err(|unread| match unread {
            Unread::Stop(Stop::Host(error @ Error::ActionProhibited)) => no_member(error),
            Unread::Stop(stop) => stopped("Not everything was read.", stop),
            Unread::Later(why) => Failure::new("The agent will read everything again when etcd is back.")
                .because(why)
                .next("nothing; `strongroom cluster status` says when it is."),
        })?;
        let by = if done.by_keeper { "whoever keeps this host in step" } else { "this command" };
        let mut sentence = format!("Everything was read again, by {by}.");
        if let (Some(taken), Some(sent)) = (done.taken, done.sent) {
            sentence += &format!(" Taken: {taken} records. Sent: {sent}.");
        }
        let data = json!({
            "by_agent": done.by_keeper, "taken": done.taken, "sent": done.sent, "pending": done.pending
        });
        if done.pending > 0 {
            sentence += &format!(" etcd still lacks {} records.", done.pending);
            return Err(Failure::new(sentence)
                .next("`strongroom cluster status` says why, as the last error of this host.")
                .showing(Answer::bytes(Vec::new(), data)));
        }
        Ok(Answer::done(sentence, data))
    }
}
