//! `hv config`, and what every command that opens a node reads before it does anything.

pub mod args;

mod file;
mod told;

pub use file::BadConfig;

use crate::Exit;
use crate::audit::look;
use crate::output::{self, Refused};
use args::{ConfigArgs, ConfigCommand, ConfigCommandArgs};
use hv_core::Guards;
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{Verdict, verify_on};
use hv_core::config::{Config, FILE_VARIABLE};
use hv_core::event::NodeEvent;
use hv_core::{TrailEvent, read_record};
use std::path::{Path, PathBuf};

impl ConfigArgs {
    /// What the file and the environment say.
    ///
    /// # Errors
    /// [`BadConfig`]; nothing of it is used then.
    pub fn read(&self) -> Result<Config, BadConfig> {
        let mut config = Config::default();
        let named = std::env::var_os(FILE_VARIABLE).map(PathBuf::from);
        if let Some(path) = self.config.clone().or(named) {
            file::read(&path, &mut config)?;
        }
        config.hear(std::env::vars_os())?;
        // What does not go together by itself does not on any trail.
        config.over(&Guards::default())?;
        Ok(config)
    }
}

/// Does what `hv config` was asked.
///
/// # Errors
/// [`Refused::Config`] where something is wrong with what was said; [`Refused::Output`].
pub fn run(args: &ConfigCommandArgs) -> Result<Exit, Refused> {
    match &args.command {
        ConfigCommand::Show(args) => {
            let config = args.config.read()?;
            let before = args.data.as_deref().map(recorded).transpose()?;
            let guards = config.over(&before.unwrap_or_default()).map_err(BadConfig::from)?;
            let told = told::Settings::of(&config, &guards, before.as_ref());
            output::document(&told, args.json)?;
        }
        ConfigCommand::Check(args) => {
            let config = args.config.read()?;
            let guards = config.over(&Guards::default()).map_err(BadConfig::from)?;
            output::print(&told::Checked::of(&config, &guards))?;
        }
        ConfigCommand::Schema => output::json(&told::schema())?,
    }
    Ok(Exit::Done)
}

/// The limits that were recorded last on a trail.
fn recorded(data: &Path) -> Result<Guards, BadConfig> {
    let unusable = |why: String| BadConfig::Trail { data: data.to_owned(), why };
    look(data).map_err(|no| unusable(no.to_string()))?;
    let mut last = Guards::default();
    let report = verify_on(&RealDisk, data, &mut |entry| {
        for event in read_record(&entry).into_iter().flat_map(|record| record.events) {
            if let TrailEvent::Node(NodeEvent::Guarded { guards }) = event {
                last = *guards;
            }
        }
    });
    match report.map_err(|error| unusable(error.to_string()))?.verdict {
        Verdict::Tampered(finding) => Err(unusable(format!("the trail was tampered with: {finding}"))),
        Verdict::Complete | Verdict::Open(_) => Ok(last),
    }
}
