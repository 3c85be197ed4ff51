//! Products of rounded numbers against the same in f64.

use super::*;
use crate::tests::numbers;

fn turned(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| x[r * columns + c])).collect()
}

/// Both ways to the product, in all four layouts.
fn check(a: &[f32], b: &[f32], (m, n, k): (usize, usize, usize), against: impl Fn(usize, f32, &str)) {
    let (at, bt) = (turned(a, m, k), turned(b, k, n));
    let (a, at) = (Matrix::new(a, m, k), Matrix::new(&at, k, m).transposed());
    let (b, bt) = (Matrix::new(b, k, n), Matrix::new(&bt, n, k).transposed());
    for (left, right) in [(a, b), (a, bt), (at, b), (at, bt)] {
        for (ours, way) in [(matmul_bf16(left, right), "bf16"), (matmul_of_rounded(left, right), "rounded")] {
            assert_eq!(ours.len(), m * n);
            ours.iter().enumerate().for_each(|(i, x)| against(i, *x, way));
        }
    }
}

#[test]
fn products_are_those_of_rounded_numbers() {
    for (m, n, k) in [
        (1, 1, 1),
        (1, 33, 2),
        (3, 5, 7),
        (12, 32, 16),
        (13, 33, 33),
        (17, 47, 65),
        (130, 70, 300),
        (25, 400, 1025),
        (100, 420, 385),
        (2050, 9, 31),
        (5, 2100, 34),
        (9, 7, 2305),
    ] {
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let rounded = |x: &[f32]| -> Vec<f64> { x.iter().map(|x| f64::from(round_bf16(*x))).collect() };
        let (ra, rb) = (rounded(&a), rounded(&b));
        // The sum, and that of magnitudes, which bounds how far rounding takes it.
        let exact: Vec<(f64, f64)> = (0..m * n)
            .map(|i| {
                let terms = (0..k).map(|l| ra[i / n * k + l] * rb[l * n + i % n]);
                terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
            })
            .collect();
        check(&a, &b, (m, n, k), |i, x, way| {
            let (sum, size) = exact[i];
            // And what rounding the sum takes it further, at most half of its last bit.
            let bound = 1e-6 * size + sum.abs() / 256.0;
            assert!((f64::from(x) - sum).abs() <= bound, "{way} {m} {n} {k}, {i}: {x} is not {sum}");
            assert_eq!(x.to_bits(), round_bf16(x).to_bits(), "{way}: the sum is rounded");
        });
    }
}

/// Sums of whole numbers are exact, so that only rounding them changes anything.
#[test]
fn exact_sums_are_rounded_once() {
    for (m, n, k) in [(5, 3, 40), (30, 70, 2500), (13, 33, 1025)] {
        let whole = |x: Vec<f32>| -> Vec<f32> { x.into_iter().map(|x| (x * 4.0).round()).collect() };
        let (a, b) = (whole(numbers(m * k, 5)), whole(numbers(k * n, 6)));
        let exact = |i: usize| (0..k).map(|l| a[i / n * k + l] * b[l * n + i % n]).sum::<f32>();
        let exact: Vec<f32> = (0..m * n).map(|i| round_bf16(exact(i))).collect();
        check(&a, &b, (m, n, k), |i, x, way| assert_eq!(x, exact[i], "{way} {m} {n} {k}, {i}"));
    }
}

