//! Files by pattern, opened through whatever compression they have, and read as checked text.

use super::DataError;
use crate::diagnostics::suggest::similar;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The most that one document may hold. A gzip bomb or a file without line breaks ends here and not in swap.
pub(super) const DOCUMENT_LIMIT: u64 = 1 << 30;

const BUFFER: usize = 1 << 16;

/// A file that a pattern matched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub path: PathBuf,
    /// As messages and records name it: relative to the experiment's folder, with `/`.
    pub shown: String,
}

/// The files that `pattern` names, sorted by path.
///
/// # Errors
/// When the pattern is malformed, a folder cannot be read, or nothing matches.
pub(super) fn find(pattern: &str, base: &Path) -> Result<Vec<Found>, DataError> {
    let full = base.join(pattern);
    let text = full.to_string_lossy();
    let bad = |why: String| DataError::BadPattern { pattern: pattern.to_owned(), why };
    // A path that exists is itself, even if its name holds `[` or `*`.
    let mut paths = if full.is_file() {
        vec![full.clone()]
    } else {
        let mut paths = Vec::new();
        for entry in glob::glob(&text).map_err(|e| bad(e.msg.to_owned()))? {
            let path = entry.map_err(|e| DataError::Read { file: shown(e.path(), base), why: e.into() })?;
            if path.is_file() {
                paths.push(path);
            }
        }
        paths
    };
    if paths.is_empty() {
        return Err(DataError::NoFiles { pattern: pattern.to_owned(), hint: hint(&full) });
    }
    paths.sort();
    Ok(paths.into_iter().map(|path| Found { shown: shown(&path, base), path }).collect())
}

/// `path` as messages name it.
fn shown(path: &Path, base: &Path) -> String {
    path.strip_prefix(base).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// What may have been meant by a pattern that matches nothing.
fn hint(pattern: &Path) -> String {
    if pattern.is_dir() {
        return format!("; it is a folder: `{}/**/*.txt` names the text files in it", pattern.to_string_lossy());
    }
    let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name()) else { return String::new() };
    let literal = |p: &Path| !p.to_string_lossy().contains(['*', '?', '[']);
    if literal(folder) && !folder.is_dir() {
        return format!("; there is no folder `{}`", folder.to_string_lossy());
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return String::new() };
    let names: Vec<String> = entries.filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned())).collect();
    match similar(&name.to_string_lossy(), names.iter().map(String::as_str)).first() {
        Some(near) => format!("; there is `{near}`"),
        None => String::new(),
    }
}

/// A file opened for reading: plain, gzip (all members) or zstd, by its extension.
pub(super) fn open(found: &Found) -> Result<Box<dyn Read + Send>, DataError> {
    let read = |why| DataError::Read { file: found.shown.clone(), why };
    let file = File::open(&found.path).map_err(read)?;
    let extension = found.path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    Ok(match extension.as_deref() {
        Some("gz" | "gzip") => Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file))),
        Some("zst" | "zstd") => Box::new(zstd::stream::read::Decoder::new(file).map_err(read)?),
        _ => Box::new(file),
    })
}

/// The lines of a file as checked text, counting lines from 1 and bytes from 0.
pub(super) struct Lines {
    shown: String,
    reader: BufReader<Box<dyn Read + Send>>,
    /// Of the line read last.
    pub number: u64,
    offset: u64,
    buffer: Vec<u8>,
}

impl Lines {
    pub fn open(found: &Found) -> Result<Lines, DataError> {
        let reader = BufReader::with_capacity(BUFFER, open(found)?);
        Ok(Lines { shown: found.shown.clone(), reader, number: 0, offset: 0, buffer: Vec::new() })
    }

    /// The next line without its end, or `None` at the end of the file.
    pub fn next(&mut self) -> Result<Option<&str>, DataError> {
        self.buffer.clear();
        let mut limited = (&mut self.reader).take(DOCUMENT_LIMIT + 1);
        let read = limited.read_until(b'\n', &mut self.buffer).map_err(|why| self.read_error(why))? as u64;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if read > DOCUMENT_LIMIT {
            return Err(DataError::TooLarge { place: self.place(), limit: DOCUMENT_LIMIT >> 20 });
        }
        let start = self.offset;
        self.offset += read;
        let mut line = self.buffer.as_slice();
        if let Some(rest) = line.strip_suffix(b"\n") {
            line = rest.strip_suffix(b"\r").unwrap_or(rest);
        }
        decode(line, &self.shown, start).map(Some)
    }

