//! Wire and run.

use clap::Parser;
use std::path::Path;
use std::process::ExitCode;

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    demo: signalbox::cli::demo::DemoArgs,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let code = match args.first().map(String::as_str) {
        Some("run-shim") if args.len() == 2 => signalbox::cli::run_shim::run(Path::new(&args[1])),
        Some("scripted-agent") => signalbox::scripted::main(&args[1..]),
        Some("demo") => return signalbox::cli::demo::run(&Cli::parse_from(&args).demo),
        _ => 64,
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
