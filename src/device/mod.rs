//! Where a run computes: what this machine has, and which of it a run takes.
//!
//! burn can choose a device by itself, by the order of its build features and not by what the machine has; this
//! module chooses instead, says why, and is the only place that makes a burn device. A software rasteriser
//! (lavapipe, llvmpipe, WARP) is listed and can be named, but `auto` never takes it: the native CPU backend is faster.

mod choose;
mod format;
#[cfg(feature = "wgpu")]
mod gpu;
mod heap;
mod panics;
mod repeat;

pub use choose::{Chosen, DeviceError, Found, Kind, choose, formats, list};
pub use format::Format;
pub use heap::{Advised, Heap, advise};
pub use panics::{record_panics, take_panic};
pub use repeat::{Level, Promise, promise};

use burn::tensor::Device;

/// The CPU, as burn's `flex` backend.
pub(crate) fn cpu_device() -> Device {
    heap::keep();
    Device::flex()
}
