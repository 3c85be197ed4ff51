//! How far a computation repeats itself, run to run, on a device.

use super::Kind;

/// What two runs of one plan on one device share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Every bit of every weight.
    Bitwise,
    /// Start, data and order of everything; weights up to rounding.
    Rounding,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Level::Bitwise => "bitwise",
            Level::Rounding => "rounding",
        }
    }
}

/// What is promised of a kind of device, why, and what is held fixed for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Promise {
    pub level: Level,
    pub why: &'static str,
    pub pinned: &'static [&'static str],
}

/// The promise for a kind of device.
///
/// burn chooses kernels by timing them (`autotune`), and joins operations depending on what came before (`fusion`). Neither
/// is built in, and nothing of the engine sums with atomics: see `tests/engine/train/devices.rs`, which also proves what is
/// promised here. A hardware GPU computes with the same kernels, but no test of ours has seen it; there a stage computes its
/// first gradient twice and its record says whether the bits were the same.
pub fn promise(kind: Kind) -> Promise {
    const HOST: &str = "initial weights, data order, dropout and sampling are drawn on the host";
    const SUMS: &str = "sums have an order that does not depend on threads";
    match kind {
        Kind::Cpu => Promise {
            level: Level::Bitwise,
            why: "the same weights for any number of threads",
            // Which of the two it is differs between processors, and so do the last bits of `mixed_bf16`.
            pinned: match emberlab_kernels::bf16_is_native() {
                true => &[HOST, SUMS, "products of bf16 by the processor's own instruction (AVX512-BF16)"],
                false => &[HOST, SUMS, "products of bf16 in f32, of rounded numbers"],
            },
        },
        Kind::SoftwareGpu => Promise {
            level: Level::Bitwise,
            why: "the same weights run to run",
            pinned: &[HOST, "no autotune: kernels are not chosen by timing", "no fusion", "no sums with atomics"],
        },
        Kind::DiscreteGpu | Kind::IntegratedGpu | Kind::VirtualGpu | Kind::OtherGpu => Promise {
            level: Level::Rounding,
            why: "nothing that varies is built in, but bits are only promised where they are tested; the record says \
                  whether the first gradient, computed twice, had the same",
            pinned: &[HOST, "no autotune: kernels are not chosen by timing", "no fusion", "no sums with atomics"],
        },
    }
}
