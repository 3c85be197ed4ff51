//! What is said when Emberlab itself is wrong.

use std::io::Write;
use std::panic::PanicHookInfo;

/// Makes panics say what they are, and how to report them, instead of how Rust unwinds.
pub(super) fn install_hook() {
    std::panic::set_hook(Box::new(|info| {
        // stderr may be gone; there is nobody left to tell then.
        let _ = std::io::stderr().write_all(report(info).as_bytes());
    }));
}

fn report(info: &PanicHookInfo<'_>) -> String {
    let cause = info.payload_as_str().unwrap_or("no cause given");
    let place = info.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
    format!(
        "\nThis is a bug in Emberlab, not in your experiment.\n\n  {cause}{place}\n  emberlab {} on {} {}\n\n\
         What was stored before this moment is intact. Please report it with the experiment, if you can share it, and the\n\
         command you gave.\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
    )
}
