//! Sagas as they went, drawn over time: one row a step, one bar an attempt.

use super::trail::Told;
use hv_core::event::SagaEvent;
use hv_core::saga::{Micros, Move, Purpose};
use std::fmt::Write;

/// In units of the picture, about a pixel each.
const WIDTH: u32 = 960;
/// Where the time begins and where it ends.
const TIME: (u32, u32) = (250, 915);
const ROW: u32 = 34;
const HEAD: u32 = 40;
const FOOT: u32 = 30;
const MARGIN: u32 = 12;
/// What is shorter than this is drawn as long.
const LEAST: f64 = 3.0;
/// So many parts the time is divided into.
const TICKS: u32 = 5;

/// What an attempt came to, as far as a picture tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shade {
    Done,
    Undone,
    Asked,
    InDoubt,
    Failed,
    Open,
}

impl Shade {
    const ALL: [Self; 6] = [Self::Done, Self::Undone, Self::Asked, Self::InDoubt, Self::Failed, Self::Open];

    const fn colour(self) -> &'static str {
        match self {
            Self::Done => "#2da44e",
            Self::Undone => "#bf8700",
            Self::Asked => "#8c959f",
            Self::InDoubt => "#8250df",
            Self::Failed => "#cf222e",
            Self::Open => "#54aeff",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Undone => "undone",
            Self::Asked => "asked by a probe",
            Self::InDoubt => "in doubt",
            Self::Failed => "failed",
            Self::Open => "runs, or is cut off",
        }
    }

    /// What an attempt came to with which its step moved like this.
    const fn of(purpose: Purpose, to: &Move) -> Self {
        match (purpose, to) {
            (Purpose::Probe, _) => Self::Asked,
            (Purpose::Execute, Move::Committed {}) => Self::Done,
            (_, Move::Suspect { .. } | Move::Doubt { .. } | Move::Assumed { .. }) => Self::InDoubt,
            (Purpose::Undo, Move::Undone {} | Move::Unconfirmed { failure: None, .. }) => Self::Undone,
            (Purpose::Undo, Move::Unconfirmed { failure: Some(_), .. }) => Self::InDoubt,
            _ => Self::Failed,
        }
    }
}

/// One attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bar {
    step: u32,
    purpose: Purpose,
    number: u32,
    from: Micros,
    until: Option<Micros>,
    shade: Shade,
}

/// The attempts of a saga in the order in which they began, when it turned back, and when the last thing happened.
fn bars(events: &[SagaEvent]) -> (Vec<Bar>, Option<Micros>, Micros) {
    let (mut bars, mut turned, mut last) = (Vec::<Bar>::new(), None, Micros(0));
    for event in events {
        let at = match *event {
            SagaEvent::Started { step, purpose, number, at } => {
                bars.push(Bar { step, purpose, number, from: at, until: None, shade: Shade::Open });
                at
            }
            SagaEvent::Moved { step, ref to, at } => {
                let open = |bar: &&mut Bar| bar.step == step && bar.until.is_none();
                if let Some(bar) = bars.iter_mut().rev().find(open) {
                    (bar.until, bar.shade) = (Some(at), Shade::of(bar.purpose, to));
                }
                at
            }
            SagaEvent::Turned { at, .. } => {
                turned.get_or_insert(at);
                at
            }
            SagaEvent::Finished { at, .. } => at,
            _ => continue,
        };
        last = Micros(last.0.max(at.0));
    }
    (bars, turned, last)
}

/// The picture of these sagas, one below the other, as SVG.
pub(super) fn drawn(sagas: &[&Told]) -> String {
    let rows = sagas.iter().map(|told| HEAD + ROW * steps(told) + FOOT).sum::<u32>();
    let height = MARGIN + rows + FOOT;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" font-family=\"ui-sans-serif, system-ui, sans-serif\" font-size=\"13\" \
         fill=\"#1f2328\">\n<rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"/>\n"
    );
    let mut top = MARGIN;
    for told in sagas {
        saga(told, top, &mut text);
        top += HEAD + ROW * steps(told) + FOOT;
    }
    legend(top + FOOT / 2, &mut text);
    text.push_str("</svg>\n");
    text
}

fn steps(told: &Told) -> u32 {
    u32::try_from(told.saga.steps().len()).unwrap_or(u32::MAX)
}

