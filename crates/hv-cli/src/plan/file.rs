//! The format of a session file, as it is read and as its JSON Schema describes it.
//!
//! The comments here are for those who write session files: they are the descriptions in the schema.

use super::duration::RawDuration;
use super::tree::At;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Who works together, what they may do, and the steps of the work.
///
/// In argv, cwd, env, url, headers and body, {work} stands for the run's work folder, {file} for the folder of
/// this file, {hv} for the program hv itself and {name} for a folder of [paths]; {{ and }} stand for the characters. A value of env, headers,
/// stdin or body that begins with env: or file: is a reference to a secret and is read only where it is used;
/// text: before a text that only begins so takes it literally.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "hv session file", rename = "SessionFile")]
pub(super) struct SessionFile {
    /// Where editors find the schema; hv ignores it.
    #[serde(rename = "$schema", default)]
    pub(super) _schema: Option<String>,
    /// Settings of the session.
    pub(super) session: Option<RawSession>,
    /// Whom the node listens to. The first run on a trail sets it; a later one must say the same, or nothing.
    pub(super) node: Option<RawNode>,
    /// Whom the run asks outside of itself. What is not named is off.
    pub(super) adapters: Option<RawAdapters>,
    /// Folders by name, each a path relative to the work folder. A name may be used as {name}, and stands in
    /// the report. hv does not create them.
    #[serde(default)]
    pub(super) paths: BTreeMap<String, At<String>>,
    /// Environment variables for every command; a command's own env goes before these. Of hv's own environment a
    /// command sees only PATH, HOME, USER, LOGNAME, SHELL, LANG, LC_ALL, LC_CTYPE, TZ, TMPDIR, TERM and
    /// XDG_RUNTIME_DIR, unless it is passed on here: NAME = "env:NAME".
    #[serde(default)]
    pub(super) env: BTreeMap<String, At<String>>,
    /// The agents that join, in this order.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1000))]
    pub(super) agent: Vec<At<RawAgent>>,
    /// Who vouches for whom, before the work begins.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub(super) vouch: Vec<At<RawVouch>>,
    /// On which terms the calls of an action are decided in this session, in place of what it counts as.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub(super) r#override: Vec<At<RawOverride>>,
    /// What may be done, and how far it can be undone.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1000))]
    pub(super) action: Vec<At<RawAction>>,
    /// Steps that prepare the work, gated and recorded like the others. They are done before the first step
    /// and stay when the steps are undone.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub(super) setup: Vec<At<RawStep>>,
    /// The steps of the work. When one fails for good, those that committed are undone in reverse order.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1000))]
    pub(super) step: Vec<At<RawStep>>,
    /// Read-only commands that run after the set-up and again at the end; the report holds both outputs and
    /// whether they are equal.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub(super) observe: Vec<At<RawObserve>>,
    /// Limits of the run.
    pub(super) limits: Option<RawLimits>,
    /// How often agents may call, by the ring in which they stand, on this trail from this run on. What is left out
    /// is as usual; without any of it, what was set last holds.
    pub(super) rates: Option<RawRates>,
    /// What the session makes of intents. Without it they are optional, and what is outside one is denied.
    pub(super) intents: Option<RawIntents>,
}

/// Settings of the session.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSession {
    /// The session's name; made up where there is none. Letters, digits, `.`, `_`, `:`, `-`.
    pub(super) id: Option<At<String>>,
    /// Whether everything waits until it is durable (strong), or file writes may be seen before (eventual). An action
    /// that cannot be undone forces strong. Where nothing is said: as the node is configured, or else strong.
    pub(super) mode: Option<RawMode>,
    /// How many agents the session takes, 1 to 1000. Where nothing is said: as the node is configured, or else 10.
    #[schemars(range(min = 1, max = 1000))]
    pub(super) max_participants: Option<At<u32>>,
    /// How long the session may last, 1 s to 7 d. Where nothing is said: as the node is configured, or else 1h.
    pub(super) duration: Option<At<RawDuration>>,
    /// The score below which an agent may only read, 0 to 1. Where nothing is said: as the node is configured, or else
    /// 0.60.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) min_sigma: Option<At<f64>>,
    /// The DID of who opens the session; the first agent where nothing is said.
    pub(super) creator: Option<At<String>>,
    /// What goes before every url that is only a path, such as http://127.0.0.1:8080.
    pub(super) base_url: Option<At<String>>,
    /// The DIDs of those for whom the agents act: what an agent does, each of these could do itself at that moment.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub(super) on_behalf_of: Vec<At<String>>,
    /// The DIDs of the humans that vote, besides the members in Ring 2, on what needs Ring 1.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub(super) voters: Vec<At<String>>,
}

