//! copydesk
pub mod record;
pub mod rules;
