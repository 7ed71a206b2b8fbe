//! What a command answers: a text for people, a document for programs, an exit code.

use super::failure::LiveFailure;
use super::passing::Passing;
use crate::Exit;
use crate::output::{self, Refused};
use serde_json::{Value, json};
use std::io::{self, Write};

/// What a command answers.
#[derive(Debug)]
pub(crate) struct Answer {
    exit: Exit,
    words: String,
    document: Value,
    /// What a command printed, as it printed it.
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// What shows it while it is printed.
    passing: Option<Passing>,
    warning: Option<String>,
}

/// Prints what came of a command. Programs get a document also where it was refused.
pub(crate) fn answer(answer: Result<Answer, LiveFailure>, json: bool) -> Result<Exit, Refused> {
    if let (true, Err(LiveFailure::Denied(denied))) = (json, &answer) {
        let (reason, needs) = (denied.reason.to_string(), denied.reason.needs());
        let exit = Exit::Denied.code();
        output::json(&json!({ "exit_code": exit, "denial": { "reason": reason, "needs": needs } }))?;
    }
    answer.map_err(|failure| Refused::Session(Box::new(failure)))?.tell(json)
}

impl Answer {
    pub(crate) const fn new(exit: Exit, words: String, document: Value) -> Self {
        Self { exit, words, document, stdout: Vec::new(), stderr: Vec::new(), passing: None, warning: None }
    }

    /// The same with what a command printed.
    pub(crate) fn saying(self, stdout: Vec<u8>, stderr: Vec<u8>) -> Self {
        Self { stdout, stderr, ..self }
    }

    /// The same, where what a command printed is shown already or about to be.
    pub(crate) fn passed(self, passing: Option<Passing>) -> Self {
        match passing {
            Some(_) => Self { stdout: Vec::new(), stderr: Vec::new(), passing, ..self },
            None => self,
        }
    }

    /// The same with a line for stderr.
    pub(crate) fn warning(self, warning: Option<String>) -> Self {
        Self { warning, ..self }
    }

    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// Prints it, as a document or for people.
    pub(crate) fn tell(self, json: bool) -> Result<Exit, Refused> {
        if json {
            output::json(&self.document)?;
        } else {
            // There is nowhere to say that stderr takes nothing.
            let _ = io::stderr().lock().write_all(&self.stderr);
            output::bytes(&self.stdout)?;
            match self.passing.map(Passing::finish).transpose()? {
                None | Some(0) => {}
                Some(lost) => {
                    output::error(&format!("hv: {} came too fast to be shown", output::counted(lost, "byte")))
                }
            }
            output::bytes(self.words.as_bytes())?;
        }
        if let Some(warning) = &self.warning {
            output::error(&format!("hv: {warning}"));
        }
        Ok(self.exit)
    }
}