/// Whom the node listens to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNode {
    /// The node's own DID: what statements for it are addressed to.
    pub(super) did: At<String>,
    /// The DIDs of those whose word opens Ring 0, one call at a time.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub(super) witnesses: Vec<At<String>>,
    /// The DIDs of those whose findings lead to a slash.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub(super) verifiers: Vec<At<String>>,
    /// By which numbers agents vouch and answer; without it "collateral".
    pub(super) vouching: Option<RawVouching>,
    /// Charge whoever violates, and slash it after this time unless that is contested. Without it, at once.
    pub(super) grace: Option<At<RawDuration>>,
    /// Statements of type bind, which give names other than did:key their keys: paths relative to the folder of
    /// this file.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub(super) keys: Vec<At<String>>,
}

/// By which numbers agents vouch and answer.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawVouching {
    /// hv's own: what is bonded is what is lost.
    Collateral,
    /// Those of the Python package agent-hypervisor, for comparison.
    Reference,
}

/// Whom the run asks outside of itself. Without its answer an agent stands in Ring 3, or does not join.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdapters {
    /// The Python that has the packages of the bridges: a program's name, a path relative to the folder of this
    /// file, or env:NAME for the path that a variable holds.
    pub(super) python: Option<At<String>>,
    /// Who scores trust. Nobody counts for more than it says, and slashes are told to it.
    pub(super) trust: Option<At<RawTrust>>,
    /// Who measures drift, in the samples of steps that have drift = true.
    pub(super) drift: Option<At<RawDrift>>,
    /// Who hears of steps that failed, and of drift that had consequences. What it proposes is kept in the trail,
    /// and nothing is done about it.
    pub(super) correction: Option<At<RawCorrection>>,
    /// The address of the IATP sidecar that hands out manifests, such as http://127.0.0.1:8081.
    pub(super) manifests: Option<At<String>>,
    /// Whose attestations count that manifests from the sidecar carry: the names that records give to keys, and the
    /// Ed25519 public keys, each as a did:key or as its 32 bytes in base64. A manifest with a record that does not count
    /// admits nobody; one without is worth at most 0.60.
    #[schemars(length(max = 1000))]
    pub(super) attesters: Option<At<BTreeMap<String, At<String>>>>,
    /// The address of the CaaS server with which steps exchange files of the session, such as http://127.0.0.1:8082.
    pub(super) context: Option<At<String>>,
    /// The longest wait for one answer, 10 ms to 10 m; 30s where nothing is said.
    pub(super) deadline: Option<At<RawDuration>>,
}

/// Who scores trust.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawTrust {
    /// The package nexus-trust-exchange.
    Nexus,
}

/// Who measures drift.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawDrift {
    /// The package cmvk.
    Cmvk,
}

/// Who hears of failures.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawCorrection {
    /// The package scak.
    Scak,
}

/// What the scorer is told of an agent before it is asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFacts {
    /// Who has looked at it.
    pub(super) level: RawVerification,
    /// Tasks that succeeded.
    #[serde(default)]
    pub(super) successful_tasks: u32,
    /// Tasks that failed.
    #[serde(default)]
    pub(super) failed_tasks: u32,
}

/// Who has looked at an agent.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawVerification {
    /// Nobody.
    Unknown,
    /// It is registered.
    Registered,
    /// Its identity was verified.
    Verified,
    /// It is a vetted partner's.
    VerifiedPartner,
}

/// The terms that an operator sets for an action.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOverride {
    /// The id of the action.
    pub(super) action: At<String>,
    /// The ring that it needs, 0 to 3.
    #[schemars(range(max = 3))]
    pub(super) ring: Option<At<u32>>,
    /// What is at stake, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) risk: Option<At<f64>>,
}

/// What others say about the call that a step makes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEvidence {
    /// The call as `hv call` has printed it: a path relative to the folder of this file.
    pub(super) call: At<String>,
    /// The envelopes of votes and witnesses on it: paths relative to the folder of this file.
    #[schemars(length(min = 1, max = 256))]
    pub(super) statements: Vec<At<String>>,
}

/// When something is revealed.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawMode {
    /// When it is durable.
    Strong,
    /// File writes before they are durable, everything else when it is.
    Eventual,
}

