//! The revision of a folder under git, read from git's own files: no program is started and none needs to be there.

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// A revision, as git's files name it. Whether the working tree differs from it is not known without git.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revision {
    /// Name of the commit.
    pub commit: String,
    /// Absent when no branch is checked out.
    pub branch: Option<String>,
}

/// The revision of the repository that holds `folder`, if there is one with a commit.
pub fn revision(folder: &Path) -> Option<Revision> {
    let start = fs::canonicalize(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()?;
    let (own, common) = start.ancestors().find_map(git_folders)?;
    let head = fs::read_to_string(own.join("HEAD")).ok()?;
    let head = head.trim();
    let Some(reference) = head.strip_prefix("ref: ") else {
        return commit_name(head).map(|commit| Revision { commit, branch: None });
    };
    let loose = [&own, &common].into_iter().find_map(|g| fs::read_to_string(g.join(reference)).ok());
    let commit = match loose {
        Some(text) => commit_name(text.trim())?,
        None => packed(&fs::read_to_string(common.join("packed-refs")).ok()?, reference)?,
    };
    Some(Revision { commit, branch: Some(reference.strip_prefix("refs/heads/").unwrap_or(reference).to_owned()) })
}

/// The git folder of a working tree, and the one that holds what all working trees share.
fn git_folders(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let dot = folder.join(".git");
    let own = if dot.is_dir() {
        dot
    } else {
        let text = fs::read_to_string(&dot).ok()?;
        folder.join(text.trim().strip_prefix("gitdir: ")?)
    };
    let common = match fs::read_to_string(own.join("commondir")) {
        Ok(text) => own.join(text.trim()),
        Err(_) => own.clone(),
    };
    Some((own, common))
}

fn packed(text: &str, reference: &str) -> Option<String> {
    text.lines().find_map(|line| match line.split_once(' ') {
        Some((commit, name)) if name == reference => commit_name(commit),
        _ => None,
    })
}

fn commit_name(text: &str) -> Option<String> {
    (matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let place = folder.path().join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_branch_is_followed_to_its_commit() {
        let main = Some(Revision { commit: COMMIT.into(), branch: Some("main".into()) });
        let loose = repository(&[(".git/HEAD", "ref: refs/heads/main\n"), (".git/refs/heads/main", COMMIT)]);
        fs::create_dir(loose.path().join("deep")).unwrap();
        assert_eq!(revision(&loose.path().join("deep")), main);
        let packed_line = format!("# pack-refs\n{COMMIT} refs/heads/main\n");
        let packed = repository(&[(".git/HEAD", "ref: refs/heads/main\n"), (".git/packed-refs", &packed_line)]);
        assert_eq!(revision(packed.path()), main);
    }

    #[test]
    fn a_second_working_tree_and_a_bare_commit_are_known() {
        let tree = repository(&[
            ("main/.git/worktrees/w/HEAD", "ref: refs/heads/w\n"),
            ("main/.git/worktrees/w/commondir", "../..\n"),
            ("main/.git/refs/heads/w", COMMIT),
            ("w/.git", "gitdir: ../main/.git/worktrees/w\n"),
        ]);
        let found = revision(&tree.path().join("w")).unwrap();
        assert_eq!((found.commit.as_str(), found.branch.as_deref()), (COMMIT, Some("w")));
        let bare = repository(&[(".git/HEAD", COMMIT)]);
        assert_eq!(revision(bare.path()).unwrap().branch, None);
    }

    #[test]
    fn nonsense_is_no_revision() {
        assert_eq!(revision(repository(&[(".git/HEAD", "what?")]).path()), None);
    }
}
