//! Walking the plan: cache look-ups, device choice, events, interruption.

pub mod display;
pub mod signals;
