//! Products of matrices.
//!
//! On x86-64 the kernels of `private-gemm-x86`, the back end of `faer`: measured on a Zen 4, 110 GFLOP/s a core against 56 of
//! the `gemm` crate and 100 of PyTorch. Elsewhere the `gemm` crate.

/// A matrix within a slice: where it starts, and how far apart its rows and columns are.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub at: *const f32,
    pub row: usize,
    pub column: usize,
}

impl Part {
    pub fn transposed(self) -> Part {
        Part { row: self.column, column: self.row, ..self }
    }
}

/// Multiplications below which other threads cost more than they bring.
pub(crate) const ALONE: usize = 1 << 18;

/// Rows of the left matrix up to which laying the right one out anew costs more than the arithmetic that it speeds up: of a
/// right matrix that caches hold, and of a larger one, which is read from memory once as it lies.
const FEW: usize = 2;
const FEW_OF_LARGE: usize = 8;

/// Numbers from which on a matrix is large.
const LARGE: usize = 1 << 21;

/// A matrix that fills a slice row by row.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    turned: bool,
}

impl<'a> Matrix<'a> {
    /// # Panics
    /// When the slice has another length.
    pub fn new(numbers: &'a [f32], rows: usize, columns: usize) -> Matrix<'a> {
        assert_eq!(numbers.len(), rows * columns, "{rows} × {columns}");
        Matrix { numbers, rows, columns, turned: false }
    }

    /// The same the other way.
    pub fn transposed(self) -> Matrix<'a> {
        Matrix { turned: !self.turned, ..self }
    }

    pub(crate) fn numbers(&self) -> &'a [f32] {
        self.numbers
    }

    /// The same of other numbers.
    pub(crate) fn with<'b>(&self, numbers: &'b [f32]) -> Matrix<'b> {
        Matrix { turned: self.turned, ..Matrix::new(numbers, self.rows, self.columns) }
    }

    /// Rows and columns.
    pub(crate) fn dims(&self) -> (usize, usize) {
        if self.turned { (self.columns, self.rows) } else { (self.rows, self.columns) }
    }

    pub(crate) fn part(&self) -> Part {
        let part = Part { at: self.numbers.as_ptr(), row: self.columns, column: 1 };
        if self.turned { part.transposed() } else { part }
    }
}

/// `left` times `right`, row by row, with all threads.
///
/// # Panics
/// When the columns of one are not the rows of the other.
pub fn matmul(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
    let ((rows, inner), (other, columns)) = (left.dims(), right.dims());
    assert_eq!(inner, other, "columns of the left and rows of the right");
    let few = if inner * columns < LARGE { FEW } else { FEW_OF_LARGE };
    if rows <= few && !left.turned && right.turned {
        return crate::decode::few_rows(left.numbers, right.numbers, inner, rows, columns);
    }
    // Every place is written before the vector has a length, so nothing needs to be zeroed first.
    let mut to = Vec::with_capacity(rows * columns);
    let work = rows.saturating_mul(columns).saturating_mul(inner);
    let threads = if work < ALONE { 1 } else { rayon::current_num_threads() };
    if inner == 0 {
        to.resize(rows * columns, 0.0);
        return to;
    }
    // SAFETY: both matrices lie within their slices, `to` was made for the result, and the product fills all of it.
    unsafe {
        let sizes = (rows, columns, inner);
        product(to.as_mut_ptr(), columns, left.part(), right.part(), sizes, 1.0, false, threads);
        to.set_len(rows * columns);
    }
    to
}

/// The same into `to`, which has room for exactly the result.
///
/// # Panics
/// When the columns of one are not the rows of the other, or `to` has another size.
pub(crate) fn matmul_into(to: &mut [f32], left: Matrix<'_>, right: Matrix<'_>) {
    let ((rows, inner), (other, columns)) = (left.dims(), right.dims());
    assert_eq!(inner, other, "columns of the left and rows of the right");
    assert_eq!(to.len(), rows * columns, "{rows} × {columns}");
    if rows <= FEW && !left.turned && right.turned {
        to.copy_from_slice(&crate::decode::few_rows(left.numbers, right.numbers, inner, rows, columns));
        return;
    }
    if inner == 0 {
        to.fill(0.0);
        return;
    }
    let work = rows.saturating_mul(columns).saturating_mul(inner);
    let threads = if work < ALONE { 1 } else { rayon::current_num_threads() };
    // SAFETY: both matrices lie within their slices, and `to` has the size of the result.
    unsafe {
        product(to.as_mut_ptr(), columns, left.part(), right.part(), (rows, columns, inner), 1.0, false, threads);
    }
}

/// `to` `[rows, columns]` = `factor` · `left` `[rows, inner]` · `right` `[inner, columns]`, plus what it held if `adds`.
///
/// # Safety
/// All three must be readable, and `to` writable by nobody else, over these sizes.
#[allow(clippy::too_many_arguments, reason = "a product has three matrices and three sizes")]
pub(crate) unsafe fn product(
    to: *mut f32,
    to_row: usize,
    left: Part,
    right: Part,
    (rows, columns, inner): (usize, usize, usize),
    factor: f32,
    adds: bool,
    threads: usize,
) {
    #[cfg(target_arch = "x86_64")]
    if let Some(set) = instructions() {
        use private_gemm_x86::{Accum, DType, DstKind, IType};
        // SAFETY: as the caller promises, and the processor has the instructions.
        unsafe {
            private_gemm_x86::gemm(
                DType::F32,
                IType::U64,
                set,
                rows,
                columns,
                inner,
                to.cast(),
                to_row as isize,
                1,
                std::ptr::null(),
                std::ptr::null(),
                DstKind::Full,
                if adds { Accum::Add } else { Accum::Replace },
                left.at.cast(),
                left.row as isize,
                left.column as isize,
                false,
                std::ptr::null(),
                0,
                right.at.cast(),
                right.row as isize,
                right.column as isize,
                false,
                (&raw const factor).cast(),
                threads,
            );
        }
        return;
    }
    let parallelism = if threads > 1 { gemm::Parallelism::Rayon(threads) } else { gemm::Parallelism::None };
    // SAFETY: as the caller promises.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            to,
            1,
            to_row as isize,
            adds,
            left.at,
            left.column as isize,
            left.row as isize,
            right.at,
            right.column as isize,
            right.row as isize,
            1.0,
            factor,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// The widest instructions that this processor has of those there are kernels for.
#[cfg(target_arch = "x86_64")]
fn instructions() -> Option<private_gemm_x86::InstrSet> {
    use crate::lanes::{Level, level};
    match level() {
        Level::V4 => Some(private_gemm_x86::InstrSet::Avx512),
        Level::V3 if std::arch::is_x86_feature_detected!("fma") => Some(private_gemm_x86::InstrSet::Avx256),
        _ => None,
    }
}
