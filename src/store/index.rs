//! An index over the runs, for listing and for people who like SQL. The run folders are the truth: the index is a cache
//! that is brought up to date before each use, and made again when it is missing, damaged or of another layout.
//!
//! The journal is a file of its own that is deleted after each transaction (`journal_mode = DELETE`), because SQLite's
//! write-ahead log needs shared memory, which network file systems do not have.

use super::error::StoreError;
use super::event::Event;
use super::lab::Lab;
use super::record::{Estimate, Record, Status};
use super::run::RunFolder;
use super::table::{Table, duration, figure};
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, params};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Layout of the tables; another one is made again.
const LAYOUT: i64 = 2;

const TABLES: &str = "
    CREATE TABLE runs (
        run TEXT PRIMARY KEY, experiment TEXT NOT NULL, plan_hash TEXT NOT NULL, status TEXT NOT NULL,
        started TEXT NOT NULL, seconds REAL, device TEXT NOT NULL, stamp TEXT NOT NULL
    );
    CREATE TABLE figures (
        run TEXT NOT NULL REFERENCES runs(run) ON DELETE CASCADE, position INTEGER NOT NULL,
        name TEXT NOT NULL, value REAL, low REAL, high REAL, n INTEGER NOT NULL, PRIMARY KEY (run, position)
    );
    CREATE INDEX figures_by_name ON figures(name);
";

/// Which runs to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Query {
    pub experiment: Option<String>,
    pub status: Option<Status>,
    /// A figure to sort by, smallest first: `pretrain.valid.loss`. Runs without it come last. Absent: newest first.
    pub by: Option<String>,
    pub limit: Option<usize>,
}

/// Runs, in the order asked for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Listing {
    pub schema_version: u32,
    pub runs: Vec<RunRow>,
}

/// A run in a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunRow {
    pub run: String,
    pub experiment: String,
    pub plan_hash: String,
    pub status: Status,
    /// UTC.
    pub started: String,
    /// Over all processes that worked on it, also those that were killed.
    pub seconds: Option<f64>,
    pub device: String,
    pub figures: BTreeMap<String, Estimate>,
}

impl Lab {
    /// The runs that `query` asks for.
    ///
    /// # Errors
    /// When the run folders cannot be listed. An index that does not work is replaced by one in memory.
    pub fn list(&self, query: &Query) -> Result<Listing, StoreError> {
        let mut runs = self.rows()?;
        runs.retain(|r| query.experiment.as_ref().is_none_or(|e| *e == r.experiment));
        runs.retain(|r| query.status.is_none_or(|s| s == r.status));
        runs.sort_by(|a, b| b.run.cmp(&a.run));
        if let Some(by) = &query.by {
            let key = |r: &RunRow| r.figures.get(by).map_or(f64::INFINITY, |e| e.value);
            runs.sort_by(|a, b| key(a).total_cmp(&key(b)));
        }
        runs.truncate(query.limit.unwrap_or(usize::MAX));
        Ok(Listing { schema_version: 1, runs })
    }

    fn rows(&self) -> Result<Vec<RunRow>, StoreError> {
        let folders = self.runs()?;
        let path = self.folder("index.sqlite");
        let failed = match on_disk(&path, &folders) {
            Ok(rows) => return Ok(rows),
            Err(error) => error,
        };
        if is_damage(&failed) {
            let _ = fs::remove_file(&path);
            if let Ok(rows) = on_disk(&path, &folders) {
                self.notice(format!("the index was damaged ({failed}) and has been made again"));
                return Ok(rows);
            }
        }
        let fallback = Connection::open_in_memory().and_then(|mut db| {
            prepare(&db)?;
            refresh(&mut db, &folders)
        });
        fallback.map_err(|e| StoreError::Index { path, why: e.to_string() })
    }
}

fn on_disk(path: &Path, folders: &[RunFolder]) -> rusqlite::Result<Vec<RunRow>> {
    let mut db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "journal_mode", "DELETE")?;
    db.pragma_update(None, "foreign_keys", true)?;
    prepare(&db)?;
    refresh(&mut db, folders)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(code, ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::Unknown),
        // A column of the wrong type: someone else's table.
        None => true,
    }
}

fn prepare(db: &Connection) -> rusqlite::Result<()> {
    let layout: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if layout == LAYOUT {
        return Ok(());
    }
    db.execute_batch(&format!(
        "BEGIN IMMEDIATE; DROP TABLE IF EXISTS figures; DROP TABLE IF EXISTS runs; {TABLES} \
         PRAGMA user_version = {LAYOUT}; COMMIT;"
    ))
}

