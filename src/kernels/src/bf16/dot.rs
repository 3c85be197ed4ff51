//! The product by `vdpbf16ps`.
//!
//! As in Goto & van de Geijn (2008): blocks of both matrices are laid out anew in panels in the order in which the innermost
//! loop reads them, and that loop keeps a tile of the result in registers. Laying out rounds to bf16 and puts the two
//! numbers that the instruction adds up beside each other, as one word of 32 bits.

use crate::matmul::{ALONE, Matrix, Part};
use rayon::prelude::*;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// Rows of a tile: 12 × 2 sums, a right panel's two vectors and one of the left fill 27 of 32 registers.
const ROWS: usize = 12;
/// Columns of a tile.
const COLUMNS: usize = 32;
/// Numbers of a vector.
const LANES: usize = 16;
/// Pairs of the inner dimension over which a tile is summed before it is written: a left panel of so many (9 KB) stays in
/// the first cache while the right ones pass.
const DEEP: usize = 192;
/// Panels of a task: the right ones (300 KB at [`DEEP`] pairs) stay in the second cache while the left ones pass.
const LEFT_PANELS: usize = 8;
const RIGHT_PANELS: usize = 12;
/// Sizes of what is laid out at a time, at most 4 MB of each matrix.
const BLOCK: usize = 2048;
const BLOCK_INNER: usize = 1024;
/// Panels that are laid out together: their rows lie beside each other where lanes do.
const TOGETHER: usize = 8;

pub(super) fn available() -> bool {
    crate::lanes::level() == crate::lanes::Level::V4 && std::arch::is_x86_feature_detected!("avx512bf16")
}

/// A pointer that threads share, each of which writes elsewhere.
#[derive(Clone, Copy)]
struct Shared<T>(*mut T);

// SAFETY: who shares one says what each thread touches.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: likewise.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// A method, so that closures hold the whole and not its field.
    fn at(self) -> *mut T {
        self.0
    }
}

/// The caller has seen that the instruction is [`available`].
pub(super) fn matmul(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
    let ((rows, inner), (other, columns)) = (left.dims(), right.dims());
    assert_eq!(inner, other, "columns of the left and rows of the right");
    assert!(available(), "the processor has the instruction");
    let mut to: Vec<f32> = Vec::with_capacity(rows * columns);
    if rows * columns * inner == 0 {
        to.resize(rows * columns, 0.0);
        return to;
    }
    let (left, right) = (left.part(), right.part());
    let threads = rows.saturating_mul(columns).saturating_mul(inner) >= ALONE;
    let mut packed = [(rows, ROWS), (columns, COLUMNS)].map(|(lanes, width)| {
        let panels = lanes.min(BLOCK).div_ceil(width);
        uninit(panels * width * inner.min(BLOCK_INNER).div_ceil(2))
    });
    let [a, b] = packed.each_mut().map(|words| Shared(words.as_mut_ptr().cast::<u32>()));
    for column in (0..columns).step_by(BLOCK) {
        let columns_here = BLOCK.min(columns - column);
        for depth in (0..inner).step_by(BLOCK_INNER) {
            let deep = BLOCK_INNER.min(inner - depth);
            let from = Lanes { at: offset(right, depth, column), lane: right.column, deep: right.row };
            pack::<COLUMNS>(from, (columns_here, deep), b, threads);
            for row in (0..rows).step_by(BLOCK) {
                let rows_here = BLOCK.min(rows - row);
                let from = Lanes { at: offset(left, row, depth), lane: left.row, deep: left.column };
                pack::<ROWS>(from, (rows_here, deep), a, threads);
                // SAFETY: the place lies within the result.
                let at = Shared(unsafe { to.as_mut_ptr().add(row * columns + column) });
                let (adds, last) = (depth > 0, depth + deep == inner);
                let block = Block { at, row: columns, rows: rows_here, columns: columns_here, adds, last };
                block.fill((a, b), deep.div_ceil(2), threads);
            }
        }
    }
    // SAFETY: the blocks cover all of it, and the first depth of each writes without reading.
    unsafe { to.set_len(rows * columns) };
    to
}

