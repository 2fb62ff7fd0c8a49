//! What a proof costs: transitions per second and bytes per state, for each shipped pipeline.
//!
//! `cargo bench --bench explore` prints figures first, then times.

use std::time::Instant;

use divan::Bencher;
use signalbox::engine::explore::{LIMIT, prove};
use signalbox::engine::rules::load;
use signalbox::shell::embedded::embedded;

const SHIPPED: [&str; 4] = ["local", "enduro", "orch", "docs"];

fn main() {
    let loaded = load(&embedded());
    for name in SHIPPED {
        let begun = Instant::now();
        let proof = prove(&loaded.pipelines[name], None, LIMIT);
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "P7: {name}: {} states, {} transitions ({} steps) in {seconds:.2} s: {:.0} transitions/s, {} bytes a state",
            proof.states,
            proof.transitions,
            proof.steps,
            proof.transitions as f64 / seconds,
            proof.bytes
        );
    }
    divan::main();
}

#[divan::bench(args = SHIPPED, sample_count = 3)]
fn proof(bencher: Bencher<'_, '_>, name: &str) {
    let loaded = load(&embedded());
    bencher.bench(|| prove(&loaded.pipelines[name], None, LIMIT));
}
