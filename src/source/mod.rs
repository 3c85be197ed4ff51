//! Text and places: files, spans, line numbers, and the one door to the outside.
//!
//! Invariant: this module knows nothing of the language. Only [`disk`] touches a file system.

pub mod disk;
mod file;
mod memory;
pub mod path;
mod span;
mod world;

pub use file::{Column, LineIndex, Place, SourceFile, Sources};
pub use memory::MemoryWorld;
pub use span::{FileId, Span, Spanned};
pub use world::{Input, World, WorldError};
