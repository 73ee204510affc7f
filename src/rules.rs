//! Rules.
pub mod condition;
