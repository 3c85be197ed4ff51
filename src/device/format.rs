//! Number formats of 16 bits, and which of them a device computes with.

use burn::tensor::{Device, FloatDType};

/// A number format of 16 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// IEEE 754 half precision: 11 bits of precision, numbers up to 65 504.
    F16,
    /// The upper half of an f32: 8 bits of precision, the range of an f32.
    Bf16,
}

impl Format {
    pub const ALL: [Format; 2] = [Format::F16, Format::Bf16];

    pub fn name(self) -> &'static str {
        match self {
            Format::F16 => "f16",
            Format::Bf16 => "bf16",
        }
    }

    /// What burn calls it.
    pub(crate) fn dtype(self) -> FloatDType {
        match self {
            Format::F16 => FloatDType::F16,
            Format::Bf16 => FloatDType::BF16,
        }
    }

    /// Those that a started device computes with. burn's answer is about storage and arithmetic both: SPIR-V, which can store
    /// bf16 and not add it, says no.
    pub(super) fn of(device: &Device) -> Vec<Format> {
        Format::ALL.into_iter().filter(|format| device.supports_dtype(format.dtype())).collect()
    }
}