/// An agent and the trust that it joins with: sigma, manifest or fetch_manifest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAgent {
    /// Its decentralized identifier, such as did:mesh:alpha.
    pub(super) did: At<String>,
    /// The DID of the agent above it that made it and for which it acts: it never stands above that one, and what
    /// it does that one could do itself.
    pub(super) parent: Option<At<String>>,
    /// Its trust score, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) sigma: Option<At<f64>>,
    /// Its IATP manifest: a path relative to the folder of this file.
    pub(super) manifest: Option<At<String>>,
    /// Whether it joins by the manifest that the sidecar of [adapters] hands out.
    #[serde(default)]
    pub(super) fetch_manifest: bool,
    /// The code that its attestation has to be for: sha256: and 64 hexadecimal digits. Whatever it attests where nothing
    /// is said.
    pub(super) codebase: Option<At<String>>,
    /// What the scorer of [adapters] is told of it before it is asked.
    pub(super) facts: Option<RawFacts>,
    /// The bounds that it is held to, as hv intent --help spells them: a path relative to the folder of this file.
    /// Nobody signs for it; whoever wrote this file binds it.
    pub(super) intent: Option<At<String>>,
}

/// What the session makes of intents, which say what an agent will do.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIntents {
    /// Whether an agent that has none in force may read and nothing else.
    #[serde(default)]
    pub(super) required: bool,
    /// What becomes of a call outside an intent.
    #[serde(default)]
    pub(super) outside: RawOutside,
    /// What becomes of an agent that calls outside its intent.
    #[serde(default)]
    pub(super) violation: RawViolation,
    /// Whether the undo and the probe of a step are held against the intent of its agent, too.
    #[serde(default)]
    pub(super) undo: RawUndoRule,
}

/// Whether undo and probe are held against an intent.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawUndoRule {
    /// They are not: whoever writes the file writes them.
    #[default]
    Free,
    /// They are, as calls of the step's action that are not counted.
    Held,
}

/// What becomes of a call outside an intent.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawOutside {
    /// It is denied.
    #[default]
    Deny,
    /// It passes with the word of a witness on exactly this call, which its step names as evidence.
    Consent,
}

/// What becomes of an agent that calls outside its intent.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawViolation {
    /// Nothing more than the denial.
    #[default]
    Deny,
    /// It is slashed on the denied call.
    Slash,
}

/// One agent answers for another with a part of its own reputation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVouch {
    /// The DID of the agent that vouches.
    pub(super) voucher: At<String>,
    /// The DID of the agent that it vouches for.
    pub(super) vouchee: At<String>,
    /// The share of the voucher's reputation that it puts up, above 0 and up to 1; 0.20 where nothing is said.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) bond: Option<At<f64>>,
}

/// Something that agents may be allowed to do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAction {
    /// Its name, such as git.push. Names that begin with hv. are kept for hv.
    pub(super) id: At<String>,
    /// How far it can be undone. Required, unless it is read_only or admin. With full or partial an undo must
    /// be given, here or in the step; with none there must not be one.
    pub(super) reversibility: Option<RawReversibility>,
    /// It changes nothing. Ring 3 may do it.
    #[serde(default)]
    pub(super) read_only: bool,
    /// It changes the supervisor itself. Only Ring 0 may do it.
    #[serde(default)]
    pub(super) admin: bool,
    /// Its undo counts only once it was rehearsed: before the work begins, its steps and those that they wait for are
    /// carried out and undone, and each probe has to see the effect come and go.
    pub(super) rehearse: Option<At<bool>>,
    /// What is at stake, 0 to 1, in the range that belongs to the reversibility (full 0.1 to 0.3, partial 0.5
    /// to 0.8, none 0.9 to 1); its midpoint where nothing is said.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) risk: Option<At<f64>>,
    /// What a step of this action does, unless it says otherwise itself.
    pub(super) execute: Option<At<RawTask>>,
    /// What takes it back, unless the step says otherwise itself.
    pub(super) undo: Option<At<RawTask>>,
}

/// How far an action can be taken back.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawReversibility {
    /// Entirely.
    Full,
    /// In part.
    Partial,
    /// Not at all.
    None,
}

