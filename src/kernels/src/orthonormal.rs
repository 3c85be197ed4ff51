//! The orthonormal factor of a QR decomposition.
//!
//! Householder reflections, gathered into blocks of the form I − V·T·Vᵀ (Schreiber & Van Loan 1989) so that all but a sliver
//! of the work is products of matrices; as LAPACK's `geqrf` and `orgqr`.

use crate::lanes::{sum, vectorised};
use crate::matmul::{ALONE, Part, product};

/// Reflections that are applied at once.
const BLOCK: usize = 32;

/// Reflections of one block.
struct Block {
    /// The first column that they are of.
    from: usize,
    /// One below the other, each of as many numbers as there are rows from `from` on.
    vectors: Vec<f32>,
    /// `[count, count]`, upper triangular.
    factor: Vec<f32>,
    count: usize,
}

/// Of a square matrix of `n` columns, given one column after the other: the orthonormal Q of its decomposition Q·R, row by
/// row. Signs of columns are those of LAPACK, with which R may have a negative diagonal.
///
/// A matrix of lower rank gives an orthonormal Q as well. The numbers depend neither on threads nor on vectors.
///
/// # Panics
/// When the slice has another length.
pub fn orthonormal(mut columns: Vec<f32>, n: usize) -> Vec<f32> {
    assert_eq!(columns.len(), n * n, "{n} × {n}");
    let mut blocks = Vec::new();
    for from in (0..n).step_by(BLOCK) {
        let block = reflect(&mut columns, n, from);
        let (height, next) = (n - from, from + block.count);
        let left = n - next;
        if left > 0 {
            // What is left, as rows of Aᵀ: Aᵀ − (Aᵀ·V)·T·Vᵀ.
            let rest = Part { at: columns[next * n + from..].as_ptr(), row: n, column: 1 };
            let vectors = Part { at: block.vectors.as_ptr(), row: height, column: 1 };
            let mut seen = vec![0.0; left * block.count];
            let sizes = (left, block.count, height);
            // SAFETY: `rest` are the rows from `next` on, from column `from` to their ends; the others are whole slices.
            unsafe { times(&mut seen, rest, vectors.transposed(), sizes) };
            let mut turned = vec![0.0; left * block.count];
            let factor = Part { at: block.factor.as_ptr(), row: block.count, column: 1 };
            let seen = Part { at: seen.as_ptr(), row: block.count, column: 1 };
            // SAFETY: all three are whole slices of these sizes.
            unsafe { times(&mut turned, seen, factor, (left, block.count, block.count)) };
            let turned = Part { at: turned.as_ptr(), row: block.count, column: 1 };
            let sizes = (left, height, block.count);
            // SAFETY: as above, and nobody else holds `columns`.
            unsafe {
                let to = columns[next * n + from..].as_mut_ptr();
                product(to, n, turned, vectors, sizes, -1.0, true, threads(sizes));
            }
        }
        blocks.push(block);
    }
    drop(columns);
    gathered(&blocks, n)
}

/// Makes the reflections of a block, and applies them to the columns of that block.
fn reflect(columns: &mut [f32], n: usize, from: usize) -> Block {
    let count = BLOCK.min(n - from);
    let height = n - from;
    let mut block = Block { from, vectors: vec![0.0; count * height], factor: vec![0.0; count * count], count };
    let mut factors = [0.0f32; BLOCK];
    for (i, (vector, factor)) in block.vectors.chunks_exact_mut(height).zip(&mut factors).enumerate() {
        let at = from + i;
        let (before, after) = columns.split_at_mut((at + 1) * n);
        let vector = &mut vector[i..];
        *factor = reflection(vector, &before[at * n + at..]);
        for other in after.chunks_exact_mut(n).take(count - i - 1) {
            apply(vector, *factor, &mut other[at..]);
        }
    }
    // T, column by column: minus its number times T·Vᵀ·v, and that number below (LAPACK's `larft`).
    for (i, factor) in factors.iter().enumerate().take(count) {
        let (before, vector) = block.vectors.split_at(i * height);
        let mut seen = [0.0f32; BLOCK];
        for (seen, other) in seen.iter_mut().zip(before.chunks_exact(height)) {
            *seen = dot(&other[i..], &vector[i..height]);
        }
        for row in 0..i {
            let along = &block.factor[row * count..(row + 1) * count];
            let whole: f32 = (row..i).map(|k| along[k] * seen[k]).sum();
            block.factor[row * count + i] = -factor * whole;
        }
        block.factor[i * count + i] = *factor;
    }
    block
}

/// Q, row by row: the blocks, the last first, applied to the identity.
fn gathered(blocks: &[Block], n: usize) -> Vec<f32> {
    let mut q = vec![0.0; n * n];
    q.iter_mut().step_by(n + 1).for_each(|x| *x = 1.0);
    for block in blocks.iter().rev() {
        let (height, count) = (n - block.from, block.count);
        let vectors = Part { at: block.vectors.as_ptr(), row: height, column: 1 };
        let corner = Part { at: q[block.from * (n + 1)..].as_ptr(), row: n, column: 1 };
        let mut seen = vec![0.0; count * height];
        // SAFETY: `corner` are the last rows and columns of `q`; the others are whole slices.
        unsafe { times(&mut seen, vectors, corner, (count, height, height)) };
        let factor = Part { at: block.factor.as_ptr(), row: count, column: 1 };
        let seen = Part { at: seen.as_ptr(), row: height, column: 1 };
        let mut turned = vec![0.0; count * height];
        // SAFETY: all three are whole slices of these sizes.
        unsafe { times(&mut turned, factor, seen, (count, height, count)) };
        let turned = Part { at: turned.as_ptr(), row: height, column: 1 };
        let sizes = (height, height, count);
        // SAFETY: as above, and nobody else holds `q`.
        unsafe {
            let to = q[block.from * (n + 1)..].as_mut_ptr();
            product(to, n, vectors.transposed(), turned, sizes, -1.0, true, threads(sizes));
        }
    }
    q
}

