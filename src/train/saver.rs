//! Checkpoints that training does not wait for.

use super::checkpoint::{self, Kept, State, Written};
use super::error::TrainError;
use crate::model::{Layout, Params};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// Saves one checkpoint at a time. Their numbers are copied to the system at once, which costs about what reading them costs;
/// waiting for the disk, hashing, and removing old ones happen beside the training. A process that ends before leaves the
/// checkpoint before.
#[derive(Default)]
pub(crate) struct Saver {
    pending: Option<Pending>,
}

struct Pending {
    step: u64,
    folder: PathBuf,
    thread: JoinHandle<Result<PathBuf, TrainError>>,
}

impl Saver {
    /// Begins to save. None may be on its way: see [`Saver::settled`].
    ///
    /// # Errors
    /// When the disk or the device fails.
    pub fn begin(
        &mut self,
        folder: &Path,
        files: &[(&str, &Layout, Params)],
        state: State,
        kept: Kept,
    ) -> Result<(), TrainError> {
        debug_assert!(self.pending.is_none(), "two checkpoints at once");
        let step = state.step;
        let written = Written::new(folder, files, state)?;
        let thread = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(move || written.settle(kept));
        let thread = thread.map_err(|e| TrainError::Checkpoint {
            path: checkpoint::at(folder, step),
            cause: format!("no thread could be started to save it: {e}"),
        })?;
        self.pending = Some(Pending { step, folder: folder.to_owned(), thread });
        Ok(())
    }

    /// The checkpoint that has come to rest since this was last asked, by its step; with `wait`, the one on its way is waited
    /// for.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn settled(&mut self, wait: bool) -> Result<Option<(u64, PathBuf)>, TrainError> {
        let Some(pending) = self.pending.take_if(|pending| wait || pending.thread.is_finished()) else {
            return Ok(None);
        };
        let Pending { step, folder, thread } = pending;
        let died = |_| {
            let cause = "the thread that saved it panicked; please report this".to_owned();
            Err(TrainError::Checkpoint { path: checkpoint::at(&folder, step), cause })
        };
        thread.join().unwrap_or_else(died).map(|path| Some((step, path)))
    }
}

impl Drop for Saver {
    /// Whoever ends training by an error still gets the checkpoint that was on its way.
    fn drop(&mut self) {
        let _ = self.settled(true);
    }
}
