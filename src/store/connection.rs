//! The file itself: making it, opening connections, SQLite's errors as ours.

use super::claim::Claim;
use super::format;
use super::vfs;
use crate::config::SlotConfig;
use crate::error::{Error, Result};
use crate::lock::{Rank, RwLock};
use rusqlite::config::DbConfig;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Held for reading while a connection is used, for writing around a fork: SQLite's locks and
/// mappings must not be carried into a child.
pub static GATE: RwLock<()> = RwLock::new(Rank::StoreGate, ());

const BUSY: Duration = Duration::from_secs(10);

/// An error of SQLite as one of ours, the reason in the log.
pub fn sql(error: rusqlite::Error) -> Error {
    let ours = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::DeviceMemory,
        Some(ErrorCode::ReadOnly) => Error::TokenWriteProtected,
        Some(ErrorCode::OutOfMemory) => Error::HostMemory,
        Some(ErrorCode::DatabaseBusy) => Error::FunctionFailed,
        // No room for the index beside the log.
        _ if error.sqlite_error().is_some_and(|e| e.extended_code == SQLITE_IOERR_SHMSIZE) => {
            Error::DeviceMemory
        }
        _ => Error::DeviceError,
    };
    ours.because(format_args!("token file: {error}"))
}

/// An error of the file system as one of ours, the reason in the log.
pub fn io(path: &Path, error: &std::io::Error) -> Error {
    let ours = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Error::DeviceMemory,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::TokenWriteProtected,
        _ => Error::DeviceError,
    };
    ours.because(format_args!("{}: {error}", path.display()))
}

/// How to reach the file again and again.
pub struct Link {
    path: PathBuf,
    /// Device and inode of the file that was opened there.
    file: Option<(u64, u64)>,
    read_only: bool,
    /// The folder cannot be written either: there can be no index beside the log, so nobody else writes.
    alone: bool,
    /// That no other copy of this library has the file open in this process.
    claim: Claim,
}

impl Link {
    /// Looks at the file: `TokenNotRecognized` when it is not ours or of a newer format. Gives the
    /// connection that looked, good for reading.
    pub fn open(config: &SlotConfig) -> Result<(Link, Connection)> {
        let mut link = Link::at(&config.path);
        for (read_only, alone) in [(false, false), (true, false), (true, true)] {
            (link.read_only, link.alone) = (read_only, alone);
            let connection = match link.connect() {
                Ok(connection) => connection,
                Err(Error::TokenNotRecognized) => return Err(Error::TokenNotRecognized),
                Err(_) => continue,
            };
            let writable = !connection.is_readonly("main").unwrap_or(true);
            match format::check(&connection, &link.path) {
                Err(Error::DeviceMemory | Error::TokenWriteProtected) => {}
                Err(Error::DeviceError) if !alone && !writable => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    link.read_only = !writable;
                    link.file = identity(&link.path).ok();
                    return Ok((link, connection));
                }
            }
        }
        Err(Error::TokenNotRecognized.because(format_args!("{}: cannot be opened", link.path.display())))
    }

    /// Makes a new file beside its place, filled by `fill`, and puts it there whole. Nothing is opened
    /// after that: once the file is there, nothing may fail. `DeviceError` when a log of a former file
    /// still lies beside the place.
    pub fn make(config: &SlotConfig, fill: impl FnOnce(&Connection) -> Result<()>) -> Result<Link> {
        let path = &config.path;
        let failed = |e: std::io::Error| io(path, &e);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        no_log_beside(path)?;
        let draft = draft_of(path);
        let made = (|| {
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
            let connection = open_watched(&draft, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            // A draft that is not finished is thrown away, and a finished one is synced whole.
            connection
                .execute_batch(
                    "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; PRAGMA secure_delete = ON;",
                )
                .map_err(sql)?;
            format::make(&connection)?;
            fill(&connection)?;
            connection.pragma_update(None, "journal_mode", "WAL").map_err(sql)?;
            connection.close().map_err(|(_, e)| sql(e))?;
            fs::File::open(&draft).and_then(|file| file.sync_all()).map_err(failed)?;
            // A file of length zero may lie there (made by mktemp, say); it holds nothing.
            if fs::metadata(path).is_ok_and(|file| file.len() == 0) {
                fs::remove_file(path).map_err(failed)?;
            }
            no_log_beside(path)?;
            fs::hard_link(&draft, path).map_err(failed)?;
            sync_folder(path).map_err(failed)
        })();
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut leftover = draft.clone().into_os_string();
            leftover.push(suffix);
            let _ = fs::remove_file(leftover);
        }
        made.map(|()| Link { file: identity(path).ok(), ..Link::at(path) })
    }

    fn at(path: &Path) -> Link {
        let claim = Claim::default();
        Link { path: path.to_owned(), file: None, read_only: false, alone: false, claim }
    }

    /// `DeviceRemoved` when the opened file lies at its path no more: what is written to it now is lost
    /// with it, and SQLite would not tell.
    pub fn in_place(&self) -> Result<()> {
        let why = match identity(&self.path) {
            Ok(now) if self.file.is_none_or(|file| file == now) => return Ok(()),
            Ok(_) => "another file lies there now; programs that use it have to be started anew",
            Err(error) if error.kind() == ErrorKind::NotFound => "was removed",
            // Not to be seen any more, by a process that has become another user.
            Err(_) => return Ok(()),
        };
        Err(Error::DeviceRemoved.because(format_args!("{}: {why}", self.path.display())))
    }

    pub fn read_only(&self) -> bool {
        self.read_only
    }

    fn connect(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let mode =
            if self.read_only { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
        self.claim.take(&self.path)?;
        let connection = if self.alone {
            self.connect_alone(flags | mode).map_err(sql)?
        } else {
            open_watched(&self.path, flags | mode)?
        };
        connection.busy_timeout(BUSY).map_err(sql)?;
        connection.set_prepared_statement_cache_capacity(64);
        // Of what was read, in KiB; taken as it is used. Ten thousand keys fit. It reads the file: what is wrong with
        // that, `check_format` says better.
        let _ = connection.pragma_update(None, "cache_size", -16_000);
        // Or SQLite would plan a prepared statement anew each time a value is bound to it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(sql)?;
        Ok(connection)
    }

    /// Without locks and without an index file beside the log. The log, if there is one, is read: it
    /// holds the latest commits.
    fn connect_alone(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        let path = self.path.to_string_lossy();
        let escaped = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        if fs::metadata(log).is_ok_and(|log| log.len() > 0) {
            let connection = Connection::open_with_flags(format!("file:{escaped}?vfs=unix-none"), flags)?;
            connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
            return Ok(connection);
        }
        Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
    }

    pub fn reader(&self) -> Result<Connection> {
        self.connect()
    }

    pub fn writer(&self) -> Result<Connection> {
        let connection = self.connect()?;
        connection
            .execute_batch(&format!(
                "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF; \
                 PRAGMA max_page_count = {};",
                vfs::MOST_PAGES
            ))
            .map_err(sql)?;
        format::migrate(&connection)?;
        Ok(connection)
    }
}

