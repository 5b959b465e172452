//! What people wait for: logins, a list of many users, a key that someone else shares.

use crate::module::{Module, OTHER, PIN, SO_PIN};
use crate::{processor_time, race};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const USERS: usize = 2_000;

/// In milliseconds of this thread's processor time: the first C_Login of a process, and the next ones.
pub fn logins(modules: &mut [Module], broken: &mut Vec<String>) {
    println!("\nC_Login, milliseconds: the first of a process (best of 5), again (median)");
    for (number, module) in modules.iter_mut().enumerate() {
        let timed = |module: &Module| {
            let begun = processor_time();
            module.log_in(PIN);
            (processor_time() - begun).as_secs_f64() * 1e3
        };
        let first = (0..5).map(|_| {
            module.restart(false);
            timed(module)
        });
        let first = first.fold(f64::INFINITY, f64::min);
        let mut again: Vec<f64> = (0..101)
            .map(|_| {
                module.log_out();
                timed(module)
            })
            .collect();
        again.sort_by(f64::total_cmp);
        let again = again[again.len() / 2];
        println!("  {:<12}first {first:>8.1}  again {again:>8.3}", module.name);
        for (what, is, most) in [("first login", first, 150.0), ("login again", again, 0.1)] {
            if number == 0 && is > most {
                broken.push(format!("{what}: {is:.3} ms, promised {most} ms"));
            }
        }
    }
}

/// The command, as the bench's own officer.
fn strongroom(tool: &Path, arguments: &[&str]) -> Command {
    let text = |pin: &[u8]| String::from_utf8(pin.to_vec()).expect("text");
    let mut command = Command::new(tool);
    command.args(arguments).env("STRONGROOM_OFFICER_PASSWORD", text(SO_PIN));
    command.env("STRONGROOM_PASSWORD", text(PIN));
    command
}

/// `strongroom user list` of many users, as a whole process. Listing is linear (a unit test says so): for
/// ten thousand users the promise is a second.
pub fn listing(tool: &Path, broken: &mut Vec<String>) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let config = folder.path().join("config.toml");
    // As cheap as passwords may be: there are many to make.
    let text = "[[slot]]\npath = \"token.db\"\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n";
    std::fs::write(&config, text).expect("configuration");
    let config = config.to_str().expect("path");
    let run = |arguments: &[&str], lines: &str| {
        let mut command = strongroom(tool, arguments);
        command.args(["--config", config]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = command.spawn().expect("strongroom");
        running.stdin.take().expect("input").write_all(lines.as_bytes()).expect("lines");
        let output = running.wait_with_output().expect("strongroom");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    run(&["cluster", "activate"], "");
    let made: String = (0..USERS).map(|number| format!("user create user-{number}\n")).collect();
    run(&["interactive"], &("login so\n".to_owned() + &made));
    let once = |_| {
        let begun = Instant::now();
        let lines = run(&["user", "list"], "").iter().filter(|byte| **byte == b'\n').count();
        assert!(lines > USERS, "{lines} lines");
        begun.elapsed().as_secs_f64() * 1e3
    };
    let best = (0..5).map(once).fold(f64::INFINITY, f64::min);
    println!("\nstrongroom user list of {USERS} users: {best:.0} ms");
    let most = 1000.0 * USERS as f64 / 10_000.0;
    if best > most {
        broken.push(format!("list of {USERS} users: {best:.0} ms, promised {most:.0} ms"));
    }
}

/// P-256 signatures by one user, with a key of his own and with one that another shares with him.
pub fn sharing(module: &mut Module, tool: &Path, broken: &mut Vec<String>) {
    let made = strongroom(tool, &["user", "create", OTHER]).output().expect("strongroom");
    assert!(made.status.success(), "{made:?}");
    module.restart(true);
    module.shared_key(Some(OTHER), "shared");
    module.restart(false);
    module.log_in(&[OTHER.as_bytes(), b":", PIN].concat());
    module.shared_key(None, "own");
    let keys = ["own", "shared"].map(|label| module.private_key(label));
    let mut subjects = keys.map(|key| Some(module.operation(crate::Task::EcSign("P-256"), key)));
    let rates = race(&mut subjects);
    drop(subjects);
    let (own, shared) = (rates[0].expect("rate"), rates[1].expect("rate"));
    println!("\nECDSA P-256 sign: own key {own:.0}, shared key {shared:.0}, ratio {:.3}", shared / own);
    if shared / own < 0.98 {
        broken.push(format!("a shared key: {:.3} of an own one, promised 0.98", shared / own));
    }
}
