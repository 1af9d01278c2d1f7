"""What a child says. A stream is Started, then anything, then exactly one of Finished, Failed and Cancelled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from quantgui.jobs.job import ExportJob, QuantizeJob
from quantgui.types import Checkpoint, TensorReport


class VerificationStatus(StrEnum):
    """How the reload in a new process ended."""

    VERIFIED = "verified"
    FAILED = "failed"
    NOT_VERIFIED = "not_verified"  # library missing, or not asked for


@dataclass(frozen=True)
class Verification:
    """Result of reloading a checkpoint with the library that users load it with."""

    status: VerificationStatus
    summary: str  # one sentence
    library: str = ""  # "transformers 5.22.0, compressed-tensors 0.20.0"
    tensors_compared: int = 0
    worst_difference: float | None = None  # max |reloaded - ours| relative to the tensor's max |w|
    worst_tensor: str = ""
    details: str = ""


@dataclass(frozen=True)
class PairedScore:
    """The checkpoint before, scored on the same tokens, and how much worse (positive) the one after predicts each."""

    source: str
    perplexity: float
    perplexity_se: float
    difference: float  # mean of after minus before, nats per token
    difference_se: float  # standard error of that mean, paired by token

    @property
    def is_tie(self) -> bool:
        """Whether the difference lies within two of its standard errors."""
        return abs(self.difference) <= 2 * self.difference_se

    @property
    def perplexity_ratio(self) -> float:
        """Perplexity after / before: exp of the mean difference."""
        return math.exp(self.difference)


@dataclass(frozen=True)
class Evaluation:
    """Perplexity of a model on a text, with its standard error."""

    tokens: int  # scored tokens
    perplexity: float
    perplexity_se: float
    context: int  # tokens per window
    text: str  # name of the text file
    seconds: float
    against: PairedScore | None = None


@dataclass(frozen=True)
class ImatrixResult:
    """An importance matrix that was written."""

    output: str
    entries: int  # weights in it
    tokens: int  # of the calibration text
    unreached: tuple[str, ...]  # weights with a matrix that no token reached
    seconds: float
    missing: tuple[str, ...] = ()  # weights that are quantized and have no entry, as their inputs could not be seen


@dataclass(frozen=True)
class HandOverResult:
    """A GGUF file that another program can find, or the command with which it will."""

    path: str  # what was written, or the file itself
    command: str  # for a terminal; "" where none is needed
    sentence: str


@dataclass(frozen=True)
class Generation:
    """A text that a model continued."""

    text: str  # without the prompt
    tokens: int
    prompt_tokens: int
    seconds: float  # from the first token after the prompt to the last
    prompt_seconds: float  # until the first token
    load_seconds: float
    peak_rss_bytes: int  # of the child, mapped weights included
    fills_context: bool = False  # the model was trained for no longer text, so fewer tokens came than were asked for

    @property
    def tokens_per_second(self) -> float | None:
        """Speed of generating, None below two tokens."""
        return (self.tokens - 1) / self.seconds if self.tokens > 1 and self.seconds > 0 else None


@dataclass(frozen=True)
class QuantizeResult:
    """A finished run. Includes its job, so it can be repeated."""

    job: QuantizeJob
    output: str
    bytes_before: int  # tensor data of the source
    bytes_after: int  # tensor data written
    file_bytes: int  # weight files, headers included
    parameters: int
    seconds: float
    peak_anonymous_bytes: int | None  # of the child, RssAnon where the system tells it
    verification: Verification
    warnings: tuple[str, ...] = ()

    @property
    def bits_per_weight(self) -> float:
        """8 * bytes written / parameters."""
        return 8 * self.bytes_after / self.parameters if self.parameters else 0.0


@dataclass(frozen=True)
class ExportResult:
    """A model that was written in another program's format."""

    job: ExportJob
    output: str
    bytes_before: int  # tensor data of the source
    file_bytes: int
    seconds: float
    verification: Verification


@dataclass(frozen=True)
class Started:
    """Preflight passed; work begins. `total_bytes` is the source data that will be read, the unit of progress."""

    job_id: str
    total_bytes: int
    total_tensors: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """A named part of the work begins ("Quantizing", "Checking in a new process")."""

    title: str
    detail: str = ""


@dataclass(frozen=True)
class Progress:
    """Source bytes done so far, and the tensor at work."""

    done_bytes: int
    tensor: str = ""


@dataclass(frozen=True)
class TensorDone:
    """One tensor is finished, with its statistics."""

    report: TensorReport


@dataclass(frozen=True)
class TrainingStep:
    """One more step of a training is done: `step` of `steps`, and the loss of its batch in nats per token."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    replayed: bool = False  # done by an earlier process, which this one takes up


@dataclass(frozen=True)
class TextPiece:
    """More of a generated text."""

    text: str


@dataclass(frozen=True)
class MemorySample:
    """Memory of the child now: resident, and anonymous (without mapped files; None where the system cannot tell)."""

    rss_bytes: int
    anonymous_bytes: int | None = None


@dataclass(frozen=True)
class Log:
    """A line for the log: level is "info" or "warning"."""

    text: str
    level: str = "info"


@dataclass(frozen=True)
class Finished:
    """The job is done. Which field is set depends on the job: a quantization, a verification, a read checkpoint."""

    quantized: QuantizeResult | None = None
    verification: Verification | None = None
    checkpoint: Checkpoint | None = None
    evaluation: Evaluation | None = None
    exported: ExportResult | None = None
    imatrix: ImatrixResult | None = None
    generation: Generation | None = None
    handed_over: HandOverResult | None = None


@dataclass(frozen=True)
class Failed:
    """The job ended without a result. `message` is one sentence, `hint` the next step, `details` the rest."""

    message: str
    hint: str = ""
    details: str = ""


@dataclass(frozen=True)
class Cancelled:
    """The person stopped it; nothing of the output is left."""


Event = (
    Started
    | Stage
    | Progress
    | TensorDone
    | TrainingStep
    | TextPiece
    | MemorySample
    | Log
    | Finished
    | Failed
    | Cancelled
)
TERMINAL = (Finished, Failed, Cancelled)
