//! Plain text files as documents: a file, a paragraph or a line each.

use super::files::{Found, Lines, find, whole};
use super::pipeline::Records;
use super::{DataError, Record};
use crate::plan::spec::{Text, TextUnit};
use std::path::Path;

/// The documents of text files, in the order of the files' paths.
///
/// Lines and paragraphs are told apart by line breaks alone; blank ones are no documents. An empty file is.
///
/// # Errors
/// When no file matches; while reading, when one cannot be read or is not UTF-8.
pub(super) fn read<'a>(spec: &Text, base: &Path) -> Result<Records<'a>, DataError> {
    let files = find(&spec.files, base)?;
    Ok(match spec.document {
        TextUnit::File => Box::new(files.into_iter().enumerate().map(|(index, found)| {
            let text = whole(&found)?;
            Ok(Record::document(text, found.shown, index as u64))
        })),
        unit => Box::new(Units { files: files.into_iter(), open: None, unit, index: 0, failed: false }),
    })
}

struct Units {
    files: std::vec::IntoIter<Found>,
    open: Option<(Found, Lines)>,
    unit: TextUnit,
    index: u64,
    failed: bool,
}

impl Units {
    fn advance(&mut self) -> Result<Option<Record>, DataError> {
        loop {
            if let Some((found, lines)) = &mut self.open {
                let unit = match self.unit {
                    TextUnit::Line => line(lines)?,
                    _ => paragraph(lines)?,
                };
                if let Some((number, text)) = unit {
                    let record = Record::document(text, format!("{}:{number}", found.shown), self.index);
                    self.index += 1;
                    return Ok(Some(record));
                }
            }
            match self.files.next() {
                Some(found) => self.open = Some((found.clone(), Lines::open(&found)?)),
                None => return Ok(None),
            }
        }
    }
}

impl Iterator for Units {
    type Item = Result<Record, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance();
        self.failed = next.is_err();
        next.transpose()
    }
}

fn line(lines: &mut Lines) -> Result<Option<(u64, String)>, DataError> {
    while let Some(line) = lines.next()? {
        if !line.trim().is_empty() {
            let text = line.to_owned();
            return Ok(Some((lines.number, text)));
        }
    }
    Ok(None)
}

fn paragraph(lines: &mut Lines) -> Result<Option<(u64, String)>, DataError> {
    let (mut start, mut text) = (0, String::new());
    while let Some(line) = lines.next()? {
        if line.trim().is_empty() {
            if text.is_empty() {
                continue;
            }
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line);
        if start == 0 {
            start = lines.number;
        }
        if text.len() as u64 > super::files::DOCUMENT_LIMIT {
            return Err(DataError::TooLarge { place: lines.place(), limit: super::files::DOCUMENT_LIMIT >> 20 });
        }
    }
    Ok(if text.is_empty() { None } else { Some((start, text)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(unit: TextUnit) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "\n\none\ntwo\r\n\n \n\nthree").unwrap();
        std::fs::write(folder.path().join("b.txt"), "four\n").unwrap();
        let spec = Text { files: "*.txt".into(), license: None, document: unit };
        read(&spec, folder.path()).unwrap().map(|r| r.map(|r| (r.source, r.text)).unwrap()).collect()
    }

    #[test]
    fn a_document_a_file_paragraph_or_line() {
        let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        assert_eq!(
            documents(TextUnit::Paragraph),
            pairs(&[("a.txt:3", "one\ntwo"), ("a.txt:8", "three"), ("b.txt:1", "four")])
        );
        assert_eq!(
            documents(TextUnit::Line),
            pairs(&[("a.txt:3", "one"), ("a.txt:4", "two"), ("a.txt:8", "three"), ("b.txt:1", "four")])
        );
        assert_eq!(documents(TextUnit::File), pairs(&[("a.txt", "\n\none\ntwo\r\n\n \n\nthree"), ("b.txt", "four\n")]));
    }
}
