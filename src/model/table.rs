//! The gradient of a table that tokens are looked up in.

use super::host::Host;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

/// Up to this many rows, the gradient of a table on a GPU is a product with one-hot rows.
const ONE_HOT: usize = 8_192;

/// Sums the gradients `looked` `[places, width]` of a token's places: `[rows, width]`. A GPU would walk all places in order for
/// each column (burn 0.22's select-assign) or add with atomics in any order; a product with one-hot rows is parallel and
/// always the same.
pub(crate) fn table_gradient(rows: usize, ids: &Tensor<1, Int>, looked: Tensor<2>) -> Tensor<2> {
    let [places, width] = looked.dims();
    let device = looked.device();
    if rows <= ONE_HOT && Host::of(&looked).is_none() {
        let ids = ids.clone().reshape([1, places]).expand([rows, places]);
        let all: Vec<i32> = (0..rows as i32).collect();
        let all = Tensor::<2, Int>::from_data(TensorData::new(all, [rows, 1]), &device);
        return ids.equal(all.expand([rows, places])).float().matmul(looked);
    }
    Tensor::<2>::zeros([rows, width], &device).select_assign(0, ids.clone(), looked, IndexingUpdateOp::Add)
}