/// Brings the tables up to date with the folders, and reads them.
fn refresh(db: &mut Connection, folders: &[RunFolder]) -> rusqlite::Result<Vec<RunRow>> {
    let change = db.transaction()?;
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    {
        let mut select = change.prepare("SELECT run, stamp FROM runs")?;
        for row in select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
            let (run, stamp) = row?;
            known.insert(run, stamp);
        }
    }
    for folder in folders {
        let stamp = stamp(folder);
        if known.remove(&folder.id).is_some_and(|old| old == stamp) {
            continue;
        }
        change.execute("DELETE FROM figures WHERE run = ?1", [&folder.id])?;
        change.execute("DELETE FROM runs WHERE run = ?1", [&folder.id])?;
        // A folder without a readable record is one whose process was killed as it began; there is nothing to list.
        if let Ok(record) = folder.record() {
            insert(&change, folder, &record, &stamp)?;
        }
    }
    for gone in known.keys() {
        change.execute("DELETE FROM figures WHERE run = ?1", [gone])?;
        change.execute("DELETE FROM runs WHERE run = ?1", [gone])?;
    }
    let rows = read(&change, folders)?;
    change.commit()?;
    Ok(rows)
}

fn insert(db: &Connection, folder: &RunFolder, record: &Record, stamp: &str) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            folder.id,
            record.experiment,
            record.plan_hash,
            record.status.name(),
            started(&folder.id),
            seconds(folder),
            record.device.to_string(),
            stamp
        ],
    )?;
    for (position, (name, e)) in record.figures().into_iter().enumerate() {
        let value = e.value.is_finite().then_some(e.value);
        db.execute(
            "INSERT INTO figures VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![folder.id, position as i64, name, value, e.low, e.high, e.n as i64],
        )?;
    }
    Ok(())
}

fn read(db: &Connection, folders: &[RunFolder]) -> rusqlite::Result<Vec<RunRow>> {
    let mut figures: BTreeMap<String, BTreeMap<String, Estimate>> = BTreeMap::new();
    let mut select = db.prepare("SELECT run, name, value, low, high, n FROM figures")?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let value: Option<f64> = row.get(2)?;
        let n: i64 = row.get(5)?;
        let estimate = Estimate {
            value: value.unwrap_or(f64::NAN),
            low: row.get(3)?,
            high: row.get(4)?,
            n: n.try_into().unwrap_or(0),
        };
        figures.entry(row.get(0)?).or_default().insert(row.get(1)?, estimate);
    }
    let mut select = db.prepare("SELECT run, experiment, plan_hash, status, started, seconds, device FROM runs")?;
    let mut found = select.query([])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let run: String = row.get(0)?;
        let status: String = row.get(3)?;
        rows.push(RunRow {
            status: status_now(&status, &run, folders),
            figures: figures.remove(&run).unwrap_or_default(),
            run,
            experiment: row.get(1)?,
            plan_hash: row.get(2)?,
            started: row.get(4)?,
            seconds: row.get(5)?,
            device: row.get(6)?,
        });
    }
    Ok(rows)
}

/// The status as it is now: whether a run that began still lives is no business of a cache.
fn status_now(stored: &str, run: &str, folders: &[RunFolder]) -> Status {
    match stored {
        "done" => Status::Done,
        "failed" => Status::Failed,
        "running" if folders.iter().any(|f| f.id == run && f.is_live()) => Status::Running,
        _ => Status::Stopped,
    }
}

/// Changes whenever the record or the events do.
fn stamp(folder: &RunFolder) -> String {
    let part = |path: &Path| match fs::metadata(path) {
        Ok(meta) => {
            let age = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            format!("{}@{}", meta.len(), age.as_nanos())
        }
        Err(_) => "none".to_owned(),
    };
    format!("{} {}", part(&folder.path.join("record.json")), part(&folder.events()))
}

/// `2026-11-24 08:15:30` from a run's id.
fn started(id: &str) -> String {
    let digits: String = id.chars().filter(char::is_ascii_digit).take(14).collect();
    match (digits.len(), digits.as_str()) {
        (14, d) => format!("{}-{}-{} {}:{}:{}", &d[..4], &d[4..6], &d[6..8], &d[8..10], &d[10..12], &d[12..14]),
        _ => String::new(),
    }
}

/// Seconds over all the processes that worked on a run. One that was killed, or is still at it, has worked until its last line.
fn seconds(folder: &RunFolder) -> Option<f64> {
    let file = fs::File::open(folder.events()).ok()?;
    let mut total = None;
    let mut began: Option<Timestamp> = None;
    let mut last = String::new();
    let mut add = |seconds: f64| total = Some(total.unwrap_or(0.0) + seconds.max(0.0));
    let until = |began: Option<Timestamp>, last: &str| {
        began.zip(moment(last)).map(|(began, ended)| ended.duration_since(began).as_secs_f64())
    };
    for line in BufReader::new(file).lines().map_while(Result::ok) {
        // Most lines are steps, and need not be parsed to be passed over.
        if line.contains("\"run_started\"") {
            until(began, &last).into_iter().for_each(&mut add);
            began = moment(&line);
        } else if line.contains("\"run_finished\"")
            && let Ok(Event::RunFinished { seconds, .. }) = serde_json::from_str(&line)
        {
            add(seconds);
            began = None;
        }
        last = line;
    }
    until(began, &last).into_iter().for_each(&mut add);
    total
}

/// When a line was written.
fn moment(line: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct At {
        at: String,
    }
    serde_json::from_str::<At>(line).ok()?.at.parse().ok()
}