fn uninit(len: usize) -> Vec<MaybeUninit<u32>> {
    let mut words = Vec::with_capacity(len);
    // SAFETY: the capacity is there, and such words need no value.
    unsafe { words.set_len(len) };
    words
}

fn offset(part: Part, row: usize, column: usize) -> *const f32 {
    part.at.wrapping_add(row * part.row + column * part.column)
}

/// Runs `work` for 0 to `count`, with all threads if `threads`.
fn each(count: usize, threads: bool, work: impl Fn(usize) + Sync + Send) {
    if threads {
        (0..count).into_par_iter().with_max_len(1).for_each(work);
    } else {
        (0..count).for_each(work);
    }
}

/// A matrix by the lanes that lie beside each other in a panel and the inner dimension: how far apart either are. One of the
/// two is 1.
#[derive(Clone, Copy)]
struct Lanes {
    at: *const f32,
    lane: usize,
    deep: usize,
}

// SAFETY: it is only read.
unsafe impl Sync for Lanes {}

/// Lays `lanes` × `deep` numbers out as panels of `WIDTH` lanes: for each pair of the inner dimension, the pair of each lane, the
/// earlier number in the lower half. What is missing of the last panel and of the last pair is zero.
fn pack<const WIDTH: usize>(from: Lanes, (lanes, deep): (usize, usize), to: Shared<u32>, threads: bool) {
    let panels = lanes.div_ceil(WIDTH);
    let from = &from;
    each(panels.div_ceil(TOGETHER), threads, move |group| {
        let panels = group * TOGETHER..panels.min((group + 1) * TOGETHER);
        // SAFETY: the processor has the instructions, the lanes lie within the matrix, and each group has its own panels.
        unsafe {
            if from.lane == 1 {
                interleave::<WIDTH>(from, lanes, deep, panels, to.at());
            } else {
                for panel in panels {
                    let to = to.at().add(panel * WIDTH * deep.div_ceil(2));
                    let some = (lanes - panel * WIDTH).min(WIDTH);
                    let at = from.at.wrapping_add(panel * WIDTH * from.lane);
                    turn::<WIDTH>(Lanes { at, ..*from }, some, deep, to);
                }
            }
        }
    });
}

/// A mask of the first so many lanes, of none up to all.
#[inline(always)]
fn first(lanes: usize) -> __mmask16 {
    ((1u32 << lanes.min(LANES)) - 1) as __mmask16
}

/// [`pack`] where lanes lie beside each other.
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
unsafe fn interleave<const WIDTH: usize>(
    from: &Lanes,
    lanes: usize,
    deep: usize,
    panels: std::ops::Range<usize>,
    to: *mut u32,
) {
    // Of 32 numbers, the first half those of the earlier row: each beside its partner of the later row.
    let mut order = [0u16; 2 * LANES];
    for (at, from) in order.iter_mut().enumerate() {
        *from = (at / 2 + at % 2 * LANES) as u16;
    }
    // SAFETY: reads and writes are masked to the lanes of the matrix and of the panel.
    unsafe {
        let order = _mm512_loadu_si512(order.as_ptr().cast());
        let pairs = deep.div_ceil(2);
        for pair in 0..pairs {
            let early = from.at.add(2 * pair * from.deep);
            let second = if 2 * pair + 1 < deep { !0 } else { 0 };
            let late = early.wrapping_add(from.deep);
            for panel in panels.clone() {
                for vector in 0..WIDTH.div_ceil(LANES) {
                    let lane = panel * WIDTH + vector * LANES;
                    let width = (WIDTH - vector * LANES).min(LANES);
                    let mask = first(lanes.saturating_sub(lane).min(width));
                    let early = _mm512_maskz_loadu_ps(mask, early.wrapping_add(lane));
                    let late = _mm512_maskz_loadu_ps(mask & second, late.wrapping_add(lane));
                    let both = as_words(_mm512_cvtne2ps_pbh(late, early));
                    let words = _mm512_permutexvar_epi16(order, both);
                    let to = to.add((panel * pairs + pair) * WIDTH + vector * LANES);
                    _mm512_mask_storeu_epi32(to.cast(), first(width), words);
                }
            }
        }
    }
}

