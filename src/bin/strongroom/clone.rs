//! `strongroom cluster clone`: what one cluster holds, in another with members of its own, at another etcd.

use crate::Run;
use crate::backup::secrets::With;
use crate::backup::unusable;
use crate::context::Context;
use crate::output::{Answer, Failure, Outcome};
use crate::peers::{answered, bad_name, engine, is_free, name_or_host, stopped};
use crate::pem;
use crate::progress::Progress;
use serde_json::json;
use std::path::{Path, PathBuf};
use strongroom::config::{ClusterConfig, Config, SlotConfig};
use strongroom::error::Error;
use strongroom::sync::join;
use strongroom::token::backup::{BackupFile, id_of};
use strongroom::token::{Joining, Token};

/// Make this host, which has no token, the first member of a copy of a cluster, at the etcd of its configuration.
///
/// The copy has the same users, passwords, keys and seal key, and its own members. Nothing goes from one cluster
/// to the other by itself: `key replicate` and `user replicate` take what is made later.
#[derive(clap::Args)]
pub struct Clone {
    /// From a backup that was made there. Needs its secret.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["from_config", "from_slot"],
          conflicts_with_all = ["from_config", "from_slot"])]
    from_backup: Option<PathBuf>,
    #[command(flatten)]
    secret: With,
    /// The public key that the log in the backup must be signed with: a file that `audit key` wrote.
    #[arg(long, value_name = "FILE", requires = "from_backup")]
    audit_key: Option<PathBuf>,
    /// From the cluster itself, whose etcd a slot of this configuration names [default: the present one]. An
    /// officer on a member says yes by `cluster approve --as-clone`, as for a host that joins.
    #[arg(long, value_name = "CONFIG")]
    from_config: Option<PathBuf>,
    /// That slot's number [default: 0].
    #[arg(long, value_name = "NUMBER")]
    from_slot: Option<u64>,
    /// This host's name among its peers [default: the host's].
    #[arg(long)]
    name: Option<String>,
    /// How long to wait for the officer's yes, in seconds.
    #[arg(long, default_value_t = 900, value_name = "SECONDS")]
    wait: u64,
}

impl Run for Clone {
    fn run(&self, context: &mut Context) -> Outcome {
        let (slot, etcd) = (context.slot()?, engine(context)?);
        if context.token()?.path().exists() {
            return Err(Failure::new(format!("There is a token already at {}.", slot.path.display()))
                .next("give the slot of the clone another `path`."));
        }
        let name = name_or_host(self.name.clone());
        match &self.from_backup {
            Some(file) => self.of_backup(context, &etcd, file, &name)?,
            None => self.of_cluster(context, &etcd, &slot, &name)?,
        }
        let info = context.ready_token()?.info()?;
        let sentence = format!(
            "{name} is the first member of a clone of token {}, below `{}` in its own etcd.\nNext: `strongroom agent` \
             on this host, as a service, then `strongroom cluster join` on others; and a copy of its seal key in a \
             safe place.",
            info.serial, etcd.prefix
        );
        Ok(Answer::done(sentence, json!({ "name": name, "serial": info.serial })))
    }
}

impl Clone {
    fn of_backup(
        &self,
        context: &mut Context,
        etcd: &ClusterConfig,
        file: &Path,
        name: &str,
    ) -> Result<(), Failure> {
        let failed = |error| match error {
            Error::ArgumentsBad => bad_name(error),
            error => unusable(file, error, "no clone was made."),
        };
        let no_backup = |error| unusable(file, error, "no clone was made.");
        let audit_key = self.audit_key.as_deref().map(pem::read).transpose()?;
        let header = BackupFile::open(file).map_err(no_backup)?.header;
        // What the header says is proved when the backup is read.
        let id = id_of(&header.token).ok_or_else(|| no_backup(Error::EncryptedDataInvalid))?;
        is_free(etcd, id)?;
        let secret = self.secret.read()?;
        let token = context.token()?;
        let mut progress = Progress::new("bytes");
        let watch = &mut |done, all| progress.at(done, all);
        let made = token.clone_from_backup((file, &secret), name, audit_key, watch);
        progress.end();
        made.map(drop).map_err(failed)
    }

    fn of_cluster(
        &self,
        context: &mut Context,
        etcd: &ClusterConfig,
        slot: &SlotConfig,
        name: &str,
    ) -> Result<(), Failure> {
        let source = self.source(context)?;
        let joining = Joining::new(name).map_err(bad_name)?;
        let joined = answered(&joining, &source, self.wait, " --as-clone")?;
        if joined.as_member() {
            return Err(Failure::new(
                "The officer approved a member, and this host asks for a clone; nothing was made.",
            )
            .next("have it approved with --as-clone; `cluster list` there shows a member that is none."));
        }
        is_free(etcd, joined.token())?;
        // What is read is a file of the other cluster's until all of it is there.
        let draft = Draft(slot.path.with_extension("clone"));
        draft.remove();
        let config = SlotConfig { path: draft.0.clone(), cluster: None, ..slot.clone() };
        joined.make(&config)?;
        let reading = Token::new(config);
        let mut progress = Progress::new("records");
        let read = join::read_everything(&reading, &source, &mut |done, all| progress.at(done, all));
        progress.end();
        read.map_err(|stop| stopped("The cluster could not be read; no clone was made.", stop))?;
        context.token()?.clone_of(&reading, name)?;
        reading.close();
        Ok(())
    }

    /// The other cluster's etcd.
    fn source(&self, context: &mut Context) -> Result<ClusterConfig, Failure> {
        let number = self.from_slot.unwrap_or(0);
        let slots = match &self.from_config {
            Some(path) => Config::read(path)?.slots,
            None => context.config()?.slots.clone(),
        };
        let slot = slots.into_iter().find(|slot| slot.id == number);
        slot.and_then(|slot| slot.cluster).ok_or_else(|| {
            Failure::new(format!("Slot {number} names no etcd to clone from.")).next(
                "name the configuration with --from-config, and the slot that has its [slot.cluster] with --from-slot.",
            )
        })
    }
}

/// The file of what is being read; gone in the end.
struct Draft(PathBuf);

impl Draft {
    fn remove(&self) {
        for more in ["", "-wal", "-shm"] {
            let mut name = self.0.clone().into_os_string();
            name.push(more);
            let _ = std::fs::remove_file(name);
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.remove();
    }
}
