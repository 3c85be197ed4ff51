//! Tensors that lie on the CPU as slices, for the fused kernels.
//!
//! Everything here is absent for tensors of other devices and under autodiff; the callers then compose the same of burn's
//! operations.

use super::precision::{round, widen};
use crate::device::Format;
use burn::backend::{BackendTypes, Flex};
use burn::tensor::{DType, Tensor, TensorData};
use emberlab_kernels::{self as kernels, Matrix};

type Primitive = <Flex as BackendTypes>::FloatTensorPrimitive;

/// A tensor on the CPU, in one piece: [`Host::of`] makes no other, so its slice is never absent.
pub(crate) struct Host(Primitive);

impl Host {
    /// The tensor, if it lies on the CPU as f32.
    pub fn of<const D: usize>(x: &Tensor<D>) -> Option<Host> {
        let x = x.clone().try_into_primitive::<Flex>().ok()?;
        let x = if x.is_contiguous() { x } else { x.to_contiguous() };
        x.as_slice::<f32>().is_some().then_some(Host(x))
    }

    /// Its numbers, row-major.
    pub fn numbers(&self) -> &[f32] {
        self.0.as_slice().unwrap_or_default()
    }
}

/// A tensor of `numbers` where `like` lies.
pub(super) fn tensor<const D: usize, const E: usize>(
    numbers: Vec<f32>,
    dims: [usize; D],
    like: &Tensor<E>,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers, dims), &like.device())
}

/// Whether a tensor lies on the CPU as f32, so that kernels take it.
pub(super) fn is_on_host<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && x.clone().try_into_primitive::<Flex>().is_ok()
}

/// `left` times `right` in f32, each the other way round if said so.
pub(crate) fn product(left: &Tensor<2>, left_turned: bool, right: &Tensor<2>, right_turned: bool) -> Tensor<2> {
    product_in(None, left, left_turned, right, right_turned)
}

/// The same of [`operand`](super::precision::operand)s of a format. The product of numbers of 16 bits is rounded to that once,
/// and comes out as f32.
pub(super) fn product_in(
    format: Option<Format>,
    left: &Tensor<2>,
    left_turned: bool,
    right: &Tensor<2>,
    right_turned: bool,
) -> Tensor<2> {
    if let (Some(a), Some(b)) = (Host::of(left), Host::of(right)) {
        fn matrix(host: &Host, [rows, columns]: [usize; 2], turned: bool) -> (Matrix<'_>, usize) {
            let matrix = Matrix::new(host.numbers(), rows, columns);
            if turned { (matrix.transposed(), columns) } else { (matrix, rows) }
        }
        let ((a, rows), (b, inner)) = (matrix(&a, left.dims(), left_turned), matrix(&b, right.dims(), right_turned));
        let columns = right.dims().iter().product::<usize>() / inner.max(1);
        let product = match format {
            Some(Format::Bf16) => kernels::matmul_bf16(a, b),
            _ => kernels::matmul(a, b),
        };
        return tensor(product, [rows, columns], left);
    }
    let turn = |x: &Tensor<2>, turned: bool| {
        let x = if x.dtype() == DType::F32 { round(format, x.clone()) } else { x.clone() };
        if turned { x.transpose() } else { x }
    };
    widen(format, turn(left, left_turned).matmul(turn(right, right_turned)))
}

/// Changes the numbers of a tensor on the CPU, in place if nobody else holds it; one that lies elsewhere comes back as it was.
pub(crate) fn change<const D: usize, R>(x: &mut Tensor<D>, work: impl FnOnce(&mut [f32]) -> R) -> Option<R> {
    // A GPU is not asked for a stand-in.
    let mut primitive = x.clone().try_into_primitive::<Flex>().ok().filter(|p| p.dtype() == DType::F32)?;
    // Held by nobody else while it changes; what stands in for it is never read.
    *x = Tensor::empty([0; D], &x.device());
    let whole = primitive.layout().contiguous_offsets() == Some((0, primitive.bytes().len() / size_of::<f32>()));
    if !whole {
        primitive = primitive.to_contiguous();
    }
    let result = work(primitive.storage_mut::<f32>());
    *x = Tensor::from_primitive::<Flex>(primitive);
    Some(result)
}
