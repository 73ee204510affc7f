//! One record: reading it, hashing it, editing it.

pub mod value;
