//! What makes the gate hold under load: limits, breakers, and refusals that were counted.

use super::super::told::{Told, json, list, object, seconds};
use super::Scene;
use hv_core::audit::StreamNo;
use hv_core::event::{Folded, FoldedAsker, FoldedKind};
use hv_core::rings::breach::Breach;
use hv_core::rings::rate::{PerRing, Rate};
use hv_core::types::{Did, Ring, Timestamp};
use hv_core::{Guards, Scoring};
use serde_json::Value;

impl Scene<'_> {
    pub(super) fn folded(&self, folded: &Folded) -> Told {
        let kind = |FoldedKind { request, rule, count }: &FoldedKind| {
            object([("request", json(request)), ("rule", json(rule)), ("count", json(count))])
        };
        let asker = |FoldedAsker { agent, stream, count }: &FoldedAsker| {
            let session = (*stream != StreamNo::NODE.0).then(|| self.names.stream(StreamNo(*stream)));
            object([("agent", json(agent)), ("session", json(session)), ("count", json(count))])
        };
        Told::new("node.folded", folded.to_string())
            .with("source", folded.source.to_string())
            .with("count", folded.count())
            .with("since", folded.since)
            .with("until", folded.until)
            .with("kinds", list(&folded.kinds, kind))
            .with("askers", list(&folded.askers, asker))
            .with("others", folded.others)
    }

    pub(super) fn held(&self, number: u32, step: u32, until: Timestamp) -> Told {
        let words =
            format!("{} waits until {until}: its agent calls as often as it may", self.step(number, step));
        Told::new("session.held", words)
            .with("saga", self.names.saga(self.stream, number))
            .with("step", self.names.step(self.stream, number, step))
            .with("until", until)
    }

    pub(super) fn acts_for(&self, number: u32, principals: &[Did]) -> Told {
        let names: Vec<&str> = principals.iter().map(Did::as_str).collect();
        let saga = self.names.saga(self.stream, number);
        Told::new("session.on_behalf", format!("the agents of saga {saga} act for {}", names.join(", ")))
            .with("saga", saga)
            .with("principals", principals)
    }
}

pub(super) fn tripped(agent: &Did, breach: &Breach, until: Timestamp) -> Told {
    Told::new("node.tripped", format!("{agent} stands in Ring 3 until {until}: {breach}"))
        .with("agent", agent)
        .with("reason", breach.to_string())
        .with("until", until)
}

pub(super) fn guarded(guards: &Guards) -> Told {
    let Guards { limits, breach, fold, sources, score, open_sessions, kill_callback, snapshots, retention } =
        guards;
    let scoring = match score {
        Scoring::Off => "outcomes do not become reputation",
        Scoring::By { .. } => "outcomes become reputation",
    };
    let score = match score {
        Scoring::Off => Value::Null,
        Scoring::By { policy } => object([
            ("remembered", json(policy.remembered)),
            ("gain", json(policy.gain)),
            ("loss", json(policy.loss)),
            ("open_ceiling", json(policy.open_ceiling)),
        ]),
    };
    Told::new("node.guarded", format!("the limits of the node are set; {scoring}"))
        .with("rate", per_ring(&limits.rate, |rate| self::rate(*rate)))
        .with("tools", per_ring(&limits.tools, |tools| json(*tools)))
        .with("breach", {
            object([
                ("window_s", seconds(breach.window)),
                ("least", json(breach.least)),
                ("percent", json(breach.percent)),
                ("patience", json(breach.patience)),
                ("forget_s", seconds(breach.forget)),
                ("open_s", seconds(breach.open)),
            ])
        })
        .with("fold", {
            object([
                ("window_s", seconds(fold.window)),
                ("longest_s", seconds(fold.longest)),
                ("in_full", json(fold.in_full)),
                ("in_full_together", json(fold.in_full_together)),
            ])
        })
        .with("sources", {
            object([("requests", rate(sources.requests)), ("refused", rate(sources.refused))])
        })
        .with("score", score)
        .with("open_sessions", *open_sessions)
        .with("kill_callback_s", seconds(*kill_callback))
        .with("snapshots", {
            object([("every", json(snapshots.every)), ("at_the_end", json(snapshots.at_the_end))])
        })
        .with("retention", {
            object([
                ("output_s", seconds(retention.output)),
                ("note_s", seconds(retention.note)),
                ("file_s", seconds(retention.file)),
                ("session_s", seconds(retention.session)),
            ])
        })
}

fn rate(Rate { per_second, burst }: Rate) -> Value {
    object([("per_second", json(per_second)), ("burst", json(burst))])
}

fn per_ring<T>(values: &PerRing<T>, each: impl Fn(&T) -> Value) -> Value {
    object([
        ("0", each(values.get(Ring::Root))),
        ("1", each(values.get(Ring::Privileged))),
        ("2", each(values.get(Ring::Standard))),
        ("3", each(values.get(Ring::Sandbox))),
    ])
}
