//! Eigenvectors of a symmetric matrix.
//!
//! Householder's reduction to three diagonals and the implicit QL method (Bowdler, Martin, Reinsch & Wilkinson 1968, as in
//! EISPACK's `tred2` and `imtql2`), in f64. Vectors are turned several rows at a time, each of which is by itself, so the numbers
//! depend neither on threads nor on the processor's vectors.

use crate::lanes::vectorised;
use rayon::prelude::*;

/// Rows of vectors that are turned together.
const ROWS: usize = 16;

/// Rotations of vectors that are gathered before they are applied, in matrices.
const GATHERED: usize = 32;

/// Steps of QL, times the size, after which what has been reached is taken: LAPACK's limit. A few are usual.
const LIMIT: usize = 30;

/// Numbers of a matrix below which threads cost more than they bring.
const ALONE: usize = 1 << 15;

/// A rotation of column `at` and the one after it.
#[derive(Clone, Copy)]
struct Turn {
    at: usize,
    cosine: f64,
    sine: f64,
}

/// Orthonormal eigenvectors of the symmetric matrix `a` of `n` rows: row by row, one vector a column, those of the largest
/// eigenvalues first. What is above the diagonal counts. Signs are as they come.
///
/// Of a matrix with a number that is not finite, the identity.
///
/// # Panics
/// When the slice has another length.
pub fn eigenvectors(a: &[f32], n: usize) -> Vec<f32> {
    assert_eq!(a.len(), n * n, "{n} × {n}");
    let largest = a.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    if largest == 0.0 || !a.iter().all(|x| x.is_finite()) {
        let mut identity = vec![0.0f32; n * n];
        identity.iter_mut().step_by(n + 1).for_each(|x| *x = 1.0);
        return identity;
    }
    // Of numbers up to one, squares do not overflow.
    let mut a: Vec<f64> = a.iter().map(|x| f64::from(*x) / f64::from(largest)).collect();
    let Three { mut diagonal, mut beside, factors } = three_diagonals(&mut a, n);
    let mut panels = reflected(&a, &factors, n);
    drop(a);
    solve(&mut diagonal, &mut beside, |turns| {
        panels.par_chunks_mut(n * ROWS).for_each(|panel| turn(panel, turns));
    });
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| diagonal[*j].total_cmp(&diagonal[*i]));
    let mut out = vec![0.0f32; n * n];
    for (row, out) in out.chunks_exact_mut(n).enumerate() {
        let panel = &panels[row / ROWS * n * ROWS..];
        for (to, column) in out.iter_mut().zip(&order) {
            *to = panel[column * ROWS + row % ROWS] as f32;
        }
    }
    out
}

/// A symmetric matrix with three diagonals.
struct Three {
    diagonal: Vec<f64>,
    /// The numbers beside the diagonal; the last is zero.
    beside: Vec<f64>,
    /// What the products of each reflection are multiplied with.
    factors: Vec<f64>,
}

/// Reduces `a` to three diagonals. Row `k` of it then holds, from column `k + 1` on, the vector of the `k`th reflection.
fn three_diagonals(a: &mut [f64], n: usize) -> Three {
    let mut three = Three { diagonal: vec![0.0; n], beside: vec![0.0; n], factors: vec![0.0; n] };
    for k in 0..n {
        let (done, rest) = a.split_at_mut((k + 1) * n);
        three.diagonal[k] = done[k * n + k];
        let vector = &mut done[k * n + k + 1..];
        let Some(first) = vector.first().copied() else { break };
        let below = dot(&vector[1..], &vector[1..]);
        // Squares below the least normal number say nothing of their roots.
        if below < f64::MIN_POSITIVE {
            three.beside[k] = first;
            vector.fill(0.0);
            continue;
        }
        let norm = (first * first + below).sqrt();
        let becomes = if first > 0.0 { -norm } else { norm };
        vector[1..].iter_mut().for_each(|x| *x /= first - becomes);
        vector[0] = 1.0;
        let factor = (becomes - first) / becomes;
        (three.beside[k], three.factors[k]) = (becomes, factor);
        // With p = factor·A·v and w = p − factor/2·(p·v)·v, what is left becomes A − v·wᵀ − w·vᵀ.
        let vector = &*vector;
        let alone = vector.len() * vector.len() < ALONE;
        let seen = |row: &[f64]| factor * dot(&row[k + 1..], vector);
        let mut w: Vec<f64> = match alone {
            true => rest.chunks_exact(n).map(seen).collect(),
            false => rest.par_chunks_exact(n).map(seen).collect(),
        };
        let half = factor / 2.0 * dot(&w, vector);
        w.iter_mut().zip(vector).for_each(|(w, v)| *w -= half * v);
        let change = |(i, row): (usize, &mut [f64])| subtract(&mut row[k + 1..], vector[i], &w, w[i], vector);
        match alone {
            true => rest.chunks_exact_mut(n).enumerate().for_each(change),
            false => rest.par_chunks_exact_mut(n).enumerate().for_each(change),
        }
    }
    three
}

