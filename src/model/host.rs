//! Tensors that lie on the CPU as slices, for the fused kernels.
//!
//! Everything here is absent for tensors of other devices and under autodiff; the callers then compose the same of burn's
//! operations.

use burn::backend::{BackendTypes, Flex};
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
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

/// `left` times `right`, each the other way round if said so. The product of numbers of 16 bits is rounded to that once, and
/// comes out as f32.
pub(crate) fn product(left: &Tensor<2>, left_turned: bool, right: &Tensor<2>, right_turned: bool) -> Tensor<2> {
    if let (Some(a), Some(b)) = (Host::of(left), Host::of(right)) {
        fn matrix(host: &Host, [rows, columns]: [usize; 2], turned: bool) -> (Matrix<'_>, usize) {
            let matrix = Matrix::new(host.numbers(), rows, columns);
            if turned { (matrix.transposed(), columns) } else { (matrix, rows) }
        }
        let ((a, rows), (b, inner)) = (matrix(&a, left.dims(), left_turned), matrix(&b, right.dims(), right_turned));
        let columns = right.dims().iter().product::<usize>() / inner.max(1);
        return tensor(kernels::matmul(a, b), [rows, columns], left);
    }
    let turn = |x: &Tensor<2>, turned: bool| if turned { x.clone().transpose() } else { x.clone() };
    let product = turn(left, left_turned).matmul(turn(right, right_turned));
    if left.dtype() == DType::F32 { product } else { product.cast(FloatDType::F32) }
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
