//! What people read: tables for the terminal, and one self-contained HTML file.
//!
//! The file opens from disk without any network: style, script and data stand in it, and its content security policy
//! allows nothing else. All text is escaped by the writer of HTML itself ([`html`](self::html()) takes plain data).

mod chart;
mod data;
pub mod format;
mod highlight;
mod html;
mod judgement;
mod marks;
mod page;
mod scale;
mod source;
mod stages;
mod sweep;
pub mod table;
pub mod view;

pub use page::{html, html_with_sweeps};
pub use table::{Align, Table};
pub use view::*;
