//! Nothing here is for use: this package holds the tests of what crosses crates, under `it/`.