/// One step: who does what, after what, and how it is executed, undone and asked about.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStep {
    /// Its name, unique in the file.
    pub(super) id: At<String>,
    /// The DID of the agent that does it.
    pub(super) agent: At<String>,
    /// The id of the action that it is.
    pub(super) action: At<String>,
    /// The steps that must have committed first; the step before this one where nothing is said, none for [].
    pub(super) after: Option<At<Vec<At<String>>>>,
    /// How many of the steps in after must have committed: all (where nothing is said), majority (more than
    /// half), any (one), or a number in quotes. A step that fails and leaves nothing behind is borne as long as
    /// every step that waits for it still gets what it needs; one that may have left something turns everything
    /// back.
    pub(super) needs: Option<At<String>>,
    /// How long one attempt may take, 1 ms to 7 d; 5m where nothing is said.
    pub(super) timeout: Option<At<RawDuration>>,
    /// How long what an attempt has begun may go on after nobody waits for its answer any more, because it took too
    /// long, was stopped or was cut off, 0 to 7 d. The probe or the undo that settles what it did waits for so long.
    /// Where nothing is said: for a request its timeout, at most 30s; for a command nothing, because it is stopped.
    pub(super) settles: Option<At<RawDuration>>,
    /// How long all attempts may take together, with the waits between them, pauses and interruptions, 1 ms to 7 d from
    /// the start of the first one on; as long as retries and timeouts allow where nothing is said. No attempt starts
    /// later, and the last one is cut off then.
    pub(super) within: Option<At<RawDuration>>,
    /// How long the step may wait for its turn when all that it needs is done, because as many steps run as may, its
    /// agent calls too often, or the run is paused, 1 ms to 7 d; for as long as it takes where nothing is said. Then it
    /// has failed, and nothing of it was begun. Of a step that needs no other it counts from when the run's work began.
    pub(super) start_within: Option<At<RawDuration>>,
    /// How often it is repeated after a failure, 0 to 100; 0 where nothing is said.
    #[schemars(range(max = 100))]
    pub(super) retries: Option<At<u32>>,
    /// The longest wait before the first repetition; it doubles with each further one. 1s where nothing is said.
    pub(super) retry_delay: Option<At<RawDuration>>,
    /// The longest wait before any repetition, up to 1 d; 60s where nothing is said.
    pub(super) retry_cap: Option<At<RawDuration>>,
    /// What is done; the action's where nothing is said.
    pub(super) execute: Option<At<RawTask>>,
    /// What takes it back; the action's where nothing is said. It may be run again after a crash.
    pub(super) undo: Option<At<RawTask>>,
    /// What finds out, without changing anything, whether the effect is there: exit code 0 (status 2xx)
    /// says yes, 1 (404, 410) says no, anything else says nothing. It settles what a crash or a timeout left open,
    /// and proves that the undo works.
    pub(super) probe: Option<At<RawTask>>,
    /// It may be executed again under the same idempotency key when its outcome is unknown.
    #[serde(default)]
    pub(super) idempotent: bool,
    /// How long one attempt to undo may take, 1 ms to 7 d; 5m where nothing is said.
    pub(super) undo_timeout: Option<At<RawDuration>>,
    /// How often a failed undo is repeated, 0 to 100; 3 where nothing is said.
    #[schemars(range(max = 100))]
    pub(super) undo_retries: Option<At<u32>>,
    /// How long after it has committed its undo still works, up to 1 d; always where nothing is said. Before a
    /// step starts that may last longer, the run says so; an undo that comes too late is not run, and escalates.
    pub(super) undo_window: Option<At<RawDuration>>,
    /// The DID of the agent that takes the step over where the gate refuses its own, which may have lost its
    /// trust meanwhile. The gate judges it like any other.
    pub(super) substitute: Option<At<String>>,
    /// Count its undo although nothing shows that it works. Recorded. Without a probe, a step that ends by itself
    /// with a failure counts as having left nothing behind.
    #[serde(default)]
    pub(super) accept_unproven_undo: bool,
    /// What others say about its call, where it needs Ring 1 or Ring 0.
    pub(super) evidence: Option<At<RawEvidence>>,
    /// What a read-only step prints on standard output, or answers, are findings: envelopes of evidence that a
    /// verifier has signed, one a line, or none. Whoever they speak of is slashed before the step counts as done; a
    /// step with a finding that does not count has failed.
    #[serde(default)]
    pub(super) findings: Option<At<bool>>,
    /// What a read-only step prints on standard output, or answers, are samples for the verifier of [adapters]:
    /// objects with agent, claimed and observed, and where wanted metric and weights, one a line. What they call
    /// for has happened before the step counts as done; a step with a sample that cannot be measured has failed.
    #[serde(default)]
    pub(super) drift: Option<At<bool>>,
}

