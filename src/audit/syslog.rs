//! Lines of the log to the system's logger, as glibc's `syslog` sends them: a datagram with priority,
//! program and process. A copy: what does not get through is still in the token's log.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

/// How long a full socket may hold the caller up.
const PATIENCE: Duration = Duration::from_millis(20);
/// Facility authpriv, severity notice.
const PRIORITY: u8 = 10 << 3 | 5;

/// Sends lines in order; gives up at the first that does not get through, and says so in the log.
pub fn send(socket: &Path, lines: &[Vec<u8>]) {
    let sent = (|| {
        let own = UnixDatagram::unbound()?;
        own.set_write_timeout(Some(PATIENCE))?;
        let start = format!("<{PRIORITY}>strongroom[{}]: ", std::process::id());
        for line in lines {
            own.send_to(&[start.as_bytes(), line].concat(), socket)?;
        }
        std::io::Result::Ok(())
    })();
    if let Err(error) = sent {
        log::warn!("audit lines did not reach {}: {error}", socket.display());
    }
}
