//! Arguments that several verbs take.

use std::path::PathBuf;

/// `--set P=V`, as often as wanted.
#[derive(clap::Args, Clone, Default, Debug)]
pub struct Overrides {
    /// Set a parameter or a field, as in `teller.layers=8`; checked as if it stood in the file.
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

/// Where runs and results are kept.
#[derive(clap::Args, Clone, Default, Debug)]
pub struct LabArgs {
    /// Folder of the run store; by default `.emberlab` beside the experiment.
    #[arg(long, global = true, value_name = "DIR", env = "EMBERLAB_HOME")]
    pub lab: Option<PathBuf>,
}

/// Splits `a.b=value` at its first `=`.
fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, value)) if !path.trim().is_empty() && !value.trim().is_empty() => {
            Ok((path.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write it as `path=value`, for example `teller.layers=8`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::assignment;

    #[test]
    fn an_assignment_splits_at_its_first_sign() {
        assert_eq!(assignment("a.b = x == y"), Ok(("a.b".into(), "x == y".into())));
        assert!(assignment("a.b").is_err());
        assert!(assignment("=1").is_err());
        assert!(assignment("a=").is_err());
    }
}
