//! Panics of device threads, which burn's runtime catches, logs and forgets.

use std::sync::{Mutex, Once};

static INSTALL: Once = Once::new();
static RECORDED: Mutex<Option<String>> = Mutex::new(None);

/// Starts remembering panics on burn's device threads; calling it again does nothing. The hook that was installed
/// before still runs.
pub fn record_panics() {
    INSTALL.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            if thread.name().is_some_and(is_device_thread) {
                let message = info.payload_as_str().unwrap_or("a panic without a message");
                let place = info.location().map(|at| format!(" (at {}:{})", file_name(at.file()), at.line()));
                if let Ok(mut recorded) = RECORDED.lock() {
                    recorded.get_or_insert_with(|| format!("{message}{}", place.unwrap_or_default()));
                }
            }
            before(info);
        }));
    });
}

/// The first panic of a device thread since the last call.
pub fn take_panic() -> Option<String> {
    RECORDED.lock().ok().and_then(|mut recorded| recorded.take())
}

/// cubecl names the threads that drive a device `DSU-…` and `DSD-…`, for the two stages of its device service.
fn is_device_thread(name: &str) -> bool {
    name.starts_with("DSU-") || name.starts_with("DSD-")
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_panics_of_device_threads_are_remembered() {
        super::record_panics();
        let panic_on = |name: &str, message: &'static str| {
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || panic!("{message}"));
            assert!(thread.unwrap().join().is_err());
        };
        panic_on("worker", "not this one");
        panic_on("DSD-0-0", "the kernel did not compile");
        assert!(super::take_panic().unwrap().starts_with("the kernel did not compile"));
        assert_eq!(super::take_panic(), None);
    }
}