/// Opens a file that may be written: by `vfs`, and nothing of it is put elsewhere.
fn open_watched(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags_and_vfs(path, flags, vfs::name()?).map_err(sql)?;
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(sql)?;
    Ok(connection)
}

/// Whether each commit waits for the disk, or only for its place in the log's order: after a loss of power the
/// last ones may be gone then, and with them all that came after.
pub fn wait_for_disk(connection: &Connection, wait: bool) -> Result<()> {
    connection.pragma_update(None, "synchronous", if wait { "FULL" } else { "NORMAL" }).map_err(sql)
}

/// Makes what was committed without waiting durable now.
pub fn sync_log(connection: &Connection) -> Result<()> {
    // Any commit that waits takes along all that lies before it in the log.
    connection.execute("UPDATE meta SET value = value WHERE name = 'state'", []).map(drop).map_err(sql)
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Closes without moving the log into the file: before a fork there is no time for it.
pub fn close_quickly(connection: Option<Connection>) {
    if let Some(connection) = connection {
        let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }
}

/// A value of the `meta` table.
pub fn meta(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = ?").map_err(sql)?;
    statement.query_row([name], |row| row.get(0)).optional().map_err(sql)
}

/// Moves the write-ahead log into the file and empties it: what was deleted is then gone from both, and
/// from the pages that this connection remembers and may write again (what others remember they forget,
/// since the log began anew). `wait`: for those who read just now, and still need what is in the log.
/// Answers whether it is done.
pub fn truncate_log(connection: &Connection, wait: Duration) -> bool {
    let _ = connection.busy_timeout(wait);
    let busy: rusqlite::Result<i64> =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    let _ = connection.busy_timeout(BUSY);
    busy == Ok(0) && connection.release_memory().is_ok()
}

/// Refuses a place beside which SQLite's log of a former file lies: the first who opens the new file would
/// replay it over that. Never removed here: it may hold the former token's last commits.
fn no_log_beside(path: &Path) -> Result<()> {
    for suffix in ["-wal", "-journal"] {
        let mut log = path.to_owned().into_os_string();
        log.push(suffix);
        if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            return Err(Error::DeviceError.because(format_args!(
                "{} was left by a token file that is gone, and would be mixed into a new one: move it away first",
                Path::new(&log).display()
            )));
        }
    }
    Ok(())
}

/// How old a draft is that nobody finishes any more: making one takes seconds.
const STALE: Duration = Duration::from_secs(600);

/// Whether a file's name is one that `draft_of` gave for `path`, or one of SQLite's beside it.
fn is_draft(path: &Path, name: &OsStr) -> bool {
    let (Some(stem), Some(name)) = (path.file_stem().and_then(OsStr::to_str), name.to_str()) else {
        return false;
    };
    let Some(rest) = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix(".draft-")) else {
        return false;
    };
    let number = |part: Option<&str>| {
        part.is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut parts = rest.split('-');
    number(parts.next())
        && number(parts.next())
        && matches!(parts.next(), None | Some("wal" | "shm" | "journal"))
        && parts.next().is_none()
}

/// Throws away what killed processes left of their drafts. By their age: a process may be in another
/// container, where its number says nothing.
fn remove_stale_drafts(path: &Path) {
    let Ok(entries) = fs::read_dir(folder_of(path)) else { return };
    for entry in entries.flatten().filter(|entry| is_draft(path, &entry.file_name())) {
        let modified = entry.metadata().and_then(|file| file.modified()).ok();
        if modified.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > STALE) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A name beside `path` that nobody else uses now, and no file of a process that died.
pub fn draft_of(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    remove_stale_drafts(path);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let draft = path.with_extension(format!("draft-{}-{number}", std::process::id()));
    let _ = fs::remove_file(&draft);
    draft
}

/// Makes the names in a file's folder durable.
pub fn sync_folder(path: &Path) -> std::io::Result<()> {
    fs::File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The folder of a token's files, mode 0700 when it is made here.
pub fn make_folder(folder: &Path) -> Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| io(folder, &e))
}
