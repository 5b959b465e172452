//! Registers the library's fork handlers with the system, once for the process.

use super::answer;
use crate::session::Library;
use crate::sync::descriptors::Descriptor;
use std::sync::Once;

/// A panic in a handler would end the host; it costs the fork's tidiness instead.
fn run(name: &str, handler: fn()) {
    answer(name, || {
        handler();
        Ok(())
    });
}

extern "C" fn prepare() {
    run("before fork", Library::before_fork);
}

extern "C" fn parent() {
    run("after fork in the parent", Library::after_fork_in_parent);
}

extern "C" fn child() {
    run("after fork in the child", || Library::after_fork_in_child().iter().for_each(close));
}

/// Closes what the child inherited of the parent's background thread, whose copy stays as it is.
fn close(inherited: &Descriptor) {
    let mut found = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a number, and room for the answer, which is read only when it was written.
    unsafe {
        if libc::fstat(inherited.number, found.as_mut_ptr()) != 0 {
            return;
        }
        let found = found.assume_init();
        // Whatever the host put in its place is the host's.
        if (found.st_dev, found.st_ino) == (inherited.device, inherited.inode) {
            libc::close(inherited.number);
        }
    }
}

pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handlers are functions of this library, which stays in memory for good.
        let code = unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
        if code != 0 {
            log::error!("pthread_atfork: {code}; a forked child cannot use the token");
        }
    });
}
