//! Weights written tensor by tensor, so that no more than one of them is held besides the network.

use super::error::ModelError;
use half::{bf16, f16};
use rayon::prelude::*;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;

/// How numbers are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NumberFormat {
    F32,
    /// Rounded to the nearest, ties to even; numbers beyond 65,504 are refused.
    F16,
    /// Rounded to the nearest, ties to even.
    Bf16,
}

impl NumberFormat {
    /// Bytes of a number.
    pub fn bytes(self) -> u64 {
        if self == NumberFormat::F32 { 4 } else { 2 }
    }

    /// As safetensors calls it.
    fn dtype(self) -> &'static str {
        match self {
            NumberFormat::F32 => "F32",
            NumberFormat::F16 => "F16",
            NumberFormat::Bf16 => "BF16",
        }
    }

    /// As `torch` calls it.
    pub fn torch(self) -> &'static str {
        match self {
            NumberFormat::F32 => "float32",
            NumberFormat::F16 => "float16",
            NumberFormat::Bf16 => "bfloat16",
        }
    }

    /// The little-endian bytes of numbers, or the first number that the format has no room for.
    fn encode(self, numbers: &[f32]) -> Result<Vec<u8>, f32> {
        let size = self.bytes() as usize;
        let mut bytes = vec![0; numbers.len() * size];
        let chunks = bytes.par_chunks_mut(size << 14).zip(numbers.par_chunks(1 << 14));
        let lost: Option<f32> = chunks
            .map(|(bytes, numbers)| {
                let mut lost = None;
                for (out, x) in bytes.chunks_exact_mut(size).zip(numbers) {
                    match self {
                        NumberFormat::F32 => out.copy_from_slice(&x.to_le_bytes()),
                        NumberFormat::Bf16 => out.copy_from_slice(&bf16::from_f32(*x).to_le_bytes()),
                        NumberFormat::F16 => {
                            let half = f16::from_f32(*x);
                            if half.is_infinite() && x.is_finite() {
                                lost = lost.or(Some(*x));
                            }
                            out.copy_from_slice(&half.to_le_bytes());
                        }
                    }
                }
                lost
            })
            .reduce(|| None, Option::or);
        lost.map_or(Ok(bytes), Err)
    }
}

/// A tensor to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    pub name: String,
    pub shape: Vec<usize>,
}

impl Described {
    fn numbers(&self) -> u64 {
        self.shape.iter().fold(1, |n, size| n * *size as u64)
    }

    /// Bytes of its numbers in a format.
    pub fn bytes(&self, format: NumberFormat) -> u64 {
        self.numbers() * format.bytes()
    }
}

/// Writes a safetensors file: `tensors` in this order, whose numbers `numbers` gives one after the other. The file appears
/// whole or not at all.
///
/// # Errors
/// When the file cannot be written, `numbers` fails or gives another count than the shape says, or a number has no room in
/// the format.
pub fn write_stream(
    path: &Path,
    about: &BTreeMap<String, String>,
    format: NumberFormat,
    tensors: &[Described],
    numbers: &mut dyn FnMut(usize) -> Result<Vec<f32>, ModelError>,
) -> Result<(), ModelError> {
    let failed = |cause: String| ModelError::Write { path: path.to_owned(), cause };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new();
    // Readable by others as far as the user's mask allows, like any other file.
    #[cfg(unix)]
    temporary.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = temporary.tempfile_in(folder).map_err(|e| failed(e.to_string()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let head = head(about, format, tensors);
    let start = (head.len() as u64).to_le_bytes();
    out.write_all(&start).and_then(|()| out.write_all(&head)).map_err(|e| failed(e.to_string()))?;
    for (index, tensor) in tensors.iter().enumerate() {
        let numbers = numbers(index)?;
        if numbers.len() as u64 != tensor.numbers() {
            return Err(failed(format!(
                "`{}` has {} numbers and the shape {:?}",
                tensor.name,
                numbers.len(),
                tensor.shape
            )));
        }
        let bytes = format.encode(&numbers).map_err(|x| {
            let name = &tensor.name;
            failed(format!("`{name}` holds {x}, which {} has no room for; bf16 has", format.torch()))
        })?;
        out.write_all(&bytes).map_err(|e| failed(e.to_string()))?;
    }
    let file = out.into_inner().map_err(|e| failed(e.error().to_string()))?;
    file.as_file().sync_all().map_err(|e| failed(e.to_string()))?;
    file.persist(path).map_err(|e| failed(e.error.to_string()))?;
    Ok(())
}

/// The head of a file, filled with blanks so that the numbers begin at a multiple of eight.
fn head(about: &BTreeMap<String, String>, format: NumberFormat, tensors: &[Described]) -> Vec<u8> {
    let mut entries: Map<String, Json> = Map::new();
    if !about.is_empty() {
        entries.insert("__metadata__".to_owned(), json!(about));
    }
    let mut at = 0;
    for tensor in tensors {
        let end = at + tensor.bytes(format);
        let entry = json!({ "dtype": format.dtype(), "shape": tensor.shape, "data_offsets": [at, end] });
        entries.insert(tensor.name.clone(), entry);
        at = end;
    }
    let mut bytes = Json::Object(entries).to_string().into_bytes();
    bytes.resize(bytes.len().next_multiple_of(8), b' ');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::read_weights;

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_ties_to_even() {
        let encode = |format: NumberFormat, x: f32| {
            let bytes = format.encode(&[x]).unwrap();
            u16::from_le_bytes([bytes[0], bytes[1]])
        };
        // bf16 keeps the upper sixteen bits of f32.
        for (bits, rounded) in [
            (0x3f80_0000, 0x3f80),
            (0x3f80_7fff, 0x3f80),
            (0x3f80_8000, 0x3f80),
            (0x3f81_8000, 0x3f82),
            (0x3f80_8001, 0x3f81),
            (0xbf80_8001, 0xbf81),
        ] {
            assert_eq!(encode(NumberFormat::Bf16, f32::from_bits(bits)), rounded, "{bits:x}");
        }
        for (x, bits) in
            [(1.0, 0x3c00), (65504.0, 0x7bff), (5.960_464_5e-8, 1), (2.0e-8, 0), (1.0 + 1.0 / 2048.0, 0x3c00)]
        {
            assert_eq!(encode(NumberFormat::F16, x), bits, "{x}");
        }
        assert_eq!(NumberFormat::F16.encode(&[1.0, 1e5]), Err(1e5));
        assert!(f16::from_le_bytes(NumberFormat::F16.encode(&[f32::NAN]).unwrap().try_into().unwrap()).is_nan());
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let tensors = [("a", vec![2, 3]), ("b", vec![4])].map(|(name, shape)| Described { name: name.into(), shape });
        for format in [NumberFormat::F32, NumberFormat::F16, NumberFormat::Bf16] {
            let path = folder.path().join(format.torch());
            let about = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
            let mut numbers = |i: usize| Ok((0..[6u8, 4][i]).map(|n| f32::from(n) * 0.5).collect());
            write_stream(&path, &about, format, &tensors, &mut numbers).unwrap();
            let read = read_weights(&path).unwrap();
            assert_eq!(read.iter().map(|w| w.name.as_ref()).collect::<Vec<_>>(), ["a", "b"]);
            assert_eq!(read[1].numbers.as_ref(), [0.0, 0.5, 1.0, 1.5]);
        }
        let short = write_stream(&folder.path().join("x"), &BTreeMap::new(), NumberFormat::F32, &tensors, &mut |_| {
            Ok(vec![0.0])
        });
        assert!(short.is_err() && !folder.path().join("x").exists());
    }
}
