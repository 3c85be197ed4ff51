//! Rotary positions in the rotate-half form of Hugging Face's Llama (Su et al. 2021).

use crate::lanes::vectorised;
use crate::rows;

/// Turns the first `heads` heads of every row of `x` `[batch · time, width]` by its position's angles: `cos` and `sin`
/// `[time, head_dim]`, of which the second halves count. With `back`, the other way round.
#[allow(clippy::too_many_arguments, reason = "sizes and tables")]
pub fn turn(
    x: &mut [f32],
    width: usize,
    heads: usize,
    head_dim: usize,
    time: usize,
    cos: &[f32],
    sin: &[f32],
    back: bool,
) {
    let half = head_dim / 2;
    let sign = if back { -1.0 } else { 1.0 };
    rows(x, width, |row, x| {
        let at = row % time * head_dim;
        let (cos, sin) = (&cos[at + half..at + head_dim], &sin[at + half..at + head_dim]);
        turn_row(&mut x[..heads * head_dim], cos, sin, sign);
    });
}

vectorised! {
    fn turn_row(x: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
        let half = cos.len();
        for head in x.chunks_exact_mut(2 * half) {
            let (first, second) = head.split_at_mut(half);
            for i in 0..half {
                let (a, b, s) = (first[i], second[i], sign * sin[i]);
                first[i] = a * cos[i] - b * s;
                second[i] = b * cos[i] + a * s;
            }
        }
    }
}
