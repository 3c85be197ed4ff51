//! The heads of safetensors files: what tensors a file holds, and where.
//!
//! The format: eight bytes of length (little-endian), so many bytes of JSON, then the numbers. The engine reads the numbers
//! with the `safetensors` crate; planning builds without it and needs only this.

use super::Fault;
use crate::diagnostics::Code;
use crate::source::{World, WorldError};
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// A tensor in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stored {
    pub name: String,
    /// `F32`, `BF16` …
    pub dtype: String,
    pub shape: Vec<u64>,
}

/// The longest head that the format allows.
const LONGEST: u64 = 100_000_000;

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The tensors of a file, by what its head says. Every length in it is compared with the file's size before it is believed.
pub(super) fn read(world: &dyn World, file: &str) -> Result<Vec<Stored>, Fault> {
    let bad = |why: String| {
        let help = "download the file again: the download may have been cut short";
        Fault::new(Code::E0615, format!("`{file}` is no whole safetensors file: {why}"), help)
    };
    let unread = |error: WorldError| {
        let help = "download the weights again, or put the file there that the link means";
        Fault::new(Code::E0615, format!("`{file}` cannot be read: {error}"), help)
    };
    let (first, size) = world.start(file, 8).map_err(unread)?;
    if first.starts_with(b"version ") {
        let mut fault = bad("it is a pointer of Git LFS, which stands for the weights".to_owned());
        fault.help = "fetch the weights with `git lfs pull` in the folder".to_owned();
        return Err(fault);
    }
    let Some(length) = first.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes)) else {
        return Err(bad(format!("it has {size} bytes")));
    };
    if length > LONGEST {
        return Err(bad(format!("it says that its head is {length} bytes long, and the format allows {LONGEST}")));
    }
    let Some(data) = size.checked_sub(8 + length) else {
        return Err(bad(format!("it says that its head is {length} bytes long, and the file has {size} in all")));
    };
    let whole = usize::try_from(8 + length).map_err(|e| bad(e.to_string()))?;
    let (bytes, _) = world.start(file, whole).map_err(unread)?;
    let head = bytes.get(8..whole).ok_or_else(|| bad("it became shorter while it was read".to_owned()))?;
    let head: BTreeMap<String, Json> =
        serde_json::from_slice(head).map_err(|e| bad(format!("its head is not valid JSON ({e})")))?;
    let mut entries: Vec<(String, Entry)> = Vec::new();
    for (name, value) in head {
        if name != "__metadata__" {
            let entry =
                Entry::deserialize(value).map_err(|e| bad(format!("the entry of `{name}` is malformed ({e})")))?;
            entries.push((name, entry));
        }
    }
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut end = 0;
    for (name, Entry { dtype, shape, data_offsets: (from, to) }) in &entries {
        let numbers = shape.iter().try_fold(1u64, |n, size| n.checked_mul(*size));
        let bits = bits(dtype).ok_or_else(|| bad(format!("`{name}` has the unknown number format `{dtype}`")))?;
        let needs = numbers.and_then(|n| n.checked_mul(bits)).map(|bits| bits.div_ceil(8));
        if from != &end || to < from || needs != Some(to - from) {
            return Err(bad(format!("the place of `{name}` does not fit its shape or its neighbours")));
        }
        end = *to;
    }
    if end != data {
        return Err(bad(format!("its tensors have {end} bytes, and {data} are there")));
    }
    Ok(entries.into_iter().map(|(name, e)| Stored { name, dtype: e.dtype, shape: e.shape }).collect())
}

/// Bits of a number.
fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F64" | "I64" | "U64" | "C64" => 64,
        "F32" | "I32" | "U32" => 32,
        "F16" | "BF16" | "I16" | "U16" => 16,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E5M2FNUZ" | "F8_E4M3FNUZ" => 8,
        "F6_E2M3" | "F6_E3M2" => 6,
        "F4" => 4,
        _ => return None,
    })
}
