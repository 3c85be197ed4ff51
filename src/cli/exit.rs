//! How a command ends.

/// Exit codes. They are an interface: scripts rely on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// There are problems in the experiment.
    Problems = 1,
    /// The command was used wrongly.
    Usage = 2,
    /// The run failed, or the machine did.
    Failed = 3,
    /// An `expect` or a `claim` was not met.
    Unmet = 4,
    /// A reproduction differed.
    Differed = 5,
    /// Stopped on request, and can be resumed (`EX_TEMPFAIL` of sysexits).
    Stopped = 75,
    /// A bug of ours; what Rust's own panics end with.
    Bug = 101,
    /// Stopped by a second interrupt (128 + SIGINT).
    Interrupted = 130,
}
