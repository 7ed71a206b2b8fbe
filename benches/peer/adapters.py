"""Their side of the comparison: cmvk, nexus-trust-exchange and inter-agent-trust-protocol themselves.

Speaks as peer.py does: `list` answers the names of all workloads, `run NAME CALLS` answers `NAME NANOSECONDS ANSWER`.
A run warms up and then times all calls together.
"""

import importlib.util
import math
import pathlib
import sys
import warnings
from importlib import metadata
from itertools import repeat
from time import perf_counter_ns

warnings.simplefilter("ignore")

import numpy
from cmvk.verification import verify_embeddings
from iatp.models import CapabilityManifest

DIMENSIONS = 1536
CLAIMED = numpy.array([math.sin(i * 0.37) for i in range(DIMENSIONS)])
OBSERVED = numpy.array([math.sin(i * 0.37) + 0.1 * math.cos(i * 1.7) for i in range(DIMENSIONS)])
MANIFEST = pathlib.Path(__file__).with_name("manifest.json").read_text(encoding="utf-8")


def drift(metric):
    return lambda: f"{verify_embeddings(CLAIMED, OBSERVED, metric=metric).drift_score:.9f}"


def reputation():
    """The package installs its modules flat, so this one is loaded by its file."""
    files = metadata.files("nexus-trust-exchange") or []
    path = next(pathlib.Path(f.locate()) for f in files if f.name == "reputation.py")
    spec = importlib.util.spec_from_file_location("reputation", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["reputation"] = module
    spec.loader.exec_module(module)
    return module


def trust_score():
    module = reputation()
    engine = module.ReputationEngine()
    history = module.ReputationHistory(
        agent_did="did:mesh:a", successful_tasks=85, failed_tasks=3, uptime_days=40)
    return lambda: engine.calculate_trust_score("verified", history).total_score


def manifest_score():
    return lambda: CapabilityManifest.model_validate_json(MANIFEST).calculate_trust_score()


METRICS = ("cosine", "euclidean", "manhattan", "chebyshev", "mahalanobis")
WORKLOADS = {f"drift_{metric}": lambda metric=metric: drift(metric) for metric in METRICS}
WORKLOADS |= {"trust_score": trust_score, "manifest_score": manifest_score}


def run(name, calls):
    call = WORKLOADS[name]()
    for _ in repeat(None, min(100, calls // 10)):
        call()
    started = perf_counter_ns()
    for _ in repeat(None, calls):
        answer = call()
    return (perf_counter_ns() - started) / calls, answer


def main():
    for line in sys.stdin:
        match line.split():
            case ["list"]:
                print(*WORKLOADS, flush=True)
            case ["run", name, calls]:
                nanoseconds, answer = run(name, int(calls))
                print(name, nanoseconds, answer, flush=True)
            case _:
                print("error", repr(line), "is neither `list` nor `run NAME CALLS`", flush=True)


if __name__ == "__main__":
    main()
