//! What this process and its machine are called, and whether another still lives.

use jiff::Timestamp;

/// Now, in UTC, to the millisecond: `2026-11-24T08:15:30.123Z`.
pub fn now() -> String {
    stamp(Timestamp::now())
}

/// A moment as the store writes it.
pub fn stamp(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The machine's name, or `unknown`.
pub fn host() -> String {
    for place in ["/proc/sys/kernel/hostname", "/etc/hostname"] {
        if let Ok(text) = std::fs::read_to_string(place) {
            let name = text.trim();
            if !name.is_empty() {
                return name.to_owned();
            }
        }
    }
    "unknown".to_owned()
}

/// When the process `pid` of this machine started, in the kernel's ticks since boot, so that a number used again is not
/// taken for the process that had it before. Known on Linux only.
pub fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name may hold blanks and brackets; the fields that count follow its last bracket.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Whether a process of this machine lives. Where that cannot be known, it is taken to live.
pub fn alive(pid: u32) -> bool {
    #[cfg(unix)]
    {
        let Ok(pid) = i32::try_from(pid) else { return false };
        // SAFETY: signal 0 delivers nothing; the call only reports whether the process exists.
        let sent = unsafe { libc::kill(pid, 0) } == 0;
        sent || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
    }
    #[cfg(not(unix))]
    {
        let _ = pid;
        true
    }
}

/// Asks a child process to stop at its next safe place.
pub fn ask_to_stop(pid: u32) {
    #[cfg(unix)]
    if let Ok(pid) = i32::try_from(pid) {
        // SAFETY: the caller started this process and has not yet waited for it, so the number is still its own.
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }
    #[cfg(not(unix))]
    let _ = pid;
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_lives_and_has_a_start() {
        assert!(super::alive(std::process::id()));
        if cfg!(target_os = "linux") {
            assert!(super::start_ticks(std::process::id()).is_some());
        }
    }

    #[test]
    fn moments_sort_as_text() {
        let early = super::stamp(jiff::Timestamp::from_second(1_700_000_000).unwrap());
        assert_eq!(early, "2023-11-14T22:13:20.000Z");
        assert!(early < super::now());
    }
}
