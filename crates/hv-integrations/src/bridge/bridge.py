"""A Python package behind hv: one question a line in, one answer a line out, in JSON.

The first line that is written says what is spoken: {"bridge": 1, "kernel": ..., "version": ...}. A question is
{"id": n, "op": ..., ...}, its answer {"id": n, "ok": ...} or {"id": n, "error": ...}. Ends when its input does,
or when the process that started it is gone.
"""

import json
import os
import sys
import threading
import time
from importlib import metadata

SPOKEN = 1
OUT = os.fdopen(os.dup(1), "w", encoding="utf-8")
# Whatever a package prints goes where errors go; the answers are alone on their own stream.
os.dup2(2, 1)


def say(message):
    # What is no number stays what it is: whoever reads refuses it.
    OUT.write(json.dumps(message) + "\n")
    OUT.flush()


def follow(parent):
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


class Nexus:
    package = "nexus-trust-exchange"

    def __init__(self):
        # The package installs its modules flat, so the one that is needed is loaded by its file.
        import importlib.util
        import pathlib

        files = metadata.files(self.package) or []
        path = next(pathlib.Path(f.locate()) for f in files if f.name == "reputation.py")
        spec = importlib.util.spec_from_file_location("reputation", path)
        self.module = importlib.util.module_from_spec(spec)
        sys.modules["reputation"] = self.module
        spec.loader.exec_module(self.module)
        self.engine = self.module.ReputationEngine()
        self.facts = {}
        self.taken = {}

    def score(self, agent):
        """From what was said of the agent and what has happened to it since; never from the package's cache."""
        self.engine._score_cache.clear()
        facts = self.facts.get(agent)
        if facts is None:
            return self.engine.check_trust_threshold(agent)[1]
        history = self.engine._history_cache[agent]
        return self.engine.calculate_trust_score(
            facts["verification_level"], history, facts.get("capabilities"), facts.get("privacy"))

    def known(self, q):
        history = self.module.ReputationHistory(agent_did=q["agent"], **q["facts"].get("history", {}))
        self.engine._history_cache[q["agent"]] = history
        self.facts[q["agent"]] = q["facts"]
        return None

    def points(self, q):
        return {"points": self.score(q["agent"]).total_score}

    def record(self, q):
        history = self.engine._history_cache.get(q["agent"])
        slashes = [event for event in self.engine._slash_events if event.agent_did == q["agent"]]
        return {"times_slashed": history.times_slashed if history else 0,
                "reason": slashes[-1].reason if slashes else None,
                "severity": slashes[-1].severity if slashes else None,
                "successful_tasks": history.successful_tasks if history else 0,
                "failed_tasks": history.failed_tasks if history else 0}

    def report(self, q):
        if q["key"] in self.taken:
            return None
        agent = q["agent"]
        self.engine.check_trust_threshold(agent)
        if q["what"] == "slash":
            self.engine.slash_reputation(agent, q["reason"], q["severity"])
        elif q["what"] == "task":
            self.engine.record_task_outcome(agent, q["outcome"])
        else:
            self.engine.record_dispute_outcome(agent, q["outcome"])
        self.taken[q["key"]] = True
        if len(self.taken) > 65536:
            del self.taken[next(iter(self.taken))]
        return None


class Cmvk:
    package = "cmvk"

    def __init__(self):
        from cmvk.verification import verify_embeddings

        self.verify_embeddings = verify_embeddings

    def verify(self, q):
        score = self.verify_embeddings(
            q["claimed"], q["observed"], metric=q["metric"], weights=q.get("weights"),
            threshold_profile=q.get("profile"))
        return {"drift_score": float(score.drift_score), "confidence": float(score.confidence),
                "raw_distance": float(score.details["raw_distance"]),
                "metric_used": str(score.details["metric"]).lower()}


class Scak:
    package = "scak"

    def __init__(self):
        from agent_kernel import SelfCorrectingAgentKernel

        # A patch is a proposal: whether it is applied is not the package's to decide.
        self.kernel = SelfCorrectingAgentKernel(config={"auto_patch": False, "log_level": "ERROR"})

    def failure(self, q):
        result = self.kernel.handle_failure(
            agent_id=q["agent"], error_message=q["error"], context=q.get("context", {}),
            auto_patch=False)
        return self.heard(q["agent"], result)

    def outcome(self, q):
        return self.heard(q["agent"], self.kernel.handle_outcome(
            agent_id=q["agent"], user_prompt=q["asked"], agent_response=q["answer"]))

    def heard(self, agent, result):
        patch = result.get("patch") if isinstance(result, dict) else None
        said = None
        if patch is not None:
            said = {"id": str(getattr(patch, "patch_id", "")), "kind": str(getattr(patch, "patch_type", "")),
                    "content": json.dumps(getattr(patch, "patch_content", None), default=str)[:8192]}
        history = self.kernel.get_failure_history(agent, limit=1000)
        return {"patch": said, "failures": len(history)}

    def failures(self, q):
        return {"failures": len(self.kernel.get_failure_history(q["agent"], limit=1000))}


KERNELS = {"nexus": Nexus, "cmvk": Cmvk, "scak": Scak}


def main():
    threading.Thread(target=follow, args=(os.getppid(),), daemon=True).start()
    name = sys.argv[1]
    kind = KERNELS[name]
    try:
        version = metadata.version(kind.package)
        kernel = kind()
    except Exception as error:
        say({"bridge": SPOKEN, "kernel": name, "error": f"{type(error).__name__}: {error}"[:500]})
        return
    say({"bridge": SPOKEN, "kernel": name, "package": kind.package, "version": version})
    for line in sys.stdin:
        number = None
        try:
            question = json.loads(line)
            number = question["id"]
            op = question["op"]
            if op.startswith("_") or op in ("package", "score", "heard"):
                raise ValueError(f"unknown op {op}")
            say({"id": number, "ok": getattr(kernel, op)(question)})
        except Exception as error:
            say({"id": number, "error": f"{type(error).__name__}: {error}"[:500]})


main()
