//! How what is done once grows with what is there: instructions a call at n, 2n, 4n and 8n, against what each operation
//! claims.
//!
//! Counted as [`gate`] counts. An operation that claims O(1) may take at no size more than at the first, and
//! one that claims O(log n) or O(n) no more than in proportion to that, in each case with a quarter more: caches of the
//! machine do not count, but tables that are doubled now and then and trees that are a little deeper do. One that claims
//! to be flat is measured at n, 10n, 100n and 1000n, and may take a tenth more than at the first.

use super::gate;
use crate::command::{capture, program};
use crate::report::{Passed, Report};
use crate::workspace::Workspace;
use std::fmt::Write;

/// What is measured of which, and how it is printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    json: bool,
    /// One operation.
    only: Option<String>,
}

impl Options {
    pub(crate) fn parse<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            match word {
                "--json" => options.json = true,
                "--only" => options.only = Some(words.next().ok_or("`--only` needs a name")?.to_owned()),
                other => return Err(format!("`bench scale` does not know `{other}`")),
            }
        }
        Ok(options)
    }
}

/// What an operation claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Flat,
    Constant,
    Logarithm,
    Linear,
}

impl Claim {
    const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Constant => "O(1)",
            Self::Logarithm => "O(log n)",
            Self::Linear => "O(n)",
        }
    }

    /// The sizes, in multiples of the smallest.
    const fn sizes(self) -> [u32; 4] {
        match self {
            Self::Flat => [1, 10, 100, 1000],
            Self::Constant | Self::Logarithm | Self::Linear => [1, 2, 4, 8],
        }
    }

    /// How many times the cost at one size may be that at another.
    fn most(self, from: u32, to: u32) -> f64 {
        let (from, to) = (f64::from(from), f64::from(to));
        match self {
            Self::Flat => 1.1,
            Self::Constant => 1.25,
            Self::Logarithm => to.log2() / from.log2() * 1.25,
            Self::Linear => to / from * 1.25,
        }
    }
}

/// One operation, as the program of the benches lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    name: String,
    claim: Claim,
    from: u32,
    of: String,
}

/// Reads one line of the list.
fn row(line: &str) -> Result<Row, String> {
    let bad = || format!("`{line}` is no line of the scaling table");
    let words: Vec<&str> = line.split('\t').collect();
    let [name, claim, from, of] = words.as_slice() else { return Err(bad()) };
    let claims = [Claim::Flat, Claim::Constant, Claim::Logarithm, Claim::Linear];
    let claim = claims.into_iter().find(|known| known.name() == *claim).ok_or_else(bad)?;
    let from = from.parse().ok().filter(|from| *from >= 2).ok_or_else(bad)?;
    Ok(Row { name: (*name).to_owned(), claim, from, of: (*of).to_owned() })
}

/// What an operation took at each size.
#[derive(Debug, PartialEq)]
struct Measured {
    row: Row,
    /// Instructions a call, in the order of [`Claim::sizes`].
    counts: Vec<f64>,
}

impl Measured {
    /// What is not as claimed.
    fn wrong(&self) -> Option<String> {
        let Row { name, claim, from, .. } = &self.row;
        let first = self.counts.first()?;
        let over = claim
            .sizes()
            .into_iter()
            .zip(&self.counts)
            .find(|&(times, count)| *count > first * claim.most(*from, from * times));
        over.map(|(times, count)| {
            let (n, claim) = (from * times, claim.name());
            format!("{name} claims {claim} and takes {count:.0} instructions at {n}, {first:.0} at {from}")
        })
    }

    fn words(&self) -> String {
        let Row { name, claim, from, of } = &self.row;
        let mut line = format!("{:<32}{:<10}{from:>7}", name.trim_start_matches("measured_"), claim.name());
        for count in &self.counts {
            let _ = write!(line, "{count:>12.0}");
        }
        let times =
            self.counts.last().zip(self.counts.first()).map_or(f64::NAN, |(last, first)| last / first);
        let most = claim.sizes().last().map_or(f64::NAN, |times| claim.most(*from, from * times));
        let _ = write!(line, "{times:>8.2}{most:>8.2}  {of}");
        line
    }