/// [`pack`] of one panel where a lane's numbers lie beside each other.
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
unsafe fn turn<const WIDTH: usize>(from: Lanes, lanes: usize, deep: usize, to: *mut u32) {
    let pairs = deep.div_ceil(2);
    for vector in 0..WIDTH.div_ceil(LANES) {
        let width = (WIDTH - vector * LANES).min(LANES);
        let some = lanes.saturating_sub(vector * LANES).min(width);
        for begin in (0..pairs).step_by(LANES) {
            let left = deep - 2 * begin;
            let (early, late) = (first(left), first(left.saturating_sub(LANES)));
            let mut words = [_mm512_setzero_si512(); LANES];
            for (lane, words) in words.iter_mut().enumerate() {
                if lane < some {
                    // SAFETY: the lane is one of the matrix, and its numbers are masked to those there are.
                    unsafe {
                        let at = from.at.add((vector * LANES + lane) * from.lane + 2 * begin);
                        let low = _mm512_maskz_loadu_ps(early, at);
                        let high = _mm512_maskz_loadu_ps(late, at.wrapping_add(LANES));
                        *words = as_words(_mm512_cvtne2ps_pbh(high, low));
                    }
                }
            }
            let words = transpose(words);
            for (pair, words) in words.iter().enumerate().take(pairs - begin) {
                // SAFETY: the store is masked to the panel's lanes.
                unsafe {
                    let to = to.add((begin + pair) * WIDTH + vector * LANES);
                    _mm512_mask_storeu_epi32(to.cast(), first(width), *words);
                }
            }
        }
    }
}

/// Sixteen vectors of sixteen words, the other way.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn transpose(x: [__m512i; LANES]) -> [__m512i; LANES] {
    let mut y = x;
    // Of each four rows, words and then pairs of words are dealt out within the four quarters of a vector ...
    for i in 0..LANES / 2 {
        y[2 * i] = _mm512_unpacklo_epi32(x[2 * i], x[2 * i + 1]);
        y[2 * i + 1] = _mm512_unpackhi_epi32(x[2 * i], x[2 * i + 1]);
    }
    let mut x = y;
    for i in 0..LANES / 4 {
        x[4 * i] = _mm512_unpacklo_epi64(y[4 * i], y[4 * i + 2]);
        x[4 * i + 1] = _mm512_unpackhi_epi64(y[4 * i], y[4 * i + 2]);
        x[4 * i + 2] = _mm512_unpacklo_epi64(y[4 * i + 1], y[4 * i + 3]);
        x[4 * i + 3] = _mm512_unpackhi_epi64(y[4 * i + 1], y[4 * i + 3]);
    }
    // ... and then the quarters among the vectors: `x[4i + c]` has column `4q + c` of rows `4i..4i + 4` in quarter `q`.
    for c in 0..4 {
        let even = [_mm512_shuffle_i32x4(x[c], x[4 + c], 0x88), _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0x88)];
        let odd = [_mm512_shuffle_i32x4(x[c], x[4 + c], 0xdd), _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0xdd)];
        y[c] = _mm512_shuffle_i32x4(even[0], even[1], 0x88);
        y[8 + c] = _mm512_shuffle_i32x4(even[0], even[1], 0xdd);
        y[4 + c] = _mm512_shuffle_i32x4(odd[0], odd[1], 0x88);
        y[12 + c] = _mm512_shuffle_i32x4(odd[0], odd[1], 0xdd);
    }
    y
}

/// Numbers rounded to bf16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
fn rounded(x: __m512) -> __m512 {
    // SAFETY: both are 32 bytes without invalid values.
    let halves: __m256i = unsafe { std::mem::transmute(_mm512_cvtneps_pbh(x)) };
    _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16))
}