/// Something to do: a command, an HTTP request, or an exchange with the store of context.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTask {
    /// The program and its arguments; no shell reads them. The idempotency key is in HV_IDEMPOTENCY_KEY.
    #[schemars(length(min = 1, max = 1024))]
    pub(super) command: Option<At<Vec<At<String>>>>,
    /// The command's working directory; the work folder where nothing is said, and relative to it.
    pub(super) cwd: Option<At<String>>,
    /// Environment variables of the command: texts, or references to secrets.
    pub(super) env: Option<At<BTreeMap<String, At<String>>>>,
    /// What the command reads: a text, or a reference to a secret.
    pub(super) stdin: Option<At<String>>,
    /// The digest that the program's file must have when it is started: sha256: and 64 hexadecimal digits, as
    /// `sha256sum` prints them. Another file is not run, and the step fails for good.
    pub(super) pin: Option<At<String>>,
    /// The request.
    pub(super) http: Option<At<RawHttp>>,
    /// The exchange with the store of [adapters].
    pub(super) context: Option<At<RawContext>>,
}

/// What is exchanged with the store of context: one of these, with the path of a file in the session's space. A file
/// has the same path below the work folder, and lies in the store under /sessions/ and the session's name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawContext {
    /// Takes the file of the work folder into the session's space and gives it to the store, in the agent's name, where
    /// the store's gateway lets it. The store must not have a file of another content there.
    pub(super) write: Option<At<String>>,
    /// Takes the file from the store into the session's space; its content is what the step says.
    pub(super) read: Option<At<String>>,
    /// Takes the file away from the store; the undo of write.
    pub(super) remove: Option<At<String>>,
    /// Asks whether the store has the file; the probe of write.
    pub(super) look: Option<At<String>>,
}

/// An HTTP request. The idempotency key is in its Idempotency-Key header.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    /// The method in capitals; POST where nothing is said.
    pub(super) method: Option<At<String>>,
    /// The address, http:// or https://; or a path that begins with / and follows the session's base_url.
    pub(super) url: At<String>,
    /// Headers: texts, or references to secrets.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, At<String>>,
    /// What is sent: a text, or a reference to a secret.
    pub(super) body: Option<At<String>>,
    /// The statuses that mean success; 200 to 299 where nothing is said.
    #[serde(default)]
    pub(super) expect: Vec<u16>,
}

/// A read-only command whose output is compared.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawObserve {
    /// Its name in the report.
    pub(super) name: At<String>,
    /// The DID of the agent that looks.
    pub(super) agent: At<String>,
    /// The program and its arguments.
    #[schemars(length(min = 1, max = 1024))]
    pub(super) command: At<Vec<At<String>>>,
    /// Its working directory; the work folder where nothing is said, and relative to it.
    pub(super) cwd: Option<At<String>>,
    /// Its environment variables: texts, or references to secrets.
    pub(super) env: Option<At<BTreeMap<String, At<String>>>>,
    /// How long it may take, 1 ms to 7 d; 1m where nothing is said.
    pub(super) timeout: Option<At<RawDuration>>,
}

/// Limits of the run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    /// Steps that may run at the same time, 1 to 1024; 8 where nothing is said.
    #[schemars(range(min = 1, max = 1024))]
    pub(super) parallel: Option<At<u32>>,
    /// Bytes that are kept of each output (standard output, standard error, answer) of one attempt, up to 16 MiB;
    /// 65536 where nothing is said.
    #[schemars(range(max = 16_777_216))]
    pub(super) output_bytes: Option<At<u64>>,
    /// Repetitions of failed steps over the whole work, 0 to 100000; as many as the steps allow where nothing is
    /// said. Undo is not limited by it.
    #[schemars(range(max = 100_000))]
    pub(super) retries: Option<At<u64>>,
    /// How long the work may go forward, up to 7 d from its first step on, pauses and interruptions included. Then
    /// nothing more of it starts and what was done is undone. A step that runs is not stopped: it ends by itself or by
    /// its own `timeout`, and is undone too. Set-up, rehearsals, observations and undo are not limited by it.
    pub(super) within: Option<At<RawDuration>>,
}

/// How often agents may call, over all sessions, by the ring in which they stand.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRates {
    /// Ring 0.
    pub(super) root: Option<RawRate>,
    /// Ring 1.
    pub(super) privileged: Option<RawRate>,
    /// Ring 2.
    pub(super) standard: Option<RawRate>,
    /// Ring 3.
    pub(super) sandbox: Option<RawRate>,
}

/// The limits of a ring.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRate {
    /// Calls a second in the long run, 1 to 1000000. A step that comes too early waits.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) per_second: Option<At<u64>>,
    /// Calls at once, 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) burst: Option<At<u64>>,
    /// Steps that run at once, 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) tools: Option<At<u64>>,
}
