//! Dynamic loss scaling (Micikevicius et al. 2018), as PyTorch's `torch.amp.GradScaler` sets it.
//!
//! Gradients of a loss that is scaled up do not vanish in f16. The scale grows until they overflow: a step whose gradients are
//! not finite changes no weight and halves the scale, and 2 000 good steps in a row double it. All of it happens on the
//! device, without waiting for a number.

use crate::model::ModelError;
use burn::tensor::{Device, Tensor, TensorData};

const START: f32 = 65_536.0;
const GROWTH: f64 = 2.0;
/// Good steps until the scale grows.
const INTERVAL: f32 = 2_000.0;

/// Where a scaler stands.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Scale {
    /// A power of two, as long as nobody sets another.
    pub scale: f32,
    /// Good steps since it last changed.
    pub good: f32,
}

impl Default for Scale {
    fn default() -> Scale {
        Scale { scale: START, good: 0.0 }
    }
}

/// The scale of the loss, on the device.
#[derive(Clone, Debug)]
pub(super) struct Scaler {
    /// `[1, 1]`.
    pub scale: Tensor<2>,
    /// Its inverse, kept beside it since a GPU's division need not be exact.
    pub inverse: Tensor<2>,
    good: Tensor<2>,
}

impl Scaler {
    pub fn new(at: Scale, device: &Device) -> Scaler {
        let number = |x: f32| Tensor::from_data(TensorData::new(vec![x], [1, 1]), device);
        Scaler { scale: number(at.scale), inverse: number(1.0 / at.scale), good: number(at.good) }
    }

    /// After a step whose gradients were finite, or not: 1 or 0, `[1, 1]`.
    pub fn update(&mut self, finite: &Tensor<2>) {
        let good = self.good.clone().add_scalar(1.0) * finite.clone();
        let grown = good.clone().greater_equal_elem(INTERVAL).float();
        let failed = finite.clone().neg().add_scalar(1.0);
        // Times 2, times ½, or times 1.
        let factor = grown.clone().mul_scalar(GROWTH - 1.0).add_scalar(1.0) - failed.clone().mul_scalar(0.5);
        let inverse = failed.mul_scalar(GROWTH - 1.0).add_scalar(1.0) - grown.clone().mul_scalar(0.5);
        self.scale = self.scale.clone() * factor;
        self.inverse = self.inverse.clone() * inverse;
        self.good = good * grown.neg().add_scalar(1.0);
    }

    /// Where it stands. Waits for the device.
    ///
    /// # Errors
    /// When the device fails.
    pub fn read(&self) -> Result<Scale, ModelError> {
        let numbers = Tensor::cat(vec![self.scale.clone(), self.good.clone()], 1).try_into_vec_as::<f32>();
        match numbers.map_err(|e| ModelError::Device(e.to_string()))?[..] {
            [scale, good] => Ok(Scale { scale, good }),
            _ => Err(ModelError::Device("it lost the scale of the loss".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `torch.amp.GradScaler(init_scale=65536, growth_factor=2, backoff_factor=0.5, growth_interval=2000)`: the scale after each
    /// of a sequence of steps.
    #[test]
    fn it_halves_at_once_and_doubles_after_an_interval() {
        let device = crate::device::choose(Some("cpu")).unwrap().device;
        let mut scaler = Scaler::new(Scale::default(), &device);
        let mut steps = |finite: bool, count: usize| {
            let flag = Tensor::from_data(TensorData::new(vec![f32::from(u8::from(finite))], [1, 1]), &device);
            (0..count).for_each(|_| scaler.update(&flag));
            let inverse = scaler.inverse.try_to_vec_as::<f32>().unwrap();
            let at = scaler.read().unwrap();
            assert_eq!(inverse, [1.0 / at.scale]);
            (at.scale, at.good)
        };
        assert_eq!(steps(true, 1_999), (65_536.0, 1_999.0));
        assert_eq!(steps(true, 1), (131_072.0, 0.0));
        assert_eq!(steps(true, 5), (131_072.0, 5.0));
        assert_eq!(steps(false, 1), (65_536.0, 0.0));
        assert_eq!(steps(false, 3), (8_192.0, 0.0));
        assert_eq!(steps(true, 1_999), (8_192.0, 1_999.0));
        assert_eq!(steps(false, 1), (4_096.0, 0.0), "a failed step begins the interval anew");
        assert_eq!(steps(true, 4_000), (16_384.0, 0.0));
    }
}
