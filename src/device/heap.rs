//! The memory that tensors on the CPU are made in.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicPtr, Ordering};

/// The system's allocator. Where there is no memory left, it writes what would fit before it ends the process, instead of the
/// number of bytes alone. What was computed since the last checkpoint is lost, as it is when the system ends a process.
///
/// A process that has been told nothing by [`advise`] is ended as Rust would end it.
#[derive(Clone, Copy, Debug)]
pub struct Heap;

/// What to write; never freed, since a thread may be about to.
static ADVICE: AtomicPtr<String> = AtomicPtr::new(std::ptr::null_mut());

/// What to say when there is no memory left, for as long as the result lives.
#[must_use]
pub fn advise(text: &str) -> Advised {
    let advice = Box::into_raw(Box::new(format!("\nerror: {text}\n")));
    ADVICE.store(advice, Ordering::Release);
    Advised(advice)
}

/// The time in which advice holds; see [`advise`].
#[derive(Debug)]
pub struct Advised(*mut String);

impl Drop for Advised {
    /// Takes back this advice, and no other that has been given since.
    fn drop(&mut self) {
        let _ = ADVICE.compare_exchange(self.0, std::ptr::null_mut(), Ordering::AcqRel, Ordering::Acquire);
    }
}

/// What would be said now.
fn advice() -> Option<&'static String> {
    // SAFETY: what is stored here came from a box and is never freed.
    unsafe { ADVICE.load(Ordering::Acquire).as_ref() }
}

/// The exit code of a run that failed; see `cli::Exit`.
#[cfg(unix)]
const FAILED: i32 = 3;

// SAFETY: every call goes to the system's allocator as it came; what it returns is returned, or the process ends.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is that of `System`.
        given(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        given(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        given(unsafe { System.realloc(old, layout, size) })
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

fn given(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        tell_and_end();
    }
    memory
}

#[cold]
fn tell_and_end() {
    let advice = advice();
    #[cfg(unix)]
    if let Some(advice) = advice {
        // Nothing may allocate here, and other threads may hold any lock.
        // SAFETY: the bytes live as long as the process.
        unsafe {
            libc::write(2, advice.as_ptr().cast(), advice.len());
            libc::_exit(FAILED);
        }
    }
    #[cfg(not(unix))]
    let _ = advice;
}

/// Makes the allocator keep the memory of freed tensors for the next ones.
///
/// By default glibc gives large pieces back to the system at once, and every tensor of a step then begins with a page fault
/// for each 4 KiB: measured on a 12 M parameter network, a fifth of the time. Other allocators are left as they are.
pub(super) fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            // SAFETY: `mallopt` only sets limits of the allocator, under its own lock. A setting that it refuses is left as it
            // was, which costs time and nothing else.
            unsafe {
                libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
                libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
                libc::mallopt(libc::M_TOP_PAD, 1 << 26);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, since there is one advice in a process.
    #[test]
    fn advice_holds_as_long_as_its_stage_and_no_longer() {
        assert_eq!(advice(), None);
        let one = advise("stage `one`: less");
        assert_eq!(advice().unwrap(), "\nerror: stage `one`: less\n");
        drop(one);
        assert_eq!(advice(), None, "a stage that has ended says nothing of another's memory");
        // A stage that begins before another has let go.
        let (one, two) = (advise("first"), advise("second"));
        drop(one);
        assert_eq!(advice().unwrap(), "\nerror: second\n");
        drop(two);
        assert_eq!(advice(), None);
    }
}