#[test]
fn numbers_round_to_the_nearest_and_to_even() {
    let cases = [
        (1.0, 1.0),
        (1.0 + 2f32.powi(-8), 1.0),
        (1.0 + 2f32.powi(-8) + 2f32.powi(-20), 1.0 + 2f32.powi(-7)),
        (1.0 + 3.0 * 2f32.powi(-8), 1.0 + 2f32.powi(-6)),
        (-1.0 - 3.0 * 2f32.powi(-8), -1.0 - 2f32.powi(-6)),
        (2.0 - 2f32.powi(-9), 2.0),
        (-0.0, -0.0),
        (f32::MAX, f32::INFINITY),
        (f32::INFINITY, f32::INFINITY),
        (f32::NEG_INFINITY, f32::NEG_INFINITY),
    ];
    for (x, nearest) in cases {
        assert_eq!(round_bf16(x).to_bits(), nearest.to_bits(), "{x}");
        check(&[x], &[1.0], (1, 1, 1), |_, y, way| assert_eq!(y, nearest, "{way} {x}"));
    }
    for bits in [0x7f80_0001, 0x7fff_ffff, 0xff80_0001, 0x7fc0_0000] {
        let nan = f32::from_bits(bits);
        assert!(round_bf16(nan).is_nan());
        check(&[nan], &[1.0], (1, 1, 1), |_, y, way| assert!(y.is_nan(), "{way} {bits:x}"));
    }
}

#[test]
fn what_is_not_finite_stays_in_its_row_and_column() {
    let (m, n, k) = (14, 35, 40);
    for (bad, expected) in [(f32::NAN, f32::NAN), (f32::INFINITY, f32::INFINITY)] {
        let (mut a, b) = (numbers(m * k, 3), vec![1.0; k * n]);
        a[5 * k + 37] = bad;
        check(&a, &b, (m, n, k), |i, x, way| {
            let as_expected = x == expected || x.is_nan() && expected.is_nan();
            assert!(if i / n == 5 { as_expected } else { x.is_finite() }, "{way} {i}: {x}");
        });
    }
}

#[test]
fn a_product_is_the_same_for_any_number_of_threads() {
    for (m, n, k) in [(1024, 384, 1152), (384, 384, 1024), (100, 1000, 777), (64, 4096, 128), (2100, 40, 1100)] {
        let (a, b) = (numbers(m * k, 3), numbers(k * n, 4));
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| matmul_bf16(Matrix::new(&a, m, k), Matrix::new(&b, k, n)))
        };
        let one = with(1);
        for threads in [2, 3, 8] {
            assert!(one == with(threads), "{m} {n} {k} with {threads} threads");
        }
    }
}

#[test]
fn nothing_times_nothing() {
    assert_eq!(matmul_bf16(Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 3)), vec![0.0; 6]);
    assert!(matmul_bf16(Matrix::new(&[], 0, 2), Matrix::new(&[1.0, 2.0], 2, 1)).is_empty());
}

#[test]
fn attention_takes_and_gives_rounded_numbers() {
    use crate::{Heads, View, attention, attention_back, operands_bf16};
    for (time, window, kv_heads) in [(5, None, 1), (70, Some(20), 2), (130, None, 2)] {
        let sizes = Heads { batch: 2, time, heads: 4, kv_heads, head_dim: 4 };
        let x = numbers(2 * time * sizes.width(), 5);
        let up: Vec<f32> = numbers(2 * time * sizes.out_width(), 6).into_iter().map(round_bf16).collect();
        let run = |bf16: bool| {
            let view = View { window, bf16, ..View::causal(4) };
            let mut qkv = x.clone();
            if bf16 {
                operands_bf16(sizes, view.scale, &mut qkv);
            }
            let (mut out, mut logs) = (vec![0.0; up.len()], vec![0.0; 2 * time * 4]);
            attention(sizes, view, &qkv, &mut out, &mut logs);
            let mut back = vec![0.0; x.len()];
            attention_back(sizes, view, &qkv, &out, &logs, &up, &mut back);
            (out, back)
        };
        let (plain, half) = (run(false), run(true));
        for (what, plain, half) in [("output", plain.0, half.0), ("gradient", plain.1, half.1)] {
            // A half of a number of bf16 is one, and that is the scale of queries.
            assert!(half.iter().all(|x| round_bf16(*x) == *x), "{what} of {time} is rounded");
            let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let apart = norm(&mut plain.iter().zip(&half).map(|(a, b)| a - b)) / norm(&mut plain.iter().copied());
            assert!(apart > 1e-4 && apart < 2e-2, "{what} of {time}: {apart}");
        }
    }
}
