"""Everything a run needs, as data that crosses a process boundary and is saved with the result."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from quantgui.schemes.recipe import Recipe
from quantgui.types import ErrorStats


def new_job_id() -> str:
    """Eight hex digits: names the partial folder and the run."""
    return uuid.uuid4().hex[:8]


@dataclass(frozen=True)
class Calibration:
    """The text that runs through a model to calibrate it; all of it is tokenized by the model's tokenizer."""

    text: str | None = None  # a text, JSONL or Parquet file; None: the bundled calibration text
    samples: int = 128
    length: int = 512  # tokens of a sample; at most what the model can take


class WritesOutput:
    """Where a job writes: beside the final place first, which gets its name when everything is there."""

    output: str
    id: str

    @property
    def target(self) -> str:
        """The output folder itself: absolute, links followed, without a slash at its end."""
        return os.path.realpath(self.output)

    @property
    def partial_output(self) -> str:
        """The folder in which the output is written until it is complete, beside its final place."""
        return f"{self.target}.partial-{self.id}"

    @property
    def replaced_output(self) -> str:
        """Where an earlier run waits for the moment in which the new one takes its name."""
        return f"{self.target}.replaced-{self.id}"


@dataclass(frozen=True)
class QuantizeJob(WritesOutput):
    """Quantize `source` by `recipe` into the folder `output`, or into the file `output` where the recipe makes GGUF."""

    source: str
    output: str
    recipe: Recipe
    device: str = "cpu"  # "cpu", "cuda", "cuda:1", "mps"
    threads: int | None = None  # None: all physical cores
    overwrite: bool = False
    verify: bool = True
    cache: str = ""  # folder in which a training is kept until it is converted; "" keeps none
    resume: str = ""  # id of the job whose stopped training goes on
    allow_requantize: bool = False  # a GGUF file that is quantized already may be quantized again
    id: str = field(default_factory=new_job_id)

    @property
    def training_id(self) -> str:
        """The name under which this job's training is kept: that of the job which began it."""
        return self.resume or self.id


@dataclass(frozen=True)
class InspectJob:
    """Statistics of every tensor of `source` (or of `tensor` alone), against the checkpoint `against` where given."""

    source: str
    against: str | None = None
    tensor: str | None = None
    id: str = field(default_factory=new_job_id)


@dataclass(frozen=True)
class ReadJob:
    """Read the headers of a pickled PyTorch file, which only the child may do."""

    source: str
    id: str = field(default_factory=new_job_id)


@dataclass(frozen=True)
class VerifyJob:
    """Reload `output`, which was made from `source` by `recipe`, with the library that users load it with.

    The reloaded weights are compared with our own dequantized ones, and those with the source: their errors must be
    the ones that were counted while quantizing.
    """

    output: str
    source: str
    recipe: Recipe
    errors: Mapping[str, ErrorStats] = field(default_factory=dict)  # by tensor; empty: not compared with the source
    id: str = field(default_factory=new_job_id)


@dataclass(frozen=True)
class EvaluateJob:
    """Perplexity of `source` on the text file `text` (None: the bundled evaluation text).

    With `against`, the checkpoint it was made from: both are scored on the same tokens, and their difference is paired.
    """

    source: str
    text: str | None = None
    context: int | None = None  # tokens per window
    device: str = "cpu"
    against: str | None = None
    id: str = field(default_factory=new_job_id)


@dataclass(frozen=True)
class ExportJob(WritesOutput):
    """Write `source` as ONNX with 8-bit weights into the folder `output`."""

    source: str
    output: str
    id: str = field(default_factory=new_job_id)


@dataclass(frozen=True)
class VerifyOnnxJob:
    """Load the exported folder `output` with onnxruntime and compare its outputs with those of `source`."""

    output: str
    source: str
    id: str = field(default_factory=new_job_id)


@dataclass(frozen=True)
class ImatrixJob:
    """Compute the importance matrix of `source` on calibration text, into the file `output`."""

    source: str
    output: str
    calibration: Calibration = field(default_factory=Calibration)
    device: str = "cpu"
    model: str = ""  # the name by which people know the model; "": what its folder is called
    id: str = field(default_factory=new_job_id)


@dataclass(frozen=True)
class GenerateJob:
    """Continue `prompt` with a GGUF file (by llama.cpp) or a Hugging Face folder (by transformers)."""

    source: str
    prompt: str
    tokens: int = 128  # at most
    temperature: float = 0.0  # 0: the likeliest token each time
    seed: int = 0
    threads: int | None = None
    device: str = "cpu"
    id: str = field(default_factory=new_job_id)


class Program(StrEnum):
    """Programs that run GGUF files."""

    OLLAMA = "ollama"
    LM_STUDIO = "lm-studio"
    LLAMA_CPP = "llama.cpp"


@dataclass(frozen=True)
class HandOverJob:
    """Give the GGUF file `source` to a program."""

    source: str
    program: Program
    name: str = ""  # in Ollama; "": the file's name
    folder: str = ""  # LM Studio's models; "": where it usually keeps them
    overwrite: bool = False  # a Modelfile of somebody else may be replaced
    id: str = field(default_factory=new_job_id)


Job = (
    QuantizeJob
    | InspectJob
    | ReadJob
    | VerifyJob
    | EvaluateJob
    | ExportJob
    | VerifyOnnxJob
    | ImatrixJob
    | GenerateJob
    | HandOverJob
)
