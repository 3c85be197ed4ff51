//! The largest amount of memory that this process has held.

/// Bytes of memory at the highest point so far; absent where the system does not tell.
///
/// On the CPU this is what a run needs; on a GPU it is only the host's part.
pub fn peak() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024)
    }
    #[cfg(not(target_os = "linux"))]
    None
}
