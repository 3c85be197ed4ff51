//! Weights of published networks under our names, read tensor by tensor from mapped files.

use super::architecture::Architecture;
use super::decoder::Decoder;
use super::error::ModelError;
use super::layout::Layout;
use super::params::Params;
use super::stream::{Described, NumberFormat, write_stream};
use super::weights::numbers;
use crate::plan::hugging::{EMBEDDING, Folder, HEAD, Place, uncompiled};
use burn::tensor::Device;
use memmap2::Mmap;
use rayon::prelude::*;
use safetensors::{SafeTensors, tensor::Metadata};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What came of writing a published network down.
#[derive(Clone, PartialEq, Debug)]
pub struct Imported {
    pub parameters: u64,
    /// See [`weights_hash`](super::weights_hash).
    pub weights_hash: String,
    pub not_finite: NotFinite,
}

/// Weights with numbers that are infinite or none at all, and how many.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NotFinite(Vec<(String, u64)>);

/// Weights that are named.
const NAMED: usize = 8;

impl NotFinite {
    fn count(&mut self, name: &str, numbers: &[f32]) {
        let lost = numbers.iter().filter(|x| !x.is_finite()).count() as u64;
        if lost > 0 {
            self.0.push((name.to_owned(), lost));
        }
    }

    /// The first of them in a sentence, if there are any.
    pub fn told(&self) -> Option<String> {
        let named: Vec<String> = self.0.iter().take(NAMED).map(|(name, n)| format!("`{name}` ({n})")).collect();
        let more = match self.0.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let text = format!("numbers that are not finite in the weights: {}{more}", named.join(", "));
        (!self.0.is_empty()).then_some(text)
    }
}

/// The mapped files of a published network.
pub struct Shards {
    files: Vec<Shard>,
}

struct Shard {
    path: PathBuf,
    map: Mmap,
    /// Where the numbers begin.
    start: usize,
    metadata: Metadata,
}

impl Shards {
    /// Maps the files of `folder`; relative paths are seen from `base`.
    ///
    /// # Errors
    /// When a file cannot be opened, or is no whole safetensors file.
    pub fn open(folder: &Folder, base: &Path) -> Result<Shards, ModelError> {
        let mut files = Vec::new();
        for file in &folder.published.weights {
            let path = base.join(file);
            let unread = |e: std::io::Error| ModelError::Read { path: path.clone(), cause: e.to_string() };
            let opened = File::open(&path).map_err(unread)?;
            // SAFETY: the bytes are only ever read as bytes, which every pattern is valid for; a file that another program
            // cuts short while it is mapped ends this process, as with every memory-mapped reader.
            let map = unsafe { Mmap::map(&opened) }.map_err(unread)?;
            let (head, metadata) = SafeTensors::read_metadata(&map)
                .map_err(|e| ModelError::Format { path: path.clone(), cause: e.to_string() })?;
            files.push(Shard { path, map, start: 8 + head, metadata });
        }
        Ok(Shards { files })
    }

    /// The blake3 of each file, in hex.
    pub fn digests(&self) -> impl Iterator<Item = (&Path, String)> {
        self.files.iter().map(|shard| {
            let digest = blake3::hash(&shard.map).to_hex().to_string();
            (shard.path.as_path(), digest)
        })
    }

    /// Refuses an output matrix that differs from the embedding it is said to share.
    ///
    /// # Errors
    /// When it does: `transformers` would use it, or not, depending on its version.
    fn check_tied(&self, folder: &Folder) -> Result<(), ModelError> {
        let shared = folder.places.iter().find(|place| place.name == EMBEDDING);
        let (true, Some(embedding)) = (folder.decoder.tied, shared) else { return Ok(()) };
        for (file, shard) in self.files.iter().enumerate() {
            let Some(tensor) = shard.metadata.tensors().into_keys().find(|tensor| uncompiled(tensor) == HEAD) else {
                continue;
            };
            let head = Place { file, tensor, name: HEAD.to_owned(), ..embedding.clone() };
            let (head, embedding) = (self.weight(&head)?, self.weight(embedding)?);
            // What is no number does not equal itself.
            let same = |(a, b): (&f32, &f32)| a == b || a.to_bits() == b.to_bits();
            if head.len() != embedding.len() || !head.iter().zip(&embedding).all(same) {
                let problem = format!(
                    "`config.json` says that the output shares the embedding, and `{HEAD}` is another matrix; set \
                     `tie_word_embeddings` to false to use it, or remove it from the file"
                );
                return Err(ModelError::Mismatch { path: shard.path.clone(), problems: vec![problem] });
            }
        }
        Ok(())
    }

    /// The numbers of one weight of ours.
    fn weight(&self, place: &Place) -> Result<Vec<f32>, ModelError> {
        let Some(shard) = self.files.get(place.file) else {
            return Err(ModelError::Mismatch {
                path: PathBuf::new(),
                problems: vec![format!("`{}` is missing", place.name)],
            });
        };
        let failed = |cause: String| ModelError::Format { path: shard.path.clone(), cause };
        let info = shard.metadata.info(&place.tensor).ok_or_else(|| failed(format!("`{}` is gone", place.tensor)))?;
        let (from, to) = info.data_offsets;
        let resized = || failed(format!("`{}` has another size than it had", place.tensor));
        // Of a tensor with many experts, no more than one is read.
        let (within, place) = stretch(to - from, place).ok_or_else(resized)?;
        let bytes = shard.map.get(shard.start + from + within.start..shard.start + from + within.end);
        let all = bytes.and_then(|bytes| numbers(info.dtype, bytes)).ok_or_else(|| {
            failed(format!("`{}` has the number format {:?}; f32, f16 and bf16 can be read", place.tensor, info.dtype))
        })?;
        part(&all, &place).ok_or_else(resized)
    }
}

