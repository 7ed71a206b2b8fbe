//! Measured functions.
