//! Stopping on request. The first signal asks; the second ends the process at once, which is safe at any moment because
//! nothing that lasts is written in place.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Exit status of a run that was stopped on request and can be resumed.
pub const STOPPED: i32 = 75;

/// Exit status of a process that a second request ended.
pub const ENDED: i32 = 130;

/// Between two looks for a signal, for people who wait for an answer to one.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// A request to stop, shared by everyone who can act on it. Clones are one and the same request.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    /// Number of the signal, 0 before any.
    signal: Arc<AtomicUsize>,
    /// Whether somebody has said that it was heard.
    told: Arc<AtomicBool>,
}

impl Stop {
    /// A request that only [`Stop::ask`] makes.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// A request made by SIGINT (Ctrl-C), SIGTERM or SIGUSR1, the signals of people and of schedulers.
    ///
    /// # Errors
    /// When the system does not let the signals be handled.
    pub fn on_signals() -> io::Result<Stop> {
        let stop = Stop::new();
        for signal in SIGNALS {
            // The order matters: the first handler ends the process only if the flag was set by an earlier signal.
            signal_hook::flag::register_conditional_shutdown(*signal, ENDED, Arc::clone(&stop.asked))?;
            signal_hook::flag::register(*signal, Arc::clone(&stop.asked))?;
            signal_hook::flag::register_usize(*signal, Arc::clone(&stop.signal), *signal as usize)?;
        }
        Ok(stop)
    }

    /// Whether work should finish its step, checkpoint and end.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Tells of the first signal as soon as it has come, whatever is being done meanwhile: not everything can look up at once.
    ///
    /// # Errors
    /// When the system has no thread left to watch.
    pub fn acknowledge(&self, tell: impl FnOnce(&str) + Send + 'static) -> io::Result<()> {
        let stop = self.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            while !stop.asked() {
                std::thread::sleep(LOOKS_EVERY);
            }
            // The number of the signal is noted a moment after that there was one.
            std::thread::sleep(LOOKS_EVERY / 10);
            if stop.first_to_tell() {
                tell(stop.name());
            }
        })?;
        Ok(())
    }

    /// Whether nobody has said yet that the request was heard; whoever asks says it.
    pub fn first_to_tell(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }

    /// Asks from within the program.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// The flag itself, to share with those that know nothing of this type.
    pub fn shared(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// The flag itself, for loops that know nothing of this type.
    pub fn flag(&self) -> &AtomicBool {
        &self.asked
    }

    /// What asked: `SIGTERM`, or `a request` from within.
    pub fn name(&self) -> &'static str {
        let signal = i32::try_from(self.signal.load(Ordering::Relaxed)).unwrap_or(0);
        signal_hook::low_level::signal_name(signal).unwrap_or("a request")
    }
}

/// Ctrl-C for work that a person waits for. While there is such work, the first one ends it and a second the process;
/// otherwise the first ends the process.
#[derive(Clone, Debug)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    idle: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens for SIGINT.
    ///
    /// # Errors
    /// When the system does not let the signal be handled.
    pub fn listen() -> io::Result<Interrupt> {
        let interrupt = Interrupt { asked: Arc::default(), idle: Arc::new(AtomicBool::new(true)) };
        let signal = signal_hook::consts::SIGINT;
        // The order matters, as above.
        signal_hook::flag::register_conditional_shutdown(signal, ENDED, Arc::clone(&interrupt.idle))?;
        signal_hook::flag::register_conditional_shutdown(signal, ENDED, Arc::clone(&interrupt.asked))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupt.asked))?;
        Ok(interrupt)
    }

    /// Does work that looks at [`Interrupt::asked`] now and then.
    pub fn during<R>(&self, work: impl FnOnce() -> R) -> R {
        self.asked.store(false, Ordering::Relaxed);
        self.idle.store(false, Ordering::Relaxed);
        let result = work();
        self.idle.store(true, Ordering::Relaxed);
        result
    }

    /// Whether the work at hand should end.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

#[cfg(unix)]
const SIGNALS: &[i32] = &[signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGUSR1];
#[cfg(not(unix))]
const SIGNALS: &[i32] = &[signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_one_request() {
        let stop = Stop::new();
        let other = stop.clone();
        assert!(!other.asked());
        stop.ask();
        assert!(other.asked() && other.flag().load(Ordering::Relaxed));
        assert_eq!(other.name(), "a request");
        assert!(other.first_to_tell() && !stop.first_to_tell());
    }
}
