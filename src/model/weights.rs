//! Weights in files: safetensors, names sorted, everything checked when read.

use super::error::ModelError;
use super::layout::Layout;
use memmap2::Mmap;
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// A named weight on the host.
#[derive(Clone, PartialEq, Debug)]
pub struct Named<'a> {
    pub name: Cow<'a, str>,
    pub shape: Vec<usize>,
    pub numbers: Cow<'a, [f32]>,
}

/// blake3 over the weights sorted by name: for each its name, its rank and sizes (u64), and its numbers (f32), all
/// little-endian, with the name ended by a zero byte.
pub fn weights_hash(weights: &[Named]) -> String {
    let mut sorted: Vec<&Named> = weights.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut hasher = blake3::Hasher::new();
    for weight in sorted {
        hasher.update(weight.name.as_bytes());
        hasher.update(&[0]);
        hasher.update(&(weight.shape.len() as u64).to_le_bytes());
        for size in &weight.shape {
            hasher.update(&(*size as u64).to_le_bytes());
        }
        hasher.update(&bytes(&weight.numbers));
    }
    hasher.finalize().to_hex().to_string()
}

/// Writes weights as safetensors. The file appears whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write_weights(weights: &[Named], path: &Path) -> Result<(), ModelError> {
    write_weights_with(weights, None, path)
}

/// The same with a word about the file in its head.
///
/// # Errors
/// When the file cannot be written.
pub fn write_weights_with(
    weights: &[Named],
    about: Option<HashMap<String, String>>,
    path: &Path,
) -> Result<(), ModelError> {
    let failed = |cause: String| ModelError::Write { path: path.to_owned(), cause };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new();
    // Readable by others as far as the user's mask allows, like any other file.
    #[cfg(unix)]
    temporary.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = temporary.tempfile_in(folder).map_err(|e| failed(e.to_string()))?;
    serialize(weights, about, file.path()).map_err(|e| failed(e.to_string()))?;
    file.as_file().sync_all().map_err(|e| failed(e.to_string()))?;
    file.persist(path).map_err(|e| failed(e.error.to_string()))?;
    Ok(())
}

fn serialize(
    weights: &[Named],
    about: Option<HashMap<String, String>>,
    path: &Path,
) -> Result<(), safetensors::SafeTensorError> {
    let data: Vec<(&str, Vec<usize>, Cow<[u8]>)> =
        weights.iter().map(|w| (w.name.as_ref(), w.shape.clone(), bytes(&w.numbers))).collect();
    let mut views = BTreeMap::new();
    for (name, shape, bytes) in &data {
        views.insert(*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?);
    }
    safetensors::serialize_to_file(views, about, path)
}

/// Reads f32, f16 or bf16 weights as f32.
///
/// # Errors
/// A file that cannot be read, is not safetensors, or holds another number format.
pub fn read_weights(path: &Path) -> Result<Vec<Named<'static>>, ModelError> {
    let file = std::fs::read(path).map_err(|e| ModelError::Read { path: path.to_owned(), cause: e.to_string() })?;
    let failed = |cause: String| ModelError::Format { path: path.to_owned(), cause };
    let tensors = SafeTensors::deserialize(&file).map_err(|e| failed(e.to_string()))?;
    let mut weights = Vec::new();
    for (name, view) in tensors.iter() {
        let numbers = numbers(view.dtype(), view.data()).ok_or_else(|| {
            failed(format!("`{name}` has the number format {:?}; f32, f16 and bf16 can be read", view.dtype()))
        })?;
        weights.push(Named { name: name.to_owned().into(), shape: view.shape().to_vec(), numbers: numbers.into() });
    }
    weights.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(weights)
}

