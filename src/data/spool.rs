//! Records set aside in a file, for steps that must see all of them before they can give the first.

use super::record::Line;
use super::{DataError, Record};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

/// A file of records that is written once and read once; it vanishes with the value.
pub(super) struct Spool {
    out: BufWriter<File>,
    pub documents: u64,
    pub bytes: u64,
}

impl Spool {
    /// # Errors
    /// When no file can be made in `scratch`.
    pub fn new(scratch: &Path) -> Result<Spool, DataError> {
        let file = tempfile::tempfile_in(scratch).map_err(failed)?;
        Ok(Spool { out: BufWriter::new(file), documents: 0, bytes: 0 })
    }

    /// Sets a record aside, with a number of the caller's.
    pub fn push(&mut self, number: u64, record: Record) -> Result<(), DataError> {
        self.documents += 1;
        self.bytes += record.bytes();
        serde_json::to_writer(&mut self.out, &(number, Line::from(record))).map_err(|e| failed(e.into()))?;
        self.out.write_all(b"\n").map_err(failed)
    }

    /// The records in the order in which they were set aside.
    pub fn read(self) -> Result<impl Iterator<Item = Result<(u64, Record), DataError>> + Send, DataError> {
        let mut file = self.out.into_inner().map_err(|e| failed(e.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        Ok(BufReader::with_capacity(1 << 16, file).lines().map(|line| {
            let (number, line) = serde_json::from_str::<(u64, Line)>(&line.map_err(failed)?)
                .map_err(|e| DataError::Damaged { file: "a scratch file".into(), why: e.to_string() })?;
            Ok((number, Record::from(line)))
        }))
    }
}

fn failed(why: std::io::Error) -> DataError {
    DataError::Write { file: "a scratch file".into(), why }
}
