//! Matrix products of numbers of 16 bits (mixed precision, Micikevicius et al. 2018).
//!
//! What goes into a product is rounded to 16 bits, the sum is taken in f32 and rounded to 16 bits once, and everything else
//! (weights, sums of the residual stream, norms, softmax, activations, losses, optimiser) has f32. That is what PyTorch's
//! `autocast` computes, except that it also leaves activations in 16 bits between two products.
//!
//! On the CPU the kernels of bf16 take and give numbers of f32 and round within; f16 goes through burn's operations there as
//! everything does on a GPU.

use super::host::is_on_host;
use crate::device::Format;
use crate::plan::spec::Precision;
use burn::tensor::{FloatDType, Tensor};

/// The format that goes into matrix products; nothing where that is f32.
pub fn format(precision: Precision) -> Option<Format> {
    match precision {
        Precision::F32 => None,
        Precision::MixedF16 => Some(Format::F16),
        Precision::MixedBf16 => Some(Format::Bf16),
    }
}

/// `x` as it goes into [`super::host::product`]. The kernel of the CPU takes f32 and rounds to bf16 by itself.
pub(super) fn operand<const D: usize>(format: Option<Format>, x: Tensor<D>) -> Tensor<D> {
    match format {
        Some(Format::Bf16) if is_on_host(&x) => x,
        format => round(format, x),
    }
}

/// `x` in the format of products.
pub(super) fn round<const D: usize>(format: Option<Format>, x: Tensor<D>) -> Tensor<D> {
    match format {
        Some(format) => x.cast(format.dtype()),
        None => x,
    }
}

/// What came out of a product, in f32 again.
pub(super) fn widen<const D: usize>(format: Option<Format>, x: Tensor<D>) -> Tensor<D> {
    match format {
        Some(_) => x.cast(FloatDType::F32),
        None => x,
    }
}
