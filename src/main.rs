//! hardway: learn Linux containers by building one.

mod cli;
mod commands;
mod report;

use clap::Parser;

fn main() -> std::process::ExitCode {
    if let Some(code) = hardway::workload::asked().or_else(hardway::cni::plugins::asked) {
        return code;
    }
    match commands::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(explanation) => report::trouble(&explanation),
    }
}
