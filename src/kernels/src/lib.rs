//! What a transformer does between its matrix products, fused for the CPU.
//!
//! A tensor library computes a softmax or a norm as a chain of operations, each of which reads and writes everything once.
//! On a CPU that costs as much as the arithmetic. Here each is one pass over slices of f32, row-major, in parallel over rows.
//!
//! The numbers depend neither on the count of threads nor on the width of the processor's vectors: rows are cut the same way
//! everywhere, and sums run over a fixed number of lanes. It is a crate of its own so that it is optimised in every profile.

mod activation;
mod adamw;
mod attention;
mod bf16;
mod clip;
mod decode;
mod eigen;
mod entropy;
mod experts;
mod groups;
mod lanes;
mod lion;
mod matmul;
mod norm;
mod orthonormal;
mod rotary;
#[cfg(test)]
mod tests;

pub use activation::{
    geglu, geglu_back, gelu, gelu_back, relu, relu_back, relu_squared, relu_squared_back, swiglu, swiglu_back,
};
pub use adamw::{Adamw, adamw};
pub use attention::{Dropout, Heads, View, attention, attention_back, operands_bf16};
pub use bf16::{bf16_is_native, matmul_bf16, round_all};
pub use clip::{scale, sum_of_squares};
pub use decode::{CacheShape, attend, log_total};
pub use eigen::eigenvectors;
pub use entropy::cross_entropy;
pub use experts::{Load, Pressure, Routing, route};
pub use groups::{Group, norm_groups, norm_groups_back};
pub use lion::{Lion, lion};
pub use matmul::{Matrix, matmul};
pub use norm::{NormKind, norm, norm_back};
pub use orthonormal::orthonormal;
pub use rotary::turn;

use rayon::prelude::*;

/// Numbers below which threads cost more than they bring.
const SMALL: usize = 1 << 14;

/// Runs `work` on every row of `out` with the number of the row, in parallel where that pays.
fn rows(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if width == 0 {
        return;
    }
    if out.len() < SMALL {
        out.chunks_exact_mut(width).enumerate().for_each(|(row, out)| work(row, out));
    } else {
        let many = (SMALL / 2 / width).max(1);
        out.par_chunks_mut(many * width).enumerate().for_each(|(part, out)| {
            for (row, out) in out.chunks_exact_mut(width).enumerate() {
                work(part * many + row, out);
            }
        });
    }
}
