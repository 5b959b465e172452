//! The host's signals are not for our threads: its handlers may expect a thread of its own.

use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// What a thread raises itself, by a fault or for a sandbox, stays with it.
const OWN: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

/// All other signals are blocked in this thread, and those that it starts, until this is dropped; the kernel
/// keeps what arrives meanwhile.
pub struct Quiet(Option<libc::sigset_t>);

impl Quiet {
    pub fn new() -> Quiet {
        let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: sigfillset writes the set that the others change and read; `before` is read only when it
        // was written.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            for signal in OWN {
                libc::sigdelset(all.as_mut_ptr(), signal);
            }
            let done = libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            Quiet((done == 0).then(|| before.assume_init()))
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // SAFETY: the set that this thread had.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, null_mut()) };
        }
    }
}