impl Listing {
    /// For people.
    pub fn table(&self, by: Option<&str>) -> Table {
        let mut head = vec!["run", "experiment", "status", "started (UTC)", "took", "device"];
        head.extend(by);
        let mut table = Table::new(head);
        for run in &self.runs {
            let mut cells = vec![
                run.run.clone(),
                run.experiment.clone(),
                run.status.name().to_owned(),
                run.started.clone(),
                run.seconds.map_or("-".to_owned(), duration),
                run.device.clone(),
            ];
            cells.extend(by.map(|name| run.figures.get(name).map_or("-".to_owned(), |e| figure(e.value))));
            table.row(cells);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::tests::example;
    use crate::store::run::tests::{environment, plan};

    fn lab_with_runs(losses: &[f64]) -> (tempfile::TempDir, Lab) {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::open(folder.path()).unwrap();
        for loss in losses {
            let run = lab.begin(&plan("storyteller", "aa"), &environment()).unwrap();
            run.write_record(&example(run.id(), *loss)).unwrap();
            run.push(&Event::RunFinished { status: Status::Done, seconds: 61.0, why: None }).unwrap();
        }
        (folder, lab)
    }

    fn values(listing: &Listing) -> Vec<f64> {
        listing.runs.iter().map(|r| r.figures["pretrain.valid.loss"].value).collect()
    }

    #[test]
    fn runs_are_listed_as_asked() {
        let (_folder, lab) = lab_with_runs(&[3.0, 1.0, 2.0]);
        assert_eq!(values(&lab.list(&Query::default()).unwrap()), [2.0, 1.0, 3.0], "newest first");
        let by = Query { by: Some("pretrain.valid.loss".into()), limit: Some(2), ..Query::default() };
        assert_eq!(values(&lab.list(&by).unwrap()), [1.0, 2.0]);
        let failed = Query { status: Some(Status::Failed), ..Query::default() };
        assert!(lab.list(&failed).unwrap().runs.is_empty());
        let table = lab.list(&by).unwrap().table(by.by.as_deref()).to_string();
        assert!(table.contains("1m01s") && table.lines().next().unwrap().ends_with("pretrain.valid.loss"), "{table}");
    }

    #[test]
    fn time_is_that_of_every_process_that_worked_on_a_run() {
        let (_folder, lab) = lab_with_runs(&[3.0]);
        let of = |lab: &Lab| lab.list(&Query::default()).unwrap().runs[0].seconds;
        let events = lab.runs().unwrap()[0].events();
        let line = |second: u32, rest: &str| {
            format!("{{\"schema_version\":1,\"at\":\"2026-11-24T08:15:{second:02}.000Z\",{rest}}}\n")
        };
        let started = "\"event\":\"run_started\",\"run\":\"a\",\"experiment\":\"e\",\"plan_hash\":\"aa\"";
        let step = "\"event\":\"notice\",\"level\":\"info\",\"text\":\"\"";
        let finished = "\"event\":\"run_finished\",\"status\":\"done\",\"seconds\":2.5,\"why\":null";
        // One process was killed after twelve seconds, the next ended in order after 2.5.
        let killed = line(1, started) + &line(5, step) + &line(13, step);
        fs::write(&events, killed.clone() + &line(20, started) + &line(30, finished)).unwrap();
        assert_eq!(of(&lab), Some(14.5));
        // One that is still at it, or was killed last.
        fs::write(&events, killed).unwrap();
        assert_eq!(of(&lab), Some(12.0));
    }

    #[test]
    fn the_index_can_be_lost_damaged_or_foreign() {
        let (_folder, lab) = lab_with_runs(&[3.0, 1.0]);
        let before = lab.list(&Query::default()).unwrap();
        let index = lab.folder("index.sqlite");
        assert!(index.is_file());
        fs::remove_file(&index).unwrap();
        assert_eq!(lab.list(&Query::default()).unwrap(), before, "lost");
        fs::write(
            &index,
            b"this is no database at all, and longer than a header of one hundred bytes would be if it were one",
        )
        .unwrap();
        assert_eq!(lab.list(&Query::default()).unwrap(), before, "damaged");
        assert_eq!(lab.take_notices().len(), 1);
        Connection::open(&index).unwrap().execute_batch("DROP TABLE figures; CREATE TABLE figures (x);").unwrap();
        assert_eq!(lab.list(&Query::default()).unwrap(), before, "foreign");
        fs::remove_file(&index).unwrap();
        fs::create_dir(&index).unwrap();
        assert_eq!(lab.list(&Query::default()).unwrap(), before, "impossible: in memory");
    }

    #[test]
    fn the_index_follows_the_folders() {
        let (_folder, lab) = lab_with_runs(&[3.0, 1.0]);
        let before = lab.list(&Query::default()).unwrap();
        fs::remove_dir_all(lab.run_named(&before.runs[0].run).unwrap().path).unwrap();
        fs::create_dir(lab.folder("runs").join("20990101-000000-half-made-run")).unwrap();
        assert_eq!(lab.list(&Query::default()).unwrap().runs, before.runs[1..]);
    }
}
