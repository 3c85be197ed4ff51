//! The largest amount of memory that this process has held, and what the machine has left.

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

/// Bytes of memory that the machine has left, or the container, or the limit of the shell; absent where the system does not
/// tell.
pub fn available() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        let machine = field("/proc/meminfo", "MemAvailable:")?.saturating_mul(1024);
        let number = |file: &str| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
        let container = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
        // What files take is given back when memory is short, so it is not counted as taken.
        let files = || field("/sys/fs/cgroup/memory.stat", "inactive_file ").unwrap_or(0);
        let container = container.map(|(most, taken)| most.saturating_sub(taken).saturating_add(files()).min(most));
        let taken = field("/proc/self/status", "VmSize:").unwrap_or(0).saturating_mul(1024);
        let shell = field("/proc/self/limits", "Max address space").map(|most| most.saturating_sub(taken));
        Some([container, shell].into_iter().flatten().fold(machine, u64::min))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// The first number of the line that begins with a name.
#[cfg(target_os = "linux")]
fn field(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn there_is_memory() {
        assert!(super::available().unwrap() > 1 << 20);
    }
}
