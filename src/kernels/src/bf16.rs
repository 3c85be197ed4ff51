//! Products of matrices whose numbers are rounded to bf16 first.
//!
//! A bf16 is the upper half of an f32: its sign, its exponent and seven bits of its fraction. Two of them fit where one f32
//! does, and `vdpbf16ps` (AVX512-BF16: Zen 4, Cooper Lake, Sapphire Rapids and later) multiplies and adds twice as many a cycle
//! as an f32 instruction. Where a processor lacks it, the rounded numbers go through the f32 product, so the results
//! of all processors agree within the rounding of sums in f32.
//!
//! Numbers round to the nearest bf16, the even one of two as near, as in every format of IEEE 754; what rounds beyond the
//! largest is infinite; NaN stays NaN. Subnormal numbers count as zeros where the instruction is used, which is how it is
//! defined, and so do sums that are subnormal.

use crate::SMALL;
use crate::lanes::vectorised;
use crate::matmul::{Matrix, matmul};
use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
mod dot;

/// Whether the processor multiplies bf16 itself.
pub fn bf16_is_native() -> bool {
    #[cfg(target_arch = "x86_64")]
    return dot::available();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// `left` times `right`, row by row, of their numbers rounded to bf16: summed in f32, and the sums rounded to bf16 as well. With
/// all threads, whose count does not change the result.
///
/// # Panics
/// When the columns of one are not the rows of the other.
pub fn matmul_bf16(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
    #[cfg(target_arch = "x86_64")]
    if dot::available() {
        return dot::matmul(left, right);
    }
    matmul_of_rounded(left, right)
}

/// [`matmul_bf16`] through the f32 product.
pub(crate) fn matmul_of_rounded(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
    let (a, b) = (rounded(left.numbers()), rounded(right.numbers()));
    let mut product = matmul(left.with(&a), right.with(&b));
    round_all(&mut product);
    product
}

fn rounded(numbers: &[f32]) -> Vec<f32> {
    let mut numbers = numbers.to_vec();
    round_all(&mut numbers);
    numbers
}

/// Rounds numbers to bf16, with all threads.
pub fn round_all(numbers: &mut [f32]) {
    if numbers.len() < SMALL {
        return round_few(numbers);
    }
    numbers.par_chunks_mut(SMALL / 2).for_each(round_few);
}

vectorised! {
    /// Rounds numbers to bf16.
    pub(crate) fn round_few(numbers: &mut [f32]) {
        for x in numbers {
            *x = round_bf16(*x);
        }
    }
}

/// The bf16 nearest to `x`.
#[inline(always)]
pub(crate) fn round_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    // Half of the last bit that stays, less one where that bit is even: a carry rounds up, into the exponent if need be.
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    // A NaN whose fraction lies in the lower half would become an infinity.
    f32::from_bits(if x.is_nan() { bits & 0xffff_0000 | 0x0040_0000 } else { nearest })
}

#[cfg(test)]
mod tests;
