//! Checking and planning a file, as every verb does it first.

use crate::check::{Checked, Options, check_file};
use crate::diagnostics::Problems;
use crate::plan::{Selection, plan};
use crate::source::{Input, World, WorldError};
use std::sync::Arc;

/// Everything that can be said of a file without computing: what the checker finds and, if that is no error, whether its
/// items fit together. Data files are not opened, however many there are.
pub fn analyse(world: &dyn World, path: &str, options: &Options) -> (Checked, Problems) {
    let (checked, mut problems) = check_file(world, path, options);
    if !problems.any_error()
        && let Err(found) = plan(&checked, &WithoutData(world), &Selection::default())
    {
        problems.extend(found);
    }
    (checked, problems)
}

/// A world whose data files are all absent. Whether a pattern is well formed can be told all the same.
struct WithoutData<'a>(&'a dyn World);

impl World for WithoutData<'_> {
    fn read(&self, path: &str) -> Result<Arc<str>, WorldError> {
        self.0.read(path)
    }

    fn inputs(&self, _base: &str, pattern: &str) -> Result<Vec<Input>, WorldError> {
        match glob::Pattern::new(pattern) {
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(WorldError::BadPattern(pattern.to_owned(), error.msg.to_owned())),
        }
    }

    fn siblings(&self, folder: &str) -> Vec<String> {
        self.0.siblings(folder)
    }
}