/// The bytes of a tensor of so many that hold our weight, and where it lies among those: the whole tensor where it lies the
/// other way.
fn stretch(bytes: usize, place: &Place) -> Option<(std::ops::Range<usize>, Place)> {
    let (outputs, first, rows) = (place.outputs, place.first, *place.shape.first()?);
    let row = (bytes as u64).checked_div(outputs).filter(|row| row.checked_mul(outputs) == Some(bytes as u64))?;
    if place.turned || rows == outputs {
        return Some((0..bytes, place.clone()));
    }
    let (from, to) = (row.checked_mul(first)?, row.checked_mul(first.checked_add(rows)?)?);
    let place = Place { first: 0, outputs: rows, ..place.clone() };
    (to <= bytes as u64).then_some((from as usize..to as usize, place))
}

/// The part of a tensor's numbers that is our weight, `[out, in]`.
fn part(all: &[f32], place: &Place) -> Option<Vec<f32>> {
    let size = |n: u64| usize::try_from(n).ok();
    let (first, outputs) = (size(place.first)?, size(place.outputs)?);
    let rows = size(*place.shape.first()?)?;
    let cols = place.shape.get(1).map_or(Some(1), |n| size(*n))?;
    if all.len() != outputs.checked_mul(cols)? || first.checked_add(rows)? > outputs {
        return None;
    }
    if !place.turned {
        return all.get(first * cols..(first + rows) * cols).map(<[f32]>::to_vec);
    }
    let mut turned = vec![0.0; rows * cols];
    turned.par_chunks_mut(cols.max(1)).enumerate().for_each(|(row, out)| {
        for (x, input) in out.iter_mut().zip(all.chunks_exact(outputs)) {
            *x = input[first + row];
        }
    });
    Some(turned)
}

/// Writes the weights of a published network to `path`, in f32 under our names.
///
/// # Errors
/// When the files are not what was planned, or `path` cannot be written.
pub fn import(folder: &Folder, shards: &Shards, path: &Path) -> Result<Imported, ModelError> {
    let tensors: Vec<Described> = folder
        .places
        .iter()
        .map(|place| Described { name: place.name.clone(), shape: place.shape.iter().map(|n| *n as usize).collect() })
        .collect();
    shards.check_tied(folder)?;
    // Places are sorted by name, which is the order of the hash.
    let mut hasher = blake3::Hasher::new();
    let mut imported = Imported { parameters: 0, weights_hash: String::new(), not_finite: NotFinite::default() };
    write_stream(path, &BTreeMap::new(), NumberFormat::F32, &tensors, &mut |index| {
        let place = &folder.places[index];
        let numbers = shards.weight(place)?;
        hasher.update(place.name.as_bytes());
        hasher.update(&[0]);
        hasher.update(&(place.shape.len() as u64).to_le_bytes());
        for size in &place.shape {
            hasher.update(&size.to_le_bytes());
        }
        for chunk in numbers.chunks(1 << 14) {
            hasher.update(&chunk.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        }
        imported.parameters += numbers.len() as u64;
        imported.not_finite.count(&place.name, &numbers);
        Ok(numbers)
    })?;
    imported.weights_hash = hasher.finalize().to_hex().to_string();
    Ok(imported)
}

impl Decoder {
    /// A published network, ready to use, and what of it is not finite.
    ///
    /// # Errors
    /// When the files are not what was read, or the network is not one of ours.
    pub fn published(folder: &Folder, base: &Path, device: &Device) -> Result<(Decoder, NotFinite), ModelError> {
        let architecture = Architecture::new(&folder.decoder, None)?;
        let layout = Layout::new(&architecture);
        let shards = Shards::open(folder, base)?;
        shards.check_tied(folder)?;
        let places: BTreeMap<&str, &Place> = folder.places.iter().map(|p| (p.name.as_str(), p)).collect();
        let mut host: Vec<Vec<f32>> = layout.segments.iter().map(|segment| vec![0.0; segment.len]).collect();
        let mut problems = Vec::new();
        let mut not_finite = NotFinite::default();
        for entry in &layout.entries {
            let Some(place) = places.get(entry.name.as_str()) else {
                problems.push(format!("`{}` is missing", entry.name));
                continue;
            };
            let numbers = shards.weight(place)?;
            not_finite.count(&entry.name, &numbers);
            let room = &mut host[entry.segment][entry.offset..entry.offset + entry.len()];
            if numbers.len() == room.len() {
                room.copy_from_slice(&numbers);
            } else {
                problems.push(format!("`{}` is {:?} and should be {:?}", entry.name, place.shape, entry.shape));
            }
        }
        if !problems.is_empty() {
            let path = folder.published.weights.first().map(PathBuf::from).unwrap_or_default();
            return Err(ModelError::Mismatch { path, problems });
        }
        Ok((Decoder::new(architecture, Params::from_host(host, device), device), not_finite))
    }
}