pub(super) fn numbers(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let half =
        |convert: fn(u16) -> f32| bytes.chunks_exact(2).map(|b| convert(u16::from_le_bytes([b[0], b[1]]))).collect();
    match dtype {
        Dtype::F32 => Some(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
        Dtype::BF16 => Some(half(|bits| f32::from_bits(u32::from(bits) << 16))),
        Dtype::F16 => Some(half(half_to_single)),
        _ => None,
    }
}

/// IEEE 754 binary16 to binary32, exactly.
fn half_to_single(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from((bits >> 10) & 0x1f), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

/// The weights of a network, from its segments.
pub(crate) fn named<'a>(layout: &'a Layout, host: &'a [Vec<f32>]) -> Vec<Named<'a>> {
    let weight = |entry: &'a super::Entry| Named {
        name: entry.name.as_str().into(),
        shape: entry.shape.clone(),
        numbers: host[entry.segment][entry.offset..entry.offset + entry.len()].into(),
    };
    layout.entries.iter().map(weight).collect()
}

pub(crate) fn save(layout: &Layout, host: &[Vec<f32>], path: &Path) -> Result<(), ModelError> {
    write_weights(&named(layout, host), path)
}

/// Writes weights to a file that no one else knows yet: the system has them afterwards, the disk perhaps not.
pub(crate) fn hand_over(layout: &Layout, host: &[Vec<f32>], path: &Path) -> Result<(), ModelError> {
    let failed = |e: safetensors::SafeTensorError| ModelError::Write { path: path.to_owned(), cause: e.to_string() };
    serialize(&named(layout, host), None, path).map_err(failed)
}

/// The segments of a network, from a file that must hold exactly its weights. The file is mapped and read tensor by tensor, so
/// no more than one of them is held besides the network.
pub(crate) fn load(layout: &Layout, path: &Path) -> Result<Vec<Vec<f32>>, ModelError> {
    let unread = |e: std::io::Error| ModelError::Read { path: path.to_owned(), cause: e.to_string() };
    let failed = |cause: String| ModelError::Format { path: path.to_owned(), cause };
    let file = std::fs::File::open(path).map_err(unread)?;
    // SAFETY: the bytes are only ever read as bytes, which every pattern is valid for; a file that another program cuts short
    // while it is mapped ends this process, as with every memory-mapped reader.
    let map = unsafe { Mmap::map(&file) }.map_err(unread)?;
    let tensors = SafeTensors::deserialize(&map).map_err(|e| failed(e.to_string()))?;
    let by_name: BTreeMap<String, TensorView<'_>> = tensors.tensors().into_iter().collect();
    let problems = misfits(layout, &by_name);
    if !problems.is_empty() {
        return Err(ModelError::Mismatch { path: path.to_owned(), problems });
    }
    let mut host: Vec<Vec<f32>> = layout.segments.iter().map(|segment| vec![0.0; segment.len]).collect();
    for (entry, view) in layout.entries.iter().filter_map(|e| Some((e, by_name.get(&e.name)?))) {
        let numbers = numbers(view.dtype(), view.data()).ok_or_else(|| {
            let name = &entry.name;
            failed(format!("`{name}` has the number format {:?}; f32, f16 and bf16 can be read", view.dtype()))
        })?;
        host[entry.segment][entry.offset..entry.offset + entry.len()].copy_from_slice(&numbers);
    }
    Ok(host)
}

/// What is missing, misshaped or too many among named tensors.
fn misfits(layout: &Layout, by_name: &BTreeMap<String, TensorView<'_>>) -> Vec<String> {
    const SHOWN: usize = 8;
    let mut problems = Vec::new();
    for entry in &layout.entries {
        match by_name.get(&entry.name) {
            None => problems.push(format!("`{}` is missing", entry.name)),
            Some(view) if view.shape() != entry.shape => {
                problems.push(format!("`{}` is {:?} and should be {:?}", entry.name, view.shape(), entry.shape))
            }
            Some(_) => {}
        }
    }
    let known: BTreeSet<&str> = layout.entries.iter().map(|entry| entry.name.as_str()).collect();
    let extra = by_name.keys().filter(|name| !known.contains(name.as_str()));
    problems.extend(extra.map(|name| format!("`{name}` has no place")));
    if problems.len() > SHOWN {
        let more = problems.len() - SHOWN;
        problems.truncate(SHOWN);
        problems.push(format!("and {more} more"));
    }
    problems
}

/// The little-endian bytes of numbers.
fn bytes(numbers: &[f32]) -> Cow<'_, [u8]> {
    let mut bytes = vec![0; numbers.len() * 4];
    bytes.par_chunks_mut(1 << 16).zip(numbers.par_chunks(1 << 14)).for_each(|(bytes, numbers)| {
        for (bytes, x) in bytes.chunks_exact_mut(4).zip(numbers) {
            bytes.copy_from_slice(&x.to_le_bytes());
        }
    });
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_converts_exactly() {
        for (bits, value) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 5.960_464_5e-8), (0x8000, -0.0)]
        {
            assert_eq!(half_to_single(bits).to_bits(), f32::to_bits(value));
        }
        assert_eq!(half_to_single(0x7c00), f32::INFINITY);
        assert!(half_to_single(0x7e00).is_nan());
    }
}
