//! Gradients without a step: what a network's weights would have to change, for tests and for looking at.

use super::batch::Batch;
use super::error::TrainError;
use super::step::{Learner, Part};
use crate::model::{Decoder, ModelError, Named, named};
use crate::plan::spec::Precision;

/// The mean loss of predicting each token of `rows` but the first from those before it, and its gradient by every weight,
/// under the weights' names. Without dropout, and in f32.
///
/// # Errors
/// Rows that are shorter than two tokens, of different lengths, or longer than the context; a token outside the vocabulary; a
/// failing device.
pub fn gradients(decoder: &Decoder, rows: &[Vec<u32>]) -> Result<(f64, Vec<Named<'static>>), TrainError> {
    mixed_gradients(decoder, rows, Precision::F32)
}

/// The same with matrix products of another precision, and without scaling the loss.
///
/// # Errors
/// As [`gradients`].
pub fn mixed_gradients(
    decoder: &Decoder,
    rows: &[Vec<u32>],
    precision: Precision,
) -> Result<(f64, Vec<Named<'static>>), TrainError> {
    let time = rows.first().map_or(0, Vec::len).saturating_sub(1);
    let longest = decoder.architecture.context;
    if let Some(row) = rows.iter().find(|row| row.len() != time + 1 || time == 0 || time > longest) {
        let requirement = format!("rows must have one length of 2 to {} tokens", longest + 1);
        return Err(ModelError::Size { field: "sequence", value: row.len() as i64, requirement }.into());
    }
    let ids: Vec<u32> = rows.concat();
    if let Some(position) = ids.iter().position(|id| *id as usize >= decoder.architecture.vocab) {
        let vocab = decoder.architecture.vocab;
        return Err(ModelError::Token { token: ids[position], position, vocab }.into());
    }
    let batch = Batch {
        inputs: rows.iter().flat_map(|row| row[..time].to_vec()).collect(),
        targets: rows.iter().flat_map(|row| row[1..].iter().map(|id| *id as i32)).collect(),
        supervised: vec![true; rows.len() * time],
        lengths: vec![time; rows.len()],
        ..Batch::default()
    };
    let mut decoder = decoder.clone();
    decoder.architecture.dropout = 0.0;
    let learner = Learner::bare(&decoder, precision);
    let count = rows.len() as u64;
    let part = Part { batch: &batch, time, rows: 0..count, tokens: count * time as u64 };
    let (loss, flats) = learner.accumulate(None, part, count * time as u64, 0).to_host()?;
    let owned = named(&decoder.layout, &flats).into_iter().map(|weight| Named {
        name: weight.name.into_owned().into(),
        shape: weight.shape,
        numbers: weight.numbers.into_owned().into(),
    });
    Ok((loss, owned.collect()))
}