/// The product of the reflections, as panels of [`ROWS`] rows in which the numbers of a column lie together.
fn reflected(vectors: &[f64], factors: &[f64], n: usize) -> Vec<f64> {
    let mut panels = vec![0.0; n.div_ceil(ROWS) * n * ROWS];
    panels.par_chunks_mut(n * ROWS).enumerate().for_each(|(number, panel)| {
        for (lane, row) in (number * ROWS..n.min((number + 1) * ROWS)).enumerate() {
            panel[row * ROWS + lane] = 1.0;
        }
        for (k, factor) in factors.iter().enumerate().filter(|(_, factor)| **factor != 0.0) {
            reflect(&mut panel[(k + 1) * ROWS..], &vectors[k * n + k + 1..(k + 1) * n], *factor);
        }
    });
    panels
}

/// Brings three diagonals, whose numbers are near one, to one, and hands out the rotations that do. What is left when the
/// limit is reached stays.
fn solve(d: &mut [f64], e: &mut [f64], mut apply: impl FnMut(&[Turn])) {
    let n = d.len();
    let size = d.iter().chain(e.iter()).fold(0.0f64, |most, x| most.max(x.abs()));
    let zero = f64::EPSILON * size;
    let mut turns: Vec<Turn> = Vec::new();
    let mut steps = 0;
    for l in 0..n {
        loop {
            let m = (l..n - 1).find(|i| e[*i].abs() <= zero).unwrap_or(n - 1);
            if m == l || steps == LIMIT * n {
                break;
            }
            steps += 1;
            if turns.len() >= GATHERED * n {
                apply(&turns);
                turns.clear();
            }
            // Wilkinson's shift: the eigenvalue of the first two rows that is nearer to the first number.
            let half = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let root = (half * half + 1.0).sqrt();
            let mut g = d[m] - d[l] + e[l] / (half + root.copysign(half));
            let (mut sine, mut cosine, mut p) = (1.0, 1.0, 0.0);
            let mut split = false;
            for i in (l..m).rev() {
                let (f, b) = (sine * e[i], cosine * e[i]);
                let r = (f * f + g * g).sqrt();
                e[i + 1] = r;
                if r == 0.0 {
                    // It falls into two before the first row is reached.
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    split = true;
                    break;
                }
                (sine, cosine) = (f / r, g / r);
                g = d[i + 1] - p;
                let r = (d[i] - g) * sine + 2.0 * cosine * b;
                p = sine * r;
                d[i + 1] = g + p;
                g = cosine * r - b;
                turns.push(Turn { at: i, cosine, sine });
            }
            if !split {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
    apply(&turns);
}

vectorised! {
    fn dot(a: &[f64], b: &[f64]) -> f64 {
        const LANES: usize = 8;
        let mut lanes = [0.0f64; LANES];
        let (mut ours, mut theirs) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        for (a, b) in (&mut ours).zip(&mut theirs) {
            for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
                *lane += a * b;
            }
        }
        for ((lane, a), b) in lanes.iter_mut().zip(ours.remainder()).zip(theirs.remainder()) {
            *lane += a * b;
        }
        let mut total = 0.0;
        for lane in lanes {
            total += lane;
        }
        total
    }
}

vectorised! {
    /// Takes a·x + b·y off a row.
    fn subtract(row: &mut [f64], a: f64, x: &[f64], b: f64, y: &[f64]) {
        for ((to, x), y) in row.iter_mut().zip(x).zip(y) {
            *to -= a * x + b * y;
        }
    }
}

vectorised! {
    /// Applies a reflection to every row of a panel.
    fn reflect(panel: &mut [f64], vector: &[f64], factor: f64) {
        let mut seen = [0.0f64; ROWS];
        for (column, v) in panel.chunks_exact(ROWS).zip(vector) {
            for (seen, x) in seen.iter_mut().zip(column) {
                *seen += x * v;
            }
        }
        for (column, v) in panel.chunks_exact_mut(ROWS).zip(vector) {
            for (x, seen) in column.iter_mut().zip(&seen) {
                *x -= factor * seen * v;
            }
        }
    }
}

vectorised! {
    /// Applies rotations to every row of a panel.
    fn turn(panel: &mut [f64], turns: &[Turn]) {
        for Turn { at, cosine, sine } in turns {
            let (low, high) = panel[at * ROWS..(at + 2) * ROWS].split_at_mut(ROWS);
            for (low, high) in low.iter_mut().zip(high) {
                let was = *high;
                *high = sine * *low + cosine * was;
                *low = cosine * *low - sine * was;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::numbers;

    /// Columns are orthonormal, each is multiplied with a number by the matrix, and those numbers fall.
    fn check(a: &[f32], n: usize, what: &str) -> Vec<f32> {
        let v = eigenvectors(a, n);
        let column = |i: usize| -> Vec<f64> { (0..n).map(|row| f64::from(v[row * n + i])).collect() };
        let size = a.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let mut before = f64::INFINITY;
        for i in 0..n {
            let x = column(i);
            for j in 0..=i {
                let dot: f64 = column(j).iter().zip(&x).map(|(a, b)| a * b).sum();
                assert!((dot - f64::from(i == j)).abs() < 1e-6, "{what}, {n}: {i} and {j}: {dot}");
            }
            let image: Vec<f64> =
                a.chunks_exact(n).map(|row| row.iter().zip(&x).map(|(a, x)| f64::from(*a) * x).sum()).collect();
            let value: f64 = image.iter().zip(&x).map(|(a, b)| a * b).sum();
            let off = image.iter().zip(&x).map(|(a, x)| (a - value * x).abs()).fold(0.0, f64::max);
            assert!(off <= 3e-7 * size, "{what}, {n}: vector {i} is off by {off} of {size}");
            assert!(value <= before + 3e-7 * size, "{what}, {n}: value {i} is {value} after {before}");
            before = value;
        }
        v
    }

    /// Bᵀ·B of a `B` of so many rows.
    fn gram(n: usize, rows: usize, seed: u32) -> Vec<f32> {
        let b = numbers(rows * n, seed);
        (0..n * n).map(|at| (0..rows).map(|k| b[k * n + at / n] * b[k * n + at % n]).sum()).collect()
    }

    #[test]
    fn vectors_are_those_of_the_matrix() {
        for n in [1, 2, 3, 5, 16, 17, 40, 111, 200] {
            check(&gram(n, n + 3, 1), n, "full rank");
            check(&gram(n, 3, 2), n, "rank 3");
            let scaled: Vec<f32> = gram(n, n, 3).iter().map(|x| x * 1e-30).collect();
            check(&scaled, n, "small");
            let diagonal: Vec<f32> =
                (0..n * n).map(|at| if at / n == at % n { (at % 5) as f32 } else { 0.0 }).collect();
            check(&diagonal, n, "diagonal");
            // Some rows and columns are zero, as those of words that were not read.
            let few: Vec<f32> = gram(n, n, 4)
                .iter()
                .enumerate()
                .map(|(at, x)| if at / n % 3 == 1 || at % n % 3 == 1 { 0.0 } else { *x })
                .collect();
            check(&few, n, "rows of zeros");
        }
    }

    #[test]
    fn what_has_no_vectors_gives_the_identity() {
        let identity = [1.0, 0.0, 0.0, 1.0];
        assert_eq!(eigenvectors(&[0.0; 4], 2), identity);
        assert_eq!(eigenvectors(&[1.0, f32::NAN, f32::NAN, 1.0], 2), identity);
        assert_eq!(eigenvectors(&[f32::INFINITY, 1.0, 1.0, 1.0], 2), identity);
        assert!(eigenvectors(&[], 0).is_empty());
    }

    #[test]
    fn threads_change_no_bit() {
        let a = gram(300, 250, 5);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| eigenvectors(&a, 300))
        };
        assert!(with(1) == with(2) && with(1) == with(7));
    }
}
