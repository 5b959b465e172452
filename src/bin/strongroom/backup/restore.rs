//! `strongroom backup restore`.

use super::secrets::With;
use super::{NOBODY, unusable};
use crate::Run;
use crate::context::Context;
use crate::output::{Answer, Failure, Outcome};
use crate::pem;
use crate::progress::Progress;
use serde_json::json;
use std::path::{Path, PathBuf};
use strongroom::error::Error;
use strongroom::token::backup::{BackupFile, Cluster, Merged, Restored, Terms, What, id_of};

#[derive(clap::Args)]
pub struct Restore {
    file: PathBuf,
    #[command(flatten)]
    secret: With,
    /// Only this user, with his keys and what is shared with him. (--user says who acts.)
    #[arg(long, value_name = "NAME", conflicts_with = "only_key")]
    only_user: Option<String>,
    /// Only this object: its CKA_UNIQUE_ID.
    #[arg(long, value_name = "ID")]
    only_key: Option<String>,
    /// Also over what is newer.
    #[arg(long)]
    force: bool,
    /// Into the running cluster that this host's token is a member of: what its members lack goes to all of them.
    /// What is newer there stays, and what was destroyed stays so, unless --only-user or --only-key names it.
    #[arg(long, conflicts_with = "new_cluster")]
    merge: bool,
    /// As a token that is in no cluster: the first of a new one by `cluster init`, with another etcd or prefix.
    #[arg(long)]
    new_cluster: bool,
    /// With --merge: also what no member of this cluster wrote. It may have been destroyed before it was one.
    #[arg(long, requires = "merge", conflicts_with_all = ["only_user", "only_key"])]
    with_unknown: bool,
    /// The public key that the log inside must be signed with: a file that `audit key` wrote.
    #[arg(long, value_name = "FILE")]
    audit_key: Option<PathBuf>,
}

impl Run for Restore {
    fn run(&self, context: &mut Context) -> Outcome {
        let token = context.token()?;
        let failed = |error| match error {
            Error::UserNotLoggedIn => Failure::from(error),
            error => unusable(&self.file, error, "nothing was restored, and nothing changed."),
        };
        let what = match (&self.only_user, &self.only_key) {
            (Some(name), _) => What::User(name),
            (None, Some(id)) => What::Key(id_of(id).ok_or_else(|| {
                Failure::usage(format!("{id} is no id.")).next("give the object's CKA_UNIQUE_ID.")
            })?),
            (None, None) => What::Whole,
        };
        let audit_key = self.audit_key.as_deref().map(pem::read).transpose()?;
        let cluster = match (self.merge, self.new_cluster) {
            (true, _) => Cluster::Merge,
            (_, true) => Cluster::New,
            _ => Cluster::Unsaid,
        };
        let terms = Terms { force: self.force, audit_key, cluster, unknown: self.with_unknown };
        BackupFile::open(&self.file).map_err(failed)?;
        let secret = self.secret.read()?;
        let officer = match token.is_made() {
            true => {
                token.ready().and_then(|()| token.users().map(drop)).map_err(|_| in_the_way(token.path()))?;
                Some(context.officer(false)?)
            }
            false => None,
        };
        let access = officer.as_ref().map_or(NOBODY, |officer| officer.access());
        let mut progress = Progress::new("bytes");
        let watch = &mut |done, all| progress.at(done, all);
        let restored = token.restore_backup(access, &self.file, &secret, what, terms, watch);
        progress.end();
        let restored = restored.map_err(failed)?;
        Ok(if self.merge { merged(restored) } else { said(restored, token.path().display()) })
    }
}

/// A present token in which nobody can log in any more.
fn in_the_way(path: &Path) -> Failure {
    Failure::new(format!("The present token {} cannot be used; nothing was restored.", path.display())).next(format!(
        "if it is lost, move its files away (`{0}`, `{0}-wal`, `{0}-shm`) and do this again: then nobody has to log in. \
         `strongroom doctor` may find another way.",
        path.display()
    ))
}

fn said(restored: Restored, path: impl std::fmt::Display) -> Answer {
    let Restored { new, users, objects, left_out, .. } = restored;
    let where_to = if new { format!("a new token, {path}") } else { format!("the token {path}") };
    let mut sentence = format!("{users} users and {objects} objects are back in {where_to}.");
    if left_out > 0 {
        sentence += &format!(
            "\n{left_out} objects stayed away: others own them by now, or they have other data keys."
        );
    }
    sentence += "\nNext: `strongroom verify`; the old passwords are good.";
    Answer::done(sentence, json!({ "new": new, "users": users, "objects": objects, "left_out": left_out }))
}

fn merged(restored: Restored) -> Answer {
    let Restored { users, objects, left_out, merged, .. } = restored;
    let Merged { same, updated, newer, destroyed, unknown, removed, pending } = merged;
    let mut sentence = format!("{users} users and {objects} objects are back in the cluster.");
    let left = [
        (updated, "records were older there, and are as the backup has them."),
        (same, "are there as in the backup."),
        (newer, "are newer there, and stay."),
        (destroyed, "were destroyed there, and stay so; --only-key or --only-user brings one back."),
        (unknown, "were written by no member of this cluster and stay out; --with-unknown takes them, too."),
        (left_out, "stayed away: officers, users whose name another has, or what nobody here could open."),
        (removed, "that the backup knows to be destroyed are gone here, too."),
    ];
    for (count, what) in left.iter().filter(|(count, _)| *count > 0) {
        sentence += &format!("\n{count} {what}");
    }
    sentence += match pending {
        true => {
            "\nNot all of it is confirmed by the cluster yet: `strongroom cluster status` says when nothing is pending."
        }
        false => "\nNext: `strongroom cluster status`; all members have the same digest soon.",
    };
    let data = json!({ "users": users, "objects": objects, "left_out": left_out, "merged": merged });
    Answer::done(sentence, data)
}
