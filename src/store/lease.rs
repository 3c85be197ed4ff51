//! Exclusive use of a run or an object: one process writes, the others wait or are told who holds it.
//!
//! The lock is the operating system's lock on a file, which the kernel releases however the owner ends, so a killed
//! owner never blocks anyone. Where a file system has no locks, a file that names its owner takes their place, and an
//! owner that no longer lives on this machine is recognised by process number and start.

use super::disk;
use super::error::StoreError;
use super::process;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Held until dropped.
#[derive(Debug)]
pub struct Lease {
    file: File,
    path: PathBuf,
    /// The stand-in for a lock, removed on release.
    stand_in: Option<PathBuf>,
}

/// Who holds a lease.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Owner {
    pub pid: u32,
    pub host: String,
    /// UTC.
    pub since: String,
    /// Start of the process, in ticks of its kernel, where that is known.
    pub ticks: Option<u64>,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.pid == 0 {
            return f.write_str("another process");
        }
        write!(f, "process {} on {} (since {})", self.pid, self.host, self.since)
    }
}

impl Owner {
    fn this_process() -> Owner {
        let pid = std::process::id();
        Owner { pid, host: process::host(), since: process::now(), ticks: process::start_ticks(pid) }
    }

    /// An owner whose name could not be read: it has locked, but not yet written who it is.
    fn unnamed() -> Owner {
        Owner { pid: 0, host: String::new(), since: String::new(), ticks: None }
    }

    /// Whether the owner certainly does not live any more.
    fn is_dead(&self) -> bool {
        self.pid != 0
            && self.host == process::host()
            && (!process::alive(self.pid) || (self.ticks.is_some() && process::start_ticks(self.pid) != self.ticks))
    }
}

/// What came of trying to take a lease.
#[derive(Debug)]
pub enum Attempt {
    Taken(Lease),
    Held(Owner),
}

impl Lease {
    /// Takes the lease of the lock file `path`, unless another holds it.
    ///
    /// # Errors
    /// When the lock file cannot be made or written.
    pub fn attempt(path: &Path) -> Result<Attempt, StoreError> {
        if let Some(folder) = path.parent() {
            disk::make_folder(folder)?;
        }
        let mut looks = 0;
        loop {
            let mut file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(StoreError::io("open the lock", path))?;
            let mut stand_in = None;
            match file.try_lock() {
                Ok(()) => {}
                // Someone who only looks, with `is_held`, is gone again at once.
                Err(TryLockError::WouldBlock) if looks < 3 => {
                    looks += 1;
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
                Err(TryLockError::WouldBlock) => return Ok(Attempt::Held(read_owner(&mut file))),
                Err(TryLockError::Error(e)) if has_no_locks(&e) => match take_stand_in(path)? {
                    Ok(place) => stand_in = Some(place),
                    Err(owner) => return Ok(Attempt::Held(owner)),
                },
                Err(TryLockError::Error(e)) => return Err(StoreError::io("lock", path)(e)),
            }
            // Another process may have removed the file between our opening and locking it: then we hold nothing.
            if !is_same_file(&file, path) {
                continue;
            }
            write_owner(&mut file).map_err(StoreError::io("write", path))?;
            return Ok(Attempt::Taken(Lease { file, path: path.to_owned(), stand_in }));
        }
    }

    /// Takes the lease, waiting while `keep_waiting` says so; it is asked about ten times a second, with the owner.
    ///
    /// # Errors
    /// [`StoreError::GaveUp`] when it says no, and as [`Lease::attempt`].
    pub fn wait(path: &Path, what: &str, keep_waiting: &mut dyn FnMut(&Owner) -> bool) -> Result<Lease, StoreError> {
        loop {
            match Lease::attempt(path)? {
                Attempt::Taken(lease) => return Ok(lease),
                Attempt::Held(owner) if keep_waiting(&owner) => std::thread::sleep(Duration::from_millis(100)),
                Attempt::Held(owner) => return Err(StoreError::GaveUp { what: what.to_owned(), owner }),
            }
        }
    }

    /// Whether a living process holds the lease of `path`; nothing is written. A lock that cannot be examined counts as
    /// held.
    pub fn is_held(path: &Path) -> bool {
        let Ok(file) = File::open(path) else { return false };
        match file.try_lock_shared() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(e)) if has_no_locks(&e) => {
                File::open(path.with_extension("owner")).is_ok_and(|mut stand_in| !read_owner(&mut stand_in).is_dead())
            }
            Err(TryLockError::Error(_)) => true,
        }
    }

    /// Releases the lease and removes its file.
    pub fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = self.file.unlock();
        if let Some(place) = &self.stand_in {
            let _ = fs::remove_file(place);
        }
    }
}

fn has_no_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::ENOLCK) {
        return true;
    }
    error.kind() == io::ErrorKind::Unsupported
}

/// Makes the file that stands for a lock; the inner error is a living owner.
fn take_stand_in(path: &Path) -> Result<Result<PathBuf, Owner>, StoreError> {
    let place = path.with_extension("owner");
    for _ in 0..2 {
        match File::create_new(&place) {
            Ok(mut file) => {
                write_owner(&mut file).map_err(StoreError::io("write", &place))?;
                return Ok(Ok(place));
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let owner = File::open(&place).map(|mut f| read_owner(&mut f)).unwrap_or_else(|_| Owner::unnamed());
                if !owner.is_dead() {
                    return Ok(Err(owner));
                }
                let _ = fs::remove_file(&place);
            }
            Err(e) => return Err(StoreError::io("make", &place)(e)),
        }
    }
    Ok(Err(Owner::unnamed()))
}

fn write_owner(file: &mut File) -> io::Result<()> {
    let text = serde_json::to_vec(&Owner::this_process())?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&text)
}

fn read_owner(file: &mut File) -> Owner {
    let mut text = String::new();
    let read = file.read_to_string(&mut text);
    read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_else(Owner::unnamed)
}

fn is_same_file(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        match (file.metadata(), fs::metadata(path)) {
            (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
            _ => false,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let Attempt::Taken(first) = Lease::attempt(&path).unwrap() else { panic!("the lock is free") };
        let Attempt::Held(owner) = Lease::attempt(&path).unwrap() else { panic!("the lock is held") };
        assert_eq!(owner.pid, std::process::id());
        assert!(Lease::is_held(&path));
        drop(first);
        assert!(!Lease::is_held(&path));
    }

    #[test]
    fn waiting_ends_when_the_owner_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let Attempt::Taken(first) = Lease::attempt(&path).unwrap() else { panic!("the lock is free") };
        let mut first = Some(first);
        let mut asked = 0;
        let lease = Lease::wait(&path, "x", &mut |_| {
            asked += 1;
            first.take();
            true
        });
        assert!(lease.is_ok() && asked == 1);
        let refused = Lease::wait(&path, "the stage", &mut |_| false).unwrap_err();
        assert!(refused.to_string().starts_with("stopped while waiting for the stage, which process "), "{refused}");
    }

    #[test]
    fn an_owner_that_died_does_not_block_where_there_are_no_locks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let dead = Owner { ticks: Some(1), ..Owner::this_process() };
        if process::start_ticks(std::process::id()).is_none() {
            println!("skipped: the start of a process is not known on this system");
            return;
        }
        fs::write(path.with_extension("owner"), serde_json::to_vec(&dead).unwrap()).unwrap();
        let place = take_stand_in(&path).unwrap().expect("the owner is dead");
        let holder = take_stand_in(&path).unwrap().expect_err("we live");
        assert_eq!((holder.pid, place), (std::process::id(), path.with_extension("owner")));
    }
}
