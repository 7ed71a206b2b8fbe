//! `hv node`: whom a node listens to, and what changes the supervisor itself.

use crate::Exit;
use crate::answerable::{ask, envelope, unfit, word_of};
use crate::id::args::duration;
use crate::output::{Refused, counted};
use crate::session::args::Place;
use crate::session::{Answer, Folder, LiveFailure, runtime};
use clap::{Args, Subcommand, ValueEnum};
use hv_core::identity::Envelope;
use hv_core::types::{Did, NotAFraction, Sigma};
use hv_core::{Kept, NodeConfig, Request, Vouching};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `hv node`.
#[derive(Debug, Args)]
#[command(after_help = NODE_HELP)]
pub struct NodeArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: NodeCommand,
}

const NODE_HELP: &str = "\
Who has an empty node says what it is. From then on whatever changes it is
Ring 0: it takes the word of one of its witnesses for exactly that change.
--ask prints what the witness signs, with `hv id sign --type witness`.

Examples:
  hv node configure --data trail --did did:web:node.example \\
      --witness did:key:z6Mk… --verifier did:key:z6Mk… --grace 1h
  hv node show --data trail
  hv node rehabilitate --data trail --agent did:mesh:bob --sigma 0.5 --ask > call.json
  hv id sign --key human.key --type witness --audience did:web:node.example \\
      --deadline 10m call.json > word.json
  hv node rehabilitate --data trail --agent did:mesh:bob --sigma 0.5 --witness word.json
  hv node snapshot --data trail

Exit codes: 0 done, 1 hv failed, 2 bad input, 5 denied";

/// What `hv node` can do.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Say what the node is called and whom it listens to, all of it
    Configure(ConfigureArgs),
    /// Print what the node is called and whom it listens to
    Show(Place),
    /// Keep what the trail says so far, so that the node opens sooner
    Snapshot(Place),
    /// End the quarantines of an agent
    Rehabilitate(RehabilitateArgs),
    /// Give a DID its first key, or another without the one before
    Key(KeyArgs),
}

/// Who decides, and on whose word.
#[derive(Debug, Args)]
pub struct Word {
    /// Who decides it; a witness cannot be asked about its own decision
    #[arg(long, value_name = "DID", default_value = "did:hv:operator")]
    pub by: Did,
    /// Print what the witness has to sign, and do nothing
    #[arg(long)]
    pub ask: bool,
    /// How long from now on the change may be made that is asked for
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "1h", requires = "ask")]
    pub lasts: Duration,
}

/// Arguments of `hv node configure`.
#[derive(Debug, Args)]
pub struct ConfigureArgs {
    /// Where; the folder is made where there is none.
    #[command(flatten)]
    pub place: Place,
    /// The node's own DID: what statements for it are addressed to
    #[arg(long, value_name = "DID")]
    pub did: Did,
    /// Somebody whose word opens Ring 0; may be given more than once. Without one nothing of this can be changed later
    #[arg(long, value_name = "DID")]
    pub witness: Vec<Did>,
    /// Somebody whose findings lead to a slash; may be given more than once
    #[arg(long, value_name = "DID")]
    pub verifier: Vec<Did>,
    /// By which numbers agents vouch and answer; they change only while nothing is bonded and nobody is charged
    #[arg(long, value_enum, default_value_t = VouchingArg::Collateral)]
    pub vouching: VouchingArg,
    /// Charge whoever violates, and slash it after this time unless that is contested; without, at once
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub grace: Option<Duration>,
    /// A statement of type bind for the first configuration; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,
    /// The word of a witness of the configuration that holds now: an envelope
    #[arg(long, value_name = "FILE", conflicts_with = "ask")]
    pub witnessed: Option<PathBuf>,
    /// Who decides it.
    #[command(flatten)]
    pub word: Word,
}

/// By which numbers agents vouch and answer.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum VouchingArg {
    /// hv's own: what is bonded is what is lost
    Collateral,
    /// Those of the Python package agent-hypervisor, for comparison
    Reference,
}

impl From<VouchingArg> for Vouching {
    fn from(arg: VouchingArg) -> Self {
        match arg {
            VouchingArg::Collateral => Self::Collateral,
            VouchingArg::Reference => Self::Reference,
        }
    }
}

/// Arguments of `hv node rehabilitate`.
#[derive(Debug, Args)]
pub struct RehabilitateArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// Who
    #[arg(long, value_name = "DID")]
    pub agent: Did,
    /// The reputation that it gets at least
    #[arg(long, value_name = "S", value_parser = sigma, allow_hyphen_values = true)]
    pub sigma: Sigma,
    /// The word of a witness for this: an envelope
    #[arg(long, value_name = "FILE", conflicts_with = "ask")]
    pub witness: Option<PathBuf>,
    /// Who decides it.
    #[command(flatten)]
    pub word: Word,
}

/// Arguments of `hv node key`.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// The statement of type bind, signed by the key that it names
    pub statement: PathBuf,
    /// The DID has a key, which is lost or was revoked: this one takes its place
    #[arg(long)]
    pub replace: bool,
    /// The word of a witness for this: an envelope
    #[arg(long, value_name = "FILE", conflicts_with = "ask")]
    pub witness: Option<PathBuf>,
    /// Who decides it.
    #[command(flatten)]
    pub word: Word,
}

