//! `events.jsonl`: one line for each event, only ever appended to.

use super::error::StoreError;
use super::event::{EVENT_SCHEMA, Event, Line, Observer};
use super::process;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Writes events. Each line is handed to the system at once, so a killed process loses none; checkpoints and ends are
/// also flushed to the disk, so a loss of power loses nothing that a resumed run builds on.
#[derive(Debug)]
pub struct Journal {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    path: PathBuf,
    line: Vec<u8>,
}

impl Journal {
    /// Opens the journal at `path` for appending. The torn last line that a killed writer may have left is removed.
    ///
    /// # Errors
    /// When the file cannot be opened or mended.
    pub fn open(path: &Path) -> Result<Journal, StoreError> {
        let mut file =
            File::options().read(true).append(true).create(true).open(path).map_err(StoreError::io("open", path))?;
        mend(&mut file).map_err(StoreError::io("mend", path))?;
        Ok(Journal { state: Mutex::new(State { file, path: path.to_owned(), line: Vec::new() }) })
    }

    /// Appends an event.
    ///
    /// # Errors
    /// When it could not be written; the journal then ends with the event before.
    pub fn push(&self, event: &Event) -> Result<(), StoreError> {
        let mut state = self.lock();
        let line = Line { schema_version: EVENT_SCHEMA, at: process::now(), event: event.clone() };
        state.line.clear();
        serde_json::to_writer(&mut state.line, &line).map_err(|e| StoreError::malformed(&state.path, e))?;
        state.line.push(b'\n');
        let written = state.write().and_then(|()| if event.is_milestone() { state.file.sync_data() } else { Ok(()) });
        written.map_err(StoreError::io("append to", &state.path))
    }

    /// Flushes everything to the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&self) -> Result<(), StoreError> {
        let state = self.lock();
        state.file.sync_data().map_err(StoreError::io("flush", &state.path))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self) -> io::Result<()> {
        let written = self.file.write_all(&self.line);
        if written.is_err() {
            // Part of the line may be there; the next one must not continue it.
            let _ = mend(&mut self.file);
        }
        written
    }
}

/// An observer that writes to a journal and keeps the first failure, because observers cannot fail.
#[derive(Debug)]
pub struct Journaled<'a> {
    journal: &'a Journal,
    failed: Option<StoreError>,
}

impl<'a> Journaled<'a> {
    pub fn new(journal: &'a Journal) -> Journaled<'a> {
        Journaled { journal, failed: None }
    }

    /// The first failure, if any: a run whose events cannot be kept must stop.
    pub fn failure(&mut self) -> Option<StoreError> {
        self.failed.take()
    }
}

impl Observer for Journaled<'_> {
    fn event(&mut self, event: &Event) {
        if let Err(error) = self.journal.push(event) {
            self.failed.get_or_insert(error);
        }
    }
}

/// The events of a journal, oldest first. A torn last line is passed over, as are lines that are no events: a reader
/// may look while the writer is at work, and disks lose blocks.
///
/// # Errors
/// When the file cannot be read; a missing file has no events.
pub fn read_events(path: &Path) -> Result<Vec<Line>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io("open", path)(e)),
    };
    let mut reader = BufReader::new(file);
    let mut lines = Vec::new();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(StoreError::io("read", path))? == 0 {
            return Ok(lines);
        }
        if let Ok(line) = serde_json::from_slice::<Line>(&bytes) {
            lines.push(line);
        }
    }
}

/// Cuts the file after its last line break, so that the next line does not continue a torn one.
fn mend(file: &mut File) -> io::Result<()> {
    const BLOCK: u64 = 64 << 10;
    let length = file.seek(SeekFrom::End(0))?;
    let mut end = length;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        Read::by_ref(file).take(end - start).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|b| *b == b'\n') {
            let whole = start + at as u64 + 1;
            return if whole < length { file.set_len(whole) } else { Ok(()) };
        }
        end = start;
    }
    file.set_len(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn step(step: u64) -> Event {
        Event::Step {
            stage: "pretrain".into(),
            step,
            tokens: step * 16,
            supervised: step * 16,
            z_loss: None,
            balance_loss: None,
            busiest_expert: None,
            skipped: false,
            loss_scale: None,
            loss: 3.0,
            lr: 1e-3,
            grad_norm: 1.0,
            tokens_per_second: 100.0,
            seconds: step as f64,
        }
    }

    #[test]
    fn a_torn_last_line_is_passed_over_and_mended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let journal = Journal::open(&path).unwrap();
        journal.push(&step(1)).unwrap();
        journal.push(&step(2)).unwrap();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        for cut in 1..whole.len() / 2 {
            fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            assert_eq!(read_events(&path).unwrap().len(), if cut == 1 { 2 } else { 1 }, "cut {cut}");
        }
        let journal = Journal::open(&path).unwrap();
        journal.push(&step(3)).unwrap();
        drop(journal);
        let events: Vec<Event> = read_events(&path).unwrap().into_iter().map(|l| l.event).collect();
        assert_eq!(events, [step(1), step(3)]);
    }

    #[test]
    fn a_file_of_one_torn_line_becomes_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, vec![b'x'; 200_000]).unwrap();
        drop(Journal::open(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    }

    #[test]
    fn a_line_is_there_as_soon_as_it_is_pushed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let journal = Journal::open(&path).unwrap();
        for count in 1..=20 {
            journal.push(&step(count)).unwrap();
            assert_eq!(read_events(&path).unwrap().len() as u64, count);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told() {
        let Ok(file) = File::options().write(true).open("/dev/full") else {
            println!("skipped: there is no /dev/full");
            return;
        };
        let state = State { file, path: "events.jsonl".into(), line: Vec::new() };
        let error = Journal { state: Mutex::new(state) }.push(&step(1)).unwrap_err();
        assert!(error.to_string().contains("free some space"), "{error}");
    }
}
