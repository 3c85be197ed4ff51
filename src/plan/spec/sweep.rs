//! Sweeps.

use super::{Measured, Quantity};
use serde::{Deserialize, Serialize};

/// `sweep NAME { … }`, without its axes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    pub search: Search,
    pub stop: Option<Stop>,
    pub minimize: Option<Measured>,
    pub maximize: Option<Measured>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Search {
    Grid(Grid),
    Random(Random),
    Sobol(Sobol),
    Tpe(Tpe),
}

/// Every combination.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Points taken from a continuous axis.
    pub points: i64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Random {
    pub trials: i64,
    pub seed: i64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sobol {
    pub trials: i64,
    pub seed: i64,
}

/// Tree-structured Parzen estimator (Bergstra et al. 2011).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tpe {
    pub trials: i64,
    pub seed: i64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Stop {
    Asha(Asha),
    Hyperband(Hyperband),
    Median(Median),
}

/// Asynchronous successive halving (Li et al. 2020).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asha {
    pub first: Quantity,
    pub factor: i64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hyperband {
    pub first: Quantity,
    pub factor: i64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Median {
    pub first: Quantity,
}
