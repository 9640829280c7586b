//! From a program's name and arguments to the function that does it.

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::cli::{Cli, Command, Util};
use crate::error::Error;
use crate::exit::Exit;
use crate::world::World;
use crate::{
    agent_command, distcc_config, distccmon, explain, hosts, install, lsdistcc, manual, pump,
    report, run as build, scan_includes, status, symlinks,
};

/// Runs the program that this process was called by.
///
/// # Errors
/// Whatever that program's function says.
pub(crate) fn run(world: World) -> Result<ExitCode, Error> {
    let name = world.program_name();
    let exit = match name.as_str() {
        "distccd" => return Ok(worker::run(world.args.into_iter(), &name)),
        "distccmon-text" => distccmon::run(&world, &world.args),
        "lsdistcc" => lsdistcc::run(&world.args),
        "pump" | "distcc-pump" => pump::run(world),
        "distcc-config" => distcc_config::run(&world),
        "update-distcc-symlinks" => symlinks::run(&world),
        "distcc" => Err(Error::WrongName(name)),
        _ => return farcc(world),
    };
    exit.map(ExitCode::from)
}

fn farcc(world: World) -> Result<ExitCode, Error> {
    let words = [&world.program].into_iter().chain(&world.args);
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return answer(&error).map(ExitCode::from),
    };
    let exit = match cli.command {
        Command::Run(options) => build::run(world, &options),
        Command::Hosts => hosts::show_to_people(&world),
        Command::Monitor(options) => {
            let args: Vec<_> = options.seconds.into_iter().collect();
            distccmon::run(&world, &args)
        }
        Command::Status => status::show(&world),
        Command::Agent(options) => agent_command::run(&world, &options),
        Command::Worker(passed) => {
            return Ok(worker::run(passed.args.into_iter(), "farcc worker"));
        }
        Command::ShowHosts => hosts::show_to_scripts(&world),
        Command::Slots => hosts::show_slots(&world),
        Command::ScanIncludes(options) => scan_includes::run(&world, &options.command),
        Command::Explain(options) => explain::run(&world, &options),
        Command::Util(Util::Man { dir }) => manual::write(&dir),
        Command::Util(Util::Completions { shell }) => {
            report::print(&install::completions(shell))?;
            Ok(Exit::Success)
        }
        Command::Util(Util::Install(options)) => install::run(&options),
    };
    exit.map(ExitCode::from)
}

/// Help and version go to standard output, everything else is an error.
fn answer(error: &clap::Error) -> Result<Exit, Error> {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            report::print(&text)?;
            Ok(Exit::Success)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            report::eprint(&text);
            Ok(Exit::BadArguments)
        }
        _ => {
            let text = text.trim_start_matches("error: ");
            let text = text.split("\n\n").next().unwrap_or(text);
            Err(Error::Arguments(text.trim_end().to_owned()))
        }
    }
}