fn saga(told: &Told, top: u32, text: &mut String) {
    let (bars, turned, last) = bars(&told.events);
    let place = |at: Micros| {
        let (from, to) = (f64::from(TIME.0), f64::from(TIME.1));
        from + (to - from) * (at.0 as f64 / last.0.max(1) as f64).min(1.0)
    };
    let bottom = top + HEAD + ROW * steps(told);
    let _ = writeln!(
        text,
        "<text x=\"16\" y=\"{}\" font-size=\"15\" font-weight=\"600\">{}: {}</text>",
        top + 22,
        escaped(told.id.as_str()),
        told.saga.state()
    );
    for tick in 0..=TICKS {
        let at = Micros(last.0 / u64::from(TICKS) * u64::from(tick));
        let x = place(at);
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" y1=\"{}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#d8dee4\"/>\n\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\" fill=\"#656d76\">{}</text>",
            top + HEAD,
            bottom + 16,
            seconds(at)
        );
    }
    for (row, (step, run)) in (0..).zip(told.saga.steps().iter().zip(told.saga.runs())) {
        let agent = told.saga.agent(row).unwrap_or(&step.agent);
        let _ = writeln!(
            text,
            "<text x=\"16\" y=\"{}\">{} <tspan fill=\"#656d76\">{}</tspan></text>\n\
             <text x=\"16\" y=\"{}\" font-size=\"11\" fill=\"#656d76\">{}</text>",
            top + HEAD + ROW * row + 14,
            escaped(step.id.as_str()),
            run.state,
            top + HEAD + ROW * row + 27,
            escaped(agent.as_str())
        );
    }
    for bar in &bars {
        let (from, until) = (place(bar.from), place(bar.until.unwrap_or(last)));
        let (inset, high) = if bar.purpose == Purpose::Probe { (13, 8) } else { (7, 20) };
        let _ = writeln!(
            text,
            "<rect x=\"{from:.1}\" y=\"{}\" width=\"{:.1}\" height=\"{high}\" rx=\"2\" fill=\"{}\"><title>{} {}: {}, \
             from {} to {}</title></rect>",
            top + HEAD + ROW * bar.step + inset,
            (until - from).max(LEAST),
            bar.shade.colour(),
            bar.purpose.name(),
            bar.number,
            bar.shade.name(),
            seconds(bar.from),
            seconds(bar.until.unwrap_or(last))
        );
    }
    if let Some(x) = turned.map(place) {
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" y1=\"{}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#cf222e\" \
             stroke-dasharray=\"4 3\"/>\n\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\" fill=\"#cf222e\">turns back</text>",
            top + HEAD - 6,
            top + HEAD - 10
        );
    }
}

fn legend(y: u32, text: &mut String) {
    let mut x = 16;
    for shade in Shade::ALL {
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>\n\
             <text x=\"{}\" y=\"{}\" font-size=\"11\" fill=\"#656d76\">{}</text>",
            y - 10,
            shade.colour(),
            x + 17,
            y,
            shade.name()
        );
        x += 37 + 6 * u32::try_from(shade.name().len()).unwrap_or_default();
    }
}

fn seconds(at: Micros) -> String {
    format!("{}.{:03} s", at.0 / 1_000_000, at.0 / 1_000 % 1_000)
}

/// Names may hold what XML reads as its own.
fn escaped(name: &str) -> String {
    name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(step: u32, purpose: Purpose, number: u32, at: u64) -> SagaEvent {
        SagaEvent::Started { step, purpose, number, at: Micros(at) }
    }

    fn moved(step: u32, to: Move, at: u64) -> SagaEvent {
        SagaEvent::Moved { step, to, at: Micros(at) }
    }

    #[test]
    fn an_attempt_lasts_until_its_own_step_moves() {
        let unconfirmed = Move::Unconfirmed { wait: Micros(0), failure: None };
        let events = [
            started(0, Purpose::Execute, 1, 10),
            started(1, Purpose::Execute, 1, 20),
            moved(1, Move::Committed {}, 30),
            moved(0, Move::Committed {}, 40),
            started(1, Purpose::Undo, 1, 50),
            moved(1, unconfirmed, 60),
            started(1, Purpose::Probe, 1, 60),
            moved(1, Move::Undone {}, 70),
            started(0, Purpose::Undo, 1, 70),
        ];
        let (bars, turned, last) = bars(&events);
        let told: Vec<_> =
            bars.iter().map(|bar| (bar.step, bar.from.0, bar.until.map(|at| at.0), bar.shade)).collect();
        assert_eq!(
            told,
            [
                (0, 10, Some(40), Shade::Done),
                (1, 20, Some(30), Shade::Done),
                (1, 50, Some(60), Shade::Undone),
                (1, 60, Some(70), Shade::Asked),
                (0, 70, None, Shade::Open),
            ]
        );
        assert_eq!((turned, last), (None, Micros(70)));
    }

    #[test]
    fn names_are_no_markup() {
        assert_eq!(escaped("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
        assert_eq!(seconds(Micros(12_345_678)), "12.345 s");
    }
}