    fn json(&self) -> String {
        let Row { name, claim, from, of } = &self.row;
        let counts: Vec<String> = self.counts.iter().map(|count| format!("{count:.1}")).collect();
        let (claim, counts) = (claim.name(), counts.join(", "));
        let ok = self.wrong().is_none();
        format!(
            r#"  {{ "name": "{name}", "claim": "{claim}", "n": {from}, "of": "{of}", "instructions": [{counts}], "ok": {ok} }}"#
        )
    }
}

/// Counts every operation at every size and compares.
pub(crate) fn run(workspace: &Workspace, report: &mut Report, options: &Options) {
    if report.part("build the scaled functions", || super::build(workspace, "hv-bench-scale")) == Passed::No {
        return;
    }
    report.part("count instructions as sizes grow", || {
        let scale = workspace.target.join("release/hv-bench-scale");
        let rows = capture(&mut program(&scale, &workspace.root))?;
        let rows: Vec<Row> = rows.lines().map(row).collect::<Result<_, _>>()?;
        let wanted = |row: &Row| {
            options.only.as_ref().is_none_or(|only| only == row.name.trim_start_matches("measured_"))
        };
        let rows: Vec<Row> = rows.into_iter().filter(wanted).collect();
        if rows.is_empty() {
            return Err("there is no such operation".to_owned());
        }
        eprintln!(
            "{:<32}{:<10}{:>7}{:>12}{:>12}{:>12}{:>12}{:>8}{:>8}  of",
            "operation", "claim", "n", "at n", "2n", "4n", "8n", "last/n", "most"
        );
        let mut all = Vec::new();
        for row in rows {
            let at = |times: &u32| {
                let size = (row.from * times).to_string();
                gate::instructions(workspace, &scale, &row.name, &[&size])
            };
            let counts = row.claim.sizes().iter().map(at).collect::<Result<_, _>>()?;
            let measured = Measured { row, counts };
            eprintln!("{}", measured.words());
            all.push(measured);
        }
        if options.json {
            let rows: Vec<String> = all.iter().map(Measured::json).collect();
            println!("[\n{}\n]", rows.join(",\n"));
        }
        let wrong: Vec<String> = all.iter().filter_map(Measured::wrong).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(claim: Claim, counts: [f64; 4]) -> Measured {
        let row = Row { name: "measured_x".to_owned(), claim, from: 1024, of: "things".to_owned() };
        Measured { row, counts: counts.to_vec() }
    }

    #[test]
    fn what_grows_faster_than_it_claims_is_wrong() {
        use Claim::{Constant, Flat, Linear, Logarithm};
        for (claim, counts, right) in [
            (Flat, [100.0, 90.0, 100.0, 109.0], true),
            (Flat, [100.0, 100.0, 111.0, 100.0], false),
            (Flat, [100.0, 100.0, 100.0, 111.0], false),
            (Constant, [100.0, 100.0, 100.0, 124.0], true),
            (Constant, [100.0, 126.0, 100.0, 100.0], false),
            (Constant, [100.0, 200.0, 400.0, 800.0], false),
            (Logarithm, [100.0, 110.0, 120.0, 130.0], true),
            (Logarithm, [100.0, 130.0, 145.0, 162.0], true),
            (Logarithm, [100.0, 110.0, 120.0, 200.0], false),
            (Linear, [100.0, 200.0, 400.0, 800.0], true),
            (Linear, [100.0, 400.0, 1600.0, 6400.0], false),
            (Linear, [100.0, 1.0, 1.0, 1.0], true),
        ] {
            assert_eq!(measured(claim, counts).wrong().is_none(), right, "{claim:?} {counts:?}");
        }
    }

    #[test]
    fn a_line_has_a_name_a_claim_a_size_and_what_is_counted() {
        let read = row("measured_x\tO(log n)\t250\tfiles").unwrap();
        assert_eq!((read.claim, read.from, read.of.as_str()), (Claim::Logarithm, 250, "files"));
        for bad in ["measured_x", "x\tO(n^2)\t250\tfiles", "x\tO(1)\t1\tfiles", "x\tO(1)\tmany\tfiles"] {
            assert!(row(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn json_is_one_object_for_each_operation() {
        let row = measured(Claim::Constant, [1.0, 1.0, 1.0, 2.0]).json();
        assert!(row.contains(r#""instructions": [1.0, 1.0, 1.0, 2.0], "ok": false"#), "{row}");
    }
}
