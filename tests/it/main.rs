//! Tests of the whole: real processes, real files, one binary.

mod imports;
mod process;
mod scripted;
