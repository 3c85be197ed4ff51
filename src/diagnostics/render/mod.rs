//! Problems as text: for people, editors, continuous integration.
