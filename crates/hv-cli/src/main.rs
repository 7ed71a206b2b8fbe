//! The program `hv`: reads its arguments, does one thing, and ends with an [`Exit`] code.

use clap::{CommandFactory, Parser};
use hv_cli::args::{CheckArgs, Cli, Command};
use hv_cli::output::{self, Refused};
use hv_cli::plan::{self, Plan};
use hv_cli::{Exit, audit, claimed, id, ring, run, session, trust, vfs};

fn main() -> Exit {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Check(args) => check(&args),
        Command::Run(args) => match run::run(&args) {
            Ok(exit) => return exit,
            Err(refused) => Err(refused),
        },
        Command::Session(args) => match session::run(&args) {
            Ok(exit) => return exit,
            Err(refused) => Err(refused),
        },
        Command::Vfs(args) => match vfs::run(&args) {
            Ok(exit) => return exit,
            Err(refused) => Err(refused),
        },
        Command::Kill(args) => match session::kill(&args) {
            Ok(exit) => return exit,
            Err(refused) => Err(refused),
        },
        Command::Audit(args) => match audit::run(&args) {
            Ok(exit) => return exit,
            Err(refused) => Err(refused),
        },
        Command::Id(args) => match id::run(&args) {
            Ok(exit) => return exit,
            Err(refused) => Err(refused),
        },
        Command::Trust(args) => match trust::run(&args) {
            Ok(exit) => return exit,
            Err(refused) => Err(refused),
        },
        Command::Drift(args) => match claimed::drift(&args) {
            Ok(exit) => return exit,
            Err(refused) => Err(refused),
        },
        Command::Manifest(args) => match claimed::manifest(&args) {
            Ok(exit) => return exit,
            Err(refused) => Err(refused),
        },
        Command::Ring(args) => {
            let answer = ring::answer(args.sigma, args.action());
            if args.json { output::json(&answer) } else { output::print(&answer) }
        }
        Command::Schema => output::print(&plan::schema()),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "hv", &mut text);
            output::bytes(&text)
        }
    };
    match done {
        Ok(()) => Exit::Done,
        Err(refused) => refused.tell(),
    }
}

fn check(args: &CheckArgs) -> Result<(), Refused> {
    let plan = Plan::load(&args.file)?;
    plan.check_references()?;
    for agent in plan.agents() {
        plan.manifest(agent)?;
    }
    let (agents, steps) = (plan.agents().len(), plan.setup().len() + plan.steps().len());
    output::print(&format_args!(
        "{}: nothing is wrong; {agents} agents, {steps} steps\n",
        plan.source().name()
    ))
}
