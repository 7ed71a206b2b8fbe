//! The program `hv`: reads its arguments, does one thing, and ends with an [`Exit`] code.

use clap::{CommandFactory, Parser};
use hv_cli::Exit;
use hv_cli::args::{CheckArgs, Cli, Command};
use hv_cli::config::args::ConfigArgs;
use hv_cli::output::{self, Refused};
use hv_cli::plan::{self, Plan};
use std::io::Write;

fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => return tell(&said),
    };
    if let Err(bad) = hv_cli::log::begin(cli.log) {
        output::error(&bad.to_string());
        return Exit::BadInput;
    }
    let done = match cli.command {
        Command::Check(args) => check(&args).map(|()| Exit::Done),
        Command::Run(args) => hv_cli::run::run(&args),
        Command::Session(args) => hv_cli::session::run(&args),
        Command::Vfs(args) => hv_cli::vfs::run(&args),
        Command::Test(args) => hv_cli::testing::run(&args),
        Command::Kill(args) => hv_cli::session::kill(&args),
        Command::Saga(args) => hv_cli::saga::run(&args),
        Command::Audit(args) => hv_cli::audit::run(&args),
        Command::Vouch(args) => hv_cli::answerable::vouch(&args),
        Command::Slash(args) => hv_cli::answerable::slash(&args),
        Command::Charge(args) => hv_cli::charge::run(&args),
        Command::Elevate(args) => hv_cli::elevate::run(&args),
        Command::Config(args) => hv_cli::config::run(&args),
        Command::Intent(args) => hv_cli::intent::run(&args),
        Command::Node(args) => hv_cli::node::run(&args),
        Command::Accept(args) => hv_cli::answerable::accept(&args),
        Command::Call(args) => hv_cli::call::run(&args).map(|()| Exit::Done),
        Command::Id(args) => hv_cli::id::run(&args),
        Command::Trust(args) => hv_cli::trust::run(&args),
        Command::Drift(args) => hv_cli::claimed::drift(&args),
        Command::Manifest(args) => hv_cli::claimed::manifest(&args),
        Command::Tools(args) => hv_cli::tools::run(&args),
        Command::Ring(args) => {
            let answer = hv_cli::ring::answer(args.sigma, args.action());
            let told = output::document(&answer, args.json);
            told.map(|()| Exit::Done)
        }
        Command::Schema => output::print(&plan::schema()).map(|()| Exit::Done),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "hv", &mut text);
            output::bytes(&text).map(|()| Exit::Done)
        }
    };
    done.unwrap_or_else(|refused| refused.tell())
}

/// What is wrong with the arguments, or the help that was asked for.
fn tell(said: &clap::Error) -> Exit {
    let printed = said.print().and_then(|()| std::io::stdout().flush());
    match (said.use_stderr(), output::is_read(printed)) {
        (true, _) => Exit::BadInput,
        (false, Ok(_)) => Exit::Done,
        (false, Err(error)) => Refused::Output(error).tell(),
    }
}

fn check(args: &CheckArgs) -> Result<(), Refused> {
    let plan = Plan::load(&args.file)?;
    plan.settings(&ConfigArgs::default().read()?.session())?;
    plan.check_references()?;
    plan.check_statements()?;
    for agent in plan.agents() {
        plan.manifest(agent)?;
    }
    let (agents, steps) = (plan.agents().len(), plan.setup().len() + plan.steps().len());
    output::print(&format_args!(
        "{}: nothing is wrong; {}, {}\n",
        plan.source().name(),
        output::counted(agents, "agent"),
        output::counted(steps, "step")
    ))
}
