//! Vectors without intrinsics: loops over a fixed number of lanes, compiled for the best the processor has.

/// Lanes of a sum. Fixed, so that the result is the same on every processor.
pub const LANES: usize = 16;

/// What the processor can do.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// AVX-512.
    V4,
    /// AVX2.
    V3,
    Plain,
}

/// The best level of this processor. The standard library remembers what it asked.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn level() -> Level {
    if std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512vl")
    {
        Level::V4
    } else if std::arch::is_x86_feature_detected!("avx2") {
        Level::V3
    } else {
        Level::Plain
    }
}

/// Compiles a function once for each [`Level`] and calls the best. Multiplications and additions are never fused, so all of
/// them compute the same numbers.
macro_rules! vectorised {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "a kernel takes its slices one by one")]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "as above")]
            fn plain($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                #[allow(clippy::too_many_arguments, reason = "as above")]
                fn v4($($arg: $ty),*) $(-> $ret)? { plain($($arg),*) }
                #[target_feature(enable = "avx2")]
                #[allow(clippy::too_many_arguments, reason = "as above")]
                fn v3($($arg: $ty),*) $(-> $ret)? { plain($($arg),*) }
                match $crate::lanes::level() {
                    // SAFETY: the processor has what the function was compiled for.
                    $crate::lanes::Level::V4 => return unsafe { v4($($arg),*) },
                    // SAFETY: likewise.
                    $crate::lanes::Level::V3 => return unsafe { v3($($arg),*) },
                    $crate::lanes::Level::Plain => {}
                }
            }
            plain($($arg),*)
        }
    };
}
pub(crate) use vectorised;

/// e to the `x`, to about two units in the last place; below -87 it is as good as zero, and is not exactly zero.
///
/// Cody and Waite's reduction with the polynomial of the Cephes library (Moshier 1992).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * (355.0 / 512.0) + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5e-1;
    let y = p * r * r + r + 1.0;
    // The low bits of `shifted` are the power of two.
    f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The sum of `f(0) + f(1) + …`, over [`LANES`] partial sums.
#[inline(always)]
pub fn sum(len: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = len / LANES * LANES;
    let mut at = 0;
    while at < whole {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(at + lane);
        }
        at += LANES;
    }
    for (lane, i) in (whole..len).enumerate() {
        lanes[lane] += f(i);
    }
    fold(lanes, |a, b| a + b)
}

/// The largest of `x`; of nothing, negative infinity.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    for (lane, x) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane = lane.max(*x);
    }
    fold(lanes, f32::max)
}

#[inline(always)]
fn fold(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = join(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_everywhere() {
        let mut worst = 0.0f64;
        for i in -87_000..88_000 {
            let x = i as f32 / 1000.0;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            worst = worst.max(((ours - exact) / exact).abs());
        }
        assert!(worst < 3e-7, "{worst}");
        assert!(exp(-1e9) < 1e-37 && exp(f32::NAN).is_nan());
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn sums_and_largest_take_every_number() {
        for len in [0, 1, 15, 16, 17, 100] {
            let x: Vec<f32> = (0..len).map(|i| (i * 7 % 13) as f32).collect();
            assert_eq!(sum(len, |i| x[i]), x.iter().sum::<f32>());
            assert_eq!(max(&x), x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