/// Does what `hv node` was asked.
///
/// # Errors
/// [`Refused`] where nothing was done, or the answer cannot be printed.
pub fn run(args: &NodeArgs) -> Result<Exit, Refused> {
    let place = match &args.command {
        NodeCommand::Configure(args) => &args.place,
        NodeCommand::Show(place) | NodeCommand::Snapshot(place) => place,
        NodeCommand::Rehabilitate(args) => &args.place,
        NodeCommand::Key(args) => &args.place,
    };
    let answer = runtime().and_then(|runtime| runtime.block_on(answer(&args.command)));
    crate::session::tell(answer, place.json)
}

async fn answer(command: &NodeCommand) -> Result<Answer, LiveFailure> {
    match command {
        NodeCommand::Configure(args) => configure(args).await,
        NodeCommand::Show(place) => {
            let folder = Folder::open(place)?;
            let config = folder.hv.config();
            let config = folder.leave(config).await?;
            Ok(shown(config.as_ref()))
        }
        NodeCommand::Snapshot(place) => {
            let folder = Folder::open(place)?;
            let kept = folder.hv.keep_snapshot().await;
            let kept = folder.leave(kept).await?;
            Ok(snapshot(kept))
        }
        NodeCommand::Rehabilitate(args) => {
            let request = Request::Rehabilitate { agent: args.agent.clone(), sigma: args.sigma };
            let done = format!("{} is rehabilitated", args.agent);
            govern(&args.place, &args.word, &request, args.witness.as_ref(), done).await
        }
        NodeCommand::Key(args) => {
            let statement = envelope(&args.statement)?;
            let request = match args.replace {
                true => Request::ReplaceKey { statement },
                false => Request::BindKey { statement },
            };
            let done = "the key is bound".to_owned();
            govern(&args.place, &args.word, &request, args.witness.as_ref(), done).await
        }
    }
}

async fn configure(args: &ConfigureArgs) -> Result<Answer, LiveFailure> {
    let mut config = NodeConfig::new(args.did.clone()).with_vouching(args.vouching.into());
    if let Some(grace) = args.grace {
        config = config.with_grace(grace);
    }
    for did in &args.witness {
        config = config.with_witness(did.clone());
    }
    for did in &args.verifier {
        config = config.with_verifier(did.clone());
    }
    let request = Request::Configure { config: config.clone() };
    if args.word.ask || args.witnessed.is_some() {
        if let Some(key) = args.key.first() {
            return Err(unfit(key, &"keys come with the first configuration; later with `hv node key`"));
        }
        let done = format!("the node is {}", args.did);
        return govern(&args.place, &args.word, &request, args.witnessed.as_ref(), done).await;
    }
    let keys: Vec<Envelope> = args.key.iter().map(|file| envelope(file)).collect::<Result<_, _>>()?;
    let folder = Folder::open_or_create(&args.place.config.read()?, &args.place)?;
    let done = folder.hv.establish(&args.word.by, &config, &keys).await;
    folder.leave(done).await?;
    let alone = || {
        "there is no witness, so nothing of this can be changed, and no word lets anything pass".to_owned()
    };
    Ok(shown(Some(&config)).warning(args.witness.is_empty().then(alone)))
}

/// Asks for a witness's word for a change, or makes it on one.
pub(crate) async fn govern(
    place: &Place,
    word: &Word,
    request: &Request,
    witness: Option<&PathBuf>,
    done: String,
) -> Result<Answer, LiveFailure> {
    if word.ask {
        return ask(request, &word.by, word.lasts);
    }
    let presented = match witness {
        Some(file) => word_of(file)?,
        // Without a word it is denied, and that stands on the trail.
        None => hv_core::Presented::new(hv_core::types::Timestamp::MAX, Vec::new()).unwrap_or_default(),
    };
    let folder = Folder::open(place)?;
    let governed = folder.hv.govern(&word.by, request, &presented).await;
    folder.leave(governed).await?;
    let document = json!({ "done": request.action() });
    Ok(Answer::new(Exit::Done, crate::output::one_line(&done) + "\n", document))
}

fn snapshot(kept: Option<Kept>) -> Answer {
    let Some(Kept { lsn, bytes }) = kept else {
        return Answer::new(Exit::Done, "this log keeps no snapshots\n".to_owned(), Value::Null);
    };
    let words = format!("kept everything before batch {lsn} in {}\n", counted(bytes, "byte"));
    Answer::new(Exit::Done, words, json!({ "batch": lsn.0, "bytes": bytes }))
}

fn shown(config: Option<&NodeConfig>) -> Answer {
    let Some(config) = config else {
        let words = "this node is not configured: it listens to nobody\n".to_owned();
        return Answer::new(Exit::Done, words, Value::Null);
    };
    let names = |dids: &mut dyn Iterator<Item = &Did>| dids.map(ToString::to_string).collect::<Vec<_>>();
    let witnesses = names(&mut config.witnesses().iter());
    let verifiers = names(&mut config.verifiers().iter());
    let some = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let words = format!(
        "node {}\n  witnesses: {}\n  verifiers: {}\n  vouching: {}\n  grace: {}\n",
        config.node(),
        some(&witnesses),
        some(&verifiers),
        config.vouching(),
        config.grace().map_or_else(|| "none".to_owned(), |grace| format!("{grace:?}")),
    );
    let document = json!({
        "did": config.node().as_str(), "witnesses": witnesses, "verifiers": verifiers,
        "vouching": config.vouching().name(),
        "grace_seconds": config.grace().map(|grace| grace.as_secs_f64()),
    });
    Answer::new(Exit::Done, words, document)
}

fn sigma(text: &str) -> Result<Sigma, NotAFraction> {
    text.parse()
}
