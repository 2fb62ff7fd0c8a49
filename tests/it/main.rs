//! Tests of the whole: real processes, real files, one binary.

mod process;
mod scripted;
