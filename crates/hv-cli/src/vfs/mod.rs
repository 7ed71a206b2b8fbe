//! `hv vfs`: the files of a session, as one of its members.

pub mod args;

mod real;
mod words;

use crate::Exit;
use crate::output::{Refused, counted};
use crate::session::{Answer, Folder, LiveFailure, runtime};
use args::{
    AclArgs, As, CatArgs, DiffArgs, ExportArgs, ImportArgs, LsArgs, MvArgs, PathArgs, RestoreArgs, RmArgs,
    SnapshotArgs, VfsArgs, VfsCommand, WriteArgs,
};
use hv_core::rings::gate::GateDenial;
use hv_core::rings::rate::Limited;
use hv_core::session::{Expect, FilePath};
use hv_core::types::{SessionId, Timestamp};
use hv_core::{AclRule, Error, FileMoment, Hypervisor, Reason};
use serde_json::{Value, json};
use std::io::Read;

/// The longest content that is written, in bytes.
const LONGEST: u64 = 1 << 30;

/// Does what `hv vfs` was asked.
///
/// # Errors
/// [`Refused`] where nothing was done, or the answer cannot be printed.
pub fn run(args: &VfsArgs) -> Result<Exit, Refused> {
    let by = by_of(&args.command);
    let answer = runtime().and_then(|runtime| runtime.block_on(answer(by, &args.command)));
    crate::session::tell(answer, by.at.place.json)
}

const fn by_of(command: &VfsCommand) -> &As {
    match command {
        VfsCommand::Ls(args) => &args.by,
        VfsCommand::Cat(args) => &args.of.by,
        VfsCommand::Write(args) => &args.of.by,
        VfsCommand::Rm(args) => &args.of.by,
        VfsCommand::Mv(args) => &args.of.by,
        VfsCommand::Log(args) => &args.by,
        VfsCommand::Diff(args) => &args.by,
        VfsCommand::Snapshot(args) => &args.by,
        VfsCommand::Restore(args) => &args.by,
        VfsCommand::Acl(args) => &args.of.by,
        VfsCommand::Import(args) => &args.by,
        VfsCommand::Export(args) => &args.by,
    }
}

/// One session of a folder that is open, and who works in it.
struct Desk<'a> {
    hv: &'a Hypervisor,
    session: SessionId,
    by: &'a As,
}

async fn answer(by: &As, command: &VfsCommand) -> Result<Answer, LiveFailure> {
    let folder = Folder::open(&by.at.place)?;
    let answer = match folder.session(&by.at) {
        Err(failure) => Err(failure),
        Ok(session) => {
            let desk = Desk { hv: &folder.hv, session, by };
            match command {
                VfsCommand::Ls(args) => desk.ls(args).await,
                VfsCommand::Cat(args) => desk.cat(args).await,
                VfsCommand::Write(args) => desk.write(args).await,
                VfsCommand::Rm(args) => desk.rm(args).await,
                VfsCommand::Mv(args) => desk.mv(args).await,
                VfsCommand::Log(args) => desk.log(args).await,
                VfsCommand::Diff(args) => desk.diff(args).await,
                VfsCommand::Snapshot(args) => desk.snapshot(args).await,
                VfsCommand::Restore(args) => desk.restore(args).await,
                VfsCommand::Acl(args) => desk.acl(args).await,
                VfsCommand::Import(args) => desk.import(args).await,
                VfsCommand::Export(args) => desk.export(args).await,
            }
        }
    };
    folder.leave(answer).await
}

