//! The binary `exp`.

/// Says what would fit when the memory does not suffice.
#[cfg(feature = "engine")]
#[global_allocator]
static HEAP: emberlab::device::Heap = emberlab::device::Heap;

fn main() -> std::process::ExitCode {
    #[cfg(all(feature = "wgpu", target_os = "linux"))]
    without_a_desktop();
    emberlab::cli::main()
}

/// Mesa's Vulkan layer asks Wayland which GPU a desktop uses, and libwayland writes an error to stderr where there is no
/// desktop. With a folder that is not there the same question fails in silence. It is no folder that anyone could make, so
/// that nobody can answer in the desktop's name.
#[cfg(all(feature = "wgpu", target_os = "linux"))]
#[allow(clippy::disallowed_methods, reason = "the variable is a message to C libraries; no result depends on it")]
fn without_a_desktop() {
    use std::os::unix::ffi::OsStrExt;
    const NAME: &str = "XDG_RUNTIME_DIR";
    if std::env::var_os(NAME).is_none_or(|folder| !folder.as_bytes().starts_with(b"/")) {
        // SAFETY: this is the only thread so far, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var(NAME, "/nonexistent") };
    }
}