/// A product into the whole of `to`.
///
/// # Safety
/// Both matrices must be readable over these sizes (rows, columns, what is summed over).
unsafe fn times(to: &mut [f32], left: Part, right: Part, sizes: (usize, usize, usize)) {
    assert_eq!(to.len(), sizes.0 * sizes.1, "{sizes:?}");
    // SAFETY: `to` has the size of the result, and the caller answers for the rest.
    unsafe { product(to.as_mut_ptr(), sizes.1, left, right, sizes, 1.0, false, threads(sizes)) };
}

fn threads((rows, columns, inner): (usize, usize, usize)) -> usize {
    if rows * columns * inner < ALONE { 1 } else { rayon::current_num_threads() }
}

vectorised! {
    /// Makes `vector`, whose first number is 1, of the reflection that leaves of `column` its first number only; returns what
    /// its products are multiplied with, 0 where nothing need be reflected.
    fn reflection(vector: &mut [f32], column: &[f32]) -> f32 {
        let len = column.len();
        let mut largest = 0.0f32;
        for x in column {
            largest = if x.abs() > largest { x.abs() } else { largest };
        }
        vector.fill(0.0);
        vector[0] = 1.0;
        // Squares of numbers near one neither vanish nor overflow. Only the direction matters.
        if largest == 0.0 {
            return 0.0;
        }
        for (to, x) in vector.iter_mut().zip(column) {
            *to = x / largest;
        }
        let first = vector[0];
        let below = sum(len - 1, |i| vector[1 + i] * vector[1 + i]);
        if below == 0.0 {
            vector.fill(0.0);
            vector[0] = 1.0;
            return 0.0;
        }
        let norm = (first * first + below).sqrt();
        let becomes = if first > 0.0 { -norm } else { norm };
        for x in vector[1..].iter_mut() {
            *x /= first - becomes;
        }
        vector[0] = 1.0;
        (becomes - first) / becomes
    }
}

vectorised! {
    fn apply(vector: &[f32], factor: f32, column: &mut [f32]) {
        let seen = factor * sum(vector.len(), |i| vector[i] * column[i]);
        for (x, v) in column.iter_mut().zip(vector) {
            *x -= seen * v;
        }
    }
}

vectorised! {
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        let len = a.len().min(b.len());
        sum(len, |i| a[i] * b[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::numbers;

    /// Columns of Q are orthonormal, and QᵀA is upper triangular.
    fn check(columns: Vec<f32>, n: usize, what: &str) -> Vec<f32> {
        let q = orthonormal(columns.clone(), n);
        let column = |i: usize| (0..n).map(move |row| row * n + i);
        for i in 0..n {
            for j in 0..n {
                let dot: f64 = column(i).zip(column(j)).map(|(a, b)| f64::from(q[a]) * f64::from(q[b])).sum();
                let expected = f64::from(i == j);
                assert!((dot - expected).abs() < 2e-6, "{what}, {n}: columns {i} and {j}: {dot}");
            }
        }
        for (j, a) in columns.chunks_exact(n).enumerate() {
            let size = a.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            for i in j + 1..n {
                let dot: f64 = column(i).zip(a).map(|(q_at, a)| f64::from(q[q_at]) * f64::from(*a)).sum();
                assert!(dot.abs() <= 3e-6 * size, "{what}, {n}: below the diagonal {i}, {j}: {dot} of {size}");
            }
        }
        q
    }

    #[test]
    fn columns_are_orthonormal_and_span_the_same() {
        for n in [1, 2, 3, 31, 32, 33, 100, 193] {
            check(numbers(n * n, 3), n, "full rank");
            check(vec![0.0; n * n], n, "zero");
            let thin = numbers(n * 3, 4);
            let low = |i: usize, j: usize| (0..3).map(|k| thin[i * 3 + k] * thin[j * 3 + k]).sum::<f32>();
            check((0..n * n).map(|at| low(at / n, at % n)).collect(), n, "rank 3");
            // Columns whose squares would vanish.
            let small = numbers(n * n, 5).into_iter().enumerate().map(|(i, x)| x * [1.0, 1e-22][i / n % 2]);
            check(small.collect(), n, "small columns");
        }
        assert_eq!(orthonormal(vec![f32::NAN; 9], 3).len(), 9, "what is no number is no reason to panic");
        assert!(orthonormal(Vec::new(), 0).is_empty());
    }

    #[test]
    fn threads_change_no_bit() {
        let n = 200;
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| orthonormal(numbers(n * n, 6), n))
        };
        assert!(with(1) == with(2) && with(1) == with(7));
    }

    /// A column with the other sign gives a column with the other sign.
    #[test]
    fn signs_of_columns_are_carried_along() {
        let n = 70;
        let a = numbers(n * n, 7);
        let flipped: Vec<f32> = a.iter().enumerate().map(|(i, x)| if i / n % 3 == 1 { -x } else { *x }).collect();
        let (q, other) = (orthonormal(a, n), orthonormal(flipped, n));
        let worst = q.iter().zip(&other).map(|(a, b)| (a.abs() - b.abs()).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{worst}");
    }
}
