//! Questions and answers in JSON lines: each line is answered with one line, also where it is bad.

use crate::exit::Exit;
use crate::output::{Refused, is_read};
use clap::Args;
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Where the lines come from.
#[derive(Debug, Args)]
pub struct LinesArgs {
    /// The file with one JSON object a line; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// The lines cannot be read.
#[derive(Debug)]
pub struct LinesFailure {
    file: PathBuf,
    error: io::Error,
}

impl fmt::Display for LinesFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, error } = self;
        write!(
            f,
            "{}: cannot be read: {error}; give a file with one JSON object a line, or -",
            file.display()
        )
    }
}

impl std::error::Error for LinesFailure {}

/// How a bad line is answered.
#[derive(Debug, Serialize)]
struct BadLine {
    /// Which line, counted from 1.
    line: u64,
    /// What is wrong with it.
    error: String,
}

/// Answers every line of the file, in order; gives [`Exit::BadInput`] where one of them was bad.
///
/// A line of more than `limit` bytes is bad, and is read without being kept.
///
/// # Errors
/// [`Refused::Lines`] where the file cannot be read, [`Refused::Output`] where stdout takes no more.
pub fn answer<E: fmt::Display>(
    args: &LinesArgs,
    limit: usize,
    answer: impl Fn(&str) -> Result<String, E>,
) -> Result<Exit, Refused> {
    let failed = |error| Refused::Lines(LinesFailure { file: args.file.clone(), error });
    let input: Box<dyn Read> = if args.file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(&args.file).map_err(failed)?)
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut lines = Lines { input: BufReader::new(input), limit, number: 0 };
    let mut exit = Exit::Done;
    while let Some(line) = lines.next().map_err(failed)? {
        let answered = line.and_then(|text| answer(&text).map_err(|error| error.to_string()));
        let text = answered.or_else(|error| {
            exit = Exit::BadInput;
            serde_json::to_string(&BadLine { line: lines.number, error })
        });
        let text = text.map_err(|error| Refused::Output(error.into()))?;
        // Whoever asks one thing at a time waits for its answer.
        let waited_for = lines.input.buffer().is_empty();
        let written = writeln!(out, "{text}").and_then(|()| if waited_for { out.flush() } else { Ok(()) });
        if !is_read(written).map_err(Refused::Output)? {
            return Ok(exit);
        }
    }
    is_read(out.flush()).map_err(Refused::Output)?;
    Ok(exit)
}

/// A reader of lines that never keeps more than `limit` bytes.
struct Lines<R: Read> {
    input: BufReader<R>,
    limit: usize,
    /// The line that was read last, counted from 1.
    number: u64,
}

impl<R: Read> Lines<R> {
    /// The next line, or what is wrong with it; nothing at the end.
    fn next(&mut self) -> io::Result<Option<Result<String, String>>> {
        let mut line = Vec::new();
        let most = u64::try_from(self.limit).unwrap_or(u64::MAX).saturating_add(1);
        if self.input.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() > self.limit {
            self.input.skip_until(b'\n')?;
            return Ok(Some(Err(format!("the line is longer than {} bytes; shorten it", self.limit))));
        }
        Ok(Some(String::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], limit: usize) -> Vec<Result<String, String>> {
        let mut lines = Lines { input: BufReader::with_capacity(3, text), limit, number: 0 };
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    #[test]
    fn lines_end_where_they_end() {
        let good = |text: &str| Ok(text.to_owned());
        assert_eq!(read(b"", 9), []);
        assert_eq!(read(b"a\nbc", 9), [good("a"), good("bc")]);
        assert_eq!(read(b"a\n\n", 9), [good("a"), good("")]);
    }

    #[test]
    fn a_line_that_is_too_long_spoils_no_other() {
        let lines = read(b"abcd\nabcde\nabcd", 4);
        assert_eq!((lines.len(), lines[0].is_ok(), lines[2].is_ok()), (3, true, true));
        assert!(lines[1].as_ref().unwrap_err().contains("4 bytes"));
        assert!(read(b"\xff\xfe\nok", 9)[0].is_err());
    }
}