impl Desk<'_> {
    async fn ls(&self, args: &LsArgs) -> Result<Answer, LiveFailure> {
        let files = self.hv.stat_files(&self.session, &self.by.agent, args.path.as_deref()).await?;
        let words = files.iter().map(words::line).collect();
        let files: Vec<Value> = files.iter().map(words::file).collect();
        Ok(Answer::new(Exit::Done, words, json!({ "files": files })))
    }

    async fn cat(&self, CatArgs { of, revision, snapshot }: &CatArgs) -> Result<Answer, LiveFailure> {
        let (session, agent, path) = (&self.session, &self.by.agent, &of.path);
        let moment = revision.map(FileMoment::Version).or_else(|| snapshot.clone().map(FileMoment::Snapshot));
        let content = match &moment {
            None => self.hv.read_file(session, agent, path).await?,
            Some(moment) => self.hv.read_version(session, agent, path, moment).await?,
        };
        let content =
            content.ok_or_else(|| LiveFailure::Input { why: format!("there is no file `{path}` then") })?;
        // What is no text is printed as it is, and has no place in a document.
        let text = std::str::from_utf8(&content).ok();
        let document = json!({ "path": path, "text": text, "bytes": content.len() });
        Ok(Answer::new(Exit::Done, String::new(), document).saying(content, Vec::new()))
    }

    async fn write(&self, WriteArgs { of, from, expect }: &WriteArgs) -> Result<Answer, LiveFailure> {
        let mut content = Vec::new();
        let (name, read) = match from {
            Some(file) => {
                let opened = std::fs::File::open(file);
                let read = opened.and_then(|file| file.take(LONGEST + 1).read_to_end(&mut content));
                (file.display().to_string(), read)
            }
            None => ("stdin".to_owned(), std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut content)),
        };
        let input = |why| LiveFailure::Input { why };
        let length = read.map_err(|error| input(format!("{name}: {error}")))? as u64;
        if length > LONGEST {
            return Err(input(format!("{name}: more than {LONGEST} bytes")));
        }
        self.hv.write_file(&self.session, &self.by.agent, &of.path, content, *expect).await?;
        self.stands(&of.path).await
    }

    async fn rm(&self, RmArgs { of, expect }: &RmArgs) -> Result<Answer, LiveFailure> {
        self.hv.delete_file(&self.session, &self.by.agent, &of.path, *expect).await?;
        Ok(Answer::new(Exit::Done, String::new(), json!({ "path": of.path, "deleted": true })))
    }

    async fn mv(&self, MvArgs { of, to }: &MvArgs) -> Result<Answer, LiveFailure> {
        self.hv.rename_file(&self.session, &self.by.agent, &of.path, to, Expect::Present).await?;
        self.stands(to).await
    }

    async fn log(&self, PathArgs { path, .. }: &PathArgs) -> Result<Answer, LiveFailure> {
        let history = self.hv.file_history(&self.session, &self.by.agent, path).await?;
        let words = history.iter().map(words::version_line).collect();
        let versions: Vec<Value> = history.iter().map(words::version).collect();
        Ok(Answer::new(Exit::Done, words, json!({ "path": path, "versions": versions })))
    }

    async fn diff(&self, DiffArgs { from, to, .. }: &DiffArgs) -> Result<Answer, LiveFailure> {
        let changes = self.hv.diff_files(&self.session, &self.by.agent, Some(from), to.as_ref()).await?;
        let words = changes.iter().map(words::change_line).collect();
        let changes: Vec<Value> = changes.iter().map(words::change).collect();
        let to = to.as_ref().map(ToString::to_string);
        Ok(Answer::new(Exit::Done, words, json!({ "from": from.as_str(), "to": to, "changes": changes })))
    }

    async fn snapshot(&self, args: &SnapshotArgs) -> Result<Answer, LiveFailure> {
        let (session, agent) = (&self.session, &self.by.agent);
        if args.list {
            let snapshots = self.hv.snapshots(session, agent).await?;
            let words = snapshots.iter().map(words::snapshot_line).collect();
            let snapshots: Vec<Value> = snapshots.iter().map(words::snapshot).collect();
            return Ok(Answer::new(Exit::Done, words, json!({ "snapshots": snapshots })));
        }
        if let (true, Some(name)) = (args.drop, &args.name) {
            self.hv.drop_snapshot(session, agent, name).await?;
            return Ok(Answer::new(Exit::Done, String::new(), json!({ "dropped": name.as_str() })));
        }
        let name = self.hv.take_snapshot(session, agent, args.name.as_ref()).await?;
        Ok(Answer::new(Exit::Done, format!("{name}\n"), json!({ "snapshot": name.as_str() })))
    }

    async fn restore(&self, args: &RestoreArgs) -> Result<Answer, LiveFailure> {
        let (session, agent) = (&self.session, &self.by.agent);
        match (&args.snapshot, &args.path, args.revision) {
            (Some(name), ..) => {
                self.hv.roll_back(session, agent, name).await?;
                Ok(Answer::new(Exit::Done, String::new(), json!({ "snapshot": name.as_str() })))
            }
            (None, Some(path), Some(revision)) => {
                self.hv.restore_file(session, agent, path, revision, Expect::Any).await?;
                self.stands(path).await
            }
            (None, ..) => {
                Err(LiveFailure::Input { why: "give --snapshot NAME, or PATH and --revision N".into() })
            }
        }
    }

    async fn acl(&self, args: &AclArgs) -> Result<Answer, LiveFailure> {
        let (session, agent, path) = (&self.session, &self.by.agent, &args.of.path);
        let rules: Vec<AclRule> = args.allow.iter().chain(&args.deny).cloned().collect();
        if args.clear {
            self.hv.set_acl(session, agent, path, None).await?;
        } else if args.close || !rules.is_empty() {
            self.hv.set_acl(session, agent, path, Some(&rules)).await?;
        }
        let acl = self.hv.file_acl(session, agent, path).await?;
        Ok(Answer::new(Exit::Done, words::acl_lines(acl.as_deref()), words::acl(path, acl.as_deref())))
    }

    async fn import(&self, args: &ImportArgs) -> Result<Answer, LiveFailure> {
        let real::Found { mut files, mut left_out } = real::look(&args.folder, LONGEST)?;
        // Said of all before anything is written: one name would leave a part of the folder here and the rest there.
        let unfit = files.extract_if(.., |file| FilePath::parse(&self.session, &file.path).is_err());
        left_out.extend(unfit.map(|file| file.file));
        left_out.sort();
        let below = args.to.as_deref().map(|to| format!("{to}/")).unwrap_or_default();
        let (mut written, mut words) = (Vec::new(), String::new());
        for file in &files {
            let path = format!("{below}{}", file.path);
            let content = real::read(&file.file, LONGEST)?;
            let write =
                || self.hv.write_file(&self.session, &self.by.agent, &path, content.clone(), Expect::Any);
            self.paced(write).await?;
            words.push_str(&format!("{path}\n"));
            written.push(path);
        }
        let left = left_out.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        let warning = (!left.is_empty()).then(|| format!("left out: {}", left.join(", ")));
        Ok(Answer::new(Exit::Done, words, json!({ "written": written, "left_out": left })).warning(warning))
    }

    async fn export(&self, args: &ExportArgs) -> Result<Answer, LiveFailure> {
        let (session, agent) = (&self.session, &self.by.agent);
        let files = self.hv.stat_files(session, agent, None).await?;
        let diverged: Vec<_> =
            files.iter().filter(|file| !file.siblings.is_empty()).map(words::beside).collect();
        let paths: Vec<String> = files.into_iter().map(|file| file.path).collect();
        real::check(&args.folder, &paths)?;
        let mut gone = Vec::new();
        for path in &paths {
            match self.paced(|| self.hv.read_file(session, agent, path)).await? {
                Some(content) => real::write(&args.folder, path, &content)?,
                None => gone.push(path.clone()),
            }
        }
        let gone_words = (!gone.is_empty()).then(|| format!("kept elsewhere or purged: {}", gone.join(", ")));
        let warning: Vec<String> = gone_words.into_iter().chain(diverged).collect();
        let warning = (!warning.is_empty()).then(|| warning.join("; "));
        let words = counted(paths.len() - gone.len(), "file") + "\n";
        Ok(Answer::new(Exit::Done, words, json!({ "files": paths, "left_out": gone })).warning(warning))
    }

    /// Calls, and calls again where it was only too fast, at the time at which it may: many files are more calls at
    /// once than an agent has.
    async fn paced<T, F>(&self, call: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            let answer = call().await;
            let Err(Error::Denied(denied)) = &answer else { return answer };
            let Reason::Gate(denial) = &denied.reason else { return answer };
            let GateDenial::RateLimited { limit: Limited::TooFast { retry_at, .. }, .. } = **denial else {
                return answer;
            };
            if retry_at == Timestamp::MAX {
                return answer;
            }
            tokio::time::sleep(retry_at.since(self.hv.now())).await;
        }
    }

    /// What stands at a path now, as far as the agent may see it.
    async fn stands(&self, path: &str) -> Result<Answer, LiveFailure> {
        let files = self.hv.stat_files(&self.session, &self.by.agent, Some(path)).await?;
        let file = files.iter().find(|file| path.ends_with(&file.path)).or(files.first());
        let words = file.map(words::line).unwrap_or_default();
        Ok(Answer::new(Exit::Done, words, file.map(words::file).unwrap_or_default()))
    }
}