    /// `file:line` of the line read last.
    pub fn place(&self) -> String {
        format!("{}:{}", self.shown, self.number)
    }

    fn read_error(&self, why: io::Error) -> DataError {
        DataError::Read { file: self.shown.clone(), why }
    }
}

/// A whole file as checked text.
pub(super) fn whole(found: &Found) -> Result<String, DataError> {
    let mut bytes = Vec::new();
    let mut limited = open(found)?.take(DOCUMENT_LIMIT + 1);
    limited.read_to_end(&mut bytes).map_err(|why| DataError::Read { file: found.shown.clone(), why })?;
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        return Err(DataError::TooLarge { place: found.shown.clone(), limit: DOCUMENT_LIMIT >> 20 });
    }
    let kept = decode(&bytes, &found.shown, 0)?.len();
    let mark = bytes.len() - kept;
    bytes.drain(..mark);
    String::from_utf8(bytes).map_err(|e| not_text(&found.shown, &[], e.utf8_error().valid_up_to() as u64))
}

/// Bytes at `offset` of a file as text; a byte-order mark at its start is no part of it.
fn decode<'a>(bytes: &'a [u8], shown: &str, offset: u64) -> Result<&'a str, DataError> {
    let body = if offset == 0 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) } else { bytes };
    let skipped = (bytes.len() - body.len()) as u64;
    std::str::from_utf8(body).map_err(|e| not_text(shown, bytes, offset + skipped + e.valid_up_to() as u64))
}

fn not_text(shown: &str, start: &[u8], offset: u64) -> DataError {
    let hint = if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        "; it begins like UTF-16: convert it with `iconv -f UTF-16 -t UTF-8`"
    } else if start.starts_with(b"\x1f\x8b") {
        "; it is compressed by gzip: give its name the extension `.gz`"
    } else if start.starts_with(b"\x28\xb5\x2f\xfd") {
        "; it is compressed by zstd: give its name the extension `.zst`"
    } else {
        "; if it is Latin-1, convert it with `iconv -f LATIN1 -t UTF-8`"
    };
    DataError::NotText { file: shown.to_owned(), offset, hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn patterns_give_sorted_files_and_say_what_was_near() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        for name in ["b.txt", "a.txt", "sub/c.txt", "c.md"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            find(pattern, folder.path()).unwrap().into_iter().map(|f| f.shown).collect()
        };
        assert_eq!(names("**/*.txt"), ["a.txt", "b.txt", "sub/c.txt"]);
        assert_eq!(names("c.md"), ["c.md"]);
        let error = |pattern: &str| find(pattern, folder.path()).unwrap_err().to_string();
        assert_eq!(error("c.mdd"), "no file matches `c.mdd`; there is `c.md`");
        assert!(error("sub").contains("it is a folder"));
        assert!(error("sup/x.txt").contains("there is no folder"));
        assert!(error("***").contains("not a valid file pattern"));
    }

    #[test]
    fn text_is_checked_and_the_first_bad_byte_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            Found { path, shown: name.into() }
        };
        assert_eq!(whole(&write("bom.txt", b"\xef\xbb\xbfhe\xc3\xa9")).unwrap(), "he\u{e9}");
        let error = whole(&write("latin.txt", b"caf\xe9 au lait")).unwrap_err().to_string();
        assert!(error.starts_with("`latin.txt` is not UTF-8 text: the byte at offset 3"), "{error}");
        assert!(whole(&write("wide.txt", b"\xff\xfea\0")).unwrap_err().to_string().contains("UTF-16"));
        let mut lines = Lines::open(&write("two.txt", b"one\r\ntw\xff")).unwrap();
        assert_eq!(lines.next().unwrap(), Some("one"));
        assert!(lines.next().unwrap_err().to_string().contains("offset 7"));
    }

    #[test]
    fn compressed_files_read_like_plain_ones() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt.gz");
        let mut gz = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        gz.write_all(b"hello").unwrap();
        gz.finish().unwrap();
        assert_eq!(whole(&Found { path, shown: "a.txt.gz".into() }).unwrap(), "hello");
        let path = folder.path().join("a.txt.zst");
        fs::write(&path, zstd::encode_all(&b"hello"[..], 1).unwrap()).unwrap();
        assert_eq!(whole(&Found { path: path.clone(), shown: "a.txt.zst".into() }).unwrap(), "hello");
        // A file cut off in the middle is an error, not a shorter text.
        let cut = fs::read(&path).unwrap();
        fs::write(&path, &cut[..cut.len() - 3]).unwrap();
        assert!(whole(&Found { path, shown: "a.txt.zst".into() }).is_err());
    }
}
