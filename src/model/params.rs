//! The numbers of a network, on a device.

use super::error::ModelError;
use super::layout::{Entry, Init, Layout};
use crate::random::{Draws, Stream};
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

/// The numbers of a network, without autodiff: one vector a segment of the layout.
#[derive(Clone, Debug)]
pub struct Params {
    pub(crate) flats: Vec<Tensor<1>>,
}

impl Params {
    /// Fresh weights: a pure function of the layout and `seed`, so the same on every device. Row `i` of a weight is
    /// drawn from the stream of (seed, its name, i), so a weight does not depend on those around it.
    pub fn fresh(layout: &Layout, seed: u64, device: &Device) -> Params {
        Params::from_host(Params::fresh_host(layout, seed), device)
    }

    /// The same on the host.
    pub(crate) fn fresh_host(layout: &Layout, seed: u64) -> Vec<Vec<f32>> {
        let mut host: Vec<Vec<f32>> = layout.segments.iter().map(|segment| vec![0.0; segment.len]).collect();
        for entry in &layout.entries {
            let numbers = &mut host[entry.segment][entry.offset..entry.offset + entry.len()];
            match entry.init {
                Init::Zeros => {}
                Init::Ones => numbers.fill(1.0),
                Init::Normal(std) => draw(numbers, entry, seed, |draws| draws.normal() * std),
                Init::Truncated(std) => draw(numbers, entry, seed, |draws| truncated(draws) * std),
                Init::Uniform(most) => draw(numbers, entry, seed, |draws| (2.0 * draws.uniform() - 1.0) * most),
            }
        }
        host
    }

    /// Moves host numbers, one vector a segment, to a device.
    pub(crate) fn from_host(host: Vec<Vec<f32>>, device: &Device) -> Params {
        let flats = host.into_iter().map(|numbers| {
            let len = numbers.len();
            Tensor::<1>::from_data(TensorData::new(numbers, [len]), device)
        });
        Params { flats: flats.collect() }
    }

    /// All numbers, one vector a segment.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn to_host(&self) -> Result<Vec<Vec<f32>>, ModelError> {
        self.flats
            .iter()
            .map(|flat| flat.try_to_vec_as::<f32>().map_err(|e| ModelError::Device(e.to_string())))
            .collect()
    }

    /// The matrices the network multiplies with, in the layout's order, as views where the backend has views.
    pub(crate) fn leaves(&self, layout: &Layout) -> Vec<Tensor<2>> {
        layout
            .leaves
            .iter()
            .map(|leaf| {
                let flat = self.flats[leaf.segment].clone();
                flat.narrow(0, leaf.offset, leaf.rows * leaf.cols).reshape([leaf.rows, leaf.cols])
            })
            .collect()
    }

    /// Bytes of the numbers.
    pub fn bytes(&self) -> u64 {
        self.flats.iter().map(|flat| flat.dims()[0] as u64 * 4).sum()
    }
}

/// A standard normal number no further than three from zero: one beyond is drawn anew.
fn truncated(draws: &mut Draws) -> f64 {
    loop {
        let x = draws.normal();
        if x.abs() <= 3.0 {
            return x;
        }
    }
}

fn draw(numbers: &mut [f32], entry: &Entry, seed: u64, number: impl Fn(&mut Draws) -> f64 + Sync) {
    let stream = Stream::new(seed, &format!("initial weights/{}", entry.name));
    let cols = entry.shape.last().copied().unwrap_or(1).max(1);
    numbers.par_chunks_mut(cols).enumerate().for_each(|(row, numbers)| {
        let mut draws = stream.at(row as u64);
        numbers.iter_mut().for_each(|x| *x = number(&mut draws) as f32);
    });
}