#[inline(always)]
fn as_words(numbers: __m512bh) -> __m512i {
    // SAFETY: both are 64 bytes without invalid values.
    unsafe { std::mem::transmute(numbers) }
}

#[inline(always)]
fn as_numbers(words: __m512i) -> __m512bh {
    // SAFETY: likewise.
    unsafe { std::mem::transmute(words) }
}

/// A block of the result.
#[derive(Clone, Copy)]
struct Block {
    at: Shared<f32>,
    /// How far apart its rows are.
    row: usize,
    rows: usize,
    columns: usize,
    /// Whether it holds a sum already.
    adds: bool,
    /// Whether nothing more is added, so that the sums are rounded.
    last: bool,
}

impl Block {
    /// The product of panels of so many pairs.
    fn fill(self, (a, b): (Shared<u32>, Shared<u32>), pairs: usize, threads: bool) {
        let (left, right) = (self.rows.div_ceil(ROWS), self.columns.div_ceil(COLUMNS));
        let across = right.div_ceil(RIGHT_PANELS);
        each(left.div_ceil(LEFT_PANELS) * across, threads, move |task| {
            let (row, column) = (task / across * LEFT_PANELS, task % across * RIGHT_PANELS);
            let steps = pairs.div_ceil(DEEP);
            for step in 0..steps {
                // Of about the same size each.
                let (from, end) = (pairs * step / steps, pairs * (step + 1) / steps);
                for left in row..left.min(row + LEFT_PANELS) {
                    for right in column..right.min(column + RIGHT_PANELS) {
                        let rows = (self.rows - left * ROWS).min(ROWS);
                        let columns = (self.columns - right * COLUMNS).min(COLUMNS);
                        // SAFETY: the panels are laid out, tiles are apart, and the processor has the instructions.
                        unsafe {
                            let a = a.at().add((left * pairs + from) * ROWS);
                            let b = b.at().add((right * pairs + from) * COLUMNS);
                            let to = self.at.at().add(left * ROWS * self.row + right * COLUMNS);
                            let (adds, last) = (self.adds || step > 0, self.last && step + 1 == steps);
                            tile((a, b), end - from, (to, self.row), (rows, columns), (adds, last));
                        }
                    }
                }
            }
        });
    }
}

/// A tile of the result: `to` with rows so far apart, of which there are so many rows and columns. Whether it adds to what is
/// there, and whether it rounds the sums.
///
/// # Safety
/// The processor must have the instructions, the panels so many pairs, and `to` be writable by nobody else.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
unsafe fn tile(
    (mut a, mut b): (*const u32, *const u32),
    pairs: usize,
    (to, row): (*mut f32, usize),
    (rows, columns): (usize, usize),
    (adds, last): (bool, bool),
) {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    for _ in 0..pairs {
        // SAFETY: the panels have so many pairs.
        unsafe {
            let right = [b, b.add(LANES)].map(|b| as_numbers(_mm512_loadu_si512(b.cast())));
            for (i, sums) in sums.iter_mut().enumerate() {
                let left = as_numbers(_mm512_set1_epi32((*a.add(i)).cast_signed()));
                sums[0] = _mm512_dpbf16_ps(sums[0], left, right[0]);
                sums[1] = _mm512_dpbf16_ps(sums[1], left, right[1]);
            }
            a = a.add(ROWS);
            b = b.add(COLUMNS);
        }
    }
    let masks = [first(columns), first(columns.saturating_sub(LANES))];
    for (i, sums) in sums.iter().enumerate().take(rows) {
        for (half, (sum, mask)) in sums.iter().zip(masks).enumerate() {
            // SAFETY: the row is one of the tile's, and the mask leaves out what is not.
            unsafe {
                let to = to.add(i * row).wrapping_add(half * LANES);
                let sum = if adds { _mm512_add_ps(*sum, _mm512_maskz_loadu_ps(mask, to)) } else { *sum };
                let sum = if last { rounded(sum) } else { sum };
                _mm512_mask_storeu_ps(to, mask, sum);
            }
        }
    }
}
